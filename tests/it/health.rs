//! How backends go down and come back, and what must not take them down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::harness::{Backend, Gate, HangingPort, Threadbare, level, ok};

/// Fails unless the line tells a cause and how long the state before it lasted: one of these.
#[track_caller]
fn assert_tells_cause_and_duration(line: &str, state: &str, was: &[&str]) {
    let (_, rest) = line
        .split_once(&format!(" is {state}: "))
        .expect("the line was found by this");
    let (cause, before) = rest.split_once(" (was ").expect(line);
    let (before, lasted) = before.split_once(" for ").expect(line);
    assert!(was.contains(&before), "{line}");
    assert!(cause.len() > 3, "a cause is told: {line}");
    let (lasted, _) = lasted.split_once(')').expect(line);
    let number_ends = lasted
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .expect(line);
    assert!(lasted[..number_ends].parse::<f64>().is_ok(), "{line}");
    assert!(
        ["s", "ms", "m", "h"]
            .iter()
            .any(|unit| lasted.ends_with(unit)),
        "{line}"
    );
}

#[test]
fn a_backend_that_refuses_goes_down_and_comes_back() {
    // Goal: the whole life of a state: failures are hidden from clients, one line when it goes
    // down, one when it is back, requests again afterwards; twice. Trick: a sequential client, the
    // line as the fence.
    let mut a = Backend::answering("a");
    let b = Backend::answering("b");
    let options = ["--health-interval", "100ms"];
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    let mut client = threadbare.client();
    for round in 1..=2 {
        a.stop();
        for _ in 0..8 {
            assert_eq!(client.get("/").text(), "b", "round {round}");
        }
        let down = threadbare.await_lines(&a.is("down"), round);
        // The first time it may go down before its first dial.
        let was = if round == 1 {
            &["up", "unknown"][..]
        } else {
            &["up"]
        };
        assert_tells_cause_and_duration(&down[round - 1], "down", was);
        assert_eq!(level(&down[round - 1]), "WARN");

        a.restart();
        let up = threadbare.await_lines(&a.is("up"), round);
        assert_tells_cause_and_duration(&up[round - 1], "up", &["down"]);
        assert_eq!(level(&up[round - 1]), "INFO");
        let before = a.seen.len();
        for _ in 0..8 {
            assert_eq!(client.get("/").status, 200, "round {round}");
        }
        assert_eq!(a.seen.len() - before, 4, "round {round}");
    }
    assert_eq!(
        threadbare.lines(" is down: ").len(),
        2,
        "one line per change"
    );
    assert_eq!(threadbare.lines(" is up: ").len(), 2, "one line per change");
}

#[test]
fn a_backend_goes_down_by_dials_alone() {
    // Goal: no request has to fail first. Trick: not one request is sent before the state changed.
    let mut a = Backend::answering("a");
    let b = Backend::answering("b");
    a.stop();
    let options = ["--health-interval", "100ms"];
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    threadbare.await_line(&a.is("down"));
    for _ in 0..6 {
        assert_eq!(threadbare.get("/").text(), "b");
    }
}

#[test]
fn every_kind_of_failure_takes_a_backend_down() {
    // Goal: three in a row by requests alone: reset, close and bad head. Trick: dials find nothing
    // wrong, as the backend accepts; POST, so that no retry blurs the count.
    for raw in ["", "HTTP/1.1 2x0 OK\r\n\r\n"] {
        let bad = Backend::start(move |mut conn| {
            conn.request()?;
            if raw.is_empty() {
                conn.reset();
                return Ok(());
            }
            conn.send(raw)
        });
        let good = Backend::answering("good");
        let options = ["--health-interval", "1h"];
        let threadbare = Threadbare::before(&[bad.addr, good.addr], &options);
        let mut statuses = Vec::new();
        for _ in 0..6 {
            let mut client = threadbare.client();
            client.send("POST / HTTP/1.1\r\nHost: front.test\r\n\r\n");
            statuses.push(client.answer().status);
        }
        let failed = statuses.iter().filter(|status| **status == 502).count();
        assert_eq!(failed, 3, "{statuses:?}");
        let line = threadbare.await_line(&bad.is("down"));
        assert_tells_cause_and_duration(&line, "down", &["up", "unknown"]);
        assert_eq!(
            bad.seen.len(),
            3,
            "the third failure is the last request it gets"
        );
    }
}

