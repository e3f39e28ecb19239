//! What of a request is hashed to choose its backend.
//!
//! Pure.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::intake::ClientRequest;
use crate::pool::HashKey;

/// The bytes to hash; none where the request has no such thing, or an empty one: all of those
/// would fall to the same backend.
pub fn key_bytes<'a>(key: &HashKey, request: &'a ClientRequest) -> Option<Cow<'a, [u8]>> {
    let bytes = match key {
        HashKey::ClientAddress => {
            return request.address.map(|address| Cow::Owned(octets(address)));
        }
        HashKey::Uri => Some(&request.target[..]),
        // A target in absolute-form has the last word on it (RFC 9112 §3.2.2).
        HashKey::Field(name) if name.eq_ignore_ascii_case("host") => request.host.as_deref(),
        HashKey::Field(name) => field(request, name),
        HashKey::Cookie(name) => cookie(request, name),
    };
    bytes.filter(|bytes| !bytes.is_empty()).map(Cow::Borrowed)
}

/// An IPv4 client on an IPv6 socket is an IPv4 client.
fn octets(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn field<'a>(request: &'a ClientRequest, name: &str) -> Option<&'a [u8]> {
    let mut lines = request.fields.iter();
    let line = lines.find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
    line.map(|(_, value)| value)
}

/// The value of the first cookie of this name, in whatever quotes it has (RFC 6265 §5.4). Names of
/// cookies have case.
pub fn cookie<'a>(request: &'a ClientRequest, name: &str) -> Option<&'a [u8]> {
    let lines = request.fields.iter();
    let mut pairs = lines
        .filter(|(field, _)| field.eq_ignore_ascii_case(b"cookie"))
        .flat_map(|(_, value)| value.split(|&b| b == b';'));
    pairs.find_map(|pair| {
        let end = pair.iter().position(|&b| b == b'=')?;
        let is_it = pair[..end].trim_ascii() == name.as_bytes();
        is_it.then(|| pair[end + 1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::fields::Fields;

    fn key(key: &HashKey, address: Option<&str>, lines: &[(&str, &str)]) -> Option<String> {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let request = ClientRequest {
            fields,
            host: Some(b"h".to_vec()),
            target: b"/a?b".to_vec(),
            address: address.map(|address| address.parse().expect("an address")),
            ..ClientRequest::example("GET")
        };
        key_bytes(key, &request).map(|bytes| bytes.escape_ascii().to_string())
    }

    #[test]
    fn a_key_is_what_the_pool_asks_for() {
        let of_field = |name: &str| HashKey::Field(name.to_owned());
        let lines = [("X-User", "7"), ("x-user", "8"), ("Empty", "")];
        let cases = [
            (HashKey::Uri, Some("/a?b")),
            (of_field("x-USER"), Some("7")),
            (of_field("empty"), None),
            (of_field("x-none"), None),
            (of_field("Host"), Some("h")),
        ];
        for (asked, wanted) in cases {
            assert_eq!(key(&asked, None, &lines).as_deref(), wanted, "{asked:?}");
        }
        let of_address = |address| key(&HashKey::ClientAddress, address, &[]);
        assert_eq!(of_address(None), None);
        let v4 = of_address(Some("192.0.2.1"));
        assert_eq!(v4.as_deref(), Some("\\xc0\\x00\\x02\\x01"));
        assert_eq!(of_address(Some("::ffff:192.0.2.1")), v4);
        assert_eq!(of_address(Some("::1")).map(|text| text.len()), Some(64));
    }

    #[test]
    fn a_cookie_is_found_in_any_of_its_lines() {
        let cases: [(&[&str], Option<&str>); 13] = [
            (&["a=1"], Some("1")),
            (&["b=2; a=1; a=3"], Some("1")),
            (&["b=2;a=1"], Some("1")),
            (&["b=2", "a=1"], Some("1")),
            (&[" a =\t1 ;"], Some("1")),
            (&["a=\"1\""], Some("\\\"1\\\"")),
            (&["a=b=c"], Some("b=c")),
            (&["a"], None),
            (&["a="], None),
            (&["A=1"], None),
            (&["aa=1; xa=2"], None),
            (&[";;=;", "=a"], None),
            (&[], None),
        ];
        for (values, wanted) in cases {
            let lines: Vec<_> = values.iter().map(|&value| ("cookie", value)).collect();
            let found = key(&HashKey::Cookie("a".to_owned()), None, &lines);
            assert_eq!(found.as_deref(), wanted, "{values:?}");
        }
    }
}
