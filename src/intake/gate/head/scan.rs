//! Finds the end of a request's head as its bytes come; refuses at the first byte that is wrong.
//!
//! Pure. Every byte is looked at once. A line ends with CRLF and with nothing else, a folded line
//! is refused, one empty line before the request line is tolerated (RFC 9112 §2.2), and no more.

use crate::intake::check::Limits;
use crate::intake::fields::Class;
use crate::intake::{Limit, Refusal};

/// Longest method, bytes; the longest that is registered has 17. More: 501 (RFC 9112 §3).
const MAX_METHOD: usize = 64;
/// `HTTP/1.1`.
const VERSION_BYTES: usize = 8;
/// What stands around a name and a value: the colon, a blank, CRLF.
const AROUND_FIELD: usize = 4;
/// How a TLS hello begins (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// The longest head there can be, bytes: a tolerated empty line, the request line, the field lines,
/// the empty line. A field line may have one blank; more of them count as bytes of the fields.
pub fn max_head(limits: &Limits) -> usize {
    let request_line = MAX_METHOD + 1 + limits.max_target + 1 + VERSION_BYTES + 2;
    2 + request_line + max_field_lines(limits) + 2
}

fn max_field_lines(limits: &Limits) -> usize {
    limits.max_fields_bytes + AROUND_FIELD * limits.max_fields
}

/// How far the bytes of a head have been looked at. One for each head.
#[derive(Clone, Debug, Default)]
pub struct HeadScan {
    /// Bytes before this have been looked at.
    position: usize,
    /// Where the element begins that `at` stands in; for fields, where the first of them begins.
    start: usize,
    /// Field lines that have begun.
    n_fields: usize,
    at: At,
}

/// Where in a head the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    EmptyLineLf,
    Method,
    Target,
    Version,
    RequestLineLf,
    LineStart,
    Name,
    Value,
    FieldLf,
    LastLf,
}

impl HeadScan {
    /// Looks at what is new in `bytes`, which are all that came since the end of the last request.
    ///
    /// `Some(n)`: the head is the first `n` bytes, a tolerated empty line before it and the one
    /// that ends it included; this scan is then used up. `None`: incomplete, and fine so far.
    pub fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        loop {
            if let Some(class) = self.at.class() {
                self.position += class.run(&bytes[self.position..]);
                self.check_length(limits)?;
            }
            let Some(&byte) = bytes.get(self.position) else {
                return Ok(None);
            };
            let before = self.at;
            self.at = match (before, byte) {
                (At::Start, b'\r') if self.position == 0 => At::EmptyLineLf,
                (At::Start, _) => self.begin(At::Method, byte)?,
                (At::EmptyLineLf, b'\n') => At::Start,
                (At::Method, b' ') if self.position > self.start => {
                    self.start = self.position + 1;
                    At::Target
                }
                (At::Target, b' ') if self.position > self.start => {
                    self.start = self.position + 1;
                    At::Version
                }
                (At::Version, b'\r') => {
                    check_version(&bytes[self.start..self.position])?;
                    At::RequestLineLf
                }
                (At::RequestLineLf, b'\n') => {
                    self.start = self.position + 1;
                    At::LineStart
                }
                (At::FieldLf, b'\n') => At::LineStart,
                (At::LineStart, b'\r') => At::LastLf,
                (At::LineStart, _) => self.begin_field(byte, limits)?,
                (At::Name, b':') => At::Value,
                (At::Value, b'\r') => At::FieldLf,
                (At::LastLf, b'\n') => return Ok(Some(self.position + 1)),
                _ => return Err(refuse(400, before.complaint(byte))),
            };
            // The first byte of a method or a name is the run's to look at.
            if !matches!(self.at, At::Method | At::Name) {
                self.position += 1;
            }
        }
    }

    /// Whether any byte of a head has come, beyond the tolerated empty line.
    pub fn has_begun(&self) -> bool {
        !matches!(self.at, At::Start | At::EmptyLineLf)
    }

    fn begin(&mut self, at: At, byte: u8) -> Result<At, Refusal> {
        if Class::Token.run(&[byte]) == 0 {
            return Err(refuse(400, At::Start.complaint(byte)));
        }
        self.start = self.position;
        Ok(at)
    }

    fn begin_field(&mut self, byte: u8, limits: &Limits) -> Result<At, Refusal> {
        if Class::Token.run(&[byte]) == 0 {
            return Err(refuse(400, At::LineStart.complaint(byte)));
        }
        self.n_fields += 1;
        if self.n_fields > limits.max_fields {
            return Err(Limit::MaxFields.refusal());
        }
        Ok(At::Name)
    }

    fn check_length(&self, limits: &Limits) -> Result<(), Refusal> {
        let length = self.position - self.start;
        match self.at {
            At::Method if length > MAX_METHOD => Err(refuse(501, "the method is too long")),
            At::Target if length > limits.max_target => Err(Limit::MaxTarget.refusal()),
            At::Version if length > VERSION_BYTES => Err(refuse(400, NO_VERSION)),
            // The end of this line comes on top.
            At::Name | At::Value if length + 2 > max_field_lines(limits) => {
                Err(Limit::MaxFieldsSize.refusal())
            }
            _ => Ok(()),
        }
    }
}

