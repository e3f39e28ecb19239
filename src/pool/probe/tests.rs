//! Probes with real sockets: side by side, and each within its own time.

mod peers;
mod questions;

use std::io::{ErrorKind, Read};

use rustix::io::Errno;

use self::peers::{
    DEADLINE, GOOD, SHORT, answering, bad, finish, hanging, http, listener, raise_descriptor_limit,
    refusing, tcp,
};
use super::*;
use crate::pool::dial::open_socket;

#[test]
fn a_round_of_very_many_takes_no_longer_than_the_one_that_hangs() {
    // Goal: 500 and 1,000 backends of which half hang are one round, within the timeout plus a
    // second. Trick: a quarter swallow the connect, a quarter the request; neither needs a thread.
    raise_descriptor_limit();
    let (swallows_connects, _fill) = hanging();
    let (_silent, swallows_requests) = listener(1024);
    let good = answering(&[GOOD]);
    let timeout = Duration::from_secs(1);
    for n in [500, 1000] {
        let mut prober = Prober::new();
        let start = Instant::now();
        for key in 0..n {
            let target = match key % 4 {
                0 => tcp(key, swallows_connects, timeout),
                1 => http(key, swallows_requests, timeout),
                2 => tcp(key, good, timeout),
                _ => http(key, good, timeout),
            };
            prober.begin(target, start);
        }
        assert_eq!(prober.len() as u64, n);
        let reports = finish(&mut prober);
        let took = start.elapsed();
        assert!(took < timeout + Duration::from_secs(1), "{n}: {took:?}");
        assert_eq!(reports.len() as u64, n);
        for (place, (key, found)) in reports.iter().enumerate() {
            let wanted = match key % 4 {
                0 => bad("connect: timed out after 1s"),
                1 => bad("health check: timed out after 1s"),
                _ => Found::Good,
            };
            assert_eq!(*found, wanted, "{key} of {n}");
            let is_early = place < reports.len() / 2;
            assert_eq!(is_early, key % 4 >= 2, "{key} of {n} came as {place}");
        }
    }
}

#[test]
fn dead_targets_do_not_delay_each_other_or_the_good_ones() {
    // Goal: what is known is told at once. Trick: many that hang, one refused, one good.
    let (hangs, _fill) = hanging();
    let (_listener, good) = listener(1);
    let mut prober = Prober::new();
    let start = Instant::now();
    for key in 0..50 {
        prober.begin(tcp(key, hangs, SHORT), start);
    }
    prober.begin(tcp(50, refusing(), SHORT), start);
    prober.begin(tcp(51, good, SHORT), start);
    let mut reports = finish(&mut prober);
    assert!(start.elapsed() < 10 * SHORT, "they hang one after another");
    reports[..2].sort_by_key(|(key, _)| *key);
    let refused = bad("connect: connection refused");
    assert_eq!(reports[..2], [(50, refused), (51, Found::Good)]);
    assert_eq!(reports.len(), 52);
    for (_, found) in &reports[2..] {
        assert_eq!(*found, bad("connect: timed out after 300ms"));
    }
}

#[test]
fn each_has_its_own_time() {
    let (hangs, _fill) = hanging();
    let mut prober = Prober::new();
    let start = Instant::now();
    for (key, timeout) in [(0, 3 * SHORT), (1, SHORT), (2, 2 * SHORT)] {
        prober.begin(tcp(key, hangs, timeout), start);
    }
    let keys: Vec<u64> = finish(&mut prober).iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [1, 2, 0]);
    assert!(start.elapsed() >= 3 * SHORT);
}

#[test]
fn a_wait_ends_in_time_though_nothing_is_known() {
    let (hangs, _fill) = hanging();
    let mut prober = Prober::new();
    prober.wait(DEADLINE, |_, _| panic!("nothing was begun"));
    prober.begin(tcp(0, hangs, DEADLINE), Instant::now());
    let start = Instant::now();
    prober.wait(SHORT, |_, _| panic!("nothing is known"));
    assert!((SHORT..DEADLINE / 2).contains(&start.elapsed()));
    prober.wait(Duration::ZERO, |_, _| panic!("nothing is known"));
    assert!(prober.is_probing(0));
}

