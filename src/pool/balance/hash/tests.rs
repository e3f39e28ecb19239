//! Evenness and constancy of the rendezvous, and the bound on loads.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::super::tests::{MILLION, Traffic, as_f64, assert_shares, lots, seats_of, shares};
use super::super::{identity_of, key_of, scaled_place};
use super::*;

/// Keys as they come: addresses of clients that are neighbours.
fn keys(n_keys: usize) -> impl Iterator<Item = u64> {
    let address = |n: usize| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
    (0..n_keys).map(move |n| key_of(address(n).as_bytes()))
}

fn place_of(seats: &[Seat], key: u64) -> usize {
    rendezvous(seats, key, |_| true).expect("all are open")
}

/// What chi square has in the mean for even lots, and 5 of its deviations.
fn assert_even(shares: &[usize]) {
    let n_picks: usize = shares.iter().sum();
    let mean = as_f64(n_picks) / as_f64(shares.len());
    let squares = shares.iter().map(|&share| (as_f64(share) - mean).powi(2));
    let chi_square = squares.sum::<f64>() / mean;
    let freedom = as_f64(shares.len() - 1);
    let bound = freedom + 5.0 * (2.0 * freedom).sqrt();
    assert!(chi_square < bound, "{chi_square} of {bound}: {shares:?}");
}

#[test]
fn keys_are_spread_as_evenly_as_lots() {
    for n in [2, 3, 10, 100] {
        let seats = seats_of(&vec![1; n]);
        let mut keys = keys(200_000);
        assert_even(&shares(n, 200_000, || Some(place_of(&seats, keys.next()?))));
    }
}

#[test]
fn names_of_all_kinds_are_spread_evenly() {
    let names: [&dyn Fn(usize) -> String; 3] = [
        &|n| format!("web{n}"),
        &|n| format!("http://10.0.{n}.1:80/app"),
        &|n| "b".repeat(n + 1),
    ];
    for name in names {
        let mut seats = seats_of(&[1; 20]);
        for (n, seat) in seats.iter_mut().enumerate() {
            seat.identity = identity_of(&name(n));
        }
        let mut keys = keys(200_000);
        assert_even(&shares(20, 200_000, || {
            Some(place_of(&seats, keys.next()?))
        }));
    }
}

/// The goal: keys that were not hashed are spread too, as the numbers of turns are that the
/// weighted round robin has drawn for closed places.
#[test]
fn plain_numbers_are_spread_evenly() {
    let seats = seats_of(&[1; 20]);
    for stride in [1, 2, 20, 1 << 20, 1 << 40] {
        let mut numbers = (0_u64..).map(|n| n * stride);
        assert_even(&shares(20, 200_000, || {
            Some(place_of(&seats, numbers.next()?))
        }));
    }
}

#[test]
fn rendezvous_gives_each_its_weight_of_a_million() {
    let weights = [5, 1, 1, 3, 20];
    let seats = seats_of(&weights);
    let mut keys = keys(MILLION);
    let shares = shares(5, MILLION, || Some(place_of(&seats, keys.next()?)));
    assert_shares(&shares, &weights, 0.02);
}

#[test]
fn the_keys_of_one_that_leaves_go_to_the_others_by_their_weights() {
    let weights = [9, 1, 2, 3, 4];
    let seats = seats_of(&weights);
    let mut moved = vec![0; 4];
    for key in keys(300_000).filter(|&key| place_of(&seats, key) == 0) {
        moved[place_of(&seats[1..], key)] += 1;
    }
    assert_shares(&moved, &weights[1..], 0.03);
}

