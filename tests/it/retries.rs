//! What a pool says about retries: after what, for whom, how many, and what counts as a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::harness::{Answer, Backend, Client, Threadbare, ok};

/// Nobody is ever found down.
const NO_HEALTH: [&str; 4] = ["--health", "off", "--max-failures", "0"];

/// Answers everything with this status, and its own as the content.
fn saying(status: u16) -> Backend {
    Backend::replying(move |_| {
        let content = status.to_string();
        let length = content.len();
        format!("HTTP/1.1 {status} It\r\nX-From: it\r\nContent-Length: {length}\r\n\r\n{content}")
            .into_bytes()
    })
}

/// Reads every request and says nothing more.
fn silent() -> Backend {
    Backend::start(|mut conn| {
        conn.request()?;
        Err(conn.end())
    })
}

/// Reads every request and tears the connection down.
fn resetting() -> Backend {
    Backend::start(|mut conn| {
        conn.request()?;
        conn.reset();
        Ok(())
    })
}

#[track_caller]
fn before(backends: &[&Backend], options: &[&[&str]]) -> Threadbare {
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    Threadbare::before(&addrs, &options.concat())
}

#[track_caller]
fn ask_with(client: &mut Client, method: &str, lines: &str, content: &str) -> Answer {
    let length = content.len();
    client.send(format!(
        "{method} /r HTTP/1.1\r\nHost: front.test\r\n{lines}Content-Length: {length}\r\n\r\n\
         {content}"
    ));
    client.answer_to(method)
}

#[track_caller]
fn ask(threadbare: &Threadbare, method: &str) -> Answer {
    ask_with(&mut threadbare.client(), method, "", "")
}

fn asked(backends: &[&Backend]) -> Vec<usize> {
    backends.iter().map(|backend| backend.seen.len()).collect()
}

#[test]
fn a_status_that_is_listed_is_tried_at_another_backend() {
    // Goal: 502 and 503 in the list: the client gets the good answer, and only that. Trick: both
    // orders, by two requests in turn; and a status beside the list is passed on as it is.
    let (bad, good) = (saying(503), Backend::answering("good"));
    let on = ["--retry-on", "502,503"];
    let threadbare = before(&[&bad, &good], &[&on, &NO_HEALTH]);
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        for _ in 0..2 {
            let answer = ask(&threadbare, method);
            assert_eq!(answer.status, 200, "{method}: {answer:?}");
            assert_eq!(answer.head.one("X-From"), None);
        }
    }
    let other = saying(500);
    let threadbare = before(&[&other, &good], &[&on, &NO_HEALTH]);
    let mut statuses = [(); 2].map(|()| ask(&threadbare, "GET").status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 500]);
    // By default no status is.
    let threadbare = before(&[&bad, &good], &[&NO_HEALTH]);
    let mut statuses = [(); 2].map(|()| ask(&threadbare, "GET").status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

#[test]
fn never_the_same_backend_twice_and_the_last_answer_is_passed_on() {
    // Goal: each is asked once, and the client gets what the last one said, whole: better than an
    // answer of ours. Trick: more retries than backends.
    let bad = [saying(503), saying(503), saying(503)];
    let backends = [&bad[0], &bad[1], &bad[2]];
    let options = ["--retry-on", "503", "--retries", "5"];
    let threadbare = before(&backends, &[&options, &NO_HEALTH]);
    let mut client = threadbare.client();
    for n in 1..=4 {
        let answer = ask_with(&mut client, "GET", "", "");
        assert_eq!((answer.status, answer.text().as_str()), (503, "503"));
        assert_eq!(answer.head.one("X-From").as_deref(), Some("it"));
        assert_eq!(asked(&backends), [n, n, n]);
    }
    let lone = saying(502);
    let threadbare = before(&[&lone], &[&["--retry-on", "5xx"], &NO_HEALTH]);
    assert_eq!(ask(&threadbare, "GET").text(), "502");
    assert_eq!(lone.seen.len(), 1);
}

#[test]
fn a_timeout_that_is_listed_is_tried_at_another_backend() {
    // Goal: no head in time, and the other one answers; 504 if all are silent, and without the
    // option. Trick: two requests in turn, so that each backend is asked first once: a retry takes
    // no turn.
    let (late, good) = (silent(), Backend::answering("good"));
    let quick = ["--response-timeout", "1s"];
    let on = ["--retry-on", "timeout"];
    let threadbare = before(&[&late, &good], &[&on, &quick, &NO_HEALTH]);
    for _ in 0..2 {
        assert_eq!(ask(&threadbare, "GET").text(), "good");
    }
    assert_eq!(late.seen.len(), 1);
    let both = [silent(), silent()];
    let threadbare = before(&[&both[0], &both[1]], &[&on, &quick, &NO_HEALTH]);
    assert_eq!(ask(&threadbare, "GET").status, 504);
    for silent in &both {
        assert_eq!(silent.await_requests(1).len(), 1);
    }
    let late = silent();
    let threadbare = before(&[&late, &good], &[&quick, &NO_HEALTH]);
    assert_eq!(ask(&threadbare, "GET").status, 504, "not by default");
}

#[test]
fn a_bad_answer_that_is_listed_is_tried_at_another_backend() {
    // Goal: a head that can't be understood, also one whose lengths contradict each other, which
    // is found out late; 502 without the option.
    for raw in [
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ] {
        let make_bad = || {
            Backend::start(move |mut conn| {
                conn.request()?;
                conn.send(raw)
            })
        };
        let good = Backend::answering("good");
        let bad = make_bad();
        let on = ["--retry-on", "bad-answer"];
        let threadbare = before(&[&bad, &good], &[&on, &NO_HEALTH]);
        for _ in 0..2 {
            assert_eq!(ask(&threadbare, "GET").status, 200, "{raw:?}");
        }
        let bad = make_bad();
        let threadbare = before(&[&bad, &good], &[&NO_HEALTH]);
        let mut statuses = [(); 2].map(|()| ask(&threadbare, "GET").status);
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 502], "{raw:?}");
    }
}

