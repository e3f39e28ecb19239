//! The length of a request's content: one way to read it, or no request.

use crate::intake::check::{Limits, refuse};
use crate::intake::fields::list;
use crate::intake::{ClientRequest, ContentFraming, Limit, Refusal, Version};

/// RFC 9112 §6: one way to read the length, or none at all.
pub fn check_framing(request: &ClientRequest, limits: &Limits) -> Result<ContentFraming, Refusal> {
    if request.fields.iter().any(|(name, _)| is_disguised(name)) {
        return refuse(400, "a field name that could be read as one of the framing");
    }
    let mut lengths = request.fields.all("Content-Length");
    let mut codings = request.fields.all("Transfer-Encoding");
    let length = lengths.next();
    if let Some(coding) = codings.next() {
        if length.is_some() {
            return refuse(400, "both Content-Length and Transfer-Encoding");
        }
        if request.version == Version::Http10 {
            return refuse(400, "Transfer-Encoding in HTTP/1.0");
        }
        if codings.next().is_some() {
            return refuse(400, "more than one Transfer-Encoding");
        }
        return check_coding(coding);
    }
    let Some(length) = length else {
        return Ok(ContentFraming::Empty);
    };
    if lengths.any(|other| other != length) {
        return refuse(400, "differing Content-Lengths");
    }
    match parse_length(length) {
        Some(n) if limits.max_content.is_some_and(|most| n > most) => {
            Err(Limit::MaxContent.refusal())
        }
        Some(n) => Ok(ContentFraming::Sized(n)),
        None => refuse(400, "Content-Length is not a number"),
    }
}

/// A single `chunked` and nothing beside it. RFC 9112 §6.3 wants 400 where `chunked` is not the
/// last coding, for then the content has no end; §6.1 wants 501 for other codings before it.
fn check_coding(coding: &[u8]) -> Result<ContentFraming, Refusal> {
    let is_chunked = |member: &[u8]| member.eq_ignore_ascii_case(b"chunked");
    if is_chunked(coding) {
        return Ok(ContentFraming::Chunked);
    }
    if !list(coding).last().is_some_and(is_chunked) {
        return refuse(400, "Transfer-Encoding does not end with chunked");
    }
    if list(coding).filter(|member| is_chunked(member)).count() > 1 {
        return refuse(400, "chunked more than once");
    }
    if list(coding).count() == 1 {
        return refuse(400, "an empty transfer-coding");
    }
    refuse(501, "a transfer-coding other than chunked")
}

/// `Content_Length` and the like. CGI and what descends from it (WSGI, Rack, PHP) turn what is no
/// letter into the same `_`, so that a backend there could take it for the real field.
fn is_disguised(name: &[u8]) -> bool {
    let is_like = |real: &[u8]| {
        let mut pairs = name.iter().zip(real);
        name.len() == real.len()
            && !name.eq_ignore_ascii_case(real)
            && pairs
                .all(|(a, b)| a.eq_ignore_ascii_case(b) || *b == b'-' && !a.is_ascii_alphanumeric())
    };
    is_like(b"content-length") || is_like(b"transfer-encoding")
}

/// Plain digits, no sign, no blank, no list, no overflow.
pub fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::check::check;
    use crate::intake::check::tests::{request, status};

    #[test]
    fn lengths_have_one_reading_or_are_refused() {
        let cases: [(u16, &[&str]); 32] = [
            (200, &["Content-Length: 5"]),
            (200, &["Content-Length: 0"]),
            (200, &["Content-Length: 005"]),
            (200, &["Content-Length: 18446744073709551615"]),
            (200, &["Content-Length: 5", "content-length: 5"]),
            (200, &["Transfer-Encoding: Chunked"]),
            (400, &["Content-Length: 5", "Content-Length: 6"]),
            (400, &["Content-Length: 5", "Content-Length: 05"]),
            (400, &["Content-Length: 5, 5"]),
            (400, &["Content-Length: +5"]),
            (400, &["Content-Length: -5"]),
            (400, &["Content-Length: 0x5"]),
            (400, &["Content-Length: 5 5"]),
            (400, &["Content-Length"]),
            (400, &["Content-Length: 18446744073709551616"]),
            (400, &["Content-Length: 5", "Transfer-Encoding: chunked"]),
            (400, &["Transfer-Encoding: chunked", "Transfer-Encoding: a"]),
            (400, &["Transfer-Encoding: a", "Transfer-Encoding: chunked"]),
            (400, &["Transfer-Encoding: chunked, chunked"]),
            (400, &["Transfer-Encoding: chunked, gzip"]),
            (400, &["Transfer-Encoding: identity"]),
            (400, &["Transfer-Encoding: xchunked"]),
            (400, &["Transfer-Encoding: chunked;x"]),
            (400, &["Transfer-Encoding: \"chunked\""]),
            (400, &["Transfer-Encoding: chunked,"]),
            (400, &["Transfer-Encoding"]),
            (501, &["Transfer-Encoding: gzip, chunked"]),
            (501, &["Transfer-Encoding: identity, chunked"]),
            (400, &["Content_Length: 5"]),
            (400, &["transfer.encoding: chunked"]),
            (200, &["Content-Lengths: 5", "ContentXLength: 5"]),
            (200, &["X-Content_Length: 5"]),
        ];
        for (wanted, lines) in cases {
            let lines = [&["Host: a"], lines].concat();
            assert_eq!(
                status(Version::Http11, "POST", "/", &lines),
                wanted,
                "{lines:?}"
            );
        }
        let chunked = ["Transfer-Encoding: chunked"];
        assert_eq!(status(Version::Http10, "POST", "/", &chunked), 400);
    }

    #[test]
    fn content_is_taken_at_the_limit_and_refused_above_it() {
        let limits = Limits {
            max_content: Some(5),
            ..Limits::default()
        };
        for (length, wanted) in [("5", Ok(())), ("6", Err(413)), ("x", Err(400))] {
            let length = format!("Content-Length: {length}");
            let mut request = request(Version::Http11, "POST", "/", &["Host: a", &length]);
            let checked = check(&mut request, &limits).map_err(|refusal| refusal.status);
            assert_eq!(checked, wanted, "{length}");
        }
    }
}
