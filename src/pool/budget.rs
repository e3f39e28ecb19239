//! How many retries a pool's requests may have, so that retries can't multiply an outage.
//!
//! Each request earns the pool a part of a retry; a retry costs a whole one. So in an outage that
//! lasts, retries stay at their percent of the requests, and a backend that is slow to recover gets
//! little more than its clients ask.
//!
//! A bucket of what was earned, and not a ratio of what is active at this moment: when a backend is
//! killed under load, a third of all active requests fail at once, and all of them must be retried.
//! They are what the bucket is for: it keeps what quiet times earned.
//!
//! Asked only when something has failed: requests pay nothing but their pool's own counter.

use crate::pool::Retry;
use crate::sync::Mutex;

/// Retries that are kept for later at most: several times the workers of a usual process, each of
/// which can have one request fail at a time.
pub const MAX_KEPT: u64 = 256;

/// Earned in hundredths, so that a percent is a whole number.
const WHOLE: u64 = 100;

/// The budget of one pool. Starts with what its requests have earned.
#[derive(Debug)]
pub struct RetryBudget {
    /// Protects all of it, because what is earned, spent and in progress must agree. Held for a
    /// few additions, by workers whose attempt has failed; never across I/O, logging or another
    /// lock.
    purse: Mutex<Purse>,
}

/// The rule itself, without a lock.
#[derive(Clone, Copy, Debug, Default)]
struct Purse {
    /// Requests that have earned already.
    n_seen: u64,
    /// Hundredths of retries.
    kept: u64,
    n_in_progress: u64,
}

/// A retry in progress: ends when dropped, also by a panic.
#[derive(Debug)]
pub struct Retrying<'a> {
    budget: &'a RetryBudget,
    /// It cost a whole one of what was kept.
    is_paid: bool,
}

impl Purse {
    /// Whether one more retry may begin; if so, it has, and whether it was paid for.
    fn begin(&mut self, n_requests: u64, percent: u32, min: u32) -> Option<bool> {
        // A count that another thread read later may have come first: nothing is earned twice.
        let n_new = n_requests.saturating_sub(self.n_seen);
        self.n_seen += n_new;
        let earned = n_new.saturating_mul(u64::from(percent));
        self.kept = self.kept.saturating_add(earned).min(MAX_KEPT * WHOLE);
        let is_paid = self.kept >= WHOLE;
        if is_paid {
            self.kept -= WHOLE;
        } else if self.n_in_progress >= u64::from(min) {
            return None;
        }
        self.n_in_progress += 1;
        Some(is_paid)
    }
}

impl RetryBudget {
    /// An empty one.
    pub fn new() -> RetryBudget {
        RetryBudget {
            purse: Mutex::new(Purse::default()),
        }
    }

    /// Takes a retry, if one is left, or if fewer than the rule's least number are in progress.
    /// It is in progress until what is returned is dropped.
    ///
    /// `n_requests_total` are the pool's requests since its start. A stale count earns later.
    pub fn begin(&self, n_requests_total: u64, rule: &Retry) -> Option<Retrying<'_>> {
        let mut purse = self.purse.lock();
        let is_paid = purse.begin(n_requests_total, rule.budget_percent, rule.budget_min)?;
        Some(Retrying {
            budget: self,
            is_paid,
        })
    }
}

impl Retrying<'_> {
    /// It did not take place, as nobody was left to ask: gives back what it cost.
    pub fn cancel(self) {
        if self.is_paid {
            let kept = &mut self.budget.purse.lock().kept;
            *kept = (*kept + WHOLE).min(MAX_KEPT * WHOLE);
        }
    }
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget::new()
    }
}

