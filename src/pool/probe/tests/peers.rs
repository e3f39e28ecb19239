//! Targets, and those who answer them, well or not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, connect, socket};

use crate::pool::dial::open_socket;
use crate::pool::probe::{Found, Prober, Target};
use crate::pool::{HttpProbe, ProbeKind, Statuses};

/// Far beyond what anything here takes.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// For those that shall end by it.
pub const SHORT: Duration = Duration::from_millis(300);
pub const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell";

pub fn tcp(key: u64, address: SocketAddr, timeout: Duration) -> Target {
    Target {
        key,
        address,
        kind: ProbeKind::Tcp,
        authority: "b.test:81".to_owned(),
        base: String::new(),
        timeout,
    }
}

pub fn http(key: u64, address: SocketAddr, timeout: Duration) -> Target {
    let probe = HttpProbe {
        path: "/health".to_owned(),
        host: None,
        expect: Statuses(vec![(200, 299)]),
        text: None,
        drain_field: Some("X-Drain".to_owned()),
    };
    Target {
        kind: ProbeKind::Http(probe),
        ..tcp(key, address, timeout)
    }
}

pub fn with_text(target: Target) -> Target {
    let kind = match target.kind {
        ProbeKind::Http(probe) => ProbeKind::Http(HttpProbe {
            text: Some("well".to_owned()),
            ..probe
        }),
        other => other,
    };
    Target { kind, ..target }
}

/// Waits until all are reported; in the order in which they were.
pub fn finish(prober: &mut Prober) -> Vec<(u64, Found)> {
    let end = Instant::now() + DEADLINE;
    let mut reports = Vec::new();
    while !prober.is_empty() {
        assert!(Instant::now() < end, "{prober:?} does not end");
        prober.wait(DEADLINE, |key, found| reports.push((key, found)));
    }
    reports
}

/// What one probe finds.
pub fn find(target: Target) -> Found {
    let mut prober = Prober::new();
    let key = target.key;
    prober.begin(target, Instant::now());
    assert!(prober.is_probing(key));
    let reports = finish(&mut prober);
    assert!(!prober.is_probing(key));
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports[0].1.clone()
}

pub fn bad(cause: &str) -> Found {
    Found::Bad(cause.to_owned())
}

/// A listener with room for so many that it does not accept.
pub fn listener(backlog: i32) -> (TcpListener, SocketAddr) {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    rustix::net::bind(&fd, &any).expect("a free port");
    rustix::net::listen(&fd, backlog).expect("it listens");
    let listener = TcpListener::from(fd);
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// The trick: a listener whose backlog is full leaves further connects unanswered, so they hang
/// without any address that is not ours.
pub fn hanging() -> (SocketAddr, (TcpListener, Vec<OwnedFd>)) {
    let (listener, address) = listener(0);
    let fill = (0..4).map(|_| {
        let fd = open_socket(address).expect("a socket");
        let _ = connect(&fd, &address); // in progress, or refused once the backlog is full
        fd
    });
    (address, (listener, fill.collect()))
}

pub fn refusing() -> SocketAddr {
    listener(1).1
}

/// Serves each connection by the script, one after another, until the process ends or it fails.
pub fn serve(script: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let (listener, address) = listener(1024);
    thread::spawn(move || listener.incoming().flatten().for_each(script));
    address
}

/// Reads a request's head; less of it when the client ends.
pub fn read_request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a probe asks in ASCII")
}

/// Answers each request with these pieces, one packet each, and closes.
pub fn answering(pieces: &[&str]) -> SocketAddr {
    let pieces: Vec<String> = pieces.iter().map(|&piece| piece.to_owned()).collect();
    serve(move |mut stream| {
        let _ = stream.set_nodelay(true); // then the pieces come together
        read_request(&mut stream);
        for piece in &pieces {
            if stream.write_all(piece.as_bytes()).is_err() {
                return; // the probe knows enough
            }
        }
    })
}

/// As the program does at its start.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a process may use all that it is granted");
}
