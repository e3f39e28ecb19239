//! One request after the other on one connection, each in the memory of the one before: nothing of
//! an earlier one is ever in a later one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::net::TcpStream;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{Backend, Client, Conn, Cut, Head, Tape, Threadbare, in_chunks, text};

/// More than is held in memory, so that it is streamed.
const LONG: usize = 70_000;
/// A field that asks the backend for an answer in chunks, which only HTTP/1.1 has an end for.
const WANTS_CHUNKS: &[u8] = b"X-Wants: chunks";
/// Stands for a cookie that names the backend.
const OUR_COOKIE: &[u8] = b"Cookie: ours";

#[derive(Clone, Copy, Debug)]
enum Content {
    Absent,
    Sized(usize),
    /// So many bytes, in chunks of so many.
    Chunked(usize, usize),
}

/// A request as a client sends it.
#[derive(Clone)]
struct Sent {
    method: &'static str,
    target: Vec<u8>,
    /// HTTP/1.0, and kept alive.
    is_old: bool,
    host: Option<&'static str>,
    lines: Vec<Vec<u8>>,
    content: Content,
    expects_continue: bool,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.head("stay=ours");
        write!(f, "{:?} and {:?}", text(&head), self.content)
    }
}

impl Sent {
    /// One without anything special, to be changed.
    fn new(method: &'static str, target: &[u8]) -> Sent {
        Sent {
            method,
            target: target.to_vec(),
            is_old: false,
            host: Some("front.test"),
            lines: Vec::new(),
            content: Content::Absent,
            expects_continue: false,
        }
    }

    fn with(mut self, lines: &[&str]) -> Sent {
        let lines = lines.iter().map(|line| line.as_bytes().to_vec());
        self.lines.extend(lines);
        self
    }

    fn with_content(self, content: Content) -> Sent {
        Sent { content, ..self }
    }

    fn expecting(self) -> Sent {
        let expects_continue = true;
        Sent {
            expects_continue,
            ..self
        }
    }

    fn old(self, host: Option<&'static str>) -> Sent {
        let is_old = true;
        Sent {
            is_old,
            host,
            ..self
        }
    }

    /// Its head. `cookie` names the backend.
    fn head(&self, cookie: &str) -> Vec<u8> {
        let version = if self.is_old { "HTTP/1.0" } else { "HTTP/1.1" };
        let start = [self.method.as_bytes(), &self.target, version.as_bytes()].join(&b' ');
        let mut lines = vec![start];
        lines.extend(self.host.map(|host| format!("Host: {host}").into_bytes()));
        for line in &self.lines {
            if line == OUR_COOKIE {
                lines.push(format!("Cookie: x=1; {cookie}").into_bytes());
            } else if !self.is_old || line != WANTS_CHUNKS {
                lines.push(line.clone());
            }
        }
        match self.content {
            Content::Absent => {}
            Content::Chunked(..) if !self.is_old => {
                lines.push(b"Transfer-Encoding: chunked".to_vec());
            }
            Content::Sized(length) | Content::Chunked(length, _) => {
                lines.push(format!("Content-Length: {length}").into_bytes());
            }
        }
        if self.expects_continue {
            lines.push(b"Expect: 100-continue".to_vec());
        }
        if self.is_old {
            lines.push(b"Connection: keep-alive".to_vec());
        }
        [&lines.join(&b"\r\n"[..]), &b"\r\n\r\n"[..]].concat()
    }

    fn plain_content(&self) -> Vec<u8> {
        match self.content {
            Content::Absent => Vec::new(),
            Content::Sized(length) | Content::Chunked(length, _) => {
                (0..=250).cycle().take(length).collect()
            }
        }
    }

    /// Its content as it stands on the wire.
    fn framed_content(&self) -> Vec<u8> {
        let plain = self.plain_content();
        let Content::Chunked(_, size) = self.content else {
            return plain;
        };
        if self.is_old {
            return plain;
        }
        in_chunks(&plain, size, ";x=y")
    }

