//! Requests that ask for nothing there is: the status says what is wrong with each.

use crate::harness::{Admin, Backend, Client, backend_path};

const JSON: &[&str] = &["Content-Type: application/json"];

#[test]
fn what_is_not_there_is_404_and_what_cannot_be_done_405_with_what_can() {
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    for target in [
        "/nothing",
        "/stat",
        "/status/",
        "/pools/",
        "/pools/default/x",
        "//",
        "/pools//backends",
    ] {
        let status = admin.ask("GET", target, "").0;
        let wanted = if target == "/pools//backends" {
            405
        } else {
            404
        };
        assert_eq!(status, wanted, "{target}");
    }
    let one = backend_path(backend.addr);
    for (method, path, allow) in [
        ("POST", "/status", "GET, HEAD"),
        ("DELETE", "/pools/default", "GET, HEAD"),
        ("POST", &one, "GET, HEAD, PUT, DELETE"),
        ("GET", "/reload", "POST"),
        ("GET", "/shutdown", "POST"),
        ("PUT", "/shutdown", "POST"),
        ("GET", "/pools/default/backends", "POST"),
        ("GET", &format!("{one}/drain"), "POST"),
        ("DELETE", &format!("{one}/weight"), "POST"),
        ("BREW", "/status", "GET, HEAD"),
    ] {
        let answer = admin.ask_with(method, path, &[], "");
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        assert_eq!(
            answer.head.one("Allow").as_deref(),
            Some(allow),
            "{method} {path}"
        );
    }
    assert_eq!(
        admin.threadbare.get("/").status,
        200,
        "nothing has stopped it"
    );
}

#[test]
fn content_is_one_json_object_of_known_keys_and_not_too_long() {
    // Goal: 400 for what is no JSON, 422 for what makes no sense, 415 without a media type, 413
    // beyond 64 KiB, by length or by chunks.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let drain = format!("{}/drain", backend_path(backend.addr));
    for (content, status) in [
        ("{", 400),
        ("[]", 400),
        ("\"x\"", 400),
        ("{} {}", 400),
        ("\u{1}", 400),
        (r#"{"timeout":1}"#, 422),
        (r#"{"x":1}"#, 422),
        (r#"{"timeout":"1s","timeout":"2s"}"#, 422),
    ] {
        let answer = admin.ask_with("POST", &drain, JSON, content);
        assert_eq!(answer.status, status, "{content}: {answer:?}");
    }
    assert_eq!(admin.ask_with("POST", &drain, &[], "{}").status, 415);
    assert_eq!(admin.ask("POST", "/reload", r#"{"x":1}"#).0, 422);
    assert_eq!(admin.ask("GET", "/status", r#"{"x":1}"#).0, 422);
    assert_eq!(admin.ask("GET", "/status?x=1", "").0, 400);
    assert_eq!(admin.ask("GET", "/pools/%zz", "").0, 400);
    assert_eq!(admin.ask("GET", "/pools/%ff", "").0, 400);

    let blanks = " ".repeat(64 * 1024 - 2) + "{}";
    assert_eq!(
        admin
            .ask_with("POST", "/pools/none/backends/x/enable", JSON, &blanks)
            .status,
        404
    );
    let long = format!(" {blanks}");
    assert_eq!(admin.ask_with("POST", &drain, JSON, &long).status, 413);
    let mut client = Client::connect(admin.at);
    client.send(format!(
        "POST {drain} HTTP/1.1\r\nHost: localhost\r\n{}\r\nTransfer-Encoding: chunked\r\n\r\n\
         10001\r\n{}\r\n0\r\n\r\n",
        JSON[0],
        " ".repeat(0x1_0001)
    ));
    assert_eq!(client.answer().status, 413);
    assert_eq!(
        admin.backend(backend.addr)["mode"],
        "enabled",
        "nothing of it drained"
    );
}

#[test]
fn a_connection_is_kept_and_a_refusal_ends_or_keeps_it_cleanly() {
    // Goal: ten requests on one connection, errors among them; each answer belongs to its request.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    let mut client = Client::connect(admin.at);
    for n in 0..10 {
        let (target, status) = if n % 2 == 0 {
            ("/status", 200)
        } else {
            ("/nothing", 404)
        };
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.answer().status, status, "request {n}");
    }
}

#[test]
fn what_is_done_is_logged_with_who_did_it() {
    // Goal: one line for a change, with the client's address; none for a look.
    let backend = Backend::answering("a");
    let admin = Admin::before(&[backend.addr], &[]);
    admin.see("/status");
    admin.change(backend.addr, "drain", "");
    let path = format!("{}/drain", backend_path(backend.addr));
    admin
        .threadbare
        .await_line(&format!("admin: POST {path} by 127.0.0.1: 200"));
    admin.ask("GET", "/nothing%0a", "");
    let line = admin.threadbare.await_line("by 127.0.0.1: 404");
    assert!(line.contains("GET /nothing%0a "), "{line}");
    assert!(admin.threadbare.lines("/status").is_empty());
}
