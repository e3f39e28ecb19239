//! Bytes in both directions, ends, resets and silence, over real sockets.

use super::*;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};

use crate::system::tcp_pair;

/// The far ends of client and backend, and the tunnel between their near ends.
fn tunnel(
    ahead: [&'static [u8]; 2],
    idle: Option<Duration>,
) -> (TcpStream, TcpStream, JoinHandle<Report>) {
    let ((client, near_client), (backend, near_backend)) = (tcp_pair(), tcp_pair());
    let running = thread::spawn(move || {
        let [up, down] = ahead.map(<[u8]>::to_vec);
        let report = run(&near_client, up, &near_backend, down, idle);
        if report.is_cut {
            reset(&near_client);
            reset(&near_backend);
        }
        report
    });
    (client, backend, running)
}

fn reset(stream: &TcpStream) {
    let linger = Some(Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(stream, linger).expect("a socket");
}

fn all(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a clean end");
    bytes
}

fn report(running: JoinHandle<Report>) -> Report {
    running.join().expect("a tunnel does not panic")
}

#[test]
fn early_bytes_go_first_and_each_end_is_passed_on() {
    for first in [Side::Client, Side::Backend] {
        let (client, backend, running) = tunnel([b"ahead ", b"behind "], None);
        (&client).write_all(b"up").expect("it is read");
        (&backend).write_all(b"down").expect("it is read");
        let (one, other) = match first {
            Side::Client => (&client, &backend),
            Side::Backend => (&backend, &client),
        };
        one.shutdown(Shutdown::Write).expect("it is open");
        let heard = all(other);
        // Half of it is closed, and the other half is not.
        (&*other).write_all(b", still").expect("it is read");
        other.shutdown(Shutdown::Write).expect("it is open");
        let (up, down) = match first {
            Side::Client => (heard, all(one)),
            Side::Backend => (all(one), heard),
        };
        let still = |side| if side == first { "" } else { ", still" };
        assert_eq!(up, format!("ahead up{}", still(Side::Client)).as_bytes());
        assert_eq!(
            down,
            format!("behind down{}", still(Side::Backend)).as_bytes()
        );
        let report = report(running);
        assert_eq!((report.end, report.is_cut), (End::Done(first), false));
        assert_eq!(report.n_to_backend, up.len() as u64);
        assert_eq!(report.n_to_client, down.len() as u64);
    }
}

#[test]
fn a_reset_on_one_side_is_one_on_the_other() {
    for side in [Side::Client, Side::Backend] {
        let (client, backend, running) = tunnel([b"", b""], None);
        let (one, mut other) = match side {
            Side::Client => (client, backend),
            Side::Backend => (backend, client),
        };
        (&one).write_all(b"x").expect("it is read");
        other.read_exact(&mut [0]).expect("it is passed on");
        reset(&one);
        drop(one);
        let report = report(running);
        assert!(
            matches!(report.end, End::Broke(s, _) if s == side),
            "{report}"
        );
        assert!(report.is_cut);
        let error = other.read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn silence_ends_a_tunnel_and_any_byte_keeps_it() {
    const IDLE: Duration = Duration::from_millis(300);
    let (mut client, mut backend, running) = tunnel([b"", b""], Some(IDLE));
    let start = Instant::now();
    let mut last = start;
    while start.elapsed() < 2 * IDLE {
        last = Instant::now();
        client.write_all(b"x").expect("it is read");
        backend.read_exact(&mut [0]).expect("it is passed on");
    }
    assert_eq!(all(&client), b"");
    let report = report(running);
    assert_eq!((report.end, report.is_cut), (End::Idle, false));
    assert!(last.elapsed() >= IDLE);
}

/// The trick: a backend that does not read until the client can't write any more. What the
/// tunnel holds is its one buffer, as large as in bulk; the rest are the sockets'.
#[test]
fn a_side_that_does_not_read_holds_the_other_back_and_stops_nothing_else() {
    let (mut client, mut backend, running) = tunnel([b"", b""], None);
    client
        .set_write_timeout(Some(Duration::from_millis(50)))
        .expect("a socket");
    let mut n_sent = 0;
    while let Ok(n) = client.write(&[7; 8 * 1024]) {
        n_sent += n;
        assert!(n_sent < 64 << 20, "somebody holds it all");
    }
    backend.write_all(b"the other way").expect("it is read");
    client.read_exact(&mut [0; 13]).expect("it is passed on");
    // The end of the other way too, while this one is full.
    backend.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(all(&client), b"");
    client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(all(&backend).len(), n_sent);
    assert_eq!(report(running).end, End::Done(Side::Backend));
}

/// The trick: the other side reads nothing until the one can't write any more, and resets.
#[test]
fn a_reset_with_bulk_under_way_is_a_cut() {
    for side in [Side::Client, Side::Backend] {
        let (client, backend, running) = tunnel([b"", b""], None);
        let (mut one, other) = match side {
            Side::Client => (client, backend),
            Side::Backend => (backend, client),
        };
        let timeout = Some(Duration::from_millis(50));
        one.set_write_timeout(timeout).expect("a socket");
        let mut n_sent = 0;
        while let Ok(n) = one.write(&[7; 8 * 1024]) {
            n_sent += n as u64;
        }
        reset(&other);
        drop(other);
        let report = report(running);
        assert!(matches!(report.end, End::Broke(broke, _) if broke != side));
        assert!(report.is_cut && report.n_to_backend + report.n_to_client < n_sent);
        let error = one.read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// The trick: more is there before the tunnel begins than two sockets hold.
#[test]
fn what_was_not_taken_is_a_cut() {
    static MUCH: [u8; 32 << 20] = [0; 32 << 20];
    let (mut client, backend, running) = tunnel([&MUCH, b""], Some(Duration::from_millis(50)));
    let report = report(running);
    assert_eq!((report.end, report.is_cut), (End::Idle, true));
    let error = client.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    drop(backend);
}

/// The trick: pieces of all sizes on both sides at once, and a pattern whose period is no
/// power of two.
#[test]
fn nothing_is_lost_doubled_or_moved() {
    const TOTAL: usize = 20_000_000;
    let pattern: Vec<u8> = (0..65_521_u32)
        .map(|i| (i * i / 128).to_le_bytes()[0])
        .collect();
    let (client, backend, running) = tunnel([b"", b""], None);
    thread::scope(|scope| {
        for (side, seed) in [(&client, 1_usize), (&backend, 2)] {
            let pattern = &pattern;
            scope.spawn(move || {
                let (mut at, mut state, mut side) = (0, seed, side);
                while at < TOTAL {
                    state = state.wrapping_mul(25_214_903_917).wrapping_add(11);
                    let from = at % pattern.len();
                    let most = (state >> 20) % 50_000 + 1;
                    let to = (from + most).min(pattern.len()).min(from + TOTAL - at);
                    side.write_all(&pattern[from..to]).expect("it is read");
                    at += to - from;
                }
                side.shutdown(Shutdown::Write).expect("it is open");
            });
            scope.spawn(move || {
                let bytes = all(side);
                assert_eq!(bytes.len(), TOTAL);
                for piece in bytes.chunks(pattern.len()) {
                    assert!(piece == &pattern[..piece.len()]);
                }
            });
        }
    });
    let report = report(running);
    assert_eq!(report.n_to_backend + report.n_to_client, 2 * TOTAL as u64);
    assert!(matches!(report.end, End::Done(_)) && !report.is_cut);
}
