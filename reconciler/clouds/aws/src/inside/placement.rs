//! Closing a cluster to new workloads, and opening it.
//!
//! It takes as many calls as there are nodes, so its tag says first that it is under way. Until all is done the cluster
//! is told as open and as not whole: whoever drains it closes the rest, whoever serves from it opens it again.

use std::sync::Arc;

use fleetwright_clouds::{CloudError, Progress};
use fleetwright_core::action::Action;
use fleetwright_core::inventory::{ErrorClass, Phase, Placement};
use fleetwright_schema::set::DrainMode;
use serde::Deserialize;
use serde_json::json;

use super::client::Kubernetes;
use super::workloads;
use crate::control_plane::{Live, ours_to_change, tag, untag};
use crate::error::error;
use crate::marks::PLACEMENT;
use crate::owner::Tags;
use crate::session::Session;
use crate::side_by_side::side_by_side;

/// In the tag, that workloads were asked to leave.
const EVICTED: &str = "evict";

/// What the tag says, with the most workloads that were counted at any closing since placement was last open: it never
/// falls. Without the tag, placement is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Being closed or opened.
    Changing(u32),
    /// All nodes were cordoned.
    Closed {
        /// The number of workloads.
        before: u32,
        /// Whether we asked them to leave, so that what waits for a node is what they left behind.
        evicted: bool,
    },
}

impl Placed {
    /// Whether a closing or opening was begun and not finished.
    pub const fn is_changing(self) -> bool {
        matches!(self, Self::Changing(_))
    }
    /// As it is told.
    pub const fn placement(self) -> Placement {
        match self {
            Self::Changing(_) => Placement::Open,
            Self::Closed { .. } => Placement::Closed,
        }
    }
    const fn before(self) -> u32 {
        match self {
            Self::Changing(before) | Self::Closed { before, .. } => before,
        }
    }
    const fn was_evicted(self) -> bool {
        matches!(self, Self::Closed { evicted: true, .. })
    }
    fn text(self) -> String {
        match self {
            Self::Changing(before) => format!("changing:{before}"),
            Self::Closed { before, evicted: false } => format!("closed:{before}"),
            Self::Closed { before, evicted: true } => format!("closed:{before}:{EVICTED}"),
        }
    }
}

/// What the tags of a control plane say. What can't be read is unfinished, so that somebody finishes it.
pub fn placed(tags: &Tags) -> Option<Placed> {
    let text = tags.get(PLACEMENT)?;
    let mut parts = text.split(':');
    let (word, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default().parse());
    Some(match (word, number, parts.next()) {
        ("closed", Ok(before), None) => Placed::Closed { before, evicted: false },
        ("closed", Ok(before), Some(EVICTED)) => Placed::Closed { before, evicted: true },
        (_, before, _) => Placed::Changing(before.unwrap_or(0)),
    })
}

