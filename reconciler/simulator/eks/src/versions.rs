//! The Kubernetes versions that this EKS offers. A still picture of late 2026, which no clock moves: a test must not
//! fail because its world has grown old.

use fleetwright_schema::names::KubernetesVersion;
use serde_json::{Value, json};

use crate::call::Call;
use crate::errors::{Refusal, invalid};
use crate::pages;

/// The minor versions in standard support.
const STANDARD: std::ops::RangeInclusive<u32> = 33..=36;
/// The minor versions that are offered at all.
const OFFERED: std::ops::RangeInclusive<u32> = 30..=36;
/// The one that a cluster gets when nobody says which.
const DEFAULT: u32 = 35;

/// Whether clusters of it may be made.
pub fn is_offered(version: &KubernetesVersion) -> bool {
    OFFERED.contains(&version.minor()) && version.as_str().split('.').count() == 2
}

/// The version that is asked for, or the usual one.
pub fn wanted(text: &str) -> Result<KubernetesVersion, Refusal> {
    let text = if text.is_empty() { &format!("1.{DEFAULT}") } else { text };
    let version: Option<KubernetesVersion> = text.parse().ok().filter(is_offered);
    version.ok_or_else(|| invalid(format!("unsupported Kubernetes version: {text}")))
}

/// All offered minor versions, the newest first.
pub fn offered() -> impl Iterator<Item = u32> {
    OFFERED.rev()
}

/// DescribeClusterVersions.
pub fn describe(call: &Call<'_>) -> Result<Value, Refusal> {
    call.read(|_| Ok(()))?;
    let wanted: Vec<&str> = call
        .given("clusterVersions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let status = match (call.text("versionStatus"), call.text("status")) {
        ("", status) => status.to_uppercase().replace('-', "_"),
        (status, _) => status.to_owned(),
    };
    let mut rows = Vec::new();
    for row in offered().map(row) {
        let version = row["clusterVersion"].as_str().unwrap_or_default().to_owned();
        let is_named = wanted.is_empty() || wanted.contains(&version.as_str());
        let is_default = row["defaultVersion"] == json!(true) || call.given("defaultOnly") != Some(&json!(true));
        if is_named && is_default && (status.is_empty() || row["versionStatus"] == json!(status)) {
            // Newest first, so the key by which a page goes on is turned round.
            rows.push((format!("{:03}", 999 - version[2..].parse().unwrap_or(0)), row));
        }
    }
    pages::page(call, "clusterVersions", rows)
}

/// Three releases a year, fourteen months of support, and a year more for money.
fn row(minor: u32) -> Value {
    const MONTH: i64 = 2_629_746;
    const OF_1_33: i64 = 1_748_476_800;
    let released = OF_1_33 + (i64::from(minor) - 33) * 4 * MONTH;
    let standard = STANDARD.contains(&minor);
    json!({
        "clusterVersion": format!("1.{minor}"),
        "clusterType": "eks",
        "defaultPlatformVersion": "eks.7",
        "defaultVersion": minor == DEFAULT,
        "releaseDate": released,
        "endOfStandardSupportDate": released + 18 * MONTH,
        "endOfExtendedSupportDate": released + 30 * MONTH,
        "status": if standard { "standard-support" } else { "extended-support" },
        "versionStatus": if standard { "STANDARD_SUPPORT" } else { "EXTENDED_SUPPORT" },
        "kubernetesPatchVersion": format!("1.{minor}.4"),
    })
}
