//! A record of its own: built to be sent, or copied out of a message.

mod as_message;

use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, FutureRecord};

use super::message::ConsumedMessage;
use super::message_error::DecodeError;
use super::record_headers::Headers;
use crate::propagation::{self, HeaderView};
use crate::trace_context::CreationContext;

pub use as_message::RecordValue;

/// A record that owns its parts: raw, with the value's bytes (`Record`), or decoded (`Record<Order>`).
///
/// Build one to send it, or [copy](Self::copy_of) it out of a message. The trace headers are not among its
/// [headers](Self::headers): they are its [`CreationContext`], which [`TracedProducer`](super::TracedProducer) replaces
/// if it came with a message, and keeps if it was set on purpose. It is a [`ConsumedMessage`], so `#[kafka_consumer]`
/// and [`process`](super::process()) continue its trace.
///
/// ```
/// use throughline::kafka::Record;
///
/// let record = Record::to("orders").with_key("order-7").with_value("{}").with_header("x-tenant", "acme");
/// assert_eq!(record.key(), Some(&b"order-7"[..]));
/// assert_eq!(record.partition(), None); // the producer chooses
/// ```
#[derive(Clone, Debug)]
pub struct Record<T = Option<Vec<u8>>> {
    topic: String,
    partition: Option<i32>,
    offset: Option<i64>,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    headers: Headers,
    creation: CreationContext,
    /// Entries that the message adds to the baggage of whoever sends it.
    baggage: Vec<(String, String)>,
    value_bytes: Option<usize>,
    /// It was counted as consumed when it was received.
    counted: bool,
    value: T,
}

impl Record {
    /// A record for `topic` with a null key and a null value.
    pub fn to(topic: impl Into<String>) -> Self {
        Record {
            topic: topic.into(),
            partition: None,
            offset: None,
            timestamp_ms: None,
            key: None,
            headers: Headers::new(),
            creation: CreationContext::none(),
            baggage: Vec::new(),
            value_bytes: None,
            counted: false,
            value: None,
        }
    }

    /// A copy of a message. Its trace headers become a *received* creation context; all others are kept byte by byte.
    ///
    /// Which headers are trace headers is what the global propagator says. Without one they are headers like others,
    /// and go through a service that does not trace.
    pub fn copy_of<M: ConsumedMessage + ?Sized>(message: &M) -> Self {
        let value = message.value().map(<[u8]>::to_vec);
        Self::parts_of(message, value)
    }

    /// Sets the value.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.set_value(Some(value.into()));
        self
    }

    /// Sets the value; `None` is null, a tombstone.
    pub fn set_value(&mut self, value: Option<Vec<u8>>) {
        self.value_bytes = value.as_ref().map(Vec::len);
        self.value = value;
    }

    /// Decodes the value. The record stays as it is, to be decoded again or sent on.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], if the message is not a `T`.
    pub fn decode<T: RecordValue>(&self) -> Result<Record<T>, DecodeError> {
        Record::read(self)
    }

    /// The record as `rdkafka`'s future producer takes it, headers and creation context included.
    pub fn to_future_record(&self) -> FutureRecord<'_, [u8], [u8]> {
        FutureRecord {
            topic: &self.topic,
            partition: self.partition,
            payload: self.value.as_deref(),
            key: self.key.as_deref(),
            timestamp: self.timestamp_ms,
            headers: self.to_owned_headers(),
        }
    }

    /// The record as `rdkafka`'s other producers take it, headers and creation context included.
    pub fn to_base_record(&self) -> BaseRecord<'_, [u8], [u8]> {
        BaseRecord {
            topic: &self.topic,
            partition: self.partition,
            payload: self.value.as_deref(),
            key: self.key.as_deref(),
            timestamp: self.timestamp_ms,
            headers: self.to_owned_headers(),
            delivery_opaque: (),
        }
    }
}

impl<T> Record<T> {
    /// Reads a message: the parts are copied, the value is decoded.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], if the message is not a `T`.
    pub fn read<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError>
    where
        T: RecordValue,
    {
        Ok(Self::parts_of(message, T::decode(message)?))
    }

