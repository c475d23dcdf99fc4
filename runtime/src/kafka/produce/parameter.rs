//! The parameter of a function into which its context goes.

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use rdkafka::message::{OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseRecord, FutureRecord};
use rdkafka::util::IntoOpaque;

use crate::kafka::outgoing::Created;
use crate::kafka::record::Record;
use crate::kafka::send_options::{Existing, SendOptions};
use crate::kafka::{ConsumedMessage, attributes, headers};
use crate::propagation::{self, HeaderEdit, HeaderView};
use crate::trace_context::CreationContext;

/// Where the context of a send goes, and what is known of the record that it belongs to.
pub trait SendParameter {
    /// The topic, if the parameter knows it.
    fn topic(&self) -> Option<&str>;
    /// The partition, if the parameter names one.
    fn partition(&self) -> Option<i32>;
    /// Key, size and captured headers.
    fn details(&self, options: &SendOptions) -> Vec<KeyValue>;
    /// The creation context that is kept.
    fn custom(&self, existing: Existing) -> Option<Context>;
    /// Writes a context, in place of what is there.
    fn write(&mut self, cx: &Context);
    /// Whether there is a parameter at all.
    fn is_there(&self) -> bool {
        true
    }
}

/// No parameter: the body writes the context itself, or sends with a producer of this crate.
impl SendParameter for () {
    fn topic(&self) -> Option<&str> {
        None
    }
    fn partition(&self) -> Option<i32> {
        None
    }
    fn details(&self, _: &SendOptions) -> Vec<KeyValue> {
        Vec::new()
    }
    fn custom(&self, _: Existing) -> Option<Context> {
        None
    }
    fn write(&mut self, _: &Context) {}
    fn is_there(&self) -> bool {
        false
    }
}

/// The parameter is headers.
#[derive(Debug)]
pub struct InHeaders<'a, H: ?Sized>(pub &'a mut H);

impl<H: HeaderView + HeaderEdit + ?Sized> SendParameter for InHeaders<'_, H> {
    fn topic(&self) -> Option<&str> {
        None
    }
    fn partition(&self) -> Option<i32> {
        None
    }
    fn details(&self, options: &SendOptions) -> Vec<KeyValue> {
        captured(&*self.0, options)
    }
    fn custom(&self, existing: Existing) -> Option<Context> {
        kept(&*self.0, existing)
    }
    fn write(&mut self, cx: &Context) {
        propagation::inject_context(cx, self.0);
    }
}

/// The parameter is a record.
#[derive(Debug)]
pub struct InRecord<'a, R>(pub &'a mut R);

impl<R: SentRecord> SendParameter for InRecord<'_, R> {
    fn topic(&self) -> Option<&str> {
        Some(self.0.topic())
    }
    fn partition(&self) -> Option<i32> {
        self.0.partition()
    }
    fn details(&self, options: &SendOptions) -> Vec<KeyValue> {
        let mut all = Vec::new();
        all.extend(attributes::key(self.0.key(), options.key));
        match self.0.value_bytes() {
            None => all.push(KeyValue::new(attributes::TOMBSTONE, true)),
            Some(bytes) if options.sizes => all.push(attributes::body_size(bytes)),
            Some(_) => {}
        }
        all.extend(self.0.captured(options));
        all
    }
    fn custom(&self, existing: Existing) -> Option<Context> {
        self.0.custom(existing)
    }
    fn write(&mut self, cx: &Context) {
        self.0.write(cx);
    }
}

/// A record that a function takes and sends.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no record that a context can be written into",
    label = "write a `FutureRecord`, a `BaseRecord` or a `Record<T>`, or mark the headers with `#[headers]`"
)]
pub trait SentRecord {
    /// The topic.
    fn topic(&self) -> &str;
    /// The partition, if the record names one.
    fn partition(&self) -> Option<i32>;
    /// The key.
    fn key(&self) -> Option<&[u8]>;
    /// Length of the value; `None` if it is null.
    fn value_bytes(&self) -> Option<usize>;
    /// Headers as attributes.
    fn captured(&self, options: &SendOptions) -> Vec<KeyValue>;
    /// The creation context that is kept.
    fn custom(&self, existing: Existing) -> Option<Context>;
    /// Writes a context, in place of what is there.
    fn write(&mut self, cx: &Context);
}

