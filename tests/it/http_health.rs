//! Health checks that ask: what is sent, which answers are good, and how a backend drains itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::harness::{Backend, Conn, Cut, DEADLINE, Gate, Seen, Threadbare, ok};

/// What the health checks of these tests ask for.
const PATH: &str = "/up";

/// One bad answer alone decides, and no second one is asked for.
const ONCE: [&str; 4] = ["--health-path", PATH, "--health-interval", "1h"];
/// Many of them, and none decides by being late.
const OFTEN: [&str; 6] = [
    "--health-path",
    PATH,
    "--health-interval",
    "50ms",
    "--health-timeout",
    "1m",
];

const BAD: &[u8] = b"HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n";
const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
const DRAINING: &[u8] = b"HTTP/1.1 503 Busy\r\nX-Drain:\r\nContent-Length: 0\r\n\r\n";

fn is_probe(seen: &Seen) -> bool {
    seen.head.word(1) == PATH
}

/// Waits until the backend has got so many health checks: all but the last one have been judged.
#[track_caller]
fn await_probes(backend: &Backend, n: usize) {
    let are_enough =
        |seen: &[Seen]| (seen.iter().filter(|s| is_probe(s)).count() >= n).then_some(());
    backend.seen.wait(&format!("{n} health checks"), are_enough);
}

fn n_requests(backend: &Backend) -> usize {
    let seen = backend.seen.items();
    seen.iter().filter(|seen| !is_probe(seen)).count()
}

/// Answers requests with its name, and health checks as `check` says.
fn checked(name: &'static str, check: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Backend {
    Backend::replying(move |seen| if is_probe(seen) { check() } else { ok(name) })
}

/// A health check whose answer a test chooses anew at any time.
#[derive(Clone)]
struct Switch(Arc<AtomicUsize>);

const ANSWERS: [&[u8]; 4] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    BAD,
    BUSY,
    DRAINING,
];

impl Switch {
    fn new(answer: &[u8]) -> Self {
        let switch = Self(Arc::default());
        switch.turn(answer);
        switch
    }

    fn good() -> Self {
        Self::new(ANSWERS[0])
    }

    fn turn(&self, answer: &[u8]) {
        let place = ANSWERS.iter().position(|known| *known == answer);
        self.0.store(place.expect("it is one of these"), SeqCst);
    }

    fn backend(&self, name: &'static str) -> Backend {
        let switch = self.clone();
        checked(name, move || ANSWERS[switch.0.load(SeqCst)].to_vec())
    }
}

/// Sends requests until the log has a line with `wanted`; returns who answered them.
#[track_caller]
fn ask_until(threadbare: &Threadbare, wanted: &str) -> Vec<String> {
    let start = Instant::now();
    let mut client = threadbare.client();
    let mut answers = Vec::new();
    while threadbare.lines(wanted).is_empty() {
        assert!(start.elapsed() < DEADLINE, "awaited {wanted:?}");
        answers.push(client.get("/").text());
    }
    answers
}

#[test]
fn a_health_check_is_a_plain_get_of_the_base_and_the_path() {
    // Goal: every byte of the request; the Host is the backend's own unless told. Trick: the one
    // health check there is within an hour, as the backend saw it.
    for host in [None, Some("www.example.org:81")] {
        let backend = Backend::answering("a");
        let url = format!("{}/base/v1", backend.url());
        let mut args = vec!["--backend", &url, "--health-path", "/up?deep=1"];
        args.extend(["--health-interval", "1h"]);
        args.extend(host.map(|host| ["--health-host", host]).iter().flatten());
        let _threadbare = Threadbare::start(&args);
        let head = &backend.await_requests(1)[0].head;
        let own = backend.addr.to_string();
        let wanted = format!(
            "GET /base/v1/up?deep=1 HTTP/1.1\r\nHost: {}\r\nUser-Agent: threadbare-health\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n",
            host.unwrap_or(&own)
        );
        assert_eq!(String::from_utf8_lossy(&head.raw), wanted);
    }
}

