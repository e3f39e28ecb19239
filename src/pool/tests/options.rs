//! Picks by policy, weight, limit, cookie and state.

use super::*;

/// A pool of backends `127.0.0.1:1`, `:2` and so on, each made by `adapt` from its number.
fn pool_with(
    settings: PoolSettings,
    n: u16,
    adapt: impl Fn(u16, BackendSpec) -> BackendSpec,
) -> Pool {
    let backend = |i| {
        let url = BackendUrl::parse(&format!("http://127.0.0.1:{i}")).expect("a good URL");
        adapt(i, BackendSpec::new(url))
    };
    let spec = PoolSpec {
        name: DEFAULT_NAME.to_owned(),
        settings,
        backends: (1..=n).map(backend).collect(),
    };
    Pool::new(&spec, &Arc::new(PlainU64::new(1)), Instant::now())
}

fn by(policy: Policy) -> PoolSettings {
    PoolSettings {
        policy,
        ..PoolSettings::default()
    }
}

#[test]
fn weights_are_shares_by_every_policy_that_knows_them() {
    // With nothing in flight, least-connections gives all to the heaviest: not in this table.
    for policy in [Policy::WeightedRoundRobin, Policy::RandomTwoChoices] {
        let pool = pool_with(by(policy.clone()), 3, |i, spec| BackendSpec {
            weight: u32::from(i),
            ..spec
        });
        let shares = shares(&pool, 60_000);
        for (i, share) in shares.iter().enumerate() {
            let wanted = 10_000 * (i + 1);
            let tolerance = if policy == Policy::WeightedRoundRobin {
                0
            } else {
                wanted / 20
            };
            assert!(share.abs_diff(wanted) <= tolerance, "{policy}: {shares:?}");
        }
    }
}

#[test]
fn least_connections_goes_by_what_is_in_flight() {
    let pool = pool_with(by(Policy::LeastConnections), 3, |_, spec| spec);
    let held: Vec<_> = (0..5).map(|_| pick(&pool, &[1, 2], false)).collect();
    let others: Vec<_> = (0..10).map(|_| pick(&pool, &[], false)).collect();
    let load: Vec<_> = pool.backends().iter().map(|b| b.n_in_flight()).collect();
    assert_eq!(load, [5, 5, 5]);
    drop((held, others));
    assert!(pool.backends().iter().all(|b| b.n_in_flight() == 0));
}

#[test]
fn a_key_stays_where_it_is_until_its_backend_goes() {
    let hash = Policy::Hash {
        key: HashKey::Uri,
        max_load_percent: None,
    };
    let pool = pool_with(by(hash), 5, |_, spec| spec);
    let place_of = |key| {
        let wish = Wish {
            key: Some(key),
            ..Wish::plain(Instant::now())
        };
        place(&pool, &pool.pick(&wish).expect("somebody is up"))
    };
    let keys = || (0..1000_u64).map(balance::scatter);
    let before: Vec<_> = keys().map(place_of).collect();
    take_down(&pool, 2);
    for (key, before) in keys().zip(before) {
        let now = place_of(key);
        assert!(
            now == before || before == 2,
            "{key} went from {before} to {now}"
        );
    }
}

#[test]
fn a_bound_on_the_load_lets_a_hot_key_spill_over() {
    let hash = Policy::Hash {
        key: HashKey::Uri,
        max_load_percent: Some(125),
    };
    let pool = pool_with(by(hash), 4, |_, spec| spec);
    let wish = Wish {
        key: Some(7),
        ..Wish::plain(Instant::now())
    };
    let held: Vec<_> = (0..40)
        .map(|_| pool.pick(&wish).expect("they are up"))
        .collect();
    let most = pool.backends().iter().map(|b| b.n_in_flight()).max();
    assert!(most <= Some(13), "{most:?} of {} on one", held.len());
}

#[test]
fn a_backup_is_for_when_nobody_else_is_left() {
    let pool = pool_with(PoolSettings::default(), 3, |i, spec| BackendSpec {
        is_backup: i == 3,
        ..spec
    });
    assert_eq!(shares(&pool, 100), [50, 50, 0]);
    let last = pick(&pool, &[0, 1], false).expect("the backup is left");
    assert_eq!(place(&pool, &last), 2);
    take_down(&pool, 0);
    assert_eq!(shares(&pool, 100), [0, 100, 0]);
    take_down(&pool, 1);
    assert_eq!(shares(&pool, 100), [0, 0, 100]);
}

#[test]
fn who_is_full_is_passed_over_and_all_full_is_said() {
    let pool = pool_with(PoolSettings::default(), 2, |i, spec| BackendSpec {
        max_connections: Some(usize::from(i)),
        ..spec
    });
    let mut held: Vec<_> = (0..3)
        .map(|_| pick(&pool, &[], false).expect("there is room"))
        .collect();
    let load: Vec<_> = pool.backends().iter().map(|b| b.n_in_flight()).collect();
    assert_eq!(load, [1, 2]);
    assert_eq!(pick(&pool, &[], false).err(), Some(NoPick::AllFull));
    let now = Instant::now();
    let waited = pool.pick_or_wait(|| Wish::plain(now), now, || false);
    assert_eq!(waited.err(), Some(NoPick::AllFull), "its time was over");
    held.pop();
    assert!(pick(&pool, &[], false).is_ok());
}

