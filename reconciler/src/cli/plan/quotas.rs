//! What a plan takes of the accounts' quotas: the one part of a plan for which a cloud is asked, and only with `--quotas`.

use std::collections::BTreeMap;

use fleetwright_clouds::{Access, CloudError, Quota};
use fleetwright_core::inventory::Place;
use fleetwright_schema::documents::FleetSpec;
use serde::Serialize;

use crate::assembly::{Clouds, real_clouds};
use crate::cli::doctor::is_real;
use crate::cli::error::CliError;
use crate::cli::output::counted;

/// How many clusters a plan adds to a place, at most at once: new ones, and those that stand beside the ones that they
/// replace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// In networks of their own.
    pub in_own: u32,
    /// In given networks.
    pub in_given: u32,
}

impl Demand {
    const fn clusters(self) -> u32 {
        self.in_own.saturating_add(self.in_given)
    }
}

/// The quotas of a place, and whether they are enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceQuotas {
    /// Cloud, account and region.
    pub place: String,
    /// How many clusters the plan adds to it, at most at once.
    pub clusters: u32,
    /// Each quota.
    pub quotas: Vec<PlannedQuota>,
    /// Why none could be asked for.
    pub error: Option<String>,
}

/// A quota, and how many of the plan's clusters it has no room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedQuota {
    /// As the provider tells it.
    #[serde(flatten)]
    pub quota: Quota,
    /// How many clusters there is no room for; none where it is not known.
    pub too_many: Option<u32>,
}

impl PlaceQuotas {
    pub(super) fn new(place: &Place, demand: Demand, read: Result<Vec<Quota>, CloudError>) -> Self {
        let (quotas, error) = match read {
            Ok(quotas) => (quotas, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let planned = |quota: Quota| {
            let too_many = quota.too_many(demand.in_own, demand.in_given);
            PlannedQuota { quota, too_many }
        };
        let quotas = quotas.into_iter().map(planned).collect();
        Self { place: place.to_string(), clusters: demand.clusters(), quotas, error }
    }

    /// Whether a quota is known to be too small.
    pub fn are_too_small(&self) -> bool {
        self.quotas.iter().any(|planned| planned.too_many.is_some_and(|count| count > 0))
    }

    /// What people should know of it, a line each.
    pub fn lines(&self) -> Vec<String> {
        if let Some(error) = &self.error {
            return vec![format!("could not be asked for: {error}")];
        }
        let mut lines: Vec<String> = self.quotas.iter().filter_map(|planned| planned.line()).collect();
        let unknown: Vec<&str> =
            self.quotas.iter().filter(|q| q.too_many.is_none()).map(|q| q.quota.name.as_str()).collect();
        if !unknown.is_empty() {
            lines.push(format!("not known: {}", unknown.join(", ")));
        }
        if lines.is_empty() {
            lines.push("there is room for them".to_owned());
        }
        lines
    }
}

impl PlannedQuota {
    fn line(&self) -> Option<String> {
        let Quota { name, code, limit, used, .. } = &self.quota;
        let count = self.too_many.filter(|count| *count > 0)?;
        let (used, limit) = (used.unwrap_or_default(), limit.unwrap_or_default());
        let clusters = counted(count as usize, "cluster", "clusters");
        Some(format!("no room for {clusters}: {name}, {used} of {limit} in use; have {code} raised"))
    }
}

/// Asks the real accounts among these, by the roles that may only look.
pub fn ask(demand: &BTreeMap<Place, Demand>, config: &FleetSpec) -> Result<Vec<PlaceQuotas>, CliError> {
    let clouds = real_clouds(Access::ReadOnly);
    clouds.values().for_each(|cloud| cloud.learn(config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("no calls can be made", &error))?;
    let real = demand.iter().filter(|(place, _)| is_real(config, place));
    Ok(runtime.block_on(read(&clouds, real)))
}

async fn read(clouds: &Clouds, demand: impl Iterator<Item = (&Place, &Demand)>) -> Vec<PlaceQuotas> {
    let mut all = Vec::new();
    for (place, demand) in demand {
        // A build without the cloud's adapter can't plan for it either; `doctor` says so.
        let Some(cloud) = clouds.get(&place.cloud) else { continue };
        all.push(PlaceQuotas::new(place, *demand, cloud.quotas(place).await));
    }
    all
}

#[cfg(test)]
mod tests {
    use fleetwright_core::inventory::ErrorClass;
    use fleetwright_schema::names::Cloud as CloudName;

    use super::*;

    fn place() -> Place {
        let (account, region) = ("123456789012".into(), "eu-west-1".parse().unwrap());
        Place { cloud: CloudName::Aws, account, region }
    }

    fn quota(name: &str, limit: Option<u32>, used: u32) -> Quota {
        let (name, code) = (name.to_owned(), "eks/L-1".to_owned());
        Quota { name, code, limit, used: Some(used), per_cluster: 1, of_network: false }
    }

    fn of(quotas: Vec<Quota>) -> PlaceQuotas {
        PlaceQuotas::new(&place(), Demand { in_own: 4, in_given: 2 }, Ok(quotas))
    }

    #[test]
    fn what_is_too_small_and_what_is_not_known_is_told_and_the_rest_is_one_line() {
        let short = of(vec![quota("clusters", Some(100), 96), quota("VPCs", None, 1), quota("roles", Some(9), 3)]);
        assert!(short.are_too_small());
        assert_eq!(
            short.lines(),
            ["no room for 2 clusters: clusters, 96 of 100 in use; have eks/L-1 raised", "not known: VPCs"]
        );
        let enough = of(vec![quota("clusters", Some(100), 94)]);
        assert!(!enough.are_too_small());
        assert_eq!(enough.lines(), ["there is room for them"]);
    }

    #[test]
    fn an_account_that_does_not_answer_is_told_and_stops_no_plan() {
        let (class, code, message) = (ErrorClass::Outage, "ServiceUnavailable".to_owned(), "no".to_owned());
        let error = CloudError { class, code, message, retry_after: None };
        let told = PlaceQuotas::new(&place(), Demand::default(), Err(error));
        assert!(!told.are_too_small());
        assert_eq!(told.lines(), ["could not be asked for: ServiceUnavailable: no"]);
    }
}
