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
/// `are_even` says that all weights are the same: a pick is not to look at all of them for that.
/// `loads` are those of the seats, in their order. Each is asked for once or twice, and may change
/// meanwhile.
pub fn least_connections(
    seats: &[Seat],
    are_even: bool,
    start: usize,
    loads: &(impl Iterator<Item = usize> + Clone),
    mut is_open: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let place = least_loaded(seats, are_even, start, loads, |_| false)?;
    if is_open(place) {
        return Some(place);
    }
    let mut closed = vec![place];
    while closed.len() < N_QUICK {
        let is_closed = |place| closed.contains(&place);
        let place = least_loaded(seats, are_even, start, loads, is_closed)?;
        if is_open(place) {
            return Some(place);
        }
        closed.push(place);
    }
    let lot = |place: usize| scatter(scatter(start as u64) ^ place as u64);
    let mut rest: Vec<(Cost, u64, usize)> = costs(seats, loads)
        .enumerate()
        .filter(|(place, _)| !closed.contains(place))
        .map(|(place, cost)| (cost, lot(place), place))
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

/// Those of all places.
fn costs(
    seats: &[Seat],
    loads: &(impl Iterator<Item = usize> + Clone),
) -> impl Iterator<Item = Cost> + Clone {
    let pairs = seats.iter().zip(loads.clone());
    pairs.map(|(seat, load)| Cost::of(seat, load))
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

    fn compare(self, other: Cost) -> Ordering {
        (self.load * other.weight).cmp(&(other.load * self.weight))
    }
}

impl PartialEq for Cost {
    fn eq(&self, other: &Cost) -> bool {
        self.compare(*other).is_eq()
    }
}

impl PartialOrd for Cost {
    fn partial_cmp(&self, other: &Cost) -> Option<Ordering> {
        Some(self.compare(*other))
    }
}

/// Those who have the least of all that were looked at.
struct Ties<C> {
    least: C,
    n: usize,
    /// One of them.
    first: usize,
    /// Which places these are, a bit each, of the first that there are.
    places: [u64; N_REMEMBERED / 64],
}

/// Notes which of the 64 places of this number tie, if they are remembered; how many do.
fn note(places: &mut [u64], idx: usize, word: u64) -> usize {
    if let Some(places) = places.get_mut(idx) {
        *places |= word;
    }
    word.count_ones() as usize
}

impl<C: Copy + PartialOrd> Ties<C> {
    /// Looks at all, none of which costs more than `most`. The bits of 64 places at a time are put
    /// together before they are stored: stored by itself, each would wait for the one before.
    fn of(costs: impl Iterator<Item = C>, most: C, is_closed: impl Fn(usize) -> bool) -> Ties<C> {
        let mut places = [0; N_REMEMBERED / 64];
        let (mut least, mut first, mut n) = (most, 0, 0);
        let (mut word, mut bit) = (0_u64, 1_u64);
        let mut n_looked = 0;
        for (place, cost) in costs.enumerate() {
            // Most pass by here.
            if cost <= least && !is_closed(place) {
                if cost < least {
                    places = [0; N_REMEMBERED / 64];
                    (least, first) = (cost, place);
                    (n, word) = (0, 0);
                }
                word |= bit;
            }
            bit = bit.rotate_left(1);
            if bit == 1 {
                n += note(&mut places, place / 64, word);
                word = 0;
            }
            n_looked = place + 1;
        }
        n += note(&mut places, n_looked / 64, word);
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

    /// All of them, of costs that are looked at again; none if these have grown meanwhile.
    fn again(
        &self,
        costs: impl Iterator<Item = C>,
        is_closed: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = usize> {
        let is_tie = move |(place, cost): &(usize, C)| *cost <= self.least && !is_closed(*place);
        costs.enumerate().filter(is_tie).map(|(place, _)| place)
    }
}

/// First finds who ties, then the one of them whose turn it is, so that a tie of some goes round
/// exactly these. A walk from `start` to the first of them would give a double share to each whose
/// neighbour is not in the tie. Only where there are very many places, those that tie are looked
/// for again.
fn least_loaded(
    seats: &[Seat],
    are_even: bool,
    start: usize,
    loads: &(impl Iterator<Item = usize> + Clone),
    is_closed: impl Fn(usize) -> bool,
) -> Option<usize> {
    let is_remembered = seats.len() <= N_REMEMBERED;
    if are_even {
        // Their loads are their costs.
        let ties = Ties::of(loads.clone(), usize::MAX, &is_closed);
        return match ties.n {
            0 => None,
            n if n == seats.len() => Some(start % n),
            n if is_remembered => ties.nth_remembered(start % n),
            n => {
                let place = ties.again(loads.clone(), &is_closed).nth(start % n);
                place.or(Some(ties.first))
            }
        };
    }
    let ties = Ties::of(costs(seats, loads), Cost::MOST, &is_closed);
    let weighed = |place: usize| (place, seats[place].weight());
    if ties.n == 0 {
        return None;
    }
    if is_remembered {
        return choose_by_weight(start, || ties.remembered().map(weighed));
    }
    let again = || ties.again(costs(seats, loads), &is_closed).map(weighed);
    choose_by_weight(start, again).or(Some(ties.first))
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
