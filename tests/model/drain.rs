//! Changes of the pool under every interleaving with picks: drain, remove, reload, and the waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loom::thread;
use threadbare::pool::{
    Backend, BackendSpec, BackendUrl, Fault, Found, NoPick, Pool, PoolSettings, PoolSpec, Wish,
};

use crate::{NO_PANIC, Outcomes, run_all};

/// What all models here can afford.
const MAX_PREEMPTIONS: usize = 3;
const NAMES: [&str; 3] = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"];

fn spec(n: usize, max_connections: Option<usize>) -> PoolSpec {
    let backend = |name: &&str| BackendSpec {
        max_connections,
        ..BackendSpec::new(BackendUrl::parse(&format!("http://{name}")).expect("it is good"))
    };
    PoolSpec {
        name: "default".to_owned(),
        settings: PoolSettings::default(),
        backends: NAMES[..n].iter().map(backend).collect(),
    }
}

/// A pool at one moment of time.
#[derive(Clone)]
struct Scene {
    pool: Arc<Pool>,
    now: Instant,
    /// Waits end by what happens, never by time, which stands still in a model.
    never: Instant,
}

impl Scene {
    fn new(n: usize, max_connections: Option<usize>) -> Scene {
        let now = Instant::now();
        let ids = Arc::new(std::sync::atomic::AtomicU64::new(1));
        Scene {
            pool: Arc::new(Pool::new(&spec(n, max_connections), &ids, now)),
            now,
            never: now + Duration::from_secs(86_400),
        }
    }

    /// One exchange with whoever is picked, whose name is returned.
    fn exchange(&self) -> Result<String, NoPick> {
        let picked = self.pool.pick(&Wish::plain(self.now))?;
        Ok(picked.claim.backend().name.clone())
    }

    fn update(&self, n: usize) {
        let look_up = |url: &BackendUrl| vec![url.address()];
        self.pool.update(&spec(n, None), &look_up, self.now);
    }
}

fn is_quiet(backends: &[Arc<Backend>]) -> bool {
    backends.iter().all(|backend| backend.n_in_flight() == 0)
}

#[test]
fn a_drain_that_returns_is_over_and_nothing_comes_behind_it() {
    // Goal: when the drain says that nothing is in flight, nothing is, and nothing comes. Trick:
    // two workers are anywhere in their exchanges; the count of all that the backend ever had must
    // stand still from the moment at which the drain returned.
    let caught = Outcomes::new();
    let noted = caught.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let scene = Scene::new(2, None);
        let first = Arc::clone(&scene.pool.backends()[0]);
        let workers = [(); 2].map(|()| {
            let scene = scene.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    scene.exchange().expect("the other one is there");
                }
            })
        });
        scene.pool.drain(NAMES[0], scene.now).expect("it is there");
        assert_eq!(scene.pool.await_drained(NAMES[0], scene.never), 0);
        let n_ever = first.n_requests();
        assert_eq!(first.n_in_flight(), 0);
        for worker in workers {
            worker.join().expect(NO_PANIC);
        }
        assert_eq!(first.n_requests(), n_ever, "a request behind the drain");
        noted.note(n_ever);
    });
    assert_eq!(caught.all(), [0, 1, 2], "before the drain, and behind it");
}

#[test]
fn who_waits_for_room_is_woken_by_whoever_leaves() {
    // Goal: no wake-up is lost: with room for one, three requests are served one after the other.
    // Trick: a lost one leaves a thread that waits for ever, which loom reports as a deadlock.
    run_all(2, || {
        let scene = Scene::new(1, Some(1));
        let serve = |scene: Scene| {
            let picked = scene
                .pool
                .pick_or_wait(|| Wish::plain(scene.now), scene.never, || false)
                .expect("there is room in the end");
            assert_eq!(picked.claim.backend().n_in_flight(), 1);
        };
        let others = [(); 2].map(|()| {
            let scene = scene.clone();
            thread::spawn(move || serve(scene))
        });
        serve(scene.clone());
        for other in others {
            other.join().expect(NO_PANIC);
        }
        assert!(is_quiet(&scene.pool.backends()));
    });
}

