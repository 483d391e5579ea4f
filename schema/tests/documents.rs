//! Whole documents: good ones are read, bad ones tell everything at once at the right places.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{FLEET, SET, SET_PATH, bad, good, marks, places};
use fleetwright_schema::diagnostic::Severity;
use fleetwright_schema::document::{Document, DocumentKind, expected_kind, misplaced, read};
use fleetwright_schema::render;

/// The set with one thing replaced.
fn set_with(from: &str, to: &str) -> String {
    assert!(SET.contains(from), "{from}");
    SET.replacen(from, to, 1)
}

fn fleet_with(from: &str, to: &str) -> String {
    assert!(FLEET.contains(from), "{from}");
    FLEET.replacen(from, to, 1)
}

#[test]
fn the_set_of_the_design_is_read() {
    let parsed = good(SET_PATH, SET);
    let Document::ClusterSet(set) = &parsed.document else { panic!("{:?}", parsed.document) };
    assert_eq!(set.metadata.id().wish_path(), SET_PATH);
    assert_eq!(set.spec.count, Some(5));
    assert_eq!(set.spec.node_pools.as_ref().unwrap()[0].spec.instance_type, "D32s_v3");
    assert_eq!(parsed.value["spec"]["kubernetesVersion"], "1.33");
    assert!(parsed.warnings.is_empty());
}

#[test]
fn the_other_kinds_are_read() {
    assert!(matches!(good("fleet.yaml", FLEET).document, Document::Fleet(_)));
    let header = "apiVersion: fleetwright.dev/v1alpha1\n";
    let cluster_type = format!("{header}kind: ClusterType\nmetadata: {{ name: Batch }}\nspec: {{ count: 1 }}\n");
    assert!(matches!(good("cluster-types/Batch.yaml", &cluster_type).document, Document::ClusterType(_)));
    let service = format!(
        "{header}kind: InfraService\nmetadata: {{ name: rbac }}\nspec: {{ version: 1.2.3, dependsOn: [namespaces], manifests: [a/b.yaml] }}\n"
    );
    assert!(matches!(good("infra-services/rbac/service.yaml", &service).document, Document::InfraService(_)));
    let approval = format!(
        "{header}kind: RemovalApproval\nmetadata: {{ name: old }}\nspec: {{ digest: 0123456789abcdef, clusters: 12, expires: 2026-12-01T00:00:00Z }}\n"
    );
    assert!(matches!(good("approvals/old.yaml", &approval).document, Document::RemovalApproval(_)));
}

#[test]
fn positions_are_found_by_json_pointer() {
    let parsed = good(SET_PATH, &set_with("tags: { team: serving }", "tags: { example.com/team: serving }"));
    let positions = &parsed.positions;
    let place = |span: fleetwright_schema::diagnostic::Span| (span.line, span.column, span.end_column);
    assert_eq!(positions.span("/spec/count").map(place), Some((7, 10, 11)));
    assert_eq!(positions.key_span("/spec/count").map(place), Some((7, 3, 8)));
    assert_eq!(positions.span("/spec/infraServices/1").map(place), Some((13, 25, 35)));
    assert_eq!(positions.key_span("/spec/tags/example.com~1team").map(place), Some((16, 11, 27)));
    assert_eq!(positions.span("/spec/absent"), None);
    assert_eq!(positions.source_line(7), Some("  count: 5"));
    assert_eq!(positions.source_line(0), None);
    let problem = parsed.problem("/spec/paused", "some-rule", "what is not in the file is shown at what is around it");
    assert_eq!(problem.snippet.as_deref(), Some("spec:"));
    assert_eq!(problem.path, SET_PATH);
}

#[test]
fn all_problems_are_told_at_once() {
    let text = r#"apiVersion: fleetwright.dev/v1alpha1
kind: ClusterSet
metadata:
  clusterType: ModelServing
  location: { env: prod, cloud: azure, region: westeurop }
spec:
  cuont: 5
  kubernetesVersion: 1.30
  features: [private-conectivity]
  nodePools:
    - name: Default
      spec: { instanceType: D32s v3, minCount: 0755, maxCount: 5000 }
  infraServices: rbac
  updateStrategy:
    clusterRotation: { maxSurge: yes, bake: 30 minutes, drain: wait }
  paused: no
  tags:
"#;
    let problems = bad(SET_PATH, text);
    insta::assert_snapshot!(render::text(&problems, false));
}

#[test]
fn unknown_fields_do_not_hide_the_rules_behind_them() {
    let text = set_with("minCount: 3", "minCount: 4, minimum: 1");
    assert_eq!(marks(&bad(SET_PATH, text)), ["min-above-max: 4", "unknown-field: minimum"]);
}

#[test]
fn what_stands_in_the_wrong_place_of_the_repository_is_told() {
    insta::assert_snapshot!(render::text(&bad("clustersets/dev/aws/us-east-1/Batch.yaml", SET), false));
}

#[test]
fn the_wrong_kind_at_a_path_is_told() {
    let problems = bad("fleet.yaml", SET);
    assert!(places(&problems).contains(&"wrong-kind 2:7".to_owned()), "{problems:?}");
}

