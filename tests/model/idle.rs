//! Sleeping workers under every interleaving with jobs that come and a queue that closes.

use std::collections::VecDeque;
use std::iter::from_fn;
use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread::{self, JoinHandle};
use threadbare::intake::Idle;

use crate::{NO_PANIC, Outcomes, run_all};

const MAX_PREEMPTIONS: usize = 3;

/// What the workers look at: jobs by number, and whether more may come.
#[derive(Default)]
struct Queue {
    jobs: Mutex<(VecDeque<u32>, bool)>,
    idle: Idle,
}

impl Queue {
    fn push(&self, job: u32) {
        self.jobs.lock().expect(NO_PANIC).0.push_back(job);
        self.idle.call();
    }

    fn close(&self) {
        self.jobs.lock().expect(NO_PANIC).1 = true;
        self.idle.call_all();
    }

    /// The next job; none: it is closed and empty.
    fn recv(&self) -> Option<u32> {
        let look = || {
            let mut jobs = self.jobs.lock().expect(NO_PANIC);
            match jobs.0.pop_front() {
                None if jobs.1 => Some(None),
                None => None,
                job => Some(job),
            }
        };
        let has_more = || !self.jobs.lock().expect(NO_PANIC).0.is_empty();
        self.idle.wait(look, has_more)
    }
}

/// Two workers, each with this body.
fn start_two<T: 'static>(queue: &Arc<Queue>, body: fn(&Queue) -> T) -> [JoinHandle<T>; 2] {
    [(); 2].map(|()| {
        let queue = Arc::clone(queue);
        thread::spawn(move || body(&queue))
    })
}

#[test]
fn no_job_lies_while_a_worker_sleeps() {
    // Goal: two jobs, two workers that take one each and are gone: nobody else can take the second,
    // and nobody closes the queue. Trick: a lost call leaves a worker asleep for good, which loom
    // reports as a deadlock.
    let seen = Outcomes::new();
    let noted = seen.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let queue = Arc::new(Queue::default());
        let workers = start_two(&queue, |queue| queue.recv());
        queue.push(1);
        queue.push(2);
        noted.note(workers.map(|worker| worker.join().expect(NO_PANIC)));
    });
    assert_eq!(seen.all(), [[Some(1), Some(2)], [Some(2), Some(1)]]);
}

#[test]
fn who_is_called_for_nothing_is_there_for_the_next_job() {
    // Goal: a job may be taken by somebody other than who was called for it (the listener, which
    // takes what is too old); the call then still counts for what comes next.
    let seen = Outcomes::new();
    let noted = seen.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let queue = Arc::new(Queue::default());
        let workers = start_two(&queue, |queue| queue.recv());
        queue.push(1);
        let is_expired = queue.jobs.lock().expect(NO_PANIC).0.pop_front().is_some();
        queue.push(2);
        if is_expired {
            queue.push(3);
        }
        let mut served = workers.map(|worker| worker.join().expect(NO_PANIC));
        served.sort_unstable();
        noted.note((is_expired, served));
    });
    let wanted = [(false, [Some(1), Some(2)]), (true, [Some(2), Some(3)])];
    assert_eq!(seen.all(), wanted);
}

#[test]
fn closing_wakes_everybody_and_loses_no_job() {
    let seen = Outcomes::new();
    let noted = seen.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let queue = Arc::new(Queue::default());
        let workers = start_two(&queue, |queue| from_fn(|| queue.recv()).count());
        queue.push(1);
        queue.close();
        let served = workers.map(|worker| worker.join().expect(NO_PANIC));
        assert_eq!(served.iter().sum::<usize>(), 1);
        noted.note(served);
    });
    assert_eq!(seen.all(), [[0, 1], [1, 0]]);
}
