//! Exchanges that take long leave the pool with their thread, and short ones never wait for them.

use std::sync::mpsc::channel;
use std::thread;

use rustix::process::Signal;

use crate::harness::{Backend, Client, Conn, DEADLINE, Gate, Seen, Threadbare, level, ok};

const CREW: [&str; 6] = [
    "--workers",
    "2",
    "--long-haul",
    "3",
    "--long-haul-after",
    "100ms",
];
const FULL: &str = "long-haul threads are out";
const PROMOTED: &str = "is a long-haul thread";

/// Threads of the crew now, by their names.
#[cfg(target_os = "linux")]
#[track_caller]
fn n_threads(threadbare: &Threadbare) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", threadbare.pid()));
    let tasks = tasks.expect("the process lives").flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("worker-")).count()
}

/// Asks until the crew has so many threads: each answer is a fence, as a worker gave it.
#[cfg(target_os = "linux")]
#[track_caller]
fn await_threads(threadbare: &Threadbare, wanted: usize) {
    let start = std::time::Instant::now();
    let mut client = threadbare.client();
    while n_threads(threadbare) != wanted {
        let n = n_threads(threadbare);
        assert!(start.elapsed() < DEADLINE, "{n} threads, not {wanted}");
        client.get("/quick");
    }
}

/// Fails when the crew has more threads. Linux may list one for a moment after it was joined.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_at_most(threadbare: &Threadbare, max: usize) {
    let is_good = (0..100).any(|_| n_threads(threadbare) <= max);
    assert!(is_good, "more than {max} threads");
}

#[cfg(not(target_os = "linux"))]
fn await_threads(_: &Threadbare, _: usize) {}

#[cfg(not(target_os = "linux"))]
fn assert_at_most(_: &Threadbare, _: usize) {}

/// Waits until the backend has read so many requests to `/slow`.
#[track_caller]
fn await_slow(backend: &Backend, n: usize) {
    let is_slow = |seen: &&Seen| seen.head.word(1) == "/slow";
    let find = |seen: &[Seen]| (seen.iter().filter(is_slow).count() >= n).then_some(());
    let awaited = format!("{n} slow requests at the backend");
    backend.seen.wait(&awaited, find);
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: front.test\r\n\r\n")
}

/// So many clients that have asked and were not answered yet.
fn ask(threadbare: &Threadbare, n: usize, target: &str) -> Vec<Client> {
    let ask = |_| {
        let mut client = threadbare.client();
        client.send(request(target));
        client
    };
    (0..n).map(ask).collect()
}

#[track_caller]
fn assert_done(clients: Vec<Client>) {
    for mut client in clients {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    }
}

#[test]
fn while_requests_wait_a_worker_is_free_sooner() {
    // Goal: a burst of slow exchanges does not hold the pool for all of the time they may. Trick:
    // that time is longer than a request may wait in the queue, which would be 503.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = ["--workers", "2", "--long-haul-after", "8s"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let hanging = ask(&threadbare, 2, "/slow");
    await_slow(&backend, 2);
    let answer = threadbare.get("/quick");
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    gate.open();
    assert_done(hanging);
}

#[test]
fn a_short_request_never_waits_behind_hanging_ones() {
    // Goal: three hang, which is more than there are workers, and a short one is served; two more
    // stay workers, which the log tells once; at the end the threads are as many as at the start.
    // Trick: the backend has each before the next comes; those hang until the gate opens.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let threadbare = Threadbare::before(&[backend.addr], &CREW);
    let mut hanging = Vec::new();
    for n in 1..=3 {
        hanging.extend(ask(&threadbare, 1, "/slow"));
        await_slow(&backend, n);
    }
    assert_eq!(threadbare.get("/quick").text(), "done");
    await_threads(&threadbare, 2 + 3);
    assert_eq!(threadbare.lines(FULL), [""; 0]);

    hanging.extend(ask(&threadbare, 1, "/slow"));
    let line = threadbare.await_line("all 3 long-haul threads are out");
    assert_eq!(level(&line), "WARN", "{line}");
    assert_eq!(
        threadbare.get("/quick").text(),
        "done",
        "one worker is left"
    );
    hanging.extend(ask(&threadbare, 1, "/slow"));
    await_slow(&backend, 5);
    // In the queue, behind five that hang.
    hanging.extend(ask(&threadbare, 1, "/slow"));
    gate.open();
    assert_done(hanging);
    await_threads(&threadbare, 2);
    threadbare.await_line("long-haul threads are free again");
    threadbare.stop();
    assert_eq!(threadbare.lines(FULL).len(), 1);
    assert_eq!(threadbare.lines("free again").len(), 1);
}

