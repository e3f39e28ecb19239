//! What the API changes: idempotent, refused where it contradicts, and true for the next request.

use serde_json::json;

use super::sorted;
use crate::harness::{Admin, Backend, Gate, backend_path};

const FAST: &[&str] = &[
    "--health-interval",
    "100ms",
    "--health-fast-interval",
    "50ms",
];

const BACKENDS: &str = "/pools/default/backends";

/// Who answers `n` requests, in order.
#[track_caller]
fn asked(admin: &Admin, n: usize) -> String {
    let mut client = admin.threadbare.client();
    (0..n).map(|_| client.get("/").text()).collect()
}

#[test]
fn a_backend_that_is_added_gets_requests_once_a_probe_found_it_well() {
    // Goal: 201 with its place, then 200 for the same again; requests reach it.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let admin = Admin::before(&[a.addr], FAST);
    let content = json!({ "url": b.url() }).to_string();
    let added = admin.ask_with(
        "POST",
        BACKENDS,
        &["Content-Type: application/json"],
        &content,
    );
    assert_eq!(added.status, 201, "{added:?}");
    let place = format!("{BACKENDS}/{}", b.addr);
    let location = added.head.one("Location").expect("it says where it is");
    // A colon may be encoded in a path, and means the same.
    assert_eq!(location.replace("%3A", ":"), place);
    assert_eq!(
        added.text().trim_end(),
        json!({"changed": true, "name": b.addr.to_string()}).to_string()
    );
    admin.threadbare.await_line(&b.is("up"));
    let again = admin.ask("POST", BACKENDS, &content);
    assert_eq!((again.0, &again.1["changed"]), (200, &false.into()));
    assert_eq!(sorted(&asked(&admin, 4)), "aabb");
    assert_eq!(admin.see(&location)["url"], b.url());
    assert_eq!(admin.threadbare.lines("is added").len(), 1);
    admin.threadbare.stop();
}

#[test]
fn put_adds_by_name_and_refuses_what_contradicts() {
    // Goal: the same PUT twice is once; another URL, another weight, the same URL under another
    // name, or another name inside are refused and change nothing.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let options = [FAST, &["--policy", "weighted-round-robin"]].concat();
    let admin = Admin::before(&[a.addr], &options);
    let web = backend_path("web");
    let put = |path: &str, content: serde_json::Value| admin.ask("PUT", path, &content.to_string());
    let wanted = json!({ "url": b.url(), "weight": 2, "slow_start": "0s", "max_connections": 9 });
    assert_eq!(put(&web, wanted.clone()).0, 201);
    let again = put(&web, wanted.clone());
    assert_eq!(
        (again.0, again.1),
        (200, json!({"changed": false, "name": "web"}))
    );
    for (path, content, status) in [
        (&web, json!({ "url": b.url(), "weight": 3 }), 409),
        (&web, json!({ "url": a.url() }), 409),
        (&backend_path("other"), wanted, 409),
        (&backend_path("new"), json!({ "url": a.url() }), 409),
        (&web, json!({ "url": b.url(), "name": "other" }), 422),
        (&web, json!({ "url": "ftp://x" }), 422),
        (&web, json!({ "url": b.url(), "weight": 0 }), 422),
        (&web, json!({ "url": b.url(), "max_connections": 0 }), 422),
        (&web, json!({ "url": b.url(), "slow_start": "soon" }), 422),
        (&web, json!({ "url": b.url(), "wieght": 1 }), 422),
        (&web, json!({ "weight": 1 }), 422),
        (
            &"/pools/none/backends/x".to_owned(),
            json!({ "url": b.url() }),
            404,
        ),
    ] {
        let (got, problem) = put(path, content.clone());
        assert_eq!(got, status, "{path} {content}: {problem}");
        assert_eq!(problem["status"], status);
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{problem}"
        );
    }
    let pool = admin.see("/pools/default");
    assert_eq!(pool["backends"].as_array().map(Vec::len), Some(2), "{pool}");
    let web = admin.backend("web");
    assert_eq!(
        (&web["weight"], &web["max_connections"]),
        (&2.into(), &9.into())
    );
}

