//! What a judge remembers, as far as it can still matter: for those who ask whether two histories are the same from
//! here on. Times count by their order alone.

use std::hash::{Hash, Hasher};

use fleetwright_schema::units::Timestamp;

use super::Judge;

impl Judge {
    /// Puts everything into a hash that may decide about an effect yet to come. `times` are those at which a reading
    /// may have begun that has not come in. What a process planned is left out: it plans anew before it acts; and so
    /// are names and ordinals that were given, and backoffs, which the record and the process keep as well.
    pub fn digest(&self, times: &[Timestamp], hasher: &mut impl Hasher) {
        (self.settled, self.breaches.len()).hash(hasher);
        for (_, cluster) in self.record.clusters() {
            let name = &cluster.metadata.name;
            self.serving.digest(name, hasher);
            self.evidence.digest(name, times, hasher);
        }
    }
}
