//! What stands in a line: for answers of backends, answers of our own, and what the listener
//! refused; and what a client can't make of it.

use std::thread;

use serde_json::Value;

use super::{await_counted, await_lines};
use crate::harness::{
    Admin, Backend, Folder, Framing, Gate, HangingPort, Threadbare, ok, room_for, run,
};

#[test]
fn combined_lines_are_those_of_nginx() {
    // Goal: what reads logs of Apache and nginx reads ours. Trick: the line is taken apart at every
    // sign that stands between its parts.
    let backend = Backend::replying(|_| ok("four"));
    let folder = Folder::new();
    let path = folder.path("access.log");
    let threadbare = Threadbare::before(&[backend.addr], &["--access-log", &path]);
    let mut client = threadbare.client();
    client.send(
        "GET /a?b=c HTTP/1.1\r\nHost: a\r\nReferer: http://b/\r\nUser-Agent: me/1.0 (x; y)\r\n\r\n",
    );
    assert_eq!(client.answer().status, 200);
    let line = await_lines(&path, 1).remove(0);
    let rest = line.strip_prefix("127.0.0.1 - - [").expect("a client");
    let (time, rest) = rest.split_once("] ").expect("a time");
    assert_eq!(time.len(), "28/Nov/2026:22:38:08 +0000".len(), "{line}");
    assert!(time.ends_with(" +0000"), "{line}");
    let wanted = "\"GET /a?b=c HTTP/1.1\" 200 4 \"http://b/\" \"me/1.0 (x; y)\"";
    assert_eq!(rest, wanted);
    threadbare.stop();
    assert_eq!(await_lines(&path, 1), [line]);
}

