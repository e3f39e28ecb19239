//! The pool under every interleaving of picks and reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::thread::{self, JoinHandle};
use threadbare::pool::{Backend, BackendUrl, Fault, Found, Pool, State, Wish};

use crate::{NO_PANIC, Outcomes, run_all};

/// Failed exchanges in a row that take a backend down, and good dials that bring it back.
const MAX_FAILURES: usize = 3;
const RISE: usize = 2;
/// What all models here can afford; most are exhausted by it.
const MAX_PREEMPTIONS: usize = 5;

/// The pool, at one moment of time.
#[derive(Clone)]
struct Scene {
    pool: Arc<Pool>,
    /// The backends, in the order of their numbers here.
    backends: Arc<Vec<Arc<Backend>>>,
    now: Instant,
}

impl Scene {
    fn new(n_backends: usize) -> Scene {
        let url = |i| BackendUrl::parse(&format!("http://b{i}:1")).expect("it is a good URL");
        let now = Instant::now();
        let pool = Arc::new(Pool::of((0..n_backends).map(url).collect(), now));
        let backends = Arc::new(pool.backends());
        Scene {
            pool,
            backends,
            now,
        }
    }

    fn spawn<T: 'static>(&self, body: impl FnOnce(Scene) -> T + 'static) -> JoinHandle<T> {
        let scene = self.clone();
        thread::spawn(move || body(scene))
    }

    fn pick(&self, tried: &[usize]) -> Option<usize> {
        let tried: Vec<u64> = tried.iter().map(|&idx| self.backends[idx].id).collect();
        let wish = Wish {
            tried: &tried,
            ..Wish::plain(self.now)
        };
        let picked = self.pool.pick(&wish).ok()?;
        let id = picked.claim.backend().id;
        self.backends.iter().position(|backend| backend.id == id)
    }

    /// One bad dial is enough for a backend that no good one has reached before.
    fn dial_down(&self, idx: usize) {
        let found = Found::Bad("refused".to_owned());
        self.pool.probed(self.backends[idx].id, &found, self.now);
    }

    fn dial_up(&self, idx: usize) {
        for _ in 0..RISE {
            self.pool
                .probed(self.backends[idx].id, &Found::Good, self.now);
        }
    }

    fn fail_exchange(&self, idx: usize) {
        self.pool
            .exchange_failed(&self.backends[idx], Fault::Answering, "reset", self.now);
    }

    /// One more failed exchange may now take this one down.
    fn fail_all_exchanges_but_one(&self, idx: usize) {
        for _ in 1..MAX_FAILURES {
            self.fail_exchange(idx);
        }
    }

    /// Picks for each backend, with so many picks.
    fn shares(&self, n_picks: usize) -> Vec<usize> {
        let mut shares = vec![0; self.backends.len()];
        for _ in 0..n_picks {
            shares[self.pick(&[]).expect("somebody is up")] += 1;
        }
        shares
    }
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect(NO_PANIC)
}

#[test]
fn a_backend_that_went_down_is_not_picked_afterwards() {
    // Goal: a pick that begins after a report gets nobody whom it took down, also while another
    // report is under way. Trick: only the first of two reports is joined before the picks, so a
    // second one that puts back an older list would show.
    run_all(MAX_PREEMPTIONS, || {
        let scene = Scene::new(3);
        let first = scene.spawn(|scene| scene.dial_down(0));
        let second = scene.spawn(|scene| scene.dial_down(1));
        join(first);
        for _ in 0..2 {
            assert_ne!(scene.pick(&[]).expect("the third is up"), 0);
        }
        join(second);
        for _ in 0..2 {
            assert_eq!(scene.pick(&[]), Some(2));
        }
    });
}

#[test]
fn picks_at_the_same_time_are_even() {
    // Goal: no turn is given twice or skipped. Trick: five picks by three threads over two that
    // are up (and one that is not, so that places and indexes differ): any lost turn gives 4 + 1.
    run_all(MAX_PREEMPTIONS, || {
        let scene = Scene::new(3);
        scene.dial_down(1);
        let pickers = [
            scene.spawn(|scene| scene.shares(2)),
            scene.spawn(|scene| scene.shares(2)),
        ];
        let mut shares = scene.shares(1);
        for picker in pickers {
            for (sum, share) in shares.iter_mut().zip(join(picker)) {
                *sum += share;
            }
        }
        assert_eq!(shares, [3, 0, 2]);
    });
}

