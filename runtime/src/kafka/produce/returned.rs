//! What a function returns: a message to write the context into, a delivery that tells partition and offset, or neither.
//!
//! Found by method lookup, which tries fewer references last, as the outcome of a span is.

use std::cell::RefCell;
use std::marker::PhantomData;

/// A returned type. Whether it is a message is known before the function runs.
#[derive(Debug)]
pub struct TypeOf<T: ?Sized>(PhantomData<fn() -> Box<T>>);

impl<T> TypeOf<T> {
    /// The type.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "written by an expansion only")]
    pub const fn new() -> Self {
        TypeOf(PhantomData)
    }
}

/// A returned value, to be written into.
#[derive(Debug)]
pub struct Made<'a, T>(RefCell<&'a mut T>);

impl<'a, T> Made<'a, T> {
    /// The value.
    pub fn new(value: &'a mut T) -> Self {
        Made(RefCell::new(value))
    }
}

/// A returned value, to be looked at.
#[derive(Debug)]
pub struct Placed<'a, T>(pub &'a T);

/// The ways to look at a value. A module, so that an expansion imports them all at once.
#[allow(missing_docs, reason = "named by expansions only")]
pub mod look {
    use opentelemetry::trace::TraceContextExt as _;
    use opentelemetry::{Context, KeyValue};
    use rdkafka::error::KafkaError;
    use rdkafka::producer::future_producer::Delivery;

    use super::{Made, Placed, TypeOf};
    use crate::kafka::attributes;
    use crate::kafka::produce::scope::Unnamed;
    use crate::trace_context::TraceContext;

    pub trait IsMessage {
        fn creates(&self) -> bool {
            true
        }
    }

    impl<T: TraceContext> IsMessage for &&&TypeOf<T> {}

    pub trait HoldsMessage {
        fn creates(&self) -> bool {
            true
        }
    }

    impl<T: TraceContext> HoldsMessage for &&TypeOf<Option<T>> {}
    impl<T: TraceContext, E> HoldsMessage for &&TypeOf<Result<T, E>> {}

    pub trait MayHoldMessage {
        fn creates(&self) -> bool {
            true
        }
    }

    impl<T: TraceContext, E> MayHoldMessage for &TypeOf<Result<Option<T>, E>> {}

    pub trait IsNoMessage {
        fn creates(&self) -> bool {
            false
        }
    }

    impl<T> IsNoMessage for TypeOf<T> {}

    /// Writes the context, and names the span after the topic that it did not know when it began (kafka.md S-1).
    fn put<T: TraceContext>(message: &mut T, cx: &Context) {
        message.inject_context(cx);
        if let (Some(unnamed), Some(topic)) = (cx.get::<Unnamed>(), message.destination()) {
            let span = cx.span();
            span.set_attribute(KeyValue::new(attributes::DESTINATION, topic.to_owned()));
            if let Some(operation) = &unnamed.operation {
                span.update_name(format!("{operation} {topic}"));
            }
        }
    }

    pub trait WriteMessage {
        fn write(&self, cx: &Context);
    }

    impl<T: TraceContext> WriteMessage for &&&Made<'_, T> {
        fn write(&self, cx: &Context) {
            put(&mut **self.0.borrow_mut(), cx);
        }
    }

    pub trait WriteHeld {
        fn write(&self, cx: &Context);
    }

    impl<T: TraceContext> WriteHeld for &&Made<'_, Option<T>> {
        fn write(&self, cx: &Context) {
            if let Some(message) = &mut **self.0.borrow_mut() {
                put(message, cx);
            }
        }
    }

    impl<T: TraceContext, E> WriteHeld for &&Made<'_, Result<T, E>> {
        fn write(&self, cx: &Context) {
            if let Ok(message) = &mut **self.0.borrow_mut() {
                put(message, cx);
            }
        }
    }

    pub trait WriteMayHold {
        fn write(&self, cx: &Context);
    }

    impl<T: TraceContext, E> WriteMayHold for &Made<'_, Result<Option<T>, E>> {
        fn write(&self, cx: &Context) {
            if let Ok(Some(message)) = &mut **self.0.borrow_mut() {
                put(message, cx);
            }
        }
    }

    pub trait WriteNothing {
        fn write(&self, _: &Context) {}
    }

    impl<T> WriteNothing for Made<'_, T> {}

    /// Partition and offset.
    type Place = Option<(i32, i64)>;

    pub trait IsPlace {
        fn place(&self) -> Place;
    }

    impl IsPlace for &&&Placed<'_, Delivery> {
        fn place(&self) -> Place {
            Some((self.0.partition, self.0.offset))
        }
    }

    impl IsPlace for &&&Placed<'_, (i32, i64)> {
        fn place(&self) -> Place {
            Some(*self.0)
        }
    }

    pub trait HoldsPlace {
        fn place(&self) -> Place;
    }

    impl<E> HoldsPlace for &&Placed<'_, Result<Delivery, E>> {
        fn place(&self) -> Place {
            self.0.as_ref().ok().map(|delivery| (delivery.partition, delivery.offset))
        }
    }

    impl<E> HoldsPlace for &&Placed<'_, Result<(i32, i64), E>> {
        fn place(&self) -> Place {
            self.0.as_ref().ok().copied()
        }
    }

    pub trait MayHoldPlace {
        fn place(&self) -> Place;
    }

    /// What a `DeliveryFuture` gives.
    impl<E> MayHoldPlace for &Placed<'_, Result<Result<Delivery, E>, KafkaError>> {
        fn place(&self) -> Place {
            let delivery = self.0.as_ref().ok()?.as_ref().ok()?;
            Some((delivery.partition, delivery.offset))
        }
    }

    pub trait IsNoPlace {
        fn place(&self) -> Place {
            None
        }
    }

    impl<T> IsNoPlace for Placed<'_, T> {}
}

/// The outcome of `rdkafka`'s own result, whose error comes with the record.
#[allow(missing_docs, reason = "named by expansions only")]
pub mod probe_kafka {
    use rdkafka::error::KafkaError;

    use crate::kafka::error::error_type;
    use crate::span::{Outcome, Probe};

    pub trait ByKafkaError {
        fn outcome(&self) -> Outcome;
    }

    impl<T, R> ByKafkaError for &&&&&Probe<'_, Result<T, (KafkaError, R)>> {
        fn outcome(&self) -> Outcome {
            match self.0 {
                Ok(_) => Outcome::None,
                Err((error, _)) => Outcome::Failed {
                    error_type: error_type(error).into(),
                    description: Some(error.to_string().into()),
                },
            }
        }
    }
}
