//! End to end: the real program on a bare repository, with somebody else's EC2, IAM, STS and Kinesis, and EKS as a front over
//! the simulated world. After each change somebody else looks at the account: what Git names exists, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_emulators::python_bin;
use fleetwright_schema::status::{ClusterSetStatus, ClusterState};
use fleetwright_simulator::Speed;
use fleetwright_tests::contract::Standing;
use fleetwright_tests::contract::aws::AwsLab;
use fleetwright_tests::contract::cases::NEIGHBOUR;
use fleetwright_tests::contract::conductor::ACCOUNT;
use fleetwright_tests::person::Person;
use fleetwright_tests::program::{Machine, Running};
use fleetwright_tests::stage::{cluster_set, path_of, real_aws_fleet};
use fleetwright_tests::witness::{judge, statuses};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "us-west-2"];
/// A cluster that takes ten minutes takes two seconds.
const SPEED: f64 = 300.0;

fn set(region: &str) -> String {
    format!("prod/aws/{region}/Serving")
}

/// As quick as a set can be, so that a test is about what happens and not about waiting.
fn spec(count: u32, version: &str) -> String {
    let rotates =
        "updateStrategy: { rotateOn: [kubernetesVersion], clusterRotation: { bake: 1s, rollbackWindow: 1s } }";
    format!("count: {count}\nkubernetesVersion: \"{version}\"\n{rotates}")
}

struct Theatre {
    machine: Machine,
    person: Person,
    lab: AwsLab,
    /// What others have in the account, from the beginning.
    neighbours: Vec<Standing>,
}

impl Theatre {
    fn new() -> Result<Self, String> {
        let machine = Machine::new();
        let person = Person::new(&machine.path("fleet.git"));
        let fleet = real_aws_fleet(ACCOUNT);
        person.commit("begin", &[("fleet.yaml", Some(fleet.as_str()))]);
        let lab = AwsLab::start_at(Speed::Factor(SPEED))?;
        REGIONS.iter().for_each(|region| lab.make_leftovers_in(region, NEIGHBOUR));
        let neighbours: Vec<Standing> = REGIONS.iter().flat_map(|region| lab.standing_in(region)).collect();
        assert!(neighbours.len() > 10 * REGIONS.len() && neighbours.iter().all(|other| other.cluster.is_none()));
        Ok(Self { machine, person, lab, neighbours })
    }

    fn wish(&self, what: &str, of_each: impl Fn(usize) -> String) {
        let files: Vec<(String, String)> = REGIONS
            .iter()
            .enumerate()
            .map(|(index, region)| {
                let set = set(region);
                (path_of(&set), cluster_set(&set, &of_each(index)).replace("D4s_v3", "m6i.large"))
            })
            .collect();
        let changes: Vec<(&str, Option<&str>)> =
            files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        self.person.commit_among_others(what, &changes);
    }

    fn begin(&self) -> Running {
        let repo = self.person.path().display().to_string();
        let args = ["run", "--repo", &repo, "--until-settled", "--attention-interval", "1s", "--poll-interval", "2s"];
        let environment = self.lab.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.machine.begin_with("home", &args, &environment)
    }

    /// Ends the process with no warning after so many more commits, begins another, and lets that one end by itself.
    fn settle_under_fire(&self, commits: usize) {
        let target = self.person.history().len() + commits;
        let mut first = self.begin();
        assert!(first.until(|_| self.person.history().len() >= target), "it ended before it could be killed");
        assert!(first.kill(), "it had ended before it was killed");
        self.begin().wait().ended(0);
    }

    fn statuses(&self) -> BTreeMap<String, ClusterSetStatus> {
        statuses(&self.person, self.person.tip().unwrap())
    }

    /// The clusters that Git names, all of them serving.
    fn named(&self) -> BTreeSet<String> {
        let statuses = self.statuses();
        let clusters = statuses.values().flat_map(|set| &set.clusters);
        clusters
            .map(|cluster| {
                assert_eq!(cluster.status.state, ClusterState::Ready, "{}", cluster.metadata.name);
                cluster.metadata.name.to_string()
            })
            .collect()
    }

    /// What the controllers of one cluster of each set make.
    fn make_leftovers(&self) {
        let statuses = self.statuses();
        for (region, set) in REGIONS.iter().filter_map(|region| Some((region, statuses.get(&set(region))?))) {
            self.lab.make_leftovers_in(region, set.clusters[0].metadata.name.as_str());
        }
    }

