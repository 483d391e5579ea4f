//! What lacks between the groups that are and those that should be.

use super::group::{Group, PoolTaint, State};
use super::wanted::Wanted;
use crate::marks::TagChange;
use crate::owner::Tags;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A group is not there.
    Missing(Wanted),
    /// Settings of a group differ.
    Settings(Settings),
    /// The nodes of a group are of another version than their control plane.
    Version { group: String },
    /// Tags of a group differ.
    Tags { arn: String, change: TagChange },
    /// A group has been replaced, or its pool is gone.
    Spare { group: String },
}

/// Settings of a group to be changed, in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub group: String,
    /// Least, greatest and, only where it is out of these bounds, desired.
    pub scaling: Option<(i32, i32, Option<i32>)>,
    pub labels: Tags,
    pub labels_removed: Vec<String>,
    pub taints: Vec<PoolTaint>,
    pub taints_removed: Vec<PoolTaint>,
}

/// All that can be brought on its way now. A group takes one change at a time, and one that is at work takes none.
pub fn differences(groups: &[Group], wanted: &[Wanted], minor: u32) -> Vec<Difference> {
    let mut found: Vec<Difference> = wanted
        .iter()
        .filter_map(|wanted| match groups.iter().find(|group| group.name == wanted.name) {
            None => Some(Difference::Missing(wanted.clone())),
            Some(group) if matches!(group.state, State::Active | State::Degraded) => of_group(group, wanted, minor),
            Some(_) => None,
        })
        .collect();
    let stand = wanted.iter().all(|wanted| stands(groups, wanted));
    if found.is_empty() && stand {
        let spare = groups.iter().filter(|group| wanted.iter().all(|wanted| wanted.name != group.name));
        let staying = spare.filter(|group| matches!(group.state, State::Active | State::Degraded | State::Failed));
        found.extend(staying.map(|group| Difference::Spare { group: group.name.clone() }));
    }
    found
}

/// Whether nothing is left to do and nothing is at work.
pub fn is_whole(groups: &[Group], wanted: &[Wanted], minor: u32) -> bool {
    differences(groups, wanted, minor).is_empty()
        && groups.len() == wanted.len()
        && groups.iter().all(|group| group.state == State::Active)
}

fn stands(groups: &[Group], wanted: &Wanted) -> bool {
    groups.iter().any(|group| group.name == wanted.name && group.state == State::Active)
}

fn of_group(group: &Group, wanted: &Wanted, minor: u32) -> Option<Difference> {
    if let Some(settings) = settings(group, wanted) {
        return Some(Difference::Settings(settings));
    }
    // One whose version is not told is not behind.
    if group.minor > 0 && group.minor < minor {
        return Some(Difference::Version { group: group.name.clone() });
    }
    let change = TagChange::between(&group.tags, &wanted.tags);
    (!change.is_empty()).then(|| Difference::Tags { arn: group.arn.clone(), change })
}

