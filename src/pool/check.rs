//! The health thread's loop: dial everyone, report, wait; sooner when something is changing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use crate::pool::{Pool, dial};

/// The time between rounds while a backend is changing its state.
const QUICK_INTERVAL: Duration = Duration::from_secs(1);
/// The least time between two rounds, however many hints come in.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// How often and how patiently to dial.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the start of a round to the start of the next.
    pub interval: Duration,
    /// Bound on a dial, and so on a round.
    pub timeout: Duration,
}

/// The body of the thread `health`.
///
/// A hint says that an exchange just failed: look now. Ends when all senders of hints are gone,
/// which the workers hold: the last one that returns ends this thread.
pub fn run(pool: &Pool, hints: &Receiver<()>, timing: Timing) {
    // Set by a hint that comes while dials are in progress.
    let is_hinted = Cell::new(false);
    let is_over = || match hints.try_recv() {
        Ok(()) => {
            is_hinted.set(true);
            false
        }
        Err(error) => error == TryRecvError::Disconnected,
    };
    loop {
        let start = Instant::now();
        let target = |b: &std::sync::Arc<crate::pool::Backend>| (b.idx, b.addresses());
        let targets = pool.members().iter().map(target).collect();
        dial::dial_all(targets, timing.timeout, is_over, |idx, found| {
            pool.dialed(&pool.members()[idx], &found, Instant::now());
        });
        for backend in pool.members() {
            backend.close_old_idle(start);
        }
        let is_changing = pool.is_changing(Instant::now());
        let quick = timing.interval.min(QUICK_INTERVAL);
        let mut next = start + if is_changing { quick } else { timing.interval };
        if is_hinted.take() {
            next = next.min(start + MIN_INTERVAL);
        }
        loop {
            match hints.recv_deadline(next) {
                Ok(()) => next = next.min(start + MIN_INTERVAL),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
