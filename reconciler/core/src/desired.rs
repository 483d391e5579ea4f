//! What should be: the fleet's shared settings and every set with its wish, or why the wish is not known.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fleetwright_schema::documents::{FleetSpec, RemovalApprovalSpec};
use fleetwright_schema::names::{Name, SetId};
use fleetwright_schema::set::ResolvedSet;

use crate::inventory::Place;
use crate::snapshot::CommitId;

/// Why a wish is not acted on. While it lasts nothing starts: no cluster is named, drained or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The set's file, or one that it rests on, can't be read.
    FileUnreadable(String),
    /// `fleet.yaml` is missing or can't be read.
    FleetUnreadable,
    /// The tip does not descend from the last commit that was taken up.
    HistoryRewritten {
        /// The last commit that was taken up.
        observed: CommitId,
        /// The tip.
        tip: CommitId,
    },
    /// The remote no longer has the branch.
    BranchGone,
    /// The tip has no set at all, where the record has some.
    Emptied,
    /// The bot's own record of the set can't be read.
    RecordUnreadable(String),
    /// The clouds hold parts of the set's clusters, and no record names them.
    RecordLost(String),
    /// The set's file was removed, and its policy keeps the clusters.
    Retained,
    /// The file was removed together with the account that its clusters are in.
    NoAccount,
}

impl Hold {
    /// One word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::FileUnreadable(_) => "FileUnreadable",
            Self::FleetUnreadable => "FleetUnreadable",
            Self::HistoryRewritten { .. } => "HistoryRewritten",
            Self::BranchGone => "BranchGone",
            Self::Emptied => "FleetEmptied",
            Self::RecordUnreadable(_) => "RecordUnreadable",
            Self::RecordLost(_) => "RecordLost",
            Self::Retained => "Retained",
            Self::NoAccount => "NoAccount",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileUnreadable(path) => write!(f, "{path} can't be read; `fleetwright validate` says why"),
            Self::FleetUnreadable => {
                f.write_str("fleet.yaml is missing or can't be read; `fleetwright validate` says why")
            }
            Self::HistoryRewritten { observed, tip } => write!(
                f,
                "the branch was rewritten: {} does not descend from {}, the last commit taken up; restore it, or accept \
                 the new history with `fleetwright accept`",
                tip.short(),
                observed.short()
            ),
            Self::BranchGone => f.write_str("the remote has no such branch"),
            Self::Emptied => f.write_str("the commit removes every set of the fleet; approve it to have them retired"),
            Self::RecordUnreadable(path) => write!(f, "{path}, the bot's own record, can't be read"),
            Self::RecordLost(cluster) => write!(
                f,
                "parts of {cluster} exist and no record names them; restore refs/fleetwright/record or the branch's status/"
            ),
            Self::Retained => {
                f.write_str("the set's file was removed; deletionPolicy Retain keeps its clusters as they are")
            }
            Self::NoAccount => f.write_str("fleet.yaml no longer names the account of the set's clusters"),
        }
    }
}

/// A set that is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSet {
    /// With nothing left out.
    pub resolved: Arc<ResolvedSet>,
    /// Where new clusters are built.
    pub place: Place,
    /// Its wave and the wave's place in the order; `None` where the fleet names no waves.
    pub wave: Option<(usize, Name)>,
}

/// What is known of the wish for one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is wished for.
    Wanted(Arc<WantedSet>),
    /// There is a file, or was one, that can't be acted on.
    Held(Hold),
}

/// What should be. A set that is in the record and not here was removed by a commit that could be read completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The settings of `fleet.yaml`; those last read, where a hold is on everything, so that places stay known.
    pub config: Option<Arc<FleetSpec>>,
    /// The sets.
    pub sets: BTreeMap<SetId, Wish>,
    /// Why nothing at all is acted on.
    pub hold: Option<Hold>,
    /// Approvals of removals, expired ones too.
    pub approvals: Vec<RemovalApprovalSpec>,
}

impl Desired {
    /// A wish that holds everything.
    pub fn held(hold: Hold, config: Option<Arc<FleetSpec>>) -> Self {
        Self { config, sets: BTreeMap::new(), hold: Some(hold), approvals: Vec::new() }
    }
}
