//! What a reload keeps of backends that stay: health, drains, turns, connections; and what it
//! closes of those that go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::{ONE_PROBE, Site, content, list, shares, web};
use crate::harness::{Backend, Cut, ok};

/// Answers with this, and notes how each of its connections that has carried a request ends.
fn noting(name: &'static str) -> Backend {
    Backend::start(move |mut conn| {
        let mut n = 0;
        loop {
            match conn.request() {
                Ok(_) => conn.send(ok(name))?,
                Err(cut) if n > 0 => {
                    conn.note(format!("{cut:?}"));
                    return Err(cut);
                }
                Err(cut) => return Err(cut),
            }
            n += 1;
        }
    })
}

#[test]
fn a_backend_that_is_down_stays_down() {
    // Goal: a reload is no reason to try it. Trick: it listens again before the reload, but the
    // next probe is an hour away; another backend comes meanwhile, and a setting changes.
    let [mut a, b, c] = ["a", "b", "c"].map(Backend::answering);
    a.stop();
    let site = Site::start("down", &web(ONE_PROBE, &[("a", &a, ""), ("b", &b, "")]));
    site.threadbare.await_line("backend web/a is down: ");
    a.restart();
    let settings = format!("retries = 3\n{ONE_PROBE}");
    let all = [("c", &c, ""), ("a", &a, ""), ("b", &b, "")];
    let lines = site.reload(&web(&settings, &all));
    assert_eq!(
        lines,
        [
            "~ web.retries 1 → 3".to_owned(),
            format!("+ c url={}", c.url())
        ]
    );
    site.threadbare.await_line("backend web/c is up: ");
    let mut client = site.client();
    for _ in 0..20 {
        content(&mut client, "/");
    }
    site.reload_as_it_is();
    for _ in 0..20 {
        content(&mut client, "/");
    }
    assert_eq!(shares(&[&a, &b, &c]), [0, 20, 20]);
}

#[test]
fn failures_in_a_row_are_counted_on() {
    // Goal: two failures before a reload and one after it are three in a row. Trick: POST, so that
    // nothing is retried; the failing one is the turn's every second.
    let a = Backend::start(|mut conn| {
        conn.request()?;
        Ok(())
    });
    let b = Backend::answering("b");
    let text = web(ONE_PROBE, &[("a", &a, ""), ("b", &b, "")]);
    let site = Site::start("counted", &text);
    let mut client = site.client();
    let mut post = || {
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx");
        client.answer().status
    };
    let mut n_failed = 0;
    while n_failed < 2 {
        n_failed += usize::from(post() == 502);
    }
    site.reload_as_it_is();
    assert_eq!(site.threadbare.lines("is down: ").len(), 0);
    while n_failed < 3 {
        n_failed += usize::from(post() == 502);
    }
    site.threadbare.await_line("backend web/a is down: ");
    assert_eq!(a.seen.len(), 3);
}

#[test]
fn a_backend_that_drains_itself_stays_drained() {
    // Goal: a drain is held over a reload. Trick: it wants requests again before the reload, but
    // the next probe is an hour away.
    let drains = Arc::new(AtomicBool::new(true));
    let is_draining = Arc::clone(&drains);
    let a = Backend::replying(move |seen| {
        if seen.head.word(1) == "/up" && is_draining.load(SeqCst) {
            return b"HTTP/1.1 503 No\r\nX-Drain: 1\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        ok("a")
    });
    let b = Backend::answering("b");
    let settings = format!("health_path = \"/up\"\nhealth_drain_field = \"X-Drain\"\n{ONE_PROBE}");
    let site = Site::start("drained", &web(&settings, &[("a", &a, ""), ("b", &b, "")]));
    site.threadbare.await_line("backend web/a drains itself");
    drains.store(false, SeqCst);
    let lines = site.reload(&web(
        &settings,
        &[("b", &b, ",max_connections=9"), ("a", &a, "")],
    ));
    assert_eq!(lines, ["~ b max_connections none→9"]);
    let mut client = site.client();
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "b");
    }
}

#[test]
fn turns_go_on_exactly_over_reloads() {
    // Goal: 300 requests over three backends and 20 reloads between them are 100 each. Trick: one
    // kept connection; the number of requests between two reloads is no multiple of three.
    let [a, b, c] = ["a", "b", "c"].map(Backend::answering);
    let text = |retries: usize| {
        let settings = format!("retries = {}\n{ONE_PROBE}", 1 + retries % 2);
        web(&settings, &[("a", &a, ""), ("b", &b, ""), ("c", &c, "")])
    };
    let site = Site::start("turns", &text(0));
    let mut client = site.client();
    for n in 0..300 {
        if n % 14 == 13 {
            site.reload(&text(n));
        }
        content(&mut client, "/");
    }
    assert_eq!(shares(&[&a, &b, &c]), [100, 100, 100]);
}

