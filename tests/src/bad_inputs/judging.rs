//! What a bad input may do: nothing to the sets that it is about, nothing to the others, and nothing that takes long.
//!
//! Every case begins with a copy of one small fleet whose clusters are built. In the commit that brings the bad input,
//! or right with it, two sets are asked to grow by one cluster: the victim, unless the case is about its very file, and
//! the bystander. So a hold that does not hold is seen, and a hold that holds too much.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fleetwright_core::inventory::Step as Part;
use fleetwright_schema::names::SetId;
use fleetwright_simulator::{Mutation, SimClock, Speed, Standing, Verb, World};
use tempfile::TempDir;

use super::making::{self, Maker};
use super::measured::{Measured, run};
use super::{Case, Told};
use crate::person::Person;
use crate::program::binary;

/// The set that most cases are about.
pub const VICTIM: &str = "prod/azure/westeurope/ModelServing";
/// The set that has nothing to do with it.
pub const BYSTANDER: &str = "dev/gcp/europe-west4/Training";
/// Shares its type and its environment with the victim, and is never asked for anything.
pub const SIBLING: &str = "prod/aws/us-east-1/ModelServing";

/// What the program may take on any input. A debug build needs no more: a usual run takes a fifth of it.
const CPU_MAX: Duration = Duration::from_secs(2);
const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// The fleet that every case begins with, built once.
pub struct Base {
    dir: TempDir,
}

impl Default for Base {
    fn default() -> Self {
        Self::new()
    }
}

impl Base {
    /// Builds it with the program itself.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.git");
        let person = Person::new(&path);
        let files: Vec<(&str, Option<&str>)> = FILES.iter().map(|(path, text)| (*path, Some(*text))).collect();
        person.commit("begin", &files);
        person.commit("say what it is", &[("README.md", Some("Three small sets.\n"))]);
        std::fs::write(path.join("config"), SERVER_CONFIG).unwrap();
        std::fs::write(dir.path().join(".gitconfig"), CONFIG).unwrap();
        let built = daemon(&path, dir.path());
        assert_eq!(built.code, Some(0), "{}", built.said);
        for repo in [path.clone(), path.join("fleetwright/mirror-1.git")] {
            let packed =
                Command::new("git").arg("-C").arg(repo).args(["gc", "--quiet", "--prune=now"]).status().unwrap();
            assert!(packed.success());
        }
        Self { dir }
    }

    fn copy_to(&self, to: &Path) {
        copy(self.dir.path(), to);
    }
}

/// The server streams what is large, as the servers do that people use.
const SERVER_CONFIG: &str =
    "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tbigFileThreshold = 1m\n\tfsync = none\n[gc]\n\tauto = 0\n";
/// That of who runs the daemon: nothing here must outlive a power failure.
const CONFIG: &str = "[core]\n\tfsync = none\n";

const FILES: [(&str, &str); 8] = [
    ("fleet.yaml", include_str!("fleet/fleet.yaml")),
    ("cluster-types/ModelServing.yaml", include_str!("fleet/ModelServing.yaml")),
    ("cluster-types/Training.yaml", include_str!("fleet/Training.yaml")),
    ("clustersets/prod/azure/westeurope/ModelServing.yaml", include_str!("fleet/victim.yaml")),
    ("clustersets/prod/aws/us-east-1/ModelServing.yaml", include_str!("fleet/sibling.yaml")),
    ("clustersets/dev/gcp/europe-west4/Training.yaml", include_str!("fleet/bystander.yaml")),
    ("infra-services/rbac/service.yaml", include_str!("fleet/rbac.yaml")),
    ("infra-services/agent/service.yaml", include_str!("fleet/agent.yaml")),
];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn daemon(repo: &Path, dir: &Path) -> Measured {
    let repo = repo.display().to_string();
    let args = ["run", "--repo", &repo, "--until-settled", "--sim-speed", "max", "--sim-seed", "7", "--log", "text"];
    run(binary(), &args, dir)
}

/// A fleet that something bad is pushed to, and what is wrong with how that ended.
struct Scene<'a> {
    case: &'a Case,
    dir: TempDir,
    repo: PathBuf,
    complaints: Vec<String>,
}

