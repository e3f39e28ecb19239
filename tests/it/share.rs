//! No backend may hold more than its share of the workers, while others are up.

use crate::harness::{Answer, Backend, Client, Gate, Threadbare, ok};

/// Whatever hangs here shall stay in the pool.
const NO_LONG_HAUL: [&str; 4] = ["--workers", "4", "--long-haul", "0"];
const REASON: &str = "every backend that is up has its share of the workers";

/// Holds everything back until the gate opens.
fn stuck(name: &'static str, gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::start(move |mut conn| {
        loop {
            conn.request()?;
            gate.pass()?;
            conn.send(ok(name))?;
        }
    })
}

fn ask(threadbare: &Threadbare, target: &str) -> Client {
    let mut client = threadbare.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: front.test\r\n\r\n"));
    client
}

#[track_caller]
fn assert_busy(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains(REASON), "{answer:?}");
    let seconds = answer.head.one("Retry-After").unwrap_or_default();
    assert!(
        (1..=60).contains(&seconds.parse().unwrap_or(0)),
        "{answer:?}"
    );
    assert_eq!(
        answer.head.one("Connection"),
        None,
        "nothing is wrong with it"
    );
}

/// Requests, one after the other, until the stuck backend has two: its turn comes first, and then
/// again behind that of the others.
#[track_caller]
fn fill_share(threadbare: &Threadbare, stuck: &Backend, n_others: usize) -> Vec<Client> {
    let first = ask(threadbare, "/");
    stuck.await_requests(1);
    for _ in 0..n_others {
        assert_eq!(threadbare.get("/").status, 200);
    }
    let second = ask(threadbare, "/");
    stuck.await_requests(2);
    vec![first, second]
}

#[test]
fn a_backend_that_hangs_takes_its_share_and_the_others_serve() {
    // Goal: with one of two or three stuck, it gets half of the four workers and no more; the
    // requests of the others are all served, evenly. Trick: the stuck one never answers before the
    // gate opens, so whatever came to it beyond its share would hang.
    for n_others in [1, 2] {
        let gate = Gate::closed();
        let slow = stuck("slow", &gate);
        let others: Vec<_> = ["a", "b"][..n_others]
            .iter()
            .map(|name| Backend::holding(name, &gate))
            .collect();
        let mut addrs = vec![slow.addr];
        addrs.extend(others.iter().map(|other| other.addr));
        let threadbare = Threadbare::before(&addrs, &NO_LONG_HAUL);
        let hanging = fill_share(&threadbare, &slow, n_others);
        let before: Vec<_> = others.iter().map(|other| other.seen.len()).collect();
        let mut client = threadbare.client();
        for _ in 0..300 {
            assert_eq!(client.get("/").status, 200);
        }
        for (other, before) in others.iter().zip(before) {
            assert_eq!(other.seen.len() - before, 300 / n_others);
        }
        assert_eq!(slow.seen.len(), 2, "its share of four workers");
        gate.open();
        for mut client in hanging {
            assert_eq!(client.answer().text(), "slow");
        }
        assert!(threadbare.lines(" is down: ").is_empty());
        threadbare.stop();
    }
}

#[test]
fn when_all_have_their_share_a_request_is_turned_away_and_nobody_is_blamed() {
    // Goal: 503 with the reason and Retry-After at once, though two workers are free; served again
    // afterwards. Trick: a share of one each; the backends have theirs before the third comes.
    let gate = Gate::closed();
    let (a, b) = (Backend::holding("a", &gate), Backend::holding("b", &gate));
    let options = [&NO_LONG_HAUL[..], &["--backend-share", "25%"]].concat();
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    let hanging = [ask(&threadbare, "/slow"), ask(&threadbare, "/slow")];
    for backend in [&a, &b] {
        backend.await_requests(1);
    }
    let mut client = threadbare.client();
    for _ in 0..10 {
        assert_busy(&client.get("/"));
    }
    gate.open();
    for mut client in hanging {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(client.get("/").status, 200);
    assert!(threadbare.lines(" is down: ").is_empty());
}

#[test]
fn the_only_backend_that_is_up_has_no_limit() {
    // Goal: all four workers may hang in one backend if nobody else is up. Trick: alone, and with
    // one that is down; the backend itself says how many reached it.
    for has_other in [false, true] {
        let gate = Gate::closed();
        let backend = Backend::holding("a", &gate);
        let other = Backend::refusing(|_| Ok(()));
        let mut addrs = vec![backend.addr];
        addrs.extend(has_other.then_some(other.addr));
        let threadbare = Threadbare::before(&addrs, &NO_LONG_HAUL);
        if has_other {
            threadbare.await_line(&other.is("down"));
        }
        let hanging: Vec<_> = (0..4).map(|_| ask(&threadbare, "/slow")).collect();
        backend.await_requests(4);
        gate.open();
        for mut client in hanging {
            assert_eq!(client.answer().text(), "a");
        }
    }
}

#[test]
fn a_long_haul_thread_is_nobodys_share() {
    // Goal: with the promotion the backend's share is free again. Trick: a share of one, and five
    // that hang in the same two backends, one after the other.
    let gate = Gate::closed();
    let (a, b) = (Backend::holding("a", &gate), Backend::holding("b", &gate));
    let options = [
        "--workers",
        "2",
        "--long-haul-after",
        "20ms",
        "--log-level",
        "debug",
    ];
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    let mut hanging = Vec::new();
    for n in 1..=5 {
        hanging.push(ask(&threadbare, "/slow"));
        threadbare.await_lines("is a long-haul thread", n);
    }
    assert_eq!(threadbare.get("/").status, 200);
    gate.open();
    for mut client in hanging {
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn a_share_of_everything_is_no_limit() {
    // Goal: 100% is how it was: a stuck backend gets its turns. Trick: two workers, both of whose
    // turns fall to the stuck one.
    let gate = Gate::closed();
    let (slow, other) = (stuck("slow", &gate), Backend::holding("a", &gate));
    let options = [
        "--workers",
        "2",
        "--long-haul",
        "0",
        "--backend-share",
        "100%",
    ];
    let threadbare = Threadbare::before(&[slow.addr, other.addr], &options);
    let hanging = fill_share(&threadbare, &slow, 1);
    gate.open();
    for mut client in hanging {
        assert_eq!(client.answer().text(), "slow");
    }
}
