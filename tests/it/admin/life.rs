//! Reload and the end of the process by the API, alone and at once with signals.

use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::sorted;
use crate::harness::{Admin, Backend, DEADLINE, Folder, Gate};

/// A pool of these, with whatever else.
fn pool(backends: &[&Backend], more: &str) -> String {
    let urls: Vec<String> = backends
        .iter()
        .map(|b| format!("\"{}\"", b.url()))
        .collect();
    format!("[pool.default]\n{more}\nbackends = [{}]\n", urls.join(", "))
}

const FAST: &str = "health_interval = \"100ms\"\nhealth_fast_interval = \"50ms\"";

#[test]
fn a_reload_tells_what_changed_and_applies_it() {
    // Goal: 200 with the lines of the log; nothing when nothing changed; the new backend gets
    // requests, the one that is gone none, and what was counted of the one that stays is kept.
    let (a, b, c) = (
        Backend::answering("a"),
        Backend::answering("b"),
        Backend::answering("c"),
    );
    let folder = Folder::new();
    let file = folder.write("t.toml", &pool(&[&a, &b], FAST));
    let admin = Admin::with_file(&file);
    assert_eq!(admin.threadbare.get("/").text(), "a");
    assert_eq!(
        admin.ask("POST", "/reload", ""),
        (200, json!({"changes": []}))
    );
    folder.write("t.toml", &pool(&[&a, &c], FAST));
    let (status, told) = admin.ask("POST", "/reload", "{}");
    let wanted = [format!("+ {}", c.addr), format!("- {}", b.addr)];
    assert_eq!((status, &told), (200, &json!({ "changes": wanted })));
    for line in &wanted {
        admin.threadbare.await_line(line);
    }
    admin.threadbare.await_line(&c.is("up"));
    let mut client = admin.threadbare.client();
    let answers: String = (0..4).map(|_| client.get("/").text()).collect();
    assert_eq!(sorted(&answers), "aacc");
    assert_eq!(admin.backend(a.addr)["requests"], 3);
    assert_eq!(b.seen.len(), 0);
    admin.threadbare.stop();
}

#[test]
fn a_bad_reload_is_refused_whole_with_every_error() {
    // Goal: 422 with all lines, and the old configuration runs on; a good one afterwards works.
    let a = Backend::answering("a");
    let folder = Folder::new();
    let file = folder.write("t.toml", &pool(&[&a], ""));
    let admin = Admin::with_file(&file);
    folder.write(
        "t.toml",
        "workers = 0\n[pool.default]\nbackends = [\"ftp://x\"]\n",
    );
    let (status, problem) = admin.ask("POST", "/reload", "");
    assert_eq!(status, 422, "{problem}");
    let errors = problem["errors"].as_array().expect("it names them");
    assert_eq!(errors.len(), 2, "{problem}");
    let begins = |n: usize, text: &str| {
        errors[n]
            .as_str()
            .is_some_and(|line| line.starts_with(&format!("{file}:{text}")))
    };
    assert!(begins(0, "1: ") && begins(1, "3: "), "{problem}");
    let line = admin
        .threadbare
        .await_line("reload refused, the old configuration runs on");
    assert!(line.contains("[ERROR]"), "{line}");
    assert_eq!(admin.threadbare.get("/").text(), "a");
    folder.remove("t.toml");
    let (status, problem) = admin.ask("POST", "/reload", "");
    assert_eq!(
        (status, problem["errors"].as_array().map(Vec::len)),
        (422, Some(1))
    );
    folder.write("t.toml", &pool(&[&a], "retries = 2"));
    assert_eq!(admin.ask("POST", "/reload", "").0, 200);
    admin.threadbare.stop();
}

