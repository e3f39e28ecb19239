//! Evenness under load: the least of all, and of two.

use super::super::tests::{
    MILLION, Traffic, as_f64, assert_shares, counter, lots, seats_of, shares,
};
use super::*;
use crate::pool::balance::are_even;

/// The pick with these loads.
fn least(
    seats: &[Seat],
    start: usize,
    load: impl Fn(usize) -> usize,
    is_open: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let loads = (0..seats.len()).map(&load);
    least_connections(seats, are_even(seats), start, &loads, is_open)
}

#[test]
fn the_least_loaded_for_its_weight_is_picked() {
    let cases: &[(&[u32], &[usize], usize)] = &[
        (&[1, 1, 1], &[2, 1, 2], 1),
        (&[1, 1, 1], &[0, 1, 1], 0),
        (&[1, 2], &[0, 0], 1),
        (&[1, 2], &[0, 2], 0),
        (&[3, 2], &[4, 2], 1),
        (&[256, 1], &[254, 0], 0),
        (&[256, 1], &[256, 0], 1),
        (&[1, 1], &[usize::MAX, 9], 1),
    ];
    for &(weights, loads, wanted) in cases {
        let seats = seats_of(weights);
        for start in 0..10 {
            let picked = least(&seats, start, |place| loads[place], |_| true);
            assert_eq!(picked, Some(wanted), "{weights:?} with {loads:?}");
        }
    }
}

#[test]
fn the_next_least_loaded_is_picked_if_the_least_is_closed() {
    let loads = [5, 3, 9, 1, 7, 0, 2, 8];
    let seats = seats_of(&[1; 8]);
    let by_load = [5, 3, 6, 1, 0, 4, 7, 2];
    for n_closed in 0..8 {
        let closed = &by_load[..n_closed];
        let is_open = |place| !closed.contains(&place);
        let picked = least(&seats, 0, |place| loads[place], is_open);
        assert_eq!(picked, Some(by_load[n_closed]));
    }
}

#[test]
fn who_ties_is_picked_exactly_in_turn() {
    let seats = seats_of(&[2; 6]);
    let mut start = counter();
    let mut pick = || least(&seats, start(), |_| 0, |_| true);
    assert_eq!(shares(6, 600, &mut pick), [100; 6]);
    // Places 0, 4 and 5 tie: no neighbour of the others gets their turns.
    let loads = [1, 2, 3, 4, 1, 1];
    let mut start = counter();
    let mut pick = || least(&seats, start(), |place| loads[place], |_| true);
    assert_eq!(shares(6, 600, &mut pick), [200, 0, 0, 0, 200, 200]);
}

#[test]
fn somebody_is_picked_among_very_many_also_if_loads_grow_meanwhile() {
    // All but the last three, which lie beyond those who are remembered, have more.
    let n = N_REMEMBERED + 100;
    let load_at_first = |place: usize| usize::from(place < n - 3);
    for weights in [vec![1; n], [1, 2].repeat(n / 2)] {
        let seats = seats_of(&weights);
        let mut start = counter();
        let mut pick = || least(&seats, start(), load_at_first, |_| true);
        assert!((0..600).all(|_| pick().is_some_and(|place| place >= n - 3)));
        let looks = std::cell::Cell::new(0);
        let growing = |place| {
            looks.set(looks.get() + 1);
            load_at_first(place) + usize::from(looks.get() > n) * 10
        };
        let picked = least(&seats, 0, growing, |_| true);
        assert!(picked.is_some_and(|place| place >= n - 3), "{picked:?}");
    }
}

#[test]
fn who_ties_with_another_weight_is_picked_in_proportion() {
    let weights = [1, 2, 3, 4];
    let seats = seats_of(&weights);
    let mut start = counter();
    let pick = || least(&seats, start(), |place| [0, 1, 2, 3][place], |_| true);
    assert_shares(&shares(4, 10_000, pick), &weights, 0.005);
}

