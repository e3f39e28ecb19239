//! The answer to a probe, as it comes: its head, and of its content what the probe asks for.
//!
//! Pure: bytes in, a finding out, as soon as there is one.

use httparse::{Header, Response};

use crate::pool::HttpProbe;
use crate::pool::probe::content::{Content, Framing};
use crate::pool::probe::{Found, ill};

/// The longest head of an answer, with all interim ones before it.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most fields of a head.
const MAX_FIELDS: usize = 128;

/// What every answer begins with.
const BEGINNING: &[u8] = b"HTTP/1.";

pub(super) const MALFORMED: &str = "the answer is malformed";
pub(super) const BROKEN_OFF: &str = "the answer broke off";

/// An answer of which a part may have come.
#[derive(Debug)]
pub struct Answer {
    probe: HttpProbe,
    /// What came of the head; freed after it.
    head: Vec<u8>,
    /// Bytes of interim answers before it.
    n_skipped: usize,
    /// Once the head was good and its content matters.
    content: Option<Content>,
}

/// What a complete head means.
enum Judged {
    Interim,
    Decided(Found),
    /// Its content decides.
    Content(Framing),
}

impl Answer {
    /// Nothing has come yet.
    pub fn new(probe: HttpProbe) -> Answer {
        Answer {
            probe,
            head: Vec::new(),
            n_skipped: 0,
            content: None,
        }
    }

    /// Takes what came next; some once that is enough.
    pub fn read(&mut self, bytes: &[u8]) -> Option<Found> {
        if let Some(content) = &mut self.content {
            return content.read(bytes);
        }
        self.head.extend_from_slice(bytes);
        // Only a line's end can complete a head. So a head that drips in is parsed once a line, of
        // which the parser takes few, and not once a byte.
        let mut may_be_complete = bytes.contains(&b'\n');
        loop {
            let n_begun = self.head.len().min(BEGINNING.len());
            if self.head[..n_begun] != BEGINNING[..n_begun] {
                return Some(ill(MALFORMED));
            }
            let judged = if may_be_complete {
                parse(&self.probe, &self.head)
            } else {
                Ok(None)
            };
            let Ok(judged) = judged else {
                return Some(ill(MALFORMED));
            };
            // One that is not complete has at least one byte more.
            let n_head = judged.as_ref().map_or(self.head.len() + 1, |(n, _)| *n);
            if self.n_skipped + n_head > MAX_HEAD_BYTES {
                return Some(ill("the answer's head is too long"));
            }
            match judged?.1 {
                Judged::Interim => {
                    self.head.drain(..n_head);
                    self.n_skipped += n_head;
                    may_be_complete = !self.head.is_empty();
                }
                Judged::Decided(found) => return Some(found),
                Judged::Content(framing) => {
                    let text = self.probe.text.take().unwrap_or_default();
                    let head = std::mem::take(&mut self.head);
                    let content = self.content.insert(Content::new(framing, &text));
                    return content.read(&head[n_head..]);
                }
            }
        }
    }

    /// The connection has ended, and nothing was decided before.
    pub fn end(&self) -> Found {
        match &self.content {
            Some(content) => content.end(),
            None if self.head.is_empty() && self.n_skipped == 0 => ill("closed without an answer"),
            None => ill(BROKEN_OFF),
        }
    }
}

/// Reads a head; none while there is more to come. Some has its length.
fn parse(probe: &HttpProbe, bytes: &[u8]) -> Result<Option<(usize, Judged)>, ()> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = Response::new(&mut fields);
    match head.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(n)) => {
            let status = head.code.ok_or(())?;
            Ok(Some((n, judge(probe, status, head.headers)?)))
        }
        Err(_) => Err(()),
    }
}

fn judge(probe: &HttpProbe, status: u16, fields: &[Header]) -> Result<Judged, ()> {
    // 101 ends HTTP on a connection: nothing comes after it.
    if (100..200).contains(&status) && status != 101 {
        return Ok(Judged::Interim);
    }
    let drains = |name| values(fields, name).next().is_some();
    if status == 503 && probe.drain_field.as_deref().is_some_and(drains) {
        return Ok(Judged::Decided(Found::Draining));
    }
    if !probe.expect.has(status) {
        return Ok(Judged::Decided(ill(&format!("answered {status}"))));
    }
    match probe.text.as_deref() {
        None | Some("") => Ok(Judged::Decided(Found::Good)),
        Some(_) => Ok(Judged::Content(framing(status, fields)?)),
    }
}

/// How the content's end is found (RFC 9112 §6.3, for the answer to a GET).
fn framing(status: u16, fields: &[Header]) -> Result<Framing, ()> {
    if matches!(status, 101 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if let Some(codings) = values(fields, "Transfer-Encoding").last() {
        let last = codings.rsplit(|b| *b == b',').next().unwrap_or_default();
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return Ok(if is_chunked {
            Framing::chunked()
        } else {
            Framing::ToEnd
        });
    }
    let mut lengths = values(fields, "Content-Length");
    let Some(first) = lengths.next() else {
        return Ok(Framing::ToEnd);
    };
    let first = first.trim_ascii();
    let are_same = lengths.all(|other| other.trim_ascii() == first);
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(first)
        .ok()
        .and_then(|digits| digits.parse().ok());
    length
        .filter(|_| are_same && is_number)
        .map(Framing::Length)
        .ok_or(())
}

/// The values of all fields of this name.
fn values<'f>(fields: &'f [Header], name: &str) -> impl Iterator<Item = &'f [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}

#[cfg(all(test, not(loom)))]
mod tests;
