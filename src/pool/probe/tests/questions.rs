//! Probes that ask, and get answers of every kind.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::peers::{
    DEADLINE, GOOD, SHORT, answering, bad, find, http, read_request, serve, with_text,
};
use crate::pool::ProbeKind;
use crate::pool::probe::Found;

#[test]
fn a_question_is_asked_as_it_is_told() {
    let (sender, requests) = channel();
    let address = serve(move |mut stream| {
        let _ = sender.send(read_request(&mut stream)); // the test has ended
        let _ = stream.write_all(GOOD.as_bytes()); // told by what the probe finds
    });
    let plain = http(0, address, DEADLINE);
    let mut named = plain.clone();
    named.base = "/app".to_owned();
    if let ProbeKind::Http(probe) = &mut named.kind {
        probe.host = Some("www.test".to_owned());
    }
    let rest = "User-Agent: threadbare-health\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    for (target, wanted) in [
        (plain, "GET /health HTTP/1.1\r\nHost: b.test:81\r\n"),
        (named, "GET /app/health HTTP/1.1\r\nHost: www.test\r\n"),
    ] {
        assert_eq!(find(target), Found::Good);
        let request = requests.recv_timeout(DEADLINE).expect("it has asked");
        assert_eq!(request, wanted.to_owned() + rest);
    }
}

#[test]
fn answers_of_every_kind_are_told_apart() {
    let huge = "HTTP/1.1 200 OK\r\nA: ".to_owned() + &"a".repeat(64 * 1024);
    let bytes: Vec<&str> = GOOD.split("").collect();
    let long = "-".repeat(32 * 1024);
    let cases: [(&[&str], Found); 12] = [
        (&[GOOD], Found::Good),
        (&bytes, Found::Good),
        (&["HTTP/1.1 100 Continue\r\n\r\n", GOOD], Found::Good),
        (
            &[
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwe",
                "\r\n2\r\nll",
            ],
            Found::Good,
        ),
        (&["HTTP/1.1 200 OK\r\n\r\n", &long, "well"], Found::Good),
        (
            &["HTTP/1.1 200 OK\r\n\r\n", &long, &long, "well"],
            bad("health check: its text is not in the answer"),
        ),
        (
            &["HTTP/1.1 503 Busy\r\nX-Drain: yes\r\n\r\n"],
            Found::Draining,
        ),
        (
            &["HTTP/1.1 500 Oh\r\n\r\n"],
            bad("health check: answered 500"),
        ),
        (&["hello"], bad("health check: the answer is malformed")),
        (
            &["HTTP/1.1 200 OK\r\n"],
            bad("health check: the answer broke off"),
        ),
        (&[], bad("health check: closed without an answer")),
        (&[&huge], bad("health check: the answer's head is too long")),
    ];
    for (pieces, wanted) in cases {
        let target = with_text(http(0, answering(pieces), DEADLINE));
        assert_eq!(find(target), wanted, "{:?}", pieces.first());
    }
}

#[test]
fn a_reset_is_told() {
    let address = serve(|mut stream| {
        // Closing with something unread resets.
        let _ = stream.read(&mut [0; 1]); // told by what the probe finds
    });
    let cause = "health check: connection reset by peer";
    assert_eq!(find(http(0, address, DEADLINE)), bad(cause));
}

/// Keeps sending these bytes, paced, until the probe is gone; tells when it is.
fn dripping(head: &'static str, byte: &'static str, pace: Duration) -> (SocketAddr, Receiver<()>) {
    let (sender, gone) = channel();
    let address = serve(move |mut stream| {
        let (_never, pacer): (Sender<()>, _) = channel();
        read_request(&mut stream);
        let mut bytes = head;
        while stream.write_all(bytes.as_bytes()).is_ok() {
            let _ = pacer.recv_timeout(pace); // times out, which is its purpose
            bytes = byte;
        }
        let _ = sender.send(()); // the test has ended
    });
    (address, gone)
}

#[test]
fn an_answer_that_drips_is_cut_at_the_end_of_its_time() {
    for head in ["HTTP/1.1 200 OK\r\nA: ", "HTTP/1.1 200 OK\r\n\r\n"] {
        let (address, gone) = dripping(head, "a", Duration::from_millis(10));
        let start = Instant::now();
        let found = find(with_text(http(0, address, SHORT)));
        assert_eq!(found, bad("health check: timed out after 300ms"));
        assert!((SHORT..10 * SHORT).contains(&start.elapsed()));
        gone.recv_timeout(DEADLINE)
            .expect("the connection ends with the probe");
    }
}

#[test]
fn an_answer_without_an_end_is_read_only_as_far_as_needed() {
    let (address, gone) = dripping(
        "HTTP/1.1 200 OK\r\n\r\n",
        "all is well ",
        Duration::from_nanos(1),
    );
    assert_eq!(find(http(0, address, DEADLINE)), Found::Good);
    gone.recv_timeout(DEADLINE)
        .expect("it is closed after the head");
    assert_eq!(find(with_text(http(0, address, DEADLINE))), Found::Good);
    gone.recv_timeout(DEADLINE)
        .expect("it is closed after the text");
}