/// What closing comes to, with what was counted once all nodes were cordoned: more may have come since closing began, or
/// since it was closed before. That workloads were evicted stays true until placement is opened.
fn closed(known: Option<Placed>, before: u32, counted: u32, mode: DrainMode) -> Placed {
    let evicted = mode == DrainMode::Evict || known.is_some_and(Placed::was_evicted);
    Placed::Closed { before: before.max(counted), evicted }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    metadata: NodeMetadata,
    spec: NodeSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeMetadata {
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
}

/// Takes no new workloads; and asks those that run to leave, where that is wanted. However often this is repeated, the
/// count of before is kept, or raised if more run. It is counted first, since nothing is closed that can't be counted, and
/// again once nothing new starts and nothing was evicted.
pub async fn close(session: &Arc<Session>, action: &Action, id: &str, mode: DrainMode) -> Result<Progress, CloudError> {
    let live = reachable(session, action, id).await?;
    let kubernetes = Kubernetes::of(session, &live).await?;
    let known = placed(&live.tags);
    let before = match known {
        Some(placed) => placed.before(),
        None => workloads::number(&workloads::pods(&kubernetes).await?, known),
    };
    if known.is_none() {
        write(session, &live, Placed::Changing(before)).await?;
    }
    cordon(&kubernetes, true).await?;
    let pods = workloads::pods(&kubernetes).await?;
    let closed = closed(known, before, workloads::number(&pods, known), mode);
    match mode {
        // Moving workloads to another cluster is its owners' affair so far.
        DrainMode::Wait | DrainMode::Migrate => {}
        DrainMode::Evict => workloads::evict(session, &live, &kubernetes, pods).await?,
    }
    if known != Some(closed) {
        write(session, &live, closed).await?;
    }
    Ok(Progress::Done)
}

/// Takes new workloads again; the tag goes last.
pub async fn open(session: &Arc<Session>, action: &Action, id: &str) -> Result<Progress, CloudError> {
    let live = reachable(session, action, id).await?;
    let Some(known) = placed(&live.tags) else { return Ok(Progress::Done) };
    if !known.is_changing() {
        write(session, &live, Placed::Changing(known.before())).await?;
    }
    cordon(&Kubernetes::of(session, &live).await?, false).await?;
    untag(session, &live.arn, vec![PLACEMENT.to_owned()]).await?;
    Ok(Progress::Done)
}

async fn reachable(session: &Session, action: &Action, id: &str) -> Result<Box<Live>, CloudError> {
    let live = ours_to_change(session, action, id).await?;
    match live.phase {
        Phase::Ready | Phase::Updating => Ok(live),
        Phase::Creating | Phase::Failed | Phase::Deleting => {
            let message = format!("{} does not answer in this state", live.name());
            Err(error(ErrorClass::Conflict, "NotServing", message))
        }
    }
}

/// Whether any node takes workloads.
pub async fn has_open_nodes(kubernetes: &Kubernetes) -> Result<bool, CloudError> {
    let nodes: Vec<Node> = kubernetes.all("/api/v1/nodes").await?;
    Ok(nodes.iter().any(|node| !node.spec.unschedulable))
}

async fn write(session: &Session, live: &Live, placed: Placed) -> Result<(), CloudError> {
    tag(session, &live.arn, Tags::from([(PLACEMENT.to_owned(), placed.text())])).await
}

/// Cordons or uncordons all nodes that are not yet; one that is gone meanwhile takes nothing.
async fn cordon(kubernetes: &Kubernetes, closed: bool) -> Result<(), CloudError> {
    let nodes: Vec<Node> = kubernetes.all("/api/v1/nodes").await?;
    let others = nodes.into_iter().filter(|node| node.spec.unschedulable != closed);
    let asked = others.map(|node| (kubernetes.clone(), node.metadata.name));
    let all = side_by_side(asked, move |(kubernetes, name)| async move {
        let value = if closed { json!(true) } else { json!(null) };
        kubernetes.merge(&format!("/api/v1/nodes/{name}"), &json!({ "spec": { "unschedulable": value } })).await
    });
    all.await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<Placed> {
        placed(&Tags::from([(PLACEMENT.to_owned(), text.to_owned())]))
    }

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        let (waited, evicted) =
            (Placed::Closed { before: 7, evicted: false }, Placed::Closed { before: 7, evicted: true });
        for placed in [waited, evicted, Placed::Changing(0)] {
            assert_eq!(said(&placed.text()), Some(placed));
        }
        assert_eq!(evicted.text(), "closed:7:evict");
        assert_eq!(placed(&Tags::new()), None);
        assert_eq!(said("closed:many"), Some(Placed::Changing(0)), "somebody has to finish it");
        assert_eq!(said("closed:7:else"), Some(Placed::Changing(7)));
        assert_eq!(said("open"), Some(Placed::Changing(0)));
    }

    #[test]
    fn the_number_is_raised_by_each_closing_and_never_falls() {
        let number = |known: Option<Placed>, before, counted| closed(known, before, counted, DrainMode::Wait).before();
        assert_eq!(number(None, 5, 8), 8, "more came while it was being closed");
        assert_eq!(number(Some(Placed::Changing(8)), 8, 3), 8);
        let known = Placed::Closed { before: 8, evicted: false };
        assert_eq!((number(Some(known), 8, 9), number(Some(known), 8, 0)), (9, 8));
    }

    #[test]
    fn what_was_evicted_stays_so_until_it_is_opened() {
        let evicted = Placed::Closed { before: 7, evicted: true };
        assert_eq!(closed(Some(Placed::Changing(7)), 7, 7, DrainMode::Evict), evicted);
        assert_eq!(closed(Some(evicted), 7, 2, DrainMode::Wait), evicted);
        for mode in [DrainMode::Wait, DrainMode::Migrate] {
            assert_eq!(closed(Some(Placed::Changing(7)), 7, 7, mode), Placed::Closed { before: 7, evicted: false });
        }
    }

    #[test]
    fn what_is_half_done_is_told_as_open() {
        assert_eq!(Placed::Changing(3).placement(), Placement::Open);
        assert_eq!(Placed::Closed { before: 3, evicted: false }.placement(), Placement::Closed);
    }
}
