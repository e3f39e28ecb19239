//! Policies that go by load: the least loaded of all, and of two drawn by lot.

use std::cmp::Ordering;

use super::{GOLDEN, N_QUICK, Seat, rendezvous, scaled, scaled_place, scatter};

/// Lots that are drawn for a place before all weights are added up for an exact one.
const N_LOTS: usize = 8;

/// Places that tie and are remembered; if more do, all are looked at again.
const N_TIES: usize = 32;

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
    total_weight: u64,
    are_equal: bool,
}

impl Ties {
    fn new() -> Ties {
        Ties {
            // More than any other.
            least: Cost { load: 1, weight: 0 },
            n: 0,
            total_weight: 0,
            are_equal: true,
        }
    }

    fn add(&mut self, cost: Cost, is_less: bool) {
        if is_less {
            *self = Ties {
                least: cost,
                ..Ties::new()
            };
        }
        self.n += 1;
        self.total_weight += cost.weight;
        self.are_equal &= cost.weight == self.least.weight;
    }

    /// Whose turn it is, of those who tie.
    fn choose(&self, start: usize, ties: impl Iterator<Item = (usize, u64)>) -> Option<usize> {
        if self.are_equal {
            return ties.map(|(place, _)| place).nth(start % self.n);
        }
        let (mut lot, _) = scaled((start as u64).wrapping_mul(GOLDEN), self.total_weight);
        for (place, weight) in ties {
            if lot < weight {
                return Some(place);
            }
            lot -= weight;
        }
        None
    }
}

/// First counts who ties, then finds the one whose turn it is, so that a tie of some goes round
/// exactly these. A walk from `start` to the first of them would give a double share to each whose
/// neighbour is not in the tie. Only a tie of many but not all needs a second look at the loads.
fn least_loaded(
    seats: &[Seat],
    start: usize,
    load: &impl Fn(usize) -> usize,
    is_closed: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut ties = Ties::new();
    let mut places = [0; N_TIES];
    for (place, seat) in seats.iter().enumerate() {
        let cost = Cost::of(seat, load(place));
        let (mine, least) = cost.beside(ties.least);
        // Most pass by here.
        if mine > least || is_closed(place) {
            continue;
        }
        ties.add(cost, mine < least);
        if let Some(slot) = places.get_mut(ties.n - 1) {
            *slot = place;
        }
    }
    if ties.n <= 1 {
        return Some(places[0]).filter(|_| ties.n == 1);
    }
    if ties.n == seats.len() && ties.are_equal {
        return Some(start % ties.n);
    }
    if let Some(places) = places.get(..ties.n) {
        let few = places.iter().map(|&place| (place, seats[place].weight()));
        return ties.choose(start, few);
    }
    let all = seats.iter().enumerate().filter_map(|(place, seat)| {
        let cost = Cost::of(seat, load(place));
        let is_tie = cost.compare(ties.least).is_le() && !is_closed(place);
        is_tie.then_some((place, cost.weight))
    });
    // None if loads have grown meanwhile.
    ties.choose(start, all).or(Some(places[0]))
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
