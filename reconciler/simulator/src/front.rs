//! What a wire front needs of the world: a front that serves a provider's own API, whose clients are somebody else's.
//!
//! The front knows the provider's rules and documents; the world keeps the documents, and lends its clock, its faults,
//! its chance and its file. Networks and roles may live in another emulator, so nothing here asks for parents.
//!
//! A cluster is a control plane of the world. Whatever is in it (node groups, add-ons, who may enter) are *parts*: they
//! count, fail, vanish and show late like any resource of their step, but a listing of steps leaves them out, because
//! there are several of one step.

mod draft;
mod view;

use std::sync::Arc;

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{Phase, Place, Step};
use fleetwright_schema::names::{ClusterName, SetId};
use fleetwright_schema::units::Timestamp;
use serde_json::Value;

pub use draft::{Draft, NewPart};
pub use view::View;

use crate::faults::Call;
use crate::journal::WorldError;
use crate::record::{Record, Verb};
use crate::world::{Inner, World};

/// What a front calls a thing, and as part of which step the world sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `nodegroup`.
    pub name: &'static str,
    /// Faults and quotas of this step apply.
    pub step: Step,
}

/// Something that exists, with the document that the front keeps of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The world's id, never used twice.
    pub id: Arc<str>,
    /// The cluster that it is, or that it is of.
    pub cluster: ClusterName,
    /// The cluster's set.
    pub set: SetId,
    /// The cluster's ordinal.
    pub ordinal: u32,
    /// Its name, unique in its cluster and kind.
    pub name: Arc<str>,
    /// Where it stands.
    pub phase: Phase,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the provider is done with what it does.
    pub ends_at: Option<Timestamp>,
    /// The token that it was made with, and a hash of what was asked for.
    pub token: Option<(Arc<str>, u64)>,
    /// What the front knows.
    pub document: Arc<Value>,
}

impl Part {
    fn of(record: &Record, now: Timestamp) -> Option<Self> {
        let wire = record.wire.as_ref()?;
        Some(Self {
            id: Arc::clone(&record.id),
            cluster: record.cluster.clone(),
            set: record.set.clone(),
            ordinal: record.ordinal,
            name: Arc::clone(&wire.name),
            phase: record.phase(now)?,
            created_at: record.created_at,
            ends_at: record.life.next_change(now),
            token: record.token.clone().map(|token| (token, record.params)),
            document: Arc::clone(&wire.document),
        })
    }
}

/// A call that changes something.
#[derive(Clone, Debug)]
pub struct FrontCall {
    /// Where.
    pub place: Place,
    /// To which cluster.
    pub cluster: ClusterName,
    /// The cluster's set, while the world knows no such cluster.
    pub set: SetId,
    /// To which part of it.
    pub step: Step,
    /// What.
    pub verb: Verb,
    /// Whether it passes the provider's door, with its budgets and outages, or goes to the cluster itself.
    pub at_provider: bool,
}

/// Why a call has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// It is refused.
    #[error("{0}")]
    Refused(#[from] CloudError),
    /// Nobody is told what came of it.
    #[error("the connection was closed before the reply")]
    Lost,
    /// The world can't be used.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl World {
    /// Reads a place, through the provider's door: as it is, or as late readings show it.
    pub fn front_read<T, E: From<FrontError>>(
        &self,
        place: &Place,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        flat(self.with(|inner, now| {
            inner.counted(
                place,
                |counts| &mut counts.observe,
                |inner| {
                    inner.admit(place, Step::ControlPlane, now)?;
                    inner.counts_of(place).pages += 1;
                    let view = View::new(&inner.state, place, now, inner.time_shown(place, now));
                    Ok::<_, FrontError>(work(&view))
                },
            )
        }))
    }
    /// Looks into a place as it is, or as it was at a time of the last day, past the door and its faults.
    pub fn front_look<T>(
        &self,
        place: &Place,
        then: Option<Timestamp>,
        work: impl FnOnce(&View<'_>) -> T,
    ) -> Result<T, WorldError> {
        self.with(|inner, now| Ok(work(&View::new(&inner.state, place, now, then.unwrap_or(now).min(now)))))
    }
    /// The places in which this cluster stands.
    pub fn front_places(&self, cluster: &ClusterName) -> Result<Vec<Place>, WorldError> {
        self.with(|inner, now| {
            let standing = inner.state.records().filter(|record| record.wire.is_some() && !record.is_part());
            let standing = standing.filter(|record| record.cluster == *cluster && record.phase(now).is_some());
            Ok(standing.map(|record| record.place.clone()).collect())
        })
    }
    /// Changes a place, as far as faults let it: all of what `work` drafts, or nothing.
    pub fn front_write<T, E: From<FrontError>>(
        &self,
        call: &FrontCall,
        work: impl FnOnce(&mut Draft<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        flat(self.with(|inner, now| {
            inner.counted(&call.place, |counts| &mut counts.perform, |inner| inner.front_write(call, now, work))
        }))
    }
}

/// The front's own refusal is no failure of the world.
fn flat<T, E: From<FrontError>>(result: Result<Result<T, E>, FrontError>) -> Result<T, E> {
    result.map_err(E::from).flatten()
}

impl Inner {
    fn front_write<T, E: From<FrontError>>(
        &mut self,
        front: &FrontCall,
        now: Timestamp,
        work: impl FnOnce(&mut Draft<'_>) -> Result<T, E>,
    ) -> Result<Result<T, E>, FrontError> {
        let FrontCall { place, cluster, set, step, verb, at_provider } = front;
        let known = self.state.of(place, cluster, Step::ControlPlane).next().map(|record| record.set.clone());
        let set = known.as_ref().unwrap_or(set);
        let call = Call { place, cluster, set, step: *step, verb: *verb };
        if *at_provider {
            self.admit(place, *step, now)?;
        }
        self.refuse::<FrontError>(&call, now)?;
        if self.hits("request", place, now, |odds| odds.lose_request_per_mille) {
            return Err(FrontError::Lost);
        }
        let mut draft = Draft::new(&self.state, call, now);
        let answer = match work(&mut draft) {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (id, changes) = draft.finish();
        let unlucky = self.hits("reply", place, now, |odds| odds.lose_reply_per_mille);
        let lost = !changes.is_empty() && self.change(&call, &id, changes, now)?;
        match lost || unlucky {
            true => Err(FrontError::Lost),
            false => Ok(Ok(answer)),
        }
    }
}
