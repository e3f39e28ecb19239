//! The end: in-flight and queued requests answered, deadlines kept, exit codes right.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Backend, Client, DEADLINE, Gate, Threadbare, level, ok, room_for};

#[test]
fn what_is_in_flight_and_in_the_queue_is_answered() {
    // Goal: SIGTERM loses nothing that was taken in: 200 with `Connection: close` for each, exit
    // 0, and the log says so. Trick: two in work (the backend has them), three in the queue (a
    // fourth was turned away, so they are in it); the backend answers only after the stop has
    // begun.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = [&room_for("2", "3")[..], &["--shutdown-timeout", "1h"]].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let in_work = threadbare.ask_slow(2);
    backend.await_requests(2);
    let queued = threadbare.ask_slow(4);
    let (turned_away, _) = queued.recv_timeout(DEADLINE).expect("one finds no place");
    assert_eq!(turned_away.status, 503);

    threadbare.signal(Signal::TERM);
    threadbare.await_line("stopping: SIGTERM");
    gate.open();
    let mut answered = 0;
    for (answer, mut client) in in_work.iter().chain(queued) {
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "done"),
            "{answer:?}"
        );
        assert_eq!(
            answer.head.one("Connection").as_deref(),
            Some("close"),
            "{answer:?}"
        );
        client.assert_ended();
        answered += 1;
    }
    assert_eq!(answered, 5);
    assert_eq!(
        threadbare.exit_code(),
        Some(0),
        "{:#?}",
        threadbare.log.items()
    );
    assert_eq!(
        threadbare.lines("stopped: all requests answered in ").len(),
        1
    );
    assert_eq!(backend.seen.len(), 5);
}

