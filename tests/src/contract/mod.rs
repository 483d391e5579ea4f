//! One suite for every adapter of a cloud: what the planner rests on, shown on a laboratory that an adapter is put into.
//!
//! A [`Lab`] is a cloud with everything around it that a test needs: time that passes when it is told to, mishaps, and a
//! look from outside at what really stands. The [`Conductor`] drives an adapter by the real planner, as the daemon does.

pub mod aws;
pub mod cases;
pub mod conductor;
pub mod live;
pub mod simulated;

use std::sync::Arc;

use fleetwright_clouds::Cloud;
use fleetwright_core::inventory::{ErrorClass, Place, Step};
use fleetwright_schema::documents::Provider;
use fleetwright_schema::names::ClusterName;
use fleetwright_schema::units::{Duration, Timestamp};

pub use conductor::Conductor;

/// What can go wrong around an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The services of the place answer no call.
    Outage,
    /// Every call is one too many.
    Throttled,
    /// So many calls that change something are done, and their replies lost.
    RepliesLost(u32),
    /// Lists show what was so long ago.
    Stale(Duration),
    /// The credentials are no longer valid.
    CredentialsExpired,
    /// The next creation of this part is accepted and then fails at the provider.
    CreateFails(Step),
}

/// A part of a cluster as somebody else sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// `vpc`, `subnet`, `eks cluster`: in the provider's words.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The cluster that its tags or its name tell; none for what is a stranger's.
    pub cluster: Option<ClusterName>,
    /// The set's own tag `team`, where it has one.
    pub team: Option<String>,
}

/// Where a process ends: what comes of the call that it ends at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It never arrives.
    Before,
    /// It arrives and is answered, and the answer is lost.
    Unheard,
    /// It arrives and is answered, and nothing after it.
    After,
}

/// A cloud that tests may do anything with.
pub trait Lab {
    /// As in the names of tests.
    fn name(&self) -> &'static str;
    /// Who runs the account in `fleet.yaml`.
    fn provider(&self) -> Provider;
    /// Where everything happens.
    fn place(&self) -> Place;
    /// A new adapter, as after a restart: it knows nothing.
    fn adapter(&self) -> Arc<dyn Cloud>;
    /// What time it is there.
    fn now(&self) -> Timestamp;
    /// Lets time pass: to the next event of the provider, and not further than this.
    fn pass(&self, at_most: Duration);
    /// Lets something go wrong; false where this laboratory has no means to.
    fn inject(&self, mishap: Mishap) -> bool;
    /// Ends the process at a call, counted from now, and starts counting; false where this laboratory sees no calls.
    fn end_at(&self, _call: u64, _way: Way) -> bool {
        false
    }
    /// Whether the process has ended at a call.
    fn has_ended(&self) -> bool {
        false
    }
    /// How many calls there were since the count began.
    fn calls(&self) -> u64 {
        0
    }
    /// Lets everything go right again.
    fn mend(&self);
    /// Everything that stands, whoever made it.
    fn standing(&self) -> Vec<Standing>;
    /// Somebody else's control plane of this name stands; false where this laboratory has no means to.
    fn occupy(&self, cluster: &ClusterName) -> bool;
    /// Puts into the network of this cluster what its controllers would make there, tagged as they tag it; where there is
    /// no such cluster, it is a neighbour's in the same account, and there is more beside it that is nobody's. False where
    /// this laboratory has no means to, or makes such things by itself.
    fn make_leftovers(&self, _cluster: &str) -> bool {
        false
    }
    /// Somebody opens the network of this cluster to others, and takes from its roles what they may; false where this
    /// laboratory has no means to.
    fn meddle(&self, _cluster: &ClusterName) -> bool {
        false
    }
    /// The tags by which we know our own are taken from this part of a cluster; false where this is not to be done.
    fn strip(&self, cluster: &ClusterName, step: Step) -> bool;
}

/// The classes that an error of a mishap may have: never a list that is empty.
pub fn classes_of(mishap: Mishap) -> &'static [ErrorClass] {
    match mishap {
        Mishap::Outage => &[ErrorClass::Outage, ErrorClass::UnknownResult],
        Mishap::Throttled => &[ErrorClass::Throttled],
        Mishap::CredentialsExpired => &[ErrorClass::Denied],
        Mishap::RepliesLost(_) | Mishap::Stale(_) | Mishap::CreateFails(_) => &[],
    }
}
