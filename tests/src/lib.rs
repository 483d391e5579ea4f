//! What the tests share: a fleet repository in a temporary folder, a person who edits it, daemons that run on it, and a
//! witness who judges every commit of its history by the promises.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod bench;
pub mod drive;
pub mod fleets;
pub mod model;
pub mod person;
pub mod program;
pub mod promises;
pub mod stage;
pub mod wishes;
pub mod witness;
