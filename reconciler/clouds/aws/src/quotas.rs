//! How much of the account's quotas is taken: what stands in the way of the next clusters, told before they run into it.

use std::collections::BTreeMap;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::Place;
use serde::Deserialize;

use crate::ec2::{Address, Ask, Nat, NatState, Subnet, Vpc};
use crate::error::{error, from_sdk};
use crate::session::Session;

/// One quota of an account in a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// What it is of: `VPCs per region`.
    pub name: &'static str,
    /// The service and the code by which a person has it raised: `vpc/L-F678F1CE`.
    pub code: String,
    /// How many there may be; none where the service does not answer, or we may not ask.
    pub limit: Option<u32>,
    /// How many there are, whoever made them; none where they could not be counted.
    pub used: Option<u32>,
}

struct Known {
    name: &'static str,
    service: &'static str,
    code: &'static str,
}

const VPCS: Known = Known { name: "VPCs per region", service: "vpc", code: "L-F678F1CE" };
const ADDRESSES: Known = Known { name: "Elastic IP addresses per region", service: "ec2", code: "L-0263D0A3" };
const NATS: Known = Known { name: "NAT gateways per zone", service: "vpc", code: "L-FE5A380F" };
const CLUSTERS: Known = Known { name: "EKS clusters per region", service: "eks", code: "L-1194D53C" };

/// Reads what clusters need of an account. What can't be read is left open: it decides nothing.
pub async fn read(session: &Session) -> [Quota; 4] {
    let (vpcs, addresses, nats, clusters) =
        tokio::join!(vpcs(session), addresses(session), nats(session), clusters(session));
    tokio::join!(
        quota(session, &VPCS, vpcs),
        quota(session, &ADDRESSES, addresses),
        quota(session, &NATS, nats),
        quota(session, &CLUSTERS, clusters),
    )
    .into()
}

async fn quota(session: &Session, known: &Known, used: Result<usize, CloudError>) -> Quota {
    let Known { name, service, code } = known;
    let untold = |what: &str, why: &CloudError| tracing::debug!(place = %session.place, %why, "no {what} of {name}");
    let limit = limit(session, known).await.inspect_err(|why| untold("limit", why)).ok();
    let used = used.inspect_err(|why| untold("count", why)).ok().and_then(|count| u32::try_from(count).ok());
    Quota { name, code: format!("{service}/{code}"), limit, used }
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
        .map_err(|why| error(fleetwright_core::inventory::ErrorClass::Outage, "ReplyNotUnderstood", why.to_string()))?;
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

impl crate::Aws {
    /// How much of the quotas that clusters need is taken in a place.
    pub async fn quotas(&self, place: &Place) -> Result<[Quota; 4], CloudError> {
        let session = self.sessions.of(place).await?;
        Ok(read(&session).await)
    }
}