#[test]
fn a_backend_on_trial_gets_one_request_at_a_time() {
    let pool = pool_with(
        PoolSettings {
            probe: Probe {
                kind: ProbeKind::Off,
                ..Probe::default()
            },
            ..PoolSettings::default()
        },
        2,
        |_, spec| spec,
    );
    let bad = Arc::clone(&pool.backends()[0]);
    let now = Instant::now();
    for _ in 0..3 {
        pool.exchange_failed(&bad, Fault::Answering, "reset", now);
    }
    assert_eq!(shares(&pool, 10), [0, 10]);
    let later = now + pool.settings().passive.eject_time;
    pool.tick(later);
    assert_eq!(pool.states()[0], State::Trial);
    let trial = pick(&pool, &[1], false).expect("the trial is free");
    assert!(trial.claim.is_trial());
    assert_eq!(shares(&pool, 10), [0, 10], "only one");
    drop(trial);
    let trial = pick(&pool, &[1], false).expect("nobody said how it went");
    pool.exchange_succeeded(trial.claim.backend());
    drop(trial);
    assert_eq!(shares(&pool, 10), [5, 5]);
}

#[test]
fn a_backend_that_comes_back_starts_with_a_tenth_of_its_share() {
    let settings = PoolSettings {
        slow_start: std::time::Duration::from_secs(3600),
        ..PoolSettings::default()
    };
    let pool = pool_with(settings, 2, |_, spec| spec);
    assert_eq!(shares(&pool, 100), [50, 50], "not at the start");
    take_down(&pool, 0);
    for _ in 0..2 {
        pool.probed(id(&pool, 0), &Found::Good, Instant::now());
    }
    let shares_now = shares(&pool, 2000);
    assert!((90..=110).contains(&shares_now[0]), "{shares_now:?}");
    take_down(&pool, 1);
    take_down(&pool, 1);
    take_down(&pool, 1);
    assert_eq!(shares(&pool, 100)[0], 100, "better a cold one than none");
}

#[test]
fn a_backend_that_is_added_gets_requests_once_a_probe_found_it_well() {
    let pool = pool(1);
    let now = Instant::now();
    let url = BackendUrl::parse("http://127.0.0.1:9").expect("a good URL");
    let spec = BackendSpec::new(url);
    assert_eq!(pool.add(spec.clone(), now), Ok(true));
    assert_eq!(pool.add(spec.clone(), now), Ok(false), "it is there");
    let other = BackendSpec { weight: 2, ..spec };
    assert!(matches!(
        pool.add(other, now),
        Err(ChangeError::Conflict(_))
    ));
    assert_eq!(shares(&pool, 10), [10, 0]);
    pool.probed(id(&pool, 1), &Found::Good, now);
    assert_eq!(shares(&pool, 10), [5, 5]);
}

#[test]
fn who_is_forced_is_as_an_operator_says() {
    let pool = pool(2);
    let now = Instant::now();
    take_down(&pool, 0);
    let force = |forced| pool.force("127.0.0.1:1", forced, now).expect("it is there");
    assert!(force(Some(Forced::Up)));
    assert!(!force(Some(Forced::Up)), "it is so");
    assert_eq!(shares(&pool, 10), [5, 5]);
    assert!(force(Some(Forced::Down)));
    assert_eq!(shares(&pool, 10), [0, 10]);
    assert!(force(None));
    assert_eq!(shares(&pool, 10), [0, 10], "its probes said so");
}

#[test]
fn a_client_stays_with_whom_its_cookie_names() {
    let settings = PoolSettings {
        sticky: Some(Sticky {
            cookie: "S".to_owned(),
            secret: None,
            max_age: None,
            is_secure: false,
        }),
        ..PoolSettings::default()
    };
    let pool = pool_with(settings, 3, |_, spec| spec);
    let now = Instant::now();
    let first = pool.pick(&Wish::plain(now)).expect("they are up");
    let wish = Wish {
        token: first.new_token,
        ..Wish::plain(now)
    };
    for _ in 0..5 {
        let again = pool.pick(&wish).expect("it is up");
        assert_eq!(place(&pool, &again), place(&pool, &first));
        assert_eq!(again.new_token, None, "it has the cookie");
    }
    take_down(&pool, place(&pool, &first));
    let other = pool.pick(&wish).expect("others are up");
    assert_ne!(other.new_token, wish.token);
    assert!(other.new_token.is_some(), "a new home, a new cookie");
}

#[test]
fn who_came_first_is_served_first() {
    // Goal: the line keeps its order, also when somebody comes while a place is free but promised.
    // Trick: each comes when the one before stands in line, and nobody moves before all do.
    let pool = pool_with(PoolSettings::default(), 1, |_, spec| BackendSpec {
        max_connections: Some(1),
        ..spec
    });
    let deadline = Instant::now() + std::time::Duration::from_secs(60);
    let now = Instant::now();
    let held = pool.pick(&Wish::plain(now)).expect("there is room");
    let (tell, served) = crossbeam_channel::unbounded();
    let order: Vec<usize> = std::thread::scope(|scope| {
        for n in 0..8 {
            let (pool, tell) = (&pool, tell.clone());
            scope.spawn(move || {
                let picked = pool.pick_or_wait(|| Wish::plain(now), deadline, || false);
                tell.send(n).expect("the test waits for it");
                drop(picked.expect("all are served"));
            });
            while pool.traffic.with_line(|line| line.len()) <= n {
                assert!(Instant::now() < deadline, "the {n}th does not wait");
                std::thread::yield_now();
            }
        }
        drop(held);
        served.iter().take(8).collect()
    });
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(pool.backends()[0].n_in_flight(), 0);
}
