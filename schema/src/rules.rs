//! Rules of single documents that a schema can't say. Each has a name, a place and, where there is one, a way out.

mod fleet;
mod layer;
mod network;

use crate::diagnostic::{Diagnostic, Problems, Severity, did_you_mean, shown};
use crate::document::Document;
use crate::documents::{ClusterSet, ClusterType, InfraService, RemovalApproval};
use crate::names::{Cloud, Location, Region};
use crate::positions::Positions;

pub use layer::TAGS_MAX;

/// Checks one document against all rules that need no other file.
pub(crate) fn check(document: &Document, positions: &Positions, problems: &mut Problems) {
    let mut rules = Rules { positions, problems };
    match document {
        Document::Fleet(fleet) => fleet::check(fleet, &mut rules),
        Document::ClusterType(cluster_type) => check_cluster_type(cluster_type, &mut rules),
        Document::ClusterSet(set) => check_cluster_set(set, &mut rules),
        Document::InfraService(service) => check_infra_service(service, &mut rules),
        Document::RemovalApproval(approval) => check_approval(approval, &mut rules),
    }
}

/// Where rules tell what they found.
struct Rules<'a> {
    positions: &'a Positions,
    problems: &'a mut Problems,
}

impl Rules<'_> {
    fn error(&mut self, pointer: &str, rule: &'static str, message: impl Into<String>, hint: Option<String>) {
        let positions = self.positions;
        self.problems.add_with(|| positions.problem(pointer, rule, message).hint_maybe(hint));
    }

    fn warning(&mut self, pointer: &str, rule: &'static str, message: impl Into<String>, hint: Option<String>) {
        let positions = self.positions;
        let problem = || positions.problem(pointer, rule, message).hint_maybe(hint);
        self.problems.add_with(|| Diagnostic { severity: Severity::Warning, ..problem() });
    }

    /// The value at the pointer is what the path says.
    fn agrees(&mut self, pointer: &str, value: &str, in_path: &str) {
        if value != in_path {
            let message = format!("{} disagrees with the file's path, which says {}", shown(value), shown(in_path));
            self.error(pointer, "path-mismatch", message, Some(format!("write {in_path}, or move the file")));
        }
    }

    /// Names of a list's items are each there once.
    fn unique<'a>(&mut self, list: &str, field: &str, names: impl IntoIterator<Item = &'a str>) {
        let mut seen = std::collections::BTreeMap::new();
        for (index, name) in names.into_iter().enumerate() {
            let pointer = format!("{list}/{index}{field}");
            let line = self.positions.span(&pointer).map_or(0, |span| span.line);
            match seen.get(name) {
                None => drop(seen.insert(name, line)),
                Some(first) => {
                    let message = format!("{} is listed twice, first on line {first}", shown(name));
                    self.error(&pointer, "duplicate-name", message, None);
                }
            }
        }
    }

    /// The region is one of the cloud's.
    fn region(&mut self, pointer: &str, cloud: Cloud, region: &Region) {
        if region.facts(cloud).is_some() {
            return;
        }
        let elsewhere = Cloud::ALL.into_iter().find(|other| region.facts(*other).is_some());
        let names = Region::table().iter().filter(|facts| facts.cloud == cloud).map(|facts| facts.name.as_str());
        let hint = match elsewhere {
            Some(other) => Some(format!("{region} is a region of {other}")),
            None => did_you_mean(region.as_str(), names),
        };
        self.error(pointer, "region-unknown", format!("`{region}` is no region of {cloud}"), hint);
    }
}

/// The name that a file's path gives: its stem, or its folder where the file has a fixed name.
fn name_in_path(path: &str) -> &str {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "service.yaml" => folder.rsplit('/').next().unwrap_or(folder),
        _ => file.strip_suffix(".yaml").unwrap_or(file),
    }
}

