//! The workloads of one cluster, pure: how many run, how many have left, and when that changes next.

use fleetwright_core::inventory::{Placement, Workloads};
use fleetwright_schema::set::DrainMode;
use fleetwright_schema::units::{Duration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long workloads take to come back after placement was opened again, and to arrive at a new cluster.
pub(crate) const ARRIVAL: Duration = Duration::from_seconds(60);

/// How long a whole cluster takes to leave, in the middle: owners are slow, the migration waits for the other side to
/// count what arrived, eviction respects budgets.
pub(crate) const fn leaving_median(mode: DrainMode) -> Duration {
    Duration::from_minutes(match mode {
        DrainMode::Wait => 20,
        DrainMode::Migrate => 10,
        DrainMode::Evict => 5,
    })
}

/// What a cluster serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Serving {
    /// How many workloads owners place on it when they first may.
    load: u32,
    /// How workloads leave, while placement is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draining: Option<DrainMode>,
    /// How many had left when the motion began.
    #[serde(default)]
    left_before: u32,
    motion: Motion,
}

/// A number that moves evenly, in whole steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Motion {
    from: u32,
    to: u32,
    begins: Timestamp,
    ends: Timestamp,
}

impl Motion {
    fn moved(&self, now: Timestamp) -> u32 {
        let steps = self.from.abs_diff(self.to);
        let span = self.ends.since(self.begins).seconds();
        match now.since(self.begins).seconds() {
            _ if now >= self.ends => steps,
            elapsed => u32::try_from(u64::from(steps) * elapsed / span.max(1)).unwrap_or(steps),
        }
    }
    fn value(&self, now: Timestamp) -> u32 {
        match self.to >= self.from {
            true => self.from + self.moved(now),
            false => self.from - self.moved(now),
        }
    }
    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let steps = u64::from(self.from.abs_diff(self.to));
        let next = u64::from(self.moved(now)) + 1;
        let span = self.ends.since(self.begins).seconds();
        (next <= steps).then(|| self.begins.plus(Duration::from_seconds((span * next).div_ceil(steps))))
    }
}

