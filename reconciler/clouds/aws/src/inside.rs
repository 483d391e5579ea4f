//! What runs in a cluster, counted and moved through its own API.

mod client;
pub mod placement;
pub mod workloads;

use std::sync::Arc;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::{Action, Effect};
use fleetwright_core::inventory::{ErrorClass, Phase, Resource, Step, Workloads};
use fleetwright_schema::set::InfraServiceVersion;
use fleetwright_schema::status::InfraServiceStatus;

use crate::control_plane::{Live, ours, ours_to_change, tag, untag};
use crate::error::error;
use crate::marks::{INFRA_SERVICES, Mark, VALUE_LENGTH_MAX};
use crate::owner::{Tags, applied_of};
use crate::session::Session;

use client::Kubernetes;
use placement::Placed;

pub use workloads::Blocked;

/// What a look into a cluster shows.
pub struct Inside {
    /// What runs there.
    pub workloads: Workloads,
    /// Whether more could start though it was closed: on nodes that have joined since.
    pub has_open_nodes: bool,
}

/// Counts what runs; of a closed cluster, whether it still is.
pub async fn look(session: &Session, live: &Live) -> Result<Inside, CloudError> {
    let kubernetes = Kubernetes::of(session, live).await?;
    let placed = placement::placed(&live.tags);
    let workloads = workloads::count(session, live, &kubernetes, placed).await?;
    let is_closed = matches!(placed, Some(Placed::Closed { .. }));
    // Nodes after pods: where none is open now, none was when pods were counted.
    let has_open_nodes = is_closed && placement::has_open_nodes(&kubernetes).await?;
    Ok(Inside { workloads, has_open_nodes })
}

/// One short step. Nothing is applied in the cluster yet: the step only notes which services the cluster should have, so
/// that all other steps can be gone through and the record names them.
pub async fn perform_services(session: &Arc<Session>, action: &Action) -> Result<Progress, CloudError> {
    let (id, fingerprint, spec) = match &action.effect {
        Effect::Create { fingerprint, spec, parents, token: _, cidr: _ } => {
            (parents.iter().find_map(|id| id.strip_suffix("/node-pools")).unwrap_or_default(), fingerprint, spec)
        }
        Effect::Update { id, fingerprint, spec, token: _ } => (&**id, fingerprint, spec),
        Effect::Delete { id } => return forget_services(session, action, id).await,
        Effect::Drain { .. } | Effect::OpenPlacement { .. } => {
            return Err(error(ErrorClass::Invalid, "NotPossible", format!("{action} is no action on infra services")));
        }
    };
    let live = ours_to_change(session, action, id).await?;
    let mark = Mark { print: fingerprint.to_string(), sum: String::new() };
    let mut tags = Tags::from([(applied_of(Step::InfraServices), mark.text())]);
    tags.insert(INFRA_SERVICES.to_owned(), told(&spec.infra_services));
    tag(session, &live.arn, tags).await?;
    Ok(Progress::Done)
}

async fn forget_services(session: &Session, action: &Action, id: &str) -> Result<Progress, CloudError> {
    if let Some(live) = ours(session, action, id).await? {
        untag(session, &live.arn, vec![applied_of(Step::InfraServices), INFRA_SERVICES.to_owned()]).await?;
    }
    Ok(Progress::Done)
}

/// What a reading tells of infra services.
pub fn look_services(live: &Live) -> Option<Resource> {
    let mark = Mark::of(&live.tags, Step::InfraServices)?;
    let resource = live.resource(Step::InfraServices, Phase::Ready, &mark.print);
    let infra_services = live.tags.get(INFRA_SERVICES).map(|text| read(text)).unwrap_or_default();
    Some(Resource { infra_services, ..resource })
}

/// `name=version name=version`, as many as fit into a tag.
fn told(services: &[InfraServiceVersion]) -> String {
    let allowed = |c: char| c.is_alphanumeric() || "+-=._:/@".contains(c);
    let mut text = String::new();
    for service in services {
        let version: String = service.version.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        let entry = format!("{}={version}", service.name);
        if text.len() + 1 + entry.len() > VALUE_LENGTH_MAX {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&entry);
    }
    text
}

fn read(text: &str) -> Vec<InfraServiceStatus> {
    let entry = |entry: &str| {
        let (name, version) = entry.split_once('=')?;
        Some(InfraServiceStatus { name: name.parse().ok()?, version: version.to_owned() })
    };
    text.split(' ').filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_as_they_were_told_and_as_many_as_fit() {
        let service = |name: &str, version: &str| InfraServiceVersion {
            name: name.parse().unwrap(),
            version: version.to_owned(),
        };
        let text = told(&[service("ingress", "1.2.3"), service("logs", "2.0,b")]);
        assert_eq!(text, "ingress=1.2.3 logs=2.0_b");
        let known: Vec<_> = read(&text).into_iter().map(|known| (known.name.to_string(), known.version)).collect();
        assert_eq!(known, [("ingress".to_owned(), "1.2.3".to_owned()), ("logs".to_owned(), "2.0_b".to_owned())]);
        let many: Vec<_> = (0..100).map(|n| service(&format!("service-{n}"), "1.0.0")).collect();
        let text = told(&many);
        assert!(text.len() <= VALUE_LENGTH_MAX && read(&text).len() > 10, "{text}");
        assert_eq!(read(&told(&[])), []);
    }
}
