//! The documents that people write: `Fleet`, `ClusterType`, `ClusterSet`, `InfraService`, `RemovalApproval`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{Cloud, ClusterTypeName, Location, Name, Region, SetId};
use crate::set::SetLayer;
use crate::units::{Duration, Timestamp};

/// The only API version so far.
pub const API_VERSION: &str = "fleetwright.dev/v1alpha1";

/// The value `fleetwright.dev/v1alpha1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first version; it may still change.
    #[default]
    #[serde(rename = "fleetwright.dev/v1alpha1")]
    V1Alpha1,
}

/// A one-value enum for `kind`, so that the wrong document is refused.
macro_rules! kind {
    ($($(#[$doc:meta])* $name:ident => $value:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            /// The only value.
            #[default]
            $value,
        }
    )+};
}
pub(crate) use kind;

kind! {
    /// `kind: Fleet`
    FleetKind => Fleet;
    /// `kind: ClusterType`
    ClusterTypeKind => ClusterType;
    /// `kind: ClusterSet`
    ClusterSetKind => ClusterSet;
    /// `kind: InfraService`
    InfraServiceKind => InfraService;
    /// `kind: RemovalApproval`
    RemovalApprovalKind => RemovalApproval;
}

/// `metadata` of a document that has only a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedMetadata {
    /// The name.
    pub name: Name,
}

/// `fleet.yaml`: what is shared by all sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fleet {
    /// `fleetwright.dev/v1alpha1`
    pub api_version: ApiVersion,
    /// `Fleet`
    pub kind: FleetKind,
    /// The fleet's name.
    pub metadata: NamedMetadata,
    /// Everything else.
    pub spec: FleetSpec,
}

/// What is shared by all sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetSpec {
    /// The numbered set of built-in defaults; a new set is taken up by changing this number.
    #[schemars(range(min = 1, max = 1))]
    pub builtin_defaults: u32,
    /// The layer below every environment.
    #[serde(default)]
    pub defaults: SetLayer,
    /// The environments with their accounts.
    #[schemars(length(min = 1, max = 100))]
    pub environments: Vec<Environment>,
    /// Blocks of addresses from which each cluster gets its own.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub address_pools: Vec<AddressPool>,
    /// The order in which sets move to a new revision; each set falls in exactly one.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub waves: Vec<Wave>,
    /// Limits over all sets.
    #[serde(default)]
    pub budgets: Budgets,
    /// Services that must have read that a cluster is draining before it is drained.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub consumers: Vec<Consumer>,
    /// When moves may start; always, for a set that no window selects.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub maintenance_windows: Vec<MaintenanceWindow>,
    /// When no change is taken up.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub freezes: Vec<Freeze>,
    /// How the bot writes.
    #[serde(default)]
    pub publishing: Publishing,
}

/// An environment: accounts in up to three clouds, and a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// The name, the first part of its sets' paths.
    pub name: Name,
    /// The account of each cloud.
    #[schemars(extend("propertyNames" = { "enum": ["aws", "azure", "gcp"] }))]
    pub accounts: BTreeMap<Cloud, Account>,
    /// The layer above the fleet's and below the cluster type's.
    #[serde(default)]
    pub defaults: SetLayer,
}

/// Who runs a cloud: the built-in simulation, or the provider itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Provider {
    /// The simulated cloud that ships with the program.
    Simulated,
    /// The provider's own API.
    Real,
}

/// An account, subscription or project of one cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// The provider's id of the account, subscription or project.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.-]{1,64}$"))]
    pub id: String,
    /// Who runs it.
    pub provider: Provider,
    /// Of an account of AWS: how it is entered, and who may use its clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsAccount>,
}

/// What is said of an account of AWS beyond its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsAccount {
    /// The role by which the account is entered; with the daemon's own credentials when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// Roles and users that may do anything in the clusters, by ARN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 50),
        inner(regex(pattern = r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9_+=,.@/-]{1,512}$"))
    )]
    pub admins: Vec<String>,
    /// Roles and users that may look at everything in the clusters but secrets, by ARN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 50),
        inner(regex(pattern = r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9_+=,.@/-]{1,512}$"))
    )]
    pub readers: Vec<String>,
    /// Blocks of addresses from which the public endpoints of the clusters may be reached; from anywhere when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40), inner(regex(pattern = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$")))]
    pub public_access_cidrs: Vec<String>,
    /// The key with which Kubernetes secrets are encrypted; one of AWS's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^arn:aws(-[a-z]+)*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,64}$"))]
    pub encryption_key_arn: Option<String>,
}

