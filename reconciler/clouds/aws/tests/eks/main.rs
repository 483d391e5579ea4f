//! Control planes and all that is in them, on a simulated EKS that speaks its wire protocol.
#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;
mod others;

use std::sync::Arc;

use fleetwright_clouds::Progress;
use fleetwright_core::action::Effect;
use fleetwright_core::inventory::{ErrorClass, Phase, Placement, Step};
use fleetwright_schema::set::DrainMode;
use fleetwright_simulator::{Fault, Target};
use serde_json::json;

use lab::{ACCOUNT, CLUSTER, Lab, STEPS, pool};

fn principal(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

#[tokio::test]
async fn a_cluster_is_built_and_deleted_part_by_part() {
    let lab = Lab::new().await.told(json!({ "admins": [principal("admin")], "readers": [principal("reader")] }));
    lab.build().await;
    let seen = lab.read(true).await;
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), STEPS);
    assert!(seen.values().all(|part| part.phase == Phase::Ready && !part.applied.is_empty()), "{seen:#?}");
    let plane = &seen[&Step::ControlPlane];
    assert_eq!(plane.uses, [Arc::from(others::VPC)]);
    assert_eq!(&*seen[&Step::NodePools].id, format!("{}/node-pools", plane.id));
    assert_eq!(seen[&Step::NodePools].node_pools[0].instance_type, "m6i.large");
    assert_eq!(seen[&Step::InfraServices].infra_services[0].version, "1.2.3");

    let live = lab.eks.describe_cluster().name(CLUSTER).send().await.unwrap().cluster.unwrap();
    assert_eq!(live.deletion_protection(), Some(true));
    assert_eq!(live.resources_vpc_config().unwrap().subnet_ids(), ["subnet-0a", "subnet-0b"], "the private ones");
    let entries = lab.eks.list_access_entries().cluster_name(CLUSTER).send().await.unwrap().access_entries.unwrap();
    assert!(entries.contains(&principal("admin")) && entries.contains(&principal("reader")), "{entries:?}");
    let addons = lab.eks.list_addons().cluster_name(CLUSTER).send().await.unwrap().addons.unwrap();
    assert_eq!(addons.len(), 4, "{addons:?}");

    for step in STEPS.into_iter().rev() {
        lab.delete(step).await;
    }
    assert!(lab.eks.list_clusters().send().await.unwrap().clusters().is_empty());
}

#[tokio::test]
async fn a_create_that_is_repeated_makes_one_cluster_and_a_taken_name_is_a_conflict() {
    let lab = Lab::new().await;
    let create = || lab.create(Step::ControlPlane, &Default::default());
    for _ in 0..2 {
        assert_eq!(lab.perform(Step::ControlPlane, create()).await, Ok(Progress::InProgress));
    }
    let lab = lab.restarted();
    lab.bring(Step::ControlPlane).await;
    assert_eq!(lab.eks.list_clusters().send().await.unwrap().clusters().len(), 1);

    let other = Lab::new().await;
    let vpc = aws_sdk_eks::types::VpcConfigRequest::builder().subnet_ids("subnet-1").subnet_ids("subnet-2").build();
    let stranger = other.eks.create_cluster().name(CLUSTER).role_arn(principal("x")).resources_vpc_config(vpc);
    stranger.send().await.unwrap();
    let taken = other.perform(Step::ControlPlane, other.create(Step::ControlPlane, &Default::default())).await;
    assert_eq!(taken.unwrap_err().class, ErrorClass::Conflict);
    assert!(other.read(true).await.is_empty(), "it is not ours");
    for effect in [other.update(Step::ControlPlane, &"x@1".into()), Effect::Delete { id: "x@1".into() }] {
        assert_eq!(other.perform(Step::ControlPlane, effect).await.unwrap_err().class, ErrorClass::Conflict);
    }
}

#[tokio::test]
async fn a_quiet_cluster_costs_a_list_and_no_call_of_its_own() {
    let lab = Lab::new().await;
    lab.build().await;
    assert_eq!(lab.read(false).await.len(), STEPS.len());
    let before = lab.front.calls();
    for _ in 0..3 {
        assert_eq!(lab.read(false).await.len(), STEPS.len());
    }
    let after = lab.front.calls();
    let made: Vec<_> = after.iter().filter(|(call, times)| before.get(*call) != Some(times)).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(after["ListClusters"], before["ListClusters"] + 3);
    lab.read(true).await;
    assert!(lab.front.calls()["DescribeCluster"] > after["DescribeCluster"], "one that is looked at closely is asked");
}

