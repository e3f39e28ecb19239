//! Numbers and addresses as they stand in a message or a log: without the machinery of format
//! strings, which takes five times as long.

use std::io::Write as _;
use std::net::IpAddr;

/// Appends a number.
pub fn push_number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends an address; one of IPv4 that a socket of IPv6 met is one of IPv4.
pub fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (idx, octet) in address.octets().into_iter().enumerate() {
                if idx > 0 {
                    out.push(b'.');
                }
                push_number(out, octet.into());
            }
        }
        IpAddr::V6(address) => write!(out, "{address}").expect("a Vec takes any bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_rust_writes_them() {
        for n in [0, 9, 10, 255, 999, 1_000, u64::MAX] {
            let mut text = Vec::new();
            push_number(&mut text, n);
            assert_eq!(String::from_utf8_lossy(&text), n.to_string());
        }
    }

    #[test]
    fn addresses_are_written_in_their_shortest_form() {
        for (address, wanted) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("0.10.255.0", "0.10.255.0"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let mut text = Vec::new();
            push_address(&mut text, address.parse().expect("an address"));
            assert_eq!(String::from_utf8_lossy(&text), wanted);
        }
    }
}
