//! Host and target of a request: exactly one host, and a target in one of the standard's forms.

use std::net::Ipv6Addr;

use crate::intake::check::{Limits, refuse};
use crate::intake::fields::Class;
use crate::intake::{ClientRequest, Limit, Refusal, Version};

/// RFC 9112 §3.2: exactly one Host in HTTP/1.1, and one that names a host. Sets it.
pub fn check_host(request: &mut ClientRequest) -> Result<(), Refusal> {
    let memory = request.host.take();
    let mut hosts = request.fields.all("Host");
    let host = hosts.next();
    if hosts.next().is_some() {
        return refuse(400, "more than one Host");
    }
    match host {
        None if request.version == Version::Http11 => refuse(400, "Host is missing"),
        None => Ok(()),
        // RFC 9110 §7.2: empty where the client's URI has no authority.
        Some(host) if !host.is_empty() && !is_authority(host) => refuse(400, "Host is not a host"),
        Some(host) => {
            let mut memory = memory.unwrap_or_default();
            memory.clear();
            memory.extend_from_slice(host);
            request.host = Some(memory);
            Ok(())
        }
    }
}

/// `host [":" port]` of RFC 3986, less the comma, which another parser could take for a list's, and
/// `IPvFuture`, which nobody uses. Never user information, a path, or a second host.
fn is_authority(authority: &[u8]) -> bool {
    let (is_host, port) = if let Some(rest) = authority.strip_prefix(b"[") {
        let end = rest.iter().position(|&b| b == b']').unwrap_or(rest.len());
        let (address, after) = rest.split_at(end);
        let address = str::from_utf8(address).ok();
        let is_address = address.is_some_and(|text| text.parse::<Ipv6Addr>().is_ok());
        (is_address, after.strip_prefix(b"]"))
    } else {
        let end = authority.iter().position(|&b| b == b':');
        let (name, port) = authority.split_at(end.unwrap_or(authority.len()));
        (is_name(name), Some(port))
    };
    let is_port = |port: &[u8]| match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_host && port.is_some_and(is_port)
}

/// `reg-name` of RFC 3986, and not empty (RFC 9110 §4.2.1). IPv4 addresses are of the same letters.
fn is_name(name: &[u8]) -> bool {
    let is_letter = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(b);
    let mut parts = name.split(|&b| b == b'%');
    let is_plain = parts.next().is_some_and(|part| part.iter().all(is_letter));
    let is_encoded = |part: &[u8]| match part {
        [high, low, rest @ ..] => {
            high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && rest.iter().all(is_letter)
        }
        _ => false,
    };
    !name.is_empty() && is_plain && parts.all(is_encoded)
}

/// RFC 9112 §3.2: origin-form, `*` for OPTIONS, and absolute-form, which is made origin-form.
pub fn check_target(request: &mut ClientRequest, limits: &Limits) -> Result<(), Refusal> {
    let target = &request.target;
    if target.len() > limits.max_target {
        return Err(Limit::MaxTarget.refusal());
    }
    if Class::Target.run(target) < target.len() {
        return refuse(400, "the target has a blank, a control byte or a fragment");
    }
    match target.first() {
        Some(b'/') => Ok(()),
        Some(b'*') if target.len() == 1 && request.method == "OPTIONS" => Ok(()),
        _ => split_absolute_form(request),
    }
}

