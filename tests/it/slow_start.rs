//! The share of a backend that came back: small at first, then all of it.

use std::time::Instant;

use crate::harness::{Backend, Client, DEADLINE, Threadbare};

/// Asks one after the other; how many each backend answered.
#[track_caller]
fn shares(client: &mut Client, n: usize) -> [usize; 3] {
    let mut shares = [0; 3];
    for idx in 0..n {
        let answer = client.get("/");
        assert_eq!(answer.status, 200, "request {idx}: {answer:?}");
        let text = answer.text();
        let who = ["a", "b", "c"].iter().position(|name| *name == text);
        shares[who.expect("one of the backends answers")] += 1;
    }
    shares
}

/// Takes the middle one of three down and up again.
#[track_caller]
fn come_back(backend: &mut Backend, threadbare: &Threadbare) {
    backend.stop();
    threadbare.await_line(&backend.is("down"));
    backend.restart();
    threadbare.await_line(&backend.is("up"));
}

#[test]
fn who_came_back_gets_a_tenth_of_its_share_at_first() {
    // Goal: of its 100 turns of 300 it takes 10, and the others share the rest evenly; by every
    // policy that spreads. Trick: an hour, in which the share does not grow while a test runs. And
    // before it was away it had all of its share: at the start nobody is cold.
    for policy in [
        "round-robin",
        "weighted-round-robin",
        "least-connections",
        "random-two-choices",
    ] {
        let [a, mut b, c] = ["a", "b", "c"].map(Backend::answering);
        let options = [
            "--health-interval",
            "100ms",
            "--slow-start",
            "1h",
            "--policy",
            policy,
        ];
        let addrs = [a.addr, b.addr, c.addr];
        let threadbare = Threadbare::before(&addrs, &options);
        let mut client = threadbare.client();
        let [_, before, _] = shares(&mut client, 300);
        assert!((70..=130).contains(&before), "{policy}: {before}");
        come_back(&mut b, &threadbare);
        let [first, cold, last] = shares(&mut client, 300);
        assert!((5..=20).contains(&cold), "{policy}: {cold}");
        for other in [first, last] {
            assert!((100..=195).contains(&other), "{policy}: {first}, {last}");
        }
    }
}

#[test]
fn the_share_grows_to_all_of_it() {
    // Goal: from a tenth, never back, to exactly the same as the others. Trick: rounds of requests
    // until one is shared evenly, as many as it takes.
    let [a, mut b, c] = ["a", "b", "c"].map(Backend::answering);
    let of_it = ",slow_start=2s";
    let options = ["--health-interval", "100ms"];
    let backends = [(&a, of_it), (&b, of_it), (&c, of_it)];
    let threadbare = Threadbare::before_each(&backends, &options);
    let mut client = threadbare.client();
    come_back(&mut b, &threadbare);
    let start = Instant::now();
    let mut grown = vec![0];
    while grown.last() != Some(&100) {
        let [_, share, _] = shares(&mut client, 300);
        grown.push(share);
        assert!(start.elapsed() < DEADLINE, "{grown:?}");
    }
    // A round has one more or one less than its share, as turns are whole.
    let is_grown = grown.windows(2).all(|two| two[1] + 2 >= two[0]);
    assert!(is_grown, "{grown:?}");
    assert_eq!(shares(&mut client, 300), [100, 100, 100], "for good");
}

#[test]
fn the_option_of_a_backend_goes_before_the_pools() {
    // Goal: one with a slow start of its own, in a pool without, and the other way round.
    let of_both = [
        (",slow_start=1h", &[][..], 0..=20),
        (",slow_start=0", &["--slow-start", "1h"], 100..=100),
    ];
    for (of_it, of_pool, wanted) in of_both {
        let [a, mut b, c] = ["a", "b", "c"].map(Backend::answering);
        let options = [&["--health-interval", "100ms"], of_pool].concat();
        let backends = [(&a, ""), (&b, of_it), (&c, "")];
        let threadbare = Threadbare::before_each(&backends, &options);
        come_back(&mut b, &threadbare);
        let [_, share, _] = shares(&mut threadbare.client(), 300);
        assert!(wanted.contains(&share), "{of_it}: {share}");
    }
}

#[test]
fn a_cold_backend_is_better_than_none() {
    // Goal: while nobody else is up it gets everything, and no request is turned away.
    let [mut a, mut b] = ["a", "b"].map(Backend::answering);
    let options = ["--health-interval", "100ms", "--slow-start", "1h"];
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    let mut client = threadbare.client();
    come_back(&mut b, &threadbare);
    a.stop();
    threadbare.await_line(&a.is("down"));
    assert_eq!(shares(&mut client, 50), [0, 50, 0]);
}