impl Drop for Retrying<'_> {
    fn drop(&mut self) {
        self.budget.purse.lock().n_in_progress -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::panic::AssertUnwindSafe;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    fn rule(budget_percent: u32, budget_min: u32) -> Retry {
        Retry {
            budget_percent,
            budget_min,
            ..Retry::default()
        }
    }

    #[test]
    fn a_killed_backends_requests_are_all_retried() {
        let (budget, rule) = (RetryBudget::new(), rule(20, 3));
        let retrying: Vec<_> = (0..200).map_while(|_| budget.begin(1000, &rule)).collect();
        assert_eq!(retrying.len(), 200);
    }

    #[test]
    fn what_did_not_take_place_costs_nothing() {
        let (budget, rule) = (RetryBudget::new(), rule(20, 0));
        for _ in 0..10 {
            budget.begin(5, &rule).expect("one was earned").cancel();
        }
        assert!(budget.begin(5, &rule).is_some());
        assert!(budget.begin(5, &rule).is_none(), "and no more than one");
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let (budget, rule) = (RetryBudget::new(), rule(20, 0));
        let n_retries = || {
            (0..1000)
                .map_while(|_| budget.begin(u64::MAX, &rule))
                .count()
        };
        assert_eq!(n_retries(), 256);
        assert_eq!(n_retries(), 0, "earned once");
    }

    #[test]
    fn in_a_lasting_outage_retries_stay_at_their_percent() {
        let (budget, rule) = (RetryBudget::new(), rule(20, 0));
        let retried = (1..=10_000).filter(|&n| budget.begin(n, &rule).is_some());
        assert_eq!(retried.count(), 2000);
    }

    #[test]
    fn the_least_number_may_be_in_progress_in_any_case() {
        let (budget, rule) = (RetryBudget::new(), rule(0, 3));
        let mut retrying: Vec<_> = (0..10).map_while(|_| budget.begin(0, &rule)).collect();
        assert_eq!(retrying.len(), 3);
        retrying.pop();
        assert!(budget.begin(0, &rule).is_some(), "one has ended");
        let panicking = AssertUnwindSafe(|| {
            let _retrying = budget.begin(0, &rule);
            panic!("on purpose, to see the count go back");
        });
        let panicked = std::panic::catch_unwind(panicking);
        assert!(panicked.is_err());
        assert!(budget.begin(0, &rule).is_some(), "by a panic too");
    }

    #[derive(Clone, Debug)]
    enum Event {
        Requests(u64),
        Retry,
        End,
    }

    /// A retry beyond the least number was paid for. In any stretch of any sequence, no more of
    /// them were than the requests of the stretch have earned, and what was kept before it; and
    /// below the least number, nobody is turned away.
    #[test]
    fn no_sequence_retries_more_than_it_has_earned() {
        let event = prop_oneof![
            2 => (0_u64..300).prop_map(Event::Requests),
            6 => Just(Event::Retry),
            2 => Just(Event::End),
        ];
        let events = prop::collection::vec(event, 0..400);
        let made = (events, 0_u32..=100, 0_u32..5);
        let config = Config {
            failure_persistence: None,
            cases: 300,
            ..Config::default()
        };
        let result = TestRunner::new(config).run(&made, |(events, percent, min)| {
            let (budget, rule) = (RetryBudget::new(), rule(percent, min));
            let mut retrying = Vec::new();
            let mut n_requests = 0;
            let mut n_paid = 0;
            // Requests and paid retries before each event.
            let mut sums = vec![(0, 0)];
            for event in events {
                match event {
                    Event::Requests(n) => n_requests += n,
                    Event::End => drop(retrying.pop()),
                    Event::Retry => {
                        let is_free = retrying.len() < min as usize;
                        let begun = budget.begin(n_requests, &rule);
                        prop_assert!(begun.is_some() || !is_free);
                        n_paid += u64::from(begun.is_some() && !is_free);
                        retrying.extend(begun);
                    }
                }
                sums.push((n_requests, n_paid));
            }
            for (at, &(n_requests, n_paid)) in sums.iter().enumerate() {
                for &(requests_before, paid_before) in &sums[..at] {
                    let earned = (n_requests - requests_before) * u64::from(percent);
                    let bound = earned + MAX_KEPT * WHOLE;
                    prop_assert!((n_paid - paid_before) * WHOLE <= bound);
                }
            }
            prop_assert!(n_paid * WHOLE <= n_requests * u64::from(percent));
            Ok(())
        });
        result.expect("the budget is kept");
    }

    /// Threads that count their requests and retry at once: together no more than was earned.
    #[test]
    fn many_threads_share_one_budget() {
        let (budget, rule) = (RetryBudget::new(), rule(20, 0));
        let n_requests = AtomicU64::new(0);
        let n_retries = AtomicU64::new(0);
        let start = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..250 {
                        // Relaxed: two sums, read when all threads have ended.
                        let n = 1 + n_requests.fetch_add(1, Ordering::Relaxed);
                        if budget.begin(n, &rule).is_some() {
                            n_retries.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(n_retries.into_inner(), 200);
        assert_eq!(budget.purse.lock().n_in_progress, 0);
    }
}
