//! Slow start: the share of its turns that a backend gets while it is new, and which turns.

use std::time::Duration;

/// All turns.
pub const FULL_SHARE: u32 = 1 << 16;

/// What a backend starts with, a tenth.
const FIRST_SHARE: u32 = FULL_SHARE.div_ceil(10);

/// The share of its turns, of [`FULL_SHARE`], that a backend gets so long after it came back: from
/// a tenth it grows evenly, and is full at the end of the slow start.
pub fn warm_share(elapsed: Duration, over: Duration) -> u32 {
    if elapsed >= over {
        return FULL_SHARE;
    }
    let grown = u128::from(FULL_SHARE - FIRST_SHARE) * elapsed.as_nanos() / over.as_nanos();
    // It is less than what it is a part of.
    FIRST_SHARE + u32::try_from(grown).unwrap_or_default()
}

/// So many exchanges as those see it who choose the one that has the fewest: a backend with half a
/// share has enough to do with half as many as the others. Its turns alone would not spare it, as
/// nearly every turn would be its own while it has few.
pub fn warm_load(load: usize, share: u32) -> usize {
    let scaled = load as u128 * u128::from(FULL_SHARE) / u128::from(share.max(1));
    usize::try_from(scaled).unwrap_or(usize::MAX)
}

/// Whether a backend with this share takes this turn, and the sum for its next turn: exactly its
/// share of turns, evenly spread, without a lot.
///
/// The sum begins anywhere and wraps, so threads can share it without a lock: an atomic
/// `fetch_add(share)` gives each the `sum` of its turn.
pub fn admit(sum: u32, share: u32) -> (u32, bool) {
    let share = share.min(FULL_SHARE);
    (
        sum.wrapping_add(share),
        sum % FULL_SHARE + share >= FULL_SHARE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_from_a_tenth_to_all() {
        let cases = [
            (0, 10_000, 6_554),
            (1, 10_000, 6_559),
            (5_000, 10_000, 36_045),
            (9_999, 10_000, 65_530),
            (10_000, 10_000, FULL_SHARE),
            (99_999, 10_000, FULL_SHARE),
            (0, 0, FULL_SHARE),
            (0, 1, 6_554),
            (1, 1, FULL_SHARE),
            (0, u64::MAX, 6_554),
            (u64::MAX / 2, u64::MAX, 36_044),
        ];
        for (elapsed, over, wanted) in cases {
            let share = warm_share(Duration::from_millis(elapsed), Duration::from_millis(over));
            assert_eq!(share, wanted, "{elapsed} of {over} ms");
        }
    }

    #[test]
    fn with_a_part_of_its_share_a_backend_seems_to_have_more_to_do() {
        let cases = [
            (0, 6_554, 0),
            (1, 6_554, 9),
            (3, FULL_SHARE / 2, 6),
            (7, FULL_SHARE, 7),
            (usize::MAX, 1, usize::MAX),
        ];
        for (load, share, wanted) in cases {
            assert_eq!(warm_load(load, share), wanted, "{load} by {share}");
        }
    }

    #[test]
    fn exactly_the_share_of_turns_is_admitted_wherever_the_sum_begins() {
        for share in [0, 1, 6_554, 21_845, 32_768, 65_535, FULL_SHARE, u32::MAX] {
            for first in [0, 1, 65_535, u32::MAX - 100_000] {
                let mut sum = first;
                let mut n_admitted = 0;
                for _ in 0..FULL_SHARE {
                    let (next, is_admitted) = admit(sum, share);
                    sum = next;
                    n_admitted += u32::from(is_admitted);
                }
                assert_eq!(n_admitted, share.min(FULL_SHARE), "from {first}");
            }
        }
    }

    #[test]
    fn admitted_turns_are_evenly_spread() {
        let mut sum = 0;
        let mut gaps = Vec::new();
        let mut gap = 0;
        for _ in 0..10_000 {
            let (next, is_admitted) = admit(sum, 6_554);
            sum = next;
            gap += 1;
            if is_admitted {
                gaps.push(gap);
                gap = 0;
            }
        }
        assert!(gaps.iter().all(|gap| (9..=10).contains(gap)), "{gaps:?}");
    }
}