#[test]
fn an_upload_and_a_download_in_flight_are_finished() {
    // Goal: the stop reaches into no exchange. Trick: both are half-way when the signal comes, and
    // go on after it.
    let gate = Gate::closed();
    let closed = gate.clone();
    let backend = Backend::start(move |mut conn| {
        if conn.head()?.word(0) == "POST" {
            conn.note("half-way");
            conn.content(crate::harness::Framing::Sized(200_000), &mut |_| ())?;
            return conn.send(ok("taken"));
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")?;
        closed.pass()?;
        conn.send("world")
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--shutdown-timeout", "1h"]);
    let mut down = threadbare.client();
    down.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
    let head = down.head().expect("the head comes before the stop");
    assert_eq!(head.word(1), "200");
    let mut up = threadbare.client();
    up.send("POST / HTTP/1.1\r\nHost: front.test\r\nContent-Length: 200000\r\n\r\n");
    up.send("a".repeat(100_000));
    backend.await_note("half-way");

    threadbare.signal(Signal::TERM);
    threadbare.await_line("stopping: SIGTERM");
    gate.open();
    assert_eq!(down.take(10).as_deref(), Ok(b"helloworld".as_slice()));
    up.send("a".repeat(100_000));
    let answer = up.answer();
    assert_eq!(answer.text(), "taken");
    assert_eq!(answer.head.one("Connection").as_deref(), Some("close"));
    assert_eq!(
        threadbare.exit_code(),
        Some(0),
        "{:#?}",
        threadbare.log.items()
    );
}

#[test]
fn idle_clients_do_not_hold_up_the_end() {
    // Goal: keep-alive connections with nothing to do are no reason to wait: the end comes well
    // under a second, and each of them is closed. SIGINT stops as SIGTERM does.
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let backend = Backend::answering("ok");
        let options = ["--shutdown-timeout", "1h", "--idle-timeout", "1h"];
        let threadbare = Threadbare::before(&[backend.addr], &options);
        let mut idle: Vec<Client> = (0..40).map(|_| threadbare.client()).collect();
        for client in &mut idle[..20] {
            assert_eq!(client.get("/").text(), "ok");
        }
        let start = Instant::now();
        threadbare.signal(signal);
        assert_eq!(
            threadbare.exit_code(),
            Some(0),
            "{name}: {:#?}",
            threadbare.log.items()
        );
        let took = threadbare.ended_after(start);
        assert!(took < Duration::from_secs(1), "{name}: {took:?}");
        assert_eq!(threadbare.lines(&format!("stopping: {name}")).len(), 1);
        for client in &mut idle {
            client.assert_ended();
        }
    }
}

#[test]
fn the_deadline_cuts_off_what_hangs_and_counts_it() {
    // Goal: exit 1, and an error that says how many were cut off after how long. Trick: two
    // requests whose backend never answers; the gate stays closed.
    let backend = Backend::holding("done", &Gate::closed());
    let threadbare = Threadbare::before(&[backend.addr], &["--shutdown-timeout", "300ms"]);
    let answers = ask_slow_and_forget(&threadbare, 2);
    backend.await_requests(2);
    let start = Instant::now();
    threadbare.signal(Signal::TERM);
    assert_eq!(
        threadbare.exit_code(),
        Some(1),
        "{:#?}",
        threadbare.log.items()
    );
    let took = threadbare.ended_after(start);
    assert!(took >= Duration::from_millis(300), "{took:?}");
    let line = threadbare.await_line("stopped: 2 requests cut off after 300ms");
    assert_eq!(level(&line), "ERROR", "{line}");
    for mut client in answers {
        client.assert_ended();
    }
}

/// `n` clients that have asked for `/slow`, unanswered.
fn ask_slow_and_forget(threadbare: &Threadbare, n: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = threadbare.client();
        client.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
        client
    };
    (0..n).map(ask).collect()
}

#[test]
fn what_waits_in_the_queue_at_the_deadline_is_counted_too() {
    // Goal: the count is of requests, not of workers. Trick: one worker, one hanging in it, two
    // behind it in a full queue of two, as a turned-away third one proves.
    let backend = Backend::holding("done", &Gate::closed());
    let options = [
        "--workers",
        "1",
        "--long-haul",
        "0",
        "--queue",
        "2",
        "--shutdown-timeout",
        "300ms",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let _first = ask_slow_and_forget(&threadbare, 1);
    backend.await_requests(1);
    let queued = threadbare.ask_slow(3);
    let (turned_away, _) = queued.recv_timeout(DEADLINE).expect("one finds no place");
    assert_eq!(turned_away.status, 503);
    threadbare.signal(Signal::TERM);
    assert_eq!(threadbare.exit_code(), Some(1));
    threadbare.await_line("stopped: 3 requests cut off after 300ms");
    assert_eq!(backend.seen.len(), 1);
}

#[test]
fn a_second_signal_ends_at_once() {
    // Goal: who asks twice means it, whatever hangs. Trick: a deadline of an hour; the second
    // signal follows the line that tells of the first.
    for second in [Signal::TERM, Signal::INT] {
        let backend = Backend::holding("done", &Gate::closed());
        let options = ["--shutdown-timeout", "1h"];
        let threadbare = Threadbare::before(&[backend.addr], &options);
        let _waiting = ask_slow_and_forget(&threadbare, 1);
        backend.await_requests(1);
        threadbare.signal(Signal::TERM);
        threadbare.await_line("stopping: SIGTERM");
        threadbare.signal(second);
        assert_eq!(
            threadbare.exit_code(),
            Some(1),
            "{:#?}",
            threadbare.log.items()
        );
    }
}

#[test]
fn what_comes_after_the_stop_has_begun_is_served_whole_or_not_at_all() {
    // Goal: a request that comes late on an open connection, or on a new one, is answered with
    // `Connection: close`, turned away, or never taken in; what the backend saw was answered.
    // Trick: one request keeps the process from ending meanwhile.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let threadbare = Threadbare::before(&[backend.addr], &["--shutdown-timeout", "1h"]);
    let mut open = threadbare.client();
    assert_eq!(open.get("/").text(), "done");
    let in_work = threadbare.ask_slow(1);
    backend.await_requests(2);
    threadbare.signal(Signal::TERM);
    threadbare.await_line("stopping: SIGTERM");

    let late = "GET /late HTTP/1.1\r\nHost: front.test\r\n\r\n";
    let mut clients = vec![open];
    clients.extend(std::net::TcpStream::connect(threadbare.addr).map(Client::over));
    for client in &mut clients {
        let _ = client.0.send(late.as_bytes());
    }
    gate.open();
    let (answer, _) = in_work
        .recv_timeout(DEADLINE)
        .expect("what was in flight is answered");
    assert_eq!(answer.status, 200);
    let mut served = 0;
    for client in &mut clients {
        let Ok(answer) = client.try_answer("GET") else {
            continue;
        };
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        assert_eq!(answer.end, Ok(()), "{answer:?}");
        assert_eq!(answer.head.one("Connection").as_deref(), Some("close"));
        client.assert_ended();
        served += usize::from(answer.status == 200);
    }
    assert_eq!(
        threadbare.exit_code(),
        Some(0),
        "{:#?}",
        threadbare.log.items()
    );
    assert_eq!(backend.seen.len(), 2 + served);
}

#[test]
fn a_stop_under_load_cuts_no_answer() {
    // Goal: whatever a backend was asked is answered whole. Trick: eight clients ask as fast as
    // they can; after the signal each goes on until its connection ends. What the backends saw and
    // what the clients got must be the same number, and no answer may be cut.
    let (a, b) = (Backend::answering("ok"), Backend::answering("ok"));
    let threadbare = Threadbare::before(&[a.addr, b.addr], &["--workers", "4"]);
    let whole = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            let (mut client, whole) = (threadbare.client(), &whole);
            scope.spawn(move || {
                let request = b"GET / HTTP/1.1\r\nHost: front.test\r\n\r\n";
                while client.0.send(request).is_ok() {
                    // Nothing at all, or not even a head, is a request that was not taken in any
                    // more.
                    let Ok(answer) = client.try_answer("GET") else {
                        return;
                    };
                    assert_eq!(answer.end, Ok(()), "{answer:?}");
                    if answer.status == 503 {
                        return;
                    }
                    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
                    whole.fetch_add(1, SeqCst);
                }
            });
        }
        a.await_requests(200);
        threadbare.signal(Signal::TERM);
    });
    assert_eq!(
        threadbare.exit_code(),
        Some(0),
        "{:#?}",
        threadbare.log.items()
    );
    assert_eq!(whole.load(SeqCst), a.seen.len() + b.seen.len());
}

#[test]
fn a_stop_with_nothing_to_do_is_clean() {
    // Goal: started, never asked, stopped: exit 0 and both lines.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    threadbare.stop();
    assert_eq!(threadbare.lines("stopping: SIGTERM").len(), 1);
    assert_eq!(
        threadbare.lines("stopped: all requests answered in ").len(),
        1
    );
}
