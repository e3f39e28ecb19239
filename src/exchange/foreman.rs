//! The loop of the thread `foreman`: promotes what takes long, fills the pool up, joins who left.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use log::{debug, info, warn};

use crate::exchange::crew::{Crew, Look};
use crate::intake::Jobs;
use crate::system;

/// The least time between two looks, so that a short `after` does not make it spin.
const MIN_WAIT: Duration = Duration::from_millis(10);
/// While requests wait for a worker, an exchange is long after this part of `after`: many slow
/// readers at once would otherwise hold the whole pool for `after`, one poolful after another.
const PRESSED_PART: u32 = 10;
/// The time before another thread is asked for, after the system refused one.
const RETRY: Duration = Duration::from_secs(1);

/// What the foreman works with.
pub struct Foreman<'a, S> {
    /// Whom it looks after.
    pub crew: &'a Crew,
    /// Capacity 1: one wake-up is as good as many. Never disconnected: the crew holds its sender.
    pub bell: &'a Receiver<()>,
    /// How long an exchange may take before it is promoted.
    pub after: Duration,
    /// Only looked at: whether requests wait for a worker.
    pub jobs: &'a Jobs,
    /// Starts the thread of a slot.
    pub start: S,
}

impl<S: FnMut(usize) -> io::Result<JoinHandle<()>>> Foreman<'_, S> {
    /// The body of the thread. `threads` are those started already, by slot.
    ///
    /// Ends when the crew is closed, which a worker does that found the queue closed and empty:
    /// until then slow exchanges are promoted also while the process stops, so that what is in
    /// the queue is served before the deadline. Returns the threads that are still to be joined.
    pub fn run(mut self, mut threads: Vec<Option<JoinHandle<()>>>) -> Vec<JoinHandle<()>> {
        let mut episodes = Episodes::default();
        while !self.crew.is_closed() {
            let now = Instant::now();
            let pressed_after = self.after / PRESSED_PART;
            let after = if self.jobs.is_empty() {
                self.after
            } else {
                pressed_after
            };
            let look = self.crew.promote(now, after);
            for idx in &look.promoted {
                let n = idx + 1;
                debug!("worker-{n} is a long-haul thread: its exchange has taken {after:?}");
            }
            episodes.tell(self.crew, &look);
            for idx in self.crew.take_leaving() {
                if let Some(thread) = threads[idx].take() {
                    system::join(thread);
                }
                self.crew.joined(idx);
            }
            let is_complete = self.fill(&mut threads, &mut episodes);
            let next = if is_complete {
                let next = look.next.min(now + pressed_after);
                next.max(now + MIN_WAIT)
            } else {
                now + RETRY.min(self.after)
            };
            // Rung or not, it looks; whether it is over, the crew knows.
            let _ = self.bell.recv_deadline(next);
        }
        threads.into_iter().flatten().collect()
    }

    /// Starts threads until the pool has its number. False: the system refused one.
    fn fill(&mut self, threads: &mut [Option<JoinHandle<()>>], episodes: &mut Episodes) -> bool {
        while let Some(idx) = self.crew.reserve() {
            match (self.start)(idx) {
                Ok(thread) => threads[idx] = Some(thread),
                Err(error) => {
                    self.crew.give_back(idx);
                    if !std::mem::replace(&mut episodes.is_short, true) {
                        warn!("a worker is missing: {}", system::plain(&error));
                    }
                    return false;
                }
            }
        }
        if std::mem::take(&mut episodes.is_short) {
            info!("no worker is missing any more");
        }
        true
    }
}

/// What is said when it begins and when it ends, and not in between.
#[derive(Default)]
struct Episodes {
    /// All long-haul threads are out, and one more is wanted.
    is_full: bool,
    /// The system refuses threads.
    is_short: bool,
}

impl Episodes {
    fn tell(&mut self, crew: &Crew, look: &Look) {
        let max = crew.max_long_haul();
        if look.was_refused && !self.is_full {
            self.is_full = true;
            if max > 0 {
                warn!("all {max} long-haul threads are out: slow exchanges hold workers");
            }
        } else if self.is_full && !look.was_refused && crew.counts().n_long_haul < max {
            self.is_full = false;
            info!("long-haul threads are free again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use std::sync::Arc;
    use std::thread;

    /// The goal: what the system refuses is asked for again, and costs no place. The trick: the
    /// first thread is refused, and the second closes the crew, which ends the foreman.
    #[test]
    fn a_thread_that_was_refused_is_asked_for_again() {
        let (ring, bell) = bounded(1);
        let ring = move || ring.try_send(()).unwrap_or_default(); // full: it is awake
        let crew = Arc::new(Crew::new(1, 0, Instant::now(), ring));
        let mut n_asked = 0;
        let start = |idx| {
            n_asked += 1;
            if n_asked == 1 {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            let crew = Arc::clone(&crew);
            Ok(thread::spawn(move || {
                let _post = crew.post(idx);
                crew.close();
            }))
        };
        let foreman = Foreman {
            crew: &crew,
            bell: &bell,
            after: Duration::from_millis(1),
            jobs: &Jobs::of(bounded(0).1),
            start,
        };
        let left = foreman.run(vec![None]);
        assert_eq!(left.len(), 1, "it is returned to be joined");
        for thread in left {
            assert!(system::join(thread).is_some());
        }
        assert_eq!((n_asked, crew.counts().n_pool), (2, 0));
    }
}
