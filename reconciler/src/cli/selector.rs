//! Which sets or clusters are meant: a path's beginning, a cluster's name, or `key=value`; several must all match.

use std::str::FromStr;

use fleetwright_schema::diagnostic::nearest;
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{Cluster, ClusterSetStatus};

use super::error::CliError;

const KEYS: [&str; 6] = ["env", "cloud", "region", "type", "state", "version"];

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The beginning of a set's path, part by part: `prod/azure`.
    Path(Vec<String>),
    /// A cluster's name, or the first part of a set's path.
    Word(String),
    /// A field and its value.
    Field(&'static str, String),
}

impl FromStr for Selector {
    type Err = CliError;
    fn from_str(text: &str) -> Result<Self, CliError> {
        let Some((key, value)) = text.split_once('=') else {
            let path = text.trim_end_matches('/');
            return Ok(match path.contains('/') {
                true => Self::Path(path.split('/').map(str::to_owned).collect()),
                false => Self::Word(path.to_owned()),
            });
        };
        match KEYS.into_iter().find(|known| known.eq_ignore_ascii_case(key)) {
            Some(key) => Ok(Self::Field(key, value.to_owned())),
            None => {
                let hint = match nearest(key, KEYS) {
                    Some(near) => format!("did you mean {near}={value}?"),
                    None => format!("known are {}", KEYS.join(", ")),
                };
                Err(CliError::usage(format!("there is no field {key:?} to select by")).hint(hint))
            }
        }
    }
}

/// Reads all of them.
pub fn parse(texts: &[String]) -> Result<Vec<Selector>, CliError> {
    texts.iter().map(|text| text.parse()).collect()
}

impl Selector {
    /// Whether a cluster is meant.
    pub fn selects_cluster(&self, id: &SetId, cluster: &Cluster) -> bool {
        match self {
            Self::Path(parts) => begins(id, parts),
            Self::Word(word) => cluster.metadata.name.as_str() == word || begins(id, std::slice::from_ref(word)),
            Self::Field("state", value) => cluster.status.state.as_str().eq_ignore_ascii_case(value),
            Self::Field("version", value) => is_version(cluster.spec.kubernetes_version.as_str(), value),
            Self::Field(key, value) => is_in(id, key, value),
        }
    }

    /// Whether a set is meant; by a name or a state, that of one of its clusters.
    pub fn selects_set(&self, id: &SetId, set: &ClusterSetStatus) -> bool {
        let any = || set.clusters.iter().any(|cluster| self.selects_cluster(id, cluster));
        match self {
            Self::Path(parts) => begins(id, parts),
            Self::Word(word) => begins(id, std::slice::from_ref(word)) || any(),
            Self::Field("state", _) => any(),
            Self::Field("version", value) => is_version(set.spec.template.kubernetes_version.as_str(), value),
            Self::Field(key, value) => is_in(id, key, value),
        }
    }
}

fn begins(id: &SetId, parts: &[String]) -> bool {
    let own = id.to_string();
    let own: Vec<&str> = own.split('/').collect();
    parts.len() <= own.len() && own.iter().zip(parts).all(|(own, part)| own == part)
}

fn is_in(id: &SetId, key: &str, value: &str) -> bool {
    let own = match key {
        "env" => id.location.env.as_str(),
        "cloud" => id.location.cloud.as_str(),
        "region" => id.location.region.as_str(),
        _ => id.cluster_type.as_str(),
    };
    own.eq_ignore_ascii_case(value)
}

/// `1.33` selects `1.33.4` as well.
fn is_version(own: &str, value: &str) -> bool {
    own == value || own.strip_prefix(value).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing;

    fn selected(texts: &[&str]) -> Vec<String> {
        let record = testing::built(&testing::template());
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let selectors = parse(&texts).unwrap();
        let meant = record.clusters().filter(|(id, cluster)| selectors.iter().all(|s| s.selects_cluster(id, cluster)));
        meant.map(|(_, cluster)| cluster.metadata.name.to_string()).collect()
    }

    #[test]
    fn several_must_all_match() {
        assert_eq!(selected(&[]).len(), 10);
        assert_eq!(selected(&["prod"]).len(), 7);
        assert_eq!(selected(&["prod/azure"]).len(), 5);
        assert_eq!(selected(&["prod/az"]).len(), 0);
        assert_eq!(selected(&["prod", "cloud=aws", "state=ready", "version=1"]).len(), 2);
        assert_eq!(selected(&["type=Training", "cloud=azure"]).len(), 0);
        assert_eq!(selected(&["model-serving-prod-az-weu-3"]), ["model-serving-prod-az-weu-3"]);
    }

    #[test]
    fn an_unknown_field_gets_the_nearest_name() {
        let error = "verson=1.33".parse::<Selector>().unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean version=1.33?"));
    }
}