/// A role that is assumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssumeRole {
    /// The role that may make and change things.
    #[schemars(regex(pattern = r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}$"))]
    pub role_arn: String,
    /// What its trust policy asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9+=,.@:/-]{2,1224}$"))]
    pub external_id: Option<String>,
    /// The role that may only look, for plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}$"))]
    pub read_only_role_arn: Option<String>,
}

/// Which sets something is about: all conditions must hold, an empty one holds for every set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetSelector {
    /// Of one of these environments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<Name>,
    /// In one of these clouds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clouds: Vec<Cloud>,
    /// In one of these regions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Of one of these types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_types: Vec<ClusterTypeName>,
    /// With these tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_tags: BTreeMap<String, String>,
}

impl SetSelector {
    /// Whether it selects the set with these tags.
    pub fn selects(&self, set: &SetId, tags: &BTreeMap<String, String>) -> bool {
        let Self { environments, clouds, regions, cluster_types, match_tags } = self;
        let Location { env, cloud, region } = &set.location;
        (environments.is_empty() || environments.contains(env))
            && (clouds.is_empty() || clouds.contains(cloud))
            && (regions.is_empty() || regions.contains(region))
            && (cluster_types.is_empty() || cluster_types.contains(&set.cluster_type))
            && match_tags.iter().all(|(key, value)| tags.get(key) == Some(value))
    }
}

/// A block of addresses that is cut into equal blocks, one a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressPool {
    /// The pool's name.
    pub name: Name,
    /// The block, `10.0.0.0/10`.
    #[schemars(regex(pattern = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"))]
    pub cidr: String,
    /// The prefix length of each cluster's block.
    #[schemars(range(min = 8, max = 28))]
    pub cluster_prefix_length: u8,
    /// Which sets take from it.
    #[serde(default)]
    pub sets: SetSelector,
}

/// A step of a rollout across sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wave {
    /// The wave's name.
    pub name: Name,
    /// Which sets are in it.
    #[serde(default)]
    pub sets: SetSelector,
}

/// Limits over all sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budgets {
    /// How many clusters may exist, surge included.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub alive: Vec<Budget>,
    /// How many clusters may be draining or updated in place at once.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub disruption: Vec<Budget>,
    /// How many clusters one commit may remove without an approval.
    #[serde(default)]
    pub removal: RemovalBudget,
    /// How many stalled clusters halt everything of their type.
    #[serde(default)]
    pub failure: FailureBudget,
}

/// How the clusters that a budget selects are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum BudgetScope {
    /// All together.
    #[default]
    Fleet,
    /// Each cloud by itself.
    Cloud,
    /// Each region of each cloud by itself.
    Region,
    /// Each cluster type by itself.
    ClusterType,
}

/// At most this many clusters, counted together by `per`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// The budget's name, as reasons show it.
    pub name: Name,
    /// Which sets count.
    #[serde(default)]
    pub sets: SetSelector,
    /// How they are counted together.
    #[serde(default)]
    pub per: BudgetScope,
    /// The greatest number.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_clusters: u32,
}

/// How many clusters one commit may remove without an approval: the larger of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemovalBudget {
    /// A number of clusters.
    #[serde(default = "RemovalBudget::default_clusters")]
    pub max_clusters: u32,
    /// A share of the fleet in per cent.
    #[serde(default = "RemovalBudget::default_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: u32,
}

impl RemovalBudget {
    fn default_clusters() -> u32 {
        5
    }
    fn default_percent() -> u32 {
        10
    }
    /// How many of a fleet of this size.
    pub fn allowance(&self, fleet_size: u32) -> u32 {
        let share = u64::from(fleet_size) * u64::from(self.max_percent) / 100;
        self.max_clusters.max(u32::try_from(share).unwrap_or(u32::MAX))
    }
}

impl Default for RemovalBudget {
    fn default() -> Self {
        Self { max_clusters: Self::default_clusters(), max_percent: Self::default_percent() }
    }
}

/// How many stalled clusters halt everything of their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailureBudget {
    /// From this number of stalled clusters on, no set of the type starts a move.
    #[schemars(range(min = 1, max = 1000))]
    pub max_stalled_clusters: u32,
}

impl Default for FailureBudget {
    fn default() -> Self {
        Self { max_stalled_clusters: 1 }
    }
}

