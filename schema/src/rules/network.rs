//! Blocks of addresses.

use std::net::Ipv4Addr;

/// An IPv4 block: its network address, and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    network: u32,
    pub(super) prefix_length: u8,
}

impl Block {
    /// Parses `10.0.0.0/10`; the error says what is wrong and, where it is known, what was meant.
    pub(super) fn parse(cidr: &str) -> Result<Self, (String, Option<String>)> {
        let wrong = || (format!("`{cidr}` is no block of addresses"), Some("write it like 10.0.0.0/10".to_owned()));
        let (address, length) = cidr.split_once('/').ok_or_else(wrong)?;
        let address: u32 = address.parse::<Ipv4Addr>().map_err(|_| wrong())?.into();
        let prefix_length: u8 = length.parse().ok().filter(|length| *length <= 32).ok_or_else(wrong)?;
        let network = address & mask(prefix_length);
        match network == address {
            true => Ok(Self { network, prefix_length }),
            false => Err((
                format!("`{cidr}` names an address inside of its block"),
                Some(format!("write {}/{prefix_length}", Ipv4Addr::from(network))),
            )),
        }
    }

    /// Whether the blocks have an address in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        let shorter = mask(self.prefix_length.min(other.prefix_length));
        self.network & shorter == other.network & shorter
    }
}

fn mask(prefix_length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_begin_at_their_network_address() {
        assert!(Block::parse("10.0.0.0/10").is_ok());
        assert!(Block::parse("0.0.0.0/0").is_ok());
        assert_eq!(Block::parse("10.1.2.3/16").unwrap_err().1.unwrap(), "write 10.1.0.0/16");
        for wrong in ["10.0.0.0", "10.0.0/8", "256.0.0.0/8", "10.0.0.0/33", "10.00.0.0/8", "::/0", ""] {
            assert!(Block::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn blocks_overlap_where_one_holds_the_other() {
        let block = |cidr| Block::parse(cidr).unwrap();
        assert!(block("10.0.0.0/8").overlaps(block("10.64.0.0/10")));
        assert!(!block("10.0.0.0/10").overlaps(block("10.64.0.0/10")));
        assert!(block("0.0.0.0/0").overlaps(block("10.64.0.0/10")));
    }
}
