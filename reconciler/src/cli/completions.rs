//! `completions`: a script that lets a shell complete our arguments.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::error::{CliError, Exit};
use super::output::Out;

const EXAMPLES: &str = "\
Examples:
  fleetwright completions bash > ~/.local/share/bash-completion/completions/fleetwright
  fleetwright completions zsh > \"${fpath[1]}/_fleetwright\"
  fleetwright completions fish > ~/.config/fish/completions/fleetwright.fish";

/// The arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    generate(args.shell, &mut super::Cli::command(), "fleetwright", &mut script);
    out.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Sound)
}
