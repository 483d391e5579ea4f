//! Fleets for the tests of the command line: the template, a record in which it is built, and variations of both.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fleetwright_core::change::ChangeTable;
use fleetwright_core::fingerprint::{Memo, digest};
use fleetwright_core::fleet::{FleetCache, desired, read_fleet};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::plan::{Inputs, plan};
use fleetwright_core::publication::status_file;
use fleetwright_core::record::Record;
use fleetwright_core::snapshot::{BlobId, CommitId, Snapshot, SourceFile};
use fleetwright_schema::status::{Cluster, ClusterState, ConditionStatus};
use fleetwright_schema::units::{Duration, Timestamp};
use tempfile::TempDir;

use super::plan::assume::assumed_inventory;
use super::template::FILES;

/// A set as the original design spelled it.
pub const ORIGINAL: &str = "\
location: prod/azure/westeurope
clusterType: ModelServing
count: 5
features: [private-connectivity, byon]
nodePools:
  - name: default
    Spec:
      instanceType: D32s_v3
      minCount: 3
      maxCount: 3
infra-services: [rbac, namespaces, observability]
update_strategy:
  cluster-rotation:
    max_surge: 1
tags:
  team: serving
";

/// When the fleets of the tests are built.
pub fn built_at() -> Timestamp {
    "2026-11-20T08:00:00Z".parse().unwrap()
}

/// A snapshot of these files.
pub fn snapshot(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Snapshot {
    let file = |content: Vec<u8>| {
        let blob = BlobId::parse(&digest(&content, 40)).unwrap();
        SourceFile { blob, content: content.into() }
    };
    let files = files.into_iter().map(|(path, content)| (path.into(), file(content))).collect();
    Snapshot { commit: CommitId::parse(&"0".repeat(40)).unwrap(), files, refused: Vec::new() }
}

/// The template.
pub fn template() -> Snapshot {
    template_with(&[])
}

/// The template with further or other files.
pub fn template_with(files: &[(&str, &str)]) -> Snapshot {
    let own = |(path, text): &(&str, &str)| (path.to_string(), text.as_bytes().to_vec());
    snapshot(FILES.iter().chain(files).map(own))
}

/// A snapshot with a text replaced in one of its files, which must be there.
pub fn edited(snapshot: &Snapshot, path: &str, from: &str, to: &str) -> Snapshot {
    let old = String::from_utf8(snapshot.files[path].content.to_vec()).unwrap();
    assert!(old.contains(from), "{path} has no {from:?}");
    let new = self::snapshot([(path.to_owned(), old.replace(from, to).into_bytes())]);
    let mut edited = snapshot.clone();
    edited.files.extend(new.files);
    edited
}

/// A snapshot without a file, which must be there.
pub fn without(snapshot: &Snapshot, path: &str) -> Snapshot {
    let mut smaller = snapshot.clone();
    assert!(smaller.files.remove(path).is_some(), "{path}");
    smaller
}

/// The record in which every set of a snapshot is built and serves.
pub fn built(snapshot: &Snapshot) -> Record {
    let named = first_plan(snapshot, built_at());
    let ready = |cluster: &Arc<Cluster>| Arc::new(served(cluster, built_at().plus(Duration::from_minutes(12))));
    let mut record = named;
    for set in record.sets.values_mut() {
        let mut next = (**set).clone();
        next.clusters = next.clusters.iter().map(ready).collect();
        next.status.serving = next.status.desired;
        next.status.updated = next.status.desired;
        next.status.alive = next.status.desired;
        next.status.conditions[0].status = ConditionStatus::True;
        next.status.conditions[0].reason = "Converged".to_owned();
        next.status.conditions.truncate(1);
        *set = Arc::new(next);
    }
    record
}

/// The record after the first plan of a snapshot: every cluster is named and nothing is made.
pub fn first_plan(snapshot: &Snapshot, now: Timestamp) -> Record {
    let record = Record::default();
    let reading = read_fleet(snapshot, &mut FleetCache::default());
    let desired = desired(&reading, &record, None, None);
    let memo = Memo::default();
    let inputs = Inputs {
        now,
        desired: &desired,
        record: &record,
        inventory: &assumed_inventory(&record, &desired, &memo, now),
        memory: &Memory::default(),
        acknowledgements: &Acknowledgements::default(),
        table: ChangeTable::shipped(),
        memo: &memo,
    };
    plan(&inputs).record
}

fn served(cluster: &Cluster, at: Timestamp) -> Cluster {
    let mut cluster = cluster.clone();
    let name = cluster.metadata.name.clone();
    cluster.status.state = ClusterState::Ready;
    cluster.status.since = at;
    cluster.status.ready_at = Some(at);
    cluster.status.provider_id = Some(format!("plane-{name}"));
    cluster.status.endpoint = Some(format!("https://{name}.example"));
    cluster.status.network.id = Some(format!("net-{name}"));
    cluster
}

/// A snapshot with the status files of a record.
pub fn with_status(snapshot: &Snapshot, record: &Record) -> Snapshot {
    let files = record.sets.iter().map(|(id, set)| (id.status_path(), status_file(id, set).unwrap()));
    let mut all = snapshot.clone();
    all.files.extend(self::snapshot(files).files);
    all
}

/// A repository in a temporary directory, without anything of the user's configuration.
pub struct TestRepo(TempDir);

impl TestRepo {
    /// Without a commit.
    pub fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs git in it.
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            command.env_remove(name);
        }
        let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(self.path()).args(identity).args(args);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes these files over those that are there, and commits them.
    pub fn commit(&self, files: &Snapshot) {
        for (path, file) in &files.files {
            let path = self.path().join(&**path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &file.content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
    }
}
