//! Layers, later over earlier: built-in defaults, `fleet.yaml`, its environment, cluster type, ClusterSet. Maps are
//! merged, lists replaced; for each value it is known which file and line set it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetwright_schema::TAGS_MAX;
use fleetwright_schema::defaults::builtin_defaults;
use fleetwright_schema::diagnostic::{Diagnostic, nearest};
use fleetwright_schema::document::{Document, Parsed, escape, read};
use fleetwright_schema::documents::{Environment, FleetSpec, InfraService};
use fleetwright_schema::names::{Name, SetId};
use fleetwright_schema::set::{ClusterSpec, ResolvedSet, Rotation, SetLayer, UpdateStrategy};
use serde_json::{Map, Value};

use super::Read;
use super::infra::{self, ServiceProblem};
use crate::desired::WantedSet;
use crate::inventory::Place;
use crate::snapshot::Snapshot;

/// What a set is resolved against.
pub(super) struct Stack<'a> {
    pub id: &'a SetId,
    pub config: &'a FleetSpec,
    pub fleet_file: &'a Parsed,
    pub cluster_type: Option<&'a Read>,
    pub services: &'a BTreeMap<String, Option<&'a InfraService>>,
}

/// A layer in JSON, with the document and the pointer that it comes from.
struct Layer<'a> {
    source: Source<'a>,
    value: &'a Value,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Builtin(u32),
    File(&'a Parsed, Option<usize>, &'static str),
}

impl Source<'_> {
    /// The pointer of the layer in its document.
    fn base(&self) -> String {
        match self {
            Self::Builtin(_) => String::new(),
            Self::File(_, Some(environment), _) => format!("/spec/environments/{environment}/defaults"),
            Self::File(_, None, base) => (*base).to_owned(),
        }
    }
}

