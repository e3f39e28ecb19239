//! Policies that go by load: the least loaded of all, and of two drawn by lot.

use std::cmp::Ordering;
use std::iter::successors;

use super::{GOLDEN, N_QUICK, Seat, rendezvous, scaled, scaled_place, scatter};

/// Lots that are drawn for a place before all weights are added up for an exact one.
const N_LOTS: usize = 8;

/// Places of whom it is remembered that they tie; if there are more, all are looked at again.
const N_REMEMBERED: usize = 1_024;

/// Fewest exchanges for its weight: the place that would have the least with one more, (load + 1)
/// by weight.
///
/// Ties go in turn by `start`, the number of this pick: those of the same weight exactly, those of
/// different weights in proportion. While nothing is in flight, only the heaviest tie, and get all:
/// that is what fewest means, and what `HAProxy` does.
///
/// `load` is asked once or twice for each place, and may change meanwhile.
pub fn least_connections(
    seats: &[Seat],
    start: usize,
    load: impl Fn(usize) -> usize,
    mut is_open: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let place = least_loaded(seats, start, &load, |_| false)?;
    if is_open(place) {
        return Some(place);
    }
    let mut closed = vec![place];
    while closed.len() < N_QUICK {
        let place = least_loaded(seats, start, &load, |place| closed.contains(&place))?;
        if is_open(place) {
            return Some(place);
        }
        closed.push(place);
    }
    let places = (0..seats.len()).filter(|place| !closed.contains(place));
    let lot = |place: usize| scatter(scatter(start as u64) ^ place as u64);
    let mut rest: Vec<(Cost, u64, usize)> = places
        .map(|place| (Cost::of(&seats[place], load(place)), lot(place), place))
        .collect();
    rest.sort_unstable_by(|(cost, lot, _), (other, other_lot, _)| {
        cost.compare(*other).then(lot.cmp(other_lot))
    });
    rest.into_iter()
        .map(|(_, _, place)| place)
        .find(|&place| is_open(place))
}

/// What one more exchange costs at a place: `load` by `weight`, never divided.
#[derive(Clone, Copy)]
struct Cost {
    load: u64,
    weight: u64,
}

impl Cost {
    /// More than any other.
    const MOST: Cost = Cost {
        load: 1 << 40,
        weight: 0,
    };

    fn of(seat: &Seat, load: usize) -> Cost {
        Cost {
            // The bound is no real load. It leaves room for the products.
            load: (load as u64).min(u64::from(u32::MAX)) + 1,
            weight: seat.weight(),
        }
    }

    /// Both with the same weight.
    fn beside(self, other: Cost) -> (u64, u64) {
        (self.load * other.weight, other.load * self.weight)
    }

    fn compare(self, other: Cost) -> Ordering {
        let (mine, others) = self.beside(other);
        mine.cmp(&others)
    }
}

/// Those who have the least of all that were looked at.
struct Ties {
    least: Cost,
    n: usize,
    /// One of them.
    first: usize,
    /// Which places these are, a bit each, of the first that there are.
    places: [u64; N_REMEMBERED / 64],
}

impl Ties {
    /// Looks at all; `beside` gives two costs the same measure. The bits of 64 places at a time are
    /// put together before they are stored: stored by itself, each would wait for the one before.
    fn of(
        seats: &[Seat],
        load: &impl Fn(usize) -> usize,
        is_closed: impl Fn(usize) -> bool,
        beside: impl Fn(Cost, Cost) -> (u64, u64),
    ) -> Ties {
        let mut places = [0; N_REMEMBERED / 64];
        let mut least = Cost::MOST;
        let (mut n, mut first) = (0, 0);
        for (idx, chunk) in seats.chunks(64).enumerate() {
            let mut word = 0_u64;
            for (bit, seat) in chunk.iter().enumerate() {
                let place = idx * 64 + bit;
                let cost = Cost::of(seat, load(place));
                let (mine, others) = beside(cost, least);
                // Most pass by here.
                if mine > others || is_closed(place) {
                    continue;
                }
                if mine < others {
                    places = [0; N_REMEMBERED / 64];
                    (least, first) = (cost, place);
                    (n, word) = (0, 0);
                }
                word |= 1 << bit;
            }
            n += word.count_ones() as usize;
            if let Some(places) = places.get_mut(idx) {
                *places = word;
            }
        }
        Ties {
            least,
            n,
            first,
            places,
        }
    }

    /// The remembered ones, in order.
    fn remembered(&self) -> impl Iterator<Item = usize> {
        self.places.iter().enumerate().flat_map(|(idx, &word)| {
            let bits = successors(Some(word), |bits| Some(bits & bits.wrapping_sub(1)));
            bits.take_while(|&bits| bits != 0)
                .map(move |bits| idx * 64 + bits.trailing_zeros() as usize)
        })
    }

    /// The remembered one that has so many before it.
    fn nth_remembered(&self, mut n_before: usize) -> Option<usize> {
        for (idx, &word) in self.places.iter().enumerate() {
            let n_here = word.count_ones() as usize;
            if n_before < n_here {
                let bits = (0..n_before).fold(word, |bits, _| bits & (bits - 1));
                return Some(idx * 64 + bits.trailing_zeros() as usize);
            }
            n_before -= n_here;
        }
        None
    }
}

