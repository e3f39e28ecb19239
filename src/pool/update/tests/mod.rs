//! What a reload makes of a pool: lines, who is kept, and who serves meanwhile.

mod scene;
mod stories;

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::*;
use crate::pool::Wish;
use crate::pool::settings::{PoolSettings, Probe, Sticky};
use scene::{Scene, no_names, spec, url};

#[test]
fn what_changes_is_a_line_each() {
    // Goal: every difference in the file's order, then who goes. Trick: a table.
    let url_of = |letter: char| format!("url=http://{}", url(letter));
    let (b, c, other) = (url_of('b'), url_of('c'), url_of('~'));
    let cases: &[(&str, &str, &[&str])] = &[
        ("ab", "ab", &[]),
        ("ab", "ba", &[]),
        ("a", "ab", &[&format!("+ b {b}")]),
        ("abc", "b", &["- a", "- c"]),
        ("a", "a*3", &["~ a weight 1→3"]),
        ("a*3!", "a*2", &["~ a weight 3→2 backup true→false"]),
        ("a/1", "a/2", &["~ a max_connections 1→2"]),
        ("a/1", "a", &["~ a max_connections 1→none"]),
        (
            "ab",
            "ac*2!/9",
            &[&format!("+ c {c} weight=2 backup max_connections=9"), "- b"],
        ),
        ("ab", "ab~", &[&format!("+ b {other}"), "- b"]),
    ];
    for (before, after, wanted) in cases {
        let scene = Scene::probed(before);
        assert_eq!(scene.update(after), *wanted, "{before} to {after}");
        assert_eq!(scene.update(after), [""; 0], "{after} again");
    }
}