#[test]
fn each_rule_of_a_set_has_its_name_and_place() {
    let long_tag = format!("tags: {{ {}: a }}", "k".repeat(64));
    let many_tags = format!("tags: {{ {} }}", (0..41).map(|i| format!("k{i}: v")).collect::<Vec<_>>().join(", "));
    let pool = "instanceType: D32s_v3,";
    for (from, to, mark) in [
        ("count: 5", "count: 1001", "out-of-range: 1001"),
        ("count: 5", "count: -1", "out-of-range: -1"),
        ("count: 5", "count: 5.0", "wrong-type: 5.0"),
        ("count: 5", "count: 4294967296", "out-of-range: 4294967296"),
        ("count: 5", "count: 1e3", "wrong-type: 1e3"),
        ("count: 5", "count: \"5\"", "wrong-type: \"5\""),
        ("count: 5", "count:", "wrong-type: count"),
        ("count: 5", "count: [5]", "wrong-type: count"),
        ("\"1.33\"", "1.33", "version-must-be-quoted: 1.33"),
        ("\"1.33\"", "\"2.0\"", "wrong-format: \"2.0\""),
        ("features: [private-connectivity, byon]", "features: [byon, byon]", "duplicate-item: features"),
        ("name: default", "name: -x", "wrong-format: -x"),
        ("minCount: 3", "minCount: 4", "min-above-max: 4"),
        ("[rbac, namespaces", "[rbac, rbac", "duplicate-name: rbac"),
        ("bake: 30m", "bake: 400d", "wrong-format: 400d"),
        ("{ team: serving }", "{ fleetwright.dev/x: y }", "tag-unsound: y"),
        ("{ team: serving }", "{ team: \"a\\tb\" }", "tag-unsound: \"a\\tb\""),
        ("{ team: serving }", "{ team: 42 }", "wrong-type: 42"),
        ("tags: { team: serving }", &long_tag, "tag-unsound: a"),
        ("tags: { team: serving }", &many_tags, "too-many-tags: tags"),
        (
            "tags: { team: serving }",
            "pausedClusters: [model-serving-prod-az-weu-x]",
            "paused-cluster-unknown: model-serving-prod-az-weu-x",
        ),
        (pool, "instanceType: x, labels: { -a: b },", "label-unsound: b"),
        (pool, "instanceType: x, taints: [\"a=b\"],", "taint-unsound: \"a=b\""),
        ("region: westeurope", "region: eu-west-1", "region-unknown: eu-west-1"),
        ("kind: ClusterSet", "kind: Cluster", "wrong-kind: Cluster"),
        ("v1alpha1", "v1", "unknown-value: fleetwright.dev/v1"),
        ("  clusterType: ModelServing\n", "", "missing-field: metadata"),
    ] {
        let found = marks(&bad(SET_PATH, set_with(from, to)));
        assert!(found.contains(&mark.to_owned()), "{to}: {found:?}");
    }
}

#[test]
fn sound_labels_taints_tags_and_paused_clusters_are_read() {
    let text = set_with(
        "maxCount: 3 }",
        "maxCount: 3, labels: { example.com/a: b, c: \"\" }, taints: [\"a=b:NoSchedule\", \"example.com/c:NoExecute\"] }",
    );
    good(SET_PATH, &text.replace("  tags:", "  pausedClusters: [model-serving-prod-az-weu-12]\n  tags:"));
}

#[test]
fn each_rule_of_a_fleet_has_its_name_and_place() {
    for (from, to, mark) in [
        ("- name: dev", "- name: prod", "duplicate-name: prod"),
        ("name: rest", "name: canary", "duplicate-name: canary"),
        ("10.0.0.0/10", "10.1.0.0/10", "cidr-unsound: 10.1.0.0/10"),
        ("10.0.0.0/10", "10.0.0.0/20", "cluster-prefix-too-short: 20"),
        ("10.0.0.0/10", "10.0.0.0", "wrong-format: 10.0.0.0"),
        ("environments: [dev]", "environments: [dve]", "environment-unknown: dve"),
        ("environments: [dev]", "regions: [westeurop]", "region-unknown: westeurop"),
        ("duration: 6h", "duration: 25h", "window-duration: 25h"),
        ("duration: 6h", "duration: 0s", "window-duration: 0s"),
        ("Europe/Berlin", "Europe/Berlim", "time-zone-unknown: Europe/Berlim"),
        ("\"22:00\"", "\"24:00\"", "wrong-format: \"24:00\""),
        ("until: 2027", "until: 2026", "freeze-ends-before-it-begins: 2026-01-04T00:00:00Z"),
        ("from: 2026-12-20", "from: 2026-13-20", "wrong-format: 2026-13-20T00:00:00Z"),
        ("azure: { id: dev", "azur: { id: dev", "unknown-field: azur"),
        ("builtinDefaults: 1", "builtinDefaults: 2", "out-of-range: 2"),
        ("provider: Real", "provider: real", "unknown-value: real"),
        ("name: example", "nmae: example", "unknown-field: nmae"),
    ] {
        let found = marks(&bad("fleet.yaml", fleet_with(from, to)));
        assert!(found.contains(&mark.to_owned()), "{to}: {found:?}");
    }
}

