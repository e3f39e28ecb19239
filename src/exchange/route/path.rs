//! Paths as a backend will understand them, whatever way they are spelt (RFC 3986 §6.2.2).
//!
//! Pure. A path in its normal form, as nearly all are, costs a look at each byte and no memory.
//! Empty segments stay: some backends merge slashes, and others don't.

use std::borrow::Cow;

/// A target's path, and its query with the `?` before it.
pub fn split(target: &[u8]) -> (&[u8], &[u8]) {
    let end = target.iter().position(|&b| b == b'?');
    target.split_at(end.unwrap_or(target.len()))
}

/// What is behind a prefix that ends where a segment ends: nothing, or a path. The prefix has no
/// slash at its end; that of all paths is empty.
pub fn below<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix)?;
    matches!(rest, [] | [b'/', ..]).then_some(rest)
}

/// A configured path as [`below`] wants it: in normal form, without a slash at its end.
pub fn prefix(path: &str) -> Cow<'_, [u8]> {
    match normal(path.as_bytes()) {
        Cow::Borrowed(path) => Cow::Borrowed(without_last_slashes(path)),
        Cow::Owned(path) => Cow::Owned(without_last_slashes(&path).to_vec()),
    }
}

/// Cuts the slashes at the end off.
pub fn without_last_slashes(mut path: &[u8]) -> &[u8] {
    while let [before @ .., b'/'] = path {
        path = before;
    }
    path
}

/// The normal form: no dot segments, nothing encoded that needs not be, and the hexadecimal digits
/// of the rest in upper case.
pub fn normal(path: &[u8]) -> Cow<'_, [u8]> {
    let decoded = decoded(path);
    if has_dot_segment(&decoded) {
        Cow::Owned(without_dot_segments(&decoded))
    } else {
        decoded
    }
}

/// Whether a path has dot segments, encoded ones too.
pub fn is_dotted(path: &[u8]) -> bool {
    has_dot_segment(&decoded(path))
}

fn decoded(path: &[u8]) -> Cow<'_, [u8]> {
    let changes = |at: usize| {
        let is_lower = |digits: &[u8]| digits.iter().any(u8::is_ascii_lowercase);
        let byte = encoded(&path[at..]);
        byte.is_some_and(|byte| is_unreserved(byte) || is_lower(&path[at + 1..at + 3]))
    };
    let is_normal = !path.contains(&b'%') || !(0..path.len()).any(changes);
    if is_normal {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        rest = match encoded(rest) {
            Some(byte) if is_unreserved(byte) => {
                out.push(byte);
                &rest[3..]
            }
            Some(_) => {
                out.extend(rest[..3].iter().map(u8::to_ascii_uppercase));
                &rest[3..]
            }
            None => {
                out.push(first);
                tail
            }
        };
    }
    Cow::Owned(out)
}

/// The byte that stands encoded at the start, if one does.
fn encoded(bytes: &[u8]) -> Option<u8> {
    let digit = |letter: u8| char::from(letter).to_digit(16);
    match *bytes {
        [b'%', high, low, ..] => u8::try_from(16 * digit(high)? + digit(low)?).ok(),
        _ => None,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|&b| b == b'/')
        .any(|segment| segment == b"." || segment == b"..")
}

/// RFC 3986 §5.2.4, for paths that begin with `/`.
fn without_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut segments = path.split(|&b| b == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment == b".." {
            let last = out.iter().rposition(|&b| b == b'/');
            out.truncate(last.unwrap_or(0));
        } else if segment != b"." {
            out.push(b'/');
            out.extend_from_slice(segment);
            continue;
        }
        if segments.peek().is_none() {
            out.push(b'/'); // what was left is a folder
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_its_backend_will() {
        let cases = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b/", "/a//b/"),
            ("/x/../admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/x/%2e%2E/admin", "/admin"),
            ("/%2e/a", "/a"),
            ("/a/b/c/./../../g", "/a/g"),
            ("/a//../b", "/a/b"),
            ("/..", "/"),
            ("/../../x", "/x"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/.a/..b/...", "/.a/..b/..."),
            ("/%7euser", "/~user"),
            ("/a%2fb%C3%a9", "/a%2Fb%C3%A9"),
            // Decoded once, not twice; and what is not encoded rightly stays.
            ("/%2561", "/%2561"),
            ("/%zz%4%61%", "/%zz%4a%"),
            ("/a\\..\\b;..", "/a\\..\\b;.."),
        ];
        for (path, wanted) in cases {
            let found = normal(path.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), wanted, "{path}");
        }
    }

    #[test]
    fn a_path_in_normal_form_costs_no_memory() {
        for path in ["/", "/a/b.c/d", "/%20/%C3%A9", "/a//b", "/100%"] {
            assert!(
                matches!(normal(path.as_bytes()), Cow::Borrowed(_)),
                "{path}"
            );
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let cases = [
            ("/api", "/api", Some("")),
            ("/api/", "/api", Some("/")),
            ("/api/x", "/api/", Some("/x")),
            ("/apix", "/api", None),
            ("/ap", "/api", None),
            ("/API", "/api", None),
            ("/x", "/", Some("/x")),
            ("/a/b", "/%61", Some("/b")),
        ];
        for (path, configured, wanted) in cases {
            let found = below(path.as_bytes(), &prefix(configured));
            assert_eq!(found, wanted.map(str::as_bytes), "{path} {configured}");
        }
    }
}
