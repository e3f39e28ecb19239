//! A thread's sign of life: how often it has gone round its loop.

use std::sync::atomic::{AtomicU64, Ordering};

/// What [`Pulse::end`] leaves: more turns than any thread can make.
const ENDED: u64 = u64::MAX;

/// Beaten by one thread at each turn of its loop, looked at by whoever asks whether it still turns.
///
/// Relaxed: publishes nothing else. A stale read is a turn that is seen at the next look.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    /// One more turn. For one thread only: it neither waits for the others nor locks the bus.
    pub fn beat(&self) {
        let n = self.0.load(Ordering::Relaxed);
        self.0.store(n + 1, Ordering::Relaxed);
    }

    /// The thread's work is done, and no turn is to be expected. Not called by one that panicked:
    /// that one is stuck for good.
    pub fn end(&self) {
        self.0.store(ENDED, Ordering::Relaxed);
    }

    /// Its turns so far; none when it has ended.
    pub fn n_turns(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|n| *n != ENDED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_until_the_end() {
        let pulse = Pulse::default();
        assert_eq!(pulse.n_turns(), Some(0));
        pulse.beat();
        pulse.beat();
        assert_eq!(pulse.n_turns(), Some(2));
        pulse.end();
        assert_eq!(pulse.n_turns(), None);
    }
}
