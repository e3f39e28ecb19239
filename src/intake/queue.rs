//! The bounded queue between a listener and the workers, which never blocks the listener.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::intake::idle::Idle;
use crate::intake::{Ending, Job, Jobs};
use crate::watch::Fate;

mod rate;

pub use self::rate::RetryAfter;

use self::rate::Rate;

/// Refusals that may wait for the thread `refuser`. It only writes 503s, so they do not pile up
/// unless clients do not read; beyond this they are cut without an answer.
const MAX_REFUSALS: usize = 1024;

/// A job that no worker will serve: the thread `refuser` answers it with 503.
pub struct Refused {
    /// The job.
    pub job: Job,
    /// Why, for the client and the log.
    pub fate: Fate,
    /// Seconds after which trying again may help.
    pub retry_after: u64,
}

/// The listener's end. One owner, the listener thread. Closing it disconnects the workers, dropping
/// it the refuser as well; they end once they have served what is in their channels.
pub struct Queue {
    /// None once it is closed.
    open: Option<Open>,
    /// The workers that wait for a job.
    idle: Arc<Idle>,
    refused: Sender<Box<Refused>>,
    /// When each job in the channel was put there. As this is the only sender, the channel's
    /// length tells how many at the front have been taken since. At most as long as the channel.
    queued: VecDeque<Instant>,
    timeout: Duration,
    rate: Rate,
    retry_after: RetryAfter,
}

struct Open {
    jobs: Sender<Job>,
    /// The workers' end as well, only to take out what waited too long.
    waiting: Receiver<Job>,
}

/// Makes the two channels.
///
/// `jobs`: capacity as configured, the bound on waiting requests; full means that the listener
/// refuses; disconnected means that intake has stopped. `refused`: capacity `MAX_REFUSALS`; full
/// means that the connection is cut; disconnected means that the listener has ended: until then it
/// refuses what still comes. Both hold boxes, or as good as: a bounded channel has the memory for
/// all that it may hold from the start.
pub fn queue(capacity: usize, timeout: Duration) -> (Queue, Jobs, Receiver<Box<Refused>>) {
    let (jobs, waiting) = bounded(capacity);
    let (refused, refusals) = bounded(MAX_REFUSALS);
    let idle = Arc::<Idle>::default();
    let workers = Jobs::new(waiting.clone(), Arc::clone(&idle));
    let queued = VecDeque::new();
    let open = Some(Open { jobs, waiting });
    (
        Queue {
            open,
            idle,
            refused,
            queued,
            timeout,
            rate: Rate::new(Instant::now()),
            retry_after: RetryAfter::default(),
        },
        workers,
        refusals,
    )
}

impl Queue {
    /// What to tell those who are refused elsewhere for the queue's sake.
    pub fn retry_after(&self) -> RetryAfter {
        self.retry_after.clone()
    }

    /// Puts a job on the queue, or refuses it when that is full. Never blocks.
    pub fn push(&mut self, mut job: Job) {
        let now = Instant::now();
        job.queued_at = now;
        self.forget_taken(now);
        self.put(job, now);
    }

    /// Puts it at the end, and calls a worker.
    fn put(&mut self, job: Job, now: Instant) {
        let Some(open) = &self.open else {
            return self.refuse(job, Fate::Stopping);
        };
        match open.jobs.try_send(job) {
            Ok(()) => {
                self.queued.push_back(now);
                self.idle.call();
            }
            Err(TrySendError::Full(job)) => self.refuse(job, Fate::QueueFull),
            Err(TrySendError::Disconnected(_)) => {
                unreachable!("this end holds a receiver as well")
            }
        }
    }

    /// Refuses what has waited longer than the timeout, also while every worker is stuck. Returns
    /// when to look again, none while nothing waits.
    pub fn expire(&mut self, now: Instant) -> Option<Instant> {
        self.forget_taken(now);
        while let Some(&oldest) = self.queued.front() {
            if now < oldest + self.timeout {
                return Some(oldest + self.timeout);
            }
            self.queued.pop_front();
            let Ok(job) = self.open.as_ref()?.waiting.try_recv() else {
                continue;
            };
            if now >= job.queued_at + self.timeout {
                self.refuse(job, Fate::QueueTimeout);
            } else {
                // A worker took the old one just before us, and this one is younger: it goes to
                // the end, where it keeps its age.
                self.put(job, now);
            }
        }
        None
    }

