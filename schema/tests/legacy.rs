//! The older spelling means what the current one means, and its problems stand where they were written.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{OLDER_SET, SET, SET_PATH, bad, good, places};
use fleetwright_schema::render;

fn older_with(from: &str, to: &str) -> String {
    assert!(OLDER_SET.contains(from), "{from}");
    OLDER_SET.replacen(from, to, 1)
}

const STRATEGY: &str = "update_strategy:
  - cluster-rotation:
      max_surge: 1
      bake: 30m
      rollback_window: 1h
      drain_timeout: 6h
";

#[test]
fn the_older_spelling_gives_the_same_document() {
    let (older, current) = (good(SET_PATH, OLDER_SET), good(SET_PATH, SET));
    assert_eq!(older.document, current.document);
    assert_eq!(older.value, current.value);
}

#[test]
fn each_form_of_the_older_spelling_gives_the_same_document() {
    let current = good(SET_PATH, SET).document;
    let rotation = "{ max_surge: 1, bake: 30m, rollback-window: 1h, drainTimeout: 6h }";
    let parts = "{ max_surge: 1 }, { bake: 30m }, { rollbackWindow: 1h }, { drain-timeout: 6h }";
    for (from, to) in [
        ("location: prod/azure/westeurope", "location: \"prod/azure/westeurope\"".to_owned()),
        ("location: prod/azure/westeurope", "location: { env: prod, cloud: azure, region: westeurope }".to_owned()),
        ("clusterType:", "cluster_type:".to_owned()),
        ("kubernetesVersion:", "kubernetes_version:".to_owned()),
        ("kubernetesVersion:", "kubernetes-version:".to_owned()),
        ("nodePools:", "node_pools:".to_owned()),
        ("    Spec:", "    spec:".to_owned()),
        ("instanceType:", "instance_type:".to_owned()),
        ("infra-services:", "infraServices:".to_owned()),
        ("tags:\n  - team: serving", "tags: { team: serving }".to_owned()),
        (STRATEGY, format!("update_strategy: {{ cluster-rotation: {rotation} }}\n")),
        (STRATEGY, format!("update_strategy: [{{ cluster-rotation: {rotation} }}]\n")),
        (STRATEGY, format!("updateStrategy: [{{ cluster_rotation: true }}, {parts}]\n")),
        (STRATEGY, format!("update-strategy: [{{ cluster-rotation: }}, {parts}]\n")),
        (STRATEGY, format!("update_strategy: [cluster-rotation, {parts}]\n")),
        (STRATEGY, format!("update_strategy: [cluster-rotation, {rotation}]\n")),
        (STRATEGY, format!("update_strategy: {{ cluster-rotation: [{parts}] }}\n")),
    ] {
        assert_eq!(good(SET_PATH, &older_with(from, &to)).document, current, "{to}");
    }
}

#[test]
fn current_documents_may_use_the_original_names() {
    let text = SET
        .replace("{ env: prod, cloud: azure, region: westeurope }", "prod/azure/westeurope")
        .replace("infraServices:", "infra-services:")
        .replace("updateStrategy:", "update_strategy:")
        .replace("clusterRotation:", "cluster-rotation:")
        .replace("maxSurge:", "max_surge:");
    assert_ne!(text, SET);
    assert_eq!(good(SET_PATH, &text).value, good(SET_PATH, SET).value);
}

#[test]
fn current_documents_may_not_use_other_spellings() {
    let text = SET.replace("rollbackWindow:", "rollback_window:").replace("nodePools:", "node_pools:");
    assert_eq!(places(&bad(SET_PATH, text)), ["unknown-field 10:3", "unknown-field 15:48"]);
}

#[test]
fn problems_of_the_older_spelling_stand_where_they_were_written() {
    let text = OLDER_SET
        .replace("azure/westeurope", "azur/westeurope")
        .replace("\"1.33\"", "1.30")
        .replace("max_surge: 1", "max_surge: many")
        .replace("minCount: 3", "min_count: 3\n      mincount: 3")
        .replace("team: serving", "team: 1.0");
    insta::assert_snapshot!(render::text(&bad(SET_PATH, text), false));
}

#[test]
fn two_spellings_of_a_field_are_the_field_twice() {
    let text = older_with("infra-services:", "node-pools: []\ninfra-services:");
    assert_eq!(places(&bad(SET_PATH, text)), ["duplicate-key 12:1"]);
    let both = SET.replace("  infraServices:", "  infra-services: [rbac]\n  infraServices:");
    assert_eq!(places(&bad(SET_PATH, both)), ["duplicate-key 14:3"]);
    let tags = older_with("  - team: serving", "  - team: serving\n  - team: batch");
    assert_eq!(places(&bad(SET_PATH, tags)), ["duplicate-key 21:5"]);
}

#[test]
fn a_location_that_is_no_location_is_told() {
    for text in [older_with("prod/azure/westeurope", "prod/azure"), older_with("prod/azure/westeurope", "5")] {
        assert_eq!(places(&bad(SET_PATH, text)), ["wrong-type 2:11"]);
    }
    assert_eq!(places(&bad(SET_PATH, older_with("prod/azure/westeurope", "prod//westeurope"))), ["unknown-value 2:16"]);
    assert_eq!(places(&bad(SET_PATH, older_with("location: prod/azure/westeurope\n", ""))), ["missing-field 1:1"]);
    assert_eq!(places(&bad(SET_PATH, older_with("prod/azure", "dev/azure"))), ["path-mismatch 2:11"]);
}

#[test]
fn a_rotation_that_is_switched_off_is_refused() {
    let text = older_with(STRATEGY, "update_strategy: { cluster-rotation: false }\n");
    assert_eq!(places(&bad(SET_PATH, text)), ["wrong-type 13:38"]);
}
