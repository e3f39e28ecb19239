//! The head of a backend's answer on its way to the client: checked, framed, rewritten.

use crate::decimal::push_number;
use crate::exchange::fields::{self, Changes, Length};
use crate::exchange::response_head::ResponseHead;
use crate::intake::check::parse_length;
use crate::intake::fields::list;
use crate::intake::own::write_connection;
use crate::intake::{ClientRequest, Version, proxy_status};

/// How the content of an answer goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none (HEAD, 204, 304).
    Empty,
    /// With the length that the head announced.
    Sized(u64),
    /// In chunks.
    Chunked,
    /// Up to the end of the connection: for HTTP/1.0 clients, when no length is known.
    UntilClose,
}

/// What [`write_backend_head`] found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The status.
    pub status: u16,
    /// How to send the content.
    pub framing: Framing,
    /// Whether the client's connection can serve another request.
    pub keep_alive: bool,
}

/// Writes the client's head for a backend's answer; an error says why that is a bad one.
pub fn write_backend_head(
    out: &mut Vec<u8>,
    head: &mut ResponseHead,
    request: &ClientRequest,
    keep_alive: bool,
    changes: &Changes,
) -> Result<Plan, &'static str> {
    head.read()?;
    let status = head.status;
    if status == 101 {
        return Err("it switched protocols and nobody asked it to");
    }
    let lines = head.lines();
    let length = match head.announced {
        Some(announced) => Some(announced.length),
        None => content_length(lines.clone(), head.minor)?,
    };
    let framing = match length {
        _ if request.is_head() || matches!(status, 204 | 304) => Framing::Empty,
        Some(length) => Framing::Sized(length),
        None if request.version == Version::Http11 => Framing::Chunked,
        None => Framing::UntilClose,
    };
    let announced = match framing {
        Framing::Sized(length) => Length::Sized(length),
        Framing::Chunked => Length::Chunked,
        Framing::Empty | Framing::UntilClose => Length::Unannounced,
    };
    let keep_alive = keep_alive && framing != Framing::UntilClose;
    out.extend_from_slice(b"HTTP/1.1 ");
    // ureq lets none below 100 through.
    push_number(out, status.into());
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    let kept_length = framing == Framing::Empty && status != 204;
    fields::write_response_fields(out, lines.clone(), announced, kept_length, changes);
    proxy_status::write_received(out, changes.proxy_status, lines, status);
    write_connection(out, request, keep_alive);
    out.extend_from_slice(b"\r\n");
    Ok(Plan {
        status,
        framing,
        keep_alive,
    })
}

