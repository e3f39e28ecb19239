//! The workers' end of the queue, and how many of them have nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, RecvError, TryRecvError};

use crate::intake::Job;
use crate::intake::idle::Idle;

/// Where jobs are taken from; clones share one queue.
#[derive(Clone, Debug)]
pub struct Jobs {
    waiting: Receiver<Job>,
    idle: Arc<Idle>,
    /// Below: the workers that wait here for a job. Above: how many jobs they have taken. One
    /// number, so that both are of one moment, and counting costs nothing more. Relaxed: publishes
    /// nothing else. A stale read lets a worker linger on its client's connection once too often,
    /// or once too rarely.
    tally: Arc<AtomicU64>,
}

/// One job taken, in the tally; there are never so many workers.
const TAKEN: u64 = 1 << 16;

/// How the queue stands, for those who look whether it moves, and whether a worker is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Workers that wait for a job.
    pub n_free: u64,
    /// Jobs that workers have taken ever.
    pub n_taken: u64,
    /// Jobs that wait for a worker.
    pub n_waiting: usize,
}

impl Jobs {
    /// The workers' end of this channel, whose other end calls one of the `idle` for each job, and
    /// all of them when it is closed.
    pub(super) fn new(waiting: Receiver<Job>, idle: Arc<Idle>) -> Jobs {
        let tally = Arc::default();
        Jobs {
            waiting,
            idle,
            tally,
        }
    }

    /// Of a channel that is filled and closed already.
    #[cfg(test)]
    pub fn of(waiting: Receiver<Job>) -> Jobs {
        Jobs::new(waiting, Arc::default())
    }

    /// Waits for the next job; an error once the queue is closed and empty. No deadline: closing
    /// the queue is what ends the wait.
    pub fn recv(&self) -> Result<Job, RecvError> {
        self.tally.fetch_add(1, Ordering::Relaxed);
        let look = || match self.waiting.try_recv() {
            Ok(job) => Some(Ok(job)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
        };
        let job = self.idle.wait(look, || !self.waiting.is_empty());
        self.tally.fetch_add(TAKEN - 1, Ordering::Relaxed);
        job
    }

    /// The next job, if one is there.
    #[cfg(test)]
    pub fn try_recv(&self) -> Result<Job, TryRecvError> {
        self.waiting.try_recv()
    }

    /// Jobs that wait for a worker.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How it stands now.
    pub fn traffic(&self) -> Traffic {
        // First what waits: a job that is taken in between is then seen as taken.
        let n_waiting = self.waiting.len();
        let tally = self.tally.load(Ordering::Relaxed);
        Traffic {
            n_free: tally % TAKEN,
            n_taken: tally / TAKEN,
            n_waiting,
        }
    }
}
