//! Rewrites field lines from one hop to the next: what ends here, what is added, what stays.
//!
//! Pure, and byte for byte: names keep their case, values their bytes, lines their order.

use crate::decimal::push_number;
use crate::exchange::edits::Edits;
use crate::exchange::forwarded;
use crate::exchange::request_id::{self, is_request_id};
use crate::intake::ClientRequest;
use crate::intake::fields::{list, write_line};

/// How a message's content is announced to the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Not at all: no content, or it ends with the connection.
    Unannounced,
    /// Content-Length.
    Sized(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// Whether a field is for this connection alone (RFC 9110 §7.6.1), whatever Connection says.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let is_known = match name.len() {
        2 => is("te"),
        7 => is("upgrade") || is("trailer"),
        10 => is("connection") || is("keep-alive"),
        17 => is("transfer-encoding"),
        _ => false,
    };
    let start = name.get(..6);
    is_known || start.is_some_and(|start| start.eq_ignore_ascii_case(b"proxy-"))
}

/// What the Connection lines name, which ends here too.
///
/// Host, Content-Length and the X-Forwarded fields can't be named away: without them the message
/// would mean something else to the next hop, or come from someone else.
fn named_by_connection<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<&'a [u8]> {
    lines
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"))
        .flat_map(|(_, value)| list(value))
        .filter(|option| {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            !is(b"host") && !is(b"content-length") && !forwarded::is_forwarded(option)
        })
        .collect()
}

/// Calls `keep` with each line that goes on to the next hop.
fn for_each_end_to_end<'a>(
    lines: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    mut keep: impl FnMut(&'a [u8], &'a [u8]),
) {
    let named = named_by_connection(lines.clone());
    for (name, value) in lines {
        let is_named = named.iter().any(|option| option.eq_ignore_ascii_case(name));
        if !is_named && !is_hop_by_hop(name) {
            keep(name, value);
        }
    }
}

/// Writes the pair of fields that asks for another protocol, or agrees to it.
pub fn write_upgrade(out: &mut Vec<u8>, protocols: &[u8]) {
    write_line(out, b"Connection", b"Upgrade");
    write_line(out, b"Upgrade", protocols);
}