#[test]
fn idle_connections_of_who_stays_are_kept_and_those_of_who_goes_are_closed() {
    // Goal: a backend that goes sees its idle connection closed, one that stays the next request on
    // the old one. Trick: the probe is an hour away, so that its connections are not in the way.
    let [a, b] = ["a", "b"].map(noting);
    let site = Site::start("idle", &web(ONE_PROBE, &[("a", &a, ""), ("b", &b, "")]));
    let mut client = site.client();
    for _ in 0..4 {
        content(&mut client, "/");
    }
    let lines = site.reload(&web(ONE_PROBE, &[("b", &b, "")]));
    assert_eq!(lines, ["- a"]);
    a.await_note(&format!("{:?}", Cut::Closed));
    for _ in 0..4 {
        assert_eq!(content(&mut client, "/"), "b");
    }
    let connections = b.seen.items().into_iter().map(|seen| seen.connection);
    let connections: Vec<usize> = connections.collect();
    assert_eq!(connections, [connections[0]; 6]);
    assert_eq!(b.notes.len(), 0);
}

#[test]
fn idle_connections_of_a_pool_that_goes_are_closed() {
    // Goal: as above, and of a replaced backend too. Trick: nothing is asked of the server after
    // the reload, so no worker has looked at the new routes.
    let [a, b] = ["a", "b"].map(noting);
    let one = web("", &[("a", &a, "")]);
    let two = format!(
        "{one}[pool.api]\n{}[[route]]\npool = \"web\"\n[[route]]\npath = \"/api\"\n\
         pool = \"api\"\n",
        list(&[("b", &b, "")])
    );
    let site = Site::start("idle-pool", &two);
    assert_eq!(
        (site.get("/"), site.get("/api")),
        ("a".to_owned(), "b".to_owned())
    );
    site.reload(&one);
    b.await_note(&format!("{:?}", Cut::Closed));
    assert_eq!(a.notes.len(), 0);
    site.reload(&web("", &[("z", &b, "")]));
    a.await_note(&format!("{:?}", Cut::Closed));
    assert_eq!(site.get("/"), "b");
}

#[test]
fn the_connection_of_a_drained_backend_is_closed() {
    // Goal: who drains itself is left alone at once. Trick: it answers requests meanwhile, whose
    // connection it keeps; probes are on connections of their own.
    let drains = Arc::new(AtomicBool::new(false));
    let is_draining = Arc::clone(&drains);
    let a = Backend::start(move |mut conn| {
        let mut is_client = false;
        loop {
            let seen = match conn.request() {
                Err(cut) if is_client => {
                    conn.note(format!("{cut:?}"));
                    return Err(cut);
                }
                seen => seen?,
            };
            let is_probe = seen.head.word(1) == "/up";
            is_client |= !is_probe;
            if is_probe && is_draining.load(SeqCst) {
                conn.send("HTTP/1.1 503 No\r\nX-Drain: 1\r\nContent-Length: 0\r\n\r\n")?;
            } else {
                conn.send(ok("a"))?;
            }
        }
    });
    let b = Backend::answering("b");
    let settings = "health_path = \"/up\"\nhealth_drain_field = \"X-Drain\"\n\
                    health_interval = \"100ms\"\n";
    let site = Site::start("drains", &web(settings, &[("a", &a, ""), ("b", &b, "")]));
    let mut client = site.client();
    for _ in 0..4 {
        content(&mut client, "/");
    }
    drains.store(true, SeqCst);
    a.await_note(&format!("{:?}", Cut::Closed));
    for _ in 0..4 {
        assert_eq!(content(&mut client, "/"), "b");
    }
    drains.store(false, SeqCst);
    site.threadbare
        .await_line("backend web/a does not drain itself any more");
    let answers: Vec<String> = (0..4).map(|_| content(&mut client, "/")).collect();
    assert_eq!(answers.iter().filter(|who| *who == "a").count(), 2);
}

#[test]
fn a_name_that_is_not_found_is_a_warning_and_others_serve() {
    // Goal: a new name without an address costs no request. Trick: `.invalid` has none (RFC 6761).
    let a = Backend::answering("a");
    let site = Site::start("name", &web("", &[("a", &a, "")]));
    let text = format!(
        "[pool.web]\nbackends = [\"{},name=a\", \"http://no.invalid\"]\n",
        a.url()
    );
    let mut client = site.client();
    let lines = site.reload(&text);
    assert_eq!(lines, ["+ no.invalid:80"]);
    let warning = site
        .threadbare
        .await_line("backend no.invalid:80: look-up: ");
    assert!(warning.contains("[WARN]"), "{warning}");
    site.threadbare
        .await_line("backend web/no.invalid:80 is down: its name has no address yet");
    for _ in 0..10 {
        assert_eq!(content(&mut client, "/"), "a");
    }
    // Alone it replaces nobody.
    site.reload("[pool.web]\nbackends = [\"http://no.invalid\"]\n");
    for _ in 0..4 {
        assert_eq!(content(&mut client, "/"), "a");
    }
}
