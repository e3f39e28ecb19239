//! The least that a client must move in either direction while we wait for it.

use std::io;
use std::time::{Duration, Instant};

/// A rate, and how long it is not asked for. Counted is only time spent waiting for the client.
#[derive(Clone, Copy, Debug)]
pub struct MinRate {
    /// Bytes a second; none: any.
    pub bytes_per_second: Option<u64>,
    /// For so long any rate will do.
    pub grace: Duration,
}

impl MinRate {
    /// Until when the next byte has to come, if `n_bytes` have come since `start`.
    pub fn deadline(&self, start: Instant, n_bytes: u64) -> Option<Instant> {
        let rate = self.bytes_per_second?;
        let paid_for = Duration::from_secs(n_bytes.checked_div(rate)?);
        start.checked_add(paid_for.max(self.grace))
    }
}

/// How fast one client has been so far, in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    waited: Duration,
    n_bytes: u64,
}

impl Pace {
    /// Whether nothing was moved yet.
    pub fn is_new(&self) -> bool {
        self.n_bytes == 0
    }

    /// Bytes moved so far.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Notes a wait; the next [`Pace::note`] judges it.
    pub fn note_wait(&mut self, took: Duration) {
        self.waited += took;
    }

    /// Notes that it took so long to move so much; an error when that is too slow on the whole.
    pub fn note(&mut self, took: Duration, n_bytes: usize, least: &MinRate) -> io::Result<()> {
        self.waited += took;
        self.n_bytes += n_bytes as u64;
        let Some(rate) = least.bytes_per_second else {
            return Ok(());
        };
        let is_slow = self.waited > least.grace && self.n_bytes < rate * self.waited.as_secs();
        if is_slow {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn least(rate: u64) -> MinRate {
        MinRate {
            bytes_per_second: (rate > 0).then_some(rate),
            grace: 10 * SECOND,
        }
    }

    #[test]
    fn a_slow_client_is_slow_only_after_its_grace_and_on_the_whole() {
        let mut pace = Pace::default();
        assert!(pace.note(10 * SECOND, 1, &least(100)).is_ok(), "in grace");
        assert!(pace.note(SECOND, 1098, &least(100)).is_err(), "11 s, 1099");
        let mut pace = Pace::default();
        assert!(pace.note(11 * SECOND, 1100, &least(100)).is_ok());
        assert!(pace.note(SECOND, 100, &least(100)).is_ok());
        assert!(pace.note(SECOND, 99, &least(100)).is_err());
        let mut pace = Pace::default();
        assert!(pace.note(1000 * SECOND, 0, &least(0)).is_ok(), "off");
    }

    #[test]
    fn a_deadline_moves_with_the_bytes() {
        let start = Instant::now();
        assert_eq!(least(100).deadline(start, 0), Some(start + 10 * SECOND));
        assert_eq!(least(100).deadline(start, 5000), Some(start + 50 * SECOND));
        assert_eq!(least(0).deadline(start, 5000), None);
    }
}
