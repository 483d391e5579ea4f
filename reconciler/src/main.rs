//! The `fleetwright` program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetwright::cli::main()
}
