//! Who is let in: who has the token, who reaches the socket, and no browser's page.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use crate::harness::{Admin, Answer, Backend, DEADLINE, Folder, Threadbare, ask, run};

const TOKEN: &str = "s3cret-of-eight";

/// A balancer whose API is where `at` says, with a token.
fn with_token(at: &str, backend: &Backend, folder: &Folder, mode: u32) -> Admin {
    let token = folder.write("token", &format!("{TOKEN}\n"));
    fs::set_permissions(&token, Permissions::from_mode(mode)).expect("it is ours");
    let options = ["--admin", at, "--admin-token-file", &token];
    let mut admin = Admin::of(Threadbare::before(&[backend.addr], &options));
    admin.at = SocketAddr::from(([127, 0, 0, 1], admin.at.port()));
    admin
}

fn status_of(admin: &Admin, fields: &[&str]) -> Answer {
    admin.ask_with("GET", "/status", fields, "")
}

#[test]
fn the_page_is_for_everybody_and_what_it_shows_is_not() {
    let backend = Backend::answering("a");
    let folder = Folder::new();
    let admin = with_token("0.0.0.0:0", &backend, &folder, 0o600);
    let page = admin.ask_with("GET", "/", &[], "");
    assert_eq!(page.status, 200);
    assert!(
        page.head.one("Content-Security-Policy").is_some(),
        "{page:?}"
    );
    assert!(
        !page.text().contains(&backend.addr.to_string()),
        "it holds no data"
    );
    for path in ["/live", "/metrics", "/requests", "/requests/1", "/status"] {
        assert_eq!(admin.ask_with("GET", path, &[], "").status, 401, "{path}");
    }
    let foreign = admin.ask_with("GET", "/", &["Origin: http://elsewhere.test"], "");
    assert_eq!(foreign.status, 403);
    let public = admin.threadbare.get("/live");
    assert_eq!(public.text(), "a", "the public listener has nothing of it");
}

#[test]
fn who_has_the_token_is_let_in_on_loopback_and_on_all_addresses() {
    // Goal: none, a wrong one, a part of it, more than it, two, and another scheme are 401 with
    // WWW-Authenticate; the right one is 200, under any name in Host.
    let backend = Backend::answering("a");
    for at in ["127.0.0.1:0", "0.0.0.0:0"] {
        let folder = Folder::new();
        let admin = with_token(at, &backend, &folder, 0o600);
        let right = format!("Authorization: Bearer {TOKEN}");
        let scheme_in_lower_case = format!("Authorization: bearer {TOKEN}");
        let longer = format!("{right}x");
        let basic = format!("Authorization: Basic {TOKEN}");
        for fields in [
            &[][..],
            &["Authorization: Bearer wrong"],
            &["Authorization: Bearer"],
            &["Authorization: Bearer s3cret-of-eigh"],
            &[&longer],
            &[&basic],
            &[&right, &right],
        ] {
            let answer = status_of(&admin, fields);
            assert_eq!(answer.status, 401, "{at} {fields:?}: {answer:?}");
            assert_eq!(
                answer.head.one("WWW-Authenticate").as_deref(),
                Some("Bearer")
            );
            assert!(!answer.text().contains(TOKEN), "{answer:?}");
        }
        for fields in [
            &[right.as_str()][..],
            &[&scheme_in_lower_case],
            &[&right, "Host: balancer.example.org"],
        ] {
            assert_eq!(status_of(&admin, fields).status, 200, "{at} {fields:?}");
        }
        // A change without the token changes nothing.
        let path = format!("/pools/default/backends/{}", backend.addr);
        assert_eq!(admin.ask_with("DELETE", &path, &[], "").status, 401);
        assert_eq!(admin.threadbare.get("/").status, 200);
        assert!(admin.threadbare.lines("others can read").is_empty());
        assert!(admin.threadbare.lines(TOKEN).is_empty());
        admin.threadbare.stop();
    }
}

#[test]
fn a_token_that_others_can_read_is_warned_of() {
    let backend = Backend::answering("a");
    for mode in [0o644, 0o640, 0o604] {
        let folder = Folder::new();
        let admin = with_token("127.0.0.1:0", &backend, &folder, mode);
        let line = admin
            .threadbare
            .await_line("others can read this token too");
        assert!(
            line.contains("chmod 600") && line.contains("[WARN]"),
            "{line}"
        );
    }
}

