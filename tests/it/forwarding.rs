//! How the request line reaches a backend: method and target as sent.

use crate::harness::{Backend, Threadbare};

const MAX_TARGET: usize = 8 * 1024;

#[test]
fn targets_arrive_as_they_were_sent() {
    // Goal: no decoding, no normalising, no escaping. Trick: targets that URL types like to
    // repair.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    let longest = format!("/{}", "a".repeat(MAX_TARGET - 1));
    for target in [
        "/",
        "/?",
        "/a%2Fb/../c?x=%20&y=;",
        "//double//slash//",
        "/./../..",
        "/?a?b=/c//d/../e",
        "/<>\"`",
        "/{}|\\^[]",
        "/?<>\"`{}|\\^[]",
        "/%",
        "/%zz%C3%A9%00",
        "/a+b,c;d=e:f@g!$&'()*~",
        "/?x=http://other.test/y",
        "/http://other.test/y",
        "/:80/",
        longest.as_str(),
    ] {
        assert_eq!(client.get(target).status, 200, "{target}");
        let seen = backend.seen.items().pop().expect("it was answered");
        assert_eq!(seen.head.line, format!("GET {target} HTTP/1.1"));
    }
}

#[test]
fn an_absolute_target_is_rewritten_to_its_path() {
    // Goal: a backend is an origin server and gets the origin-form (RFC 9112 §3.2.1), the path as
    // sent.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for (sent, wanted) in [
        (
            "http://front.test/a%2Fb/../c?x=%20&y=;",
            "/a%2Fb/../c?x=%20&y=;",
        ),
        ("http://front.test/", "/"),
        ("http://front.test", "/"),
        ("http://front.test?q", "/?q"),
        ("http://front.test/?", "/?"),
        ("HTTP://front.test/x", "/x"),
    ] {
        assert_eq!(client.get(sent).status, 200, "{sent}");
        let seen = backend.seen.items().pop().expect("it was answered");
        assert_eq!(
            seen.head.line,
            format!("GET {wanted} HTTP/1.1"),
            "from {sent}"
        );
        assert_eq!(
            seen.head.one("Host").as_deref(),
            Some("front.test"),
            "from {sent}"
        );
    }
}

#[test]
fn the_host_of_an_absolute_target_wins_over_the_field() {
    // Goal: RFC 9112 §3.2.2: whoever gets an absolute-form ignores Host and goes by the target.
    // Refusing the conflict is as safe; forwarding the loser is not, as the backend would serve
    // another site than the one asked for.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send("GET http://asked.test:81/x HTTP/1.1\r\nHost: other.test\r\n\r\n");
    let status = client.answer().status;
    threadbare.stop();
    match (status, backend.seen.items().as_slice()) {
        (400, []) => {}
        (200, [seen]) => {
            assert_eq!(seen.head.line, "GET /x HTTP/1.1");
            assert_eq!(seen.head.one("Host").as_deref(), Some("asked.test:81"));
            assert_eq!(
                seen.head.one("X-Forwarded-Host").as_deref(),
                Some("asked.test:81")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_for_the_whole_server_keep_their_asterisk() {
    // Goal: the one target that is no path (RFC 9112 §3.2.4).
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    client.send("OPTIONS * HTTP/1.1\r\nHost: front.test\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(backend.await_requests(1)[0].head.line, "OPTIONS * HTTP/1.1");
}

#[test]
fn methods_arrive_as_they_were_sent() {
    // Goal: methods are tokens and case-sensitive; nobody needs to know them. Trick: every
    // character a token may have.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for method in [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "TRACE",
        "PROPFIND",
        "M-SEARCH",
        "get",
        "Post",
        "head",
        "!#$%&'*+-.^_`|~09azAZ",
    ] {
        client.send(format!("{method} /m HTTP/1.1\r\nHost: front.test\r\n\r\n"));
        let answer = client.answer_to(method);
        assert_eq!(answer.status, 200, "{method}");
        let wanted = if method == "HEAD" { "" } else { "ok" };
        assert_eq!(answer.text(), wanted, "{method}");
        let seen = backend.seen.items().pop().expect("it was answered");
        assert_eq!(seen.head.line, format!("{method} /m HTTP/1.1"));
        assert_eq!(seen.content, b"", "{method}");
    }
}

#[test]
fn a_request_of_http_1_0_reaches_the_backend_as_http_1_1() {
    // Goal: each hop speaks its own version (RFC 9112 §2.6), and HTTP/1.1 needs exactly one Host,
    // which a client of HTTP/1.0 need not send.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    for (fields, host) in [("", None), ("Host: Old.Test\r\n", Some("Old.Test"))] {
        let mut client = threadbare.client();
        client.send(format!("GET /old HTTP/1.0\r\n{fields}\r\n"));
        assert_eq!(client.answer().text(), "ok");
        client.assert_ended();
        let seen = backend.seen.items().pop().expect("it was answered");
        assert_eq!(seen.head.line, "GET /old HTTP/1.1");
        let came = seen.head.one("Host");
        assert!(came.is_some(), "{seen:?}");
        assert!(host.is_none() || came.as_deref() == host, "{seen:?}");
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    // Goal: no reader relies on how a request is cut into segments. Trick: one write for each byte;
    // a length and chunks over one kept connection.
    let backend = Backend::answering("ok");
    let threadbare = Threadbare::before(&[backend.addr], &[]);
    let mut client = threadbare.client();
    for rest in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        for byte in format!("POST /b HTTP/1.1\r\nHost: front.test\r\n{rest}").bytes() {
            client.send([byte]);
        }
        assert_eq!(client.answer().text(), "ok", "{rest:?}");
        let seen = backend.seen.items().pop().expect("it was answered");
        assert_eq!(seen.head.line, "POST /b HTTP/1.1");
        assert_eq!(seen.content, b"hello", "{rest:?}");
    }
}
