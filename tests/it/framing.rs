//! The end of an answer's content: found however the backend marks it, marked so that the client
//! finds it.

use crate::harness::{Answer, Backend, Client, Framing, Seen, Threadbare};

/// One raw answer of a backend, and what must become of it.
struct Row {
    name: &'static str,
    method: &'static str,
    /// Sent as it stands. The backend closes afterwards when `closes`.
    raw: &'static str,
    closes: bool,
    status: u16,
    content: &'static str,
    /// The framing towards a client of HTTP/1.1.
    framing: Framing,
}

const ROWS: [Row; 18] = [
    Row {
        name: "a length",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        closes: false,
        status: 200,
        content: "hello",
        framing: Framing::Sized(5),
    },
    Row {
        name: "a length and a close",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        closes: true,
        status: 200,
        content: "hello",
        framing: Framing::Sized(5),
    },
    Row {
        name: "a length of nothing",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        closes: false,
        status: 200,
        content: "",
        framing: Framing::Sized(0),
    },
    Row {
        name: "the same length twice",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        closes: false,
        status: 200,
        content: "hello",
        framing: Framing::Sized(5),
    },
    Row {
        name: "chunks",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        closes: false,
        status: 200,
        content: "hello",
        framing: Framing::Chunked,
    },
    Row {
        name: "no chunk but the last",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n",
        closes: false,
        status: 200,
        content: "",
        framing: Framing::Chunked,
    },
    Row {
        name: "chunks with extensions and trailers",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
              5;a=b\r\nhello\r\n0;c\r\nX-Sum: 1\r\n\r\n",
        closes: false,
        status: 200,
        content: "hello",
        framing: Framing::Chunked,
    },
    Row {
        name: "content until the close",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nhello",
        closes: true,
        status: 200,
        content: "hello",
        framing: Framing::Chunked,
    },
    Row {
        name: "no content until the close",
        method: "GET",
        raw: "HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n",
        closes: true,
        status: 200,
        content: "",
        framing: Framing::Chunked,
    },
    Row {
        name: "HTTP/1.0 until the close",
        method: "GET",
        raw: "HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nhello",
        closes: true,
        status: 200,
        content: "hello",
        framing: Framing::Chunked,
    },
    Row {
        name: "HTTP/1.0 with a length",
        method: "GET",
        raw: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        closes: true,
        status: 200,
        content: "hello",
        framing: Framing::Sized(5),
    },
    Row {
        name: "HTTP/1.0 kept alive",
        method: "GET",
        raw: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        closes: false,
        status: 200,
        content: "hello",
        framing: Framing::Sized(5),
    },
    Row {
        name: "204",
        method: "GET",
        raw: "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        closes: false,
        status: 204,
        content: "",
        framing: Framing::None,
    },
    Row {
        name: "304 with the length it would have had",
        method: "GET",
        raw: "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
        closes: false,
        status: 304,
        content: "",
        framing: Framing::None,
    },
    Row {
        name: "HEAD with a length",
        method: "HEAD",
        raw: "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n",
        closes: false,
        status: 200,
        content: "",
        framing: Framing::None,
    },
    Row {
        name: "HEAD with chunks announced",
        method: "HEAD",
        raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        closes: false,
        status: 200,
        content: "",
        framing: Framing::None,
    },
    Row {
        name: "HEAD with nothing announced",
        method: "HEAD",
        raw: "HTTP/1.1 404 Not Found\r\n\r\n",
        closes: false,
        status: 404,
        content: "",
        framing: Framing::None,
    },
    Row {
        name: "an error with content",
        method: "POST",
        raw: "HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nhello",
        closes: false,
        status: 500,
        content: "hello",
        framing: Framing::Sized(5),
    },
];

/// Plays the row that the target's number names; closes after it if the row says so.
fn playing_rows() -> Backend {
    Backend::start(|mut conn| {
        loop {
            let seen = conn.request()?;
            let row = &ROWS[row_of(&seen)];
            conn.send(row.raw)?;
            if row.closes {
                return Ok(());
            }
        }
    })
}

fn row_of(seen: &Seen) -> usize {
    seen.head.word(1)[1..]
        .parse()
        .expect("the target is a row's number")
}

