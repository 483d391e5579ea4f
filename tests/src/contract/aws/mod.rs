//! AWS as a laboratory: the real adapter, somebody else's EC2, IAM, STS and Kinesis, and EKS as a front over the simulated
//! world.

pub mod gate;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use fleetwright_aws::{Aws, policy};
use fleetwright_clouds::{Access, Cloud};
use fleetwright_core::inventory::{Place, Step};
use fleetwright_eks_front::{Front, Options, serve};
use fleetwright_emulators::{Moto, python_bin};
use fleetwright_schema::documents::Provider;
use fleetwright_schema::names::{Cloud as CloudName, ClusterName};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{SimClock, Speed, World};
use tokio::runtime::Runtime;

use super::conductor::ACCOUNT;
use super::simulated::faults_of;
use super::{Lab, Mishap, Standing, Way};
use gate::{Answer, Gate, Gatekeeper};

const REGION: &str = "eu-west-1";

/// Where each service is, as the configuration files of AWS say it.
#[derive(Clone, Debug)]
pub struct Endpoints {
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

/// The laboratory.
pub struct AwsLab {
    /// The world of the front.
    pub world: World,
    /// Who lets calls through.
    pub keeper: Gatekeeper,
    clock: SimClock,
    config: SdkConfig,
    endpoints: Endpoints,
    adapters: RefCell<Vec<Arc<Aws>>>,
    moto: Moto,
    front: Front,
    _gates: [Gate; 2],
    _runtime: Runtime,
}

impl AwsLab {
    /// Starts everything, with time that stands still until it is moved; `Err` says what is missing on this machine.
    pub fn start() -> Result<Self, String> {
        Self::start_at(Speed::Max)
    }

    /// The same with time that runs so much faster than the machine's.
    pub fn start_at(speed: Speed) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let moto = Moto::start()?;
        // The emulators tell the machine's time: the world begins at it.
        let clock = SimClock::new(fleetwright::clock::machine_time(), speed);
        let world = World::open(None, 7, clock.clone()).unwrap();
        let options = Options { account: ACCOUNT.into(), makes_leftovers: false, ..Options::default() };
        let front = runtime.block_on(serve(world.clone(), options)).unwrap();
        let keeper = Gatekeeper::default();
        let gate = |at: SocketAddr| runtime.block_on(Gate::open(at, keeper.clone()));
        let gates = [gate(moto.address), gate(front.address)];
        let endpoints = Endpoints { others: gates[0].url(), eks: gates[1].url() };
        let config = config(endpoints.clone());
        let adapters = RefCell::default();
        Ok(Self { world, keeper, clock, config, endpoints, adapters, moto, front, _gates: gates, _runtime: runtime })
    }

    /// Every call that was made is in the policies that people are given.
    pub fn check_policies(&self) {
        for adapter in self.adapters.borrow().iter() {
            assert_eq!(policy::covers(&adapter.calls()), Ok(()));
        }
    }

    /// What a process needs in its environment to call it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let of = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        vec![
            of("AWS_ENDPOINT_URL", &self.endpoints.others),
            of("AWS_ENDPOINT_URL_EKS", &self.endpoints.eks),
            of("AWS_ACCESS_KEY_ID", "AKIDCONTRACT"),
            of("AWS_SECRET_ACCESS_KEY", "contract"),
        ]
    }

    /// Everything that stands in a region.
    pub fn standing_in(&self, region: &str) -> Vec<Standing> {
        let told = |found: &BTreeMap<String, Option<String>>, key: &str| found[key].clone().unwrap_or_default();
        let all = self.audit(region).into_iter().map(|found| Standing {
            kind: told(&found, "kind"),
            id: told(&found, "id"),
            cluster: found["cluster"].as_ref().map(|name| name.parse().unwrap()),
            team: found["team"].clone(),
        });
        all.collect()
    }

    fn audit(&self, region: &str) -> Vec<BTreeMap<String, Option<String>>> {
        let front = format!("http://{}", self.front.address);
        serde_json::from_slice(&script("audit.py", &[region, &self.moto.url(), &front])).unwrap()
    }

    /// Puts into a region what the controllers of a cluster make; of one that does not stand there it is a neighbour's.
    pub fn make_leftovers_in(&self, region: &str, cluster: &str) {
        script("leftovers.py", &[region, &self.moto.url(), cluster]);
    }

    /// What python says and does with boto3, as somebody else in the account.
    fn stranger(&self, code: &str) {
        let client = "import boto3,sys\n\ndef client(service, url):\n    return boto3.client(service, \
                      region_name=sys.argv[1], endpoint_url=url, aws_access_key_id='x', aws_secret_access_key='x')\n\n\
                      moto, front = sys.argv[2:4]\n";
        let front = format!("http://{}", self.front.address);
        run(&["-c", &format!("{client}{code}"), REGION, &self.moto.url(), &front]);
    }
}