impl Serving {
    /// A new cluster: open, and empty until workloads arrive.
    pub(crate) fn new(load: u32) -> Self {
        Self { load, draining: None, left_before: 0, motion: Motion::default() }
    }
    pub(crate) const fn placement(&self) -> Placement {
        match self.draining {
            None => Placement::Open,
            Some(_) => Placement::Closed,
        }
    }
    fn running(&self, now: Timestamp) -> u32 {
        self.motion.value(now)
    }
    fn left(&self, now: Timestamp) -> u32 {
        match self.draining {
            None => 0,
            Some(_) => self.left_before + self.motion.from.saturating_sub(self.running(now)),
        }
    }
    /// The count at this moment. What is stuck keeps the last workload from leaving, unless it is evicted.
    pub(crate) fn count(&self, now: Timestamp, stuck: Option<&[String]>) -> Workloads {
        let (running, left) = (self.running(now), self.left(now));
        match (self.draining, stuck) {
            (Some(DrainMode::Wait | DrainMode::Migrate), Some(blocked_by)) if running + left > 0 => {
                let stays = running.max(1);
                Workloads { running: stays, left: running + left - stays, blocked_by: blocked_by.to_vec() }
            }
            _ => Workloads { running, left, blocked_by: Vec::new() },
        }
    }
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.motion.next_change(now)
    }
    /// The first workloads arrive from `begins` on. Nothing changes when there are some already, or placement is closed.
    pub(crate) fn filling(&self, begins: Timestamp, now: Timestamp) -> Option<Self> {
        let empty = self.draining.is_none() && self.motion.to == 0 && self.running(now) == 0;
        let motion = Motion { from: 0, to: self.load, begins, ends: begins.plus(ARRIVAL) };
        empty.then(|| Self { motion, ..self.clone() })
    }
    /// Those that were to arrive don't, because what they run on is gone again.
    pub(crate) fn not_filling(&self, now: Timestamp) -> Option<Self> {
        let scheduled = self.motion.from == 0 && self.motion.to > 0 && now < self.motion.begins;
        scheduled.then(|| Self { motion: Motion::default(), ..self.clone() })
    }
    /// Placement is closed, and workloads leave; `whole` is what a whole cluster takes. Nothing changes when they leave
    /// like this, or faster, already.
    pub(crate) fn drained(&self, mode: DrainMode, whole: Duration, now: Timestamp) -> Option<Self> {
        if self.draining >= Some(mode) {
            return None;
        }
        let (running, left) = (self.running(now), self.left(now));
        let share = whole.seconds() * u64::from(running) / u64::from((running + left).max(1));
        let ends = now.plus(Duration::from_seconds(share));
        let ends = self.draining.map_or(ends, |_| ends.min(self.motion.ends).max(now));
        let motion = Motion { from: running, to: 0, begins: now, ends };
        Some(Self { draining: Some(mode), left_before: left, motion, ..self.clone() })
    }
    /// Placement is opened, and what left comes back. Nothing changes when it is open already.
    pub(crate) fn opened(&self, now: Timestamp) -> Option<Self> {
        self.draining?;
        let (running, left) = (self.running(now), self.left(now));
        let motion = Motion { from: running, to: running + left, begins: now, ends: now.plus(ARRIVAL) };
        Some(Self { draining: None, left_before: 0, motion, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn full() -> Serving {
        Serving::new(10).filling(at(0), at(0)).unwrap()
    }

    fn counts(serving: &Serving, seconds: i64) -> (u32, u32) {
        let Workloads { running, left, .. } = serving.count(at(seconds), None);
        (running, left)
    }

    const WHOLE: Duration = Duration::from_seconds(1000);

    #[test]
    fn workloads_arrive_within_a_minute() {
        assert_eq!(counts(&full(), 0), (0, 0));
        assert_eq!(counts(&full(), 30), (5, 0));
        assert_eq!(counts(&full(), 60), (10, 0));
        assert_eq!(full().filling(at(70), at(70)), None);
    }

    #[test]
    fn what_leaves_is_counted_and_nothing_is_lost() {
        let draining = full().drained(DrainMode::Wait, WHOLE, at(1000)).unwrap();
        assert_eq!(draining.placement(), Placement::Closed);
        for seconds in [1000, 1099, 1100, 1777, 2000, 9000] {
            let (running, left) = counts(&draining, seconds);
            assert_eq!(running + left, 10);
        }
        assert_eq!((counts(&draining, 1099), counts(&draining, 1100)), ((10, 0), (9, 1)));
        assert_eq!(counts(&draining, 2000), (0, 10));
    }

    #[test]
    fn each_change_is_foretold() {
        let draining = full().drained(DrainMode::Wait, WHOLE, at(1000)).unwrap();
        let mut now = at(1000);
        let mut seen = Vec::new();
        while let Some(next) = draining.next_change(now) {
            assert!(next > now && draining.running(next) == draining.running(now) - 1);
            seen.push(next.unix_seconds());
            now = next;
        }
        assert_eq!(seen, (1..=10).map(|n| 1000 + n * 100).collect::<Vec<_>>());
    }

    #[test]
    fn a_repeated_or_weaker_drain_changes_nothing_and_a_stronger_one_speeds_it_up() {
        let draining = full().drained(DrainMode::Migrate, WHOLE, at(1000)).unwrap();
        assert_eq!(draining.drained(DrainMode::Migrate, WHOLE, at(1200)), None);
        assert_eq!(draining.drained(DrainMode::Wait, WHOLE, at(1200)), None);
        let evicting = draining.drained(DrainMode::Evict, Duration::from_seconds(100), at(1500)).unwrap();
        assert_eq!((counts(&evicting, 1500), counts(&evicting, 1550)), ((5, 5), (0, 10)));
    }

    #[test]
    fn a_stronger_drain_never_ends_later() {
        let draining = full().drained(DrainMode::Wait, WHOLE, at(1000)).unwrap();
        let evicting = draining.drained(DrainMode::Evict, Duration::from_seconds(9000), at(1500)).unwrap();
        assert_eq!(counts(&evicting, 2000), (0, 10));
    }

    #[test]
    fn what_left_comes_back_when_placement_is_opened() {
        let draining = full().drained(DrainMode::Wait, WHOLE, at(1000)).unwrap();
        let open = draining.opened(at(1500)).unwrap();
        assert_eq!((counts(&open, 1500), counts(&open, 1560)), ((5, 0), (10, 0)));
        assert_eq!(open.opened(at(1600)), None);
    }

    #[test]
    fn what_is_stuck_stays_until_it_is_evicted() {
        let blocked = ["web/pod-1".to_owned()];
        let draining = full().drained(DrainMode::Wait, WHOLE, at(1000)).unwrap();
        let stuck = draining.count(at(9000), Some(&blocked));
        assert_eq!((stuck.running, stuck.left, stuck.blocked_by), (1, 9, blocked.to_vec()));
        let evicting = draining.drained(DrainMode::Evict, WHOLE, at(9000)).unwrap();
        assert_eq!(evicting.count(at(9000), Some(&blocked)).running, 0);
    }

    #[test]
    fn an_empty_cluster_drains_at_once() {
        let draining = Serving::new(10).drained(DrainMode::Wait, WHOLE, at(5)).unwrap();
        assert_eq!((counts(&draining, 5), draining.next_change(at(5))), ((0, 0), None));
        assert_eq!(draining.filling(at(10), at(6)), None);
    }
}
