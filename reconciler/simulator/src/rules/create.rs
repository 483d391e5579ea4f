//! Creation: what is asked of a name, a token, parents, addresses and quotas before something is made.

use std::net::Ipv4Addr;
use std::sync::Arc;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::inventory::{Phase, Step};
use fleetwright_schema::set::{ClusterSpec, Feature};
use fleetwright_schema::units::Timestamp;

use super::{Case, Decision, applied};
use crate::chance;
use crate::lifecycle::Life;
use crate::provider::{self, Reason};
use crate::record::{Id, Record};
use crate::state::Change;
use crate::workloads::Serving;

/// One creation before the provider.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) case: Case<'a>,
    pub(super) token: &'a Arc<str>,
    pub(super) fingerprint: &'a Arc<str>,
    pub(super) spec: &'a ClusterSpec,
    pub(super) cidr: Option<&'a Arc<str>>,
    pub(super) parents: &'a [Id],
}

impl Request<'_> {
    pub(super) fn decide(&self) -> Result<Decision, CloudError> {
        self.check_name()?;
        self.check_place()?;
        if let Some(existing) = self.namesake() {
            return self.repeated(existing);
        }
        self.check_parents()?;
        self.check_addresses()?;
        self.check_quota()?;
        Ok(self.make())
    }

    fn step(&self) -> Step {
        self.case.action.key.step
    }
    fn refused(&self, reason: Reason, message: String) -> CloudError {
        self.case.refused(reason, message)
    }
    /// A network that is given is not made; the cluster is only noted on it.
    fn is_association(&self) -> bool {
        self.step() == Step::Network && self.spec.features.contains(&Feature::Byon)
    }
    fn takes_token(&self) -> bool {
        provider::facts(self.case.action.place.cloud, self.step()).unique || self.is_association()
    }
    /// Everything that was asked for, without what other steps take from the spec.
    fn params(&self) -> u64 {
        let Self { case, token: _, fingerprint, spec, cidr, parents } = self;
        let own = match self.step() {
            Step::Network => serde_json::to_string(&(&spec.network, self.is_association())),
            Step::ControlPlane => serde_json::to_string(&(&spec.kubernetes_version, &spec.features)),
            Step::NodePools => serde_json::to_string(&spec.node_pools),
            Step::InfraServices => serde_json::to_string(&spec.infra_services),
            Step::Identity | Step::LogStream | Step::Access | Step::Secrets | Step::Leftovers => Ok(String::new()),
        };
        let own = own.unwrap_or_default();
        // Only networks have addresses, whatever else a caller sends the block with.
        let cidr = cidr.filter(|_| self.step() == Step::Network).map_or("", |cidr| &**cidr);
        let first: [&str; 3] = [fingerprint, cidr, &own];
        let parts: Vec<&str> = first.into_iter().chain(parents.iter().map(|id| &**id)).collect();
        chance::hash(case.state.seed, &parts)
    }

    fn check_name(&self) -> Result<(), CloudError> {
        let (name, cloud) = (self.case.action.key.cluster.as_str(), self.case.action.place.cloud);
        let length_max = cloud.cluster_name_length_max();
        match name.len() <= length_max {
            true => Ok(()),
            false => Err(self.refused(Reason::Invalid, format!("{name} is longer than {length_max} characters"))),
        }
    }
    fn check_place(&self) -> Result<(), CloudError> {
        let (place, set) = (&self.case.action.place, &self.case.action.set);
        if place.region.facts(place.cloud).is_none() {
            return Err(self.refused(Reason::Invalid, format!("{} has no region {}", place.cloud, place.region)));
        }
        if self.step() == Step::Leftovers {
            return Err(self.refused(Reason::Invalid, "what a cluster makes by itself is not created".to_owned()));
        }
        match (set.location.cloud, &set.location.region) == (place.cloud, &place.region) {
            true => Ok(()),
            false => Err(self.refused(Reason::Invalid, format!("{set} is not in {place}"))),
        }
    }

    fn namesake(&self) -> Option<&Record> {
        let Case { state, action, now } = self.case;
        let mut namesakes = state.of(&action.place, &action.key.cluster, self.step());
        namesakes.find(|record| self.takes_token() && record.phase(now).is_some())
    }
    /// The name is taken. The one who took it, and asks for the same again, is told how far it is.
    fn repeated(&self, existing: &Record) -> Result<Decision, CloudError> {
        let id = &existing.id;
        let taken = |why: &str| Err(self.refused(Reason::Exists, format!("{id} exists already{why}")));
        match (existing.token.as_ref() == Some(self.token), existing.phase(self.case.now)) {
            (false, _) => taken(""),
            (true, _) if existing.params != self.params() => {
                Err(self.refused(Reason::TokenMismatch, format!("the token of {id} came with other parameters")))
            }
            (true, Some(Phase::Creating)) => Ok(self.case.nothing_to_do(id, Progress::InProgress)),
            (true, Some(Phase::Ready | Phase::Updating)) => Ok(self.case.nothing_to_do(id, Progress::Done)),
            (true, Some(Phase::Failed)) => taken(", and has failed"),
            (true, Some(Phase::Deleting) | None) => taken(", and is being deleted"),
        }
    }

    /// The parents are exactly one resource of each step that this step is made in, of the same cluster, and ready.
    fn check_parents(&self) -> Result<(), CloudError> {
        let mut missing: Vec<Step> = self.step().parents().to_vec();
        for id in self.parents {
            let parent = self.check_parent(id)?;
            let Some(position) = missing.iter().position(|step| *step == parent.step) else {
                return Err(self.refused(Reason::Invalid, format!("{id} is no parent of {}", self.step())));
            };
            missing.remove(position);
        }
        match missing.first() {
            None => Ok(()),
            Some(step) => Err(self.refused(Reason::Invalid, format!("{} need a {step}", self.step()))),
        }
    }
    fn check_parent(&self, id: &str) -> Result<&Record, CloudError> {
        let Case { state, action, now } = self.case;
        let parent = state.get(id).and_then(|parent| Some((parent, parent.phase(now)?)));
        let Some((parent, phase)) = parent.filter(|(parent, _)| parent.place == action.place) else {
            return Err(self.refused(Reason::NotFound, format!("there is no {id}")));
        };
        match phase {
            _ if parent.cluster != action.key.cluster => {
                Err(self.refused(Reason::Invalid, format!("{id} is of {}", parent.cluster)))
            }
            Phase::Ready => Ok(parent),
            // It will be usable again by itself, unlike one that is not ready yet, which nobody should build on.
            Phase::Updating => Err(self.refused(Reason::InUse, format!("{id} is being updated"))),
            Phase::Creating | Phase::Failed | Phase::Deleting => {
                Err(self.refused(Reason::Invalid, format!("{id} is not ready, but {phase:?}")))
            }
        }
    }

    fn check_addresses(&self) -> Result<(), CloudError> {
        match (self.step(), self.is_association(), self.cidr) {
            (Step::Network, true, None) => Ok(()),
            (Step::Network, true, Some(_)) => {
                Err(self.refused(Reason::Invalid, "a given network has its own addresses".to_owned()))
            }
            (Step::Network, false, None) => {
                Err(self.refused(Reason::Invalid, "a network needs a block of addresses".to_owned()))
            }
            (Step::Network, false, Some(cidr)) => self.check_overlap(cidr),
            _ => Ok(()),
        }
    }
    /// Only doubled networks of one cluster may overlap: an AWS account takes such VPCs, and nobody may route to both.
    fn check_overlap(&self, cidr: &str) -> Result<(), CloudError> {
        let Case { state, action, .. } = self.case;
        let Some(block) = Block::parse(cidr) else {
            return Err(self.refused(Reason::Invalid, format!("{cidr:?} is no block of IPv4 addresses")));
        };
        let mut others = state.networks(&action.place).filter(|other| other.cluster != action.key.cluster);
        let overlaps = |other: &Record| other.cidr.as_deref().and_then(Block::parse).is_some_and(|o| o.overlaps(block));
        match others.find(|other| overlaps(other)) {
            None => Ok(()),
            Some(other) => Err(self.refused(Reason::Invalid, format!("{cidr} overlaps with {}", other.id))),
        }
    }
    fn check_quota(&self) -> Result<(), CloudError> {
        let Case { state, action, now } = self.case;
        let (place, step) = (&action.place, self.step());
        let lowered = state.faults.quota(place, step, now);
        let limit = lowered.or_else(|| provider::quota(place.cloud, step));
        match limit {
            Some(limit) if state.count(place, step) >= limit => {
                Err(self.refused(Reason::Quota, format!("{place} has {limit} {step}s, and may have no more")))
            }
            _ => Ok(()),
        }
    }

    fn make(&self) -> Decision {
        let Case { state, action, now } = self.case;
        let generation = state.generation(&action.key.cluster, self.step()) + 1;
        let id = self.new_id(generation);
        let spent = state.faults.failure(&self.case.call(), now);
        let fails = spent.is_some() || self.fails_by_chance(&id);
        let ready_at = now.plus(self.case.latency(&id, ""));
        let record = self.record(&id, generation, Life::Made { ready_at, fails });
        let mut changes = vec![Change::Put(Box::new(record))];
        changes.extend(spent.map(|id| Change::Used { id }));
        if !fails {
            changes.extend(self.serving_changes(ready_at));
        }
        self.case.done(&id, changes, Progress::InProgress)
    }
    fn new_id(&self, generation: u32) -> Id {
        let Case { state, action, .. } = self.case;
        let own = provider::id(state.seed, &action.place, &action.key.cluster, self.step(), generation);
        if !self.is_association() {
            return own;
        }
        let location = &action.set.location;
        let tagged = format!("byon/{}/{}", location.env, action.set.cluster_type);
        let given = self.spec.network.existing.as_ref().unwrap_or(&tagged);
        format!("{given}/association/{:08x}", chance::hash(state.seed, &[&own]) >> 32).into()
    }
    fn fails_by_chance(&self, id: &str) -> bool {
        let Case { state, action, now } = self.case;
        let odds = state.faults.odds(&action.place, now).unwrap_or_default();
        chance::hash(state.seed, &[id, "fails"]) % 1000 < u64::from(odds.become_failed_per_mille)
    }
    fn record(&self, id: &Id, generation: u32, life: Life) -> Record {
        let Case { state, action, now } = self.case;
        let load = || u32::try_from(chance::between(5, 40, state.seed, &[id, "load"])).unwrap_or(5);
        Record {
            id: Arc::clone(id),
            place: action.place.clone(),
            step: self.step(),
            cluster: action.key.cluster.clone(),
            set: action.set.clone(),
            ordinal: action.ordinal,
            generation,
            token: self.takes_token().then(|| Arc::clone(self.token)),
            params: self.params(),
            created_at: now,
            since: now,
            life,
            applied: applied(self.step(), self.fingerprint, self.spec),
            uses: self.parents.to_vec(),
            cidr: self.cidr.filter(|_| self.step() == Step::Network).cloned(),
            maker: None,
            serving: (self.step() == Step::ControlPlane).then(|| Serving::new(load())),
            wire: None,
        }
    }
    /// With its infra services, a cluster begins to serve.
    fn serving_changes(&self, ready_at: Timestamp) -> Vec<Change> {
        let Case { state, action, .. } = self.case;
        if self.step() != Step::InfraServices {
            return Vec::new();
        }
        let control_planes = state.of(&action.place, &action.key.cluster, Step::ControlPlane);
        control_planes.flat_map(|control_plane| self.case.scene().serves_from(control_plane, ready_at)).collect()
    }
}

/// A block of IPv4 addresses, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    first: u32,
    last: u32,
}

impl Block {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let first = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
        let hosts = u32::MAX.checked_shr(prefix).unwrap_or(0);
        (first & hosts == 0).then_some(Self { first, last: first | hosts })
    }
    const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_strictly() {
        assert_eq!(Block::parse("10.1.0.0/16"), Some(Block { first: 0x0a01_0000, last: 0x0a01_ffff }));
        assert_eq!(Block::parse("0.0.0.0/0"), Some(Block { first: 0, last: u32::MAX }));
        for wrong in ["10.1.0.1/16", "10.1.0.0/33", "10.1.0.0", "10.1.0/16", "::/0", ""] {
            assert_eq!(Block::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn blocks_overlap_when_they_share_an_address() {
        let block = |text| Block::parse(text).unwrap();
        assert!(block("10.0.0.0/8").overlaps(block("10.1.0.0/16")));
        assert!(!block("10.0.0.0/16").overlaps(block("10.1.0.0/16")));
    }
}
