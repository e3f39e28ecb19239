//! When the gate gives up on a client: one that is slow, silent, or does not read.

use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::{NEVER, connect_from, drip, request};
use crate::harness::{Backend, Client, Cut, Pattern, Threadbare};

/// The deadline that is tested, as an option and as a time.
const SHORT: &str = "500ms";
const SHORT_TIME: Duration = Duration::from_millis(500);

/// One stuck exchange would be noticed by everybody.
const ONE_WORKER: [&str; 4] = ["--workers", "1", "--queue-timeout", NEVER];

/// Everything else waits for ever; the option under test comes behind and is the one that counts.
fn started(backend: &Backend, option: &str) -> Threadbare {
    let mut options = ONE_WORKER.to_vec();
    let all = ["--header-timeout", "--keep-alive-timeout", "--idle-timeout"];
    for other in all {
        options.extend([other, if other == option { SHORT } else { NEVER }]);
    }
    options.extend(["--min-rate", "0"]);
    Threadbare::before(&[backend.addr], &options)
}

/// A second handle of the same connection, for a thread that writes.
fn both_ends(threadbare: &Threadbare) -> (Client, Client) {
    let stream = TcpStream::connect(threadbare.addr).expect("threadbare accepts");
    let second = stream.try_clone().expect("a descriptor is free");
    (Client::over(stream), Client::over(second))
}

/// Sends `begin`, then `piece` after `piece` without end, until 408 and the end come.
#[track_caller]
fn assert_408_while_dripping(threadbare: &Threadbare, before: &[u8], begin: &[u8], piece: &[u8]) {
    // A fresh connection's time runs from when it is accepted.
    let mut start = Instant::now();
    let (mut reader, mut writer) = both_ends(threadbare);
    if !before.is_empty() {
        writer.send(before);
        assert_eq!(reader.answer().status, 200);
        start = Instant::now();
    }
    writer.send(begin);
    thread::scope(|scope| {
        let (stop, told) = channel();
        scope.spawn(move || drip(&mut writer, piece, &told));
        let answer = reader.try_answer("GET");
        drop(stop);
        assert_eq!(answer.expect("an answer comes").status, 408);
        assert!(start.elapsed() >= SHORT_TIME, "{:?}", start.elapsed());
        reader.assert_ended();
    });
}

#[test]
fn a_head_that_drips_is_cut_at_its_total_time() {
    // Goal: each byte is in time, and the whole is not; for the first head and for a later one.
    let backend = Backend::answering("ok");
    let threadbare = started(&backend, "--header-timeout");
    let begin = b"GET / HTTP/1.1\r\nX: ";
    assert_408_while_dripping(&threadbare, b"", begin, b"x");
    assert_408_while_dripping(&threadbare, request("/").as_bytes(), begin, b"x");
    threadbare.stop();
    assert_eq!(backend.seen.len(), 1);
}

#[test]
fn a_fresh_connection_that_is_silent_is_closed_without_a_word() {
    // Goal: browsers open connections ahead, and an answer nobody asked for would be taken for the
    // next one's.
    let backend = Backend::answering("ok");
    let threadbare = started(&backend, "--header-timeout");
    let start = Instant::now();
    threadbare.client().assert_ended();
    assert!(start.elapsed() >= SHORT_TIME, "{:?}", start.elapsed());
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    // Goal: after the keep-alive timeout, counted from its last answer.
    let backend = Backend::answering("ok");
    let threadbare = started(&backend, "--keep-alive-timeout");
    let mut client = threadbare.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
    }
    let start = Instant::now();
    client.assert_ended();
    // The gate's clock began a little before ours.
    assert!(start.elapsed() >= SHORT_TIME / 2, "{:?}", start.elapsed());
}

/// Notes how each request's content ended.
fn reading() -> Backend {
    Backend::start(|mut conn| {
        let head = conn.head()?;
        let read = conn.content(head.request_framing()?, &mut |_| ());
        conn.note(if read.is_ok() { "whole" } else { "cut" });
        read
    })
}

#[test]
fn a_content_that_stalls_is_cut() {
    // Goal: 408, whether it is held in memory (no backend hears of it) or streamed (its backend
    // sees a cut, and is not blamed); the worker is free.
    let backend = reading();
    let threadbare = started(&backend, "--idle-timeout");
    for (length, sent) in [(100, 99), (65_536, 1), (1_000_000, 200_000)] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let mut client = threadbare.client();
        let start = Instant::now();
        client.send(head);
        client.send(Pattern::new().take(sent));
        assert_eq!(client.answer().status, 408, "{sent} of {length}");
        assert!(start.elapsed() >= SHORT_TIME, "{:?}", start.elapsed());
        client.assert_ended();
    }
    backend.await_note("cut");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
    threadbare.stop();
    assert_eq!(backend.seen.len(), 1);
}

#[test]
fn a_content_that_drips_is_cut() {
    // Goal: no piece is late, and all of them are too few: 408, held and streamed.
    let backend = reading();
    let rate = ["--idle-timeout", SHORT, "--min-rate", "1MiB"];
    let options = [&ONE_WORKER[..], &rate].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    for length in [65_536, 10_000_000] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        assert_408_while_dripping(&threadbare, b"", head.as_bytes(), b"xxxxxxxxxx");
    }
    backend.await_note("cut");
    threadbare.stop();
    assert_eq!(backend.seen.len(), 1);
}

/// Sends for ever, and notes when nobody takes it any more.
fn endless() -> Backend {
    Backend::start(|mut conn| {
        if conn.request()?.head.word(1) != "/endless" {
            return conn.send(crate::harness::ok("ok"));
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")?;
        let mut pattern = Pattern::new();
        loop {
            if let Err(cut) = conn.send(pattern.piece(65_536)) {
                conn.note("cut");
                return Err(cut);
            }
        }
    })
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    // Goal: the worker is free after the idle timeout, the backend's connection ends, and what the
    // client finds when it reads at last is cut short. Trick: one worker serves the next.
    let backend = endless();
    let threadbare = started(&backend, "--idle-timeout");
    let mut client = Client::over(connect_from([127, 0, 0, 1], threadbare.addr, 4096));
    client.send(request("/endless"));
    backend.await_note("cut");
    assert_eq!(threadbare.get("/").text(), "ok");
    client.head().expect("the head was sent");
    let (_, cut) = client.rest();
    assert!(matches!(cut, Cut::Reset), "{cut:?}");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn a_client_that_reads_too_slowly_is_cut() {
    // Goal: every read is in time, and their sum is too little. Trick: a small receive buffer, and
    // a reader that takes a few bytes every few milliseconds until its connection ends.
    let backend = endless();
    let rate = ["--idle-timeout", "1s", "--min-rate", "100MiB"];
    let options = [&ONE_WORKER[..], &rate].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut client = Client::over(connect_from([127, 0, 0, 1], threadbare.addr, 4096));
    client.send(request("/endless"));
    client.head().expect("the head comes");
    let (_pace, never) = channel::<()>();
    while backend.notes.len() == 0 {
        let _ = never.recv_timeout(Duration::from_millis(5)); // the time is the point
        if client.take(1000).is_err() {
            break;
        }
    }
    backend.await_note("cut");
    assert_eq!(threadbare.get("/").text(), "ok");
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}
