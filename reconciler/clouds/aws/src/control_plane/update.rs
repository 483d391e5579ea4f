//! Changing a cluster: what is and what should be are compared, and the first difference is brought on its way.

use std::sync::Arc;

use aws_sdk_eks::types::VpcConfigRequest;
use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::ErrorClass;
use fleetwright_schema::documents::AwsAccount;
use fleetwright_schema::set::ClusterSpec;

use super::create::{LOGS, all_logs, cidrs, reach, tags};
use super::live::{Live, Reach, ours_to_change};
use crate::addons;
use crate::error::{error, from_sdk};
use crate::inside::placement::{self, Placed};
use crate::marks::{PRIVATE, REACH, TagChange};
use crate::node_pools;
use crate::owner::{APPLIED, Tags};
use crate::session::Session;

/// What lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Difference {
    /// An opening or closing that was not finished: what is changed serves, so it is opened.
    HalfPlaced,
    /// It has to come to a version; the next minor one at a time.
    Newer(u32),
    /// It goes back to the minor version before, which its nodes and add-ons have to be at already.
    Older(u32),
    /// It is at a version from which there is no way.
    TooNew,
    Reach(Reach),
    Logs,
    Unprotected,
    Tags(TagChange),
    Mark,
}

/// The first difference.
fn difference(live: &Live, account: &AwsAccount, wanted: &Tags, mark: &str, spec: &ClusterSpec) -> Option<Difference> {
    let target = spec.kubernetes_version.minor();
    let reach = reach(account, spec);
    let change = TagChange::between(&live.tags, wanted);
    match live.minor {
        _ if placement::placed(&live.tags).is_some_and(Placed::is_changing) => Some(Difference::HalfPlaced),
        minor if minor > 0 && minor < target => Some(Difference::Newer(minor + 1)),
        minor if minor > 0 && minor == target + 1 => Some(Difference::Older(target)),
        minor if minor > 0 && minor > target => Some(Difference::TooNew),
        _ if live.reach != reach => Some(Difference::Reach(reach)),
        _ if lacks_logs(live) => Some(Difference::Logs),
        _ if live.protected == Some(false) => Some(Difference::Unprotected),
        _ if !change.is_empty() => Some(Difference::Tags(change)),
        _ if live.tags.get(APPLIED).is_none_or(|applied| applied != mark) => Some(Difference::Mark),
        _ => None,
    }
}

fn lacks_logs(live: &Live) -> bool {
    live.logs.as_ref().is_some_and(|written| LOGS.iter().any(|kind| !written.contains(kind.as_str())))
}

/// Whether somebody changed, by hand or in the account's settings, what no fingerprint tells.
pub fn has_drifted(live: &Live, account: &AwsAccount) -> bool {
    let elsewhere = match (live.tags.get(REACH).map(String::as_str), &live.reach.public) {
        (Some(PRIVATE), public) => public.is_some(),
        (Some(_), public) => *public != Some(cidrs(account)),
        // Made before this was written down: whether it is to have one, nobody can tell.
        (None, public) => public.as_ref().is_some_and(|from| *from != cidrs(account)),
    };
    elsewhere || !live.reach.private || lacks_logs(live) || live.protected == Some(false)
}

/// Brings the first difference on its way; all tags, and then the mark, once nothing else differs.
pub async fn update(
    session: &Arc<Session>,
    action: &Action,
    id: &str,
    fingerprint: &str,
    spec: &ClusterSpec,
) -> Result<Progress, CloudError> {
    let live = ours_to_change(session, action, id).await?;
    if !live.is_active() {
        return Ok(Progress::InProgress);
    }
    let wanted = tags(&live.owner, spec);
    let Some(difference) = difference(&live, &session.account, &wanted, fingerprint, spec) else {
        return Ok(Progress::Done);
    };
    match difference {
        Difference::HalfPlaced => return placement::open(session, action, id).await,
        Difference::Newer(minor) => to_version(session, &live, minor).await?,
        Difference::Older(minor) => return roll_back(session, &live, minor).await,
        Difference::TooNew => return Err(too_new(&live, spec)),
        Difference::Reach(reach) => set_reach(session, &live, reach).await?,
        Difference::Logs => {
            let call = session.eks.update_cluster_config().name(live.name()).logging(all_logs());
            call.send().await.map_err(from_sdk)?;
        }
        Difference::Unprotected => {
            let call = session.eks.update_cluster_config().name(live.name()).deletion_protection(true);
            call.send().await.map_err(from_sdk)?;
        }
        Difference::Tags(change) => change_tags(session, &live.arn, change).await?,
        Difference::Mark => {
            tag(session, &live.arn, Tags::from([(APPLIED.to_owned(), fingerprint.to_owned())])).await?;
            return Ok(Progress::Done);
        }
    }
    Ok(Progress::InProgress)
}

async fn to_version(session: &Session, live: &Live, minor: u32) -> Result<(), CloudError> {
    let call = session.eks.update_cluster_version().name(live.name()).version(format!("1.{minor}"));
    call.send().await.map_err(from_sdk).map(|_| ())
}

/// EKS goes back one minor version within seven days of an upgrade, once no node and no add-on is newer than that.
async fn roll_back(session: &Arc<Session>, live: &Live, minor: u32) -> Result<Progress, CloudError> {
    if !node_pools::are_at_most(session, live, minor).await? || !addons::fit(session, live, minor).await? {
        return Ok(Progress::InProgress);
    }
    to_version(session, live, minor).await?;
    Ok(Progress::InProgress)
}

fn too_new(live: &Live, spec: &ClusterSpec) -> CloudError {
    let wanted = &spec.kubernetes_version;
    let message = format!("{} is at 1.{}, from which there is no way to {wanted}", live.name(), live.minor);
    error(ErrorClass::Invalid, "VersionTooNew", message)
}

