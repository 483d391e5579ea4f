//! The template of a fleet repository, inside of the program.

/// A file of the template by its path.
macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../fleet-repo-template/", $path)))),+]
    };
}

/// The files by path, sorted; a test holds the list to the folder.
pub const FILES: &[(&str, &str)] = files![
    ".github/CODEOWNERS",
    ".github/workflows/fleetwright.yaml",
    ".gitignore",
    "README.md",
    "cluster-types/ModelServing.yaml",
    "cluster-types/Training.yaml",
    "clustersets/dev/gcp/europe-west4/ModelServing.yaml",
    "clustersets/prod/aws/us-east-1/Training.yaml",
    "clustersets/prod/azure/westeurope/ModelServing.yaml",
    "clustersets/staging/aws/eu-central-1/ModelServing.yaml",
    "fleet.yaml",
    "infra-services/namespaces/namespaces.yaml",
    "infra-services/namespaces/service.yaml",
    "infra-services/observability/agent.yaml",
    "infra-services/observability/service.yaml",
    "infra-services/rbac/roles.yaml",
    "infra-services/rbac/service.yaml",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use fleetwright_core::fleet::{FleetCache, read_fleet};

    use super::*;
    use crate::cli::source::{everything, working_tree};
    use crate::cli::testing::{self, ORIGINAL};

    fn folder() -> BTreeMap<String, Vec<u8>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fleet-repo-template");
        let snapshot = working_tree(&root, &everything).unwrap();
        assert!(snapshot.refused.is_empty());
        snapshot.files.iter().map(|(path, file)| (path.to_string(), file.content.to_vec())).collect()
    }

    #[test]
    fn the_program_holds_the_folder() {
        let embedded = FILES.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
        assert_eq!(folder(), embedded);
    }

    #[test]
    fn the_template_has_neither_errors_nor_warnings() {
        let reading = read_fleet(&testing::template(), &mut FleetCache::default());
        assert_eq!(reading.diagnostics, Vec::new());
        assert_eq!(reading.sets.len(), 4);
        assert!(reading.sets.values().all(|set| set.wanted.is_some()));
    }

    #[test]
    fn a_set_in_the_original_spelling_is_sound_wherever_it_is_put() {
        for (location, cluster_type) in [
            ("prod/azure/westeurope", "ModelServing"),
            ("prod/azure/northeurope", "ModelServing"),
            ("prod/gcp/europe-west3", "Training"),
            ("prod/aws/eu-west-1", "ModelServing"),
        ] {
            let text = ORIGINAL.replace("prod/azure/westeurope", location).replace("ModelServing", cluster_type);
            let path = format!("clustersets/{location}/{cluster_type}.yaml");
            let reading = read_fleet(&testing::template_with(&[(&path, &text)]), &mut FleetCache::default());
            assert_eq!(reading.diagnostics, Vec::new(), "{path}");
            let id = format!("{location}/{cluster_type}").parse().unwrap();
            let wanted = reading.sets[&id].wanted.clone().unwrap();
            assert_eq!(wanted.resolved.count, 5);
            assert_eq!(wanted.resolved.template.infra_services.len(), 3);
            assert_eq!(wanted.resolved.template.features.len(), 2);
        }
    }
}
