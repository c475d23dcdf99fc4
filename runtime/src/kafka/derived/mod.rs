//! What `#[derive(KafkaMessage)]` expands to calls of.
//!
//! ```text
//! impl RT::kafka::KafkaMessage for Order {
//!     const TOPIC: &'static str = RT::kafka::derived::topic("orders");
//!     fn to_record(&self) -> Result<RT::kafka::Record, RT::kafka::EncodeError> {
//!         let mut write = RT::kafka::derived::Write::new(Self::TOPIC, &["event", "x-tenant", "x-plan"]);
//!         write.constant("event", "order.placed");
//!         write.key(&self.order_id, &FORM);                                  // or optional_key
//!         write.header("x-tenant", &self.tenant, &FORM);      // or optional_header, nullable_header, each_header, ..
//!         write.optional_baggage("x-plan", &self.plan);
//!         write.timestamp(&self.at);
//!         write.partition(&self.partition);
//!         write.headers(&self.rest);
//!         write.trace(&self.trace);
//!         write.body::<Json, Self>(self)                                      // or .payload::<Raw, Vec<u8>>(&self.data)
//!     }
//!     fn from_message<M: RT::kafka::ConsumedMessage + ?Sized>(message: &M) -> Result<Self, RT::kafka::DecodeError> {
//!         let read = RT::kafka::derived::Read::new(message, &["event", "x-tenant", "x-plan"]);
//!         read.event("order.placed")?;
//!         let body = read.body::<Json, Self>()?;
//!         Ok(Order { order_id: read.key(&FORM)?, tenant: read.header("x-tenant", &FORM)?, .., amount: body.amount })
//!     }
//! }
//! FORM  { use RT::kafka::derived::form::*; (&&&Probe::<OrderId>::new()).form() }    // or With::new(path::to_bytes, path::from_bytes)
//! ```
//!
//! A body is written by serde's derive on a private struct that has the body's fields with their `#[serde(..)]`
//! attributes and stands for the user's struct by `#[serde(remote = ..)]`, and read by another one, see [`SerdeBody`].

mod body;
pub mod form;
mod metadata;
mod read;
mod write;

pub use body::{Body, SerdeBody};
pub use metadata::{PartitionValue, TimestampValue};
pub use read::Read;
pub use write::Write;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use crate::trace_context::CreationContext;

/// Longest name of a topic, in bytes.
const MAX_TOPIC_BYTES: usize = 249;

/// A constant's value as the name of a topic; an illegal one does not compile.
///
/// ```compile_fail,E0080
/// const TOPIC: &str = "orders and more";
///
/// #[derive(throughline::KafkaMessage)]
/// #[kafka(topic = TOPIC)]
/// struct Order {
///     amount: u64,
/// }
/// ```
#[allow(clippy::panic)] // evaluated by the compiler, whose error it becomes
pub const fn topic(name: &'static str) -> &'static str {
    let bytes = name.as_bytes();
    let mut at = 0;
    let mut legal = !bytes.is_empty() && bytes.len() <= MAX_TOPIC_BYTES && !matches!(bytes, b"." | b"..");
    while at < bytes.len() {
        legal = legal && (bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'.' | b'_' | b'-'));
        at += 1;
    }
    assert!(
        legal,
        "a topic's name has 1 to 249 characters of a-z, A-Z, 0-9, `.`, `_` and `-`, and is not `.` or `..`"
    );
    name
}

/// Makes `cx` the context that the producer keeps. Without a span in it the message stays as it is, so that a service
/// which does not trace passes the trace on.
pub fn inject(cx: &Context, trace: &mut CreationContext) {
    if cx.span().span_context().is_valid() {
        trace.set(cx.clone());
    }
}

/// The context of the message, empty if there is none.
pub fn extract(trace: &CreationContext) -> Context {
    trace.context().cloned().unwrap_or_default()
}
