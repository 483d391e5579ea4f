//! A simulated AWS of its own for each test, reached through a door at which calls can be lost.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use fleetwright_aws::Aws;
use fleetwright_clouds::Access;

use crate::door::Door;

pub const REGION: &str = "eu-west-1";

pub struct Moto {
    server: fleetwright_emulators::Moto,
    http: reqwest::Client,
    pub door: Door,
}

impl Moto {
    /// Starts one; none, where it is not said where to find it.
    pub fn start(test: &str) -> Option<Self> {
        match fleetwright_emulators::Moto::start() {
            Ok(server) => {
                let door = Door::open(server.address.port());
                Some(Self { server, http: reqwest::Client::new(), door })
            }
            Err(missing) => {
                eprintln!("SKIPPED {test}: {missing}");
                None
            }
        }
    }

    /// The adapter, before this AWS.
    pub async fn aws(&self) -> Aws {
        Aws::with_config(config(&format!("http://127.0.0.1:{}", self.door.port)).await, Access::ReadWrite)
    }

    /// A control plane in these subnets, as of a person.
    pub async fn eks_cluster(&self, name: &str, subnets: &[&str]) {
        let eks = aws_sdk_eks::Client::new(&config(&self.server.url()).await);
        let within = aws_sdk_eks::types::VpcConfigRequest::builder();
        let within = subnets.iter().fold(within, |within, subnet| within.subnet_ids(*subnet)).build();
        let cluster = eks.create_cluster().name(name).role_arn("arn:aws:iam::123456789012:role/x");
        cluster.resources_vpc_config(within).send().await.unwrap();
    }

    /// A call beside the door, as of a person: `ec2`, `CreateVpc`, `CidrBlock=10.0.0.0/16`.
    pub async fn call(&self, service: &str, version: &str, call: &str) -> String {
        let key = format!("AKID/20260101/{REGION}/{service}/aws4_request");
        let url = format!("{}/", self.server.url());
        let (action, rest) = call.split_once('&').unwrap_or((call, ""));
        let request = self
            .http
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={key}, SignedHeaders=host, Signature=0"));
        let reply = request.body(format!("Action={action}&Version={version}&{rest}")).send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{call}: {text}");
        text
    }

    pub async fn ec2(&self, call: &str) -> String {
        self.call("ec2", "2016-11-15", call).await
    }

    /// The text of an element of the reply.
    pub async fn ec2_id(&self, call: &str, element: &str) -> String {
        element_of(&self.ec2(call).await, element)
    }
}

async fn config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let config = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(REGION));
    config.credentials_provider(credentials).endpoint_url(url).load().await
}

/// The text of the first element of this name.
pub fn element_of(text: &str, element: &str) -> String {
    let document = roxmltree::Document::parse(text).unwrap();
    let node = document.descendants().find(|node| node.tag_name().name() == element);
    node.and_then(|node| node.text()).unwrap_or_else(|| panic!("no {element} in {text}")).to_owned()
}
