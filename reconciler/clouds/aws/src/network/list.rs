//! The networks of a place: one list of VPCs, one of NAT gateways where a network is not whole, and now and then lists of
//! all pieces.

use std::sync::Arc;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{Phase, Resource, Step};
use fleetwright_schema::units::Timestamp;

use super::given::Use;
use super::{CREATED_AT, whole};
use crate::drift::{self, Drift};
use crate::ec2::{Ask, Nat, NatState, Vpc};
use crate::owner::{APPLIED, CLUSTER, Owner};
use crate::session::Session;

/// Both that a network is a cluster's, and that a given one is used by one.
const ANY_OF_OURS: &str = "fleetwright.dev/*";
/// EC2 takes no more values in a filter than 200.
const FILTER_VALUES: usize = 100;

/// All networks of ours, and the given ones with each cluster that uses them.
pub async fn list(session: &Session) -> Result<Vec<Resource>, CloudError> {
    told(session, &vpcs(session).await?).await
}

/// The same; of what somebody changed in one that was whole, it is told as begun, as far as that was looked for.
pub async fn observe(session: &Session, drift: &Drift) -> Result<Vec<Resource>, CloudError> {
    let vpcs = vpcs(session).await?;
    let networks = told(session, &vpcs).await?;
    let differing = drift.of(&session.place, whole::differing(session, &vpcs)).await;
    Ok(drift::told(networks, &differing))
}

async fn vpcs(session: &Session) -> Result<Vec<Vpc>, CloudError> {
    let ask = Ask::ec2(session, "DescribeVpcs").filter("tag-key", [ANY_OF_OURS]).set("MaxResults", "1000");
    ask.all("vpcSet", Vpc::read).await
}

async fn told(session: &Session, vpcs: &[Vpc]) -> Result<Vec<Resource>, CloudError> {
    let nats = nats(session, vpcs).await?;
    let own = vpcs.iter().filter_map(|vpc| own(vpc, &nats));
    let given = vpcs.iter().flat_map(|vpc| Use::all(vpc).into_iter().map(|usage| usage.resource(&vpc.id)));
    Ok(own.chain(given).collect())
}

/// The NAT gateways of those that are not whole.
async fn nats(session: &Session, vpcs: &[Vpc]) -> Result<Vec<Nat>, CloudError> {
    let unfinished = |vpc: &&Vpc| vpc.tags.contains_key(CLUSTER) && !vpc.tags.contains_key(APPLIED);
    let unfinished: Vec<&str> = vpcs.iter().filter(unfinished).map(|vpc| vpc.id.as_str()).collect();
    let mut all = Vec::new();
    for some in unfinished.chunks(FILTER_VALUES) {
        let ask = Ask::ec2(session, "DescribeNatGateways").filter("vpc-id", some.iter().copied());
        all.extend(ask.set("MaxResults", "1000").all("natGatewaySet", Nat::read).await?);
    }
    Ok(all)
}

fn own(vpc: &Vpc, nats: &[Nat]) -> Option<Resource> {
    if !vpc.tags.contains_key(CLUSTER) {
        return None;
    }
    let Some(owner) = Owner::from_tags(&vpc.tags) else {
        tracing::warn!(vpc = vpc.id, "its tags name no cluster whole; nothing is done to it");
        return None;
    };
    let applied = vpc.tags.get(APPLIED).map(String::as_str);
    let phase = applied.map_or_else(|| phase(nats.iter().filter(|nat| nat.vpc == vpc.id)), |_| Phase::Ready);
    Some(resource(&vpc.id, &owner, phase, applied.unwrap_or_default(), created_at(vpc)))
}

/// Of one that is not whole. Ready is what can be gone on with; the fingerprint that it lacks says that it must be.
fn phase<'a>(nats: impl Iterator<Item = &'a Nat>) -> Phase {
    match nats.map(|nat| nat.state).filter(|state| *state != NatState::Deleted).min() {
        None | Some(NatState::Available) => Phase::Ready,
        Some(NatState::Pending) => Phase::Creating,
        Some(NatState::Failed) => Phase::Failed,
        Some(NatState::Deleting | NatState::Deleted) => Phase::Deleting,
    }
}

/// When a VPC of ours was made. Whoever took that tag away made it the oldest.
pub fn created_at(vpc: &Vpc) -> Timestamp {
    let seconds = vpc.tags.get(CREATED_AT).and_then(|text| text.parse().ok()).unwrap_or(0);
    Timestamp::from_unix_seconds(seconds)
}

/// A network as the planner reads it.
pub fn resource(id: &str, owner: &Owner, phase: Phase, applied: &str, created_at: Timestamp) -> Resource {
    let Owner { cluster, set, ordinal } = owner.clone();
    Resource {
        id: Arc::from(id),
        step: Step::Network,
        cluster,
        set,
        ordinal,
        phase,
        applied: Arc::from(applied),
        created_at,
        uses: Vec::new(),
        control_plane: None,
        node_pools: Vec::new(),
        infra_services: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Tags;

    #[test]
    fn a_network_that_is_not_whole_is_as_its_nat_gateway() {
        use NatState::{Available, Deleted, Deleting, Failed, Pending};
        for (states, shown) in [
            (&[] as &[NatState], Phase::Ready),
            (&[Pending], Phase::Creating),
            (&[Deleted, Pending], Phase::Creating),
            (&[Available], Phase::Ready),
            (&[Failed], Phase::Failed),
            (&[Failed, Available], Phase::Ready),
            (&[Deleting], Phase::Deleting),
            (&[Deleted], Phase::Ready),
        ] {
            let nat = |state: &NatState| {
                let (id, vpc) = ("nat-1".to_owned(), "vpc-1".to_owned());
                Nat { id, vpc, state: *state, tags: Tags::new() }
            };
            let nats: Vec<Nat> = states.iter().map(nat).collect();
            assert_eq!(phase(nats.iter()), shown, "{states:?}");
        }
    }
}