#[test]
fn a_head_that_never_comes_takes_a_backend_down() {
    // Goal: a timeout is a failure as well. Trick: as above.
    let bad = Backend::start(|mut conn| {
        conn.request()?;
        Err(conn.end())
    });
    let good = Backend::answering("good");
    let options = ["--health-interval", "1h", "--response-timeout", "100ms"];
    let threadbare = Threadbare::before(&[bad.addr, good.addr], &options);
    for _ in 0..6 {
        threadbare.get("/");
    }
    threadbare.await_line(&bad.is("down"));
    assert_eq!(bad.seen.len(), 3);
}

#[test]
fn failures_with_successes_between_them_take_nothing_down() {
    // Goal: three in a row means in a row. Trick: every third request to the bad one succeeds.
    let count = AtomicUsize::new(0);
    let flaky = Backend::start(move |mut conn| {
        loop {
            conn.request()?;
            if count.fetch_add(1, SeqCst) % 3 != 2 {
                return Ok(());
            }
            conn.send(ok("flaky"))?;
        }
    });
    let good = Backend::answering("good");
    let threadbare = Threadbare::before(&[flaky.addr, good.addr], &[]);
    for _ in 0..60 {
        let mut client = threadbare.client();
        client.send("POST / HTTP/1.1\r\nHost: front.test\r\n\r\n");
        client.answer();
    }
    assert_eq!(flaky.seen.len(), 30);
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn statuses_of_a_backend_are_no_failures() {
    // Goal: 500 and 503 are answers. A backend that sends nothing else stays up.
    let backend = Backend::replying(|_| {
        b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy".to_vec()
    });
    let good = Backend::answering("good");
    let threadbare = Threadbare::before(&[backend.addr, good.addr], &[]);
    for _ in 0..20 {
        threadbare.get("/");
    }
    assert_eq!(backend.seen.len(), 10);
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn the_last_backend_that_is_up_is_not_taken_down_by_requests() {
    // Goal: a pool never ejects itself over failing requests. Trick: one refuses and is down; the
    // other fails 12 times in a row, then does well: it must still be asked.
    let mut gone = Backend::answering("gone");
    gone.stop();
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let last = Backend::start(move |mut conn| {
        loop {
            conn.request()?;
            if !is_well.load(SeqCst) {
                return Ok(());
            }
            conn.send(ok("well"))?;
        }
    });
    let options = ["--health-interval", "100ms"];
    let threadbare = Threadbare::before(&[gone.addr, last.addr], &options);
    threadbare.await_line(&gone.is("down"));
    for n in 0..12 {
        assert_eq!(threadbare.get("/").status, 502, "request {n}");
    }
    well.store(true, SeqCst);
    assert_eq!(threadbare.get("/").text(), "well");
    assert_eq!(threadbare.lines(&last.is("down")), [""; 0]);
}

#[test]
fn a_lone_backend_is_always_tried() {
    // Goal: with one backend there is nothing to gain by not asking it. Trick: dials are an hour
    // apart, so only a request can find it back.
    let mut backend = Backend::answering("back");
    backend.stop();
    let threadbare = Threadbare::before(&[backend.addr], &["--health-interval", "1h"]);
    for _ in 0..6 {
        assert_eq!(threadbare.get("/").status, 503);
    }
    backend.restart();
    assert_eq!(threadbare.get("/").text(), "back");
}

#[test]
fn all_down_is_503_at_once() {
    // Goal: no backend up: 503 with Retry-After and a text, without waiting for any dial. Trick:
    // the backends swallow dials, and the connect timeout is far beyond the deadline of the test,
    // so an attempt to connect would show.
    let [a, b] = [HangingPort::take(), HangingPort::take()];
    let options = [
        "--connect-timeout",
        "1h",
        "--health-interval",
        "50ms",
        "--health-timeout",
        "50ms",
    ];
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    threadbare.await_lines(" is down: ", 2);
    let answer = threadbare.get("/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.one("Retry-After").is_some(), "{answer:?}");
    let kind = answer.head.one("Content-Type").unwrap_or_default();
    assert!(
        kind.starts_with("text/plain") && !answer.content.is_empty(),
        "{answer:?}"
    );
    let mut client = threadbare.client();
    client.send("HEAD / HTTP/1.1\r\nHost: front.test\r\n\r\n");
    assert_eq!(client.answer_to("HEAD").status, 503);
    assert_eq!(client.get("/").status, 503, "HEAD's answer had no content");
}

#[test]
fn hanging_backends_do_not_delay_the_detection_of_another() {
    // Goal: dials run side by side. Trick: 20 backends that swallow dials for a second each, three
    // dials for a state: one by one that is a minute; side by side a few seconds, and the refusing
    // one is known before the others.
    let hanging: Vec<HangingPort> = (0..20).map(|_| HangingPort::take()).collect();
    let mut refusing = Backend::answering("never");
    refusing.stop();
    let mut addrs: Vec<_> = hanging.iter().map(|port| port.addr).collect();
    addrs.push(refusing.addr);
    let options = ["--health-interval", "100ms", "--health-timeout", "1s"];
    let threadbare = Threadbare::before(&addrs, &options);
    threadbare.await_line(&refusing.is("down"));
    let lines = threadbare.await_lines(" is down: ", 21);
    assert!(lines[0].contains(&refusing.is("down")), "{lines:#?}");
}

#[test]
fn a_backend_counts_as_up_before_its_first_dial() {
    // Goal: the first request needs no dial before it. Trick: dials an hour apart and nothing else
    // to wait for.
    let backends = ["a", "b", "c"].map(Backend::answering);
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    let threadbare = Threadbare::before(&addrs, &["--health-interval", "1h"]);
    let mut client = threadbare.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(backends.iter().all(|backend| backend.seen.len() == 1));
}

#[test]
fn clients_that_give_up_mark_no_backend() {
    // Goal: what `curl -m 0.3` does to the article's program must not happen here. Trick: every
    // client is gone before the backend answers, 20 of them; then both backends still take turns.
    let gate = Gate::closed();
    let patient = |content: &'static str| {
        let gate = gate.clone();
        Backend::start(move |mut conn| {
            loop {
                if conn.request()?.head.word(1) == "/slow" {
                    gate.pass()?;
                }
                conn.send(ok(content))?;
            }
        })
    };
    let (a, b) = (patient("a"), patient("b"));
    let threadbare = Threadbare::before(&[a.addr, b.addr], &[]);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = threadbare.client();
        client.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
        clients.push(client);
    }
    a.await_requests(10);
    b.await_requests(10);
    for (n, client) in clients.into_iter().enumerate() {
        // Half of them crash, half of them close.
        if n % 2 == 0 {
            client.reset();
        }
    }
    gate.open();
    let mut client = threadbare.client();
    let before = [a.seen.len(), b.seen.len()];
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(
        [a.seen.len() - before[0], b.seen.len() - before[1]],
        [10, 10]
    );
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn a_dead_pool_answers_fast() {
    // Goal: within 50 ms by design; measured as the fastest of a few, so that a busy machine does
    // not count.
    let mut backends = ["a", "b", "c"].map(Backend::answering);
    backends.iter_mut().for_each(Backend::stop);
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    let threadbare = Threadbare::before(&addrs, &["--health-interval", "100ms"]);
    threadbare.await_lines(" is down: ", 3);
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(threadbare.get("/").status, 503);
        fastest = fastest.min(start.elapsed());
    }
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
}
