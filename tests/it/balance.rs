//! Who gets which request.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::thread;

use crate::harness::{Backend, Threadbare};

fn shares(backends: &[&Backend]) -> Vec<usize> {
    backends.iter().map(|backend| backend.seen.len()).collect()
}

#[test]
fn sequential_requests_are_shared_exactly_evenly() {
    // Goal: 3,000 requests over 3 backends land 1,000 each. Trick: one kept connection, nothing
    // side by side.
    let [a, b, c] = ["a", "b", "c"].map(Backend::answering);
    let threadbare = Threadbare::before(&[a.addr, b.addr, c.addr], &[]);
    let mut client = threadbare.client();
    for n in 0..3000 {
        assert_eq!(client.get("/").status, 200, "request {n}");
    }
    assert_eq!(shares(&[&a, &b, &c]), [1000, 1000, 1000]);
}

#[test]
fn the_share_of_a_backend_that_is_down_is_spread_evenly() {
    // Goal: with one of three down, 3,000 requests land 1,500 each, not 1,000 and 2,000. Trick:
    // the one that is down stands in the middle, where a naive skip doubles the load of its
    // neighbour.
    let [a, mut b, c] = ["a", "b", "c"].map(Backend::answering);
    b.stop();
    let threadbare = Threadbare::before(&[a.addr, b.addr, c.addr], &[]);
    let mut client = threadbare.client();
    for n in 0..12 {
        assert_eq!(
            client.get("/").status,
            200,
            "request {n} before the state change"
        );
    }
    threadbare.await_line(&b.is("down"));

    let before = shares(&[&a, &c]);
    for n in 0..3000 {
        assert_eq!(client.get("/").status, 200, "request {n}");
    }
    let after = shares(&[&a, &c]);
    assert_eq!([after[0] - before[0], after[1] - before[1]], [1500, 1500]);
}

#[test]
fn concurrent_requests_differ_by_at_most_one_per_worker() {
    // Goal: no request is picked for twice or skipped when workers race. Trick: many more picks
    // than workers, and the difference of the totals bounded by the number of workers. No share,
    // which passes over a backend whose answers are late, as they may be on a busy machine.
    const WORKERS: usize = 8;
    let [a, b, c] = ["a", "b", "c"].map(Backend::answering);
    let workers = WORKERS.to_string();
    let threadbare = Threadbare::before(
        &[a.addr, b.addr, c.addr],
        &["--workers", &workers, "--backend-share", "100%"],
    );
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut client = threadbare.client();
                for _ in 0..250 {
                    assert_eq!(client.get("/").status, 200);
                }
            });
        }
    });
    let shares = shares(&[&a, &b, &c]);
    assert_eq!(shares.iter().sum::<usize>(), WORKERS * 250, "{shares:?}");
    let most = shares.iter().max().expect("there are three");
    let least = shares.iter().min().expect("there are three");
    assert!(most - least <= WORKERS, "{shares:?}");
}

#[test]
fn a_lone_backend_gets_everything() {
    // Goal: a pool of one is a pool.
    let backend = Backend::answering("a");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "a");
    }
    assert_eq!(backend.seen.len(), 10);
}

#[test]
fn a_base_path_is_put_before_the_target() {
    // Goal: the option's path and the client's target make one target, its query untouched.
    let backend = Backend::answering("a");
    let url = format!("{}/base/v1", backend.url());
    let threadbare = Threadbare::start(&["--backend", &url]);
    let mut client = threadbare.client();
    for (sent, wanted) in [
        ("/x?y=%20", "GET /base/v1/x?y=%20 HTTP/1.1"),
        ("/", "GET /base/v1/ HTTP/1.1"),
        ("/?", "GET /base/v1/? HTTP/1.1"),
        ("/a%2Fb/../c", "GET /base/v1/a%2Fb/../c HTTP/1.1"),
    ] {
        assert_eq!(client.get(sent).status, 200, "{sent}");
        let seen = backend.seen.items().pop().expect("it was answered");
        assert_eq!(seen.head.line, wanted);
    }
}

#[test]
fn a_backend_can_be_given_by_host_name() {
    // Goal: names are resolved. Trick: localhost, which may have an IPv6 address where nothing
    // listens.
    let backend = Backend::answering("a");
    let url = format!("http://localhost:{}", backend.addr.port());
    let threadbare = Threadbare::start(&["--backend", &url]);
    assert_eq!(threadbare.get("/").text(), "a");
}

#[test]
fn a_backend_can_be_given_by_ipv6_address() {
    // Goal: [::1] is dialled, and Host still is what the client sent. Trick: the standard
    // library's listener and one plain exchange, as scripted backends stand on IPv4.
    use std::io::{Read, Write};
    let Ok(listener) = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))) else {
        println!("this machine has no IPv6 loopback: nothing to prove here");
        return;
    };
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let backend = thread::spawn(move || {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nv6";
        loop {
            let (mut stream, _) = listener.accept().expect("connections arrive");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            // A dial of the health thread comes without a request.
            if !head.is_empty() {
                stream.write_all(answer).expect("the answer is taken");
                return String::from_utf8(head).expect("the head is ASCII");
            }
        }
    });
    let threadbare = Threadbare::start(&["--backend", &url]);
    assert_eq!(threadbare.get("/").text(), "v6");
    let head = backend.join().expect("the backend does not panic");
    assert!(head.contains("\r\nHost: front.test\r\n"), "{head}");
}

#[test]
fn proxy_variables_of_the_environment_are_ignored() {
    // Goal: a backend is dialled directly, whatever the environment says. Trick: a proxy that
    // would answer otherwise.
    let backend = Backend::answering("direct");
    let proxy = Backend::answering("by proxy");
    let url = backend.url();
    let listen = ["--listen", "127.0.0.1:0", "--backend", &url];
    let mut command = crate::harness::command(&listen);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "https_proxy",
    ] {
        command.env(name, proxy.url());
    }
    let threadbare = Threadbare::launch(command);
    assert_eq!(threadbare.get("/").text(), "direct");
    assert_eq!(proxy.seen.len(), 0);
}
