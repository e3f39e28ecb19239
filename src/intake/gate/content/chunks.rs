//! The strict check of chunked content (RFC 9112 §7.1): every byte around the data, one by one.
//!
//! A size is 1 to 16 hexadecimal digits; a line ends with CRLF and with nothing else; behind the
//! data stands CRLF. Blanks between the size and an extension's `;` are taken, as §7.1.1 and
//! RFC 9110 §5.6.3 (BWS) want it; blanks without an extension are not. Extensions may be of any
//! letters and are dropped; trailers must be field lines and are dropped too (§7.1.2).

use crate::intake::fields::Class;
use crate::intake::gate::content::Malformed;

/// Longest line of a chunk's size and extensions, bytes without its end.
const MAX_SIZE_LINE: usize = 256;
/// Digits of a size: as many as a u64 can have.
const MAX_DIGITS: usize = 16;
/// How far the size lines may outweigh the data, bytes; the measure is Go's (CVE-2023-39326). Each
/// chunk pays for 16 bytes of its line, and for twice as many as it has data.
const MAX_EXCESS: usize = 16 * 1024;
/// Trailers: lines, and bytes of all of them with their ends.
const MAX_TRAILERS: usize = 100;
const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Where in chunked content the next byte stands.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    at: At,
    /// Size of this chunk; in its data, what is left of it.
    size: u64,
    n_digits: usize,
    /// Bytes of this size line so far.
    line_bytes: usize,
    excess: usize,
    n_trailers: usize,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LineStart,
    Name,
    Value,
    LineLf,
    LastLf,
    Over,
}

/// What the bytes that were looked at amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet: the input is used up.
    More,
    /// A size line.
    Size(u64),
    /// So many bytes of data follow in the input, at least one.
    Data(usize),
    /// The CRLF behind a chunk's data.
    ChunkEnd,
    /// The end of the content.
    End,
}

