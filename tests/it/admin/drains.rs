//! Draining: it returns when nothing is in flight, or names who still is; and then nothing comes.

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::sorted;
use crate::harness::{Admin, Backend, Client, DEADLINE, Gate, backend_path, ok, request};

/// Longer than any test lasts.
const LONG: &str = r#"{"timeout":"1h"}"#;

/// A request that the first backend holds.
#[track_caller]
fn hold(admin: &Admin, backend: &Backend, n: usize) -> Client {
    let mut held = admin.threadbare.client();
    held.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    backend.await_requests(n);
    held
}

fn drain_path(backend: &Backend) -> String {
    format!("{}/drain", backend_path(backend.addr))
}

#[test]
fn a_drain_returns_when_the_last_request_is_answered() {
    // Goal: not a moment before. Trick: the drain is asked for while a request is held, and the
    // gate is opened only once the backend is seen as drained; whoever was told of the drain's end
    // finds the answer complete.
    let gate = Gate::closed();
    let (a, b) = (Backend::holding("a", &gate), Backend::answering("b"));
    let admin = Admin::before(&[a.addr, b.addr], &[]);
    let mut held = hold(&admin, &a, 1);
    let drained = admin.ask_later("POST", &drain_path(&a), LONG);
    admin
        .threadbare
        .await_line("is drained by an operator; 1 in flight");
    assert_eq!(admin.backend(a.addr)["mode"], "drained");
    assert!(drained.try_recv().is_err(), "one is in flight");
    gate.open();
    let (status, told) = drained.recv_timeout(DEADLINE).expect("it returns");
    assert_eq!(status, 200, "{told}");
    assert_eq!(
        told,
        json!({"changed": true, "drained": true, "in_flight": 0})
    );
    assert_eq!(held.answer().text(), "a");
    // A second one is no change, and returns at once.
    let (status, told) = admin.ask("POST", &drain_path(&a), LONG);
    assert_eq!(
        (status, &told["changed"], &told["drained"]),
        (200, &false.into(), &true.into())
    );
    for _ in 0..4 {
        assert_eq!(admin.threadbare.get("/").text(), "b");
    }
    assert!(admin.change(a.addr, "enable", ""));
    assert!(!admin.change(a.addr, "enable", ""), "it is enabled");
    let mut client = admin.threadbare.client();
    let answers: String = (0..4).map(|_| client.get("/").text()).collect();
    assert_eq!(sorted(&answers), "aabb");
    admin.threadbare.stop();
}

