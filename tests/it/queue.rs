//! The bounded queue between the listener and the workers: full, or waited too long.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Answer, Backend, DEADLINE, Gate, Threadbare};

/// `n` clients that each ask for `/slow`; their answers come in the order in which they are
/// answered.
fn ask_slow(threadbare: &Threadbare, n: usize) -> Receiver<Answer> {
    let (sender, answers) = channel();
    for _ in 0..n {
        let (mut client, sender) = (threadbare.client(), sender.clone());
        thread::spawn(move || {
            // The test may be over, and its receiver gone.
            let _ = sender.send(client.get("/slow"));
        });
    }
    answers
}

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
    let options = [
        "--workers",
        "2",
        "--long-haul",
        "0",
        "--queue",
        "3",
        "--queue-timeout",
        "1h",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let served = ask_slow(&threadbare, 2);
    backend.await_requests(2);
    let others = ask_slow(&threadbare, 3 + 20);
    for _ in 0..20 {
        assert_turned_away(&others.recv_timeout(DEADLINE).expect("20 find no place"));
    }
    assert_eq!(backend.seen.len(), 2);
    gate.open();
    for answers in [served, others] {
        for answer in answers {
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
    let served = ask_slow(&threadbare, 1);
    backend.await_requests(1);
    let start = Instant::now();
    let late = ask_slow(&threadbare, 5);
    for _ in 0..5 {
        assert_turned_away(&late.recv_timeout(DEADLINE).expect("it is turned away"));
        assert!(
            start.elapsed() >= Duration::from_millis(300),
            "{:?}",
            start.elapsed()
        );
    }
    gate.open();
    let answer = served.recv_timeout(DEADLINE).expect("the first is served");
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
    let served = ask_slow(&threadbare, 1);
    backend.await_requests(1);
    let mut client = threadbare.client();
    let answer = client.get("/quick");
    assert_turned_away(&answer);
    gate.open();
    assert_eq!(
        served
            .recv_timeout(DEADLINE)
            .expect("the first is served")
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
    let options = [
        "--workers",
        "1",
        "--long-haul",
        "0",
        "--queue",
        "1",
        "--queue-timeout",
        "1h",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let served = ask_slow(&threadbare, 1);
    backend.await_requests(1);
    // Once one of two is turned away, the other fills the queue.
    let queued = ask_slow(&threadbare, 2);
    assert_turned_away(&queued.recv_timeout(DEADLINE).expect("one finds no place"));
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
    for answer in served.iter().chain(queued) {
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
    let _served = ask_slow(&threadbare, 1);
    backend.await_requests(1);
    let answer = threadbare.get("/quick");
    assert_turned_away(&answer);
    assert_eq!(answer.head.one("Retry-After").as_deref(), Some("60"));
}