#[test]
fn it_does_not_start_without_a_token_where_others_can_come_or_with_a_bad_one() {
    // Goal: exit 2 before anything runs, for what the options say and for what the file says.
    let folder = Folder::new();
    let backend = ["--listen", "127.0.0.1:0", "--backend", "http://127.0.0.1:1"];
    for at in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9901"] {
        let run = run(&[&backend[..], &["--admin", at]].concat());
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr[0].contains("--admin-token-file"), "{run:?}");
    }
    for at in ["localhost:0", "9901", "systemd", "unix:"] {
        let run = run(&[&backend[..], &["--admin", at]].concat());
        assert_eq!(run.code, Some(2), "{at}: {run:?}");
    }
    let empty = folder.write("empty", " \n");
    let two_words = folder.write("two", "two words\n");
    let missing = folder.path("missing");
    for (path, why) in [
        (&empty, "the token is empty"),
        (&two_words, "not one word"),
        (&missing, "no such file"),
    ] {
        let options = ["--admin", "127.0.0.1:0", "--admin-token-file", path];
        let run = run(&[&backend[..], &options].concat());
        assert_eq!(run.code, Some(2), "{run:?}");
        let line = run.stderr.last().expect("it says why");
        assert!(line.contains(path.as_str()) && line.contains(why), "{line}");
    }
}

#[test]
fn an_address_in_use_ends_the_start_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = taken.local_addr().expect("it is bound").to_string();
    let args = [
        "--listen",
        "127.0.0.1:0",
        "--backend",
        "http://127.0.0.1:1",
        "--admin",
        &at,
    ];
    let run = run(&args);
    assert_eq!(run.code, Some(1), "{run:?}");
    let line = run.stderr.last().expect("it says why");
    assert!(line.contains(&at) && line.contains("in use"), "{line}");
}

#[test]
fn a_unix_socket_is_its_own_permission_and_leaves_no_file() {
    // Goal: status and a change over a Unix socket, several requests on one connection, and
    // nothing left behind.
    let (a, folder) = (Backend::answering("a"), Folder::new());
    let path = folder.path("admin.sock");
    let at = format!("unix:{path}");
    let threadbare = Threadbare::before(&[a.addr], &["--admin", &at]);
    let line = threadbare.await_line("admin API on ");
    assert!(line.ends_with(&at), "{line}");
    let mut stream = UnixStream::connect(&path).expect("it listens there");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a socket takes it");
    let drain = format!(
        "POST /pools/default/backends/{}/drain HTTP/1.1\r\nHost: localhost\r\n\r\n\
         GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        a.addr
    );
    stream.write_all(drain.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .expect("it answers, and closes");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
    assert!(text.contains("\"mode\":\"drained\""), "{text}");
    threadbare.await_line("admin: POST /pools/default/backends/");
    assert_eq!(threadbare.lines("by a local client: 200").len(), 1);
    threadbare.stop();
    assert!(!folder.as_path().join("admin.sock").exists());
}

#[test]
fn no_page_of_a_browser_can_use_it() {
    // Goal: another origin, a name that is not ours (DNS rebinding) and what a form can send are
    // refused, whatever they ask; what curl and our own pages say is not.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let ours = format!("Origin: http://{}", admin.at);
    let host = format!("Host: localhost:{}", admin.at.port());
    for (fields, status) in [
        (&["Origin: http://evil.example"][..], 403),
        (&["Origin: null"], 403),
        (&["Sec-Fetch-Site: cross-site"], 403),
        (&["Sec-Fetch-Site: same-site"], 403),
        (&[&ours, "Sec-Fetch-Site: cross-site"], 403),
        (&[&ours, "Origin: http://evil.example"], 403),
        (&["Host: evil.example"], 421),
        (&["Host: localhost.evil.example"], 421),
        (&["Host: 127.0.0.1.evil.example"], 421),
        (&[&ours, "Sec-Fetch-Site: same-origin"], 200),
        (&["Sec-Fetch-Site: none"], 200),
        (&[&host], 200),
        (&["Host: [::1]:9901"], 200),
    ] {
        let answer = status_of(&admin, fields);
        assert_eq!(answer.status, status, "{fields:?}: {answer:?}");
    }
    let path = format!("/pools/default/backends/{}/drain", backend.addr);
    for form in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
    ] {
        let field = format!("Content-Type: {form}");
        let answer = admin.ask_with("POST", &path, &[&field], "{}");
        assert_eq!(answer.status, 415, "{form}: {answer:?}");
    }
    assert_eq!(admin.backend(backend.addr)["mode"], "enabled");
}

#[test]
fn nothing_of_it_is_on_the_public_listener() {
    // Goal: every path and method of the API goes to a backend like any other there, and changes
    // nothing. Trick: the backend has seen each.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let path = format!("/pools/default/backends/{}", backend.addr);
    let asked = [
        ("GET", "/status".to_owned()),
        ("GET", "/pools".to_owned()),
        ("POST", "/reload".to_owned()),
        ("POST", "/shutdown".to_owned()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/drain")),
    ];
    for (method, path) in &asked {
        let answer = ask(admin.threadbare.addr, method, path, &[], "");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "a"),
            "{path}"
        );
    }
    let seen: Vec<String> = backend
        .seen
        .items()
        .iter()
        .map(|s| s.head.line.clone())
        .collect();
    let wanted: Vec<String> = asked
        .iter()
        .map(|(m, p)| format!("{m} {p} HTTP/1.1"))
        .collect();
    assert_eq!(seen, wanted);
    assert_eq!(admin.backend(backend.addr)["mode"], "enabled");
    admin.threadbare.stop();
}
