//! Errors as `application/problem+json` (RFC 9457), and answers as they are sent.

use std::time::SystemTime;

use serde::Serialize;

use crate::admin::json::StragglerStatus;
use crate::admin::site::ChangeError;
use crate::intake::own::write_connection;
use crate::intake::{ClientRequest, Refusal};

/// What went wrong, for programs and people.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind it is (RFC 9457 §4.2.1).
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    pub status: u16,
    /// One sentence about this one.
    pub detail: String,
    /// What a drain has waited for in vain.
    #[serde(flatten)]
    pub left: Option<Box<Left>>,
    /// All errors of a configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Fields of the answer that go with it.
    #[serde(skip)]
    fields: Vec<(&'static str, String)>,
}

/// What is still in flight at a backend.
#[derive(Debug, Serialize)]
pub struct Left {
    /// Exchanges now.
    pub in_flight: usize,
    /// Whose these are.
    pub stragglers: Vec<StragglerStatus>,
}

impl Problem {
    /// A problem of this status; one sentence says which.
    pub fn new(status: u16, detail: impl Into<String>) -> Problem {
        Problem {
            kind: "about:blank",
            title: phrase(status),
            status,
            detail: detail.into(),
            left: None,
            errors: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// The same, with this field in its answer.
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: &str) -> Problem {
        self.fields.push((name, value.to_owned()));
        self
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Problem {
        let (status, detail) = match error {
            ChangeError::Unknown(detail) => (404, detail),
            ChangeError::Conflict(detail) => (409, detail),
            ChangeError::Invalid(detail) => (422, detail),
        };
        Problem::new(status, detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let problem = Problem::new(refusal.status, refusal.reason);
        if refusal.status == 405 {
            // RFC 9110 §15.5.6 wants the methods that would do; an empty list means none.
            return problem.with_field("Allow", "");
        }
        problem
    }
}

/// An answer, but for what depends on its request.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    media_type: &'static str,
    fields: Vec<(&'static str, String)>,
    content: Vec<u8>,
}

impl Answer {
    /// An answer in JSON.
    pub fn json(status: u16, content: &impl Serialize) -> Answer {
        Answer {
            status,
            media_type: "application/json",
            fields: Vec::new(),
            content: text(content),
        }
    }

    /// A line for people and probes.
    pub fn plain(status: u16, line: &str) -> Answer {
        Answer::text(status, "text/plain; charset=utf-8", format!("{line}\n"))
    }

    /// An answer in another media type.
    pub fn text(status: u16, media_type: &'static str, content: String) -> Answer {
        Answer {
            status,
            media_type,
            fields: Vec::new(),
            content: content.into_bytes(),
        }
    }

    /// The same, with this field.
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: String) -> Answer {
        self.fields.push((name, value));
        self
    }

    /// All of it as bytes; the content only where the method wants it.
    pub fn write(&self, out: &mut Vec<u8>, request: &ClientRequest, keep_alive: bool) {
        let mut line = |text: String| {
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        line(format!("HTTP/1.1 {} {}", self.status, phrase(self.status)));
        line(format!(
            "Date: {}",
            httpdate::fmt_http_date(SystemTime::now())
        ));
        line(format!("Content-Type: {}", self.media_type));
        line(format!("Content-Length: {}", self.content.len()));
        line("Cache-Control: no-store".to_owned());
        // A browser that is shown an answer must not take it for a page.
        line("X-Content-Type-Options: nosniff".to_owned());
        for (name, value) in &self.fields {
            line(format!("{name}: {value}"));
        }
        write_connection(out, request, keep_alive);
        out.extend_from_slice(b"\r\n");
        if !request.is_head() {
            out.extend_from_slice(&self.content);
        }
    }
}

impl From<Problem> for Answer {
    fn from(mut problem: Problem) -> Answer {
        let fields = std::mem::take(&mut problem.fields);
        Answer {
            status: problem.status,
            media_type: "application/problem+json",
            fields,
            content: text(&problem),
        }
    }
}

/// Ends with a newline, for people at a terminal.
fn text(content: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_vec(content);
    let mut text = text.expect("all keys are text and all numbers finite");
    text.push(b'\n');
    text
}

/// Every status that this API answers with.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