#[tokio::test]
async fn a_stranger_s_cluster_is_asked_for_once() {
    let lab = Lab::new().await;
    let vpc = aws_sdk_eks::types::VpcConfigRequest::builder().subnet_ids("subnet-1").subnet_ids("subnet-2").build();
    let stranger = lab.eks.create_cluster().name("other").role_arn(principal("x")).resources_vpc_config(vpc);
    stranger.send().await.unwrap();
    for _ in 0..3 {
        assert!(lab.read(false).await.is_empty());
    }
    assert_eq!(lab.front.calls()["DescribeCluster"], 1);
}

#[tokio::test]
async fn one_difference_follows_the_other_until_the_mark_is_written() {
    let lab = Lab::new().await;
    lab.build().await;
    let lab = lab.wants(json!({
        "kubernetesVersion": "1.34",
        "features": ["private-connectivity"],
        "tags": { "owner": "a team" },
    }));
    lab.eks.tag_resource().resource_arn(arn(&lab).await).tags("theirs", "stays").send().await.unwrap();
    lab.build().await;
    let live = lab.eks.describe_cluster().name(CLUSTER).send().await.unwrap().cluster.unwrap();
    assert_eq!(live.version(), Some("1.34"));
    assert!(!live.resources_vpc_config().unwrap().endpoint_public_access());
    let tags = lab.tags().await;
    assert_eq!((tags["owner"].as_str(), tags["theirs"].as_str()), ("a team", "stays"));
    assert!(!tags.contains_key("team"), "it left the set");
    assert_eq!(lab.groups().await.into_values().collect::<Vec<_>>(), ["1.34"]);
}

async fn arn(lab: &Lab) -> String {
    lab.eks.describe_cluster().name(CLUSTER).send().await.unwrap().cluster.unwrap().arn.unwrap()
}

#[tokio::test]
async fn a_version_goes_back_while_its_nodes_have_not_moved() {
    let lab = Lab::new().await;
    lab.build().await;
    let lab = lab.wants(json!({ "kubernetesVersion": "1.34" }));
    lab.bring(Step::ControlPlane).await;
    let lab = lab.wants(json!({}));
    lab.build().await;
    assert_eq!(version(&lab).await, "1.33");
}

async fn version(lab: &Lab) -> String {
    lab.eks.describe_cluster().name(CLUSTER).send().await.unwrap().cluster.unwrap().version.unwrap()
}

#[tokio::test]
async fn a_version_goes_back_once_its_nodes_have() {
    let lab = Lab::new().await;
    lab.build().await;
    let lab = lab.wants(json!({ "kubernetesVersion": "1.34" }));
    lab.build().await;
    let lab = lab.wants(json!({}));
    lab.build().await;
    assert_eq!(version(&lab).await, "1.33");
    assert_eq!(lab.groups().await.into_values().collect::<Vec<_>>(), ["1.33"]);
}

#[tokio::test]
async fn a_pool_of_other_machines_takes_the_old_one_s_place_and_a_removed_pool_goes() {
    let lab = Lab::new().await.wants(json!({ "nodePools": [pool("workers", "m6i.large"), pool("gpus", "g6.xlarge")] }));
    lab.build().await;
    let before = lab.groups().await;
    assert_eq!(before.len(), 2);
    let lab = lab.wants(json!({ "nodePools": [pool("workers", "m6i.xlarge")] }));
    let id = lab.id(Step::NodePools).await;
    lab.perform(Step::NodePools, lab.update(Step::NodePools, &id)).await.unwrap();
    assert_eq!(lab.groups().await.len(), 3, "the old ones stay until the new one stands");
    assert_eq!(lab.read(true).await[&Step::NodePools].phase, Phase::Updating);
    lab.bring(Step::NodePools).await;
    let after = lab.groups().await;
    assert!(after.len() == 1 && !before.contains_key(after.keys().next().unwrap()), "{after:?}");
}