    /// Whether the client is told to send its content.
    fn waits_for_100(&self) -> bool {
        let has_content = !matches!(self.content, Content::Absent | Content::Sized(0));
        self.expects_continue && has_content && !self.is_old
    }
}

/// A balancer that tells all it knows of a request, before a backend that does the same.
struct Front {
    threadbare: Threadbare,
    _backend: Backend,
    /// What the backend got.
    got: Tape<(Head, Vec<u8>)>,
    /// A cookie that names the backend.
    cookie: String,
    /// The ids that requests were given, no two the same.
    ids: RefCell<BTreeSet<String>>,
}

/// How the requests of a sequence come.
#[derive(Clone, Copy, Debug)]
struct Manner {
    is_pipelined: bool,
    /// What each connection begins with: whose it is.
    proxy: &'static str,
}

const ONE_BY_ONE: Manner = Manner {
    is_pipelined: false,
    proxy: "",
};
const PIPELINED: Manner = Manner {
    is_pipelined: true,
    proxy: "",
};

/// Puts what it gets on a tape, and answers with the content.
fn echo(mut conn: Conn, got: &Tape<(Head, Vec<u8>)>) -> Result<(), Cut> {
    loop {
        let (head, mut content) = (conn.head()?, Vec::new());
        if head.one("Expect").is_some() {
            conn.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let framing = head.request_framing()?;
        conn.content(framing, &mut |piece| content.extend_from_slice(piece))?;
        let is_head = head.word(0) == "HEAD";
        let wants_chunks = head.one("X-Wants").is_some();
        got.push((head, content.clone()));
        let length = content.len();
        if wants_chunks {
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            if length > 0 {
                content.splice(..0, format!("{length:x}\r\n").into_bytes());
                content.extend_from_slice(b"\r\n");
            }
            content.extend_from_slice(b"0\r\n\r\n");
        } else {
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            ))?;
        }
        if !is_head {
            conn.send(content)?;
        }
    }
}

impl Front {
    fn new(options: &[&str]) -> Front {
        let got = Tape::new();
        let tape = got.clone();
        let backend = Backend::start(move |conn| echo(conn, &tape));
        let format = "{client} {method} {target} {version} {host} {status} {bytes_in} \
                      {referer} {user_agent} {traceparent} {request_id}";
        let ours = [
            "--access-log",
            "-",
            "--access-format",
            format,
            "--request-id",
            "keep",
            "--sticky",
            "stay",
            // For each of them, and not for what a connection carries in all.
            "--max-content",
            "100KiB",
        ];
        let threadbare = Threadbare::before(&[backend.addr], &[&ours[..], options].concat());
        let mut front = Front {
            threadbare,
            _backend: backend,
            got,
            cookie: String::new(),
            ids: RefCell::default(),
        };
        let proxy = if options.contains(&"--accept-proxy") {
            "PROXY UNKNOWN\r\n"
        } else {
            ""
        };
        let manner = Manner { proxy, ..PIPELINED };
        let told = front.serve(&[Sent::new("GET", b"/")], manner).remove(0);
        let (_, cookie) = told.split_once("Set-Cookie: ").expect("it sets a cookie");
        let (cookie, _) = cookie.split_once(';').expect("it has attributes");
        cookie.clone_into(&mut front.cookie);
        front
    }

