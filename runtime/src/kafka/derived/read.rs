//! From message to struct.

use std::ops::ControlFlow;

use opentelemetry::baggage::BaggageExt as _;

use super::body::{Body, SerdeBody};
use super::form::{Form, Misfit};
use super::metadata::{PartitionValue, TimestampValue};
use crate::kafka::codec::Codec;
use crate::kafka::message::ConsumedMessage;
use crate::kafka::message_error::DecodeError;
use crate::kafka::record;
use crate::kafka::record_headers::Headers;
use crate::propagation::{self, HeaderView as _};
use crate::trace_context::CreationContext;

/// A message that is being taken apart.
#[derive(Debug)]
pub struct Read<'m, M: ConsumedMessage + ?Sized> {
    message: &'m M,
    /// Names of headers that are fields or constants of the struct.
    named: &'static [&'static str],
}

impl<'m, M: ConsumedMessage + ?Sized> Read<'m, M> {
    pub fn new(message: &'m M, named: &'static [&'static str]) -> Self {
        Read { message, named }
    }

    /// Refuses another event on the same topic. A message that does not say what it is may be this one.
    pub fn event(&self, expected: &'static str) -> Result<(), DecodeError> {
        match self.last("event") {
            Some(Some(found)) if found != expected.as_bytes() => Err(DecodeError::OtherEvent { expected }),
            _ => Ok(()),
        }
    }

    pub fn key<T>(&self, form: &impl Form<T>) -> Result<T, DecodeError> {
        self.optional_key(form)?.ok_or(DecodeError::NullKey)
    }

    pub fn optional_key<T>(&self, form: &impl Form<T>) -> Result<Option<T>, DecodeError> {
        let read = |key| match form.read(key) {
            Ok(key) => Ok(key),
            Err(Misfit::NotUtf8) => Err(DecodeError::KeyNotUtf8),
            Err(Misfit::Other(source)) => Err(DecodeError::Key { source }),
        };
        self.message.key().map(read).transpose()
    }

    pub fn header<T>(&self, name: &'static str, form: &impl Form<T>) -> Result<T, DecodeError> {
        match self.last(name) {
            None => Err(DecodeError::MissingHeader { header: name }),
            Some(None) => Err(DecodeError::NullHeader { header: name }),
            Some(Some(value)) => value_of(name, value, form),
        }
    }

    /// For `Option<T>`, which cannot tell a null header from none.
    pub fn optional_header<T>(
        &self,
        name: &'static str,
        form: &impl Form<T>,
    ) -> Result<Option<T>, DecodeError> {
        self.nullable_header(name, form).map(Option::flatten)
    }

    /// For `Option<Option<T>>`: `Some(None)` is a header with a null value.
    pub fn nullable_header<T>(
        &self,
        name: &'static str,
        form: &impl Form<T>,
    ) -> Result<Option<Option<T>>, DecodeError> {
        let read = |value: Option<_>| value.map(|value| value_of(name, value, form)).transpose();
        self.last(name).map(read).transpose()
    }

    /// For `Vec<T>`: all duplicates in their order.
    pub fn each_header<T>(&self, name: &'static str, form: &impl Form<T>) -> Result<Vec<T>, DecodeError> {
        let values = self.each_nullable_header(name, form)?.into_iter();
        values.map(|value| value.ok_or(DecodeError::NullHeader { header: name })).collect()
    }

    /// For `Vec<Option<T>>`: all duplicates in their order, null values included.
    pub fn each_nullable_header<T>(
        &self,
        name: &'static str,
        form: &impl Form<T>,
    ) -> Result<Vec<Option<T>>, DecodeError> {
        let mut values = Vec::new();
        self.message.header_view().walk_back(&mut |other, value| {
            if other.eq_ignore_ascii_case(name.as_bytes()) {
                values.push(value.map(|value| value_of(name, value, form)).transpose());
            }
            ControlFlow::Continue(())
        });
        values.into_iter().rev().collect()
    }

    /// The header, or else the entry of the sender's baggage.
    pub fn baggage(&self, name: &'static str) -> Result<String, DecodeError> {
        match self.optional_baggage(name)? {
            Some(value) => Ok(value),
            // The header's own error: it is missing or null.
            None => self.header(name, &super::form::Text),
        }
    }

    pub fn optional_baggage(&self, name: &'static str) -> Result<Option<String>, DecodeError> {
        let header = self.optional_header(name, &super::form::Text)?;
        let entry = || self.message.creation_context().baggage().get(name).map(ToString::to_string);
        Ok(header.or_else(entry))
    }

    pub fn timestamp<T: TimestampValue>(&self) -> Result<T, DecodeError> {
        T::from_ms(self.message.timestamp_ms())
    }

    pub fn partition<T: PartitionValue>(&self) -> T {
        T::from_partition(Some(self.message.partition()).filter(|partition| *partition >= 0))
    }

    pub fn trace(&self) -> CreationContext {
        record::received(self.message.creation_context())
    }

    /// All headers that are neither the trace's nor fields or constants of the struct.
    pub fn headers(&self) -> Headers {
        propagation::with_fields(|fields| {
            Headers::copy_where(self.message.header_view(), |name| {
                !propagation::is_one_of(name, fields) && !propagation::is_one_of(name, self.named)
            })
        })
    }

    pub fn body<C, T>(&self) -> Result<T::Read, DecodeError>
    where
        T: SerdeBody + 'm,
        C: Codec<Body<'m, T>>,
    {
        match self.payload::<C, Body<'m, T>>()? {
            Body::Read(read) => Ok(read),
            // A codec reads by serde, and serde makes the other.
            Body::Of(_) => Err(DecodeError::Value { source: "the codec did not read the body".into() }),
        }
    }

    pub fn payload<C: Codec<T>, T>(&self) -> Result<T, DecodeError> {
        self.optional_payload::<C, T>()?.ok_or(DecodeError::NullValue)
    }

    pub fn optional_payload<C: Codec<T>, T>(&self) -> Result<Option<T>, DecodeError> {
        match (self.message.value(), self.message.value_bytes()) {
            (Some(bytes), _) => {
                let value = C::decode(bytes, self.message.topic());
                value.map(Some).map_err(|source| DecodeError::Value { source })
            }
            (None, Some(_)) => Err(DecodeError::ValueGone),
            (None, None) => Ok(None),
        }
    }

    /// The last header of this name: `None` is no header, `Some(None)` one with a null value.
    fn last(&self, name: &str) -> Option<Option<&'m [u8]>> {
        let mut found = None;
        self.message.header_view().walk_back(&mut |other, value| {
            if other.eq_ignore_ascii_case(name.as_bytes()) {
                found = Some(value);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        found
    }
}

fn value_of<T>(header: &'static str, value: &[u8], form: &impl Form<T>) -> Result<T, DecodeError> {
    form.read(value).map_err(|misfit| match misfit {
        Misfit::NotUtf8 => DecodeError::HeaderNotUtf8 { header },
        Misfit::Other(source) => DecodeError::Header { header, source },
    })
}