/// What the simulated clouds hold and did.
struct Sight {
    history: Vec<Mutation>,
    /// The ids of everything that stands, by cluster.
    standing: BTreeMap<String, BTreeSet<String>>,
    /// How many control planes each set has.
    clusters: BTreeMap<String, usize>,
}

/// Everything that is wrong with how the program takes this input; nothing, if all is well.
pub fn judge(base: &Base, case: &Case) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("fleet.git");
    base.copy_to(dir.path());
    let mut scene = Scene { case, dir, repo, complaints: Vec::new() };
    let (tip, before) = (making::tip(&scene.repo).unwrap(), scene.sight());
    making::make(&scene.repo, &case.make, |maker| grow(maker, tip));
    scene.validate(&tip.to_string());
    scene.run(&before);
    scene.run_again();
    if case.mends {
        scene.mend(tip);
    }
    match scene.complaints.is_empty() {
        true => Ok(()),
        false => Err(scene.complaints.join("\n\n")),
    }
}

/// Asks both sets for one more cluster, where the case left their files as they were.
fn grow(maker: &mut Maker, tip: git2::Oid) {
    for (set, from, to) in [(VICTIM, "count: 2", "count: 3"), (BYSTANDER, "count: 1", "count: 2")] {
        let path = format!("clustersets/{set}.yaml");
        if maker.is_as_at(tip, &path) {
            maker.edit(&path, from, to);
        }
    }
}

