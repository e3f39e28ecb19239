//! What answers of the resolver make of a pool: made-up ones, as a machine's own are its own.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::pool::{
    BackendUrl, DEFAULT_NAME, Fault, Forced, Found, PoolSettings, PoolSpec, ProbeKind, State, Wish,
};

const NAME: &str = "http://web.example:81";

/// A pool of one name and one address, and the name as the resolver has it.
fn pool(settings: PoolSettings) -> (Pool, Arc<BackendSpec>) {
    let url = |text: &str| BackendUrl::parse(text).expect("a good URL");
    let spec = PoolSpec {
        name: DEFAULT_NAME.to_owned(),
        settings,
        backends: vec![
            BackendSpec::new(url(NAME)),
            BackendSpec::new(url("http://10.0.0.9:80")),
        ],
    };
    let pool = Pool::new(&spec, &Arc::new(AtomicU64::new(1)), Instant::now());
    let name = pool.names().pop().expect("one is a name");
    (pool, name)
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 81))
}

fn resolve(pool: &Pool, name: &Arc<BackendSpec>, lasts: &[u8], arrival: Arrival) {
    let addresses = lasts.iter().map(|&last| address(last)).collect();
    pool.resolved(name, Ok(addresses), arrival, Instant::now());
}

fn fail(pool: &Pool, name: &Arc<BackendSpec>, arrival: Arrival) {
    let error = io::Error::other("no such name");
    pool.resolved(name, Err(error), arrival, Instant::now());
}

fn names(pool: &Pool) -> Vec<String> {
    let backends = pool.backends();
    backends
        .iter()
        .map(|backend| backend.name.clone())
        .collect()
}

fn member(pool: &Pool, last: u8) -> Arc<Backend> {
    let backends = pool.backends();
    let is_it = |backend: &&Arc<Backend>| backend.address == Some(address(last));
    Arc::clone(backends.iter().find(is_it).expect("it is a member"))
}

/// Who gets how many of 60 requests, by name.
fn shares(pool: &Pool) -> Vec<(String, usize)> {
    let mut shares: Vec<_> = names(pool).into_iter().map(|name| (name, 0)).collect();
    for _ in 0..60 {
        let picked = pool.pick(&Wish::plain(Instant::now())).expect("one is up");
        let name = &picked.claim.backend().name;
        let share = shares.iter_mut().find(|(other, _)| other == name);
        share.expect("it is a member").1 += 1;
    }
    shares
}

fn share(pool: &Pool, last: u8) -> usize {
    let name = &member(pool, last).name;
    let mut shares = shares(pool).into_iter();
    shares
        .find(|(other, _)| other == name)
        .expect("it is a member")
        .1
}

fn probe(pool: &Pool, last: u8, found: &Found) {
    assert!(pool.probed(member(pool, last).id, found, Instant::now()));
}

fn bad() -> Found {
    Found::Bad("refused".to_owned())
}

#[test]
fn a_name_with_several_addresses_is_several_members() {
    // Goal: each address is a member of its own, where the name stood, and gets a share.
    let (pool, name) = pool(PoolSettings::default());
    resolve(&pool, &name, &[1, 2], Arrival::WithAll);
    let wanted = [
        "web.example:81@10.0.0.1",
        "web.example:81@10.0.0.2",
        "10.0.0.9:80",
    ];
    assert_eq!(names(&pool), wanted);
    assert!(shares(&pool).iter().all(|(_, n)| *n == 20));
    assert_eq!(pool.names().len(), 1, "they are one name");
}

#[test]
fn who_stays_keeps_all_it_has_while_others_come_and_go() {
    // Goal: health, counts, drain and weight are an address's own, as long as the name has it, in
    // whatever order. Trick: one member that differs from a new one in all of them.
    let (pool, name) = pool(PoolSettings {
        policy: crate::pool::Policy::LeastConnections,
        ..PoolSettings::default()
    });
    resolve(&pool, &name, &[1, 2], Arrival::WithAll);
    let now = Instant::now();
    let kept = member(&pool, 2);
    pool.exchange_failed(&kept, Fault::Answering, "reset", now);
    probe(&pool, 2, &bad());
    pool.drain(&kept.name, now).expect("it is a member");
    pool.weigh(&kept.name, 7, now).expect("it is a member");
    let report = |pool: &Pool| {
        let report = pool.report(Instant::now()).backends.into_iter();
        let mut reports = report.filter(|b| b.address == Some(address(2)));
        let report = reports.next().expect("it is a member");
        (report.state, report.mode, report.weight, report.n_failures)
    };
    let gone = member(&pool, 1);
    assert_eq!(report(&pool), ("down", "drained", 7, 1));
    for lasts in [[2, 3], [3, 2], [2, 4]] {
        resolve(&pool, &name, &lasts, Arrival::Late);
        assert_eq!(report(&pool), ("down", "drained", 7, 1));
        assert_eq!(member(&pool, 2).id, kept.id);
        assert_eq!(pool.n_backends(), 3);
    }
    assert!(names(&pool).iter().all(|name| *name != gone.name));
    // And who came is not what the other is.
    probe(&pool, 4, &Found::Good);
    assert!(share(&pool, 4) > 0);
}

