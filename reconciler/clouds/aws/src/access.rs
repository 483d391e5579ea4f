//! Who may talk to the API of a cluster, and which role its services have.
//!
//! Who may is a setting of the account, not of the cluster: its hash is in the mark, so that a changed setting is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_eks::types::{AccessScope, AccessScopeType};
use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{ErrorClass, Phase, Resource, Step};
use fleetwright_schema::documents::AwsAccount;
use fleetwright_schema::set::ClusterSpec;

use crate::control_plane::{Live, ours, ours_to_change, tag, untag};
use crate::error::{error, found, from_sdk, settled};
use crate::identity::Role;
use crate::marks::{self, Mark};
use crate::owner::{Owner, Tags, applied_of};
use crate::session::Session;
use crate::side_by_side::side_by_side;

/// Where the services of a cluster run that write its logs, and as whom.
const NAMESPACE: &str = "fleetwright-system";
const SERVICE_ACCOUNT: &str = "log-writer";

/// One of EKS's own policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Policy {
    Admin,
    Reader,
}

impl Policy {
    const fn name(self) -> &'static str {
        match self {
            Self::Admin => "AmazonEKSClusterAdminPolicy",
            Self::Reader => "AmazonEKSAdminViewPolicy",
        }
    }
    fn arn(self, partition: &str) -> String {
        format!("arn:{partition}:eks::aws:cluster-access-policy/{}", self.name())
    }
    const fn other(self) -> Self {
        match self {
            Self::Admin => Self::Reader,
            Self::Reader => Self::Admin,
        }
    }
}

/// Who may do what, by principal. Who is in both lists may do anything.
fn wanted(account: &AwsAccount) -> BTreeMap<String, Policy> {
    let readers = account.readers.iter().map(|arn| (arn.clone(), Policy::Reader));
    readers.chain(account.admins.iter().map(|arn| (arn.clone(), Policy::Admin))).collect()
}

fn sum(wanted: &BTreeMap<String, Policy>) -> String {
    let lines: Vec<String> = wanted.iter().map(|(arn, policy)| format!("{arn} {}", policy.name())).collect();
    marks::sum(lines.iter().map(String::as_str))
}

/// What a reading tells of access.
pub async fn look_access(session: &Session, live: &Live) -> Result<Option<Resource>, CloudError> {
    let Some(mark) = Mark::of(&live.tags, Step::Access) else { return Ok(None) };
    let wanted = wanted(&session.account);
    let mut whole = mark.sum == sum(&wanted);
    // At each look: seen now and then only, what lacks would be told and untold in turns.
    if whole && !wanted.is_empty() {
        let there = principals(session, live).await?;
        whole = wanted.keys().all(|arn| there.contains(arn));
    }
    Ok(Some(live.resource(Step::Access, Phase::Ready, if whole { &mark.print } else { "" })))
}

/// What a reading tells of secrets.
pub async fn look_secrets(session: &Session, live: &Live) -> Result<Option<Resource>, CloudError> {
    let Some(mark) = Mark::of(&live.tags, Step::Secrets) else { return Ok(None) };
    let whole = association(session, live).await?.is_some();
    Ok(Some(live.resource(Step::Secrets, Phase::Ready, if whole { &mark.print } else { "" })))
}

/// What an action on a child of a control plane comes to: all of them are made as they are changed.
enum Wish<'a> {
    Bring { id: &'a str, fingerprint: &'a str, spec: &'a ClusterSpec },
    Delete { id: &'a str },
}

fn wish(action: &Action) -> Result<Wish<'_>, CloudError> {
    match &action.effect {
        // A control plane is among the parents of each, and its id is the one that EKS gave.
        Effect::Create { fingerprint, spec, parents, token: _, cidr: _ } => {
            let plane = parents.iter().find(|id| id.contains(":eks:"));
            Ok(Wish::Bring { id: plane.map(|id| &**id).unwrap_or_default(), fingerprint, spec })
        }
        Effect::Update { id, fingerprint, spec, token: _ } => Ok(Wish::Bring { id, fingerprint, spec }),
        Effect::Delete { id } => Ok(Wish::Delete { id }),
        Effect::Drain { .. } | Effect::OpenPlacement { .. } => {
            Err(error(ErrorClass::Invalid, "NotPossible", format!("{action} is no action on this part")))
        }
    }
}

