//! The head of a backend's answer as received, and where its parts stand in it.
//!
//! Read once, as soon as it is whole: what decides about the connection and what writes the
//! client's head both look here. Its memory goes from one answer to the next.

use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::{Header, ParserConfig, Status};

use crate::exchange::buffers::MAX_RESPONSE_HEAD;
use crate::intake::check::parse_length;
use crate::intake::fields::list;

/// Field lines taken from a backend's answer at most, the same as ureq's limit.
const MAX_RESPONSE_FIELDS: usize = 128;

/// A head, or an empty one.
#[derive(Debug, Default)]
pub struct ResponseHead {
    bytes: Vec<u8>,
    /// Where names and values stand in `bytes`. Empty until the head is read.
    lines: Vec<[u32; 4]>,
    /// The status. 0 until the head is read.
    pub status: u16,
    /// The minor version of HTTP/1.
    pub minor: u8,
    reason: [u32; 2],
    /// Set for a head that was taken as that of an answer with a length.
    pub announced: Option<Announced>,
}

/// An answer of which nothing but its content is to be awaited, and of that it says how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Bytes of content.
    pub length: u64,
    /// The backend says that it closes the connection behind this answer.
    pub closes: bool,
}

impl ResponseHead {
    /// Puts received bytes here, unread.
    pub fn set(&mut self, bytes: &[u8]) {
        self.clear();
        self.bytes.extend_from_slice(bytes);
    }

    /// Ready for another.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        self.status = 0;
        self.announced = None;
    }

    /// The bytes as received, status line and all.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the bytes that were put here, unless that has been done.
    pub fn read(&mut self) -> Result<(), &'static str> {
        if self.status == 0 {
            let bytes = std::mem::take(&mut self.bytes);
            let is_good = self.read_from(&bytes).is_some();
            self.bytes = bytes;
            if !is_good {
                return Err("its head is malformed");
            }
        }
        Ok(())
    }

    /// Reads the head at the start of `input`, if all of it is there and it is a good one. Its
    /// length; the bytes are not taken.
    fn read_from(&mut self, input: &[u8]) -> Option<usize> {
        let mut lines = [const { MaybeUninit::<Header>::uninit() }; MAX_RESPONSE_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = ParserConfig::default();
        let read = config.parse_response_with_uninit_headers(&mut parsed, input, &mut lines);
        let Ok(Status::Complete(length)) = read else {
            return None;
        };
        self.lines.clear();
        for line in parsed.headers.iter() {
            let [name, value] = [line.name.as_bytes(), line.value].map(|part| place(input, part));
            self.lines.push([name[0], name[1], value[0], value[1]]);
        }
        self.status = parsed.code?;
        self.minor = parsed.version?;
        self.reason = place(input, parsed.reason.unwrap_or_default().as_bytes());
        Some(length)
    }

    /// Takes the head at the start of `input` if it is that of an answer with a length: how long
    /// the head is, and what it says. Nothing is taken of any other, nor of one that is not whole:
    /// what is unusual in a head, ureq has to judge.
    pub fn take_sized(&mut self, input: &[u8]) -> Option<(usize, Announced)> {
        self.clear();
        let n = self.read_from(input)?;
        let has_content = matches!(self.status, 200..=203 | 205..=303 | 305..);
        if has_content && self.minor == 1 && n <= MAX_RESPONSE_HEAD {
            self.bytes.extend_from_slice(&input[..n]);
            self.announced = self.find_announced();
            if let Some(announced) = self.announced {
                return Some((n, announced));
            }
        }
        self.clear();
        None
    }

    /// What the lines say of the content and the connection, if they have one Content-Length and no
    /// Transfer-Encoding.
    fn find_announced(&self) -> Option<Announced> {
        let mut length = None;
        let mut closes = false;
        for (name, value) in self.lines() {
            // Most names have another length.
            match name.len() {
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    closes |= list(value).any(|option| option.eq_ignore_ascii_case(b"close"));
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    if length.is_some() {
                        return None;
                    }
                    length = Some(parse_length(value)?);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return None,
                _ => {}
            }
        }
        let length = length?;
        Some(Announced { length, closes })
    }

    /// The reason phrase.
    pub fn reason(&self) -> &[u8] {
        let [start, end] = self.reason;
        &self.bytes[range(start, end)]
    }

    /// The field lines in order, as (name, value).
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.lines
            .iter()
            .map(|&[name, name_end, value, value_end]| {
                (
                    &self.bytes[range(name, name_end)],
                    &self.bytes[range(value, value_end)],
                )
            })
    }
}

fn range(start: u32, end: u32) -> Range<usize> {
    start as usize..end as usize
}