fn settings(group: &Group, wanted: &Wanted) -> Option<Settings> {
    let (least, most) = (wanted.count_min, wanted.count_max);
    let bounds_differ = (group.count_min, group.count_max) != (least, most);
    let desired = group.count_desired.clamp(least, most.max(least));
    let settings = Settings {
        group: group.name.clone(),
        scaling: bounds_differ.then_some((least, most, (desired != group.count_desired).then_some(desired))),
        labels: wanted
            .labels
            .iter()
            .filter(|(key, value)| group.labels.get(*key) != Some(*value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        labels_removed: group.labels.keys().filter(|key| !wanted.labels.contains_key(*key)).cloned().collect(),
        taints: wanted.taints.iter().filter(|taint| !group.taints.contains(taint)).cloned().collect(),
        taints_removed: group.taints.iter().filter(|taint| !replaced(taint, wanted)).cloned().collect(),
    };
    let Settings { group: _, scaling, labels, labels_removed, taints, taints_removed } = &settings;
    let same = scaling.is_none()
        && labels.is_empty()
        && labels_removed.is_empty()
        && taints.is_empty()
        && taints_removed.is_empty();
    (!same).then_some(settings)
}

/// A taint of the same key and effect is overwritten; in both lists it would be refused.
fn replaced(taint: &PoolTaint, wanted: &Wanted) -> bool {
    wanted.taints.iter().any(|other| (&other.key, &other.effect) == (&taint.key, &taint.effect))
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::group;
    use super::super::wanted::tests::pool;
    use super::super::wanted::wanted;
    use super::*;
    use crate::control_plane::tests::live;
    use fleetwright_schema::set::{ClusterSpec, NetworkSpec, NodePool};

    fn spec(node_pools: Vec<NodePool>) -> ClusterSpec {
        ClusterSpec {
            kubernetes_version: "1.33".parse().unwrap(),
            features: Default::default(),
            node_pools,
            infra_services: Vec::new(),
            network: NetworkSpec::default(),
            tags: Tags::new(),
        }
    }

    fn wish(pools: Vec<NodePool>) -> Vec<Wanted> {
        wanted(&live().owner, &spec(pools)).unwrap()
    }

    /// The group as it is when it was just made.
    fn made(wanted: &Wanted) -> Group {
        Group {
            labels: wanted.labels.clone(),
            taints: wanted.taints.clone(),
            tags: wanted.tags.clone(),
            ..group(&wanted.name)
        }
    }

    #[test]
    fn nothing_differs_from_what_was_just_made() {
        let wish = wish(vec![pool("workers", "m6i.large")]);
        assert_eq!(differences(&[], &wish, 33), [Difference::Missing(wish[0].clone())]);
        assert_eq!(differences(&[made(&wish[0])], &wish, 33), []);
        assert!(is_whole(&[made(&wish[0])], &wish, 33));
    }

    #[test]
    fn the_autoscaler_s_number_is_touched_only_where_it_is_out_of_bounds() {
        for ((least, most), desired) in [((1, 5), None), ((2, 2), None), ((3, 5), Some(3)), ((0, 1), Some(1))] {
            let mut pool = pool("workers", "m6i.large");
            (pool.spec.min_count, pool.spec.max_count) = (least, most);
            let wish = wish(vec![pool]);
            let Some(Difference::Settings(settings)) = differences(&[made(&wish[0])], &wish, 33).pop() else {
                panic!("bounds {least} to {most}")
            };
            assert_eq!(settings.scaling, Some((wish[0].count_min, wish[0].count_max, desired)));
        }
    }

    #[test]
    fn labels_and_taints_are_brought_to_what_is_wanted() {
        let mut new = pool("workers", "m6i.large");
        new.spec.labels = Tags::from([("a".to_owned(), "2".to_owned())]);
        new.spec.taints = vec!["t=2:NoSchedule".to_owned(), "u=1:NoSchedule".to_owned()];
        let wish = wish(vec![new]);
        let taint = |key: &str, value: &str| PoolTaint {
            key: key.to_owned(),
            value: value.to_owned(),
            effect: "NO_SCHEDULE".to_owned(),
        };
        let old = Group {
            labels: Tags::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "1".to_owned())]),
            taints: vec![taint("t", "1"), taint("v", "1")],
            ..made(&wish[0])
        };
        let Some(Difference::Settings(settings)) = differences(&[old], &wish, 33).pop() else { panic!() };
        assert_eq!(settings.scaling, None);
        assert_eq!(settings.labels, wish[0].labels);
        assert_eq!(settings.labels_removed, ["b"]);
        assert_eq!(settings.taints, [taint("t", "2"), taint("u", "1")]);
        assert_eq!(settings.taints_removed, [taint("v", "1")], "the other value of t is overwritten");
    }

    #[test]
    fn nodes_follow_their_control_plane_and_never_run_ahead() {
        let wish = wish(vec![pool("workers", "m6i.large")]);
        let group = made(&wish[0]);
        assert_eq!(
            differences(std::slice::from_ref(&group), &wish, 34),
            [Difference::Version { group: wish[0].name.clone() }]
        );
        assert_eq!(differences(&[Group { minor: 35, ..group.clone() }], &wish, 34), []);
        assert_eq!(differences(&[Group { minor: 0, ..group }], &wish, 34), []);
    }

    #[test]
    fn a_replaced_group_goes_once_its_successor_stands() {
        let (old, new) = (wish(vec![pool("workers", "m6i.large")]), wish(vec![pool("workers", "m6i.xlarge")]));
        let (old_group, new_group) = (made(&old[0]), made(&new[0]));
        assert_eq!(differences(std::slice::from_ref(&old_group), &new, 33), [Difference::Missing(new[0].clone())]);
        for state in [State::Creating, State::Updating, State::Failed, State::Deleting] {
            let not_yet = Group { state, ..new_group.clone() };
            assert_eq!(differences(&[old_group.clone(), not_yet], &new, 33), [], "{state:?}");
        }
        let behind = Group { minor: 32, ..new_group.clone() };
        let both = [old_group.clone(), behind];
        assert_eq!(differences(&both, &new, 33), [Difference::Version { group: new[0].name.clone() }]);
        let both = [old_group.clone(), new_group.clone()];
        assert_eq!(differences(&both, &new, 33), [Difference::Spare { group: old[0].name.clone() }]);
        assert!(!is_whole(&both, &new, 33));
        let going = [Group { state: State::Deleting, ..old_group }, new_group];
        assert_eq!(differences(&going, &new, 33), []);
        assert!(!is_whole(&going, &new, 33), "it is still there");
    }

    #[test]
    fn tags_come_after_everything_that_takes_time() {
        let wish = wish(vec![pool("workers", "m6i.large")]);
        let mut group = made(&wish[0]);
        group.tags.insert("Name".to_owned(), "other".to_owned());
        let found = differences(&[group.clone()], &wish, 33);
        assert!(matches!(&found[..], [Difference::Tags { .. }]), "{found:?}");
    }
}
