//! Requests that are refused before any backend sees them.

use crate::harness::{Backend, Client, Cut, Threadbare, text};

/// Framings behind `POST / HTTP/1.1` and a Host. All are 400.
const FRAMINGS: [&str; 19] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "Content-Length: 5\r\nContent-Length: 05\r\n\r\nhello",
    "Content-Length: 5\r\nContent-Length: x\r\n\r\nhello",
    "Content-Length: +5\r\n\r\nhello",
    "Content-Length: -5\r\n\r\nhello",
    "Content-Length: 5, 5\r\n\r\nhello",
    "Content-Length: 5, 6\r\n\r\nhello!",
    "Content-Length: 0x5\r\n\r\nhello",
    "Content-Length:\r\n\r\n",
    "Content-Length: 5 5\r\n\r\nhello",
    "Content-Length: 5;\r\n\r\nhello",
    "Content-Length: 5.0\r\n\r\nhello",
    "Content-Length: 5e0\r\n\r\nhello",
    "Content-Length: 1_0\r\n\r\nhello",
    "Content-Length: 99999999999999999999999\r\n\r\nhello",
    "Content-Length : 5\r\n\r\nhello",
    "Content-Length\t: 5\r\n\r\nhello",
];

/// Codings that nobody here knows, before a last one that gives the content an end. All are 501.
const UNKNOWN_CODINGS: [&str; 2] = [
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n",
];

/// Codings that are as malformed as they are unknown: 400 or 501.
const BAD_CODINGS: [&str; 11] = [
    "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked;x\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
];

/// Field lines behind `GET / HTTP/1.1` and a Host. All are 400.
const FIELDS: [&str; 13] = [
    "X-A: a\0b\r\n\r\n",
    "X-A: a\rb\r\n\r\n",
    "X-A: a\nX-Hidden: b\r\n\r\n",
    "X-A: a\x01b\r\n\r\n",
    "X-A: a\x7fb\r\n\r\n",
    "X-A: a\x0bb\r\n\r\n",
    "X A: b\r\n\r\n",
    "X@A: b\r\n\r\n",
    "(X): b\r\n\r\n",
    "X\x01A: b\r\n\r\n",
    ": b\r\n\r\n",
    "X-A\r\n\r\n",
    "X-A: a\r\n folded\r\n\r\n",
];

/// Whole requests. All are 400.
const REQUESTS: [&str; 26] = [
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\nhost: a.test\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
    "GET http://a.test/ HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test b.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test/b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET index.html HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET ../etc/passwd HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET ?x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "OPTIONS *x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET http:///x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET  HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /a\x01b HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /a\tb HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /a\nb HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "G(T / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET\t/\tHTTP/1.1\r\nHost: a.test\r\n\r\n",
];

/// Versions that are not served: 400 or 505.
const VERSIONS: [&str; 6] = [
    "GET /\r\n\r\n",
    "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.9\r\nHost: a.test\r\n\r\n",
    "GET / HTTP/1.10\r\nHost: a.test\r\n\r\n",
    "GET / http/1.1\r\nHost: a.test\r\n\r\n",
    "GET / FTP/1.1\r\nHost: a.test\r\n\r\n",
];

/// Chunked contents that are none. All are 400.
const CHUNKS: [&str; 8] = [
    "zz\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "fffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "4\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
];

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a.test\r\n";

/// Stands behind every row in the same write. Whatever becomes of the row, this must never be
/// forwarded.
const BEHIND: &str = "GET /behind HTTP/1.1\r\nHost: a.test\r\nX-Behind: 1\r\n\r\n";

/// Plays all rows against one threadbare: the right status, the end of the connection, and a clean
/// client served after each. At the end nothing but the clean requests has reached the backend.
#[track_caller]
fn refuse_all(start: &str, rows: &[&str], statuses: &[u16]) {
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for row in rows {
        let mut client = threadbare.client();
        // It may be refused, and the connection closed, before all is written.
        let _ = client.0.send(format!("{start}{row}{BEHIND}").as_bytes());
        let answer = client.try_answer("GET");
        let answer = answer.unwrap_or_else(|cut| panic!("{row:?}: no answer but {cut:?}"));
        assert!(statuses.contains(&answer.status), "{row:?}: {answer:?}");
        assert_eq!(answer.end, Ok(()), "{row:?}: {answer:?}");
        assert_refused_to_the_end(&mut client, row);
        assert_eq!(threadbare.get("/clean").text(), "ok", "after {row:?}");
    }
    // Everything has been answered when it ends, so what a backend has not seen by then it never
    // will.
    threadbare.stop();
    for seen in backend.seen.items() {
        assert_eq!(seen.head.line, "GET /clean HTTP/1.1", "{seen:?}");
    }
    assert_eq!(backend.seen.len(), rows.len());
}

