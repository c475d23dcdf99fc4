//! Messages as the process span sees them.

use std::sync::Arc;

use opentelemetry::Context;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, OwnedMessage, Timestamp};

use crate::propagation::{Came, HeaderView};

/// What a process span needs of a message.
///
/// Implemented for `rdkafka`'s messages and [`Record`](super::Record), and for references, boxes and `Arc`s of an implementation. Implement it for a
/// message type of your own to use that with `#[kafka_consumer]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message that a span can continue",
    label = "write a `BorrowedMessage`, an `OwnedMessage`, a `Record` or a reference to one, or implement `ConsumedMessage`"
)]
pub trait ConsumedMessage {
    /// Where the headers are read.
    type Headers: HeaderView + ?Sized;

    /// The headers.
    fn header_view(&self) -> &Self::Headers;
    /// The topic.
    fn topic(&self) -> &str;
    /// The partition.
    fn partition(&self) -> i32;
    /// The offset.
    fn offset(&self) -> i64;
    /// The key, `None` if it is null.
    fn key(&self) -> Option<&[u8]>;
    /// The value. `None` if it is null; or if it was decoded already, and then [`value_bytes`](Self::value_bytes) is not.
    fn value(&self) -> Option<&[u8]>;
    /// Length of the value in bytes, `None` if it is null.
    fn value_bytes(&self) -> Option<usize> {
        self.value().map(<[u8]>::len)
    }
    /// Milliseconds since the epoch, by the record's timestamp; `None` if there is none.
    fn timestamp_ms(&self) -> Option<i64>;

    /// The context that the sender wrote, on an empty [`Context`]. A message that keeps it apart from its headers
    /// overrides this.
    fn creation_context(&self) -> Context {
        crate::propagation::extract_trace_context(self.header_view())
    }
    /// Whether `messaging.client.consumed.messages` counted this delivery already.
    fn is_counted(&self) -> bool {
        false
    }
    /// [`creation_context`](Self::creation_context) without the `Context`, where it is no more than a span.
    #[doc(hidden)]
    fn sender(&self) -> Sender {
        Sender(Came::Context(self.creation_context()))
    }
}

/// What the sender of a message wrote into it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Sender(pub(super) Came);

macro_rules! consumed_message {
    ($message:ty) => {
        impl ConsumedMessage for $message {
            type Headers = Self;

            #[inline]
            fn header_view(&self) -> &Self {
                self
            }
            #[inline]
            fn topic(&self) -> &str {
                Message::topic(self)
            }
            #[inline]
            fn partition(&self) -> i32 {
                Message::partition(self)
            }
            #[inline]
            fn offset(&self) -> i64 {
                Message::offset(self)
            }
            #[inline]
            fn key(&self) -> Option<&[u8]> {
                Message::key(self)
            }
            #[inline]
            fn value(&self) -> Option<&[u8]> {
                Message::payload(self)
            }
            #[inline]
            fn timestamp_ms(&self) -> Option<i64> {
                match Message::timestamp(self) {
                    Timestamp::NotAvailable => None,
                    Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
                }
            }
            #[inline]
            fn sender(&self) -> Sender {
                Sender(Came::in_headers(self))
            }
        }
    };
}

consumed_message!(BorrowedMessage<'_>);
consumed_message!(OwnedMessage);

macro_rules! consumed_by_reference {
    ($($reference:ty),+) => {$(
        impl<M: ConsumedMessage + ?Sized> ConsumedMessage for $reference {
            type Headers = M::Headers;

            #[inline]
            fn header_view(&self) -> &M::Headers {
                (**self).header_view()
            }
            #[inline]
            fn topic(&self) -> &str {
                (**self).topic()
            }
            #[inline]
            fn partition(&self) -> i32 {
                (**self).partition()
            }
            #[inline]
            fn offset(&self) -> i64 {
                (**self).offset()
            }
            #[inline]
            fn key(&self) -> Option<&[u8]> {
                (**self).key()
            }
            #[inline]
            fn value(&self) -> Option<&[u8]> {
                (**self).value()
            }
            #[inline]
            fn value_bytes(&self) -> Option<usize> {
                (**self).value_bytes()
            }
            #[inline]
            fn timestamp_ms(&self) -> Option<i64> {
                (**self).timestamp_ms()
            }
            #[inline]
            fn creation_context(&self) -> Context {
                (**self).creation_context()
            }
            #[inline]
            fn is_counted(&self) -> bool {
                (**self).is_counted()
            }
            #[inline]
            fn sender(&self) -> Sender {
                (**self).sender()
            }
        }
    )+};
}

consumed_by_reference!(&M, &mut M, Box<M>, Arc<M>);
