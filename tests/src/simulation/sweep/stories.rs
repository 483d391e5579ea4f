//! The stories of the crash sweep: small fleets, each with one thing that happens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_schema::documents::{Budgets, Consumer, FailureBudget, RemovalBudget, SetSelector};
use fleetwright_schema::names::SetId;
use fleetwright_schema::set::{
    ClusterSpec, DeletionPolicy, DrainMode, DrainTimeoutPolicy, InfraServiceVersion, NetworkSpec, NodePool,
    NodePoolSpec, ResolvedSet, Rotation, UpdateStrategy,
};
use fleetwright_schema::units::{Duration, Timestamp};

use super::{Story, What, When};
use crate::wishes::{Dice, People};

const AWS: &str = "prod/aws/eu-west-1/Type1";
const AZURE: &str = "prod/azure/westeurope/Type1";
const GCP: &str = "prod/gcp/europe-west1/Type1";

/// All of them, the smallest first.
pub fn all() -> Vec<Story> {
    use What::{Edit, Misplace, Note, Rewrite};
    use When::{Builds, Drains, Later, Served};
    let later = Later(Duration::from_minutes(20));
    let story = |name, begins, turns| Story { name, begins, turns };
    vec![
        story("a cluster is built", || people(&[(AWS, 1)]), vec![]),
        story("a set of two is built", || people(&[(AZURE, 2)]), vec![]),
        story("a version rotates, with acknowledgement", with_consumer, vec![(Served, Edit(skip_version))]),
        story(
            "a rotation is reverted while it drains",
            || people(&[(GCP, 1)]),
            vec![(Served, Edit(skip_version)), (Drains, Edit(old_version))],
        ),
        story(
            "a rotation is reverted while it builds",
            || people(&[(AWS, 1)]),
            vec![(Served, Edit(skip_version)), (Builds, Edit(old_version))],
        ),
        story("a set becomes smaller, with approval", with_approval, vec![(Served, Edit(|people| count(people, 1)))]),
        story("all is changed in place", || people(&[(AWS, 1)]), vec![(Served, Edit(change_in_place))]),
        story("a set is deleted", || people(&[(AWS, 1), (GCP, 1)]), vec![(Served, Edit(remove_a_set))]),
        story(
            "a note, a rewritten branch, a record that was moved",
            || people(&[(GCP, 1)]),
            vec![(Served, Note), (Served, Rewrite), (later, Rewrite), (Served, Misplace), (later, Note)],
        ),
    ]
}

/// A fleet of these sets, each with so many clusters, that waits for nobody.
pub fn people(sets: &[(&str, u32)]) -> People {
    let mut people = People::new(&mut Dice::new(1), Timestamp::from_unix_seconds(1_790_000_000));
    people.all = sets.iter().map(|(id, _)| id.parse().unwrap()).collect();
    people.sets = sets.iter().map(|(id, count)| (id.parse().unwrap(), set(*count))).collect();
    let config = &mut people.config;
    (config.waves, config.consumers, config.maintenance_windows) = (Vec::new(), Vec::new(), Vec::new());
    config.freezes.clear();
    config.budgets = Budgets {
        alive: Vec::new(),
        disruption: Vec::new(),
        removal: RemovalBudget { max_clusters: 5, max_percent: 100 },
        failure: FailureBudget { max_stalled_clusters: 1 },
    };
    config.publishing.batch_window = Duration::from_seconds(5);
    // Longer than any story: what was is compared too.
    config.publishing.tombstone_retention = Duration::from_minutes(60 * 24 * 7);
    people
}

fn set(count: u32) -> ResolvedSet {
    let rotation = Rotation {
        max_surge: 1,
        bake: Duration::from_minutes(5),
        rollback_window: Duration::from_minutes(5),
        drain_timeout: Duration::from_minutes(360),
        drain: DrainMode::Wait,
        on_drain_timeout: DrainTimeoutPolicy::Hold,
    };
    ResolvedSet {
        count,
        template: Arc::new(template()),
        update_strategy: UpdateStrategy {
            cluster_rotation: rotation,
            rotate_on: BTreeSet::new(),
            max_concurrent_updates: 1,
        },
        progress_deadline: Duration::from_minutes(120),
        deletion_policy: DeletionPolicy::Delete,
        paused: false,
        paused_clusters: BTreeSet::new(),
    }
}

fn template() -> ClusterSpec {
    let pool = NodePoolSpec {
        instance_type: "D4s_v3".to_owned(),
        min_count: 1,
        max_count: 3,
        disk_size_gib: None,
        labels: BTreeMap::new(),
        taints: Vec::new(),
    };
    ClusterSpec {
        kubernetes_version: "1.31".parse().unwrap(),
        features: BTreeSet::new(),
        node_pools: vec![NodePool { name: "default".parse().unwrap(), spec: pool }],
        infra_services: vec![service("rbac")],
        network: NetworkSpec::default(),
        tags: BTreeMap::from([("team".to_owned(), "serving".to_owned())]),
    }
}

fn service(name: &str) -> InfraServiceVersion {
    InfraServiceVersion { name: name.parse().unwrap(), version: "1".to_owned() }
}

fn with_consumer() -> People {
    let mut people = people(&[(AZURE, 1)]);
    let (name, grace) = ("router".parse().unwrap(), Duration::from_minutes(60));
    people.config.consumers = vec![Consumer { name, grace, sets: SetSelector::default() }];
    people
}

fn with_approval() -> People {
    let mut people = people(&[(AZURE, 2)]);
    people.config.budgets.removal = RemovalBudget { max_clusters: 0, max_percent: 0 };
    people
}

fn each(people: &mut People, change: impl Fn(&mut ResolvedSet)) {
    people.sets.values_mut().for_each(change);
}

/// No control plane skips a minor version, so a new cluster is built.
fn skip_version(people: &mut People) {
    each(people, |set| Arc::make_mut(&mut set.template).kubernetes_version = "1.33".parse().unwrap());
}

fn old_version(people: &mut People) {
    each(people, |set| set.template = Arc::new(template()));
}

fn count(people: &mut People, count: u32) {
    each(people, |set| set.count = count);
}

fn change_in_place(people: &mut People) {
    each(people, |set| {
        let template = Arc::make_mut(&mut set.template);
        template.kubernetes_version = "1.32".parse().unwrap();
        template.tags.insert("tier".to_owned(), "gold".to_owned());
        template.infra_services.push(service("metrics"));
    });
}

fn remove_a_set(people: &mut People) {
    let gone: SetId = AWS.parse().unwrap();
    people.sets.remove(&gone);
}
