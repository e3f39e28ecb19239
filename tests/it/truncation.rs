//! Answers that fail after their head: the client must see that something is missing, and nothing
//! may follow.

use crate::harness::{Answer, Backend, Client, Cut, Framing, Gate, Threadbare, text};

/// The part of the content that a backend sends before it fails.
const PART: &str = "the first part of a longer content";

/// How a backend announces its content, and the part as it goes over the wire.
fn framings() -> [(&'static str, String, String); 3] {
    let chunk = format!("{:x}\r\n{PART}\r\n", PART.len());
    [
        ("sized", "Content-Length: 1000".to_owned(), PART.to_owned()),
        ("chunked", "Transfer-Encoding: chunked".to_owned(), chunk),
        (
            "until the close",
            "X-Framing: none".to_owned(),
            PART.to_owned(),
        ),
    ]
}

/// What a failing backend does after the part.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    Close,
    Reset,
    BadChunk,
}

/// Sends a head and part of a content, waits until the gate opens, and fails.
fn failing(framing: &str, part: &str, failure: Failure, gate: &Gate) -> Backend {
    let start = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{part}");
    let gate = gate.clone();
    Backend::start(move |mut conn| {
        loop {
            let seen = conn.request()?;
            if seen.head.word(1) != "/cut" {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")?;
                continue;
            }
            conn.send(&start)?;
            gate.pass()?;
            match failure {
                Failure::Close => {}
                Failure::Reset => conn.reset(),
                Failure::BadChunk => conn.send("zz\r\nthis is no chunk\r\n0\r\n\r\n")?,
            }
            return Ok(());
        }
    })
}

/// Opens the gate once the client has the head, then reads on to the answer's end.
#[track_caller]
fn cut_answer(client: &mut Client, gate: &Gate) -> Answer {
    let head = client
        .head()
        .expect("the head comes before the backend fails");
    gate.open();
    let framing = head.answer_framing("GET").expect("it is one framing");
    let mut content = Vec::new();
    let end = client
        .0
        .content(framing, &mut |piece| content.extend_from_slice(piece));
    Answer {
        status: 200,
        head,
        content,
        end,
    }
}

#[test]
fn a_cut_answer_is_seen_as_cut_by_every_client() {
    // Goal: no failure after the head is passed off as a clean end, whatever the framing on either
    // side. Trick: the backend fails only after the client has read the head; a strict reader must
    // not find a complete content. Until the close, a close is a clean end, so only the reset is a
    // failure there.
    for (name, framing, part) in framings() {
        for failure in [Failure::Close, Failure::Reset, Failure::BadChunk] {
            let fails = match name {
                "sized" => failure != Failure::BadChunk,
                "chunked" => true,
                _ => failure == Failure::Reset,
            };
            for version in ["HTTP/1.1", "HTTP/1.0"] {
                if !fails {
                    continue;
                }
                let gate = Gate::closed();
                let backend = failing(&framing, &part, failure, &gate);
                let threadbare = Threadbare::before(&[backend.addr], &[]);
                let mut client = threadbare.client();
                client.send(format!("GET /cut {version}\r\nHost: front.test\r\n\r\n"));
                let answer = cut_answer(&mut client, &gate);
                let context = format!("{name}, {failure:?}, {version}: {answer:?}");
                assert!(answer.end.is_err(), "{context}");
                assert_ne!(answer.end, Err(Cut::Silent), "the end comes: {context}");
                assert!(PART.starts_with(&answer.text()), "{context}");
                assert_eq!(
                    backend.seen.len(),
                    1,
                    "nothing is retried after the head: {context}"
                );
            }
        }
    }
}

#[test]
fn nothing_follows_a_cut_answer_on_its_connection() {
    // Goal: no byte of a later answer can be read as content of the cut one. Trick: a second
    // request is on the wire already, and everything to the connection's end is searched for its
    // answer.
    for (name, framing, part) in framings() {
        let gate = Gate::closed();
        let backend = failing(&framing, &part, Failure::Reset, &gate);
        let threadbare = Threadbare::before(&[backend.addr], &[]);
        let mut client = threadbare.client();
        client.send(
            "GET /cut HTTP/1.1\r\nHost: front.test\r\n\r\n\
             GET /second HTTP/1.1\r\nHost: front.test\r\n\r\n",
        );
        client
            .head()
            .expect("the head comes before the backend fails");
        gate.open();
        let (rest, cut) = client.rest();
        let rest = text(&rest);
        assert!(
            !rest.contains("second") && !rest.contains("HTTP/1."),
            "{name}: {rest:?}"
        );
        assert!(matches!(cut, Cut::Closed | Cut::Reset), "{name}: {cut:?}");
    }
}

