//! Requests that come in any pieces, and clients that would keep a worker to themselves.

use super::{fence, holding, request};
use crate::harness::{Backend, Gate, Threadbare, ok};

#[test]
fn two_requests_are_served_wherever_the_network_cuts_them() {
    // Goal: every way of two requests, one with content, to come in two pieces. Trick: the second
    // piece is sent when the waiter has read the first, as the fence tells.
    let backend =
        Backend::replying(|seen| ok(&format!("{} {}", seen.head.word(1), seen.content.len())));
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let fields = "Host: a.test\r\nTransfer-Encoding: chunked";
    let wire =
        format!("PUT /1 HTTP/1.1\r\n{fields}\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n") + &request("/2");
    for at in 1..wire.len() {
        let mut client = threadbare.client();
        client.send(&wire[..at]);
        fence(&threadbare);
        client.send(&wire[at..]);
        assert_eq!(client.answer().text(), "/1 3", "cut at {at}");
        assert_eq!(client.answer().text(), "/2 0", "cut at {at}");
    }
}

#[test]
fn a_client_that_pipelines_gives_the_worker_back_to_those_who_wait() {
    // Goal: one connection with a hundred requests ahead does not keep the only worker. Trick: its
    // first is held until another client waits in the queue; the other's turn must come before the
    // second of the hundred.
    let gate = Gate::closed();
    let backend = holding(&gate);
    let options = ["--workers", "1", "--queue-timeout", "1h"];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut greedy = threadbare.client();
    greedy.send(request("/slow") + &request("/greedy").repeat(100));
    backend.await_requests(1);
    let mut other = threadbare.client();
    other.send(request("/other"));
    fence(&threadbare);
    gate.open();
    assert_eq!(other.answer().text(), "/other");
    assert_eq!(greedy.answer().text(), "/slow");
    for n in 0..100 {
        assert_eq!(greedy.answer().text(), "/greedy", "answer {n}");
    }
    let seen = backend.seen.items();
    let order: Vec<&str> = seen.iter().map(|seen| seen.head.word(1)).collect();
    assert_eq!(order[..3], ["/slow", "/other", "/greedy"]);
}
