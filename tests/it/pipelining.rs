//! Several requests on the wire at once.

use std::fmt::Write as _;

use crate::harness::{Backend, Gate, Threadbare, ok};

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: front.test\r\n\r\n")
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    // Goal: RFC 9112 §9.3.2. Trick: the first answer is held back until the backend has answered a
    // later one or, when requests of one connection are served one by one, until the first stands
    // alone.
    let backend = Backend::replying(|seen| ok(seen.head.word(1)));
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    let mut wire = String::new();
    for n in 0..50 {
        let _ = write!(wire, "{}", get(&format!("/{n}")));
    }
    client.send(wire);
    for n in 0..50 {
        assert_eq!(client.answer().text(), format!("/{n}"));
    }
}

#[test]
fn a_flood_of_pipelined_requests_is_answered_up_to_its_end() {
    // Goal: memory for what waits on one connection has a bound. Beyond it the connection ends;
    // up to there answers are whole and in order, and what was not answered was not forwarded
    // behind the client's back. Trick: more requests than anyone pipelines, read to the end.
    let backend = Backend::replying(|seen| ok(seen.head.word(1)));
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    let mut wire = String::new();
    for n in 0..5000 {
        let _ = write!(wire, "{}", get(&format!("/{n}")));
    }
    let _ = client.0.send(wire.as_bytes());
    let mut answered = 0;
    while answered < 5000 {
        let Ok(answer) = client.try_answer("GET") else {
            break;
        };
        if answer.end.is_err() {
            break;
        }
        assert_eq!(answer.text(), format!("/{answered}"));
        answered += 1;
    }
    threadbare.stop();
    let targets: Vec<String> = backend
        .seen
        .items()
        .iter()
        .map(|seen| seen.head.word(1).to_owned())
        .collect();
    let wanted: Vec<String> = (0..targets.len()).map(|n| format!("/{n}")).collect();
    assert_eq!(targets, wanted, "forwarded in order, with none left out");
    assert!(targets.len() >= answered, "{} < {answered}", targets.len());
}

#[test]
fn a_fast_answer_waits_for_the_slow_one_before_it() {
    // Goal: the order holds also when the second is answered first. Trick: the slow backend's gate
    // opens only after the fast one was asked or, if the second request waits its turn, after the
    // first is answered: the fence is a third request over another connection, which goes through
    // while the slow one hangs.
    let gate = Gate::closed();
    let closed = gate.clone();
    let backend = Backend::start(move |mut conn| {
        loop {
            let target = conn.request()?.head.word(1).to_owned();
            if target == "/slow" {
                closed.pass()?;
            }
            conn.send(ok(&target))?;
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send(get("/slow") + &get("/fast"));
    backend.await_requests(1);
    assert_eq!(threadbare.get("/other").text(), "/other");
    gate.open();
    assert_eq!(client.answer().text(), "/slow");
    assert_eq!(client.answer().text(), "/fast");
}

#[test]
fn content_and_the_next_request_are_told_apart() {
    // Goal: the second request starts where the first one's content ends, for every framing and
    // size class.
    let backend = Backend::replying(|seen| ok(&seen.content.len().to_string()));
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    let sized = |length: usize| {
        let content = "a".repeat(length);
        format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n{content}")
    };
    let chunked = |length: usize| {
        let content = "a".repeat(length);
        let fields = "Host: a.test\r\nTransfer-Encoding: chunked";
        format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n{length:x}\r\n{content}\r\n0\r\n\r\n")
    };
    let lengths = [5, 1024, 1025, 65_536, 65_537, 100_000];
    for length in lengths {
        client.send(sized(length) + &get("/") + &chunked(length) + &get("/"));
        for wanted in [length, 0, length, 0] {
            assert_eq!(client.answer().text(), wanted.to_string());
        }
    }
    assert_eq!(backend.seen.len(), lengths.len() * 4);
}

#[test]
fn nothing_behind_a_last_request_is_served() {
    // Goal: `Connection: close` makes it the last one (RFC 9112 §9.6): what stands behind is not a
    // request any more.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    let last = "GET /last HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\n\r\n";
    client.send(last.to_owned() + &get("/behind"));
    assert_eq!(client.answer().text(), "ok");
    client.assert_ended();
    threadbare.stop();
    assert_eq!(backend.seen.len(), 1);
}

#[test]
fn good_requests_before_a_bad_one_are_answered() {
    // Goal: a refusal takes its turn: the answers before it come whole, then the 400, then the
    // end. Trick: 20 good ones, a bad one, 20 that must never be forwarded, all in one write.
    let backend = Backend::replying(|seen| ok(seen.head.word(1)));
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    let good = get("/good").repeat(20);
    let bad = "GET /bad HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n";
    let _ = client
        .0
        .send((good + bad + &get("/behind").repeat(20)).as_bytes());
    for n in 0..20 {
        assert_eq!(client.answer().text(), "/good", "answer {n}");
    }
    assert_eq!(client.answer().status, 400);
    client.assert_ended();
    threadbare.stop();
    let seen = backend.seen.items();
    assert!(
        seen.iter().all(|seen| seen.head.word(1) == "/good"),
        "{seen:?}"
    );
    assert_eq!(seen.len(), 20);
}
