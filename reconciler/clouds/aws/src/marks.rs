//! Marks on the tags of a control plane: what its children were made from, and which tags came from the set.
//!
//! EKS takes letters, digits, spaces and `+-=._:/@` in the values of tags, and no more than 256 of them.

use fleetwright_core::inventory::Step;

use crate::owner::{Tags, applied_of, short_hash};

/// Whether it takes workloads: absent, or a [`crate::inside::placement::Placed`] as text.
pub const PLACEMENT: &str = "fleetwright.dev/placement";
/// How the API was last told to be reached, [`PUBLIC`] or [`PRIVATE`]: whether somebody opened it by hand is seen by that.
pub const REACH: &str = "fleetwright.dev/reach";
/// In [`REACH`], from the blocks of addresses that the account names, too.
pub const PUBLIC: &str = "public";
/// In [`REACH`], from the cluster's network alone.
pub const PRIVATE: &str = "private";
/// The infra services that were last applied: `name=version name=version`.
pub const INFRA_SERVICES: &str = "fleetwright.dev/infra-services";
/// Which tags came from the set, as short hashes of their keys: one that leaves the set goes, one of other people stays.
pub const TAGGED: &str = "fleetwright.dev/tagged";

/// The longest value of a tag.
pub const VALUE_LENGTH_MAX: usize = 256;
/// Digits of a hash in [`TAGGED`]: fifty keys fit.
const HASH_DIGITS: usize = 4;

/// What was written on a control plane of one of its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The fingerprint of what it was made from.
    pub print: String,
    /// The hash of what it consisted of, where it consists of several things.
    pub sum: String,
}

impl Mark {
    /// The mark of a child.
    pub fn of(tags: &Tags, step: Step) -> Option<Self> {
        let text = tags.get(&applied_of(step))?;
        let (print, sum) = text.split_once(' ').unwrap_or((text, ""));
        Some(Self { print: print.to_owned(), sum: sum.to_owned() })
    }

    /// As it is written.
    pub fn text(&self) -> String {
        format!("{} {}", self.print, self.sum).trim_end().to_owned()
    }
}

/// What a thing consists of, in eight digits.
pub fn sum<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut parts: Vec<&str> = parts.into_iter().collect();
    parts.sort_unstable();
    short_hash(&parts.join("\n"), 8)
}

/// The tags of a thing, with the list of those that came from the set.
pub fn with_list(tags: Tags, of_set: &Tags) -> Tags {
    let list: String = of_set.keys().map(|key| short_hash(key, HASH_DIGITS)).collect();
    let mut tags = tags;
    if !list.is_empty() {
        tags.insert(TAGGED.to_owned(), list.chars().take(VALUE_LENGTH_MAX).collect());
    }
    tags
}

/// What has to be done to tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagChange {
    /// Tags that lack or differ.
    pub set: Tags,
    /// Keys of tags that came from the set and have left it.
    pub remove: Vec<String>,
}

impl TagChange {
    /// From the live tags to the wanted ones.
    pub fn between(live: &Tags, wanted: &Tags) -> Self {
        let listed = live.get(TAGGED).map(String::as_str).unwrap_or_default();
        let ours = |key: &String| {
            let hash = short_hash(key, HASH_DIGITS);
            // What we write ourselves, and what AWS does, never came from a set, whatever its hash.
            let reserved = key.starts_with("fleetwright.dev/") || key.starts_with("aws:");
            key == TAGGED || !reserved && listed.as_bytes().chunks(HASH_DIGITS).any(|known| known == hash.as_bytes())
        };
        let lacks = |(key, value): &(&String, &String)| live.get(*key) != Some(*value);
        Self {
            set: wanted.iter().filter(lacks).map(|(key, value)| (key.clone(), value.clone())).collect(),
            remove: live.keys().filter(|key| !wanted.contains_key(*key) && ours(key)).cloned().collect(),
        }
    }
    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
        let Self { set, remove } = self;
        set.is_empty() && remove.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for mark in [Mark { print: "abc".into(), sum: "12".into() }, Mark { print: "abc".into(), sum: String::new() }] {
            let written = Tags::from([(applied_of(Step::Access), mark.text())]);
            assert_eq!(Mark::of(&written, Step::Access), Some(mark));
        }
        assert_eq!(Mark::of(&Tags::new(), Step::Access), None);
    }

    #[test]
    fn the_order_of_parts_is_not_in_their_sum() {
        assert_eq!(sum(["a", "b"]), sum(["b", "a"]));
        assert_ne!(sum(["a", "b"]), sum(["ab"]));
    }

    #[test]
    fn a_tag_that_leaves_the_set_goes_and_one_of_other_people_stays() {
        let before = tags(&[("team", "a"), ("tier", "1")]);
        let mut live = with_list(before.clone(), &before);
        live.extend(tags(&[("theirs", "x"), ("aws:managed", "y")]));
        let after = tags(&[("team", "b")]);
        let change = TagChange::between(&live, &with_list(after.clone(), &after));
        assert_eq!(change.set["team"], "b");
        assert_eq!(change.remove, ["tier"]);
        let none = TagChange::between(&live, &with_list(Tags::new(), &Tags::new()));
        assert_eq!(none.remove, [TAGGED, "team", "tier"]);
    }
}