    /// What `doctor` tells in a copy of the repository of things that no record names.
    fn orphans(&self) -> Vec<String> {
        let environment = self.lab.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let said = self.machine.fleetwright_with("home", &["doctor", "copy", "-o", "json"], &environment);
        let findings: Vec<serde_json::Value> = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said}"));
        let of = |what: &str| findings.iter().filter(|finding| finding["what"] == what).collect::<Vec<_>>();
        assert_eq!((of("reading").len(), of("tags").len()), (REGIONS.len(), 0), "{said}");
        of("orphan").iter().map(|finding| finding["detail"].as_str().unwrap().to_owned()).collect()
    }

    /// Nothing, as long as Git names all of it; and everything of a set that it has forgotten, and of no neighbour.
    fn doctor_finds_what_git_forgot(&self) {
        let repo = self.person.path().display().to_string();
        self.machine.git("home", &["clone", "--quiet", &repo, "copy"]);
        assert_eq!(self.orphans(), Vec::<String>::new());
        let forgotten = &self.statuses()[&set(REGIONS[1])].clusters[0].metadata.name;
        std::fs::remove_file(self.machine.path(&format!("home/copy/status/clustersets/{}.yaml", set(REGIONS[1]))))
            .unwrap();
        let told = self.orphans();
        for kind in ["network", "identity", "control plane", "NAT gateway", "elastic IP", "subnet", "security group"] {
            assert!(told.iter().any(|line| line.starts_with(&format!("{kind} of {forgotten}"))), "{kind}: {told:#?}");
        }
        assert!(told.iter().all(|line| line.contains(&format!(" of {forgotten}"))), "{told:#?}");
    }

    /// Every cluster has this version, and these are its set's own tags.
    fn stand_at(&self, version: &str, team: Option<&str>) {
        for cluster in self.statuses().values().flat_map(|set| &set.clusters) {
            assert_eq!(cluster.spec.kubernetes_version.as_str(), version, "{}", cluster.metadata.name);
        }
        for standing in REGIONS.iter().flat_map(|region| self.lab.standing_in(region)) {
            let tagged =
                ["VPC", "subnet", "NAT gateway", "IAM role", "Kinesis stream", "EKS cluster", "EKS node group"];
            if tagged.contains(&standing.kind.as_str()) {
                assert_eq!(standing.team.as_deref(), team, "{standing:?}");
            }
        }
    }

    /// What somebody else sees is what Git names: each cluster whole and with its tags, and nothing that is nobody's.
    fn audit(&self, step: &str) {
        let named = self.named();
        let standing: Vec<Standing> = REGIONS.iter().flat_map(|region| self.lab.standing_in(region)).collect();
        let (standing, others): (Vec<_>, Vec<_>) = standing.into_iter().partition(|one| one.cluster.is_some());
        assert_eq!(others, self.neighbours, "{step}: what others have is as it was, and nothing is nobody's");
        let mut kinds: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for Standing { kind, cluster, .. } in standing {
            *kinds.entry(cluster.unwrap().to_string()).or_default().entry(kind).or_default() += 1;
        }
        assert_eq!(kinds.keys().cloned().collect::<BTreeSet<_>>(), named, "{step}");
        let first = kinds.values().next().cloned().unwrap_or_default();
        for (cluster, parts) in &kinds {
            assert_eq!(*parts, first, "{step}: {cluster} is not made as the others");
        }
    }
}

#[test]
fn three_sets_live_through_everything_and_leave_nothing() {
    if let Err(missing) = python_bin() {
        return println!("three_sets_live_through_everything_and_leave_nothing is left out: {missing}");
    }
    let theatre = Theatre::new().unwrap();
    theatre.wish("three sets", |_| spec(1, "1.32"));
    theatre.settle_under_fire(4);
    theatre.audit("created");
    theatre.doctor_finds_what_git_forgot();
    theatre.wish("one of them grows", |index| spec(if index == 0 { 2 } else { 1 }, "1.32"));
    theatre.settle_under_fire(2);
    theatre.audit("scaled");
    theatre.stand_at("1.32", None);
    theatre
        .wish("tags", |index| format!("{}\ntags: {{ team: serving }}", spec(if index == 0 { 2 } else { 1 }, "1.32")));
    theatre.settle_under_fire(1);
    theatre.audit("updated in place");
    theatre.stand_at("1.32", Some("serving"));
    let before = theatre.named();
    theatre.wish("a version", |index| {
        format!("{}\ntags: {{ team: serving }}", spec(if index == 0 { 2 } else { 1 }, "1.33"))
    });
    theatre.settle_under_fire(5);
    theatre.audit("rotated");
    theatre.stand_at("1.33", Some("serving"));
    assert!(theatre.named().is_disjoint(&before), "every cluster was replaced");
    theatre
        .wish("back", |index| format!("{}\ntags: {{ team: serving }}", spec(if index == 0 { 2 } else { 1 }, "1.32")));
    theatre.settle_under_fire(3);
    theatre.audit("reverted");
    theatre.stand_at("1.32", Some("serving"));
    theatre.make_leftovers();
    assert!(theatre.lab.standing_in(REGIONS[0]).iter().any(|one| one.cluster.is_some() && one.kind == "volume"));
    theatre.wish("none", |_| format!("{}\ntags: {{ team: serving }}", spec(0, "1.32")));
    theatre.settle_under_fire(4);
    theatre.audit("retired");
    assert_eq!(theatre.named(), BTreeSet::new());
    judge(&theatre.person);
}
