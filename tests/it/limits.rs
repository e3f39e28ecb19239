//! Heads that are too large: refused at the limit, served up to it.

use crate::harness::{Backend, Threadbare};

#[test]
fn a_target_one_byte_too_long_is_refused() {
    // Goal: 8 KiB passes (forwarding.rs), 8 KiB and one byte is 414 and reaches no backend.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    let target = format!("/{}", "a".repeat(8 * 1024));
    assert_eq!(client.get(&target).status, 414);
    client.assert_ended();
    threadbare.stop();
    assert_eq!(backend.seen.len(), 0);
}

#[test]
fn a_head_with_too_many_fields_is_refused() {
    // Goal: 100 fields pass, 101 are 431.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (n, status) in [(100, 200), (101, 431), (1000, 431)] {
        let fields = "X-A: 1\r\n".repeat(n - 1);
        let mut client = threadbare.client();
        let _ = client
            .0
            .send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n").as_bytes());
        let answer = client.try_answer("GET").expect("a refusal is an answer");
        assert_eq!(answer.status, status, "{n} fields");
        if status == 431 {
            client.assert_ended();
        }
    }
    threadbare.stop();
    assert_eq!(backend.seen.len(), 1);
}

#[test]
fn a_head_with_too_long_fields_is_refused() {
    // Goal: 32 KiB of fields is the limit. Trick: a few bytes on either side, as field lines may
    // be counted with or without their ends; in one field and spread over many.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (length, n, status) in [
        (31_000, 1, 200),
        (33_000, 1, 431),
        (500, 62, 200),
        (500, 67, 431),
    ] {
        let fields = format!("X-A: {}\r\n", "a".repeat(length)).repeat(n);
        let mut client = threadbare.client();
        let _ = client
            .0
            .send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n").as_bytes());
        let answer = client.try_answer("GET").expect("a refusal is an answer");
        assert_eq!(answer.status, status, "{n} fields of {length} bytes");
        if status == 431 {
            client.assert_ended();
        }
    }
    threadbare.stop();
    assert_eq!(backend.seen.len(), 2);
}
