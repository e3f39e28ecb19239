//! The PROXY header of a TCP balancer before us.

use super::fence;
use crate::harness::{Backend, Client, Threadbare, ok};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: front.test\r\n\r\n";

/// Version 2: its command and family, and what follows.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a short header");
    [SIGNATURE, &[command, family], &length.to_be_bytes(), rest].concat()
}

/// Headers, and whom they tell to be the client.
fn headers() -> Vec<(Vec<u8>, &'static str)> {
    let four = [192, 0, 2, 9, 192, 0, 2, 2, 4, 0, 0, 80];
    let mut six = [0; 36];
    six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    six[15] = 7;
    // Behind the addresses: one more piece of information, which nobody needs.
    let more = [four.as_slice(), &[4, 0, 3, 1, 2, 3]].concat();
    vec![
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n".to_vec(),
            "192.0.2.1",
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 1000 80\r\n".to_vec(),
            "2001:db8::1",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x21, 0x11, &four), "192.0.2.9"),
        (v2(0x21, 0x11, &more), "192.0.2.9"),
        (v2(0x21, 0x21, &six), "2001:db8::7"),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
    ]
}

/// Answers with the client that it was told of.
fn before_an_echo() -> (Backend, Threadbare) {
    let told = |name: &str, seen: &crate::harness::Seen| seen.head.one(name).unwrap_or_default();
    let backend = Backend::replying(move |seen| ok(&told("X-Forwarded-For", seen)));
    let threadbare = Threadbare::before(&[backend.addr], &["--accept-proxy"]);
    (backend, threadbare)
}

#[test]
fn the_header_tells_who_the_client_is() {
    // Goal: every form of it, in one packet with the request, and for the second request of the
    // connection too.
    let (_backend, threadbare) = before_an_echo();
    for (header, client_address) in headers() {
        let mut client = threadbare.client();
        client.send([&header, REQUEST, REQUEST].concat());
        for _ in 0..2 {
            let shown = header.escape_ascii();
            assert_eq!(client.answer().text(), client_address, "{shown}");
        }
    }
}

#[test]
fn a_header_may_come_in_any_pieces() {
    // Goal: cut anywhere. Trick: the second piece is sent when the waiter has read the first: the
    // fence is a connection without a header, which it closes.
    let (_backend, threadbare) = before_an_echo();
    for (header, client_address) in headers() {
        for at in 1..=header.len() {
            let mut client = threadbare.client();
            client.send(&header[..at]);
            no_header(&threadbare, b"X").assert_ended();
            client.send([&header[at..], REQUEST].concat());
            let shown = header.escape_ascii();
            assert_eq!(
                client.answer().text(),
                client_address,
                "{shown} cut at {at}"
            );
        }
    }
}

fn no_header(threadbare: &Threadbare, bytes: &[u8]) -> Client {
    let mut client = threadbare.client();
    client.send(bytes);
    client
}

#[test]
fn a_connection_without_a_header_is_closed_without_a_word() {
    // Goal: whoever does not come through the balancer is not served, and nothing of it reaches a
    // backend.
    let (backend, threadbare) = before_an_echo();
    let nearly = [b"PROXY TCP4 192.0.2.1 192.0.2.2 1000\r\n", REQUEST].concat();
    let twisted = [&v2(0x31, 0x11, &[0; 12]), REQUEST].concat();
    for bytes in [REQUEST, b"PROXX", &nearly, &twisted, b"\x16\x03\x01"] {
        no_header(&threadbare, bytes).assert_ended();
    }
    threadbare.stop();
    assert_eq!(backend.seen.len(), 0);
}

#[test]
fn without_the_option_a_header_is_a_bad_request() {
    // Goal: a client can't tell us who it is.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (header, _) in headers() {
        let mut client = threadbare.client();
        client.send([&header, REQUEST].concat());
        assert_eq!(client.answer().status, 400, "{}", header.escape_ascii());
    }
    fence(&threadbare);
    threadbare.stop();
    assert_eq!(backend.seen.len(), 0);
}
