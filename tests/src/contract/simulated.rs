//! The simulated clouds as a laboratory: direct calls.

use std::sync::Arc;

use fleetwright_clouds::Cloud;
use fleetwright_core::inventory::{ErrorClass, Place, Step};
use fleetwright_schema::documents::Provider;
use fleetwright_schema::names::{Cloud as CloudName, ClusterName};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{Fault, Scope, SimClock, Speed, Target, World, native_kind};

use super::conductor::ACCOUNT;
use super::{Lab, Mishap, Standing};

/// One world on a clock that stands still until it is moved.
pub struct Simulated {
    /// The world.
    pub world: World,
    clock: SimClock,
}

impl Simulated {
    /// An empty world.
    pub fn new() -> Self {
        let clock = SimClock::new("2026-11-20T08:00:00Z".parse().unwrap(), Speed::Max);
        Self { world: World::open(None, 7, clock.clone()).unwrap(), clock }
    }
}

impl Default for Simulated {
    fn default() -> Self {
        Self::new()
    }
}

/// As a fault of the world.
pub fn faults_of(mishap: Mishap, now: Timestamp) -> Option<Vec<Fault>> {
    let (scope, until) = (Scope::default(), now.plus(Duration::from_minutes(60 * 24)));
    let target = Target::default;
    Some(match mishap {
        Mishap::Outage => vec![Fault::Outage { scope, from: now, until }],
        Mishap::Throttled => vec![Fault::Throttle { scope, calls_per_minute: 0 }],
        Mishap::RepliesLost(times) => vec![Fault::LoseReply { target: target(), times }],
        Mishap::Stale(lag) => vec![Fault::StaleReads { scope, lag, from: now, until }],
        Mishap::CredentialsExpired => {
            vec![Fault::Refuse { target: target(), class: ErrorClass::Denied, times: None, until: None }]
        }
        Mishap::CreateFails(step) => {
            vec![Fault::BecomeFailed { target: Target { step: Some(step), ..target() }, times: Some(1) }]
        }
    })
}

impl Lab for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }
    fn provider(&self) -> Provider {
        Provider::Simulated
    }
    fn place(&self) -> Place {
        Place { cloud: CloudName::Aws, account: ACCOUNT.into(), region: "eu-west-1".parse().unwrap() }
    }
    fn adapter(&self) -> Arc<dyn Cloud> {
        Arc::new(self.world.clone())
    }
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn pass(&self, at_most: Duration) {
        let latest = self.now().plus(at_most);
        let event = self.world.next_event().unwrap().map_or(latest, |event| event.min(latest));
        self.clock.advance_to(event.max(self.now().plus(Duration::from_seconds(1))));
    }
    fn inject(&self, mishap: Mishap) -> bool {
        // The simulated clouds refuse what changes something; who may not even look is an outage to them.
        let faults = faults_of(mishap, self.now()).filter(|_| mishap != Mishap::CredentialsExpired);
        let Some(faults) = faults else { return false };
        for fault in faults {
            self.world.inject(fault).unwrap();
        }
        true
    }
    fn mend(&self) {
        self.world.clear_faults().unwrap();
    }
    fn standing(&self) -> Vec<Standing> {
        let all = self.world.resources().unwrap().into_iter().map(|standing| standing.resource);
        let seen = all.map(|resource| Standing {
            kind: native_kind(CloudName::Aws, resource.step).to_owned(),
            id: resource.id.to_string(),
            cluster: Some(resource.cluster),
            team: None,
        });
        seen.collect()
    }
    fn occupy(&self, _: &ClusterName) -> bool {
        false
    }
    fn strip(&self, _: &ClusterName, _: Step) -> bool {
        false
    }
}
