//! What a request is called: by its client, to its backend, in our own answers, and for people who
//! ask; and the trace that it is a part of.

use crate::harness::{Admin, Answer, Backend, ConfigFile, Seen, Threadbare, ok, run};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A backend that calls every request by a name of its own.
fn naming() -> Backend {
    Backend::replying(|_| {
        b"HTTP/1.1 200 OK\r\nx-request-id: theirs\r\nX-REQUEST_ID: theirs\r\n\
          Content-Length: 0\r\n\r\n"
            .to_vec()
    })
}

#[track_caller]
fn ask(threadbare: &Threadbare, lines: &str) -> Answer {
    let mut client = threadbare.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    client.answer()
}

/// The ids that came with a message, however their names are spelt.
fn ids(fields: &[(String, Vec<u8>)]) -> Vec<String> {
    let is_id = |name: &str| name.to_ascii_lowercase().replace('_', "-") == "x-request-id";
    let ids = fields.iter().filter(|(name, _)| is_id(name));
    ids.map(|(_, id)| String::from_utf8_lossy(id).into_owned())
        .collect()
}

fn ids_of(seen: &Seen) -> Vec<String> {
    ids(&seen.head.fields)
}

#[track_caller]
fn assert_made(id: &str) {
    let is_hex = id.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    assert!(id.len() == 32 && is_hex, "{id}");
}

#[test]
fn an_id_is_kept_or_made_and_both_sides_get_the_same_one() {
    // Goal: one id for a request, wherever it is looked at. Trick: client and backend both have
    // ideas of their own, spelt in several ways.
    let cases = [
        ("keep", "X-Request-Id: mine-1\r\n", true),
        ("keep", "x-REQUEST-id: mine-1\r\n", true),
        (
            "keep",
            "Connection: X-Request-Id\r\nX-Request-Id: mine-1\r\n",
            true,
        ),
        ("keep", "", false),
        (
            "keep",
            "X-Request-Id: mine-1\r\nX-Request-Id: mine-1\r\n",
            false,
        ),
        (
            "keep",
            "X-Request-Id: mine-1\r\nX_Request_Id: mine-2\r\n",
            false,
        ),
        ("keep", "X-Request-Id: mine 1\r\n", false),
        ("keep", "X-Request-Id: \"mine\"\r\n", false),
        ("keep", "X-Request-Id: \u{e9}\r\n", false),
        ("make", "X-Request-Id: mine-1\r\n", false),
        ("trusted", "X-Request-Id: mine-1\r\n", false),
        (
            "trusted --trust 127.0.0.1",
            "X-Request-Id: mine-1\r\n",
            true,
        ),
    ];
    for (options, lines, is_kept) in cases {
        let backend = naming();
        let options: Vec<&str> = ["--request-id"]
            .into_iter()
            .chain(options.split(' '))
            .collect();
        let threadbare = Threadbare::before(&[backend.addr], &options);
        let answer = ask(&threadbare, lines);
        let sent = ids_of(&backend.await_requests(1)[0]);
        assert_eq!(sent.len(), 1, "{options:?} {lines:?}: {sent:?}");
        assert_eq!(ids(&answer.head.fields), sent, "{options:?} {lines:?}");
        if is_kept {
            assert_eq!(sent, ["mine-1"], "{options:?} {lines:?}");
        } else {
            assert_made(&sent[0]);
        }
    }
}

#[test]
fn without_the_option_an_id_is_a_field_like_any_other() {
    let backend = naming();
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let answer = ask(&threadbare, "X-Request-Id: a b\r\nx_request_id: c\r\n");
    assert_eq!(ids_of(&backend.await_requests(1)[0]), ["a b", "c"]);
    assert_eq!(ids(&answer.head.fields), ["theirs", "theirs"]);
    let answer = ask(&threadbare, "");
    assert!(ids_of(&backend.await_requests(2)[1]).is_empty());
    assert_eq!(answer.status, 200);
}

#[test]
fn no_two_requests_are_called_the_same() {
    // Trick: on one connection and on many, so that several workers serve them.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &["--request-id", "make"]);
    let mut kept = threadbare.client();
    for _ in 0..20 {
        assert_eq!(kept.get("/").status, 200);
        assert_eq!(threadbare.get("/").status, 200);
    }
    let mut all: Vec<String> = backend.await_requests(40).iter().flat_map(ids_of).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 40, "{all:?}");
}

#[test]
fn answers_of_our_own_have_the_id_too() {
    // Goal: who was turned away can be found as well. Trick: routes that no backend is behind.
    let backend = Backend::answering("ok");
    let file = ConfigFile::new(
        "own",
        &format!(
            "request_id = \"keep\"\n[pool.web]\nbackends = [\"{}\"]\n\
             [[route]]\nhost = \"a\"\npool = \"web\"\n\
             [[route]]\nhost = \"s\"\nredirect = \"https\"\n",
            backend.url()
        ),
    );
    let threadbare = Threadbare::start(&["--config", file.path()]);
    for (host, status) in [("b", 404), ("s", 308)] {
        let mut client = threadbare.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: mine-1\r\n\r\n"
        ));
        let answer = client.answer();
        assert_eq!(
            (answer.status, ids(&answer.head.fields)),
            (status, vec!["mine-1".to_owned()])
        );
    }
    assert_eq!(backend.seen.len(), 0);
}

