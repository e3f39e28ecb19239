//! Backends given by a host's name. What several addresses are is tested beside the code, with
//! answers that no machine's resolver has to give.

use crate::harness::{Backend, Threadbare, level};

/// RFC 6761: no resolver ever finds it.
const UNKNOWN: &str = "http://nowhere.invalid:81";

#[test]
fn a_name_is_its_addresses_and_serves() {
    // Goal: a name among addresses gets its share, and the log names it with the address behind it.
    // Trick: the backend stands on the IPv4 loopback only; where the name is [::1] too, that one
    // goes down by its first health check, and is no part of the share afterwards.
    let [mut a, b] = ["a", "b"].map(Backend::answering);
    let port = a.addr.port();
    let urls = [format!("http://localhost:{port}"), b.url()];
    let args = ["--backend", &urls[0], "--backend", &urls[1]];
    let options = ["--health-interval", "100ms", "--fall", "1"];
    let threadbare = Threadbare::start(&[&args[..], &options].concat());
    let mut client = threadbare.client();
    let mut names = Vec::new();
    for _ in 0..30 {
        names.push(client.get("/").text());
    }
    assert!(names.contains(&"a".to_owned()), "{names:?}");
    assert!(names.contains(&"b".to_owned()), "{names:?}");
    a.stop();
    threadbare.await_line(&format!("backend localhost:{port}@127.0.0.1 is down: "));
    a.restart();
    threadbare.await_line(&format!("backend localhost:{port}@127.0.0.1 is up: "));
    let before = [a.seen.len(), b.seen.len()];
    for _ in 0..10 {
        client.get("/");
    }
    let after = [a.seen.len(), b.seen.len()];
    assert_eq!([after[0] - before[0], after[1] - before[1]], [5, 5]);
}

#[test]
fn an_unknown_name_is_a_warning_and_the_others_serve() {
    // Goal: neither the start nor a request fails over it, with health checks or without. Trick:
    // it stands first, where the first request would go.
    for health in ["tcp", "off"] {
        let good = Backend::answering("good");
        let url = good.url();
        let args = ["--backend", UNKNOWN, "--backend", &url, "--health", health];
        let threadbare = Threadbare::start(&args);
        let line = threadbare.await_line("backend nowhere.invalid:81: look-up: ");
        assert_eq!(level(&line), "WARN");
        // There was no answer yet that could be kept, and it has never been up.
        assert!(line.ends_with("; it is tried again"), "{line}");
        let mut client = threadbare.client();
        for n in 0..20 {
            assert_eq!(client.get("/").text(), "good", "request {n} with {health}");
        }
        let down = threadbare.await_line("backend nowhere.invalid:81 is down: ");
        assert!(down.contains("address"), "{down}");
        assert!(down.contains("(was unknown for "), "{down}");
        for n in 0..20 {
            assert_eq!(client.get("/").text(), "good", "request {n} with {health}");
        }
    }
}

#[test]
fn nothing_but_an_unknown_name_is_503() {
    // Goal: the process runs on, and would find it later.
    let threadbare = Threadbare::start(&["--backend", UNKNOWN, "--resolve-interval", "100ms"]);
    for _ in 0..3 {
        let answer = threadbare.get("/");
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    threadbare.await_lines("backend nowhere.invalid:81: look-up: ", 2);
    assert_eq!(threadbare.get("/").status, 503);
    threadbare.stop();
}
