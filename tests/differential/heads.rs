//! Heads: ours is `HeadScan` and `parse`, theirs `httparse` and `Reply::try_request`.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use threadbare::intake::check::Limits;
use threadbare::intake::gate::head::{HeadScan, parse};
use threadbare::intake::{ClientRequest, ContentFraming, Version};
use ureq_proto::BodyMode;
use ureq_proto::http;
use ureq_proto::server::{RecvRequestResult, Reply};

use crate::{Raw, hold, mutated, one_of};

/// A request that ours accepts and another reads otherwise, or refuses.
struct Difference {
    reason: &'static str,
    /// How the comparison fails on it.
    failure: &'static str,
    /// Whether a request that ours accepts is such a one; given the target as it stands.
    is_one: fn(&ClientRequest, &[u8]) -> bool,
    example: &'static [u8],
}

const HTTPARSE: &[Difference] = &[Difference {
    reason: "a target that is not UTF-8: it is bytes to us, as older clients send Latin-1",
    failure: "refused",
    is_one: |_, target| std::str::from_utf8(target).is_err(),
    example: b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
}];

const UREQ_PROTO: &[Difference] = &[
    Difference {
        reason: "a target that http::Uri refuses: browsers send these bytes",
        failure: "refused",
        is_one: |_, target| {
            std::str::from_utf8(target).map_or(true, |text| text.parse::<http::Uri>().is_err())
        },
        example: b"GET /<> HTTP/1.1\r\nHost: a\r\n\r\n",
    },
    Difference {
        reason: "no length means no content (RFC 9112 §6.3), with POST, PUT and PATCH too",
        failure: "framing",
        is_one: |request, _| {
            request.framing == ContentFraming::Empty
                && ["POST", "PUT", "PATCH"].contains(&&request.method[..])
        },
        example: b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
    },
    Difference {
        reason: "a length is a length (RFC 9112 §6.3), with HEAD too",
        failure: "framing",
        is_one: |request, _| request.method == "HEAD" && request.framing != ContentFraming::Empty,
        example: b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    },
];