#[test]
fn at_its_deadline_it_names_who_is_still_at_it() {
    // Goal: 504 with thread, client and request, not before the deadline, and the backend stays
    // drained. Trick: two held requests, so that the list is one.
    let gate = Gate::closed();
    let a = Backend::holding("a", &gate);
    let admin = Admin::before(&[a.addr], &[]);
    let mut held = [hold(&admin, &a, 1), hold(&admin, &a, 2)];
    let start = Instant::now();
    let (status, problem) = admin.ask("POST", &drain_path(&a), r#"{"timeout":"300ms"}"#);
    assert!(
        start.elapsed() >= Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(status, 504, "{problem}");
    assert_eq!(
        (&problem["in_flight"], &problem["status"]),
        (&2.into(), &504.into())
    );
    assert_stragglers(&problem, 2);
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("2 still in flight"), "{problem}");
    assert_eq!(admin.backend(a.addr)["mode"], "drained");

    // Without waiting: 202, and the same list.
    let (status, told) = admin.ask("POST", &drain_path(&a), r#"{"timeout":"0s"}"#);
    assert_eq!(
        (status, &told["drained"], &told["changed"]),
        (202, &false.into(), &false.into())
    );
    assert_stragglers(&told, 2);
    gate.open();
    for client in &mut held {
        assert_eq!(client.answer().status, 200);
    }
    admin.threadbare.stop();
}

#[track_caller]
fn assert_stragglers(told: &Value, n: usize) {
    let stragglers = told["stragglers"].as_array().expect("it names them");
    assert_eq!(stragglers.len(), n, "{told}");
    for straggler in stragglers {
        let text = |key: &str| straggler[key].as_str().unwrap_or_default().to_owned();
        let thread = text("thread");
        let number = thread.strip_prefix("worker-").map(str::parse::<usize>);
        assert!(matches!(number, Some(Ok(_))), "{told}");
        assert_eq!(
            (text("client"), text("request")),
            ("127.0.0.1".into(), "GET /slow".into())
        );
        assert!(straggler["since_seconds"].as_f64() >= Some(0.0), "{told}");
    }
}

#[test]
fn no_request_reaches_a_backend_after_its_drain_returned() {
    // Goal: the promise that an upgrade of a backend hangs on. Trick: eight clients ask as fast as
    // they can; the count at the backend as the drain returns must be that of the end, after many
    // more requests. Twenty times, with an enable in between that must bring it back.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let admin = Admin::before(&[a.addr, b.addr], &[]);
    let (stopping, n_asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let hammer = || {
            let mut client = admin.threadbare.client();
            while !stopping.load(SeqCst) {
                assert_eq!(client.get("/").status, 200);
                n_asked.fetch_add(1, SeqCst);
            }
        };
        let hammers: Vec<_> = (0..8).map(|_| scope.spawn(hammer)).collect();
        for round in 1..=20 {
            let (status, told) = admin.ask("POST", &drain_path(&a), LONG);
            let n_at_return = a.seen.len();
            assert_eq!((status, &told["in_flight"]), (200, &0.into()), "{told}");
            b.await_requests(b.seen.len() + 50);
            assert_eq!(a.seen.len(), n_at_return, "round {round}");
            assert!(admin.change(a.addr, "enable", ""));
            a.await_requests(n_at_return + 10);
        }
        stopping.store(true, SeqCst);
        for hammer in hammers {
            hammer.join().expect("no request fails");
        }
    });
    admin.threadbare.stop();
    assert_eq!(a.seen.len() + b.seen.len(), n_asked.load(SeqCst));
}

#[test]
fn a_drained_last_backend_means_503_and_its_enable_ends_that() {
    let a = Backend::answering("a");
    let admin = Admin::before(&[a.addr], &[]);
    assert!(admin.change(a.addr, "drain", ""));
    let answer = admin.threadbare.get("/");
    assert_eq!(answer.status, 503);
    assert!(answer.head.one("Retry-After").is_some(), "{answer:?}");
    assert!(admin.change(a.addr, "enable", ""));
    assert_eq!(admin.threadbare.get("/").status, 200);
    assert_eq!(a.seen.len(), 1);
}

#[test]
fn a_drain_waits_for_no_idle_connection_and_closes_them() {
    // Goal: a connection kept for the next request is nobody's exchange; the backend sees it end,
    // as one that waits for its clients before it stops must. Trick: the script notes the end.
    let a = Backend::start(|mut conn| {
        conn.request()?;
        conn.send(ok("a"))?;
        let end = conn.end();
        conn.note(format!("{end:?}"));
        Ok(())
    });
    let admin = Admin::before(&[a.addr], &["--health", "off"]);
    assert_eq!(admin.threadbare.get("/").status, 200);
    assert!(admin.change(a.addr, "drain", LONG));
    a.await_note("Closed");
}

#[test]
fn as_many_drains_wait_as_leave_one_thread_for_the_rest() {
    // Goal: of four one is told so with 503, which three must not be, and drained all the same;
    // and status is answered meanwhile.
    let gate = Gate::closed();
    let backends: Vec<Backend> = (0..4).map(|_| Backend::holding("x", &gate)).collect();
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    let admin = Admin::before(&addrs, &[]);
    let mut held = Vec::new();
    for backend in &backends {
        held.push(hold(&admin, backend, 1));
    }
    let (sender, answers) = channel();
    for backend in &backends {
        let (drained, sender) = (
            admin.ask_later("POST", &drain_path(backend), LONG),
            sender.clone(),
        );
        thread::spawn(move || {
            // The test may be over.
            let _ = sender.send(drained.recv_timeout(DEADLINE));
        });
    }
    let (status, problem) = answers.recv().expect("four will").expect("one is refused");
    assert_eq!(status, 503, "{problem}");
    assert_stragglers(&problem, 1);
    for backend in &backends {
        assert_eq!(admin.backend(backend.addr)["mode"], "drained");
    }
    gate.open();
    for told in answers.iter().take(3) {
        assert_eq!(told.map(|told| told.0), Ok(200));
    }
    for mut client in held {
        assert_eq!(client.answer().status, 200);
    }
    admin.threadbare.stop();
}

#[test]
fn who_goes_away_while_a_drain_waits_leaves_its_place() {
    // Goal: a client that was interrupted holds no thread. Trick: of four that ask, three wait, as
    // the fourth is told; when they are gone, there is a place again, as only a full house says
    // 503.
    let gate = Gate::closed();
    let a = Backend::holding("a", &gate);
    let admin = Admin::before(&[a.addr], &[]);
    let mut held = hold(&admin, &a, 1);
    let fields = ["Content-Type: application/json"];
    let (sender, statuses) = channel();
    let mut streams = Vec::new();
    for _ in 0..4 {
        let (mut client, sender) = (Client::connect(admin.at), sender.clone());
        client.send(request(admin.at, "POST", &drain_path(&a), &fields, LONG));
        streams.push(client.0.handle());
        thread::spawn(move || {
            if let Ok(answer) = client.try_answer("POST") {
                let _ = sender.send(answer.status); // the test may be over
            }
        });
    }
    assert_eq!(statuses.recv_timeout(DEADLINE), Ok(503), "three wait");
    for stream in streams.iter().filter_map(std::sync::Weak::upgrade) {
        let _ = stream.shutdown(Shutdown::Both); // who was refused may be closed already
    }
    let begun = Instant::now();
    let drain = || {
        admin
            .ask("POST", &drain_path(&a), r#"{"timeout":"50ms"}"#)
            .0
    };
    while drain() == 503 {
        assert!(begun.elapsed() < DEADLINE, "their places stay taken");
    }
    gate.open();
    assert_eq!(held.answer().status, 200);
    admin.threadbare.stop();
}

#[test]
fn drains_that_wait_end_with_the_process() {
    // Goal: 503 that says so, as soon as the stop begins; the held request is answered, exit 0.
    let gate = Gate::closed();
    let a = Backend::holding("a", &gate);
    let admin = Admin::before(&[a.addr], &["--shutdown-timeout", "1h"]);
    let mut held = hold(&admin, &a, 1);
    let drained = admin.ask_later("POST", &drain_path(&a), LONG);
    admin
        .threadbare
        .await_line("is drained by an operator; 1 in flight");
    admin.threadbare.signal(rustix::process::Signal::TERM);
    let (status, problem) = drained.recv_timeout(DEADLINE).expect("it ends");
    assert_eq!(status, 503, "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("shutting down"), "{problem}");
    assert_stragglers(&problem, 1);
    gate.open();
    assert_eq!(held.answer().text(), "a");
    assert_eq!(admin.threadbare.exit_code(), Some(0));
}

#[test]
fn timeouts_and_names_that_make_no_sense_are_refused() {
    let a = Backend::answering("a");
    let admin = Admin::before(&[a.addr], &[]);
    let path = drain_path(&a);
    for content in [
        r#"{"timeout":5}"#,
        r#"{"timeout":"5"}"#,
        r#"{"timeout":"-1s"}"#,
        r#"{"time":"5s"}"#,
    ] {
        assert_eq!(admin.ask("POST", &path, content).0, 422, "{content}");
    }
    let unknown = format!("{}/drain", backend_path("nobody"));
    assert_eq!(admin.ask("POST", &unknown, "").0, 404);
    assert_eq!(
        admin.backend(a.addr)["mode"],
        "enabled",
        "nothing of it drained"
    );
}
