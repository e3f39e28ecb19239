//! Whose word about the client counts: the proxies in front of us, by address.
//!
//! Everyone can write X-Forwarded-For. From a peer that is trusted it is kept and appended to; from
//! anyone else it is replaced.

use std::net::IpAddr;

use ipnet::IpNet;

/// The peers whose X-Forwarded fields are believed. The default is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Networks, IPv4 ones never written as IPv6.
    networks: Vec<IpNet>,
    /// Whoever can connect to a Unix socket of ours.
    unix: bool,
}

impl Trust {
    /// Adds an address, a network or `unix`. The error is one line that says what would be right.
    pub fn add(&mut self, member: &str) -> Result<(), String> {
        let other = Trust::parse_member(member)?;
        self.networks.extend(other.networks);
        self.unix |= other.unix;
        Ok(())
    }

    /// Trust in one member: `10.0.0.0/8`, `10.1.2.3`, `::1` or `unix`.
    pub fn parse_member(member: &str) -> Result<Trust, String> {
        if member == "unix" {
            return Ok(Trust {
                unix: true,
                ..Trust::default()
            });
        }
        let network = match member.parse::<IpAddr>() {
            Ok(address) => Some(IpNet::from(address.to_canonical())),
            Err(_) => member.parse::<IpNet>().ok().and_then(canonical),
        };
        match network {
            Some(network) => Ok(Trust {
                networks: vec![network],
                unix: false,
            }),
            None => Err(format!(
                "{member:?} is not an address (10.1.2.3, ::1), a network (10.0.0.0/8) or unix"
            )),
        }
    }

    /// Whether a peer is trusted; none is one on a Unix socket.
    pub fn covers(&self, address: Option<IpAddr>) -> bool {
        match address {
            None => self.unix,
            Some(address) => {
                let address = address.to_canonical();
                self.networks.iter().any(|n| n.contains(&address))
            }
        }
    }
}

/// An IPv4 network that is written as IPv6 (`::ffff:10.0.0.0/104`) is an IPv4 network; none where
/// it would be more than all of IPv4.
fn canonical(network: IpNet) -> Option<IpNet> {
    const MAPPED: u8 = 96;
    let address = network.addr().to_canonical();
    if address.is_ipv4() == network.addr().is_ipv4() {
        return Some(network);
    }
    let prefix = network.prefix_len().checked_sub(MAPPED)?;
    IpNet::new(address, prefix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_covers_its_addresses_and_no_other() {
        let cases = [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::1", "::1", true),
            ("::1", "127.0.0.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::ffff:10.1.2.3", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.9.9.9", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.1.2.3", false),
        ];
        for (member, address, wanted) in cases {
            let trust = Trust::parse_member(member).expect("a good member");
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(trust.covers(Some(address)), wanted, "{member} {address}");
            assert!(!trust.covers(None), "{member} says nothing of Unix sockets");
        }
    }

    #[test]
    fn unix_is_trusted_when_it_is_named_and_nobody_by_default() {
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        let mut trust = Trust::default();
        assert!(!trust.covers(None) && !trust.covers(address));
        trust.add("unix").expect("a good member");
        assert!(trust.covers(None) && !trust.covers(address));
        trust.add("127.0.0.1").expect("a good member");
        assert!(trust.covers(None) && trust.covers(address));
    }

    #[test]
    fn what_is_no_address_is_refused_in_one_line() {
        for bad in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "::1/129",
            "10.0.0.0/",
            "host",
            "Unix",
            " unix",
            "a\nb",
            "::ffff:10.0.0.0/95",
        ] {
            let error = Trust::parse_member(bad).expect_err(bad);
            assert!(!error.contains('\n'), "{error}");
            assert!(
                error.contains("10.0.0.0/8") && error.contains("unix"),
                "{error}"
            );
        }
    }
}
