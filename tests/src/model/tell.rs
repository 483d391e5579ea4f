//! Steps in words, for the path to what went wrong.

use fleetwright_core::record::Record;

/// Collects lines, or nothing.
#[derive(Debug, Default)]
pub struct Teller(Option<Vec<String>>);

impl Teller {
    /// One that listens.
    pub fn listening() -> Self {
        Self(Some(Vec::new()))
    }

    /// A line, made only where somebody listens.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(line());
        }
    }

    /// What was said.
    pub fn lines(self) -> Vec<String> {
        self.0.unwrap_or_default()
    }
}

/// The difference of two records, a line a cluster.
pub fn publication(old: &Record, new: &Record, tell: &mut Teller) {
    for (id, set) in &new.sets {
        let before = old.sets.get(id);
        if before.is_none_or(|before| before.spec != set.spec) {
            let version = &set.spec.template.kubernetes_version;
            tell.say(|| format!("  {id}: {} at {version}", set.spec.count));
        }
        for cluster in &set.clusters {
            let was = before.and_then(|set| set.clusters.iter().find(|c| c.metadata.name == cluster.metadata.name));
            if was != Some(cluster) {
                let from = was.map_or("nothing".to_owned(), |was| was.status.state.to_string());
                let version = &cluster.spec.kubernetes_version;
                let why = cluster.status.retirement.as_ref().map(|r| format!(", {:?}", r.reason)).unwrap_or_default();
                tell.say(|| {
                    format!("  {}: {from} -> {} at {version}{why}", cluster.metadata.name, cluster.status.state)
                });
            }
        }
        for stone in set.tombstones.iter().filter(|stone| before.is_none_or(|set| !set.tombstones.contains(stone))) {
            tell.say(|| format!("  {}: buried", stone.name));
        }
    }
}