    /// All of these over one connection: what there is to tell of each.
    fn serve(&self, sequence: &[Sent], manner: Manner) -> Vec<String> {
        let (n_got, n_lines) = (self.got.len(), self.threadbare.out.len());
        let stream = TcpStream::connect(self.threadbare.addr).expect("it listens");
        let second = stream.try_clone().expect("a descriptor is free");
        let (mut client, mut sender) = (Client::over(stream), Client::over(second));
        client.send(manner.proxy);
        let answers: Vec<String> = if manner.is_pipelined {
            let wire = |sent: &Sent| [sent.head(&self.cookie), sent.framed_content()].concat();
            let all: Vec<u8> = sequence.iter().flat_map(wire).collect();
            thread::scope(|scope| {
                // An error is seen by whoever reads.
                scope.spawn(move || sender.0.send(&all));
                let take = |sent: &Sent| {
                    take_100(&mut client, sent);
                    answer(&mut client, sent)
                };
                sequence.iter().map(take).collect()
            })
        } else {
            let ask = |sent: &Sent| {
                client.send(sent.head(&self.cookie));
                take_100(&mut client, sent);
                client.send(sent.framed_content());
                answer(&mut client, sent)
            };
            sequence.iter().map(ask).collect()
        };
        let n = sequence.len();
        let got = behind(&self.got, n_got, n, "requests at the backend");
        let lines = behind(&self.threadbare.out, n_lines, n, "lines of the log");
        let all = got.iter().zip(&lines).zip(&answers);
        let told = all.zip(sequence).map(|(((got, line), answer), sent)| {
            let (head, content) = got;
            assert!(*content == sent.plain_content(), "{sent:?}: {head:?}");
            let raw = head.raw.escape_ascii().to_string();
            let told = format!("{}{answer}{line}", raw.replace("\\r\\n", "\n"));
            match head.one("X-Request-Id") {
                Some(id) if id.len() == 32 => {
                    let is_new = self.ids.borrow_mut().insert(id.clone());
                    assert!(is_new, "{sent:?} has the id of another");
                    told.replace(&id, "MADE")
                }
                _ => told,
            }
        });
        told.collect()
    }

    /// Fails unless each of these is told of alike on one connection and on one of its own.
    fn assert_alike(&self, sequence: &[Sent], manner: Manner) {
        let kept = self.serve(sequence, manner);
        for (n, (sent, kept)) in sequence.iter().zip(kept).enumerate() {
            let alone = self.serve(&sequence[n..=n], manner).remove(0);
            assert_same(&kept, &alone, || format!("number {n}, {sent:?}"));
        }
    }
}

/// The `n` items that come behind the first `n_before`.
#[track_caller]
fn behind<T: Clone + fmt::Debug>(tape: &Tape<T>, n_before: usize, n: usize, what: &str) -> Vec<T> {
    tape.wait(what, |items| {
        let behind = &items[n_before..];
        (behind.len() >= n).then(|| behind.to_vec())
    })
}

/// Fails unless a client that waits for 100 gets it.
#[track_caller]
fn take_100(client: &mut Client, sent: &Sent) {
    if sent.waits_for_100() {
        assert_eq!(client.answer().status, 100, "{sent:?}");
    }
}

/// The whole answer to this request, and nothing before it: what it says.
fn answer(client: &mut Client, sent: &Sent) -> String {
    let answer = client.answer_to(sent.method);
    let wanted = match sent.method {
        "HEAD" => Vec::new(),
        _ => sent.plain_content(),
    };
    assert!(answer.content == wanted, "{sent:?}: {:?}", answer.head);
    let lines = answer.head.lines().join("\n");
    format!("\n{}\n{lines}\n", answer.head.line)
}

/// Fails with the first line that differs.
#[track_caller]
fn assert_same(told: &str, wanted: &str, case: impl Fn() -> String) {
    let mut lines = told.lines().zip(wanted.lines());
    if let Some((line, other)) = lines.find(|(line, other)| line != other) {
        panic!("{line:?}, want {other:?}: {}", case());
    }
    assert_eq!(told.len(), wanted.len(), "{}", case());
}

