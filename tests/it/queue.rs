//! The bounded queue between the listener and the workers: full, or waited too long.

use std::time::{Duration, Instant};

use crate::harness::{Answer, Backend, DEADLINE, Gate, Threadbare, room_for};

#[track_caller]
fn assert_turned_away(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds = answer.head.one("Retry-After").unwrap_or_default();
    assert!(
        (1..=60).contains(&seconds.parse().unwrap_or(0)),
        "{answer:?}"
    );
    let kind = answer.head.one("Content-Type").unwrap_or_default();
    assert!(
        kind.starts_with("text/plain") && !answer.content.is_empty(),
        "{answer:?}"
    );
}

#[test]
fn a_full_queue_turns_away_at_once_and_keeps_what_it_has() {
    // Goal: 503 with Retry-After while every worker hangs; those in the queue are served later.
    // Trick: causal: the workers are released only after exactly those that found no place have
    // been turned away.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = room_for("2", "3");
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let served = threadbare.ask_slow(2);
    backend.await_requests(2);
    let others = threadbare.ask_slow(3 + 20);
    for _ in 0..20 {
        assert_turned_away(&others.recv_timeout(DEADLINE).expect("20 find no place").0);
    }
    assert_eq!(backend.seen.len(), 2);
    gate.open();
    for answers in [served, others] {
        for (answer, _) in answers {
            assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
        }
    }
    assert_eq!(backend.seen.len(), 5);
}

#[test]
fn a_job_that_waited_too_long_is_turned_away() {
    // Goal: 503 once the queue timeout is over, while the only worker still hangs, and not before;
    // the request is never sent afterwards. Trick: the worker is released only after the answer
    // has come.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = [
        "--workers",
        "1",
        "--long-haul",
        "0",
        "--queue-timeout",
        "300ms",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let served = threadbare.ask_slow(1);
    backend.await_requests(1);
    let start = Instant::now();
    let late = threadbare.ask_slow(5);
    for _ in 0..5 {
        assert_turned_away(&late.recv_timeout(DEADLINE).expect("it is turned away").0);
        assert!(
            start.elapsed() >= Duration::from_millis(300),
            "{:?}",
            start.elapsed()
        );
    }
    gate.open();
    let (answer, _) = served.recv_timeout(DEADLINE).expect("the first is served");
    assert_eq!(answer.status, 200);
    threadbare.stop();
    assert_eq!(backend.seen.len(), 1);
}

#[test]
fn a_client_that_was_turned_away_may_ask_again() {
    // Goal: its connection is as good as before. Trick: the same connection asks again after the
    // release.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = [
        "--workers",
        "1",
        "--long-haul",
        "0",
        "--queue-timeout",
        "100ms",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let served = threadbare.ask_slow(1);
    backend.await_requests(1);
    let mut client = threadbare.client();
    let answer = client.get("/quick");
    assert_turned_away(&answer);
    gate.open();
    assert_eq!(
        served
            .recv_timeout(DEADLINE)
            .expect("the first is served")
            .0
            .status,
        200
    );
    if answer.head.one("Connection").as_deref() == Some("close") {
        client.assert_ended();
        client = threadbare.client();
    }
    assert_eq!(client.get("/quick").text(), "done");
}

#[test]
fn the_listener_never_blocks_on_a_full_queue() {
    // Goal: however many come, each gets its answer. Trick: a hundred connections with three
    // requests each against one stuck worker and a queue of one.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = room_for("1", "1");
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let served = threadbare.ask_slow(1);
    backend.await_requests(1);
    // Once one of two is turned away, the other fills the queue.
    let queued = threadbare.ask_slow(2);
    assert_turned_away(&queued.recv_timeout(DEADLINE).expect("one finds no place").0);
    let mut turned_away = 0;
    for _ in 0..100 {
        let mut client = threadbare.client();
        client.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n".repeat(3));
        for _ in 0..3 {
            let answer = client.try_answer("GET");
            let Ok(answer) = answer else { break };
            assert_turned_away(&answer);
            turned_away += 1;
        }
    }
    assert!(turned_away >= 100, "{turned_away}");
    gate.open();
    for (answer, _) in served.iter().chain(queued) {
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn retry_after_says_a_minute_once_the_queue_is_seen_to_be_stuck() {
    // Goal: the advice is measured: nothing was taken for more than a second. Trick: one job waits
    // behind a worker that never comes back, for all of its queue timeout.
    let backend = Backend::holding("done", &Gate::closed());
    let options = [
        "--workers",
        "1",
        "--long-haul",
        "0",
        "--queue-timeout",
        "1500ms",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let _served = threadbare.ask_slow(1);
    backend.await_requests(1);
    let answer = threadbare.get("/quick");
    assert_turned_away(&answer);
    assert_eq!(answer.head.one("Retry-After").as_deref(), Some("60"));
}
