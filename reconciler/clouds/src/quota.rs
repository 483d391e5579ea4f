//! How much of an account's quotas is left for clusters.

use serde::Serialize;

/// A limit that a provider has set to an account, in a region or in all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// What it is of: `VPCs per region`.
    pub name: String,
    /// By which a person has it raised: `vpc/L-F678F1CE`.
    pub code: String,
    /// How many there may be; none where the provider does not answer, or we may not ask.
    pub limit: Option<u32>,
    /// How many there are, whoever made them; none where they could not be counted.
    pub used: Option<u32>,
    /// How many of it a cluster takes.
    pub per_cluster: u32,
    /// Whether a cluster in a given network takes none.
    pub of_network: bool,
}

impl Quota {
    /// How many of these new clusters, the first number in networks of their own and the second in given ones, are too
    /// many; none where it is not known.
    pub fn too_many(&self, in_own: u32, in_given: u32) -> Option<u32> {
        let taking = if self.of_network { in_own } else { in_own.saturating_add(in_given) };
        let room = self.limit?.saturating_sub(self.used?).checked_div(self.per_cluster).unwrap_or(u32::MAX);
        Some(taking.saturating_sub(room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted_in_clusters() {
        let quota = |per_cluster, of_network, limit, used| Quota {
            name: "VPCs".into(),
            code: "vpc/L-1".into(),
            limit,
            used,
            per_cluster,
            of_network,
        };
        assert_eq!(quota(1, true, Some(5), Some(3)).too_many(2, 7), Some(0), "a given network is there already");
        assert_eq!(quota(1, true, Some(5), Some(3)).too_many(3, 0), Some(1));
        assert_eq!(quota(1, false, Some(5), Some(3)).too_many(2, 7), Some(7));
        assert_eq!(quota(3, false, Some(11), Some(3)).too_many(3, 0), Some(1), "two thirds of a cluster are none");
        assert_eq!(quota(1, false, Some(3), Some(5)).too_many(0, 0), Some(0));
        assert_eq!(quota(1, false, None, Some(5)).too_many(9, 9), None);
        assert_eq!(quota(0, false, Some(1), Some(1)).too_many(9, 9), Some(0));
    }
}
