//! Answers that are ours: a refusal, or that no backend could answer.

use std::time::SystemTime;

use crate::intake::fields::write_line;
use crate::intake::{ClientRequest, Refusal, Version};

/// An answer that is ours: a refusal, or that no backend could answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAnswer {
    /// The status.
    pub status: u16,
    /// One sentence for the client.
    pub reason: String,
    /// Seconds after which trying again may help; goes with 503.
    pub retry_after: Option<u64>,
    /// Where else the client finds it: a URI; goes with 308.
    pub location: Option<Vec<u8>>,
}

impl OwnAnswer {
    /// This status and reason, and nothing else.
    pub fn new(status: u16, reason: String) -> OwnAnswer {
        OwnAnswer {
            status,
            reason,
            retry_after: None,
            location: None,
        }
    }

    /// A 308: the same request belongs there, now and later.
    pub fn redirect(location: Vec<u8>) -> OwnAnswer {
        OwnAnswer {
            location: Some(location),
            ..OwnAnswer::new(308, "it is at another place".to_owned())
        }
    }

    /// A 503 for want of a worker, with the seconds that the queue's own rate tells.
    pub fn refused_by_queue(reason: &str, retry_after: u64) -> OwnAnswer {
        OwnAnswer {
            retry_after: Some(retry_after),
            ..OwnAnswer::new(503, reason.to_owned())
        }
    }
}

impl From<Refusal> for OwnAnswer {
    fn from(refusal: Refusal) -> OwnAnswer {
        OwnAnswer::new(refusal.status, refusal.reason.to_owned())
    }
}

/// Writes one of our own answers, content included, with these field lines among its own. Returns
/// the length of its head.
pub fn write_own(
    out: &mut Vec<u8>,
    own: &OwnAnswer,
    request: &ClientRequest,
    keep_alive: bool,
    lines: &[u8],
) -> u64 {
    let phrase = phrase(own.status);
    let content = format!("{} {phrase}: {}\n", own.status, own.reason);
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut line = |text: String| {
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    line(format!("HTTP/1.1 {} {phrase}", own.status));
    line(format!("Date: {date}"));
    line("Content-Type: text/plain; charset=utf-8".to_owned());
    line(format!("Content-Length: {}", content.len()));
    if let Some(seconds) = own.retry_after {
        line(format!("Retry-After: {seconds}"));
    }
    if own.status == 405 {
        // RFC 9110 §15.5.6 wants the methods that would do; an empty list means none here.
        line("Allow: ".to_owned());
    }
    if let Some(location) = &own.location {
        write_line(out, b"Location", location);
    }
    out.extend_from_slice(lines);
    write_connection(out, request, keep_alive);
    out.extend_from_slice(b"\r\n");
    let n_head = out.len() as u64;
    if !request.is_head() {
        out.extend_from_slice(content.as_bytes());
    }
    n_head
}

/// Persistence is said where it is not the version's default (RFC 9112 §9.3).
pub fn write_connection(out: &mut Vec<u8>, request: &ClientRequest, keep_alive: bool) {
    match (request.version, keep_alive) {
        (Version::Http11, false) => out.extend_from_slice(b"Connection: close\r\n"),
        (Version::Http10, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        _ => {}
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_answers_are_complete_and_have_no_content_for_head() {
        let own = OwnAnswer::refused_by_queue("no one", 7);
        for (method, ends_with) in [
            ("GET", "\r\n\r\n503 Service Unavailable: no one\n"),
            ("HEAD", "\r\n\r\n"),
        ] {
            let mut out = Vec::new();
            let n_head = write_own(
                &mut out,
                &own,
                &ClientRequest::example(method),
                false,
                b"A: b\r\n",
            );
            let text = String::from_utf8(out).expect("it is text");
            assert_eq!(text.find("\r\n\r\n").map(|at| at as u64 + 4), Some(n_head));
            assert!(
                text.starts_with("HTTP/1.1 503 Service Unavailable\r\nDate: "),
                "{text}"
            );
            assert!(text.contains(
                "\r\nContent-Length: 32\r\nRetry-After: 7\r\nA: b\r\nConnection: close\r\n"
            ));
            assert!(text.ends_with(ends_with), "{text}");
        }
    }

    #[test]
    fn a_redirect_says_where_and_has_content_too() {
        let mut out = Vec::new();
        let own = OwnAnswer::redirect(b"https://a/x".to_vec());
        write_own(&mut out, &own, &ClientRequest::example("POST"), true, b"");
        let text = String::from_utf8(out).expect("it is text");
        assert!(text.starts_with("HTTP/1.1 308 Permanent Redirect\r\nDate: "));
        let end = "\r\nContent-Length: 47\r\nLocation: https://a/x\r\n\r\n\
                   308 Permanent Redirect: it is at another place\n";
        assert!(text.ends_with(end), "{text}");
    }
}
