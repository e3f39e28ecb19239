//! The strict check of a request's head: what is ambiguous, malformed or too large goes no
//! further (RFC 9112, and RFC 9110 §7.2 for Host).
//!
//! Pure. Both listeners call it, after they parsed the head and before the request is queued.

mod framing;
mod target;

use crate::intake::fields::{is_token, is_value, list};
use crate::intake::{ClientRequest, ContentFraming, Limit, Refusal, Version};

pub use self::framing::parse_length;

use self::framing::check_framing;
use self::target::{check_host, check_target};

/// How large a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the target, bytes. More: 414.
    pub max_target: usize,
    /// Number of field lines, at most [`Limits::MOST_FIELDS`]. More: 431.
    pub max_fields: usize,
    /// All names and values together, without what stands around them, bytes. More: 431.
    pub max_fields_bytes: usize,
    /// Length of the content, bytes; none means any. A greater Content-Length: 413. Chunked
    /// content has to be counted by whoever reads it.
    pub max_content: Option<u64>,
}

impl Limits {
    /// No limit on the number of field lines can be higher than this.
    pub const MOST_FIELDS: usize = 256;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_target: 8 * 1024,
            max_fields: 100,
            max_fields_bytes: 32 * 1024,
            max_content: None,
        }
    }
}

/// Checks the head, and sets host, framing, expectation, persistence and the target's form.
pub fn check(request: &mut ClientRequest, limits: &Limits) -> Result<(), Refusal> {
    check_lines(request)?;
    check_sense(request, limits)
}

/// The same for a head whose method, names and values are known to be of the right letters.
pub fn check_sense(request: &mut ClientRequest, limits: &Limits) -> Result<(), Refusal> {
    if request.method == "CONNECT" {
        return refuse(405, "CONNECT is for forward proxies, and this is a gateway");
    }
    if request.fields.len() > limits.max_fields {
        return Err(Limit::MaxFields.refusal());
    }
    if request.fields.n_bytes() > limits.max_fields_bytes {
        return Err(Limit::MaxFieldsSize.refusal());
    }
    check_host(request)?;
    check_target(request, limits)?;
    request.framing = check_framing(request, limits)?;
    request.expects_continue = check_expect(request)?;
    request.keep_alive = wants_keep_alive(request);
    request.upgrade = asks_for_upgrade(request);
    Ok(())
}

fn refuse<T>(status: u16, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(status, reason))
}

fn check_lines(request: &ClientRequest) -> Result<(), Refusal> {
    if !is_token(request.method.as_bytes()) {
        return refuse(400, "the method is not a token");
    }
    for (name, value) in request.fields.iter() {
        if !is_token(name) {
            return refuse(400, "a field name is not a token");
        }
        if !is_value(value) {
            return refuse(400, "a field value has a control byte");
        }
    }
    Ok(())
}

/// RFC 9110 §10.1.1: the only expectation there is, and only in HTTP/1.1.
fn check_expect(request: &ClientRequest) -> Result<bool, Refusal> {
    let mut expectations = request.fields.all("Expect").flat_map(list).peekable();
    let expects_continue = expectations.peek().is_some();
    if !expectations.all(|e| e.eq_ignore_ascii_case(b"100-continue")) {
        return refuse(417, "an expectation other than 100-continue");
    }
    Ok(expects_continue && request.version == Version::Http11)
}

/// RFC 9112 §9.3.
fn wants_keep_alive(request: &ClientRequest) -> bool {
    match request.version {
        Version::Http11 => !has_option(request, b"close"),
        Version::Http10 => has_option(request, b"keep-alive") && !has_option(request, b"close"),
    }
}

/// RFC 9110 §7.8. With content it is taken for an ordinary request: a tunnel begins behind a head.
fn asks_for_upgrade(request: &ClientRequest) -> bool {
    request.version == Version::Http11
        && matches!(
            request.framing,
            ContentFraming::Empty | ContentFraming::Sized(0)
        )
        && has_option(request, b"upgrade")
        && request.fields.all("Upgrade").next().is_some()
}

