//! Heads of messages, parsed strictly, and the framing that they announce.

use std::fmt;

use super::wire::Cut;

/// How the end of a message's content is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Sized(usize),
    Chunked,
    UntilClose,
}

/// A message's head as it came.
#[derive(Clone)]
pub struct Head {
    pub raw: Vec<u8>,
    /// The request or status line, without its end.
    pub line: String,
    /// Names in the case they came in, values without the whitespace around them.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// The values of all fields of this name, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let same = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, value)| text(value)).collect()
    }

    /// The value of the only field of this name. More than one is a failure.
    #[track_caller]
    pub fn one(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() < 2, "{name} more than once in {self:?}");
        all.pop()
    }

    /// Its fields as lines, for comparing whole heads.
    pub fn lines(&self) -> Vec<String> {
        self.fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", text(value)))
            .collect()
    }

    /// The word `idx` of the start line.
    #[track_caller]
    pub fn word(&self, idx: usize) -> &str {
        self.line
            .split(' ')
            .nth(idx)
            .expect("a start line has three words")
    }

    /// The framing that the fields announce, `otherwise` when there are none.
    fn announced(&self, otherwise: Framing) -> Result<Framing, Cut> {
        let lengths = self.all("Content-Length");
        let codings = self.all("Transfer-Encoding");
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Ok(otherwise),
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
                .parse()
                .map(Framing::Sized)
                .map_err(|_| malformed(&self.raw)),
            _ => Err(malformed(&self.raw)),
        }
    }

    pub fn request_framing(&self) -> Result<Framing, Cut> {
        self.announced(Framing::None)
    }

    /// `method` is the request's: an answer to HEAD has no content, whatever it announces.
    pub fn answer_framing(&self, method: &str) -> Result<Framing, Cut> {
        let announced = self.announced(Framing::UntilClose)?;
        let status = self.word(1);
        let none = method == "HEAD" || status.starts_with('1') || ["204", "304"].contains(&status);
        Ok(if none { Framing::None } else { announced })
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", text(&self.raw))
    }
}

/// A request as a backend saw it.
#[derive(Clone)]
pub struct Seen {
    /// Counts the connections of this backend from 0, also those that never carried a request.
    pub connection: usize,
    pub head: Head,
    pub content: Vec<u8>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connection,
            head,
            content,
        } = self;
        write!(
            f,
            "connection {connection}: {head:?} and {} bytes",
            content.len()
        )
    }
}

/// Bytes as they look in a failure message.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn malformed(bytes: &[u8]) -> Cut {
    Cut::Malformed(text(&bytes[..bytes.len().min(500)]))
}

pub fn parse(raw: &[u8]) -> Result<Head, Cut> {
    let lines = text_lines(&raw[..raw.len() - 4]).ok_or_else(|| malformed(raw))?;
    let (line, fields) = lines.split_first().ok_or_else(|| malformed(raw))?;
    let line = text(line);
    if line.splitn(3, ' ').count() < 3 {
        return Err(malformed(raw));
    }
    let fields: Option<Vec<_>> = fields.iter().map(|line| field(line)).collect();
    let fields = fields.ok_or_else(|| malformed(raw))?;
    Ok(Head {
        raw: raw.to_vec(),
        line,
        fields,
    })
}

/// The lines between CRLFs; nothing when a CR, LF or NUL stands anywhere else.
fn text_lines(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    let stray = |line: &&[u8]| line.iter().any(|byte| b"\r\n\0".contains(byte));
    (!lines.iter().any(stray)).then_some(lines)
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = &line[..colon];
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let named = !name.is_empty() && name.iter().all(is_token);
    named.then(|| (text(name), line[colon + 1..].trim_ascii().to_vec()))
}

/// The content as it stands on the wire in chunks of `size` bytes, each with this extension.
pub fn in_chunks(content: &[u8], size: usize, extension: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in content.chunks(size) {
        wire.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}
