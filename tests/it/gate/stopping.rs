//! The gate at the signal: what is idle ends, what was sent is answered, and nobody can hold it up.

#[cfg(target_os = "linux")]
use std::fs::{self, DirEntry};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;
#[cfg(target_os = "linux")]
use std::time::Instant;

use rustix::process::Signal;

#[cfg(target_os = "linux")]
use super::connect_from;
use super::{NEVER, drip, holding, request};
use crate::harness::{Backend, Client, Gate, Threadbare};
#[cfg(target_os = "linux")]
use crate::harness::{DEADLINE, ok};

/// With these only the end of the work can end the process.
const PATIENT: [&str; 6] = [
    "--shutdown-timeout",
    NEVER,
    "--header-timeout",
    NEVER,
    "--keep-alive-timeout",
    NEVER,
];

#[test]
fn connections_that_ask_for_nothing_end_with_the_process() {
    // Goal: an idle, a silent and a half-told connection are closed without a byte, and don't hold
    // the process up. Trick: no timeout would end it.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &PATIENT);
    let mut clients: Vec<Client> = (0..3).map(|_| threadbare.client()).collect();
    assert_eq!(clients[0].get("/").text(), "ok");
    clients[1].send("GET / HTTP/1.1\r\nHost: fr");
    threadbare.stop();
    for client in &mut clients {
        client.assert_ended();
    }
}

#[test]
fn a_dripping_client_does_not_hold_up_the_stop() {
    // Goal: the gate waits for quiet at the stop, and a client that is never quiet must not make
    // it wait for ever. Trick: ten clients drip a head that never ends, faster than quiet is.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &PATIENT);
    thread::scope(|scope| {
        let mut stops = Vec::new();
        for _ in 0..10 {
            let (stop, told) = channel::<()>();
            stops.push(stop);
            let mut client = threadbare.client();
            client.send("GET / HTTP/1.1\r\nX: ");
            scope.spawn(move || drip(&mut client, b"x", &told));
        }
        threadbare.stop();
    });
}

#[test]
fn what_was_sent_before_the_signal_is_answered() {
    // Goal: also what stands in the backlog or in a socket when the signal comes. Trick: clients
    // connect and send, and nobody waits before the signal; each must get a whole answer, which
    // is the last one if it came after the signal.
    for _ in 0..5 {
        let backend = Backend::answering("ok");
        let threadbare = Threadbare::before(&[backend.addr], &PATIENT);
        let mut open = threadbare.client();
        assert_eq!(open.get("/").text(), "ok");
        let mut clients = vec![open];
        for _ in 0..30 {
            clients.push(threadbare.client());
        }
        for client in &mut clients {
            client.send(request("/"));
        }
        threadbare.signal(Signal::TERM);
        for client in &mut clients {
            assert_eq!(client.answer().text(), "ok");
            client.assert_ended();
        }
        assert_eq!(threadbare.exit_code(), Some(0));
    }
}

/// Waits until no worker is left.
#[cfg(target_os = "linux")]
fn await_no_worker(threadbare: &Threadbare) {
    let start = Instant::now();
    let is_worker = |task: DirEntry| {
        let name = fs::read_to_string(task.path().join("comm"));
        name.is_ok_and(|name| name.starts_with("worker-"))
    };
    while let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", threadbare.pid())) {
        if !tasks.flatten().any(is_worker) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "the workers do not end");
        thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn last_answers_arrive_whatever_comes_behind_them() {
    // Goal: a client that is still reading when all is answered, and sends more meanwhile, gets all
    // of its answer; and one that neither reads nor closes does not hold the process up. Trick:
    // more than the clients' buffers take, and not a byte is read before the workers are gone.
    const PIECE: usize = 2_000;
    let large = "l".repeat(100 * PIECE);
    let (whole, gate) = (large.clone(), Gate::closed());
    let closed = gate.clone();
    let backend = Backend::start(move |mut conn| {
        loop {
            conn.request()?;
            closed.pass()?;
            conn.send(ok(&whole))?;
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &PATIENT);
    let [mut client, mut idle] =
        [4096, 4096].map(|size| Client::over(connect_from([127, 0, 0, 1], threadbare.addr, size)));
    client.send(request("/"));
    idle.send(request("/"));
    backend.await_requests(2);
    threadbare.signal(Signal::TERM);
    threadbare.await_line("stopping: SIGTERM");
    gate.open();
    await_no_worker(&threadbare);
    client.head().expect("the head comes");
    for n in 0..large.len() / PIECE {
        let taken = client.take(PIECE).map(|piece| piece.len());
        assert_eq!(taken, Ok(PIECE), "piece {n}");
        let _ = client.0.send(b"GET /late "); // whether that is possible, the next piece tells
    }
    client.assert_ended();
    assert_eq!(threadbare.exit_code(), Some(0));
    drop(idle);
}

#[test]
fn what_is_in_flight_is_answered_as_the_last_on_its_connection() {
    // Goal: `Connection: close` on the answer, the request pipelined behind it is not served, and
    // new clients are refused. Trick: the backend answers only after the signal's line.
    let gate = Gate::closed();
    let backend = holding(&gate);
    let threadbare = Threadbare::before(&[backend.addr], &PATIENT);
    let mut client = threadbare.client();
    client.send(request("/slow") + &request("/behind"));
    backend.await_requests(1);
    threadbare.signal(Signal::TERM);
    threadbare.await_line("stopping: SIGTERM");
    gate.open();
    let answer = client.answer();
    assert_eq!(answer.text(), "/slow");
    assert_eq!(answer.head.one("Connection").as_deref(), Some("close"));
    client.assert_ended();
    assert_eq!(threadbare.exit_code(), Some(0));
    assert_eq!(backend.seen.len(), 1);
    TcpStream::connect(threadbare.addr).expect_err("nobody listens any more");
}
