//! Options of one backend: backups, and how many exchanges it may have at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Answer, Backend, Client, ConfigFile, Cut, DEADLINE, Gate, Tape, Threadbare};

/// So that states change soon, and by dials alone.
const QUICK_HEALTH: [&str; 2] = ["--health-interval", "100ms"];

/// Nobody is ever found down.
const NO_HEALTH: [&str; 4] = ["--health", "off", "--max-failures", "0"];

/// How long it is looked whether an answer comes that shall not come: long enough to catch nearly
/// all of those that would, and no healthy run depends on it.
const A_WHILE: Duration = Duration::from_millis(200);

fn ask(threadbare: &Threadbare, request_line: &str) -> Client {
    let mut client = threadbare.client();
    client.send(format!(
        "{request_line} HTTP/1.1\r\nHost: front.test\r\n\r\n"
    ));
    client
}

/// Holds one request, and waits until one of those that share the tape has it.
#[track_caller]
fn hold(threadbare: &Threadbare, tape: &Tape<&'static str>) -> Client {
    let n = tape.len();
    let client = ask(threadbare, "GET /slow");
    tape.wait_for(n + 1, "requests at the backends");
    client
}

/// Looks for a while whether an answer comes.
#[track_caller]
fn assert_waits(client: &mut Client) {
    let patience = |client: &mut Client, patience| {
        let set = client.0.set_patience(Some(patience));
        set.expect("a connected socket takes a timeout");
    };
    patience(client, A_WHILE);
    let answer = client.try_answer("GET");
    assert_eq!(answer.err(), Some(Cut::Silent), "it shall wait");
    patience(client, DEADLINE);
}

#[track_caller]
fn assert_full(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds = answer.head.one("Retry-After").unwrap_or_default();
    let seconds: u32 = seconds.parse().unwrap_or_default();
    assert!((1..=60).contains(&seconds), "{answer:?}");
    assert!(
        answer.text().contains("as many connections as it may"),
        "{answer:?}"
    );
}

#[test]
fn a_backup_serves_only_while_nobody_else_is_up() {
    // Goal: nothing while a primary is up, everything when the last one is down, nothing again when
    // one is back; and two backups share. Trick: the log says when a state has changed.
    let [mut a, mut b] = ["a", "b"].map(Backend::answering);
    let [c, d] = ["c", "d"].map(Backend::answering);
    let backends = [(&c, ",backup"), (&a, ""), (&d, ",backup"), (&b, "")];
    let threadbare = Threadbare::before_each(&backends, &QUICK_HEALTH);
    let mut client = threadbare.client();
    let mut counts = || {
        let mut counts = [0; 4];
        for _ in 0..40 {
            let text = client.get("/").text();
            let who = ["a", "b", "c", "d"].iter().position(|name| *name == text);
            counts[who.expect("one of them answers")] += 1;
        }
        counts
    };
    assert_eq!(counts(), [20, 20, 0, 0]);
    a.stop();
    threadbare.await_line(&a.is("down"));
    assert_eq!(counts(), [0, 40, 0, 0]);
    b.stop();
    threadbare.await_line(&b.is("down"));
    assert_eq!(counts(), [0, 0, 20, 20]);
    a.restart();
    threadbare.await_line(&a.is("up"));
    assert_eq!(counts(), [40, 0, 0, 0]);
}

#[test]
fn a_request_that_no_primary_takes_goes_to_the_backup() {
    // Goal: the same request, any method, before anybody is known to be down. Trick: nobody ever
    // is: health is off.
    let refusing = [Backend::refusing(|_| Ok(())), Backend::refusing(|_| Ok(()))];
    let backup = Backend::answering("backup");
    let backends = [
        (&refusing[0], ""),
        (&backup, ",backup"),
        (&refusing[1], ",weight=1"),
    ];
    let threadbare = Threadbare::before_each(&backends, &NO_HEALTH);
    for request_line in ["GET /", "POST /", "PATCH /", "GET /"] {
        let answer = ask(&threadbare, request_line).answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "backup"));
    }
}

#[test]
fn what_failed_at_the_last_primary_is_retried_at_the_backup() {
    // Goal: a backup is another backend for a retry too.
    let broken = Backend::start(|mut conn| conn.request().map(|_| ()));
    let backup = Backend::answering("backup");
    let backends = [(&broken, ""), (&backup, ",backup")];
    let threadbare = Threadbare::before_each(&backends, &NO_HEALTH);
    assert_eq!(threadbare.get("/").text(), "backup");
    assert_eq!(ask(&threadbare, "POST /").answer().status, 502);
}