#[test]
fn who_waits_for_room_is_woken_by_a_backend_that_comes() {
    // Goal: room that a change makes is room too. Trick: the only backend is full for as long as
    // the claim lives, which is until the request has been served by the one that is added.
    run_all(MAX_PREEMPTIONS, || {
        let scene = Scene::new(1, Some(1));
        let full = scene
            .pool
            .pick(&Wish::plain(scene.now))
            .expect("it is free");
        let waiter = {
            let scene = scene.clone();
            thread::spawn(move || {
                let wish = || Wish::plain(scene.now);
                let picked = scene.pool.pick_or_wait(wish, scene.never, || false);
                picked.expect("one is added").claim.backend().name.clone()
            })
        };
        let added = spec(2, None).backends.remove(1);
        scene.pool.add(added, scene.now).expect("it is new");
        let id = scene.pool.backends()[1].id;
        scene.pool.probed(id, &Found::Good, scene.now);
        assert_eq!(waiter.join().expect(NO_PANIC), NAMES[1]);
        drop(full);
    });
}

#[test]
fn a_backend_that_was_removed_is_not_picked_and_every_count_comes_back() {
    // Goal: behind the removal nobody gets it, also while a report about it comes in late; and
    // what was in flight is counted to its end. Trick: each worker notes whether the removal had
    // returned before its pick began.
    let picked = Outcomes::new();
    let noted = picked.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let scene = Scene::new(2, None);
        let backends = scene.pool.backends();
        let is_removed = Arc::new(AtomicBool::new(false));
        let workers = [(); 2].map(|()| {
            let (scene, is_removed, noted) =
                (scene.clone(), Arc::clone(&is_removed), noted.clone());
            let first = Arc::clone(&backends[0]);
            thread::spawn(move || {
                for _ in 0..2 {
                    let was_removed = is_removed.load(Ordering::Relaxed);
                    let name = scene.exchange().expect("the other one is there");
                    assert!(!was_removed || name == NAMES[1], "{name} was removed");
                    noted.note(name);
                }
                let pool = &scene.pool;
                pool.exchange_failed(&first, Fault::Answering, "reset", scene.now);
            })
        });
        assert_eq!(scene.pool.remove(NAMES[0], scene.now), Ok(true));
        is_removed.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect(NO_PANIC);
        }
        assert!(is_quiet(&backends));
        assert_eq!(scene.pool.n_backends(), 1);
    });
    assert_eq!(picked.all(), NAMES[..2]);
}

#[test]
fn a_reload_and_a_drain_meet_picks_and_probes_and_lose_nothing() {
    // Goal: whatever the order, somebody can be picked at every moment, the drain outlasts the
    // reload, and all that is claimed is given back. Trick: the reload takes one away and brings
    // one; the drained one stays, so its drain must too.
    run_all(MAX_PREEMPTIONS, || {
        let scene = Scene::new(2, None);
        let old = scene.pool.backends();
        let reloader = {
            let scene = scene.clone();
            thread::spawn(move || scene.update(3))
        };
        let worker = {
            let scene = scene.clone();
            thread::spawn(move || scene.exchange().expect("the second is there all the time"))
        };
        scene.pool.drain(NAMES[0], scene.now).expect("it is there");
        assert_eq!(scene.exchange().as_deref(), Ok(NAMES[1]));
        worker.join().expect(NO_PANIC);
        reloader.join().expect(NO_PANIC);
        assert_eq!(
            scene.exchange().as_deref(),
            Ok(NAMES[1]),
            "the third is not probed yet"
        );
        let new = scene.pool.backends();
        assert_eq!((new[0].id, new[1].id), (old[0].id, old[1].id));
        scene.pool.probed(new[2].id, &Found::Good, scene.now);
        let two = [scene.exchange(), scene.exchange()];
        assert!(two.contains(&Ok(NAMES[2].to_owned())), "{two:?}");
        assert!(is_quiet(&new));
    });
}
