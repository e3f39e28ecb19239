//! How answers come back: status, reason and content as they are, and nothing behind them.

use crate::harness::{Backend, Pattern, Threadbare, text};

#[test]
fn statuses_and_reasons_pass_as_they_are() {
    // Goal: unknown codes, unknown and empty reasons, redirects unfollowed, errors unmapped.
    let lines = [
        "200 OK",
        "200 Everything is fine, really",
        "200 ",
        "201 Created",
        "206 Partial Content",
        "299 Odd",
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "401 Unauthorized",
        "404 Nope",
        "418 I'm a teapot",
        "451 Unavailable For Legal Reasons",
        "500 Internal Server Error",
        "502 Not Ours",
        "503 Busy",
        "599 Odd Too",
    ];
    let backend = Backend::replying(move |seen| {
        let idx: usize = seen.head.word(1)[1..]
            .parse()
            .expect("the target is a line's number");
        let line = lines[idx];
        let fields = "Location: http://other.test/\r\nContent-Length: 2\r\n";
        format!("HTTP/1.1 {line}\r\n{fields}\r\nok").into_bytes()
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for (idx, line) in lines.iter().enumerate() {
        let answer = client.get(&format!("/{idx}"));
        assert_eq!(answer.head.line, format!("HTTP/1.1 {line}"));
        assert_eq!(answer.text(), "ok");
    }
    assert_eq!(
        backend.seen.len(),
        lines.len(),
        "nothing is followed or repeated"
    );
    assert_eq!(threadbare.lines(&backend.is("down")), [""; 0]);
}

#[test]
fn interim_answers_do_not_end_the_exchange() {
    // Goal: 100, 102 and 103 of a backend may be passed on or dropped; the final answer comes
    // either way.
    let backend = Backend::replying(|_| {
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
          HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            .to_vec()
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
        let mut answer = client.answer();
        for _ in 0..3 {
            if answer.status / 100 == 1 {
                answer = client.answer();
            }
        }
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
}

#[test]
fn an_answer_behind_an_interim_one_may_be_cut_anywhere() {
    // Goal: whoever reads the final head, the interim one before it changes nothing. Trick: two
    // writes, cut at each place of both, over one kept connection.
    const ANSWER: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let backend = Backend::start(move |mut conn| {
        for cut in 1..ANSWER.len() {
            conn.request()?;
            conn.send(&ANSWER[..cut])?;
            conn.send(&ANSWER[cut..])?;
        }
        Ok(())
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    let mut client = threadbare.client();
    for cut in 1..ANSWER.len() {
        client.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
        let mut answer = client.answer();
        while answer.status / 100 == 1 {
            answer = client.answer();
        }
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok"),
            "{cut}"
        );
    }
}

#[test]
fn an_answer_may_come_byte_by_byte() {
    // Goal: no reader relies on how an answer is cut into segments. Trick: one write for each byte,
    // every framing, over one kept connection.
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello",
    ];
    let backend = Backend::start(move |mut conn| {
        for answer in answers {
            conn.request()?;
            for byte in answer.bytes() {
                conn.send([byte])?;
            }
        }
        conn.request()?;
        for byte in "HTTP/1.1 200 OK\r\n\r\nhello".bytes() {
            conn.send([byte])?;
        }
        Ok(())
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    let mut client = threadbare.client();
    for n in 0..4 {
        assert_eq!(client.get("/").text(), "hello", "answer {n}");
    }
}

#[test]
fn bytes_behind_an_answer_never_become_the_next_one() {
    // Goal: what a backend sends beyond its own framing is nobody's answer (response splitting).
    // Trick: a whole forged answer stands behind the real one, for sized, bodiless and HEAD
    // answers; the next request must get the truth.
    const FORGED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    let backend = Backend::start(|mut conn| {
        loop {
            let seen = conn.request()?;
            let real = match seen.head.word(1) {
                "/sized" => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal",
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\n\r\n",
                "/chunks" => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nreal\r\n0\r\n\r\n"
                }
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntruth",
            };
            let forged = if real.ends_with("truth") { "" } else { FORGED };
            conn.send(format!("{real}{forged}"))?;
        }
    });
    let threadbare = Threadbare::before(&[backend.addr], &["--workers", "1"]);
    let mut client = threadbare.client();
    for target in ["/sized", "/head", "/204", "/304", "/chunks"] {
        let method = if target == "/head" { "HEAD" } else { "GET" };
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: front.test\r\n\r\n"
        ));
        assert_ne!(client.answer_to(method).text(), "forged", "{target}");
        for _ in 0..3 {
            assert_eq!(client.get("/truth").text(), "truth", "after {target}");
        }
    }
}

#[test]
fn a_client_that_has_said_all_it_will_still_gets_its_answer() {
    // Goal: a half-close after the request, as `nc` does it, is not going away.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send("GET / HTTP/1.1\r\nHost: front.test\r\n\r\n");
    client.0.finish_sending().expect("the connection is open");
    let answer = client.answer();
    assert_eq!((answer.status, text(&answer.content).as_str()), (200, "ok"));
    client.assert_ended();
}

#[test]
fn content_of_any_length_arrives_behind_content_of_any_other() {
    // Goal: what a worker has left of one answer, memory included, never shows in the next. Trick:
    // one worker; each length comes behind each other one, sized and in chunks, below a head that
    // becomes shorter or longer on its way, and each byte is compared.
    let backend = Backend::replying(|seen| {
        let target = seen.head.word(1).to_owned();
        let (framing, length) = target[1..].split_once('/').expect("how, and how much");
        let length: usize = length.parse().expect("a length");
        let content = Pattern::new().take(length);
        let (framing, content) = if framing == "sized" {
            (format!("Content-Length: {length}"), content)
        } else {
            let line = format!("{length:x}\r\n");
            let chunks = [line.as_bytes(), &content, b"\r\n0\r\n\r\n"].concat();
            ("Transfer-Encoding: chunked".to_owned(), chunks)
        };
        let head = format!("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n{framing}\r\n\r\n");
        [head.as_bytes(), &content].concat()
    });
    let longer = ["--workers", "1", "--proxy-status", "a-long-name-of-ours"];
    for options in [&longer[..2], &longer] {
        let threadbare = Threadbare::before(&[backend.addr], options);
        let mut client = threadbare.client();
        let mut check = |framing: &str, length: usize| {
            let answer = client.get(&format!("/{framing}/{length}"));
            assert_eq!(answer.content.len(), length, "{framing}");
            assert!(answer.content == Pattern::new().take(length), "{framing}");
        };
        let lengths = [
            1, 16_000, 16_384, 16_385, 40_000, 100_000, 262_143, 262_144, 700_001,
        ];
        for before in lengths {
            for length in lengths {
                for framing in ["sized", "chunks"] {
                    check(framing, before);
                    check("sized", length);
                }
            }
        }
    }
}
