//! Who makes the same clusters: the real program on a bare repository, a boto3 script, Ansible.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fleetwright_emulators::python_with;
use fleetwright_tests::person::Person;
use fleetwright_tests::program::Machine;

use crate::cost::Row;
use crate::fleet;
use crate::range::Range;

/// What Ansible is: pinned, as the emulators are. It brings `community.aws` and `amazon.aws`.
const ANSIBLE: [&str; 2] = ["ansible==12.3.0", "boto3==1.44.*"];
/// As often as a daemon looks where something is under way.
const ATTENTION: Duration = Duration::from_secs(15);

const PLANES: [&str; 2] = ["control planes: create", "control planes: no-op"];
const WHOLE: [&str; 2] = ["everything: create", "everything: no-op"];

/// The same command twice: it creates, and then finds nothing to do.
fn twice(
    range: &Range,
    whats: [&'static str; 2],
    who: &'static str,
    clusters: u32,
    mut command: Command,
) -> Result<Vec<Row>, String> {
    let measure = |what| {
        range.say(who, what);
        Ok(Row::new(what, who, clusters, range.run(&mut command)?.0))
    };
    whats.into_iter().map(measure).collect()
}

/// What is given to those who make control planes only.
fn given(range: &Range, region: &str) -> Result<String, String> {
    let mut command = range.script("given.py", region)?;
    command.arg(format!("given-{region}"));
    Ok(range.run(&mut command)?.1)
}

/// The script, control planes only.
pub fn boto3_planes(range: &Range, clusters: u32) -> Result<Vec<Row>, String> {
    let region = "eu-west-2";
    let mut command = range.script("clusters.py", region)?;
    command.args(["planes", &clusters.to_string(), &range.speed.to_string(), &given(range, region)?]);
    twice(range, PLANES, "boto3", clusters, command)
}

/// The script, everything.
pub fn boto3_whole(range: &Range, clusters: u32) -> Result<Vec<Row>, String> {
    let mut command = range.script("clusters.py", "eu-west-3")?;
    command.args(["whole", &clusters.to_string(), &range.speed.to_string()]);
    twice(range, WHOLE, "boto3", clusters, command)
}

/// The real program, which ends when everything is as it is wished for; and begun once more.
pub fn program(range: &Range, clusters: u32, built: Option<PathBuf>) -> Result<Vec<Row>, String> {
    let region = "eu-west-1";
    let machine = Machine::new();
    let person = Person::new(&machine.path("fleet.git"));
    let files = fleet::files(&[region.to_owned()], clusters);
    let files: Vec<(&str, Option<&str>)> =
        files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    person.commit("begin", &files);
    let attention = format!("{}s", range.scaled(ATTENTION).as_secs().max(1));
    let mut command = Command::new(built.map_or_else(binary, Ok)?);
    command.args(["run", "--quiet", "--until-settled", "--attention-interval", &attention, "--repo"]);
    command.arg(person.path()).env_clear().envs(range.environment(region));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", machine.path("home"));
    command.env("TMPDIR", machine.path("tmp")).env("GIT_CONFIG_NOSYSTEM", "1");
    twice(range, WHOLE, "fleetwright, a process each", clusters, command)
}

/// The program, brought up to date, as it was built with this one.
fn binary() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = own.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let profile = if folder == Some("debug") { "dev" } else { folder.unwrap_or("dev") };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--package", "fleetwright"]);
    let built =
        cargo.args(["--bin", "fleetwright", "--profile", profile]).status().map_err(|error| error.to_string())?;
    match built.success() {
        true => Ok(own.with_file_name(format!("fleetwright{}", std::env::consts::EXE_SUFFIX))),
        false => Err("fleetwright could not be built".to_owned()),
    }
}

/// Ansible, installed.
pub struct Ansible {
    bin: PathBuf,
}

/// Its rows, or that they are left out, and why.
pub fn ansible(skip: bool, rows: impl Fn(&Ansible) -> Result<Vec<Row>, String>) -> Vec<Row> {
    let installed = if skip { Err("not asked for".to_owned()) } else { python_with("ansible", &ANSIBLE) };
    match installed.and_then(|bin| rows(&Ansible { bin })) {
        Ok(rows) => rows,
        Err(why) => vec![Row::left_out("control planes, everything", "ansible", why)],
    }
}

impl Ansible {
    /// Control planes only.
    pub fn planes(&self, range: &Range, clusters: u32) -> Result<Vec<Row>, String> {
        let region = "eu-central-1";
        let given = format!("{{\"given\": {}}}", given(range, region)?);
        self.twice(range, PLANES, clusters, region, &["planes.yaml", "--extra-vars", &given])
    }

    /// Everything that it has modules for.
    pub fn whole(&self, range: &Range, clusters: u32) -> Result<Vec<Row>, String> {
        let region = "eu-north-1";
        self.twice(range, WHOLE, clusters, region, &["whole.yaml", "--extra-vars", &format!("region={region}")])
    }

    fn twice(
        &self,
        range: &Range,
        whats: [&'static str; 2],
        clusters: u32,
        region: &str,
        arguments: &[&str],
    ) -> Result<Vec<Row>, String> {
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        let inventory = home.path().join("clusters.ini");
        let hosts: String = (0..clusters).map(|index| format!("ansible-{index} index={index}\n")).collect();
        std::fs::write(&inventory, format!("[clusters]\n{hosts}")).map_err(|error| error.to_string())?;
        let mut command = Command::new(self.bin.join("ansible-playbook"));
        command.current_dir(format!("{}/src/bench_aws", env!("CARGO_MANIFEST_DIR")));
        command.arg("--inventory").arg(&inventory).args(arguments).envs(range.environment(region));
        command.env("ANSIBLE_HOME", home.path()).env("ANSIBLE_PYTHON_INTERPRETER", self.bin.join("python"));
        twice(range, whats, "ansible", clusters, command)
    }
}