/// First finds who ties, then the one of them whose turn it is, so that a tie of some goes round
/// exactly these. A walk from `start` to the first of them would give a double share to each whose
/// neighbour is not in the tie. Only where there are very many places, those that tie are looked
/// for again.
fn least_loaded(
    seats: &[Seat],
    start: usize,
    load: &impl Fn(usize) -> usize,
    is_closed: impl Fn(usize) -> bool,
) -> Option<usize> {
    let first = seats.first()?;
    let is_even = seats.iter().all(|seat| seat.weight == first.weight);
    let ties = if is_even {
        Ties::of(seats, load, &is_closed, |cost, other| {
            (cost.load, other.load)
        })
    } else {
        Ties::of(seats, load, &is_closed, Cost::beside)
    };
    if ties.n == 0 {
        return None;
    }
    if is_even && ties.n == seats.len() {
        return Some(start % ties.n);
    }
    if is_even && seats.len() <= N_REMEMBERED {
        return ties.nth_remembered(start % ties.n);
    }
    let weighed = |place: usize| (place, seats[place].weight());
    if seats.len() <= N_REMEMBERED {
        return choose_by_weight(start, || ties.remembered().map(weighed));
    }
    let is_tie = |&place: &usize| {
        let cost = Cost::of(&seats[place], load(place));
        cost.compare(ties.least).is_le() && !is_closed(place)
    };
    // None if loads have grown meanwhile.
    choose_by_weight(start, || (0..seats.len()).filter(is_tie).map(weighed)).or(Some(ties.first))
}

/// Whose turn it is, of those who tie: exactly if they weigh the same, else in proportion.
fn choose_by_weight<T: Iterator<Item = (usize, u64)>>(
    start: usize,
    ties: impl Fn() -> T,
) -> Option<usize> {
    let (_, weight_of_first) = ties().next()?;
    let (mut n, mut total, mut are_equal) = (0, 0, true);
    for (_, weight) in ties() {
        n += 1;
        total += weight;
        are_equal &= weight == weight_of_first;
    }
    if are_equal {
        return ties().nth(start % n).map(|(place, _)| place);
    }
    let (mut lot, _) = scaled((start as u64).wrapping_mul(GOLDEN), total);
    for (place, weight) in ties() {
        if lot < weight {
            return Some(place);
        }
        lot -= weight;
    }
    None
}

/// Power of two choices: of two different places, drawn by lot in proportion to their weights, the
/// one with less load for its weight; if they tie, the first.
///
/// In proportion, because an even lot shows each place in no more than two of `n` pairs, and so
/// could never give a heavy one more than twice the average. And load by weight without the one
/// more of [`least_connections`]: the lot has favoured the heavy already, and so picks are in
/// proportion to weights also while nothing is in flight.
///
/// `random` gives 64 even bits. `max_weight` is the largest weight of the seats. If both places are
/// closed, a third is drawn by lot among the open ones, in proportion to their weights.
pub fn random_two_choices(
    seats: &[Seat],
    max_weight: u32,
    mut random: impl FnMut() -> u64,
    load: impl Fn(usize) -> usize,
    mut is_open: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let mut total = None;
    let first = draw(seats, max_weight, None, &mut total, &mut random)?;
    let Some(second) = draw(seats, max_weight, Some(first), &mut total, &mut random) else {
        return Some(first).filter(|&only| is_open(only));
    };
    let wide = |load: usize, seat: &Seat| load as u128 * u128::from(seat.weight());
    let is_second_less = wide(load(second), &seats[first]) < wide(load(first), &seats[second]);
    let pair = if is_second_less {
        [second, first]
    } else {
        [first, second]
    };
    if let Some(place) = pair.into_iter().find(|&place| is_open(place)) {
        return Some(place);
    }
    rendezvous(seats, random(), |place| {
        !pair.contains(&place) && is_open(place)
    })
}

/// A place, in proportion to weight, but not `other`; none if there is no other one.
///
/// Draws evenly and keeps a place as often as its weight says, which needs no look at all the
/// others. Where that fails too often, because few are much heavier than most, all weights are
/// added up, once for both draws; either way each place has its exact chance.
fn draw(
    seats: &[Seat],
    max_weight: u32,
    other: Option<usize>,
    total: &mut Option<u64>,
    random: &mut impl FnMut() -> u64,
) -> Option<usize> {
    for _ in 0..N_LOTS {
        let (place, rest) = scaled_place(random(), seats.len());
        let (level, _) = scaled(rest, u64::from(max_weight));
        let seat = seats.get(place)?;
        if level < seat.weight() && Some(place) != other {
            return Some(place);
        }
    }
    let total = total.get_or_insert_with(|| seats.iter().map(Seat::weight).sum());
    let others = *total - other.map_or(0, |other| seats[other].weight());
    let (mut lot, _) = scaled(random(), others);
    for (place, seat) in seats.iter().enumerate() {
        if Some(place) == other {
            continue;
        }
        if lot < seat.weight() {
            return Some(place);
        }
        lot -= seat.weight();
    }
    None
}

#[cfg(test)]
mod tests;
