//! What a backend is told about where a request came from: the X-Forwarded fields.
//!
//! What an untrusted client says of this is replaced; what a trusted proxy says is kept, and its
//! own address appended.

use crate::decimal::push_address;
use crate::intake::ClientRequest;
use crate::intake::fields::{list, write_line};

const FOR: &str = "X-Forwarded-For";
const PROTO: &str = "X-Forwarded-Proto";
const HOST: &str = "X-Forwarded-Host";

/// Whether a field says where a request came from. `Forwarded` says the same as the others, and
/// could be forged as easily.
pub fn is_forwarded(name: &[u8]) -> bool {
    ["Forwarded", FOR, PROTO, HOST]
        .iter()
        .any(|known| is_spelt_like(name, known.as_bytes()))
}

/// Whether a name is this one to some backend: what is written with other signs than hyphens is
/// read as the same by those that make variables of names (CGI and its heirs).
pub fn is_spelt_like(name: &[u8], known: &[u8]) -> bool {
    let mut pairs = name.iter().zip(known);
    name.len() == known.len()
        && pairs.all(|(a, b)| a.eq_ignore_ascii_case(b) || *b == b'-' && !a.is_ascii_alphanumeric())
}

/// Whether a client's field does not pass as it is. From a trusted proxy all do but
/// X-Forwarded-For, which is written anew.
pub fn is_ours(name: &[u8], is_trusted: bool) -> bool {
    if is_trusted {
        name.eq_ignore_ascii_case(FOR.as_bytes())
    } else {
        is_forwarded(name)
    }
}

/// Writes our own lines, behind those of the client.
///
/// X-Forwarded-For is one line, whatever came: the client's lines joined in order, then the peer.
/// The others are written where the client's did not pass. What is dropped is not written.
pub fn write(
    out: &mut Vec<u8>,
    request: &ClientRequest,
    is_trusted: bool,
    is_dropped: impl Fn(&[u8]) -> bool,
) {
    let is_settled = |name: &str| {
        is_dropped(name.as_bytes()) || is_trusted && request.fields.all(name).next().is_some()
    };
    if !is_dropped(FOR.as_bytes()) {
        write_for(out, request, is_trusted);
    }
    if !is_settled(PROTO) {
        write_line(out, PROTO.as_bytes(), b"http");
    }
    if let Some(host) = &request.host
        && !is_settled(HOST)
    {
        write_line(out, HOST.as_bytes(), host);
    }
}

fn write_for(out: &mut Vec<u8>, request: &ClientRequest, is_trusted: bool) {
    let start = out.len();
    let begin = |out: &mut Vec<u8>| {
        let is_first = out.len() == start;
        let before = if is_first { "X-Forwarded-For: " } else { ", " };
        out.extend_from_slice(before.as_bytes());
    };
    if is_trusted {
        for member in request.fields.all(FOR).flat_map(list) {
            begin(out);
            out.extend_from_slice(member);
        }
    }
    if let Some(address) = request.address {
        begin(out);
        push_address(out, address);
    }
    if out.len() > start {
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::exchange::fields::{Added, Length, write_request_fields};
    use crate::intake::fields::Fields;

    fn forwarded(lines: &[(&str, &str)], address: Option<&str>, is_trusted: bool) -> String {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let host = fields.all("Host").next().map(<[u8]>::to_vec);
        let request = ClientRequest {
            fields,
            host,
            address: address.map(|a| a.parse().expect("an address")),
            ..ClientRequest::example("GET")
        };
        let added = Added {
            is_trusted,
            ..Added::plain(Length::Unannounced, "backend:81")
        };
        let mut out = Vec::new();
        write_request_fields(&mut out, &request, &added);
        let text = String::from_utf8(out).expect("the lines are text");
        text.replace("\r\n", "\n")
    }

    const PEER: Option<&str> = Some("::ffff:192.0.2.1");

    #[test]
    fn what_a_client_claims_about_itself_is_replaced() {
        let lines = [
            ("X-Forwarded-For", "203.0.113.9"),
            ("Host", "a"),
            ("x-forwarded-proto", "https"),
            ("X-FORWARDED-HOST", "b"),
            ("X_Forwarded_For", "203.0.113.9"),
            ("x-forwarded.proto", "https"),
            ("Forwarded", "for=1"),
            ("Expect", "100-continue"),
            ("X-Forwarded-Port", "1"),
        ];
        let wanted = "Host: a\nX-Forwarded-Port: 1\nX-Forwarded-For: 192.0.2.1\n\
                      X-Forwarded-Proto: http\nX-Forwarded-Host: a\n\n";
        assert_eq!(forwarded(&lines, PEER, false), wanted);
        let wanted = "Host: a\nX-Forwarded-Port: 1\nX-Forwarded-Proto: http\n\
                      X-Forwarded-Host: a\n\n";
        assert_eq!(forwarded(&lines, None, false), wanted, "on a Unix socket");
    }

    #[test]
    fn what_a_trusted_proxy_says_is_settled_and_appended_to() {
        let lines = [
            ("Connection", "X-Forwarded-For, x-forwarded-proto, X-Other"),
            ("X-Other", "1"),
            ("X-Forwarded-For", "203.0.113.9, 198.51.100.1"),
            ("Host", "a"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", ""),
            ("x-forwarded-for", "198.51.100.2"),
            ("X-FORWARDED-HOST", "b"),
            ("Forwarded", "for=1"),
        ];
        let kept = "Host: a\nx-forwarded-proto: https\nX-FORWARDED-HOST: b\nForwarded: for=1\n";
        let chain = "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 198.51.100.2";
        let wanted = format!("{kept}{chain}, 192.0.2.1\n\n");
        assert_eq!(forwarded(&lines, PEER, true), wanted);
        let wanted = format!("{kept}{chain}\n\n");
        assert_eq!(forwarded(&lines, None, true), wanted, "on a Unix socket");
    }

    #[test]
    fn what_a_trusted_proxy_leaves_out_is_added() {
        let wanted = "Host: a\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\n\
                      X-Forwarded-Host: a\n\n";
        assert_eq!(forwarded(&[("Host", "a")], PEER, true), wanted);
        let wanted = "Host: a\nX-Forwarded-Proto: http\nX-Forwarded-Host: a\n\n";
        assert_eq!(forwarded(&[("Host", "a")], None, true), wanted);
    }
}
