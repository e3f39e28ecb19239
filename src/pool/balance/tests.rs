//! The contract of all policies, and what their tests share.

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;
use crate::sync::AtomicUsize;

pub const MILLION: usize = 1_000_000;

/// Seats of these weights, with the identities of neighbouring ports.
pub fn seats_of(weights: &[u32]) -> Vec<Seat> {
    let name = |place| format!("127.0.0.1:{}", 8081 + place);
    let seat = |(place, &weight)| Seat {
        weight,
        identity: identity_of(&name(place)),
    };
    weights.iter().enumerate().map(seat).collect()
}

/// Lots that are the same in each run.
pub fn lots() -> impl FnMut() -> u64 {
    let mut n_drawn = 0;
    move || {
        n_drawn += 1;
        scatter(n_drawn)
    }
}

/// Numbers from 0 on, as of a counter.
pub fn counter() -> impl FnMut() -> usize {
    let mut next = 0;
    move || {
        next += 1;
        next - 1
    }
}

/// How often each of `n` places is picked.
pub fn shares(n: usize, n_picks: usize, mut pick: impl FnMut() -> Option<usize>) -> Vec<usize> {
    let mut shares = vec![0; n];
    for _ in 0..n_picks {
        shares[pick().expect("some place is open")] += 1;
    }
    shares
}

/// Whether each share is what its weight says, give or take this part of it.
pub fn assert_shares(shares: &[usize], weights: &[u32], tolerance: f64) {
    let n_picks: usize = shares.iter().sum();
    let total: u32 = weights.iter().sum();
    for (&share, &weight) in shares.iter().zip(weights) {
        let wanted = as_f64(n_picks) * f64::from(weight) / f64::from(total);
        let off = (as_f64(share) - wanted).abs();
        assert!(
            off <= wanted * tolerance,
            "{share} instead of {wanted}: {shares:?} for {weights:?}"
        );
    }
}

pub fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("tests count to a few millions"))
}

/// Exchanges that come one by one, each of which lasts while so many others come.
pub struct Traffic {
    pub loads: Vec<usize>,
    ends: VecDeque<Vec<usize>>,
}

impl Traffic {
    pub fn new(n: usize, longest: usize) -> Traffic {
        Traffic {
            loads: vec![0; n],
            ends: vec![Vec::new(); longest].into(),
        }
    }

