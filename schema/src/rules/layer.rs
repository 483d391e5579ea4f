//! Rules of the fields of a set, in whatever layer they are given.

use std::collections::BTreeMap;

use super::Rules;
use crate::diagnostic::shown;
use crate::positions::{Positions, escape};
use crate::set::{DrainTimeoutPolicy, NodePool, SetLayer};
use crate::yaml::Content;

/// What clouds take beside our own, in all layers together: the narrowest take 50 on anything, and ours are up to 14.
pub const TAGS_MAX: usize = 36;
const TAG_KEY_CHARACTERS_MAX: usize = 63;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;
/// The prefix of the tags by which Fleetwright knows its own resources.
const OWN_PREFIX: &str = "fleetwright.dev/";

/// Checks the layer at the pointer `at`.
pub(super) fn check(layer: &SetLayer, at: &str, rules: &mut Rules<'_>) {
    for (index, pool) in layer.node_pools.iter().flatten().enumerate() {
        node_pool(pool, &format!("{at}/nodePools/{index}/spec"), rules);
    }
    let pools = layer.node_pools.iter().flatten().map(|pool| pool.name.as_str());
    rules.unique(&format!("{at}/nodePools"), "/name", pools);
    let services = layer.infra_services.iter().flatten().map(|name| name.as_str());
    rules.unique(&format!("{at}/infraServices"), "", services);
    if let Some(tags) = &layer.tags {
        check_tags(tags, &format!("{at}/tags"), rules);
    }
    check_drain(layer, at, rules);
}

/// The texts of a list in the order of the file, with their pointers: a typed set has lost both.
pub(super) fn listed(positions: &Positions, list: &str) -> Vec<(String, String)> {
    let Some(Content::Sequence(items)) = positions.content(list) else { return Vec::new() };
    let texts = items.iter().enumerate().filter_map(|(index, item)| Some((index, item.scalar()?)));
    texts.map(|(index, scalar)| (format!("{list}/{index}"), scalar.text.clone())).collect()
}

fn node_pool(pool: &NodePool, at: &str, rules: &mut Rules<'_>) {
    let spec = &pool.spec;
    if spec.min_count > spec.max_count {
        let message = format!("minCount {} is above maxCount {}", spec.min_count, spec.max_count);
        rules.error(&format!("{at}/minCount"), "min-above-max", message, None);
    }
    for (key, value) in &spec.labels {
        if is_own(key) {
            let message = format!("{} is kept for Fleetwright itself: it begins with `{OWN_PREFIX}`", shown(key));
            rules.error(&format!("{at}/labels/{}", escape(key)), "label-unsound", message, None);
        }
        if !is_label_key(key) || !(value.is_empty() || is_label_part(value)) {
            let message = format!("{} is no label of Kubernetes", shown(&format!("{key}={value}")));
            rules.error(&format!("{at}/labels/{}", escape(key)), "label-unsound", message, Some(LABEL_HINT.into()));
        }
    }
    for (index, taint) in spec.taints.iter().enumerate().filter(|(_, taint)| !is_taint(taint)) {
        let hint =
            Some("write it like dedicated=gpu:NoSchedule; effects are NoSchedule, PreferNoSchedule, NoExecute".into());
        rules.error(&format!("{at}/taints/{index}"), "taint-unsound", format!("{} is no taint", shown(taint)), hint);
    }
    rules.unique(&format!("{at}/taints"), "", spec.taints.iter().map(String::as_str));
}

const LABEL_HINT: &str = "keys and values have at most 63 letters, digits, '-', '_' and '.', with a letter or digit at \
                          both ends; a key may have a DNS name and '/' before it";

/// What Kubernetes takes for the name in a label's key, and for its value.
fn is_label_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    text.len() <= 63
        && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_label_part(key),
        Some((domain, name)) => is_dns_name(domain) && is_label_part(name),
    }
}

fn is_dns_name(text: &str) -> bool {
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    text.len() <= 253 && text.split('.').all(|part| is_label_part(part) && plain(part))
}

fn is_taint(taint: &str) -> bool {
    let Some((label, effect)) = taint.rsplit_once(':') else { return false };
    let (key, value) = label.split_once('=').unwrap_or((label, ""));
    matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute")
        && is_label_key(key)
        && (value.is_empty() || is_label_part(value))
}

fn check_tags(tags: &BTreeMap<String, String>, at: &str, rules: &mut Rules<'_>) {
    if tags.len() > TAGS_MAX {
        let message = format!("{} tags are given; clouds take {TAGS_MAX} beside Fleetwright's own", tags.len());
        rules.error(at, "too-many-tags", message, None);
    }
    for (key, value) in tags {
        if let Some(message) = tag_problem(key, value) {
            rules.error(&format!("{at}/{}", escape(key)), "tag-unsound", message, None);
        }
    }
}

/// Some clouds fold case.
fn is_own(key: &str) -> bool {
    key.to_lowercase().starts_with(OWN_PREFIX)
}

fn tag_problem(key: &str, value: &str) -> Option<String> {
    let length = |text: &str| text.chars().count();
    let hidden = |text: &str| text.chars().any(char::is_control);
    match key {
        "" => Some("a tag needs a key".into()),
        _ if length(key) > TAG_KEY_CHARACTERS_MAX => {
            Some(format!("the key {} is longer than {TAG_KEY_CHARACTERS_MAX} characters", shown(key)))
        }
        _ if is_own(key) => {
            Some(format!("{} is kept for Fleetwright itself: it begins with `{OWN_PREFIX}`", shown(key)))
        }
        _ if length(value) > TAG_VALUE_CHARACTERS_MAX => {
            Some(format!("the value of {} is longer than {TAG_VALUE_CHARACTERS_MAX} characters", shown(key)))
        }
        _ if hidden(key) || hidden(value) => Some(format!("the tag {} holds a control character", shown(key))),
        _ => None,
    }
}

/// Evicting at once is a valid wish, and rarely meant.
fn check_drain(layer: &SetLayer, at: &str, rules: &mut Rules<'_>) {
    let Some(rotation) = layer.update_strategy.as_ref().and_then(|strategy| strategy.cluster_rotation.as_ref()) else {
        return;
    };
    let at_once = rotation.drain_timeout.is_some_and(|timeout| timeout.seconds() == 0);
    if at_once && rotation.on_drain_timeout == Some(DrainTimeoutPolicy::Evict) {
        let pointer = format!("{at}/updateStrategy/clusterRotation/drainTimeout");
        let message = "workloads are evicted as soon as a cluster is drained";
        rules.warning(&pointer, "no-time-to-drain", message, Some("give them time, like 6h".into()));
    }
}