#[test]
fn a_backend_goes_down_after_fall_bad_checks_and_comes_back_after_rise_good_ones() {
    // Goal: exactly fall and rise, in a row; N - 1 change nothing. Trick: a script of answers, and
    // gates before those behind which the state is looked at: as long as a check is held, all
    // before it have been judged, and it itself has not.
    const SCRIPT: &[u8] = b"++--+---+-++";
    let [behind_two_bad, behind_fall] = [Gate::closed(), Gate::closed()];
    let gates = [behind_two_bad.clone(), behind_fall.clone()];
    let count = AtomicUsize::new(0);
    let a = checked("a", move || {
        let n = count.fetch_add(1, SeqCst);
        match n {
            4 => gates[0].pass().expect("the test opens it"),
            8 => gates[1].pass().expect("the test opens it"),
            _ => {}
        }
        let is_good = SCRIPT.get(n) != Some(&b'-');
        if is_good { ok("") } else { BAD.to_vec() }
    });
    let b = Switch::good().backend("b");
    let options = [&OFTEN[..], &["--fall", "3", "--rise", "2"]].concat();
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    let mut client = threadbare.client();

    await_probes(&a, 5);
    for _ in 0..4 {
        client.get("/");
    }
    assert_eq!(n_requests(&a), 2, "two bad checks change nothing");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
    behind_two_bad.open();

    let line = threadbare.await_line(&a.is("down"));
    assert!(line.contains("health check: answered 500"), "{line}");
    await_probes(&a, 9);
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "b");
    }
    assert_eq!(threadbare.lines(" is up: "), [""; 0]);
    behind_fall.open();

    threadbare.await_line(&a.is("up"));
    let probes = a.seen.items().into_iter().filter(is_probe).count();
    assert!(probes >= SCRIPT.len(), "up after {probes} checks");
    for _ in 0..4 {
        client.get("/");
    }
    assert_eq!(n_requests(&a), 4);
    await_probes(&a, SCRIPT.len() + 3);
    assert_eq!(threadbare.lines(" is down: ").len(), 1);
    assert_eq!(threadbare.lines(" is up: ").len(), 1);
}

#[test]
fn the_first_bad_check_takes_a_backend_down_at_once() {
    // Goal: fall is for those that were well before. Trick: there is no second check within an
    // hour.
    let ill = Switch::new(BAD).backend("ill");
    let well = Switch::good().backend("well");
    let options = [
        &ONCE[..],
        &["--health-fast-interval", "1h", "--fall", "100"],
    ]
    .concat();
    let threadbare = Threadbare::before(&[ill.addr, well.addr], &options);
    threadbare.await_line(&ill.is("down"));
    for _ in 0..4 {
        assert_eq!(threadbare.get("/").text(), "well");
    }
    assert_eq!(ill.seen.len(), 1);
}

#[test]
fn statuses_are_good_if_they_are_expected() {
    // Goal: the set of --health-expect, and 200 to 399 without it. Trick: a backend for each
    // status; a second health check of one that stays up shows that the first was judged good.
    let cases: [(&[&str], &[u16]); 2] = [
        (&[], &[200, 204, 301, 399]),
        (
            &["--health-expect", "2xx,404,500-501"],
            &[200, 204, 404, 500],
        ),
    ];
    for (options, good) in cases {
        let statuses = [200, 204, 301, 399, 400, 404, 500, 502, 503];
        let backends = statuses.map(|status| {
            checked("a", move || {
                format!("HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n").into_bytes()
            })
        });
        let addrs = backends.each_ref().map(|backend| backend.addr);
        let threadbare = Threadbare::before(&addrs, &[&OFTEN[..], options].concat());
        let n_bad = statuses.len() - good.len();
        threadbare.await_lines(" is down: health check: answered ", n_bad);
        for backend in &backends {
            await_probes(backend, 2);
        }
        threadbare.stop();
        for (backend, status) in backends.iter().zip(statuses) {
            let is_down = !threadbare.lines(&backend.is("down")).is_empty();
            assert_eq!(
                is_down,
                !good.contains(&status),
                "{status} with {options:?}"
            );
        }
    }
}

