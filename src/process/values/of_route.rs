//! The values of a route: hosts, paths, names of fields that may be edited, redirects.

use crate::exchange::is_hop_by_hop;
use crate::intake::fields::{is_token, is_value};
use crate::process::values::probe_host;

/// `www.example.org`, `*.example.org`, `127.0.0.1` or `[::1]`.
pub fn route_host(text: &str) -> Result<String, String> {
    let wanted = || "want a host as in www.example.org or *.example.org".to_owned();
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let is_address = inner.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    if is_address && name.len() == lower.len() || name.split('.').all(is_label) {
        return if lower == text {
            Ok(lower)
        } else {
            Err(format!("want it in lower case: {lower}"))
        };
    }
    match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && route_host(host).is_ok() => {
            Err(format!("want a host without its port: {host}"))
        }
        _ => Err(wanted()),
    }
}

/// A part of a name. Underscores are none of DNS's hosts, but are seen in the wild.
fn is_label(label: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
}

/// A prefix of a path, as routes and replacements of them have it.
pub fn route_path(text: &str) -> Result<String, String> {
    let wanted = |what: &str| Err(format!("want a path {what}, as in /api"));
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b);
    if !text.starts_with('/') {
        return wanted("that begins with /");
    }
    if text.contains(['?', '#']) {
        return wanted("without ? and #");
    }
    if !text.bytes().all(is_plain) || !has_whole_escapes(text) {
        return wanted("of visible ASCII, all else as %XX");
    }
    let is_dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    };
    if text.split('/').any(is_dots) {
        return wanted("without the segments . and ..");
    }
    Ok(text.to_owned())
}

fn has_whole_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It is written into the backend's request.
    SetInRequest,
    /// It is taken out of it.
    RemoveFromRequest,
    /// It is written into the client's response, or taken out.
    OfResponse,
}

/// The name of a field that a route may edit.
///
/// What frames a message, or is for one connection, is ours: edited, it would let two requests look
/// like one, or one like two (RFC 9112 §11.2).
pub fn edited_field(text: &str, edit: Edit) -> Result<String, String> {
    if !is_token(text.as_bytes()) {
        return Err("want the name of a field, as in X-Api".to_owned());
    }
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    if is_hop_by_hop(text.as_bytes()) || is("content-length") || is("expect") {
        return Err("want another field: this one frames the message or its connection".to_owned());
    }
    if is("host") && edit == Edit::RemoveFromRequest {
        return Err("want Host in set_fields: no request goes without it".to_owned());
    }
    Ok(text.to_owned())
}

/// The value of a field that we write.
pub fn field_value(name: &str, text: &str) -> Result<String, String> {
    if name.eq_ignore_ascii_case("host") {
        return probe_host(text);
    }
    let is_trimmed = text.trim_matches([' ', '\t']) == text;
    if is_value(text.as_bytes()) && is_trimmed {
        Ok(text.to_owned())
    } else {
        Err("want a text without control bytes, and without blanks around it".to_owned())
    }
}

/// `https` or `https:PORT`: the port that a client is sent to.
pub fn redirect(text: &str) -> Result<u16, String> {
    let port = match text.strip_prefix("https") {
        Some("") => Some(443),
        Some(rest) => rest.strip_prefix(':').and_then(port),
        None => None,
    };
    port.ok_or_else(|| "want https or https:PORT, as in https:8443".to_owned())
}

fn port(digits: &str) -> Option<u16> {
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&port| is_number && port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_in_lower_case_without_port() {
        for good in [
            "example.org",
            "*.example.org",
            "a",
            "127.0.0.1",
            "[::1]",
            "a_b.c-d",
        ] {
            assert_eq!(route_host(good), Ok(good.to_owned()));
        }
        let cases = [
            ("Example.org", "lower case: example.org"),
            ("example.org:80", "without its port: example.org"),
            ("[::1]:80", "without its port: [::1]"),
            ("", "as in"),
            ("*", "as in"),
            ("*.", "as in"),
            ("*.*.a", "as in"),
            ("a.*.b", "as in"),
            ("example.org.", "as in"),
            ("a b", "as in"),
            ("[::1", "as in"),
            ("*.[::1]", "as in"),
            ("http://a", "as in"),
        ];
        for (bad, says) in cases {
            let error = route_host(bad).expect_err(bad);
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn paths_have_one_reading() {
        for good in ["/", "/api", "/api/", "/a%20b", "/a.b/..c", "/~x:y@z"] {
            assert_eq!(route_path(good), Ok(good.to_owned()));
        }
        let cases = [
            ("", "begins with /"),
            ("api", "begins with /"),
            ("/a?b", "without ?"),
            ("/a#b", "without ?"),
            ("/a b", "%XX"),
            ("/é", "%XX"),
            ("/a%2", "%XX"),
            ("/a%zz", "%XX"),
            ("/a/../b", "segments"),
            ("/.", "segments"),
            ("/a/%2E%2e", "segments"),
        ];
        for (bad, says) in cases {
            let error = route_path(bad).expect_err(bad);
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn what_frames_a_message_is_not_edited() {
        use Edit::{OfResponse, RemoveFromRequest, SetInRequest};
        for edit in [SetInRequest, RemoveFromRequest, OfResponse] {
            assert!(edited_field("X-Api", edit).is_ok());
            for name in [
                "Content-Length",
                "transfer-encoding",
                "Connection",
                "Keep-Alive",
                "TE",
                "Trailer",
                "Upgrade",
                "Proxy-Connection",
                "Expect",
                "",
                "a b",
                "a:",
            ] {
                assert!(edited_field(name, edit).is_err(), "{name} {edit:?}");
            }
        }
        assert!(edited_field("Host", SetInRequest).is_ok());
        assert!(edited_field("host", RemoveFromRequest).is_err());
    }

    #[test]
    fn a_redirect_goes_to_https() {
        assert_eq!(redirect("https"), Ok(443));
        assert_eq!(redirect("https:8443"), Ok(8443));
        for bad in [
            "",
            "http",
            "https:",
            "https:0",
            "https:x",
            "https:65536",
            "https://a",
        ] {
            assert!(redirect(bad).is_err(), "{bad}");
        }
    }
}
