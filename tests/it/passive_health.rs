//! What exchanges say about a backend: who is ejected, for how long, and how it comes back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use crate::harness::{Backend, Client, DEADLINE, Gate, HangingPort, Seen, Threadbare, ok};

/// Only exchanges tell.
const UNPROBED: [&str; 2] = ["--health", "off"];

/// Resets every connection at whose request `fails` says so: it is told how many there were
/// before. Answers the others with its name. No connection is kept: that an old one is dead blames
/// nobody.
fn failing(name: &'static str, fails: impl Fn(usize) -> bool + Send + Sync + 'static) -> Backend {
    let count = AtomicUsize::new(0);
    Backend::start(move |mut conn| {
        conn.request()?;
        if fails(count.fetch_add(1, SeqCst)) {
            conn.reset();
            return Ok(());
        }
        let length = name.len();
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}");
        conn.send(format!("{head}\r\n\r\n{name}"))
    })
}

/// One POST, which is never retried, so that each failure is one request; its status.
#[track_caller]
fn post(client: &mut Client, target: &str) -> u16 {
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: front.test\r\n\r\n"
    ));
    client.answer().status
}

/// Sends requests until the backend has got so many.
#[track_caller]
fn post_until(threadbare: &Threadbare, backend: &Backend, n: usize) {
    let start = Instant::now();
    while backend.seen.len() < n {
        let n_seen = backend.seen.len();
        assert!(
            start.elapsed() < DEADLINE,
            "awaited {n} requests, got {n_seen}"
        );
        post(&mut threadbare.client(), "/");
    }
}

/// How long the log says that it lasted: `(was down for 2.1s)`.
#[track_caller]
fn lasted(line: &str) -> f64 {
    let (_, rest) = line.split_once(" for ").expect(line);
    let (number, _) = rest.split_once("s)").expect(line);
    number.parse().expect(line)
}

fn is_on_trial(backend: &Backend) -> String {
    backend.is("on trial")
}

#[test]
fn the_last_of_max_failures_in_a_row_ejects_and_one_less_does_not() {
    // Goal: N and N - 1, for several N; 0 is never. Trick: N - 1 failures, a success, and then
    // only failures: it has got exactly 2 N requests when it is down.
    for n in [1, 2, 5, 0] {
        let bad = failing("bad", move |seen| seen + 1 != n);
        let good = Backend::answering("good");
        let max_failures = n.to_string();
        let options = [&UNPROBED[..], &["--max-failures", &max_failures]].concat();
        let options = [
            &options[..],
            &["--eject-time", "1h", "--max-eject-time", "1h"],
        ]
        .concat();
        let threadbare = Threadbare::before(&[bad.addr, good.addr], &options);
        let mut client = threadbare.client();
        for _ in 0..40 {
            post(&mut client, "/");
        }
        threadbare.stop(); // with this, the log is whole
        let (n_downs, n_seen) = if n == 0 { (0, 20) } else { (1, 2 * n) };
        assert_eq!(threadbare.lines(" is down: ").len(), n_downs, "{n}");
        assert_eq!(bad.seen.len(), n_seen, "{n}");
    }
}

#[test]
fn failures_count_only_within_their_window() {
    // Goal: what failed before the window does not count. Trick: health checks of the good backend
    // are the clock: thirty of them take longer than the window, however fast the machine is.
    const PATH: &str = "/up";
    let serve = |seen: &Seen| {
        if seen.head.word(1) == PATH {
            ok("")
        } else {
            ok("good")
        }
    };
    let good = Backend::replying(serve);
    let bad = Backend::start(|mut conn| {
        while conn.request()?.head.word(1) == PATH {
            conn.send(ok(""))?;
        }
        conn.reset();
        Ok(())
    });
    let n_bad = || {
        let seen = bad.seen.items();
        seen.iter().filter(|s| s.head.word(1) != PATH).count()
    };
    let options = [
        "--health-path",
        PATH,
        "--health-interval",
        "100ms",
        "--max-failures",
        "4",
        "--failure-window",
        "2s",
    ];
    let threadbare = Threadbare::before(&[bad.addr, good.addr], &options);
    let mut client = threadbare.client();
    for round in 1..=2 {
        while n_bad() < 3 * round {
            post(&mut client, "/");
        }
        let ticks = |seen: &[Seen]| seen.iter().filter(|s| s.head.word(1) == PATH).count();
        let before = ticks(&good.seen.items());
        let is_over = |seen: &[Seen]| (ticks(seen) > before + 30).then_some(());
        good.seen.wait("thirty ticks", is_over);
    }
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
    // And the counter test: four at once do.
    while threadbare.lines(&bad.is("down")).is_empty() {
        assert!(n_bad() < 40, "a window of 2s and no 4 failures in it");
        post(&mut client, "/");
    }
}

