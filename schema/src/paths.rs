//! Which document a path of the fleet repository holds, and which paths were meant to hold one.

use crate::diagnostic::{Diagnostic, nearest};

/// The documents that people write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// `fleet.yaml`
    Fleet,
    /// `cluster-types/<type>.yaml`
    ClusterType,
    /// `clustersets/<env>/<cloud>/<region>/<type>.yaml`
    ClusterSet,
    /// `infra-services/<name>/service.yaml`
    InfraService,
    /// `approvals/<name>.yaml`
    RemovalApproval,
}

impl DocumentKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Fleet, Self::ClusterType, Self::ClusterSet, Self::InfraService, Self::RemovalApproval];

    /// As written in `kind`, and the name of its schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fleet => "Fleet",
            Self::ClusterType => "ClusterType",
            Self::ClusterSet => "ClusterSet",
            Self::InfraService => "InfraService",
            Self::RemovalApproval => "RemovalApproval",
        }
    }

    /// The form of its paths.
    pub const fn path_form(self) -> &'static str {
        match self {
            Self::Fleet => "fleet.yaml",
            Self::ClusterType => "cluster-types/<type>.yaml",
            Self::ClusterSet => "clustersets/<env>/<cloud>/<region>/<type>.yaml",
            Self::InfraService => "infra-services/<name>/service.yaml",
            Self::RemovalApproval => "approvals/<name>.yaml",
        }
    }
}

/// The document that a path holds; none for manifests, notes and everything else.
pub fn expected_kind(path: &str) -> Option<DocumentKind> {
    let parts: Vec<&str> = path.split('/').collect();
    let stem = |file: &str| file.strip_suffix(".yaml").is_some_and(|stem| !stem.is_empty());
    match parts[..] {
        ["fleet.yaml"] => Some(DocumentKind::Fleet),
        ["cluster-types", file] if stem(file) => Some(DocumentKind::ClusterType),
        ["clustersets", _, _, _, file] if stem(file) => Some(DocumentKind::ClusterSet),
        ["infra-services", _, "service.yaml"] => Some(DocumentKind::InfraService),
        ["approvals", file] if stem(file) => Some(DocumentKind::RemovalApproval),
        _ => None,
    }
}

/// What is wrong with a path that looks like a document and is none; to be asked of every path of the repository.
pub fn misplaced(path: &str) -> Option<Diagnostic> {
    if expected_kind(path).is_some() {
        return None;
    }
    let kind = meant(path)?;
    let message = format!("this file is not read: a {} is written to {}", kind.as_str(), kind.path_form());
    let problem = Diagnostic::error("misplaced-file", path, message);
    let spelled = path.strip_suffix(".yml").map(|stem| format!("{stem}.yaml"));
    let renamed = spelled.filter(|spelled| expected_kind(spelled).is_some());
    Some(problem.hint_maybe(renamed.map(|renamed| format!("rename it to {renamed}"))))
}

/// Where documents are, other than `fleet.yaml`; a file of such a name hides all that were below it.
const FOLDERS: [(&str, DocumentKind); 4] = [
    ("clustersets", DocumentKind::ClusterSet),
    ("cluster-types", DocumentKind::ClusterType),
    ("infra-services", DocumentKind::InfraService),
    ("approvals", DocumentKind::RemovalApproval),
];

/// The document that someone meant to write to a path which holds none.
fn meant(path: &str) -> Option<DocumentKind> {
    if let Some((_, kind)) = FOLDERS.into_iter().find(|(folder, _)| *folder == path) {
        return Some(kind);
    }
    let lower = path.to_lowercase();
    let (folder, rest) = path.split_once('/').unwrap_or(("", path));
    if !lower.ends_with(".yaml") && !lower.ends_with(".yml") {
        return None;
    }
    match folder {
        "" => matches!(lower.as_str(), "fleet.yaml" | "fleet.yml").then_some(DocumentKind::Fleet),
        "clustersets" => Some(DocumentKind::ClusterSet),
        "cluster-types" => Some(DocumentKind::ClusterType),
        "approvals" => Some(DocumentKind::RemovalApproval),
        "infra-services" => meant_service(rest),
        _ => meant_folder(folder),
    }
}

/// Deeper files of an infra service are its manifests.
fn meant_service(rest: &str) -> Option<DocumentKind> {
    let parts: Vec<&str> = rest.split('/').collect();
    let service = matches!(parts[..], [_] | [_, "service.yml" | "Service.yaml" | "Service.yml"]);
    service.then_some(DocumentKind::InfraService)
}

fn meant_folder(folder: &str) -> Option<DocumentKind> {
    let near = nearest(folder, FOLDERS.map(|(name, _)| name))?;
    let distance = strsim::osa_distance(&folder.to_lowercase().replace('_', "-"), near);
    FOLDERS.into_iter().find(|(name, _)| *name == near && distance <= 2).map(|(_, kind)| kind)
}
