//! Names that are checked once, at the door: clouds, regions, environments, cluster types, sets, clusters, versions.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::string_scalar;

/// A cloud provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services: EKS.
    Aws,
    /// Microsoft Azure: AKS.
    Azure,
    /// Google Cloud: GKE.
    Gcp,
}

impl Cloud {
    /// All providers, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Aws, Self::Azure, Self::Gcp];
    /// As written in documents and paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }
    /// The longest name, in characters, that the provider's managed Kubernetes accepts for a cluster.
    /// EKS 100, AKS 63, GKE 40 (providers' API references, read 2026-11).
    pub const fn cluster_name_length_max(self) -> usize {
        match self {
            Self::Aws => 100,
            Self::Azure => 63,
            Self::Gcp => 40,
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Cloud {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|cloud| cloud.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no cloud; known are aws, azure and gcp"))
    }
}

/// A string newtype that a function checks.
macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $check:path, $pattern:expr, $example:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);
        impl $name {
            /// As written in documents.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                $check(text).map(|()| Self(text.into()))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        string_scalar!($name, $pattern, $example);
    };
}

fn label(text: &str, length_max: usize) -> Result<(), String> {
    let bytes = text.as_bytes();
    let sound = !bytes.is_empty()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-';
    match sound {
        false => Err(format!("{text:?} is no name; use lower-case letters, digits and '-', beginning with a letter")),
        true if bytes.len() > length_max => Err(format!("{text:?} is longer than {length_max} characters")),
        true => Ok(()),
    }
}

fn label_name(text: &str) -> Result<(), String> {
    label(text, 40)
}

fn cluster_name(text: &str) -> Result<(), String> {
    label(text, 100)
}

fn cluster_type_name(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let sound = bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && !text.ends_with('-')
        && bytes.len() <= 40;
    match sound {
        true => Ok(()),
        false => Err(format!("{text:?} is no cluster type; use letters, digits and '-', beginning with a letter")),
    }
}

fn kubernetes_version(text: &str) -> Result<(), String> {
    let mut parts = text.split('.');
    let number = |part: Option<&str>| {
        part.is_some_and(|p| !p.is_empty() && p.len() <= 3 && p.bytes().all(|b| b.is_ascii_digit()))
    };
    let sound = parts.next() == Some("1") && number(parts.next()) && matches!(parts.next(), None | Some(_));
    let patch_sound = text.split('.').nth(2).is_none_or(|patch| number(Some(patch)));
    match sound && patch_sound && text.split('.').count() <= 3 {
        true => Ok(()),
        false => Err(format!("{text:?} is no Kubernetes version; write it like \"1.33\" or \"1.33.4\"")),
    }
}

checked_name!(
    /// The name of an environment, an account, a wave, a consumer, …: lower-case letters, digits and `-`, at most 40.
    Name, label_name, "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$", "prod"
);
checked_name!(
    /// The name of a cluster: unique in the fleet, a function of set and ordinal.
    ClusterName, cluster_name, "^[a-z]([-a-z0-9]{0,98}[a-z0-9])?$", "model-serving-prod-az-weu-1"
);
checked_name!(
    /// The name of a cluster type, like `ModelServing`.
    ClusterTypeName, cluster_type_name, "^[A-Za-z]([-A-Za-z0-9]{0,38}[A-Za-z0-9])?$", "ModelServing"
);
checked_name!(
    /// A Kubernetes version, `1.33` or `1.33.4`; quoted in YAML, or it would be a number and lose its zero.
    KubernetesVersion, kubernetes_version, "^1\\.[0-9]{1,3}(\\.[0-9]{1,3})?$", "1.33"
);

impl ClusterTypeName {
    /// The form used in names of clusters: `ModelServing` is `model-serving`, `GPUPool` is `gpu-pool`.
    pub fn kebab(&self) -> String {
        let chars: Vec<char> = self.0.chars().collect();
        let mut out = String::with_capacity(chars.len() + 4);
        for (i, c) in chars.iter().enumerate() {
            let after_lower = i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
            let before_lower =
                i > 0 && chars[i - 1].is_ascii_uppercase() && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if c.is_ascii_uppercase() && (after_lower || before_lower) {
                out.push('-');
            }
            out.push(c.to_ascii_lowercase());
        }
        out
    }
}

