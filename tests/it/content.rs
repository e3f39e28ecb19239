//! How a request's content reaches a backend: all of it, framed right, held or streamed.

use crate::harness::{Backend, Client, Cut, Framing, Pattern, Seen, Threadbare, in_chunks, ok};

/// Content up to here is held in memory before a backend is picked; longer content is streamed.
const HELD: usize = 64 * 1024;

fn sized(method: &str, length: usize) -> String {
    format!("{method} /c HTTP/1.1\r\nHost: front.test\r\nContent-Length: {length}\r\n\r\n")
}

const CHUNKED: &str = "POST /c HTTP/1.1\r\nHost: front.test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The last request the backend read, after the client got its 200.
#[track_caller]
fn posted(client: &mut Client, backend: &Backend) -> Seen {
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    backend.seen.items().pop().expect("it was answered")
}

#[test]
fn sized_content_arrives_with_its_length() {
    // Goal: N and N+1 around every size where something changes: nothing, the listener's 1 KiB,
    // the held 64 KiB.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for length in [0, 1, 1024, 1025, HELD - 1, HELD, HELD + 1, 1_000_000] {
        let content = Pattern::new().take(length);
        client.send(sized("POST", length));
        client.send(&content);
        let seen = posted(&mut client, &backend);
        assert_eq!(seen.head.one("Content-Length"), Some(length.to_string()));
        assert_eq!(seen.head.all("Transfer-Encoding"), [""; 0], "{length}");
        assert!(
            seen.content == content,
            "{length} bytes arrive as they were sent"
        );
    }
}

#[test]
fn short_chunked_content_arrives_with_a_length() {
    // Goal: what is held has a known length, and no backend has to read chunks for it. Trick:
    // chunk sizes that fall on and beside the limits, the limit itself included.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for (length, size) in [(0, 1), (1, 1), (1000, 7), (HELD - 1, 1000), (HELD, 65_536)] {
        let content = Pattern::new().take(length);
        client.send(CHUNKED);
        client.send(in_chunks(&content, size, ""));
        let seen = posted(&mut client, &backend);
        assert_eq!(seen.head.one("Content-Length"), Some(length.to_string()));
        assert_eq!(seen.head.all("Transfer-Encoding"), [""; 0], "{length}");
        assert!(
            seen.content == content,
            "{length} bytes arrive as they were sent"
        );
    }
}

#[test]
fn long_chunked_content_arrives_chunked() {
    // Goal: beyond 64 KiB the length is unknown to us too, so chunks it stays.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for (length, size) in [(HELD + 1, HELD + 1), (HELD + 1, 1000), (1_000_000, 50_000)] {
        let content = Pattern::new().take(length);
        client.send(CHUNKED);
        client.send(in_chunks(&content, size, ""));
        let seen = posted(&mut client, &backend);
        assert_eq!(
            seen.head.one("Transfer-Encoding").as_deref(),
            Some("chunked")
        );
        assert_eq!(seen.head.all("Content-Length"), [""; 0], "{length}");
        assert!(
            seen.content == content,
            "{length} bytes arrive as they were sent"
        );
    }
}

#[test]
fn chunk_extensions_and_trailers_are_read_or_refused_but_never_content() {
    // Goal: both are legal and rare (RFC 9112 §7.1.1, §7.1.2). Either they are dropped, or the
    // request is refused; their bytes never become content or a next request.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for wire in [
        "5;name=value\r\nhello\r\n0\r\n\r\n",
        "5;a;b=\"c\"\r\nhello\r\n0;last\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
    ] {
        let mut client = threadbare.client();
        client.send(format!("{CHUNKED}{wire}"));
        let status = client.answer().status;
        assert!([200, 400].contains(&status), "{status} for {wire:?}");
    }
    threadbare.stop();
    for seen in backend.seen.items() {
        assert_eq!(
            (seen.head.word(0), seen.content.as_slice()),
            ("POST", b"hello".as_slice())
        );
        assert_eq!(seen.head.all("X-Sum"), [""; 0]);
    }
}

#[test]
fn any_method_may_have_content_and_none_needs_it() {
    // Goal: framing goes by the fields, not by the method (RFC 9112 §6), and a length of nothing
    // stays one.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for method in ["GET", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        client.send(format!("{}hello", sized(method, 5)));
        let seen = posted(&mut client, &backend);
        assert_eq!(seen.content, b"hello", "{method}");
        client.send(format!("{method} /c HTTP/1.1\r\nHost: front.test\r\n\r\n"));
        let seen = posted(&mut client, &backend);
        assert_eq!(seen.head.request_framing(), Ok(Framing::None), "{method}");
        assert_eq!(seen.head.all("Content-Length"), [""; 0], "{method}");
    }
}