#[test]
fn an_address_that_goes_and_comes_again_begins_anew() {
    let (pool, name) = pool(PoolSettings::default());
    resolve(&pool, &name, &[1, 2], Arrival::WithAll);
    let first = member(&pool, 1).id;
    probe(&pool, 1, &bad());
    resolve(&pool, &name, &[2], Arrival::Late);
    assert_eq!(pool.n_backends(), 2);
    resolve(&pool, &name, &[1, 2], Arrival::Late);
    assert_ne!(member(&pool, 1).id, first);
    assert_eq!(pool.states()[0], State::Unknown);
}

#[test]
fn a_failing_look_up_keeps_the_last_answer() {
    let (pool, name) = pool(PoolSettings::default());
    resolve(&pool, &name, &[1, 2], Arrival::WithAll);
    let ids = |pool: &Pool| -> Vec<u64> { pool.backends().iter().map(|b| b.id).collect() };
    let before = ids(&pool);
    fail(&pool, &name, Arrival::Late);
    assert_eq!(ids(&pool), before);
}

#[test]
fn until_its_name_is_found_a_backend_is_a_place_without_an_address() {
    // Goal: it stays a member and is found later; the others serve meanwhile.
    let (pool, name) = pool(PoolSettings::default());
    fail(&pool, &name, Arrival::WithAll);
    assert_eq!(names(&pool), ["web.example:81", "10.0.0.9:80"]);
    assert_eq!(pool.backends()[0].address, None);
    assert!(pool.probed(pool.backends()[0].id, &bad(), Instant::now()));
    assert_eq!(shares(&pool)[1].1, 60);
    fail(&pool, &name, Arrival::Late);
    assert_eq!(pool.names().len(), 1, "it is still looked up");
    resolve(&pool, &name, &[1, 2], Arrival::Late);
    assert_eq!(pool.n_backends(), 3);
    probe(&pool, 1, &Found::Good);
    assert_eq!(share(&pool, 1), 30);
}

#[test]
fn who_comes_late_gets_requests_once_it_is_known_to_work() {
    // Goal: a new address may be one where nothing listens yet. But where nobody probes, nobody
    // would ever know: there it gets its share at once.
    for kind in [ProbeKind::Tcp, ProbeKind::Off] {
        let mut settings = PoolSettings::default();
        settings.probe.kind = kind.clone();
        let (pool, name) = pool(settings);
        resolve(&pool, &name, &[1], Arrival::WithAll);
        resolve(&pool, &name, &[1, 2], Arrival::Late);
        let wanted = if kind == ProbeKind::Off { 20 } else { 0 };
        assert_eq!(share(&pool, 2), wanted, "{kind:?}");
        if kind != ProbeKind::Off {
            probe(&pool, 2, &bad());
            assert_eq!(share(&pool, 2), 0);
            probe(&pool, 2, &Found::Good);
            probe(&pool, 2, &Found::Good);
            assert!(share(&pool, 2) > 0);
        }
    }
}

/// What is said of a backend of this name.
type Change = fn(&Pool, &str, Instant);

#[test]
fn who_comes_takes_over_what_was_said_of_the_whole_name() {
    // Goal: an operator who drains a name means all of its addresses, also the next; who drains
    // one address means that one; and what one says of itself says nothing of another.
    let now = Instant::now();
    let mode = |pool: &Pool, last: u8| {
        let report = pool.report(now).backends.into_iter();
        let mut reports = report.filter(|b| b.address == Some(address(last)));
        let report = reports.next().expect("it is a member");
        (report.mode, report.forced)
    };
    let drain: Change = |pool, name, now| {
        pool.drain(name, now).expect("it is a member");
    };
    let force: Change = |pool, name, now| {
        let forced = Some(Forced::Down);
        pool.force(name, forced, now).expect("it is a member");
    };
    let drain_itself: Change = |pool, _, now| {
        assert!(pool.probed(pool.backends()[0].id, &Found::Draining, now));
    };
    let cases = [
        (drain, "web.example:81", ("drained", None)),
        (drain, "web.example:81@10.0.0.1", ("enabled", None)),
        (force, "web.example:81", ("enabled", Some("down"))),
        (force, "web.example:81@10.0.0.1", ("enabled", None)),
        (drain_itself, "", ("enabled", None)),
    ];
    for (change, whom, wanted) in cases {
        let (pool, name) = pool(PoolSettings::default());
        resolve(&pool, &name, &[1, 2], Arrival::WithAll);
        change(&pool, whom, now);
        resolve(&pool, &name, &[1, 2, 3], Arrival::Late);
        assert_eq!(mode(&pool, 3), wanted, "{whom}");
    }
}

