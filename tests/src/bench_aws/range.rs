//! Where it is measured: the emulators, behind gates that count, and what is started against them.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleetwright_emulators::python_bin;
use fleetwright_simulator::Speed;
use fleetwright_tests::contract::aws::AwsLab;
use fleetwright_tests::contract::{Lab as _, Way};
use wait4::Wait4 as _;

use crate::cost::Cost;

/// One moto and one front of EKS for all.
pub struct Range {
    lab: AwsLab,
    /// How much faster than the machine's the time of EKS runs.
    pub speed: f64,
    began: Instant,
}

impl Range {
    /// Starts them; `Err` says what is missing on this machine.
    pub fn open(speed: f64) -> Result<Self, String> {
        Ok(Self { lab: AwsLab::start_at(Speed::Factor(speed))?, speed, began: Instant::now() })
    }

    /// What is being done, for who waits.
    pub fn say(&self, who: &str, what: &str) {
        eprintln!("{:>4} s  {who}: {what}", self.began.elapsed().as_secs());
    }

    /// So long is this time of the clusters on the machine.
    pub fn scaled(&self, time: Duration) -> Duration {
        time.div_f64(self.speed)
    }

    /// What a process needs in its environment to call them in a region.
    pub fn environment(&self, region: &str) -> Vec<(String, String)> {
        let regions = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(|key| (key.to_owned(), region.to_owned()));
        self.lab.environment().into_iter().chain(regions).collect()
    }

    /// Counts from now on.
    pub fn count(&self) {
        self.lab.end_at(u64::MAX, Way::After);
    }

    /// What was counted.
    pub fn counted(&self) -> usize {
        self.lab.keeper.calls().len()
    }

    /// A script of ours for the python of the emulators.
    pub fn script(&self, name: &str, region: &str) -> Result<Command, String> {
        let mut command = Command::new(python_bin()?.join("python"));
        command.arg(format!("{}/src/bench_aws/{name}", env!("CARGO_MANIFEST_DIR"))).envs(self.environment(region));
        Ok(command)
    }

    /// Runs a command to its end, which must be a good one: what it cost, and what it printed.
    pub fn run(&self, command: &mut Command) -> Result<(Cost, String), String> {
        self.count();
        let began = Instant::now();
        let errors = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        let to = errors.reopen().map_err(|error| error.to_string())?;
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(to);
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let mut printed = String::new();
        child.stdout.take().unwrap().read_to_string(&mut printed).map_err(|error| error.to_string())?;
        let used = child.wait4().map_err(|error| error.to_string())?;
        let cost = Cost { calls: self.counted(), cpu: used.rusage.utime + used.rusage.stime, wall: began.elapsed() };
        if used.status.success() {
            return Ok((cost, printed));
        }
        let errors = std::fs::read_to_string(errors.path()).unwrap_or_default();
        Err(format!("{}: {printed}\n{errors}", used.status))
    }
}
