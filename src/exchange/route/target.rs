//! Targets on their way: with another prefix to a backend, or as a whole URI to https.
//!
//! Pure.

use std::borrow::Cow;
use std::io::Write as _;

use crate::exchange::route::{Prefix, find, path};
use crate::intake::ClientRequest;

/// The target that a backend gets from a route for this path.
///
/// What is behind the prefix stays as it was sent, unless it has dot segments, which could climb
/// out of the new prefix, or the prefix itself is spelt in another way: then the path is sent in
/// its normal form. A slash at the end of either prefix means nothing, and where `/` stands in
/// place of the prefix, there is exactly one: `//x` could be taken for a host.
pub fn rewrite_target<'a>(target: &'a [u8], route_path: &str, prefix: &Prefix) -> Cow<'a, [u8]> {
    let Prefix::Replace(replacement) = prefix else {
        return Cow::Borrowed(target);
    };
    let (path, query) = path::split(target);
    let old = path::prefix(route_path);
    let normal = path::normal(path);
    let as_sent = path::below(path, &old).filter(|_| !path::is_dotted(path));
    let Some(rest) = as_sent.or_else(|| path::below(&normal, &old)) else {
        return Cow::Borrowed(target); // `*`; and what is not of this route
    };
    let new = path::without_last_slashes(replacement.as_bytes());
    if !new.is_empty() {
        return Cow::Owned([new, rest, query].concat());
    }
    let n_slashes = rest.iter().take_while(|&&b| b == b'/').count();
    Cow::Owned([b"/", &rest[n_slashes..], query].concat())
}

/// The Location of the same thing by https, with this port if it is not 443; none without a host.
///
/// Nothing of it can end the field line: target and host were checked. What is not ASCII is
/// encoded, as a URI must be (RFC 3986 §2.1).
pub fn redirect_location(request: &ClientRequest, port: u16) -> Option<Vec<u8>> {
    let host = find::without_port(request.host.as_deref()?);
    if host.is_empty() {
        return None;
    }
    let mut location = [b"https://", host].concat();
    if port != 443 {
        write!(location, ":{port}").expect("a Vec takes any bytes");
    }
    // A server as a whole is a URI without path (RFC 9112 §3.2.4).
    let target = match &request.target[..] {
        b"*" => b"",
        target => target,
    };
    for &byte in target {
        if byte.is_ascii() {
            location.push(byte);
        } else {
            write!(location, "%{byte:02X}").expect("a Vec takes any bytes");
        }
    }
    Some(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_replaced_and_the_rest_stays_as_sent() {
        let cases = [
            ("/api", "/", "/api/x?q=/api", "/x?q=/api"),
            ("/api", "/", "/api", "/"),
            ("/api", "/", "/api?q", "/?q"),
            ("/api", "/", "/api/", "/"),
            ("/api/", "/", "/api/x/", "/x/"),
            ("/api", "/", "/api//x", "/x"),
            ("/api", "/v1", "/api/x", "/v1/x"),
            ("/api", "/v1/", "/api/x", "/v1/x"),
            ("/api", "/v1", "/api", "/v1"),
            ("/api", "/v1", "/api//x", "/v1//x"),
            ("/api", "/v1", "/api/%61?..", "/v1/%61?.."),
            ("/", "/app", "/x", "/app/x"),
            ("/", "/app", "/", "/app/"),
            ("/", "/app", "/?q", "/app/?q"),
            // The prefix in another spelling, and dots that would climb out of the new one.
            ("/api", "/v1", "/%61pi/%62%2f", "/v1/b%2F"),
            ("/api", "/v1", "/x/../api/y", "/v1/y"),
            ("/api", "/v1", "/api/../api/y", "/v1/y"),
            ("/", "/app", "/../secret", "/app/secret"),
            ("/", "/app", "/%2e%2e/secret", "/app/secret"),
            ("/api", "/", "/api/.//x", "/x"),
            // Not of this route, whoever asks.
            ("/", "/app", "*", "*"),
            ("/api", "/v1", "/apix", "/apix"),
        ];
        for (path, replacement, target, wanted) in cases {
            let prefix = Prefix::Replace(replacement.to_owned());
            let found = rewrite_target(target.as_bytes(), path, &prefix);
            let found = String::from_utf8_lossy(&found);
            assert_eq!(found, wanted, "{path} -> {replacement}: {target}");
        }
        let kept = rewrite_target(b"/api/../x", "/x", &Prefix::Keep);
        assert!(matches!(kept, Cow::Borrowed(b"/api/../x")));
    }

    #[test]
    fn https_is_at_the_same_host_without_its_port() {
        let cases = [
            (Some("a"), "/", 443, Some("https://a/")),
            (
                Some("A.b:8080"),
                "/x?y=%20",
                443,
                Some("https://A.b/x?y=%20"),
            ),
            (Some("a:80"), "/x", 8443, Some("https://a:8443/x")),
            (Some("[::1]:80"), "//x", 8443, Some("https://[::1]:8443//x")),
            (Some("[::1]"), "/", 443, Some("https://[::1]/")),
            (Some("a"), "/\u{e9}", 443, Some("https://a/%C3%A9")),
            (Some("a"), "*", 443, Some("https://a")),
            (Some(""), "/", 443, None),
            (None, "/", 443, None),
        ];
        for (host, target, port, wanted) in cases {
            let request = ClientRequest {
                host: host.map(|host| host.as_bytes().to_vec()),
                target: target.as_bytes().to_vec(),
                ..ClientRequest::example("GET")
            };
            let found = redirect_location(&request, port);
            assert_eq!(found.as_deref(), wanted.map(str::as_bytes), "{wanted:?}");
        }
    }
}
