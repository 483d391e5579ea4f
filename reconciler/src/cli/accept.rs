//! `accept`: a person accepts that the history of the branch was rewritten.

use super::error::{CliError, Exit};
use super::output::Out;
use super::pushing::Target;
use super::source::default_branch;

const OBSERVED: &str = "refs/fleetwright/observed";

const EXAMPLES: &str = "\
Examples:
  fleetwright accept --repo https://git.example/fleet.git
  fleetwright accept --repo ../fleet.git --rev main

The daemon acts on nothing while the branch does not descend from the last commit that it took up, for what was cut out of
the history can't be told from what was removed on purpose. Look at the difference first:
  git fetch origin refs/fleetwright/observed && git diff FETCH_HEAD origin/main";

/// The arguments of `accept`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The fleet repository; of a clone, its origin
    #[arg(long, value_name = "URL|DIR")]
    repo: String,
    /// The commit from which the daemon goes on: the tip of the default branch when left out
    #[arg(long)]
    rev: Option<String>,
}

/// Moves the ref of the last commit taken up.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let target = Target::open(&args.repo)?;
    let branch = default_branch(&target.mirror)?;
    let tip = match &args.rev {
        Some(revision) => target.commit(Some(revision), &branch)?,
        None => target.mirror.resolve(&branch)?,
    };
    if let Some(observed) = target.mirror.fetch()?.get(OBSERVED)
        && *observed != tip
        && target.mirror.descends(&tip, observed)?
    {
        // Nothing was cut out. To move the ref would say that what came since is taken up, which the daemon alone knows.
        let (tip, observed) = (tip.short(), observed.short());
        out.print(&format!("there is nothing to accept: {tip} comes after {observed}, the last commit taken up\n"))?;
        return Ok(Exit::Sound);
    }
    let old = target.advance(OBSERVED, &tip, true)?;
    out.print(&match old {
        Some(old) if old == tip => format!("{} was taken up already: there is nothing to accept\n", tip.short()),
        Some(old) => format!(
            "accepted: the daemon goes on from {} (the last commit taken up was {})\n\
             What the new history wishes for is acted on from now on, removals within their budget included.\n",
            tip.short(),
            old.short()
        ),
        None => format!("accepted: the daemon goes on from {} (none was taken up before)\n", tip.short()),
    })?;
    Ok(Exit::Sound)
}
