//! Connections to backends that are kept: used again, and replaced where they have died.

use crate::harness::{Backend, Gate, Threadbare, ok};

/// The status of one small POST over a client's connection of its own.
#[track_caller]
fn post(threadbare: &Threadbare) -> u16 {
    let mut client = threadbare.client();
    client.send("POST / HTTP/1.1\r\nHost: front.test\r\nContent-Length: 5\r\n\r\nhello");
    client.answer().status
}

#[test]
fn a_stale_connection_is_replaced_without_blame() {
    // Goal: a kept connection that dies as it is used again is the backend's right: one more try
    // on a fresh one, the backend stays up. Trick: every connection answers once and closes when
    // it has read a second request; ten rounds, over three times the failures that would take a
    // backend down.
    let backend = Backend::start(|mut conn| {
        conn.request()?;
        conn.send(ok("fresh"))?;
        conn.request()?;
        Ok(())
    });
    let other = Backend::answering("other");
    let options = ["--workers", "1"];
    let threadbare = Threadbare::before(&[backend.addr, other.addr], &options);
    let mut client = threadbare.client();
    for n in 0..20 {
        let answer = client.get("/");
        assert_eq!(answer.status, 200, "request {n}: {answer:?}");
    }
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn a_post_over_a_stale_connection_is_not_sent_twice() {
    // Goal: the same rule as ever: the backend has read the first one. Trick: as above, with one
    // backend.
    let backend = Backend::start(|mut conn| {
        conn.request()?;
        conn.send(ok("fresh"))?;
        conn.request()?;
        Ok(())
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    assert_eq!(post(&threadbare), 200);
    let status = post(&threadbare);
    let connections: Vec<usize> = backend.seen.items().iter().map(|s| s.connection).collect();
    match (status, connections.len()) {
        // It came over the kept connection, and its fate is unknown.
        (502, 2) => assert_eq!(connections[0], connections[1]),
        // It came over a fresh connection from the start.
        (200, 2) => assert_ne!(connections[0], connections[1]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_that_closed_while_idle_is_not_used() {
    // Goal: a close that came before the next request is noticed before it is sent, so even a POST
    // goes through. Trick: the note is pushed after the socket is shut and closed, and on loopback
    // the end has arrived by then. Closed alone it would live on in a child that another test has
    // forked, until that is another program.
    let backend = Backend::start(|mut conn| {
        conn.request()?;
        conn.send(ok("once"))?;
        let note = conn.note_later();
        conn.finish_sending()?;
        drop(conn);
        note.push("closed".to_owned());
        Ok(())
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    for n in 1..=10 {
        assert_eq!(post(&threadbare), 200, "request {n}");
        backend.notes.wait_for(n, "closed connections");
    }
    assert_eq!(threadbare.lines(" is down: "), [""; 0]);
}

#[test]
fn connections_to_backends_are_kept_and_used_again() {
    // Goal: a sequence of requests needs no new connection each. Trick: the backend numbers its
    // connections.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    let mut client = threadbare.client();
    for _ in 0..50 {
        client.get("/");
    }
    let mut connections: Vec<usize> = backend
        .seen
        .items()
        .iter()
        .map(|seen| seen.connection)
        .collect();
    connections.dedup();
    assert_eq!(connections.len(), 1, "{connections:?}");
}

#[test]
fn a_connection_is_kept_if_its_answer_is_over_and_neither_side_ends_it() {
    // Goal: what decides is the answer: over, longer than it announced, or the last one. Trick: the
    // backend numbers its connections, and sends what follows the head together with it, or when
    // the client has got the head.
    let chunks = "1\r\nx\r\n0\r\n\r\n".to_owned();
    let x = |n: usize| "x".repeat(n);
    let cases = [
        ("Content-Length: 5", x(5), true),
        ("Content-Length: 0", x(0), true),
        ("Content-Length: 100000", x(100_000), true),
        ("Content-Length: 5\r\nConnection: Keep-Alive", x(5), true),
        ("Transfer-Encoding: chunked", chunks.clone(), true),
        ("Content-Length: 5\r\nConnection: x, Close", x(5), false),
        ("Content-Length: 5", x(6), false),
        (
            "Transfer-Encoding: chunked\r\nConnection: close",
            chunks,
            false,
        ),
    ];
    for (fields, content, is_kept) in cases {
        for is_split in [false, true] {
            let (head_came, content) = (Gate::closed(), content.clone());
            let fence = head_came.clone();
            let backend = Backend::start(move |mut conn| {
                loop {
                    conn.request()?;
                    let mut answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
                    if is_split && fence.is_closed() {
                        conn.send(&answer)?;
                        fence.pass()?;
                        answer.clear();
                    }
                    conn.send(answer + &content)?;
                }
            });
            let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
            let mut client = threadbare.client();
            client.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
            let head = client.head().expect("an answer begins");
            head_came.open();
            match head.one("Content-Length") {
                Some(length) => {
                    let length = length.parse().expect("a length");
                    client.take(length).expect("its content follows");
                }
                None => while !client.chunk().expect("a chunk follows").is_empty() {},
            }
            assert_eq!(client.get("/").status, 200, "{fields}");
            let seen = backend.await_requests(2);
            let is_same = seen[0].connection == seen[1].connection;
            assert_eq!(is_same, is_kept, "{fields}, split: {is_split}");
        }
    }
}

#[test]
fn an_answer_without_content_that_is_tried_again_leaves_its_connection() {
    // Goal: a 503 that nobody reads to its end, because there is nothing to read, costs no new
    // connection, just when there is much to do. Trick: the backend numbers its connections, and
    // its other takes each request that it declines.
    let busy = Backend::replying(|_| b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec());
    let other = Backend::answering("other");
    let options = ["--workers", "1", "--retry-on", "503"];
    let threadbare = Threadbare::before(&[busy.addr, other.addr], &options);
    let mut client = threadbare.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "other");
    }
    let connections = busy.seen.items().into_iter().map(|seen| seen.connection);
    let mut connections: Vec<usize> = connections.collect();
    assert!(connections.len() >= 5, "{connections:?}");
    connections.dedup();
    assert_eq!(connections.len(), 1, "{connections:?}");
}
