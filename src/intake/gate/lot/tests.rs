//! Places, order and wake-ups of the lot.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use super::idle::MAX_PASSED_OVER;
use super::*;
use crate::intake::check::Limits;
use crate::intake::gate::{MinRate, Settings};

const LONG: Duration = Duration::from_secs(20);
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn lot(n_connections: usize, n_per_client: Option<usize>) -> Arc<Lot> {
    let room = Room {
        n_connections,
        n_per_client,
    };
    Arc::new(Lot::new(room).expect("it can be made"))
}

fn settings() -> Settings {
    Settings {
        limits: Limits::default(),
        max_connections: 1,
        max_per_client: None,
        max_requests: None,
        header_timeout: LONG,
        keep_alive_timeout: LONG,
        idle_timeout: LONG,
        pace: MinRate {
            bytes_per_second: None,
            grace: LONG,
        },
        accept_proxy: false,
        n_workers: 1,
    }
}

/// A connection, and its far end, which keeps it open.
fn connection(ticket: Ticket) -> (Box<Connection>, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let near = OwnedFd::from(near);
    let connection = Connection::new(near, None, ticket, &settings(), Instant::now());
    (Box::new(connection), far)
}

#[test]
fn places_are_given_back_when_a_connection_ends() {
    let lot = lot(2, Some(1));
    let mut first = lot.admit().expect("there is room");
    let mut second = lot.admit().expect("there is room");
    assert!(lot.admit().is_none());
    assert!(first.charge(CLIENT));
    assert!(!second.charge(CLIENT), "one more than a client may have");
    drop(first);
    assert!(second.charge(CLIENT));
    assert!(lot.admit().is_some());
    drop(second);
    assert_eq!(lot.n_open(), 0);
    assert!(lot.state.lock().n_by_client.is_empty());
}

#[test]
fn the_oldest_idle_one_goes_first_and_the_first_to_expire_expires_first() {
    let lot = lot(9, None);
    let now = Instant::now();
    let mut ids = Vec::new();
    let mut far_ends = Vec::new();
    // Idle since 3, 1 and 2 seconds; their deadlines in the opposite order; one is not idle.
    for (idle, left) in [(Some(3), 1), (Some(1), 3), (Some(2), 2), (None, 4)] {
        let (connection, far) = connection(lot.admit().expect("there is room"));
        ids.push(connection.id());
        far_ends.push(far);
        let since = idle.map(|s| now.checked_sub(Duration::from_secs(s)).expect("up longer"));
        lot.park(connection, now + Duration::from_secs(left), since);
    }
    assert_eq!(lot.wait_until(None), Some(now + Duration::from_secs(1)));
    let oldest = lot.take_oldest_idle(now).map(|connection| connection.id());
    assert_eq!(oldest, Some(ids[0]));
    let expired = |after| {
        let at = now + Duration::from_secs(after);
        lot.take_expired(at).map(|connection| connection.id())
    };
    assert_eq!(expired(1), None, "the first to expire is gone");
    assert_eq!(
        [expired(9), expired(9), expired(9)],
        [2, 1, 3].map(|i| Some(ids[i]))
    );
    assert_eq!((lot.n_open(), lot.wait_until(None)), (0, None));
}

