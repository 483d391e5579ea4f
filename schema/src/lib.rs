//! What a file of a fleet repository says: the types of every document, strict reading with positions, and the JSON
//! Schemas generated from the types.
//!
//! Owns the formats and single-file rules; knows no other file, no Git and no cloud. Cross-file rules are in
//! `fleetwright-core`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod defaults;
pub mod diagnostic;
pub mod document;
pub mod documents;
pub mod json_schema;
mod legacy;
pub mod names;
mod paths;
mod positions;
pub mod render;
mod rules;
pub mod set;
pub mod status;
pub mod units;
mod validate;
pub mod yaml;

pub use defaults::builtin_defaults;
pub use rules::TAGS_MAX;
