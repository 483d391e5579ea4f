//! Which resource changes by itself next, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetwright_schema::units::Timestamp;

use crate::record::Id;

/// At most one time a resource, and all times in order.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    by_time: BTreeSet<(Timestamp, Id)>,
    by_id: BTreeMap<Id, Timestamp>,
}

impl Agenda {
    /// Notes when this resource changes next, if it does, in place of what was noted before.
    pub(crate) fn note(&mut self, id: &Id, next: Option<Timestamp>) {
        if let Some(before) = self.by_id.remove(id) {
            self.by_time.remove(&(before, Arc::clone(id)));
        }
        if let Some(next) = next {
            self.by_id.insert(Arc::clone(id), next);
            self.by_time.insert((next, Arc::clone(id)));
        }
    }
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(time, _)| *time)
    }
    /// What changes until then.
    pub(crate) fn until(&self, time: Timestamp) -> impl Iterator<Item = &Id> {
        self.by_time.iter().take_while(move |(at, _)| *at <= time).map(|(_, id)| id)
    }
    /// Takes out the first that is due.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, Id)> {
        let (time, id) = self.by_time.first().filter(|(time, _)| *time <= now).cloned()?;
        self.note(&id, None);
        Some((time, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_out_in_order_and_once() {
        let at = Timestamp::from_unix_seconds;
        let (a, b): (Id, Id) = ("a".into(), "b".into());
        let mut agenda = Agenda::default();
        agenda.note(&a, Some(at(30)));
        agenda.note(&b, Some(at(20)));
        agenda.note(&a, Some(at(10)));
        assert_eq!(agenda.next(), Some(at(10)));
        assert_eq!(agenda.pop_due(at(15)), Some((at(10), a)));
        assert_eq!(agenda.pop_due(at(15)), None);
        assert_eq!(agenda.pop_due(at(20)), Some((at(20), b)));
        assert_eq!(agenda.next(), None);
    }
}
