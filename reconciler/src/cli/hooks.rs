//! `hooks`: puts the git hooks into a repository.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Subcommand;

use super::error::{CliError, Exit};
use super::output::Out;

const PRE_COMMIT: &str = include_str!("../../../hooks/pre-commit");
const PRE_RECEIVE: &str = include_str!("../../../hooks/pre-receive");
/// What every hook of ours says of itself.
const MARK: &str = "# Fleetwright:";

const EXAMPLES: &str = "\
Examples:
  fleetwright hooks install                     a clone: pre-commit
  fleetwright hooks install /srv/git/fleet.git  a bare repository: pre-receive";

/// The arguments of `hooks`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    what: What,
}

/// What can be done with hooks.
#[derive(Debug, Subcommand)]
enum What {
    /// Install pre-commit in a clone, or pre-receive in a bare repository
    #[command(after_help = EXAMPLES)]
    Install {
        /// The repository
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Replace a hook of somebody else
        #[arg(long)]
        force: bool,
    },
}

/// Installs the hook that the repository can use.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let What::Install { dir, force } = &args.what;
    let bare = git(dir, &["rev-parse", "--is-bare-repository"])? == "true";
    let folder = git(dir, &["rev-parse", "--git-path", "hooks"])?;
    let (name, text) = if bare { ("pre-receive", PRE_RECEIVE) } else { ("pre-commit", PRE_COMMIT) };
    let path = dir.join(folder).join(name);
    install(&path, text, *force)?;
    out.print(&format!("installed {}\n", path.display()))?;
    Ok(Exit::Sound)
}

fn git(dir: &Path, args: &[&str]) -> Result<String, CliError> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output();
    let output = output.map_err(|error| CliError::io("the git program can't be run", &error))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(CliError::unreadable(format!("git says: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

fn install(path: &Path, text: &str, force: bool) -> Result<(), CliError> {
    let foreign = std::fs::read(path).is_ok_and(|old| !String::from_utf8_lossy(&old).contains(MARK));
    if foreign && !force {
        let message = format!("{} is a hook of somebody else", path.display());
        return Err(CliError::problem(message).hint("call fleetwright from it, or replace it with --force"));
    }
    let written = std::fs::create_dir_all(path.parent().unwrap_or(path))
        .and_then(|()| std::fs::write(path, text))
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)));
    written.map_err(|error| CliError::io(format!("{} can't be written", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_of_somebody_else_stays_unless_it_is_forced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hooks/pre-commit");
        install(&path, PRE_COMMIT, false).unwrap();
        install(&path, PRE_COMMIT, false).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        std::fs::write(&path, "#!/bin/sh\nmake lint\n").unwrap();
        let refused = install(&path, PRE_COMMIT, false).unwrap_err();
        assert!(refused.message.contains("somebody else"), "{refused}");
        install(&path, PRE_COMMIT, true).unwrap();
    }

    #[test]
    fn every_hook_says_whose_it_is() {
        assert!(PRE_COMMIT.contains(MARK) && PRE_RECEIVE.contains(MARK));
    }
}
