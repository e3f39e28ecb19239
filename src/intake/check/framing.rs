//! The length of a request's content: one way to read it, or no request.

use crate::intake::check::refuse;
use crate::intake::{ClientRequest, ContentFraming, Refusal, Version};

/// RFC 9112 §6: one way to read the length, or none at all.
pub fn check_framing(request: &ClientRequest) -> Result<ContentFraming, Refusal> {
    let mut lengths = request.fields.all("Content-Length");
    let mut codings = request.fields.all("Transfer-Encoding").peekable();
    let length = lengths.next();
    if codings.peek().is_some() {
        if length.is_some() {
            return refuse(400, "both Content-Length and Transfer-Encoding");
        }
        if request.version == Version::Http10 {
            return refuse(400, "Transfer-Encoding in HTTP/1.0");
        }
        let coding = codings.next().expect("it was peeked at");
        if codings.next().is_some() {
            return refuse(400, "more than one Transfer-Encoding");
        }
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return refuse(501, "a transfer-coding other than a single chunked");
        }
        return Ok(ContentFraming::Chunked);
    }
    let Some(length) = length else {
        return Ok(ContentFraming::Empty);
    };
    if lengths.any(|other| other != length) {
        return refuse(400, "differing Content-Lengths");
    }
    match parse_length(length) {
        Some(length) => Ok(ContentFraming::Sized(length)),
        None => refuse(400, "Content-Length is not a number"),
    }
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
    use crate::intake::check::tests::status;

    #[test]
    fn lengths_have_one_reading_or_are_refused() {
        let cases: [(u16, &[&str]); 22] = [
            (200, &["Content-Length: 5"]),
            (200, &["Content-Length: 0"]),
            (200, &["Content-Length: 5", "content-length: 5"]),
            (200, &["Transfer-Encoding: Chunked"]),
            (400, &["Content-Length: 5", "Content-Length: 6"]),
            (400, &["Content-Length: 5, 5"]),
            (400, &["Content-Length: +5"]),
            (400, &["Content-Length: -5"]),
            (400, &["Content-Length: 0x5"]),
            (400, &["Content-Length: 5 5"]),
            (400, &["Content-Length"]),
            (400, &["Content-Length: 99999999999999999999"]),
            (400, &["Content-Length: 5", "Transfer-Encoding: chunked"]),
            (
                400,
                &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
            ),
            (
                400,
                &["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
            ),
            (501, &["Transfer-Encoding: chunked, chunked"]),
            (501, &["Transfer-Encoding: gzip, chunked"]),
            (501, &["Transfer-Encoding: chunked, gzip"]),
            (501, &["Transfer-Encoding: identity"]),
            (501, &["Transfer-Encoding: xchunked"]),
            (501, &["Transfer-Encoding: \"chunked\""]),
            (501, &["Transfer-Encoding"]),
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
}