/// What another accepts and ours refuses: whether `httparse` does, and `ureq-proto`.
const STRICTER: &[(&str, [bool; 2], &[u8])] = &[
    (
        "bare LF as line end",
        [true, true],
        b"GET / HTTP/1.1\nHost: a\n\n",
    ),
    (
        "a bare LF in between",
        [true, true],
        b"GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n",
    ),
    (
        "two empty lines before it",
        [true, true],
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a bare LF before it",
        [true, true],
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "a fragment",
        [true, true],
        b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("no Host", [true, true], b"GET / HTTP/1.1\r\n\r\n"),
    (
        "two Hosts",
        [true, true],
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ),
    (
        "both lengths",
        [true, true],
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (
        "a list of lengths",
        [true, true],
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
    ),
    (
        "lengths written differently",
        [true, true],
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\n",
    ),
    (
        "chunked is not the last",
        [true, true],
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    ),
    (
        "chunked twice",
        [true, true],
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    ),
    (
        "an unknown coding",
        [true, true],
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n",
    ),
    (
        "chunked in HTTP/1.0",
        [true, true],
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (
        "Content_Length",
        [true, true],
        b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n",
    ),
    (
        "+5",
        [true, false],
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
    ),
    (
        "user information",
        [true, true],
        b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "another scheme",
        [true, true],
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "CONNECT",
        [true, true],
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
];

/// What a property once failed on.
const REGRESSIONS: &[&[u8]] = &[];

/// Ours: the request, its target as it stands, and the length of its head.
fn ours(bytes: &[u8]) -> Option<(ClientRequest, Vec<u8>, usize)> {
    let limits = Limits::default();
    let n = HeadScan::default().scan(bytes, &limits).ok()??;
    let request = parse(&bytes[..n], None, &limits, None).ok()?;
    let target = bytes[..n].split(|&byte| byte == b' ').nth(1)?.to_vec();
    Some((*request, target, n))
}

fn refused(error: impl std::fmt::Display) -> String {
    format!("refused: {error}")
}

fn agree<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    Err(format!("{what}: ours {ours:?}, theirs {theirs:?}"))
}

/// Whether `httparse` reads the same.
fn httparse(bytes: &[u8], request: &ClientRequest, target: &[u8], n: usize) -> Result<(), String> {
    let mut lines = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Request::new(&mut lines);
    let status = parsed.parse(bytes).map_err(refused)?;
    agree("length", &httparse::Status::Complete(n), &status)?;
    agree("method", &Some(&request.method[..]), &parsed.method)?;
    agree("target", &Some(target), &parsed.path.map(str::as_bytes))?;
    agree(
        "version",
        &Some(u8::from(request.version == Version::Http11)),
        &parsed.version,
    )?;
    let theirs: Vec<_> = parsed
        .headers
        .iter()
        .map(|line| (line.name.as_bytes(), line.value))
        .collect();
    agree("fields", &request.fields.iter().collect(), &theirs)
}

/// Whether `ureq-proto` reads the same.
fn ureq_proto(
    bytes: &[u8],
    request: &ClientRequest,
    target: &[u8],
    n: usize,
) -> Result<(), String> {
    let mut reply = Reply::new().map_err(|error| error.to_string())?;
    let (length, theirs) = reply.try_request(bytes).map_err(refused)?;
    let theirs = theirs.ok_or("incomplete")?;
    agree("length", &n, &length)?;
    agree("method", &&request.method[..], &theirs.method().as_str())?;
    let version = match request.version {
        Version::Http10 => http::Version::HTTP_10,
        Version::Http11 => http::Version::HTTP_11,
    };
    agree("version", &version, &theirs.version())?;
    check_target(request, target, theirs.uri())?;
    agree(
        "number of fields",
        &request.fields.len(),
        &theirs.headers().len(),
    )?;
    for name in theirs.headers().keys() {
        let values = theirs.headers().get_all(name).iter();
        let values: Vec<_> = values.map(http::HeaderValue::as_bytes).collect();
        agree(
            name.as_str(),
            &request.fields.all(name.as_str()).collect(),
            &values,
        )?;
    }
    let mode = match reply.proceed() {
        Some(RecvRequestResult::RecvBody(reply)) => reply.body_mode(),
        Some(RecvRequestResult::Send100(reply)) => match reply.accept(&mut [0; 64]) {
            Ok((_, reply)) => reply.body_mode(),
            Err(error) => return Err(error.to_string()),
        },
        Some(RecvRequestResult::ProvideResponse(_)) => BodyMode::NoBody,
        None => return Err("incomplete".to_owned()),
    };
    let framing = match request.framing {
        ContentFraming::Empty | ContentFraming::Sized(0) => BodyMode::NoBody,
        ContentFraming::Sized(n) => BodyMode::LengthDelimited(n),
        ContentFraming::Chunked => BodyMode::Chunked,
    };
    agree("framing", &framing, &mode)
}

/// `http::Uri` takes a target apart; ours makes origin-form of absolute-form.
fn check_target(request: &ClientRequest, target: &[u8], uri: &http::Uri) -> Result<(), String> {
    let query = uri
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let is_server_wide = request.target == b"*" && uri.path() == "/";
    if !is_server_wide || target.first() == Some(&b'/') {
        let path = format!("{}{query}", uri.path()).into_bytes();
        agree("target", &request.target, &path)?;
    }
    match uri.authority() {
        Some(authority) => agree(
            "host",
            &request.host.as_deref(),
            &Some(authority.as_str().as_bytes()),
        ),
        None => agree("target", &target, &&request.target[..]),
    }
}

type Other = fn(&[u8], &ClientRequest, &[u8], usize) -> Result<(), String>;
const OTHERS: [(&str, Other, &[Difference]); 2] = [
    ("httparse", httparse, HTTPARSE),
    ("ureq-proto", ureq_proto, UREQ_PROTO),
];

/// Whether ours accepts it; an error where another then differs for no known reason.
fn compare(bytes: &[u8]) -> Result<bool, String> {
    let Some((request, target, n)) = ours(bytes) else {
        return Ok(false);
    };
    for (name, other, differences) in OTHERS {
        if let Err(why) = other(bytes, &request, &target, n) {
            let is_known = |known: &Difference| {
                why.starts_with(known.failure) && (known.is_one)(&request, &target)
            };
            if !differences.iter().any(is_known) {
                return Err(format!("{name}: {why}"));
            }
        }
    }
    Ok(true)
}

const METHODS: &[&str] = &[
    "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "get", "M-SEARCH", "~!'|",
];
const TARGETS: &[&str] = &[
    "/",
    "/a",
    "/a?b=c",
    "//a/b",
    "/?",
    "/%zz",
    "/<>\"`{}|^\\",
    "/\u{e9}",
    "*",
    "http://b",
    "http://b/c",
    "http://b?c",
    "HTTPS://b:1/",
    "http://[::1]:1/c",
    "http://a%2Db/",
    "http://a_b;c=d/",
    "/a?b#c",
    "a",
    "",
];
const VERSIONS: &[&str] = &[
    "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.0", "HTTP/2.0", "http/1.1",
];
const NAMES: &[&str] = &[
    "X",
    "x-a",
    "Expect",
    "Connection",
    "Accept",
    "Upgrade",
    "!#$%&'*+.^_`|~",
];
const VALUES: &[&str] = &[
    "",
    "a",
    "a, b",
    "100-continue",
    "close",
    "keep-alive",
    "\u{e9}",
    "a\tb",
    "\"a\"",
];
const COLONS: &[&str] = &[":", ": ", ": ", ":\t", ":  \t "];
const FRAMINGS: &[&str] = &[
    "",
    "",
    "Content-Length: 0\r\n",
    "content-length:5\r\n",
    "Content-Length: 5 \r\n",
    "Content-Length: 05\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\ncontent-length: 6\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\tCHUNKED \r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding: \x0bchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding: chunked\r\n x\r\n",
    "Content_Length: 5\r\n",
];
const HOSTS: &[&str] = &[
    "Host: a\r\n",
    "Host: a\r\n",
    "Host: a\r\n",
    "host:\ta:80 \r\n",
    "Host:\r\n",
    "Host: [::1]\r\n",
    "Host: a, b\r\n",
    "Host: u@a\r\n",
    "Host: a\r\nHost: a\r\n",
    "",
];

fn target() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![9 => 0x21..0x7f_u8, 1 => any::<u8>()];
    let path = prop::collection::vec(byte, 0..8).prop_map(|path| [b"/", &path[..]].concat());
    prop_oneof![2 => one_of(TARGETS), 1 => path]
}

fn head() -> impl Strategy<Value = Vec<u8>> {
    let field = (one_of(NAMES), one_of(COLONS), one_of(VALUES))
        .prop_map(|(name, colon, value)| [name, colon, value, b"\r\n".to_vec()].concat());
    let fields = prop::collection::vec(field, 0..4).prop_map(|fields| fields.concat());
    let before = prop_oneof![9 => one_of(&[""]), 1 => one_of(&["\r\n", "\n", "\r\n\r\n"])];
    let behind = one_of(&["", "G", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "hello"]);
    let line = (before, one_of(METHODS), target(), one_of(VERSIONS));
    let line = line.prop_map(|(before, method, target, version)| {
        [
            &before,
            &method,
            &b" "[..],
            &target,
            b" ",
            &version,
            b"\r\n",
        ]
        .concat()
    });
    let rest = (fields, one_of(HOSTS), one_of(FRAMINGS), behind);
    (line, rest).prop_map(|(line, (fields, host, framing, behind))| {
        [&line, &host, &fields, &framing, &b"\r\n"[..], &behind].concat()
    })
}

#[test]
fn what_ours_accepts_the_others_read_the_same() {
    // Goal: no request that two readers read differently passes us. Trick: nearly valid requests;
    // the counts show that the property is not empty.
    let (n_cases, n_accepted) = (Cell::new(0), Cell::new(0));
    hold(6_000, &mutated(head(), 3), |Raw(bytes)| {
        n_cases.set(n_cases.get() + 1);
        let is_accepted = compare(&bytes).map_err(TestCaseError::fail)?;
        n_accepted.set(n_accepted.get() + usize::from(is_accepted));
        Ok(())
    });
    let (n_cases, n_accepted) = (n_cases.get(), n_accepted.get());
    println!("{n_accepted} of {n_cases} heads are accepted");
    assert!(
        n_accepted * 20 > n_cases && n_accepted * 2 < n_cases,
        "{n_accepted} of {n_cases}"
    );
}

#[test]
fn regressions_stay_fixed() {
    for bytes in REGRESSIONS {
        assert_eq!(compare(bytes).err(), None, "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_difference_is_still_one() {
    for (name, other, differences) in OTHERS {
        for Difference {
            reason,
            failure,
            is_one,
            example,
        } in differences
        {
            let (request, target, n) = ours(example).expect(reason);
            assert!(is_one(&request, &target), "{name}: {reason}");
            let theirs = other(example, &request, &target, n);
            let is_one = theirs.is_err_and(|why| why.starts_with(failure));
            assert!(is_one, "{name} agrees now: {reason}");
        }
    }
}

#[test]
fn what_others_accept_and_ours_refuses_is_known() {
    for (what, accepted, bytes) in STRICTER {
        assert!(ours(bytes).is_none(), "{what}");
        let mut lines = [httparse::EMPTY_HEADER; 100];
        let httparse = httparse::Request::new(&mut lines).parse(bytes);
        let httparse = httparse.is_ok_and(|status| status.is_complete());
        let ureq_proto = Reply::new().and_then(|mut reply| reply.try_request(bytes));
        let ureq_proto = ureq_proto.is_ok_and(|(_, request)| request.is_some());
        assert_eq!([httparse, ureq_proto], *accepted, "{what}");
    }
}
