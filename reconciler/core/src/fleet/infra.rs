//! The infra services of a set: known, readable, with their dependencies before them.

use std::collections::BTreeMap;

use fleetwright_schema::documents::InfraService;
use fleetwright_schema::names::Name;
use fleetwright_schema::set::InfraServiceVersion;

/// What is wrong with the services that a set names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceProblem {
    /// No folder of this name.
    Unknown(Name),
    /// Its own file can't be read.
    Unreadable(Name),
    /// It needs another that the set does not name.
    Missing { service: Name, needs: Name },
    /// Services that need one another.
    Cycle(Name),
}

/// The set's services in the order in which they are applied: as named, dependencies first.
pub fn order(
    names: &[Name],
    services: &BTreeMap<String, Option<&InfraService>>,
) -> Result<Vec<InfraServiceVersion>, Vec<ServiceProblem>> {
    let mut walk = Walk { names, services, done: Vec::new(), problems: Vec::new() };
    for name in names {
        walk.visit(name, &mut Vec::new());
    }
    if walk.problems.is_empty() { Ok(walk.done) } else { Err(walk.problems) }
}

struct Walk<'a> {
    names: &'a [Name],
    services: &'a BTreeMap<String, Option<&'a InfraService>>,
    done: Vec<InfraServiceVersion>,
    problems: Vec<ServiceProblem>,
}

impl Walk<'_> {
    /// Depth is bounded by the number of names, which the schema bounds to 100.
    fn visit(&mut self, name: &Name, path: &mut Vec<Name>) {
        if self.done.iter().any(|done| done.name == *name) || self.problems.iter().any(|p| p.is_about(name)) {
            return;
        }
        if path.contains(name) {
            return self.problems.push(ServiceProblem::Cycle(name.clone()));
        }
        let service = match self.services.get(name.as_str()) {
            None => return self.problems.push(ServiceProblem::Unknown(name.clone())),
            Some(None) => return self.problems.push(ServiceProblem::Unreadable(name.clone())),
            Some(Some(service)) => *service,
        };
        path.push(name.clone());
        for needs in &service.spec.depends_on {
            match self.names.contains(needs) {
                true => self.visit(needs, path),
                false => {
                    let (service, needs) = (name.clone(), needs.clone());
                    self.problems.push(ServiceProblem::Missing { service, needs });
                }
            }
        }
        path.pop();
        self.done.push(InfraServiceVersion { name: name.clone(), version: service.spec.version.clone() });
    }
}

impl ServiceProblem {
    fn is_about(&self, name: &Name) -> bool {
        match self {
            Self::Unknown(about) | Self::Unreadable(about) | Self::Cycle(about) => about == name,
            Self::Missing { service, .. } => service == name,
        }
    }
}
