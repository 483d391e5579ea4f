//! What no record names is told down to the last address, and what was never ours is not.

use std::collections::BTreeSet;

use fleetwright_aws::policy;
use fleetwright_clouds::Cloud;
use fleetwright_core::inventory::Listing;
use fleetwright_core::orphans::{NamePattern, Stray, strays};
use fleetwright_schema::names::ClusterName;

use super::moto::Moto;
use super::{CLUSTER, OTHER, default_subnets, litter, place, settle};

/// Of ours by its name only: nothing else of it stands.
const GHOST: &str = "model-serving-prod-aws-euw1-9";
/// Never ours.
const STRANGER: &str = "billing";

/// The tags of a cluster, as ours or as those that its controllers write.
async fn tag(moto: &Moto, id: &str, key: &str, value: &str) {
    moto.ec2(&format!("CreateTags&ResourceId.1={id}&Tag.1.Key={key}&Tag.1.Value={value}")).await;
}

#[tokio::test]
async fn what_no_record_names_is_told_by_its_tags_and_what_was_never_ours_is_not() {
    let Some(moto) = Moto::start("what_no_record_names_is_told_by_its_tags") else { return };
    let aws = moto.aws().await;
    let (recorded, lost) = (settle(&aws, CLUSTER).await, settle(&aws, OTHER).await);
    let (vpc, subnets) = default_subnets(&moto).await;
    let two = [subnets[0].as_str(), subnets[1].as_str()];
    for (name, of) in [("of-recorded", CLUSTER), ("of-strangers", STRANGER)] {
        litter(&moto, &vpc, two, name, Some(of)).await;
    }
    litter(&moto, &vpc, two, "of-nobody", None).await;
    let of_ghost = litter(&moto, &vpc, two, "of-ghost", Some(GHOST)).await;
    let of_lost = litter(&moto, &vpc, two, "of-lost", Some(OTHER)).await;
    let eni = moto.ec2_id(&format!("CreateNetworkInterface&SubnetId={}", subnets[0]), "networkInterfaceId").await;
    tag(&moto, &eni, "cluster.k8s.amazonaws.com/name", GHOST).await;
    let shared = moto.ec2_id("CreateVolume&Size=1&AvailabilityZone=eu-west-1a", "volumeId").await;
    tag(&moto, &shared, &format!("kubernetes.io/cluster/{GHOST}"), "shared").await;
    // EC2 shows it for an hour.
    let gone = moto.ec2_id(&format!("CreateNatGateway&SubnetId={}", subnets[0]), "natGatewayId").await;
    tag(&moto, &gone, "fleetwright.dev/cluster", GHOST).await;
    moto.ec2(&format!("DeleteNatGateway&NatGatewayId={gone}")).await;

    let reader = moto.aws().await;
    let told = told(&reader, [recorded, lost].into_iter().collect(), &[CLUSTER]).await;
    let of = |cluster: &str| -> BTreeSet<&str> {
        told.iter().filter(|stray| stray.cluster == cluster).map(|stray| stray.id.as_str()).collect()
    };
    let bare = |ids: &[String]| -> BTreeSet<String> {
        ids.iter().map(|id| id.split_once('/').map_or(id.clone(), |(_, rest)| rest.to_owned())).collect()
    };
    let mut ghosts = bare(&of_ghost);
    ghosts.insert(eni);
    assert_eq!(of(GHOST), ghosts.iter().map(String::as_str).collect());
    let kinds = |kind: &str| told.iter().filter(|stray| stray.cluster == OTHER && stray.kind == kind).count();
    let pieces = ["subnet", "internet gateway", "route table", "elastic IP", "NAT gateway", "VPC"];
    assert_eq!(pieces.map(kinds), [6, 1, 2, 1, 1, 0], "the VPC is told as the part that it is: {told:#?}");
    let of_controllers = ["load balancer", "classic load balancer", "target group", "network interface", "volume"];
    assert_eq!(of_controllers.map(kinds), [1; 5], "{told:#?}");
    assert_eq!(kinds("security group"), 3);
    assert!(bare(&of_lost).iter().all(|id| of(OTHER).contains(id.as_str())));
    assert_eq!(of(GHOST).len() + of(OTHER).len(), told.len(), "{told:#?}");
    assert_eq!(policy::reader_covers(&reader.calls()), Ok(()));
}

/// What is told where these clusters are recorded and this is read.
async fn told(aws: &fleetwright_aws::Aws, listing: Listing, recorded: &[&str]) -> Vec<Stray> {
    let recorded: BTreeSet<ClusterName> = recorded.iter().map(|name| name.parse().unwrap()).collect();
    let tagged = aws.tagged(&place()).await.unwrap();
    strays(&tagged, &listing, &recorded, &NamePattern::of(&place(), [&"prod".parse().unwrap()]))
}
