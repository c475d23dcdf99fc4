//! From finished spans to exporters.

// The collector, which feeds the exporters, is the caller.
#[allow(dead_code)]
pub(crate) mod delivery;
#[allow(dead_code)]
pub(crate) mod exporter;
pub(crate) mod report;
