//! The gate as its clients meet it: where it listens, what it allows, when it gives up on a client,
//! and that nobody can take it down.

mod counted;
mod deadlines;
mod early;
mod endings;
mod going_away;
mod limits;
mod listening;
#[cfg(target_os = "linux")]
mod means;
mod pipelining;
mod proxy;
mod staying;
mod stopping;
mod succession;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};

use crate::harness::{Backend, Client, Gate, Threadbare, ok};

/// Far longer than any test runs: a deadline that must not be the one that is tested.
const NEVER: &str = "1h";

/// Whoever is served next tells that it has nothing left to do; and the log tells of everything.
const ONE_WORKER: [&str; 6] = [
    "--workers",
    "1",
    "--queue-timeout",
    "1h",
    "--log-level",
    "debug",
];

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: front.test\r\n\r\n")
}

/// Holds `/slow` back until the gate opens; answers the rest with their target.
fn holding(gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::start(move |mut conn| {
        loop {
            let target = conn.request()?.head.word(1).to_owned();
            if target.starts_with("/slow") {
                gate.pass()?;
            }
            conn.send(ok(&target))?;
        }
    })
}

/// Returns once the waiter has seen all that was sent before: it is one thread, and answers a bad
/// request by itself. Twice, because the first may be in one turn with what is waited for.
#[track_caller]
fn fence(threadbare: &Threadbare) {
    for _ in 0..2 {
        let mut client = threadbare.client();
        client.send("BAD\r\n\r\n");
        assert_eq!(client.answer().status, 400);
    }
}

/// A connection from this address, with a receive buffer of so many bytes (0: the default).
fn connect_from(from: [u8; 4], addr: SocketAddr, receive_buffer: usize) -> TcpStream {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket is granted");
    if receive_buffer > 0 {
        sockopt::set_socket_recv_buffer_size(&fd, receive_buffer).expect("any size is taken");
    }
    bind(&fd, &SocketAddr::new(IpAddr::from(from), 0)).expect("a loopback address is ours");
    connect(&fd, &addr).expect("threadbare accepts connections");
    TcpStream::from(fd)
}

/// Sends `piece` every few milliseconds until it is told to stop or nobody takes it.
fn drip(client: &mut Client, piece: &[u8], stop: &Receiver<()>) {
    while stop.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
        if client.0.send(piece).is_err() {
            return;
        }
    }
}
