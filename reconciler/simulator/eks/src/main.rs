//! `eks-front`: a simulated EKS for programs that are not ours. The first line of its output is its address.

use std::path::PathBuf;

use clap::Parser;
use fleetwright_eks_front::{Options, serve};
use fleetwright_schema::units::Timestamp;
use fleetwright_simulator::{SimClock, Speed, World};

/// A simulated EKS on a port of this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port; 0 is a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The file that the world lives in; without one it is forgotten.
    #[arg(long)]
    world: Option<PathBuf>,
    /// The seed of a world that begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Simulated seconds a second, or max: time stands still until it is moved.
    #[arg(long, default_value = "60")]
    speed: Speed,
    /// The account of all calls.
    #[arg(long, default_value = "123456789012")]
    account: String,
    /// The VPC that clusters tell they are in.
    #[arg(long)]
    vpc: Option<String>,
    /// A secret key by which tokens for the Kubernetes API may be signed; without one, no signature is checked.
    #[arg(long = "secret-key")]
    secret_keys: Vec<String>,
    /// Clusters leave nothing behind.
    #[arg(long)]
    no_leftovers: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { port, world, seed, speed, account, vpc, secret_keys, no_leftovers } = Arguments::parse();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let clock = SimClock::new(Timestamp::from_unix_seconds(i64::try_from(now)?), speed);
    let world = World::open(world.as_deref(), seed, clock)?;
    let usual = Options::default();
    let options = Options {
        port,
        account: account.into(),
        vpc_id: vpc.unwrap_or(usual.vpc_id),
        secret_keys,
        makes_leftovers: !no_leftovers,
    };
    let front = serve(world, options).await?;
    println!("{}", front.url());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
