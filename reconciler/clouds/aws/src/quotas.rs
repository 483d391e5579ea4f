//! How much of the account's quotas is taken: what stands in the way of the next clusters, told before they run into it.

use std::collections::BTreeMap;

use aws_sdk_iam::types::SummaryKeyType;
use fleetwright_clouds::{CloudError, Quota};
use fleetwright_core::inventory::ErrorClass;
use serde::Deserialize;

use crate::ec2::{Address, Ask, Nat, NatState, Subnet, Vpc};
use crate::error::{error, from_sdk};
use crate::session::Session;

/// A quota that clusters take from.
struct Known {
    name: &'static str,
    service: &'static str,
    code: &'static str,
    per_cluster: u32,
    of_network: bool,
}

const fn known(name: &'static str, service: &'static str, code: &'static str) -> Known {
    Known { name, service, code, per_cluster: 1, of_network: false }
}

const fn of_network(known: Known) -> Known {
    Known { of_network: true, ..known }
}

const VPCS: Known = of_network(known("VPCs per region", "vpc", "L-F678F1CE"));
const ADDRESSES: Known = of_network(known("Elastic IP addresses per region", "ec2", "L-0263D0A3"));
const NATS: Known = of_network(known("NAT gateways per zone", "vpc", "L-FE5A380F"));
const CLUSTERS: Known = known("EKS clusters per region", "eks", "L-1194D53C");
/// Those of the control plane, of the nodes and of the services.
const ROLES: Known = Known { per_cluster: 3, ..known("IAM roles of the account", "iam", "L-FE177D64") };
const STREAMS: Known = known("on-demand Kinesis streams per region", "kinesis", "OnDemandStreamCountLimit");

/// Reads what clusters need of an account.
pub async fn read(session: &Session) -> Vec<Quota> {
    let (vpcs, addresses, nats, clusters, roles, streams) = tokio::join!(
        async { quota(session, &VPCS, vpcs(session).await).await },
        async { quota(session, &ADDRESSES, addresses(session).await).await },
        async { quota(session, &NATS, nats(session).await).await },
        async { quota(session, &CLUSTERS, clusters(session).await).await },
        roles(session),
        streams(session),
    );
    vec![vpcs, addresses, nats, clusters, told(session, &ROLES, roles), told(session, &STREAMS, streams)]
}

/// One whose limit Service Quotas knows in every region.
async fn quota(session: &Session, known: &Known, used: Result<usize, CloudError>) -> Quota {
    let used = used.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let limit = limit(session, known).await;
    let both = (opened(session, known, used), opened(session, known, limit));
    of(known, both.0, both.1)
}

/// One whose service tells both itself: how many there are, and how many there may be.
fn told(session: &Session, known: &Known, both: Result<(u32, u32), CloudError>) -> Quota {
    let both = opened(session, known, both);
    of(known, both.map(|(used, _)| used), both.map(|(_, limit)| limit))
}

fn opened<T>(session: &Session, known: &Known, read: Result<T, CloudError>) -> Option<T> {
    read.inspect_err(|why| tracing::debug!(place = %session.place, %why, "a quota is not known: {}", known.name)).ok()
}

fn of(known: &Known, used: Option<u32>, limit: Option<u32>) -> Quota {
    let Known { name, service, code, per_cluster, of_network } = *known;
    Quota { name: name.to_owned(), code: format!("{service}/{code}"), limit, used, per_cluster, of_network }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    quota: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    value: f64,
}

async fn limit(session: &Session, known: &Known) -> Result<u32, CloudError> {
    let asked = serde_json::json!({ "ServiceCode": known.service, "QuotaCode": known.code });
    let reply = session.query.service_quotas("GetServiceQuota", &asked).await?;
    let answer: Answer = serde_json::from_str(&reply.0)
        .map_err(|why| error(ErrorClass::Outage, "ReplyNotUnderstood", why.to_string()))?;
    // A quota is a small whole number, written as 5.0.
    Ok(answer.quota.value.clamp(0.0, f64::from(u32::MAX)) as u32)
}

async fn vpcs(session: &Session) -> Result<usize, CloudError> {
    let ask = Ask::ec2(session, "DescribeVpcs").set("MaxResults", "1000");
    Ok(ask.all("vpcSet", Vpc::read).await?.len())
}

async fn addresses(session: &Session) -> Result<usize, CloudError> {
    Ok(Ask::ec2(session, "DescribeAddresses").all("addressesSet", Address::read).await?.len())
}

/// In the zone that has most.
async fn nats(session: &Session) -> Result<usize, CloudError> {
    let ask = Ask::ec2(session, "DescribeNatGateways").set("MaxResults", "1000");
    let nats = ask.all("natGatewaySet", |node| Some((Nat::read(node)?, crate::ec2::text(node, "subnetId")?))).await?;
    let ask = Ask::ec2(session, "DescribeSubnets").set("MaxResults", "1000");
    let zones: BTreeMap<String, String> =
        ask.all("subnetSet", Subnet::read).await?.into_iter().map(|subnet| (subnet.id, subnet.zone)).collect();
    let counts = |state| matches!(state, NatState::Pending | NatState::Available | NatState::Deleting);
    let mut by_zone: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, subnet) in nats.iter().filter(|(nat, _)| counts(nat.state)) {
        *by_zone.entry(zones.get(subnet).map_or("", String::as_str)).or_default() += 1;
    }
    Ok(by_zone.into_values().max().unwrap_or(0))
}

async fn clusters(session: &Session) -> Result<usize, CloudError> {
    let mut pages = session.eks.list_clusters().into_paginator().send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        count += page.map_err(from_sdk)?.clusters().len();
    }
    Ok(count)
}

/// IAM's quotas are told by Service Quotas in one region of each partition only, and by IAM itself everywhere.
async fn roles(session: &Session) -> Result<(u32, u32), CloudError> {
    let reply = session.iam.get_account_summary().send().await.map_err(from_sdk)?;
    let count = |key| reply.summary_map().and_then(|map| map.get(&key)).and_then(|count| u32::try_from(*count).ok());
    let both = count(SummaryKeyType::Roles).zip(count(SummaryKeyType::RolesQuota));
    both.ok_or_else(|| error(ErrorClass::Outage, "ReplyNotUnderstood", "IAM did not count the roles"))
}

async fn streams(session: &Session) -> Result<(u32, u32), CloudError> {
    let reply = session.kinesis.describe_limits().send().await.map_err(from_sdk)?;
    let both = (reply.on_demand_stream_count(), reply.on_demand_stream_count_limit());
    let known = |count: i32| u32::try_from(count).unwrap_or(0);
    Ok((known(both.0), known(both.1)))
}