impl KubernetesVersion {
    /// The minor number: 33 of `1.33.4`.
    pub fn minor(&self) -> u32 {
        self.0.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
    }
}

/// A region of one cloud; only regions of the table in `data/regions.json` exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

/// What the table knows of a region.
#[derive(Clone, Debug, Deserialize)]
pub struct RegionFacts {
    /// The cloud that has it.
    pub cloud: Cloud,
    /// The provider's name: `westeurope`.
    pub name: String,
    /// The short form used in names of clusters, unique in its cloud: `weu`.
    pub short: String,
}

#[derive(Deserialize)]
struct RegionTable {
    regions: Vec<RegionFacts>,
}

static REGIONS: LazyLock<Vec<RegionFacts>> = LazyLock::new(|| {
    let table: RegionTable =
        serde_json::from_str(include_str!("../data/regions.json")).unwrap_or(RegionTable { regions: Vec::new() });
    table.regions
});

impl Region {
    /// All regions of all clouds.
    pub fn table() -> &'static [RegionFacts] {
        &REGIONS
    }
    /// The facts of this name in this cloud, if the cloud has it.
    pub fn facts(&self, cloud: Cloud) -> Option<&'static RegionFacts> {
        REGIONS.iter().find(|facts| facts.cloud == cloud && facts.name == *self.0)
    }
    /// As the provider writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let sound = !text.is_empty()
            && text.len() <= 40
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        match sound {
            true => Ok(Self(text.into())),
            false => Err(format!("{text:?} is no region; use the provider's own name, like westeurope or us-east-1")),
        }
    }
}
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
string_scalar!(Region, "^[a-z0-9-]{1,40}$", "westeurope");

/// Where the clusters of a set are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Location {
    /// The environment, one of `fleet.yaml`.
    pub env: Name,
    /// The cloud.
    pub cloud: Cloud,
    /// The cloud's region.
    pub region: Region,
}

/// The identity of a set: one file, one path, `prod/azure/westeurope/ModelServing`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId {
    /// Where.
    pub location: Location,
    /// Of which type.
    pub cluster_type: ClusterTypeName,
}

impl SetId {
    /// The path of the file that people edit.
    pub fn wish_path(&self) -> String {
        format!("clustersets/{self}.yaml")
    }
    /// The path of the file that the bot writes.
    pub fn status_path(&self) -> String {
        format!("status/clustersets/{self}.yaml")
    }
    /// The name of the cluster with this ordinal: `model-serving-prod-az-weu-1`.
    /// The region's short form and a mark for the cloud keep it under GKE's 40 characters and unique in the fleet.
    pub fn cluster_name(&self, ordinal: u32) -> Result<ClusterName, String> {
        let Location { env, cloud, region } = &self.location;
        let mark = match cloud {
            Cloud::Aws => "aws",
            Cloud::Azure => "az",
            Cloud::Gcp => "gcp",
        };
        let short = region.facts(*cloud).map_or(region.as_str(), |facts| facts.short.as_str());
        format!("{}-{env}-{mark}-{short}-{ordinal}", self.cluster_type.kebab()).parse()
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location { env, cloud, region } = &self.location;
        write!(f, "{env}/{cloud}/{region}/{}", self.cluster_type)
    }
}

impl FromStr for SetId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [env, cloud, region, cluster_type] = parts[..] else {
            return Err(format!("{text:?} is no set; write it like prod/azure/westeurope/ModelServing"));
        };
        Ok(Self {
            location: Location { env: env.parse()?, cloud: cloud.parse()?, region: region.parse()? },
            cluster_type: cluster_type.parse()?,
        })
    }
}
string_scalar!(SetId, "^[^/]+/[^/]+/[^/]+/[^/]+$", "prod/azure/westeurope/ModelServing");