/// One of each kind, as different as they come.
fn kinds() -> Vec<Sent> {
    let many: Vec<String> = (0..95)
        .map(|n| format!("X-{n}: {}", "v".repeat(n)))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = [b"/".to_vec(), b"long".repeat(1_900)].concat();
    let forwarded = [
        "X-Forwarded-For: 203.0.113.6, 203.0.113.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: theirs.test",
    ];
    let logged = [
        "Referer: http://before.test/",
        "User-Agent: me/1.0",
        "X-Request-Id: mine-1",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ];
    let hops = [
        "Connection: X-Hop, close-not",
        "X-Hop: 1",
        "TE: trailers",
        "Keep-Alive: 5",
    ];
    let chunks = [text(WANTS_CHUNKS)];
    let chunks = [chunks[0].as_str()];
    vec![
        Sent::new("GET", b"/"),
        Sent::new("GET", b"/many?fields").with(&many),
        Sent::new("GET", &long).with(&logged),
        Sent::new("GET", b"/\xe9").with(&["X-A: \u{e9}", "X-A:", "x-a: 2"]),
        Sent::new("POST", b"/sized").with_content(Content::Sized(1000)),
        Sent::new("PUT", b"/nothing").with_content(Content::Sized(0)),
        Sent::new("PATCH", b"/long").with_content(Content::Sized(LONG)),
        Sent::new("POST", b"/chunked").with_content(Content::Chunked(1000, 7)),
        Sent::new("POST", b"/long/chunked").with_content(Content::Chunked(LONG, 9_999)),
        Sent::new("POST", b"/told")
            .with_content(Content::Sized(5))
            .expecting(),
        Sent::new("PUT", b"/told")
            .with_content(Content::Chunked(LONG, 30_000))
            .expecting(),
        Sent::new("GET", b"/expects/nothing").expecting(),
        Sent::new("GET", b"http://other.test:81/absolute?x=y").with(&forwarded),
        Sent::new("OPTIONS", b"*"),
        Sent::new("OPTIONS", b"http://other.test"),
        Sent::new("HEAD", b"/head").with(&chunks),
        Sent::new("DELETE", b"/chunks")
            .with(&chunks)
            .with_content(Content::Sized(3)),
        Sent::new("GET", b"/old").old(None),
        Sent::new("POST", b"/old")
            .old(Some("old.test"))
            .with_content(Content::Sized(9)),
        Sent::new("HEAD", b"http://old.test/x")
            .old(None)
            .with(&forwarded),
        Sent::new("PROPFIND", b"/hops").with(&hops),
        Sent::new("GET", b"/cookie").with(&["Cookie: a=b; stay=0123456789abcdef"]),
        Sent::new("GET", b"/cookie").with(&[&text(OUR_COOKIE)]),
        Sent::new("GET", b"/no/upgrade").with(&["Upgrade: other/1"]),
        Sent::new("GET", b"/upgrade").with(&["Connection: Upgrade", "Upgrade: other/1"]),
    ]
}

/// Each kind behind each, itself included.
fn pairs() -> Vec<Sent> {
    let kinds = kinds();
    let mut pairs = Vec::new();
    for first in &kinds {
        for second in &kinds {
            pairs.extend([first.clone(), second.clone()]);
        }
    }
    pairs
}

#[test]
fn nothing_of_a_request_is_in_the_next_whatever_they_are() {
    // Goal: method, target, version, host, fields, content, address, cookie and id are those of one
    // request, at the backend, in the answer and in the log. Trick: all pairs of kinds over one
    // connection, and each kind over one of its own, where there is no earlier one; what is told of
    // it must be the same.
    let front = Front::new(&[]);
    for manner in [ONE_BY_ONE, PIPELINED] {
        let alone: Vec<String> = kinds()
            .iter()
            .map(|sent| front.serve(std::slice::from_ref(sent), manner).remove(0))
            .collect();
        let sequence = pairs();
        let kept = front.serve(&sequence, manner);
        for (n, told) in kept.iter().enumerate() {
            let (first, second) = (n / 2 / alone.len(), n / 2 % alone.len());
            let wanted = if n.is_multiple_of(2) { first } else { second };
            let before = sequence.get(n.wrapping_sub(1));
            assert_same(told, &alone[wanted], || {
                format!("{manner:?}, behind {before:?}")
            });
        }
    }
}