const NO_VERSION: &str = "the request line does not end with a version of HTTP";

impl At {
    /// What the bytes that stand here are made of, where there may be many.
    fn class(self) -> Option<Class> {
        match self {
            At::Method | At::Name => Some(Class::Token),
            At::Target | At::Version => Some(Class::Target),
            At::Value => Some(Class::Value),
            _ => None,
        }
    }

    /// What is wrong with a byte that can't stand here.
    fn complaint(self, byte: u8) -> &'static str {
        let is_line_end = matches!(byte, b'\r' | b'\n');
        let is_blank = matches!(byte, b' ' | b'\t');
        match self {
            At::Start if byte == TLS_HANDSHAKE => "this is TLS, and this port speaks plain HTTP",
            At::Start | At::Method if is_line_end => "an empty or incomplete request line",
            At::Start | At::Method => "the method is not a token",
            At::Target if is_line_end => "a request line without a version: HTTP/0.9 is not served",
            At::Target if byte == b' ' => "more than one blank in the request line",
            At::Target => "the target has a blank, a control byte or a fragment",
            At::Version => NO_VERSION,
            At::LineStart if is_blank => "a folded line, or a blank before a field name",
            At::LineStart if byte == b':' => "a field without a name",
            At::Name if is_blank => "a blank in a field name, or behind it",
            At::Name if is_line_end => "a field line without a colon",
            At::LineStart | At::Name if !is_line_end => "a field name is not a token",
            At::Value if byte != b'\n' => "a field value has a control byte",
            _ => "a line that does not end with CRLF",
        }
    }
}

/// RFC 9112 §2.3: `HTTP/`, a digit, a dot, a digit. Also judges HTTP/2 by its preface.
fn check_version(version: &[u8]) -> Result<(), Refusal> {
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(refuse(505, "a version other than HTTP/1.0 and HTTP/1.1"))
        }
        _ => Err(refuse(400, NO_VERSION)),
    }
}

