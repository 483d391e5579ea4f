//! How a block of addresses is divided: three quarters are the private subnets', the last quarter has the public ones.

use std::net::Ipv4Addr;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;

use crate::error::error;

/// So many zones a network is in, where the region has them.
pub const ZONES: usize = 3;

/// EC2 takes no larger block.
const LARGEST: u32 = 16;
/// In a smaller one no load balancer and few pods find room.
const SMALLEST: u32 = 22;
/// A public subnet that is smaller than this is refused by load balancers.
const PUBLIC_LONGEST: u32 = 27;

/// The blocks of the subnets of a network, by zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// For nodes and pods.
    pub private: [String; ZONES],
    /// For load balancers and the way out.
    pub public: [String; ZONES],
}

/// Divides a block, or says what is wrong with it.
pub fn divide(cidr: &str) -> Result<Blocks, CloudError> {
    let wrong = |what: &str| error(ErrorClass::Invalid, "InvalidNetwork", format!("the block {cidr} {what}"));
    let (base, length) = parse(cidr).ok_or_else(|| wrong("is none; write it like 10.8.0.0/18"))?;
    if !(LARGEST..=SMALLEST).contains(&length) {
        return Err(wrong("can't be a network's; it takes one of /16 to /22"));
    }
    let size = 1_u32 << (32 - length);
    if base & (size - 1) != 0 {
        return Err(wrong("does not begin where a block of its size does"));
    }
    let quarter = size / 4;
    let public_length = (length + 6).min(PUBLIC_LONGEST);
    let public_size = 1_u32 << (32 - public_length);
    let block = |at: u32, length: u32| format!("{}/{length}", Ipv4Addr::from(at));
    Ok(Blocks {
        private: [0, 1, 2].map(|n| block(base + n * quarter, length + 2)),
        public: [0, 1, 2].map(|n| block(base + 3 * quarter + n * public_size, public_length)),
    })
}

fn parse(cidr: &str) -> Option<(u32, u32)> {
    let (address, length) = cidr.split_once('/')?;
    Some((address.parse::<Ipv4Addr>().ok()?.into(), length.parse().ok().filter(|length| *length <= 32)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_divided_in_three_quarters_and_what_is_in_the_last() {
        let blocks = divide("10.8.64.0/18").unwrap();
        assert_eq!(blocks.private, ["10.8.64.0/20", "10.8.80.0/20", "10.8.96.0/20"]);
        assert_eq!(blocks.public, ["10.8.112.0/24", "10.8.113.0/24", "10.8.114.0/24"]);
    }

    #[test]
    fn the_smallest_block_has_public_subnets_that_load_balancers_take() {
        assert_eq!(divide("10.0.4.0/22").unwrap().public, ["10.0.7.0/27", "10.0.7.32/27", "10.0.7.64/27"]);
    }

    #[test]
    fn no_two_blocks_overlap_and_all_are_inside() {
        for length in LARGEST..=SMALLEST {
            let (from, size) = (u32::from(Ipv4Addr::new(10, 64, 0, 0)), 1_u64 << (32 - length));
            let blocks = divide(&format!("10.64.0.0/{length}")).unwrap();
            let mut end = u64::from(from);
            for block in blocks.private.iter().chain(&blocks.public) {
                let (base, length) = parse(block).unwrap();
                assert!(u64::from(base) >= end, "{block}");
                end = u64::from(base) + (1_u64 << (32 - length));
            }
            assert!(end <= u64::from(from) + size, "/{length}");
        }
    }

    #[test]
    fn what_is_no_network_s_block_is_told() {
        for (cidr, says) in [
            ("10.0.0.0/15", "/16 to /22"),
            ("10.0.0.0/23", "/16 to /22"),
            ("10.0.1.0/16", "begin"),
            ("10.0.0.0", "is none"),
            ("fd00::/48", "is none"),
        ] {
            assert!(divide(cidr).unwrap_err().message.contains(says), "{cidr}");
        }
    }
}
