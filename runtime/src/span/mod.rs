//! The span core: what happens between the first instruction of an annotated function and its record.
//!
//! | file | holds |
//! |---|---|
//! | `site` | what the source code fixes: name, kind, keys, scope, place |
//! | `sync`, `owned`, `future`, `stream` | spans by their lifetime: a scope, anything that moves, a future, a stream |
//! | `options` | what the caller may say at the start |
//! | `core`, `found`, `start` | start and end, which all of them share; what they begin from; the start with options |
//! | `attach`, `leaf`, `local` | being the current span of a thread |
//! | `sampler`, `ids`, `clock`, `ticks` | recorded or not, who, when |
//! | `fork` | what a child process must not do |
//! | `live`, `side` | what others write to an open span through OpenTelemetry's `Context` |
//! | `fields`, `value`, `outcome`, `limits` | what a span carries |
//! | `message` | what the spans of messages carry: the same start for many, a few numbers for each |
//! | `record`, `chunk`, `exchange`, `counters` | what it leaves behind, and the way to the collector |
//! | `returned` | what an expansion wraps round a returned value |
//! | `current` | the functions that act on the current span |

mod attach;
mod chunk;
pub(crate) mod clock;
mod core;
pub(crate) mod counters;
pub mod current;
pub(crate) mod exchange;
mod fields;
pub(crate) mod foreign;
pub(crate) mod fork;
mod found;
mod future;
pub(crate) mod ids;
mod leaf;
pub(crate) mod limits;
mod live;
mod local;
#[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only consumed messages have such spans"))]
pub(crate) mod message;
mod options;
mod outcome;
mod owned;
pub(crate) mod record;
mod returned;
pub(crate) mod sampler;
pub(crate) mod side;
mod site;
mod start;
mod stream;
mod sync;
mod ticks;
mod value;

pub use fields::{Slot, set, set_debug, set_display, set_static};
pub(crate) use found::trace_id;
#[cfg(feature = "kafka")]
pub(crate) use future::traced_until;
pub use future::{Ending, Traced, traced};
pub use limits::SpanLimits;
pub(crate) use live::writes_after_end;
#[cfg(feature = "log")]
pub(crate) use local::is_there as has_storage;
pub use options::{IntoLink, IntoParent, IntoScope, Options, ParentValue};
#[cfg(feature = "kafka")]
pub(crate) use options::{MessageParent, OfMessage};
pub use outcome::{
    DebugProbe, ErrorInfo, ErrorType, Fallible, Outcome, Probe, outcome_by, outcome_with, probe, probe_debug,
};
pub use owned::{Entered, OwnedSpan, in_cx, open, open_leaf, open_leaf_with, open_with};
#[cfg(feature = "kafka")]
pub(crate) use owned::{open_message, open_unsampled};
pub use returned::{NoSpan, SpanFuture, boxed, call, edge, future_in, into_future, stream_in, to_value};
pub use site::{Kind, Scope, Site, path_of};
pub use stream::{TracedStream, traced_stream};
pub use sync::{Span, enter, enter_leaf, enter_leaf_with, enter_with, in_span, on};
#[cfg(feature = "kafka")]
pub(crate) use sync::{enter_message, enter_unsampled_message, in_span_until};
#[cfg(feature = "kafka")]
pub(crate) use value::text;
pub use value::{ElementKind, FieldValue, ToElement, ToValue};
