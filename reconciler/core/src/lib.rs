//! core
#![allow(missing_docs)]
pub mod action;
pub mod calendar;
pub mod change;
pub mod desired;
pub mod fingerprint;
pub mod inventory;
pub mod memory;
pub mod plan;
pub mod record;
pub mod snapshot;
pub mod waiting;
