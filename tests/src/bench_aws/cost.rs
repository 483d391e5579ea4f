//! What something costs, and how it is told.

use std::time::Duration;

use serde_json::json;

/// The processor's second that a pass over a thousand clusters may take.
const CPU_GOAL: Duration = Duration::from_secs(1);
/// Of the least number of calls, so much more may be made.
const CALLS_GOAL: f64 = 1.03;

/// What was used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// HTTP requests that arrived.
    pub calls: usize,
    /// Of the client and its children.
    pub cpu: Duration,
    /// From its beginning to its end.
    pub wall: Duration,
}

/// One measurement, or why there is none.
#[derive(Clone, Debug)]
pub struct Row {
    what: &'static str,
    who: &'static str,
    clusters: u32,
    cost: Result<Cost, String>,
    least: Option<usize>,
}

impl Row {
    /// A measurement.
    pub const fn new(what: &'static str, who: &'static str, clusters: u32, cost: Cost) -> Self {
        Self { what, who, clusters, cost: Ok(cost), least: None }
    }

    /// What could not be measured.
    pub const fn left_out(what: &'static str, who: &'static str, why: String) -> Self {
        Self { what, who, clusters: 0, cost: Err(why), least: None }
    }

    /// Held to the goal: with so many calls at least.
    pub const fn with_goal(mut self, least: usize) -> Self {
        self.least = Some(least);
        self
    }

    /// Whether there is a goal, and it is missed.
    pub fn misses(&self) -> bool {
        self.ok() == Some(false)
    }

    fn ok(&self) -> Option<bool> {
        let (least, cost) = (self.least?, self.cost.as_ref().ok()?);
        Some(cost.cpu < CPU_GOAL && cost.calls as f64 <= CALLS_GOAL * least as f64)
    }

    /// One line for programs.
    pub fn json(&self) -> String {
        let line = match &self.cost {
            Err(why) => json!({"what": self.what, "who": self.who, "leftOut": why}),
            Ok(cost) => json!({
                "what": self.what,
                "who": self.who,
                "clusters": self.clusters,
                "calls": cost.calls,
                "cpuSeconds": rounded(cost.cpu),
                "wallSeconds": rounded(cost.wall),
                "leastCalls": self.least,
                "ok": self.ok(),
            }),
        };
        line.to_string()
    }

    fn cells(&self) -> [String; 8] {
        let (what, who) = (self.what.to_owned(), self.who.to_owned());
        let Ok(cost) = &self.cost else {
            let why = self.cost.as_ref().err().cloned().unwrap_or_default();
            return [what, who, "left out".into(), why, String::new(), String::new(), String::new(), String::new()];
        };
        let each = |value: f64| format!("{:.2}", value / f64::from(self.clusters));
        let goal = self.least.map(|least| {
            let kept = if self.misses() { "missed" } else { "kept" };
            format!("at least {least}; goal {kept}")
        });
        [
            what,
            who,
            self.clusters.to_string(),
            cost.calls.to_string(),
            each(cost.calls as f64),
            format!("{:.2}", cost.cpu.as_secs_f64()),
            format!("{:.1}", cost.wall.as_secs_f64()),
            goal.unwrap_or_default(),
        ]
    }
}

fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// Aligned, for people.
pub fn table(rows: &[Row]) -> String {
    let headers = ["WHAT", "WHO", "CLUSTERS", "CALLS", "CALLS EACH", "CPU S", "WALL S", ""].map(str::to_owned);
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| row.what);
    let lines: Vec<[String; 8]> = std::iter::once(headers).chain(rows.iter().map(|row| row.cells())).collect();
    // What is left out says why, however long that is.
    let measured = |line: &&[String; 8]| line[2] != "left out";
    let width = |column: usize| lines.iter().filter(measured).map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    let padded = |line: &[String; 8]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(padded).collect()
}