#[test]
fn a_post_is_never_retried_unless_its_key_is_trusted() {
    // Goal: whatever is listed, a POST is sent once, also with an Idempotency-Key; only a pool that
    // trusts keys retries it, and only if it has one. Trick: a status, which even a POST could be
    // asked again after.
    for (options, key, status, n_asked) in [
        (&[][..], "", 503, 1),
        (&[], "Idempotency-Key: 7\r\n", 503, 1),
        (&["--retry-idempotency-key"], "", 503, 1),
        (
            &["--retry-idempotency-key"],
            "Idempotency-Key: \r\n",
            503,
            1,
        ),
        (
            &["--retry-idempotency-key"],
            "idempotency-key: 7\r\n",
            200,
            2,
        ),
        (
            &["--retry-idempotency-key", "--retries", "0"],
            "Idempotency-Key: 7\r\n",
            503,
            1,
        ),
    ] {
        for method in ["POST", "PATCH"] {
            let (bad, good) = (saying(503), Backend::answering("good"));
            let on = ["--retry-on", "reset,timeout,bad-answer,5xx"];
            let threadbare = before(&[&bad, &good], &[&on, options, &NO_HEALTH]);
            let answer = ask_with(&mut threadbare.client(), method, key, "order");
            let context = format!("{method} {options:?} {key:?}");
            assert_eq!(answer.status, status, "{context}");
            assert_eq!(bad.seen.len() + good.seen.len(), n_asked, "{context}");
            if n_asked == 2 {
                let seen = good.seen.items().remove(0);
                assert_eq!(seen.content, b"order", "{context}");
            }
        }
    }
}

#[test]
fn a_keyed_post_is_retried_after_a_reset_too() {
    let (broken, good) = (resetting(), Backend::answering("good"));
    let options = ["--retry-idempotency-key"];
    let threadbare = before(&[&broken, &good], &[&options, &NO_HEALTH]);
    let key = "Idempotency-Key: 7\r\n";
    for _ in 0..2 {
        let answer = ask_with(&mut threadbare.client(), "POST", key, "order");
        assert_eq!(answer.status, 200);
    }
    assert_eq!(asked(&[&broken, &good]), [1, 2]);
}

#[test]
fn what_is_not_retried_spends_no_turn() {
    // Goal: POSTs whose answer is a status that is listed go round the backends like any other:
    // looking for another backend must not use up its turn. Trick: two of them, where a turn more
    // for each request would send all to the same one. The same once the budget is spent.
    for (method, options) in [
        ("POST", &[][..]),
        ("GET", &["--retries", "0"]),
        ("GET", &["--retry-budget", "0%", "--retry-budget-min", "0"]),
        ("GET", &["--retry-methods", "PUT"]),
    ] {
        let (bad, good) = (saying(503), Backend::answering("good"));
        let on = ["--retry-on", "503"];
        let threadbare = before(&[&bad, &good], &[&on, options, &NO_HEALTH]);
        let mut client = threadbare.client();
        for _ in 0..20 {
            ask_with(&mut client, method, "", "");
        }
        assert_eq!(asked(&[&bad, &good]), [10, 10], "{method} {options:?}");
    }
}

