//! Chance without a generator: a number is a function of the seed and of what it is for, so that no call changes what
//! another one gets.

/// FNV-1a over the parts, then the finaliser of splitmix64, for FNV's high bits are poor. Our own, because the standard
/// library's hash may change between releases, and a world's ids may not.
pub(crate) fn hash(seed: u64, parts: &[&str]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ mix(seed);
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mix(state)
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number between `low` and `high`, both included.
pub(crate) fn between(low: u64, high: u64, seed: u64, parts: &[&str]) -> u64 {
    low + hash(seed, parts) % (high.saturating_sub(low) + 1)
}

/// The median, give or take a fifth, and at least a second.
pub(crate) fn jittered_seconds(median_seconds: u64, seed: u64, parts: &[&str]) -> u64 {
    (median_seconds * between(800, 1200, seed, parts) / 1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_fifth_and_depends_on_what_it_is_for() {
        let spans: Vec<u64> = (0..200).map(|n| jittered_seconds(600, 7, &["vpc", &n.to_string()])).collect();
        assert!(spans.iter().all(|s| (480..=720).contains(s)));
        assert!(spans.iter().any(|s| *s < 540) && spans.iter().any(|s| *s > 660));
        assert_eq!(jittered_seconds(600, 7, &["vpc", "3"]), spans[3]);
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        assert_ne!(hash(1, &["ab", "c"]), hash(1, &["a", "bc"]));
        assert_ne!(hash(1, &["a"]), hash(2, &["a"]));
    }
}
