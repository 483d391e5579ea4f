//! From a snapshot to the fleet: every document parsed once by blob, layers resolved, rules across files checked. All
//! problems are collected; a file that can't be read holds its own set and those that rest on it, and no other.

mod infra;
mod layers;
mod rules;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_schema::diagnostic::Diagnostic;
use fleetwright_schema::document::{Document, DocumentKind, Parsed, expected_kind, misplaced, read};
use fleetwright_schema::documents::{FleetSpec, InfraService, RemovalApprovalSpec};
use fleetwright_schema::names::{ClusterTypeName, SetId};

use crate::desired::WantedSet;
use crate::snapshot::{BlobId, Snapshot, SourceFile};

pub use layers::{Explained, explain};
pub use wish::desired;

/// A file that was parsed, or all that is wrong with it.
type Read = Arc<Result<Parsed, Vec<Diagnostic>>>;

/// What was parsed and resolved before. A push of one file parses and resolves one file.
#[derive(Debug, Default)]
pub struct FleetCache {
    parsed: BTreeMap<(Arc<str>, BlobId), Read>,
    resolved: BTreeMap<SetId, (ResolveKey, Arc<SetReading>)>,
    /// How many files the last reading parsed.
    pub files_parsed: usize,
}

/// The blobs that a resolved set rests on; those of services with whether they can be used, for that rests on other files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ResolveKey {
    own: BlobId,
    fleet: BlobId,
    cluster_type: Option<BlobId>,
    /// With their folders (a service that was renamed has the same blob), and whether they could be read.
    infra: Arc<Vec<(String, BlobId, bool)>>,
}

/// One set of the fleet.
#[derive(Clone, Debug)]
pub struct SetReading {
    /// The set; none if something is wrong with it or with what it rests on.
    pub wanted: Option<Arc<WantedSet>>,
    /// What is wrong beyond its own file.
    pub problems: Vec<Diagnostic>,
}

/// Everything that a snapshot says.
#[derive(Clone, Debug, Default)]
pub struct FleetReading {
    /// The settings of `fleet.yaml`, if it can be read.
    pub config: Option<Arc<FleetSpec>>,
    /// Every set that has a file at its place.
    pub sets: BTreeMap<SetId, Arc<SetReading>>,
    /// Approvals that can be read.
    pub approvals: Vec<RemovalApprovalSpec>,
    /// Everything that is wrong, in the order of path and line; warnings too.
    pub diagnostics: Vec<Diagnostic>,
    /// Paths below `clustersets/` that could not be read or are misplaced: a set that is absent may be in one of them.
    pub obscured: Vec<String>,
}

impl FleetReading {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// The files of a snapshot, by what they hold.
#[derive(Default)]
struct Files {
    fleet: Option<(BlobId, Read)>,
    types: BTreeMap<ClusterTypeName, (BlobId, Read)>,
    sets: BTreeMap<SetId, (BlobId, Read)>,
    infra: BTreeMap<String, (BlobId, Read)>,
    approvals: Vec<Read>,
    problems: Vec<Diagnostic>,
    obscured: Vec<String>,
}

/// Reads the whole fleet.
pub fn read_fleet(snapshot: &Snapshot, cache: &mut FleetCache) -> FleetReading {
    let files = sort_files(snapshot, cache);
    let mut reading = FleetReading { diagnostics: files.problems.clone(), ..FleetReading::default() };
    reading.obscured = files.obscured.clone();
    collect_own_problems(&files, &mut reading);
    let Some((fleet_blob, fleet_file)) = sound(files.fleet.as_ref()) else {
        if files.fleet.is_none() {
            reading.diagnostics.push(
                Diagnostic::error("fleet-missing", "fleet.yaml", "the repository has no fleet.yaml")
                    .hint("`fleetwright init DIR` makes a repository from the template"),
            );
        }
        // Which sets have a file is known all the same: none of them is taken for removed.
        let broken = || Arc::new(SetReading { wanted: None, problems: Vec::new() });
        reading.sets = files.sets.keys().map(|id| (id.clone(), broken())).collect();
        reading.diagnostics.sort();
        return reading;
    };
    let Document::Fleet(fleet) = &fleet_file.document else { return reading };
    reading.config = Some(Arc::new(fleet.spec.clone()));
    resolve_sets(&files, fleet_blob, fleet_file, &fleet.spec, cache, &mut reading);
    rules::check(&fleet.spec, fleet_file, &files, &mut reading);
    rules::check_services(&files, &mut reading);
    reading.diagnostics.sort();
    reading
}

fn sound(file: Option<&(BlobId, Read)>) -> Option<(&BlobId, &Parsed)> {
    let (blob, read) = file?;
    read.as_ref().as_ref().ok().map(|parsed| (blob, parsed))
}

fn sort_files(snapshot: &Snapshot, cache: &mut FleetCache) -> Files {
    let mut files = Files::default();
    let mut kept = BTreeMap::new();
    cache.files_parsed = 0;
    for (path, file) in &snapshot.files {
        let Some(kind) = expected_kind(path) else {
            if let Some(problem) = misplaced(path) {
                note_obscured(path, &mut files.obscured);
                files.problems.push(problem);
            }
            continue;
        };
        let read = parse_once(path, file, cache);
        kept.insert((Arc::clone(path), file.blob.clone()), Arc::clone(&read));
        let read = rules::without_missing_manifests(path, read, snapshot);
        place(kind, path, file, read, &mut files);
    }
    for refused in &snapshot.refused {
        note_obscured(&refused.path, &mut files.obscured);
        let problem = Diagnostic::error("refused-entry", refused.path.clone(), refused.why.clone());
        files.problems.push(problem.hint("a fleet repository holds regular files with plain names only"));
    }
    cache.parsed = kept;
    files
}

fn note_obscured(path: &str, obscured: &mut Vec<String>) {
    let folder = path.split('/').next().unwrap_or_default().to_lowercase();
    // A set's file may be hidden behind anything that is not plainly another folder of the fleet.
    if !matches!(folder.as_str(), "cluster-types" | "infra-services" | "approvals") {
        obscured.push(path.to_owned());
    }
}

fn parse_once(path: &Arc<str>, file: &SourceFile, cache: &mut FleetCache) -> Read {
    let key = (Arc::clone(path), file.blob.clone());
    if let Some(known) = cache.parsed.get(&key) {
        return Arc::clone(known);
    }
    cache.files_parsed += 1;
    Arc::new(read(path, &file.content))
}

fn place(kind: DocumentKind, path: &str, file: &SourceFile, read: Read, files: &mut Files) {
    let entry = (file.blob.clone(), read);
    match kind {
        DocumentKind::Fleet => files.fleet = Some(entry),
        DocumentKind::RemovalApproval => files.approvals.push(entry.1),
        DocumentKind::ClusterType => match stem(path, "cluster-types/").parse() {
            Ok(name) => drop(files.types.insert(name, entry)),
            Err(why) => files.problems.push(Diagnostic::error("path-mismatch", path, why)),
        },
        DocumentKind::InfraService => {
            let name = path.split('/').nth(1).unwrap_or_default().to_owned();
            files.infra.insert(name, entry);
        }
        DocumentKind::ClusterSet => match stem(path, "clustersets/").parse() {
            Ok(id) => drop(files.sets.insert(id, entry)),
            Err(why) => {
                files.obscured.push(path.to_owned());
                files.problems.push(Diagnostic::error("path-mismatch", path, why));
            }
        },
    }
}

fn stem<'a>(path: &'a str, folder: &str) -> &'a str {
    let rest = path.strip_prefix(folder).unwrap_or(path);
    rest.strip_suffix(".yaml").unwrap_or(rest)
}