/// What a health check is answered: it itself, and whether it has the text `all is well`.
fn answers_with_text() -> Vec<(&'static str, Vec<u8>, bool)> {
    let sized = |content: &str| ok(content);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let split = format!("{chunked}5\r\nall i\r\n6;x=y\r\ns well\r\n0\r\n\r\n");
    let empty = format!("{chunked}0\r\n\r\nall is well");
    let early = format!("all is well{}", "x".repeat(200_000));
    let late = format!("{}all is well", "x".repeat(64 * 1024));
    let in_head = "HTTP/1.1 200 OK\r\nX: all is well\r\nContent-Length: 0\r\n\r\n";
    let behind = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nillsall is well";
    let ill = "HTTP/1.1 500 Ill\r\nContent-Length: 11\r\n\r\nall is well";
    vec![
        ("alone", sized("all is well"), true),
        ("among others", sized("<p>all is well</p>\n"), true),
        ("in two chunks", split.into_bytes(), true),
        ("early in much", sized(&early), true),
        ("with another case", sized("All is well"), false),
        ("not whole", sized("all is wel"), false),
        ("not at all", sized(""), false),
        ("behind the last chunk", empty.into_bytes(), false),
        ("behind 64 KiB", sized(&late), false),
        ("in the head", in_head.into(), false),
        ("behind the content", behind.into(), false),
        ("with a bad status", ill.into(), false),
    ]
}

#[test]
fn a_good_answer_has_the_text_that_is_asked_for() {
    // Goal: the text is found wherever the content has it, and nowhere else. Trick: a backend for
    // each way to write it.
    let answers = answers_with_text();
    let start = |answer: &Vec<u8>| {
        let answer = answer.clone();
        checked("a", move || answer.clone())
    };
    let backends: Vec<_> = answers.iter().map(|(_, answer, _)| start(answer)).collect();
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    let options = [&OFTEN[..], &["--health-text", "all is well"]].concat();
    let threadbare = Threadbare::before(&addrs, &options);
    for backend in &backends {
        await_probes(backend, 2);
    }
    threadbare.stop();
    for (backend, (what, _, is_good)) in backends.iter().zip(&answers) {
        let is_up = threadbare.lines(&backend.is("down")).is_empty();
        assert_eq!(is_up, *is_good, "{what}");
    }
}

/// Sends pieces for as long as the peer takes them, in the rhythm of a slow sender.
fn drip(conn: &mut Conn, first: &[u8], piece: &[u8]) -> Result<(), Cut> {
    let (_sender, never) = mpsc::channel::<()>();
    conn.send(first)?;
    while never.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
        conn.send(piece)?;
    }
    Ok(())
}

