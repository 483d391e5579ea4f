//! What every adapter of a cloud has to hold, on every laboratory that there is here.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::ExitCode;

use fleetwright_tests::contract::aws::AwsLab;
use fleetwright_tests::contract::cases::ALL;
use fleetwright_tests::contract::live::LiveLab;
use fleetwright_tests::contract::simulated::Simulated;
use fleetwright_tests::contract::{Conductor, Lab, Way};
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
    let quiet = Trial::test("aws: a place at rest costs a list of each kind", || {
        quiet_costs_lists(&AwsLab::start()?);
        Ok(())
    });
    let quiet = quiet.with_ignored_flag(missing.is_some());
    let live = Trial::test("live: a cluster is built part by part and retired without a trace", || {
        match LiveLab::asked_for()? {
            Some(lab) => ALL[0].1(&lab),
            None => return Err("no account is asked for".into()),
        }
        Ok(())
    });
    let live = live.with_ignored_flag(!LiveLab::is_asked_for());
    let all = simulated.chain(aws).chain([quiet, live]);
    libtest_mimic::run(&Arguments::from_args(), all.collect()).exit_code()
}

/// One call to each of EC2, IAM, Kinesis and EKS, however many clusters there are on a page.
fn quiet_costs_lists(lab: &AwsLab) {
    let mut conductor = Conductor::new(lab);
    conductor.wish(Some("count: 3\nkubernetesVersion: \"1.33\""));
    conductor.settle();
    // What was last done is looked at once more, and kept.
    conductor.glance().unwrap();
    lab.end_at(u64::MAX, Way::After);
    let listing = conductor.glance().unwrap();
    assert_eq!(listing.resources.len(), 3);
    let mut calls = lab.keeper.calls();
    calls.sort();
    assert_eq!(calls, ["DescribeVpcs", "GET /clusters", "Kinesis_20131202.ListStreams", "ListRoles"]);
}
