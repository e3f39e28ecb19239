//! Whose turn it is by each policy: exact shares, fewest exchanges, and hashes that stay.

use std::collections::HashMap;

use crate::harness::{Answer, Backend, Client, Gate, Tape, Threadbare};

/// So that states change soon, and by dials alone.
const QUICK_HEALTH: [&str; 2] = ["--health-interval", "100ms"];

/// Asks one after the other; how many of the answers each backend gave, in the order of `names`.
#[track_caller]
fn shares<const N: usize>(client: &mut Client, n: usize, names: [&str; N]) -> [usize; N] {
    let mut shares = [0; N];
    for idx in 0..n {
        let answer = client.get("/");
        assert_eq!(answer.status, 200, "request {idx}: {answer:?}");
        let text = answer.text();
        let who = names.iter().position(|name| *name == text);
        shares[who.expect("one of the backends answers")] += 1;
    }
    shares
}

/// Sends a request for `/slow`; the answer is for later.
fn hold(threadbare: &Threadbare) -> Client {
    let mut client = threadbare.client();
    client.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    client
}

/// Requests that each backend has seen.
fn seen(backends: &[&Backend]) -> Vec<usize> {
    backends.iter().map(|backend| backend.seen.len()).collect()
}

/// Holds one more request, and waits until one of those that share the tape has it.
#[track_caller]
fn hold_one_more(threadbare: &Threadbare, arrivals: &Tape<&'static str>) -> Client {
    let n = arrivals.len();
    let client = hold(threadbare);
    arrivals.wait_for(n + 1, "requests at the backends");
    client
}

#[test]
fn weights_are_exact_and_no_bursts() {
    // Goal: 5:1:1 gives 500, 100 and 100 of 700, and the heavy one at most three in a row. Trick:
    // one kept connection, so that the order is known.
    let [a, b, c] = ["a", "b", "c"].map(Backend::answering);
    let backends = [(&a, ",weight=5"), (&b, ""), (&c, ",weight=1")];
    let options = ["--policy", "weighted-round-robin"];
    let threadbare = Threadbare::before_each(&backends, &options);
    let mut client = threadbare.client();
    let mut order = String::new();
    for _ in 0..700 {
        order.push_str(&client.get("/").text());
    }
    assert_eq!(seen(&[&a, &b, &c]), [500, 100, 100]);
    assert!(!order.contains("aaaa"), "{order}");
}

#[test]
fn weights_are_exact_again_after_one_was_away() {
    // Goal: whoever goes, the others share its turns by their weights, and when it is back all is
    // exact again at once. Trick: no request while a state changes, so that nothing else counts.
    let [mut a, mut b, c] = ["a", "b", "c"].map(Backend::answering);
    let options = [&QUICK_HEALTH[..], &["--policy", "weighted-round-robin"]].concat();
    let threadbare = Threadbare::before_each(&[(&a, ",weight=5"), (&b, ""), (&c, "")], &options);
    let mut client = threadbare.client();
    let names = ["a", "b", "c"];
    assert_eq!(shares(&mut client, 101, names).iter().sum::<usize>(), 101);

    b.stop();
    threadbare.await_line(&b.is("down"));
    assert_eq!(shares(&mut client, 600, names), [500, 0, 100]);
    b.restart();
    threadbare.await_line(&b.is("up"));
    assert_eq!(shares(&mut client, 700, names), [500, 100, 100]);

    a.stop();
    threadbare.await_line(&a.is("down"));
    assert_eq!(shares(&mut client, 600, names), [0, 300, 300]);
    a.restart();
    threadbare.await_line(&a.is("up"));
    assert_eq!(shares(&mut client, 700, names), [500, 100, 100]);
}

