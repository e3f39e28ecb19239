//! What the gate allows: connections, requests and sizes, at the limit and one above it.

use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::{connect_from, holding, request};
use crate::harness::{Answer, Backend, Client, Gate, Pattern, Threadbare, in_chunks, ok};

/// A worker that is needed elsewhere at once: connections are idle in the order of their answers.
const ONE_WORKER: [&str; 4] = ["--workers", "1", "--queue-timeout", "1h"];

/// A connection that has just come is not idle for so long.
const FRESH: Duration = Duration::from_millis(100);

#[test]
fn one_connection_too_many_closes_the_oldest_idle_one() {
    // Goal: three fit; the fourth is served at once, and the one that has been idle for longest
    // pays for it, no other. Trick: one worker, so that they are idle in order.
    let backend = Backend::answering("ok");
    let options = [&ONE_WORKER[..], &["--max-connections", "3"]].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut clients: Vec<Client> = (0..3).map(|_| threadbare.client()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            assert_eq!(client.get("/").text(), "ok");
        }
    }
    let mut fourth = threadbare.client();
    assert_eq!(fourth.get("/").text(), "ok");
    clients.remove(0).assert_ended();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(fourth.get("/").text(), "ok");
}

#[test]
fn a_connection_that_is_busy_is_never_closed_to_make_room() {
    // Goal: while all are busy (waiting for a worker's answer, or in the middle of a head) the next
    // one waits; it is served when one of them ends. Trick: the warning is the fence.
    let gate = Gate::closed();
    let backend = holding(&gate);
    let options = ["--max-connections", "3"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut busy: Vec<Client> = (0..2).map(|_| threadbare.client()).collect();
    for client in &mut busy {
        client.send(request("/slow"));
    }
    backend.await_requests(2);
    let mut half = threadbare.client();
    half.send("GET /half HTTP/1.1\r\nHost");
    let mut next = threadbare.client();
    next.send(request("/next"));
    threadbare.await_line("accepting pauses: 3 connections");
    assert_eq!(backend.seen.len(), 2);
    half.send(": a.test\r\nConnection: close\r\n\r\n");
    assert_eq!(half.answer().text(), "/half");
    half.assert_ended();
    assert_eq!(next.answer().text(), "/next");
    gate.open();
    for client in &mut busy {
        assert_eq!(client.answer().text(), "/slow");
    }
}

#[test]
fn who_waits_for_room_gets_it_as_soon_as_one_is_idle() {
    // Goal: no connection has to end by itself: an idle one is closed as soon as there is one.
    // Trick: both stay open after their answers, for far longer than any deadline here.
    let gate = Gate::closed();
    let backend = holding(&gate);
    let options = ["--max-connections", "2", "--keep-alive-timeout", "1h"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut busy: Vec<Client> = (0..2).map(|_| threadbare.client()).collect();
    for client in &mut busy {
        client.send(request("/slow"));
    }
    backend.await_requests(2);
    let mut next = threadbare.client();
    next.send(request("/next"));
    threadbare.await_line("accepting pauses: 2 connections");
    gate.open();
    for client in &mut busy {
        assert_eq!(client.answer().text(), "/slow");
    }
    assert_eq!(next.answer().text(), "/next");
    // One that is idle again makes room for the next, and so on.
    for _ in 0..20 {
        assert_eq!(threadbare.client().get("/").text(), "/");
    }
}

#[test]
fn nobody_is_closed_for_another_once_its_request_is_sent() {
    // Goal: more clients than there is room for, and each gets its answer: a request that is in
    // the socket or on its way makes a connection busy. Trick: none of them is ever idle; one that
    // the machine holds up between connecting and sending is let off.
    let backend = Backend::replying(|seen| ok(seen.head.word(1)));
    let options = ["--max-connections", "4", "--queue-timeout", "1h"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let ask = |target: &str| {
        let fields = "Host: front.test\r\nConnection: close";
        let start = Instant::now();
        let mut client = threadbare.client();
        let sent = client
            .0
            .send(format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes());
        let is_prompt = start.elapsed() < FRESH;
        let answer = client.try_answer("GET");
        assert!(answer.is_ok() || !is_prompt, "{sent:?}, {answer:?}");
        answer.map_or(0, |answer| {
            assert_eq!(answer.text(), target);
            1
        })
    };
    let n_answered: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|n| scope.spawn(move || (0..25).map(|k| ask(&format!("/{n}-{k}"))).sum::<usize>()))
            .collect();
        let answered = clients.into_iter().map(ScopedJoinHandle::join);
        answered.map(|n| n.expect("each is answered")).sum()
    });
    assert_eq!(backend.seen.len(), n_answered, "none is asked twice");
}

