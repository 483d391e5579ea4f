//! boto3, with its waiters, drives a cluster through its whole life; botocore's own model judges every shape. It needs Python.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use fleetwright_eks_front::{Options, serve};
use fleetwright_emulators::python_bin;
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{SimClock, Speed, World};

#[tokio::test(flavor = "multi_thread")]
async fn boto3_takes_a_cluster_through_its_life_and_every_shape_is_the_models() {
    let python = match python_bin() {
        Ok(bin) => bin.join("python"),
        Err(missing) => return eprintln!("SKIPPED boto3: {missing}"),
    };
    let clock = SimClock::new(Timestamp::from_unix_seconds(1_790_000_000), Speed::Factor(1000.0));
    let options = Options { secret_keys: vec!["testing".to_owned()], ..Options::default() };
    let front = serve(World::open(None, 7, clock).unwrap(), options).await.unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/life.py");
    let url = front.url().to_owned();
    let run = move || Command::new(python).args(["-B", script, &url]).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(front.calls()["DescribeCluster"] > 2);
}