#[test]
fn fewest_exchanges_means_fewest_for_its_weight() {
    // Goal: who holds a request gets none while another holds none; of 12 that are held, each has
    // its weight's part. Trick: held requests are at their backends before the next one is sent.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let [a, b] = ["a", "b"].map(|name| Backend::holding_on(name, &gate, &tape));
    let threadbare =
        Threadbare::before_each(&[(&a, ""), (&b, "")], &["--policy", "least-connections"]);
    let held = hold_one_more(&threadbare, &tape);
    let is_a = a.seen.len() == 1;
    let wanted = if is_a { [0, 100] } else { [100, 0] };
    let mut client = threadbare.client();
    assert_eq!(shares(&mut client, 100, ["a", "b"]), wanted);
    drop((held, client));

    let tape = Tape::new();
    let [a, b] = ["a", "b"].map(|name| Backend::holding_on(name, &gate, &tape));
    let options = ["--policy", "least-connections"];
    let threadbare = Threadbare::before_each(&[(&a, ",weight=3"), (&b, "")], &options);
    let held: Vec<_> = (0..12).map(|_| hold_one_more(&threadbare, &tape)).collect();
    assert_eq!(seen(&[&a, &b]), [9, 3]);
    gate.open();
    for mut client in held {
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn fewest_exchanges_go_round_where_all_are_idle() {
    // Goal: sequential requests don't all fall to the first of those that tie.
    let [a, b, c] = ["a", "b", "c"].map(Backend::answering);
    let options = ["--policy", "least-connections"];
    let threadbare = Threadbare::before_each(&[(&a, ""), (&b, ""), (&c, "")], &options);
    let mut client = threadbare.client();
    let shares = shares(&mut client, 300, ["a", "b", "c"]);
    assert_eq!(shares, [100, 100, 100]);
}

#[test]
fn of_two_by_lot_the_one_with_fewer_is_taken() {
    // Goal: idle, all get about the same; who holds a request loses to any other. Trick: of three,
    // each pair of lots has one that holds nothing.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let [a, b, c] = ["a", "b", "c"].map(|name| Backend::holding_on(name, &gate, &tape));
    let names = ["a", "b", "c"];
    let options = ["--policy", "random-two-choices"];
    let threadbare = Threadbare::before_each(&[(&a, ""), (&b, ""), (&c, "")], &options);
    let mut client = threadbare.client();
    let idle = shares(&mut client, 900, names);
    assert!(idle.iter().all(|n| (200..=400).contains(n)), "{idle:?}");

    let _held = hold_one_more(&threadbare, &tape);
    let holder = tape.items()[900];
    let held_by = names.iter().position(|name| *name == holder);
    let held_by = held_by.expect("one of them has it");
    let busy = shares(&mut client, 600, names);
    assert_eq!(busy[held_by], 0, "{busy:?}");
    let others: Vec<_> = (0..3).filter(|idx| *idx != held_by).collect();
    assert!(others.iter().all(|idx| busy[*idx] > 200), "{busy:?}");
}

/// A policy that hashes, and how a request brings the key of this number, or none.
struct Hashed {
    policy: &'static str,
    options: &'static [&'static str],
    with_key: fn(usize) -> String,
    without_key: Option<&'static str>,
}

const HASHED: [Hashed; 4] = [
    Hashed {
        policy: "ip-hash",
        // Whom the TCP balancer before us serves: clients with as many addresses as we like.
        options: &["--listener", "gate", "--accept-proxy"],
        with_key: |n| {
            format!(
                "PROXY TCP4 192.0.2.{n} 127.0.0.1 1000 80\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
            )
        },
        // Every client on TCP has one.
        without_key: None,
    },
    Hashed {
        policy: "uri-hash",
        options: &[],
        with_key: |n| format!("GET /page?n={n} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        without_key: None,
    },
    Hashed {
        policy: "header-hash:X-User",
        options: &[],
        with_key: |n| {
            format!(
                "GET /{n} HTTP/1.1\r\nHost: a.test\r\nx-user: u{}\r\n\r\n",
                n % 60
            )
        },
        without_key: Some("GET / HTTP/1.1\r\nHost: a.test\r\nX-User: \r\n\r\n"),
    },
    Hashed {
        policy: "cookie-hash:session",
        options: &[],
        with_key: |n| {
            format!("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: x={n}; session=s{n}; y=1\r\n\r\n")
        },
        without_key: Some("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: Session=1\r\n\r\n"),
    },
];

const N_KEYS: usize = 60;

/// One request over a connection of its own.
#[track_caller]
fn send(threadbare: &Threadbare, request: &str) -> Answer {
    let mut client = threadbare.client();
    client.send(request);
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{request}: {answer:?}");
    answer
}

/// Which backend each key has.
#[track_caller]
fn homes(threadbare: &Threadbare, hashed: &Hashed) -> Vec<String> {
    (0..N_KEYS)
        .map(|key| send(threadbare, &(hashed.with_key)(key)).text())
        .collect()
}

fn count(homes: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for home in homes {
        *counts.entry(home.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn a_key_stays_and_only_those_of_a_backend_that_goes_move() {
    // Goal: the same key is always at the same backend; when that goes, its keys spread over the
    // others, and nobody else's move; when it is back, so are they. Trick: homes of all keys
    // before, without and again with it.
    for hashed in HASHED {
        let policy = hashed.policy;
        let [a, mut b, c] = ["a", "b", "c"].map(Backend::answering);
        let options = [&QUICK_HEALTH[..], &["--policy", policy], hashed.options].concat();
        let threadbare = Threadbare::before_each(&[(&a, ""), (&b, ""), (&c, "")], &options);
        let home = homes(&threadbare, &hashed);
        assert_eq!(homes(&threadbare, &hashed), home, "{policy}");
        assert_eq!(count(&home).len(), 3, "{policy}: {home:?}");

        b.stop();
        threadbare.await_line(&b.is("down"));
        let without = homes(&threadbare, &hashed);
        let mut moved_to = Vec::new();
        for (home, without) in home.iter().zip(&without) {
            if home == "b" {
                moved_to.push(without.clone());
            } else {
                assert_eq!(home, without, "{policy}");
            }
        }
        assert_eq!(count(&moved_to).len(), 2, "{policy}: {moved_to:?}");
        assert_eq!(count(&without).get("b"), None, "{policy}: {without:?}");

        b.restart();
        threadbare.await_line(&b.is("up"));
        assert_eq!(homes(&threadbare, &hashed), home, "{policy}");
    }
}

#[test]
fn a_key_is_at_the_same_backend_in_another_process() {
    // Goal: what is hashed is what is configured, not what is drawn at the start: a restart, or a
    // second balancer with its backends in another order, moves nobody.
    let hashed = &HASHED[1];
    let [a, b, c] = ["a", "b", "c"].map(Backend::answering);
    let options = ["--policy", hashed.policy];
    let one = Threadbare::before_each(&[(&a, ""), (&b, ""), (&c, "")], &options);
    let other = Threadbare::before_each(&[(&c, ""), (&a, ""), (&b, "")], &options);
    assert_eq!(homes(&one, hashed), homes(&other, hashed));
}

#[test]
fn what_has_no_key_is_served_and_spread() {
    // Goal: a request without what is hashed is served like any other, and such requests are no
    // load for one backend alone. Trick: three times as many as backends, in turn.
    for hashed in HASHED {
        let Some(without_key) = hashed.without_key else {
            continue;
        };
        let [a, b, c] = ["a", "b", "c"].map(Backend::answering);
        let options = [&["--policy", hashed.policy], hashed.options].concat();
        let threadbare = Threadbare::before_each(&[(&a, ""), (&b, ""), (&c, "")], &options);
        for _ in 0..9 {
            send(&threadbare, without_key);
        }
        assert_eq!(seen(&[&a, &b, &c]), [3, 3, 3], "{}", hashed.policy);
    }
}

#[test]
fn a_hot_key_spills_over_its_backends_bound_only() {
    // Goal: of requests for one key that are held, its backend has no more than 125% of the
    // average, rounded up, and the others have the rest; without the option it has all. When all is
    // quiet the key is at home again. Trick: each is at its backend before the next one comes.
    const N_HELD: usize = 9;
    for (option, most) in [(&["--hash-max-load", "125%"][..], 4), (&[], N_HELD)] {
        let (gate, tape) = (Gate::closed(), Tape::new());
        let backends = ["a", "b", "c"].map(|name| Backend::holding_on(name, &gate, &tape));
        let [a, b, c] = &backends;
        let options = [&["--policy", "uri-hash"], option].concat();
        let threadbare = Threadbare::before_each(&[(a, ""), (b, ""), (c, "")], &options);
        let held: Vec<_> = (0..N_HELD)
            .map(|_| hold_one_more(&threadbare, &tape))
            .collect();
        let mut loads = seen(&[a, b, c]);
        loads.sort_unstable();
        assert_eq!(loads[2], most, "{option:?}: {loads:?}");
        assert_eq!(loads[0] > 0, most < N_HELD, "{option:?}: {loads:?}");
        gate.open();
        let homes: Vec<String> = held.into_iter().map(|mut c| c.answer().text()).collect();
        for _ in 0..10 {
            assert_eq!(threadbare.get("/slow").text(), homes[0], "{option:?}");
        }
    }
}

#[test]
fn a_bound_never_turns_a_request_away() {
    // Goal: where all others fail, a backend beyond its bound is better than none. Trick: the other
    // one counts as up and refuses, so that it has no load and no request ends there.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let a = Backend::holding_on("a", &gate, &tape);
    let refusing = Backend::refusing(|_| Ok(()));
    let options = [
        "--policy",
        "uri-hash",
        "--hash-max-load",
        "125%",
        "--health",
        "off",
        "--max-failures",
        "0",
    ];
    let threadbare = Threadbare::before_each(&[(&a, ""), (&refusing, "")], &options);
    let held: Vec<_> = (0..8).map(|_| hold_one_more(&threadbare, &tape)).collect();
    gate.open();
    for mut client in held {
        assert_eq!(client.answer().text(), "a");
    }
}
