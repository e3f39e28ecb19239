//! One request of `ctl` to a scripted peer, and to nobody.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::admin::Token;
use crate::intake::ListenAt;
use crate::process::ctl::client::Client;

const MINUTE: Duration = Duration::from_secs(60);

/// Status and content, or the error.
type Said = Result<(u16, String), String>;

/// A server that reads one request and says this. Returns what was asked, and what came back.
fn scripted(says: &[&str]) -> (String, Said) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = ListenAt::Tcp(listener.local_addr().expect("it is bound").to_string());
    let token = Token::new("s3cret").expect("a good token");
    thread::scope(|scope| {
        let served = scope.spawn(move || {
            let (mut stream, _) = listener.accept().expect("ctl comes");
            let mut asked = Vec::new();
            while !asked.ends_with(b"{}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("ctl asks");
                asked.push(byte[0]);
            }
            for piece in says {
                // An error: it has seen enough.
                let _ = stream.write_all(piece.as_bytes());
            }
            String::from_utf8(asked).expect("text")
        });
        let client = Client {
            at: &at,
            token: Some(&token),
        };
        let answer = client.ask("POST", "/reload", Some(b"{}"), MINUTE);
        let answer = answer.map(|answer| {
            (
                answer.status,
                String::from_utf8_lossy(&answer.content).into_owned(),
            )
        });
        (served.join().expect("it served"), answer)
    })
}

#[test]
fn answers_end_with_their_length_or_with_the_connection() {
    let good = |content: &str| Ok((200, content.to_owned()));
    let bad = |says: &str| Err(says.to_owned());
    let cases: [(&[&str], Said); 9] = [
        (
            &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"],
            good("{}"),
        ),
        (
            &[
                "HTTP/1.1 200 O",
                "K\r\ncontent-length: 2\r\n\r",
                "\n{",
                "}more",
            ],
            good("{}"),
        ),
        (&["HTTP/1.0 200 OK\r\n\r\n{", "}"], good("{}")),
        (
            &["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}"],
            bad("broke off"),
        ),
        (&["HTTP/1.1 200 OK\r\n"], bad("broke off")),
        (&[], bad("broke off")),
        (&["SSH-2.0-x\r\n"], bad("is no threadbare")),
        (
            &["HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
            bad("is no threadbare"),
        ),
        (
            &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
            bad("is no threadbare"),
        ),
    ];
    for (says, wanted) in cases {
        let (asked, answer) = scripted(says);
        assert!(
            asked.starts_with("POST /reload HTTP/1.1\r\nHost: 127.0.0.1:"),
            "{asked}"
        );
        for line in [
            "Authorization: Bearer s3cret",
            "Content-Length: 2",
            "Connection: close",
        ] {
            assert!(asked.contains(&format!("\r\n{line}\r\n")), "{asked}");
        }
        match (&answer, &wanted) {
            (Err(answer), Err(wanted)) => assert!(answer.contains(wanted), "{says:?}: {answer}"),
            (answer, wanted) => assert_eq!(answer, wanted, "{says:?}"),
        }
    }
}

#[test]
fn who_is_not_there_or_says_nothing_is_told_in_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = ListenAt::Tcp(listener.local_addr().expect("it is bound").to_string());
    let client = Client {
        at: &at,
        token: None,
    };
    let silent = client.ask("GET", "/status", None, Duration::from_millis(1));
    let error = silent.expect_err("nobody answers");
    assert_eq!(error, format!("{at} did not answer within 1ms"));
    drop(listener);
    let refused = client.ask("GET", "/status", None, MINUTE);
    let wanted = format!("cannot reach {at}: connection refused");
    assert_eq!(refused.expect_err("nobody is there"), wanted);
    let at = ListenAt::Unix(PathBuf::from("/no/such/socket"));
    let client = Client {
        at: &at,
        token: None,
    };
    let error = client
        .ask("GET", "/status", None, MINUTE)
        .expect_err("nobody is there");
    assert!(
        error.starts_with("cannot reach unix:/no/such/socket: "),
        "{error}"
    );
}
