//! What people, tools and attackers push that no fleet repository should hold: each is refused with its place or let
//! through for a reason, quickly, without a panic, and without a call to a cloud that it asked for.
//!
//! `cargo test -p fleetwright-tests --test bad_inputs -- laughs` runs the cases with that word in their path.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::ExitCode;
use std::sync::Arc;

use fleetwright_tests::bad_inputs::judging::{Base, judge};
use fleetwright_tests::bad_inputs::{files, read};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let listing = arguments.list;
    let base = (!listing).then(|| Arc::new(Base::new()));
    let trial = |(name, path): (String, std::path::PathBuf)| {
        let base = base.clone();
        Trial::test(name, move || {
            let case = read(&path)?;
            Ok(base.map_or(Ok(()), |base| judge(&base, &case).map_err(|why| format!("{}\n\n{why}", case.what)))?)
        })
    };
    libtest_mimic::run(&arguments, files().into_iter().map(trial).collect()).exit_code()
}
