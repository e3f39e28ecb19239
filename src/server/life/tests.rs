//! The rule of the watchdog, told the time and what there is to see.

use super::*;

const INTERVAL: Duration = Duration::from_secs(8);
const HALF: Duration = Duration::from_secs(4);
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

fn seen(turns: u64) -> Seen {
    Seen {
        listener: Some(turns),
        health: Some(turns),
        traffic: Traffic {
            n_free: 4,
            n_taken: 0,
            n_waiting: 0,
        },
    }
}

/// A look, and the feed if one is to be given.
fn look(life: &mut Life, seen: &Seen, now: Instant) -> Result<bool, Stuck> {
    let looked = life.look(seen, now);
    if looked == Ok(true) {
        life.note_fed(seen, now);
    }
    looked
}

fn life() -> (Life, Instant) {
    let now = Instant::now();
    (Life::new(INTERVAL, QUEUE_TIMEOUT, seen(0), now), now)
}

/// With so many jobs that wait, workers that are free, and jobs taken.
fn queue(turns: u64, n_waiting: usize, n_free: u64, n_taken: u64) -> Seen {
    Seen {
        traffic: Traffic {
            n_free,
            n_taken,
            n_waiting,
        },
        ..seen(turns)
    }
}

#[test]
fn a_feed_is_due_each_half_of_the_interval() {
    let (mut life, now) = life();
    assert_eq!(
        look(&mut life, &seen(1), now + HALF.mul_f64(0.99)),
        Ok(false)
    );
    assert_eq!(look(&mut life, &seen(2), now + HALF), Ok(true));
    assert_eq!(
        look(&mut life, &seen(3), now + HALF.mul_f64(1.99)),
        Ok(false)
    );
    assert_eq!(look(&mut life, &seen(4), now + 2 * HALF), Ok(true));
}

#[test]
fn a_thread_that_does_not_turn_is_not_fed_for_until_it_does() {
    let (mut life, now) = life();
    let still = Seen {
        listener: Some(0),
        ..seen(9)
    };
    assert!(life.wants_turn(&still), "it may wait for ever otherwise");
    assert_eq!(look(&mut life, &still, now + HALF), Err(Stuck::Listener));
    let turned = Seen {
        listener: Some(1),
        ..seen(10)
    };
    assert!(!life.wants_turn(&turned));
    assert_eq!(look(&mut life, &turned, now + HALF.mul_f64(1.5)), Ok(true));
    // From there the next half counts, and the other thread stops.
    let stopped = Seen {
        health: Some(10),
        ..seen(11)
    };
    assert_eq!(look(&mut life, &stopped, now + 2 * HALF), Ok(false));
    assert_eq!(
        look(&mut life, &stopped, now + 3 * HALF),
        Err(Stuck::Health)
    );
}

#[test]
fn a_thread_that_has_ended_need_not_turn() {
    let (mut life, now) = life();
    let ended = Seen {
        listener: None,
        health: None,
        ..seen(1)
    };
    assert!(!life.wants_turn(&ended));
    assert_eq!(look(&mut life, &ended, now + HALF), Ok(true));
    assert_eq!(look(&mut life, &ended, now + 2 * HALF), Ok(true));
}

#[test]
fn jobs_that_nobody_takes_while_workers_are_free_are_a_stall_at_the_fifth_look() {
    // Goal: no feed then, also when the jobs have been refused meanwhile; a feed as soon as a
    // worker takes one.
    let (mut life, now) = life();
    for n in 1..STALLED_LOOKS {
        let at = now + life.look_interval() * n;
        assert_eq!(look(&mut life, &queue(n.into(), 3, 1, 7), at), Ok(false));
    }
    assert_eq!(
        look(&mut life, &queue(9, 3, 1, 7), now + HALF),
        Err(Stuck::Queue)
    );
    assert_eq!(
        look(&mut life, &queue(9, 0, 1, 7), now + HALF),
        Err(Stuck::Queue)
    );
    assert_eq!(look(&mut life, &queue(9, 0, 1, 8), now + HALF), Ok(true));
}

#[test]
fn four_looks_are_no_stall_nor_are_five_with_a_job_taken_between_them() {
    let (mut life, now) = life();
    for taken in [7, 7, 7, 7, 8, 8, 8] {
        assert_eq!(look(&mut life, &queue(1, 3, 1, taken), now), Ok(false));
    }
    assert_eq!(look(&mut life, &queue(1, 3, 1, 8), now + HALF), Ok(true));
}

#[test]
fn busy_workers_are_no_stall_however_long_the_queue_is() {
    let (mut life, now) = life();
    for turns in 1..100 {
        let at = now + HALF * u32::try_from(turns).expect("it is small");
        assert_eq!(look(&mut life, &queue(turns, 1000, 0, 7), at), Ok(true));
    }
}

#[test]
fn looks_are_frequent_enough_to_see_a_stall_before_its_jobs_are_refused() {
    for (interval, queue_timeout) in [(1, 3600), (30, 5), (3600, 1), (3600, 3600)] {
        let [interval, queue_timeout] = [interval, queue_timeout].map(Duration::from_secs);
        let life = Life::new(interval, queue_timeout, seen(0), Instant::now());
        let stalled_after = life.look_interval() * STALLED_LOOKS;
        assert!(stalled_after < queue_timeout && stalled_after < interval);
    }
}
