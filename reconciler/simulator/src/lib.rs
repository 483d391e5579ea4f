//! The simulated world: three clouds, their clusters, time and faults. It stands behind the same trait as the real
//! clouds, for first runs, forecasts and tests.
//!
//! It is stricter than what it stands for, and it holds *state*, not answers: faults are properties of the world. All
//! that looks like chance is a function of the world's seed and of what is asked, never of the order of threads.
//!
//! Calls take no simulated time, operations do. Nothing here waits: who wants to see the end of an operation asks
//! [`World::next_event`] and moves, or sleeps on, the [`SimClock`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod agenda;
mod chance;
mod clock;
mod cloud;
mod faults;
pub mod front;
mod journal;
mod lifecycle;
mod provider;
mod record;
mod rules;
mod state;
mod workloads;
mod world;

pub use clock::{SimClock, Speed};
pub use faults::{Fault, FaultId, Odds, Scope, Target};
pub use journal::WorldError;
pub use provider::{latency_median, native_kind};
pub use record::{Mutation, Verb};
pub use world::{CallCounts, Standing, World};
