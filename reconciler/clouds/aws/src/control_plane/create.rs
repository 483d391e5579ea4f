//! Making a cluster, with all of it that can be said at once.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_sdk_eks::types::{
    AuthenticationMode, CreateAccessConfigRequest, EncryptionConfig, LogSetup, LogType, Logging, Provider,
    VpcConfigRequest,
};
use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{ErrorClass, Step};
use fleetwright_schema::documents::AwsAccount;
use fleetwright_schema::set::{ClusterSpec, Feature};

use super::live::{Reach, Seen, describe, not_ours, version_text};
use crate::error::{error, from_sdk};
use crate::identity::Role;
use crate::marks::{PRIVATE, PUBLIC, REACH, with_list};
use crate::network;
use crate::owner::{APPLIED, Owner, Tags};
use crate::session::Session;

/// Everybody, as EKS says it.
const ANYWHERE: &str = "0.0.0.0/0";

/// All logs that a control plane writes.
pub const LOGS: [LogType; 5] =
    [LogType::Api, LogType::Audit, LogType::Authenticator, LogType::ControllerManager, LogType::Scheduler];

/// Makes it. The mark is among the tags that it is made with, because nothing of it comes later.
pub async fn create(
    session: &Session,
    action: &Action,
    token: &str,
    fingerprint: &str,
    spec: &ClusterSpec,
    parents: &[Arc<str>],
) -> Result<Progress, CloudError> {
    let name = action.key.cluster.as_str();
    let vpc = parents.iter().find(|id| id.starts_with("vpc-"));
    let lacks = || error(ErrorClass::Invalid, "NoNetwork", format!("{name} has no network to be made in"));
    let vpc = vpc.ok_or_else(lacks)?;
    let mut tags = tags(&Owner::of(action), spec);
    tags.insert(APPLIED.to_owned(), fingerprint.to_owned());
    let made = session
        .eks
        .create_cluster()
        .name(name)
        .version(version_text(&spec.kubernetes_version))
        .role_arn(Role::ControlPlane.arn(session, &action.key.cluster))
        .resources_vpc_config(placed(session, action, vpc, spec).await?)
        .access_config(access())
        .logging(all_logs())
        .set_encryption_config(encryption(&session.account))
        .bootstrap_self_managed_addons(false)
        .deletion_protection(true)
        .client_request_token(token)
        .set_tags(Some(tags.into_iter().collect()))
        .send()
        .await;
    match made.map_err(from_sdk) {
        Ok(_) => Ok(Progress::InProgress),
        Err(why) if matches!(why.class, ErrorClass::Conflict | ErrorClass::Invalid) => {
            taken(session, action, why).await
        }
        Err(why) => Err(why),
    }
}

/// The name is in use, or so is the token with other settings of the account: by what an earlier call made, whose reply
/// was lost, or by somebody else.
async fn taken(session: &Session, action: &Action, why: CloudError) -> Result<Progress, CloudError> {
    match describe(session, action.key.cluster.as_str()).await? {
        Seen::Ours(live) if live.owner == Owner::of(action) => Ok(Progress::InProgress),
        Seen::Gone => Err(why),
        Seen::Foreign | Seen::Stripped | Seen::Ours(_) => Err(not_ours(action)),
    }
}

async fn placed(
    session: &Session,
    action: &Action,
    vpc: &str,
    spec: &ClusterSpec,
) -> Result<VpcConfigRequest, CloudError> {
    let subnets = network::subnets(session, vpc).await?;
    let private = subnets.iter().any(|subnet| !subnet.public);
    let chosen = subnets.iter().filter(|subnet| !private || !subnet.public).map(|subnet| subnet.id.clone());
    let group = network::security_group(session, vpc, &Owner::of(action)).await?;
    let reach = reach(&session.account, spec);
    Ok(VpcConfigRequest::builder()
        .set_subnet_ids(Some(chosen.collect()))
        .set_security_group_ids(group.map(|id| vec![id]))
        .endpoint_private_access(reach.private)
        .endpoint_public_access(reach.public.is_some())
        .set_public_access_cidrs(reach.public.map(|cidrs| cidrs.into_iter().collect()))
        .build())
}

/// Who made it may enter, so that the daemon can count what runs in it; all others are entries of their own.
fn access() -> CreateAccessConfigRequest {
    CreateAccessConfigRequest::builder()
        .authentication_mode(AuthenticationMode::Api)
        .bootstrap_cluster_creator_admin_permissions(true)
        .build()
}

/// What is encrypted with the key is EKS's choice by now; the list of it is taken as ever.
#[expect(deprecated, reason = "versions of EKS that need the list are not known to be gone everywhere")]
fn encryption(account: &AwsAccount) -> Option<Vec<EncryptionConfig>> {
    let key = Provider::builder().key_arn(account.encryption_key_arn.clone()?).build();
    Some(vec![EncryptionConfig::builder().resources("secrets").provider(key).build()])
}

/// All logs, on.
pub fn all_logs() -> Logging {
    let setup = LogSetup::builder().set_types(Some(LOGS.to_vec())).enabled(true).build();
    Logging::builder().cluster_logging(setup).build()
}

/// How the API is to be reached.
pub fn reach(account: &AwsAccount, spec: &ClusterSpec) -> Reach {
    let public = !spec.features.contains(&Feature::PrivateConnectivity);
    Reach { private: true, public: public.then(|| cidrs(account)) }
}

/// From where a public API may be reached.
pub fn cidrs(account: &AwsAccount) -> BTreeSet<String> {
    let said: BTreeSet<String> = account.public_access_cidrs.iter().map(|cidr| first_address(cidr)).collect();
    if said.is_empty() { BTreeSet::from([ANYWHERE.to_owned()]) } else { said }
}

/// A block as EKS tells it back: named by its first address.
fn first_address(cidr: &str) -> String {
    let parsed = cidr.split_once('/').and_then(|(address, length)| {
        let address: Ipv4Addr = address.parse().ok()?;
        let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        Some(format!("{}/{length}", Ipv4Addr::from(address.to_bits() & mask)))
    });
    parsed.unwrap_or_else(|| cidr.to_owned())
}

/// All tags of a cluster but the mark.
pub fn tags(owner: &Owner, spec: &ClusterSpec) -> Tags {
    let mut tags = with_list(owner.tags(Step::ControlPlane, &spec.tags), &spec.tags);
    let private = spec.features.contains(&Feature::PrivateConnectivity);
    tags.insert(REACH.to_owned(), if private { PRIVATE } else { PUBLIC }.to_owned());
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_named_by_their_first_address() {
        for (said, told) in [
            ("203.0.113.5/24", "203.0.113.0/24"),
            ("203.0.113.5/32", "203.0.113.5/32"),
            ("203.0.113.5/0", "0.0.0.0/0"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(first_address(said), told);
        }
    }

    #[test]
    fn an_api_that_may_be_reached_from_anywhere_says_so() {
        assert_eq!(cidrs(&AwsAccount::default()), BTreeSet::from(["0.0.0.0/0".to_owned()]));
    }
}
