//! The tags of a network: the set's own with ours over them, on it and on each of its pieces.

use fleetwright_clouds::CloudError;

use super::SET_TAGS;
use super::pieces::Pieces;
use crate::ec2::{Ask, Vpc};
use crate::owner::Tags;
use crate::session::Session;

/// As long as the value of a tag may be.
const VALUE_MAX: usize = 256;

/// The keys of the set's own tags, so that those that the set drops can be told from those that others wrote. What does not
/// fit is never dropped.
pub fn keys(of_set: &Tags) -> String {
    let mut kept = String::new();
    for key in of_set.keys().filter(|key| !key.contains(',')) {
        let separator = if kept.is_empty() { "" } else { "," };
        if kept.chars().count() + separator.len() + key.chars().count() <= VALUE_MAX {
            kept.push_str(separator);
            kept.push_str(key);
        }
    }
    kept
}

/// Brings the tags of a network and of its pieces to these. `shared` are those that all of them have.
pub async fn bring(
    session: &Session,
    vpc: &Vpc,
    pieces: &Pieces,
    of_set: &Tags,
    shared: &Tags,
) -> Result<(), CloudError> {
    let mut all = pieces.tags();
    all.push((&vpc.id, &vpc.tags));
    let dropped = dropped(&vpc.tags, of_set, shared);
    let has_dropped = |tags: &Tags| dropped.iter().any(|key| tags.contains_key(key));
    let behind: Vec<&str> = all.iter().filter(|(_, tags)| has_dropped(tags)).map(|(id, _)| *id).collect();
    if !behind.is_empty() {
        let mut ask = Ask::ec2(session, "DeleteTags").each("ResourceId", behind);
        for (n, key) in (1..).zip(&dropped) {
            ask = ask.set(&format!("Tag.{n}.Key"), key);
        }
        ask.done().await?;
    }
    let lacks = |tags: &Tags| shared.iter().any(|(key, value)| tags.get(key) != Some(value));
    let behind: Vec<&str> = all.iter().filter(|(_, tags)| lacks(tags)).map(|(id, _)| *id).collect();
    if !behind.is_empty() {
        Ask::ec2(session, "CreateTags").each("ResourceId", behind).tags("Tag", shared).done().await?;
    }
    Ok(())
}

/// Keys of the set's own tags of before that it has no more.
fn dropped(before: &Tags, of_set: &Tags, shared: &Tags) -> Vec<String> {
    let known = before.get(SET_TAGS).map(String::as_str).unwrap_or_default();
    let gone = known.split(',').filter(|key| !key.is_empty() && !of_set.contains_key(*key));
    gone.filter(|key| !shared.contains_key(*key) && *key != "Name" && !key.starts_with("fleetwright.dev/"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_the_set_wrote_is_dropped() {
        let before = tags(&[(SET_TAGS, "team,stage,Name"), ("team", "a"), ("stage", "b"), ("cost-bot", "c")]);
        assert_eq!(dropped(&before, &tags(&[("team", "z")]), &Tags::new()), ["stage"]);
        assert!(dropped(&tags(&[("cost-bot", "c")]), &Tags::new(), &Tags::new()).is_empty());
    }

    #[test]
    fn the_keys_fit_into_a_tag() {
        let many: Tags = (0..40).map(|n| (format!("a-rather-long-key-{n:02}"), String::new())).collect();
        let kept = keys(&many);
        assert!(kept.len() <= VALUE_MAX && kept.starts_with("a-rather-long-key-00,a-rather-long-key-01,"), "{kept}");
        assert_eq!(keys(&Tags::new()), "");
    }
}
