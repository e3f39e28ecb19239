//! Answers with a known length that begin while the content of their request is still going up.

use super::request;
use crate::harness::{Backend, Client, Conn, Cut, Framing, Head, Pattern, Seen, Threadbare, ok};

/// Half of a content: more than is held in memory, so that it is streamed.
const HALF: usize = 128 * 1024;
/// An answer's content that fits into no buffer on its way.
const LONG: usize = 1 << 20;
/// Of a content that is left unread, what is skipped for the sake of the connection.
const SKIPPED: usize = 64 * 1024;
/// What a refused upload hides behind its first half: never a request.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: front.test\r\n\r\n";

/// An answer whose content is the pattern.
fn answer_of(status: &str, fields: &str, length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n");
    [head.into_bytes(), Pattern::new().take(length)].concat()
}

fn announce(target: &str, framing: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: front.test\r\n{framing}\r\n\r\n")
}

fn sized(target: &str, length: usize) -> String {
    announce(target, &format!("Content-Length: {length}"))
}

fn chunk(content: &[u8]) -> Vec<u8> {
    let line = format!("{:x}\r\n", content.len()).into_bytes();
    [&line, content, b"\r\n"].concat()
}

/// Takes the next half of a content that has two.
fn take_half(conn: &mut Conn, head: &Head, checker: &mut Pattern) -> Result<(), Cut> {
    let until = checker.len() + HALF;
    if head.request_framing()? == Framing::Sized(2 * HALF) {
        return conn.content(Framing::Sized(HALF), &mut |piece| checker.check(piece));
    }
    while checker.len() < until {
        conn.chunk(&mut |piece| checker.check(piece))?;
    }
    if until == 2 * HALF {
        let last = conn.chunk(&mut |piece| checker.check(piece))?;
        assert_eq!(last, 0, "no more than was sent");
    }
    Ok(())
}

/// Sends `begun` when it has half of the content and `rest` behind the other half; then answers
/// whatever follows with its target.
fn beginning(begun: Vec<u8>, rest: Vec<u8>) -> Backend {
    Backend::start(move |mut conn| {
        let (head, mut checker) = (conn.head()?, Pattern::new());
        take_half(&mut conn, &head, &mut checker)?;
        conn.send(&begun)?;
        conn.note("begun");
        take_half(&mut conn, &head, &mut checker)?;
        conn.note("has all");
        conn.send(&rest)?;
        conn.serve(|seen| ok(seen.head.word(1)))
    })
}

/// Sends `answer` to an upload when it has the first `HALF` bytes, and then nothing more; answers
/// all other requests with their target. Notes when an upload's connection was given up.
fn interrupting(answer: Vec<u8>) -> Backend {
    Backend::start(move |mut conn| {
        loop {
            let head = conn.head()?;
            if head.word(0) != "POST" {
                conn.send(ok(head.word(1)))?;
                continue;
            }
            conn.content(Framing::Sized(HALF), &mut |_| ())?;
            conn.send(&answer)?;
            let end = conn.end();
            conn.note("given up");
            return Err(end);
        }
    })
}

/// Whether the next request came on the connection of the first. Dials of probes count too.
fn is_kept(backend: &Backend) -> bool {
    let seen = backend.await_requests(2);
    seen[0].connection == seen[1].connection
}

fn targets(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|seen| seen.head.word(1)).collect()
}

/// Fails unless a whole answer with this content comes.
#[track_caller]
fn assert_comes(client: &mut Client, status: u16, length: usize) -> Head {
    let answer = client.answer();
    assert_eq!(answer.status, status, "{:?}", answer.head);
    assert_eq!(answer.content.len(), length);
    Pattern::new().check(&answer.content);
    answer.head
}

#[test]
fn what_came_of_an_answer_before_the_end_of_its_upload_is_its_beginning() {
    // Goal: as long as the status can't be told, the upload goes on, all of it arrives, and no byte
    // of the answer is lost; then both connections serve on. Trick: the backend sends the first
    // bytes when it has half of the content, the client its other half only then. Every length of
    // a beginning that tells no status, both framings, and contents short and long.
    for is_chunked in [false, true] {
        for (n, length) in (1..=9).zip([5, LONG, 0].into_iter().cycle()) {
            let whole = answer_of("200 OK", "", length);
            let backend = beginning(whole[..n].to_vec(), whole[n..].to_vec());
            let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
            let (mut client, mut pattern) = (threadbare.client(), Pattern::new());
            let halves = [pattern.take(HALF), pattern.take(HALF)];
            if is_chunked {
                client.send(announce("/up", "Transfer-Encoding: chunked"));
                client.send(chunk(&halves[0]));
                backend.await_note("begun");
                client.send([chunk(&halves[1]), b"0\r\n\r\n".to_vec()].concat());
            } else {
                client.send(sized("/up", 2 * HALF));
                client.send(&halves[0]);
                backend.await_note("begun");
                client.send(&halves[1]);
            }
            let head = assert_comes(&mut client, 200, length);
            assert_eq!(head.one("Connection"), None, "{n}");
            assert_eq!(client.get("/next").text(), "/next", "{n}");
            assert!(is_kept(&backend), "{n}");
            assert_eq!(backend.notes.items(), ["begun", "has all"], "{n}");
        }
    }
}

