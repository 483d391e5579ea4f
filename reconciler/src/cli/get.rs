//! `get`: sets and clusters as the repository's status says.

use std::sync::Arc;

use clap::ValueEnum;
use fleetwright_core::record::Record;
use fleetwright_schema::documents::API_VERSION;
use fleetwright_schema::names::SetId;
use fleetwright_schema::status::{Cluster, ClusterSetStatus, ClusterState, ConditionStatus};
use serde_json::{Value, json};

use super::error::{CliError, Exit};
use super::follow::Follow;
use super::output::{BAD, FAINT, GOOD, MOVING, Out};
use super::selector::{self, Selector};
use super::source::Status;
use super::table::{Cell, Table};

const EXAMPLES: &str = "\
Examples:
  fleetwright get clusters
  fleetwright get clusters prod/azure state=draining -o wide
  fleetwright get sets type=ModelServing version=1.33 -C https://git.example/fleet.git
  fleetwright get clusters prod -o json | jq -r '.items[].status.endpoint'
  fleetwright get clusters --watch

A SELECTOR is the beginning of a set's path, a cluster's name, or a field and its value: env, cloud, region, type, state,
version. Several must all match.";

/// The arguments of `get`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What is listed
    #[arg(value_enum)]
    what: What,
    /// Which of them
    #[arg(value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// The fleet repository: the HEAD of a directory, or a remote
    #[arg(short = 'C', long = "repo", value_name = "DIR|URL", default_value = ".")]
    repo: String,
    /// How they are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Print them again with each commit that changes them
    #[arg(short, long)]
    watch: bool,
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Sets of clusters
    #[value(alias = "set", alias = "clustersets")]
    Sets,
    /// Clusters
    #[value(alias = "cluster")]
    Clusters,
}

/// How they are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For people with wide screens
    Wide,
    /// A list of documents
    Json,
    /// A list of documents
    Yaml,
    /// The names, one a line
    Name,
}

/// Reads the status and prints what is selected.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let selectors = selector::parse(&args.selectors)?;
    if args.watch {
        return watch(args, &selectors, out);
    }
    let record = Status::open(&args.repo)?.newest()?;
    warn(&record, out);
    let found = Found::select(&record, args.what, &selectors);
    if found.is_empty() && !matches!(args.output, Format::Json | Format::Yaml) {
        out.note(found.none());
        return Ok(Exit::Sound);
    }
    out.print(&found.rendered(args.output, out.color)?)?;
    Ok(Exit::Sound)
}

fn watch(args: &Args, selectors: &[Selector], out: &mut Out) -> Result<Exit, CliError> {
    let mut follow = Follow::open(&args.repo)?;
    let mut last = String::new();
    while !out.is_closed() {
        let record = follow.next()?;
        let text = Found::select(&record, args.what, selectors).rendered(args.output, out.color)?;
        if text != last {
            out.print(&text)?;
            last = text;
        }
    }
    Ok(Exit::Sound)
}

/// Status files that can't be read hide sets; nobody should take them for gone.
pub fn warn(record: &Record, out: &mut Out) {
    for (path, why) in &record.unreadable {
        out.note(&format!("warning: {path} can't be read: {}", super::output::plain(why)));
    }
}

/// What was selected.
pub enum Found<'a> {
    /// Sets.
    Sets(Vec<(&'a SetId, &'a Arc<ClusterSetStatus>)>),
    /// Clusters.
    Clusters(Vec<(&'a SetId, &'a Arc<Cluster>)>),
}

impl<'a> Found<'a> {
    /// What all selectors mean.
    pub fn select(record: &'a Record, what: What, selectors: &[Selector]) -> Self {
        let set = |(id, set): &(&SetId, &Arc<ClusterSetStatus>)| selectors.iter().all(|s| s.selects_set(id, set));
        let cluster = |(id, c): &(&SetId, &Arc<Cluster>)| selectors.iter().all(|s| s.selects_cluster(id, c));
        match what {
            What::Sets => Self::Sets(record.sets.iter().filter(set).collect()),
            What::Clusters => Self::Clusters(record.clusters().filter(cluster).collect()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Sets(sets) => sets.is_empty(),
            Self::Clusters(clusters) => clusters.is_empty(),
        }
    }

    fn none(&self) -> &'static str {
        match self {
            Self::Sets(_) => "No sets found.",
            Self::Clusters(_) => "No clusters found.",
        }
    }

    /// In a format.
    pub fn rendered(&self, format: Format, color: bool) -> Result<String, CliError> {
        let failed = |error: String| CliError::problem(format!("the list can't be written: {error}"));
        match format {
            Format::Table => Ok(self.table(false).render(color)),
            Format::Wide => Ok(self.table(true).render(color)),
            Format::Json => {
                let text = serde_json::to_string_pretty(&self.list().map_err(|error| failed(error.to_string()))?);
                text.map(|text| text + "\n").map_err(|error| failed(error.to_string()))
            }
            Format::Yaml => {
                let list = self.list().map_err(|error| failed(error.to_string()))?;
                serde_saphyr::to_string(&list).map_err(|error| failed(error.to_string()))
            }
            Format::Name => Ok(self.names().into_iter().map(|name| name + "\n").collect()),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::Sets(sets) => sets.iter().map(|(id, _)| id.to_string()).collect(),
            Self::Clusters(clusters) => clusters.iter().map(|(_, cluster)| cluster.metadata.name.to_string()).collect(),
        }
    }

