//! Answers that are none: 502 for the client, and nothing of them gets through.

use crate::harness::{Backend, Threadbare, ok};

/// What a backend sends before it closes, by name. Each must become a 502.
const BAD: [(&str, &str); 26] = [
    ("nothing at all", ""),
    ("half a status line", "HTTP/1.1 2"),
    ("half a head", "HTTP/1.1 200 OK\r\nContent-Le"),
    ("no empty line", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
    ("no HTTP", "+OK ready\r\n\r\n"),
    (
        "an HTML page without a head",
        "<html><body>hello</body></html>\r\n\r\n",
    ),
    (
        "a short status",
        "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a long status",
        "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a status with a letter",
        "HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a version of its own",
        "HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a field without a colon",
        "HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\nok",
    ),
    (
        "a field without a name",
        "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a space in a name",
        "HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a space before the colon",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    ),
    (
        "a NUL in a value",
        "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a bare CR in a value",
        "HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a control byte in a value",
        "HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "a length and chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\n\r\n",
    ),
    (
        "chunks and a length",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n\
         2\r\nok\r\n0\r\n\r\n",
    ),
    (
        "differing lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    ),
    (
        "a list of lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!",
    ),
    (
        "a signed length",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    ),
    (
        "a negative length",
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    ),
    (
        "an endless length",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
    ),
    (
        "an unknown coding",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    ),
    (
        "101 unasked",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ),
];

#[test]
fn a_bad_answer_becomes_502() {
    // Goal: each row is 502, sent for once (POST is not retried), and the next request is served.
    // Trick: the target names the row; a good request follows each.
    let backend = Backend::start(|mut conn| {
        loop {
            let seen = conn.request()?;
            match seen.head.word(1)[1..].parse::<usize>() {
                Ok(idx) => return conn.send(BAD[idx].1),
                Err(_) => conn.send(ok("fine"))?,
            }
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (idx, (name, raw)) in BAD.iter().enumerate() {
        let mut client = threadbare.client();
        client.send(format!("POST /{idx} HTTP/1.1\r\nHost: front.test\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status, 502, "{name}: {raw:?} became {answer:?}");
        assert_eq!(backend.seen.len(), idx * 2 + 1, "{name} is sent for once");
        assert_eq!(threadbare.get("/fine").text(), "fine", "after {name}");
    }
}

#[test]
fn a_502_is_a_whole_answer_of_our_own() {
    // Goal: plain text, a length, a date, and nothing of what the backend sent.
    let backend = Backend::start(|mut conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nX-Secret: 1\r\nContent-Length: zz\r\n\r\nsecret")
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send("POST / HTTP/1.1\r\nHost: front.test\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 502);
    let kind = answer.head.one("Content-Type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{answer:?}");
    assert_eq!(
        answer.head.one("Content-Length"),
        Some(answer.content.len().to_string())
    );
    assert!(answer.head.one("Date").is_some(), "{answer:?}");
    assert!(!answer.content.is_empty(), "{answer:?}");
    assert!(
        !format!("{answer:?}").to_lowercase().contains("secret"),
        "{answer:?}"
    );
}

#[test]
fn a_folded_field_is_not_passed_on() {
    // Goal: RFC 9112 §5.2: a gateway that gets an obs-fold in an answer refuses it or unfolds it.
    // Trick: the reader of the test knows no folds, so passing it on fails.
    let raw = "HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\nContent-Length: 2\r\n\r\nok";
    let backend = Backend::replying(move |_| raw.as_bytes().to_vec());
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let answer = threadbare.get("/");
    match answer.status {
        200 => assert_eq!(answer.head.one("X-Long").as_deref(), Some("one two")),
        status => assert_eq!(status, 502),
    }
}

#[test]
fn an_endless_head_becomes_502() {
    // Goal: the memory for a head has a bound. Trick: the backend sends fields until nobody takes
    // them any more; it ends only because threadbare gives up.
    let backend = Backend::start(|mut conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\n")?;
        let line = format!("X-Long: {}\r\n", "a".repeat(1000));
        loop {
            if let Err(cut) = conn.send(line.repeat(16)) {
                conn.note("given up");
                return Err(cut);
            }
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send("POST / HTTP/1.1\r\nHost: front.test\r\n\r\n");
    assert_eq!(client.answer().status, 502);
    backend.await_note("given up");
}

#[test]
fn a_head_later_than_the_response_timeout_becomes_504() {
    // Goal: 504, asked once even though a GET could be repeated. Trick: two backends, none of
    // which ever answers.
    let silent = || {
        Backend::start(|mut conn| {
            conn.request()?;
            Err(conn.end())
        })
    };
    let (a, b) = (silent(), silent());
    let threadbare = Threadbare::before(&[a.addr, b.addr], &["--response-timeout", "300ms"]);
    let answer = threadbare.get("/");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(a.seen.len() + b.seen.len(), 1, "asked once");
}

#[test]
fn half_a_head_does_not_stop_the_response_timeout() {
    // Goal: the deadline is for the whole head, so a backend that stalls within it is 504 or 502,
    // and soon.
    let backend = Backend::start(|mut conn| {
        conn.request()?;
        conn.send("HTTP/1.1 200 OK\r\nX-A: ")?;
        Err(conn.end())
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--response-timeout", "300ms"]);
    let mut client = threadbare.client();
    client.send("POST / HTTP/1.1\r\nHost: front.test\r\n\r\n");
    assert_eq!(client.answer().status, 504);
}
