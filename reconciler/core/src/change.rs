//! Which change does what: the difference of two specs, field by field, each classed by a dated table of data.
//!
//! A strategy may ask for more than a change needs (rotate where the cloud could change in place), never for less.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use fleetwright_schema::names::Cloud;
use fleetwright_schema::set::{ClusterSpec, Feature, NodePool, SpecField, UpdateStrategy};
use serde::{Deserialize, Serialize};

/// What a change of a field does to a cluster, from harmless to impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Class {
    /// Nothing differs.
    None,
    /// Changed while the cluster serves.
    InPlace,
    /// Changed while the cluster serves, by new node pools for old.
    ReplaceNodePool,
    /// A new cluster for the old one.
    Rotate,
    /// Can't be done to a set that exists.
    Forbidden,
}

impl Class {
    /// Whether a cluster that differs by this can stay.
    pub const fn keeps_cluster(self) -> bool {
        matches!(self, Self::None | Self::InPlace | Self::ReplaceNodePool)
    }
    /// In words, as plans print it.
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::InPlace => "in place",
            Self::ReplaceNodePool => "node pool replaced",
            Self::Rotate => "rotate",
            Self::Forbidden => "forbidden",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_words())
    }
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The field, `nodePools[default].instanceType`.
    pub field: String,
    /// Its old value.
    pub from: String,
    /// Its new value.
    pub to: String,
    /// What changing it does.
    pub class: Class,
    /// Why, from the table or the strategy.
    pub why: String,
    #[serde(skip)]
    key: &'static str,
    #[serde(skip)]
    spec_field: SpecField,
}

/// A row of the table.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// What the change does.
    pub class: Class,
    /// Why.
    pub why: String,
    /// The provider's page that says so.
    pub source: String,
}

/// The dated rules, per cloud.
#[derive(Clone, Debug, Deserialize)]
pub struct ChangeTable {
    /// When the sources were read.
    pub dated: String,
    clouds: BTreeMap<Cloud, BTreeMap<String, Rule>>,
}

static SHIPPED: LazyLock<ChangeTable> = LazyLock::new(|| {
    let empty = ChangeTable { dated: String::new(), clouds: BTreeMap::new() };
    serde_json::from_str(include_str!("../data/change-rules.json")).unwrap_or(empty)
});

impl ChangeTable {
    /// The table that ships with the program.
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// From its JSON text.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The rule of a kind of change; what the table does not know is done by a new cluster, which is always possible.
    fn rule(&self, cloud: Cloud, key: &str) -> (Class, &str) {
        self.clouds
            .get(&cloud)
            .and_then(|rules| rules.get(key))
            .map_or((Class::Rotate, "not in the table of changes, so a new cluster is built"), |rule| {
                (rule.class, rule.why.as_str())
            })
    }

    /// All fields that differ, classed for this cloud and strategy, in the order of the spec.
    pub fn classify(
        &self,
        cloud: Cloud,
        strategy: &UpdateStrategy,
        from: &ClusterSpec,
        to: &ClusterSpec,
    ) -> Vec<Change> {
        let mut changes = diff(from, to);
        for change in &mut changes {
            let (class, why) = self.rule(cloud, change.key);
            let asked = strategy.rotate_on.contains(&change.spec_field) && class < Class::Rotate;
            (change.class, change.why) = match asked {
                true => (Class::Rotate, "the set's strategy rotates on it".to_owned()),
                false => (class, why.to_owned()),
            };
        }
        changes
    }
}

/// The class of a whole difference: its gravest field.
pub fn overall(changes: &[Change]) -> Class {
    changes.iter().map(|change| change.class).max().unwrap_or(Class::None)
}