#[test]
fn the_order_of_the_seats_says_nothing() {
    let seats = seats_of(&[1, 2, 3, 4, 5, 6]);
    let reversed: Vec<Seat> = seats.iter().rev().copied().collect();
    for key in keys(10_000) {
        assert_eq!(place_of(&seats, key), 5 - place_of(&reversed, key));
    }
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    /// Read backwards it says the same of one that is added: only keys that it wins move.
    #[test]
    fn if_one_leaves_only_its_own_keys_move(
        weights in prop::collection::vec(prop_oneof![1_u32..4, 1_u32..=256], 2..40),
        leaver: prop::sample::Index,
        first_key: u64,
    ) {
        let seats = seats_of(&weights);
        let leaver = leaver.index(seats.len());
        let mut others = seats.clone();
        others.remove(leaver);
        for n in 0..100 {
            let key = first_key.wrapping_add(n);
            let before = place_of(&seats, key);
            let after = others[place_of(&others, key)];
            if before == leaver {
                let without = rendezvous(&seats, key, |place| place != leaver);
                prop_assert_eq!(Some(after), without.map(|place| seats[place]));
            } else {
                prop_assert_eq!(after, seats[before]);
            }
        }
    }

    /// The goal: the order in which closed places are passed over is the order of the race, whether
    /// it is found one by one or by sorting.
    #[test]
    fn closed_places_are_passed_over_in_the_order_of_the_race(
        weights in prop::collection::vec(1_u32..=256, 1..30),
        key: u64,
    ) {
        let mut seats = seats_of(&weights);
        let mut asked = Vec::new();
        rendezvous(&seats, key, |place| {
            asked.push(seats[place].identity);
            false
        });
        prop_assert_eq!(asked.len(), weights.len());
        for identity in asked {
            let place = place_of(&seats, key);
            prop_assert_eq!(seats[place].identity, identity);
            seats.remove(place);
        }
    }

    #[test]
    fn somebody_is_always_within_the_bound(
        members in prop::collection::vec((0_usize..50, 1_u32..=256), 1..20),
        percent in 0_u32..300,
    ) {
        let total_load = members.iter().map(|&(load, _)| load).sum();
        let total_weight = members.iter().map(|&(_, weight)| u64::from(weight)).sum();
        let is_within = |&(load, weight): &(usize, u32)| {
            is_within_bound(load, weight, total_load, total_weight, percent)
        };
        prop_assert!(members.iter().any(is_within));
    }
}

#[test]
fn the_bound_is_the_share_of_the_average_rounded_up() {
    let cases = [
        // load, weight, total load, total weight, percent, whether one more fits
        (0, 1, 0, 1, 125, true),
        (0, 1, 0, 1_000, 125, true),
        (1, 1, 1, 1_000, 125, false),
        // ceil(1.25 * 100 / 10) = 13
        (12, 1, 99, 10, 125, true),
        (13, 1, 99, 10, 125, false),
        // ceil(1.25 * 100 * 3 / 10) = 38
        (37, 3, 99, 10, 125, true),
        (38, 3, 99, 10, 125, false),
        // Exactly 20 of 80.
        (19, 1, 79, 4, 100, true),
        (20, 1, 79, 4, 100, false),
        (20, 1, 79, 4, 50, false),
        (usize::MAX, 256, usize::MAX, 256, 100, true),
        (usize::MAX, 1, usize::MAX, u64::MAX, u32::MAX, false),
    ];
    for (load, weight, total_load, total_weight, percent, wanted) in cases {
        assert_eq!(
            is_within_bound(load, weight, total_load, total_weight, percent),
            wanted,
            "{load} at {weight} of {total_load} at {total_weight}, {percent} %"
        );
    }
}

/// The goal: however skewed the keys, nobody is ever above its bound, and somebody is always found.
/// The trick: half of all requests have the same key.
#[test]
fn nobody_is_above_its_bound_however_skewed_the_keys_are() {
    const PERCENT: usize = 125;
    for weights in [[1; 8], [1, 2, 3, 4, 5, 6, 7, 8]] {
        let seats = seats_of(&weights);
        let total_weight: u32 = weights.iter().sum();
        let (mut traffic, mut lot) = (Traffic::new(8, 200), lots());
        let mut n_passed = 0;
        for n in 0..100_000 {
            let popularity = scaled_place(lot(), 2 + n % 20).0;
            let total: usize = traffic.loads.iter().sum();
            let mut n_asked = 0;
            let picked = rendezvous(&seats, popularity as u64, |place| {
                n_asked += 1;
                let (load, weight) = (traffic.loads[place], weights[place]);
                is_within_bound(load, weight, total, u64::from(total_weight), 125)
            });
            let place = picked.expect("somebody is always within the bound");
            n_passed += n_asked - 1;
            let bound = PERCENT * (total + 1) * weights[place] as usize;
            let bound = bound.div_ceil(100 * total_weight as usize);
            assert!(traffic.loads[place] < bound, "{:?}", traffic.loads);
            traffic.begin(place, lot());
        }
        assert!(n_passed > 10_000, "the keys were not skewed");
    }
}
