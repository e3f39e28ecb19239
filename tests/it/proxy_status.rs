//! Proxy-Status (RFC 9209): who failed, in the words of the standard, for clients and for the proxy
//! before us.

use std::{fs, thread};

use crate::harness::{
    Answer, Backend, Client, ConfigFile, Folder, Gate, HangingPort, Threadbare, room_for, text,
};

const NAME: [&str; 2] = ["--proxy-status", "lb.test"];

/// The members of the field, as one list.
#[track_caller]
fn members(answer: &Answer) -> String {
    let fields = answer.head.fields.iter();
    let lines = fields.filter(|(name, _)| name.eq_ignore_ascii_case("proxy-status"));
    let values: Vec<String> = lines.map(|(_, value)| text(value)).collect();
    values.join(", ")
}

/// That one answer is of ours, for this reason, and tells nothing that is nobody's business.
#[track_caller]
fn assert_error(answer: &Answer, status: u16, error: &str) {
    let said = members(answer);
    let start = format!("lb.test; error={error}; details=\"");
    assert!(said.starts_with(&start) && said.ends_with('"'), "{said}");
    assert_eq!(answer.status, status, "{said}");
    assert!(!said.contains("127.0.0.1"), "{said}");
}

#[test]
fn a_backends_answer_says_what_was_received_behind_what_the_backend_says() {
    let backend = Backend::replying(|seen| {
        let said = match seen.head.word(1) {
            "/chain" => "proxy-status: origin; error=dns_error, \"b, c\"\r\nProxy-Status: d\r\n",
            _ => "",
        };
        format!("HTTP/1.1 404 Not Found\r\n{said}Content-Length: 0\r\n\r\n").into_bytes()
    });
    let threadbare = Threadbare::before(&[backend.addr], &NAME);
    let ours = "lb.test; received-status=404";
    assert_eq!(members(&threadbare.get("/")), ours);
    let wanted = format!("origin; error=dns_error, \"b, c\", d, {ours}");
    assert_eq!(members(&threadbare.get("/chain")), wanted);
    let without = Threadbare::before(&[backend.addr], &[]);
    assert_eq!(members(&without.get("/chain")), "");
}

#[test]
fn an_answer_of_ours_says_why_it_is_ours() {
    // Goal: each failure has its word. Trick: a backend that fails as its target says, and ports
    // that refuse or hang.
    let backend = Backend::start(|mut conn| {
        loop {
            let seen = conn.request()?;
            match seen.head.word(1) {
                "/broke" => return Ok(()),
                "/bad" => conn.send("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")?,
                "/late" => {
                    conn.end();
                    return Ok(());
                }
                _ => conn.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?,
            }
        }
    });
    let options = [
        "--health",
        "off",
        "--retries",
        "0",
        "--response-timeout",
        "300ms",
    ];
    let options = [
        &NAME[..],
        &options,
        &["--connect-timeout", "300ms", "--max-failures", "0"],
    ];
    let options = options.concat();
    let threadbare = Threadbare::before(&[backend.addr], &options);
    assert_error(&threadbare.get("/broke"), 502, "connection_terminated");
    assert_error(&threadbare.get("/bad"), 502, "http_protocol_error");
    assert_error(&threadbare.get("/late"), 504, "http_response_timeout");
    let refusing = Backend::refusing(|_| Ok(()));
    let threadbare = Threadbare::before(&[refusing.addr], &options);
    assert_error(&threadbare.get("/"), 503, "connection_refused");
    let hanging = HangingPort::take();
    let threadbare = Threadbare::before(&[hanging.addr], &options);
    assert_error(&threadbare.get("/"), 503, "connection_timeout");
}

#[test]
fn what_comes_to_no_backend_says_so() {
    // Trick: the only worker is held and the queue is full, so that the refuser answers; what is
    // malformed is the waiter's.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let file = ConfigFile::new(
        "routes",
        &format!(
            "[pool.web]\nbackends = [\"{}\"]\n[[route]]\nhost = \"front.test\"\npool = \"web\"\n\
             [[route]]\nhost = \"s\"\nredirect = \"https\"\n",
            backend.url()
        ),
    );
    let options = [&["--config", file.path()], &NAME[..], &room_for("1", "1")].concat();
    let threadbare = Threadbare::start(&options);
    let ask = |head: &str| {
        let mut client = threadbare.client();
        client.send(format!("{head}\r\n\r\n"));
        client.answer()
    };
    let nowhere = ask("GET / HTTP/1.1\r\nHost: x");
    assert_error(&nowhere, 404, "destination_not_found");
    let redirect = ask("GET / HTTP/1.1\r\nHost: s");
    assert_error(&redirect, 308, "proxy_internal_response");
    let malformed = ask("GET /a b HTTP/1.1\r\nHost: front.test");
    assert_error(&malformed, 400, "http_request_error");
    let asked = threadbare.ask_slow(1);
    backend.await_requests(1);
    let others = threadbare.ask_slow(2);
    let (turned_away, _) = others.recv().expect("one finds no place");
    assert_error(&turned_away, 503, "proxy_internal_response");
    gate.open();
    for answers in [asked, others] {
        let (answer, _): (Answer, Client) = answers.recv().expect("it is served now");
        assert_eq!(members(&answer), "lb.test; received-status=200");
    }
}

#[test]
fn content_field_and_log_say_the_same_of_a_refusal() {
    // Goal: why a request was refused is one thing, wherever it is told. Trick: one worker, held
    // for longer than the queue's timeout; then half a head.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let folder = Folder::new();
    let path = folder.path("access.log");
    let options = [
        &["--access-log", &path, "--access-format", "{status} {fate}"][..],
        &["--proxy-status", "lb", "--queue-timeout", "200ms"],
        &["--header-timeout", "300ms"],
        &["--workers", "1", "--long-haul", "0"],
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options.concat());
    let held = threadbare.ask_slow(1);
    backend.await_requests(1);
    let late = threadbare.get("/late");
    let mut slow = threadbare.client();
    slow.send("GET / HTTP/1.1\r\nHost:");
    for (answer, status, words) in [
        (late, 503, "it waited too long for a worker"),
        (slow.answer(), 408, "the head took too long"),
    ] {
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(words), "{}", answer.text());
        let details = words.trim_start_matches("the ");
        assert!(members(&answer).contains(details), "{answer:?}");
    }
    // A line is written a moment after its answer.
    let lines = || fs::read_to_string(&path).unwrap_or_default();
    while lines().lines().count() < 2 {
        thread::yield_now();
    }
    assert_eq!(lines(), "503 QT\n408 HT\n");
    gate.open();
    assert!(held.recv().is_ok());
}
