//! What each policy of the pool costs, alone and under contention.
//!
//! As the pool has it: counters that all threads share, and loads side by side. The baseline is a
//! look at all loads.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use divan::{Bencher, black_box};
use threadbare::pool::balance::{
    Seat, are_even, identity_of, is_within_bound, key_of, least_connections, random_two_choices,
    rendezvous, round_robin, weighted_round_robin,
};

/// As many threads as a small machine has cores, and more than it has.
const THREADS: &[usize] = &[1, 2, 4, 8];

/// The pool of most users, and a thousand.
const POOL_SIZES: &[usize] = &[3, 1_000];

/// Picks in a sample: long enough that the threads of a sample run side by side.
const N_PICKS: u32 = 1_000;

fn main() {
    divan::main();
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn baseline_sum_of_all_loads(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, even);
    bencher.bench(|| (0..n).map(|place| pool.load(place)).sum::<usize>());
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn round_robin_all_open(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, even);
    bencher.bench(|| round_robin(n, pool.turn(), || pool.detour(), |_| true));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn round_robin_a_third_closed(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, even);
    bencher.bench(|| round_robin(n, pool.turn(), || pool.detour(), |place| place % 3 > 0));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn weighted_round_robin_weights_1_to_10(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, mixed);
    bencher.bench(|| weighted_round_robin(&pool.seats, 10, &pool.turn, |_| true));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn weighted_round_robin_a_third_closed(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, mixed);
    let is_open = |place| place % 3 > 0;
    bencher.bench(|| weighted_round_robin(&pool.seats, 10, &pool.turn, is_open));
}

/// The worst case: nearly all numbers are passed.
#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn weighted_round_robin_one_of_256(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, one_heavy);
    bencher.bench(|| weighted_round_robin(&pool.seats, 256, &pool.turn, |_| true));
}

/// All tie.
#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn least_connections_idle(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, even);
    bencher.bench(|| pool.pick_least(true));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn least_connections_busy(bencher: Bencher, n: usize) {
    let pool = Pool::busy(n, mixed);
    bencher.bench(|| pool.pick_least(true));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn random_two_choices_weights_1_to_10(bencher: Bencher, n: usize) {
    let pool = Pool::busy(n, mixed);
    bencher
        .bench(|| random_two_choices(&pool.seats, 10, random, |place| pool.load(place), |_| true));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn random_two_choices_one_of_256(bencher: Bencher, n: usize) {
    let pool = Pool::busy(n, one_heavy);
    bencher
        .bench(|| random_two_choices(&pool.seats, 256, random, |place| pool.load(place), |_| true));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn rendezvous_weights_1_to_10(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, mixed);
    bencher.bench(|| rendezvous(&pool.seats, random(), |_| true));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn rendezvous_weights_1_to_256(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, wide);
    bencher.bench(|| rendezvous(&pool.seats, random(), |_| true));
}

#[divan::bench(threads = THREADS, args = POOL_SIZES, sample_size = N_PICKS)]
fn rendezvous_a_fifth_over_its_bound(bencher: Bencher, n: usize) {
    let pool = Pool::busy(n, even);
    let total_load = (0..n).map(|place| pool.load(place)).sum();
    bencher.bench(|| {
        rendezvous(&pool.seats, random(), |place| {
            is_within_bound(pool.load(place), 1, total_load, n as u64, 110)
        })
    });
}

/// Nobody is open: the worst that a full pool pays before it says so.
#[divan::bench(args = POOL_SIZES, sample_size = 100)]
fn rendezvous_all_closed(bencher: Bencher, n: usize) {
    let pool = Pool::of(n, mixed);
    bencher.bench(|| rendezvous(&pool.seats, random(), |_| false));
}

#[divan::bench(args = POOL_SIZES, sample_size = 100)]
fn least_connections_all_closed(bencher: Bencher, n: usize) {
    let pool = Pool::busy(n, mixed);
    bencher.bench(|| pool.pick_least(false));
}

#[divan::bench]
fn key_of_an_address(bencher: Bencher) {
    bencher.bench(|| key_of(black_box(b"203.0.113.195")));
}

struct Pool {
    seats: Vec<Seat>,
    are_even: bool,
    /// Side by side, as in the real one.
    loads: Vec<AtomicUsize>,
    turn: AtomicUsize,
    detour: AtomicUsize,
}

impl Pool {
    fn of(n: usize, weight: fn(usize) -> u32) -> Pool {
        let seat = |place| Seat {
            weight: weight(place),
            identity: identity_of(&format!("127.0.0.1:{}", 8081 + place)),
        };
        let seats: Vec<Seat> = (0..n).map(seat).collect();
        Pool {
            are_even: are_even(&seats),
            seats,
            loads: (0..n).map(|_| AtomicUsize::new(0)).collect(),
            turn: AtomicUsize::new(0),
            detour: AtomicUsize::new(0),
        }
    }

    /// With loads of about 10, each its own.
    fn busy(n: usize, weight: fn(usize) -> u32) -> Pool {
        let pool = Pool::of(n, weight);
        for (seat, load) in pool.seats.iter().zip(&pool.loads) {
            let n = seat.weight as usize * 10 + place_below(seat.identity, 5);
            load.store(n, Ordering::Relaxed);
        }
        pool
    }

    // Relaxed, all of them: they publish nothing else, as in the pool.
    fn load(&self, place: usize) -> usize {
        self.loads[place].load(Ordering::Relaxed)
    }

    fn loads(&self) -> impl Iterator<Item = usize> + Clone {
        (0..self.seats.len()).map(|place| self.load(place))
    }

    /// By least connections, where all places are open, or none is.
    fn pick_least(&self, are_open: bool) -> Option<usize> {
        let (turn, loads) = (self.turn(), self.loads());
        least_connections(&self.seats, self.are_even, turn, &loads, |_| are_open)
    }

    fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn detour(&self) -> usize {
        self.detour.fetch_add(1, Ordering::Relaxed)
    }
}

fn even(_: usize) -> u32 {
    1
}

fn mixed(place: usize) -> u32 {
    [3, 10, 1, 7, 2, 9, 4, 6, 8, 5][place % 10]
}

fn wide(place: usize) -> u32 {
    1 + u32::try_from(place * 97 % 256).unwrap_or_default()
}

fn one_heavy(place: usize) -> u32 {
    if place == 0 { 256 } else { 1 }
}

fn place_below(bits: u64, n: usize) -> usize {
    usize::try_from(bits >> 32).unwrap_or_default() % n
}

/// As a thread of the pool draws: from a state of its own.
fn random() -> u64 {
    thread_local!(static STATE: Cell<u64> = const { Cell::new(1) });
    STATE.with(|state| {
        let mut bits = state.get();
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        state.set(bits);
        bits
    })
}
