//! What is kept along a connection: a request's memory, a worker's patience, and its answers.

use super::*;

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::thread;

use crate::intake::check::Limits;
use crate::intake::gate::head::parse;
use crate::intake::gate::lot::{Lot, Room};
use crate::intake::gate::{MinRate, Settings, Told};
use crate::intake::{Jobs, Limit, queue};
use crate::system::tcp_pair;

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn what_a_browser_sends_is_reused_and_what_is_large_is_freed() {
    let parts = [(1_500, 0, 0), (8_200, 0, 0), (0, 7_900, 0), (0, 0, 7_900)];
    let is_kept = parts.map(|(value, target, host)| {
        let [value, target, host] = [value, target, host].map(|n| "x".repeat(n));
        let head = format!("GET /{target} HTTP/1.1\r\nHost: a{host}\r\nCookie: {value}\r\n\r\n");
        let request = parse(head.as_bytes(), None, &Limits::default(), None);
        spare_of(request.expect("a good head")).is_some()
    });
    assert_eq!(is_kept, [true, false, false, false]);
}

/// What one worker shares with a gate that has room for one connection.
fn shared(jobs: Jobs) -> Arc<Shared> {
    let long = Duration::from_secs(20);
    let room = Room {
        n_connections: 1,
        n_per_client: None,
    };
    let settings = Settings {
        limits: Limits::default(),
        max_connections: 1,
        max_per_client: None,
        max_requests: None,
        header_timeout: long,
        keep_alive_timeout: long,
        idle_timeout: long,
        pace: MinRate {
            bytes_per_second: None,
            grace: long,
        },
        accept_proxy: false,
        n_workers: 1,
    };
    Arc::new(Shared {
        lot: Arc::new(Lot::new(room).expect("it can be made")),
        settings,
        jobs,
        stopping: Arc::new(AtomicBool::new(false)),
        told: Told::default(),
    })
}

/// Whether the connection is still there behind two requests with this pause between them,
/// served by a worker whom nobody needs, where nothing but its end comes then.
fn is_parked(shared: &Arc<Shared>, pause: Duration) -> bool {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let settings = &shared.settings;
    let ticket = shared.lot.admit().expect("there is room");
    let begun = Instant::now();
    let connection = Connection::new(near.into(), None, ticket, settings, begun);
    let mut connection = Box::new(connection);
    let mut arrived = None;
    for now in [begun, begun + pause] {
        connection.input.extend_from_slice(HEAD);
        arrived = match connection.advance(settings, now, None) {
            Progress::Arrived(arrived) => Some(arrived),
            other => panic!("{other:?}"),
        };
        connection.begin_next(&Unread::Nothing, now);
    }
    let arrived = arrived.expect("both did");
    let job = job(shared, connection, arrived, begun + pause);
    far.shutdown(std::net::Shutdown::Write).expect("it is open");
    assert!(job.client.finish(Ending::Keep).is_none());
    let is_parked = shared.lot.n_open() == 1;
    drop(shared.lot.take_any());
    is_parked
}

#[test]
fn a_worker_waits_for_the_client_that_was_quick_and_for_no_other() {
    let (queue, jobs, _refusals) = queue(1, Duration::from_secs(20));
    let shared = shared(jobs.clone());
    let free = thread::spawn(move || jobs.recv().is_err());
    while shared.jobs.traffic().n_free == 0 {
        thread::yield_now();
    }
    let pauses = [Duration::ZERO, LINGER, LINGER + Duration::from_millis(1)];
    assert_eq!(
        pauses.map(|pause| is_parked(&shared, pause)),
        [false, false, true]
    );
    drop(queue);
    assert!(free.join().expect("it has not panicked"));
}

#[test]
fn a_refusal_that_finds_no_room_takes_no_answer_with_it() {
    let (_queue, jobs, _refusals) = queue(1, Duration::from_secs(20));
    for is_answered in [false, true] {
        let shared = shared(jobs.clone());
        let (mut far, near) = tcp_pair();
        let ticket = shared.lot.admit().expect("there is room");
        let now = Instant::now();
        let connection = Connection::new(near.into(), None, ticket, &shared.settings, now);
        let mut connection = Box::new(connection);
        if is_answered {
            connection.input.extend_from_slice(HEAD);
            let progress = connection.advance(&shared.settings, now, None);
            assert!(matches!(progress, Progress::Arrived(_)), "{progress:?}");
            connection.begin_next(&Unread::Nothing, now);
        }
        // As if these were answers that the client has not read.
        let mut n_sent = 0;
        let flags = SendFlags::DONTWAIT;
        while let Ok(n) = rustix::net::send(&*connection.socket, &[b'x'; 100], flags) {
            n_sent += n;
        }
        refuse(&shared, connection, Limit::HeaderTimeout.refusal());
        let read = far.read_to_end(&mut Vec::new());
        assert_eq!(read.ok(), is_answered.then_some(n_sent));
    }
}