#[test]
fn who_has_all_it_may_have_is_passed_over() {
    // Goal: of requests that are held, it has two and no more, whatever the policy; the others go
    // to the next. Trick: each is at its backend before the next one comes.
    for policy in [
        "round-robin",
        "weighted-round-robin",
        "least-connections",
        "random-two-choices",
        "uri-hash",
    ] {
        let (gate, tape) = (Gate::closed(), Tape::new());
        let [a, b] = ["a", "b"].map(|name| Backend::holding_on(name, &gate, &tape));
        let backends = [(&a, ",max_connections=2"), (&b, ",max_connections=6")];
        let threadbare = Threadbare::before_each(&backends, &["--policy", policy]);
        let held: Vec<_> = (0..8).map(|_| hold(&threadbare, &tape)).collect();
        assert_eq!([a.seen.len(), b.seen.len()], [2, 6], "{policy}");
        gate.open();
        for mut client in held {
            assert_eq!(client.answer().status, 200, "{policy}");
        }
        for _ in 0..10 {
            assert_eq!(threadbare.get("/").status, 200, "{policy}: there is room");
        }
    }
}

#[test]
fn a_backup_is_not_for_primaries_that_are_full() {
    // Goal: a backup is for when nobody else is up, and full is up: the request waits for room at
    // the primary.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let [a, backup] = ["a", "backup"].map(|name| Backend::holding_on(name, &gate, &tape));
    let backends = [(&a, ",max_connections=1"), (&backup, ",backup")];
    let threadbare = Threadbare::before_each(&backends, &["--queue-timeout", "1h"]);
    let mut held = hold(&threadbare, &tape);
    let mut waiting = ask(&threadbare, "GET /");
    assert_waits(&mut waiting);
    gate.open();
    assert_eq!(held.answer().text(), "a");
    assert_eq!(waiting.answer().text(), "a");
    assert_eq!(backup.seen.len(), 0);
}

#[test]
fn when_all_are_full_requests_wait_and_all_are_served() {
    // Goal: no 503 while the queue's time is not over: ten requests wait for two places, and each
    // backend has one at a time. Trick: the script counts how many it has at once.
    let (gate, most) = (Gate::closed(), Arc::new(AtomicUsize::new(0)));
    let one_at_a_time = |name: &'static str| {
        let (gate, most, now) = (gate.clone(), Arc::clone(&most), AtomicUsize::new(0));
        Backend::start(move |mut conn| {
            loop {
                conn.request()?;
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                gate.pass()?;
                now.fetch_sub(1, SeqCst);
                conn.send(crate::harness::ok(name))?;
            }
        })
    };
    let [a, b] = ["a", "b"].map(one_at_a_time);
    let of_each = ",max_connections=1";
    let options = ["--queue-timeout", "1h"];
    let threadbare = Threadbare::before_each(&[(&a, of_each), (&b, of_each)], &options);
    let mut clients: Vec<_> = (0..12).map(|_| ask(&threadbare, "GET /")).collect();
    for backend in [&a, &b] {
        backend.await_requests(1);
    }
    for client in &mut clients[..3] {
        // Two of the twelve are held, and the others wait: nobody has an answer.
        assert_waits(client);
    }
    assert_eq!([a.seen.len(), b.seen.len()], [1, 1]);
    gate.open();
    for mut client in clients {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(a.seen.len() + b.seen.len(), 12);
    assert_eq!(most.load(SeqCst), 1, "at a time");
}

#[test]
fn who_waited_too_long_for_room_is_turned_away() {
    // Goal: 503 with Retry-After once the queue's time is over and not before; the connection is as
    // good as before, and the request never comes to a backend. Trick: room comes afterwards only.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let a = Backend::holding_on("a", &gate, &tape);
    let options = ["--queue-timeout", "1s"];
    let threadbare = Threadbare::before_each(&[(&a, ",max_connections=1")], &options);
    let mut held = hold(&threadbare, &tape);
    let start = Instant::now();
    let mut client = ask(&threadbare, "POST /late");
    assert_full(&client.answer());
    assert!(start.elapsed() >= Duration::from_secs(1));
    gate.open();
    assert_eq!(held.answer().status, 200);
    assert_eq!(client.get("/again").status, 200);
    threadbare.stop();
    let targets: Vec<String> = a.seen.items().iter().map(|s| s.head.line.clone()).collect();
    assert_eq!(targets, ["GET /slow HTTP/1.1", "GET /again HTTP/1.1"]);
    assert!(threadbare.lines(" is down: ").is_empty());
}