#[test]
fn least_connections_under_load_is_even_for_the_weights() {
    for weights in [[1, 1, 1, 1, 1], [1, 2, 3, 4, 10]] {
        let (seats, mut start, mut lot) = (seats_of(&weights), counter(), lots());
        let mut traffic = Traffic::new(weights.len(), 400);
        let mut worst = 0;
        let shares = shares(weights.len(), MILLION, || {
            let picked = least(&seats, start(), |place| traffic.loads[place], |_| true);
            traffic.begin(picked?, lot());
            let units = traffic.loads.iter().zip(&weights);
            let units = units.map(|(&load, &weight)| load / weight as usize);
            worst = worst.max(units.clone().max()? - units.min()?);
            picked
        });
        assert_shares(&shares, &weights, 0.04);
        assert!(worst <= 12, "{worst} more for its weight than another");
    }
}

#[test]
fn two_choices_are_in_proportion_while_nothing_is_in_flight() {
    let cases: &[(&[u32], u32)] = &[
        (&[1, 1, 1, 1], 1),
        (&[5, 1, 1, 3], 5),
        (&[256, 1, 1, 1, 1, 60], 256),
        // Ten times the average of the others, which an even lot could not give.
        (&[10, 1, 1, 1, 1], 10),
    ];
    for &(weights, max_weight) in cases {
        let (seats, mut lot) = (seats_of(weights), lots());
        let pick = || random_two_choices(&seats, max_weight, &mut lot, |_| 0, |_| true);
        assert_shares(&shares(weights.len(), MILLION, pick), weights, 0.05);
    }
}

#[test]
fn two_choices_under_load_are_in_proportion() {
    for (weights, max_weight) in [([1, 1, 1, 1, 1], 1), ([1, 2, 3, 4, 10], 10)] {
        let (seats, mut lot, mut span) = (seats_of(&weights), lots(), lots());
        let mut traffic = Traffic::new(weights.len(), 400);
        let shares = shares(weights.len(), MILLION, || {
            let load = |place: usize| traffic.loads[place];
            let picked = random_two_choices(&seats, max_weight, &mut lot, load, |_| true);
            traffic.begin(picked?, span());
            picked
        });
        assert_shares(&shares, &weights, 0.05);
    }
}

/// The goal: what the second choice is for. A hundred times as many exchanges as places, none of
/// which ends: one choice leaves somebody far above the average, two leave nobody.
#[test]
fn the_most_loaded_of_two_choices_is_far_below_that_of_one() {
    const N: usize = 500;
    const AVERAGE: usize = 100;
    let seats = seats_of(&[1; N]);
    let mut lot = lots();
    let (mut two, mut one) = (vec![0; N], vec![0; N]);
    for _ in 0..N * AVERAGE {
        let picked = random_two_choices(&seats, 1, &mut lot, |place| two[place], |_| true);
        two[picked.expect("all are open")] += 1;
        one[scaled_place(lot(), N).0] += 1;
    }
    let above = |loads: &[usize]| loads.iter().max().map_or(0, |most| most - AVERAGE);
    assert!(above(&one) >= 20, "{} above by one choice", above(&one));
    assert!(above(&two) <= 4, "{} above by two choices", above(&two));
}

#[test]
fn a_third_is_drawn_in_proportion_if_both_choices_are_closed() {
    let weights = [3, 3, 3, 3, 3, 3, 1, 2];
    let (seats, mut lot) = (seats_of(&weights), lots());
    let pick = || random_two_choices(&seats, 3, &mut lot, |_| 0, |place| place >= 6);
    let shares = shares(8, 200_000, pick);
    assert_eq!(shares[..6], [0; 6]);
    let heavy = as_f64(shares[7]) / as_f64(shares[6]);
    assert!((1.8..2.05).contains(&heavy), "{heavy} times as much");
}

#[test]
fn a_lot_that_never_varies_ends_too() {
    let seats = seats_of(&[1, 9, 1]);
    for lot in [0, u64::MAX] {
        assert!(random_two_choices(&seats, 9, || lot, |_| 0, |_| true).is_some());
    }
}
