//! `Expect: 100-continue`: asked of the backend, and passed to the client only when it is wanted.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Framing, Pattern, Threadbare, ok};

/// How long a backend may be silent about an expectation.
const PATIENCE: Duration = Duration::from_secs(1);
/// More than is held in memory.
const LONG: usize = 200 * 1024;

/// Says that content of this length will follow, if it is wanted.
fn announce(client: &mut Client, method: &str, framing: &str) {
    client.send(format!(
        "{method} /c HTTP/1.1\r\nHost: front.test\r\nExpect: 100-Continue\r\n{framing}\r\n\r\n"
    ));
}

/// A backend that says `interim` to each head, and then takes the content.
fn asking(interim: &'static str) -> Backend {
    Backend::start(move |mut conn| {
        loop {
            let head = conn.head()?;
            conn.note("says 100");
            conn.send(interim)?;
            let mut checker = Pattern::new();
            conn.content(head.request_framing()?, &mut |piece| checker.check(piece))?;
            conn.send(ok(&checker.len().to_string()))?;
        }
    })
}

#[test]
fn a_client_is_told_to_go_on_when_the_backend_says_so() {
    // Goal: Expect reaches the backend before any content, and the client gets its 100 behind the
    // backend's. Trick: whoever says or gets 100 writes it on one list. Fields in a 100, and other
    // interim answers before it, change nothing.
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 100 Go\r\nX: y\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let backend = asking(interim);
        let threadbare = Threadbare::before(&[backend.addr], &[]);
        let mut client = threadbare.client();
        for (round, length) in [5, LONG].into_iter().enumerate() {
            announce(&mut client, "POST", &format!("Content-Length: {length}"));
            let answer = client.answer();
            assert_eq!(answer.status, 100, "{answer:?}");
            backend.notes.push("client has 100".to_owned());
            client.send(Pattern::new().take(length));
            assert_eq!(client.answer().text(), length.to_string());
            let seen = backend.await_requests(round + 1);
            let expectation = seen[round].head.one("Expect");
            assert_eq!(expectation.as_deref(), Some("100-continue"));
        }
        let notes = backend.notes.items();
        let wanted = ["says 100", "client has 100"].repeat(2);
        assert_eq!(notes, wanted, "{interim:?}");
    }
}

#[test]
fn an_expectation_may_go_with_chunks() {
    // Goal: the same with content of unknown length.
    let backend = asking("HTTP/1.1 100 Continue\r\n\r\n");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    announce(&mut client, "PUT", "Transfer-Encoding: chunked");
    assert_eq!(client.answer().status, 100);
    let content = Pattern::new().take(10);
    client.send([b"a\r\n", &content[..], b"\r\n0\r\n\r\n"].concat());
    assert_eq!(client.answer().text(), "10");
}

#[test]
fn an_answer_instead_of_100_stops_the_upload() {
    // Goal: a refusal comes at once and without a 100, the content is never asked for, and the
    // connection ends, because nobody can know whether the content will come. Trick: the answer
    // is the first thing that the client gets; the backend sees an end and no byte of content. The
    // answer stays open at the backend's side, so it is not its end that is passed on.
    for status in [
        "401 Unauthorized",
        "413 Content Too Large",
        "417 No",
        "200 OK",
    ] {
        let backend = Backend::start(move |mut conn| {
            conn.head()?;
            conn.send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"))?;
            let notes = conn.note_later();
            conn.content(Framing::UntilClose, &mut |piece| {
                if !piece.is_empty() {
                    notes.push("content".to_owned());
                }
            })?;
            conn.note("the end");
            Ok(())
        });
        let threadbare = Threadbare::before(&[backend.addr], &[]);
        let mut client = threadbare.client();
        announce(&mut client, "POST", "Content-Length: 300000");
        let answer = client.answer();
        assert_eq!(answer.status.to_string(), status[..3], "{answer:?}");
        assert_eq!(answer.text(), "no");
        assert_eq!(answer.head.one("Connection").as_deref(), Some("close"));
        client.assert_ended();
        backend.await_note("the end");
        assert_eq!(backend.notes.items(), ["the end"], "{status}");
    }
}

#[test]
fn an_answer_right_behind_a_100_is_not_waited_for() {
    // Goal: a backend that says 100 and then knows better has answered, and no more content is
    // wanted. Trick: both in one write, when it has the head, or half of a content; the client
    // holds the rest back, so that nothing else can end the wait.
    let both = "HTTP/1.1 100 Continue\r\n\r\n\
                HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    for half in [0, LONG] {
        let backend = Backend::start(move |mut conn| {
            conn.head()?;
            conn.content(Framing::Sized(half), &mut |_| ())?;
            conn.send(both)?;
            Err(conn.end())
        });
        let threadbare = Threadbare::before(&[backend.addr], &[]);
        let mut client = threadbare.client();
        if half == 0 {
            announce(&mut client, "POST", &format!("Content-Length: {LONG}"));
        } else {
            let length = 2 * half;
            client.send(format!(
                "POST /c HTTP/1.1\r\nHost: front.test\r\nContent-Length: {length}\r\n\r\n"
            ));
            client.send(vec![b'x'; half]);
        }
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (413, "no"));
        client.assert_ended();
    }
}

