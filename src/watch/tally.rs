//! Answers by the class of their status, and how long they took: of one backend, or one pool.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::watch::histogram::Histogram;

/// The class of a status (RFC 9110 §15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing was answered.
    None,
    /// 101, which began a tunnel.
    Informational,
    /// 2xx.
    Successful,
    /// 3xx.
    Redirection,
    /// 4xx.
    ClientError,
    /// 5xx, and whatever is above.
    ServerError,
}

/// How many classes there are.
pub const N_CLASSES: usize = 6;

impl Class {
    /// All, in their order.
    pub const ALL: [Class; N_CLASSES] = [
        Class::None,
        Class::Informational,
        Class::Successful,
        Class::Redirection,
        Class::ClientError,
        Class::ServerError,
    ];

    /// Of this status; 0: of none.
    pub fn of(status: u16) -> Class {
        match status {
            0..100 => Class::None,
            100..200 => Class::Informational,
            200..300 => Class::Successful,
            300..400 => Class::Redirection,
            400..500 => Class::ClientError,
            _ => Class::ServerError,
        }
    }

    /// For the label `code` of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Class::None => "none",
            Class::Informational => "1xx",
            Class::Successful => "2xx",
            Class::Redirection => "3xx",
            Class::ClientError => "4xx",
            Class::ServerError => "5xx",
        }
    }
}

/// What all threads count together. Relaxed: each number is exact and read alone.
#[derive(Debug, Default)]
pub struct Tally {
    classes: [AtomicU64; N_CLASSES],
    times: Histogram,
}

impl Tally {
    /// An exchange has ended with this status (0: with none), and took so long.
    pub fn note(&self, status: u16, took: Duration) {
        self.classes[Class::of(status) as usize].fetch_add(1, Ordering::Relaxed);
        self.times.note(took);
    }

    /// How many of each class, in the order of [`Class::ALL`].
    pub fn classes(&self) -> [u64; N_CLASSES] {
        let mut numbers = [0; N_CLASSES];
        for (number, class) in numbers.iter_mut().zip(&self.classes) {
            *number = class.load(Ordering::Relaxed);
        }
        numbers
    }

    /// How long they took.
    pub fn times(&self) -> &Histogram {
        &self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_counts_in_its_class() {
        let tally = Tally::default();
        for status in [0, 101, 200, 204, 308, 404, 503, 599, 999] {
            tally.note(status, Duration::from_millis(1));
        }
        assert_eq!(tally.classes(), [1, 1, 2, 1, 1, 3]);
        assert_eq!(tally.times().sums().n(), 9);
        assert_eq!(Class::ALL.map(|class| class as usize), [0, 1, 2, 3, 4, 5]);
    }
}