#[test]
fn an_answer_behind_an_interim_one_longer_than_any_buffer_is_whole() {
    // Goal: the same where what came early is of an interim answer, which is dropped, and more of
    // it than one buffer holds: all of that is read before what follows. Trick: cut in the interim
    // answer's fields, in its last line, and before its last byte.
    let line = format!("Link: </{}>; rel=preload\r\n", "x".repeat(10_000));
    let interim = format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", line.repeat(4));
    let whole = [interim.as_bytes(), &answer_of("200 OK", "", LONG)].concat();
    for at in [30, 17_000, 40_000, interim.len() - 1] {
        let backend = beginning(whole[..at].to_vec(), whole[at..].to_vec());
        let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
        let (mut client, mut pattern) = (threadbare.client(), Pattern::new());
        client.send(sized("/up", 2 * HALF));
        client.send(pattern.take(HALF));
        backend.await_note("begun");
        client.send(pattern.take(HALF));
        assert_comes(&mut client, 200, LONG);
        assert_eq!(client.get("/next").text(), "/next", "{at}");
        assert!(is_kept(&backend), "{at}");
    }
}

/// How a client sends what is answered early.
#[derive(Clone, Copy, Debug)]
struct Manner {
    is_chunked: bool,
    /// It sends more before it reads the answer.
    goes_on: bool,
}

/// Fails unless this answer comes whole to an upload that it interrupts, and ends both connections.
#[track_caller]
fn assert_interrupts(answer: Vec<u8>, status: u16, length: usize, manner: Manner) {
    let backend = interrupting(answer);
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    let (mut client, mut pattern) = (threadbare.client(), Pattern::new());
    let [mut first, mut more] = [HALF + HALF / 2, HALF / 2].map(|n| pattern.take(n));
    if manner.is_chunked {
        client.send(announce("/up", "Transfer-Encoding: chunked"));
        (first, more) = (chunk(&first), chunk(&more));
    } else {
        client.send(sized("/up", 16 * HALF));
    }
    client.send(&first);
    if manner.goes_on {
        // Nobody has to read it, but it fits into what the system holds.
        let _ = client.0.send(&more);
    }
    let head = assert_comes(&mut client, status, length);
    assert_eq!(head.one("Connection").as_deref(), Some("close"));
    client.assert_ended();
    backend.await_note("given up");
    assert_eq!(threadbare.get("/next").text(), "/next");
    assert!(!is_kept(&backend));
    assert_eq!(threadbare.lines(&backend.is("down")), [""; 0]);
}

#[test]
fn an_early_answer_comes_whole_and_ends_both_connections() {
    // Goal: whoever answers early wants no more: the client gets all of the answer, and is told
    // that it is the last one, as more is left of its content than is skipped. The backend's
    // connection is not used again, because the rest of the content is missing on it. Trick: the
    // client waits for the answer, or sends more first; the backend waits for its connection's end.
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let close = "Connection: close\r\n";
    for (line, fields, length) in [
        ("200 OK", "", 5),
        ("200 OK", "", LONG),
        ("413 Content Too Large", close, 8),
        ("413 Content Too Large", close, LONG),
        ("401 Unauthorized", "", 0),
    ] {
        let status = line[..3].parse().expect("a status");
        for (before, is_chunked, goes_on) in [
            ("", false, false),
            ("", false, true),
            ("", true, false),
            ("", true, true),
            (interim, false, false),
            (interim, true, true),
        ] {
            let answer = [before.as_bytes(), &answer_of(line, fields, length)].concat();
            let manner = Manner {
                is_chunked,
                goes_on,
            };
            assert_interrupts(answer, status, length, manner);
        }
    }
}

#[test]
fn what_is_left_of_an_upload_is_skipped_or_ends_the_connection_and_is_never_a_request() {
    // Goal: behind an early answer the client's connection is kept if no more is left than 64 KiB,
    // and the next request begins where the content ends. Trick: what is left spells requests, and
    // is sent with the next one, which is a real one.
    for (left, length, stays) in [
        (1, 5, true),
        (SKIPPED, 5, true),
        (SKIPPED, LONG, true),
        (SKIPPED + 1, 5, false),
    ] {
        let backend = interrupting(answer_of("200 OK", "", length));
        let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
        let mut client = threadbare.client();
        client.send(sized("/up", HALF + left));
        client.send(vec![b'x'; HALF]);
        let head = assert_comes(&mut client, 200, length);
        let told = head.one("Connection");
        assert_eq!(told.as_deref(), (!stays).then_some("close"), "{left}");
        let mut rest = HIDDEN.repeat(left / HIDDEN.len() + 1);
        rest.truncate(left);
        // Where it is the last answer nobody has to read it.
        let sent = client.0.send((rest + &request("/next")).as_bytes());
        if stays {
            assert_eq!(sent, Ok(()));
            assert_eq!(client.answer().text(), "/next", "{left}");
            assert_eq!(client.get("/last").text(), "/last", "{left}");
        } else {
            client.assert_ended();
        }
        backend.await_note("given up");
        threadbare.stop();
        let seen = backend.seen.items();
        let wanted: &[&str] = if stays {
            &["/up", "/next", "/last"]
        } else {
            &["/up"]
        };
        assert_eq!(targets(&seen), wanted, "{left}");
        assert!(!stays || !is_kept(&backend), "{left}");
    }
}