#[test]
fn a_cut_answer_is_not_asked_for_again() {
    // Goal: once the head is sent, even a GET is not repeated on another backend.
    let gate = Gate::closed();
    gate.open();
    let a = failing("Content-Length: 1000", PART, Failure::Reset, &gate);
    let b = failing("Content-Length: 1000", PART, Failure::Reset, &gate);
    let threadbare = Threadbare::before(&[a.addr, b.addr], &[]);
    let mut client = threadbare.client();
    client.send("GET /cut HTTP/1.1\r\nHost: front.test\r\n\r\n");
    let answer = client.try_answer("GET");
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.end.is_err()));
    client.assert_ended();
    assert_eq!(a.seen.len() + b.seen.len(), 1);
}

#[test]
fn a_cut_answer_costs_only_its_own_client() {
    // Goal: the worker and the other backends' connections go on. Trick: one worker, a cut, then
    // clean answers.
    let gate = Gate::closed();
    gate.open();
    let backend = failing(
        "Transfer-Encoding: chunked",
        "5\r\nhel",
        Failure::Close,
        &gate,
    );
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    for _ in 0..5 {
        let mut client = threadbare.client();
        client.send("GET /cut HTTP/1.1\r\nHost: front.test\r\n\r\n");
        let answer = client.try_answer("GET");
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.end.is_err()));
        assert_eq!(threadbare.get("/second").text(), "second");
    }
}

#[test]
fn a_cut_upload_never_reaches_a_backend_as_a_whole_one() {
    // Goal: the same the other way: a client that goes away in mid-content leaves no request that
    // looks complete. Trick: every framing, held and streamed, ended in an orderly way, which is
    // the way that lies best.
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let long = "a".repeat(100_000);
    let longer = format!("{:x}\r\n{long}\r\n", long.len());
    let uploads = [
        (
            "a short length",
            "Content-Length: 10\r\n\r\nhello".to_owned(),
        ),
        (
            "a held length",
            format!("Content-Length: 60000\r\n\r\n{}", &long[..50_000]),
        ),
        (
            "a streamed length",
            format!("Content-Length: 200000\r\n\r\n{long}"),
        ),
        ("a chunk's size", format!("{chunked}5\r\nhello\r\n5")),
        (
            "a chunk's data",
            format!("{chunked}5\r\nhello\r\na\r\nhello"),
        ),
        ("a chunk's end", format!("{chunked}5\r\nhello")),
        ("the last chunk", format!("{chunked}5\r\nhello\r\n")),
        (
            "the last chunk's end",
            format!("{chunked}5\r\nhello\r\n0\r\n"),
        ),
        ("a streamed chunk's size", format!("{chunked}{longer}5")),
        (
            "a streamed chunk's data",
            format!("{chunked}{longer}fffff\r\n{long}"),
        ),
        ("a streamed last chunk", format!("{chunked}{longer}")),
    ];
    let backend = Backend::start(|mut conn| {
        loop {
            let head = conn.head()?;
            let whole = conn.content(head.request_framing()?, &mut |_| ());
            conn.note(format!("{} {}", head.word(1), whole.is_ok()));
            whole?;
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (idx, (name, upload)) in uploads.iter().enumerate() {
        let mut client = threadbare.client();
        client.send(format!(
            "POST /{idx} HTTP/1.1\r\nHost: front.test\r\n{upload}"
        ));
        client.0.finish_sending().expect("the connection is open");
        let (rest, cut) = client.rest();
        let rest = text(&rest);
        assert!(!rest.starts_with("HTTP/1.1 200"), "{name}: {rest}");
        assert_ne!(cut, Cut::Silent, "{name}: the connection ends");
    }
    assert_eq!(threadbare.get("/clean").text(), "ok");
    threadbare.stop();
    let notes = backend.notes.items();
    for (idx, (name, _)) in uploads.iter().enumerate() {
        assert!(
            !notes.contains(&format!("/{idx} true")),
            "{name} was whole: {notes:?}"
        );
    }
    assert!(notes.contains(&"/clean true".to_owned()), "{notes:?}");
}

#[test]
fn a_close_after_content_without_framing_is_a_clean_end() {
    // Goal: the other side of the table above: where the close is the framing, a close is no
    // failure.
    let gate = Gate::closed();
    let backend = failing("X-Framing: none", PART, Failure::Close, &gate);
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut client = threadbare.client();
        client.send(format!("GET /cut {version}\r\nHost: front.test\r\n\r\n"));
        let answer = cut_answer(&mut client, &gate);
        assert_eq!(
            (answer.text().as_str(), answer.end),
            (PART, Ok(())),
            "{version}"
        );
        let framing = answer.head.answer_framing("GET");
        let wanted = if version == "HTTP/1.1" {
            Framing::Chunked
        } else {
            Framing::UntilClose
        };
        assert_eq!(framing, Ok(wanted));
    }
}
