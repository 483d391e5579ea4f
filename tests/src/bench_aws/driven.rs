//! The process that is measured, as its parent sees it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cost::Cost;
use crate::range::Range;

/// A process of this program that drives the adapter; it ends with this.
pub struct Driven<'a> {
    range: &'a Range,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl<'a> Driven<'a> {
    /// Begins it.
    pub fn begin(range: &'a Range, regions: &[&str], clusters: u32) -> Self {
        let program = std::env::current_exe().unwrap();
        let (clusters, speed) = (clusters.to_string(), range.speed.to_string());
        let mut command = Command::new(program);
        command.args(["--drive", &regions.join(","), "--clusters", &clusters, "--speed", &speed]);
        command.envs(range.environment(regions[0]));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { range, child, to, from }
    }

    /// Has it do something, and tells what that cost.
    pub fn ask(&mut self, what: &str) -> Cost {
        self.range.say("fleetwright", what);
        self.range.count();
        let began = Instant::now();
        writeln!(self.to, "{what}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let seconds: f64 = line.trim().parse().unwrap_or_else(|_| panic!("{what} was not done: {line:?}"));
        Cost { calls: self.range.counted(), cpu: Duration::from_secs_f64(seconds), wall: began.elapsed() }
    }
}

impl Drop for Driven<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
