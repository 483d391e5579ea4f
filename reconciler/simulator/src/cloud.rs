//! The front of direct calls: the trait of all clouds, and the faults that stand before and behind it.

use std::collections::BTreeSet;

use fleetwright_clouds::{Cloud, CloudError, CloudFuture, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{ErrorClass, Listing, Place, Step};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::{Duration, Timestamp};

use crate::chance;
use crate::faults::{Bucket, Call};
use crate::journal::WorldError;
use crate::provider::{self, Reason};
use crate::record::{Mutation, Verb};
use crate::rules::{self, Decision};
use crate::state::{Change, PAST_MAX};
use crate::world::{CallCounts, Inner, World};

/// How many resources a page of a listing holds, as EKS has it.
const PAGE_LENGTH: usize = 100;

impl Cloud for World {
    fn observe<'a>(&'a self, place: &'a Place, _closely: &'a BTreeSet<ClusterName>) -> CloudFuture<'a, Listing> {
        Box::pin(async move { self.observe_now(place) })
    }
    fn perform<'a>(&'a self, action: &'a Action) -> CloudFuture<'a, Progress> {
        Box::pin(async move { self.perform_now(action) })
    }
}

impl World {
    /// As the trait's `observe`, without a future.
    pub fn observe_now(&self, place: &Place) -> Result<Listing, CloudError> {
        self.with(|inner, now| inner.counted(place, |counts| &mut counts.observe, |inner| inner.observe(place, now)))
            .map_err(CallError::into_cloud_error)
    }
    /// As the trait's `perform`, without a future.
    pub fn perform_now(&self, action: &Action) -> Result<Progress, CloudError> {
        self.with(|inner, now| {
            inner.counted(&action.place, |counts| &mut counts.perform, |inner| inner.perform(action, now))
        })
        .map_err(CallError::into_cloud_error)
    }
}

/// What a call ends with other than an answer.
enum CallError {
    Cloud(CloudError),
    World(WorldError),
}

impl From<WorldError> for CallError {
    fn from(error: WorldError) -> Self {
        Self::World(error)
    }
}

impl From<CloudError> for CallError {
    fn from(error: CloudError) -> Self {
        Self::Cloud(error)
    }
}

impl CallError {
    /// A world whose file can't be used is a cloud that does not answer.
    fn into_cloud_error(self) -> CloudError {
        match self {
            Self::Cloud(error) => error,
            Self::World(error) => CloudError {
                class: ErrorClass::Outage,
                code: "SimulatedWorldUnusable".to_owned(),
                message: match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                },
                retry_after: None,
            },
        }
    }
}

impl Inner {
    pub(crate) fn counted<T, E>(
        &mut self,
        place: &Place,
        kind: impl FnOnce(&mut CallCounts) -> &mut u64,
        call: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.calls += 1;
        *kind(self.counts_of(place)) += 1;
        call(self).inspect_err(|_| self.counts_of(place).failed += 1)
    }
    pub(crate) fn counts_of(&mut self, place: &Place) -> &mut CallCounts {
        self.counts.entry(place.clone()).or_default()
    }

    fn observe(&mut self, place: &Place, now: Timestamp) -> Result<Listing, CallError> {
        self.admit(place, Step::ControlPlane, now)?;
        let then = self.time_shown(place, now);
        let resources = self.state.listing(place, now, then);
        self.counts_of(place).pages += resources.len().div_ceil(PAGE_LENGTH).max(1) as u64;
        Ok(resources.into_iter().collect())
    }

    /// The time of which a reading of this place tells.
    pub(crate) fn time_shown(&self, place: &Place, now: Timestamp) -> Timestamp {
        let lag = self.state.faults.lag(place, now).unwrap_or_default().min(PAST_MAX).seconds();
        Timestamp::from_unix_seconds(now.unix_seconds().saturating_sub_unsigned(lag))
    }