    /// Hands a job to the refuser. Never blocks.
    pub fn refuse(&self, job: Job, fate: Fate) {
        let refused = Box::new(Refused {
            job,
            fate,
            retry_after: self.retry_after.seconds(),
        });
        if let Err(error) = self.refused.try_send(refused) {
            let job = error.into_inner().job;
            // This answers nothing, so no next request is served behind it.
            let _ = job.client.finish(Ending::Short);
        }
    }

    /// Disconnects the workers, who serve what is in the queue and return. From now on every job
    /// is refused.
    pub fn close(&mut self) {
        self.open = None;
        self.queued.clear();
        self.idle.call_all();
    }

    /// Brings `queued` in step with the channel, and learns from it how fast the channel moves.
    fn forget_taken(&mut self, now: Instant) {
        let n_waiting = self.open.as_ref().map_or(0, |open| open.jobs.len());
        let n_taken = self.queued.len().saturating_sub(n_waiting);
        self.queued.drain(..n_taken);
        self.rate.note(now, n_taken, n_waiting);
        self.retry_after.set(self.rate.retry_after(n_waiting));
    }
}

impl Drop for Queue {
    /// Disconnects the workers, if that has not been done.
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::intake::{Client, ClientRequest};
    use std::io;

    struct NoClient;

    impl Client for NoClient {
        fn read_content(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn write(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn finish(self: Box<Self>, _: Ending) -> Option<Job> {
            None
        }
    }

    fn job(name: &str) -> Job {
        let request = ClientRequest::example(name);
        let queued_at = Instant::now();
        Job {
            request: Box::new(request),
            refusal: None,
            client: Box::new(NoClient),
            queued_at,
        }
    }

    fn name(job: &Job) -> &str {
        &job.request.method
    }

    #[test]
    fn one_more_than_fits_is_refused_and_the_rest_is_kept_in_order() {
        let (mut queue, jobs, refusals) = queue(2, Duration::from_secs(5));
        for name in ["a", "b", "c"] {
            queue.push(job(name));
        }
        assert_eq!(
            name(&refusals.try_recv().expect("one was refused").job),
            "c"
        );
        let taken: Vec<_> = std::iter::from_fn(|| jobs.try_recv().ok())
            .map(|job| name(&job).to_owned())
            .collect();
        assert_eq!(taken, ["a", "b"]);
    }

    #[test]
    fn what_waited_too_long_is_refused_without_a_worker() {
        let timeout = Duration::from_secs(5);
        let (mut queue, jobs, refusals) = queue(9, timeout);
        for name in ["a", "b", "c"] {
            queue.push(job(name));
        }
        assert_eq!(name(&jobs.try_recv().expect("a worker takes one")), "a");
        let now = Instant::now();
        assert!(queue.expire(now).is_some_and(|next| next <= now + timeout));
        assert!(refusals.is_empty(), "nothing is too old yet");
        assert_eq!(queue.expire(now + timeout), None);
        let refused: Vec<_> = refusals
            .try_iter()
            .map(|r| name(&r.job).to_owned())
            .collect();
        assert_eq!(refused, ["b", "c"]);
        assert!(jobs.is_empty());
    }

    #[test]
    fn a_young_job_that_is_met_by_mistake_stays_queued() {
        let timeout = Duration::from_secs(5);
        let (mut queue, jobs, refusals) = queue(9, timeout);
        queue.push(job("young"));
        // As if an older one had been taken between the look at the ages and the channel.
        queue.queued[0] = queue.queued[0]
            .checked_sub(timeout)
            .expect("the machine is up longer");
        queue.expire(Instant::now());
        assert!(refusals.is_empty());
        assert_eq!(name(&jobs.try_recv().expect("it is still there")), "young");
    }

    #[test]
    fn dropping_the_listeners_end_disconnects_after_the_last_job() {
        let (mut queue, jobs, refusals) = queue(9, Duration::from_secs(5));
        queue.push(job("last"));
        drop(queue);
        assert!(jobs.recv().is_ok());
        assert!(jobs.recv().is_err());
        assert!(refusals.recv().is_err());
    }
}
