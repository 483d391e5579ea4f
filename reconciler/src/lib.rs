//! The daemon and everything at its rim: Git, the clouds, the clock, the terminal. Decides nothing; the decisions are in
//! `fleetwright-core`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod assembly;
pub mod cli;
pub mod clock;
pub mod daemon;
pub mod events;
pub mod hands;
pub mod progress;
pub mod publisher;
pub mod settings;
pub mod tip;
