//! Addresses and networks: `203.0.113.7`, `10.0.0.0/8`, `2001:db8::/32`.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of one family, without the bits behind its prefix. An IPv4 address that is written as an
/// IPv6 one (`::ffff:1.2.3.4`) is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network {
    is_v6: bool,
    prefix: u8,
    bits: u128,
}

/// Whether this is an address with something behind a `/` that would be the length of a prefix and is
/// none of that family.
pub(super) fn is_misspelt(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
    is_number && address.parse::<IpAddr>().is_ok() && Network::parse(text.as_bytes()).is_none()
}

impl Network {
    /// Reads an address, with `/` and the length of a prefix if it is more than one.
    pub(super) fn parse(text: &[u8]) -> Option<Network> {
        // Behind a first group of at most four digits, which most identifiers have not.
        let group = text.iter().take(5).position(|byte| matches!(byte, b'.' | b':'))?;
        if !text[..group].iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        // The longest that is one is an IPv6 address with an IPv4 tail and a length.
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= 49)?;
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let written: u8 = if address.is_ipv6() { 128 } else { 32 };
        let prefix = match prefix {
            None => written,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= written)?
            }
            Some(_) => return None,
        };
        match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(inner)) if prefix >= 96 => {
                Some(Network::of(IpAddr::V4(inner), prefix - 96))
            }
            _ => Some(Network::of(address, prefix)),
        }
    }

    /// The network of an address with so long a prefix.
    fn of(address: IpAddr, prefix: u8) -> Network {
        let (is_v6, bits) = match address {
            IpAddr::V4(v4) => (false, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (true, v6.to_bits()),
        };
        Network { is_v6, prefix: Self::width(is_v6), bits }.shortened(prefix)
    }

    fn width(is_v6: bool) -> u8 {
        if is_v6 { 128 } else { 32 }
    }

    /// The network of this length that it lies in.
    fn shortened(self, prefix: u8) -> Network {
        let behind = u32::from(Self::width(self.is_v6) - prefix);
        let bits = self.bits.checked_shr(behind).unwrap_or(0);
        Network { prefix, bits: bits.checked_shl(behind).unwrap_or(0), ..self }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = if self.is_v6 {
            IpAddr::V6(Ipv6Addr::from_bits(self.bits))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(self.bits as u32))
        };
        write!(f, "{address}")?;
        if self.prefix < Self::width(self.is_v6) {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

/// Networks, found by an address that lies in one: a look for each length there is.
#[derive(Debug, Default)]
pub(super) struct Networks {
    /// Until when each is in.
    until: HashMap<Network, u64>,
    /// How many there are, by family and length.
    lengths: HashMap<(bool, u8), usize>,
}

impl Networks {
    pub(super) fn insert(&mut self, network: Network, until: u64) {
        if self.until.insert(network, until).is_none() {
            *self.lengths.entry((network.is_v6, network.prefix)).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, network: Network) {
        let key = (network.is_v6, network.prefix);
        if self.until.remove(&network).is_some()
            && let Some(count) = self.lengths.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&key);
            }
        }
    }

    /// Whether a network that is in holds all of this one.
    pub(super) fn hold(&self, inner: Network, now: u64) -> bool {
        self.lengths.keys().any(|&(is_v6, prefix)| {
            is_v6 == inner.is_v6
                && prefix <= inner.prefix
                && self.until.get(&inner.shortened(prefix)).is_some_and(|until| *until > now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn reads_and_writes_networks() {
        for (text, canonical) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("2001:db8:ffff::/33", "2001:db8:8000::/33"),
            ("::/0", "::/0"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
        ] {
            assert_eq!(network(text).to_string(), canonical, "{text}");
        }
        for text in [
            "",
            "alice",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "::/129",
            "1.2.3.4/8/8",
            "1.2.3.256",
        ] {
            assert_eq!(Network::parse(text.as_bytes()), None, "{text}");
        }
    }

    /// What else there may be behind an address is part of a name.
    #[test]
    fn a_network_with_a_wrong_length_is_told_from_a_name() {
        for (text, wrong) in [
            ("10.0.0.0/33", true),
            ("10.0.0.0/", true),
            ("::/129", true),
            ("10.0.0.0/99999999999999", true),
            ("10.0.0.0/8", false),
            ("10.0.0.0", false),
            ("10.0.0.0/chrome", false),
            ("10.0.0/8", false),
            ("a/8", false),
        ] {
            assert_eq!(is_misspelt(text.as_bytes()), wrong, "{text}");
        }
        assert!(!is_misspelt(b"10.0.0.0/\xff"));
    }

    #[test]
    fn a_network_holds_what_lies_in_it() {
        let mut networks = Networks::default();
        networks.insert(network("10.0.0.0/8"), 100);
        networks.insert(network("10.9.0.0/16"), 200);
        networks.insert(network("2001:db8::/32"), 200);
        let holds = |text: &str, now| networks.hold(network(text), now);
        assert!(holds("10.1.2.3", 99) && !holds("10.1.2.3", 100) && holds("10.9.2.3", 100));
        assert!(holds("10.0.0.0/9", 0) && !holds("10.0.0.0/7", 0) && !holds("11.0.0.0", 0));
        assert!(holds("2001:db8:1::2", 0) && !holds("2001:db9::", 0));
        assert!(holds("::ffff:10.1.1.1", 0));
        networks.remove(network("10.0.0.0/8"));
        assert!(!networks.hold(network("10.1.2.3"), 0));
    }
}
