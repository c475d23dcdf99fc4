//! A record in the place of a message: what can be read into one, and that its trace goes on.

use std::any::Any;

use opentelemetry::Context;

use super::Record;
use crate::kafka::derived;
use crate::kafka::kafka_message::KafkaMessage;
use crate::kafka::message::{ConsumedMessage, Sender};
use crate::kafka::message_error::DecodeError;
use crate::kafka::record_headers::Headers;
use crate::propagation::Came;
use crate::trace_context::TraceContext;

/// What a [`Record`] can hold when it is read from a message: any [`KafkaMessage`], or `Option<Vec<u8>>`, the raw value.
pub trait RecordValue: Sized {
    /// Reads the value of a message.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], if the message is not of this type.
    fn decode<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError>;
}

impl<T: KafkaMessage> RecordValue for T {
    fn decode<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError> {
        T::from_message(message)
    }
}

impl RecordValue for Option<Vec<u8>> {
    fn decode<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError> {
        match (message.value(), message.value_bytes()) {
            (None, Some(_)) => Err(DecodeError::ValueGone),
            (value, _) => Ok(value.map(<[u8]>::to_vec)),
        }
    }
}

impl<T: 'static> ConsumedMessage for Record<T> {
    type Headers = Headers;

    fn header_view(&self) -> &Headers {
        &self.headers
    }
    fn creation_context(&self) -> Context {
        let none = Context::new();
        self.add_baggage(self.creation.context().unwrap_or(&none))
    }
    fn topic(&self) -> &str {
        &self.topic
    }
    fn partition(&self) -> i32 {
        self.partition.unwrap_or(-1)
    }
    fn offset(&self) -> i64 {
        self.offset.unwrap_or(-1)
    }
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
    fn value(&self) -> Option<&[u8]> {
        // Of all `T`, the raw value alone has its bytes.
        (&self.value as &dyn Any).downcast_ref::<Option<Vec<u8>>>()?.as_deref()
    }
    fn value_bytes(&self) -> Option<usize> {
        self.value_bytes
    }
    fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }
    fn is_counted(&self) -> bool {
        self.counted
    }
    fn sender(&self) -> Sender {
        match self.creation.context() {
            None if self.baggage.is_empty() => Sender(Came::Only(None)),
            Some(cx) if self.baggage.is_empty() => Sender(Came::in_context(cx)),
            _ => Sender(Came::Context(self.creation_context())),
        }
    }
}

impl<T> TraceContext for Record<T> {
    /// Makes `cx` the context that the producer keeps. Without a span in it the record stays as it is.
    fn inject_context(&mut self, cx: &Context) {
        derived::inject(cx, &mut self.creation);
    }

    fn destination(&self) -> Option<&str> {
        Some(self.topic())
    }

    fn extract_trace_context(&self) -> Context {
        let none = Context::new();
        self.add_baggage(self.creation.context().unwrap_or(&none))
    }
}