#[test]
fn a_name_that_was_removed_meanwhile_stays_away() {
    let (pool, name) = pool(PoolSettings::default());
    resolve(&pool, &name, &[1], Arrival::WithAll);
    let removed = pool.remove("web.example:81", Instant::now());
    assert_eq!(removed, Ok(true));
    resolve(&pool, &name, &[1, 2], Arrival::Late);
    assert_eq!(names(&pool), ["10.0.0.9:80"]);
}

#[test]
fn an_exchange_with_an_address_that_goes_ends_in_peace() {
    // Goal: its claim and its report outlive the membership.
    let (pool, name) = pool(PoolSettings::default());
    resolve(&pool, &name, &[1, 2], Arrival::WithAll);
    let gone = member(&pool, 1);
    let wish = Wish::plain(Instant::now());
    let mut claims: Vec<_> = (0..3).map(|_| pool.pick(&wish)).collect();
    resolve(&pool, &name, &[2], Arrival::Late);
    assert_eq!(gone.n_in_flight(), 1);
    pool.exchange_failed(&gone, Fault::Answering, "reset", Instant::now());
    claims.clear();
    assert_eq!(gone.n_in_flight(), 0);
    assert_eq!(pool.report(Instant::now()).n_in_flight, 0);
}

/// What a reload leaves of it.
mod over_a_reload {
    use super::super::*;
    use crate::pool::{BackendUrl, Found, PoolSettings, PoolSpec};

    fn pool_of(name: &str) -> PoolSpec {
        let url = BackendUrl::parse(&format!("http://{name}:80")).expect("a good URL");
        PoolSpec {
            name: "web".to_owned(),
            settings: PoolSettings::default(),
            backends: vec![BackendSpec::new(url)],
        }
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 80))
    }

    fn resolve(pool: &Pool, name: &str, lasts: &[u8]) {
        let names = pool.names();
        let spec = names.iter().find(|spec| spec.name.starts_with(name));
        let found = lasts.iter().map(|&last| at(last)).collect();
        let spec = spec.expect("it is a member");
        pool.resolved(spec, Ok(found), Arrival::Late, Instant::now());
    }

    #[test]
    fn new_addresses_of_a_name_that_is_to_go_go_with_it() {
        // Goal: a look-up while a name waits to be replaced leaves nobody behind. Trick: it has one
        // old and one new address then.
        let (old, new) = (pool_of("old.test"), pool_of("new.test"));
        let now = Instant::now();
        let pool = Pool::new(&old, &Arc::default(), now);
        resolve(&pool, "old", &[1]);
        pool.update(&new, &|_| vec![Some(at(9))], now);
        resolve(&pool, "old", &[1, 2]);
        assert_eq!(pool.n_backends(), 3);
        let new = pool.backends()[0].clone();
        assert!(pool.probed(new.id, &Found::Good, now));
        let left: Vec<_> = pool.backends().iter().map(|b| b.address).collect();
        assert_eq!(left, [Some(at(9))]);
    }

    #[test]
    fn who_stays_keeps_its_addresses_over_a_reload() {
        // Goal: nothing is looked up anew, and the next look-up finds its members. Trick: a reload
        // gives the backend another description.
        let mut spec = pool_of("a.test");
        let now = Instant::now();
        let pool = Pool::new(&spec, &Arc::default(), now);
        resolve(&pool, "a", &[1, 2]);
        let before: Vec<_> = pool.backends().iter().map(|b| b.id).collect();
        spec.backends[0].max_connections = Some(9);
        let lines = pool.update(&spec, &|_| panic!("it is known"), now);
        assert_eq!(lines, ["~ a.test:80 max_connections none→9"]);
        resolve(&pool, "a", &[2, 1]);
        let mut after: Vec<_> = pool.backends().iter().map(|b| b.id).collect();
        after.sort_unstable();
        assert_eq!(after, before);
    }
}