/// What a script beside this file prints.
fn script(name: &str, args: &[&str]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/contract/aws").join(name);
    run(&[&[path.to_str().unwrap()], args].concat())
}

fn run(args: &[&str]) -> Vec<u8> {
    let output = Command::new(python_bin().unwrap().join("python")).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn config(endpoints: Endpoints) -> SdkConfig {
    let credentials = Credentials::new("AKIDCONTRACT", "contract", None, None, "contract");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .service_config(endpoints)
        .build()
}

impl Lab for AwsLab {
    fn name(&self) -> &'static str {
        "aws"
    }
    fn provider(&self) -> Provider {
        Provider::Real
    }
    fn place(&self) -> Place {
        Place { cloud: CloudName::Aws, account: ACCOUNT.into(), region: REGION.parse().unwrap() }
    }
    fn adapter(&self) -> Arc<dyn Cloud> {
        let adapter = Arc::new(Aws::with_config(self.config.clone(), Access::ReadWrite));
        self.adapters.borrow_mut().push(Arc::clone(&adapter));
        adapter
    }
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn pass(&self, at_most: Duration) {
        let latest = self.now().plus(at_most);
        let event = self.world.next_event().unwrap().map_or(latest, |event| event.min(latest));
        self.clock.advance_to(event.max(self.now().plus(Duration::from_seconds(1))));
    }
    fn inject(&self, mishap: Mishap) -> bool {
        match mishap {
            Mishap::Outage => self.keeper.answer(Answer::Outage),
            Mishap::Throttled => self.keeper.answer(Answer::Throttled),
            Mishap::CredentialsExpired => self.keeper.answer(Answer::Expired),
            Mishap::RepliesLost(times) => self.keeper.lose_replies(times),
            Mishap::Stale(_) | Mishap::CreateFails(Step::ControlPlane | Step::NodePools) => {
                for fault in faults_of(mishap, self.now()).unwrap() {
                    // The part is one node group and four add-ons here, and may begin with any of them.
                    let times = if mishap == Mishap::CreateFails(Step::NodePools) { 5 } else { 1 };
                    for _ in 0..times {
                        self.world.inject(fault.clone()).unwrap();
                    }
                }
            }
            Mishap::CreateFails(_) => return false,
        }
        true
    }
    fn end_at(&self, call: u64, way: Way) -> bool {
        self.keeper.end_at(call, way);
        true
    }
    fn has_ended(&self) -> bool {
        self.keeper.ended()
    }
    fn calls(&self) -> u64 {
        self.keeper.calls().len() as u64
    }
    fn mend(&self) {
        self.keeper.mend();
        self.world.clear_faults().unwrap();
    }
    fn standing(&self) -> Vec<Standing> {
        self.standing_in(REGION)
    }
    fn occupy(&self, cluster: &ClusterName) -> bool {
        let code = format!(
            "client('eks', front).create_cluster(name='{cluster}', roleArn='arn:aws:iam::{ACCOUNT}:role/other', \
             resourcesVpcConfig={{'subnetIds': ['subnet-1', 'subnet-2']}})"
        );
        self.stranger(&code);
        true
    }
    fn make_leftovers(&self, cluster: &str) -> bool {
        self.make_leftovers_in(REGION, cluster);
        true
    }
    fn meddle(&self, cluster: &ClusterName) -> bool {
        self.stranger(&format!(
            "part = [dict(Name='tag:fleetwright.dev/part', Values=['group']), \
             dict(Name='tag:fleetwright.dev/cluster', Values=['{cluster}'])]\n\
             ec2, iam = client('ec2', moto), client('iam', moto)\n\
             group = ec2.describe_security_groups(Filters=part)['SecurityGroups'][0]['GroupId']\n\
             ec2.authorize_security_group_ingress(GroupId=group, IpProtocol='tcp', FromPort=22, ToPort=22, \
             CidrIp='0.0.0.0/0')\n\
             iam.detach_role_policy(RoleName='{cluster}-nodes', \
             PolicyArn='arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy')"
        ));
        true
    }
    fn strip(&self, cluster: &ClusterName, step: Step) -> bool {
        assert_eq!(step, Step::LogStream);
        let keys = "['fleetwright.dev/cluster','fleetwright.dev/set','fleetwright.dev/ordinal']";
        self.stranger(&format!(
            "client('kinesis', moto).remove_tags_from_stream(StreamName='fleetwright-{cluster}', TagKeys={keys})"
        ));
        true
    }
}