#[test]
fn a_connection_to_itself_is_none_to_a_backend() {
    // Trick: a socket that is bound to the very port that it connects to.
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    for make in [tcp, http] {
        let fd = open_socket(any).expect("a socket");
        rustix::net::bind(&fd, &any).expect("a free port");
        let address = rustix::net::getsockname(&fd).expect("it is bound");
        let address = SocketAddr::try_from(address).expect("an internet address");
        let now = Instant::now();
        let Begun::Pending(job) = Job::connect(fd, &make(7, address, DEADLINE), now) else {
            panic!("it connects to itself");
        };
        let mut prober = Prober::new();
        prober.jobs.insert(7, job);
        let refused = bad("connect: connection refused");
        assert_eq!(finish(&mut prober), [(7, refused)]);
    }
}

#[test]
fn those_beyond_the_room_come_after_the_others() {
    // Goal: all are reported, each with a time of its own. Trick: room for two, and the first two
    // hang.
    let (hangs, _fill) = hanging();
    let good = answering(&[GOOD]);
    let mut prober = Prober::new();
    prober.room = 2;
    let start = Instant::now();
    for key in 0..2 {
        prober.begin(tcp(key, hangs, SHORT), start);
    }
    for key in 2..12 {
        let target = if key % 2 == 0 { tcp } else { http };
        prober.begin(target(key, good, DEADLINE), start);
    }
    prober.begin(tcp(12, hangs, SHORT), start);
    assert_eq!((prober.len(), prober.jobs.len()), (13, 2));
    assert!((0..13).all(|key| prober.is_probing(key)));
    let reports = finish(&mut prober);
    assert!(
        start.elapsed() >= 2 * SHORT,
        "the last one has its own time"
    );
    assert_eq!(reports.len(), 13);
    for (key, found) in &reports {
        let hangs = [0, 1, 12].contains(key);
        let late = bad("connect: timed out after 300ms");
        assert_eq!(*found, if hangs { late } else { Found::Good }, "{key}");
    }
}

#[test]
fn what_is_cancelled_is_never_reported() {
    // In progress, waiting for room, and decided but not yet told.
    let (hangs, _fill) = hanging();
    let (silent, address) = listener(1);
    let mut prober = Prober::new();
    prober.room = 2;
    let now = Instant::now();
    prober.begin(http(0, address, DEADLINE), now);
    prober.begin(tcp(1, hangs, DEADLINE), now);
    prober.begin(tcp(2, hangs, DEADLINE), now);
    prober.decided.push((3, Found::Good));
    assert_eq!(prober.len(), 4);
    let (mut stream, _) = silent.accept().expect("the probe connects");
    for key in 0..4 {
        prober.cancel(key);
        assert!(!prober.is_probing(key));
    }
    prober.cancel(4);
    assert!(prober.is_empty());
    prober.wait(DEADLINE, |_, _| panic!("all are cancelled"));
    let end = stream.read(&mut [0; 1]);
    let is_closed = match &end {
        Ok(n) => *n == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    assert!(is_closed, "{end:?}");
}

#[test]
fn a_key_that_is_begun_again_is_reported_once() {
    let (hangs, _fill) = hanging();
    let mut prober = Prober::new();
    let now = Instant::now();
    prober.begin(tcp(0, hangs, SHORT), now);
    prober.begin(tcp(0, refusing(), SHORT), now);
    prober.begin(tcp(0, answering(&[]), SHORT), now);
    assert_eq!(finish(&mut prober), [(0, Found::Good)]);
}

#[test]
fn a_lack_of_means_is_no_fault_of_a_backend() {
    let lacks = |errno, address: &str| {
        let address = address.parse().expect("an address");
        matches!(Begun::failed(errno, address), Begun::NoMeans(_))
    };
    assert!(lacks(Errno::MFILE, "[::1]:80"));
    assert!(
        lacks(Errno::ADDRNOTAVAIL, "127.0.0.1:80"),
        "no port is left"
    );
    assert!(!lacks(Errno::ADDRNOTAVAIL, "[::1]:80"), "no IPv6 here");
    assert!(!lacks(Errno::CONNREFUSED, "127.0.0.1:80"));
}
