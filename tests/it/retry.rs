//! What is asked for again, where, and what never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::harness::{Answer, Backend, HangingPort, Pattern, Threadbare, ok};

const HELD: usize = 64 * 1024;

/// What a backend does with a request that it does not answer.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Close,
    Reset,
    /// Without having read the content.
    CloseAfterHead,
}

/// `n` backends of which the first requests, `failures` of them in whatever place they arrive,
/// fail. So it does not matter which backend comes first. All others are answered with the
/// backend's number.
fn backends(n: usize, failures: usize, failure: Failure) -> Vec<Backend> {
    let asked = Arc::new(AtomicUsize::new(0));
    let make = |number: usize| {
        let asked = Arc::clone(&asked);
        Backend::start(move |mut conn| {
            loop {
                let head = conn.head()?;
                let fails = asked.fetch_add(1, SeqCst) < failures;
                if fails && matches!(failure, Failure::CloseAfterHead) {
                    return Ok(());
                }
                let mut checker = Pattern::new();
                conn.content(head.request_framing()?, &mut |piece| checker.check(piece))?;
                match failure {
                    Failure::Reset if fails => {
                        conn.reset();
                        return Ok(());
                    }
                    _ if fails => return Ok(()),
                    _ => conn.send(ok_for(head.word(0), number, checker.len()))?,
                }
            }
        })
    };
    (0..n).map(make).collect()
}

fn ok_for(method: &str, number: usize, length: usize) -> Vec<u8> {
    let content = format!("backend {number} got {length}");
    let mut answer = ok(&content);
    if method == "HEAD" {
        answer.truncate(answer.len() - content.len());
    }
    answer
}

fn before(backends: &[Backend], options: &[&str]) -> Threadbare {
    let addrs: Vec<_> = backends.iter().map(|backend| backend.addr).collect();
    Threadbare::before(&addrs, options)
}

fn asked(backends: &[Backend]) -> Vec<usize> {
    backends.iter().map(|backend| backend.seen.len()).collect()
}

/// Sends one request with `length` bytes of content over a fresh connection.
#[track_caller]
fn ask(threadbare: &Threadbare, method: &str, length: usize) -> Answer {
    let mut client = threadbare.client();
    let framing = if length == 0 {
        String::new()
    } else {
        format!("Content-Length: {length}\r\n")
    };
    client.send(format!(
        "{method} / HTTP/1.1\r\nHost: front.test\r\n{framing}\r\n"
    ));
    let content = Pattern::new().take(length);
    // A 502 may come, and the connection end, while long content is still being sent.
    let _ = client.0.send(&content);
    client.answer_to(method)
}

#[test]
fn what_may_be_repeated_is_repeated_once_on_another_backend() {
    // Goal: the left half of the retry table over real sockets: method and content, both kinds of
    // failure. Trick: the second attempt must land on another backend than the first.
    for failure in [Failure::Close, Failure::Reset] {
        for (method, length) in [
            ("GET", 0),
            ("GET", 100),
            ("HEAD", 0),
            ("OPTIONS", 0),
            ("TRACE", 0),
            ("PUT", 0),
            ("PUT", 5),
            ("PUT", HELD - 1),
            ("PUT", HELD),
            ("DELETE", 0),
            ("DELETE", 5000),
        ] {
            let backends = backends(2, 1, failure);
            let threadbare = before(&backends, &[]);
            let answer = ask(&threadbare, method, length);
            let context = format!("{method} with {length} bytes, {failure:?}: {answer:?}");
            assert_eq!(answer.status, 200, "{context}");
            if method != "HEAD" {
                assert!(
                    answer.text().ends_with(&format!("got {length}")),
                    "{context}"
                );
            }
            assert_eq!(asked(&backends), [1, 1], "{context}");
        }
    }
}

#[test]
fn what_may_not_be_repeated_is_sent_once() {
    // Goal: the right half: a POST is never sent twice, nor any method not known to be idempotent,
    // nor content that was streamed. Trick: three backends, two of which would answer.
    for failure in [Failure::Close, Failure::Reset, Failure::CloseAfterHead] {
        for (method, length) in [
            ("POST", 0),
            ("POST", 5),
            ("POST", HELD),
            ("POST", HELD + 1),
            ("PATCH", 0),
            ("PATCH", 5),
            ("PROPFIND", 0),
            ("get", 0),
            ("put", 5),
            ("PUT", HELD + 1),
            ("GET", HELD + 1),
            ("DELETE", 10 * HELD),
        ] {
            let backends = backends(3, 1, failure);
            let threadbare = before(&backends, &[]);
            let answer = ask(&threadbare, method, length);
            let context = format!("{method} with {length} bytes, {failure:?}: {answer:?}");
            assert_eq!(answer.status, 502, "{context}");
            assert_eq!(asked(&backends).iter().sum::<usize>(), 1, "{context}");
        }
    }
}

