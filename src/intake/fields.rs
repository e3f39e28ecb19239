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

    /// Length of all names and values.
    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// The members of a comma-separated list (RFC 9110 §5.6.1), without the blanks around them and
/// without the empty ones.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whether these bytes are a token (RFC 9110 §5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    let is_tchar = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !bytes.is_empty() && bytes.iter().all(is_tchar)
}

/// Whether these bytes can be a field's value: no control byte but the tab (RFC 9110 §5.5).
pub fn is_value(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
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
    }
}