    fn parts_of<M: ConsumedMessage + ?Sized>(message: &M, value: T) -> Self {
        Record {
            topic: message.topic().to_owned(),
            partition: Some(message.partition()).filter(|partition| *partition >= 0),
            offset: Some(message.offset()).filter(|offset| *offset >= 0),
            timestamp_ms: message.timestamp_ms(),
            key: message.key().map(<[u8]>::to_vec),
            headers: other_headers(message.header_view()),
            creation: received(message.creation_context()),
            baggage: Vec::new(),
            value_bytes: message.value_bytes(),
            counted: message.is_counted(),
            value,
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition that the record came from, or should go to; `None` leaves it to the producer.
    pub fn partition(&self) -> Option<i32> {
        self.partition
    }

    /// The offset, if the record came from a broker.
    pub fn offset(&self) -> Option<i64> {
        self.offset
    }

    /// Milliseconds since the Unix epoch, below zero before it; `None` if there is none, or the producer sets it.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }

    /// The key; `None` is null.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// All headers but those of the trace.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// All headers but those of the trace, to be changed.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The span that wrote the record, or is to be written into it.
    pub fn creation(&self) -> &CreationContext {
        &self.creation
    }

    /// The span that wrote the record, to be set or kept.
    pub fn creation_mut(&mut self) -> &mut CreationContext {
        &mut self.creation
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value, without the rest.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Length of the encoded value in bytes; `None` if it is null.
    pub fn value_bytes(&self) -> Option<usize> {
        self.value_bytes
    }

    /// The record with another value in place of this one.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Record<U> {
        Record {
            topic: self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key,
            headers: self.headers,
            creation: self.creation,
            baggage: self.baggage,
            value_bytes: self.value_bytes,
            counted: self.counted,
            value: make(self.value),
        }
    }

    /// Sets the topic, for a record that goes elsewhere.
    #[must_use]
    pub fn with_topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = topic.into();
        self
    }

    /// Sets the partition to send to; `None` leaves it to the producer.
    #[must_use]
    pub fn with_partition(mut self, partition: impl Into<Option<i32>>) -> Self {
        self.partition = partition.into();
        self
    }

    /// Sets the timestamp in milliseconds since the Unix epoch; `None` is the time of sending.
    #[must_use]
    pub fn with_timestamp_ms(mut self, timestamp_ms: impl Into<Option<i64>>) -> Self {
        self.timestamp_ms = timestamp_ms.into();
        self
    }

    /// Sets the timestamp, exact to a millisecond.
    #[must_use]
    pub fn with_timestamp(self, timestamp: SystemTime) -> Self {
        self.with_timestamp_ms(super::timestamp::to_ms(timestamp))
    }

    /// Sets the key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the partition to send to; `None` leaves it to the producer.
    pub fn set_partition(&mut self, partition: Option<i32>) {
        self.partition = partition;
    }

    /// Sets the timestamp in milliseconds since the Unix epoch; `None` is the time of sending.
    pub fn set_timestamp_ms(&mut self, timestamp_ms: Option<i64>) {
        self.timestamp_ms = timestamp_ms;
    }

    /// Sets the key; `None` is null.
    pub fn set_key(&mut self, key: Option<Vec<u8>>) {
        self.key = key;
    }

    /// Adds a header after the others.
    #[must_use]
    pub fn with_header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Takes these headers in place of the ones that are there. Trace headers among them become a *received* creation
    /// context, unless the record has one.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self.take_trace_headers();
        self
    }

    /// Sets the creation context.
    #[must_use]
    pub fn with_creation(mut self, creation: CreationContext) -> Self {
        self.creation = creation;
        self
    }

    /// Sets a creation context that the producer keeps: the span of its send is then CLIENT and links to it.
    #[must_use]
    pub fn creation_context(mut self, cx: Context) -> Self {
        self.creation.set(cx);
        self
    }

    /// Adds an entry to the baggage that goes with the record, whoever sends it.
    #[must_use]
    pub fn with_baggage(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.baggage.push((key.into(), value.into()));
        self
    }

    pub(super) fn add_baggage_entry(&mut self, key: &str, value: &str) {
        self.baggage.push((key.to_owned(), value.to_owned()));
    }

    /// Makes the trace headers among the headers the creation context, unless there is one.
    pub(super) fn take_trace_headers(&mut self) {
        let found = received(propagation::extract_trace_context(&self.headers));
        if self.creation.context().is_none() {
            self.creation = found;
        }
        propagation::with_fields(|fields| {
            self.headers.retain(|name, _| !propagation::is_one_of(name, fields))
        });
    }

    /// `cx` with the baggage that goes with this record.
    pub(super) fn add_baggage(&self, cx: &Context) -> Context {
        propagation::with_baggage(cx.clone(), &self.baggage)
    }

    /// Headers and creation context for `rdkafka`; `None` if there are none. A received context is written, too, so
    /// that it goes through a service that does not trace; whoever does, replaces it.
    pub(super) fn to_owned_headers(&self) -> Option<OwnedHeaders> {
        let mut headers = (!self.headers.is_empty()).then(|| self.headers.to_owned_headers());
        if self.creation.context().is_some() || !self.baggage.is_empty() {
            let none = Context::new();
            let cx = self.creation.context().unwrap_or(&none);
            propagation::inject_context(&self.add_baggage(cx), &mut headers);
        }
        headers
    }
}

/// All headers but the global propagator's.
fn other_headers<H: HeaderView + ?Sized>(headers: &H) -> Headers {
    propagation::with_fields(|fields| {
        Headers::copy_where(headers, |name| !propagation::is_one_of(name, fields))
    })
}

/// The creation context of a message that carries `cx`, which may be empty.
pub(super) fn received(cx: Context) -> CreationContext {
    if cx.span().span_context().is_valid() || !cx.baggage().is_empty() {
        CreationContext::received(cx)
    } else {
        CreationContext::none()
    }
}
