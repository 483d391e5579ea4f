//! Roles: of the control plane, of the nodes, of the services in the cluster.
//!
//! A list of roles shows neither tags nor policies. So each role says in its description whose it is, and that of the
//! control plane says last from what the whole was made. What is not whole (one is missing, or the mark is) is told as
//! begun, and is taken up again by the next update.
//!
//! IAM is eventually consistent, in both directions. For a while after
//! - a role was made, a list may lack it, and `GetRole` too: it is made again, IAM says that it is there, and the next
//!   plan looks;
//! - the mark was written, a list may show the old one: it is written again, which changes nothing;
//! - a role was deleted, a list may still show it: it is deleted again, and there is nothing to delete;
//! - a role was made, EKS may not be able to take it yet: the control plane's creation is refused, and tried again.
//!
//! None of these makes anything twice, since the name of a role is unique in its account.

mod mark;
mod role;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_iam::types::Tag;
use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{ErrorClass, Phase, Resource, Step};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::Timestamp;

use crate::drift::{self, Drift};
use crate::error::{error, found, from_sdk, settled};
use crate::marks::{TagChange, with_list};
use crate::owner::{Owner, Tags};
use crate::session::Session;

use mark::Mark;
pub use role::Role;

/// As many as one page holds.
const PAGE_ITEMS_MAX: i32 = 1000;

/// A role as it is read.
type Found = aws_sdk_iam::types::Role;

/// The roles of a cluster, in the order of [`Role::ALL`], without those that are not there.
type Roles = BTreeMap<Role, Found>;

/// The roles of a cluster, with what their descriptions say.
type Marked = BTreeMap<Role, (Found, Mark)>;

/// All identities of ours; what somebody changed in one that was whole is told as begun, as far as that was looked for.
pub async fn observe(session: &Arc<Session>, drift: &Drift) -> Result<Vec<Resource>, CloudError> {
    let clusters = list(session).await?;
    let identities = clusters.values().filter_map(resource).collect();
    let differing = drift.of(&session.place, whole::differing(session, clusters.values())).await;
    Ok(drift::told(identities, &differing))
}

async fn list(session: &Session) -> Result<BTreeMap<ClusterName, Marked>, CloudError> {
    let mut clusters: BTreeMap<ClusterName, Marked> = BTreeMap::new();
    let mut pages = session.iam.list_roles().path_prefix(role::path(session)).max_items(PAGE_ITEMS_MAX);
    loop {
        let page = pages.clone().send().await.map_err(from_sdk)?;
        for found in page.roles {
            let Some(mark) = found.description().and_then(Mark::parse) else { continue };
            let which = Role::ALL.into_iter().find(|role| role.name(&mark.owner.cluster) == found.role_name());
            let Some(which) = which else { continue };
            clusters.entry(mark.owner.cluster.clone()).or_default().insert(which, (found, mark));
        }
        match page.marker.filter(|_| page.is_truncated) {
            Some(marker) => pages = pages.marker(marker),
            None => return Ok(clusters),
        }
    }
}

fn resource(roles: &Marked) -> Option<Resource> {
    let (first, Mark { owner, applied }) = roles.values().next()?;
    let whole = roles.len() == Role::ALL.len() && roles.values().all(|(_, mark)| mark.owner == *owner);
    Some(Resource {
        id: id(first).into(),
        step: Step::Identity,
        cluster: owner.cluster.clone(),
        set: owner.set.clone(),
        ordinal: owner.ordinal,
        phase: Phase::Ready,
        applied: if whole { applied.as_str().into() } else { "".into() },
        created_at: Timestamp::from_unix_seconds(first.create_date().secs()),
        uses: Vec::new(),
        control_plane: None,
        node_pools: Vec::new(),
        infra_services: Vec::new(),
    })
}

/// A role that is deleted and made again has the same name and another id.
fn id(role: &Found) -> String {
    format!("{}@{}", role.arn(), role.role_id())
}

/// One short step.
pub async fn perform(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    let owner = Owner::of(action);
    let roles = look(session, &owner).await?;
    match &action.effect {
        Effect::Create { fingerprint, spec, .. } => make(session, &owner, roles, &spec.tags, fingerprint).await,
        Effect::Update { id, fingerprint, spec, .. } => {
            match roles.values().next().is_some_and(|r| self::id(r) == **id) {
                true => make(session, &owner, roles, &spec.tags, fingerprint).await,
                false => Err(another(id)),
            }
        }
        Effect::Delete { id } => match roles.values().next() {
            None => Ok(Progress::Done),
            Some(first) if self::id(first) == **id => delete(session, &owner, &roles).await,
            Some(_) => Err(another(id)),
        },
        Effect::Drain { .. } | Effect::OpenPlacement { .. } => {
            Err(error(ErrorClass::Invalid, "NotOfThisStep", "an identity takes no workloads"))
        }
    }
}