/// The length that the backend announced. Two that differ, one beside a transfer-coding, or such a
/// coding in HTTP/1.0 can be read in two ways (RFC 9112 §6.1 and §6.3), and a transfer-coding other
/// than chunked, once, not at all.
fn content_length<'a>(
    mut lines: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    minor: u8,
) -> Result<Option<u64>, &'static str> {
    let all = |name: &'static str| {
        let lines = lines
            .clone()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        lines.flat_map(|(_, value)| list(value))
    };
    let mut codings = all("transfer-encoding");
    let coding = codings.next();
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
        return Err("it uses a transfer-coding other than chunked");
    }
    let is_coded = coding.is_some();
    if codings.next().is_some() {
        return Err("it uses more than one transfer-coding");
    }
    if is_coded && minor == 0 {
        return Err("it uses a transfer-coding in HTTP/1.0");
    }
    let mut lengths = all("content-length").map(parse_length);
    let Some(length) = lengths.next() else {
        let is_there = lines.any(|(n, _)| n.eq_ignore_ascii_case(b"content-length"));
        return if is_there {
            Err("its Content-Length is empty")
        } else {
            Ok(None)
        };
    };
    let length = length.ok_or("its Content-Length is not a number")?;
    if lengths.any(|other| other != Some(length)) {
        return Err("it has differing Content-Lengths");
    }
    if is_coded {
        return Err("it has both Content-Length and Transfer-Encoding");
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, version: Version) -> ClientRequest {
        ClientRequest {
            version,
            ..ClientRequest::example(method)
        }
    }

    fn head(method: &str, version: Version, answer: &str) -> Result<(Plan, String), &'static str> {
        let answer = answer.replace('\n', "\r\n") + "\r\n\r\n";
        let (mut out, mut head) = (Vec::new(), ResponseHead::default());
        head.set(answer.as_bytes());
        let (request, changes) = (request(method, version), Changes::default());
        let plan = write_backend_head(&mut out, &mut head, &request, true, &changes)?;
        Ok((plan, String::from_utf8_lossy(&out).replace('\r', "")))
    }

    #[test]
    fn framing_follows_method_status_length_and_version() {
        use Framing::{Chunked, Empty, Sized, UntilClose};
        use Version::{Http10, Http11};
        let cases = [
            (
                "GET",
                Http11,
                "HTTP/1.1 200 OK\nContent-Length: 5",
                Sized(5),
                true,
            ),
            (
                "GET",
                Http11,
                "HTTP/1.1 200 OK\nContent-Length: 5, 5",
                Sized(5),
                true,
            ),
            (
                "GET",
                Http11,
                "HTTP/1.1 200 OK\nTransfer-Encoding: chunked",
                Chunked,
                true,
            ),
            ("GET", Http11, "HTTP/1.0 200 OK", Chunked, true),
            (
                "GET",
                Http10,
                "HTTP/1.1 200 OK\nTransfer-Encoding: chunked",
                UntilClose,
                false,
            ),
            (
                "GET",
                Http10,
                "HTTP/1.1 200 OK\nContent-Length: 5",
                Sized(5),
                true,
            ),
            (
                "HEAD",
                Http11,
                "HTTP/1.1 200 OK\nContent-Length: 5",
                Empty,
                true,
            ),
            ("HEAD", Http10, "HTTP/1.1 200 OK", Empty, true),
            ("GET", Http11, "HTTP/1.1 204 No Content", Empty, true),
            (
                "GET",
                Http11,
                "HTTP/1.1 304 Not Modified\nContent-Length: 5",
                Empty,
                true,
            ),
        ];
        for (method, version, answer, framing, keep_alive) in cases {
            let (plan, _) = head(method, version, answer).expect(answer);
            assert_eq!(
                (plan.framing, plan.keep_alive),
                (framing, keep_alive),
                "{method} {answer}"
            );
        }
    }

    #[test]
    fn heads_are_passed_on_with_status_reason_and_fields() {
        use Version::{Http10, Http11};
        let cases = [
            (
                "GET",
                Http11,
                "HTTP/1.1 299 Odd One\nx-A: 1\nContent-Length: 0",
                "HTTP/1.1 299 Odd One\nx-A: 1\nContent-Length: 0\n\n",
            ),
            (
                "GET",
                Http11,
                "HTTP/1.0 599 \nA: b",
                "HTTP/1.1 599 \nA: b\nTransfer-Encoding: chunked\n\n",
            ),
            (
                "GET",
                Http10,
                "HTTP/1.1 200 OK\nA: b",
                "HTTP/1.1 200 OK\nA: b\n\n",
            ),
            (
                "GET",
                Http10,
                "HTTP/1.1 200 OK\nContent-Length: 1",
                "HTTP/1.1 200 OK\nContent-Length: 1\nConnection: keep-alive\n\n",
            ),
            (
                "HEAD",
                Http11,
                "HTTP/1.1 200 OK\nContent-Length: 9",
                "HTTP/1.1 200 OK\nContent-Length: 9\n\n",
            ),
            (
                "GET",
                Http11,
                "HTTP/1.1 204 No Content\nContent-Length: 0",
                "HTTP/1.1 204 No Content\n\n",
            ),
        ];
        for (method, version, answer, wanted) in cases {
            assert_eq!(
                head(method, version, answer).expect(answer).1,
                wanted,
                "{answer}"
            );
        }
    }

    #[test]
    fn answers_that_contradict_themselves_are_bad() {
        let cases = [
            "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6",
            "HTTP/1.1 200 OK\nContent-Length: 5, 6",
            "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked",
            "HTTP/1.1 200 OK\nContent-Length: +5",
            "HTTP/1.1 200 OK\nContent-Length:",
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked, chunked",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
            "HTTP/1.0 200 OK\nTransfer-Encoding: chunked",
            "HTTP/1.1 101 Switching Protocols\nUpgrade: x",
            "HTTP/2 200",
        ];
        for answer in cases {
            assert!(head("GET", Version::Http11, answer).is_err(), "{answer}");
        }
    }
}
