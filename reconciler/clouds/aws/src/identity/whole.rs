//! Whether the roles of a cluster still are what was made: who may take them, and AWS's own policies that they carry.
//!
//! Who may take a role is in the list of every pass. For each of AWS's policies there is a list of the roles below a path
//! that carry it: four lists, however many clusters there are, and nothing is read of anybody else's roles, as it would be
//! with `GetAccountAuthorizationDetails`. What a role's own policy says only a call for each role tells: it is written
//! with each update, and not looked at in between.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::types::EntityType;
use fleetwright_clouds::CloudError;
use serde_json::Value;

use super::{Found, Marked, Role, id, resource, role};
use crate::drift::{Difference, Differing};
use crate::error::from_sdk;
use crate::session::Session;

/// The names of the roles that carry each of AWS's policies, by its ARN.
type Carriers = BTreeMap<String, BTreeSet<String>>;

/// Those of these identities that were whole and are not.
pub async fn differing(session: &Session, clusters: impl Iterator<Item = &Marked>) -> Result<Differing, CloudError> {
    let was_whole = |roles: &&Marked| resource(roles).is_some_and(|identity| !identity.applied.is_empty());
    let were_whole: Vec<&Marked> = clusters.filter(was_whole).collect();
    if were_whole.is_empty() {
        return Ok(Differing::new());
    }
    let carriers = carriers(session).await?;
    let differs = |roles: &Marked| {
        let (_, (first, mark)) = roles.iter().next()?;
        let what = roles.iter().find_map(|(which, (found, _))| lacks(session, *which, found, &carriers))?;
        Some((id(first).into(), Difference { cluster: mark.owner.cluster.clone(), what }))
    };
    Ok(were_whole.into_iter().filter_map(differs).collect())
}

fn lacks(session: &Session, which: Role, found: &Found, carriers: &Carriers) -> Option<String> {
    let name = found.role_name();
    if !trusts(session, found, which) {
        return Some(format!("others may take the role {name}"));
    }
    let carries = |arn: &String| carriers.get(arn).is_some_and(|roles| roles.contains(name));
    let lacking = which.managed_policies(session.partition()).into_iter().find(|arn| !carries(arn))?;
    Some(format!("the role {name} lacks {lacking}"))
}

async fn carriers(session: &Session) -> Result<Carriers, CloudError> {
    let policies = Role::ALL.into_iter().flat_map(|role| role.managed_policies(session.partition()));
    let mut all = Carriers::new();
    for arn in policies {
        let roles = carrying(session, &arn).await?;
        all.insert(arn, roles);
    }
    Ok(all)
}

async fn carrying(session: &Session, arn: &str) -> Result<BTreeSet<String>, CloudError> {
    let mut names = BTreeSet::new();
    let ask = session.iam.list_entities_for_policy().policy_arn(arn).path_prefix(role::path(session));
    let mut pages = ask.entity_filter(EntityType::Role).max_items(super::PAGE_ITEMS_MAX);
    loop {
        let page = pages.clone().send().await.map_err(from_sdk)?;
        names.extend(page.policy_roles.into_iter().flatten().filter_map(|role| role.role_name));
        match page.marker.filter(|_| page.is_truncated) {
            Some(marker) => pages = pages.marker(marker),
            None => return Ok(names),
        }
    }
}

/// Whether those may take a role who are to, and nobody else.
pub fn trusts(session: &Session, role: &Found, which: Role) -> bool {
    let has = role.assume_role_policy_document().map(unescaped);
    has.and_then(|text| serde_json::from_str::<Value>(&text).ok()).as_ref() == Some(&which.trust(session.partition()))
}

/// A document as IAM returns it: with `%7B` for `{`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_with_and_without_escapes() {
        assert_eq!(unescaped("%7B%22a%22%3A%20%22%C3%A9%22%7D"), r#"{"a": "é"}"#);
        assert_eq!(unescaped("{\"a\": 1}"), "{\"a\": 1}");
        assert_eq!(unescaped("100%"), "100%");
        assert_eq!(unescaped("%zz%é"), "%zz%é");
    }
}