    /// One comes, and those whose time is over end.
    pub fn begin(&mut self, place: usize, lot: u64) {
        self.loads[place] += 1;
        let (lasts, _) = scaled_place(lot, self.ends.len());
        self.ends[lasts].push(place);
        let ended = self.ends.pop_front().expect("it is never empty");
        for place in &ended {
            self.loads[*place] -= 1;
        }
        self.ends.push_back(Vec::new());
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    RoundRobin,
    Weighted,
    Least,
    Two,
    Rendezvous,
}

const CASES: [Case; 5] = [
    Case::RoundRobin,
    Case::Weighted,
    Case::Least,
    Case::Two,
    Case::Rendezvous,
];

fn pick(
    case: Case,
    seats: &[Seat],
    number: usize,
    load: &impl Fn(usize) -> usize,
    is_open: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let max_weight = seats.iter().map(|seat| seat.weight).max().unwrap_or(0);
    let turn = AtomicUsize::new(number);
    let mut lot = scatter(number as u64);
    let random = || {
        lot = scatter(lot);
        lot
    };
    match case {
        Case::RoundRobin => round_robin(seats.len(), number, || number / 3, is_open),
        Case::Weighted => weighted_round_robin(seats, max_weight, &turn, is_open),
        Case::Least => {
            let loads = (0..seats.len()).map(&load);
            least_connections(seats, are_even(seats), number, &loads, is_open)
        }
        Case::Two => random_two_choices(seats, max_weight, random, load, is_open),
        Case::Rendezvous => rendezvous(seats, number as u64, is_open),
    }
}

/// Weight, load, and whether it is open.
type Member = (u32, usize, bool);

fn members() -> impl Strategy<Value = Vec<Member>> {
    let weight = prop_oneof![4 => 1_u32..=4, 2 => 1_u32..=256, 1 => Just(0)];
    let load = prop_oneof![4 => 0_usize..4, 1 => Just(usize::MAX)];
    let chance = prop_oneof![Just(0.0), Just(0.1), Just(0.5), Just(1.0)];
    let size = prop_oneof![6 => 0_usize..9, 1 => 9_usize..80];
    (chance, size).prop_flat_map(move |(chance, size)| {
        let member = (weight.clone(), load.clone(), prop::bool::weighted(chance));
        prop::collection::vec(member, size)
    })
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, ..Config::default() })]

    /// The goal: whatever is closed, no place is asked about twice, the first that is open is the
    /// one picked, and there is one if any is open. The trick: all that was asked is written down.
    #[test]
    fn every_policy_keeps_the_contract(members in members(), number: usize, is_twin: bool) {
        let weights: Vec<u32> = members.iter().map(|&(weight, _, _)| weight).collect();
        let mut seats = seats_of(&weights);
        if is_twin {
            for seat in &mut seats {
                seat.identity = 0;
            }
        }
        let is_any_open = members.iter().any(|&(_, _, is_open)| is_open);
        for case in CASES {
            let mut asked = Vec::new();
            let picked = pick(case, &seats, number, &|place| members[place].1, |place| {
                asked.push(place);
                members[place].2
            });
            prop_assert_eq!(picked.is_some(), is_any_open, "{:?}", case);
            let first_open = asked.iter().copied().find(|&place| members[place].2);
            prop_assert_eq!(picked, first_open, "{:?}", case);
            if let Some(place) = picked {
                prop_assert_eq!(asked.last(), Some(&place), "{:?} asks on", case);
            }
            let n_asked = asked.len();
            asked.sort_unstable();
            asked.dedup();
            prop_assert_eq!(asked.len(), n_asked, "{:?} asks twice", case);
        }
    }

    /// The goal: loads that change while they are read cost evenness, never a panic or a pick.
    #[test]
    fn loads_may_change_at_each_look(members in members(), number: usize) {
        let weights: Vec<u32> = members.iter().map(|&(weight, _, _)| weight).collect();
        let looks = std::cell::Cell::new(number as u64);
        let load = |_| {
            looks.set(scatter(looks.get()));
            scaled_place(looks.get(), 4).0
        };
        let is_any_open = members.iter().any(|&(_, _, is_open)| is_open);
        for case in [Case::Least, Case::Two] {
            let seats = seats_of(&weights);
            let picked = pick(case, &seats, number, &load, |place| members[place].2);
            prop_assert_eq!(picked.is_some(), is_any_open, "{:?}", case);
        }
    }
}

/// The goal: nobody's clients move at an update or on another machine. The numbers are of the first
/// version, and may never be adapted to a later one.
#[test]
fn hashes_are_those_of_the_first_version() {
    assert_eq!(identity_of("127.0.0.1:8081"), 3_921_687_091_709_621_640);
    assert_eq!(identity_of(""), 1_768_591_587_585_258_878);
    assert_eq!(key_of(b"192.0.2.1"), 5_828_496_749_099_542_735);
    let places: Vec<_> = (0..12)
        .map(|key| rendezvous(&seats_of(&[1, 2, 3]), key, |_| true))
        .map(|place| place.expect("all are open"))
        .collect();
    assert_eq!(places, [0, 0, 2, 2, 2, 1, 1, 0, 1, 0, 2, 2]);
}

#[test]
fn a_key_is_not_the_identity_of_the_same_name() {
    assert_ne!(key_of(b"127.0.0.1:8081"), identity_of("127.0.0.1:8081"));
}
