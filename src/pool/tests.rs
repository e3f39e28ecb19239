//! Turns, shares and tries of the pool.

use super::*;

mod options;

fn pool(n: usize) -> Pool {
    let url = |i| BackendUrl::parse(&format!("http://127.0.0.1:{}", 1 + i)).expect("a good URL");
    Pool::of((0..n).map(url).collect(), Instant::now())
}

fn id(pool: &Pool, idx: usize) -> u64 {
    pool.backends()[idx].id
}

fn take_down(pool: &Pool, idx: usize) {
    let down = Found::Bad("refused".to_owned());
    assert!(pool.probed(id(pool, idx), &down, Instant::now()));
}

/// Places of those tried.
fn pick(pool: &Pool, tried: &[usize], is_worker: bool) -> Result<Picked, NoPick> {
    let tried: Vec<u64> = tried.iter().map(|&idx| id(pool, idx)).collect();
    pool.pick(&Wish {
        tried: &tried,
        is_worker,
        ..Wish::plain(Instant::now())
    })
}

fn place(pool: &Pool, picked: &Picked) -> usize {
    let id = picked.claim.backend().id;
    let mut backends = pool.backends().into_iter();
    backends.position(|b| b.id == id).expect("it is a member")
}

fn shares(pool: &Pool, n_picks: usize) -> Vec<usize> {
    let mut shares = vec![0; pool.n_backends()];
    for _ in 0..n_picks {
        shares[place(pool, &pick(pool, &[], false).expect("one is up"))] += 1;
    }
    shares
}

#[test]
fn every_backend_that_is_up_gets_the_same_share() {
    let pool = pool(3);
    assert_eq!(shares(&pool, 3000), [1000, 1000, 1000]);
    take_down(&pool, 1);
    assert_eq!(shares(&pool, 3000), [1500, 0, 1500]);
}

#[test]
fn a_backend_that_was_tried_is_not_picked_again() {
    let pool = pool(3);
    for _ in 0..10 {
        let mut tried = Vec::new();
        while let Ok(picked) = pick(&pool, &tried, false) {
            tried.push(place(&pool, &picked));
        }
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 2]);
    }
}

#[test]
fn nobody_up_is_nobody_picked_but_a_lone_backend_always_is() {
    let two = pool(2);
    take_down(&two, 0);
    take_down(&two, 1);
    assert!(pick(&two, &[], false).is_err());
    let one = pool(1);
    take_down(&one, 0);
    assert!(pick(&one, &[], false).is_ok());
    assert!(
        pick(&one, &[0], false).is_err(),
        "but not twice for one request"
    );
}

#[test]
fn exchanges_never_take_the_last_one_down() {
    let pool = pool(2);
    for _ in 0..10 {
        for backend in pool.backends() {
            pool.exchange_failed(&backend, Fault::Answering, "reset", Instant::now());
        }
    }
    assert_eq!(pool.n_up(), 1);
}

#[test]
fn an_answer_between_failures_starts_the_count_again() {
    let pool = pool(2);
    let backend = Arc::clone(&pool.backends()[0]);
    for _ in 0..10 {
        pool.exchange_failed(&backend, Fault::Answering, "reset", Instant::now());
        pool.exchange_failed(&backend, Fault::Answering, "reset", Instant::now());
        pool.exchange_succeeded(&backend);
    }
    assert_eq!(pool.n_up(), 2);
}
#[test]
fn who_has_its_share_is_passed_over_and_its_turns_go_round_the_others() {
    let pool = pool(3).with_share(2);
    let hold = || pick(&pool, &[1, 2], true).expect("it is below its share");
    let holds = [hold(), hold()];
    let mut shares = [0; 3];
    for _ in 0..3000 {
        let hold = pick(&pool, &[], true).expect("two are below theirs");
        shares[place(&pool, &hold)] += 1;
    }
    assert_eq!(shares, [0, 1500, 1500]);
    assert_eq!(pick(&pool, &[1, 2], true).err(), Some(NoPick::AllBusy));
    assert_eq!(
        pick(&pool, &[0, 1, 2], true).err(),
        Some(NoPick::NobodyLeft)
    );
    assert!(
        pick(&pool, &[1, 2], false).is_ok(),
        "no share outside of the pool"
    );
    drop(holds);
    assert_eq!(pool.backends()[0].n_held(), 0);
    assert!(pick(&pool, &[1, 2], true).is_ok());
}

#[test]
fn the_only_one_up_may_hold_everybody() {
    for n in [1, 2] {
        let pool = pool(n).with_share(1);
        take_down(&pool, n - 1);
        let holds: Vec<_> = (0..9).map(|_| pick(&pool, &[], true)).collect();
        assert!(holds.iter().all(Result::is_ok), "{n} backends");
    }
}

#[test]
fn who_drains_itself_is_back_where_nobody_asks_any_more() {
    // Goal: a reload that switches probes off leaves nobody drained for ever.
    let pool = pool(2);
    let now = Instant::now();
    assert!(pool.probed(id(&pool, 0), &Found::Draining, now));
    assert_eq!(shares(&pool, 10), [0, 10]);
    let urls = pool.backends().into_iter().map(|b| b.url.clone());
    let mut spec = PoolSpec {
        name: DEFAULT_NAME.to_owned(),
        settings: PoolSettings::default(),
        backends: urls.map(BackendSpec::new).collect(),
    };
    let look_up = |url: &BackendUrl| vec![url.address()];
    pool.update(&spec, &look_up, now);
    assert_eq!(shares(&pool, 10), [0, 10], "the next probe will tell");
    spec.settings.probe.kind = ProbeKind::Off;
    pool.update(&spec, &look_up, now);
    assert_eq!(shares(&pool, 10), [5, 5]);
}

#[test]
fn a_returning_backend_is_spared_also_where_the_fewest_connections_count() {
    // Goal: among twenty that have ten exchanges each, who comes back with none is the one with the
    // fewest, turn after turn, and must not get them all. Trick: a hundred picks, none of which
    // ends, at the moment of its return, when its share is a tenth: of the fifteen that each has
    // then that is one or two.
    let url = |i| BackendUrl::parse(&format!("http://127.0.0.1:{}", 1 + i));
    let urls = (0..20).map(|i| url(i).expect("a good URL"));
    let spec = PoolSpec {
        name: DEFAULT_NAME.to_owned(),
        settings: PoolSettings {
            policy: Policy::LeastConnections,
            slow_start: std::time::Duration::from_secs(60),
            ..PoolSettings::default()
        },
        backends: urls.map(BackendSpec::new).collect(),
    };
    let now = Instant::now();
    let pool = Pool::new(&spec, &Arc::new(PlainU64::new(1)), now);
    take_down(&pool, 7);
    let pick = || pool.pick(&Wish::plain(now)).expect("all are open");
    let _before: Vec<_> = (0..190).map(|_| pick()).collect();
    let back = id(&pool, 7);
    for _ in 0..2 {
        assert!(pool.probed(back, &Found::Good, now));
    }
    assert_eq!(pool.n_up(), 20);
    let _after: Vec<_> = (0..100).map(|_| pick()).collect();
    let n = pool.backends()[7].n_in_flight();
    assert!((1..=2).contains(&n), "{n}");
}
