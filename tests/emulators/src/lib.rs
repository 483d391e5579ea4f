//! What others made and our tests are judged by: emulators and clients out of Python's registry, started where they are
//! needed and ended with the test.
#![allow(clippy::unwrap_used)]

mod moto;
mod python;

pub use moto::Moto;
pub use python::{python_bin, python_with};