/// Where a part of `whole` stands in it. The parser gives an empty part a place of its own.
fn place(whole: &[u8], part: &[u8]) -> [u32; 2] {
    if part.is_empty() {
        return [0; 2];
    }
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    // A head is far shorter than 4 GiB.
    let at = |n| u32::try_from(n).unwrap_or(u32::MAX);
    [at(start), at(start + part.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> ResponseHead {
        let mut head = ResponseHead::default();
        head.set(text.replace('\n', "\r\n").as_bytes());
        head
    }

    #[test]
    fn a_head_is_read_once_and_its_parts_are_found() {
        let mut good = head("HTTP/1.0 299 Odd One\nx-A:\nB: \u{e9} c \t\nB:d\n\n");
        for _ in 0..2 {
            assert_eq!(good.read(), Ok(()));
            assert_eq!((good.status, good.reason()), (299, &b"Odd One"[..]));
            let lines: Vec<_> = good.lines().collect();
            let wanted: [(&[u8], &[u8]); 3] =
                [(b"x-A", b""), (b"B", "\u{e9} c".as_bytes()), (b"B", b"d")];
            assert_eq!(lines, wanted);
        }
        for (text, reason) in [("HTTP/1.1 200\n\n", ""), ("HTTP/1.1 200 \u{e9}\n\n", "")] {
            let mut head = head(text);
            assert_eq!((head.read(), head.reason()), (Ok(()), reason.as_bytes()));
        }
        for bad in [
            "",
            "HTTP/1.1 200 OK\n",
            "HTTP/2 200\n\n",
            "HTTP/1.1 200 OK\nA B: c\n\n",
        ] {
            assert!(head(bad).read().is_err(), "{bad:?}");
        }
        good.clear();
        assert_eq!(
            (good.lines().count(), good.bytes(), good.status),
            (0, &b""[..], 0)
        );
    }

    #[test]
    fn only_a_plain_head_with_one_length_is_taken() {
        let kept = |length| Some((length, false));
        let closed = |length| Some((length, true));
        let cases = [
            ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", kept(5)),
            ("HTTP/1.1 404 No\nA: b\ncontent-LENGTH: 0\n\nrest", kept(0)),
            (
                "HTTP/1.1 301 \nContent-Length: 7\nConnection: keep-alive, x\n\n",
                kept(7),
            ),
            (
                "HTTP/1.1 200 OK\nConnection: x, Close\nContent-Length: 5\n\n",
                closed(5),
            ),
            (
                "HTTP/1.1 599\nContent-Length: 18446744073709551615\n\n",
                kept(u64::MAX),
            ),
            // These are ureq's to judge.
            ("HTTP/1.1 200 OK\n\n", None),
            ("HTTP/1.1 200 OK\nContent-Length: 5\n", None),
            ("HTTP/1.1 200 OK\nContent-Length: 5, 5\n\n", None),
            ("HTTP/1.1 200 OK\nContent-Length: +5\n\n", None),
            ("HTTP/1.1 200 OK\nContent-Length:\n\n", None),
            (
                "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5\n\n",
                None,
            ),
            (
                "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n\n",
                None,
            ),
            ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", None),
            ("HTTP/1.0 200 OK\nContent-Length: 5\n\n", None),
            ("HTTP/1.1 204 No\nContent-Length: 5\n\n", None),
            ("HTTP/1.1 304 No\nContent-Length: 5\n\n", None),
            ("HTTP/1.1 103 No\nContent-Length: 5\n\n", None),
            ("HTTP/1.1 101 No\nContent-Length: 5\n\n", None),
            ("HTTP/1.1 099 No\nContent-Length: 5\n\n", None),
            ("HTTP/1.1 200 OK\nContent-Length: 5\nA B: c\n\n", None),
        ];
        let mut head = head("HTTP/1.1 200 Before\nA: b\n\n");
        for (text, wanted) in cases {
            let text = text.replace('\n', "\r\n");
            let taken = head.take_sized(text.as_bytes());
            let announced = taken.map(|(_, announced)| (announced.length, announced.closes));
            assert_eq!(announced, wanted, "{text:?}");
            // All of the head, or nothing of it.
            let n = taken.map_or(0, |(n, _)| n);
            assert_eq!(head.bytes(), &text.as_bytes()[..n], "{text:?}");
            assert!(n == 0 || text[..n].ends_with("\r\n\r\n"), "{text:?}");
        }
    }

    #[test]
    fn a_head_that_is_too_long_is_left_to_ureq() {
        let text = |n: usize| {
            let start = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: ";
            let value = "x".repeat(n - start.len() - 4);
            format!("{start}{value}\r\n\r\n")
        };
        let mut head = ResponseHead::default();
        let longest = text(MAX_RESPONSE_HEAD);
        assert!(head.take_sized(longest.as_bytes()).is_some());
        assert!(
            head.take_sized(text(MAX_RESPONSE_HEAD + 1).as_bytes())
                .is_none()
        );
        let lines = "A: b\r\n".repeat(MAX_RESPONSE_FIELDS);
        let many = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{lines}\r\n");
        assert!(head.take_sized(many.as_bytes()).is_none());
    }
}
