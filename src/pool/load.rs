//! How many exchanges each backend has: exact numbers, side by side in memory.
//!
//! Side by side, because a policy may look at all of them for one pick, and each would be a cache
//! line of its own if it stood in its backend.

use std::array;
use std::sync::Arc;

use crate::pool::traffic::Traffic;
use crate::sync::{AtomicUsize, Ordering};

/// The lowest bit of a load: somebody may wait for it to fall.
const AWAITED: usize = 1;
/// One exchange.
const ONE: usize = 2;

/// Loads in one piece of memory, which lives as long as any of them. A power of two.
const PAGE: usize = if cfg!(loom) { 4 } else { 64 };

/// The page that new loads come from, and how many of it are given.
#[derive(Debug)]
pub struct Loads {
    page: Arc<[AtomicUsize; PAGE]>,
    n_given: usize,
}

impl Loads {
    /// None is given.
    pub fn new() -> Loads {
        Loads {
            page: new_page(),
            n_given: 0,
        }
    }

    /// One more, at zero. None is ever given twice: who comes late may still hold an old one.
    pub fn give(&mut self) -> Load {
        if self.n_given == PAGE {
            *self = Loads::new();
        }
        let place = self.n_given;
        self.n_given += 1;
        Load {
            page: Arc::clone(&self.page),
            place,
        }
    }
}

fn new_page() -> Arc<[AtomicUsize; PAGE]> {
    Arc::new(array::from_fn(|_| AtomicUsize::new(0)))
}

/// How many exchanges a backend has now. Clones are the same number.
///
/// The number is exact: each change is one step. Relaxed in `enter` and `n`: they publish nothing,
/// and a stale read costs one pick that is less than ideal. Release in `leave` pairs with Acquire
/// in `mark`: who finds it at zero sees what the exchanges left behind.
///
/// Eight of them share a cache line, which their writers fight for. `pick_by_policy` shows no cost
/// of that: whoever changes it has just written to its pool's counts, which all writers share.
#[derive(Clone, Debug)]
pub struct Load {
    page: Arc<[AtomicUsize; PAGE]>,
    place: usize,
}

impl Load {
    fn number(&self) -> &AtomicUsize {
        // Says what `give` ensures, and so spares each look a branch.
        &self.page[self.place % PAGE]
    }

    /// Exchanges now.
    pub fn n(&self) -> usize {
        self.number().load(Ordering::Relaxed) / ONE
    }

    /// One more, unless there are `limit` already.
    pub fn enter(&self, limit: usize) -> bool {
        if limit == usize::MAX {
            self.number().fetch_add(ONE, Ordering::Relaxed);
            return true;
        }
        let more = |load| (load / ONE < limit).then_some(load + ONE);
        let entered = self
            .number()
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        entered.is_ok()
    }

    /// One less. Tells those who wait.
    pub fn leave(&self, traffic: &Traffic) {
        let was = self.number().fetch_sub(ONE, Ordering::Release);
        if was & AWAITED != 0 {
            traffic.ring(self);
        }
    }

    /// Lets whoever leaves from now on ring; how many there are. For a
    /// [`Waiter`](crate::pool::traffic::Waiter).
    pub fn mark(&self) -> usize {
        self.number().fetch_or(AWAITED, Ordering::Acquire) / ONE
    }

    /// Lets nobody ring. Called under the lock of those who wait, and only while there are none.
    pub(super) fn unmark(&self) {
        self.number().fetch_and(!AWAITED, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_a_number_of_its_own_and_its_clones_are_the_same() {
        let mut loads = Loads::new();
        let given: Vec<Load> = (0..3 * PAGE).map(|_| loads.give()).collect();
        for (idx, load) in given.iter().enumerate() {
            for _ in 0..=idx {
                assert!(load.clone().enter(usize::MAX));
            }
        }
        for (idx, load) in given.iter().enumerate() {
            assert_eq!(load.n(), idx + 1);
            assert!(!load.enter(idx + 1), "it is full");
        }
    }

    #[test]
    fn a_page_goes_with_the_last_of_its_loads() {
        let mut loads = Loads::new();
        let first = loads.give();
        let page = Arc::downgrade(&first.page);
        for _ in 0..PAGE {
            loads.give();
        }
        assert!(page.upgrade().is_some(), "one is left");
        drop(first);
        assert!(page.upgrade().is_none());
    }
}