/// The connection ends; what still comes before that, if anything, is another refusal.
#[track_caller]
fn assert_refused_to_the_end(client: &mut Client, row: &str) {
    loop {
        match client.try_answer("GET") {
            Ok(answer) => assert!(answer.status >= 400, "{row:?}: then {answer:?}"),
            Err(Cut::Closed | Cut::Reset) => return,
            Err(cut) => panic!("{row:?}: the connection ends, not {cut:?}"),
        }
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    // Goal: whoever reads such a message differently reads another request in it (RFC 9112 §11.2).
    // Trick: a hidden request stands behind each row; the backend must see neither.
    refuse_all(POST, &FRAMINGS, &[400]);
}

#[test]
fn unknown_and_malformed_codings_are_refused() {
    // Goal: content that can't be decoded has no end (RFC 9112 §6.1). Trick: as above.
    refuse_all(POST, &UNKNOWN_CODINGS, &[501]);
    refuse_all(POST, &BAD_CODINGS, &[400, 501]);
}

#[test]
fn malformed_fields_are_refused() {
    // Goal: what is no field line (RFC 9112 §5) isn't passed on for others to guess at.
    refuse_all(GET, &FIELDS, &[400]);
}

#[test]
fn malformed_request_lines_and_hosts_are_refused() {
    // Goal: RFC 9112 §3 and §3.2.
    refuse_all("", &REQUESTS, &[400]);
}

#[test]
fn malformed_chunks_are_refused() {
    // Goal: content that ends nowhere certain reaches no backend.
    let start = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
    refuse_all(&start, &CHUNKS, &[400]);
}

#[test]
fn what_a_gateway_does_not_serve_is_refused() {
    // Goal: other versions, tunnels, and expectations that nobody knows.
    refuse_all("", &VERSIONS, &[400, 505]);
    let connect = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
    refuse_all("", &[connect], &[405]);
    let expectations = ["Expect: 200-ok\r\n\r\n", "Expect: 100-continue, x\r\n\r\n"];
    refuse_all(GET, &expectations, &[417]);
}

#[test]
fn later_versions_of_http_reach_nobody_and_disturb_nobody() {
    // Goal: HTTP/2 by name or preface is not forwarded, and all others are served. tiny_http never
    // answers these: its 505 waits for the answer to the very request that it refuses. So only
    // what holds without an answer is asked for here. Trick: more of them than workers.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "2"]);
    let mut waiting = Vec::new();
    for wire in [
        "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        for _ in 0..5 {
            let mut client = threadbare.client();
            client.send(format!("{wire}{BEHIND}"));
            waiting.push(client);
        }
        assert_eq!(threadbare.get("/clean").text(), "ok");
    }
    threadbare.stop();
    assert_eq!(backend.seen.len(), 2, "{:?}", backend.seen.items());
    for client in &mut waiting {
        assert_refused_to_the_end(client, "HTTP/2");
    }
}

#[test]
fn data_behind_the_last_chunk_is_no_content() {
    // Goal: what stands there is a trailer section, dropped, or it is refused (RFC 9112 §7.1.2).
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(format!(
        "{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nworld\r\n\r\n{BEHIND}"
    ));
    let status = client.answer().status;
    assert!([200, 400].contains(&status), "{status}");
    threadbare.stop();
    for seen in backend.seen.items() {
        assert!(
            seen.content == b"hello" || seen.content.is_empty(),
            "{seen:?}"
        );
    }
}

#[test]
fn bytes_beyond_ascii_end_the_connection_of_tiny_http() {
    // Goal: that listener drops such a connection, mostly without an answer; nothing of it may
    // reach a backend. Trick: a TLS hello, as sent to a plain port by mistake, is such bytes too.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &["--listener", "tiny_http"]);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: caf\xe9\r\n\r\n".as_slice(),
        b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"G\xc9T / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        hello,
    ] {
        let mut client = threadbare.client();
        let _ = client.0.send(bytes);
        let _ = client.0.send(BEHIND.as_bytes());
        assert_refused_to_the_end(&mut client, &text(bytes));
        assert_eq!(threadbare.get("/clean").text(), "ok");
    }
    threadbare.stop();
    let seen = backend.seen.items();
    assert!(
        seen.iter().all(|seen| seen.head.word(1) == "/clean"),
        "{seen:?}"
    );
}

#[test]
fn bytes_beyond_ascii_pass_in_targets_and_values_and_nowhere_else() {
    // Goal: what browsers and real applications send is forwarded byte for byte; a method or a
    // name of such bytes, or a TLS hello, is a 400.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(b"GET /caf\xc3\xa9?\xff HTTP/1.1\r\nHost: a.test\r\nX-A: caf\xe9\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    let seen = backend.await_requests(1).remove(0);
    // The harness shows what is no UTF-8 as U+FFFD.
    assert_eq!(seen.head.word(1), "/caf\u{e9}?\u{fffd}");
    assert_eq!(seen.head.one("X-A").as_deref(), Some("caf\u{fffd}"));
    for bytes in [
        b"G\xc9T / HTTP/1.1\r\nHost: a.test\r\n\r\n".as_slice(),
        b"GET / HTTP/1.1\r\nHost: a.test\r\nX-\xc9: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ] {
        let mut client = threadbare.client();
        client.send(bytes);
        assert_eq!(client.answer().status, 400, "{}", text(bytes));
        client.assert_ended();
    }
    threadbare.stop();
    assert_eq!(backend.seen.len(), 1);
}

#[test]
fn a_refusal_is_a_whole_answer_of_our_own() {
    // Goal: text for the person who reads it, a length, a date, and the word that the connection
    // ends.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    let kind = answer.head.one("Content-Type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{answer:?}");
    assert_eq!(
        answer.head.one("Content-Length"),
        Some(answer.content.len().to_string())
    );
    assert!(
        !answer.content.is_empty() && answer.head.one("Date").is_some(),
        "{answer:?}"
    );
    assert_eq!(answer.head.one("Connection").as_deref(), Some("close"));
    client.assert_ended();
}

#[test]
fn an_upload_that_is_refused_still_gets_its_answer() {
    // Goal: 417 or 400 must not be lost in the reset that unread content causes. Trick: the client
    // writes all of its content before it reads.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    let content = "a".repeat(50_000);
    let _ = client.0.send(
        format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\nContent-Length: 50000\r\n\r\n\
             {content}"
        )
        .as_bytes(),
    );
    assert_eq!(
        client.try_answer("POST").map(|answer| answer.status),
        Ok(400)
    );
    client.assert_ended();
}
