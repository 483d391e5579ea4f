//! A hand that builds clusters, for the tests of this crate.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, ActionKey, Effect};
use fleetwright_core::inventory::{ErrorClass, Phase, Place, Resource, Step};
use fleetwright_schema::names::{Cloud, ClusterName, SetId};
use fleetwright_schema::set::{ClusterSpec, DrainMode};
use fleetwright_schema::units::{Duration, Timestamp};
use fleetwright_simulator::{SimClock, Speed, World};

pub const START: i64 = 1_790_000_000;

pub fn start() -> Timestamp {
    Timestamp::from_unix_seconds(START)
}

pub fn after(minutes: u64) -> Timestamp {
    start().plus(Duration::from_minutes(minutes))
}

pub fn world() -> World {
    World::open(None, 7, SimClock::new(start(), Speed::Max)).unwrap()
}

pub fn place(cloud: Cloud) -> Place {
    let region = match cloud {
        Cloud::Aws => "eu-west-1",
        Cloud::Azure => "westeurope",
        Cloud::Gcp => "europe-west1",
    };
    Place { cloud, account: "1234".into(), region: region.parse().unwrap() }
}

pub fn spec() -> ClusterSpec {
    serde_json::from_value(serde_json::json!({
        "kubernetesVersion": "1.33",
        "nodePools": [{"name": "default", "spec": {"instanceType": "big", "minCount": 3, "maxCount": 3}}],
        "infraServices": [{"name": "rbac", "version": "1"}],
    }))
    .unwrap()
}

/// A cluster as its builder knows it.
#[derive(Clone, Debug)]
pub struct Hand {
    pub place: Place,
    pub set: SetId,
    pub name: ClusterName,
    pub ordinal: u32,
    pub cidr: Option<Arc<str>>,
    pub spec: ClusterSpec,
    pub fingerprint: Arc<str>,
    pub token: Arc<str>,
}

impl Hand {
    pub fn new(cloud: Cloud, ordinal: u32) -> Self {
        let place = place(cloud);
        let set: SetId = format!("prod/{cloud}/{}/Serving", place.region).parse().unwrap();
        Self {
            name: set.cluster_name(ordinal).unwrap(),
            cidr: Some(format!("10.{}.{}.0/24", ordinal / 256, ordinal % 256).into()),
            place,
            set,
            ordinal,
            spec: spec(),
            fingerprint: "f1".into(),
            token: "t1".into(),
        }
    }
    pub fn action(&self, step: Step, effect: Effect) -> Action {
        let key = ActionKey { cluster: self.name.clone(), step };
        Action { key, set: self.set.clone(), ordinal: self.ordinal, place: self.place.clone(), effect }
    }
    pub fn create_with(&self, step: Step, parents: Vec<Arc<str>>) -> Action {
        let cidr = self.cidr.clone().filter(|_| step == Step::Network);
        let (token, fingerprint) = (Arc::clone(&self.token), Arc::clone(&self.fingerprint));
        self.action(step, Effect::Create { token, fingerprint, spec: Arc::new(self.spec.clone()), cidr, parents })
    }
    pub fn update(&self, step: Step, id: &str) -> Action {
        let (token, fingerprint) = (Arc::clone(&self.token), Arc::clone(&self.fingerprint));
        self.action(step, Effect::Update { id: id.into(), token, fingerprint, spec: Arc::new(self.spec.clone()) })
    }
    pub fn delete(&self, step: Step, id: &str) -> Action {
        self.action(step, Effect::Delete { id: id.into() })
    }
    pub fn drain(&self, id: &str, mode: DrainMode) -> Action {
        self.action(Step::ControlPlane, Effect::Drain { id: id.into(), mode })
    }
    pub fn open(&self, id: &str) -> Action {
        self.action(Step::ControlPlane, Effect::OpenPlacement { id: id.into() })
    }

    pub fn all(&self, world: &World) -> Vec<Resource> {
        let standing = world.resources().unwrap().into_iter().map(|standing| standing.resource);
        standing.filter(|resource| resource.cluster == self.name).collect()
    }
    pub fn find(&self, world: &World, step: Step) -> Option<Resource> {
        self.all(world).into_iter().find(|resource| resource.step == step)
    }
    pub fn id(&self, world: &World, step: Step) -> Arc<str> {
        self.find(world, step).unwrap_or_else(|| panic!("there is no {step}")).id
    }
    pub fn phase(&self, world: &World, step: Step) -> Option<Phase> {
        self.find(world, step).map(|resource| resource.phase)
    }
    pub fn create(&self, world: &World, step: Step) -> Result<Progress, CloudError> {
        let parents = step.parents().iter().filter_map(|parent| self.find(world, *parent)).map(|p| p.id).collect();
        world.perform_now(&self.create_with(step, parents))
    }
    /// Makes these steps, one after the other, and waits for each.
    pub fn make(&self, world: &World, steps: &[Step]) {
        for step in steps {
            self.create(world, *step).unwrap();
            while self.phase(world, *step) == Some(Phase::Creating) {
                next(world);
            }
        }
    }
    pub fn build(&self, world: &World) {
        self.make(world, &Step::BUILD);
    }
    /// Deletes these steps, one after the other, and waits for each.
    pub fn unmake(&self, world: &World, steps: &[Step]) {
        for step in steps {
            world.perform_now(&self.delete(*step, &self.id(world, *step))).unwrap();
            while self.phase(world, *step).is_some() {
                next(world);
            }
        }
    }
    /// How many run and how many have left.
    pub fn workloads(&self, world: &World) -> (u32, u32) {
        let facts = self.find(world, Step::ControlPlane).unwrap().control_plane.unwrap();
        facts.workloads.map(|w| (w.running, w.left)).unwrap()
    }
}

/// Jumps to the next event.
pub fn next(world: &World) {
    world.clock().advance_to(world.next_event().unwrap().unwrap());
}

pub fn wait(world: &World, minutes: u64) {
    world.clock().advance_to(world.clock().now().plus(Duration::from_minutes(minutes)));
}

#[track_caller]
pub fn refused(result: Result<Progress, CloudError>) -> (ErrorClass, String) {
    let error = result.unwrap_err();
    (error.class, error.code)
}
