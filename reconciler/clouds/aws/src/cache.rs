//! What was read of quiet clusters some minutes ago, so that a fleet at rest costs lists and no call a cluster.
//!
//! Only what was read after our own last action is kept, and nothing for longer than [`SLOW`]: then it is looked at anew,
//! which is the slow check for drift.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fleetwright_core::inventory::Place;
use fleetwright_schema::names::ClusterName;

/// How old what is kept may be: well below the age at which a reading is no ground for a move.
pub const SLOW: Duration = Duration::from_secs(600);

type Key = (Place, ClusterName);

/// What was read of one kind of thing, by cluster.
#[derive(Debug)]
pub struct Cache<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    kept: BTreeMap<Key, (Instant, T)>,
    /// When what was kept was last forgotten: a reading that began before is not kept.
    forgotten: BTreeMap<Key, Instant>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::new(State { kept: BTreeMap::new(), forgotten: BTreeMap::new() }))
    }
}

impl<T: Clone> Cache<T> {
    /// What was kept, if it is young enough.
    pub fn recall(&self, place: &Place, cluster: &ClusterName) -> Option<T> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = state.kept.get(&(place.clone(), cluster.clone()))?;
        // Not all at once: what was kept in one pass comes due spread over a quarter of the time.
        let share = cluster.as_str().bytes().map(u32::from).sum::<u32>() % 16;
        (at.elapsed() < SLOW - SLOW / 64 * share).then(|| value.clone())
    }

    /// Keeps what a reading that began at this time showed, unless something was done since.
    pub fn keep(&self, place: &Place, cluster: &ClusterName, began: Instant, value: T) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (place.clone(), cluster.clone());
        if state.forgotten.get(&key).is_none_or(|at| *at < began) {
            state.kept.insert(key, (began, value));
        }
    }

    /// Something was done: what was read before says nothing any more.
    pub fn forget(&self, place: &Place, cluster: &ClusterName) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (place.clone(), cluster.clone());
        state.kept.remove(&key);
        state.forgotten.insert(key, Instant::now());
    }

    /// Drops what is kept of clusters of a place that are no more.
    pub fn retain(&self, place: &Place, stands: impl Fn(&ClusterName) -> bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.kept.retain(|(there, cluster), _| there != place || stands(cluster));
        // A reading that is older than this has long ended.
        state.forgotten.retain(|_, at| at.elapsed() < SLOW);
    }
}

#[cfg(test)]
mod tests {
    use fleetwright_schema::names::Cloud;

    use super::*;

    fn place() -> Place {
        Place { cloud: Cloud::Aws, account: "123456789012".into(), region: "eu-west-1".parse().unwrap() }
    }

    #[test]
    fn what_was_read_before_an_action_is_not_kept() {
        let (cache, cluster) = (Cache::default(), "serving-1".parse().unwrap());
        let began = Instant::now();
        cache.keep(&place(), &cluster, began, 1);
        assert_eq!(cache.recall(&place(), &cluster), Some(1));
        cache.forget(&place(), &cluster);
        assert_eq!(cache.recall(&place(), &cluster), None);
        cache.keep(&place(), &cluster, began, 1);
        assert_eq!(cache.recall(&place(), &cluster), None, "the reading began before the action");
        cache.keep(&place(), &cluster, Instant::now(), 2);
        assert_eq!(cache.recall(&place(), &cluster), Some(2));
    }
}
