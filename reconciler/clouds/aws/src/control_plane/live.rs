//! A cluster as EKS describes it, checked once.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_eks::types::{Cluster, ClusterStatus, Logging};
use fleetwright_clouds::CloudError;
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{ErrorClass, Phase, Resource, Step};
use fleetwright_schema::names::{ClusterName, KubernetesVersion};
use fleetwright_schema::units::Timestamp;

use crate::error::{error, found, from_sdk};
use crate::identity::Role;
use crate::owner::{Owner, Tags};
use crate::session::Session;

/// What is at a name.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Nothing.
    Gone,
    /// A cluster without our tags.
    Foreign,
    /// A cluster without our tags that runs as the role which we made for the cluster of this name: somebody took them away.
    Stripped,
    /// One of ours.
    Ours(Box<Live>),
}

/// A cluster of ours.
#[derive(Clone, Debug)]
pub struct Live {
    /// To whom it belongs, by its tags.
    pub owner: Owner,
    /// Its ARN, which a later cluster of this name has too.
    pub arn: String,
    /// Its ARN and when it was made, which no other has.
    pub id: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// The minor number of its version; 0 where none is told.
    pub minor: u32,
    /// All its tags.
    pub tags: Tags,
    /// The address of its API.
    pub endpoint: Option<String>,
    /// The certificate authority of its API, as EKS tells it: PEM in base64.
    pub authority: Option<String>,
    /// Its network.
    pub vpc: Option<Arc<str>>,
    /// The subnets of its control plane.
    pub subnets: Vec<String>,
    /// How its API is reached.
    pub reach: Reach,
    /// The logs that are written, where it is told.
    pub logs: Option<BTreeSet<String>>,
    /// Whether it is protected from deletion, where it is told.
    pub protected: Option<bool>,
}

/// How an API is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// From the cluster's network.
    pub private: bool,
    /// From elsewhere: from these blocks of addresses.
    pub public: Option<BTreeSet<String>>,
}

