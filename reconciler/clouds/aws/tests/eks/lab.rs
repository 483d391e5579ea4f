//! The adapter on a simulated EKS, driven as the planner drives it, and eyes that look past it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use fleetwright_aws::Aws;
use fleetwright_clouds::{Access, Cloud, CloudError, Progress};
use fleetwright_core::action::{Action, ActionKey, Effect};
use fleetwright_core::fingerprint::Memo;
use fleetwright_core::inventory::{ControlPlaneFacts, Phase, Place, Resource, Step};
use fleetwright_eks_front::{Front, Options, serve};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::set::{ClusterSpec, DrainMode};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{SimClock, Speed, World};
use serde_json::{Value, json};

use crate::others;

pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "eu-west-1";
pub const CLUSTER: &str = "serving-test-aws-euw1-1";
const SET: &str = "test/aws/eu-west-1/Serving";
/// What has its marks on a control plane, parents first.
pub const STEPS: [Step; 5] = [Step::ControlPlane, Step::NodePools, Step::Access, Step::Secrets, Step::InfraServices];
/// More turns than anything here takes.
const TURNS_MAX: usize = 200;

/// Where each service is.
#[derive(Clone, Debug)]
struct Endpoints {
    eks: String,
    others: String,
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        (key.env() == "AWS_ENDPOINT_URL").then(|| match key.service_id() {
            "EKS" => self.eks.clone(),
            _ => self.others.clone(),
        })
    }
}

/// All of it.
pub struct Lab {
    pub aws: Aws,
    /// Somebody else in the account.
    pub eks: aws_sdk_eks::Client,
    pub world: World,
    pub front: Front,
    pub spec: Arc<ClusterSpec>,
    clock: SimClock,
    config: SdkConfig,
    /// What the planner would tell to the adapter first.
    account: Value,
}

