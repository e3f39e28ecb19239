//! What is under way in one pool: how much, and who waits for some of it to end.
//!
//! Two wait: a worker whose request found every backend full (`line.rs`), and whoever drains a
//! backend. Neither may cost the exchanges anything while nobody waits: the end of an exchange
//! looks at one bit of the number that it has to change anyway.

use std::sync::atomic::{AtomicU64, AtomicUsize as PlainUsize};
use std::time::Instant;

use crate::pool::line::Line;
use crate::pool::load::Load;
use crate::sync::{Condvar, Mutex, MutexGuard, Ordering, wait_until};

/// One pool's counts, and those who wait.
#[derive(Debug)]
pub struct Traffic {
    /// Exchanges now, over all backends. Relaxed: publishes nothing else, and a stale read moves
    /// the bound on a hashed backend's load by one.
    n_active: PlainUsize,
    /// Requests ever. Relaxed: read alone, for sums.
    n_requests: AtomicU64,
    /// Protects who waits and how often it has rung, which must agree. Held for a few of these.
    waiting: Mutex<Waiting>,
    /// Requests in line. Relaxed: spares the good path the lock; a stale read lets a request go
    /// past a line that has just begun, or join one that has just ended, which serves it at once.
    n_in_line: PlainUsize,
    /// Those who wait until a backend has no exchange. Paired with `waiting`.
    quiet: Condvar,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub line: Line,
    for_quiet: usize,
    /// Rings ever: who waits for quiet and has seen a lower number has missed something.
    rings: u64,
}

impl Traffic {
    /// None.
    pub fn new() -> Traffic {
        Traffic {
            n_active: PlainUsize::new(0),
            n_requests: AtomicU64::new(0),
            waiting: Mutex::new(Waiting {
                line: Line::default(),
                for_quiet: 0,
                rings: 0,
            }),
            n_in_line: PlainUsize::new(0),
            quiet: Condvar::new(),
        }
    }

    /// Exchanges now.
    pub fn n_active(&self) -> usize {
        self.n_active.load(Ordering::Relaxed)
    }

    /// Requests ever.
    pub fn n_requests(&self) -> u64 {
        self.n_requests.load(Ordering::Relaxed)
    }

    /// A request has come; its attempts are exchanges.
    pub fn note_request(&self) {
        self.n_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// An exchange begins.
    pub fn begin(&self) {
        self.n_active.fetch_add(1, Ordering::Relaxed);
    }

    /// An exchange is over.
    pub fn end(&self) {
        self.n_active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether requests wait for room. Who comes then stands behind them.
    pub fn has_line(&self) -> bool {
        self.n_in_line.load(Ordering::Relaxed) > 0
    }

    /// Looks at the line, or changes it.
    pub fn with_line<T>(&self, act: impl FnOnce(&mut Line) -> T) -> T {
        let mut waiting = self.waiting.lock();
        let result = act(&mut waiting.line);
        self.n_in_line.store(waiting.line.len(), Ordering::Relaxed);
        result
    }

    /// For who stands in line, and waits there.
    pub(super) fn lock_waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Somebody waits for the end of exchanges from now on, to the end of what is returned.
    pub fn await_quiet(&self) -> Waiter<'_> {
        let mut waiting = self.waiting.lock();
        waiting.for_quiet += 1;
        Waiter {
            traffic: self,
            seen: waiting.rings,
        }
    }

    /// A load fell. One request is enough for one place; of those who drain, each waits for another
    /// backend.
    pub(super) fn ring(&self, load: &Load) {
        let mut waiting = self.waiting.lock();
        if waiting.line.is_empty() && waiting.for_quiet == 0 {
            // Who comes next marks behind this lock.
            load.unmark();
            return;
        }
        waiting.rings += 1;
        waiting.line.call_first();
        if waiting.for_quiet > 0 {
            self.quiet.notify_all();
        }
    }

    /// Backends came or went: everybody who waits looks again.
    pub fn ring_all(&self) {
        let mut waiting = self.waiting.lock();
        waiting.rings += 1;
        waiting.line.call_all();
        self.quiet.notify_all();
    }
}

/// Somebody who waits until a backend has no exchange. In this order, again and again:
/// [`Waiter::look`], mark every load that matters ([`Load::mark`]), see whether it is time,
/// [`Waiter::wait`]. Whatever ends behind a mark ends the wait, or keeps it from beginning.
#[derive(Debug)]
pub struct Waiter<'a> {
    traffic: &'a Traffic,
    seen: u64,
}

impl Waiter<'_> {
    /// What rings from now on is not missed.
    pub fn look(&mut self) {
        self.seen = self.traffic.waiting.lock().rings;
    }

    /// Waits for a ring, or the deadline.
    pub fn wait(&self, deadline: Instant) {
        let waiting = self.traffic.waiting.lock();
        if waiting.rings == self.seen {
            // One wait: what it was for is looked at anyway, also after a wake-up for nothing.
            drop(wait_until(&self.traffic.quiet, waiting, deadline));
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.traffic.waiting.lock().for_quiet -= 1;
    }
}
