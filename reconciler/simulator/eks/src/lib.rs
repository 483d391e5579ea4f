//! The wire front of EKS over the simulated clouds: the calls of EKS in its own REST and JSON, and as much of the
//! Kubernetes API of each cluster as it takes to empty it. Somebody else's clients can so drive the simulated world, and
//! show whether ours speaks the same language.
//!
//! A cluster made here is a control plane of the [`World`](fleetwright_simulator::World), with its time and its faults.
//! Tags name its set and ordinal; without them it is of a set `unmanaged/aws/<region>/Unmanaged`.
//!
//! Stricter than EKS where EKS is lenient or unclear: unknown members are refused, names of clusters are lower case, and
//! whatever is at work takes no second order. Networks and roles are somebody else's: their ids are believed.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod access;
mod addon;
mod auth;
mod authority;
mod call;
mod cluster;
mod control;
mod document;
mod errors;
mod kubernetes;
mod model;
mod nodegroup;
mod operations;
mod pages;
mod pod_identity;
mod server;
mod tags;
mod updates;
mod versions;

pub use server::{Front, Options, serve};
