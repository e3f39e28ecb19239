//! Which fields go through in each direction, which stay behind, and which are ours.

use crate::harness::{Backend, Head, Seen, Threadbare, text};

/// Sends one request with these field lines and returns what the backend got.
#[track_caller]
fn forwarded(lines: &str) -> Seen {
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(format!("GET / HTTP/1.1\r\n{lines}\r\n"));
    assert_eq!(client.answer().status, 200);
    backend.await_requests(1).remove(0)
}

/// Lets a backend answer with these field lines and returns the head that the client got.
#[track_caller]
fn passed_back(lines: &'static str) -> Head {
    let answer = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok");
    let backend = Backend::replying(move |_| answer.clone().into_bytes());
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let answer = threadbare.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    answer.head
}

#[test]
fn a_request_head_is_passed_on_as_it_was_with_three_fields_added() {
    // Goal: names in their case, order and repetition kept, nothing invented, nothing reformatted.
    // Trick: the whole head is put together again from its lines and compared with the bytes that
    // came.
    let sent = "X-First: 1\r\nHost: Front.Test:8080\r\nuser-AGENT: me\r\nX-Same: a\r\nx-same: b\r\n\
                Accept-Encoding: br, gzip\r\nCookie: a=1; b=2\r\nX-Same: c\r\n\
                X-Last: \"q\\\"\" , z\r\n";
    let seen = forwarded(sent);
    let lines = seen.head.lines();
    let rebuilt = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
    assert_eq!(text(&seen.head.raw), rebuilt);

    let is_ours = |line: &&String| line.to_ascii_lowercase().starts_with("x-forwarded-");
    let kept: Vec<&String> = lines.iter().filter(|line| !is_ours(line)).collect();
    assert_eq!(kept, sent.lines().collect::<Vec<_>>());
    let mut added: Vec<&String> = lines.iter().filter(is_ours).collect();
    added.sort();
    assert_eq!(
        added,
        [
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Host: Front.Test:8080",
            "X-Forwarded-Proto: http"
        ]
    );
}

#[test]
fn nothing_is_invented_for_the_barest_request() {
    // Goal: no User-Agent, Accept, Accept-Encoding, Via, Connection, Content-Length. Trick: Host
    // alone is sent.
    let seen = forwarded("Host: front.test\r\n");
    let mut names: Vec<&str> = seen
        .head
        .fields
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "Host",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto"
        ]
    );
}

