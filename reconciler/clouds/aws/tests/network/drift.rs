//! What somebody changes by hand in a network that was whole is seen after a while, at the cost of a few lists, and mended.

use std::time::Duration;

use fleetwright_aws::Aws;
use fleetwright_clouds::{Cloud, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{ErrorClass, Phase, Resource};

use super::door::Fault;
use super::moto::{Moto, element_of};
use super::world::shape;
use super::{CIDR, CLUSTER, OTHER, create, networks, settle, spec, update};

/// As long as what is known of a network may be old.
const SLOW: Duration = Duration::from_secs(600);

const NAT: &str = "natGatewayId";

/// The first piece of a network that a list shows by this name.
async fn piece(moto: &Moto, call: &str, element: &str, part: &str) -> String {
    let filters = [("tag:fleetwright.dev/part", part), ("tag:fleetwright.dev/cluster", CLUSTER)];
    let filters =
        (1..).zip(filters).map(|(n, (name, value))| format!("Filter.{n}.Name={name}&Filter.{n}.Value.1={value}"));
    let filters = filters.collect::<Vec<_>>().join("&");
    element_of(&moto.ec2(&format!("{call}&{filters}")).await, element)
}

/// The call that deletes a subnet, once its route table has lost it; AWS does that by itself.
async fn delete_subnet(moto: &Moto, id: &str) -> String {
    let reply = moto.ec2("DescribeRouteTables").await;
    let document = roxmltree::Document::parse(&reply).unwrap();
    let is_its = |node: &roxmltree::Node<'_, '_>| {
        node.children().any(|child| child.tag_name().name() == "subnetId" && child.text() == Some(id))
    };
    let association = document.descendants().find(is_its).unwrap();
    let name = association.children().find(|child| child.tag_name().name() == "routeTableAssociationId").unwrap();
    moto.ec2(&format!("DisassociateRouteTable&AssociationId={}", name.text().unwrap())).await;
    format!("DeleteSubnet&SubnetId={id}")
}

/// What a person did, by name.
const DONE_BY_HAND: [&str; 9] = [
    "the way out is taken",
    "the way out leads elsewhere",
    "the NAT gateway is deleted",
    "a public subnet is deleted",
    "a private subnet is deleted before anything is in it",
    "the group is opened",
    "the group is closed",
    "the internet gateway is detached",
    "a subnet loses its route table",
];

async fn by_hand(moto: &Moto, what: &str, vpc: &str) {
    let table = |part: &'static str| piece(moto, "DescribeRouteTables", "routeTableId", part);
    let subnet = |part: &'static str| piece(moto, "DescribeSubnets", "subnetId", part);
    let gateway = || piece(moto, "DescribeInternetGateways", "internetGatewayId", "gateway");
    let call = match what {
        "the way out is taken" => {
            format!("DeleteRoute&RouteTableId={}&DestinationCidrBlock=0.0.0.0/0", table("private").await)
        }
        "the way out leads elsewhere" => {
            let (table, gateway) = (table("private").await, gateway().await);
            format!("ReplaceRoute&RouteTableId={table}&DestinationCidrBlock=0.0.0.0/0&GatewayId={gateway}")
        }
        "the NAT gateway is deleted" => {
            let nat =
                piece(moto, "DescribeNatGateways&Filter.3.Name=state&Filter.3.Value.1=available", NAT, "nat").await;
            moto.ec2(&format!("DeleteNatGateway&NatGatewayId={nat}")).await;
            // AWS does this by itself.
            let association = piece(moto, "DescribeAddresses", "associationId", "nat-address").await;
            format!("DisassociateAddress&AssociationId={association}")
        }
        "a public subnet is deleted" => delete_subnet(moto, &subnet("public-b").await).await,
        "a private subnet is deleted before anything is in it" => delete_subnet(moto, &subnet("private-c").await).await,
        "the group is opened" | "the group is closed" => {
            let group = piece(moto, "DescribeSecurityGroups", "groupId", "group").await;
            let opened = what == "the group is opened";
            let (operation, port) = if opened { ("Authorize", 22) } else { ("Revoke", 443) };
            let from = if opened { "0.0.0.0/0" } else { CIDR };
            format!(
                "{operation}SecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=tcp\
                 &IpPermissions.1.FromPort={port}&IpPermissions.1.ToPort={port}&IpPermissions.1.IpRanges.1.CidrIp={from}"
            )
        }
        "the internet gateway is detached" => {
            format!("DetachInternetGateway&InternetGatewayId={}&VpcId={vpc}", gateway().await)
        }
        "a subnet loses its route table" => {
            let association = piece(moto, "DescribeRouteTables", "routeTableAssociationId", "public").await;
            format!("DisassociateRouteTable&AssociationId={association}")
        }
        other => panic!("{other}"),
    };
    moto.ec2(&call).await;
}

async fn mark(aws: &Aws) -> String {
    let [one] = &networks(aws, CLUSTER).await.unwrap()[..] else { panic!("one network") };
    assert_eq!(one.phase, Phase::Ready);
    one.applied.to_string()
}

#[tokio::test]
async fn what_is_changed_by_hand_is_seen_after_a_while_and_mended() {
    let Some(moto) = Moto::start("what_is_changed_by_hand_is_seen_after_a_while_and_mended") else { return };
    let aws = moto.aws().await;
    let one = settle(&aws, CLUSTER).await;
    let wanted = shape(&moto, CLUSTER).await;
    for what in DONE_BY_HAND {
        println!("{what}");
        aws.age(SLOW);
        assert_eq!(mark(&aws).await, "print-1", "{what}: it is whole still");
        by_hand(&moto, what, &one.id).await;
        assert_ne!(shape(&moto, CLUSTER).await, wanted, "{what}: something is another");
        assert_eq!(mark(&aws).await, "print-1", "{what}: nobody looks yet");
        aws.age(SLOW);
        assert_eq!(mark(&aws).await, "", "{what}: it is seen");
        settle(&aws, CLUSTER).await;
        assert_eq!(shape(&moto, CLUSTER).await, wanted, "{what}: it is mended");
        assert_eq!(mark(&aws).await, "print-1", "{what}: and told as whole");
    }
}

#[tokio::test]
async fn what_breaks_off_while_it_is_mended_is_mended_in_the_end() {
    let Some(moto) = Moto::start("what_breaks_off_while_it_is_mended_is_mended_in_the_end") else { return };
    let aws = moto.aws().await;
    let one = settle(&aws, CLUSTER).await;
    let wanted = shape(&moto, CLUSTER).await;
    let (mut n, mut lost) = (0, true);
    while lost {
        for fault in [Fault::Before, Fault::After] {
            by_hand(&moto, "the NAT gateway is deleted", &one.id).await;
            by_hand(&moto, "the group is opened", &one.id).await;
            aws.age(SLOW);
            assert_eq!(mark(&aws).await, "");
            moto.door.lose(n, fault);
            let mended = aws.perform(&update(CLUSTER, &one.id, &spec(&[("team", "a")]), "print-1")).await;
            lost = mended.is_err();
            settle(&aws, CLUSTER).await;
            assert_eq!(shape(&moto, CLUSTER).await, wanted, "call {n} lost {fault:?}");
        }
        n += 1;
    }
    assert!(n > 12, "{n} calls");
}

#[tokio::test]
async fn a_subnet_that_a_control_plane_is_in_is_not_made_anew_and_said() {
    let Some(moto) = Moto::start("a_subnet_that_a_control_plane_is_in_is_not_made_anew_and_said") else { return };
    let aws = moto.aws().await;
    let one = settle(&aws, CLUSTER).await;
    let gone = piece(&moto, "DescribeSubnets", "subnetId", "private-b").await;
    let stays = piece(&moto, "DescribeSubnets", "subnetId", "private-a").await;
    moto.eks_cluster(CLUSTER, &[&gone, &stays]).await;
    moto.ec2(&delete_subnet(&moto, &gone).await).await;
    aws.age(SLOW);
    for _ in 0..2 {
        assert_eq!(mark(&aws).await, "");
        let why = aws.perform(&update(CLUSTER, &one.id, &spec(&[]), "print-1")).await.expect_err("it can't be mended");
        assert_eq!((why.class, why.code.as_str()), (ErrorClass::Invalid, "SubnetGone"), "{why}");
        assert!(why.message.contains("private-b") && why.message.contains(CLUSTER), "{why}");
    }
    let made = moto.door.calls().iter().filter(|call| *call == "CreateSubnet").count();
    assert_eq!(made, 6, "those of the beginning");
}

#[tokio::test]
async fn the_look_at_three_networks_costs_what_the_look_at_one_does() {
    let Some(moto) = Moto::start("the_look_at_three_networks_costs_what_the_look_at_one_does") else { return };
    let aws = moto.aws().await;
    let look = async || {
        moto.door.calls();
        aws.networks(&super::place()).await.unwrap();
        let mut calls = moto.door.calls();
        calls.sort();
        calls
    };
    settle(&aws, CLUSTER).await;
    aws.age(SLOW);
    let of_one = look().await;
    assert_eq!(
        of_one,
        [
            "DescribeAddresses",
            "DescribeInternetGateways",
            "DescribeNatGateways",
            "DescribeRouteTables",
            "DescribeSecurityGroups",
            "DescribeSubnets",
            "DescribeVpcs"
        ]
    );
    assert_eq!(look().await, ["DescribeVpcs"], "and a quiet pass costs one");
    for (cluster, cidr) in [(OTHER, "10.9.0.0/18"), ("model-serving-prod-aws-euw1-3", "10.10.0.0/18")] {
        aws.perform(&create(cluster, &spec(&[]), Some(cidr))).await.unwrap();
    }
    aws.age(SLOW);
    assert_eq!(look().await, of_one);
}

#[tokio::test]
async fn what_has_lost_its_tags_is_not_made_a_second_time_beside_it() {
    let Some(moto) = Moto::start("what_has_lost_its_tags_is_not_made_a_second_time") else { return };
    let aws = moto.aws().await;
    let one = settle(&aws, CLUSTER).await;
    for (call, element, part) in [("DescribeNatGateways", NAT, "nat"), ("DescribeSubnets", "subnetId", "public-b")] {
        let id = piece(&moto, call, element, part).await;
        let keys = ["cluster", "set", "ordinal", "part", "network"].iter().zip(1..);
        let keys: String = keys.map(|(key, n)| format!("&Tag.{n}.Key=fleetwright.dev/{key}")).collect();
        let before = (mark_of(&moto, &one.id).await, moto.ec2(call).await.matches(&format!("<{element}>")).count());
        let tags = moto.ec2(&format!("DescribeTags&Filter.1.Name=resource-id&Filter.1.Value.1={id}")).await;
        moto.ec2(&format!("DeleteTags&ResourceId.1={id}{keys}")).await;
        aws.age(SLOW);
        assert_eq!(networks(&aws, CLUSTER).await.unwrap().len(), 1);
        let refused = aws.perform(&mend(&one)).await.unwrap_err();
        assert_eq!((refused.class, refused.code.as_str()), (ErrorClass::Denied, "NotOurs"), "{refused}");
        assert!(refused.message.contains(&id), "{refused}");
        let after = (mark_of(&moto, &one.id).await, moto.ec2(call).await.matches(&format!("<{element}>")).count());
        assert_eq!(after, before, "nothing was made, and nothing was begun");
        put_back(&moto, &id, &tags).await;
    }
    assert_eq!(aws.perform(&mend(&one)).await, Ok(Progress::Done));
}

fn mend(one: &Resource) -> Action {
    update(CLUSTER, &one.id, &spec(&[("team", "a")]), "print-1")
}

/// The mark that a network carries, whatever a reading makes of it.
async fn mark_of(moto: &Moto, vpc: &str) -> String {
    let filters = format!("Filter.1.Name=resource-id&Filter.1.Value.1={vpc}&Filter.2.Name=key");
    element_of(&moto.ec2(&format!("DescribeTags&{filters}&Filter.2.Value.1=fleetwright.dev/applied")).await, "value")
}

/// The tags of a reply are given back to what lost them.
async fn put_back(moto: &Moto, id: &str, reply: &str) {
    let document = roxmltree::Document::parse(reply).unwrap();
    let of = |item: roxmltree::Node<'_, '_>, name: &str| {
        item.children().find(|child| child.tag_name().name() == name).and_then(|child| child.text()).map(str::to_owned)
    };
    let items = document.descendants().filter_map(|item| Some((of(item, "key")?, of(item, "value")?)));
    for (key, value) in items.filter(|(key, _)| key.starts_with("fleetwright.dev/")) {
        moto.ec2(&format!("CreateTags&ResourceId.1={id}&Tag.1.Key={key}&Tag.1.Value={value}")).await;
    }
}
