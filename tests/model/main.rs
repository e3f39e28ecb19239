//! The models: small programs of a few threads, which loom runs under every interleaving.
//!
//! Built with `--cfg loom` only (`make model`); without it, this is an empty set of tests. `pick`,
//! `drain`, `editions`, `crew` and `idle` run the real pool, editions, crew and sleepers; `wave`
//! runs the shutdown's protocol, with a channel that loom can see. What the tests note about a run
//! goes through std's locks: loom does not see these, so that watching neither adds interleavings
//! nor hides a missing edge.
#![cfg(loom)]

mod channel;
mod crew;
mod drain;
mod editions;
mod idle;
mod pick;
mod wave;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A model has hundreds of interleavings and more. Without loom's locks in the product there are
/// but a few, those of starting and joining the threads, and each test would pass.
const MIN_RUNS: usize = 100;

/// Runs `program` under every interleaving with at most so many switches forced upon a thread
/// that could have gone on; those at a wait are free. Nearly all known bugs show with two, and a
/// model of five threads would run for hours without a bound. `LOOM_MAX_PREEMPTIONS` overrides it,
/// for a longer look.
fn run_all(max_preemptions: usize, program: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(max_preemptions));
    let n_runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_runs);
    builder.check(move || {
        // Relaxed: loom runs all threads of a model on one.
        counted.fetch_add(1, Ordering::Relaxed);
        program();
    });
    let n_runs = n_runs.load(Ordering::Relaxed);
    println!("{n_runs} interleavings");
    assert!(n_runs >= MIN_RUNS, "loom saw {n_runs} interleavings only");
}

/// What came out in any of the runs, to compare with what can: a model in which some of it never
/// happens looks away from where the trouble would be.
struct Outcomes<T>(Arc<Mutex<BTreeSet<T>>>);

impl<T: Clone + Ord> Outcomes<T> {
    fn new() -> Outcomes<T> {
        Outcomes(Arc::new(Mutex::new(BTreeSet::new())))
    }

    fn note(&self, outcome: T) {
        self.0.lock().expect(NO_PANIC).insert(outcome);
    }

    fn all(&self) -> Vec<T> {
        self.0.lock().expect(NO_PANIC).iter().cloned().collect()
    }
}

impl<T> Clone for Outcomes<T> {
    fn clone(&self) -> Outcomes<T> {
        Outcomes(Arc::clone(&self.0))
    }
}

/// Why no lock is ever poisoned, and every thread can be joined.
const NO_PANIC: &str = "a panic ends the whole model";