#[tokio::test]
async fn bounds_labels_and_taints_change_in_place_and_the_autoscaler_s_number_stays() {
    let lab = Lab::new().await;
    lab.build().await;
    let name = lab.groups().await.into_keys().next().unwrap();
    let scaled = aws_sdk_eks::types::NodegroupScalingConfig::builder().desired_size(2).build();
    let call = lab.eks.update_nodegroup_config().cluster_name(CLUSTER).nodegroup_name(&name).scaling_config(scaled);
    call.send().await.unwrap();
    lab.pass();
    let mut wider = pool("workers", "m6i.large");
    wider["spec"]["maxCount"] = json!(5);
    wider["spec"]["labels"] = json!({ "tier": "web" });
    wider["spec"]["taints"] = json!(["dedicated=web:NoSchedule"]);
    let lab = lab.wants(json!({ "nodePools": [wider] }));
    lab.bring(Step::NodePools).await;
    let reply = lab.eks.describe_nodegroup().cluster_name(CLUSTER).nodegroup_name(&name).send().await.unwrap();
    let group = reply.nodegroup().unwrap();
    let scaling = group.scaling_config().unwrap();
    assert_eq!((scaling.min_size(), scaling.max_size(), scaling.desired_size()), (Some(1), Some(5), Some(2)));
    assert_eq!(group.labels().unwrap()["tier"], "web");
    assert_eq!(group.taints()[0].key(), Some("dedicated"));
}

#[tokio::test]
async fn what_was_deleted_by_hand_is_seen_and_mended() {
    let lab = Lab::new().await.told(json!({ "admins": [principal("admin")] }));
    lab.build().await;
    lab.eks.delete_access_entry().cluster_name(CLUSTER).principal_arn(principal("admin")).send().await.unwrap();
    lab.eks.delete_addon().cluster_name(CLUSTER).addon_name("coredns").send().await.unwrap();
    let associations = lab.eks.list_pod_identity_associations().cluster_name(CLUSTER).send().await.unwrap();
    let id = associations.associations()[0].association_id().unwrap();
    lab.eks.delete_pod_identity_association().cluster_name(CLUSTER).association_id(id).send().await.unwrap();
    lab.eks.update_cluster_config().name(CLUSTER).deletion_protection(false).send().await.unwrap();
    lab.settle().await;
    (0..9).for_each(|_| lab.pass());
    let seen = lab.read(false).await;
    for step in [Step::ControlPlane, Step::NodePools, Step::Access, Step::Secrets] {
        assert_eq!(&*seen[&step].applied, "", "{step}");
        lab.perform(step, lab.update(step, &seen[&step].id)).await.unwrap();
        lab.settle().await;
    }
    lab.build().await;
    assert!(lab.read(false).await.values().all(|part| !part.applied.is_empty()));

    let name = lab.groups().await.into_keys().next().unwrap();
    lab.eks.delete_nodegroup().cluster_name(CLUSTER).nodegroup_name(name).send().await.unwrap();
    while !lab.groups().await.is_empty() {
        lab.pass();
    }
    let pools = lab.read(true).await.remove(&Step::NodePools).unwrap();
    assert_eq!((pools.phase, &*pools.applied), (Phase::Ready, ""));
    lab.bring(Step::NodePools).await;
    assert_eq!(lab.groups().await.len(), 1);
}

#[tokio::test]
async fn who_may_enter_follows_the_account_and_other_people_s_entries_stay() {
    let lab = Lab::new().await.told(json!({ "admins": [principal("a")], "readers": [principal("b")] }));
    lab.build().await;
    let call = lab.eks.create_access_entry().cluster_name(CLUSTER).principal_arn(principal("theirs"));
    call.send().await.unwrap();
    let lab = lab.told(json!({ "admins": [principal("b")], "readers": [principal("c")] }));
    assert_eq!(&*lab.read(true).await[&Step::Access].applied, "", "the settings of the account are other ones");
    lab.bring(Step::Access).await;
    let entries = lab.eks.list_access_entries().cluster_name(CLUSTER).send().await.unwrap().access_entries.unwrap();
    for (name, there) in [("a", false), ("b", true), ("c", true), ("theirs", true)] {
        assert_eq!(entries.contains(&principal(name)), there, "{name}: {entries:?}");
    }
    let call = lab.eks.list_associated_access_policies().cluster_name(CLUSTER).principal_arn(principal("b"));
    let policies = call.send().await.unwrap().associated_access_policies.unwrap();
    let arns: Vec<_> = policies.iter().filter_map(|policy| policy.policy_arn()).collect();
    assert_eq!(arns, ["arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"]);
}

