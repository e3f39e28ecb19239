//! Garbage, slow clients and full houses: none of it hurts what is served, nor the API.

use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{Admin, Answer, Backend, Client, DEADLINE, Gate, request, room_for};

const GARBAGE: &[&[u8]] = &[
    b"\r\n\r\n",
    b"hello\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /\0status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /status HTTP/1.1\r\n",
    b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000000\r\n\r\nabc",
];

#[test]
fn garbage_and_clients_that_say_nothing_stop_nobody() {
    // Goal: after each kind of garbage, and with a dozen half requests held open, both the API and
    // the service answer; no panic is logged.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let mut open = Vec::new();
    for garbage in GARBAGE {
        let mut client = Client::connect(admin.at);
        client.send(garbage);
        open.push(client);
        let mut client = Client::connect(admin.at);
        client.send(&garbage[..garbage.len() / 2]);
        client.reset();
    }
    for _ in 0..12 {
        let mut client = Client::connect(admin.at);
        client.send("GET /status HTT");
        open.push(client);
    }
    assert_eq!(admin.ask_with("GET", "/status", &[], "").status, 200);
    assert_eq!(admin.threadbare.get("/").status, 200);
    assert!(admin.threadbare.lines("panic").is_empty());
    drop(open);
    admin.threadbare.stop();
}

#[test]
fn slow_contents_hold_no_stop() {
    // Goal: clients that promise content and do not send it hold at most the API's own threads,
    // and not the stop: a process that has nothing to serve ends at once, and cleanly. Trick: more
    // of them than there are threads.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &["--shutdown-timeout", "1h"]);
    let mut slow = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(admin.at);
        let json = ["Content-Type: application/json"];
        let text = request(admin.at, "POST", "/reload", &json, &" ".repeat(9000));
        client.send(&text[..text.len() - 8000]);
        slow.push(client);
    }
    assert_eq!(admin.threadbare.get("/").status, 200);
    let start = Instant::now();
    admin.threadbare.stop();
    let took = admin.threadbare.ended_after(start);
    assert!(took < DEADLINE / 4, "{took:?}");
    assert!(
        admin.threadbare.lines("reload").is_empty(),
        "nothing of it was done"
    );
}

#[test]
fn more_silent_connections_than_there_is_room_for_keep_nobody_out() {
    // Goal: the oldest idle ones go.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let mut silent: Vec<_> = (0..200).map(|_| Client::connect(admin.at)).collect();
    assert_eq!(admin.ask_with("GET", "/status", &[], "").status, 200);
    silent[0].assert_ended();
    drop(silent);
    admin.threadbare.stop();
}

#[test]
fn it_answers_while_all_workers_are_busy_and_the_queue_is_full() {
    // Goal: it has threads and a listener of its own; and what it does then frees a worker: the
    // backend is forced down, and the queue goes on to the other. Trick: one worker, held; one in
    // the queue, as the turned-away third proves.
    let gate = Gate::closed();
    let backend = Backend::holding("a", &gate);
    let admin = Admin::before(&[backend.addr], &room_for("1", "1"));
    let held = admin.threadbare.ask_slow(1);
    backend.await_requests(1);
    let others = admin.threadbare.ask_slow(2);
    let status = |(answer, _): (Answer, Client)| answer.status;
    let turned_away = others.recv_timeout(DEADLINE).map(status);
    assert_eq!(turned_away, Ok(503), "one finds no place");
    for _ in 0..20 {
        let status = admin.see("/status");
        assert_eq!(status["pools"][0]["in_flight"], 1, "{status}");
    }
    gate.open();
    assert_eq!(held.recv_timeout(DEADLINE).map(status), Ok(200));
    assert_eq!(others.recv_timeout(DEADLINE).map(status), Ok(200));
    admin.threadbare.stop();
}

#[test]
fn many_at_once_are_all_answered() {
    // Goal: sixteen clients change and look as fast as they can, and every answer is whole and
    // right. Trick: an invariant at the end: what was enabled last is enabled.
    let backends: Vec<Backend> = (0..4).map(|_| Backend::answering("a")).collect();
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    let admin = Admin::before(&addrs, &[]);
    thread::scope(|scope| {
        for n in 0..16 {
            let (admin, backend) = (&admin, &backends[n % 4]);
            scope.spawn(move || {
                for _ in 0..10 {
                    admin.change(backend.addr, "drain", "");
                    admin.see("/pools");
                    admin.change(backend.addr, "enable", "");
                }
            });
        }
    });
    for backend in &backends {
        assert_eq!(admin.backend(backend.addr)["mode"], "enabled");
    }
    for _ in 0..8 {
        assert_eq!(admin.threadbare.get("/").status, 200);
    }
    admin.threadbare.stop();
}

#[test]
fn a_second_signal_ends_while_the_api_waits() {
    // Goal: who asks twice means it, whatever a drain waits for.
    let gate = Gate::closed();
    let backend = Backend::holding("a", &gate);
    let admin = Admin::before(&[backend.addr], &["--shutdown-timeout", "1h"]);
    let mut held = admin.threadbare.client();
    held.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    backend.await_requests(1);
    let path = format!("/pools/default/backends/{}/drain", backend.addr);
    let _drain = admin.ask_later("POST", &path, r#"{"timeout":"1h"}"#);
    admin.threadbare.await_line("is drained by an operator");
    admin.threadbare.signal(Signal::TERM);
    admin.threadbare.await_line("stopping: SIGTERM");
    admin.threadbare.signal(Signal::TERM);
    assert_eq!(admin.threadbare.exit_code(), Some(1));
}
