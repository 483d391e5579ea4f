//! What every adapter of a cloud has to hold, on every laboratory that there is here.

use std::process::ExitCode;

use fleetwright_tests::contract::cases::ALL;
use fleetwright_tests::contract::simulated::Simulated;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let trials = ALL.iter().map(|(name, case)| {
        Trial::test(format!("simulated: {name}"), move || {
            case(&Simulated::new());
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
