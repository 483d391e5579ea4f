//! What is wished for: sets of a hundred clusters, in as many regions as are asked for.

use fleetwright_tests::contract::conductor::ACCOUNT;
use fleetwright_tests::stage::{cluster_set, path_of, real_aws_fleet};

/// So many clusters are in a set.
const SET_SIZE: u32 = 100;
/// On a page of each list, by the documentation of each: clusters, VPCs, roles, streams.
const PAGES: [(u32, u32); 4] = [(1, 100), (1, 1_000), (3, 1_000), (1, 10_000)];

/// The fewest calls by which so many clusters of a region can be listed: the pages of clusters, VPCs, roles (three a
/// cluster) and streams. A list without items is a page as well.
pub fn least_calls(clusters: u32) -> u32 {
    PAGES.iter().map(|(each, page)| (clusters * each).div_ceil(*page).max(1)).sum()
}

/// All files of the fleet: so many clusters, evenly over the regions.
pub fn files(regions: &[String], clusters: u32) -> Vec<(String, String)> {
    let each = clusters / u32::try_from(regions.len()).unwrap();
    let sets = regions.iter().flat_map(|region| (0..each.div_ceil(SET_SIZE)).map(move |index| (region, index)));
    let files = sets.map(|(region, index)| {
        let set = format!("prod/aws/{region}/Bench{index}");
        let count = SET_SIZE.min(each - index * SET_SIZE);
        let spec = format!("count: {count}\nkubernetesVersion: \"1.33\"");
        (path_of(&set), cluster_set(&set, &spec).replace("D4s_v3", "m6i.large"))
    });
    std::iter::once(("fleet.yaml".to_owned(), real_aws_fleet(ACCOUNT))).chain(files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_its_pages_and_an_empty_one_takes_one() {
        assert_eq!(least_calls(0), 4);
        assert_eq!(least_calls(100), 4);
        // Two of clusters.
        assert_eq!(least_calls(200), 5);
        // Ten of clusters, three of roles.
        assert_eq!(least_calls(1_000), 15);
    }
}