#[test]
fn a_backend_that_ignores_expectations_gets_the_content_after_a_second() {
    // Goal: silence is not a refusal. Trick: the backend reads head and content in one go; the
    // client holds its content back until the 100, which can't come sooner.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for length in [5, LONG] {
        let start = Instant::now();
        announce(&mut client, "POST", &format!("Content-Length: {length}"));
        assert_eq!(client.answer().status, 100);
        assert!(start.elapsed() >= PATIENCE, "{:?}", start.elapsed());
        client.send(vec![b'x'; length]);
        assert_eq!(client.answer().text(), "ok");
    }
    let lengths = backend
        .seen
        .items()
        .iter()
        .map(|s| s.content.len())
        .collect::<Vec<_>>();
    assert_eq!(lengths, [5, LONG]);
}

#[test]
fn a_100_that_comes_late_is_not_taken_for_an_answer() {
    // Goal: a backend that says 100 (and 102) while content is already on its way gets all of it.
    // Trick: it says so when it has half, and the client sends the other half only then.
    let backend = Backend::start(|mut conn| {
        let head = conn.head()?;
        let mut checker = Pattern::new();
        conn.content(Framing::Sized(LONG), &mut |piece| {
            checker.check(piece);
        })?;
        conn.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Still\r\n\r\n")?;
        conn.note("half");
        assert_eq!(head.one("Content-Length"), Some((2 * LONG).to_string()));
        conn.content(Framing::Sized(LONG), &mut |piece| {
            checker.check(piece);
        })?;
        conn.send(ok(&checker.len().to_string()))
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    announce(
        &mut client,
        "POST",
        &format!("Content-Length: {}", 2 * LONG),
    );
    assert_eq!(client.answer().status, 100);
    let mut pattern = Pattern::new();
    client.send(pattern.take(LONG));
    backend.await_note("half");
    client.send(pattern.take(LONG));
    assert_eq!(client.answer().text(), (2 * LONG).to_string());
}

#[test]
fn a_backend_that_dies_before_its_100_is_replaced() {
    // Goal: as long as the client was not told to go on, its request can go to another backend,
    // and in the end it gets one 100 and one answer. Trick: whoever is asked first dies, once it
    // has the head; the client's thread sends the content only after the 100.
    let dying = || {
        Backend::start(|mut conn| {
            conn.head()?;
            conn.note("dies");
            Ok(())
        })
    };
    let (first, second) = (dying(), asking("HTTP/1.1 100 Continue\r\n\r\n"));
    let threadbare = Threadbare::before(&[first.addr, second.addr], &[]);
    for _ in 0..2 {
        let mut client = threadbare.client();
        announce(&mut client, "PUT", "Content-Length: 5");
        let client = thread::spawn(move || {
            assert_eq!(client.answer().status, 100);
            client.send(Pattern::new().take(5));
            assert_eq!(client.answer().text(), "5");
        });
        client.join().expect("the client gets what it wants");
    }
    first.await_note("dies");
}

#[test]
fn interim_answers_that_nobody_asked_for_are_dropped() {
    // Goal: whatever a backend says before its answer, with fields or without, in one packet with
    // it or not, the client gets the answer alone, and the connection goes on (RFC 9110 §15.2).
    const GO: &str = "HTTP/1.1 100 Continue\r\nDate: x\r\n\r\n";
    const HINT: &str = "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for before in [GO.to_owned(), [HINT, GO].concat(), GO.repeat(20)] {
        for is_split in [false, true] {
            let text = before.clone();
            let backend = Backend::start(move |mut conn| {
                let answers = [ok("ok"), CHUNKED.as_bytes().to_vec()];
                for answer in answers.into_iter().cycle() {
                    let head = conn.head()?;
                    conn.content(head.request_framing()?, &mut |_| ())?;
                    if is_split {
                        for byte in text.as_bytes() {
                            conn.send([*byte])?;
                        }
                        conn.send(answer)?;
                    } else {
                        conn.send([text.as_bytes(), &answer].concat())?;
                    }
                }
                Ok(())
            });
            let threadbare = Threadbare::before(&[backend.addr], &[]);
            let mut client = threadbare.client();
            for n in 0..4 {
                let content = "x".repeat(n);
                client.send(format!(
                    "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {n}\r\n\r\n{content}"
                ));
                let answer = client.answer();
                assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
            }
            assert_eq!(backend.seen.len(), 4);
            threadbare.stop();
        }
    }
}