/// A whole cluster with workloads on it.
async fn busy() -> Lab {
    let lab = Lab::new().await;
    lab.build().await;
    for _ in 0..50 {
        if lab.facts().await.workloads.unwrap().running > 1 {
            return lab;
        }
        lab.pass();
    }
    panic!("no workloads arrive");
}

#[tokio::test]
async fn a_closed_cluster_is_counted_from_when_it_was_closed_and_opened_again() {
    let lab = busy().await;
    let before = lab.facts().await.workloads.unwrap();
    assert_eq!(before.left, 0);
    assert_eq!(lab.drain(DrainMode::Wait).await, Ok(Progress::Done));
    let tag = lab.tags().await["fleetwright.dev/placement"].clone();
    let counted = counted(&lab).await;
    assert!(counted >= before.running);
    for _ in 0..3 {
        lab.pass();
        let facts = lab.facts().await;
        let workloads = facts.workloads.unwrap();
        assert_eq!((facts.placement, workloads.running + workloads.left), (Placement::Closed, counted));
    }
    assert_eq!(lab.drain(DrainMode::Wait).await, Ok(Progress::Done), "again");
    assert_eq!(lab.tags().await["fleetwright.dev/placement"], tag, "the count of before is kept");
    assert_eq!(lab.read(false).await[&Step::ControlPlane].control_plane.as_ref().unwrap().workloads, None);

    assert_eq!(lab.open().await, Ok(Progress::Done));
    assert_eq!(lab.facts().await.placement, Placement::Open);
    assert!(!lab.tags().await.contains_key("fleetwright.dev/placement"));
    assert_eq!(lab.open().await, Ok(Progress::Done), "nothing where it is open");
}

#[tokio::test]
async fn a_closing_that_was_not_finished_is_finished_by_whoever_comes_next() {
    let lab = busy().await;
    let half = lab.eks.tag_resource().resource_arn(arn(&lab).await);
    half.tags("fleetwright.dev/placement", "changing:9").send().await.unwrap();
    let plane = lab.read(true).await.remove(&Step::ControlPlane).unwrap();
    assert_eq!((plane.control_plane.unwrap().placement, &*plane.applied), (Placement::Open, ""));
    lab.drain(DrainMode::Wait).await.unwrap();
    assert_eq!(lab.tags().await["fleetwright.dev/placement"], "closed:9");
    let half = lab.eks.tag_resource().resource_arn(arn(&lab).await);
    half.tags("fleetwright.dev/placement", "changing:9").send().await.unwrap();
    lab.bring(Step::ControlPlane).await;
    assert!(!lab.tags().await.contains_key("fleetwright.dev/placement"), "what is updated serves");
    assert!(!lab.read(true).await[&Step::ControlPlane].applied.is_empty());
}

#[tokio::test]
async fn more_workloads_than_were_counted_at_first_raise_the_number() {
    let lab = busy().await;
    let running = lab.facts().await.workloads.unwrap().running;
    let half = lab.eks.tag_resource().resource_arn(arn(&lab).await);
    half.tags("fleetwright.dev/placement", "changing:1").send().await.unwrap();
    lab.drain(DrainMode::Wait).await.unwrap();
    let counted = counted(&lab).await;
    assert!(counted >= running, "{counted} of {running}");
    for _ in 0..50 {
        lab.pass();
    }
    let workloads = lab.facts().await.workloads.unwrap();
    assert_eq!((workloads.running, workloads.left), (0, counted));
}

