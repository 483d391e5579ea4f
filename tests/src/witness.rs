//! Judges the history of a branch by what a consumer could read of it at each commit.

use std::collections::{BTreeMap, BTreeSet};

use fleetwright_schema::status::{ClusterSetStatus, ClusterState, RetirementReason};
use git2::Oid;

use crate::person::Person;

/// What a consumer reads of one set at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The commit.
    pub commit: Oid,
    /// `count` as taken up.
    pub count: u32,
    /// `maxSurge` as taken up.
    pub surge: u32,
    /// The states of its clusters by name.
    pub states: BTreeMap<String, ClusterState>,
    /// Whether a cluster was lost, and not by our doing.
    pub lost: bool,
}

impl Sight {
    /// How many serve.
    pub fn serving(&self) -> u32 {
        u32::try_from(self.states.values().filter(|state| state.serves()).count()).unwrap()
    }
    /// How many are alive.
    pub fn alive(&self) -> u32 {
        u32::try_from(self.states.len()).unwrap()
    }
}

/// Parses the status files of a commit.
pub fn statuses(person: &Person, commit: Oid) -> BTreeMap<String, ClusterSetStatus> {
    let files = person.files(commit, "status/clustersets/");
    files
        .into_iter()
        .map(|(path, text)| {
            let set = path.trim_start_matches("status/clustersets/").trim_end_matches(".yaml").to_owned();
            (set, serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path} at {commit}: {error}\n{text}")))
        })
        .collect()
}

/// What a consumer could read of a set, commit by commit, where it changed.
pub fn sights(person: &Person, set: &str) -> Vec<Sight> {
    let path = format!("status/clustersets/{set}.yaml");
    let mut sights: Vec<Sight> = Vec::new();
    let mut last = String::new();
    for commit in person.history() {
        if person.described(commit).0 != "fleetwright[bot]" {
            continue;
        }
        let Some(text) = person.files(commit, &path).remove(&path) else { continue };
        if text == last {
            continue;
        }
        let status: ClusterSetStatus = serde_saphyr::from_str(&text).unwrap();
        last = text;
        let states = status.clusters.iter().map(|c| (c.metadata.name.to_string(), c.status.state)).collect();
        let surge = status.spec.update_strategy.cluster_rotation.max_surge;
        let lost = status.clusters.iter().any(|cluster| {
            cluster.status.retirement.as_ref().is_some_and(|retirement| retirement.reason == RetirementReason::Lost)
        });
        sights.push(Sight { commit, count: status.spec.count, surge, states, lost });
    }
    sights
}

/// What a consumer could read of a set, as a line for each change of a state: `1-5 READY, 6 CREATING`.
pub fn tale(person: &Person, set: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for sight in sights(person, set) {
        let mut runs: Vec<(u32, u32, ClusterState)> = Vec::new();
        let mut states: Vec<(u32, ClusterState)> =
            sight.states.iter().map(|(name, state)| (ordinal(name), *state)).collect();
        states.sort_unstable();
        for (ordinal, state) in states {
            match runs.last_mut() {
                Some(run) if run.1 + 1 == ordinal && run.2 == state => run.1 = ordinal,
                _ => runs.push((ordinal, ordinal, state)),
            }
        }
        let words = runs.iter().map(|(first, last, state)| match first == last {
            true => format!("{first} {state}"),
            false => format!("{first}-{last} {state}"),
        });
        let line = words.collect::<Vec<_>>().join(", ");
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn ordinal(name: &str) -> u32 {
    name.rsplit('-').next().unwrap().parse().unwrap()
}

/// Judges every commit of every set: serving never falls below `count` once it was reached (unless `count` grew, or
/// clusters were lost), alive never rises above `count` + surge (unless `count` fell), and every bot commit changes
/// something below `status/` and nothing else.
pub fn judge(person: &Person) {
    let all: BTreeSet<String> =
        person.history().iter().flat_map(|commit| statuses(person, *commit).into_keys()).collect();
    for set in &all {
        judge_set(set, &sights(person, set));
    }
    judge_commits(person);
}

fn judge_set(set: &str, sights: &[Sight]) {
    let mut reached = false;
    let mut before: Option<&Sight> = None;
    for sight in sights {
        let grew = before.is_some_and(|before| sight.count > before.count);
        if grew || sight.lost {
            reached = false;
        }
        if sight.serving() >= sight.count {
            reached = true;
        }
        assert!(!reached || sight.serving() >= sight.count, "{set} at {}: {sight:?}", sight.commit);
        let named_more = before.is_none_or(|before| sight.states.keys().any(|name| !before.states.contains_key(name)));
        assert!(!named_more || sight.alive() <= sight.count + sight.surge, "{set} at {}: {sight:?}", sight.commit);
        before = Some(sight);
    }
}

fn judge_commits(person: &Person) {
    let history = person.history();
    for pair in history.windows(2) {
        let (author, message) = person.described(pair[1]);
        if author != "fleetwright[bot]" {
            continue;
        }
        let (old, new) = (person.files(pair[0], ""), person.files(pair[1], ""));
        assert_ne!(old, new, "a commit without a change: {message}");
        let changed = old.keys().chain(new.keys()).filter(|path| old.get(*path) != new.get(*path));
        for path in changed {
            assert!(path.starts_with("status/"), "the bot wrote {path}: {message}");
        }
        assert!(message.contains("Fleetwright-Source: "), "{message}");
    }
}