impl Stack<'_> {
    /// The set with nothing left out, or what is wrong.
    pub fn resolve(&self, set: &Parsed, problems: &mut Vec<Diagnostic>) -> Option<WantedSet> {
        let environment = self.environment(set, problems)?;
        let account = self.account(environment.1, set, problems)?;
        let cluster_type = self.cluster_type(set, problems)?;
        let defaults = builtin_defaults(self.config.builtin_defaults)?;
        let layers = self.layers(&defaults, environment.0, cluster_type, set);
        let mut merged = Value::Object(Map::new());
        layers.iter().for_each(|layer| merge(&mut merged, layer.value));
        let layer: SetLayer = match serde_json::from_value(merged) {
            Ok(layer) => layer,
            Err(error) => {
                problems.push(set.problem("/spec", "layers-disagree", error.to_string()));
                return None;
            }
        };
        let resolved = self.complete(layer, set, &layers, problems)?;
        let wave = self.wave(&resolved, set, problems)?;
        let place =
            Place { cloud: self.id.location.cloud, account: account.into(), region: self.id.location.region.clone() };
        Some(WantedSet { resolved: Arc::new(resolved), place, wave })
    }

    fn environment(&self, set: &Parsed, problems: &mut Vec<Diagnostic>) -> Option<(usize, &Environment)> {
        let name = &self.id.location.env;
        let found = self.config.environments.iter().enumerate().find(|(_, env)| env.name == *name);
        if found.is_none() {
            let names = self.config.environments.iter().map(|env| env.name.as_str());
            let message = format!("fleet.yaml has no environment {name}");
            let problem = set.problem("/metadata/location/env", "environment-unknown", message);
            problems.push(problem.hint_maybe(did_you_mean(name.as_str(), names)));
        }
        found
    }

    fn account(&self, environment: &Environment, set: &Parsed, problems: &mut Vec<Diagnostic>) -> Option<String> {
        let cloud = self.id.location.cloud;
        let account = environment.accounts.get(&cloud);
        if account.is_none() {
            let message = format!("environment {} has no account in {cloud}", environment.name);
            let problem = set.problem("/metadata/location/cloud", "account-missing", message);
            problems.push(problem.hint(format!("add accounts.{cloud} to the environment in fleet.yaml")));
        }
        account.map(|account| account.id.clone())
    }

    /// The type's layer; a set may do without one. A type whose file can't be read holds its sets.
    fn cluster_type(&self, set: &Parsed, problems: &mut Vec<Diagnostic>) -> Option<Option<&Parsed>> {
        let name = &self.id.cluster_type;
        match self.cluster_type.map(|read| read.as_ref()) {
            Some(Ok(parsed)) => Some(Some(parsed)),
            Some(Err(_)) => {
                let message = format!("cluster-types/{name}.yaml, which this set rests on, has errors");
                problems.push(set.problem("/metadata/clusterType", "cluster-type-unreadable", message));
                None
            }
            None => {
                let message = format!("there is no cluster-types/{name}.yaml, so nothing is shared with other sets");
                let mut warning = set.problem("/metadata/clusterType", "cluster-type-unknown", message);
                warning.severity = fleetwright_schema::diagnostic::Severity::Warning;
                problems.push(warning);
                Some(None)
            }
        }
    }

    fn layers<'b>(
        &'b self,
        defaults: &'b Value,
        environment: usize,
        cluster_type: Option<&'b Parsed>,
        set: &'b Parsed,
    ) -> Vec<Layer<'b>> {
        let sources = [
            Some(Source::File(self.fleet_file, None, "/spec/defaults")),
            Some(Source::File(self.fleet_file, Some(environment), "")),
            cluster_type.map(|parsed| Source::File(parsed, None, "/spec")),
            Some(Source::File(set, None, "/spec")),
        ];
        let mut layers = vec![Layer { source: Source::Builtin(self.config.builtin_defaults), value: defaults }];
        for source in sources.into_iter().flatten() {
            if let Source::File(parsed, ..) = source
                && let Some(value) = parsed.value.pointer(&source.base())
            {
                layers.push(Layer { source, value });
            }
        }
        layers
    }

    fn complete(
        &self,
        layer: SetLayer,
        set: &Parsed,
        layers: &[Layer<'_>],
        problems: &mut Vec<Diagnostic>,
    ) -> Option<ResolvedSet> {
        let mut missing = |field: &str| {
            let message = format!("{field} is set by no layer");
            let hint = format!("set spec.{field} here, in the cluster type, the environment or fleet.yaml");
            problems.push(set.problem("/spec", "field-missing", message).hint(hint));
        };
        if layer.count.is_none() {
            missing("count");
        }
        if layer.node_pools.is_none() {
            missing("nodePools");
        }
        let names = layer.infra_services.unwrap_or_default();
        let infra_services = match infra::order(&names, self.services) {
            Ok(services) => services,
            Err(found) => {
                problems.extend(found.into_iter().map(|problem| self.service_problem(problem, &names, set, layers)));
                return None;
            }
        };
        let tags = layer.tags?;
        if tags.len() > TAGS_MAX {
            let message =
                format!("{} tags are given in all layers; clouds take {TAGS_MAX} beside Fleetwright's own", tags.len());
            problems.push(set.problem("/spec/tags", "too-many-tags", message));
        }
        let strategy = layer.update_strategy?;
        let rotation = strategy.cluster_rotation?;
        Some(ResolvedSet {
            count: layer.count?,
            template: Arc::new(ClusterSpec {
                kubernetes_version: layer.kubernetes_version?,
                features: layer.features?,
                node_pools: layer.node_pools?,
                infra_services,
                network: layer.network?,
                tags,
            }),
            update_strategy: UpdateStrategy {
                cluster_rotation: Rotation {
                    max_surge: rotation.max_surge?,
                    bake: rotation.bake?,
                    rollback_window: rotation.rollback_window?,
                    drain_timeout: rotation.drain_timeout?,
                    drain: rotation.drain?,
                    on_drain_timeout: rotation.on_drain_timeout?,
                },
                rotate_on: strategy.rotate_on?,
                max_concurrent_updates: strategy.max_concurrent_updates?,
            },
            progress_deadline: layer.progress_deadline?,
            deletion_policy: layer.deletion_policy?,
            paused: layer.paused?,
            paused_clusters: layer.paused_clusters?,
        })
    }

    fn service_problem(
        &self,
        problem: ServiceProblem,
        names: &[Name],
        set: &Parsed,
        layers: &[Layer<'_>],
    ) -> Diagnostic {
        let about = match &problem {
            ServiceProblem::Unknown(name) | ServiceProblem::Unreadable(name) | ServiceProblem::Cycle(name) => name,
            ServiceProblem::Missing { service, .. } => service,
        };
        let index = names.iter().position(|name| name == about).unwrap_or(0);
        let (rule, message) = match &problem {
            ServiceProblem::Unknown(name) => {
                ("infra-service-unknown", format!("there is no infra-services/{name}/service.yaml"))
            }
            ServiceProblem::Unreadable(name) => (
                "infra-service-unreadable",
                format!("infra-services/{name}/service.yaml, which this set rests on, has errors"),
            ),
            ServiceProblem::Cycle(name) => ("infra-service-cycle", format!("infra service {name} depends on itself")),
            ServiceProblem::Missing { service, needs } => (
                "infra-service-dependency",
                format!("infra service {service} needs {needs}, which the set does not name"),
            ),
        };
        let hint = did_you_mean(about.as_str(), self.services.keys().map(String::as_str));
        let hint = hint.filter(|_| matches!(problem, ServiceProblem::Unknown(_)));
        let pointer = format!("/infraServices/{index}");
        let origin = layers.iter().rev().find(|layer| layer.value.pointer("/infraServices").is_some());
        match origin.map(|layer| layer.source) {
            Some(source @ Source::File(parsed, ..)) => {
                parsed.problem(&format!("{}{pointer}", source.base()), rule, message).hint_maybe(hint)
            }
            _ => set.problem("/spec", rule, message).hint_maybe(hint),
        }
    }

    fn wave(
        &self,
        resolved: &ResolvedSet,
        set: &Parsed,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Option<(usize, Name)>> {
        if self.config.waves.is_empty() {
            return Some(None);
        }
        let tags = &resolved.template.tags;
        let waves = self.config.waves.iter().enumerate();
        let mine: Vec<_> = waves.filter(|(_, wave)| wave.sets.selects(self.id, tags)).collect();
        let names = || mine.iter().map(|(_, wave)| wave.name.as_str()).collect::<Vec<_>>().join(", ");
        let (rule, message, hint) = match mine.as_slice() {
            [(index, wave)] => return Some(Some((*index, wave.name.clone()))),
            [] => ("wave-none", format!("{} is in no wave", self.id), "add its environment, region or tags to a wave"),
            _ => {
                ("wave-several", format!("{} is in several waves: {}", self.id, names()), "narrow all but one of them")
            }
        };
        problems
            .push(set.problem("/metadata/location", rule, message).hint(format!("{hint} in fleet.yaml, spec.waves")));
        None
    }
}

/// `did you mean …?`, for a name that is near enough to a known one.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean {near}?")),
        None if known.is_empty() => None,
        None => Some(format!("known are {}", known.join(", "))),
    }
}

