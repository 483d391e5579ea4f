//! The decisions of Fleetwright, as pure functions. No async, files, network, environment, clock, randomness or
//! hash-map order: what depends on those is an argument.
//!
//! # Words
//!
//! | noun | is |
//! |---|---|
//! | *Snapshot* | the bytes of one commit's files, by path |
//! | *Fleet* | what a snapshot says: documents parsed, layers resolved, rules checked |
//! | *Desired* | what should be: the wish of each set, or why it is not known |
//! | *Inventory* | what was read of the clouds, by place, with its time |
//! | *Record* | what the bot last wrote of every set: a memory, never proof |
//! | *Memory* | what this process remembers and may forget: actions under way, failures |
//! | *Plan* | the next record, the actions that the published record permits, and why the rest waits |
//! | *Action* | one short, idempotent effect on one part of one cluster |
//! | *Publication* | the files under `status/` that a record is rendered to |
//!
//! *parse, resolve, observe, plan, check, publish, perform*, in this order, are the verbs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod action;
pub mod calendar;
pub mod change;
pub mod check;
pub mod desired;
pub mod fingerprint;
pub mod fleet;
pub mod inventory;
pub mod memory;
pub mod mutant;
pub mod orphans;
pub mod plan;
pub mod publication;
pub mod record;
pub mod snapshot;
pub mod waiting;