#[test]
fn a_route_has_the_last_word_on_the_field() {
    let backend = Backend::answering("ok");
    let file = ConfigFile::new(
        "edited",
        &format!(
            "request_id = \"make\"\n[pool.web]\nbackends = [\"{}\"]\n[[route]]\npool = \"web\"\n\
             set_fields = {{ \"X-Request-Id\" = \"fixed\" }}\n\
             remove_response_fields = [\"X-Request-Id\"]\n",
            backend.url()
        ),
    );
    let threadbare = Threadbare::start(&["--config", file.path()]);
    let answer = ask(&threadbare, "X-Request-Id: mine-1\r\n");
    assert_eq!(ids_of(&backend.await_requests(1)[0]), ["fixed"]);
    assert_eq!(ids(&answer.head.fields), [""; 0]);
}

#[test]
fn a_reload_turns_ids_on_and_off() {
    let backend = Backend::answering("ok");
    let text = |rule| {
        let url = backend.url();
        format!("request_id = \"{rule}\"\n[pool.web]\nbackends = [\"{url}\"]\n")
    };
    let file = ConfigFile::new("ids", &text("off"));
    let threadbare = Threadbare::start(&["--config", file.path()]);
    let mut client = threadbare.client();
    for (round, (rule, n)) in [("off", 0), ("make", 1), ("off", 0)]
        .into_iter()
        .enumerate()
    {
        if round > 0 {
            file.write(&text(rule));
            threadbare.signal(rustix::process::Signal::HUP);
            threadbare.await_lines("reloaded: 1 change", round);
        }
        assert_eq!(ids(&client.get("/").head.fields).len(), n, "{rule}");
    }
}

#[test]
fn a_request_is_found_by_its_id() {
    // Goal: what a client tells us about is found, and nobody can hide a request behind an id that
    // looks like its number. Trick: the second request is called what the first one's number is.
    let backend = Backend::answering("ok");
    let admin = Admin::before(&[backend.addr], &["--request-id", "keep"]);
    for (n, id) in ["f81d4fae/7=", "1", "again", "again"].iter().enumerate() {
        let target = format!("/{}", n + 1);
        let mut client = admin.threadbare.client();
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\nTraceparent: {TRACE}\r\n\r\n"
        ));
        assert_eq!(client.answer().status, 200);
        await_told(&admin, n + 1);
    }
    let at = admin.at.to_string();
    for (asked, target) in [
        ("f81d4fae/7=", "/1"),
        ("1", "/1"),
        ("2", "/2"),
        ("again", "/4"),
    ] {
        let why = run(&["ctl", "--admin", &at, "why", asked]);
        let wanted = format!("GET {target} HTTP/1.1 for 127.0.0.1: 200, OK");
        assert!(why.stdout[0].starts_with(&wanted), "{asked}: {why:?}");
        let trace = format!("traceparent: {TRACE}");
        assert!(why.stdout.contains(&trace), "{asked}: {why:?}");
    }
    let told = admin.see("/requests/f81d4fae%2F7=");
    assert_eq!(told["request_id"], "f81d4fae/7=", "{told}");
    assert_eq!(told["trace"], TRACE, "{told}");
    assert_eq!(admin.see("/requests")["requests"][0]["request_id"], "again");
    assert_eq!(admin.ask("GET", "/requests/none", "").0, 404);
}

/// A request is remembered just after its client has the answer.
#[track_caller]
fn await_told(admin: &Admin, n: usize) {
    let deadline = std::time::Instant::now() + crate::harness::DEADLINE;
    while admin.see("/requests")["requests"].as_array().map(Vec::len) != Some(n) {
        assert!(
            std::time::Instant::now() < deadline,
            "request {n} is never told"
        );
    }
}

#[test]
fn a_trace_context_is_passed_on_as_it_came() {
    // Goal: a trace goes on behind us, also one of a version that nobody knows yet.
    let backend = Backend::replying(|_| ok("ok"));
    let threadbare = Threadbare::before(&[backend.addr], &["--request-id", "make"]);
    let lines = [
        "traceparent: cc-0af7-b7ad-01-what-the-future-brings",
        "tracestate: a=1,b=2",
    ];
    assert_eq!(
        ask(&threadbare, &format!("{}\r\n", lines.join("\r\n"))).status,
        200
    );
    let sent = backend.await_requests(1)[0].head.lines();
    for line in lines {
        assert!(sent.contains(&line.to_owned()), "{sent:?}");
    }
}