impl Scene<'_> {
    fn complain(&mut self, why: impl Into<String>) {
        self.complaints.push(why.into());
    }

    fn validate(&mut self, base: &str) {
        let repo = self.repo.display().to_string();
        let told = run(binary(), &["validate", &repo, "--rev", "main", "--base", base], self.dir.path());
        let case = self.case;
        self.check("validate", &told, case.validate.code, &case.validate.says);
        for expected in &case.validate.tells {
            if !told.said.split("\n\n").any(|block| is_told(block, expected)) {
                self.complain(format!("validate does not tell {expected:?}:\n{}", told.said));
            }
        }
    }

    /// One run, until it is settled or waits for people.
    fn run(&mut self, before: &Sight) {
        let told = daemon(&self.repo, self.dir.path());
        let case = self.case;
        self.check("the daemon", &told, case.daemon.code, &case.daemon.says);
        let after = self.sight();
        self.check_world(before, &after);
    }

    /// The same again: nothing is left to do, and nothing to say.
    fn run_again(&mut self) {
        let (tip, before) = (making::tip(&self.repo), self.sight());
        let told = daemon(&self.repo, self.dir.path());
        let code = self.case.daemon.code;
        self.check("the daemon, run again,", &told, code, &[]);
        if self.sight().history != before.history {
            self.complain(format!("one more run does something:\n{}", told.said));
        }
        if making::tip(&self.repo) != tip {
            self.complain(format!("one more run commits something:\n{}", told.said));
        }
    }

    /// People put the files back as they were: both sets grow as was wished all the time.
    fn mend(&mut self, good: git2::Oid) {
        let mut maker = Maker::new(&self.repo);
        maker.restore(good);
        grow(&mut maker, good);
        maker.commit(None, "mend");
        let told = daemon(&self.repo, self.dir.path());
        self.check("the daemon, after it was mended,", &told, 0, &[]);
        let clusters = self.sight().clusters;
        for (set, count) in [(VICTIM, 3), (BYSTANDER, 2), (SIBLING, 1)] {
            if clusters.get(set) != Some(&count) {
                self.complain(format!(
                    "after it was mended there are not {count} in {set}: {clusters:?}\n{}",
                    told.said
                ));
            }
        }
    }

    fn check(&mut self, who: &str, told: &Measured, code: i32, says: &[String]) {
        let Measured { said, own_cpu, cpu, memory_bytes, .. } = told;
        if told.code != Some(code) {
            self.complain(format!("{who} ends with {:?}, not {code}:\n{said}", told.code));
        }
        for fragment in says.iter().filter(|fragment| !said.contains(fragment.as_str())) {
            self.complain(format!("{who} does not say {fragment:?}:\n{said}"));
        }
        for word in ["panicked at", "overflowed its stack", "memory allocation of", "RUST_BACKTRACE"] {
            if said.contains(word) {
                self.complain(format!("{who} panics:\n{said}"));
            }
        }
        if said.chars().any(|c| c.is_control() && c != '\n') {
            self.complain(format!("{who} prints a control character: {said:?}"));
        }
        let with_git = self.case.git_seconds.map_or(CPU_MAX, Duration::from_secs);
        if *own_cpu > CPU_MAX || *cpu > with_git {
            self.complain(format!("{who} takes {own_cpu:?}, and with git {cpu:?}"));
        }
        if *memory_bytes > MEMORY_BYTES_MAX {
            self.complain(format!("{who} takes {} MiB", memory_bytes >> 20));
        }
    }

    fn check_world(&mut self, before: &Sight, after: &Sight) {
        let case = self.case;
        let (old, new) = after.history.split_at(before.history.len().min(after.history.len()));
        assert_eq!(old, before.history, "the clouds forgot what was done");
        let touched: BTreeSet<String> = new.iter().map(|mutation| self.set_of(mutation.cluster.as_str())).collect();
        let allowed: BTreeSet<String> = case.changes.iter().cloned().collect();
        if touched != allowed {
            self.complain(format!("something is done to {touched:?}, and should be to {allowed:?}: {new:#?}"));
        }
        for mutation in new.iter().filter(|m| matches!(m.verb, Verb::Delete | Verb::Drain)) {
            let set = self.set_of(mutation.cluster.as_str());
            if !case.removes.contains(&set) {
                self.complain(format!("{} of {} is done", mutation.verb.as_str(), mutation.cluster));
            }
        }
        for (cluster, parts) in &before.standing {
            let kept = after.standing.get(cluster).is_some_and(|now| now.is_superset(parts));
            if !kept && !case.removes.contains(&self.set_of(cluster)) {
                self.complain(format!("{cluster} is not what it was"));
            }
        }
    }

    /// The set of a cluster; its own name, where it is of no set that the case knows.
    fn set_of(&self, cluster: &str) -> String {
        let known = [VICTIM, BYSTANDER, SIBLING].into_iter().chain(self.case.changes.iter().map(String::as_str));
        let named = |set: &&str| {
            let first = set.parse::<SetId>().and_then(|id| id.cluster_name(1)).unwrap();
            cluster.rsplit_once('-').map(|(stem, _)| stem) == first.as_str().rsplit_once('-').map(|(stem, _)| stem)
        };
        known.into_iter().find(named).unwrap_or(cluster).to_owned()
    }

    fn sight(&self) -> Sight {
        let clock = SimClock::new(fleetwright::clock::machine_time(), Speed::Max);
        let world = World::open(Some(&self.repo.join("fleetwright/simulated-clouds.jsonl")), 7, clock).unwrap();
        let mut sight =
            Sight { history: world.history().unwrap(), standing: BTreeMap::new(), clusters: BTreeMap::new() };
        for Standing { resource, .. } in world.resources().unwrap() {
            sight.standing.entry(resource.cluster.to_string()).or_default().insert(resource.id.to_string());
            *sight.clusters.entry(resource.set.to_string()).or_default() +=
                usize::from(resource.step == Part::ControlPlane);
        }
        sight
    }
}

/// Whether a block of the text is this diagnostic. A place without a line is that of the whole file.
fn is_told(block: &str, expected: &Told) -> bool {
    let Told { rule, at, says } = expected;
    let heads = [format!("error[{rule}]"), format!("warning[{rule}]")];
    let place = |line: &str| {
        let line = line.trim_start().trim_start_matches("--> ");
        line == at || line.strip_prefix(at.as_str()).is_some_and(|rest| rest.starts_with(':') && at.contains(".yaml:"))
    };
    heads.iter().any(|head| block.trim_start().starts_with(head)) && block.lines().any(place) && block.contains(says)
}
