//! What the gate refuses is counted by the option that set the limit.

use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;

use super::drip;
use crate::harness::{Admin, Backend, Client};

const NONE: &str = "none";

/// Everything that was refused, by the option whose limit it was; without what never was.
fn counted(admin: &Admin) -> Vec<(String, u64)> {
    let text = admin.ask_with("GET", "/metrics", &[], "").text();
    let lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("threadbare_listener_refusals_total{limit=\"")?;
        let (limit, n) = rest.split_once("\"} ")?;
        Some((limit.to_owned(), n.parse().expect("a count is a number")))
    });
    lines.filter(|(_, n)| *n > 0).collect()
}

/// These and no others are counted: a refusal is, behind its answer and before its connection ends.
#[track_caller]
fn assert_counted(admin: &Admin, wanted: &[(&str, u64)]) {
    let wanted: Vec<_> = wanted
        .iter()
        .map(|&(name, n)| (name.to_owned(), n))
        .collect();
    let found = counted(admin);
    assert_eq!(found, wanted);
    // The same is told to people, but for what is no limit.
    let live = admin.see("/live");
    let limits = live["limits"].as_array().expect("it is a list").iter();
    let told: Vec<_> = limits
        .map(|limit| {
            let name = limit["name"].as_str().expect("it has a name");
            (name.to_owned(), limit["hits"].as_u64().expect("a count"))
        })
        .collect();
    let limits = wanted.into_iter().filter(|(name, _)| name != NONE);
    assert_eq!(told, limits.collect::<Vec<_>>(), "{live}");
}

#[track_caller]
fn assert_refused(admin: &Admin, bytes: &str, status: u16) {
    let mut client = admin.threadbare.client();
    client.send(bytes);
    assert_eq!(client.answer().status, status, "{bytes}");
    client.assert_ended();
}

#[test]
fn what_is_refused_is_counted_by_the_option_that_it_exceeds() {
    // Goal: each limit on its own line, once for each time, and what is malformed on none of them.
    let backend = Backend::answering("ok");
    let sizes = ["--max-target", "64", "--max-fields", "5"];
    let contents = ["--max-fields-size", "256", "--max-content", "8"];
    let times = ["--header-timeout", "300ms", "--idle-timeout", "300ms"];
    let options = [&sizes[..], &contents, &times, &["--min-rate", "0"]].concat();
    let admin = Admin::before(&[backend.addr], &options);
    let get = |target: &str, rest: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{rest}\r\n");
    let post = |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}");
    let long = "x".repeat(300);
    assert_refused(&admin, &get(&format!("/{long}"), ""), 414);
    assert_refused(&admin, &get("/", &"X: y\r\n".repeat(5)), 431);
    assert_refused(&admin, &get("/", &format!("X: {long}\r\n")), 431);
    assert_refused(&admin, &get("/", &format!("X: {long}\r\n")), 431);
    assert_refused(&admin, &post("Content-Length: 9\r\n\r\n"), 413);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n";
    assert_refused(&admin, &post(chunked), 413);
    assert_refused(&admin, "GET / HTTP/1.1\r\nHost", 408);
    assert_refused(&admin, &post("Content-Length: 8\r\n\r\n1"), 408);
    assert_refused(&admin, &get("/two words", ""), 400);
    assert_eq!(admin.threadbare.get("/").status, 200);
    let wanted = [
        ("max-target", 1),
        ("max-fields", 1),
        ("max-fields-size", 2),
        ("max-content", 2),
        ("header-timeout", 1),
        ("idle-timeout", 1),
        (NONE, 1),
    ];
    assert_counted(&admin, &wanted);
}

#[test]
fn too_slow_and_too_many_are_counted_too() {
    // Goal: a client whose every byte is in time, and one connection more than one may have. Trick:
    // the second client is refused while the first one drips.
    let backend = Backend::answering("ok");
    let slow = ["--idle-timeout", "1s", "--min-rate", "1MiB"];
    let options = [&slow[..], &["--max-connections-per-client", "1"]].concat();
    let admin = Admin::before(&[backend.addr], &options);
    let addr = admin.threadbare.addr;
    let stream = TcpStream::connect(addr).expect("threadbare accepts");
    let second = stream.try_clone().expect("a descriptor is free");
    let (mut reader, mut writer) = (Client::over(stream), Client::over(second));
    writer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    thread::scope(|scope| {
        let (stop, told) = channel();
        scope.spawn(move || drip(&mut writer, b"x", &told));
        let mut other = admin.threadbare.client();
        assert_eq!(other.answer().status, 429);
        let answer = reader.try_answer("POST");
        drop(stop);
        assert_eq!(answer.expect("an answer comes").status, 408);
    });
    let wanted = [("min-rate", 1), ("max-connections-per-client", 1)];
    assert_counted(&admin, &wanted);
}
