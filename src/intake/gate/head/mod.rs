//! Reads a request's head, strictly (RFC 9112): first every byte as it comes, then the whole.
//!
//! Pure. [`HeadScan`] refuses a head that can't become good without waiting for its end; `httparse`
//! then reads what passed, so two readers must agree; the check that both listeners share has the
//! last word.

mod scan;

use std::mem::MaybeUninit;
use std::net::IpAddr;

use httparse::{Error, Header, Status};

use crate::intake::check::{Limits, check_sense};
use crate::intake::{ClientRequest, Limit, Refusal, Version, method_named};

pub use self::scan::{HeadScan, max_head};

use self::scan::refuse;

/// Reads and checks a head that [`HeadScan`] has found to be whole. `spare` is a request that is
/// over, for its memory.
pub fn parse(
    head: &[u8],
    address: Option<IpAddr>,
    limits: &Limits,
    spare: Option<Box<ClientRequest>>,
) -> Result<Box<ClientRequest>, Refusal> {
    let mut request = spare.unwrap_or_else(|| Box::new(ClientRequest::stand_in("GET", address)));
    request.address = address;
    match read(head, &mut request) {
        // Targets in Latin-1, which older clients send.
        Err(Error::Token) => read_beside_target(head, &mut request),
        read => read,
    }
    .map_err(|error| match error {
        Error::TooManyHeaders => Limit::MaxFields.refusal(),
        _ => refuse(400, "the head is malformed"),
    })?;
    check_sense(&mut request, limits)?;
    Ok(request)
}

/// Everything that stands in a head is set; what follows from it is for the check to set.
fn read(head: &[u8], request: &mut ClientRequest) -> Result<(), Error> {
    let mut lines = [const { MaybeUninit::<Header>::uninit() }; Limits::MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut lines)? {
        Status::Complete(length) if length == head.len() => {}
        // It is not the head that was scanned.
        _ => return Err(Error::NewLine),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Error::NewLine);
    };
    request.fields.clear(parsed.headers.len(), head.len());
    for line in parsed.headers.iter() {
        request.fields.push(line.name.as_bytes(), line.value);
    }
    request.method = method_named(method);
    request.target.clear();
    request.target.extend_from_slice(target.as_bytes());
    request.version = match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    };
    Ok(())
}

/// `httparse` wants targets to be UTF-8. Any other is put aside, and `/` read in its place.
fn read_beside_target(head: &[u8], request: &mut ClientRequest) -> Result<(), Error> {
    let mut words = head.splitn(3, |&byte| byte == b' ');
    let (Some(method), Some(target), Some(rest)) = (words.next(), words.next(), words.next())
    else {
        return Err(Error::Token);
    };
    if str::from_utf8(target).is_ok() {
        return Err(Error::Token);
    }
    read(&[method, b" / ", rest].concat(), request)?;
    request.target = target.to_vec();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::intake::ContentFraming;

    fn status(head: &str) -> u16 {
        match HeadScan::default().scan(head.as_bytes(), &Limits::default()) {
            Ok(Some(n)) => parse(&head.as_bytes()[..n], None, &Limits::default(), None)
                .map_or_else(|refusal| refusal.status, |_| 200),
            Ok(None) => 0,
            Err(refusal) => refusal.status,
        }
    }

    #[test]
    fn a_head_is_read_as_it_stands() {
        let address = Some(IpAddr::from([10, 0, 0, 7]));
        let rows: [(&[u8], &[u8]); 3] = [
            (b"\r\nM-X /<\xc3\xa9> HTTP/1.0\r\n", b"/<\xc3\xa9>"),
            (b"M-X /\xe9?%zz HTTP/1.0\r\n", b"/\xe9?%zz"),
            (b"M-X http://b/c HTTP/1.0\r\n", b"/c"),
        ];
        for (line, target) in rows {
            let fields =
                b"Host: a\r\nhost-X:\r\nB:\t c \xe9 \t\r\nB:d\r\nContent-Length: 7\r\n\r\n";
            let head = [line, fields].concat();
            let request = parse(&head, address, &Limits::default(), None).expect("a good head");
            assert_eq!((&request.method[..], &request.target[..]), ("M-X", target));
            assert_eq!(request.version, Version::Http10);
            assert_eq!(request.framing, ContentFraming::Sized(7));
            assert_eq!(request.address, address);
            let lines: Vec<_> = request.fields.iter().collect();
            let wanted: [(&[u8], &[u8]); 5] = [
                (b"Host", b"a"),
                (b"host-X", b""),
                (b"B", b"c \xe9"),
                (b"B", b"d"),
                (b"Content-Length", b"7"),
            ];
            assert_eq!(lines, wanted);
        }
    }

    #[test]
    fn nothing_of_the_request_before_is_in_the_next() {
        let heads: [&[u8]; 9] = [
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
            b"PROPFIND /long?q HTTP/1.1\r\nA: b\r\nHost: long.example:80\r\nC: d\r\n\r\n",
            b"OPTIONS http://other:1 HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
            b"GET http://other/x HTTP/1.0\r\n\r\n",
            b"PUT /b HTTP/1.1\r\nHost: b\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n",
            b"POST /\xc3\xa9 HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET /\xe9 HTTP/1.1\r\nHost: b\r\n\r\n",
            b"GET /c HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        ];
        let limits = Limits::default();
        let read = |head: &[u8], address: u8, spare| {
            let address = Some(IpAddr::from([10, 0, 0, address]));
            parse(head, address, &limits, spare).expect("a good head")
        };
        for first in heads {
            for second in heads {
                let reused = read(second, 2, Some(read(first, 1, None)));
                let fresh = read(second, 2, None);
                assert_eq!(
                    format!("{reused:?}"),
                    format!("{fresh:?}"),
                    "behind {first:?}"
                );
            }
        }
    }

    #[test]
    fn a_whole_head_is_checked_too() {
        let rows = [
            (200, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (200, "GET / HTTP/1.0\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
            (405, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            (
                501,
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: a, chunked\r\n\r\n",
            ),
        ];
        for (wanted, head) in rows {
            assert_eq!(status(head), wanted, "{head:?}");
        }
        let fields = "A:\r\n".repeat(Limits::MOST_FIELDS + 1);
        let head = format!("GET / HTTP/1.0\r\n{fields}\r\n");
        let refusal = parse(head.as_bytes(), None, &Limits::default(), None).expect_err("too many");
        assert_eq!(refusal.status, 431);
        for part in ["", "GET / HTTP/1.0\r\n", "GET / HTTP/1.0\r\n\r\nG"] {
            assert!(
                parse(part.as_bytes(), None, &Limits::default(), None).is_err(),
                "{part:?}"
            );
        }
    }
}
