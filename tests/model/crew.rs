//! The crew under every interleaving of its foreman and its threads, and the holds on a backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loom::thread::{self, JoinHandle};
use threadbare::exchange::{Counts, Crew};
use threadbare::pool::{Backend, BackendUrl, Hold, Pool, Wish};

use crate::{NO_PANIC, Outcomes, run_all};

/// A slow exchange is older than this, a quick one is not.
const AFTER: Duration = Duration::from_secs(2);
/// What the models of three threads can afford: fewer miss what is rare.
const MAX_PREEMPTIONS: usize = 4;

/// The crew, its pool of two backends, and two moments: a slow exchange begins at the first, a
/// quick one at the second, at which the foreman looks.
#[derive(Clone)]
struct Scene {
    crew: Arc<Crew>,
    pool: Arc<Pool>,
    backends: Arc<Vec<Arc<Backend>>>,
    early: Instant,
    late: Instant,
    n_workers: usize,
    max_long_haul: usize,
}

impl Scene {
    fn new(n_workers: usize, max_long_haul: usize, max_held: usize) -> Scene {
        let url = |i| BackendUrl::parse(&format!("http://b{i}:1")).expect("it is a good URL");
        let early = Instant::now();
        let pool = Pool::of((0..2).map(url).collect(), early).with_share(max_held);
        Scene {
            crew: Arc::new(Crew::new(n_workers, max_long_haul, early, || ())),
            backends: Arc::new(pool.backends()),
            pool: Arc::new(pool),
            early,
            late: early + AFTER,
            n_workers,
            max_long_haul,
        }
    }

    /// Starts the threads that the pool lacks; `body` gets each one's slot.
    fn fill(&self, body: fn(&Scene, usize)) -> Vec<(usize, JoinHandle<()>)> {
        let mut threads = Vec::new();
        while let Some(idx) = self.crew.reserve() {
            self.check();
            let scene = self.clone();
            threads.push((idx, thread::spawn(move || body(&scene, idx))));
        }
        threads
    }

    /// A worker's hold on a backend, without the exchange, which is nothing to the crew.
    fn hold(&self, tried: &[u64]) -> Option<Hold> {
        let wish = Wish {
            tried,
            is_worker: true,
            ..Wish::plain(self.early)
        };
        self.pool.pick(&wish).ok()?.hold
    }

    /// Holds at every moment.
    fn check(&self) -> Counts {
        let counts = self.crew.counts();
        let Counts {
            n_pool,
            n_long_haul,
            n_free,
        } = counts;
        assert!(n_pool <= self.n_workers, "{counts:?}");
        assert!(n_long_haul <= self.max_long_haul, "{counts:?}");
        let n_slots = self.n_workers + self.max_long_haul;
        assert!(n_pool + n_long_haul + n_free <= n_slots, "{counts:?}");
        counts
    }

    /// Joins all, and looks whether every place came back, and every hold.
    fn finish(&self, threads: Vec<(usize, JoinHandle<()>)>) {
        for (_, thread) in threads {
            thread.join().expect(NO_PANIC);
        }
        for idx in self.crew.take_leaving() {
            self.crew.joined(idx);
        }
        let wanted = Counts {
            n_pool: 0,
            n_long_haul: 0,
            n_free: self.n_workers + self.max_long_haul,
        };
        assert_eq!(self.check(), wanted);
        for backend in self.backends.iter() {
            assert_eq!(backend.n_held(), 0);
        }
    }
}

/// One slow exchange, with a backend held.
fn serve_slowly(scene: &Scene, idx: usize) {
    let post = scene.crew.post(idx);
    post.begin(scene.early);
    if let Some(hold) = scene.hold(&[]) {
        post.keep(hold);
    }
    scene.check();
    post.end();
}

/// A slow exchange, and if the thread stays in the pool, a quick one.
fn serve_twice(scene: &Scene, idx: usize) {
    let post = scene.crew.post(idx);
    post.begin(scene.early);
    if let Some(hold) = scene.hold(&[]) {
        post.keep(hold);
    }
    if !post.end() {
        return;
    }
    assert!(!post.is_long_haul());
    post.begin(scene.late);
    let hold = scene
        .hold(&[scene.backends[1].id])
        .expect("no share is full");
    post.keep(hold);
    // The foreman has seen the exchange before this one: neither it nor its hold may be taken.
    assert!(!post.is_long_haul(), "a quick exchange was promoted");
    // The hold of the slow one may be on its way out, in the foreman's hands.
    let n_held = scene.backends[0].n_held();
    assert!((1..=2).contains(&n_held), "{n_held}");
    assert!(post.end(), "who was not promoted stays");
}

