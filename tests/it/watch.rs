//! What the balancer tells about itself: counts that agree with what clients saw, one request from
//! its queue to its end, and that all of it is there while nothing else is.

use std::time::Instant;

use serde_json::Value;

use crate::harness::{Admin, Answer, Backend, Client, DEADLINE, Gate, HangingPort, room_for, run};

/// The sum of all lines of a metric that have these labels.
fn sum(admin: &Admin, name: &str, label: &str) -> u64 {
    let answer = admin.ask_with("GET", "/metrics", &[], "");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let lines = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
    });
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Asks until it is so: a worker counts an exchange just after its client has the answer.
#[track_caller]
fn await_sum(admin: &Admin, name: &str, label: &str, wanted: u64) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = sum(admin, name, label);
        if found == wanted {
            return;
        }
        assert!(found < wanted, "{name} {label}: {found}, want {wanted}");
        assert!(
            Instant::now() < deadline,
            "{name} {label}: {found}, want {wanted}"
        );
    }
}

#[test]
fn every_request_is_counted_once_whoever_answers() {
    // Goal: the metrics say what the clients saw, of answers by backends, of those that failed over
    // and of our own. Trick: a backend that is stopped under way, and one that answers 404.
    let mut first = Backend::answering("one");
    let second = Backend::replying(|seen| {
        let status = if seen.head.word(1) == "/gone" {
            "404 Not Found"
        } else {
            "200 OK"
        };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let admin = Admin::before(&[first.addr, second.addr], &[]);
    let mut statuses = [0_u64; 6];
    for round in 0..3 {
        let mut client = admin.threadbare.client();
        for n in 0..50 {
            let target = if n % 5 == 0 { "/gone" } else { "/here" };
            let answer = client.get(target);
            statuses[usize::from(answer.status / 100)] += 1;
        }
        if round == 0 {
            first.stop();
        }
    }
    // Refused by the waiter: it never is an exchange.
    assert_eq!(admin.threadbare.get("/two words").status, 400);
    await_sum(&admin, "threadbare_listener_refusals_total", "", 1);
    await_sum(
        &admin,
        "threadbare_exchanges_total",
        "",
        statuses.iter().sum(),
    );
    for (class, n) in statuses.iter().enumerate() {
        let label = format!("code=\"{class}xx\"");
        assert_eq!(
            sum(&admin, "threadbare_requests_total", &label),
            *n,
            "{label}"
        );
    }
    assert_eq!(
        sum(&admin, "threadbare_exchanges_total", "fate=\"answered\""),
        150
    );
    assert_eq!(
        sum(&admin, "threadbare_request_duration_seconds_count", ""),
        150
    );
    let live = admin.see("/live");
    assert_eq!(live["totals"]["exchanges"], 150, "{live}");
    let here = admin.threadbare.addr.to_string();
    assert_eq!(live["listeners"], serde_json::json!([here]), "{live}");
    // What its own address calls it: a page knows by that whether its changes would be taken.
    assert_eq!(live["host"], admin.at.to_string(), "{live}");
}

#[test]
fn a_request_is_told_with_each_of_its_attempts() {
    // Goal: who was tried, who was passed over and why, in order, on which threads. Trick: one
    // backend that refuses, behind probes that are off, so that the request finds out itself.
    let good = Backend::answering("good");
    let dead = HangingPort::take();
    let options = [
        "--health",
        "off",
        "--connect-timeout",
        "100ms",
        "--max-failures",
        "1",
    ];
    let admin = Admin::before(&[dead.addr, good.addr], &options);
    for _ in 0..2 {
        assert_eq!(admin.threadbare.get("/which").status, 200);
    }
    await_sum(&admin, "threadbare_exchanges_total", "", 2);
    assert_eq!(sum(&admin, "threadbare_retries_total", ""), 1);
    let list = admin.see("/requests");
    let requests = list["requests"].as_array().expect("it is a list");
    assert_eq!(requests.len(), 2, "{list}");
    let retried = requests.iter().find(|request| request["retries"] == 1);
    let id = retried.expect("one was tried twice")["id"]
        .as_str()
        .expect("it has one");
    let told = admin.see(&format!("/requests/{id}"));
    assert_eq!(told["request"], "GET /which HTTP/1.1", "{told}");
    assert_eq!(
        (&told["status"], &told["fate"]["code"]),
        (&200.into(), &"OK".into())
    );
    let attempts = told["attempts"].as_array().expect("it is a list");
    assert_eq!(attempts.len(), 2, "{told}");
    assert_eq!(attempts[0]["backend"], dead.addr.to_string());
    let ended = attempts[0]["ended"].as_str().unwrap_or_default();
    assert!(ended.starts_with("connect: "), "{told}");
    assert_eq!(attempts[1]["backend"], good.addr.to_string());
    let whys = attempts[1]["passed_over"].to_string();
    assert!(whys.contains(&dead.addr.to_string()), "{told}");
    assert_in_order(&told);
    let at = admin.at.to_string();
    let why = run(&["ctl", "--admin", &at, "why", id]);
    assert_eq!(why.code, Some(0), "{why:?}");
    let dead = format!("attempt 1: {}", dead.addr);
    assert!(
        why.stdout.iter().any(|line| line.starts_with(&dead)),
        "{why:?}"
    );
    let newest = run(&["ctl", "--admin", &at, "why"]);
    assert!(newest.stdout[0].starts_with("GET /which HTTP/1.1 for 127.0.0.1: 200, OK"));
    assert_eq!(run(&["why", "--admin", &at]).stdout, newest.stdout);
    let unknown = run(&["why", "--admin", &at, "99999"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(
        unknown.stderr[0].starts_with("threadbare why: "),
        "{unknown:?}"
    );
    assert_eq!(admin.ask("GET", "/requests/99999", "").0, 404);
    assert_eq!(admin.ask("GET", "/requests/x", "").0, 404);
}

#[track_caller]
fn assert_in_order(told: &Value) {
    let events = told["timeline"].as_array().expect("it is a list");
    let at: Vec<f64> = events
        .iter()
        .filter_map(|event| event["at_ms"].as_f64())
        .collect();
    assert!(at.is_sorted(), "{told}");
    let threads: Vec<&str> = events
        .iter()
        .filter_map(|event| event["thread"].as_str())
        .collect();
    assert!(
        threads
            .iter()
            .all(|t| *t == "waiter" || t.starts_with("worker-")),
        "{told}"
    );
}

#[test]
fn the_admin_listener_answers_while_all_workers_are_busy_and_the_queue_is_full() {
    // Goal: an operator sees what is wrong just then. Trick: the workers are held until all was
    // asked and answered, so that an answer that waited for one of them would never come.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let admin = Admin::before(&[backend.addr], &room_for("2", "1"));
    // One after the other: two at once may not fit into the queue before a worker wakes.
    let first = admin.threadbare.ask_slow(1);
    backend.await_requests(1);
    let second = admin.threadbare.ask_slow(1);
    backend.await_requests(2);
    let others = admin.threadbare.ask_slow(6);
    let status = |(answer, _): (Answer, Client)| answer.status;
    for _ in 0..5 {
        let turned_away = others.recv_timeout(DEADLINE).map(status);
        assert_eq!(turned_away, Ok(503), "they find no place");
    }
    let live = admin.see("/live");
    assert_eq!(live["queue"]["depth"], 1, "{live}");
    assert_eq!(live["in_flight"], 2, "{live}");
    let threads = live["threads"].as_array().expect("it is a list");
    let phase = |name: &str| {
        let found = threads.iter().find(|thread| thread["name"] == name);
        found.map_or(Value::Null, |thread| thread["phase"].clone())
    };
    let named = ["waiter", "admin", "foreman", "sampler", "resolver"].map(phase);
    let wanted = ["listening", "listening", "watching", "sampling"];
    let wanted = [&wanted.map(Value::from)[..], &[Value::Null]].concat();
    assert_eq!(named, wanted[..], "{live}"); // no backend is a name: no resolver
    let answering = threads
        .iter()
        .filter(|thread| thread["phase"] == "answering");
    assert!(answering.count() >= 1, "who tells this: {live}");
    let workers = threads.iter().filter(|thread| thread["kind"] == "worker");
    assert_eq!(workers.clone().count(), 2, "{live}");
    for thread in workers {
        assert_eq!(
            (&thread["phase"], &thread["request"]),
            (&"waiting".into(), &"GET /slow".into())
        );
    }
    await_sum(&admin, "threadbare_limit_hits_total", "queue_full", 5);
    assert_eq!(admin.ask_with("GET", "/healthz", &[], "").status, 200);
    gate.open();
    for answers in [first, second, others] {
        assert_eq!(answers.recv_timeout(DEADLINE).map(status), Ok(200));
    }
}

#[test]
fn readiness_ends_with_the_last_backend_and_comes_back() {
    let mut backend = Backend::answering("here");
    let options = [
        "--health-interval",
        "100ms",
        "--health-fast-interval",
        "100ms",
    ];
    let other = HangingPort::take();
    let admin = Admin::before(&[backend.addr, other.addr], &options);
    admin
        .threadbare
        .await_line(&format!("{} is down", other.addr));
    assert_eq!(admin.ask_with("GET", "/readyz", &[], "").status, 200);
    backend.stop();
    admin.threadbare.await_line(&backend.is("down"));
    let answer = admin.ask_with("GET", "/readyz", &[], "");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (503, "no backend of pool default is up\n")
    );
    assert_eq!(admin.ask_with("GET", "/healthz", &[], "").status, 200);
    backend.restart();
    admin.threadbare.await_line(&backend.is("up"));
    assert_eq!(admin.ask_with("GET", "/readyz", &[], "").status, 200);
}
