//! The groups that the pools of a spec come to.

use aws_sdk_eks::types::AmiTypes;
use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_schema::set::{ClusterSpec, NodePool, NodePoolSpec};

use super::group::PoolTaint;
use crate::error::error;
use crate::marks::with_list;
use crate::owner::{Owner, PART, Tags, fitting, short_hash};

/// The longest name of a node group.
const NAME_LENGTH_MAX: usize = 63;

/// A group that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    pub instance_type: String,
    /// The image that fits the machines; given at creation and never changed.
    pub image: AmiTypes,
    pub disk_gib: Option<i32>,
    pub count_min: i32,
    pub count_max: i32,
    pub labels: Tags,
    pub taints: Vec<PoolTaint>,
    pub tags: Tags,
}

/// The groups of a spec, or what of it can't be understood.
pub fn wanted(owner: &Owner, spec: &ClusterSpec) -> Result<Vec<Wanted>, CloudError> {
    spec.node_pools.iter().map(|pool| of_pool(owner, pool, &spec.tags)).collect()
}

fn of_pool(owner: &Owner, pool: &NodePool, of_set: &Tags) -> Result<Wanted, CloudError> {
    let NodePoolSpec { instance_type, min_count, max_count, disk_size_gib, labels, taints } = &pool.spec;
    let mut tags = with_list(owner.tags(Step::NodePools, of_set), of_set);
    tags.insert(PART.to_owned(), pool.name.to_string());
    let mut taints: Vec<PoolTaint> = taints.iter().map(|text| taint(text)).collect::<Result<_, _>>()?;
    taints.sort();
    Ok(Wanted {
        name: group_name(pool),
        instance_type: instance_type.clone(),
        image: image(instance_type),
        disk_gib: disk_size_gib.map(signed),
        count_min: signed(*min_count),
        // EKS takes no group that can never have a node.
        count_max: signed(*max_count).max(1),
        labels: labels.clone(),
        taints,
        tags,
    })
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The pool, and what of it can't be changed.
fn group_name(pool: &NodePool) -> String {
    let NodePoolSpec { instance_type, disk_size_gib, min_count: _, max_count: _, labels: _, taints: _ } = &pool.spec;
    let fixed = format!("{instance_type}\n{disk_size_gib:?}");
    fitting(&format!("{}-{}", pool.name, short_hash(&fixed, 8)), NAME_LENGTH_MAX)
}

/// The image of Amazon Linux 2023 for a machine, `m7g.large`: by its family, the number of its generation, and the letters
/// behind that say what processor it has (`g` is Graviton).
/// Source: <https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>.
fn image(instance_type: &str) -> AmiTypes {
    let model = instance_type.split('.').next().unwrap_or_default();
    // `p6-b200` and `p6e-gb200` tell their accelerator, too; a Grace is ARM.
    let (series, accelerator) = model.split_once('-').unwrap_or((model, ""));
    let family = series.trim_end_matches(|c: char| c.is_ascii_alphanumeric() && !c.is_ascii_digit());
    let options = &series[family.len()..];
    let family = family.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_arm = options.contains('g') || family == "a" || accelerator.starts_with("gb");
    match family {
        "inf" | "trn" => AmiTypes::Al2023X8664Neuron,
        "p" | "g" | "gr" if is_arm => AmiTypes::Al2023Arm64Nvidia,
        "p" | "g" | "gr" => AmiTypes::Al2023X8664Nvidia,
        _ if is_arm => AmiTypes::Al2023Arm64Standard,
        _ => AmiTypes::Al2023X8664Standard,
    }
}

/// `key=value:NoSchedule`, `key:NoSchedule`.
fn taint(text: &str) -> Result<PoolTaint, CloudError> {
    let wrong = || error(ErrorClass::Invalid, "TaintNotUnderstood", format!("{text:?} is no taint"));
    let (rest, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
    let effect = match effect {
        "NoSchedule" => "NO_SCHEDULE",
        "NoExecute" => "NO_EXECUTE",
        "PreferNoSchedule" => "PREFER_NO_SCHEDULE",
        _ => return Err(wrong()),
    };
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    if key.is_empty() {
        return Err(wrong());
    }
    Ok(PoolTaint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn pool(name: &str, instance_type: &str) -> NodePool {
        let spec = NodePoolSpec {
            instance_type: instance_type.to_owned(),
            min_count: 1,
            max_count: 3,
            disk_size_gib: None,
            labels: Tags::new(),
            taints: Vec::new(),
        };
        NodePool { name: name.parse().unwrap(), spec }
    }

    #[test]
    fn a_name_changes_with_what_can_t_be_changed_and_with_nothing_else() {
        let name = group_name(&pool("workers", "m6i.large"));
        assert!(name.starts_with("workers-") && name.len() == "workers-".len() + 8, "{name}");
        assert_ne!(name, group_name(&pool("workers", "m6i.xlarge")));
        let mut other = pool("workers", "m6i.large");
        other.spec.disk_size_gib = Some(100);
        assert_ne!(name, group_name(&other));
        let mut same = pool("workers", "m6i.large");
        (same.spec.min_count, same.spec.max_count) = (5, 9);
        same.spec.labels.insert("a".to_owned(), "b".to_owned());
        same.spec.taints.push("a=b:NoSchedule".to_owned());
        assert_eq!(name, group_name(&same));
        assert!(group_name(&pool(&"p".repeat(40), "m6i.large")).len() <= NAME_LENGTH_MAX);
    }

    #[test]
    fn machines_get_the_image_of_their_processor() {
        use AmiTypes::{
            Al2023Arm64Nvidia, Al2023Arm64Standard, Al2023X8664Neuron, Al2023X8664Nvidia, Al2023X8664Standard,
        };
        for (machine, expected) in [
            ("m6i.large", Al2023X8664Standard),
            ("m5zn.large", Al2023X8664Standard),
            ("m7g.large", Al2023Arm64Standard),
            ("c6gn.4xlarge", Al2023Arm64Standard),
            ("r8gd.metal-24xl", Al2023Arm64Standard),
            ("t4g.small", Al2023Arm64Standard),
            ("x2gd.large", Al2023Arm64Standard),
            ("im4gn.large", Al2023Arm64Standard),
            ("a1.large", Al2023Arm64Standard),
            ("g6.xlarge", Al2023X8664Nvidia),
            ("g4dn.xlarge", Al2023X8664Nvidia),
            ("gr6.4xlarge", Al2023X8664Nvidia),
            ("p5en.48xlarge", Al2023X8664Nvidia),
            ("p6-b200.48xlarge", Al2023X8664Nvidia),
            ("g5g.xlarge", Al2023Arm64Nvidia),
            ("p6e-gb200.36xlarge", Al2023Arm64Nvidia),
            ("inf2.xlarge", Al2023X8664Neuron),
            ("trn1n.32xlarge", Al2023X8664Neuron),
            ("u-6tb1.metal", Al2023X8664Standard),
            ("mac2.metal", Al2023X8664Standard),
            ("", Al2023X8664Standard),
        ] {
            assert_eq!(image(machine), expected, "{machine}");
        }
    }

    #[test]
    fn taints_are_read_as_people_write_them() {
        let read = |text: &str| taint(text).map(|taint| (taint.key, taint.value, taint.effect));
        let triple = |key: &str, value: &str, effect: &str| Ok((key.to_owned(), value.to_owned(), effect.to_owned()));
        assert_eq!(read("dedicated=gpu:NoSchedule"), triple("dedicated", "gpu", "NO_SCHEDULE"));
        assert_eq!(read("dedicated:NoExecute"), triple("dedicated", "", "NO_EXECUTE"));
        assert_eq!(read("nvidia.com/gpu=:PreferNoSchedule"), triple("nvidia.com/gpu", "", "PREFER_NO_SCHEDULE"));
        for wrong in ["dedicated=gpu", "dedicated=gpu:noschedule", "=gpu:NoSchedule", ""] {
            assert_eq!(read(wrong).unwrap_err().class, ErrorClass::Invalid, "{wrong}");
        }
    }
}
