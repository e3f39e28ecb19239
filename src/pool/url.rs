//! A backend as it is written: `http://HOST[:PORT][/BASE]`.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

/// Where a backend is, and the path that every target sent to it begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendUrl {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    host: String,
    port: u16,
    /// Empty, or a path that begins with `/` and does not end with one.
    base: String,
}

impl BackendUrl {
    /// Reads a URL as given on the command line. The error says what would be right.
    pub fn parse(text: &str) -> Result<BackendUrl, String> {
        let wanted = || "want http://HOST[:PORT][/BASE], as in http://127.0.0.1:8081".to_owned();
        if text
            .get(..8)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
        {
            return Err(format!("TLS to backends is not built in; {}", wanted()));
        }
        let scheme = text.get(..7).ok_or_else(wanted)?;
        if !scheme.eq_ignore_ascii_case("http://") {
            return Err(wanted());
        }
        let rest = &text[7..];
        let is_plain = |b: u8| b.is_ascii_graphic() && !b"?#@\\\"<>^`{|}".contains(&b);
        if !rest.bytes().all(is_plain) {
            return Err(wanted());
        }
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_authority(authority).ok_or_else(wanted)?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(BackendUrl {
            host: host.to_ascii_lowercase(),
            port,
            base,
        })
    }

    /// The path before every target, empty when there is none.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The Host field for a client that sent none (HTTP/1.0): host and port, RFC 9110 §7.2.
    pub fn authority(&self) -> String {
        let host = if self.is_ipv6() {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == 80 {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Whether the host is a name that has to be looked up.
    pub fn is_name(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_err()
    }

    /// Where it is, if its host is an address.
    pub fn address(&self) -> Option<SocketAddr> {
        let ip: std::net::IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }

    /// Looks the host up. Blocks as long as the system's resolver does; at once for an address.
    /// Each address comes once, in the resolver's order.
    pub fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses = once_each((self.host.as_str(), self.port).to_socket_addrs()?);
        if addresses.is_empty() {
            return Err(io::Error::other("the name has no address"));
        }
        Ok(addresses)
    }

    fn is_ipv6(&self) -> bool {
        self.host.contains(':')
    }
}

/// A hosts file with two lines for a name makes some resolvers tell the same address twice.
fn once_each(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut unique = Vec::new();
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    unique
}

fn split_authority(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if host.is_empty() || !host.bytes().all(is_name_byte) {
            return None;
        }
        (host, port)
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        None if port.is_empty() => 80,
        _ => return None,
    };
    (port != 0).then_some((host, port))
}

impl fmt::Display for BackendUrl {
    /// Host, port and base: the name of the backend in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ipv6() {
            write!(f, "[{}]:{}{}", self.host, self.port, self.base)
        } else {
            write!(f, "{}:{}{}", self.host, self.port, self.base)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls_are_read_as_host_port_and_base() {
        let cases = [
            ("http://127.0.0.1:8081", "127.0.0.1:8081", "127.0.0.1:8081"),
            ("HTTP://Example.org", "example.org:80", "example.org"),
            ("http://a_b-c.lan:9/", "a_b-c.lan:9", "a_b-c.lan:9"),
            (
                "http://[::1]:8081/app/v1/",
                "[::1]:8081/app/v1",
                "[::1]:8081",
            ),
            ("http://[::1]", "[::1]:80", "[::1]"),
        ];
        for (text, shown, authority) in cases {
            let url = BackendUrl::parse(text).expect(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.authority(), authority);
        }
        assert_eq!(
            BackendUrl::parse("http://x/app/").expect("a base").base(),
            "/app"
        );
    }

    #[test]
    fn an_address_that_is_told_twice_counts_once() {
        let [a, b] = [1, 2].map(|n| SocketAddr::from(([10, 0, 0, n], 80)));
        assert_eq!(once_each([b, a, b, a, a].into_iter()), [b, a]);
    }

    #[test]
    fn bad_urls_are_refused() {
        let cases = [
            "",
            "http://",
            "http:///x",
            "127.0.0.1:80",
            "ftp://x",
            "http://x:0",
            "http://x:65536",
            "http://x:",
            "http://x:+1",
            "http://[::1",
            "http://::1",
            "http://[x]",
            "http://u@x",
            "http://x/?q",
            "http://x/#f",
            "http://x y",
            "http://x\r\n",
            "http://é",
            "http://x:8a",
        ];
        for text in cases {
            assert!(BackendUrl::parse(text).is_err(), "{text:?}");
        }
        assert!(
            BackendUrl::parse("https://x")
                .expect_err("no TLS")
                .contains("TLS")
        );
    }
}
