//! OTLP's messages and the rows of a store, both ways.
//!
//! | file | holds |
//! |---|---|
//! | `receive` | a request's spans as rows, and why some are none |
//! | `send` | rows as a request |
//! | `protobuf` | reading a request that is hostile, or not quite UTF-8 |
//! | `json`, `print` | OTLP JSON, read and written |
//!
//! Not kept, because the tables have no place for them: the resource's schema URL, its entity references, and how many
//! attributes of a resource or a scope were dropped. A map with the single key `$bytes` or `$double` whose value reads as
//! such comes back as bytes or as a double.

mod json;
mod print;
mod protobuf;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::trace::v1 as trace;

pub(crate) use self::json::from_json;
pub(crate) use self::print::to_json;
pub(crate) use self::protobuf::from_protobuf;
pub(crate) use self::receive::{Received, Rejected, rows};
pub(crate) use self::send::request;

/// Why a request cannot be read at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It is not what it says it is.
    #[error("the body is no ExportTraceServiceRequest in {encoding}: {why}")]
    Malformed {
        /// `protobuf` or `JSON`.
        encoding: &'static str,
        /// Where and what.
        why: String,
    },
    /// So many messages in so few bytes would take many times its size in memory.
    #[error(
        "the request has more than {MOST_MESSAGES} messages (spans, events, links, attributes, values); send smaller batches"
    )]
    TooMany,
}

/// Most messages of all kinds in one request. The largest, a span, takes some 300 bytes of memory and may take two on the
/// wire. A batch of 512 spans with 20 attributes each has 21,000.
pub(crate) const MOST_MESSAGES: usize = 500_000;
