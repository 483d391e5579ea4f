//! Documents that several tests begin with.
#![allow(dead_code)]

use fleetwright_schema::diagnostic::Diagnostic;
use fleetwright_schema::document::{Parsed, read};
use fleetwright_schema::render;

pub const SET_PATH: &str = "clustersets/prod/azure/westeurope/ModelServing.yaml";

pub const SET: &str = r#"apiVersion: fleetwright.dev/v1alpha1
kind: ClusterSet
metadata:
  clusterType: ModelServing
  location: { env: prod, cloud: azure, region: westeurope }
spec:
  count: 5
  kubernetesVersion: "1.33"
  features: [private-connectivity, byon]      # byon: bring your own network
  nodePools:
    - name: default
      spec: { instanceType: D32s_v3, minCount: 3, maxCount: 3 }
  infraServices: [rbac, namespaces, observability]
  updateStrategy:
    clusterRotation: { maxSurge: 1, bake: 30m, rollbackWindow: 1h, drainTimeout: 6h }
  tags: { team: serving }
"#;

pub const FLEET: &str = r#"apiVersion: fleetwright.dev/v1alpha1
kind: Fleet
metadata: { name: example }
spec:
  builtinDefaults: 1
  environments:
    - name: dev
      accounts:
        azure: { id: dev-subscription, provider: Simulated }
    - name: prod
      accounts:
        azure: { id: prod-subscription, provider: Simulated }
        aws: { id: "123456789012", provider: Real }
  addressPools:
    - { name: main, cidr: 10.0.0.0/10, clusterPrefixLength: 20 }
  waves:
    - { name: canary, sets: { environments: [dev] } }
    - { name: rest, sets: { environments: [prod] } }
  maintenanceWindows:
    - { name: nights, days: [Mon, Tue], start: "22:00", duration: 6h, timeZone: Europe/Berlin }
  freezes:
    - { name: holidays, from: 2026-12-20T00:00:00Z, until: 2027-01-04T00:00:00Z }
"#;

pub fn good(path: &str, text: &str) -> Parsed {
    match read(path, text.as_bytes()) {
        Ok(parsed) => parsed,
        Err(problems) => panic!("{}", render::text(&problems, false)),
    }
}

pub fn bad(path: &str, bytes: impl AsRef<[u8]>) -> Vec<Diagnostic> {
    read(path, bytes.as_ref()).err().unwrap_or_default()
}

/// `rule: underlined text` of each problem.
pub fn marks(problems: &[Diagnostic]) -> Vec<String> {
    let mark = |problem: &Diagnostic| match (problem.span, &problem.snippet) {
        (Some(span), Some(line)) => {
            let text: String = line.chars().skip(span.column - 1).take(span.end_column - span.column).collect();
            format!("{}: {text}", problem.rule)
        }
        _ => problem.rule.to_owned(),
    };
    problems.iter().map(mark).collect()
}

/// `rule line:column` of each problem.
pub fn places(problems: &[Diagnostic]) -> Vec<String> {
    let place = |problem: &Diagnostic| match problem.span {
        Some(span) => format!("{} {}:{}", problem.rule, span.line, span.column),
        None => problem.rule.to_owned(),
    };
    problems.iter().map(place).collect()
}

/// [`SET`] in the older spelling.
pub const OLDER_SET: &str = r#"clusterType: ModelServing
location: prod/azure/westeurope
count: 5
kubernetesVersion: "1.33"
features: [private-connectivity, byon]
nodePools:
  - name: default
    Spec:
      instanceType: D32s_v3
      minCount: 3
      maxCount: 3
infra-services: [rbac, namespaces, observability]
update_strategy:
  - cluster-rotation:
      max_surge: 1
      bake: 30m
      rollback_window: 1h
      drain_timeout: 6h
tags:
  - team: serving
"#;
