//! Whether a network still is what was made: all its pieces stand, lead where they led, and let in who they let in.

use std::collections::BTreeSet;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::ErrorClass;

use super::NETWORK;
use super::create::{LETTERS, ZONES_MIN};
use super::pieces::{GATEWAY, Lists, NAT, PRIVATE, PUBLIC, Pieces};
use crate::drift::{Difference, Differing};
use crate::ec2::{NatState, Vpc};
use crate::error::{error, found, from_sdk};
use crate::owner::{APPLIED, CLUSTER, Owner};
use crate::session::Session;

/// In how many zones a network is, written with the mark: which subnets there have to be.
pub const ZONES: &str = "fleetwright.dev/zones";

/// Those of these networks that were whole and are not: six lists, however many there are.
pub async fn differing(session: &Session, vpcs: &[Vpc]) -> Result<Differing, CloudError> {
    let was_whole = |vpc: &&Vpc| vpc.tags.contains_key(CLUSTER) && vpc.tags.contains_key(APPLIED);
    if !vpcs.iter().any(|vpc| was_whole(&vpc)) {
        return Ok(Differing::new());
    }
    let mut all = Lists::read(session, ("tag-key", NETWORK), ("tag-key", NETWORK)).await?.by_network();
    let differs = |vpc: &Vpc| {
        let owner = Owner::from_tags(&vpc.tags)?;
        let pieces = all.remove(&vpc.id).unwrap_or_default().of(&vpc.id, &owner);
        let what = lacks(vpc, &pieces)?;
        Some((vpc.id.as_str().into(), Difference { cluster: owner.cluster, what }))
    };
    Ok(vpcs.iter().filter(was_whole).filter_map(differs).collect())
}

/// What is missing or differs, in words; nothing of a network that is whole.
pub fn lacks(vpc: &Vpc, pieces: &Pieces) -> Option<String> {
    let subnet = parts(vpc, [PRIVATE, PUBLIC]).find(|part| pieces.subnet(part).is_none());
    if let Some(part) = subnet {
        return Some(format!("the subnet {part} is gone"));
    }
    let Some(gateway) = pieces.gateways.first().filter(|gateway| gateway.attached.as_ref() == Some(&vpc.id)) else {
        return Some(format!("no {GATEWAY} is attached"));
    };
    let Some(nat) = pieces.nat().filter(|nat| nat.state == NatState::Available) else {
        return Some(format!("no {NAT} works"));
    };
    let ways = [(PUBLIC, &gateway.id), (PRIVATE, &nat.id)];
    if let Some((part, _)) = ways.into_iter().find(|(part, to)| !leads(vpc, pieces, part, to)) {
        return Some(format!("the {part} subnets have another way out"));
    }
    let lets_in = pieces.groups.first().map(|group| &group.lets_in);
    (lets_in != Some(&wanted_in(vpc))).then(|| "the security group lets in others".to_owned())
}

/// Whether the subnets of a kind have their route table, and it leads there.
fn leads(vpc: &Vpc, pieces: &Pieces, kind: &'static str, to: &str) -> bool {
    let Some(table) = pieces.table(kind) else { return false };
    let subnets: Vec<&str> =
        parts(vpc, [kind]).filter_map(|part| pieces.subnet(&part)).map(|subnet| subnet.id.as_str()).collect();
    let has = |id: &str| table.subnets.iter().any(|(subnet, _)| subnet == id);
    table.default_route.as_deref() == Some(to) && subnets.into_iter().all(has)
}

/// Whom the security group lets in: the network, to the API of its cluster.
pub fn wanted_in(vpc: &Vpc) -> BTreeSet<String> {
    BTreeSet::from([format!("tcp 443-443 {}", vpc.cidr)])
}

/// The subnets that a network has to have, by name.
fn parts<const N: usize>(vpc: &Vpc, kinds: [&'static str; N]) -> impl Iterator<Item = String> {
    let zones = vpc.tags.get(ZONES).and_then(|text| text.parse().ok()).unwrap_or(ZONES_MIN);
    kinds.into_iter().flat_map(move |kind| LETTERS.iter().take(zones).map(move |letter| format!("{kind}-{letter}")))
}

/// What stands in the place of a piece that seems to be gone, and does not say whose it is: most likely the very piece,
/// without its tags. Another one beside it would lead the traffic of a cluster that serves another way.
pub fn stripped<'a>(vpc: &Vpc, pieces: &'a Pieces) -> Option<&'a str> {
    let was_whole = vpc.tags.contains_key(ZONES);
    let lacks_subnet = || parts(vpc, [PRIVATE, PUBLIC]).any(|part| pieces.subnet(&part).is_none());
    let subnet = pieces.strange_subnets.first().filter(|_| was_whole && lacks_subnet());
    let nat = pieces.strange_nats.first().filter(|_| was_whole && pieces.nat().is_none());
    subnet.or(nat).map(String::as_str)
}

/// Refuses to make anew a subnet in which a control plane was made: EKS and its nodes keep the one that is gone, and no
/// other of the same name and addresses takes its place.
pub async fn can_be_mended(session: &Session, owner: &Owner, vpc: &Vpc, pieces: &Pieces) -> Result<(), CloudError> {
    let was_whole = vpc.tags.contains_key(ZONES);
    let gone: Vec<String> = parts(vpc, [PRIVATE]).filter(|part| pieces.subnet(part).is_none()).collect();
    if !was_whole || gone.is_empty() {
        return Ok(());
    }
    let asked = session.eks.describe_cluster().name(owner.cluster.as_str()).send().await;
    let plane = found(asked.map_err(from_sdk))?.and_then(|reply| reply.cluster);
    let Some(within) = plane.and_then(|plane| plane.resources_vpc_config) else { return Ok(()) };
    let stands = |id: &String| pieces.subnets.iter().any(|subnet| subnet.id == *id);
    let elsewhere = within.vpc_id().is_some_and(|id| id != vpc.id);
    if elsewhere || within.subnet_ids().iter().all(stands) {
        return Ok(());
    }
    let (gone, cluster) = (gone.join(", "), &owner.cluster);
    let message = format!(
        "the subnet {gone} of {} is gone, and {cluster} was made in it; it can't be mended: have the cluster replaced",
        vpc.id
    );
    Err(error(ErrorClass::Invalid, "SubnetGone", message))
}