/// Whether Connection names this.
fn has_option(request: &ClientRequest, option: &[u8]) -> bool {
    let mut options = request.fields.all("Connection").flat_map(list);
    options.any(|o| o.eq_ignore_ascii_case(option))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    use crate::intake::fields::Fields;

    pub fn request(version: Version, method: &str, target: &str, lines: &[&str]) -> ClientRequest {
        let mut fields = Fields::default();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            fields.push(name.as_bytes(), value.as_bytes());
        }
        ClientRequest {
            target: target.as_bytes().to_vec(),
            version,
            fields,
            keep_alive: false,
            ..ClientRequest::example(method)
        }
    }

    pub fn status(version: Version, method: &str, target: &str, lines: &[&str]) -> u16 {
        match check(
            &mut request(version, method, target, lines),
            &Limits::default(),
        ) {
            Ok(()) => 200,
            Err(refusal) => refusal.status,
        }
    }

    #[test]
    fn sizes_are_taken_at_the_limit_and_refused_above_it() {
        let lines = |n: usize, value: usize| {
            let value = "v".repeat(value);
            let mut lines = vec!["Host: a".to_owned()];
            lines.extend((1..n).map(|_| format!("n: {value}")));
            lines
        };
        let status_of = |lines: &[String]| {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            status(Version::Http11, "GET", "/", &lines)
        };
        let limits = Limits::default();
        assert_eq!(status_of(&lines(limits.max_fields, 1)), 200);
        assert_eq!(status_of(&lines(limits.max_fields + 1, 1)), 431);
        let value = limits.max_fields_bytes - "Host".len() - "a".len() - "n".len();
        assert_eq!(status_of(&lines(2, value)), 200);
        assert_eq!(status_of(&lines(2, value + 1)), 431);
    }

    #[test]
    fn names_values_and_expectations_are_checked() {
        let cases = [
            (200, "X: a\tb"),
            (200, "X: \u{e9}"),
            (400, "X: a\nb"),
            (400, "X: a\0"),
            (400, "X Y: a"),
            (400, ": a"),
            (400, "X(: a"),
            (200, "Expect: 100-Continue"),
            (417, "Expect: 200-ok"),
            (417, "Expect: 100-continue, x"),
        ];
        for (wanted, line) in cases {
            assert_eq!(
                status(Version::Http11, "GET", "/", &["Host: a", line]),
                wanted,
                "{line:?}"
            );
        }
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        let cases = [
            (Version::Http11, "", true),
            (Version::Http11, "close", false),
            (Version::Http11, "Keep-Alive, Close", false),
            (Version::Http11, "xclose", true),
            (Version::Http10, "", false),
            (Version::Http10, "keep-alive", true),
            (Version::Http10, "keep-alive, close", false),
        ];
        for (version, value, wanted) in cases {
            let connection = format!("Connection: {value}");
            let mut request = request(version, "GET", "/", &["Host: a", &connection]);
            check(&mut request, &Limits::default()).expect("a good request");
            assert_eq!(request.keep_alive, wanted, "{version:?} {value}");
        }
    }
    #[test]
    fn an_upgrade_is_asked_for_in_both_fields_and_without_content() {
        let cases: [(bool, Version, &[&str]); 8] = [
            (
                true,
                Version::Http11,
                &["Connection: Upgrade", "Upgrade: x"],
            ),
            (
                true,
                Version::Http11,
                &["Connection: a", "Connection: b, UPGRADE", "Upgrade: x"],
            ),
            (
                true,
                Version::Http11,
                &["Connection: upgrade", "Upgrade: x", "Content-Length: 0"],
            ),
            (
                false,
                Version::Http11,
                &["Connection: upgrade", "Upgrade: x", "Content-Length: 1"],
            ),
            (
                false,
                Version::Http11,
                &[
                    "Connection: upgrade",
                    "Upgrade: x",
                    "Transfer-Encoding: chunked",
                ],
            ),
            (false, Version::Http11, &["Connection: upgrade"]),
            (false, Version::Http11, &["Upgrade: x"]),
            (
                false,
                Version::Http10,
                &["Connection: upgrade", "Upgrade: x"],
            ),
        ];
        for (wanted, version, lines) in cases {
            let lines = [&["Host: a"], lines].concat();
            let mut request = request(version, "GET", "/", &lines);
            check(&mut request, &Limits::default()).expect("a good head");
            assert_eq!(request.upgrade, wanted, "{version:?} {lines:?}");
        }
    }
}