/// Requests of any kind, most of them small.
fn any_sent() -> impl Strategy<Value = Sent> {
    let method = select(vec![
        "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH",
    ]);
    let plain = |text: &str| text.as_bytes().to_vec();
    let target = prop_oneof![
        select(vec![
            plain("/"),
            plain("/a?b=c"),
            plain("/%C3%A9/../x"),
            b"/\xe9".to_vec()
        ]),
        select(vec![
            plain("*"),
            plain("http://other.test"),
            plain("https://o.test:1/x?y")
        ]),
        (1..8_000_usize).prop_map(|n| [b"/".to_vec(), b"t".repeat(n)].concat()),
    ];
    let known = select(vec![
        plain("X-Forwarded-For: 203.0.113.6"),
        plain("X-Forwarded-Proto: https"),
        plain("X-Forwarded-Host: theirs.test"),
        plain("Forwarded: for=203.0.113.6"),
        plain("X-Request-Id: mine-1"),
        plain("x_request_id: mine-2"),
        plain("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        plain("Cookie: stay=0123456789abcdef"),
        plain("Connection: X-Hop"),
        plain("X-Hop: 1"),
        plain("Connection: Upgrade"),
        plain("Upgrade: other/1, h2c"),
        plain("Via: 1.0 before"),
        plain("TE: trailers"),
        plain("Referer: http://before.test/"),
        plain("User-Agent: me/1.0"),
        plain("X-Empty:"),
        b"X-Bytes: \xe9 \t\xff".to_vec(),
        OUR_COOKIE.to_vec(),
        WANTS_CHUNKS.to_vec(),
    ]);
    let made = (0..9_u8, 0..400_usize)
        .prop_map(|(n, length)| format!("X-{n}: {}", "v".repeat(length)).into_bytes());
    let line = prop_oneof![2 => known, 1 => made];
    let length = prop_oneof![8 => 0..3_000_usize, 1 => 65_530..65_540_usize, 1 => Just(LONG)];
    let content = prop_oneof![
        3 => Just(Content::Absent),
        2 => length.clone().prop_map(Content::Sized),
        2 => (length, 1..20_000_usize).prop_map(|(n, size)| Content::Chunked(n, size)),
    ];
    let host = select(vec!["front.test", "", "other.test:8080", "[::1]"]);
    let flags = (
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    let parts = (method, target, host, vec(line, 0..40), content, flags);
    parts.prop_map(|(method, target, host, lines, content, flags)| {
        let (is_old, has_host, expects_continue) = flags;
        let is_server_wide = target == b"*";
        Sent {
            method: if is_server_wide { "OPTIONS" } else { method },
            target,
            is_old,
            host: Some(host).filter(|_| has_host || !is_old),
            lines: once_each(lines),
            content,
            expects_continue,
        }
    })
}

/// Without a second line that asks for chunks.
fn once_each(mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut has_one = false;
    lines.retain(|line| line != WANTS_CHUNKS || !std::mem::replace(&mut has_one, true));
    lines
}

/// Random sequences before this balancer, over connections of these clients.
#[track_caller]
fn try_sequences(front: &Front, proxies: Vec<&'static str>) {
    let manner = (any::<bool>(), select(proxies)).prop_map(|(is_pipelined, proxy)| Manner {
        is_pipelined,
        proxy,
    });
    let made = (vec(any_sent(), 2..9), manner);
    let config = Config {
        cases: 32,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&made, |(sequence, manner)| {
        front.assert_alike(&sequence, manner);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn requests_of_one_connection_are_like_those_of_many() {
    // Goal: the same for requests that nobody thought of. Trick: made ones, in sequences; each
    // again over a connection of its own.
    try_sequences(&Front::new(&[]), vec![""]);
}

#[test]
fn requests_of_one_connection_are_like_those_of_many_behind_a_trusted_proxy() {
    // Goal: the same where what the client says of itself is believed.
    try_sequences(&Front::new(&["--trust", "127.0.0.1"]), vec![""]);
}

#[test]
fn requests_of_one_connection_are_like_those_of_many_behind_a_proxy_header() {
    // Goal: the same where a header says whose the connection is, trusted or not.
    let front = Front::new(&["--accept-proxy", "--trust", "192.0.2.0/24"]);
    let proxies = vec![
        "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.2 1000 80\r\n",
        "PROXY TCP6 2001:db8::1 ::1 1000 80\r\n",
    ];
    try_sequences(&front, proxies);
}
