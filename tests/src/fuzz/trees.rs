//! Whole repositories: every problem has its place, the same tree says the same whatever was read before it, and what is
//! sound can be planned.

use std::sync::Arc;

use fleetwright_core::desired::{Desired, Wish};
use fleetwright_core::fleet::{FleetCache, FleetReading, desired, explain, read_fleet};
use fleetwright_core::inventory::{Inventory, Listing, Place, Reading};
use fleetwright_core::memory::{Acknowledgements, Memory};
use fleetwright_core::record::Record;
use fleetwright_core::snapshot::Snapshot;
use fleetwright_schema::document::{DocumentKind, expected_kind};
use fleetwright_schema::names::SetId;
use fleetwright_schema::units::Timestamp;

use super::Reached;
use super::archive::{TEMPLATE, files, snapshot};
use super::records::{NOW, Planned};
use super::told::judge;

/// Reads the input as one commit.
pub fn run(input: &[u8]) -> Reached {
    let mut reached = Reached::new();
    let files = files(input);
    let snapshot = snapshot(&files);
    let reading = read_fleet(&snapshot, &mut FleetCache::default());
    same_whatever_was_read_before(&snapshot, &reading);
    judge(&reading.diagnostics, &files, &mut reached);
    no_set_is_overlooked(&snapshot, &reading);
    explained(&snapshot, &reading);
    let wish = desired(&reading, &Record::default(), None, None);
    reached.insert(format!("{} sets, sound {}", reading.sets.len().min(5), reading.is_sound()));
    begun(&wish);
    reached
}

/// Everything that a reading says, to be compared.
fn said(reading: &FleetReading) -> String {
    let FleetReading { config, sets, approvals, diagnostics, obscured } = reading;
    format!("{config:#?}\n{sets:#?}\n{approvals:#?}\n{diagnostics:#?}\n{obscured:#?}")
}

fn same_whatever_was_read_before(snapshot: &Snapshot, cold: &FleetReading) {
    let mut cache = FleetCache::default();
    read_fleet(&super::archive::snapshot(&TEMPLATE), &mut cache);
    let warm = read_fleet(snapshot, &mut cache);
    same("after the template", &said(&warm), &said(cold));
    let twice = read_fleet(snapshot, &mut cache);
    same("the second time", &said(&twice), &said(cold));
}

fn same(when: &str, one: &str, other: &str) {
    let first = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert!(one == other, "another reading {when}: {first:?}");
}

/// A file at the place of a set is a wish, a held set, or a reason why a set may be hidden; never nothing.
fn no_set_is_overlooked(snapshot: &Snapshot, reading: &FleetReading) {
    for path in snapshot.files.keys().filter(|path| expected_kind(path) == Some(DocumentKind::ClusterSet)) {
        let id = path.strip_prefix("clustersets/").and_then(|rest| rest.strip_suffix(".yaml")).unwrap();
        let known = id.parse::<SetId>().is_ok_and(|id| reading.sets.contains_key(&id));
        assert!(known || reading.obscured.iter().any(|path| path.contains(id)), "{path} is overlooked");
    }
    for refused in snapshot.refused.iter().filter(|refused| refused.path.starts_with("clustersets")) {
        assert!(reading.obscured.contains(&refused.path), "{} is overlooked", refused.path);
    }
    assert!(!reading.is_sound() || reading.obscured.is_empty(), "sound, though {:?} is obscured", reading.obscured);
}

fn explained(snapshot: &Snapshot, reading: &FleetReading) {
    for (id, set) in &reading.sets {
        let told = explain(snapshot, id);
        let Some(wanted) = &set.wanted else { continue };
        let told = told.unwrap_or_else(|problems| panic!("{id} is wanted and can't be explained: {problems:?}"));
        let count = told.iter().find(|line| line.field == "count");
        let count = count.unwrap_or_else(|| panic!("{id}: nobody set its count"));
        assert_eq!(count.value, wanted.resolved.count.to_string(), "{id}: another count is explained");
        for line in told.iter().filter(|line| line.line.is_none()) {
            assert!(line.path.starts_with("built-in"), "{id}: {line:?} has no line");
        }
    }
}

/// A fleet of which nothing exists yet: a plan names at most what is wished for, and does nothing.
fn begun(wish: &Desired) {
    let place = |wish: &Wish| match wish {
        Wish::Wanted(wanted) => Some(wanted.place.clone()),
        Wish::Held(_) => None,
    };
    let empty =
        |place: Place| (place, Reading { at: NOW, result: Ok(Arc::new(Listing::default())), failing_since: None });
    let inventory = Inventory { places: wish.sets.values().filter_map(place).map(empty).collect() };
    let (record, memory) = (Record::default(), Memory::default());
    let acknowledgements = Acknowledgements::default();
    let now: Timestamp = NOW;
    let parts = Planned { wish, record: &record, inventory: &inventory, memory: &memory, now };
    let plan = parts.plan(&acknowledgements);
    assert!(plan.actions.is_empty(), "done before it was named: {:?}", plan.actions);
    for (id, set) in &plan.record.sets {
        let Some(Wish::Wanted(wanted)) = wish.sets.get(id) else { panic!("{id} is begun and nobody wants it") };
        let alive = set.clusters.len();
        assert!(alive <= wanted.resolved.count as usize, "{id}: {alive} of {} are named", wanted.resolved.count);
    }
}