#[test]
fn a_high_rate_of_failures_ejects_once_there_are_enough_exchanges() {
    // Goal: the share within the window, and the least number of exchanges. Trick: patterns whose
    // sums are done by hand. The window begins with the first failure, which is the first request:
    // one failure in two is 6 of 11 when the least number is first passed at a failure, one in
    // three 4 of 10; and where all fail, it is the tenth that is enough.
    let cases: [(usize, &str, Option<usize>); 5] = [
        (1, "50%", Some(10)),
        (2, "50%", Some(11)),
        (3, "50%", None),
        (3, "40%", Some(10)),
        (2, "56%", None),
    ];
    for (every, rate, wanted) in cases {
        let bad = failing("bad", move |seen| seen % every == 0);
        let good = Backend::answering("good");
        let options = [
            "--max-failures",
            "0",
            "--failure-rate",
            rate,
            "--failure-rate-min",
            "10",
            "--failure-window",
            "1h",
            "--eject-time",
            "1h",
            "--max-eject-time",
            "1h",
        ];
        let options = [&UNPROBED[..], &options].concat();
        let threadbare = Threadbare::before(&[bad.addr, good.addr], &options);
        let mut client = threadbare.client();
        for _ in 0..60 {
            post(&mut client, "/");
        }
        threadbare.stop(); // with this, the log is whole
        let n_downs = threadbare.lines(" is down: ").len();
        let case = format!("one in {every} at {rate}");
        assert_eq!(n_downs, usize::from(wanted.is_some()), "{case}");
        assert_eq!(bad.seen.len(), wanted.unwrap_or(30), "{case}");
    }
}

#[test]
fn each_ejection_is_twice_as_long_up_to_the_cap() {
    // Goal: 0.3, 0.6, 1, 1 seconds and not 1.2, 2.4. Trick: the log tells how long it was down; a
    // busy machine makes that longer, never shorter, and the last one would be far longer without
    // the cap.
    let bad = failing("bad", |_| true);
    let good = Backend::answering("good");
    let options = ["--eject-time", "300ms", "--max-eject-time", "1s"];
    let options = [&UNPROBED[..], &options, &["--max-failures", "1"]].concat();
    let threadbare = Threadbare::before(&[bad.addr, good.addr], &options);
    for (round, (least, most)) in [(0.3, 9.9), (0.6, 9.9), (1.0, 9.9), (1.0, 2.3), (1.0, 4.7)]
        .into_iter()
        .enumerate()
    {
        post_until(&threadbare, &bad, round + 1);
        threadbare.await_lines(&bad.is("down"), round + 1);
        let lines = threadbare.await_lines(&is_on_trial(&bad), round + 1);
        let lasted = lasted(&lines[round]);
        assert!((least..most).contains(&lasted), "{round}: {lasted}");
    }
}

/// A backend that fails its requests but those that a gate holds: these end as it is told.
fn tried(gates: &[Gate], fails: &'static [bool]) -> Backend {
    let gates = gates.to_vec();
    let count = AtomicUsize::new(0);
    Backend::start(move |mut conn| {
        loop {
            conn.request()?;
            let n = count.fetch_add(1, SeqCst);
            // The first one ejects it.
            let trial = n.checked_sub(1);
            if let Some(gate) = trial.and_then(|trial| gates.get(trial)) {
                gate.pass()?;
            }
            let does_fail = trial.is_none_or(|trial| fails.get(trial) == Some(&true));
            if does_fail {
                conn.reset();
                return Ok(());
            }
            conn.send(ok("a"))?;
        }
    })
}

const SHORTLY: [&str; 6] = [
    "--max-failures",
    "1",
    "--eject-time",
    "300ms",
    "--max-eject-time",
    "1h",
];

