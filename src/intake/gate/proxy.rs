//! The PROXY header, versions 1 and 2: whom a TCP balancer before us was connected to.
//!
//! Parsed by the crate ppp. Only addresses are taken from it; its other information is skipped.

use std::net::IpAddr;

use ppp::{HeaderResult, PartialResult, v1, v2};

/// The longest header taken: version 2 with a good deal of additional information; bytes.
const MAX_LENGTH: usize = 4 * 1024;

/// The longest line of version 1, as its specification computes it; bytes.
const MAX_LINE: usize = 107;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Header {
    /// The beginning of a header.
    Incomplete,
    /// A header of so many bytes. No client: the balancer speaks for itself (a health check), or
    /// does not know.
    Complete {
        length: usize,
        client: Option<IpAddr>,
    },
    /// No header.
    Malformed,
}

/// Reads the header at the front of `input`.
pub fn read(input: &[u8]) -> Header {
    if input.is_empty() {
        return Header::Incomplete;
    }
    let begins = |prefix: &[u8]| {
        let n = prefix.len().min(input.len());
        input[..n] == prefix[..n]
    };
    // ppp takes anything for incomplete that could not be told otherwise yet.
    if !begins(b"PROXY ") && !begins(v2::PROTOCOL_PREFIX) {
        return Header::Malformed;
    }
    if input.starts_with(b"PROXY ") {
        // ppp takes some unfinished lines for malformed ones.
        let line = &input[..input.len().min(MAX_LINE)];
        if !line.contains(&b'\n') {
            return if input.len() < MAX_LINE {
                Header::Incomplete
            } else {
                Header::Malformed
            };
        }
    }
    let parsed = HeaderResult::parse(input);
    let is_incomplete = parsed.is_incomplete();
    match parsed {
        HeaderResult::V1(Ok(header)) => Header::Complete {
            length: header.header.len(),
            client: match header.addresses {
                v1::Addresses::Tcp4(tcp) => Some(IpAddr::V4(tcp.source_address)),
                v1::Addresses::Tcp6(tcp) => Some(IpAddr::V6(tcp.source_address)),
                v1::Addresses::Unknown => None,
            },
        },
        HeaderResult::V2(Ok(header)) => Header::Complete {
            length: header.len(),
            client: match (header.command, header.addresses) {
                (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => {
                    Some(IpAddr::V4(ip.source_address))
                }
                (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => {
                    Some(IpAddr::V6(ip.source_address))
                }
                _ => None,
            },
        },
        _ if is_incomplete && input.len() <= MAX_LENGTH => Header::Incomplete,
        _ => Header::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(length: usize, client: &str) -> Header {
        let client = (!client.is_empty()).then(|| client.parse().expect("an address"));
        Header::Complete { length, client }
    }

    #[test]
    fn headers_of_both_versions_tell_the_client() {
        let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n";
        assert_eq!(read(v1), complete(v1.len(), "192.0.2.1"));
        let v1_behind = [v1.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(read(&v1_behind), complete(v1.len(), "192.0.2.1"));
        let six = b"PROXY TCP6 2001:db8::1 ::1 1000 80\r\n";
        assert_eq!(read(six), complete(six.len(), "2001:db8::1"));
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), complete(15, ""));
        let mut v2 = v2::PROTOCOL_PREFIX.to_vec();
        v2.extend([0x21, 0x11, 0, 12, 192, 0, 2, 9, 192, 0, 2, 2, 4, 0, 0, 80]);
        assert_eq!(read(&v2), complete(28, "192.0.2.9"));
        v2[12] = 0x20; // LOCAL
        assert_eq!(read(&v2), complete(28, ""));
        for header in [v1.as_slice(), six, &v2] {
            for n in 0..header.len() {
                assert_eq!(read(&header[..n]), Header::Incomplete, "{n} bytes");
            }
        }
    }

    #[test]
    fn anything_else_is_malformed_as_soon_as_that_is_certain() {
        let long = format!("PROXY TCP4 {}", "1".repeat(200));
        let mut endless = v2::PROTOCOL_PREFIX.to_vec();
        endless.extend([0x21, 0x11, 0xff, 0xff]);
        endless.resize(MAX_LENGTH + 1, 0);
        let cases: [&[u8]; 7] = [
            b"G",
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY TCP4 a b 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\n\n\n\n\n\n",
            b"\r\n\r\n\0\r\nQUIX",
            long.as_bytes(),
            &endless,
        ];
        for case in cases {
            let text = case.escape_ascii().to_string();
            assert_eq!(read(case), Header::Malformed, "{text:.60}");
        }
    }
}