#[tokio::test]
async fn nodes_that_join_a_closed_cluster_are_told_until_they_are_closed_too() {
    let lab = busy().await;
    lab.drain(DrainMode::Wait).await.unwrap();
    assert!(!lab.facts().await.has_open_nodes);
    let counted = counted(&lab).await;
    let name = lab.groups().await.into_keys().next().unwrap();
    let scaled = aws_sdk_eks::types::NodegroupScalingConfig::builder().desired_size(3).build();
    let call = lab.eks.update_nodegroup_config().cluster_name(CLUSTER).nodegroup_name(&name).scaling_config(scaled);
    call.send().await.unwrap();
    lab.pass();
    let facts = lab.facts().await;
    assert_eq!((facts.placement, facts.has_open_nodes), (Placement::Closed, true), "an autoscaler brought nodes");
    lab.drain(DrainMode::Wait).await.unwrap();
    let facts = lab.facts().await;
    let workloads = facts.workloads.unwrap();
    assert_eq!((facts.has_open_nodes, workloads.running + workloads.left), (false, counted));
}

/// What the tag of a closed cluster says.
async fn counted(lab: &Lab) -> u32 {
    lab.tags().await["fleetwright.dev/placement"].strip_prefix("closed:").unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_a_budget_keeps_is_named_and_all_else_leaves() {
    let lab = busy().await;
    let stuck = Fault::StuckDrain { cluster: CLUSTER.to_owned(), blocked_by: vec!["web/api-1 (api)".to_owned()] };
    let fault = lab.world.inject(stuck).unwrap();
    lab.drain(DrainMode::Evict).await.unwrap();
    let workloads = lab.facts().await.workloads.unwrap();
    assert_eq!(workloads.blocked_by, ["web/api-1 (api)"]);
    assert!(lab.tags().await["fleetwright.dev/placement"].ends_with(":evict"), "a later reading has to know");
    lab.world.remove_fault(fault).unwrap();
    lab.drain(DrainMode::Evict).await.unwrap();
    for _ in 0..50 {
        lab.pass();
    }
    let workloads = lab.facts().await.workloads.unwrap();
    assert_eq!((workloads.running, workloads.blocked_by.len()), (0, 0));
}

#[tokio::test]
async fn workloads_that_can_t_be_counted_are_none_and_the_rest_is_told() {
    let lab = busy().await;
    lab.world.inject(Fault::Uncountable { cluster: CLUSTER.to_owned(), until: None }).unwrap();
    let seen = lab.read(true).await;
    assert_eq!(seen.len(), STEPS.len());
    assert_eq!(seen[&Step::ControlPlane].control_plane.as_ref().unwrap().workloads, None);
    assert!(lab.drain(DrainMode::Wait).await.is_err(), "nothing is closed that was not counted");
    assert!(!lab.tags().await.contains_key("fleetwright.dev/placement"));
}

#[tokio::test]
async fn a_later_cluster_of_the_same_name_is_not_deleted_in_place_of_the_old_one() {
    let lab = Lab::new().await;
    lab.bring(Step::ControlPlane).await;
    let id = lab.id(Step::ControlPlane).await;
    let older: Arc<str> = format!("{}@1", id.rsplit_once('@').unwrap().0).into();
    for (step, suffix) in [(Step::ControlPlane, ""), (Step::NodePools, "/node-pools"), (Step::Access, "/access")] {
        let effect = Effect::Delete { id: format!("{older}{suffix}").into() };
        assert_eq!(lab.perform(step, effect).await, Ok(Progress::Done), "{step}");
    }
    lab.pass();
    assert_eq!(lab.read(true).await[&Step::ControlPlane].phase, Phase::Ready);
    let drain = Effect::Drain { id: older, mode: DrainMode::Wait };
    assert_eq!(lab.perform(Step::ControlPlane, drain).await.unwrap_err().class, ErrorClass::NotFound);
}

#[tokio::test]
async fn node_groups_that_fail_are_told_as_failed_and_deleted_whole() {
    let lab = Lab::new().await;
    lab.bring(Step::ControlPlane).await;
    let target = Target::of(CLUSTER, Step::NodePools);
    let fault = lab.world.inject(Fault::BecomeFailed { target, times: None }).unwrap();
    lab.turn(Step::NodePools).await;
    lab.settle().await;
    let pools = lab.read(true).await.remove(&Step::NodePools).unwrap();
    assert_eq!((pools.phase, &*pools.applied), (Phase::Failed, ""));
    lab.world.remove_fault(fault).unwrap();
    lab.delete(Step::NodePools).await;
    lab.bring(Step::NodePools).await;
}