/// A service that reads the fleet from the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Consumer {
    /// Its name, the last part of `refs/fleetwright/acks/<name>`.
    pub name: Name,
    /// After this long a drain starts without it, and the board says so.
    pub grace: Duration,
    /// Which sets it reads.
    #[serde(default)]
    pub sets: SetSelector,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time of the week in which moves may start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MaintenanceWindow {
    /// The window's name.
    pub name: Name,
    /// Which sets it is for.
    #[serde(default)]
    pub sets: SetSelector,
    /// The days on which it opens; every day when left out.
    #[serde(default)]
    pub days: Vec<Weekday>,
    /// When it opens, `22:00`.
    #[schemars(regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: String,
    /// How long it is open, at most a day.
    pub duration: Duration,
    /// The time zone of `start`, `UTC` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_+/-]{1,64}$"))]
    pub time_zone: Option<String>,
}

/// A time in which nothing new is taken up, with an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Freeze {
    /// The freeze's name.
    pub name: Name,
    /// Which sets it is for.
    #[serde(default)]
    pub sets: SetSelector,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Why, for those who wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub reason: Option<String>,
}

/// How the bot writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Publishing {
    /// The branch for status commits; the watched branch itself when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,100}$"))]
    pub branch: Option<String>,
    /// Changes within this time of a commit go into the next one together.
    #[serde(default = "Publishing::default_batch_window")]
    pub batch_window: Duration,
    /// How long a retired cluster stays in the index.
    #[serde(default = "Publishing::default_retention")]
    pub tombstone_retention: Duration,
}

impl Publishing {
    fn default_batch_window() -> Duration {
        Duration::from_seconds(5)
    }
    fn default_retention() -> Duration {
        Duration::from_seconds(7 * 86_400)
    }
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            branch: None,
            batch_window: Self::default_batch_window(),
            tombstone_retention: Self::default_retention(),
        }
    }
}

/// `cluster-types/<type>.yaml`: the shared part of all sets of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterType {
    /// `fleetwright.dev/v1alpha1`
    pub api_version: ApiVersion,
    /// `ClusterType`
    pub kind: ClusterTypeKind,
    /// The type's name.
    pub metadata: ClusterTypeMetadata,
    /// The layer above the environment's and below the set's.
    #[serde(default)]
    pub spec: SetLayer,
}

/// `metadata` of a cluster type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterTypeMetadata {
    /// The type's name, that of its file.
    pub name: ClusterTypeName,
}

/// `clustersets/<env>/<cloud>/<region>/<type>.yaml`: what people edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSet {
    /// `fleetwright.dev/v1alpha1`
    pub api_version: ApiVersion,
    /// `ClusterSet`
    pub kind: ClusterSetKind,
    /// The set's identity; the file's path says the same.
    pub metadata: ClusterSetMetadata,
    /// The set's own layer.
    #[serde(default)]
    pub spec: SetLayer,
}

/// The identity of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSetMetadata {
    /// Of which type.
    pub cluster_type: ClusterTypeName,
    /// Where.
    pub location: Location,
}

impl ClusterSetMetadata {
    /// The identity in one value.
    pub fn id(&self) -> SetId {
        SetId { location: self.location.clone(), cluster_type: self.cluster_type.clone() }
    }
}

/// `infra-services/<name>/service.yaml`: something that every cluster of a set gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InfraService {
    /// `fleetwright.dev/v1alpha1`
    pub api_version: ApiVersion,
    /// `InfraService`
    pub kind: InfraServiceKind,
    /// The service's name, that of its folder.
    pub metadata: NamedMetadata,
    /// What it is.
    pub spec: InfraServiceSpec,
}

/// What an infra service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InfraServiceSpec {
    /// The version that clusters get; changing it moves them, wave by wave.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"))]
    pub version: String,
    /// Services that must be healthy first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub depends_on: Vec<Name>,
    /// Its manifests, relative to its folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub manifests: Vec<String>,
}

/// `approvals/<name>.yaml`: lets one commit remove more clusters than the budget allows. It names what is removed by
/// content, so that it approves nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemovalApproval {
    /// `fleetwright.dev/v1alpha1`
    pub api_version: ApiVersion,
    /// `RemovalApproval`
    pub kind: RemovalApprovalKind,
    /// The approval's name, that of its file.
    pub metadata: NamedMetadata,
    /// What is approved.
    pub spec: RemovalApprovalSpec,
}

/// What is approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemovalApprovalSpec {
    /// The digest of the removals, as `fleetwright plan` prints it.
    #[schemars(regex(pattern = r"^[0-9a-f]{16}$"))]
    pub digest: String,
    /// How many clusters go; must agree with the digest's, so that a reader sees the size of it.
    #[schemars(range(min = 1, max = 100_000))]
    pub clusters: u32,
    /// The approval is void from then on.
    pub expires: Timestamp,
    /// Why, for those who review it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub reason: Option<String>,
}
