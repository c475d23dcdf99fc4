//! From struct to record.

use super::body::{Body, SerdeBody};
use super::form::Form;
use super::metadata::{PartitionValue, TimestampValue};
use crate::kafka::codec::Codec;
use crate::kafka::message_error::{BoxError, EncodeError};
use crate::kafka::record::Record;
use crate::kafka::record_headers::Headers;
use crate::trace_context::CreationContext;

/// A record that is being filled.
#[derive(Debug)]
pub struct Write {
    topic: &'static str,
    record: Record,
    /// Names of headers that are fields or constants of the struct.
    named: &'static [&'static str],
}

impl Write {
    pub fn new(topic: &'static str, named: &'static [&'static str]) -> Self {
        Write { topic, record: Record::to(topic), named }
    }

    pub fn constant(&mut self, name: &str, value: &str) {
        self.record.headers_mut().push(name, value);
    }

    pub fn key<T>(&mut self, key: &T, form: &impl Form<T>) {
        self.record.set_key(Some(form.write(key)));
    }

    pub fn optional_key<T>(&mut self, key: &Option<T>, form: &impl Form<T>) {
        self.record.set_key(key.as_ref().map(|key| form.write(key)));
    }

    pub fn header<T>(&mut self, name: &str, value: &T, form: &impl Form<T>) {
        self.record.headers_mut().push(name, form.write(value));
    }

    pub fn optional_header<T>(&mut self, name: &str, value: &Option<T>, form: &impl Form<T>) {
        if let Some(value) = value {
            self.header(name, value, form);
        }
    }

    /// `Some(None)` is a header with a null value.
    pub fn nullable_header<T>(&mut self, name: &str, value: &Option<Option<T>>, form: &impl Form<T>) {
        match value {
            Some(Some(value)) => self.header(name, value, form),
            Some(None) => self.record.headers_mut().push_null(name),
            None => {}
        }
    }

    pub fn each_header<T>(&mut self, name: &str, values: &[T], form: &impl Form<T>) {
        for value in values {
            self.header(name, value, form);
        }
    }

    pub fn each_nullable_header<T>(&mut self, name: &str, values: &[Option<T>], form: &impl Form<T>) {
        for value in values {
            match value {
                Some(value) => self.header(name, value, form),
                None => self.record.headers_mut().push_null(name),
            }
        }
    }

    pub fn baggage(&mut self, name: &str, value: &str) {
        self.record.headers_mut().push(name, value);
        self.record.add_baggage_entry(name, value);
    }

    pub fn optional_baggage(&mut self, name: &str, value: &Option<String>) {
        if let Some(value) = value {
            self.baggage(name, value);
        }
    }

    pub fn timestamp<T: TimestampValue>(&mut self, timestamp: &T) {
        self.record.set_timestamp_ms(timestamp.to_ms());
    }

    pub fn partition<T: PartitionValue>(&mut self, partition: &T) {
        self.record.set_partition(partition.to_partition());
    }

    /// The other headers. One with the name of a field would be a second value of it, so the field's stands.
    pub fn headers(&mut self, rest: &Headers) {
        let named = self.named;
        let rest = rest.iter().filter(|(name, _)| !crate::propagation::is_one_of(name, named));
        self.record.headers_mut().extend(rest);
    }

    pub fn trace(&mut self, trace: &CreationContext) {
        *self.record.creation_mut() = trace.clone();
    }

    /// The record, with the body's fields as its value.
    pub fn body<'b, C, T>(self, message: &'b T) -> Result<Record, EncodeError>
    where
        T: SerdeBody,
        C: Codec<Body<'b, T>>,
    {
        let value = C::encode(&Body::Of(message), self.topic);
        self.finish(Some(value))
    }

    /// The record, with one field as its value.
    pub fn payload<C: Codec<T>, T>(self, payload: &T) -> Result<Record, EncodeError> {
        let value = C::encode(payload, self.topic);
        self.finish(Some(value))
    }

    /// The record, with one field as its value, or a null value.
    pub fn optional_payload<C: Codec<T>, T>(self, payload: &Option<T>) -> Result<Record, EncodeError> {
        let value = payload.as_ref().map(|payload| C::encode(payload, self.topic));
        self.finish(value)
    }

    fn finish(mut self, value: Option<Result<Vec<u8>, BoxError>>) -> Result<Record, EncodeError> {
        let value = value.transpose().map_err(|source| EncodeError::Value { topic: self.topic, source })?;
        self.record.set_value(value);
        // Trace headers that somebody put among the others are written once, by the producer.
        self.record.take_trace_headers();
        Ok(self.record)
    }
}