fn collect_own_problems(files: &Files, reading: &mut FleetReading) {
    let all = files.fleet.iter().map(|(_, read)| read);
    let all = all.chain(files.types.values().map(|(_, read)| read));
    let all = all.chain(files.sets.values().map(|(_, read)| read));
    let all = all.chain(files.infra.values().map(|(_, read)| read)).chain(&files.approvals);
    for read in all {
        match read.as_ref() {
            Ok(parsed) => reading.diagnostics.extend(parsed.warnings.iter().cloned()),
            Err(problems) => reading.diagnostics.extend(problems.iter().cloned()),
        }
    }
    reading.approvals = files
        .approvals
        .iter()
        .filter_map(|read| read.as_ref().as_ref().ok())
        .filter_map(|parsed| match &parsed.document {
            Document::RemovalApproval(approval) => Some(approval.spec.clone()),
            _ => None,
        })
        .collect();
}

fn resolve_sets(
    files: &Files,
    fleet_blob: &BlobId,
    fleet_file: &Parsed,
    config: &FleetSpec,
    cache: &mut FleetCache,
    reading: &mut FleetReading,
) {
    let services = files.infra.iter();
    let infra = services.map(|(name, (blob, read))| (name.clone(), blob.clone(), read.is_ok()));
    let infra = Arc::new(infra.collect::<Vec<_>>());
    let services = infra_services(files);
    let mut kept = BTreeMap::new();
    for (id, (own, read)) in &files.sets {
        let cluster_type = files.types.get(&id.cluster_type);
        let key = ResolveKey {
            own: own.clone(),
            fleet: fleet_blob.clone(),
            cluster_type: cluster_type.map(|(blob, _)| blob.clone()),
            infra: Arc::clone(&infra),
        };
        let resolved = match cache.resolved.remove(id) {
            Some((known, resolved)) if known == key => resolved,
            _ => {
                let stack = layers::Stack {
                    id,
                    config,
                    fleet_file,
                    cluster_type: cluster_type.map(|(_, read)| read),
                    services: &services,
                };
                Arc::new(resolve_one(read, &stack))
            }
        };
        reading.diagnostics.extend(resolved.problems.iter().cloned());
        reading.sets.insert(id.clone(), Arc::clone(&resolved));
        kept.insert(id.clone(), (key, resolved));
    }
    cache.resolved = kept;
}

fn resolve_one(read: &Read, stack: &layers::Stack<'_>) -> SetReading {
    let Ok(parsed) = read.as_ref() else { return SetReading { wanted: None, problems: Vec::new() } };
    let mut problems = Vec::new();
    let wanted = stack.resolve(parsed, &mut problems);
    let refused = problems.iter().any(Diagnostic::is_error);
    SetReading { wanted: wanted.filter(|_| !refused).map(Arc::new), problems }
}

/// The services that can be read by name; `None` for one that can't.
fn infra_services(files: &Files) -> BTreeMap<String, Option<&InfraService>> {
    files
        .infra
        .iter()
        .map(|(name, (_, read))| {
            let service = match read.as_ref() {
                Ok(Parsed { document: Document::InfraService(service), .. }) => Some(service),
                _ => None,
            };
            (name.clone(), service)
        })
        .collect()
}
