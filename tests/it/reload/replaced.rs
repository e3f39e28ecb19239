//! All backends of a pool replaced: the old ones serve until a new one has shown that it works.

use super::{Site, content, shares, since, web};
use crate::harness::{Backend, Conn, Cut, Gate, Threadbare, level, ok};

/// Probes by HTTP, with all the time that a test may hold one.
const HELD: &str = "health_path = \"/up\"\nhealth_timeout = \"1h\"\nhealth_interval = \"100ms\"\n";
/// Probes that come often.
const OFTEN: &str = "health_interval = \"100ms\"\nhealth_fast_interval = \"100ms\"\n";

/// Answers requests at once, and probes only once the gate is open.
fn unproven(content: &'static str, gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::start(move |mut conn: Conn| -> Result<(), Cut> {
        loop {
            if conn.request()?.head.word(1) == "/up" {
                gate.pass()?;
            }
            conn.send(ok(content))?;
        }
    })
}

/// Requests that were no probes.
fn n_requests(backend: &Backend) -> usize {
    let seen = backend.seen.items();
    seen.iter()
        .filter(|seen| seen.head.word(1) != "/up")
        .count()
}

#[track_caller]
fn await_gone(threadbare: &Threadbare, name: &str) {
    threadbare.await_line(&format!("backend web/{name} is gone: it is replaced"));
}

#[test]
fn the_old_serve_until_a_new_one_has_answered() {
    // Goal: no request goes to who may not work; behind the first good probe all do, and the old
    // ones get none. Trick: the new one's probe is held, its requests are not.
    let gate = Gate::closed();
    let (a, b) = (Backend::answering("a"), unproven("b", &gate));
    let site = Site::start("until", &web(HELD, &[("a", &a, "")]));
    let mut client = site.client();
    assert_eq!(content(&mut client, "/"), "a");
    let lines = site.reload(&web(HELD, &[("b", &b, "")]));
    assert_eq!(lines, [format!("+ b url={}", b.url()), "- a".to_owned()]);
    b.await_requests(1);
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "a");
    }
    gate.open();
    await_gone(&site.threadbare, "a");
    let before = n_requests(&a);
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "b");
    }
    assert_eq!(n_requests(&a), before);
}

#[test]
fn reloads_while_the_new_are_unproven_let_the_old_stay() {
    // Goal: a new backend that nobody has heard of yet counts for nothing, however often the file
    // is read again. Trick: as above; settings change meanwhile.
    let gate = Gate::closed();
    let (a, b) = (Backend::answering("a"), unproven("b", &gate));
    let site = Site::start("again", &web(HELD, &[("a", &a, "")]));
    let mut client = site.client();
    let after = web(HELD, &[("b", &b, "")]);
    site.reload(&after);
    assert_eq!(site.reload_as_it_is(), [""; 0]);
    b.await_requests(1);
    assert_eq!(site.reload_as_it_is(), [""; 0]);
    let lines = site.reload(&format!("{after}retries = 2\n"));
    assert_eq!(lines, ["~ web.retries 1 → 2"]);
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "a");
    }
    gate.open();
    await_gone(&site.threadbare, "a");
    assert_eq!(content(&mut client, "/"), "b");
}

#[test]
fn the_old_stay_while_all_new_ones_fail() {
    // Goal: one warning; the old ones serve, over further reloads too; when one of the new has
    // come up, the old go, and not before. No request fails. Trick: the new refuse, so they are
    // down, and need two good probes in a row; requests go on all the time.
    let [a, mut b, mut c] = ["a", "b", "c"].map(Backend::answering);
    b.stop();
    c.stop();
    let site = Site::start("fail", &web(OFTEN, &[("a", &a, "")]));
    let mut client = site.client();
    site.reload(&web(OFTEN, &[("b", &b, ""), ("c", &c, "")]));
    let line = site
        .threadbare
        .await_line("pool web: none of its new backends answers");
    assert_eq!(level(&line), "WARN", "{line}");
    for _ in 0..3 {
        assert_eq!(site.reload_as_it_is(), [""; 0]);
        for _ in 0..10 {
            assert_eq!(content(&mut client, "/"), "a");
        }
    }
    b.restart();
    let gone = "backend web/a is gone: it is replaced";
    while site.threadbare.lines(gone).is_empty() {
        content(&mut client, "/");
    }
    let before = shares(&[&a, &b, &c]);
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "b");
    }
    assert_eq!(since(&before, &[&a, &b, &c]), [0, 10, 0]);
    let log = site.threadbare.log.items();
    let at = |wanted: &str| log.iter().position(|line| line.contains(wanted));
    assert!(at("backend web/b is up: ") < at(gone), "{log:#?}");
    assert_eq!(site.threadbare.lines("none of its new backends").len(), 1);
}

#[test]
fn nobody_waits_where_nobody_probes() {
    // Goal: with health off the replacement is at once, also when it is switched off by the same
    // reload, or by one while a replacement waits.
    let [a, b, mut c, d] = ["a", "b", "c", "d"].map(Backend::answering);
    let off = "health = \"off\"\n";
    let site = Site::start("off", &web(off, &[("a", &a, "")]));
    let mut client = site.client();
    assert_eq!(content(&mut client, "/"), "a");
    site.reload(&web(off, &[("b", &b, "")]));
    assert_eq!(content(&mut client, "/"), "b");
    site.reload(&web("", &[("b", &b, "")]));
    c.stop();
    site.reload(&web("", &[("c", &c, "")]));
    assert_eq!(content(&mut client, "/"), "b");
    site.threadbare
        .await_line("none of its new backends answers");
    c.restart();
    let before = b.seen.len();
    let lines = site.reload(&web(off, &[("c", &c, ""), ("d", &d, "")]));
    assert!(
        lines.contains(&"~ web.health \"tcp\" → \"off\"".to_owned()),
        "{lines:#?}"
    );
    for _ in 0..10 {
        content(&mut client, "/");
    }
    assert_eq!(b.seen.len(), before);
    assert!(d.seen.len() >= 5, "{:?}", d.seen.items());
}

