//! Networks, and what is left in them, against moto: made, lost in the middle, gone on with, doubled, given and deleted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod door;
mod drift;
mod moto;
mod tagged;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_aws::Aws;
use fleetwright_clouds::{Cloud, CloudError, Progress, Quota};
use fleetwright_core::action::{Action, ActionKey, Effect};
use fleetwright_core::inventory::{ErrorClass, Phase, Place, Resource, Step};
use fleetwright_schema::names::Cloud as CloudName;
use fleetwright_schema::set::{ClusterSpec, Feature, NetworkSpec};

use door::Fault;
use moto::{Moto, REGION, element_of};
use world::{everything, shape};

const CLUSTER: &str = "model-serving-prod-aws-euw1-1";
const OTHER: &str = "model-serving-prod-aws-euw1-2";
const CIDR: &str = "10.8.64.0/18";
/// More turns than any step takes.
const TURNS: usize = 12;

fn place() -> Place {
    Place { cloud: CloudName::Aws, account: "123456789012".into(), region: REGION.parse().unwrap() }
}

fn spec(tags: &[(&str, &str)]) -> ClusterSpec {
    ClusterSpec {
        kubernetes_version: "1.33".parse().unwrap(),
        features: [].into(),
        node_pools: Vec::new(),
        infra_services: Vec::new(),
        network: NetworkSpec::default(),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

fn given(existing: Option<&str>) -> ClusterSpec {
    let network = NetworkSpec { address_pool: None, existing: existing.map(str::to_owned) };
    ClusterSpec { features: [Feature::Byon].into(), network, ..spec(&[]) }
}

fn action(cluster: &str, step: Step, effect: Effect) -> Action {
    let ordinal = cluster.rsplit('-').next().unwrap().parse().unwrap();
    let key = ActionKey { cluster: cluster.parse().unwrap(), step };
    let set = "prod/aws/eu-west-1/ModelServing".parse().unwrap();
    Action { key, set, ordinal, place: place(), effect }
}

fn create(cluster: &str, spec: &ClusterSpec, cidr: Option<&str>) -> Action {
    let effect = Effect::Create {
        token: "token".into(),
        fingerprint: "print-1".into(),
        spec: Arc::new(spec.clone()),
        cidr: cidr.map(Arc::from),
        parents: Vec::new(),
    };
    action(cluster, Step::Network, effect)
}

fn update(cluster: &str, id: &str, spec: &ClusterSpec, fingerprint: &str) -> Action {
    let effect = Effect::Update {
        id: id.into(),
        token: "token".into(),
        fingerprint: fingerprint.into(),
        spec: Arc::new(spec.clone()),
    };
    action(cluster, Step::Network, effect)
}

fn delete(cluster: &str, id: &str) -> Action {
    action(cluster, Step::Network, Effect::Delete { id: id.into() })
}

async fn networks(aws: &Aws, cluster: &str) -> Result<Vec<Resource>, CloudError> {
    let all = aws.networks(&place()).await?;
    Ok(all.into_iter().filter(|network| network.cluster.as_str() == cluster).collect())
}

/// What the planner does with a network, turn by turn, until it is whole. What fails is done again next turn.
async fn settle(aws: &Aws, cluster: &str) -> Resource {
    for _ in 0..TURNS {
        let Ok(seen) = networks(aws, cluster).await else { continue };
        let next = match seen.first() {
            None => create(cluster, &spec(&[("team", "a")]), Some(CIDR)),
            Some(one) if &*one.applied == "print-1" => return one.clone(),
            Some(one) if one.phase == Phase::Ready => update(cluster, &one.id, &spec(&[("team", "a")]), "print-1"),
            Some(_) => continue,
        };
        let _ = aws.perform(&next).await;
    }
    panic!("{cluster} has no whole network after {TURNS} turns");
}

/// The same, until it is gone.
async fn remove(aws: &Aws, cluster: &str) {
    for _ in 0..TURNS {
        let Ok(seen) = networks(aws, cluster).await else { continue };
        match seen.first() {
            None => return,
            Some(one) if one.phase == Phase::Deleting => {}
            Some(one) => drop(aws.perform(&delete(cluster, &one.id)).await),
        }
    }
    panic!("{cluster} has a network still after {TURNS} turns");
}

fn refused(result: Result<Progress, CloudError>, code: &str) -> String {
    let error = result.expect_err("it is refused");
    assert_eq!(error.code, code, "{error}");
    assert!(!error.class.is_transient(), "{error}");
    error.message
}

#[tokio::test]
async fn a_network_is_made_from_nothing_to_its_mark() {
    let Some(moto) = Moto::start("a_network_is_made_from_nothing_to_its_mark") else { return };
    let aws = moto.aws().await;
    assert_eq!(aws.perform(&create(CLUSTER, &spec(&[("team", "a")]), Some(CIDR))).await, Ok(Progress::Done));
    let seen = networks(&aws, CLUSTER).await.unwrap();
    assert_eq!((seen.len(), seen[0].phase, &*seen[0].applied), (1, Phase::Ready, "print-1"));
    assert!(seen[0].created_at.unix_seconds() > 1_700_000_000);
    let stands = shape(&moto, CLUSTER).await;
    for line in &stands {
        println!("{line}");
    }
    let of = |kind: &str| stands.iter().filter(|line| line.starts_with(kind)).count();
    assert_eq!(
        [of("vpc:"), of("subnet:"), of("igw:"), of("rtb:"), of("eipalloc:"), of("nat:"), of("sg:")],
        [1, 6, 1, 2, 1, 1, 1]
    );
    let about = |name: &str| stands.iter().find(|line| line.starts_with(name)).unwrap().as_str();
    assert!(about("subnet:private-b ").contains("10.8.80.0/20 eu-west-1b vpc:"), "{}", about("subnet:private-b "));
    assert!(about("rtb:public ").contains("0.0.0.0/0+10.8.64.0/18 igw:gateway+local"), "{}", about("rtb:public "));
    assert!(about("rtb:private ").contains("nat:nat subnet:private-"), "{}", about("rtb:private "));
    assert!(stands.iter().all(|line| line.contains("\"team\": \"a\"")), "{stands:#?}");
    for attribute in ["enableDnsSupport", "enableDnsHostnames"] {
        let call = format!("DescribeVpcAttribute&VpcId={}&Attribute={attribute}", seen[0].id);
        assert_eq!(moto.ec2_id(&call, "value").await, "true", "{attribute}");
    }
}

#[tokio::test]
async fn what_is_made_goes_in_an_order_that_aws_takes() {
    let Some(moto) = Moto::start("what_is_made_goes_in_an_order_that_aws_takes") else { return };
    let aws = moto.aws().await;
    let before = everything(&moto).await;
    settle(&aws, CLUSTER).await;
    moto.door.calls();
    remove(&aws, CLUSTER).await;
    assert_eq!(everything(&moto).await, before);
    // The simulated one takes any order.
    let calls = moto.door.calls();
    let at = |name: &str| calls.iter().position(|call| call == name).unwrap_or_else(|| panic!("{name} in {calls:?}"));
    assert!(at("DeleteNatGateway") < at("ReleaseAddress") && at("DeleteNatGateway") < at("DeleteSubnet"));
    assert!(at("DisassociateRouteTable") < at("DeleteRouteTable"));
    assert!(at("DetachInternetGateway") < at("DeleteInternetGateway"));
    assert_eq!(calls.iter().rfind(|call| call.starts_with("Delete")).unwrap(), "DeleteVpc");
}

#[tokio::test]
async fn what_breaks_off_at_any_call_ends_in_the_same_world() {
    let Some(moto) = Moto::start("what_breaks_off_at_any_call_ends_in_the_same_world") else { return };
    let aws = moto.aws().await;
    let nothing = everything(&moto).await;
    settle(&aws, CLUSTER).await;
    let (making, wanted) = (moto.door.calls(), shape(&moto, CLUSTER).await);
    remove(&aws, CLUSTER).await;
    let deleting = moto.door.calls();
    assert!(making.len() > 30 && deleting.len() > 30, "{making:?} {deleting:?}");
    for n in 0..making.len().max(deleting.len()) {
        for fault in [Fault::Before, Fault::After] {
            moto.door.lose(n, fault);
            settle(&aws, CLUSTER).await;
            assert_eq!(shape(&moto, CLUSTER).await, wanted, "call {n} of the making lost {fault:?}");
            moto.door.lose(n, fault);
            remove(&aws, CLUSTER).await;
            assert_eq!(everything(&moto).await, nothing, "call {n} of the deletion lost {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_network_waits_for_its_way_out_and_says_when_there_is_none() {
    let Some(moto) = Moto::start("a_network_waits_for_its_way_out_and_says_when_there_is_none") else { return };
    let aws = moto.aws().await;
    for call in ["CreateNatGateway", "DescribeNatGateways"] {
        moto.door.replace(call, "<state>available</state>", "<state>pending</state>");
    }
    let whole = create(CLUSTER, &spec(&[]), Some(CIDR));
    assert_eq!(aws.perform(&whole).await, Ok(Progress::InProgress));
    let seen = networks(&aws, CLUSTER).await.unwrap();
    assert_eq!((seen[0].phase, &*seen[0].applied), (Phase::Creating, ""));
    assert_eq!(aws.perform(&whole).await, Ok(Progress::InProgress), "and it makes nothing twice");
    moto.door.open_again();
    let seen = networks(&aws, CLUSTER).await.unwrap();
    assert_eq!((seen[0].phase, &*seen[0].applied), (Phase::Ready, ""));
    moto.door.replace("DescribeNatGateways", "<state>available</state>", "<state>failed</state>");
    assert_eq!(networks(&aws, CLUSTER).await.unwrap()[0].phase, Phase::Failed);
    moto.door.open_again();
    assert_eq!(aws.perform(&update(CLUSTER, &seen[0].id, &spec(&[]), "print-1")).await, Ok(Progress::Done));
    assert_eq!(&*networks(&aws, CLUSTER).await.unwrap()[0].applied, "print-1");
    moto.door.replace("DescribeNatGateways", "<state>deleted</state>", "<state>deleting</state>");
    assert_eq!(aws.perform(&delete(CLUSTER, &seen[0].id)).await, Ok(Progress::InProgress));
    assert_eq!(networks(&aws, CLUSTER).await.unwrap()[0].phase, Phase::Deleting);
    assert_eq!(aws.perform(&delete(CLUSTER, &seen[0].id)).await, Ok(Progress::InProgress), "and nothing else goes yet");
    moto.door.open_again();
    assert_eq!(aws.perform(&delete(CLUSTER, &seen[0].id)).await, Ok(Progress::Done));
    assert_eq!(aws.perform(&delete(CLUSTER, &seen[0].id)).await, Ok(Progress::Done), "what is gone is gone");
}

#[tokio::test]
async fn the_spare_of_a_doubled_network_goes_and_leaves_the_other_whole() {
    let Some(moto) = Moto::start("the_spare_of_a_doubled_network_goes_and_leaves_the_other_whole") else { return };
    let aws = moto.aws().await;
    let first = settle(&aws, CLUSTER).await;
    let before = everything(&moto).await;
    // What was made is not listed yet.
    moto.door.answer("DescribeVpcs", "<DescribeVpcsResponse><vpcSet/></DescribeVpcsResponse>");
    aws.perform(&create(CLUSTER, &spec(&[]), Some(CIDR))).await.unwrap();
    let both = networks(&aws, CLUSTER).await.unwrap();
    assert_eq!(both.len(), 2);
    let spare = both.iter().find(|network| network.id != first.id).unwrap();
    assert_eq!(&*spare.applied, "print-1");
    assert_eq!(aws.perform(&delete(CLUSTER, &spare.id)).await, Ok(Progress::InProgress));
    assert_eq!(aws.perform(&delete(CLUSTER, &spare.id)).await, Ok(Progress::Done));
    assert_eq!(everything(&moto).await, before);
}

#[tokio::test]
async fn what_a_repeated_call_made_twice_goes_before_the_mark() {
    let Some(moto) = Moto::start("what_a_repeated_call_made_twice_goes_before_the_mark") else { return };
    let aws = moto.aws().await;
    let one = settle(&aws, CLUSTER).await;
    let wanted = shape(&moto, CLUSTER).await;
    for (call, set, reply) in [
        ("DescribeAddresses", "addressesSet", "AllocateAddress"),
        ("DescribeInternetGateways", "internetGatewaySet", "CreateInternetGateway"),
    ] {
        println!("{reply} twice");
        let kind = if reply == "AllocateAddress" { "elastic-ip" } else { "internet-gateway" };
        let tags = [
            ("fleetwright.dev/cluster", CLUSTER),
            ("fleetwright.dev/set", "prod/aws/eu-west-1/ModelServing"),
            ("fleetwright.dev/ordinal", "1"),
            ("fleetwright.dev/network", &*one.id),
            ("fleetwright.dev/part", if kind == "elastic-ip" { "nat-address" } else { "gateway" }),
        ];
        let numbered = (1..).zip(tags).map(|(n, (key, value))| {
            format!("TagSpecification.1.Tag.{n}.Key={key}&TagSpecification.1.Tag.{n}.Value={value}")
        });
        let tags = numbered.collect::<Vec<_>>().join("&");
        moto.ec2(&format!("{reply}&Domain=vpc&TagSpecification.1.ResourceType={kind}&{tags}")).await;
        assert!(moto.ec2(call).await.contains(set));
    }
    assert_eq!(shape(&moto, CLUSTER).await.len(), wanted.len() + 2);
    aws.perform(&update(CLUSTER, &one.id, &spec(&[("team", "a")]), "print-1")).await.unwrap();
    assert_eq!(shape(&moto, CLUSTER).await, wanted);
}

#[tokio::test]
async fn an_update_brings_the_set_s_tags_and_leaves_others_alone() {
    let Some(moto) = Moto::start("an_update_brings_the_set_s_tags_and_leaves_others_alone") else { return };
    let aws = moto.aws().await;
    let one = settle(&aws, CLUSTER).await;
    moto.ec2(&format!("CreateTags&ResourceId.1={}&Tag.1.Key=cost-bot&Tag.1.Value=7", one.id)).await;
    let next = spec(&[("stage", "b")]);
    assert_eq!(aws.perform(&update(CLUSTER, &one.id, &next, "print-2")).await, Ok(Progress::Done));
    let stands = shape(&moto, CLUSTER).await;
    assert!(stands.iter().all(|line| line.contains("\"stage\": \"b\"") && !line.contains("team")), "{stands:#?}");
    assert!(stands.iter().any(|line| line.contains("\"cost-bot\": \"7\"")), "{stands:#?}");
    assert!(stands.iter().any(|line| line.contains("\"Name\": \"model-serving-prod-aws-euw1-1-public-c\"")));
    assert_eq!(&*networks(&aws, CLUSTER).await.unwrap()[0].applied, "print-2");
}

#[tokio::test]
async fn what_is_not_the_cluster_s_is_refused() {
    let Some(moto) = Moto::start("what_is_not_the_cluster_s_is_refused") else { return };
    let aws = moto.aws().await;
    let bare = moto.ec2_id("CreateVpc&CidrBlock=10.1.0.0/16", "vpcId").await;
    let other = settle(&aws, OTHER).await;
    let before = everything(&moto).await;
    for id in [bare.as_str(), &other.id] {
        let says = refused(aws.perform(&delete(CLUSTER, id)).await, "NotOurs");
        assert!(says.contains(id) && says.contains(CLUSTER), "{says}");
        refused(aws.perform(&update(CLUSTER, id, &spec(&[]), "print-2")).await, "NotOurs");
    }
    let says = refused(aws.perform(&create(CLUSTER, &spec(&[]), Some("10.0.0.0/24"))).await, "InvalidNetwork");
    assert!(says.contains("/16 to /22"), "{says}");
    // Of its name, but of another set.
    let mut stranger = delete(OTHER, &other.id);
    stranger.set = "dev/aws/eu-west-1/ModelServing".parse().unwrap();
    refused(aws.perform(&stranger).await, "NotOurs");
    assert_eq!(everything(&moto).await, before);
}

#[tokio::test]
async fn of_a_given_network_nothing_is_touched_but_the_tag_of_who_uses_it() {
    let Some(moto) = Moto::start("of_a_given_network_nothing_is_touched_but_the_tag_of_who_uses_it") else { return };
    let aws = moto.aws().await;
    let vpc = moto.ec2_id("CreateVpc&CidrBlock=10.1.0.0/16", "vpcId").await;
    let subnet = async |block: &str, zone: &str| {
        let call = format!("CreateSubnet&VpcId={vpc}&CidrBlock={block}&AvailabilityZone={zone}");
        moto.ec2_id(&call, "subnetId").await
    };
    let first = subnet("10.1.0.0/20", "eu-west-1a").await;
    let by_id = create(CLUSTER, &given(Some(&vpc)), None);
    let says = refused(aws.perform(&by_id).await, "InvalidNetwork");
    assert!(says.contains("subnets in eu-west-1a only") && says.contains("at least 2 zones"), "{says}");
    subnet("10.1.16.0/20", "eu-west-1b").await;
    let before = everything(&moto).await;
    let says = refused(aws.perform(&create(CLUSTER, &given(None), None)).await, "InvalidNetwork");
    assert!(says.contains("fleetwright.dev/byon: prod/ModelServing"), "{says}");
    let says = refused(aws.perform(&create(CLUSTER, &given(Some("vpc-0123")), None)).await, "InvalidNetwork");
    assert!(says.contains("vpc-0123 is not in aws/123456789012/eu-west-1"), "{says}");
    assert_eq!(everything(&moto).await, before);

    assert_eq!(aws.perform(&by_id).await, Ok(Progress::Done));
    assert_eq!(aws.perform(&create(OTHER, &given(Some(&vpc)), None)).await, Ok(Progress::Done));
    for cluster in [CLUSTER, OTHER] {
        let seen = networks(&aws, cluster).await.unwrap();
        assert_eq!((seen.len(), &*seen[0].id, &*seen[0].applied), (1, vpc.as_str(), "print-1"));
        assert!(seen[0].created_at.unix_seconds() > 1_700_000_000);
    }
    assert_eq!(aws.perform(&update(CLUSTER, &vpc, &given(Some(&vpc)), "print-2")).await, Ok(Progress::Done));
    assert_eq!(&*networks(&aws, CLUSTER).await.unwrap()[0].applied, "print-2");
    assert_eq!(aws.perform(&delete(CLUSTER, &vpc)).await, Ok(Progress::Done));
    assert!(networks(&aws, CLUSTER).await.unwrap().is_empty());
    refused(aws.perform(&delete(CLUSTER, &vpc)).await, "NotOurs");
    assert_eq!(networks(&aws, OTHER).await.unwrap().len(), 1, "and the other cluster uses it still");
    assert_eq!(aws.perform(&delete(OTHER, &vpc)).await, Ok(Progress::Done));
    assert_eq!(everything(&moto).await, before);

    moto.ec2(&format!("CreateTags&ResourceId.1={vpc}&Tag.1.Key=fleetwright.dev/byon&Tag.1.Value=prod/ModelServing"))
        .await;
    assert_eq!(aws.perform(&create(CLUSTER, &given(None), None)).await, Ok(Progress::Done));
    // Where some are tagged for internal load balancers, only these are for nodes.
    moto.ec2(&format!("CreateTags&ResourceId.1={first}&Tag.1.Key=kubernetes.io/role/internal-elb&Tag.1.Value=1")).await;
    let says = refused(aws.perform(&by_id).await, "InvalidNetwork");
    assert!(says.contains("kubernetes.io/role/internal-elb"), "{says}");
    let own = settle(&aws, OTHER).await;
    let says = refused(aws.perform(&create(CLUSTER, &given(Some(&own.id)), None)).await, "InvalidNetwork");
    assert!(says.contains(OTHER), "{says}");
}

#[tokio::test]
async fn a_list_with_a_page_that_fails_is_no_list() {
    let Some(moto) = Moto::start("a_list_with_a_page_that_fails_is_no_list") else { return };
    let aws = moto.aws().await;
    settle(&aws, CLUSTER).await;
    moto.door.replace("DescribeVpcs", "</vpcSet>", "</vpcSet><nextToken>more</nextToken>");
    moto.door.lose(1, Fault::After);
    let error = aws.networks(&place()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::UnknownResult, "{error}");
    assert_eq!(moto.door.calls(), ["DescribeVpcs", "DescribeVpcs"]);
    moto.door.open_again();
    moto.door.replace("DescribeVpcs", "<cidrBlock>10.8.64.0/18</cidrBlock>", "");
    assert_eq!(aws.networks(&place()).await.unwrap_err().code, "ReplyNotUnderstood");
}

#[tokio::test]
async fn a_list_of_whole_networks_is_one_call() {
    let Some(moto) = Moto::start("a_list_of_whole_networks_is_one_call") else { return };
    let aws = moto.aws().await;
    settle(&aws, CLUSTER).await;
    settle(&aws, OTHER).await;
    let before: BTreeMap<String, u64> = aws.calls().counts();
    moto.door.calls();
    assert_eq!(aws.networks(&place()).await.unwrap().len(), 2);
    assert_eq!(moto.door.calls(), ["DescribeVpcs"]);
    assert_eq!(aws.calls().counts()["ec2:DescribeVpcs"], before["ec2:DescribeVpcs"] + 1);
}

/// Load balancers of both kinds, a target group, an interface, two groups that name one another, and a disk.
async fn litter(moto: &Moto, vpc: &str, subnets: [&str; 2], name: &str, tag: Option<&str>) -> Vec<String> {
    let [a, b] = subnets;
    let tags = |prefix: &str| {
        tag.map(|cluster| format!("&{prefix}.1.Key=kubernetes.io/cluster/{cluster}&{prefix}.1.Value=owned"))
            .unwrap_or_default()
    };
    let v2 = async |call: &str| moto.call("elasticloadbalancing", "2015-12-01", call).await;
    let balancer =
        format!("CreateLoadBalancer&Name={name}&Subnets.member.1={a}&Subnets.member.2={b}{}", tags("Tags.member"));
    let balancer = element_of(&v2(&balancer).await, "LoadBalancerArn");
    let target = format!("CreateTargetGroup&Name={name}&Protocol=HTTP&Port=80&VpcId={vpc}{}", tags("Tags.member"));
    let target = element_of(&v2(&target).await, "TargetGroupArn");
    let classic = format!(
        "CreateLoadBalancer&LoadBalancerName={name}&Subnets.member.1={a}&Listeners.member.1.Protocol=http\
         &Listeners.member.1.LoadBalancerPort=80&Listeners.member.1.InstancePort=80{}",
        tags("Tags.member")
    );
    moto.call("elasticloadbalancing", "2012-06-01", &classic).await;
    let eni = moto.ec2_id(&format!("CreateNetworkInterface&SubnetId={a}"), "networkInterfaceId").await;
    let mut groups = Vec::new();
    for group in ["a", "b"] {
        let call = format!("CreateSecurityGroup&VpcId={vpc}&GroupName={name}-{group}&GroupDescription=x");
        groups.push(moto.ec2_id(&call, "groupId").await);
    }
    for (of, to) in [(&groups[0], &groups[1]), (&groups[1], &groups[0])] {
        let rule = format!(
            "AuthorizeSecurityGroupIngress&GroupId={of}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=80\
             &IpPermissions.1.ToPort=80&IpPermissions.1.Groups.1.GroupId={to}"
        );
        moto.ec2(&rule).await;
    }
    let volume = moto.ec2_id("CreateVolume&Size=1&AvailabilityZone=eu-west-1a", "volumeId").await;
    if tag.is_some() {
        let ids = [&eni, &groups[0], &groups[1], &volume];
        let ids: Vec<String> = (1..).zip(ids).map(|(n, id)| format!("ResourceId.{n}={id}")).collect();
        moto.ec2(&format!("CreateTags&{}{}", ids.join("&"), tags("Tag"))).await;
    }
    let mut all = vec![
        format!("loadbalancer/{balancer}"),
        format!("classic-loadbalancer/{name}"),
        format!("targetgroup/{target}"),
        eni,
        volume,
    ];
    groups.sort();
    all.extend(groups);
    all
}

async fn left(aws: &Aws) -> Vec<String> {
    let all = aws.leftovers(&place(), &CLUSTER.parse().unwrap()).await.unwrap();
    assert!(all.iter().all(|left| left.step == Step::Leftovers && left.cluster.as_str() == CLUSTER));
    let mut ids: Vec<String> = all.iter().map(|left| left.id.to_string()).collect();
    let groups = ids.iter().position(|id| id.starts_with("sg-")).unwrap_or(ids.len());
    ids[groups..].sort();
    ids
}

async fn sweep(aws: &Aws, id: &str) -> Result<Progress, CloudError> {
    aws.perform(&action(CLUSTER, Step::Leftovers, Effect::Delete { id: id.into() })).await
}

async fn default_subnets(moto: &Moto) -> (String, Vec<String>) {
    let reply = moto.ec2("DescribeSubnets&Filter.1.Name=default-for-az&Filter.1.Value.1=true").await;
    let document = roxmltree::Document::parse(&reply).unwrap();
    let ids = document.descendants().filter(|node| node.tag_name().name() == "subnetId");
    (element_of(&reply, "vpcId"), ids.filter_map(|node| node.text()).map(str::to_owned).collect())
}

#[tokio::test]
async fn what_a_cluster_left_in_its_network_is_swept_and_nothing_else() {
    let Some(moto) = Moto::start("what_a_cluster_left_in_its_network_is_swept_and_nothing_else") else { return };
    let aws = moto.aws().await;
    let (elsewhere, default) = default_subnets(&moto).await;
    let others = litter(&moto, &elsewhere, [&default[0], &default[1]], "others", None).await;
    let before = everything(&moto).await;
    let own = settle(&aws, CLUSTER).await;
    // The simulated NAT gateway's interface looks like anybody's.
    let of_nat = left(&aws).await;
    let call = format!("DescribeSubnets&Filter.1.Name=vpc-id&Filter.1.Value.1={}", own.id);
    let reply = moto.ec2(&call).await;
    let document = roxmltree::Document::parse(&reply).unwrap();
    let subnets: Vec<&str> = document
        .descendants()
        .filter(|node| node.tag_name().name() == "subnetId")
        .filter_map(|node| node.text())
        .collect();
    let mut mine = litter(&moto, &own.id, [subnets[0], subnets[1]], "mine", None).await;
    // A disk is in no network: without the tag it is nobody's.
    let untagged = mine.remove(4);
    let volume = moto.ec2_id("CreateVolume&Size=1&AvailabilityZone=eu-west-1a", "volumeId").await;
    let tag = format!("Tag.1.Key=kubernetes.io/cluster/{CLUSTER}&Tag.1.Value=owned");
    moto.ec2(&format!("CreateTags&ResourceId.1={volume}&{tag}")).await;
    mine.insert(4, volume);
    let mut seen = left(&aws).await;
    // And a classic load balancer comes with a group of its own.
    let with_classic = |id: &String| id.starts_with("sg-") && !mine.contains(id);
    let with_it: Vec<String> = seen.iter().filter(|id| with_classic(id)).cloned().collect();
    seen.retain(|id| !of_nat.contains(id) && !with_it.contains(id));
    assert_eq!((seen, with_it.len()), (mine.clone(), 1));
    for id in others.iter().chain([&untagged]) {
        refused(sweep(&aws, id).await, "NotOurs");
    }
    for id in mine.iter().chain(&with_it) {
        assert_eq!(sweep(&aws, id).await, Ok(Progress::Done), "{id}");
        assert_eq!(sweep(&aws, id).await, Ok(Progress::Done), "{id}, which is gone");
    }
    let calls = moto.door.calls();
    let revoked = calls.iter().position(|call| call == "RevokeSecurityGroupIngress").expect("rules are revoked");
    assert!(revoked < calls.iter().position(|call| call == "DeleteSecurityGroup").unwrap());
    assert!(left(&aws).await.iter().all(|id| of_nat.contains(id)));
    remove(&aws, CLUSTER).await;
    assert_eq!(everything(&moto).await, before);
}

#[tokio::test]
async fn what_is_stuck_holds_up_nothing_else() {
    let Some(moto) = Moto::start("what_is_stuck_holds_up_nothing_else") else { return };
    let aws = moto.aws().await;
    let (vpc, subnets) = default_subnets(&moto).await;
    aws.perform(&create(CLUSTER, &given(Some(&vpc)), None)).await.unwrap();
    let neighbours = litter(&moto, &vpc, [&subnets[0], &subnets[1]], "neighbours", Some(OTHER)).await;
    let mine = litter(&moto, &vpc, [&subnets[0], &subnets[1]], "mine", Some(CLUSTER)).await;
    // A neighbour's load balancer leads to the target group of this cluster.
    let v2 = async |call: &str| moto.call("elasticloadbalancing", "2015-12-01", call).await;
    let bare = |id: &str| id.split_once('/').unwrap().1.to_owned();
    let listener = v2(&format!(
        "CreateListener&LoadBalancerArn={}&Protocol=HTTP&Port=81&DefaultActions.member.1.Type=forward\
         &DefaultActions.member.1.TargetGroupArn={}",
        bare(&neighbours[0]),
        bare(&mine[2])
    ))
    .await;
    let listener = element_of(&listener, "ListenerArn");
    // A stranger's thing sets nothing in motion.
    refused(sweep(&aws, &neighbours[0]).await, "NotOurs");
    assert_eq!(left(&aws).await, mine);
    let why = sweep(&aws, &mine[2]).await.expect_err("it is in use");
    assert_eq!((why.class, why.code.as_str()), (ErrorClass::Conflict, "ResourceInUse"), "{why}");
    assert_eq!(left(&aws).await, mine[2..3]);
    v2(&format!("DeleteListener&ListenerArn={listener}")).await;
    assert_eq!(sweep(&aws, &mine[2]).await, Ok(Progress::Done));
    assert!(left(&aws).await.is_empty());
    for id in &neighbours {
        refused(sweep(&aws, id).await, "NotOurs");
    }
}

#[tokio::test]
async fn in_a_given_network_only_what_carries_the_cluster_s_tags_is_swept() {
    let Some(moto) = Moto::start("in_a_given_network_only_what_carries_the_cluster_s_tags_is_swept") else { return };
    let aws = moto.aws().await;
    let (vpc, subnets) = default_subnets(&moto).await;
    aws.perform(&create(CLUSTER, &given(Some(&vpc)), None)).await.unwrap();
    let others = litter(&moto, &vpc, [&subnets[0], &subnets[1]], "others", None).await;
    let neighbours = litter(&moto, &vpc, [&subnets[0], &subnets[1]], "neighbours", Some(OTHER)).await;
    let before = everything(&moto).await;
    let mine = litter(&moto, &vpc, [&subnets[0], &subnets[1]], "mine", Some(CLUSTER)).await;
    assert_eq!(left(&aws).await, mine);
    for id in others.iter().chain(&neighbours) {
        refused(sweep(&aws, id).await, "NotOurs");
    }
    for id in &mine {
        assert_eq!(sweep(&aws, id).await, Ok(Progress::Done), "{id}");
    }
    assert!(left(&aws).await.is_empty());
    let after = everything(&moto).await;
    assert!(before.iter().all(|line| after.contains(line)), "{before:#?} {after:#?}");
}

#[tokio::test]
async fn quotas_are_told_as_far_as_they_are_known() {
    let Some(moto) = Moto::start("quotas_are_told_as_far_as_they_are_known") else { return };
    let aws = moto.aws().await;
    settle(&aws, CLUSTER).await;
    let quotas: [Quota; 6] = aws.quotas(&place()).await.unwrap().try_into().unwrap();
    let [vpcs, addresses, nats, clusters, roles, streams] = quotas;
    assert_eq!((vpcs.code.as_str(), vpcs.used), ("vpc/L-F678F1CE", Some(2)));
    assert_eq!((nats.limit, nats.used), (Some(5), Some(1)));
    // The simulated service knows those of networks only.
    assert_eq!((addresses.limit, addresses.used), (None, Some(1)));
    assert_eq!((clusters.limit, clusters.used), (None, Some(0)));
    assert!(roles.limit >= Some(1000) && roles.used.is_some(), "{roles:?}");
    assert_eq!((streams.limit, streams.used), (Some(50), Some(0)));
    assert_eq!((vpcs.too_many(3, 1), vpcs.too_many(4, 0)), (Some(0), Some(1)), "five are allowed, and two are there");
}
