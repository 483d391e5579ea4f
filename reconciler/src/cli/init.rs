//! `init`: a new fleet repository from the template.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{CliError, Exit};
use super::output::{Out, counted};
use super::template::FILES;

const EXAMPLES: &str = "\
Examples:
  fleetwright init my-fleet
  fleetwright init .              in an empty directory";

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The directory; made if there is none, refused if something is in it
    dir: PathBuf,
}

/// Writes the template, makes a repository of it, and says what to do next.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let dir = &args.dir;
    begin(dir)?;
    out.print(&next_steps(dir, FILES.len()))?;
    Ok(Exit::Sound)
}

/// A repository with the template in one commit.
pub(super) fn begin(dir: &Path) -> Result<(), CliError> {
    refuse_what_is_not_empty(dir)?;
    for (path, text) in FILES {
        write(&dir.join(path), text)?;
    }
    git(dir, &["init", "--quiet", "--initial-branch=main"])?;
    git(dir, &["add", "--all"])?;
    commit(dir, "fleet: begin with the template")
}

fn refuse_what_is_not_empty(dir: &Path) -> Result<(), CliError> {
    let shown = dir.display();
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            Err(CliError::problem(format!("{shown} is not empty")).hint("name a new directory, or an empty one"))
        }
        Ok(false) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CliError::io(format!("{shown} can't be used"), &error)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| CliError::io(format!("{} can't be written", path.display()), &error))
}

/// The commit bears the user's name; where git knows none, ours, so that a first try does not end here.
pub(super) fn commit(dir: &Path, message: &str) -> Result<(), CliError> {
    let mut args: Vec<&str> = Vec::new();
    if git(dir, &["var", "GIT_COMMITTER_IDENT"]).is_err() {
        args.extend(["-c", "user.name=Fleetwright", "-c", "user.email=fleetwright@localhost"]);
    }
    args.extend(["-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null"]);
    args.extend(["commit", "--quiet", "--message", message]);
    git(dir, &args).map(drop)
}

/// Runs git in a directory, whatever repository the environment points at.
pub(super) fn git(dir: &Path, args: &[&str]) -> Result<String, CliError> {
    let mut command = Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    let output = command.arg("-C").arg(dir).args(args).output();
    let output = output.map_err(|error| CliError::io("the git program can't be run", &error))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(CliError::problem(format!("git says: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

fn next_steps(dir: &Path, files: usize) -> String {
    let (here, dir) = (dir == Path::new("."), dir.display());
    let enter = if here { String::new() } else { format!("  cd {dir}\n") };
    format!(
        "A new fleet repository is in {dir}: {} in one commit.\n\n\
         {enter}  fleetwright validate           is it sound?\n  \
         fleetwright plan               what would happen?\n\n\
         Its clouds are simulated and cost nothing. To let a daemon take it up:\n\n  \
         git clone --bare . ../fleet.git\n  \
         fleetwright run --repo ../fleet.git --until-settled\n  \
         fleetwright get clusters -C ../fleet.git\n",
        counted(files, "file", "files")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_something_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(refuse_what_is_not_empty(dir.path()).is_ok());
        assert!(refuse_what_is_not_empty(&dir.path().join("new")).is_ok());
        std::fs::write(dir.path().join("x"), "").unwrap();
        let refused = refuse_what_is_not_empty(dir.path()).unwrap_err();
        assert!(refused.message.ends_with("is not empty"), "{refused}");
    }

    #[test]
    fn the_next_steps_are_told() {
        insta::assert_snapshot!(next_steps(Path::new("my-fleet"), 17));
    }
}