impl Live {
    fn of(cluster: &Cluster, owner: Owner) -> Option<Self> {
        let (arn, created_at) = (cluster.arn()?.to_owned(), cluster.created_at()?.secs());
        let network = cluster.resources_vpc_config();
        let cidrs = || network.map(|config| config.public_access_cidrs().iter().cloned().collect()).unwrap_or_default();
        Some(Self {
            owner,
            id: format!("{arn}@{created_at}").into(),
            arn,
            created_at: Timestamp::from_unix_seconds(created_at),
            phase: phase(cluster.status()),
            minor: minor(cluster.version().unwrap_or_default()),
            tags: tags_of(cluster),
            endpoint: cluster.endpoint().map(str::to_owned).filter(|text| !text.is_empty()),
            authority: cluster.certificate_authority().and_then(|authority| authority.data()).map(str::to_owned),
            vpc: network.and_then(|config| config.vpc_id()).filter(|id| !id.is_empty()).map(Arc::from),
            subnets: network.map(|config| config.subnet_ids().to_vec()).unwrap_or_default(),
            reach: Reach {
                private: network.is_some_and(|config| config.endpoint_private_access()),
                public: network.is_some_and(|config| config.endpoint_public_access()).then(cidrs),
            },
            logs: cluster.logging().map(enabled),
            protected: cluster.deletion_protection(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.owner.cluster.as_str()
    }

    /// Whether calls that change it are taken now.
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// A part of it as a reading tells it.
    pub fn resource(&self, step: Step, phase: Phase, applied: &str) -> Resource {
        Resource {
            id: self.id_of(step),
            step,
            cluster: self.owner.cluster.clone(),
            set: self.owner.set.clone(),
            ordinal: self.owner.ordinal,
            phase,
            applied: applied.into(),
            created_at: self.created_at,
            uses: Vec::new(),
            control_plane: None,
            node_pools: Vec::new(),
            infra_services: Vec::new(),
        }
    }

    fn id_of(&self, step: Step) -> Arc<str> {
        match suffix(step) {
            "" => Arc::clone(&self.id),
            suffix => format!("{}/{suffix}", self.id).into(),
        }
    }
}

/// What follows the id of a control plane in that of its child.
const fn suffix(step: Step) -> &'static str {
    match step {
        Step::NodePools => "node-pools",
        Step::Access => "access",
        Step::Secrets => "secrets",
        Step::InfraServices => "infra-services",
        Step::Network | Step::Identity | Step::LogStream | Step::ControlPlane | Step::Leftovers => "",
    }
}

/// Where a cluster stands. A status that this version doesn't know is one in which nothing is done.
fn phase(status: Option<&ClusterStatus>) -> Phase {
    match status {
        Some(ClusterStatus::Pending | ClusterStatus::Creating) => Phase::Creating,
        Some(ClusterStatus::Active) => Phase::Ready,
        Some(ClusterStatus::Deleting) => Phase::Deleting,
        Some(ClusterStatus::Failed) => Phase::Failed,
        // `UPDATING`, and what later versions add.
        _ => Phase::Updating,
    }
}

fn enabled(logging: &Logging) -> BTreeSet<String> {
    let setups = logging.cluster_logging().iter().filter(|setup| setup.enabled() == Some(true));
    setups.flat_map(|setup| setup.types()).map(|kind| kind.as_str().to_owned()).collect()
}

fn tags_of(cluster: &Cluster) -> Tags {
    cluster.tags().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The minor number of `1.33`.
pub fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

/// As EKS takes it: patches are its own affair.
pub fn version_text(version: &KubernetesVersion) -> String {
    format!("1.{}", version.minor())
}

/// What is at a name now.
pub async fn describe(session: &Session, name: &str) -> Result<Seen, CloudError> {
    let reply = found(session.eks.describe_cluster().name(name).send().await.map_err(from_sdk))?;
    let Some(cluster) = reply.and_then(|reply| reply.cluster) else { return Ok(Seen::Gone) };
    let owner = Owner::from_tags(&tags_of(&cluster)).filter(|owner| owner.cluster.as_str() == name);
    let Some(owner) = owner else {
        let ours = cluster.role_arn().is_some_and(|role| is_of(session, name, role));
        return Ok(if ours { Seen::Stripped } else { Seen::Foreign });
    };
    if let Some(health) = cluster.health().filter(|health| !health.issues().is_empty()) {
        tracing::warn!(cluster = name, issues = ?health.issues(), "the provider says that a control plane is not well");
    }
    let half = || error(ErrorClass::UnknownResult, "HalfDescribed", format!("{name} has no ARN or creation time"));
    Live::of(&cluster, owner).map(|live| Seen::Ours(Box::new(live))).ok_or_else(half)
}

/// Whether a role is that of the control plane of a cluster of this name.
fn is_of(session: &Session, name: &str, role: &str) -> bool {
    name.parse::<ClusterName>().is_ok_and(|name| Role::ControlPlane.arn(session, &name) == role)
}

/// The cluster that an action is about, if it is there: by the id of it or of a child. Anybody else's is a conflict, and
/// a later one of the same name is another.
pub async fn ours(session: &Session, action: &Action, id: &str) -> Result<Option<Box<Live>>, CloudError> {
    match describe(session, action.key.cluster.as_str()).await? {
        Seen::Gone => Ok(None),
        Seen::Ours(live) if live.owner == Owner::of(action) => Ok((*live.id == *plane_id(id)).then_some(live)),
        Seen::Foreign | Seen::Stripped | Seen::Ours(_) => Err(not_ours(action)),
    }
}

/// The same, where it has to be there.
pub async fn ours_to_change(session: &Session, action: &Action, id: &str) -> Result<Box<Live>, CloudError> {
    let gone = || error(ErrorClass::NotFound, "ClusterGone", format!("{} is not there", action.key.cluster));
    ours(session, action, id).await?.ok_or_else(gone)
}

/// The id of the control plane, of that of a child: `<arn>@<seconds>/<child>`.
fn plane_id(id: &str) -> &str {
    let at = id.rfind('@').unwrap_or(id.len());
    let end = id[at..].find('/').map_or(id.len(), |slash| at + slash);
    &id[..end]
}

/// The name is taken.
pub fn not_ours(action: &Action) -> CloudError {
    let name = &action.key.cluster;
    error(
        ErrorClass::Conflict,
        "NameTaken",
        format!("the EKS cluster {name} does not carry the tags of {name} of {}", action.set),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A quiet cluster as it is after its creation.
    pub(crate) fn live() -> Live {
        let owner = Owner {
            cluster: "model-serving-prod-aws-euw1-1".parse().unwrap(),
            set: "prod/aws/eu-west-1/ModelServing".parse().unwrap(),
            ordinal: 1,
        };
        let arn = format!("arn:aws:eks:eu-west-1:123456789012:cluster/{}", owner.cluster);
        let logs = ["api", "audit", "authenticator", "controllerManager", "scheduler"];
        Live {
            tags: owner.tags(Step::ControlPlane, &Tags::new()),
            owner,
            id: format!("{arn}@1790000000").into(),
            arn,
            created_at: Timestamp::from_unix_seconds(1_790_000_000),
            phase: Phase::Ready,
            minor: 33,
            endpoint: Some("https://api.example".to_owned()),
            authority: None,
            vpc: Some("vpc-1".into()),
            subnets: vec!["subnet-1".to_owned(), "subnet-2".to_owned()],
            reach: Reach { private: true, public: Some(BTreeSet::from(["0.0.0.0/0".to_owned()])) },
            logs: Some(logs.map(str::to_owned).into()),
            protected: Some(true),
        }
    }

    #[test]
    fn statuses_have_phases_and_an_unknown_one_is_waited_for() {
        for (status, expected) in [
            ("PENDING", Phase::Creating),
            ("CREATING", Phase::Creating),
            ("ACTIVE", Phase::Ready),
            ("UPDATING", Phase::Updating),
            ("DELETING", Phase::Deleting),
            ("FAILED", Phase::Failed),
            ("HIBERNATING", Phase::Updating),
        ] {
            assert_eq!(phase(Some(&ClusterStatus::from(status))), expected, "{status}");
        }
        assert_eq!(phase(None), Phase::Updating);
    }

    #[test]
    fn the_id_of_a_child_begins_with_that_of_its_control_plane() {
        let plane = "arn:aws:eks:eu-west-1:123456789012:cluster/a@17";
        assert_eq!(plane_id(&format!("{plane}/node-pools")), plane);
        assert_eq!(plane_id(plane), plane);
    }

    #[test]
    fn versions_are_minor_ones() {
        assert_eq!(version_text(&"1.33.4".parse().unwrap()), "1.33");
        assert_eq!(minor("1.33"), 33);
        assert_eq!(minor(""), 0);
    }
}