async fn set_reach(session: &Session, live: &Live, reach: Reach) -> Result<(), CloudError> {
    let config = VpcConfigRequest::builder()
        .endpoint_private_access(reach.private)
        .endpoint_public_access(reach.public.is_some())
        .set_public_access_cidrs(reach.public.map(|cidrs| cidrs.into_iter().collect()))
        .build();
    let call = session.eks.update_cluster_config().name(live.name()).resources_vpc_config(config);
    call.send().await.map_err(from_sdk).map(|_| ())
}

/// Sets and removes tags of anything of EKS.
pub async fn change_tags(session: &Session, arn: &str, change: TagChange) -> Result<(), CloudError> {
    let TagChange { set, remove } = change;
    // The list of what came from the set is among those that are set: what is to go goes first.
    untag(session, arn, remove).await?;
    tag(session, arn, set).await
}

/// Sets tags of anything of EKS.
pub async fn tag(session: &Session, arn: &str, tags: Tags) -> Result<(), CloudError> {
    if tags.is_empty() {
        return Ok(());
    }
    let call = session.eks.tag_resource().resource_arn(arn).set_tags(Some(tags.into_iter().collect()));
    call.send().await.map_err(from_sdk).map(|_| ())
}

/// Removes tags of anything of EKS.
pub async fn untag(session: &Session, arn: &str, keys: Vec<String>) -> Result<(), CloudError> {
    if keys.is_empty() {
        return Ok(());
    }
    let call = session.eks.untag_resource().resource_arn(arn).set_tag_keys(Some(keys));
    call.send().await.map_err(from_sdk).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fleetwright_schema::set::{Feature, NetworkSpec};

    use super::*;
    use crate::control_plane::live::tests::live;
    use crate::marks::{PLACEMENT, PUBLIC};

    fn spec(version: &str) -> ClusterSpec {
        ClusterSpec {
            kubernetes_version: version.parse().unwrap(),
            features: BTreeSet::new(),
            node_pools: Vec::new(),
            infra_services: Vec::new(),
            network: NetworkSpec::default(),
            tags: Tags::new(),
        }
    }

    fn first(live: &Live, spec: &ClusterSpec) -> Option<Difference> {
        difference(live, &AwsAccount::default(), &tags(&live.owner, spec), "print", spec)
    }

    #[test]
    fn versions_move_a_minor_one_at_a_time_and_back_no_more_than_one() {
        let mut live = live();
        live.tags = tags(&live.owner, &spec("1.33"));
        assert_eq!(first(&live, &spec("1.34")), Some(Difference::Newer(34)));
        assert_eq!(first(&live, &spec("1.36")), Some(Difference::Newer(34)));
        assert_eq!(first(&live, &spec("1.32")), Some(Difference::Older(32)));
        assert_eq!(first(&live, &spec("1.31")), Some(Difference::TooNew));
        assert_eq!(first(&live, &spec("1.33.9")), Some(Difference::Mark), "patches are EKS's own affair");
    }

    #[test]
    fn one_difference_is_brought_at_a_time_and_the_mark_last() {
        let (mut live, mut wanted) = (live(), spec("1.34"));
        wanted.features = BTreeSet::from([Feature::PrivateConnectivity]);
        wanted.tags = Tags::from([("team".to_owned(), "a".to_owned())]);
        live.logs = Some(BTreeSet::new());
        live.protected = Some(false);
        live.tags.insert(PLACEMENT.to_owned(), "changing:3".to_owned());
        assert_eq!(first(&live, &wanted), Some(Difference::HalfPlaced));
        live.tags.remove(PLACEMENT);
        assert_eq!(first(&live, &wanted), Some(Difference::Newer(34)));
        live.minor = 34;
        let closed = Reach { private: true, public: None };
        assert_eq!(first(&live, &wanted), Some(Difference::Reach(closed.clone())));
        live.reach = closed;
        assert_eq!(first(&live, &wanted), Some(Difference::Logs));
        live.logs = None;
        assert_eq!(first(&live, &wanted), Some(Difference::Unprotected));
        live.protected = Some(true);
        assert!(matches!(first(&live, &wanted), Some(Difference::Tags(_))));
        live.tags = tags(&live.owner, &wanted);
        assert_eq!(first(&live, &wanted), Some(Difference::Mark));
        live.tags.insert(APPLIED.to_owned(), "print".to_owned());
        assert_eq!(first(&live, &wanted), None);
    }

    #[test]
    fn what_no_fingerprint_tells_is_seen_to_drift() {
        let account = AwsAccount::default();
        assert!(!has_drifted(&live(), &account));
        assert!(has_drifted(&Live { protected: Some(false), ..live() }, &account));
        assert!(has_drifted(&Live { logs: Some(BTreeSet::new()), ..live() }, &account));
        let narrowed = AwsAccount { public_access_cidrs: vec!["203.0.113.0/24".to_owned()], ..account };
        assert!(has_drifted(&live(), &narrowed));
        let mut closed = Live { reach: Reach { private: true, public: None }, ..live() };
        assert!(!has_drifted(&closed, &narrowed), "nobody can tell");
        closed.tags.insert(REACH.to_owned(), PUBLIC.to_owned());
        assert!(has_drifted(&closed, &narrowed), "it is to have a public address");
        closed.tags.insert(REACH.to_owned(), PRIVATE.to_owned());
        assert!(!has_drifted(&closed, &narrowed));
        closed.reach.public = Some(cidrs(&narrowed));
        assert!(has_drifted(&closed, &narrowed), "somebody opened it by hand");
    }
}