#[test]
fn who_has_sent_something_or_has_just_come_is_not_closed_to_make_room() {
    let lot = lot(9, None);
    let now = Instant::now();
    let ago = |secs| {
        now.checked_sub(Duration::from_secs(secs))
            .expect("up longer")
    };
    let mut parked = Vec::new();
    // The three oldest have sent a byte, or ended; the last is idle only from later on.
    for since in [ago(4), ago(3), ago(2), ago(1), now + LONG] {
        let (connection, far) = connection(lot.admit().expect("there is room"));
        parked.push((connection.id(), far));
        lot.park(connection, now + LONG, Some(since));
    }
    for (_, far) in &mut parked[..2] {
        far.write_all(b"G").expect("it is open");
    }
    let (ended, far) = parked.remove(2);
    drop(far);
    let take = |now| Some(lot.take_oldest_idle(now)?.id());
    assert_eq!([take(now), take(now)], [Some(ended), Some(parked[2].0)]);
    assert_eq!(take(now), None, "the last has just come");
    assert_eq!(take(now + LONG), Some(parked[3].0));
    // They are still there, and whoever waits is told of them.
    let mut ready = Vec::new();
    lot.readiness.wait(&mut ready, Some(LONG)).expect("a wait");
    ready.sort_unstable();
    assert_eq!(ready, [parked[0].0, parked[1].0]);
    assert!(ready.iter().all(|&id| lot.take(id).is_some()));
    assert_eq!(lot.n_open(), 0);
}

#[test]
fn a_search_for_an_idle_one_has_an_end() {
    let lot = lot(99, None);
    let now = Instant::now();
    let mut far_ends = Vec::new();
    for n in 0..=MAX_PASSED_OVER {
        let (connection, mut far) = connection(lot.admit().expect("there is room"));
        if n < MAX_PASSED_OVER {
            far.write_all(b"G").expect("it is open");
        }
        far_ends.push((connection.id(), far));
        lot.park(connection, now + LONG, Some(now));
    }
    assert!(lot.take_oldest_idle(now).is_none());
    drop(lot.take(far_ends[0].0)); // it is served
    let found = lot.take_oldest_idle(now).map(|connection| connection.id());
    assert_eq!(found, Some(far_ends[MAX_PASSED_OVER].0));
}

/// Waits as the waiter does; false: nobody woke it.
fn is_woken_by(lot: &Arc<Lot>, act: impl FnOnce() + Send) -> bool {
    thread::scope(|scope| {
        scope.spawn(act);
        let start = Instant::now();
        let mut ready = Vec::new();
        lot.readiness.wait(&mut ready, Some(LONG)).expect("a wait");
        start.elapsed() < LONG
    })
}

#[test]
fn the_waiter_is_woken_for_a_deadline_before_its_own_and_for_room() {
    // Many rounds, because the one thing that could go wrong is a wake-up between two steps.
    for _ in 0..200 {
        let lot = lot(1, None);
        let (connection, _far) = connection(lot.admit().expect("there is room"));
        assert_eq!(lot.wait_until(None), None);
        let soon = Instant::now() + LONG;
        assert!(is_woken_by(&lot, || lot.park(connection, soon, None)));
        assert_eq!(lot.wait_until(None), Some(soon));
        // Full: it is told when the connection ends, or could be closed.
        assert!(lot.wait_for_room());
        let id = *lot.state.lock().parked.keys().next().expect("it is parked");
        let connection = lot.take(id).expect("nobody else takes it");
        let since = Some(Instant::now());
        assert!(is_woken_by(&lot, || lot.park(connection, soon, since)));
        assert!(!lot.wait_for_room_or_idle(Instant::now()));
        assert!(lot.wait_for_room());
        let connection = lot.take(id).expect("nobody else takes it");
        assert!(is_woken_by(&lot, || drop(connection)));
        assert!(!lot.wait_for_room());
    }
}

#[test]
fn nothing_idle_is_kept_once_the_lot_closes() {
    let lot = lot(9, None);
    let soon = Instant::now() + LONG;
    let new = || connection(lot.admit().expect("there is room"));
    let ((idle, _a), (busy, _b), (late, _c)) = (new(), new(), new());
    lot.park(idle, soon, Some(Instant::now()));
    lot.park(busy, soon, None);
    lot.close_idle();
    lot.park(late, soon, Some(Instant::now()));
    assert_eq!(lot.n_open(), 1, "the one in the middle of something");
    assert!(lot.take_any().is_some() && lot.take_any().is_none());
    assert_eq!(lot.n_open(), 0);
}
