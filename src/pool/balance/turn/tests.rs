//! Shares, smoothness and detours of both round robins.

use std::thread;

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::super::tests::{MILLION, assert_shares, counter, seats_of, shares};
use super::*;

fn total(weights: &[u32]) -> usize {
    weights.iter().map(|&weight| weight as usize).sum()
}

fn max(weights: &[u32]) -> u32 {
    weights.iter().copied().max().unwrap_or(1)
}

/// So many picks of the weighted round robin, from the counter's 0 on.
fn weighted_picks(weights: &[u32], n_picks: usize) -> Vec<usize> {
    let (seats, turn) = (seats_of(weights), AtomicUsize::new(0));
    let pick = || weighted_round_robin(&seats, max(weights), &turn, |_| true);
    (0..n_picks)
        .map(|_| pick().expect("all are open"))
        .collect()
}

#[test]
fn round_robin_gives_each_the_same_of_a_million() {
    for n in [1, 2, 5, 8, 1_000] {
        let (mut turn, mut detour) = (counter(), counter());
        let shares = shares(n, MILLION, || round_robin(n, turn(), &mut detour, |_| true));
        assert!(shares.iter().all(|&share| share == MILLION / n), "{n}");
        assert_eq!(detour(), 0, "nobody was asked for a detour");
    }
}

#[test]
fn the_turns_of_one_that_is_closed_go_to_the_others_exactly() {
    for n in [2, 3, 4, 7, 12] {
        for closed in 0..n {
            let (mut turn, mut detour) = (counter(), counter());
            let n_picks = n * (n - 1) * 10;
            let shares = shares(n, n_picks, || {
                round_robin(n, turn(), &mut detour, |place| place != closed)
            });
            for (place, &share) in shares.iter().enumerate() {
                let wanted = if place == closed { 0 } else { n * 10 };
                assert_eq!(share, wanted, "{shares:?} without {closed}");
            }
        }
    }
}

#[test]
fn the_turns_of_many_that_are_closed_go_to_the_others_evenly() {
    let cases: &[(usize, &[usize])] = &[
        (4, &[0, 1]),
        (5, &[0, 2]),
        (6, &[0, 1, 2]),
        (8, &[0, 2, 4, 6]),
        (12, &[0, 1, 2, 3, 4, 5, 6, 7]),
        (13, &[3, 4, 5]),
        (
            30,
            &[
                0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
            ],
        ),
    ];
    for &(n, closed) in cases {
        let (mut turn, mut detour) = (counter(), counter());
        let mut shares = shares(n, 100_000, || {
            round_robin(n, turn(), &mut detour, |place| !closed.contains(&place))
        });
        shares.retain(|&share| share > 0);
        assert_eq!(shares.len(), n - closed.len());
        assert_shares(&shares, &vec![1; shares.len()], 0.02);
    }
}

#[test]
fn five_one_one_has_no_more_than_three_in_a_row() {
    assert_eq!(weighted_picks(&[5, 1, 1], 8), [0, 0, 1, 0, 0, 2, 0, 0]);
}

#[test]
fn equal_weights_are_a_plain_round_robin() {
    assert_eq!(weighted_picks(&[3, 3, 3], 7), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn weighted_round_robin_gives_each_its_weight_of_a_million() {
    let cases: &[&[u32]] = &[
        &[1],
        &[7],
        &[5, 3],
        &[5, 1, 1, 3],
        &[100, 50, 25, 25],
        &[256, 1, 1, 1, 1, 60],
        &[9, 9, 9, 9, 9, 9, 9, 9, 9, 19],
    ];
    for &weights in cases {
        let picks = weighted_picks(weights, MILLION);
        let n_rounds = MILLION / total(weights);
        let mut shares = vec![0; weights.len()];
        for place in &picks[..n_rounds * total(weights)] {
            shares[*place] += 1;
        }
        let wanted: Vec<usize> = weights
            .iter()
            .map(|&weight| weight as usize * n_rounds)
            .collect();
        assert_eq!(shares, wanted, "{weights:?}");
    }
}

#[test]
fn the_turns_of_a_closed_one_go_to_the_others_by_their_weights() {
    let weights = [5, 3, 2, 7, 7, 1];
    for closed in 0..weights.len() {
        let (seats, turn) = (seats_of(&weights), AtomicUsize::new(0));
        let mut shares = shares(weights.len(), MILLION / 4, || {
            weighted_round_robin(&seats, 7, &turn, |place| place != closed)
        });
        let mut others = weights.to_vec();
        assert_eq!(shares.remove(closed), 0);
        others.remove(closed);
        assert_shares(&shares, &others, 0.02);
    }
}

/// The goal: threads that share the counter get together what one alone would. The trick: as many
/// picks as all weights together, several times, and each number looked at by one thread only.
#[test]
fn threads_together_give_each_exactly_its_weight() {
    const N_THREADS: usize = 4;
    let weights = [5, 1, 2, 3, 1];
    let seats = seats_of(&weights);
    let counts: Vec<AtomicUsize> = weights.iter().map(|_| AtomicUsize::new(0)).collect();
    // Relaxed: joining the threads publishes the counts.
    let turn = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| {
                for _ in 0..total(&weights) * 1_000 {
                    let place = weighted_round_robin(&seats, 5, &turn, |_| true);
                    counts[place.expect("all are open")].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let shares: Vec<usize> = counts.into_iter().map(AtomicUsize::into_inner).collect();
    let wanted = weights.map(|weight| weight as usize * 4_000);
    assert_eq!(shares, wanted);
}

/// The longest run of one place, also from the end of the picks to their beginning.
fn longest_run(picks: &[usize]) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for idx in 1..picks.len() * 2 {
        let is_same = picks[idx % picks.len()] == picks[(idx - 1) % picks.len()];
        run = if is_same { run + 1 } else { 0 };
        longest = longest.max(run + 1);
    }
    longest
}

proptest! {
    #![proptest_config(Config { cases: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_round_of_any_weights_is_exact_and_has_no_long_run(
        weights in prop::collection::vec(prop_oneof![1_u32..6, 1_u32..=256], 2..20),
    ) {
        let picks = weighted_picks(&weights, total(&weights));
        let mut counts = vec![0; weights.len()];
        for &place in &picks {
            counts[place] += 1;
        }
        prop_assert_eq!(&counts, &weights);
        let mut sorted = weights.clone();
        sorted.sort_unstable();
        let second = sorted[sorted.len() - 2];
        let bound = max(&weights).div_ceil(second) as usize;
        prop_assert!(longest_run(&picks) <= bound, "{:?}", picks);
    }

    /// At no time has a place got more or less than its share by more than a few picks: the worst
    /// of 60,000 pools like these was off by 3.3.
    #[test]
    fn no_place_is_ever_far_from_its_share(
        weights in prop::collection::vec(prop_oneof![1_u32..6, 1_u32..=256], 2..20),
    ) {
        let total = total(&weights);
        let mut counts = vec![0; weights.len()];
        for (n_before, place) in weighted_picks(&weights, total).into_iter().enumerate() {
            counts[place] += 1;
            let n_picks = n_before + 1;
            for (&count, &weight) in counts.iter().zip(&weights) {
                let (got, due) = (count * total, weight as usize * n_picks);
                prop_assert!(got.abs_diff(due) <= 5 * total, "{count} of {n_picks}");
            }
        }
    }
}