/// Sends requests, each on its own connection, until one of them is held by the backend; returns
/// that one. The others are answered.
#[track_caller]
fn send_until_held(threadbare: &Threadbare, backend: &Backend, n: usize) -> Client {
    let start = Instant::now();
    loop {
        assert!(
            start.elapsed() < DEADLINE,
            "awaited request {n} at the backend"
        );
        let mut client = threadbare.client();
        client.send("POST / HTTP/1.1\r\nHost: front.test\r\n\r\n");
        // Answered at once by another backend, or held by this one: both are events, and looking
        // for both in turns needs no time of its own.
        let patience = std::time::Duration::from_millis(100);
        client.0.set_patience(Some(patience)).expect("it is open");
        loop {
            match client.head() {
                Ok(_) => break,
                Err(_) if backend.seen.len() >= n => {
                    client.0.set_patience(Some(DEADLINE)).expect("it is open");
                    return client;
                }
                Err(_) => assert!(start.elapsed() < DEADLINE, "awaited an answer"),
            }
        }
    }
}

#[test]
fn a_trial_is_one_request_and_its_end_decides() {
    // Goal: half-open: behind the ejection one request at a time goes there, a failure ejects for
    // twice as long, a success brings all traffic back. Trick: the trial is held in the backend
    // while fifty requests go past it.
    let gates = [Gate::closed(), Gate::closed()];
    let a = tried(&gates, &[true, false]);
    let (b, c) = (Backend::answering("b"), Backend::answering("c"));
    let options = [&UNPROBED[..], &SHORTLY].concat();
    let threadbare = Threadbare::before(&[a.addr, b.addr, c.addr], &options);
    post_until(&threadbare, &a, 1);
    for (round, gate) in gates.iter().enumerate() {
        let lines = threadbare.await_lines(&is_on_trial(&a), round + 1);
        let least = [0.3, 0.6][round];
        assert!(lasted(&lines[round]) >= least, "{lines:?}");
        let mut trial = send_until_held(&threadbare, &a, round + 2);
        let mut shares = BTreeMap::new();
        for _ in 0..50 {
            let answer = threadbare.get("/");
            assert_eq!(answer.status, 200);
            *shares.entry(answer.text()).or_insert(0) += 1;
        }
        let shares: Vec<_> = shares.into_iter().collect();
        assert_eq!(shares, [("b".to_owned(), 25), ("c".to_owned(), 25)]);
        assert_eq!(a.seen.len(), round + 2, "one at a time");
        gate.open();
        let is_good = round == 1;
        assert_eq!(trial.answer().status, if is_good { 200 } else { 502 });
        if !is_good {
            let line = &threadbare.await_lines(&a.is("down"), 2)[1];
            assert!(line.contains("(was on trial for "), "{line}");
        }
    }
    let line = threadbare.await_line(&a.is("up"));
    assert!(line.contains("it answers (was on trial for "), "{line}");
    let before = a.seen.len();
    let mut client = threadbare.client();
    for _ in 0..30 {
        assert_eq!(post(&mut client, "/"), 200);
    }
    assert_eq!(a.seen.len() - before, 10, "all of its share");
}

#[test]
fn a_client_that_goes_away_during_a_trial_leaves_it_to_the_next_request() {
    // Goal: it says nothing about the backend, neither good nor bad. Trick: three clients in turn
    // leave while theirs is held.
    let closed = Gate::closed();
    let gates = [closed.clone(), closed.clone(), closed];
    let a = tried(&gates, &[]);
    let b = Backend::answering("b");
    let options = [&UNPROBED[..], &SHORTLY].concat();
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    post_until(&threadbare, &a, 1);
    threadbare.await_line(&is_on_trial(&a));
    for round in 0..3 {
        let trial = send_until_held(&threadbare, &a, round + 2);
        assert_eq!(threadbare.get("/").text(), "b");
        if round % 2 == 0 {
            trial.reset();
        }
    }
    assert_eq!(threadbare.lines(&a.is("down")).len(), 1);
    assert_eq!(threadbare.lines(&a.is("up")), [""; 0]);
    post_until(&threadbare, &a, 5);
    threadbare.await_line(&a.is("up"));
}

