//! What share a backend gets that went and came back under load.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use crate::harness::{Backend, Threadbare};

/// Clients that ask without a pause.
const N_CLIENTS: usize = 4;
/// Requests of which the shares are looked at together.
const N_TOGETHER: usize = 300;
/// How often they are.
const N_ROUNDS: usize = 6;

#[test]
fn the_share_is_even_from_the_first_requests_on() {
    // Goal: evenness after a member went and came back, without slow start, and no request lost.
    // Trick: requests are counted, and not time: a busy machine makes fewer of them.
    let mut a = Backend::answering("a");
    let [b, c] = ["b", "c"].map(Backend::answering);
    let options = ["--health-interval", "200ms", "--backend-share", "100%"];
    let threadbare = Threadbare::before(&[a.addr, b.addr, c.addr], &options);
    let is_over = AtomicBool::new(false);
    let ask = || {
        let mut record = Vec::new();
        let mut client = threadbare.client();
        while !is_over.load(SeqCst) {
            let answer = client.get("/");
            assert_eq!(answer.status, 200, "no request is lost over it: {answer:?}");
            record.push((Instant::now(), answer.text() == "a"));
        }
        record
    };
    let record = thread::scope(|scope| {
        let clients: Vec<_> = (0..N_CLIENTS).map(|_| scope.spawn(ask)).collect();
        a.await_requests(20);
        a.stop();
        threadbare.await_line(&a.is("down"));
        a.restart();
        threadbare.await_line(&a.is("up"));
        let back = Instant::now();
        // Each other one has a third, so more than enough have been answered then.
        let n_before = b.seen.len();
        b.await_requests(n_before + N_TOGETHER * N_ROUNDS / 2);
        is_over.store(true, SeqCst);
        let records = clients.into_iter().map(ScopedJoinHandle::join);
        let record = records.flat_map(|record| record.expect("all requests are answered"));
        let mut record: Vec<_> = record.filter(|(at, _)| *at >= back).collect();
        record.sort_unstable();
        record
    });
    // Who was on its way when it came back is still the others'.
    let record = &record[2 * N_CLIENTS..];
    for (n, together) in record.chunks_exact(N_TOGETHER).take(N_ROUNDS).enumerate() {
        let n_its = together.iter().filter(|(_, is_its)| *is_its).count();
        let is_fair = (90..=110).contains(&n_its);
        assert!(is_fair, "{n_its} of {N_TOGETHER} in round {n}");
    }
    assert!(
        record.len() >= N_TOGETHER * N_ROUNDS,
        "{} only",
        record.len()
    );
}
