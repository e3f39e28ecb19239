//! Field lines as they came: names and values as bytes, in order, repetitions and case kept.

/// An ordered list of field lines in one allocation.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    /// Ends of name and value; a name begins where the value before it ends.
    ends: Vec<(usize, usize)>,
}

impl Fields {
    /// An empty list with room for `n_bytes` of names and values.
    pub fn with_capacity(n_lines: usize, n_bytes: usize) -> Fields {
        Fields {
            bytes: Vec::with_capacity(n_bytes),
            ends: Vec::with_capacity(n_lines),
        }
    }

    /// Empty again, with room for as much more.
    pub fn clear(&mut self, n_lines: usize, n_bytes: usize) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.reserve(n_bytes);
        self.ends.reserve(n_lines);
    }

    /// Appends a line.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len()));
    }

    /// The lines in order, as (name, value).
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let line = (
                &self.bytes[start..name_end],
                &self.bytes[name_end..value_end],
            );
            start = value_end;
            line
        })
    }

    /// The values of all lines of this name, whatever its case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, v)| v)
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Memory that it holds, bytes.
    pub fn n_reserved(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<(usize, usize)>()
    }

    /// Length of all names and values.
    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes one field line.
pub fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The members of a comma-separated list (RFC 9110 §5.6.1), without the blanks around them and
/// without the empty ones.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// What a byte may be a part of. Looked up in a table: every byte of every head passes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A method or a field's name (RFC 9110 §5.6.2).
    Token = 1,
    /// A field's value: no control byte but the tab (RFC 9110 §5.5).
    Value = 2,
    /// A target: no blank, no control byte, no fragment. Wider than RFC 3986 by what browsers send.
    Target = 4,
}

impl Class {
    /// How many bytes at the start are of this class.
    pub fn run(self, bytes: &[u8]) -> usize {
        let is_other = |&byte: &u8| CLASSES[usize::from(byte)] & self as u8 == 0;
        // Values are most of a head.
        let sure = match self {
            Class::Value => plain_run(bytes),
            _ => 0,
        };
        let rest = bytes[sure..].iter().position(is_other);
        rest.map_or(bytes.len(), |n| sure + n)
    }
}

/// How many bytes at the start, in eights, are surely no control bytes: eight at once, with the
/// borrow of a subtraction for the comparison. A tab ends it as a control byte does.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Whether a byte of these is below n, which is at most 128.
    let has_less = |eight: u64, n: u64| eight.wrapping_sub(ONES * n) & !eight & HIGHS != 0;
    let (eights, _) = bytes.as_chunks();
    let is_plain = |eight: &&[u8; 8]| {
        let eight = u64::from_ne_bytes(**eight);
        !has_less(eight, 0x20) && !has_less(eight ^ (ONES * 0x7f), 1)
    };
    8 * eights.iter().take_while(is_plain).count()
}

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_control = byte < 0x20 && byte != 0x09 || byte == 0x7f;
        if !is_control {
            classes[byte] |= Class::Value as u8;
        }
        if byte > 0x20 && byte != 0x7f && byte != b'#' as usize {
            classes[byte] |= Class::Target as u8;
        }
        byte += 1;
    }
    let tokens = b"!#$%&'*+-.^_`|~0123456789\
        ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut idx = 0;
    while idx < tokens.len() {
        classes[tokens[idx] as usize] |= Class::Token as u8;
        idx += 1;
    }
    classes
};

/// Whether these bytes are a token (RFC 9110 §5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && Class::Token.run(bytes) == bytes.len()
}

/// Whether these bytes can be a field's value (RFC 9110 §5.5).
pub fn is_value(bytes: &[u8]) -> bool {
    Class::Value.run(bytes) == bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_order_case_and_repetition() {
        let mut fields = Fields::with_capacity(3, 16);
        for (name, value) in [("A", "1"), ("b", ""), ("a", "\u{e9}")] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let lines: Vec<_> = fields.iter().collect();
        assert_eq!(
            lines,
            [
                (&b"A"[..], &b"1"[..]),
                (b"b", b""),
                (b"a", "\u{e9}".as_bytes())
            ]
        );
        assert_eq!(fields.all("A").count(), 2);
        assert_eq!((fields.len(), fields.n_bytes()), (3, 6));
    }

    #[test]
    fn lists_tokens_and_values_follow_the_grammar() {
        let members: Vec<_> = list(b" a,, b ,\tc,").collect();
        assert_eq!(members, [b"a", b"b", b"c"]);
        for good in ["GET", "x-y_z", "!#$%&'*+.^`|~"] {
            assert!(is_token(good.as_bytes()), "{good}");
        }
        for bad in ["", "a b", "a:", "a\0", "\u{e9}", "a(", "\"a\""] {
            assert!(!is_token(bad.as_bytes()), "{bad:?}");
        }
        assert!(is_value("a\tb \u{e9}".as_bytes()) && is_value(b""));
        for bad in ["a\0", "a\rb", "a\nb", "\x7f", "\x1b[1m"] {
            assert!(!is_value(bad.as_bytes()), "{bad:?}");
        }
        assert_eq!(Class::Target.run("/<>\"`{}|^\\\u{e9}#".as_bytes()), 12);
        assert_eq!(Class::Target.run(b"/ "), 1);
    }

    #[test]
    fn a_run_of_a_value_ends_at_any_control_byte_anywhere() {
        for length in 1..20 {
            for at in 0..length {
                for byte in 0..=255 {
                    for plain in [b' ', b'~', 0x80, 0xff] {
                        let mut bytes = vec![plain; length];
                        bytes[at] = byte;
                        let is_control = byte < 0x20 && byte != b'\t' || byte == 0x7f;
                        let wanted = if is_control { at } else { length };
                        assert_eq!(Class::Value.run(&bytes), wanted, "{bytes:?}");
                    }
                }
            }
        }
    }
}