fn write_length(out: &mut Vec<u8>, length: Length) {
    match length {
        Length::Unannounced => {}
        Length::Sized(n) => {
            out.extend_from_slice(b"Content-Length: ");
            push_number(out, n);
            out.extend_from_slice(b"\r\n");
        }
        Length::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

/// What a backend's request has beside the client's own fields.
#[derive(Clone, Copy, Debug)]
pub struct Added<'a> {
    /// How the content is announced.
    pub length: Length,
    /// The backend's own Host, for clients that sent none (HTTP/1.0).
    pub authority: &'a str,
    /// Whether the client is a proxy whose X-Forwarded fields are believed.
    pub is_trusted: bool,
    /// Whether the backend is asked if it wants the content (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// The protocols that the backend is asked to switch to.
    pub upgrade: Option<&'a [u8]>,
    /// What the route changes. Its word is the last.
    pub edits: Option<&'a Edits>,
    /// What the request is called from here on, instead of what the client's field says.
    pub request_id: Option<&'a [u8]>,
}

impl<'a> Added<'a> {
    /// For a client that is nobody special, and asks for nothing special.
    pub fn plain(length: Length, authority: &'a str) -> Added<'a> {
        Added {
            length,
            authority,
            is_trusted: false,
            expects_continue: false,
            upgrade: None,
            edits: None,
            request_id: None,
        }
    }
}

/// Writes the fields of a backend's request, with the empty line behind them.
pub fn write_request_fields(out: &mut Vec<u8>, request: &ClientRequest, added: &Added) {
    let set_host = added.edits.and_then(Edits::host);
    let host = set_host.or(request.host.as_deref());
    let is_dropped = |name: &[u8]| added.edits.is_some_and(|edits| edits.drops(name));
    let is_renamed = |name: &[u8]| added.request_id.is_some() && is_request_id(name);
    if request.fields.all("Host").next().is_none() {
        write_line(out, b"Host", host.unwrap_or(added.authority.as_bytes()));
    }
    let mut length_left = Some(added.length);
    for_each_end_to_end(request.fields.iter(), |name, value| {
        if name.eq_ignore_ascii_case(b"host") {
            write_line(out, name, host.unwrap_or(value));
        } else if name.eq_ignore_ascii_case(b"content-length") {
            write_length(out, length_left.take().unwrap_or(Length::Unannounced));
        } else if name.eq_ignore_ascii_case(b"expect") {
            // Answered by us, or said again by us.
        } else if !forwarded::is_ours(name, added.is_trusted)
            && !is_dropped(name)
            && !is_renamed(name)
        {
            write_line(out, name, value);
        }
    });
    write_length(out, length_left.unwrap_or(Length::Unannounced));
    if let Some(protocols) = added.upgrade {
        write_upgrade(out, protocols);
    }
    if added.expects_continue {
        write_line(out, b"Expect", b"100-continue");
    }
    forwarded::write(out, request, added.is_trusted, is_dropped);
    let name = request_id::NAME.as_bytes();
    request_id::write(out, added.request_id.filter(|_| !is_dropped(name)));
    out.extend_from_slice(added.edits.map_or(&[], Edits::lines));
    out.extend_from_slice(b"\r\n");
}

/// What a client's response has beside the backend's own fields. By default nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes<'a> {
    /// What the route changes.
    pub edits: Option<&'a Edits>,
    /// The value of a Set-Cookie line of ours, which no edit removes.
    pub set_cookie: Option<&'a [u8]>,
    /// What the request is called, whatever the backend calls it.
    pub request_id: Option<&'a [u8]>,
    /// What we are called in Proxy-Status, if we are to be in it.
    pub proxy_status: Option<&'a str>,
}

/// Writes the fields of the client's answer that come from the backend, without the empty line:
/// the caller adds Connection.
///
/// A length is written where the backend had its own; `kept_length` is for answers without
/// content whose Content-Length tells what a GET would get (HEAD, 304).
pub fn write_response_fields<'a>(
    out: &mut Vec<u8>,
    lines: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    length: Length,
    kept_length: bool,
    changes: &Changes,
) {
    let is_dropped = |name: &[u8]| changes.edits.is_some_and(|edits| edits.drops(name));
    let is_renamed = |name: &[u8]| changes.request_id.is_some() && is_request_id(name);
    let mut length_left = Some(length);
    for_each_end_to_end(lines, |name, value| {
        if !name.eq_ignore_ascii_case(b"content-length") {
            if !is_dropped(name) && !is_renamed(name) {
                write_line(out, name, value);
            }
        } else if let Some(length) = length_left.take() {
            if kept_length {
                write_line(out, name, value);
            } else {
                write_length(out, length);
            }
        }
    });
    write_length(out, length_left.unwrap_or(Length::Unannounced));
    out.extend_from_slice(changes.edits.map_or(&[], Edits::lines));
    if let Some(value) = changes.set_cookie {
        write_line(out, b"Set-Cookie", value);
    }
    let name = request_id::NAME.as_bytes();
    request_id::write(out, changes.request_id.filter(|_| !is_dropped(name)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::fields::Fields;

    fn request(lines: &[(&str, &str)]) -> ClientRequest {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let host = fields.all("Host").next().map(<[u8]>::to_vec);
        ClientRequest {
            fields,
            host,
            address: Some("::ffff:192.0.2.1".parse().expect("an address")),
            ..ClientRequest::example("GET")
        }
    }

    fn forwarded(lines: &[(&str, &str)], length: Length) -> String {
        let mut out = Vec::new();
        let added = Added::plain(length, "backend:81");
        write_request_fields(&mut out, &request(lines), &added);
        String::from_utf8(out).expect("the lines are text")
    }

    const ADDED: &str = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\
                         X-Forwarded-Host: a\r\n\r\n";

    #[test]
    fn end_to_end_fields_pass_with_case_order_and_repetition() {
        let text = forwarded(
            &[
                ("x-B", "1"),
                ("HOST", "a"),
                ("Cookie", "c=1"),
                ("X-b", ""),
                ("Cookie", "d=2"),
            ],
            Length::Unannounced,
        );
        let kept = "x-B: 1\r\nHOST: a\r\nCookie: c=1\r\nX-b: \r\nCookie: d=2\r\n";
        assert_eq!(text, format!("{kept}{ADDED}"));
    }

    #[test]
    fn connection_fields_and_what_they_name_end_here() {
        let text = forwarded(
            &[
                ("Host", "a"),
                ("Connection", "close, X-One"),
                ("connection", "x-two,,Host"),
                ("X-One", "1"),
                ("x-TWO", "2"),
                ("X-Three", "3"),
                ("Keep-Alive", "timeout=5"),
                ("TE", "trailers"),
                ("Trailer", "X"),
                ("Upgrade", "h2c"),
                ("Proxy-Connection", "x"),
                ("Proxy-Authorization", "secret"),
                ("Transfer-Encoding", "chunked"),
            ],
            Length::Chunked,
        );
        let kept = "Host: a\r\nX-Three: 3\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(text, format!("{kept}{ADDED}"));
    }

    #[test]
    fn a_length_stands_once_where_it_stood_before() {
        let lines = [
            ("Host", "a"),
            ("Content-Length", "5"),
            ("X", "1"),
            ("content-length", "5"),
        ];
        let text = forwarded(&lines, Length::Sized(5));
        assert_eq!(
            text,
            format!("Host: a\r\nContent-Length: 5\r\nX: 1\r\n{ADDED}")
        );
        // Content that came chunked and is held in memory goes on with its length.
        let text = forwarded(
            &[("Host", "a"), ("Transfer-Encoding", "chunked")],
            Length::Sized(7),
        );
        assert_eq!(text, format!("Host: a\r\nContent-Length: 7\r\n{ADDED}"));
    }

    #[test]
    fn a_client_without_host_gets_the_backends() {
        let text = forwarded(&[("X", "1")], Length::Unannounced);
        let added = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\r\n";
        assert_eq!(text, format!("Host: backend:81\r\nX: 1\r\n{added}"));
    }

    #[test]
    fn response_fields_lose_the_hop_and_get_one_length() {
        let write = |lines: &[(&str, &str)], length, kept| {
            let mut out = Vec::new();
            let lines = lines.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
            write_response_fields(&mut out, lines, length, kept, &Changes::default());
            String::from_utf8(out).expect("the lines are text")
        };
        let lines = [
            ("Set-Cookie", "a"),
            ("Connection", "X-Hop"),
            ("X-Hop", "1"),
            ("Set-Cookie", "b"),
            ("Content-Length", "9"),
            ("Proxy-Status", "x"),
            ("content-length", "9"),
            ("Via", "1.1 x"),
        ];
        assert_eq!(
            write(&lines, Length::Sized(9), false),
            "Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 9\r\nVia: 1.1 x\r\n"
        );
        assert_eq!(
            write(&[("Content-Length", "9")], Length::Unannounced, true),
            "Content-Length: 9\r\n"
        );
        assert_eq!(
            write(&[("Content-Length", "9")], Length::Unannounced, false),
            ""
        );
        assert_eq!(
            write(&[], Length::Chunked, false),
            "Transfer-Encoding: chunked\r\n"
        );
    }
}