    fn list(&self) -> Result<Value, serde_json::Error> {
        let items: Result<Vec<Value>, _> = match self {
            Self::Sets(sets) => sets.iter().map(|(_, set)| serde_json::to_value(&***set)).collect(),
            Self::Clusters(clusters) => clusters.iter().map(|(_, cluster)| serde_json::to_value(&***cluster)).collect(),
        };
        Ok(json!({ "apiVersion": API_VERSION, "kind": "List", "items": items? }))
    }

    fn table(&self, wide: bool) -> Table {
        match self {
            Self::Sets(sets) => set_table(sets, wide),
            Self::Clusters(clusters) => cluster_table(clusters, wide),
        }
    }
}

fn set_table(sets: &[(&SetId, &Arc<ClusterSetStatus>)], wide: bool) -> Table {
    let headers =
        ["SET", "STATUS", "DESIRED", "SERVING", "ALIVE", "UPDATED", "VERSION", "WAITS FOR", "WAVE", "REVISION"];
    let shown = if wide { headers.len() } else { headers.len() - 2 };
    let mut table = Table::new(&headers[..shown]);
    for (id, set) in sets {
        let status = &set.status;
        let settled = status.conditions.first();
        let sound = settled.is_some_and(|condition| condition.status == ConditionStatus::True);
        let word = settled.map_or("Unknown", |condition| condition.reason.as_str());
        let waits: Vec<&str> = status.conditions.iter().skip(1).map(|condition| condition.r#type.as_str()).collect();
        let mut cells: Vec<Cell> = vec![
            id.to_string().into(),
            Cell::styled(word, if sound { GOOD } else { MOVING }),
            status.desired.to_string().into(),
            status.serving.to_string().into(),
            status.alive.to_string().into(),
            status.updated.to_string().into(),
            set.spec.template.kubernetes_version.to_string().into(),
            waits.join(",").into(),
        ];
        if wide {
            cells.push(status.wave.as_ref().map_or_else(String::new, ToString::to_string).into());
            cells.push(Cell::styled(status.revision.clone(), FAINT));
        }
        table.row(cells);
    }
    table
}

fn cluster_table(clusters: &[(&SetId, &Arc<Cluster>)], wide: bool) -> Table {
    let headers = ["NAME", "STATE", "VERSION", "SINCE", "SET", "REVISION", "CIDR", "ENDPOINT"];
    let shown = if wide { headers.len() } else { headers.len() - 3 };
    let mut table = Table::new(&headers[..shown]);
    for (id, cluster) in clusters {
        let Cluster { metadata, spec, status, .. } = &***cluster;
        let mut cells: Vec<Cell> = vec![
            metadata.name.to_string().into(),
            Cell::styled(status.state.as_str(), style(cluster)),
            spec.kubernetes_version.to_string().into(),
            status.since.to_string().into(),
            id.to_string().into(),
        ];
        if wide {
            cells.push(Cell::styled(status.revision.clone(), FAINT));
            cells.push(status.network.cidr.clone().unwrap_or_default().into());
            cells.push(status.endpoint.clone().unwrap_or_default().into());
        }
        table.row(cells);
    }
    table
}

fn style(cluster: &Cluster) -> anstyle::Style {
    let stalled = cluster.status.conditions.iter().any(|condition| condition.r#type == "Stalled");
    match cluster.status.state {
        _ if stalled => BAD,
        ClusterState::Ready => GOOD,
        ClusterState::Pending | ClusterState::Creating | ClusterState::Updating => MOVING,
        ClusterState::Draining | ClusterState::Drained | ClusterState::Deleting => FAINT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing;

    fn printed(what: What, selectors: &[&str], format: Format) -> String {
        let record = testing::built(&testing::template());
        let texts: Vec<String> = selectors.iter().map(ToString::to_string).collect();
        let selectors = selector::parse(&texts).unwrap();
        Found::select(&record, what, &selectors).rendered(format, false).unwrap()
    }

    #[test]
    fn clusters_are_a_table() {
        insta::assert_snapshot!(printed(What::Clusters, &[], Format::Table));
    }

    #[test]
    fn sets_are_a_wide_table() {
        insta::assert_snapshot!(printed(What::Sets, &[], Format::Wide));
    }

    #[test]
    fn the_json_of_clusters_is_a_list_of_clusters() {
        let text = printed(What::Clusters, &["prod", "cloud=aws"], Format::Json);
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((list["kind"].as_str(), list["items"].as_array().unwrap().len()), (Some("List"), 2));
        let cluster: Cluster = serde_json::from_value(list["items"][0].clone()).unwrap();
        assert_eq!(cluster.metadata.name.as_str(), "training-prod-aws-use1-1");
    }

    #[test]
    fn the_yaml_says_what_the_json_says() {
        let yaml = printed(What::Sets, &["dev"], Format::Yaml);
        let read: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read, serde_json::from_str::<Value>(&printed(What::Sets, &["dev"], Format::Json)).unwrap());
    }

    #[test]
    fn names_are_names() {
        assert_eq!(printed(What::Clusters, &["dev"], Format::Name), "model-serving-dev-gcp-euw4-1\n");
    }
}