#[test]
fn content_of_an_http_1_0_client_arrives() {
    // Goal: the old version frames by length alone.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send("POST /c HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
    let seen = posted(&mut client, &backend);
    assert_eq!(seen.content, b"hello");
    client.assert_ended();
}

#[test]
fn identical_content_lengths_become_one() {
    // Goal: the one repetition that is harmless (RFC 9110 §8.6) is mended before it goes on.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(
        "POST /c HTTP/1.1\r\nHost: front.test\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n\
         hello",
    );
    let seen = posted(&mut client, &backend);
    assert_eq!(seen.head.one("Content-Length").as_deref(), Some("5"));
    assert_eq!(seen.content, b"hello");
}

#[test]
fn content_fields_that_do_not_frame_go_through() {
    // Goal: Content-Type and Content-Encoding are the backend's business, and nothing is
    // decompressed on the way.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(
        "POST /c HTTP/1.1\r\nHost: front.test\r\nContent-Type: a/b; c=d\r\n\
         Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x0b\x08\x00",
    );
    let seen = posted(&mut client, &backend);
    assert_eq!(seen.head.one("Content-Type").as_deref(), Some("a/b; c=d"));
    assert_eq!(seen.head.one("Content-Encoding").as_deref(), Some("gzip"));
    assert_eq!(seen.content, b"\x1f\x0b\x08\x00");
}

/// A backend that says so when the first bytes of a content have arrived, then reads on and
/// answers.
fn noting_first_bytes() -> Backend {
    Backend::start(|mut conn| {
        loop {
            let head = conn.head()?;
            let (mut checker, mut noted) = (Pattern::new(), false);
            let note = conn.note_later();
            conn.content(head.request_framing()?, &mut |piece| {
                checker.check(piece);
                if !noted && checker.len() >= HELD {
                    note.push("first bytes".to_owned());
                    noted = true;
                }
            })?;
            conn.send(ok(&checker.len().to_string()))?;
        }
    })
}

#[test]
fn long_content_is_streamed_while_it_arrives() {
    // Goal: an upload is not collected before it is passed on. Trick: causal, not timed: the
    // client sends its second half only after the backend has got the first. Both framings.
    const HALF: usize = 512 * 1024;
    for framing in ["Content-Length: 1048576", "Transfer-Encoding: chunked"] {
        let backend = noting_first_bytes();
        let threadbare = Threadbare::before(&[backend.addr], &[]);
        let mut client = threadbare.client();
        client.send(format!(
            "POST /c HTTP/1.1\r\nHost: front.test\r\n{framing}\r\n\r\n"
        ));
        let mut pattern = Pattern::new();
        let wrap = framing.contains("chunked");
        for half in 0..2 {
            let content = pattern.take(HALF);
            if wrap {
                client.send(&in_chunks(&content, HALF, "")[..HALF + "80000\r\n\r\n".len()]);
            } else {
                client.send(&content);
            }
            if half == 0 {
                backend.await_note("first bytes");
            }
        }
        if wrap {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.answer().text(), "1048576", "{framing}");
    }
}

#[test]
fn an_early_final_answer_reaches_a_client_that_still_sends() {
    // Goal: 413 before the content is read is an answer, not a failure. Trick: the client goes on
    // sending until it can't, and reads what came only then.
    let backend = refusing_uploads();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(sized("POST", 64 << 20));
    let mut pattern = Pattern::new();
    let mut stopped = None;
    while stopped.is_none() && pattern.len() < 64 << 20 {
        stopped = client.0.send(pattern.piece(65_536)).err();
    }
    assert_ne!(stopped, Some(Cut::Silent), "somebody reads or closes");
    let answer = client.try_answer("POST").expect("the early answer comes");
    assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
}

#[test]
fn an_early_final_answer_reaches_a_client_that_waits_for_it() {
    // Goal: the same when the client pauses in the middle: the answer must not wait for the rest
    // of the content.
    let backend = refusing_uploads();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(sized("POST", 64 << 20));
    client.send(Pattern::new().take(HELD * 2));
    let answer = client.try_answer("POST").expect("the early answer comes");
    assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
    assert_eq!(threadbare.lines(&backend.is("down")), [""; 0]);
}

/// Reads heads, never contents: answers 413 and closes as soon as the client has gone or gone on.
fn refusing_uploads() -> Backend {
    Backend::start(|mut conn| {
        conn.head()?;
        conn.send(
            "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\n\
             too much",
        )?;
        Err(conn.end())
    })
}
