//! Records on their way into a producer, with the creation context that their type has no place for.

use std::ops::ControlFlow;

use opentelemetry::Context;
use rdkafka::message::{OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseRecord, FutureRecord};
use rdkafka::util::IntoOpaque;

use crate::propagation::{HeaderEdit, HeaderView, extract_trace_context, inject_context};
use crate::trace_context::{CreationContext, TraceContext};

/// A record of `rdkafka` together with its creation context; see [`WithCreation`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until it is given to a producer"]
pub struct Created<R> {
    pub(super) record: R,
    pub(super) creation: CreationContext,
}

impl<R> Created<R> {
    /// The record.
    pub fn record(&self) -> &R {
        &self.record
    }

    /// The record, without the context.
    pub fn into_record(self) -> R {
        self.record
    }

    /// The creation context.
    pub fn creation(&self) -> &CreationContext {
        &self.creation
    }
}

/// Gives a record of `rdkafka` a creation context that the producer keeps.
///
/// ```no_run
/// use std::time::Duration;
/// use rdkafka::producer::FutureRecord;
/// use throughline::kafka::{TracedProducer, WithCreation as _};
/// use throughline::opentelemetry::Context;
///
/// # async fn example(producer: &TracedProducer, made_elsewhere: Context) {
/// let record = FutureRecord::to("orders").key("order-7").payload("{}");
/// // The span of this send is CLIENT and links to the span that made the order.
/// let _ = producer.send(record.creation_context(made_elsewhere), Duration::from_secs(5)).await;
/// # }
/// ```
pub trait WithCreation: Sized {
    /// Makes the span of `cx` the creation context of this record: the producer writes it as it is, and its own span
    /// is CLIENT and links to it.
    fn creation_context(self, cx: Context) -> Created<Self> {
        self.creation(CreationContext::custom(cx))
    }

    /// Gives the record this creation context; a *received* one is replaced when the record is sent.
    fn creation(self, creation: CreationContext) -> Created<Self> {
        Created { record: self, creation }
    }
}

impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized> WithCreation for FutureRecord<'_, K, P> {}
impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> WithCreation for BaseRecord<'_, K, P, D> {}

/// What [`TracedProducer::send`](super::TracedProducer::send) takes: a `FutureRecord`, or one with a creation context.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no record that this producer sends",
    label = "write a `FutureRecord`; for a `Record` there is `send_record`"
)]
pub trait OutgoingRecord<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized> {
    /// The record and its creation context.
    fn into_parts(self) -> (FutureRecord<'a, K, P>, CreationContext);
}

impl<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized> OutgoingRecord<'a, K, P> for FutureRecord<'a, K, P> {
    fn into_parts(self) -> (FutureRecord<'a, K, P>, CreationContext) {
        (self, CreationContext::none())
    }
}

impl<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized> OutgoingRecord<'a, K, P>
    for Created<FutureRecord<'a, K, P>>
{
    fn into_parts(self) -> (FutureRecord<'a, K, P>, CreationContext) {
        (self.record, self.creation)
    }
}

/// What [`TracedThreadedProducer::send`](super::TracedThreadedProducer::send) takes: a `BaseRecord`, or one with a
/// creation context.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no record that this producer sends",
    label = "write a `BaseRecord`"
)]
pub trait OutgoingBaseRecord<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> {
    /// The record and its creation context.
    fn into_parts(self) -> (BaseRecord<'a, K, P, D>, CreationContext);
}

impl<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> OutgoingBaseRecord<'a, K, P, D>
    for BaseRecord<'a, K, P, D>
{
    fn into_parts(self) -> (BaseRecord<'a, K, P, D>, CreationContext) {
        (self, CreationContext::none())
    }
}

impl<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> OutgoingBaseRecord<'a, K, P, D>
    for Created<BaseRecord<'a, K, P, D>>
{
    fn into_parts(self) -> (BaseRecord<'a, K, P, D>, CreationContext) {
        (self.record, self.creation)
    }
}

impl<R: HeaderView> HeaderView for Created<R> {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        self.record.walk_back(visit);
    }
}

impl<R> TraceContext for Created<R> {
    /// Makes `cx` the context that the producer keeps.
    fn inject_context(&mut self, cx: &Context) {
        self.creation.set(cx.clone());
    }

    fn extract_trace_context(&self) -> Context {
        self.creation.context().cloned().unwrap_or_default()
    }
}

/// Types whose headers are the only place for a context.
macro_rules! context_in_headers {
    ($(($($generics:tt)*) $carrier:ty $(=> $topic:ident)?),+) => {$(
        impl<$($generics)*> TraceContext for $carrier {
            fn inject_context(&mut self, cx: &Context) {
                inject_context(cx, self);
            }

            fn extract_trace_context(&self) -> Context {
                extract_trace_context(self)
            }

            $(fn destination(&self) -> Option<&str> {
                Some(self.$topic)
            })?
        }
    )+};
}
context_in_headers!(
    (K: ToBytes + ?Sized, P: ToBytes + ?Sized) FutureRecord<'_, K, P> => topic,
    (K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque) BaseRecord<'_, K, P, D> => topic,
    () OwnedHeaders,
    () super::Headers
);

/// The headers without what tells of a trace.
pub(super) fn without_context(mut headers: Option<OwnedHeaders>) -> Option<OwnedHeaders> {
    crate::propagation::with_fields(|fields| headers.remove(fields));
    headers
}
