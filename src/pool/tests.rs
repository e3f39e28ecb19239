//! Turns, shares and tries of the pool.

use super::*;

fn pool(n: usize) -> Pool {
    let url = |i| BackendUrl::parse(&format!("http://b{i}:1")).expect("a good URL");
    Pool::new((0..n).map(url).collect(), Instant::now())
}

fn take_down(pool: &Pool, idx: usize) {
    let down = Err("refused".to_owned());
    pool.dialed(&pool.members()[idx], &down, Instant::now());
}

fn shares(pool: &Pool, n_picks: usize) -> Vec<usize> {
    let mut shares = vec![0; pool.members().len()];
    for _ in 0..n_picks {
        shares[pool.pick(&[]).expect("one is up").idx] += 1;
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
        while let Some(backend) = pool.pick(&tried) {
            tried.push(backend.idx);
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
    assert!(two.pick(&[]).is_none());
    let one = pool(1);
    take_down(&one, 0);
    assert!(one.pick(&[]).is_some());
    assert!(one.pick(&[0]).is_none(), "but not twice for one request");
}

#[test]
fn exchanges_never_take_the_last_one_down() {
    let pool = pool(2);
    for _ in 0..10 {
        for backend in pool.members() {
            pool.exchange_failed(backend, "reset", Instant::now());
        }
    }
    assert_eq!(pool.n_up(), 1);
}

#[test]
fn an_answer_between_failures_starts_the_count_again() {
    let pool = pool(2);
    let backend = Arc::clone(&pool.members()[0]);
    for _ in 0..10 {
        pool.exchange_failed(&backend, "reset", Instant::now());
        pool.exchange_failed(&backend, "reset", Instant::now());
        pool.exchange_succeeded(&backend);
    }
    assert_eq!(pool.n_up(), 2);
}
#[test]
fn who_has_its_share_is_passed_over_and_its_turns_go_round_the_others() {
    let pool = pool(3).with_share(2);
    let hold = || pool.pick_and_hold(&[1, 2]).expect("it is below its share");
    let holds = [hold(), hold()];
    let mut shares = [0; 3];
    for _ in 0..3000 {
        let hold = pool.pick_and_hold(&[]).expect("two are below theirs");
        shares[hold.backend().idx] += 1;
    }
    assert_eq!(shares, [0, 1500, 1500]);
    assert_eq!(pool.pick_and_hold(&[1, 2]).err(), Some(NoPick::AllBusy));
    assert_eq!(
        pool.pick_and_hold(&[0, 1, 2]).err(),
        Some(NoPick::NobodyLeft)
    );
    assert!(pool.pick(&[1, 2]).is_some(), "no share outside of the pool");
    drop(holds);
    assert_eq!(pool.members()[0].n_held(), 0);
    assert!(pool.pick_and_hold(&[1, 2]).is_ok());
}

#[test]
fn the_only_one_up_may_hold_everybody() {
    for n in [1, 2] {
        let pool = pool(n).with_share(1);
        take_down(&pool, n - 1);
        let holds: Vec<_> = (0..9).map(|_| pool.pick_and_hold(&[])).collect();
        assert!(holds.iter().all(Result::is_ok), "{n} backends");
    }
}
