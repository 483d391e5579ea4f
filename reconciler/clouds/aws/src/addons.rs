//! The core add-ons: the network of pods, services, names and pod identities. They come with the node pools, and go with
//! the cluster.

use std::sync::Arc;

use aws_sdk_eks::types::{AddonStatus, ResolveConflicts};
use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{ErrorClass, Step};

use crate::control_plane::Live;
use crate::error::{found, from_sdk, settled};
use crate::owner::Tags;
use crate::session::Session;
use crate::side_by_side::side_by_side;

/// Those that every cluster has.
pub const CORE: [&str; 4] = ["vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent"];

/// A core add-on that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addon {
    pub name: String,
    pub version: String,
    /// The provider works on it, or it waits for nodes.
    pub is_busy: bool,
    /// It could not be made, or its change failed.
    pub has_failed: bool,
    /// It stands and does not work, as one without nodes.
    pub is_degraded: bool,
    /// It could not even be made.
    pub is_stillborn: bool,
}

/// The core add-ons that are there.
pub async fn addons(session: &Arc<Session>, live: &Live) -> Result<Vec<Addon>, CloudError> {
    let mut pages =
        session.eks.list_addons().cluster_name(live.name()).max_results(100).into_paginator().items().send();
    let mut names = Vec::new();
    while let Some(name) = pages.next().await {
        names.push(name.map_err(from_sdk)?);
    }
    let ours = names.into_iter().filter(|name| CORE.contains(&name.as_str()));
    let asked: Vec<_> = ours.map(|name| (Arc::clone(session), live.name().to_owned(), name)).collect();
    let described = side_by_side(asked, |(session, cluster, name)| async move {
        let call = session.eks.describe_addon().cluster_name(cluster).addon_name(name).send().await;
        Ok(found(call.map_err(from_sdk))?.and_then(|reply| reply.addon).as_ref().and_then(read))
    });
    Ok(described.await?.into_iter().flatten().collect())
}

fn read(addon: &aws_sdk_eks::types::Addon) -> Option<Addon> {
    let issues = addon.health().map(|health| health.issues()).unwrap_or_default();
    if !issues.is_empty() {
        tracing::warn!(cluster = addon.cluster_name(), addon = addon.addon_name(), ?issues, "an add-on is not well");
    }
    use AddonStatus::{Active, CreateFailed, Degraded, DeleteFailed, UpdateFailed};
    let status = addon.status();
    // `DEGRADED` is what an add-on is until there are nodes for it: nothing is at work, and it is not whole.
    let ended = matches!(status, Some(Active | CreateFailed | DeleteFailed | UpdateFailed | Degraded));
    Some(Addon {
        name: addon.addon_name()?.to_owned(),
        version: addon.addon_version().unwrap_or_default().to_owned(),
        is_busy: !ended,
        has_failed: matches!(status, Some(CreateFailed | DeleteFailed | UpdateFailed)),
        is_degraded: status == Some(&Degraded),
        is_stillborn: status == Some(&CreateFailed),
    })
}

/// Whether all are there and well.
pub fn are_whole(addons: &[Addon]) -> bool {
    let there = |name: &&str| addons.iter().any(|addon| addon.name == **name);
    CORE.iter().all(there) && addons.iter().all(|addon| !addon.is_busy && !addon.has_failed && !addon.is_degraded)
}

/// Makes those that lack, in the default version of the cluster's; whether all are there and well.
pub async fn bring(session: &Arc<Session>, live: &Live, of_set: &Tags) -> Result<bool, CloudError> {
    let there = addons(session, live).await?;
    for name in CORE.iter().filter(|name| there.iter().all(|addon| addon.name != **name)) {
        create(session, live, name, of_set).await?;
    }
    for addon in there.iter().filter(|addon| addon.is_stillborn) {
        // It can't be mended, only made anew.
        let call = session.eks.delete_addon().cluster_name(live.name()).addon_name(&addon.name);
        settled(call.send().await.map_err(from_sdk), ErrorClass::NotFound)?;
    }
    for addon in there.iter().filter(|addon| addon.has_failed && !addon.is_stillborn) {
        let offered = offered(session, &addon.name, live.minor).await?;
        to_version(session, live, &addon.name, offered.default.as_deref().unwrap_or(&addon.version)).await?;
    }
    Ok(are_whole(&there))
}

async fn create(session: &Session, live: &Live, name: &str, of_set: &Tags) -> Result<(), CloudError> {
    let tags = live.owner.tags(Step::NodePools, of_set);
    let made = session
        .eks
        .create_addon()
        .cluster_name(live.name())
        .addon_name(name)
        .resolve_conflicts(ResolveConflicts::Overwrite)
        .set_tags(Some(tags.into_iter().collect()))
        .send()
        .await;
    settled(made.map_err(from_sdk), ErrorClass::Conflict).map(|_| ())
}