#[test]
fn exactly_the_slow_exchange_is_promoted_and_every_place_comes_back() {
    // Goal: the promotion of an exchange that ends at this moment costs nothing and touches not
    // the next one; a thread that was promoted leaves or comes back, and never is there one too
    // many. Trick: the foreman looks and fills up twice while the thread goes from a slow exchange
    // to a quick one.
    let fates = Outcomes::new();
    let noted = fates.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let scene = Scene::new(1, 1, usize::MAX);
        let mut threads = scene.fill(serve_twice);
        for _ in 0..2 {
            let look = scene.crew.promote(scene.late, AFTER);
            let fresh = scene.fill(|scene, idx| drop(scene.crew.post(idx)));
            noted.note((look.promoted.len(), fresh.len()));
            threads.extend(fresh);
            for idx in scene.crew.take_leaving() {
                let at = threads.iter().position(|(of, _)| *of == idx);
                let (_, thread) = threads.remove(at.expect("it was started here"));
                thread.join().expect(NO_PANIC);
                scene.crew.joined(idx);
            }
        }
        scene.finish(threads);
    });
    for fate in [(0, 0), (1, 0), (1, 1)] {
        assert!(fates.all().contains(&fate), "{fate:?} never happened");
    }
}

#[test]
fn no_more_are_long_haul_than_may_be() {
    // Goal: two slow exchanges, one place: whoever asks for it, the foreman for one or a thread
    // for itself, one is promoted, once, and the other told so. Trick: both threads promote
    // themselves while the foreman promotes them.
    let refused = Outcomes::new();
    let noted = refused.clone();
    run_all(2, move || {
        let scene = Scene::new(2, 1, 1);
        let threads = scene.fill(|scene, idx| {
            let post = scene.crew.post(idx);
            post.begin(scene.early);
            if let Some(hold) = scene.hold(&[]) {
                post.keep(hold);
            }
            let is_out = post.begin_long_haul();
            assert_eq!(
                is_out,
                post.is_long_haul() && scene.check().n_long_haul == 1
            );
            if is_out {
                post.end_long_haul();
            }
            post.end();
        });
        let look = scene.crew.promote(scene.late, AFTER);
        assert!(look.promoted.len() <= 2);
        noted.note(look.was_refused);
        scene.finish(threads);
    });
    assert_eq!(refused.all(), [false, true]);
}

#[test]
fn a_hold_ends_with_its_exchange_or_with_its_promotion() {
    // Goal: a backend never has more than its share, and a promoted exchange never keeps a hold,
    // however the hold and the promotion meet. Trick: both backends have a share of one; one
    // thread in a slow exchange, the foreman promotes it, and its replacement picks at once.
    let held = Outcomes::new();
    let noted = held.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let scene = Scene::new(1, 1, 1);
        let mut threads = scene.fill(serve_slowly);
        let look = scene.crew.promote(scene.late, AFTER);
        threads.extend(scene.fill(serve_slowly));
        for backend in scene.backends.iter() {
            assert!(backend.n_held() <= 1);
        }
        noted.note(look.promoted.len());
        scene.finish(threads);
    });
    assert_eq!(held.all(), [0, 1]);
}

#[test]
fn holds_taken_at_the_same_time_never_exceed_the_share() {
    // Goal: the count is exact: no one gets in above the limit, and none is turned away below it.
    // Trick: three threads want the same backend, whose share is two; one of them comes again.
    let taken = Outcomes::new();
    let noted = taken.clone();
    // One switch less than elsewhere: each pick claims too, and five switches take an hour.
    run_all(MAX_PREEMPTIONS - 1, move || {
        let scene = Scene::new(1, 0, 2);
        let hold = |scene: &Scene| {
            let hold = scene.hold(&[scene.backends[1].id]);
            assert!(scene.backends[0].n_held() <= 2);
            hold.is_some()
        };
        let others = [(); 2].map(|()| {
            let scene = scene.clone();
            thread::spawn(move || hold(&scene))
        });
        let mine = [hold(&scene), hold(&scene)];
        let others = others.map(|other| other.join().expect(NO_PANIC));
        let n_taken = mine.iter().chain(&others).filter(|&&taken| taken).count();
        noted.note(n_taken);
        scene.finish(Vec::new());
    });
    assert_eq!(taken.all(), [2, 3, 4], "refused only while two hold it");
}

#[test]
fn a_close_ends_the_starting_of_threads() {
    // Goal: after the close nobody is started, whoever asks, and those who are there leave. Trick:
    // the worker closes while the foreman fills up behind a promotion.
    let started = Outcomes::new();
    let noted = started.clone();
    run_all(MAX_PREEMPTIONS, move || {
        let scene = Scene::new(1, 1, 1);
        let close = |scene: &Scene, idx| {
            serve_slowly(scene, idx);
            scene.crew.close();
        };
        let mut threads = scene.fill(close);
        scene.crew.promote(scene.late, AFTER);
        let is_closed = scene.crew.is_closed();
        let fresh = scene.fill(|scene, idx| drop(scene.crew.post(idx)));
        assert!(!is_closed || fresh.is_empty(), "started behind the close");
        scene.check();
        noted.note(fresh.len());
        threads.extend(fresh);
        scene.finish(threads);
    });
    assert_eq!(started.all(), [0, 1]);
}
