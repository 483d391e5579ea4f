//! What the tests share: a fleet repository in a temporary folder, a person who edits it, daemons that run on it, and a
//! witness who judges every commit of its history by the promises.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod bad_inputs;
pub mod bench;
pub mod contract;
pub mod doctor;
pub mod drive;
pub mod fleets;
pub mod fuzz;
pub mod git_server;
pub mod mishaps;
pub mod model;
pub mod parallel;
pub mod person;
pub mod program;
pub mod promises;
pub mod proxy;
pub mod simulation;
pub mod stage;
pub mod wishes;
pub mod witness;
