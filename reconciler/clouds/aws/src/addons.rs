//! The core add-ons.