#[test]
fn whatever_takes_long_leaves_the_pool() {
    // Goal: a slow upload, a slow reader and a stream of events each leave the one worker's place
    // to a fresh one. Trick: with one worker, only that lets the short request through.
    const PIECE: usize = 64 * 1024;
    let gate = Gate::closed();
    let closed = gate.clone();
    let script = move |mut conn: Conn| loop {
        let head = conn.head()?;
        match head.word(1) {
            "/upload" => {
                conn.content(head.request_framing()?, &mut |_| ())?;
                conn.send(ok("done"))?;
            }
            "/download" => {
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    256 * PIECE
                ))?;
                for _ in 0..256 {
                    conn.send(vec![b'a'; PIECE])?;
                }
            }
            "/events" => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
                conn.send(format!(
                    "{head}Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
                ))?;
                closed.pass()?;
                conn.send("3\r\ntwo\r\n0\r\n\r\n")?;
            }
            _ => conn.send(ok("done"))?,
        }
    };
    let backend = Backend::start(script);
    let options = [
        "--workers",
        "1",
        "--long-haul",
        "3",
        "--long-haul-after",
        "50ms",
        "--log-level",
        "debug",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut uploader = threadbare.client();
    uploader.send("PUT /upload HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n");
    uploader.send(vec![b'a'; 50_000]);
    assert_eq!(threadbare.get("/quick").text(), "done");
    threadbare.await_lines(PROMOTED, 1);

    let mut reader = threadbare.client();
    reader.send(request("/download"));
    let head = reader.head().expect("the head comes");
    assert_eq!(threadbare.get("/quick").text(), "done");
    threadbare.await_lines(PROMOTED, 2);

    let mut listener = threadbare.client();
    listener.send(request("/events"));
    listener.head().expect("the head comes");
    assert_eq!(listener.chunk().as_deref(), Ok(b"one".as_slice()));
    assert_eq!(threadbare.get("/quick").text(), "done");
    threadbare.await_lines(PROMOTED, 3);

    gate.open();
    assert_eq!(listener.chunk().as_deref(), Ok(b"two".as_slice()));
    assert_eq!(listener.chunk().as_deref(), Ok(b"".as_slice()));
    let framing = head.answer_framing("GET").expect("it is one framing");
    let mut length = 0;
    let end = reader
        .0
        .content(framing, &mut |piece| length += piece.len());
    assert_eq!((end, length), (Ok(()), 256 * PIECE));
    uploader.send(vec![b'a'; 50_000]);
    assert_eq!(uploader.answer().text(), "done");
    await_threads(&threadbare, 1);
}

#[test]
fn requests_behind_a_long_one_are_served_on_its_thread() {
    // Goal: what was pipelined behind a long exchange is neither lost nor refused, though its
    // thread has left the pool. Trick: the place in the pool is taken when the long one ends, as a
    // short request that was served meanwhile proves.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let threadbare = Threadbare::before(&[backend.addr], &CREW);
    let mut client = threadbare.client();
    client.send(request("/slow") + &request("/quick").repeat(3));
    await_slow(&backend, 1);
    let hanging = ask(&threadbare, 1, "/slow");
    await_slow(&backend, 2);
    assert_eq!(threadbare.get("/quick").text(), "done");
    gate.open();
    for _ in 0..4 {
        assert_eq!(client.answer().text(), "done");
    }
    assert_done(hanging);
    await_threads(&threadbare, 2);
}

#[test]
fn streams_of_events_by_the_hundred_leave_the_workers_free() {
    // Goal: 200 streams that never end before 64 workers, and each of 40 short requests is served,
    // with never more threads than there may be. Trick: each stream's first event has come, so all
    // are in progress.
    let gate = Gate::closed();
    let closed = gate.clone();
    let backend = Backend::start(move |mut conn| {
        loop {
            if conn.request()?.head.word(1) != "/events" {
                conn.send(ok("done"))?;
                continue;
            }
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")?;
            closed.pass()?;
            conn.send("0\r\n\r\n")?;
        }
    });
    let options = ["--long-haul-after", "50ms", "--idle-timeout", "1h"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.extend(ask(&threadbare, 1, "/events"));
        let stream = streams.last_mut().expect("it was pushed");
        stream.head().expect("a worker is free");
        assert_eq!(stream.chunk().as_deref(), Ok(b"one".as_slice()));
    }
    for _ in 0..40 {
        assert_eq!(threadbare.get("/quick").text(), "done");
        assert_at_most(&threadbare, 64 + 256);
    }
    await_threads(&threadbare, 64 + 200);
    gate.open();
    for stream in &mut streams {
        assert_eq!(stream.chunk().as_deref(), Ok(b"".as_slice()));
    }
    await_threads(&threadbare, 64);
}