#[cfg(target_os = "linux")] // elsewhere 127.0.0.2 is nobody's
#[test]
fn one_client_may_have_only_so_many_connections() {
    // Goal: two fit, the third is told so, another client is not concerned, and a place that is
    // given back can be taken again.
    let backend = Backend::answering("ok");
    let options = ["--max-connections-per-client", "2"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let from = |last| Client::over(connect_from([127, 0, 0, last], threadbare.addr, 0));
    let mut first = from(1);
    let mut second = from(1);
    assert_eq!(first.get("/").text(), "ok");
    assert_eq!(second.get("/").text(), "ok");
    let mut third = from(1);
    assert_eq!(third.answer().status, 429);
    third.assert_ended();
    let mut others = [from(2), from(2)];
    for other in &mut others {
        assert_eq!(other.get("/").text(), "ok");
    }
    // Each try is an exchange; the place is free a moment after the client has closed.
    drop(second);
    while served_or_429(&mut from(1)).status == 429 {}
    assert_eq!(first.get("/").text(), "ok");
}

#[test]
fn behind_a_balancer_the_clients_it_names_are_counted() {
    // Goal: all connections come from the balancer's address, and are counted by those in their
    // PROXY headers.
    let backend = Backend::answering("ok");
    let options = ["--max-connections-per-client", "1", "--accept-proxy"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let ask = |client_address: &str| {
        let mut client = threadbare.client();
        client.send(format!("PROXY TCP4 {client_address} 192.0.2.9 1000 80\r\n"));
        let _ = client.0.send(request("/").as_bytes());
        let answer = client.answer();
        (client, answer.status)
    };
    let (first, status) = ask("192.0.2.1");
    assert_eq!(status, 200);
    assert_eq!(ask("192.0.2.1").1, 429);
    assert_eq!(ask("192.0.2.2").1, 200);
    drop(first);
    // The place is free a moment after the client has closed; each try is an exchange.
    while ask("192.0.2.1").1 == 429 {}
}

#[cfg(target_os = "linux")]
#[track_caller]
fn served_or_429(client: &mut Client) -> Answer {
    // It may have been told already, and be closed.
    let _ = client.0.send(request("/").as_bytes());
    let answer = client
        .try_answer("GET")
        .expect("an answer comes either way");
    assert!([200, 429].contains(&answer.status), "{answer:?}");
    answer
}

#[test]
fn a_connection_serves_only_so_many_requests() {
    // Goal: the last one says that it is, also when more are pipelined behind it.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &["--max-requests", "3"]);
    for is_pipelined in [false, true] {
        let mut client = threadbare.client();
        if is_pipelined {
            client.send(request("/").repeat(5));
        }
        for n in 1..=3 {
            if !is_pipelined {
                client.send(request("/"));
            }
            let connection = client.answer().head.one("Connection");
            let wanted = (n == 3).then_some("close");
            assert_eq!(connection.as_deref(), wanted, "answer {n}");
        }
        client.assert_ended();
    }
    threadbare.stop();
    assert_eq!(backend.seen.len(), 6);
}

#[test]
fn sizes_of_a_head_are_options() {
    // Goal: each at its limit and one above it.
    let backend = Backend::answering("ok");
    let options = ["--max-target", "64", "--max-fields", "5"];
    let options = [&options[..], &["--max-fields-size", "256"]].concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let head = |target: usize, fields: usize, length: usize| {
        let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n", "t".repeat(target - 1));
        let field = format!("X: {}\r\n", "v".repeat(length));
        line + &field.repeat(fields - 1) + "\r\n"
    };
    let cases = [
        (head(64, 1, 0), 200),
        (head(65, 1, 0), 414),
        (head(1, 5, 1), 200),
        (head(1, 6, 1), 431),
        (head(1, 2, 200), 200),
        (head(1, 2, 300), 431),
    ];
    for (head, status) in cases {
        let mut client = threadbare.client();
        client.send(&head);
        assert_eq!(client.answer().status, status, "{head}");
        if status != 200 {
            client.assert_ended();
        }
    }
    threadbare.stop();
    assert_eq!(backend.seen.len(), 3);
}

/// Notes whether it got the whole of each request, and answers those.
fn noting_whole() -> Backend {
    Backend::start(|mut conn| {
        loop {
            let head = conn.head()?;
            let read = conn.content(head.request_framing()?, &mut |_| ());
            conn.note(if read.is_ok() { "whole" } else { "cut" });
            read?;
            conn.send(crate::harness::ok("ok"))?;
        }
    })
}

fn sized(length: usize) -> Vec<u8> {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    [head.into_bytes(), Pattern::new().take(length)].concat()
}

fn chunked(length: usize) -> Vec<u8> {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let content = in_chunks(&Pattern::new().take(length), 10_000, "");
    [&head[..], &content].concat()
}

#[test]
fn content_at_the_limit_passes_and_one_byte_more_is_told_so() {
    // Goal: 413 for announced and for chunked content, short (held in memory) and long (streamed,
    // where the backend has seen the beginning), and no backend takes it for a whole request.
    for limit in [1000, 65_536, 65_537, 300_000] {
        let backend = noting_whole();
        let most = limit.to_string();
        let threadbare = Threadbare::before(&[backend.addr], &["--max-content", &most]);
        for make in [sized, chunked] {
            let mut client = threadbare.client();
            client.send(make(limit));
            assert_eq!(client.answer().status, 200, "{limit}");
            let _ = client.0.send(&make(limit + 1)); // refused in the middle of it
            assert_eq!(client.answer().status, 413, "{limit}");
            client.assert_ended();
        }
        threadbare.stop();
        let notes = backend.notes.items();
        let n_whole = notes.iter().filter(|note| *note == "whole").count();
        assert_eq!(n_whole, 2, "{limit}: {notes:?}");
    }
}