fn split_absolute_form(request: &mut ClientRequest) -> Result<(), Refusal> {
    let malformed = || refuse(400, "the target is in none of the forms of RFC 9112");
    let target = &request.target;
    let after_scheme = |scheme: &str| {
        let (head, tail) = target.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme.as_bytes()).then_some(tail)
    };
    let Some(rest) = after_scheme("http://").or_else(|| after_scheme("https://")) else {
        return malformed();
    };
    let split = rest
        .iter()
        .position(|b| b"/?".contains(b))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    if !is_authority(authority) {
        return malformed();
    }
    let host = authority.to_vec();
    // RFC 9112 §3.2.4: a server-wide OPTIONS in absolute-form has no path; else the path is "/".
    let origin = match path.first() {
        None if request.method == "OPTIONS" => b"*".to_vec(),
        None => b"/".to_vec(),
        Some(b'?') => [b"/", path].concat(),
        Some(_) => path.to_vec(),
    };
    request.host = Some(host);
    request.target = origin;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::check::check;
    use crate::intake::check::tests::{request, status};

    #[test]
    fn hosts_are_one_and_a_host() {
        let cases: [(u16, &[&str]); 32] = [
            (200, &["Host: a"]),
            (200, &["host: a_b.c:80"]),
            (200, &["Host: [::1]:80"]),
            (200, &["Host"]),
            (400, &[]),
            (400, &["Host: a", "Host: a"]),
            (400, &["Host: a b"]),
            (400, &["Host: a, b"]),
            (400, &["Host: a/b"]),
            (400, &["Host: u@a"]),
            (400, &["Host: \u{e9}"]),
            (400, &["Host: a?b"]),
            (200, &["Host: 10.0.0.7:80"]),
            (200, &["Host: a:"]),
            (200, &["Host: a%2Db:80"]),
            (200, &["Host: [2001:db8::7]"]),
            (200, &["Host: xn--bcher-kva.example."]),
            (400, &["Host: :80"]),
            (400, &["Host: a:b"]),
            (400, &["Host: a:80:81"]),
            (400, &["Host: a:-1"]),
            (400, &["Host: a:80@b"]),
            (400, &["Host: ::1"]),
            (400, &["Host: [::1"]),
            (400, &["Host: ::1]"]),
            (400, &["Host: [a]"]),
            (400, &["Host: [::1]a"]),
            (400, &["Host: [::1]:a"]),
            (400, &["Host: a%2"]),
            (400, &["Host: a%zz"]),
            (400, &["Host: http://a"]),
            (400, &["Host: a\tb"]),
        ];
        for (wanted, lines) in cases {
            assert_eq!(
                status(Version::Http11, "GET", "/", lines),
                wanted,
                "{lines:?}"
            );
        }
        assert_eq!(status(Version::Http10, "GET", "/", &[]), 200);
    }

    #[test]
    fn targets_have_the_forms_of_the_standard() {
        let long = "/".repeat(Limits::default().max_target + 1);
        let cases = [
            (200, "GET", "/"),
            (200, "GET", "/a%2Fb/../c?x=%20&y=;"),
            (200, "GET", "/<>\"`{}|^\\"),
            (200, "OPTIONS", "*"),
            (200, "GET", "HTTP://a"),
            (200, "GET", "https://a:1/b"),
            (200, "GET", &long[1..]),
            (414, "GET", &long),
            (400, "GET", "*"),
            (400, "GET", ""),
            (400, "GET", "?"),
            (400, "GET", "a"),
            (400, "GET", "http://"),
            (400, "GET", "http:///a"),
            (400, "GET", "http://u@a/"),
            (400, "GET", "http://:80/"),
            (400, "GET", "http://a:b/"),
            (400, "GET", "http:/a"),
            (400, "GET", "\\\\a"),
            (400, "GET", "ftp://a/"),
            (400, "GET", "/a#b"),
            (400, "GET", "/a\tb"),
            (400, "OPTIONS", "**"),
            (405, "CONNECT", "a:1"),
            (200, "get", "/"),
            (200, "M-SEARCH", "/"),
            (400, "GE T", "/"),
            (400, "", "/"),
        ];
        for (wanted, method, target) in cases {
            assert_eq!(
                status(Version::Http11, method, target, &["Host: a"]),
                wanted,
                "{target}"
            );
        }
    }

    #[test]
    fn absolute_form_becomes_origin_form_and_replaces_host() {
        let cases = [
            ("GET", "http://b", "/"),
            ("GET", "http://b/c?d", "/c?d"),
            ("GET", "http://b?d", "/?d"),
            ("OPTIONS", "http://b", "*"),
        ];
        for (method, target, origin) in cases {
            let mut request = request(Version::Http11, method, target, &["Host: a"]);
            check(&mut request, &Limits::default()).expect(target);
            assert_eq!(request.target, origin.as_bytes());
            assert_eq!(request.host.as_deref(), Some(&b"b"[..]));
        }
    }
}