/// Asks for row `idx` in this version of HTTP.
#[track_caller]
fn ask(client: &mut Client, idx: usize, version: &str, fields: &str) -> Answer {
    let row = &ROWS[idx];
    let method = row.method;
    client.send(format!(
        "{method} /{idx} {version}\r\nHost: front.test\r\n{fields}\r\n"
    ));
    let answer = client.answer_to(method);
    let name = row.name;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (row.status, row.content),
        "{name}"
    );
    answer
}

#[test]
fn every_framing_comes_back_framed_right_to_http_1_1() {
    // Goal: the client finds the content's end and the connection stays usable. Trick: all rows
    // twice over one kept connection, strictly read: a byte too many or too few would spoil the
    // next answer.
    let backend = playing_rows();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for idx in (0..ROWS.len()).chain(0..ROWS.len()) {
        let row = &ROWS[idx];
        let answer = ask(&mut client, idx, "HTTP/1.1", "");
        let framing = answer.head.answer_framing(row.method);
        assert_eq!(framing, Ok(row.framing), "{}: {:?}", row.name, answer.head);
        assert!(
            answer.head.line.starts_with("HTTP/1.1 "),
            "{}: {:?}",
            row.name,
            answer.head
        );
    }
}

#[test]
fn every_framing_comes_back_framed_right_to_http_1_0() {
    // Goal: no chunks for who can't read them, and the end is a clean close. Trick: read to the
    // end.
    let backend = playing_rows();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (idx, row) in ROWS.iter().enumerate() {
        let mut client = threadbare.client();
        let answer = ask(&mut client, idx, "HTTP/1.0", "");
        assert_eq!(
            answer.head.all("Transfer-Encoding"),
            [""; 0],
            "{}",
            row.name
        );
        client.assert_ended();
    }
}

#[test]
fn an_http_1_0_client_that_wants_to_keep_alive_is_not_left_waiting() {
    // Goal: without a length the close is the end, whatever the client asked for; it must come.
    let backend = playing_rows();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (idx, row) in ROWS
        .iter()
        .enumerate()
        .filter(|(_, row)| row.method == "GET")
    {
        let mut client = threadbare.client();
        let answer = ask(&mut client, idx, "HTTP/1.0", "Connection: keep-alive\r\n");
        let sized = answer.head.one("Content-Length").is_some();
        let promised = answer
            .head
            .all("Connection")
            .iter()
            .any(|value| value == "keep-alive");
        assert!(
            sized || !promised || row.status != 200,
            "{}: {:?}",
            row.name,
            answer.head
        );
    }
}

#[test]
fn a_client_that_asks_for_the_close_gets_it() {
    // Goal: `Connection: close` is said and done, for every framing.
    let backend = playing_rows();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (idx, row) in ROWS.iter().enumerate() {
        let mut client = threadbare.client();
        let answer = ask(&mut client, idx, "HTTP/1.1", "Connection: close\r\n");
        let connection = answer.head.one("Connection");
        assert_eq!(connection.as_deref(), Some("close"), "{}", row.name);
        client.assert_ended();
    }
}

#[test]
fn an_answer_to_head_keeps_the_length_it_announces() {
    // Goal: HEAD tells what GET would; the length is not replaced by that of nothing.
    let backend = playing_rows();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let idx = ROWS
        .iter()
        .position(|row| row.name == "HEAD with a length")
        .expect("it is there");
    let answer = ask(&mut threadbare.client(), idx, "HTTP/1.1", "");
    assert_eq!(
        answer.head.one("Content-Length").as_deref(),
        Some("5000000")
    );
}

#[test]
fn no_length_is_added_to_answers_that_may_have_none() {
    // Goal: RFC 9110 §8.6: no Content-Length in a 204; no Transfer-Encoding in 204 and 304 (RFC
    // 9112 §6.1).
    let backend = playing_rows();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (idx, row) in ROWS
        .iter()
        .enumerate()
        .filter(|(_, row)| [204, 304].contains(&row.status))
    {
        let answer = ask(&mut threadbare.client(), idx, "HTTP/1.1", "");
        assert_eq!(
            answer.head.all("Transfer-Encoding"),
            [""; 0],
            "{}",
            row.name
        );
        assert!(
            row.status == 304 || answer.head.all("Content-Length").is_empty(),
            "{}",
            row.name
        );
    }
}