/// A backend that answers health checks in a bad way, and the cause that the log shall tell.
fn bad_answers() -> Vec<(Backend, &'static str)> {
    type Script = fn(&mut Conn) -> Result<(), Cut>;
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n";
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const TO_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
    let scripts: Vec<(Script, &str)> = vec![
        (
            |conn| Err(conn.end()),
            "health check: timed out after 500ms",
        ),
        (
            |conn| drip(conn, HEAD, b"X"),
            "health check: timed out after 500ms",
        ),
        (
            |conn| drip(conn, TO_END, b"x"),
            "health check: timed out after 500ms",
        ),
        (
            |conn| drip(conn, CHUNKED, b"1\r\nx\r\n"),
            "health check: timed out after 500ms",
        ),
        (|_| Ok(()), "health check: closed without an answer"),
        (
            |conn| conn.send("HTTP/1.1 200"),
            "health check: the answer broke off",
        ),
        (
            |conn| conn.send("SSH-2.0-OpenSSH_9.2\r\n"),
            "health check: the answer is malformed",
        ),
        (
            |conn| conn.send([0; 4096]),
            "health check: the answer is malformed",
        ),
        (
            |conn| conn.send("HTTP/1.1 2x0 OK\r\n\r\n"),
            "health check: the answer is malformed",
        ),
        (
            |conn| endless(conn, HEAD, b"X-Field: 0123456789\r\n"),
            "health check: the answer",
        ),
        (
            |conn| endless(conn, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
            "health check: the answer's head is too long",
        ),
        (
            |conn| endless(conn, HEAD, &[b'x'; 1024]),
            "health check: the answer",
        ),
        (
            |conn| endless(conn, TO_END, &[b'x'; 65_536]),
            "health check: its text is not in the answer",
        ),
        (
            |conn| endless(conn, CHUNKED, b"5\r\nhello\r\n"),
            "health check: its text is not in the answer",
        ),
    ];
    let start = |script: Script| {
        Backend::start(move |mut conn| {
            conn.request()?;
            script(&mut conn)
        })
    };
    let backend_and_cause = |(script, cause)| (start(script), cause);
    scripts.into_iter().map(backend_and_cause).collect()
}

/// Sends pieces for as long as the peer takes them, as fast as it does.
fn endless(conn: &mut Conn, first: &[u8], piece: &[u8]) -> Result<(), Cut> {
    conn.send(first)?;
    loop {
        conn.send(piece)?;
    }
}

#[test]
fn slow_endless_and_wild_answers_are_bad_ones_in_time() {
    // Goal: whatever a backend does with its answer, the check ends, tells why, and delays nobody
    // else's. Trick: all of them side by side, with a good one among them that is asked meanwhile.
    let good = checked("good", || ok("fine"));
    let bad = bad_answers();
    let mut addrs: Vec<_> = bad.iter().map(|(backend, _)| backend.addr).collect();
    addrs.push(good.addr);
    let mut options = ONCE.to_vec();
    options.extend(["--health-fast-interval", "1h", "--health-timeout", "500ms"]);
    options.extend(["--health-text", "fine"]);
    let threadbare = Threadbare::before(&addrs, &options);
    for (backend, cause) in &bad {
        let line = threadbare.await_line(&backend.is("down"));
        assert!(line.contains(cause), "{cause:?}: {line}");
    }
    assert_eq!(threadbare.lines(" is down: ").len(), bad.len());
    for _ in 0..4 {
        assert_eq!(threadbare.get("/").text(), "good");
    }
    assert_eq!(good.seen.items().into_iter().filter(is_probe).count(), 1);
}

const DRAIN: [&str; 2] = ["--health-drain-field", "X-Drain"];

#[test]
fn a_backend_drains_itself_and_comes_back() {
    // Goal: 503 with the field: no new request, what is in flight ends well, one line; and back
    // without it. Trick: one request is held in the backend all the while.
    let (gate, switch) = (Gate::closed(), Switch::good());
    let (held, turned) = (gate.clone(), switch.clone());
    let a = Backend::start(move |mut conn| {
        loop {
            let seen = conn.request()?;
            if is_probe(&seen) {
                conn.send(ANSWERS[turned.0.load(SeqCst)])?;
                continue;
            }
            if seen.head.word(1) == "/slow" {
                held.pass()?;
            }
            conn.send(ok("a"))?;
        }
    });
    let b = Switch::good().backend("b");
    let options = [&OFTEN[..], &DRAIN].concat();
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    let mut waiting = [threadbare.client(), threadbare.client()];
    for client in &mut waiting {
        client.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    }
    let is_slow = |seen: &[Seen]| seen.iter().any(|s| s.head.word(1) == "/slow").then_some(());
    a.seen.wait("a slow request", is_slow);

    switch.turn(DRAINING);
    threadbare.await_line(&format!("backend {} drains itself", a.addr));
    let before = n_requests(&a);
    for _ in 0..10 {
        assert_eq!(threadbare.get("/").text(), "b");
    }
    assert_eq!(n_requests(&a), before);
    gate.open();
    let mut answers = waiting.map(|mut client| client.answer().text());
    answers.sort();
    assert_eq!(answers, ["a", "b"]);

    switch.turn(ANSWERS[0]);
    threadbare.await_line(&format!(
        "backend {} does not drain itself any more",
        a.addr
    ));
    for _ in 0..10 {
        threadbare.get("/");
    }
    assert_eq!(n_requests(&a), before + 5);
    assert_eq!(threadbare.lines(" drains itself").len(), 1);
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn sessions_move_away_from_a_backend_that_drains_itself() {
    // Goal: a cookie does not bind a client to who wants no more requests; it gets another one, on
    // the connection that it has. Trick: a client whose cookie names the backend that then drains.
    let switches = [Switch::good(), Switch::good()];
    let backends = [switches[0].backend("a"), switches[1].backend("b")];
    let addrs = backends.each_ref().map(|backend| backend.addr);
    let options = [&OFTEN[..], &DRAIN, &["--sticky", "SRV"]].concat();
    let threadbare = Threadbare::before(&addrs, &options);
    let mut client = threadbare.client();
    let mut ask = |cookie: Option<&str>| {
        let cookie = cookie.map_or(String::new(), |cookie| format!("Cookie: {cookie}\r\n"));
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: front.test\r\n{cookie}\r\n"
        ));
        let answer = client.answer();
        let set = answer.head.one("Set-Cookie");
        let pair = set.and_then(|set| set.split(';').next().map(str::to_owned));
        (answer.text(), pair)
    };
    let (first, cookie) = ask(None);
    let cookie = cookie.expect("a new client gets a cookie");
    for _ in 0..5 {
        assert_eq!(ask(Some(&cookie)), (first.clone(), None));
    }
    let idx = usize::from(first == "b");
    switches[idx].turn(DRAINING);
    threadbare.await_line(&format!("backend {} drains itself", addrs[idx]));
    let (second, moved) = ask(Some(&cookie));
    assert_ne!(second, first);
    let moved = moved.expect("who moves gets another cookie");
    for _ in 0..5 {
        assert_eq!(ask(Some(&moved)), (second.clone(), None));
    }
}