pub fn refuse(status: u16, reason: &'static str) -> Refusal {
    Refusal::new(status, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Option<usize>, u16> {
        HeadScan::default()
            .scan(bytes, &Limits::default())
            .map_err(|refusal| refusal.status)
    }

    /// Scans byte by byte: the verdict, and how many bytes it took.
    fn scan_slowly(bytes: &[u8]) -> (Result<Option<usize>, u16>, usize) {
        let mut scan = HeadScan::default();
        for n in 1..=bytes.len() {
            match scan.scan(&bytes[..n], &Limits::default()) {
                Ok(None) => {}
                verdict => return (verdict.map_err(|refusal| refusal.status), n),
            }
        }
        (Ok(None), bytes.len())
    }

    /// Goal: no head is waited for that can't become good. Trick: the last byte of each row is the
    /// one that must be refused, and everything before it must not be.
    #[test]
    fn a_head_is_refused_at_the_first_byte_that_is_wrong() {
        let rows: [(u16, &[u8]); 45] = [
            (400, b"\x16"),
            (400, b"\n"),
            (400, b" "),
            (400, b"\0"),
            (400, b"\x80"),
            (400, b"\r\r"),
            (400, b"\rG"),
            (400, b"\r\n\r"),
            (400, b"\r\n\n"),
            (400, b"\r\n "),
            (400, b"GET\t"),
            (400, b"GET\r"),
            (400, b"G("),
            (400, b"GET  "),
            (400, b"GET /\r"),
            (400, b"GET /\n"),
            (400, b"GET /\0"),
            (400, b"GET /a#"),
            (400, b"GET /a\t"),
            (400, b"GET /\x7f"),
            (400, b"GET / \n"),
            (400, b"GET /  "),
            (400, b"GET / HTTP/1.1 "),
            (400, b"GET / HTTP/1.1\n"),
            (400, b"GET / HTTP/1.1x"),
            (400, b"GET / HTTP/1.10"),
            (400, b"GET / http/1.1\r"),
            (400, b"GET / HTTP/1\r"),
            (400, b"GET / b "),
            (400, b"GET / HTTP/1.1\r\r"),
            (505, b"GET / HTTP/1.2\r"),
            (505, b"GET / HTTP/0.9\r"),
            (505, b"PRI * HTTP/2.0\r"),
            (400, b"GET / HTTP/1.1\r\n "),
            (400, b"GET / HTTP/1.1\r\n:"),
            (400, b"GET / HTTP/1.1\r\n\n"),
            (400, b"GET / HTTP/1.1\r\nA "),
            (400, b"GET / HTTP/1.1\r\nA\0"),
            (400, b"GET / HTTP/1.1\r\nA\r"),
            (400, b"GET / HTTP/1.1\r\nA: b\n"),
            (400, b"GET / HTTP/1.1\r\nA: b\rc"),
            (400, b"GET / HTTP/1.1\r\nA: \x0b"),
            (400, b"GET / HTTP/1.1\r\nA: b\r\n\t"),
            (400, b"GET / HTTP/1.1\r\nA: b\r\n\rc"),
            (400, b"GET / HTTP/1.1\r\nA: b\r\n\xe9"),
        ];
        for (wanted, row) in rows {
            let text = row.escape_ascii();
            assert_eq!(scan_slowly(row), (Err(wanted), row.len()), "{text}");
            assert_eq!(scan(row), Err(wanted), "{text}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_the_bytes_are_split() {
        let head = b"\r\nGET /<\xe9> HTTP/1.1\r\nHost: a\r\nE:\r\nB: \t c\td\xe9 \r\n\r\nGET";
        let end = head.len() - 3;
        assert_eq!(scan_slowly(head), (Ok(Some(end)), end));
        for split in 0..end {
            let mut scan = HeadScan::default();
            let limits = Limits::default();
            assert_eq!(scan.scan(&head[..split], &limits), Ok(None), "{split}");
            assert_eq!(scan.has_begun(), split > 2, "{split}");
            assert_eq!(scan.scan(head, &limits), Ok(Some(end)), "{split}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_whole() {
        let limits = Limits::default();
        let method = |n| "M".repeat(n);
        let target = |n| format!("GET /{}", "a".repeat(n - 1));
        let fields = |n| format!("GET / HTTP/1.1\r\n{}", "A:b\r\n".repeat(n));
        let value = |n| format!("GET / HTTP/1.1\r\nA: {}", " ".repeat(n - 3));
        let rows = [
            (501, method(64), method(65)),
            (
                414,
                target(limits.max_target),
                target(limits.max_target + 1),
            ),
            (
                431,
                fields(limits.max_fields),
                fields(limits.max_fields) + "A",
            ),
            (
                431,
                value(max_field_lines(&limits) - 2),
                value(max_field_lines(&limits) - 1),
            ),
        ];
        for (wanted, good, bad) in rows {
            assert_eq!(scan(good.as_bytes()), Ok(None), "{} bytes", good.len());
            assert_eq!(scan(bad.as_bytes()), Err(wanted), "{} bytes", bad.len());
        }
    }

    #[test]
    fn no_head_is_longer_than_the_limits_together() {
        let limits = Limits {
            max_target: 9,
            max_fields: 3,
            max_fields_bytes: 30,
            max_content: None,
        };
        let head = |value: &str| {
            let method = "M".repeat(MAX_METHOD);
            let line = format!("\r\n{method} /12345678 HTTP/1.1\r\n");
            format!("{line}Host: a\r\nB: 123456789\r\nC: {value}\r\n\r\n").into_bytes()
        };
        let longest = head("12345678901234");
        assert_eq!(longest.len(), max_head(&limits));
        let found = HeadScan::default().scan(&longest, &limits);
        assert_eq!(found, Ok(Some(longest.len())));
        assert!(crate::intake::gate::head::parse(&longest, None, &limits, None).is_ok());
        let found = HeadScan::default().scan(&head("123456789012345"), &limits);
        assert_eq!(found.map_err(|refusal| refusal.status), Err(431));
    }
}