/// Whether all fit a minor version of the control plane; those that don't are changed. What is newer than the default is
/// left as it is, as long as it fits: somebody wanted it.
pub async fn fit(session: &Arc<Session>, live: &Live, minor: u32) -> Result<bool, CloudError> {
    let mut fit = true;
    for addon in addons(session, live).await? {
        let offered = offered(session, &addon.name, minor).await?;
        if let Some(version) = offered.better_than(&addon.version) {
            fit = false;
            if !addon.is_busy {
                to_version(session, live, &addon.name, version).await?;
            }
        }
        fit &= !addon.is_busy;
    }
    Ok(fit)
}

async fn to_version(session: &Session, live: &Live, name: &str, version: &str) -> Result<(), CloudError> {
    let call = session.eks.update_addon().cluster_name(live.name()).addon_name(name).addon_version(version);
    call.resolve_conflicts(ResolveConflicts::Preserve).send().await.map_err(from_sdk).map(|_| ())
}

/// The versions of an add-on that fit a version of the control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Offered {
    versions: Vec<String>,
    default: Option<String>,
}

impl Offered {
    /// The default, where this version does not fit or is older.
    fn better_than(&self, version: &str) -> Option<&str> {
        let default = self.default.as_deref()?;
        let fits = self.versions.iter().any(|offered| offered == version);
        (!fits || numbers(version) < numbers(default)).then_some(default).filter(|default| *default != version)
    }
}

/// `v1.19.0-eksbuild.10` in an order in which ten comes after nine.
fn numbers(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

async fn offered(session: &Session, name: &str, minor: u32) -> Result<Offered, CloudError> {
    let version = format!("1.{minor}");
    let call = session.eks.describe_addon_versions().addon_name(name).kubernetes_version(&version);
    let mut pages = call.into_paginator().items().send();
    let mut offered = Offered::default();
    while let Some(addon) = pages.next().await {
        let addon = addon.map_err(from_sdk)?;
        for info in addon.addon_versions() {
            let fits = info.compatibilities().iter().find(|fits| fits.cluster_version() == Some(version.as_str()));
            let (Some(fits), Some(known)) = (fits, info.addon_version()) else { continue };
            offered.versions.push(known.to_owned());
            if fits.default_version() {
                offered.default = Some(known.to_owned());
            }
        }
    }
    Ok(offered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addon(name: &str, status: &str) -> Addon {
        let addon = aws_sdk_eks::types::Addon::builder().addon_name(name).addon_version("v1.0.0-eksbuild.1");
        read(&addon.status(AddonStatus::from(status)).build()).unwrap()
    }

    #[test]
    fn all_core_add_ons_have_to_be_well() {
        let all = CORE.map(|name| addon(name, "ACTIVE"));
        assert!(are_whole(&all));
        assert!(!are_whole(&all[1..]));
        for status in ["CREATING", "UPDATING", "DEGRADED", "CREATE_FAILED", "UPDATE_FAILED", "DELETING", "RESTING"] {
            let mut one = all.to_vec();
            one[2] = addon(CORE[2], status);
            assert!(!are_whole(&one), "{status}");
        }
        let unwell = addon("coredns", "DEGRADED");
        assert!(unwell.is_degraded && !unwell.is_busy, "a change may be what it waits for");
        assert!(addon("coredns", "CREATE_FAILED").is_stillborn);
        assert!(!addon("coredns", "UPDATE_FAILED").is_stillborn);
    }

    #[test]
    fn an_add_on_changes_when_it_is_older_than_the_default_or_does_not_fit() {
        let offered = Offered {
            versions: ["v1.9.0-eksbuild.1", "v1.10.0-eksbuild.2", "v1.10.0-eksbuild.10"].map(str::to_owned).to_vec(),
            default: Some("v1.10.0-eksbuild.2".to_owned()),
        };
        assert_eq!(offered.better_than("v1.9.0-eksbuild.1"), offered.default.as_deref());
        assert_eq!(offered.better_than("v1.10.0-eksbuild.2"), None);
        assert_eq!(offered.better_than("v1.10.0-eksbuild.10"), None, "newer, and fits");
        assert_eq!(offered.better_than("v1.11.0-eksbuild.1"), offered.default.as_deref(), "newer, and does not fit");
        assert_eq!(Offered::default().better_than("v1.9.0-eksbuild.1"), None, "nothing is known");
    }
}