#[test]
fn without_health_checks_only_a_trial_brings_a_backend_back() {
    // Goal: as nobody probes, a request finds out; also whether it can be connected to. Trick: it
    // refuses, then it is there again.
    let mut a = Backend::answering("a");
    a.stop();
    let b = Backend::answering("b");
    let options = [&UNPROBED[..], &SHORTLY].concat();
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    let mut client = threadbare.client();
    for round in 1..=2 {
        for _ in 0..4 {
            assert_eq!(client.get("/").text(), "b");
        }
        let line = &threadbare.await_lines(&a.is("down"), round)[round - 1];
        assert!(line.contains("connect: connection refused"), "{line}");
        threadbare.await_lines(&is_on_trial(&a), round);
    }
    a.restart();
    let start = Instant::now();
    while threadbare.lines(&a.is("up")).is_empty() {
        assert!(start.elapsed() < DEADLINE);
        assert_eq!(client.get("/").status, 200);
    }
    let before = a.seen.len();
    for _ in 0..10 {
        client.get("/");
    }
    assert_eq!(a.seen.len() - before, 5);
}

#[test]
fn what_could_not_be_connected_to_comes_back_by_health_checks_alone() {
    // Goal: no request is spent on finding out what a dial tells. Trick: no request at all between
    // the two lines.
    let mut a = Backend::answering("a");
    let b = Backend::answering("b");
    let interval = ["--health-interval", "1h", "--health-fast-interval", "200ms"];
    let threadbare = Threadbare::before(&[a.addr, b.addr], &[&interval[..], &SHORTLY].concat());
    let mut client = threadbare.client();
    client.get("/");
    a.stop();
    while threadbare.lines(&a.is("down")).is_empty() {
        assert_eq!(client.get("/").text(), "b");
    }
    a.restart();
    threadbare.await_line(&a.is("up"));
    assert_eq!(threadbare.lines("on trial"), [""; 0]);
}

#[test]
fn all_but_one_may_be_ejected_and_never_the_last() {
    // Goal: a pool does not eject itself, and 50% of four are two. Trick: all of them fail, long
    // after who goes is gone.
    for (max_ejected, n_out) in [("100%", 3), ("50%", 2), ("49%", 1), ("0%", 0)] {
        let backends = ["a", "b", "c", "d"].map(|name| failing(name, |_| true));
        let addrs = backends.each_ref().map(|backend| backend.addr);
        let options = ["--max-ejected", max_ejected, "--max-failures", "2"];
        let options = [&UNPROBED[..], &options, &["--eject-time", "1h"]].concat();
        let options = [&options[..], &["--max-eject-time", "1h"]].concat();
        let threadbare = Threadbare::before(&addrs, &options);
        let mut client = threadbare.client();
        for _ in 0..40 {
            assert_eq!(post(&mut client, "/"), 502, "{max_ejected}");
        }
        threadbare.stop(); // with this, the log is whole
        assert_eq!(threadbare.lines(" is down: ").len(), n_out, "{max_ejected}");
    }
}

#[test]
fn who_is_on_trial_does_not_make_the_last_good_one_ejectable() {
    // Goal: with one on trial, which takes one request at a time, the other is the last one up: it
    // may fail as it likes and is still asked. Trick: the trial is held meanwhile.
    let gate = Gate::closed();
    let a = tried(std::slice::from_ref(&gate), &[]);
    let b = failing("b", |seen| (10..20).contains(&seen));
    let options = [&UNPROBED[..], &SHORTLY].concat();
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    post_until(&threadbare, &a, 1);
    threadbare.await_line(&is_on_trial(&a));
    let mut trial = send_until_held(&threadbare, &a, 2);
    let mut client = threadbare.client();
    while b.seen.len() < 10 {
        assert_eq!(post(&mut client, "/"), 200);
    }
    for n in 10..20 {
        assert_eq!(post(&mut client, "/"), 502, "request {n}");
    }
    assert_eq!(post(&mut client, "/"), 200);
    assert_eq!(threadbare.lines(&b.is("down")), [""; 0]);
    gate.open();
    assert_eq!(trial.answer().status, 200);
    threadbare.await_line(&a.is("up"));
}