impl<R: SentRecord> SentRecord for &mut R {
    fn topic(&self) -> &str {
        (**self).topic()
    }
    fn partition(&self) -> Option<i32> {
        (**self).partition()
    }
    fn key(&self) -> Option<&[u8]> {
        (**self).key()
    }
    fn value_bytes(&self) -> Option<usize> {
        (**self).value_bytes()
    }
    fn captured(&self, options: &SendOptions) -> Vec<KeyValue> {
        (**self).captured(options)
    }
    fn custom(&self, existing: Existing) -> Option<Context> {
        (**self).custom(existing)
    }
    fn write(&mut self, cx: &Context) {
        (**self).write(cx);
    }
}

macro_rules! record_of_rdkafka {
    ([$($generics:tt)*] $record:ty) => {
        impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, $($generics)*> SentRecord for $record {
            fn topic(&self) -> &str {
                self.topic
            }
            fn partition(&self) -> Option<i32> {
                self.partition
            }
            fn key(&self) -> Option<&[u8]> {
                self.key.map(ToBytes::to_bytes)
            }
            fn value_bytes(&self) -> Option<usize> {
                self.payload.map(|payload| payload.to_bytes().len())
            }
            fn captured(&self, options: &SendOptions) -> Vec<KeyValue> {
                captured(&self.headers, options)
            }
            fn custom(&self, existing: Existing) -> Option<Context> {
                kept::<Option<OwnedHeaders>>(&self.headers, existing)
            }
            fn write(&mut self, cx: &Context) {
                propagation::inject_context(cx, &mut self.headers);
            }
        }
    };
}
record_of_rdkafka!([] FutureRecord<'_, K, P>);
record_of_rdkafka!([D: IntoOpaque] BaseRecord<'_, K, P, D>);

impl<R: SentRecord> SentRecord for Created<R> {
    fn topic(&self) -> &str {
        self.record.topic()
    }
    fn partition(&self) -> Option<i32> {
        self.record.partition()
    }
    fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }
    fn value_bytes(&self) -> Option<usize> {
        self.record.value_bytes()
    }
    fn captured(&self, options: &SendOptions) -> Vec<KeyValue> {
        self.record.captured(options)
    }
    fn custom(&self, existing: Existing) -> Option<Context> {
        of_creation(&self.creation, existing).or_else(|| self.record.custom(existing))
    }
    fn write(&mut self, cx: &Context) {
        self.creation = CreationContext::received(cx.clone());
        self.record.write(cx);
    }
}

impl<T: 'static> SentRecord for Record<T> {
    fn topic(&self) -> &str {
        self.topic()
    }
    fn partition(&self) -> Option<i32> {
        self.partition()
    }
    fn key(&self) -> Option<&[u8]> {
        self.key()
    }
    fn value_bytes(&self) -> Option<usize> {
        ConsumedMessage::value_bytes(self)
    }
    fn captured(&self, options: &SendOptions) -> Vec<KeyValue> {
        captured(self.headers(), options)
    }
    fn custom(&self, existing: Existing) -> Option<Context> {
        of_creation(self.creation(), existing)
    }
    /// As one that is replaced: a producer of ours inside of the function continues the very span.
    fn write(&mut self, cx: &Context) {
        *self.creation_mut() = CreationContext::received(cx.clone());
    }
}

fn of_creation(creation: &CreationContext, existing: Existing) -> Option<Context> {
    let is_kept = creation.is_custom() || existing == Existing::Keep;
    creation.context().filter(|cx| is_kept && cx.span().span_context().is_valid()).cloned()
}

/// kafka.md T-3.
fn kept<H: HeaderView + ?Sized>(headers: &H, existing: Existing) -> Option<Context> {
    if existing == Existing::Replace {
        return None;
    }
    let cx = propagation::extract_trace_context(headers);
    cx.span().span_context().is_valid().then_some(cx)
}

fn captured<H: HeaderView + ?Sized>(view: &H, options: &SendOptions) -> Vec<KeyValue> {
    let SendOptions { message_id, conversation_id, headers: named, .. } = *options;
    headers::all_captured(view, message_id, conversation_id, named).collect()
}
