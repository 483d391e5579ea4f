//! The command line: arguments, printing, exit codes. Decides nothing that the daemon decides: what is printed comes from
//! the same pure functions.
//!
//! One file a command, each with its arguments, a pure part that makes text or values, and a `run` that reads and prints.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod accept;
mod ack;
mod completions;
pub mod demo;
mod doctor;
mod error;
mod explain;
mod follow;
mod get;
mod hooks;
mod init;
mod names;
mod output;
mod plan;
mod pushing;
pub mod run;
mod schema;
mod selector;
mod source;
mod table;
mod template;
#[cfg(test)]
mod testing;
mod validate;
mod watch;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::{CliError, Exit};
use output::Out;

/// Reads the arguments of this process, does what they say, and prints what comes of it.
pub fn main() -> ExitCode {
    // Clap prints help to stdout and usage errors to stderr, and ends with 0 or 2.
    let cli = Cli::parse();
    let mut out = Out::of_process();
    match dispatch(&cli.command, &mut out) {
        Ok(exit) => exit.into(),
        Err(error) => {
            out.error(&error);
            error.exit.into()
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  sound, or done
  1  problems were found
  2  wrong usage
  3  settled, but something waits for a person (run)
  4  the repository can't be reached or read

Examples:
  fleetwright demo --once                     a whole fleet on simulated clouds
  fleetwright init my-fleet                   a new fleet repository
  fleetwright validate                        is it sound?
  fleetwright plan --base main                what would merging it do?
  fleetwright get clusters prod               what exists?
  fleetwright why prod/azure/westeurope/ModelServing
                                              why does nothing happen?";

/// Builds, rotates and retires sets of Kubernetes clusters as a Git repository says.
#[derive(Debug, Parser)]
#[command(name = "fleetwright", version, max_term_width = 100, after_help = EXIT_CODES)]
#[command(propagate_version = true, infer_long_args = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Watch a fleet repository, and make the clouds as it says
    Run(run::RunArgs),
    /// Show a whole fleet on simulated clouds: built, rotated, reverted
    Demo(demo::DemoArgs),
    /// Write a new fleet repository from the template
    Init(init::Args),
    /// Tell everything that is wrong with a fleet repository
    Validate(validate::Args),
    /// Tell what merging a change would do
    Plan(plan::Args),
    /// Show each value of a set with the file and line that set it
    Explain(explain::Args),
    /// List sets or clusters as the repository's status says
    Get(get::Args),
    /// Tell what a set or a cluster waits for
    Why(why::Args),
    /// Print a line per change of a cluster's state
    Watch(watch::Args),
    /// Tell that a consumer has read the fleet up to a commit
    Ack(ack::Args),
    /// Accept a history that was rewritten
    Accept(accept::Args),
    /// List the kinds of documents, or print the JSON Schema of one
    Schema(schema::Args),
    /// Tell whether each account is fit for its clusters
    Doctor(doctor::Args),
    /// Install the git hooks
    Hooks(hooks::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

fn dispatch(command: &Command, out: &mut Out) -> Result<Exit, CliError> {
    match command {
        Command::Run(args) => run::run(args, out),
        Command::Demo(args) => demo::run(args, out),
        Command::Init(args) => init::run(args, out),
        Command::Validate(args) => validate::run(args, out),
        Command::Plan(args) => plan::run(args, out),
        Command::Explain(args) => explain::run(args, out),
        Command::Get(args) => get::run(args, out),
        Command::Why(args) => why::run(args, out),
        Command::Watch(args) => watch::run(args, out),
        Command::Ack(args) => ack::run(args, out),
        Command::Accept(args) => accept::run(args, out),
        Command::Schema(args) => schema::run(args, out),
        Command::Doctor(args) => doctor::run(args, out),
        Command::Hooks(args) => hooks::run(args, out),
        Command::Completions(args) => completions::run(args, out),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has none", command.get_name());
        }
    }
}
