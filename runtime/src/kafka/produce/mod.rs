//! The span of a function that makes or sends a record.
//!
//! `#[kafka_producer(topic = "orders", existing = keep)]` expands like `#[traced_span]`, but for these calls (`RT` is
//! `::throughline::__private`; a sync function has `produce_sync`, one that returns a future `future_within` besides):
//!
//! ```text
//! RT::kafka::produce({
//!     let mut span = RT::OwnedSpan::idle(&SITE);
//!     let mut producing = RT::kafka::Producing::idle();
//!     if RT::kafka::open_produce(&mut span, &mut producing, PARAMETER, CREATES, || RT::kafka::ProducerOptions::new()
//!         .topic("orders").existing(RT::kafka::Existing::Keep)) { RT::set(&mut span, 0, &task_id); }
//!     RT::kafka::scope(span, producing)
//! }, async move BODY, PROBE, LOOK).await
//! ```
//!
//! | | |
//! |---|---|
//! | `PARAMETER` | `RT::kafka::InRecord(&mut record)`, `RT::kafka::InHeaders(&mut headers)`, or `()` |
//! | `CREATES` | whether the returned type is a message, by method lookup on `RT::kafka::TypeOf::<TYPE>` |
//! | `LOOK` | writes the context into the returned message, and finds partition and offset in a returned delivery |

mod options;
mod parameter;
mod returned;
mod scope;

pub use options::ProducerOptions;
pub use parameter::{InHeaders, InRecord, SendParameter, SentRecord};
pub use returned::{Made, Placed, TypeOf, look, probe_kafka};
pub use scope::{Produce, Producing, Scope, future_within, open_produce, produce, produce_sync, scope};
