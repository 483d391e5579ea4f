//! Networks: a VPC with subnets in three zones, its ways out, and a security group; or a given one.
//!
//! The id of a network is that of its VPC. What a VPC's tags say of its owner decides what may be done to it: one of ours is
//! built and taken down; of a given one nothing is touched but the tag that says who uses it.

mod blocks;
mod create;
mod delete;
mod given;
mod list;
mod offers;
mod pieces;
mod tags;
mod whole;

use std::sync::Arc;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{ErrorClass, Place, Resource};
use fleetwright_schema::set::Feature;

use crate::ec2::{Ask, Vpc};
use crate::error::{error, found};
use crate::owner::{Owner, Tags};
use crate::session::Session;

pub use list::{list, observe};
pub use offers::{security_group, subnets};

/// The network that a piece belongs to: of two that were made at once, each has its own, wherever they are attached.
pub const NETWORK: &str = "fleetwright.dev/network";
/// When it was made, in seconds since 1970: EC2 does not tell.
const CREATED_AT: &str = "fleetwright.dev/created-at";
/// The keys of the set's own tags, as they were last written.
const SET_TAGS: &str = "fleetwright.dev/set-tags";
/// With the name of a cluster behind it: who uses a given network.
const USED_BY: &str = "fleetwright.dev/used-by/";
/// A given network that a set finds by its name.
const BYON: &str = "fleetwright.dev/byon";

/// One short step.
pub async fn perform(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    let owner = Owner::of(action);
    match &action.effect {
        Effect::Create { fingerprint, spec, .. } if spec.features.contains(&Feature::Byon) => {
            given::take(session, &owner, spec, fingerprint).await
        }
        Effect::Create { fingerprint, spec, cidr, .. } => {
            create::create(session, &owner, spec, fingerprint, cidr.as_deref()).await
        }
        Effect::Update { id, fingerprint, spec, .. } => {
            let vpc = find(session, id).await?.ok_or_else(|| gone(id))?;
            match Relation::of(&vpc, &owner)? {
                Relation::Own => create::build(session, &owner, &vpc, spec, fingerprint).await,
                Relation::Given => given::mark(session, &owner, &vpc, spec, fingerprint).await,
            }
        }
        Effect::Delete { id } => match find(session, id).await? {
            None => Ok(Progress::Done),
            Some(vpc) => match Relation::of(&vpc, &owner)? {
                Relation::Own => delete::delete(session, &owner, &vpc).await,
                Relation::Given => given::release(session, &owner, &vpc).await,
            },
        },
        Effect::Drain { .. } | Effect::OpenPlacement { .. } => Err(not_asked_of_networks(action)),
    }
}

/// What a network is to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Made for it.
    Own,
    /// Given, and used by it.
    Given,
}

impl Relation {
    /// As its tags say; refused where they name others.
    pub fn of(vpc: &Vpc, owner: &Owner) -> Result<Self, CloudError> {
        if Owner::from_tags(&vpc.tags).as_ref() == Some(owner) {
            return Ok(Self::Own);
        }
        match given::Use::of(vpc, &owner.cluster) {
            Some(usage) if usage.owner == *owner => Ok(Self::Given),
            _ => Err(not_ours(&vpc.id, owner)),
        }
    }
}

/// Something that carries no tags, or others' tags.
pub fn not_ours(id: &str, owner: &Owner) -> CloudError {
    let Owner { cluster, set, ordinal } = owner;
    let message = format!("the tags of {id} do not say that it is {cluster}'s, number {ordinal} of {set}");
    error(ErrorClass::Denied, "NotOurs", message)
}

fn gone(id: &str) -> CloudError {
    error(ErrorClass::NotFound, "InvalidVpcID.NotFound", format!("{id} is not there"))
}

fn not_asked_of_networks(action: &Action) -> CloudError {
    error(ErrorClass::Invalid, "NotSupported", format!("{action} means nothing"))
}

/// The VPC with this id.
pub async fn find(session: &Session, id: &str) -> Result<Option<Vpc>, CloudError> {
    let all = found(Ask::ec2(session, "DescribeVpcs").each("VpcId", [id]).all("vpcSet", Vpc::read).await)?;
    Ok(all.into_iter().flatten().find(|vpc| vpc.id == id))
}

/// Whether a piece is of this network of this cluster.
fn is_ours(tags: &Tags, vpc: &str, owner: &Owner) -> bool {
    tags.get(NETWORK).is_some_and(|tag| tag == vpc) && Owner::from_tags(tags).as_ref() == Some(owner)
}

impl crate::Aws {
    /// The networks of a place as a reading tells them, and nothing else of it.
    pub async fn networks(&self, place: &Place) -> Result<Vec<Resource>, CloudError> {
        let session = self.sessions.of(place).await?;
        observe(&session, &self.kept.networks).await
    }
}
