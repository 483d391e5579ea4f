//! The daemon's time: when places are read, how long it sleeps, and where simulated time jumps to.

use std::collections::BTreeSet;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration as RealDuration;

use fleetwright_core::inventory::Place;
use fleetwright_core::record::{is_in, place_of};
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::status::ClusterState;
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::World;

use super::{Daemon, Rest, Rounds, earliest};
use crate::events::Event;

/// How often a quiet place is read; well below the age at which a reading is no ground for a move.
const QUIET_INTERVAL: Duration = Duration::from_minutes(5);
/// How soon a quiet place is read again that could not be read.
const FAILED_INTERVAL: Duration = Duration::from_minutes(1);

impl Daemon {
    /// Time that has passed is kept with the world, so that it does not run backwards for the next process.
    pub(super) fn note_time(&mut self) {
        let noted = self.world.as_ref().map_or(Ok(()), World::note_time);
        if let Err(error) = noted {
            self.events.event(Event::Trouble(&error.to_string()));
        }
    }

    /// The places that matter: of every wish and of every recorded cluster.
    pub(super) fn places(&self) -> BTreeSet<Place> {
        let Some(tip) = &self.tip else { return BTreeSet::new() };
        let wished = tip.desired.sets.values().filter_map(|wish| match wish {
            fleetwright_core::desired::Wish::Wanted(wanted) => Some(wanted.place.clone()),
            fleetwright_core::desired::Wish::Held(_) => None,
        });
        let recorded = tip.record.clusters().map(|(set, cluster)| place_of(set, cluster));
        wished.chain(recorded).collect()
    }

    fn interval(&self, place: &Place) -> Duration {
        let failed = self.inventory.places.get(place).is_some_and(|reading| reading.result.is_err());
        match self.attention.contains(place) {
            // Where time jumps from event to event, a place is read when something happens in it.
            true if !self.clock.jumps() => self.options.attention_interval,
            _ if failed => FAILED_INTERVAL,
            _ => QUIET_INTERVAL,
        }
    }

    pub(super) fn read_places(&mut self) {
        let now = self.clock.now();
        for place in self.places() {
            let interval = self.interval(&place);
            let rounds = self.rounds.entry(place.clone()).or_default();
            if rounds.reading || next_reading(rounds, interval).is_some_and(|at| at > now) {
                continue;
            }
            rounds.reading = true;
            let last = rounds.last;
            let closely = self.closely(&place, last);
            self.hands.read(&place, closely);
        }
        if self.tip.is_some() {
            let known = self.places();
            self.rounds.retain(|place, rounds| known.contains(place) || rounds.reading);
        }
    }

    /// The clusters of a place with which something is under way: by their published state, or because something was done
    /// to them since the last reading began.
    fn closely(&self, place: &Place, last: Option<Timestamp>) -> BTreeSet<ClusterName> {
        let Some(tip) = &self.tip else { return BTreeSet::new() };
        let touched =
            |name: &ClusterName| self.memory.touched.get(name).is_none_or(|at| last.is_none_or(|last| *at >= last));
        let here = tip.record.clusters().filter(|(set, cluster)| is_in(set, cluster, place));
        let moving =
            here.filter(|(_, cluster)| cluster.status.state != ClusterState::Ready || touched(&cluster.metadata.name));
        moving.map(|(_, cluster)| cluster.metadata.name.clone()).collect()
    }

    /// Waits until every call has come back: where time stands still while there is work.
    pub(super) fn await_hands(&mut self) {
        while !self.stopping && (!self.memory.in_flight.is_empty() || self.rounds.values().any(|rounds| rounds.reading))
        {
            match self.news.recv_timeout(RealDuration::from_secs(60)) {
                Ok(news) => self.hear(news),
                Err(_) => return,
            }
        }
    }

    /// Sleeps until something may be different: news, a time of the plan, a place to be read, the remote to be asked.
    pub(super) fn sleep(&mut self, rest: Rest) {
        if self.clock.jumps() && !rest.calm && self.memory.in_flight.is_empty() {
            return self.jump(self.next_time(rest), self.clock.now());
        }
        match self.news.recv_timeout(self.pause(rest)) {
            Ok(news) => self.hear(news),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.stopping = true,
        }
    }

    /// The next time at which a place is read or the plan may change by itself.
    fn next_time(&self, rest: Rest) -> Option<Timestamp> {
        let readings = self
            .rounds
            .iter()
            .filter(|(_, rounds)| !rounds.reading)
            .filter_map(|(place, rounds)| next_reading(rounds, self.interval(place)));
        readings.chain(rest.wake).min()
    }

    /// How long a rest is if no news ends it.
    pub fn pause(&self, rest: Rest) -> RealDuration {
        let next = self.next_time(rest);
        let until_poll = self.poll_at.saturating_sub(self.clock.uptime());
        let until_next = match (self.clock.jumps(), next) {
            (false, Some(next)) => self.clock.real_duration_until(next),
            // Time stands still: there is nothing to wait for but people.
            (true, _) | (false, None) => until_poll,
        };
        until_poll.min(until_next).max(RealDuration::from_millis(1))
    }

    /// Lets simulated time jump to the next time at which anything is different, in the world or in the plan.
    pub(super) fn jump(&mut self, next: Option<Timestamp>, now: Timestamp) {
        let event = self.world.as_ref().and_then(|world| world.next_event().ok().flatten());
        let Some(next) = earliest(event, next) else {
            // Nothing will ever happen by itself: wait for people as in real time.
            return self.sleep(Rest { wake: None, calm: true });
        };
        let next = next.max(now.plus(Duration::from_seconds(1)));
        let changing = self.world.as_ref().and_then(|world| world.places_changing(next).ok().flatten());
        self.clock.advance_to(next);
        self.note_time();
        if event.is_some_and(|event| event <= self.clock.now()) {
            let changing = changing.as_ref();
            for place in self.attention.iter().filter(|place| changing.is_none_or(|changing| changing.contains(*place)))
            {
                self.rounds.entry(place.clone()).or_default().due = Some(self.clock.now());
            }
        }
    }
}

/// When a place is to be read next; `None` is at once.
fn next_reading(rounds: &Rounds, interval: Duration) -> Option<Timestamp> {
    let last = rounds.last?;
    earliest(rounds.due, Some(last.plus(interval)))
}
