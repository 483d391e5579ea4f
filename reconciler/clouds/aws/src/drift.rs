//! What somebody else changed in parts that the lists of every pass show from outside only: looked for every [`SLOW`] in a
//! place, in a few lists of the pieces of all clusters, so that it costs the same however many there are.
//!
//! It is no reading: that parts stand is known without it. Where it fails, what was known before is told, and it is tried
//! again soon.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fleetwright_clouds::CloudError;
use fleetwright_core::inventory::{Place, Resource};
use fleetwright_schema::names::ClusterName;

use crate::cache::SLOW;

/// What failed is tried again so soon.
const AGAIN: Duration = Duration::from_secs(60);

/// A part that is not as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of which cluster.
    pub cluster: ClusterName,
    /// What differs or lacks, in words.
    pub what: String,
}

/// The parts that differ, by their ids.
pub type Differing = BTreeMap<Arc<str>, Difference>;

/// What was found, place by place.
#[derive(Debug, Default)]
pub struct Drift(Mutex<BTreeMap<Place, Seen>>);

#[derive(Debug, Default)]
struct Seen {
    differing: Differing,
    /// When it is looked for again; at once, where it never was.
    due: Option<Instant>,
    /// When something was last done to a part that differed.
    mended: Option<Instant>,
}

impl Drift {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<Place, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts of a place that differ: as this finds, if it is time to look, and as they were known otherwise.
    pub async fn of(&self, place: &Place, look: impl Future<Output = Result<Differing, CloudError>>) -> Differing {
        let is_due = self.seen().get(place).and_then(|seen| seen.due).is_none_or(|due| due <= Instant::now());
        if is_due {
            let began = Instant::now();
            self.keep(place, began, look.await);
        }
        self.seen().get(place).map(|seen| seen.differing.clone()).unwrap_or_default()
    }

    fn keep(&self, place: &Place, began: Instant, found: Result<Differing, CloudError>) {
        let mut all = self.seen();
        let seen = all.entry(place.clone()).or_default();
        match found {
            // It may show what was mended since.
            Ok(_) if seen.mended.is_some_and(|at| at >= began) => {}
            Ok(differing) => {
                for (id, Difference { cluster, what }) in &differing {
                    tracing::warn!(%cluster, id = &**id, "is not as it was made, and will be mended: {what}");
                }
                *seen = Seen { differing, due: Some(began + SLOW), mended: seen.mended };
            }
            Err(why) => {
                tracing::warn!(%place, "whether anything was changed by others could not be seen: {why}");
                seen.due = Some(began + AGAIN);
            }
        }
    }

    /// Something was done to a cluster: if it differed, it is looked at anew.
    pub fn forget(&self, place: &Place, cluster: &ClusterName) {
        let mut all = self.seen();
        let Some(seen) = all.get_mut(place) else { return };
        if seen.differing.values().any(|difference| difference.cluster == *cluster) {
            seen.differing.retain(|_, difference| difference.cluster != *cluster);
            (seen.due, seen.mended) = (None, Some(Instant::now()));
        }
    }

    /// Lets what is known be so much older than it is.
    pub fn age(&self, by: Duration) {
        for seen in self.seen().values_mut() {
            seen.due = seen.due.and_then(|due| due.checked_sub(by));
        }
    }
}

/// The parts, those that differ without the mark that says what they were made from: they are to be made whole.
pub fn told(parts: Vec<Resource>, differing: &Differing) -> Vec<Resource> {
    let told =
        |part: Resource| if differing.contains_key(&part.id) { Resource { applied: "".into(), ..part } } else { part };
    parts.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use fleetwright_core::inventory::ErrorClass;
    use fleetwright_schema::names::Cloud;

    use super::*;
    use crate::error::error;

    fn place() -> Place {
        Place { cloud: Cloud::Aws, account: "123456789012".into(), region: "eu-west-1".parse().unwrap() }
    }

    fn one(what: &str) -> Differing {
        let cluster = "serving-1".parse().unwrap();
        Differing::from([("vpc-1".into(), Difference { cluster, what: what.to_owned() })])
    }

    async fn unasked() -> Result<Differing, CloudError> {
        panic!("nobody has to look")
    }

    #[tokio::test]
    async fn it_is_looked_for_once_in_a_while_and_after_something_was_done_to_what_differed() {
        let drift = Drift::default();
        assert_eq!(drift.of(&place(), async { Ok(one("a")) }).await, one("a"));
        assert_eq!(drift.of(&place(), unasked()).await, one("a"));
        drift.forget(&place(), &"serving-2".parse().unwrap());
        assert_eq!(drift.of(&place(), unasked()).await, one("a"), "another cluster");
        drift.forget(&place(), &"serving-1".parse().unwrap());
        assert_eq!(drift.of(&place(), async { Ok(Differing::new()) }).await, Differing::new());
        drift.forget(&place(), &"serving-1".parse().unwrap());
        assert_eq!(drift.of(&place(), unasked()).await, Differing::new(), "it did not differ");
        drift.age(SLOW);
        assert_eq!(drift.of(&place(), async { Ok(one("b")) }).await, one("b"));
    }

    #[tokio::test]
    async fn what_can_t_be_seen_is_as_it_was_and_looked_for_again_soon() {
        let drift = Drift::default();
        drift.of(&place(), async { Ok(one("a")) }).await;
        drift.age(SLOW);
        let denied = async { Err(error(ErrorClass::Denied, "AccessDenied", "")) };
        assert_eq!(drift.of(&place(), denied).await, one("a"));
        assert_eq!(drift.of(&place(), unasked()).await, one("a"));
        drift.age(AGAIN);
        assert_eq!(drift.of(&place(), async { Ok(one("b")) }).await, one("b"));
    }

    #[tokio::test]
    async fn what_was_looked_at_before_it_was_mended_says_nothing() {
        let drift = Drift::default();
        drift.of(&place(), async { Ok(one("a")) }).await;
        drift.age(SLOW);
        let meanwhile = async {
            drift.forget(&place(), &"serving-1".parse().unwrap());
            Ok(one("a"))
        };
        assert_eq!(drift.of(&place(), meanwhile).await, Differing::new());
        assert_eq!(drift.of(&place(), async { Ok(one("c")) }).await, one("c"), "and it is looked for again");
    }
}