#[test]
fn weights_decide_from_the_next_request_on() {
    // Goal: 1 to 1, then 1 to 3. Trick: whole rounds, counted at the backends.
    let (a, b) = (Backend::answering("a"), Backend::answering("b"));
    let options = [FAST, &["--policy", "weighted-round-robin"]].concat();
    let admin = Admin::before(&[a.addr, b.addr], &options);
    asked(&admin, 8);
    assert_eq!((a.seen.len(), b.seen.len()), (4, 4));
    assert!(admin.change(b.addr, "weight", r#"{"weight":3}"#));
    assert!(
        !admin.change(b.addr, "weight", r#"{"weight":3}"#),
        "it has it already"
    );
    asked(&admin, 8);
    assert_eq!((a.seen.len(), b.seen.len()), (6, 10));
    let path = format!("{}/weight", backend_path(b.addr));
    for (content, status) in [
        (r#"{"weight":0}"#, 422),
        (r#"{"weight":257}"#, 422),
        (r#"{"weight":-1}"#, 422),
        (r#"{"weight":"3"}"#, 422),
        ("{}", 422),
        ("", 422),
    ] {
        assert_eq!(admin.ask("POST", &path, content).0, status, "{content}");
    }
    let unknown = format!("{}/weight", backend_path("nobody"));
    assert_eq!(admin.ask("POST", &unknown, r#"{"weight":3}"#).0, 404);
    admin.threadbare.stop();
}

#[test]
fn round_robin_knows_no_weights_and_says_so() {
    let a = Backend::answering("a");
    let admin = Admin::before(&[a.addr], &[]);
    let path = format!("{}/weight", backend_path(a.addr));
    let (status, problem) = admin.ask("POST", &path, r#"{"weight":3}"#);
    assert_eq!(status, 409, "{problem}");
    let content = r#"{"url":"http://127.0.0.1:1","weight":2}"#;
    assert_eq!(admin.ask("POST", BACKENDS, content).0, 409);
}

#[test]
fn what_is_forced_holds_whatever_probes_say() {
    // Goal: down though it answers, up though it refuses, and then as probes say. Trick: the
    // backend that is forced up refuses, so that its turn is seen by its failures.
    let (a, mut b) = (Backend::answering("a"), Backend::answering("b"));
    let admin = Admin::before(&[a.addr, b.addr], FAST);
    assert!(admin.change(b.addr, "state", r#"{"state":"down"}"#));
    assert!(!admin.change(b.addr, "state", r#"{"state":"down"}"#));
    assert_eq!(asked(&admin, 4), "aaaa");
    assert_eq!(admin.backend(b.addr)["forced"], "down");

    b.stop();
    admin.threadbare.await_line(&b.is("down"));
    assert!(admin.change(b.addr, "state", r#"{"state":"up"}"#));
    assert_eq!(asked(&admin, 4), "aaaa", "connect errors go on to the next");
    let told = admin.backend(b.addr);
    assert_eq!(
        (&told["forced"], &told["state"]),
        (&"up".into(), &"down".into()),
        "{told}"
    );
    assert!(told["failures"].as_u64() > Some(0), "it was tried: {told}");

    b.restart();
    assert!(admin.change(b.addr, "state", r#"{"state":"auto"}"#));
    admin.threadbare.await_line(&b.is("up"));
    assert_eq!(sorted(&asked(&admin, 4)), "aabb");
    let path = format!("{}/state", backend_path(a.addr));
    for content in [r#"{"state":"sideways"}"#, r#"{"x":"up"}"#, "{}"] {
        assert_eq!(admin.ask("POST", &path, content).0, 422, "{content}");
    }
}

#[test]
fn a_removed_backend_finishes_what_it_has_and_gets_nothing_more() {
    // Goal: 200, gone from the list at once, the held request is answered whole; again is no
    // change; the last one may go too, and then there is 503.
    let gate = Gate::closed();
    let (a, b) = (Backend::answering("a"), Backend::holding("b", &gate));
    let admin = Admin::before(&[b.addr, a.addr], FAST);
    let mut held = admin.threadbare.client();
    held.send("GET /slow HTTP/1.1\r\nHost: front.test\r\n\r\n");
    b.await_requests(1);
    let path = backend_path(b.addr);
    let removed = admin.ask("DELETE", &path, "");
    assert_eq!((removed.0, &removed.1["changed"]), (200, &true.into()));
    let again = admin.ask("DELETE", &path, "");
    assert_eq!((again.0, &again.1["changed"]), (200, &false.into()));
    assert_eq!(admin.ask("GET", &path, "").0, 404);
    assert_eq!(asked(&admin, 4), "aaaa");
    gate.open();
    assert_eq!(held.answer().text(), "b");
    assert_eq!(admin.ask("DELETE", &backend_path(a.addr), "").0, 200);
    assert_eq!(admin.threadbare.get("/").status, 503);
    assert_eq!(b.seen.len(), 1);
    admin.threadbare.stop();
}
