//! The only reader of the environment in this crate.

use std::path::PathBuf;

/// Where a user's programs keep state: `$XDG_STATE_HOME/fleetwright`, or below the home directory.
pub fn user_state_dir() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local/state")));
    base.unwrap_or_else(std::env::temp_dir).join("fleetwright")
}