/// One short step.
pub async fn perform_access(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    match wish(action)? {
        Wish::Bring { id, fingerprint, spec } => {
            let live = ours_to_change(session, action, id).await?;
            let wanted = wanted(&session.account);
            let there = principals(session, &live).await?;
            for (arn, policy) in &wanted {
                enter(session, &live, arn, *policy, there.contains(arn), &spec.tags).await?;
            }
            let spare = there.into_iter().filter(|arn| !wanted.contains_key(arn)).collect();
            expel(session, &live, spare).await?;
            mark(session, &live, Step::Access, fingerprint, sum(&wanted)).await
        }
        Wish::Delete { id } => {
            let Some(live) = ours(session, action, id).await? else { return Ok(Progress::Done) };
            let there = principals(session, &live).await?;
            expel(session, &live, there).await?;
            unmark(session, &live, Step::Access).await
        }
    }
}

async fn mark(
    session: &Session,
    live: &Live,
    step: Step,
    fingerprint: &str,
    sum: String,
) -> Result<Progress, CloudError> {
    let mark = Mark { print: fingerprint.to_owned(), sum };
    tag(session, &live.arn, Tags::from([(applied_of(step), mark.text())])).await?;
    Ok(Progress::Done)
}

async fn unmark(session: &Session, live: &Live, step: Step) -> Result<Progress, CloudError> {
    untag(session, &live.arn, vec![applied_of(step)]).await?;
    Ok(Progress::Done)
}

/// All who may enter, whoever let them in.
async fn principals(session: &Session, live: &Live) -> Result<BTreeSet<String>, CloudError> {
    let call = session.eks.list_access_entries().cluster_name(live.name()).max_results(100);
    let mut pages = call.into_paginator().items().send();
    let mut principals = BTreeSet::new();
    while let Some(arn) = pages.next().await {
        principals.insert(arn.map_err(from_sdk)?);
    }
    Ok(principals)
}

async fn enter(
    session: &Session,
    live: &Live,
    arn: &str,
    policy: Policy,
    there: bool,
    of_set: &Tags,
) -> Result<(), CloudError> {
    let mut may = BTreeSet::new();
    match there {
        true => may = policies(session, live, arn).await?,
        false => {
            let tags = live.owner.tags(Step::Access, of_set);
            let call = session.eks.create_access_entry().cluster_name(live.name()).principal_arn(arn);
            let made = call.set_tags(Some(tags.into_iter().collect())).send().await.map_err(from_sdk);
            settled(made, ErrorClass::Conflict)?;
        }
    }
    let (own, other) = (policy.arn(session.partition()), policy.other().arn(session.partition()));
    if !may.contains(&own) {
        let scope = AccessScope::builder().r#type(AccessScopeType::Cluster).build();
        let call = session.eks.associate_access_policy().cluster_name(live.name()).principal_arn(arn);
        call.policy_arn(own).access_scope(scope).send().await.map_err(from_sdk)?;
    }
    if may.contains(&other) && is_ours(session, live, arn).await? {
        let call = session.eks.disassociate_access_policy().cluster_name(live.name()).principal_arn(arn);
        settled(call.policy_arn(other).send().await.map_err(from_sdk), ErrorClass::NotFound)?;
    }
    Ok(())
}