/// Maps are merged, everything else is replaced.
fn merge(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                match below.get_mut(key) {
                    Some(slot) => merge(slot, value),
                    None => drop(below.insert(key.clone(), value.clone())),
                }
            }
        }
        (slot, value) => *slot = value.clone(),
    }
}

/// A value of a resolved set, and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The field, `updateStrategy.clusterRotation.maxSurge`.
    pub field: String,
    /// Its value as JSON.
    pub value: String,
    /// The file, or `built-in defaults 1`.
    pub path: String,
    /// The line in the file.
    pub line: Option<usize>,
}

/// Every field of a set with the place that set it, in the order of the fields.
pub fn explain(snapshot: &Snapshot, id: &SetId) -> Result<Vec<Explained>, Vec<Diagnostic>> {
    let open = |path: &str| -> Result<Option<Parsed>, Vec<Diagnostic>> {
        snapshot.files.get(path).map(|file| read(path, &file.content)).transpose()
    };
    let missing = |path: &str| vec![Diagnostic::error("file-missing", path, "there is no such file")];
    let fleet = open("fleet.yaml")?.ok_or_else(|| missing("fleet.yaml"))?;
    let set = open(&id.wish_path())?.ok_or_else(|| missing(&id.wish_path()))?;
    let cluster_type = open(&format!("cluster-types/{}.yaml", id.cluster_type))?;
    let Document::Fleet(document) = &fleet.document else { return Err(missing("fleet.yaml")) };
    let config = &document.spec;
    let stack = Stack { id, config, fleet_file: &fleet, cluster_type: None, services: &BTreeMap::new() };
    let mut problems = Vec::new();
    let Some((environment, _)) = stack.environment(&set, &mut problems) else { return Err(problems) };
    let defaults = builtin_defaults(config.builtin_defaults).unwrap_or_default();
    let layers = stack.layers(&defaults, environment, cluster_type.as_ref(), &set);
    let mut found = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate() {
        leaves(layer.value, &mut String::new(), &mut |pointer, value| {
            // A list or a leaf replaces whatever an earlier layer had below it.
            found.retain(|known: &String, _| !known.starts_with(&format!("{pointer}/")));
            found.insert(pointer.to_owned(), (index, value.clone()));
        });
    }
    Ok(found.into_iter().map(|(pointer, (index, value))| one(&layers[index], &pointer, &value)).collect())
}

fn one(layer: &Layer<'_>, pointer: &str, value: &Value) -> Explained {
    let field = pointer.trim_start_matches('/').replace('/', ".");
    let (path, line) = match layer.source {
        Source::Builtin(number) => (format!("built-in defaults {number}"), None),
        Source::File(parsed, ..) => {
            let span = parsed.positions.span(&format!("{}{pointer}", layer.source.base()));
            (parsed.positions.path().to_owned(), span.map(|span| span.line))
        }
    };
    Explained { field, value: value.to_string(), path, line }
}

fn leaves(value: &Value, pointer: &mut String, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, field) in fields {
                let length = pointer.len();
                pointer.push('/');
                pointer.push_str(&escape(key));
                leaves(field, pointer, visit);
                pointer.truncate(length);
            }
        }
        _ => visit(pointer, value),
    }
}
