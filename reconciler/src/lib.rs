//! lib

pub mod cli;
