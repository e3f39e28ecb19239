//! How long things took, in a fixed number of buckets: bounded memory, and no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each doubling of the time: a value is known to a quarter of itself.
const PER_OCTAVE: usize = 4;
/// The lowest octave begins here, µs, as a power of two: what is shorter is put there.
const LOWEST: u32 = 4;
/// From 16 µs to 134 s.
const N_OCTAVES: usize = 23;
const N_BUCKETS: usize = N_OCTAVES * PER_OCTAVE + 1;

/// Counts of times, by bucket. All Relaxed: each count is exact and read alone; a reader may see a
/// time in its bucket and not yet in the sum.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; N_BUCKETS],
    /// µs.
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Notes one. For threads that share it.
    pub fn note(&self, took: Duration) {
        let us = micros(took);
        self.buckets[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(us, Ordering::Relaxed);
    }

    /// Notes one, cheaper, where only one thread ever does.
    pub fn note_alone(&self, took: Duration) {
        let us = micros(took);
        bump(&self.buckets[bucket_of(us)], 1);
        bump(&self.sum, us);
    }

    /// Adds what it holds to a sum.
    pub fn add_to(&self, sums: &mut Sums) {
        for (sum, bucket) in sums.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        sums.sum_us += self.sum.load(Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.add_to(&mut sums);
        sums
    }
}

/// One more, or several, where only one thread ever adds: no locked instruction.
pub fn bump(counter: &AtomicU64, by: u64) {
    let n = counter.load(Ordering::Relaxed);
    counter.store(n.wrapping_add(by), Ordering::Relaxed);
}

/// What one or several histograms hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    buckets: [u64; N_BUCKETS],
    sum_us: u64,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums {
            buckets: [0; N_BUCKETS],
            sum_us: 0,
        }
    }
}

impl Sums {
    /// How many.
    pub fn n(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together, seconds.
    pub fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.sum_us).as_secs_f64()
    }

    /// What has come since an earlier look.
    #[must_use]
    pub fn since(&self, before: &Sums) -> Sums {
        let pairs = self.buckets.iter().zip(&before.buckets);
        let mut sums = Sums::default();
        for (sum, (now, before)) in sums.buckets.iter_mut().zip(pairs) {
            *sum = now.saturating_sub(*before);
        }
        sums.sum_us = self.sum_us.saturating_sub(before.sum_us);
        sums
    }

    /// The time that so many in a hundred did not exceed, the middle of its bucket; none without
    /// any.
    pub fn percentile_ms(&self, percent: u64) -> Option<f64> {
        let n = self.n();
        let wanted = (n * percent).div_ceil(100).max(1);
        let mut so_far = 0;
        for (idx, n) in self.buckets.iter().enumerate() {
            so_far += n;
            if *n > 0 && so_far >= wanted {
                let below = idx.checked_sub(1).map_or(0, bound);
                let middle = u64::midpoint(below, bound(idx));
                return Some(millis(Duration::from_micros(middle)));
            }
        }
        None
    }

    /// For each octave its upper bound, seconds, and how many were not above it.
    pub fn octaves(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut so_far = 0;
        (0..N_OCTAVES).map(move |octave| {
            let of_octave = &self.buckets[octave * PER_OCTAVE..(octave + 1) * PER_OCTAVE];
            so_far += of_octave.iter().sum::<u64>();
            let upper = bound(octave * PER_OCTAVE + PER_OCTAVE - 1);
            (Duration::from_micros(upper).as_secs_f64(), so_far)
        })
    }
}

/// Milliseconds, to the microsecond.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// Whole microseconds, of what no one waits longer for than u64 holds.
pub fn micros(took: Duration) -> u64 {
    took.as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(u64::from(took.subsec_micros()))
}

/// The bucket of a time: its octave, and the quarter of that. What is longer than all is in the
/// last.
fn bucket_of(us: u64) -> usize {
    let log = (us | 1).ilog2();
    if log < LOWEST {
        return 0;
    }
    // The two bits below the highest: below 4.
    let quarter = usize::try_from((us >> (log - 2)) & 3).unwrap_or_default();
    ((log - LOWEST) as usize * PER_OCTAVE + quarter).min(N_BUCKETS - 1)
}

/// Where a bucket ends, µs.
fn bound(idx: usize) -> u64 {
    let (octave, quarter) = (idx / PER_OCTAVE, idx % PER_OCTAVE);
    let low = 1_u64 << (LOWEST as usize + octave);
    low + (low / PER_OCTAVE as u64) * (quarter as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_whose_bounds_are_around_it() {
        for us in (0..2_000).chain([1 << 20, (1 << 20) + 1, 134_000_000]) {
            let idx = bucket_of(us);
            assert!(us < bound(idx), "{us} µs is not below {}", bound(idx));
            let below = idx.checked_sub(1).map_or(0, bound);
            assert!(us >= below, "{us} µs is below {below}");
        }
        assert_eq!(bucket_of(u64::MAX), N_BUCKETS - 1);
    }

    #[test]
    fn a_percentile_is_within_a_quarter_of_the_truth() {
        let histogram = Histogram::default();
        for ms in 1..=100 {
            histogram.note(Duration::from_millis(ms));
        }
        let sums = histogram.sums();
        for (percent, truth) in [(1, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)] {
            let found = sums.percentile_ms(percent).expect("there are some");
            assert!((found / truth - 1.0).abs() < 0.25, "{percent} %: {found}");
        }
        assert_eq!(sums.n(), 100);
        assert!((sums.sum_seconds() - 5.05).abs() < 1e-9);
        assert_eq!(Sums::default().percentile_ms(50), None);
    }

    #[test]
    fn what_came_since_is_the_difference_and_octaves_add_up() {
        let histogram = Histogram::default();
        histogram.note(Duration::from_micros(30));
        let before = histogram.sums();
        histogram.note_alone(Duration::from_millis(3));
        histogram.note_alone(Duration::from_secs(1_000));
        let since = histogram.sums().since(&before);
        assert_eq!(since.n(), 2);
        let octaves: Vec<_> = since.octaves().collect();
        assert_eq!(octaves[0].1, 0, "what came before is not in it");
        // The last one is beyond all bounds: +Inf only.
        assert_eq!(octaves.last().map(|o| o.1), Some(1));
        assert!(octaves.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