#[test]
fn listed_methods_only_ever_take_some_away() {
    // Goal: with a list, the others are not retried.
    for (method, status) in [("GET", 200), ("PUT", 502), ("DELETE", 502)] {
        let backends = [resetting(), Backend::answering("good")];
        let methods = ["--retry-methods", "GET"];
        let threadbare = before(&[&backends[0], &backends[1]], &[&methods, &NO_HEALTH]);
        assert_eq!(ask(&threadbare, method).status, status, "{method}");
    }
}

#[test]
fn no_retries_are_none_but_a_refused_connect_moves_on() {
    // Goal: with 0, what was sent is not sent again, whatever is listed; what was not sent moves
    // on. Trick: a turn each, which shows in the order of the answers.
    let options = ["--retries", "0", "--retry-on", "reset,503"];
    let (broken, bad) = (resetting(), saying(503));
    let threadbare = before(&[&broken, &bad], &[&options, &NO_HEALTH]);
    let statuses = [(); 4].map(|()| ask(&threadbare, "GET").status);
    assert_eq!(statuses, [502, 503, 502, 503]);
    let (refusing, good) = (Backend::refusing(|_| Ok(())), Backend::answering("good"));
    let threadbare = before(&[&refusing, &good], &[&options, &NO_HEALTH]);
    let statuses = [(); 4].map(|()| ask(&threadbare, "POST").status);
    assert_eq!(statuses, [200, 200, 200, 200]);
}

#[test]
fn retries_never_multiply_an_outage() {
    // Goal: all backends break off after they have read the request, for as long as it takes, and
    // the attempts stay at 1.2 times the requests, and no request is asked three times. Trick: with
    // nothing free, sequential requests make the sum exact.
    const N: usize = 300;
    let broken = [resetting(), resetting(), resetting()];
    let backends = [&broken[0], &broken[1], &broken[2]];
    let budget = ["--retry-budget", "20%", "--retry-budget-min", "0"];
    let threadbare = before(&backends, &[&budget, &["--retries", "2"], &NO_HEALTH]);
    let mut client = threadbare.client();
    for n in 0..N {
        let answer = ask_with(&mut client, "GET", "", "");
        assert_eq!(answer.status, 502, "request {n}");
    }
    let attempts: usize = asked(&backends).iter().sum();
    assert_eq!(attempts, N + N / 5);
}

#[test]
fn side_by_side_retries_stay_at_the_budget_and_what_is_free() {
    // Goal: the same with many at a time, where the default budget lets three be in progress in any
    // case: they stay below all requests twice, which is what no budget would be. Trick: statuses,
    // and backends that count.
    const N_CLIENTS: usize = 16;
    const N_EACH: usize = 20;
    const N: usize = N_CLIENTS * N_EACH;
    let bad = [saying(503), saying(503)];
    let backends = [&bad[0], &bad[1]];
    let options = [
        "--retry-on",
        "503",
        "--retry-budget",
        "10%",
        "--retry-budget-min",
        "0",
    ];
    let threadbare = before(&backends, &[&options, &NO_HEALTH]);
    std::thread::scope(|scope| {
        for _ in 0..N_CLIENTS {
            scope.spawn(|| {
                let mut client = threadbare.client();
                for _ in 0..N_EACH {
                    assert_eq!(ask_with(&mut client, "GET", "", "").text(), "503");
                }
            });
        }
    });
    let attempts: usize = asked(&backends).iter().sum();
    assert!(attempts <= N + N / 10, "{attempts}");
    assert!(
        attempts >= N + N / 10 - 1,
        "{attempts}: and all that was earned"
    );
}