#[test]
fn a_stop_waits_for_long_exchanges() {
    // Goal: what is outside of the pool is in flight too: answered within the deadline, exit 0.
    // Trick: five hang, the three that may be long-haul and two workers; nobody is released before
    // the stop has begun.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = [&CREW[..], &["--shutdown-timeout", "1h"]].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let hanging = ask(&threadbare, 5, "/slow");
    await_slow(&backend, 5);
    threadbare.signal(Signal::TERM);
    threadbare.await_line("stopping: SIGTERM");
    gate.open();
    assert_done(hanging);
    assert_eq!(threadbare.exit_code(), Some(0));
}

#[test]
fn promotion_goes_on_while_the_process_stops() {
    // Goal: a queue behind slow exchanges is served before the deadline, though its workers are
    // stuck. Trick: of two behind the slow one in a queue of one, one is turned away, so the other
    // is in it when the stop comes; it is answered while the slow one still hangs.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = [
        "--workers",
        "1",
        "--queue",
        "1",
        "--long-haul-after",
        "1s",
        "--shutdown-timeout",
        "1h",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let hanging = ask(&threadbare, 1, "/slow");
    await_slow(&backend, 1);
    let (sender, answers) = channel();
    for mut client in ask(&threadbare, 2, "/quick") {
        let sender = sender.clone();
        thread::spawn(move || {
            // The test may be over, and its receiver gone.
            let _ = sender.send(client.answer().status);
        });
    }
    let first = answers.recv_timeout(DEADLINE).expect("one finds no place");
    // 200 only on a machine so slow that the promotion came before the second one.
    assert!([503, 200].contains(&first), "{first}");
    threadbare.signal(Signal::TERM);
    assert_eq!(answers.recv_timeout(DEADLINE), Ok(200));
    gate.open();
    assert_done(hanging);
    assert_eq!(threadbare.exit_code(), Some(0));
}

#[test]
fn a_cut_off_counts_long_exchanges_too() {
    // Goal: at the deadline what hangs outside of the pool is counted like the rest.
    let backend = Backend::holding("done", &Gate::closed());
    let options = [&CREW[..], &["--shutdown-timeout", "300ms"]].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let _hanging = ask(&threadbare, 4, "/slow");
    await_slow(&backend, 4);
    threadbare.signal(Signal::TERM);
    assert_eq!(threadbare.exit_code(), Some(1));
    threadbare.await_line("stopped: 4 requests cut off after 300ms");
}

#[test]
fn without_long_haul_threads_slow_exchanges_stay_workers() {
    // Goal: 0 is a choice: nothing is promoted, and nothing is said about it.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let options = ["--workers", "1", "--long-haul", "0", "--long-haul-after"];
    let options = [&options[..], &["1ms", "--queue-timeout", "200ms"]].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let hanging = ask(&threadbare, 1, "/slow");
    await_slow(&backend, 1);
    assert_eq!(threadbare.get("/quick").status, 503);
    gate.open();
    assert_done(hanging);
    threadbare.stop();
    assert_eq!(threadbare.lines(FULL), [""; 0]);
}

#[test]
fn promotions_at_every_moment_lose_no_request_and_no_place() {
    // Goal: exchanges that end just as they are promoted are answered like others, there are never
    // more threads than may be, and the stop finds all of them. Trick: a millisecond is
    // long here, so that nearly every exchange is on the edge; some are pipelined.
    let backend = Backend::answering("done");
    let options = [
        "--workers",
        "2",
        "--long-haul",
        "3",
        "--long-haul-after",
        "1ms",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = threadbare.client();
                for _ in 0..50 {
                    client.send(request("/").repeat(3));
                    for _ in 0..3 {
                        assert_eq!(client.answer().text(), "done");
                    }
                    assert_at_most(&threadbare, 2 + 3);
                }
            });
        }
    });
    threadbare.stop();
    assert_eq!(backend.seen.len(), 6 * 50 * 3);
}
