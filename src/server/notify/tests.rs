//! The thread `notify` before a real socket, with a listener that is stuck.

use std::os::unix::net::UnixDatagram;
use std::thread;

use super::*;
use crate::intake::check::Limits;
use crate::intake::tiny::TinyListener;
use crate::intake::{Listening, queue};

const INTERVAL: Duration = Duration::from_millis(400);

/// What comes within so long.
fn next(manager: &UnixDatagram, within: Duration) -> Option<String> {
    let mut buffer = [0; 1024];
    manager.set_read_timeout(Some(within)).expect("it takes it");
    let n = manager.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..n]).into_owned())
}

#[test]
fn a_listener_that_is_stuck_is_not_fed_for_and_one_that_goes_on_is() {
    // Goal: silence while its thread does not turn, a feed when it does, silence again. Trick:
    // nobody runs the listener, and the test beats in its place.
    let path = std::env::temp_dir().join(format!("threadbare-notify-{}", std::process::id()));
    let manager = UnixDatagram::bind(&path).expect("the path is free");
    let bound = TinyListener::bind("127.0.0.1:0", INTERVAL, Limits::default());
    let listening = Listening::from(bound.expect("a port is free"));
    let (_queue, jobs, _refusals) = queue(1, INTERVAL);
    let (listener, health) = (Arc::clone(&listening.pulse), Arc::<Pulse>::default());
    let vitals = Vitals {
        waker: listening.waker,
        listener: Arc::clone(&listener),
        health: Arc::clone(&health),
        jobs,
        pools: Arc::new(Pools::new()),
        queue_timeout: INTERVAL,
        addresses: "nowhere".to_owned(),
        stopping: Arc::default(),
    };
    let (end, ended) = bounded::<()>(0);
    let beating = thread::spawn(move || {
        while ended.recv_timeout(INTERVAL / 20) == Err(RecvTimeoutError::Timeout) {
            health.beat();
        }
    });
    let notifier = Notifier::example(&path, INTERVAL);
    let service = Service::start(vitals, notifier).expect("a thread is to be had");
    for _ in 0..2 {
        assert_eq!(next(&manager, 2 * INTERVAL), None, "it is stuck");
        listener.beat();
        let fed = next(&manager, Duration::from_secs(20));
        assert_eq!(fed.as_deref(), Some("WATCHDOG=1"));
    }
    service.stop();
    drop(end);
    beating.join().expect("it only beats");
    let _ = std::fs::remove_file(&path); // only tidiness
}