#[test]
fn a_template_has_the_fields_that_it_names_and_nothing_else() {
    let backend = Backend::answering("four");
    let folder = Folder::new();
    let path = folder.path("access.log");
    let format = "{{{client}}} {method} {target} {version} {host} {status} {bytes_in} \
                  {content_out} {pool} {backend} {retries} {fate} {cause} {request_id}";
    let options = [
        "--access-log",
        &path,
        "--access-format",
        format,
        "--request-id",
        "keep",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut client = threadbare.client();
    client.send(
        "PUT /a HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: me-1\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert_eq!(client.answer().status, 200);
    let wanted = format!(
        "{{127.0.0.1}} PUT /a HTTP/1.1 a.test 200 3 4 default {} 0 OK - me-1",
        backend.addr
    );
    assert_eq!(await_lines(&path, 1), [wanted]);
}

#[test]
fn a_line_says_why_a_request_failed() {
    // Goal: fate, cause, retries and times, for a backend that fails over and one that nobody can
    // reach. Trick: ports that refuse, behind probes that are off.
    let good = Backend::answering("good");
    let dead = HangingPort::take();
    let folder = Folder::new();
    let path = folder.path("access.log");
    let options = [
        "--access-log",
        &path,
        "--access-format",
        "json",
        "--health",
        "off",
        "--connect-timeout",
        "100ms",
        "--max-failures",
        "0",
    ];
    let threadbare = Threadbare::before(&[dead.addr, good.addr], &options);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for _ in 0..2 {
        let mut client = threadbare.client();
        client.send(format!(
            "GET /x HTTP/1.1\r\nHost: a\r\ntraceparent: {trace}\r\n\r\n"
        ));
        assert_eq!(client.answer().status, 200);
    }
    let lines = await_lines(&path, 2);
    let told: Vec<Value> = lines.iter().map(|line| json(line)).collect();
    let retried = told.iter().find(|line| line["retries"] == 1);
    let retried = retried.expect("one was tried twice");
    let cause = retried["cause"].as_str().unwrap_or_default();
    assert!(cause.starts_with("connect: "), "{retried}");
    assert_eq!(retried["backend"], good.addr.to_string(), "{retried}");
    assert_eq!(retried["traceparent"], trace, "{retried}");
    assert_eq!(
        (&retried["fate"], &retried["pool"]),
        (&"OK".into(), &"default".into())
    );
    let ms = |name: &str| retried[name].as_f64().expect("it is a number");
    assert!(ms("first_byte_ms") > 0.0, "{retried}");
    assert!(ms("total_ms") >= 100.0, "{retried}");
    assert!(ms("queue_ms") <= ms("total_ms"), "{retried}");

    let other = folder.path("other.log");
    let options = [&["--access-log", &other], &options[2..]].concat();
    let threadbare = Threadbare::before(&[dead.addr], &options);
    assert_eq!(threadbare.get("/y").status, 503);
    let failed = json(&await_lines(&other, 1)[0]);
    assert_eq!(failed["fate"], "CF", "{failed}");
    assert_eq!(
        (&failed["status"], &failed["first_byte_ms"]),
        (&503.into(), &Value::Null)
    );
    assert!(
        failed["content_out"].as_u64() < failed["bytes_out"].as_u64(),
        "{failed}"
    );
}

#[track_caller]
fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn what_the_listener_or_the_queue_refuses_is_logged_too() {
    // Goal: who attacks leaves lines. Trick: one worker, held, and one place in the queue, so that
    // the third request is the refuser's.
    let gate = Gate::closed();
    let backend = Backend::holding("done", &gate);
    let folder = Folder::new();
    let path = folder.path("access.log");
    let format = "{status} {fate} \"{request}\" {cause}";
    let options = [
        &["--access-log", &path, "--access-format", format],
        &room_for("1", "1")[..],
    ];
    let admin = Admin::before(&[backend.addr], &options.concat());
    let asked = admin.threadbare.ask_slow(1);
    backend.await_requests(1);
    let others = admin.threadbare.ask_slow(2);
    let (turned_away, _) = others.recv().expect("one finds no place");
    assert_eq!(turned_away.status, 503);
    assert_eq!(
        await_lines(&path, 1),
        ["503 QF \"GET /slow HTTP/1.1\" the queue was full"]
    );
    gate.open();
    for answers in [asked, others] {
        let (answer, _) = answers.recv().expect("they are served now");
        assert_eq!(answer.status, 200);
    }
    await_lines(&path, 3);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9_000));
    for (sent, status) in [
        ("GET /two words HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
        (&long, 414),
        (
            "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
    ] {
        let mut client = admin.threadbare.client();
        client.send(sent);
        assert_eq!(client.answer().status, status, "{sent:.60}");
    }
    let lines = await_lines(&path, 8);
    for (line, start) in lines[3..].iter().zip([
        "400 BR \"GET /two words HTTP/1.1\" ",
        "505 BR \"GET / HTTP/3.7\" ",
        "405 BR \"CONNECT a:1 HTTP/1.1\" ",
        "414 TL \"GET /xxxxxxxx",
        "400 BR \"POST /p HTTP/1.1\" ",
    ]) {
        assert!(line.starts_with(start), "{line:.60}, want {start}");
    }
    assert!(lines[6].len() < 1_500, "what can't be read is cut");
    assert_eq!(await_counted(&admin, 8), (8, 0));
}

#[test]
fn nothing_that_a_client_sends_makes_a_second_line_or_moves_a_cursor() {
    // Goal: in each format, one request is one line of plain ASCII. Trick: all that the listener
    // lets through, in every place that is logged, and what it does not.
    let backend = Backend::answering("ok");
    for format in [
        "combined",
        "json",
        "{target} {host} {referer} {user_agent} {traceparent}",
    ] {
        let folder = Folder::new();
        let path = folder.path("access.log");
        let options = ["--access-log", &path, "--access-format", format];
        let threadbare = Threadbare::before(&[backend.addr], &options);
        let evil: Vec<u8> = (0x80..=0xff).chain([b'"', b'\\', b'\'', b'\t']).collect();
        let mut head = b"GET /\"\\\xc2\x9b2J\xff HTTP/1.1\r\nHost: a\r\n".to_vec();
        for name in ["Referer", "User-Agent", "traceparent"] {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": a");
            head.extend_from_slice(&evil);
            head.extend_from_slice(b"b\r\n");
        }
        head.extend_from_slice(b"\r\n");
        let mut client = threadbare.client();
        client.send(head);
        assert_eq!(client.answer().status, 200);
        for raw in [
            &b"GET /\x1b[2J\x00\n HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01\"\x7f\r\n\r\n",
        ] {
            let mut client = threadbare.client();
            client.send(raw);
            let refused = client.try_answer("GET");
            assert!(refused.is_ok_and(|answer| answer.status >= 400));
        }
        for line in await_lines(&path, 3) {
            assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line}");
            if format == "json" {
                assert_eq!(json(&line).as_object().map(serde_json::Map::len), Some(24));
            }
            if format == "combined" {
                assert_eq!(line.matches('"').count(), 6, "{line}");
            }
        }
    }
}

