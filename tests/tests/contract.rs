//! What every adapter of a cloud has to hold, on every laboratory that there is here.

use std::process::ExitCode;

use fleetwright_tests::contract::aws::AwsLab;
use fleetwright_tests::contract::cases::ALL;
use fleetwright_tests::contract::simulated::Simulated;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let simulated = ALL.iter().map(|(name, case)| {
        Trial::test(format!("simulated: {name}"), move || {
            case(&Simulated::new());
            Ok(())
        })
    });
    // Without python there is no emulator: said by name, and never a silent pass.
    let missing = fleetwright_emulators::python_bin().err();
    if let Some(missing) = &missing {
        println!("the cases of aws are left out: {missing}");
    }
    let aws = ALL.iter().map(|(name, case)| {
        let trial = Trial::test(format!("aws: {name}"), move || {
            let lab = AwsLab::start()?;
            case(&lab);
            lab.check_policies();
            Ok(())
        });
        trial.with_ignored_flag(missing.is_some())
    });
    libtest_mimic::run(&Arguments::from_args(), simulated.chain(aws).collect()).exit_code()
}