#[test]
fn each_rule_of_an_infra_service_has_its_name_and_place() {
    let text = |spec: &str| {
        format!(
            "apiVersion: fleetwright.dev/v1alpha1\nkind: InfraService\nmetadata: {{ name: rbac }}\nspec: {{ {spec} }}\n"
        )
    };
    let path = "infra-services/rbac/service.yaml";
    for (spec, mark) in [
        ("version: 1.0", "version-must-be-quoted: 1.0"),
        ("version: 7", "version-must-be-quoted: 7"),
        ("version: a, dependsOn: [rbac]", "depends-on-itself: rbac"),
        ("version: a, manifests: [../x.yaml]", "manifest-path: ../x.yaml"),
        ("version: a, manifests: [/etc/x.yaml]", "manifest-path: /etc/x.yaml"),
        ("version: a, manifests: ['a\\b.yaml']", "manifest-path: 'a\\b.yaml'"),
        ("version: a, manifests: [a.yaml, a.yaml]", "duplicate-name: a.yaml"),
        ("", "missing-field: spec"),
    ] {
        assert_eq!(marks(&bad(path, text(spec))), [mark], "{spec}");
    }
    assert_eq!(marks(&bad("infra-services/rback/service.yaml", text("version: a"))), ["path-mismatch: rbac"]);
}

#[test]
fn warnings_do_not_refuse_a_document() {
    let pools = "    - { name: main, cidr: 10.0.0.0/10, clusterPrefixLength: 20 }\n";
    let more = format!("{pools}    - {{ name: more, cidr: 10.1.0.0/16, clusterPrefixLength: 20 }}\n");
    let parsed = read("fleet.yaml", fleet_with(pools, &more).as_bytes()).unwrap();
    assert_eq!(marks(&parsed.warnings), ["address-pools-overlap: 10.1.0.0/16"]);
    assert_eq!(parsed.warnings[0].severity, Severity::Warning);
    let drain = set_with("drainTimeout: 6h", "drainTimeout: 0s, onDrainTimeout: Evict");
    assert_eq!(marks(&good(SET_PATH, &drain).warnings), ["no-time-to-drain: 0s"]);
}

#[test]
fn names_of_clusters_that_their_cloud_would_refuse_are_told() {
    let path = "clustersets/production-of-the-north/gcp/europe-west1/ModelServing.yaml";
    let text = SET.replace(
        "env: prod, cloud: azure, region: westeurope",
        "env: production-of-the-north, cloud: gcp, region: europe-west1",
    );
    assert_eq!(marks(&bad(path, text)), ["cluster-name-too-long: ModelServing"]);
}

#[test]
fn paths_tell_what_they_hold() {
    for (path, kind) in [
        ("fleet.yaml", Some(DocumentKind::Fleet)),
        ("cluster-types/A.yaml", Some(DocumentKind::ClusterType)),
        (SET_PATH, Some(DocumentKind::ClusterSet)),
        ("infra-services/rbac/service.yaml", Some(DocumentKind::InfraService)),
        ("approvals/a.yaml", Some(DocumentKind::RemovalApproval)),
        ("README.md", None),
        ("infra-services/rbac/manifests/service.yaml", None),
        ("infra-services/rbac/roles.yaml", None),
        ("status/clustersets/prod/azure/westeurope/ModelServing.yaml", None),
        ("clustersets/prod/azure/westeurope/.yaml", None),
        ("clustersets/prod/azure/ModelServing.yaml", None),
    ] {
        assert_eq!(expected_kind(path), kind, "{path}");
    }
}

#[test]
fn files_that_were_meant_to_be_read_are_told() {
    let hint = |path: &str| misplaced(path).map(|problem| (problem.rule, problem.hint));
    for path in [
        "clustersets/prod/azure/ModelServing.yaml",
        "clustersets/ModelServing.yaml",
        "cluster-types/a/B.yaml",
        "infra-services/service.yaml",
        "clustersets/prod/azure/westeurope/x/ModelServing.yaml",
        "clusterset/prod/azure/westeurope/ModelServing.yaml",
        "cluster_types/A.yaml",
        "Fleet.yaml",
    ] {
        assert_eq!(hint(path), Some(("misplaced-file", None)), "{path}");
    }
    assert_eq!(hint("fleet.yml"), Some(("misplaced-file", Some("rename it to fleet.yaml".into()))));
    assert_eq!(hint("infra-services/a/service.yml").unwrap().1.unwrap(), "rename it to infra-services/a/service.yaml");
    for path in [
        "README.md",
        "fleet.yaml",
        SET_PATH,
        "clustersets/README.md",
        "clustersets/prod/.gitkeep",
        ".github/workflows/ci.yml",
        "infra-services/rbac/manifests/roles.yml",
        "status/clusters.json",
        "docs/example.yaml",
    ] {
        assert_eq!(hint(path), None, "{path}");
    }
    assert_eq!(places(&bad("clustersets/a.yaml", SET)), ["misplaced-file"]);
    assert_eq!(places(&bad("README.md", SET)), ["not-a-document"]);
}