#[test]
fn what_a_client_claims_about_itself_is_replaced() {
    // Goal: a backend can believe X-Forwarded-*. Trick: spoofed twice, in odd case, and as
    // Forwarded.
    let seen = forwarded(
        "Host: front.test\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-FOR: 7.7.7.7\r\n\
         X-Forwarded-Proto: https\r\nX-FORWARDED-HOST: evil.test\r\nForwarded: for=6.6.6.6\r\n",
    );
    assert_eq!(seen.head.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(seen.head.all("X-Forwarded-Proto"), ["http"]);
    assert_eq!(seen.head.all("X-Forwarded-Host"), ["front.test"]);
    assert_eq!(seen.head.all("Forwarded"), [""; 0]);
    assert!(!text(&seen.head.raw).contains("6.6.6.6"), "{seen:?}");
}

#[test]
fn fields_of_the_hop_stay_behind_on_the_way_to_the_backend() {
    // Goal: Connection, all it names, and the fields that belong to a hop go no further (RFC 9110
    // §7.6.1). Trick: several Connection lines, odd case, empty list members; neighbours with
    // similar names must survive.
    let seen = forwarded(
        "Host: front.test\r\nConnection: keep-alive, X-Drop ,, x-DROP-too\r\nX-Drop: 1\r\n\
         X-Keep: 1\r\nX-Drop-Too: 1\r\nconnection: x-third\r\nX-Third: 1\r\nX-Third-Not: 1\r\n\
         Keep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nProxy-Anything: 1\r\n\
         X-Proxy: 1\r\nKeep-Alive-Not: 1\r\n",
    );
    let lines = seen.head.lines();
    let kept: Vec<&String> = lines
        .iter()
        .filter(|l| !l.starts_with("X-Forwarded-"))
        .collect();
    let wanted = [
        "Host: front.test",
        "X-Keep: 1",
        "X-Third-Not: 1",
        "X-Proxy: 1",
        "Keep-Alive-Not: 1",
    ];
    assert_eq!(kept, wanted);
}

#[test]
fn fields_of_the_hop_stay_behind_on_the_way_to_the_client() {
    // Goal: the same rule for answers. Trick: as above, and the connection serves a second
    // request, so the backend's `Connection: close` was not ours.
    let head = passed_back(
        "X-Keep: 1\r\nConnection: X-Drop\r\nX-Drop: 1\r\nconnection: close, x-drop-too\r\n\
         X-Drop-Too: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nTrailer: X-Sum\r\n\
         Proxy-Connection: close\r\nUpgrade: h2c\r\nTE: trailers\r\nX-Last: 1\r\n",
    );
    assert_eq!(
        head.lines(),
        ["X-Keep: 1", "X-Last: 1", "Content-Length: 2"]
    );
}

#[test]
fn naming_our_own_fields_in_connection_does_not_remove_them() {
    // Goal: the client's Connection is applied before ours are added, so nobody can hide the
    // client's address.
    let seen = forwarded(
        "Host: front.test\r\nConnection: X-Forwarded-For, x-forwarded-host\r\n\
         Connection: X-Forwarded-Proto\r\nX-Forwarded-For: 6.6.6.6\r\n",
    );
    assert_eq!(seen.head.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(seen.head.all("X-Forwarded-Host"), ["front.test"]);
    assert_eq!(seen.head.all("X-Forwarded-Proto"), ["http"]);
}

#[test]
fn naming_host_or_content_length_in_connection_breaks_no_framing() {
    // Goal: a list that names what the message needs either is refused or does no harm. Trick:
    // strict reading at the backend: without its length the content would be taken for a second
    // request.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: front.test\r\nConnection: close, Content-Length, Host\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    let status = client.answer().status;
    client.assert_ended();
    threadbare.stop();
    match (status, backend.seen.items().as_slice()) {
        (400, []) => {}
        (200, [seen]) => {
            assert_eq!(seen.head.one("Host").as_deref(), Some("front.test"));
            assert_eq!(seen.content, b"hello");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_head_is_passed_back_as_it_was() {
    // Goal: no Date, Server, Via or Connection invented, the order, case and repetition kept.
    // Trick: the bytes of the whole head are compared.
    let lines = "X-First: 1\r\nset-COOKIE: a=1; Path=/\r\nSet-Cookie: b=2\r\nSet-Cookie: a=3\r\n\
                 Cache-Control: no-store\r\nX-Last: \"q\" , z\r\n";
    let head = passed_back(lines);
    let wanted = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\n");
    assert_eq!(text(&head.raw), wanted);
}

#[test]
fn bytes_beyond_ascii_in_an_answers_values_pass_through() {
    // Goal: Latin-1, UTF-8 and what is neither go through unchanged (RFC 9110 §5.5: obs-text).
    let values: [&[u8]; 3] = [
        b"caf\xe9",
        "na\u{ef}ve \u{2713}".as_bytes(),
        b"\x80\xff\xfe",
    ];
    let backend = Backend::replying(move |_| {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".to_vec();
        for value in values {
            answer.extend_from_slice(b"X-Name: ");
            answer.extend_from_slice(value);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"\r\nok");
        answer
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let answer = threadbare.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let named = answer
        .head
        .fields
        .iter()
        .filter(|(name, _)| name == "X-Name");
    let came: Vec<&[u8]> = named.map(|(_, value)| value.as_slice()).collect();
    assert_eq!(came, values);
}

#[test]
fn an_empty_value_stays_empty_and_present() {
    // Goal: `X-Empty:` is a field, in both directions.
    let seen = forwarded("Host: front.test\r\nX-Empty:\r\nX-Last: 1\r\n");
    assert_eq!(seen.head.all("X-Empty"), [""]);
    assert_eq!(seen.head.all("X-Last"), ["1"]);
    let head = passed_back("X-Empty:\r\nX-Last: 1\r\n");
    assert_eq!(head.all("X-Empty"), [""]);
    assert_eq!(head.all("X-Last"), ["1"]);
}

#[test]
fn an_offer_to_upgrade_is_served_without_the_upgrade() {
    // Goal: a browser's WebSocket handshake or an h2c offer arrives as a plain request; what
    // follows the request on the wire is not swallowed as its content.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(
        "GET /up HTTP/1.1\r\nHost: front.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let mut client = threadbare.client();
    client.send(
        "POST /up HTTP/1.1\r\nHost: front.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\
         Content-Length: 5\r\n\r\nhelloGET /behind HTTP/1.1\r\nHost: front.test\r\n\r\n",
    );
    let status = client.answer().status;
    assert!([200, 400].contains(&status), "{status}");
    threadbare.stop();
    let seen = backend.seen.items();
    assert_eq!(seen[0].content, b"");
    for posted in seen.iter().filter(|seen| seen.head.word(0) == "POST") {
        assert_eq!(posted.content, b"hello");
        assert_eq!(posted.head.all("Upgrade"), [""; 0]);
    }
}