/// The roles of a cluster as they are now, all of them ours.
async fn look(session: &Session, owner: &Owner) -> Result<Roles, CloudError> {
    let mut roles = Roles::new();
    for which in Role::ALL {
        if let Some(role) = get(session, owner, which).await? {
            roles.insert(which, role);
        }
    }
    Ok(roles)
}

async fn get(session: &Session, owner: &Owner, which: Role) -> Result<Option<Found>, CloudError> {
    let name = which.name(&owner.cluster);
    let reply = found(session.iam.get_role().role_name(&name).send().await.map_err(from_sdk))?;
    let Some(role) = reply.and_then(|reply| reply.role) else { return Ok(None) };
    let ours = Owner::from_tags(&tags_of(&role)).as_ref() == Some(owner) && role.path() == role::path(session);
    match ours {
        true => Ok(Some(role)),
        false => {
            Err(error(ErrorClass::Denied, "NotOurs", format!("the role {name} does not belong to {}", owner.cluster)))
        }
    }
}

fn another(id: &str) -> CloudError {
    error(ErrorClass::Conflict, "AnotherIdentity", format!("{id} is no longer the identity of its cluster"))
}

fn tags_of(role: &Found) -> Tags {
    role.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

/// Makes what is missing, brings the rest to the spec, and writes the mark last.
async fn make(
    session: &Session,
    owner: &Owner,
    mut roles: Roles,
    of_set: &Tags,
    fingerprint: &str,
) -> Result<Progress, CloudError> {
    let wanted = wanted_tags(owner, of_set);
    for which in Role::ALL {
        let role = match roles.remove(&which) {
            Some(role) => role,
            None => create(session, owner, which, &wanted).await?,
        };
        bring_tags(session, &role, &wanted).await?;
        bring_trust(session, &role, which).await?;
        bring_policies(session, owner, which).await?;
        if which != Role::ControlPlane && role.description() != Some(&described(owner, "")) {
            describe(session, owner, which, "").await?;
        }
    }
    describe(session, owner, Role::ControlPlane, fingerprint).await?;
    Ok(Progress::Done)
}

/// IAM takes `Name` and `name` for one key, and ours goes before that of the set.
fn wanted_tags(owner: &Owner, of_set: &Tags) -> Tags {
    let ours = owner.tags(Step::Identity, &Tags::new());
    let taken = |key: &str| ours.keys().any(|own| own.eq_ignore_ascii_case(key));
    let of_set =
        of_set.iter().filter(|(key, _)| !taken(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    with_list(owner.tags(Step::Identity, &of_set), &of_set)
}

fn described(owner: &Owner, applied: &str) -> String {
    Mark { owner: owner.clone(), applied: applied.to_owned() }.to_string()
}

async fn describe(session: &Session, owner: &Owner, which: Role, applied: &str) -> Result<(), CloudError> {
    let update = session.iam.update_role().role_name(which.name(&owner.cluster));
    update.description(described(owner, applied)).send().await.map_err(from_sdk)?;
    Ok(())
}

async fn create(session: &Session, owner: &Owner, which: Role, tags: &Tags) -> Result<Found, CloudError> {
    let request = session
        .iam
        .create_role()
        .role_name(which.name(&owner.cluster))
        .path(role::path(session))
        .description(described(owner, ""))
        .assume_role_policy_document(which.trust(session.partition()).to_string())
        .set_tags(Some(iam_tags(tags.iter())?));
    let made = match request.send().await.map_err(from_sdk) {
        Ok(reply) => reply.role,
        // Made since we looked, by the call whose reply was lost; or by a stranger, which looking tells.
        Err(there) if there.class == ErrorClass::Conflict => Some(get(session, owner, which).await?.ok_or(there)?),
        Err(error) => return Err(error),
    };
    made.ok_or_else(|| error(ErrorClass::UnknownResult, "ReplyNotUnderstood", "no role in the reply"))
}

fn iam_tags<'a>(tags: impl Iterator<Item = (&'a String, &'a String)>) -> Result<Vec<Tag>, CloudError> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let invalid = |why: aws_smithy_types::error::operation::BuildError| {
        error(ErrorClass::Invalid, "RequestNotBuilt", why.to_string())
    };
    tags.map(|pair| tag(pair).map_err(invalid)).collect()
}

/// What leaves the set goes before the list of what came from it is written anew.
async fn bring_tags(session: &Session, role: &Found, wanted: &Tags) -> Result<(), CloudError> {
    let TagChange { set, remove } = TagChange::between(&tags_of(role), wanted);
    if !remove.is_empty() {
        let untag = session.iam.untag_role().role_name(role.role_name()).set_tag_keys(Some(remove));
        untag.send().await.map_err(from_sdk)?;
    }
    if !set.is_empty() {
        let tag = session.iam.tag_role().role_name(role.role_name()).set_tags(Some(iam_tags(set.iter())?));
        tag.send().await.map_err(from_sdk)?;
    }
    Ok(())
}

async fn bring_trust(session: &Session, role: &Found, which: Role) -> Result<(), CloudError> {
    if whole::trusts(session, role, which) {
        return Ok(());
    }
    let update = session.iam.update_assume_role_policy().role_name(role.role_name());
    update.policy_document(which.trust(session.partition()).to_string()).send().await.map_err(from_sdk)?;
    Ok(())
}

async fn bring_policies(session: &Session, owner: &Owner, which: Role) -> Result<(), CloudError> {
    let name = which.name(&owner.cluster);
    let attached = attached_policies(session, &name).await?;
    for arn in which.managed_policies(session.partition()).iter().filter(|arn| !attached.contains(arn)) {
        session.iam.attach_role_policy().role_name(&name).policy_arn(arn).send().await.map_err(from_sdk)?;
    }
    if let Some((policy, document)) = which.inline_policy(session, &owner.cluster) {
        let put = session.iam.put_role_policy().role_name(&name).policy_name(policy);
        put.policy_document(document.to_string()).send().await.map_err(from_sdk)?;
    }
    Ok(())
}

async fn attached_policies(session: &Session, name: &str) -> Result<Vec<String>, CloudError> {
    let mut arns = Vec::new();
    let mut pages = session.iam.list_attached_role_policies().role_name(name).max_items(PAGE_ITEMS_MAX);
    loop {
        let page = pages.clone().send().await.map_err(from_sdk)?;
        arns.extend(page.attached_policies.into_iter().flatten().filter_map(|policy| policy.policy_arn));
        match page.marker.filter(|_| page.is_truncated) {
            Some(marker) => pages = pages.marker(marker),
            None => return Ok(arns),
        }
    }
}

async fn inline_policies(session: &Session, name: &str) -> Result<Vec<String>, CloudError> {
    let mut names = Vec::new();
    let mut pages = session.iam.list_role_policies().role_name(name).max_items(PAGE_ITEMS_MAX);
    loop {
        let page = pages.clone().send().await.map_err(from_sdk)?;
        names.extend(page.policy_names);
        match page.marker.filter(|_| page.is_truncated) {
            Some(marker) => pages = pages.marker(marker),
            None => return Ok(names),
        }
    }
}

/// Takes the mark away first, so that what is half gone never looks whole, and the role that had it last.
async fn delete(session: &Session, owner: &Owner, roles: &Roles) -> Result<Progress, CloudError> {
    let begun = described(owner, "");
    if roles.get(&Role::ControlPlane).is_some_and(|role| role.description() != Some(&begun)) {
        describe(session, owner, Role::ControlPlane, "").await?;
    }
    for role in roles.values().rev() {
        // Gone meanwhile is gone as well.
        settled(strip_and_delete(session, role.role_name()).await, ErrorClass::NotFound)?;
    }
    Ok(Progress::Done)
}

async fn strip_and_delete(session: &Session, name: &str) -> Result<(), CloudError> {
    for arn in attached_policies(session, name).await? {
        let detached = session.iam.detach_role_policy().role_name(name).policy_arn(arn).send().await;
        settled(detached.map_err(from_sdk), ErrorClass::NotFound)?;
    }
    for policy in inline_policies(session, name).await? {
        let deleted = session.iam.delete_role_policy().role_name(name).policy_name(policy).send().await;
        settled(deleted.map_err(from_sdk), ErrorClass::NotFound)?;
    }
    session.iam.delete_role().role_name(name).send().await.map_err(from_sdk)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_s_tag_that_differs_from_ours_in_case_only_gives_way() {
        let set = "prod/aws/eu-west-1/Serving".parse().unwrap();
        let owner = Owner { cluster: "serving-1".parse().unwrap(), set, ordinal: 1 };
        let of_set = [("name", "x"), ("Team", "a")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let tags = wanted_tags(&owner, &of_set.into());
        assert_eq!((tags.get("name"), &*tags["Name"], &*tags["Team"]), (None, "serving-1", "a"));
    }
}
