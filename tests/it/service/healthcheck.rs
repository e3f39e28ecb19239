//! `threadbare healthcheck` as a process: whom it asks, and its exit codes.

use std::time::Instant;

use crate::harness::{
    Admin, Backend, Folder, HangingPort, Run, Seen, Threadbare, command, run_command,
};

/// Runs it with the API in the environment, if it is there.
#[track_caller]
fn check(words: &[&str], admin: Option<&str>) -> Run {
    let mut command = command(&[&["healthcheck"], words].concat());
    match admin {
        Some(at) => command.env("THREADBARE_ADMIN", at),
        None => command.env_remove("THREADBARE_ADMIN"),
    };
    run_command(command)
}

#[track_caller]
fn assert_is(run: &Run, code: i32, said: &str) {
    assert_eq!(run.code, Some(code), "{run:?}");
    let (said_here, silent) = if code == 0 {
        (&run.stdout, &run.stderr)
    } else {
        (&run.stderr, &run.stdout)
    };
    assert_eq!((said_here.len(), silent.len()), (1, 0), "{run:?}");
    assert!(said_here[0].contains(said), "{run:?}");
}

/// Stands for an admin API: alive, and not ready.
fn api() -> Backend {
    Backend::replying(|seen: &Seen| {
        let status = match seen.head.word(1) {
            "/healthz" => "200 OK",
            "/readyz" => "503 Service Unavailable",
            _ => "404 Not Found",
        };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    })
}

#[test]
fn the_admin_api_is_asked_whether_it_lives_or_is_ready() {
    // Goal: 0 and 1, by option and by variable, with the token where there is one.
    let api = api();
    let at = api.addr.to_string();
    assert_is(
        &check(&["--admin", &at], None),
        0,
        "healthy: 200 for /healthz",
    );
    assert_is(&check(&[], Some(&at)), 0, &at);
    let not_ready = check(&["--ready", "--admin", &at], None);
    assert_is(&not_ready, 1, "unhealthy: 503 for /readyz");
    let folder = Folder::new();
    let token = folder.write("token", "s3cret\n");
    let run = check(&["--admin", &at, "--token-file", &token], None);
    assert_is(&run, 0, "healthy");
    let seen = api.seen.items().pop().expect("it was asked");
    assert_eq!(
        seen.head.one("Authorization").as_deref(),
        Some("Bearer s3cret")
    );
}

#[test]
fn a_balancer_without_a_backend_lives_and_is_not_ready() {
    // Goal: the real API says the same, through the whole way.
    let mut backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &["--health-interval", "50ms"]);
    let at = admin.at.to_string();
    let ready = || check(&["--ready", "--admin", &at], None);
    assert_is(&check(&["--admin", &at], None), 0, "healthy");
    assert_is(&ready(), 0, "healthy: 200 for /readyz");
    backend.stop();
    admin.threadbare.await_line(" is down: ");
    assert_is(&ready(), 1, "unhealthy: 503 for /readyz");
    assert_is(&check(&["--admin", &at], None), 0, "healthy");
    admin.threadbare.stop();
}

#[test]
fn a_url_is_asked_through_the_balancer() {
    // Goal: well with its backend, ill without, whatever the answer's framing is; an interim answer
    // is none. Trick: the answer never ends, and the check does.
    let mut backend = Backend::replying(|seen| match seen.head.word(1) {
        "/chunked" => b"HTTP/1.1 302 F\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n".to_vec(),
        "/early" => {
            b"HTTP/1.1 103 E\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
                .to_vec()
        }
        _ => b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n".to_vec(),
    });
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let at = threadbare.addr;
    let url = |path: &str| check(&["--url", &format!("http://{at}{path}")], None);
    assert_is(&url("/chunked"), 0, "healthy: 302 for /chunked");
    assert_is(&url("/early"), 0, "healthy: 200 for /early");
    assert_is(&url(""), 1, "unhealthy: 404 for /");
    backend.stop();
    assert_is(&url("/early"), 1, "unhealthy: 503");
    threadbare.stop();
    assert_is(&url("/"), 1, "cannot reach");
}

#[test]
fn who_does_not_answer_in_time_is_ill() {
    let silent = HangingPort::take();
    let begun = Instant::now();
    let url = format!("http://{}/", silent.addr);
    let run = check(&["--url", &url, "--timeout", "200ms"], None);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(begun.elapsed() >= std::time::Duration::from_millis(200));
}

#[test]
fn what_makes_no_sense_is_2_and_one_line() {
    for (words, said) in [
        (&["--url", "ftp://a"][..], "http://HOST"),
        (&["--url", "http://a", "--admin", "a:1"], "--url goes alone"),
        (&["--admin", "nowhere"], "IP:PORT"),
        (&["--timeout", "soon"], "--timeout"),
        (&["--token-file", "/nonexistent"], "/nonexistent"),
        (&["--wrong"], "--wrong"),
        (&["word"], "word"),
    ] {
        let run = check(words, None);
        assert_is(&run, 2, said);
        assert!(
            run.stderr[0].ends_with("see threadbare healthcheck --help"),
            "{run:?}"
        );
    }
    let run = check(&["--help"], None);
    assert_eq!((run.code, run.stderr.len()), (Some(0), 0));
    let help = run.stdout.join("\n");
    assert!(
        help.contains("--url") && help.contains("`http://HOST[:PORT][/PATH]`"),
        "{help}"
    );
}