#[test]
fn times_and_plain_names_are_told_as_they_are() {
    // Goal: a backend without a name is its URL, and says no more; a slow start of its own.
    let scene = Scene::probed("a");
    let mut spec = spec(&scene.settings, "a");
    spec.backends[0].slow_start = Some(Duration::from_secs(9));
    spec.backends.push(BackendSpec::new(url('b')));
    let lines = scene.pool.update(&spec, &no_names, scene.now);
    let wanted = [
        "~ a slow_start pool's→9s".to_owned(),
        format!("+ {}", url('b')),
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn who_stays_keeps_all_it_has() {
    // Goal: the same backend with the same counts, state, drain and weight of the run time; in the
    // order of the file.
    let settings = PoolSettings {
        policy: Policy::WeightedRoundRobin,
        ..PoolSettings::default()
    };
    let scene = Scene::new(settings, "abcd");
    let ids = ["d", "b", "a"].map(|name| scene.id(name));
    scene.play("-a");
    scene.pool.drain("b", scene.now).expect("it is there");
    scene.pool.weigh("d", 7, scene.now).expect("it is there");
    drop(scene.pool.pick(&Wish::plain(scene.now)));
    let n_requests = |scene: &Scene| {
        let report = scene.pool.report(scene.now);
        report.backends.iter().map(|b| b.n_requests).sum::<u64>()
    };
    assert_eq!(n_requests(&scene), 1);
    scene.pool.remove("c", scene.now).expect("it is there");
    scene.update("dba/9");
    assert_eq!(["d", "b", "a"].map(|name| scene.id(name)), ids);
    assert_eq!(scene.members(), "dba");
    assert_eq!(scene.serving(), "d");
    let report = scene.pool.report(scene.now);
    let [d, b, a] = &report.backends[..] else {
        panic!("three are there: {report:?}")
    };
    assert_eq!((d.weight, b.mode, a.state), (7, "drained", "down"));
    assert_eq!(a.max_connections, Some(9));
    // Another weight in the file goes before that of the run time; round-robin knows none.
    scene.update("d*2ba");
    assert_eq!(scene.pool.report(scene.now).backends[0].weight, 2);
    scene.update("dba");
    scene.pool.weigh("d", 7, scene.now).expect("it is there");
    let plain = spec(&PoolSettings::default(), "dba");
    scene.pool.update(&plain, &no_names, scene.now);
    assert_eq!(scene.pool.report(scene.now).backends[0].weight, 1);
}

#[test]
fn where_nobody_probes_all_serve_at_once() {
    // Goal: a replacement is at once, and who comes later gets requests.
    let settings = PoolSettings {
        probe: Probe {
            kind: ProbeKind::Off,
            ..Probe::default()
        },
        ..PoolSettings::default()
    };
    let scene = Scene::new(settings, "a");
    scene.update("ab");
    assert_eq!(scene.serving(), "ab");
    scene.update("c");
    assert_eq!(
        (scene.serving(), scene.members()),
        ("c".to_owned(), "c".to_owned())
    );
}

#[test]
fn switching_probes_off_ends_the_wait() {
    // Goal: no old backend stays for a probe that never comes.
    let mut scene = Scene::probed("a");
    scene.update("b");
    assert_eq!(scene.members(), "b(a)");
    scene.settings.probe.kind = ProbeKind::Off;
    scene.update("b");
    assert_eq!(
        (scene.serving(), scene.members()),
        ("b".to_owned(), "b".to_owned())
    );
}

#[test]
fn a_drained_or_forced_down_new_one_lets_nobody_go() {
    // Goal: a good probe of a backend that gets no requests is no reason for the old to go.
    let scene = Scene::probed("a");
    scene.update("bc");
    scene.pool.drain("b", scene.now).expect("it is there");
    scene.play("+b");
    assert_eq!(
        (scene.serving(), scene.members()),
        ("a".to_owned(), "bc(a)".to_owned())
    );
    scene.play("+c");
    assert_eq!(
        (scene.serving(), scene.members()),
        ("c".to_owned(), "bc".to_owned())
    );
}

#[test]
fn who_goes_keeps_no_connection() {
    // Goal: removed, replaced or of a pool that goes: its idle connections are closed and none is
    // kept; of one that waits to go they are kept.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let keeps = |backend: &Backend| {
        let stream = TcpStream::connect(address).expect("someone listens");
        backend.keep_idle(stream, Instant::now());
        backend.take_idle().is_some()
    };
    let scene = Scene::probed("ab");
    let [a, b] = [0, 1].map(|idx| Arc::clone(&scene.pool.backends()[idx]));
    scene.update("b");
    assert!(!keeps(&a) && keeps(&b));
    scene.update("c");
    assert!(keeps(&b), "it serves still");
    scene.update("b");
    assert!(keeps(&b), "it is back");
    scene.update("c");
    scene.play("+c");
    assert!(!keeps(&b));
    let c = Arc::clone(&scene.pool.backends()[0]);
    assert!(keeps(&c));
    scene.pool.close_down();
    assert!(!keeps(&c));
}

#[test]
fn a_cookie_stays_what_it_is_unless_its_secret_changes() {
    // Goal: the token of a backend over a reload with another cookie, age, weight; and then not.
    let sticky = |secret: Option<&str>, cookie: &str| {
        Some(Sticky {
            cookie: cookie.to_owned(),
            secret: secret.map(str::to_owned),
            max_age: None,
            is_secure: false,
        })
    };
    let mut scene = Scene::probed("ab");
    let token = |scene: &Scene| scene.pool.roster.read().members[0].token;
    assert_eq!(token(&scene), 0);
    scene.settings.sticky = sticky(None, "A");
    scene.update("ab");
    let first = token(&scene);
    assert_ne!(first, 0);
    scene.settings.sticky = sticky(None, "B");
    scene.update("ab");
    assert_eq!(token(&scene), first);
    scene.settings.sticky = sticky(Some("a secret of ours"), "B");
    scene.update("ab");
    let second = token(&scene);
    assert_ne!(second, first);
    let other = Scene::new(scene.settings.clone(), "ab");
    assert_eq!(token(&other), second, "the same secret, the same token");
    scene.settings.sticky = None;
    scene.update("ab");
    assert_eq!(token(&scene), 0);
}
