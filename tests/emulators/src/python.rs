//! Python with the judges of others, each in an environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What is installed: pinned, because an emulator that changes is another judge.
const PACKAGES: [&str; 2] = ["moto[server]==5.2.5", "boto3==1.44.*"];

/// The folder with `python` and `moto_server`; installed into a cache when it is first asked for. `Err` says what is
/// missing on this machine, and is a failure where `FLEETWRIGHT_REQUIRE_PYTHON` is set.
pub fn python_bin() -> Result<&'static Path, String> {
    static BIN: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BIN.get_or_init(find).as_deref().map_err(Clone::clone);
    let required = std::env::var_os("FLEETWRIGHT_REQUIRE_PYTHON").is_some();
    assert!(found.is_ok() || !required, "python is required here: {found:?}");
    found
}

fn find() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("FLEETWRIGHT_PYTHON_BIN") {
        return Ok(given.into());
    }
    python_with("python", &PACKAGES)
}

/// The folder with the programs of these packages, in an environment of this name beside that of the emulators; installed
/// when it is first asked for. `Err` says what is missing on this machine.
pub fn python_with(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let root = cache.or_else(home).unwrap_or_else(std::env::temp_dir).join("fleetwright-tests");
    let (venv, bin) = (root.join(name), root.join(name).join("bin"));
    // With other packages it is another judge, and made anew.
    let installed = std::fs::read_to_string(bin.join("installed")).is_ok_and(|told| told == packages.join("\n"));
    if bin.join("python").is_file() && installed {
        return Ok(bin);
    }
    std::fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    run(Command::new("python3").arg("-m").arg("venv").arg(&venv))?;
    run(Command::new(bin.join("pip")).args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))?;
    // Written last: a folder that is half installed is installed anew.
    std::fs::write(bin.join("installed"), packages.join("\n")).map_err(|error| error.to_string())?;
    Ok(bin)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let told = || String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", told())) }
}
