//! The workers' end of the queue, and how many of them have nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, RecvError};

use crate::intake::Job;

/// Where jobs are taken from; clones share one queue.
#[derive(Clone, Debug)]
pub struct Jobs {
    waiting: Receiver<Job>,
    /// Workers that wait here for a job. Relaxed: publishes nothing else. A stale read lets a
    /// worker linger on its client's connection once too often, or once too rarely.
    n_free: Arc<AtomicUsize>,
}

impl Jobs {
    /// The workers' end of this channel.
    pub fn new(waiting: Receiver<Job>) -> Jobs {
        let n_free = Arc::default();
        Jobs { waiting, n_free }
    }

    /// Waits for the next job; an error once the queue is closed and empty. No deadline: closing
    /// the queue is what ends the wait.
    pub fn recv(&self) -> Result<Job, RecvError> {
        self.n_free.fetch_add(1, Ordering::Relaxed);
        let job = self.waiting.recv();
        self.n_free.fetch_sub(1, Ordering::Relaxed);
        job
    }

    /// Jobs that wait for a worker.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Workers that wait for a job.
    pub fn n_free(&self) -> usize {
        self.n_free.load(Ordering::Relaxed)
    }
}