#[test]
fn quiet_times_earn_retries_for_bad_ones() {
    // Goal: a backend that fails all at once costs no request while the budget lasts. Trick: 100
    // good requests earn 20 retries at 20%, with none in any case.
    let is_bad = Arc::new(AtomicBool::new(false));
    let now_bad = Arc::clone(&is_bad);
    let flaky = Backend::start(move |mut conn| {
        loop {
            conn.request()?;
            if now_bad.load(SeqCst) {
                return Ok(());
            }
            conn.send(ok("flaky"))?;
        }
    });
    let good = Backend::answering("good");
    let budget = ["--retry-budget-min", "0"];
    let threadbare = before(&[&flaky, &good], &[&budget, &NO_HEALTH]);
    let mut client = threadbare.client();
    for _ in 0..100 {
        assert_eq!(ask_with(&mut client, "GET", "", "").status, 200);
    }
    is_bad.store(true, SeqCst);
    for n in 0..20 {
        assert_eq!(ask_with(&mut client, "GET", "", "").status, 200, "{n}");
    }
}

#[test]
fn statuses_that_count_as_failures_eject() {
    // Goal: three 5xx in a row take a backend down, as if it had broken off, and its answers are
    // still passed on; 404 does not; and the last one stays.
    let (bad, good) = (saying(503), Backend::answering("good"));
    let fail_on = ["--fail-on", "5xx", "--health", "off", "--eject-time", "1h"];
    let threadbare = before(&[&bad, &good], &[&fail_on]);
    let mut client = threadbare.client();
    for _ in 0..20 {
        let answer = ask_with(&mut client, "POST", "", "");
        assert!([200, 503].contains(&answer.status), "{answer:?}");
    }
    let line = threadbare.await_line(&bad.is("down"));
    assert!(line.contains("503"), "{line}");
    assert_eq!(asked(&[&bad, &good]), [3, 17]);

    let (odd, other) = (saying(404), saying(503));
    let threadbare = before(&[&odd, &other], &[&fail_on]);
    let mut client = threadbare.client();
    for _ in 0..20 {
        ask_with(&mut client, "POST", "", "");
    }
    assert_eq!(asked(&[&odd, &other]), [17, 3]);
    assert!(threadbare.lines(&odd.is("down")).is_empty());
}

#[test]
fn a_failure_rate_ejects_too() {
    // Goal: half of the answers are failures, never three in a row: the rate takes it down once
    // there were ten.
    let n = std::sync::atomic::AtomicUsize::new(0);
    let flaky = Backend::replying(move |_| {
        if n.fetch_add(1, SeqCst).is_multiple_of(2) {
            b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec()
        } else {
            ok("flaky")
        }
    });
    let good = Backend::answering("good");
    let options = [
        "--fail-on",
        "500",
        "--failure-rate",
        "50%",
        "--failure-rate-min",
        "10",
        "--failure-window",
        "1h",
        "--health",
        "off",
        "--eject-time",
        "1h",
    ];
    let threadbare = before(&[&flaky, &good], &[&options]);
    let mut client = threadbare.client();
    for _ in 0..60 {
        ask_with(&mut client, "POST", "", "");
    }
    threadbare.await_line(&flaky.is("down"));
    let n_asked = flaky.seen.len();
    assert!((10..=11).contains(&n_asked), "{n_asked}");
}

#[test]
fn an_ejected_backend_is_tried_with_one_request_first() {
    // Goal: half-open: when its time is over one request is its trial: if that fails it is out
    // again, and if it is good all is as before. Trick: it is well or not when the test says so.
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let flaky = Backend::replying(move |_| {
        if well.load(SeqCst) {
            return ok("flaky");
        }
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let good = Backend::answering("good");
    let options = ["--fail-on", "503", "--health", "off", "--eject-time", "1s"];
    let threadbare = before(&[&flaky, &good], &[&options]);
    let mut client = threadbare.client();
    for _ in 0..6 {
        ask_with(&mut client, "POST", "", "");
    }
    threadbare.await_line(&flaky.is("down"));
    assert_eq!(flaky.seen.len(), 3);
    threadbare.await_line(&flaky.is("on trial"));
    for _ in 0..6 {
        ask_with(&mut client, "POST", "", "");
    }
    threadbare.await_lines(&flaky.is("down"), 2);
    assert_eq!(flaky.seen.len(), 4, "one trial");
    is_well.store(true, SeqCst);
    threadbare.await_lines(&flaky.is("on trial"), 2);
    for _ in 0..4 {
        assert_eq!(ask_with(&mut client, "POST", "", "").status, 200);
    }
    threadbare.await_line(&flaky.is("up"));
    let before = flaky.seen.len();
    for _ in 0..20 {
        assert_eq!(ask_with(&mut client, "POST", "", "").status, 200);
    }
    assert_eq!(flaky.seen.len() - before, 10);
}
