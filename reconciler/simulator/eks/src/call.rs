//! One call of the EKS API: its members, its place, and its ways into the world.

use std::sync::Arc;

use fleetwright_core::inventory::{Phase, Place, Step};
use fleetwright_schema::names::{Cloud, ClusterName, Region, SetId};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::front::{Draft, FrontCall, Kind, Part, View};
use fleetwright_simulator::{Verb, World};
use serde_json::{Map, Value, json};

use crate::errors::{Refusal, invalid, not_found};
use crate::server::Options;

/// Clusters.
pub const CLUSTER: Kind = Kind { name: "cluster", step: Step::ControlPlane };
/// Node groups.
pub const NODEGROUP: Kind = Kind { name: "nodegroup", step: Step::NodePools };
/// Add-ons, which go with the node groups.
pub const ADDON: Kind = Kind { name: "addon", step: Step::NodePools };
/// Access entries.
pub const ACCESS_ENTRY: Kind = Kind { name: "access-entry", step: Step::Access };
/// Pod identity associations.
pub const ASSOCIATION: Kind = Kind { name: "podidentityassociation", step: Step::Secrets };

/// What is called.
pub struct Call<'a> {
    /// The world.
    pub world: &'a World,
    /// How this front is set up.
    pub options: &'a Options,
    /// Under which the clusters answer: `http://127.0.0.1:1234`.
    pub base: &'a str,
    /// `CreateCluster`.
    pub operation: &'static str,
    /// The account and region.
    pub place: Place,
    /// The members, of the right shape.
    pub params: Map<String, Value>,
}

impl Call<'_> {
    /// A text; empty where it was left out.
    pub fn text(&self, member: &str) -> &str {
        self.params.get(member).and_then(Value::as_str).unwrap_or_default()
    }
    /// What was given.
    pub fn given(&self, member: &str) -> Option<&Value> {
        self.params.get(member)
    }
    /// What was given, or what holds otherwise.
    pub fn or(&self, member: &str, default: Value) -> Value {
        self.params.get(member).cloned().unwrap_or(default)
    }
    /// The client's token, with everything else that was asked for.
    pub fn token(&self) -> Option<(&str, String)> {
        let token = self.params.get("clientRequestToken")?.as_str()?;
        let mut rest = self.params.clone();
        rest.remove("clientRequestToken");
        let mut rest = Value::Object(rest);
        // Clients send maps in any order.
        rest.sort_all_objects();
        Some((token, format!("{}{rest}", self.operation)))
    }
    /// The name of the cluster, as this call has it.
    pub fn cluster_text(&self) -> &str {
        match self.params.contains_key("clusterName") {
            true => self.text("clusterName"),
            false => self.text("name"),
        }
    }
    /// The cluster that the call is about. A name that no cluster can have is of none.
    pub fn cluster_name(&self) -> Result<ClusterName, Refusal> {
        self.cluster_text().parse().map_err(|_| no_cluster(self.cluster_text()))
    }
    /// `arn:aws:eks:eu-west-1:123456789012:` and the rest.
    pub fn arn(&self, rest: &str) -> String {
        format!("arn:aws:eks:{}:{}:{rest}", self.place.region, self.place.account)
    }

    /// Reads.
    pub fn read<T>(&self, work: impl FnOnce(&View<'_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
        self.world.front_read(&self.place, work)
    }
    /// Changes something of the cluster.
    pub fn write<T>(
        &self,
        kind: Kind,
        verb: Verb,
        work: impl FnOnce(&mut Draft<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let (cluster, set) = (self.cluster_name()?, self.unmanaged()?);
        let place = self.place.clone();
        self.world.front_write(&FrontCall { place, cluster, set, step: kind.step, verb, at_provider: true }, work)
    }
    /// The set of clusters whose tags name none.
    pub fn unmanaged(&self) -> Result<SetId, Refusal> {
        format!("unmanaged/{}/{}/Unmanaged", Cloud::Aws, self.place.region).parse().map_err(invalid)
    }
    /// The cluster itself.
    pub fn cluster(&self, view: &View<'_>) -> Result<Part, Refusal> {
        let name = self.cluster_name()?;
        view.part(CLUSTER, &name, name.as_str()).ok_or_else(|| no_cluster(name.as_str()))
    }
    /// The cluster, which must be usable, and not at work.
    pub fn settled_cluster(&self, view: &View<'_>) -> Result<Part, Refusal> {
        let cluster = self.cluster(view)?;
        let name = &cluster.name;
        match cluster.phase {
            Phase::Ready => Ok(cluster),
            Phase::Updating => {
                Err(crate::errors::in_use(format!("Cluster {name} currently has an update in progress")))
            }
            Phase::Deleting => Err(crate::errors::in_use(format!("Cluster {name} is being deleted"))),
            Phase::Creating | Phase::Failed => {
                Err(crate::errors::untimely(format!("Cluster {name} is not in ACTIVE status")))
            }
        }
        .map_err(|refusal| refusal.about("clusterName", self.cluster_text()))
    }
}

/// There is no such cluster.
pub fn no_cluster(name: &str) -> Refusal {
    not_found(format!("No cluster found for name: {name}.")).about("clusterName", name)
}

/// The account and region that a request goes to.
pub fn place(account: &Arc<str>, region: Region) -> Place {
    Place { cloud: Cloud::Aws, account: Arc::clone(account), region }
}

/// A time as EKS writes it.
pub fn seconds(time: Timestamp) -> Value {
    json!(time.unix_seconds() as f64)
}

/// A repeated creation: the same token asks for the same again, and another one finds the name taken.
pub fn repeated(call: &Call<'_>, draft: &Draft<'_>, existing: &Part, taken: &str) -> Result<(), Refusal> {
    let (Some((token, asked)), Some((known, params))) = (call.token(), &existing.token) else {
        return Err(crate::errors::in_use(taken));
    };
    match (token == &**known, draft.params(&asked) == *params, existing.phase) {
        (true, true, Phase::Creating | Phase::Ready | Phase::Updating) => Ok(()),
        (true, false, _) => Err(invalid(format!("The token {token} was used with other parameters"))),
        _ => Err(crate::errors::in_use(taken)),
    }
}