fn diff(from: &ClusterSpec, to: &ClusterSpec) -> Vec<Change> {
    // Destructured, so that a new field breaks the build until someone decides what its change does.
    let ClusterSpec { kubernetes_version, features, node_pools, infra_services, network, tags } = from;
    let mut found = Found(Vec::new());
    if *kubernetes_version != to.kubernetes_version {
        let key = version_key(kubernetes_version, &to.kubernetes_version);
        found.add(key, SpecField::KubernetesVersion, "kubernetesVersion", kubernetes_version, &to.kubernetes_version);
    }
    for (feature, key, name) in [
        (Feature::PrivateConnectivity, "features.private-connectivity", "features[private-connectivity]"),
        (Feature::Byon, "features.byon", "features[byon]"),
    ] {
        let (was, is) = (features.contains(&feature), to.features.contains(&feature));
        if was != is {
            found.add(key, SpecField::Features, name, &on_off(was), &on_off(is));
        }
    }
    diff_pools(node_pools, &to.node_pools, &mut found);
    if *infra_services != to.infra_services {
        let list = |services: &[fleetwright_schema::set::InfraServiceVersion]| {
            services.iter().map(|s| format!("{} {}", s.name, s.version)).collect::<Vec<_>>().join(", ")
        };
        let (was, is) = (list(infra_services), list(&to.infra_services));
        found.add("infraServices", SpecField::InfraServices, "infraServices", &was, &is);
    }
    let pool =
        |pool: &Option<_>| pool.as_ref().map_or("none".to_owned(), |p: &fleetwright_schema::names::Name| p.to_string());
    if network.address_pool != to.network.address_pool {
        let (was, is) = (pool(&network.address_pool), pool(&to.network.address_pool));
        found.add("network.addressPool", SpecField::Network, "network.addressPool", &was, &is);
    }
    if network.existing != to.network.existing {
        let text = |id: &Option<String>| id.clone().unwrap_or_else(|| "by tag".to_owned());
        let (was, is) = (text(&network.existing), text(&to.network.existing));
        found.add("network.existing", SpecField::Network, "network.existing", &was, &is);
    }
    diff_tags(tags, &to.tags, &mut found);
    found.0
}

struct Found(Vec<Change>);

impl Found {
    fn add(
        &mut self,
        key: &'static str,
        spec_field: SpecField,
        field: &str,
        from: &dyn fmt::Display,
        to: &dyn fmt::Display,
    ) {
        self.0.push(Change {
            field: field.to_owned(),
            from: from.to_string(),
            to: to.to_string(),
            class: Class::Rotate,
            why: String::new(),
            key,
            spec_field,
        });
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn version_key(
    from: &fleetwright_schema::names::KubernetesVersion,
    to: &fleetwright_schema::names::KubernetesVersion,
) -> &'static str {
    let patch = |v: &fleetwright_schema::names::KubernetesVersion| {
        v.as_str().split('.').nth(2).and_then(|p| p.parse::<u32>().ok())
    };
    match to.minor().checked_sub(from.minor()) {
        None => "kubernetesVersion.older",
        Some(0) if patch(to) < patch(from) && patch(to).is_some() => "kubernetesVersion.older",
        Some(0) => "kubernetesVersion.patch",
        Some(1) => "kubernetesVersion.nextMinor",
        Some(_) => "kubernetesVersion.skipMinor",
    }
}

fn diff_pools(from: &[NodePool], to: &[NodePool], found: &mut Found) {
    let field = SpecField::NodePools;
    for pool in to {
        let name = &pool.name;
        let Some(old) = from.iter().find(|old| old.name == *name) else {
            found.add("nodePools.added", field, &format!("nodePools[{name}]"), &"none", &pool.spec.instance_type);
            continue;
        };
        let (was, is) = (&old.spec, &pool.spec);
        let mut differs = |key, part: &str, a: String, b: String| {
            if a != b {
                found.add(key, field, &format!("nodePools[{name}].{part}"), &a, &b);
            }
        };
        let disk = |gib: Option<u32>| gib.map_or("default".to_owned(), |gib| gib.to_string());
        differs("nodePools.instanceType", "instanceType", was.instance_type.clone(), is.instance_type.clone());
        differs("nodePools.size", "minCount", was.min_count.to_string(), is.min_count.to_string());
        differs("nodePools.size", "maxCount", was.max_count.to_string(), is.max_count.to_string());
        differs("nodePools.diskSizeGib", "diskSizeGib", disk(was.disk_size_gib), disk(is.disk_size_gib));
        differs("nodePools.labels", "labels", format!("{:?}", was.labels), format!("{:?}", is.labels));
        differs("nodePools.taints", "taints", was.taints.join(", "), is.taints.join(", "));
    }
    for pool in from.iter().filter(|pool| !to.iter().any(|new| new.name == pool.name)) {
        found.add("nodePools.removed", field, &format!("nodePools[{}]", pool.name), &pool.spec.instance_type, &"none");
    }
}

fn diff_tags(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>, found: &mut Found) {
    let keys: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    for key in keys.into_iter().filter(|key| from.get(*key) != to.get(*key)) {
        let text = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
        let (was, is) = (text(from.get(key)), text(to.get(key)));
        found.add("tags", SpecField::Tags, &format!("tags[{key}]"), &was, &is);
    }
}