#[test]
fn with_nobody_else_up_a_trial_is_all_the_traffic() {
    // Goal: one on trial, the others down: better all requests there than 503 for all but one.
    // Trick: the trial is held while others are answered.
    let gate = Gate::closed();
    let held = gate.clone();
    let a = Backend::start(move |mut conn| {
        loop {
            match conn.request()?.head.word(1) {
                "/fail" => return Ok(()),
                "/slow" => held.pass()?,
                _ => {}
            }
            conn.send(ok("a"))?;
        }
    });
    let mut b = Backend::answering("b");
    let options = ["--health-interval", "100ms", "--fall", "1"];
    let threadbare = Threadbare::before(&[a.addr, b.addr], &[&options[..], &SHORTLY].concat());
    for _ in 0..2 {
        post(&mut threadbare.client(), "/fail");
    }
    b.stop();
    threadbare.await_line(&b.is("down"));
    threadbare.await_line(&is_on_trial(&a));
    let mut trial = threadbare.client();
    trial.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    a.await_requests(2);
    for _ in 0..5 {
        assert_eq!(threadbare.get("/").text(), "a");
    }
    gate.open();
    assert_eq!(trial.answer().text(), "a");
}

#[test]
fn statuses_count_as_failures_where_the_pool_says_so() {
    // Goal: each status in the set ejects, others do not, and the client gets the answer all the
    // same. Trick: nothing else is in the set, so that a reset is no failure here.
    let cases = [
        (Some(502), true),
        (Some(500), true),
        (Some(599), true),
        (Some(429), true),
        (Some(404), false),
        (Some(200), false),
        (None, false),
    ];
    for (status, is_failure) in cases {
        let bad = Backend::start(move |mut conn| {
            loop {
                conn.request()?;
                let Some(status) = status else {
                    conn.reset();
                    return Ok(());
                };
                let head = format!("HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n");
                conn.send(head)?;
            }
        });
        let good = Backend::answering("good");
        let options = ["--fail-on", "5xx,429", "--eject-time", "1h"];
        let options = [&UNPROBED[..], &options, &["--max-eject-time", "1h"]].concat();
        let threadbare = Threadbare::before(&[bad.addr, good.addr], &options);
        let mut client = threadbare.client();
        let mut n_bad = 0;
        for _ in 0..20 {
            n_bad += usize::from(post(&mut client, "/") == status.unwrap_or(502));
        }
        threadbare.stop(); // with this, the log is whole
        let (n_downs, n_seen) = if is_failure { (1, 3) } else { (0, 10) };
        assert_eq!(threadbare.lines(" is down: ").len(), n_downs, "{status:?}");
        assert_eq!(bad.seen.len(), n_seen, "{status:?}");
        let n_passed_on = if status == Some(200) { 20 } else { n_seen };
        assert_eq!(n_bad, n_passed_on, "{status:?}");
    }
}

#[test]
fn a_connect_that_takes_too_long_is_a_failure() {
    // Goal: a host that vanished is ejected like one that refuses, and no client notices. Trick: a
    // port that swallows connects.
    let gone = HangingPort::take();
    let good = Backend::answering("good");
    let options = ["--connect-timeout", "100ms", "--max-failures", "2"];
    let options = [&UNPROBED[..], &options, &["--eject-time", "1h"]].concat();
    let options = [&options[..], &["--max-eject-time", "1h"]].concat();
    let threadbare = Threadbare::before(&[gone.addr, good.addr], &options);
    let mut client = threadbare.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "good");
    }
    threadbare.stop(); // with this, the log is whole
    let lines = threadbare.lines(" is down: ");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let is_told = lines[0].contains("connect: ") && lines[0].contains("timed out");
    assert!(is_told, "{lines:?}");
}

#[test]
fn when_all_are_down_they_are_tried_or_refused() {
    // Goal: --when-all-down. Trick: health checks say that all are ill, and requests would be
    // answered well.
    for (rule, status) in [("503", 503), ("try", 200)] {
        let start = |name| {
            Backend::replying(move |seen| match seen.head.word(1) {
                "/up" => b"HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n".to_vec(),
                _ => ok(name),
            })
        };
        let backends = ["a", "b", "c"].map(start);
        let addrs = backends.each_ref().map(|backend| backend.addr);
        let options = ["--health-path", "/up", "--when-all-down", rule];
        let threadbare = Threadbare::before(&addrs, &options);
        threadbare.await_lines(" is down: ", 3);
        let mut names = Vec::new();
        for _ in 0..9 {
            let answer = threadbare.get("/");
            assert_eq!(answer.status, status, "{answer:?}");
            names.push(answer.text());
        }
        for name in ["a", "b", "c"] {
            let n = names.iter().filter(|n| *n == name).count();
            assert_eq!(n, if status == 200 { 3 } else { 0 }, "{names:?}");
        }
    }
}