#[test]
fn each_of_many_requests_has_its_line() {
    // Goal: none is lost and none is there twice, with several workers and connections, and the
    // sum of lines and drops is that of the requests. Trick: every target is another.
    let backend = Backend::answering("ok");
    let folder = Folder::new();
    let path = folder.path("access.log");
    let options = ["--access-log", &path, "--access-format", "{target}"];
    let admin = Admin::before(&[backend.addr], &options);
    let (n_clients, n_requests) = (8, 100);
    thread::scope(|scope| {
        for c in 0..n_clients {
            let mut client = admin.threadbare.client();
            scope.spawn(move || {
                for n in 0..n_requests {
                    assert_eq!(client.get(&format!("/{c}/{n}")).status, 200);
                }
            });
        }
    });
    let n = n_clients * n_requests;
    assert_eq!(await_counted(&admin, n), (n, 0));
    admin.threadbare.stop();
    let mut lines = await_lines(&path, 800);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 800);
}

#[test]
fn standard_output_can_be_the_log() {
    let backend = Backend::answering("ok");
    let options = [
        "--access-log",
        "-",
        "--access-format",
        "{method} {target} {status}",
    ];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    // On one connection, so that the lines have an order.
    let mut client = threadbare.client();
    for n in 0..3 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
    threadbare.stop();
    assert_eq!(
        threadbare.out.items(),
        ["GET /0 200", "GET /1 200", "GET /2 200"]
    );
}

#[test]
fn a_format_or_a_path_that_is_none_is_told_at_once() {
    let good = ["--backend", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"];
    for (format, names) in [
        ("{client} {xyz}", "xyz"),
        ("jsn", "json"),
        ("{client", "pairs"),
    ] {
        let run = run(&[&good[..], &["--access-format", format]].concat());
        assert_eq!((run.code, run.stderr.len()), (Some(2), 1), "{run:?}");
        assert!(run.stderr[0].contains(names), "{run:?}");
        assert!(run.stderr[0].contains("first_byte_ms"), "{run:?}");
    }
    let run = run(&[&good[..], &["--access-log", "/nowhere/at/all"]].concat());
    assert_eq!(run.code, Some(2), "{run:?}");
    let line = run.stderr.last().expect("it says why");
    assert!(
        line.contains("cannot open the access log /nowhere/at/all: "),
        "{line}"
    );
}

#[test]
fn a_tunnel_is_a_line_when_it_has_ended_with_all_that_went_through_it() {
    let backend = Backend::start(|mut conn| {
        conn.head()?;
        conn.send("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")?;
        conn.content(Framing::Sized(3), &mut |_| ())?;
        conn.finish_sending()?;
        conn.end();
        Ok(())
    });
    let folder = Folder::new();
    let path = folder.path("access.log");
    let format = "{request} {status} {fate} {bytes_in} {content_out}";
    let options = ["--access-log", &path, "--access-format", format];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut client = threadbare.client();
    client.send("GET /t HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.head().expect("it switches").word(1), "101");
    assert_eq!(client.take(5).as_deref(), Ok(&b"hello"[..]));
    client.send("abc");
    client.0.finish_sending().expect("it is open");
    client.assert_ended();
    assert_eq!(await_lines(&path, 1), ["GET /t HTTP/1.1 101 TU 3 5"]);
}

#[test]
fn a_client_that_goes_away_is_a_line_too() {
    // Goal: who did not wait is seen, with nginx's number for it.
    let gate = Gate::closed();
    let backend = Backend::holding("late", &gate);
    let folder = Folder::new();
    let path = folder.path("access.log");
    let format = "{request} {status} {fate} {cause}";
    let options = ["--access-log", &path, "--access-format", format];
    let threadbare = Threadbare::before(&[backend.addr], &options);
    let mut client = threadbare.client();
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    backend.await_requests(1);
    client.reset();
    let wanted = "GET /slow HTTP/1.1 499 CG the client went away before its answer was complete";
    assert_eq!(await_lines(&path, 1), [wanted]);
    gate.open();
}
