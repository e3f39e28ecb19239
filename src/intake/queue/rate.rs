//! How fast the queue moves, and so when a client that was refused should come back.
//!
//! Pure: it is told the time. Owned by the listener thread, who is told by [`RetryAfter`] only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Two halves of the memory, so that it covers the last 5 to 10 s in which somebody waited.
const HALF: Duration = Duration::from_secs(5);
/// The longest that a client is told to stay away.
const MAX_SECONDS: u64 = 60;
/// Who has watched for less has no reason to call a queue stuck.
const MIN_WATCHED: Duration = Duration::from_secs(1);

/// Jobs taken from the queue, over the time in which there were some to take.
///
/// Time in which the queue may have been empty does not count: it says how many came, not how
/// many could have been served.
#[derive(Debug)]
pub struct Rate {
    looked_at: Instant,
    older: Half,
    newer: Half,
}

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    n_taken: u64,
    busy: Duration,
}

impl Rate {
    pub fn new(now: Instant) -> Rate {
        Rate {
            looked_at: now,
            older: Half::default(),
            newer: Half::default(),
        }
    }

    /// Since the last call `n_taken` jobs were taken, and `n_left` older than that call are left.
    pub fn note(&mut self, now: Instant, n_taken: usize, n_left: usize) {
        let passed = now.saturating_duration_since(self.looked_at);
        self.looked_at = now;
        if n_left == 0 {
            return;
        }
        if self.newer.busy >= HALF {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.n_taken += n_taken as u64;
        self.newer.busy += passed;
    }

    /// Seconds until as many as wait now will have been taken, 1 to 60.
    pub fn retry_after(&self, n_waiting: usize) -> u64 {
        let n_taken = u128::from(self.older.n_taken + self.newer.n_taken);
        let busy = self.older.busy + self.newer.busy;
        if n_taken == 0 {
            return if busy < MIN_WATCHED { 1 } else { MAX_SECONDS };
        }
        let seconds = (busy.as_millis() * n_waiting as u128).div_ceil(n_taken * 1000);
        u64::try_from(seconds).map_or(MAX_SECONDS, |seconds| seconds.clamp(1, MAX_SECONDS))
    }
}

/// What the listener thread last found, for workers who refuse.
///
/// Seconds; 0 means that nobody has waited yet. Relaxed: publishes nothing else, and a stale read
/// is advice that was right a moment ago. Written by the listener thread only.
#[derive(Clone, Debug, Default)]
pub struct RetryAfter(Arc<AtomicU64>);

impl RetryAfter {
    pub(super) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    /// Seconds after which trying again may help, 1 to 60.
    pub fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once every 100 ms for `seconds`, each time with so many taken.
    fn watch(rate: &mut Rate, start: &mut Instant, seconds: u64, n_taken: usize, n_left: usize) {
        for _ in 0..seconds * 10 {
            *start += Duration::from_millis(100);
            rate.note(*start, n_taken, n_left);
        }
    }

    #[test]
    fn the_advice_is_the_time_that_those_who_wait_will_take() {
        // Jobs taken in 100 ms, jobs that wait, and what follows.
        let table = [
            (10, 1, 1),
            (10, 100, 1),
            (10, 101, 2),
            (10, 1024, 11),
            (1, 300, 30),
            (1, 600, 60),
            (1, 601, 60),
            (0, 1, 60),
        ];
        for (n_taken, n_waiting, wanted) in table {
            let mut now = Instant::now();
            let mut rate = Rate::new(now);
            watch(&mut rate, &mut now, 20, n_taken, 5);
            assert_eq!(rate.retry_after(n_waiting), wanted, "{n_taken} {n_waiting}");
        }
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut now = Instant::now();
        let mut rate = Rate::new(now);
        watch(&mut rate, &mut now, 60, 100, 5);
        watch(&mut rate, &mut now, 11, 1, 5);
        assert_eq!(rate.retry_after(100), 10);
        watch(&mut rate, &mut now, 11, 0, 5);
        assert_eq!(rate.retry_after(100), 60, "nothing taken lately");
    }

    #[test]
    fn time_in_which_nobody_waited_says_nothing() {
        let mut now = Instant::now();
        let mut rate = Rate::new(now);
        assert_eq!(rate.retry_after(1000), 1, "nothing known");
        watch(&mut rate, &mut now, 5, 10, 5);
        watch(&mut rate, &mut now, 3600, 0, 0);
        assert_eq!(rate.retry_after(500), 5);
    }
}