#[test]
fn chunked_content_is_repeated_up_to_the_same_limit() {
    // Goal: replayable means held, however it was framed. N and N+1.
    for (length, status, times) in [(HELD, 200, 2), (HELD + 1, 502, 1)] {
        let backends = backends(2, 1, Failure::Close);
        let threadbare = before(&backends, &[]);
        let mut client = threadbare.client();
        client.send("PUT / HTTP/1.1\r\nHost: front.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut wire = format!("{length:x}\r\n").into_bytes();
        wire.extend_from_slice(&Pattern::new().take(length));
        wire.extend_from_slice(b"\r\n0\r\n\r\n");
        let _ = client.0.send(&wire);
        assert_eq!(client.answer().status, status, "{length}");
        assert_eq!(asked(&backends).iter().sum::<usize>(), times, "{length}");
    }
}

#[test]
fn the_number_of_repetitions_is_an_option() {
    // Goal: --retries 0, 1 (the default), 2. Trick: every attempt fails, so that all allowed ones
    // are made, each on a backend of its own.
    for (options, attempts) in [
        (&["--retries", "0"][..], 1),
        (&[], 2),
        (&["--retries", "1"], 2),
        (&["--retries", "2"], 3),
    ] {
        let backends = backends(4, usize::MAX, Failure::Close);
        let threadbare = before(&backends, options);
        assert_eq!(ask(&threadbare, "GET", 0).status, 502, "{options:?}");
        let asked = asked(&backends);
        assert_eq!(
            asked.iter().sum::<usize>(),
            attempts,
            "{options:?}: {asked:?}"
        );
        assert!(asked.iter().all(|n| *n <= 1), "{options:?}: {asked:?}");
    }
}

#[test]
fn a_refused_connection_moves_on_for_any_method() {
    // Goal: nothing was sent, so anything may go elsewhere, streamed content included. Trick: two
    // of three refuse, and several requests, so that each order of picks comes up.
    let good = backends(1, 0, Failure::Close);
    let mut refusing = backends(2, 0, Failure::Close);
    refusing.iter_mut().for_each(Backend::stop);
    let addrs = [refusing[0].addr, good[0].addr, refusing[1].addr];
    for (method, length) in [
        ("POST", 0),
        ("POST", HELD + 1),
        ("PATCH", 5),
        ("get", 0),
        ("GET", 0),
        ("PUT", 200_000),
    ] {
        let threadbare = Threadbare::before(&addrs, &[]);
        for n in 0..3 {
            let answer = ask(&threadbare, method, length);
            assert_eq!(
                answer.status, 200,
                "{method} with {length} bytes, request {n}"
            );
            assert!(
                answer.text().ends_with(&format!("got {length}")),
                "{answer:?}"
            );
        }
    }
    assert_eq!(good[0].seen.len(), 18, "each arrives exactly once");
}

#[test]
fn moving_on_from_refused_connections_spends_no_retry() {
    // Goal: the two kinds of repeating are counted apart: `--retries 0` still moves on past a
    // refused connection.
    let good = Backend::answering("ok");
    let mut refusing = Backend::answering("never");
    refusing.stop();
    let addrs = [refusing.addr, good.addr];
    let threadbare = Threadbare::before(&addrs, &["--retries", "0"]);
    for _ in 0..4 {
        assert_eq!(ask(&threadbare, "POST", 5).status, 200);
    }
}

#[test]
fn a_connection_that_never_opens_moves_on_too() {
    // Goal: the connect timeout counts as refused. Trick: a full backlog swallows the dial.
    let hanging = HangingPort::take();
    let good = Backend::answering("ok");
    let threadbare =
        Threadbare::before(&[hanging.addr, good.addr], &["--connect-timeout", "200ms"]);
    for _ in 0..2 {
        assert_eq!(ask(&threadbare, "POST", 5).status, 200);
    }
    assert_eq!(good.seen.len(), 2);
}

#[test]
fn nowhere_left_to_go_is_503() {
    // Goal: every backend refuses: each is tried, then 503 with Retry-After and a text that says
    // so.
    let mut backends = backends(3, 0, Failure::Close);
    backends.iter_mut().for_each(Backend::stop);
    for method in ["GET", "POST"] {
        let threadbare = before(&backends, &[]);
        let answer = ask(&threadbare, method, 0);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.one("Retry-After").is_some(), "{answer:?}");
        let kind = answer.head.one("Content-Type").unwrap_or_default();
        assert!(
            kind.starts_with("text/plain") && !answer.content.is_empty(),
            "{answer:?}"
        );
    }
}

#[test]
fn the_first_failure_counts_where_nothing_else_is_left() {
    // Goal: a lone backend that fails: there is no other one for the retry, so 502 after one
    // attempt or, tried again on the same one, an answer; never a hang and never more than two
    // attempts.
    let backends = backends(1, 1, Failure::Close);
    let threadbare = before(&backends, &[]);
    let answer = ask(&threadbare, "GET", 0);
    match (answer.status, backends[0].seen.len()) {
        (502, 1) | (200, 2) => {}
        other => panic!("{other:?}: {answer:?}"),
    }
}
