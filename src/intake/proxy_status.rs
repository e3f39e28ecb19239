//! What an answer says of its way through here: Proxy-Status (RFC 9209).
//!
//! One member behind those of whoever is nearer to the origin: our name, and either the status that
//! the backend gave, or why the answer is ours. No address, and nothing of a cause but its kind:
//! only what the fate means.

use std::fmt::Display;
use std::io::Write as _;

use crate::intake::fields::write_line;
use crate::watch::Fate;

/// The field.
const FIELD: &str = "Proxy-Status";

/// Bytes of our own name.
const MAX_NAME: usize = 64;

/// Whether a name can be ours: a token of structured fields (RFC 8941 §3.3.4), and a short one.
pub fn is_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*');
    starts_well && name.len() <= MAX_NAME && name.bytes().all(is_good)
}

/// Writes what the backend's answer says of its way, and behind it what we say of ours. Nothing
/// where we have no name.
pub fn write_received<'a>(
    out: &mut Vec<u8>,
    name: Option<&str>,
    lines: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    status: u16,
) {
    let Some(name) = name else { return };
    // Lines of one name are one list (RFC 8941 §3.1): ours is its last member.
    for (field, value) in lines {
        if field.eq_ignore_ascii_case(FIELD.as_bytes()) {
            write_line(out, FIELD.as_bytes(), value);
        }
    }
    write(out, &format_args!("{name}; received-status={status}"));
}

/// Writes why an answer is ours. Nothing where we have no name.
pub fn write_own(out: &mut Vec<u8>, name: Option<&str>, fate: Fate, cause: &str) {
    let Some(name) = name else { return };
    match error(fate, cause) {
        Some(error) => {
            let details = fate.meaning();
            write(
                out,
                &format_args!("{name}; error={error}; details=\"{details}\""),
            );
        }
        None => write(out, &name),
    }
}

fn write(out: &mut Vec<u8>, member: &dyn Display) {
    write!(out, "{FIELD}: {member}\r\n").expect("a Vec takes any bytes");
}

/// The error type (RFC 9209 §2.3). Of backends that could not be connected to, the cause may say
/// more than the fate does.
fn error(fate: Fate, cause: &str) -> Option<&'static str> {
    match fate {
        Fate::Connect if cause.ends_with("connection refused") => Some("connection_refused"),
        Fate::Connect if cause.ends_with("timed out") => Some("connection_timeout"),
        _ => fate.proxy_error(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Option<&str> = Some("lb");

    fn own(fate: Fate, cause: &str) -> String {
        let mut out = Vec::new();
        write_own(&mut out, NAME, fate, cause);
        String::from_utf8(out).expect("it is text")
    }

    #[test]
    fn what_the_backend_says_goes_first_and_nothing_without_a_name() {
        let lines = [
            (&b"proxy-status"[..], &b"a; error=dns_error"[..]),
            (b"Server", b"x"),
            (b"PROXY-STATUS", b"b, c"),
        ];
        let mut out = Vec::new();
        write_received(&mut out, None, lines.into_iter(), 200);
        write_own(&mut out, None, Fate::QueueFull, "");
        assert_eq!(out, b"");
        write_received(&mut out, NAME, lines.into_iter(), 204);
        let wanted = "Proxy-Status: a; error=dns_error\r\nProxy-Status: b, c\r\n\
                      Proxy-Status: lb; received-status=204\r\n";
        assert_eq!(String::from_utf8_lossy(&out), wanted);
    }

    #[test]
    fn each_fate_is_a_member_of_a_structured_list() {
        for fate in Fate::all() {
            let line = own(fate, "connect: to 192.0.2.1: \"\\\r\n");
            let value = line.strip_prefix("Proxy-Status: lb").expect(&line);
            let value = value.strip_suffix("\r\n").expect(&line);
            let Some(error) = fate.proxy_error() else {
                assert_eq!(value, "", "{fate:?}");
                continue;
            };
            let wanted = format!("; error={error}; details=\"{}\"", fate.meaning());
            assert_eq!(value, wanted);
            assert!(error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            // A string of structured fields, without anything to be escaped in it.
            let is_plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\';
            assert!(fate.meaning().bytes().all(is_plain), "{fate:?}");
        }
    }

    #[test]
    fn a_connect_that_failed_says_how_and_no_more() {
        for (cause, error) in [
            ("connect: connection refused", "connection_refused"),
            ("connect: connection timed out", "connection_timeout"),
            ("connect: no route to host", "destination_unavailable"),
            ("", "destination_unavailable"),
        ] {
            let wanted = format!("error={error}; details=\"no backend could be connected to\"\r\n");
            assert!(own(Fate::Connect, cause).ends_with(&wanted), "{cause}");
        }
        let broke = own(Fate::BackendBroke, "connect: connection refused");
        assert!(broke.contains("error=connection_terminated;"), "{broke}");
    }

    #[test]
    fn a_name_is_a_token() {
        for good in ["lb", "lb1.example.org", "*", "a:80/x", "A-b_c~"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(MAX_NAME + 1);
        for bad in [
            "", "1b", "a b", "a;b", "a,b", "\"a\"", "\u{e4}", "a\n", "-a", &long,
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