#[test]
fn what_was_done_at_run_time_outlives_a_reload_where_the_backend_stays() {
    // Goal: a drain and a weight hold; a backend that was added and is not in the file goes.
    let (a, b, c) = (
        Backend::answering("a"),
        Backend::answering("b"),
        Backend::answering("c"),
    );
    let folder = Folder::new();
    let weighted = format!("{FAST}\npolicy = \"weighted-round-robin\"");
    let file = folder.write("t.toml", &pool(&[&a, &b], &weighted));
    let admin = Admin::with_file(&file);
    admin.change(a.addr, "drain", "");
    admin.change(b.addr, "weight", r#"{"weight":5}"#);
    let new = json!({ "url": c.url() }).to_string();
    assert_eq!(admin.ask("POST", "/pools/default/backends", &new).0, 201);
    admin.threadbare.await_line(&c.is("up"));
    folder.write(
        "t.toml",
        &pool(&[&a, &b], &format!("{weighted}\nretries = 3")),
    );
    let (status, told) = admin.ask("POST", "/reload", "");
    assert_eq!(status, 200);
    let changes = told["changes"].as_array().expect("it tells them");
    assert!(changes.contains(&json!(format!("- {}", c.addr))), "{told}");
    assert_eq!(changes.len(), 2, "{told}");
    assert_eq!(admin.backend(a.addr)["mode"], "drained");
    assert_eq!(admin.backend(b.addr)["weight"], 5);
    for _ in 0..4 {
        assert_eq!(admin.threadbare.get("/").text(), "b");
    }
    admin.threadbare.stop();
}

#[test]
fn what_is_in_flight_survives_a_reload_that_takes_its_backend_away() {
    let gate = Gate::closed();
    let (a, b) = (Backend::holding("a", &gate), Backend::answering("b"));
    let folder = Folder::new();
    let file = folder.write("t.toml", &pool(&[&a], FAST));
    let admin = Admin::with_file(&file);
    let mut held = admin.threadbare.client();
    held.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    a.await_requests(1);
    folder.write("t.toml", &pool(&[&b], FAST));
    assert_eq!(admin.ask("POST", "/reload", "").0, 200);
    // All are new: the old one stays until the new one has answered a probe.
    admin.threadbare.await_line("is gone: it is replaced");
    assert_eq!(admin.threadbare.get("/").text(), "b");
    gate.open();
    assert_eq!(held.answer().text(), "a");
    admin.threadbare.stop();
}

#[test]
fn signals_and_the_api_reload_at_once() {
    // Goal: thirty-two requests to reload by the API and as many SIGHUPs at once, with a file that
    // changes: every answer is 200 or 503, and the last state of the file is what runs. Trick: the
    // last reload comes alone.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let folder = Folder::new();
    let (one, two) = (pool(&[&a], FAST), pool(&[&a, &b], FAST));
    let admin = Admin::with_file(&folder.write("t.toml", &one));
    thread::scope(|scope| {
        for n in 0..4 {
            let (admin, folder, one, two) = (&admin, &folder, &one, &two);
            scope.spawn(move || {
                for round in 0..8 {
                    if n == 0 {
                        folder.write("t.toml", if round % 2 == 0 { two } else { one });
                    }
                    admin.threadbare.signal(Signal::HUP);
                    let (status, told) = admin.ask("POST", "/reload", "");
                    assert!([200, 503].contains(&status), "{told}");
                }
            });
        }
        let mut client = admin.threadbare.client();
        for _ in 0..200 {
            assert_eq!(client.get("/").status, 200);
        }
    });
    folder.write("t.toml", &two);
    // A reload that a late SIGHUP asked for may be in progress: it takes a moment.
    let (status, told) = admin.ask("POST", "/reload", "");
    assert_eq!(status, 200, "{told}");
    let pool = admin.see("/pools/default");
    assert_eq!(pool["backends"].as_array().map(Vec::len), Some(2), "{pool}");
    assert!(admin.threadbare.lines("refused").is_empty());
    admin.threadbare.stop();
}

#[test]
fn shutdown_is_the_same_wave_as_sigterm() {
    // Goal: 202 at once, then what is in flight is answered with `Connection: close`, exit 0.
    let gate = Gate::closed();
    let backend = Backend::holding("a", &gate);
    let admin = Admin::before(&[backend.addr], &["--shutdown-timeout", "1h"]);
    let mut held = admin.threadbare.client();
    held.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    backend.await_requests(1);
    assert_eq!(
        admin.ask("POST", "/shutdown", ""),
        (202, json!({"stopping": true}))
    );
    admin.threadbare.await_line("stopping: an operator");
    gate.open();
    let answer = held.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    assert_eq!(answer.head.one("Connection").as_deref(), Some("close"));
    held.assert_ended();
    assert_eq!(admin.threadbare.exit_code(), Some(0));
    admin
        .threadbare
        .await_line("stopped: all requests answered in ");
}

#[test]
fn shutdown_twice_is_one_and_what_is_cut_off_still_counts() {
    // Goal: the second is as welcome as the first; at the deadline exit 1, as with a signal.
    let backend = Backend::holding("a", &Gate::closed());
    let admin = Admin::before(&[backend.addr], &["--shutdown-timeout", "500ms"]);
    let mut held = admin.threadbare.client();
    held.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    backend.await_requests(1);
    let second = admin.ask_later("POST", "/shutdown", "");
    let first = admin.ask_later("POST", "/shutdown", "");
    for answered in [first, second] {
        if let Ok((status, _)) = answered.recv_timeout(DEADLINE) {
            assert_eq!(status, 202);
        }
    }
    assert_eq!(admin.threadbare.exit_code(), Some(1));
    admin
        .threadbare
        .await_line("stopped: 1 request cut off after 500ms");
    held.assert_ended();
}

#[test]
fn a_reload_in_the_demo_or_without_a_file_says_what_it_is() {
    // Goal: flags alone reload as nothing changed; the demo refuses in words.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    assert_eq!(
        admin.ask("POST", "/reload", ""),
        (200, json!({"changes": []}))
    );
    let args = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let demo = Admin::of(crate::harness::Threadbare::launch(crate::harness::command(
        &args,
    )));
    let (status, problem): (u16, Value) = demo.ask("POST", "/reload", "");
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["errors"][0]
            .as_str()
            .is_some_and(|text| text.contains("demo")),
        "{problem}"
    );
    demo.threadbare.stop();
}