fn check_cluster_type(cluster_type: &ClusterType, rules: &mut Rules<'_>) {
    let positions = rules.positions;
    rules.agrees("/metadata/name", cluster_type.metadata.name.as_str(), name_in_path(positions.path()));
    layer::check(&cluster_type.spec, "/spec", rules);
}

fn check_cluster_set(set: &ClusterSet, rules: &mut Rules<'_>) {
    let positions = rules.positions;
    let Location { env, cloud, region } = &set.metadata.location;
    if let [_, in_env, in_cloud, in_region, _] = positions.path().split('/').collect::<Vec<_>>()[..] {
        rules.agrees("/metadata/location/env", env.as_str(), in_env);
        rules.agrees("/metadata/location/cloud", cloud.as_str(), in_cloud);
        rules.agrees("/metadata/location/region", region.as_str(), in_region);
    }
    rules.agrees("/metadata/clusterType", set.metadata.cluster_type.as_str(), name_in_path(positions.path()));
    rules.region("/metadata/location/region", *cloud, region);
    check_cluster_names(set, rules);
    layer::check(&set.spec, "/spec", rules);
}

/// The names of the set's clusters fit their cloud, and clusters that it pauses are its own.
fn check_cluster_names(set: &ClusterSet, rules: &mut Rules<'_>) {
    // The ordinal grows for ever; a set that names ten thousand clusters has lived for decades.
    const LAST_ORDINAL: u32 = 9_999;
    let (id, cloud) = (set.metadata.id(), set.metadata.location.cloud);
    let length_max = cloud.cluster_name_length_max();
    let Ok(last) = id.cluster_name(LAST_ORDINAL).map(|name| name.to_string()) else { return };
    if last.len() > length_max {
        let message =
            format!("clusters of this set are called {}, and {cloud} takes {length_max} characters", shown(&last));
        rules.error("/metadata/clusterType", "cluster-name-too-long", message, Some("use a shorter type".into()));
    }
    let prefix = last.trim_end_matches(|c: char| c.is_ascii_digit());
    for (pointer, name) in layer::listed(rules.positions, "/spec/pausedClusters") {
        let ordinal = name.strip_prefix(prefix).filter(|rest| !rest.starts_with('0'));
        if ordinal.and_then(|rest| rest.parse::<u32>().ok()).is_none() {
            let message = format!("{} is no cluster of this set", shown(&name));
            rules.error(
                &pointer,
                "paused-cluster-unknown",
                message,
                Some(format!("its clusters are called {prefix}1, …")),
            );
        }
    }
}

fn check_infra_service(service: &InfraService, rules: &mut Rules<'_>) {
    let (positions, spec) = (rules.positions, &service.spec);
    let name = service.metadata.name.as_str();
    rules.agrees("/metadata/name", name, name_in_path(positions.path()));
    rules.unique("/spec/dependsOn", "", spec.depends_on.iter().map(|name| name.as_str()));
    rules.unique("/spec/manifests", "", spec.manifests.iter().map(String::as_str));
    for (index, _) in spec.depends_on.iter().enumerate().filter(|(_, other)| other.as_str() == name) {
        rules.error(&format!("/spec/dependsOn/{index}"), "depends-on-itself", "a service can't wait for itself", None);
    }
    for (index, manifest) in spec.manifests.iter().enumerate().filter(|(_, path)| !stays_inside(path)) {
        let message = format!("{} is no path inside of the service's folder", shown(manifest));
        let hint = Some("write it relative to service.yaml, with `/` and without `..`".into());
        rules.error(&format!("/spec/manifests/{index}"), "manifest-path", message, hint);
    }
}

/// Whether a path names a file below the folder that it is relative to, on every system.
fn stays_inside(path: &str) -> bool {
    let part_sound = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':']);
    path.len() <= 255 && path.split('/').all(part_sound) && !path.chars().any(char::is_control)
}

fn check_approval(approval: &RemovalApproval, rules: &mut Rules<'_>) {
    let positions = rules.positions;
    rules.agrees("/metadata/name", approval.metadata.name.as_str(), name_in_path(positions.path()));
}
