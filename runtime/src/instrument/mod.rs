//! Layers round servers and clients that make spans by the semantic conventions.

#[cfg(feature = "server")]
pub mod server;