#[test]
fn a_rollback_brings_the_old_back_as_they_were() {
    // Goal: what waited to go is back with its connections, its turn, its state, and the log says
    // so. Trick: one of the old is down and listens again, but is probed only once a while.
    let rare = "health_path = \"/up\"\nhealth_timeout = \"1h\"\nhealth_interval = \"1h\"\n\
                health_fast_interval = \"1h\"\n";
    let gate = Gate::closed();
    let [a, mut b] = ["a", "b"].map(Backend::answering);
    b.stop();
    let c = unproven("c", &gate);
    let before = web(rare, &[("a", &a, ""), ("b", &b, "")]);
    let site = Site::start("rollback", &before);
    site.threadbare.await_line("backend web/b is down: ");
    b.restart();
    let mut client = site.client();
    assert_eq!(content(&mut client, "/"), "a");
    let after = web(rare, &[("c", &c, "")]);
    let come = |name: &str, backend: &Backend| format!("+ {name} url={}", backend.url());
    site.reload(&after);
    c.await_requests(1);
    assert_eq!(content(&mut client, "/"), "a");
    let lines = site.reload(&before);
    // b was down, and so of no use while others were new: it is gone, and a new one comes.
    assert_eq!(lines, [come("a", &a), come("b", &b), "- c".to_owned()]);
    gate.open();
    site.threadbare.await_line("backend web/b is up: ");
    let before = shares(&[&a, &b]);
    for _ in 0..10 {
        content(&mut client, "/");
    }
    assert_eq!(since(&before, &[&a, &b]), [5, 5]);
    let seen = a.seen.items();
    let requests = seen.iter().filter(|seen| seen.head.word(1) == "/");
    let connections: Vec<usize> = requests.map(|seen| seen.connection).collect();
    assert_eq!(connections, vec![connections[0]; connections.len()]);
    assert_eq!(n_requests(&c), 0);
    assert_eq!(site.threadbare.lines(" is gone: "), [""; 0]);
}

#[test]
fn a_second_replacement_while_the_first_waits() {
    // Goal: the proven old ones stay until one of the newest answers; then all others go. Trick:
    // both new ones' probes are held; the one that is not wanted any more is let go first.
    let (first, second) = (Gate::closed(), Gate::closed());
    let a = Backend::answering("a");
    let (b, c) = (unproven("b", &first), unproven("c", &second));
    let site = Site::start("second", &web(HELD, &[("a", &a, "")]));
    let mut client = site.client();
    site.reload(&web(HELD, &[("b", &b, "")]));
    b.await_requests(1);
    let lines = site.reload(&web(HELD, &[("c", &c, "")]));
    assert_eq!(lines, [format!("+ c url={}", c.url()), "- b".to_owned()]);
    c.await_requests(1);
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "a");
    }
    first.open();
    site.threadbare.await_line("backend web/b is up: ");
    let before = n_requests(&a);
    for _ in 0..10 {
        content(&mut client, "/");
    }
    assert_eq!([n_requests(&a) - before, n_requests(&b)], [5, 5]);
    second.open();
    await_gone(&site.threadbare, "a");
    await_gone(&site.threadbare, "b");
    let before = [n_requests(&a), n_requests(&b)];
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "c");
    }
    assert_eq!([n_requests(&a), n_requests(&b)], before);
}

#[test]
fn who_stays_must_be_well_to_let_the_others_go() {
    // Goal: one of two is replaced and the other, which stays, is down: the replaced one serves
    // until the new one answers. Where one is well, who goes does it at once, without a line.
    let gate = Gate::closed();
    let [mut a, b] = ["a", "b"].map(Backend::answering);
    let c = unproven("c", &gate);
    a.stop();
    let both = web(HELD, &[("a", &a, ""), ("b", &b, "")]);
    let site = Site::start("half", &both);
    site.threadbare.await_line("backend web/a is down: ");
    let mut client = site.client();
    site.reload(&web(HELD, &[("a", &a, ""), ("c", &c, "")]));
    c.await_requests(1);
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "b");
    }
    assert_eq!(site.threadbare.lines("none of its new"), [""; 0]);
    gate.open();
    await_gone(&site.threadbare, "b");
    assert_eq!(content(&mut client, "/"), "c");
    let lines = site.reload(&web(HELD, &[("c", &c, "")]));
    assert_eq!(lines, ["- a"]);
    assert_eq!(content(&mut client, "/"), "c");
    assert_eq!(site.threadbare.lines("web/a is gone"), [""; 0]);
}

#[test]
fn the_new_serve_once_the_old_are_down() {
    // Goal: unproven is better than nobody. Trick: the new one's probe is held, its requests not.
    let gate = Gate::closed();
    let mut a = Backend::answering("a");
    let b = unproven("b", &gate);
    let site = Site::start("nobody", &web(HELD, &[("a", &a, "")]));
    site.reload(&web(HELD, &[("b", &b, "")]));
    b.await_requests(1);
    a.stop();
    site.threadbare.await_line("backend web/a is down: ");
    for _ in 0..5 {
        assert_eq!(site.get("/"), "b");
    }
    gate.open();
    await_gone(&site.threadbare, "a");
    assert_eq!(site.get("/"), "b");
}
