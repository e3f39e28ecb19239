//! Policies that go by turn: round robin, and the smooth one by weight.

use std::iter;

use super::{GOLDEN, Seat, rendezvous, scaled, scaled_place, scatter};
use crate::sync::{AtomicUsize, Ordering};

/// Places that are drawn by lot for one detour before those that are left are put in order.
const N_LOTS: u64 = 16;

/// Round robin over `n` places: `turn` is this pick's number.
///
/// If that place is closed, the turn goes to the others, themselves in turn by `detour`, the number
/// of this detour, which is asked only then: all get exactly the same. If that one is closed too,
/// by lot among the rest.
pub fn round_robin(
    n: usize,
    turn: usize,
    detour: impl FnOnce() -> usize,
    mut is_open: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let start = turn.checked_rem(n)?;
    if is_open(start) {
        return Some(start);
    }
    if n == 1 {
        return None;
    }
    let detour = detour();
    let other = (start + 1 + other_in_turn(n - 1, detour)) % n;
    let seed = scatter(detour as u64);
    let drawn = (0..N_LOTS).map(|lot| scaled_place(scatter(seed ^ lot), n).0);
    let mut closed = vec![start];
    for place in iter::once(other).chain(drawn) {
        if closed.contains(&place) {
            continue;
        }
        if is_open(place) {
            return Some(place);
        }
        closed.push(place);
    }
    let rest = (0..n).filter(|place| !closed.contains(place));
    let mut rest: Vec<(u64, usize)> = rest
        .map(|place| (scatter(seed ^ place as u64), place))
        .collect();
    rest.sort_unstable();
    rest.into_iter()
        .map(|(_, place)| place)
        .find(|&place| is_open(place))
}

/// Whose turn it is of 0 to `n` - 1.
///
/// Any `n` turns in a row from a multiple of `n` on have each of them once, in an order that shifts
/// from one such round to the next. Without that, two closed places would have each the odd or the
/// even detours, and so always the same half of the others.
fn other_in_turn(n: usize, turn: usize) -> usize {
    let round = (turn / n) as u64;
    let (shift, _) = scaled_place(round.wrapping_mul(GOLDEN), n);
    (turn % n + shift) % n
}

/// Smooth weighted round robin without a lock: static stride scheduling, made exact.
///
/// `turn` counts looks: each number looks at one place in one generation, and each place is due in
/// as many of `max_weight` generations as its weight says. A pick takes the next number at which
/// somebody is due, and passes those before it. `max_weight` is the largest weight of the seats.
///
/// - Exact: from the counter's 0 on, as many picks as all weights together give each place exactly
///   its weight, however many threads pick.
/// - Smooth: no place is picked more often in a row than `max_weight` by the largest weight of the
///   others, rounded up. Places of the same weight are due in different generations, so with many
///   light ones the runs of a heavy one are much shorter: 5, 1, 1 has no more than three in a row.
/// - A pick looks at `max_weight` by the average weight places, on average, and at most at `n`. The
///   counter is written once for all of them.
///
/// The turn of a closed place goes to the others by lot, in proportion to their weights.
pub fn weighted_round_robin(
    seats: &[Seat],
    max_weight: u32,
    turn: &AtomicUsize,
    mut is_open: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let n = seats.len();
    if n <= 1 {
        return (0..n).find(|&place| is_open(place));
    }
    let mut look = Look {
        number: 0,
        place: None,
    };
    // Relaxed: publishes nothing else. Who was overtaken looks again from the new number on.
    let _ = turn.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| {
        look = next_due(seats, max_weight, number);
        Some(look.number.wrapping_add(1))
    });
    if let Some(place) = look.place.filter(|&place| is_open(place)) {
        return Some(place);
    }
    rendezvous(seats, look.number as u64, |place| {
        Some(place) != look.place && is_open(place)
    })
}

/// A number of the counter, and who is due at it.
struct Look {
    number: usize,
    place: Option<usize>,
}

/// The first number from this one on at which somebody is due. Who has the largest weight always
/// is, so there is one among `n`, unless the caller is wrong about it: then nobody is.
///
/// A place is due if its weight, added up generation by generation, passes a multiple of
/// `max_weight` in this one, as it does exactly `weight` times in any `max_weight` generations. No
/// division by `n` but the first: with one heavy place among light ones, many numbers are passed.
fn next_due(seats: &[Seat], max_weight: u32, number: usize) -> Look {
    let n = seats.len();
    let max_weight = max_weight.clamp(1, Seat::MAX_WEIGHT);
    let mut generation = remainder(number / n, max_weight);
    let mut place = number % n;
    for ahead in 0..n {
        let weight = seats[place].weight.clamp(1, max_weight);
        let sum = weight * generation + offset(place, max_weight);
        if sum % max_weight >= max_weight - weight {
            return Look {
                number: number.wrapping_add(ahead),
                place: Some(place),
            };
        }
        place += 1;
        if place == n {
            place = 0;
            generation = (generation + 1) % max_weight;
        }
    }
    Look {
        number: number.wrapping_add(n),
        place: None,
    }
}

/// Where the sum of a place begins: spread evenly over places, whatever their weights.
fn offset(place: usize, max_weight: u32) -> u32 {
    let (offset, _) = scaled((place as u64).wrapping_mul(GOLDEN), u64::from(max_weight));
    // It is below `max_weight`.
    u32::try_from(offset).unwrap_or_default()
}

fn remainder(number: usize, divisor: u32) -> u32 {
    let remainder = number as u64 % u64::from(divisor);
    // It is below the divisor.
    u32::try_from(remainder).unwrap_or_default()
}

#[cfg(test)]
mod tests;