impl Lab {
    pub async fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let clock = SimClock::new(Timestamp::from_unix_seconds(i64::try_from(now).unwrap()), Speed::Max);
        let world = World::open(None, 7, clock.clone()).unwrap();
        let options = Options { makes_leftovers: false, vpc_id: others::VPC.to_owned(), ..Options::default() };
        let front = serve(world.clone(), options).await.unwrap();
        let endpoints = Endpoints { eks: front.url().to_owned(), others: others::open().await };
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("AKIDTEST", "x", None, None, "test")))
            .service_config(endpoints)
            .build();
        let eks = aws_sdk_eks::Client::new(&config);
        let aws = Aws::with_config(config.clone(), Access::ReadWrite);
        let spec = spec(json!({}));
        let lab = Self { aws, eks, world, front, spec, clock, config, account: json!({}) };
        lab.told(json!({}))
    }

    /// Another process, which knows nothing.
    pub fn restarted(self) -> Self {
        let account = self.account.clone();
        Self { aws: Aws::with_config(self.config.clone(), Access::ReadWrite), ..self }.told(account)
    }

    /// The fleet says this of the account.
    pub fn told(mut self, account: Value) -> Self {
        let fleet = json!({
            "builtinDefaults": 1,
            "environments": [{
                "name": "test",
                "accounts": { "aws": { "id": ACCOUNT, "provider": "Real", "aws": account } },
            }],
        });
        self.aws.learn(&serde_json::from_value(fleet).unwrap());
        self.account = account;
        self
    }

    /// The set says this now.
    pub fn wants(mut self, change: Value) -> Self {
        self.spec = spec(change);
        self
    }

    pub fn place(&self) -> Place {
        Place { cloud: "aws".parse().unwrap(), account: ACCOUNT.into(), region: REGION.parse().unwrap() }
    }

    pub fn cluster(&self) -> ClusterName {
        CLUSTER.parse().unwrap()
    }

    fn print(&self, step: Step) -> Arc<str> {
        let prints = Memo::default().fingerprints("r", &self.spec);
        let at = Step::BUILD.iter().position(|known| *known == step).unwrap();
        Arc::clone(&prints[at])
    }

    /// What is told of the cluster, looked at closely or not.
    pub async fn read(&self, closely: bool) -> BTreeMap<Step, Resource> {
        let closely = if closely { BTreeSet::from([self.cluster()]) } else { BTreeSet::new() };
        let listing = self.aws.observe(&self.place(), &closely).await.unwrap();
        let resources = listing.resources.get(&self.cluster()).cloned().unwrap_or_default();
        resources.into_iter().map(|resource| (resource.step, resource)).collect()
    }

    pub async fn facts(&self) -> ControlPlaneFacts {
        self.read(true).await[&Step::ControlPlane].control_plane.clone().unwrap()
    }

    pub async fn id(&self, step: Step) -> Arc<str> {
        Arc::clone(&self.read(true).await[&step].id)
    }

    pub fn action(&self, step: Step, effect: Effect) -> Action {
        let key = ActionKey { cluster: self.cluster(), step };
        Action { key, set: SET.parse().unwrap(), ordinal: 1, place: self.place(), effect }
    }

    pub async fn perform(&self, step: Step, effect: Effect) -> Result<Progress, CloudError> {
        self.aws.perform(&self.action(step, effect)).await
    }

    pub fn create(&self, step: Step, seen: &BTreeMap<Step, Resource>) -> Effect {
        let parents = step.parents().iter().filter_map(|parent| seen.get(parent)).map(|seen| Arc::clone(&seen.id));
        let mut parents: Vec<Arc<str>> = parents.collect();
        if step == Step::ControlPlane {
            parents = vec![others::VPC.into(), "role@ROLE".into(), "stream@1".into()];
        }
        let fingerprint = self.print(step);
        let token = fleetwright_core::fingerprint::token(&self.cluster(), step, &fingerprint);
        Effect::Create { token, fingerprint, spec: Arc::clone(&self.spec), cidr: None, parents }
    }

    pub fn update(&self, step: Step, id: &Arc<str>) -> Effect {
        let (fingerprint, spec) = (self.print(step), Arc::clone(&self.spec));
        Effect::Update { id: Arc::clone(id), token: "token".into(), fingerprint, spec }
    }

    /// Lets time go on to the next thing that happens there.
    pub fn pass(&self) {
        if let Some(next) = self.world.next_event().unwrap() {
            self.clock.advance_to(next);
        }
    }

    /// Lets time go on until the provider is at work on nothing.
    pub async fn settle(&self) {
        for _ in 0..TURNS_MAX {
            let seen = self.read(true).await;
            if seen.values().all(|part| matches!(part.phase, Phase::Ready | Phase::Failed)) {
                return;
            }
            self.pass();
        }
        panic!("it does not come to rest: {:#?}", self.read(true).await);
    }

    /// What the planner would do next with a step; whether it is done with it.
    pub async fn turn(&self, step: Step) -> bool {
        let seen = self.read(true).await;
        let done = match seen.get(&step) {
            None => self.perform(step, self.create(step, &seen)).await,
            Some(there) => match there.phase {
                Phase::Creating | Phase::Updating | Phase::Deleting => Ok(Progress::InProgress),
                Phase::Failed => panic!("{there:?}"),
                Phase::Ready if there.applied == self.print(step) => return true,
                Phase::Ready => self.perform(step, self.update(step, &there.id)).await,
            },
        };
        done.unwrap();
        false
    }

    /// Brings a step to what the set says; how many turns it took.
    pub async fn bring(&self, step: Step) -> usize {
        for turn in 0..TURNS_MAX {
            if self.turn(step).await {
                return turn;
            }
            self.pass();
        }
        panic!("{step} is not done: {:?}", self.read(true).await.get(&step));
    }

    /// A whole cluster.
    pub async fn build(&self) {
        for step in STEPS {
            self.bring(step).await;
        }
    }

    /// Deletes a step until it is gone.
    pub async fn delete(&self, step: Step) {
        for _ in 0..TURNS_MAX {
            let Some(there) = self.read(true).await.remove(&step) else { return };
            if there.phase != Phase::Deleting {
                self.perform(step, Effect::Delete { id: there.id }).await.unwrap();
            }
            self.pass();
        }
        panic!("{step} is not gone: {:?}", self.read(true).await.get(&step));
    }

    pub async fn drain(&self, mode: DrainMode) -> Result<Progress, CloudError> {
        let id = self.id(Step::ControlPlane).await;
        self.perform(Step::ControlPlane, Effect::Drain { id, mode }).await
    }

    pub async fn open(&self) -> Result<Progress, CloudError> {
        let id = self.id(Step::ControlPlane).await;
        self.perform(Step::ControlPlane, Effect::OpenPlacement { id }).await
    }

    /// The tags of the cluster, as somebody else sees them.
    pub async fn tags(&self) -> BTreeMap<String, String> {
        let reply = self.eks.describe_cluster().name(CLUSTER).send().await.unwrap();
        reply.cluster().unwrap().tags().unwrap().clone().into_iter().collect()
    }

    /// The node groups of the cluster with their versions, as somebody else sees them.
    pub async fn groups(&self) -> BTreeMap<String, String> {
        let mut groups = BTreeMap::new();
        for name in self.eks.list_nodegroups().cluster_name(CLUSTER).send().await.unwrap().nodegroups() {
            let reply = self.eks.describe_nodegroup().cluster_name(CLUSTER).nodegroup_name(name).send().await.unwrap();
            groups.insert(name.clone(), reply.nodegroup().unwrap().version().unwrap().to_owned());
        }
        groups
    }
}

/// A spec of one pool, changed at its top.
pub fn spec(change: Value) -> Arc<ClusterSpec> {
    let mut spec = json!({
        "kubernetesVersion": "1.33",
        "nodePools": [pool("workers", "m6i.large")],
        "infraServices": [{ "name": "ingress", "version": "1.2.3" }],
        "tags": { "team": "serving" },
    });
    for (key, value) in change.as_object().unwrap() {
        spec[key] = value.clone();
    }
    Arc::new(serde_json::from_value(spec).unwrap())
}

/// A pool of one to three nodes.
pub fn pool(name: &str, instance_type: &str) -> Value {
    json!({ "name": name, "spec": { "instanceType": instance_type, "minCount": 1, "maxCount": 3 } })
}