    fn perform(&mut self, action: &Action, now: Timestamp) -> Result<Progress, CallError> {
        let call = call_of(action);
        self.admit(call.place, call.step, now)?;
        self.refuse::<CallError>(&call, now)?;
        if self.hits("request", call.place, now, |odds| odds.lose_request_per_mille) {
            return Err(unknown_result(&call).into());
        }
        let Decision { changes, id, progress } = rules::decide(&self.state, action, now)?;
        let lost = self.hits("reply", call.place, now, |odds| odds.lose_reply_per_mille);
        let lost = match changes.is_empty() {
            true => lost,
            false => self.change(&call, &id, changes, now)? || lost,
        };
        match lost {
            true => Err(unknown_result(&call).into()),
            false => Ok(progress),
        }
    }
    /// Changes the world; whether the reply is to be lost.
    pub(crate) fn change(
        &mut self,
        call: &Call<'_>,
        id: &str,
        mut changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<bool, WorldError> {
        let lost = self.state.faults.lost_reply(call, now);
        changes.extend(lost.map(|id| Change::Used { id }));
        let mutation = self.mutation(call, id, now);
        self.commit(now, changes, Some(mutation))?;
        Ok(lost.is_some())
    }
    fn mutation(&self, call: &Call<'_>, id: &str, now: Timestamp) -> Mutation {
        let serving = self.state.get(id).and_then(|record| record.serving.as_ref());
        let stuck = self.state.faults.stuck(call.cluster);
        Mutation {
            at: now,
            place: call.place.clone(),
            cluster: call.cluster.clone(),
            step: call.step,
            verb: call.verb,
            id: id.into(),
            running: serving.map(|serving| serving.count(now, stuck).running),
        }
    }

    /// What stands before every call: outages, budgets and bad luck.
    pub(crate) fn admit(&mut self, place: &Place, step: Step, now: Timestamp) -> Result<(), CloudError> {
        let refused = |reason, message: &str| provider::error(place.cloud, step, reason, message.to_owned());
        if self.state.faults.outage(place, now) || self.hits("outage", place, now, |odds| odds.outage_per_mille) {
            return Err(refused(Reason::Outage, "the service is unavailable"));
        }
        let by_chance = self.hits("throttle", place, now, |odds| odds.throttle_per_mille);
        match self.take_from_bucket(place, now) {
            Ok(()) if !by_chance => Ok(()),
            Ok(()) => Err(refused(Reason::Throttled, "rate exceeded")),
            Err(wait) => Err(CloudError { retry_after: Some(wait), ..refused(Reason::Throttled, "rate exceeded") }),
        }
    }
    fn take_from_bucket(&mut self, place: &Place, now: Timestamp) -> Result<(), Duration> {
        let Some(rate) = self.state.faults.calls_per_minute(place, now) else {
            self.buckets.remove(place);
            return Ok(());
        };
        self.buckets.entry(place.clone()).or_insert_with(|| Bucket::full(rate, now)).take(rate, now)
    }
    pub(crate) fn refuse<E>(&mut self, call: &Call<'_>, now: Timestamp) -> Result<(), E>
    where
        E: From<CloudError> + From<WorldError>,
    {
        let Some((id, class)) = self.state.faults.refusal(call, now) else { return Ok(()) };
        self.commit(now, vec![Change::Used { id }], None)?;
        let message = format!("{} of {} is refused", call.step, call.cluster);
        Err(provider::error(call.place.cloud, call.step, Reason::of(class), message).into())
    }
    /// Whether this call is one of those that go wrong, of a thousand.
    pub(crate) fn hits(
        &self,
        what: &str,
        place: &Place,
        now: Timestamp,
        odds: impl Fn(crate::faults::Odds) -> u32,
    ) -> bool {
        let Some(per_mille) = self.state.faults.odds(place, now).map(odds).filter(|odds| *odds > 0) else {
            return false;
        };
        let parts = [what, &place.to_string(), &self.calls.to_string(), &now.unix_seconds().to_string()];
        chance::hash(self.state.seed, &parts) % 1000 < u64::from(per_mille)
    }
}

fn call_of(action: &Action) -> Call<'_> {
    let Action { key, set, ordinal: _, place, effect } = action;
    Call { place, cluster: &key.cluster, set, step: key.step, verb: Verb::of(effect) }
}

fn unknown_result(call: &Call<'_>) -> CloudError {
    let message = "the connection was closed before the reply".to_owned();
    provider::error(call.place.cloud, call.step, Reason::UnknownResult, message)
}