#[test]
fn who_moves_on_from_a_refused_connection_waits_for_room_too() {
    // Goal: nothing was sent yet, so it is as if the request had just come: it waits. Trick: health
    // is off, so that half of the turns fall to the one that refuses.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let a = Backend::holding_on("a", &gate, &tape);
    let refusing = Backend::refusing(|_| Ok(()));
    let options = [&NO_HEALTH[..], &["--queue-timeout", "1h"]].concat();
    let backends = [(&a, ",max_connections=1"), (&refusing, "")];
    let threadbare = Threadbare::before_each(&backends, &options);
    let mut held = hold(&threadbare, &tape);
    let mut waiting: Vec<_> = (0..4).map(|_| ask(&threadbare, "POST /")).collect();
    for client in &mut waiting {
        assert_waits(client);
    }
    gate.open();
    assert_eq!(held.answer().status, 200);
    for mut client in waiting {
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn one_place_is_enough_for_all_who_come_and_go() {
    // Goal: no wake-up is lost: with one place and eight clients that ask again at once, each
    // place that gets free is taken, and all are served. Trick: the queue's time is an hour, so a
    // lost one would stop a client for good.
    let backend = Backend::answering("a");
    let options = ["--queue-timeout", "1h"];
    let threadbare = Threadbare::before_each(&[(&backend, ",max_connections=1")], &options);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = threadbare.client();
                for _ in 0..200 {
                    assert_eq!(client.get("/").status, 200);
                }
            });
        }
    });
    assert_eq!(backend.seen.len(), 8 * 200);
}

#[test]
fn who_goes_away_while_it_waits_costs_nothing() {
    // Goal: its request never comes to a backend, its worker is free at once, and the next one gets
    // the place. Trick: two workers, of which one holds and one waits; what another pool then
    // serves is served by the second one. The queue's time is an hour.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let (a, other) = (
        Backend::holding_on("a", &gate, &tape),
        Backend::answering("other"),
    );
    let text = format!(
        "workers = 2\nlong_haul = 0\nqueue_timeout = \"1h\"\n\
         listen = \"127.0.0.1:0\"\n\
         [pool.a]\nbackends = [\"{},max_connections=1\"]\n\
         [pool.other]\nbackends = [\"{}\"]\n\
         [[route]]\npool = \"a\"\n[[route]]\npath = \"/other\"\npool = \"other\"\n",
        a.url(),
        other.url(),
    );
    let file = ConfigFile::new("goes-away", &text);
    // The other listener can't tell that a client is gone before it has looked for its socket.
    let args = ["--listener", "gate", "--config", file.path()];
    let threadbare = Threadbare::launch(crate::harness::command(&args));
    let mut held = hold(&threadbare, &tape);
    for resets in [true, false] {
        let mut gone = ask(&threadbare, "GET /gone");
        assert_waits(&mut gone);
        if resets {
            gone.reset();
        } else {
            drop(gone);
        }
        assert_eq!(threadbare.get("/other").text(), "other", "{resets}");
    }
    gate.open();
    assert_eq!(held.answer().status, 200);
    assert_eq!(threadbare.get("/next").status, 200);
    threadbare.stop();
    let targets: Vec<String> = a.seen.items().iter().map(|s| s.head.line.clone()).collect();
    assert_eq!(targets, ["GET /slow HTTP/1.1", "GET /next HTTP/1.1"]);
}

#[test]
fn a_full_pool_is_no_other_pools_trouble() {
    // Goal: requests that wait for room in one pool leave the workers to the others. Trick: more
    // that wait than workers, and the other pool must still answer before the queue's time is over.
    let (gate, tape) = (Gate::closed(), Tape::new());
    let (a, other) = (
        Backend::holding_on("a", &gate, &tape),
        Backend::answering("other"),
    );
    let text = format!(
        "workers = 4\nqueue_timeout = \"1h\"\nlong_haul_after = \"100ms\"\n\
         listen = \"127.0.0.1:0\"\n\
         [pool.a]\nbackends = [\"{},max_connections=1\"]\n\
         [pool.other]\nbackends = [\"{}\"]\n\
         [[route]]\npool = \"a\"\n[[route]]\npath = \"/other\"\npool = \"other\"\n",
        a.url(),
        other.url(),
    );
    let file = ConfigFile::new("full-pool", &text);
    let threadbare = Threadbare::launch(crate::harness::command(&["--config", file.path()]));
    let mut held = hold(&threadbare, &tape);
    let waiting: Vec<_> = (0..12).map(|_| ask(&threadbare, "GET /")).collect();
    assert_eq!(threadbare.get("/other").text(), "other");
    gate.open();
    assert_eq!(held.answer().status, 200);
    for mut client in waiting {
        assert_eq!(client.answer().status, 200);
    }
}