/// The policies that a principal has on the whole cluster: one that holds for some namespaces is not what is wanted.
async fn policies(session: &Session, live: &Live, arn: &str) -> Result<BTreeSet<String>, CloudError> {
    let call = session.eks.list_associated_access_policies().cluster_name(live.name()).principal_arn(arn);
    let mut pages = call.into_paginator().items().send();
    let mut policies = BTreeSet::new();
    while let Some(policy) = pages.next().await {
        let policy = policy.map_err(from_sdk)?;
        let whole = policy.access_scope().and_then(|scope| scope.r#type()) == Some(&AccessScopeType::Cluster);
        policies.extend(policy.policy_arn().filter(|_| whole).map(str::to_owned));
    }
    Ok(policies)
}

async fn is_ours(session: &Session, live: &Live, arn: &str) -> Result<bool, CloudError> {
    let call = session.eks.describe_access_entry().cluster_name(live.name()).principal_arn(arn);
    let reply = found(call.send().await.map_err(from_sdk))?.and_then(|reply| reply.access_entry);
    let tags: Option<Tags> = reply.and_then(|entry| entry.tags).map(|tags| tags.into_iter().collect());
    Ok(tags.and_then(|tags| Owner::from_tags(&tags)).as_ref() == Some(&live.owner))
}

/// Deletes those entries that we made; who made the cluster, its nodes and other people's entries stay.
async fn expel(session: &Arc<Session>, live: &Live, principals: BTreeSet<String>) -> Result<(), CloudError> {
    let asked = principals.into_iter().map(|arn| (Arc::clone(session), live.clone(), arn));
    let all = side_by_side(asked, |(session, live, arn)| async move {
        if is_ours(&session, &live, &arn).await? {
            let call = session.eks.delete_access_entry().cluster_name(live.name()).principal_arn(arn);
            settled(call.send().await.map_err(from_sdk), ErrorClass::NotFound)?;
        }
        Ok(())
    });
    all.await.map(|_| ())
}

/// One short step.
pub async fn perform_secrets(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    match wish(action)? {
        Wish::Bring { id, fingerprint, spec } => {
            let live = ours_to_change(session, action, id).await?;
            match association(session, &live).await? {
                None => associate(session, &live, &spec.tags).await?,
                Some(id) => reassociate(session, &live, &id).await?,
            }
            mark(session, &live, Step::Secrets, fingerprint, String::new()).await
        }
        Wish::Delete { id } => {
            let Some(live) = ours(session, action, id).await? else { return Ok(Progress::Done) };
            if let Some(id) = association(session, &live).await? {
                let call = session.eks.delete_pod_identity_association().cluster_name(live.name()).association_id(id);
                settled(call.send().await.map_err(from_sdk), ErrorClass::NotFound)?;
            }
            unmark(session, &live, Step::Secrets).await
        }
    }
}

/// The id of the association, which is ours by its namespace.
async fn association(session: &Session, live: &Live) -> Result<Option<String>, CloudError> {
    let call = session.eks.list_pod_identity_associations().cluster_name(live.name());
    let reply = call.namespace(NAMESPACE).service_account(SERVICE_ACCOUNT).send().await.map_err(from_sdk)?;
    Ok(reply.associations().first().and_then(|association| association.association_id()).map(str::to_owned))
}

async fn associate(session: &Session, live: &Live, of_set: &Tags) -> Result<(), CloudError> {
    let tags = live.owner.tags(Step::Secrets, of_set);
    let made = session
        .eks
        .create_pod_identity_association()
        .cluster_name(live.name())
        .namespace(NAMESPACE)
        .service_account(SERVICE_ACCOUNT)
        .role_arn(Role::Services.arn(session, &live.owner.cluster))
        .set_tags(Some(tags.into_iter().collect()))
        .send()
        .await;
    settled(made.map_err(from_sdk), ErrorClass::Conflict).map(|_| ())
}

async fn reassociate(session: &Session, live: &Live, id: &str) -> Result<(), CloudError> {
    let role = Role::Services.arn(session, &live.owner.cluster);
    let call = session.eks.describe_pod_identity_association().cluster_name(live.name()).association_id(id);
    let reply = call.send().await.map_err(from_sdk)?;
    if reply.association().and_then(|association| association.role_arn()) == Some(role.as_str()) {
        return Ok(());
    }
    let call = session.eks.update_pod_identity_association().cluster_name(live.name()).association_id(id);
    call.role_arn(role).send().await.map_err(from_sdk).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_both_lists_may_do_anything_and_a_changed_list_is_another_sum() {
        let arn = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
        let account = |admins: &[&str], readers: &[&str]| AwsAccount {
            admins: admins.iter().map(|name| arn(name)).collect(),
            readers: readers.iter().map(|name| arn(name)).collect(),
            ..AwsAccount::default()
        };
        let both = wanted(&account(&["a"], &["b", "a"]));
        assert_eq!(both, BTreeMap::from([(arn("a"), Policy::Admin), (arn("b"), Policy::Reader)]));
        assert_eq!(sum(&both), sum(&wanted(&account(&["a"], &["b"]))));
        assert_ne!(sum(&both), sum(&wanted(&account(&["b"], &["a"]))));
        assert_ne!(sum(&both), sum(&wanted(&account(&["a"], &[]))));
    }

    #[test]
    fn policies_are_of_the_partition() {
        let arn = "arn:aws-us-gov:eks::aws:cluster-access-policy/AmazonEKSAdminViewPolicy";
        assert_eq!(Policy::Reader.arn("aws-us-gov"), arn);
    }
}