#[test]
fn a_pick_during_changes_finds_the_pool_as_it_was_at_some_moment() {
    // Goal: a pick never mixes two states, never panics, and finds nobody only if there was a
    // moment with nobody up. Trick: changes that end and begin are counted, and what was picked
    // must have been up after one of the changes between the two counts.
    const UP_AFTER: [&[usize]; 4] = [&[0, 1], &[1], &[], &[0]];
    let picked = Outcomes::new();
    let noted = picked.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let scene = Scene::new(2);
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let changer = {
            let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
            scene.spawn(move |scene| {
                let changes: [fn(&Scene); 3] = [
                    |scene| scene.dial_down(0),
                    |scene| scene.dial_down(1),
                    |scene| scene.dial_up(0),
                ];
                for change in changes {
                    begun.fetch_add(1, Ordering::Relaxed);
                    change(&scene);
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        for _ in 0..4 {
            let first = ended.load(Ordering::Relaxed);
            let pick = scene.pick(&[]);
            let last = begun.load(Ordering::Relaxed);
            let is_true_after = |up: &&[usize]| match pick {
                Some(idx) => up.contains(&idx),
                None => up.is_empty(),
            };
            assert!(
                UP_AFTER[first..=last].iter().any(is_true_after),
                "picked {pick:?} between the changes {first} and {last}"
            );
            noted.note(pick);
        }
        join(changer);
        assert_eq!(scene.pick(&[]), Some(0));
    });
    assert_eq!(picked.all(), [None, Some(0), Some(1)]);
}

#[test]
fn failed_exchanges_never_take_the_last_one_down() {
    // Goal: however the reports of three workers meet, one backend stays up, and only one: each
    // had a reason to go. Trick: all are one failure short, then each worker reports one of them
    // and picks at once, when the other two may just have gone.
    let survivors = Outcomes::new();
    let noted = survivors.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let scene = Scene::new(3);
        for idx in 0..3 {
            scene.fail_all_exchanges_but_one(idx);
        }
        let fail_and_pick = |idx| {
            move |scene: Scene| {
                scene.fail_exchange(idx);
                assert!(scene.pick(&[]).is_some(), "the last one is down");
            }
        };
        let others = [1, 2].map(|idx| scene.spawn(fail_and_pick(idx)));
        fail_and_pick(0)(scene.clone());
        for other in others {
            join(other);
        }
        assert_eq!(scene.pool.n_up(), 1);
        let survivor = scene.pick(&[]);
        noted.note(survivor);
    });
    assert_eq!(survivors.all(), [0, 1, 2].map(Some));
}

#[test]
fn a_request_tries_each_backend_once_while_they_come_and_go() {
    // Goal: no backend is tried twice, and nobody who is up all the time is left out. Trick: the
    // middle one goes and comes back between the attempts, which shifts everybody's place.
    let orders = Outcomes::new();
    let noted = orders.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let scene = Scene::new(3);
        let changer = scene.spawn(|scene| {
            for _ in 0..2 {
                scene.dial_down(1);
                scene.dial_up(1);
            }
        });
        let mut tried = Vec::new();
        while let Some(idx) = scene.pick(&tried) {
            assert!(!tried.contains(&idx), "{idx} again, after {tried:?}");
            tried.push(idx);
        }
        assert!(tried.contains(&0) && tried.contains(&2), "only {tried:?}");
        join(changer);
        noted.note(tried);
    });
    assert!(orders.all().contains(&vec![0, 1, 2]), "undisturbed");
    assert!(
        orders.all().contains(&vec![0, 2]),
        "the middle one was away"
    );
}

#[test]
fn after_reports_of_all_kinds_the_picks_agree_with_the_states() {
    // Goal: dials that take down and bring up, failed exchanges and picks, all at once, leave a
    // list of those up that says what their states say. Trick: the end is the same whatever the
    // order, and it is read in both ways: by the states, and by the shares of four picks.
    run_all(MAX_PREEMPTIONS, || {
        let scene = Scene::new(3);
        scene.fail_all_exchanges_but_one(1);
        let dialer = scene.spawn(|scene| {
            scene.dial_down(0);
            scene.dial_up(0);
        });
        let worker = scene.spawn(|scene| scene.fail_exchange(1));
        assert!(scene.pick(&[]).is_some(), "the third is up all the time");
        join(dialer);
        join(worker);
        let wanted = [State::Up, State::Down, State::Unknown];
        assert_eq!(scene.pool.states(), wanted);
        assert_eq!(scene.shares(4), [2, 0, 2]);
    });
}