impl Chunks {
    /// Looks at the front of `input`: how many bytes are done with, and what they are.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Step), Malformed> {
        for (idx, &byte) in input.iter().enumerate() {
            if self.at == At::Data {
                let here = input.len() - idx;
                let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                return Ok((idx, Step::Data(here.min(left))));
            }
            if let Some(step) = self.turn(byte)? {
                return Ok((idx + 1, step));
            }
        }
        Ok((input.len(), Step::More))
    }

    /// So many bytes of the data have been taken, of those that [`Step::Data`] told of.
    pub fn take(&mut self, n: usize) {
        self.size -= n as u64;
        if self.size == 0 {
            self.at = At::DataCr;
        }
    }

    fn turn(&mut self, byte: u8) -> Result<Option<Step>, Malformed> {
        self.count(byte)?;
        let is_of = |class: Class| class.run(&[byte]) == 1;
        let has_digits = self.n_digits > 0;
        let mut step = None;
        self.at = match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() => self.push_digit(byte)?,
            (At::Size, b' ' | b'\t') if has_digits => At::Blank,
            (At::Size, b';') if has_digits => At::Extension,
            (At::Size, b'\r') if has_digits => At::SizeLf,
            (At::Blank, b' ' | b'\t') => At::Blank,
            (At::Blank, b';') => At::Extension,
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, _) if is_of(Class::Value) => At::Extension,
            (At::SizeLf, b'\n') => {
                step = Some(Step::Size(self.size));
                self.end_size_line()?
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                step = Some(Step::ChunkEnd);
                At::Size
            }
            (At::LineStart, b'\r') => At::LastLf,
            (At::LineStart, _) if is_of(Class::Token) => {
                self.n_trailers += 1;
                At::Name
            }
            (At::Name, b':') => At::Value,
            (At::Name, _) if is_of(Class::Token) => At::Name,
            (At::Value, b'\r') => At::LineLf,
            (At::Value, _) if is_of(Class::Value) => At::Value,
            (At::LineLf, b'\n') => At::LineStart,
            (At::LastLf, b'\n') => {
                step = Some(Step::End);
                At::Over
            }
            (at, _) => return Err(Malformed(at.complaint())),
        };
        Ok(step)
    }

    fn push_digit(&mut self, byte: u8) -> Result<At, Malformed> {
        let digit = char::from(byte).to_digit(16);
        self.n_digits += 1;
        if self.n_digits > MAX_DIGITS {
            return Err(Malformed("a chunk size has more than 16 digits"));
        }
        self.size = self.size << 4 | u64::from(digit.expect("the caller has seen that it is one"));
        Ok(At::Size)
    }

    fn end_size_line(&mut self) -> Result<At, Malformed> {
        // The engine counts in usize, which has 32 bits on small machines.
        let Ok(size) = usize::try_from(self.size) else {
            return Err(Malformed("a chunk is too long for this machine"));
        };
        let paid = size.saturating_mul(2).saturating_add(16);
        self.excess = (self.excess + self.line_bytes).saturating_sub(paid);
        if self.excess > MAX_EXCESS {
            return Err(Malformed("much more chunk extensions than data"));
        }
        (self.n_digits, self.line_bytes) = (0, 0);
        Ok(if size == 0 { At::LineStart } else { At::Data })
    }

    /// Bounds what is not data.
    fn count(&mut self, byte: u8) -> Result<(), Malformed> {
        match self.at {
            At::Size | At::Blank | At::Extension => {
                self.line_bytes += usize::from(byte != b'\r');
                if self.line_bytes > MAX_SIZE_LINE {
                    return Err(Malformed("a chunk's size line is too long"));
                }
            }
            At::LineStart | At::Name | At::Value | At::LineLf => {
                self.trailer_bytes += 1;
                let is_one_more = self.at == At::LineStart && byte != b'\r';
                if self.trailer_bytes > MAX_TRAILER_BYTES
                    || is_one_more && self.n_trailers == MAX_TRAILERS
                {
                    return Err(Malformed("the trailers are too many or too long"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl At {
    fn complaint(self) -> &'static str {
        match self {
            At::Size | At::Blank => "a chunk size is not a plain number",
            At::Extension => "a chunk extension has a control byte",
            At::DataCr | At::DataLf => "chunk data is not followed by CRLF",
            At::SizeLf | At::LineLf | At::LastLf => "a line that does not end with CRLF",
            At::LineStart | At::Name | At::Value => "a trailer is not a field line",
            At::Data | At::Over => "a byte that stands nowhere",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads it as one piece and byte by byte, and returns what both agree on: the data and how
    /// much of the input is the content's, or whether it is malformed.
    fn read(content: &[u8]) -> Option<(Vec<u8>, usize)> {
        let whole = read_in_pieces(content, content.len().max(1));
        assert_eq!(
            whole,
            read_in_pieces(content, 1),
            "{}",
            content.escape_ascii()
        );
        whole
    }

    fn read_in_pieces(content: &[u8], piece: usize) -> Option<(Vec<u8>, usize)> {
        let mut chunks = Chunks::default();
        let (mut data, mut at) = (Vec::new(), 0);
        for end in (piece..=content.len()).step_by(piece) {
            loop {
                let (n, step) = chunks.next(&content[at..end]).ok()?;
                at += n;
                match step {
                    Step::More => break,
                    Step::Data(n) => {
                        data.extend_from_slice(&content[at..at + n]);
                        chunks.take(n);
                        at += n;
                    }
                    Step::End => return Some((data, at)),
                    Step::Size(_) | Step::ChunkEnd => {}
                }
            }
        }
        None
    }

    #[test]
    fn what_is_framed_well_is_read() {
        let rows: [(&str, &str); 14] = [
            ("0\r\n\r\n", ""),
            ("000\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
            ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
            ("a\r\n0\r\n\r\n56789\r\n0\r\n\r\n", "0\r\n\r\n56789"),
            ("1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "ab"),
            ("1;x\r\na\r\n0;y=z\r\n\r\n", "a"),
            ("1;x=\"a;b\\\"\";\u{e9}\tq\r\na\r\n0\r\n\r\n", "a"),
            ("1 ;x\r\na\r\n0\t ; y = z\r\n\r\n", "a"),
            ("1;\r\na\r\n0;;\r\n\r\n", "a"),
            ("0\r\nA: b\r\nC:\r\n\r\n", ""),
            ("0\r\nContent-Length: \u{e9}\r\n\r\n", ""),
            ("1\r\n\n\r\n0\r\n\r\n", "\n"),
        ];
        for (content, data) in rows {
            let behind = format!("{content}0\r\n\r\n");
            let wanted = Some((data.as_bytes().to_vec(), content.len()));
            assert_eq!(read(behind.as_bytes()), wanted, "{content:?}");
            for end in 0..content.len() {
                let part = &content.as_bytes()[..end];
                assert_eq!(read(part), None, "{content:?} to {end}");
            }
        }
    }

    /// Goal: nothing malformed is waited on. Trick: behind the good beginning of each row, each of
    /// its other bytes alone must be refused.
    #[test]
    fn content_is_refused_at_the_first_byte_that_is_wrong() {
        let rows: [(&str, &[u8]); 19] = [
            ("", b"\r\n \t;+-g\0\xb5"),
            ("0", b"xX"),
            ("1", b"_,.\0\x0b\x0c\n+h\xe9"),
            ("1 ", b"\r\n1\0"),
            ("0000000000000000", b"0"),
            ("1\r", b"\r1;"),
            ("1;a", b"\n\0\x7f"),
            ("1;a\r", b";\r"),
            ("1\r\na", b"\na0 "),
            ("1\r\na\r", b"\r0"),
            ("1\r\na\r\n", b"\r\n "),
            ("0\r\n", b"\n :\t\0("),
            ("0\r\n\r", b"\r0"),
            ("0\r\nA", b" \r\n\0"),
            ("0\r\nA: b", b"\n\0\x01"),
            ("0\r\nA: b\r", b"c\r"),
            ("0\r\nA: b\r\n", b" \t:\n"),
            ("0\r\nA: b\r\n\r", b"c\r"),
            ("0 ;a", b"\n"),
        ];
        for (good, others) in rows {
            for &byte in others {
                let content = [good.as_bytes(), &[byte]].concat();
                for piece in [1, content.len()] {
                    let refused = refused_at(&content, piece);
                    assert_eq!(refused, Some(content.len()), "{good:?}, then {byte:#x}");
                }
            }
        }
    }

    /// How many bytes had been given when it was refused.
    fn refused_at(content: &[u8], piece: usize) -> Option<usize> {
        let mut chunks = Chunks::default();
        let mut at = 0;
        for end in (piece..=content.len()).step_by(piece) {
            while at < end {
                let Ok((n, step)) = chunks.next(&content[at..end]) else {
                    return Some(end);
                };
                at += n;
                if let Step::Data(n) = step {
                    chunks.take(n);
                    at += n;
                }
            }
        }
        None
    }

    #[test]
    fn everything_but_the_data_is_bounded() {
        let ends = "\r\na\r\n0\r\n\r\n";
        let line = |n: usize| format!("1;{}{ends}", "x".repeat(n - 2));
        let trailers = |n: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(n));
        let trailer = |n: usize| format!("0\r\nA:{}\r\n\r\n", "b".repeat(n - 4));
        // The first chunks pay for nothing but themselves; then each is 250 - 18 bytes too long.
        let chunk = format!("1;{}\r\na\r\n", "x".repeat(248));
        let excess = |n: usize| chunk.repeat(n) + "0\r\n\r\n";
        let rows = [
            (line(MAX_SIZE_LINE), line(MAX_SIZE_LINE + 1)),
            (trailers(MAX_TRAILERS), trailers(MAX_TRAILERS + 1)),
            (trailer(MAX_TRAILER_BYTES - 1), trailer(MAX_TRAILER_BYTES)),
            (excess(MAX_EXCESS / 232), excess(MAX_EXCESS / 232 + 1)),
        ];
        for (good, bad) in rows {
            assert!(read(good.as_bytes()).is_some(), "{} bytes", good.len());
            assert!(read(bad.as_bytes()).is_none(), "{} bytes", bad.len());
        }
        let dense = "1\r\na\r\n".repeat(100_000) + "0\r\n\r\n";
        assert!(read(dense.as_bytes()).is_some());
    }
}
