//! Names for contents: revisions of specs, and what a part of a cluster was made from. No decision rests on a hash
//! alone: classes come from differences; a fingerprint only tells whether a part was already brought to a spec.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use fleetwright_schema::names::ClusterName;
use fleetwright_schema::set::ClusterSpec;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::inventory::Step;

/// The first digits of the SHA-256 of a value's JSON; field order is that of the type, so it is stable.
pub fn digest(value: &impl Serialize, digits: usize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    let hash = Sha256::digest(&json);
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(digits)
        .filter_map(|n| char::from_digit(n.into(), 16))
        .collect()
}

/// The name of a spec: ten hexadecimal digits.
pub fn revision(spec: &ClusterSpec) -> String {
    digest(spec, 10)
}

/// What a step of a cluster is made from, in sixteen digits.
fn step_fingerprint(step: Step, spec: &ClusterSpec) -> Arc<str> {
    let ClusterSpec { kubernetes_version, features, node_pools, infra_services, network, tags } = spec;
    let text = match step {
        Step::Network => digest(&(features, network, tags), 16),
        Step::Identity | Step::LogStream | Step::Secrets => digest(&(step, tags), 16),
        Step::ControlPlane => digest(&(kubernetes_version, features, tags), 16),
        Step::NodePools => digest(&(kubernetes_version, node_pools, tags), 16),
        Step::Access => digest(&step, 16),
        Step::InfraServices => digest(&infra_services, 16),
        Step::Leftovers => String::new(),
    };
    text.into()
}

/// The idempotency token of a create or update: the same for the same content, so that a repeated request is one.
pub fn token(cluster: &ClusterName, step: Step, fingerprint: &str) -> Arc<str> {
    digest(&(cluster, step, fingerprint), 32).into()
}

/// The fingerprints of all steps that build a cluster, in the order of [`Step::BUILD`].
pub type Fingerprints = Rc<[Arc<str>; 8]>;

/// Fingerprints by revision, computed once: thousands of clusters share few specs. Only speed depends on it.
#[derive(Debug, Default)]
pub struct Memo(RefCell<BTreeMap<String, (ClusterSpec, Fingerprints)>>);

/// More revisions than any fleet has at once; beyond it the memo begins anew.
const MEMO_ENTRIES_MAX: usize = 4096;

impl Memo {
    /// The fingerprints of a spec with this revision.
    pub fn fingerprints(&self, revision: &str, spec: &ClusterSpec) -> Fingerprints {
        if let Some((known, prints)) = self.0.borrow().get(revision)
            && known == spec
        {
            return Rc::clone(prints);
        }
        let prints: Fingerprints = Rc::new(Step::BUILD.map(|step| step_fingerprint(step, spec)));
        let mut memo = self.0.borrow_mut();
        if memo.len() >= MEMO_ENTRIES_MAX {
            memo.clear();
        }
        memo.insert(revision.to_owned(), (spec.clone(), Rc::clone(&prints)));
        prints
    }
}
