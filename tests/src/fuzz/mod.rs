//! Fuzz targets as plain functions of bytes: what people, other programs and the bot's own past may have written. Each
//! panics where a promise is broken, and returns what the input reached, by which a campaign knows that it is new.
//!
//! Used by `tests/fuzz.rs` with a mutator of its own, on any toolchain, and by `fuzz/` with libFuzzer. What is asserted is
//! here and nowhere else.

pub mod approvals;
pub mod archive;
pub mod campaign;
pub mod documents;
pub mod mutate;
pub mod records;
pub mod told;
pub mod trees;

use std::collections::BTreeSet;

/// What an input reached: rules that were told, states that were met.
pub type Reached = BTreeSet<String>;

/// A function of bytes, with the name of its corpus.
#[derive(Clone, Copy)]
pub struct Target {
    /// The folder of its corpus, below `tests/corpus/`.
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub run: fn(&[u8]) -> Reached,
    /// How many bytes it may allocate for each byte of its input, measured with room to spare on the corpus.
    pub allocated_per_byte_max: u64,
}

/// One document after the other.
pub const DOCUMENTS: Target = Target { name: "documents", run: documents::run, allocated_per_byte_max: 500 };
/// Whole repositories.
pub const TREES: Target = Target { name: "trees", run: trees::run, allocated_per_byte_max: 2_000 };
/// Status files, as the record of the next plan.
pub const RECORDS: Target = Target { name: "records", run: records::run, allocated_per_byte_max: 2_000 };
/// Approvals of removals, and acknowledgements of consumers.
pub const APPROVALS: Target = Target { name: "approvals", run: approvals::run, allocated_per_byte_max: 500 };

/// Inputs that are longer say nothing new; every limit of the product on one file is tested by hand elsewhere.
pub const INPUT_BYTES_MAX: usize = 64 << 10;