#[test]
fn a_backend_that_drained_itself_gets_nothing_while_it_goes_down() {
    // Goal: who drains itself and then ends, as a server that is stopped does, gets no request
    // while fall bad checks are counted. Trick: requests all the while, up to the line that it is
    // down.
    let switch = Switch::good();
    let (a, b) = (switch.backend("a"), Switch::good().backend("b"));
    let options = [&OFTEN[..], &DRAIN, &["--fall", "5"]].concat();
    let threadbare = Threadbare::before(&[a.addr, b.addr], &options);
    await_probes(&a, 2);
    switch.turn(DRAINING);
    threadbare.await_line(&format!("backend {} drains itself", a.addr));
    switch.turn(BUSY);
    let answers = ask_until(&threadbare, &a.is("down"));
    let n_at_a = answers.iter().filter(|name| *name == "a").count();
    assert_eq!(n_at_a, 0, "of {}", answers.len());
    let line = threadbare.await_line(&a.is("down"));
    assert!(line.contains("health check: answered 503"), "{line}");

    switch.turn(ANSWERS[0]);
    threadbare.await_line(&a.is("up"));
    let before = n_requests(&a);
    for _ in 0..10 {
        threadbare.get("/");
    }
    assert_eq!(n_requests(&a), before + 5);
}

#[test]
fn a_503_without_the_field_is_a_bad_answer() {
    // Goal: the field makes the difference, and only with 503. Trick: each is one check alone.
    let cases: [(&[u8], bool); 3] = [
        (BUSY, false),
        (
            b"HTTP/1.1 500 Ill\r\nX-Drain: 1\r\nContent-Length: 0\r\n\r\n",
            false,
        ),
        (DRAINING, true),
    ];
    for (answer, drains) in cases {
        let a = checked("a", move || answer.to_vec());
        let b = Switch::good().backend("b");
        let threadbare = Threadbare::before(&[a.addr, b.addr], &[&ONCE[..], &DRAIN].concat());
        if drains {
            threadbare.await_line(&format!("backend {} drains itself", a.addr));
        } else {
            threadbare.await_line(&a.is("down"));
        }
        for _ in 0..4 {
            assert_eq!(threadbare.get("/").text(), "b");
        }
        assert_eq!(
            threadbare.lines(" drains itself").len(),
            usize::from(drains)
        );
        assert_eq!(threadbare.lines(" is down: ").len(), usize::from(!drains));
    }
}
