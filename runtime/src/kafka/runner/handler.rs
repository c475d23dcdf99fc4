//! Functions that handle records, told apart by their parameters.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::panic::resume_unwind;

use super::extract::{Extract, Given};
use super::input::Input;
use super::running;
use crate::span::current;

/// A function that handles records: `async` or not, named or a closure.
///
/// Its first parameter says what it is given: [`Record<T>`](crate::kafka::Record), a message `T:`
/// [`KafkaMessage`](crate::kafka::KafkaMessage), or `Vec<Record<T>>` for batches. Any of [`State`](super::State),
/// [`Ack`](super::Ack) and [`Attempt`](super::Attempt) follow, in any order. It returns nothing or a `Result<(), E>` whose
/// error can be displayed. Functions that are not `async` run on tokio's blocking threads, where they may take their
/// time.
///
/// ```
/// use throughline::kafka::{Attempt, Record, State};
///
/// #[derive(Clone)]
/// struct Prices;
///
/// async fn charge(order: Record, State(_prices): State<Prices>, attempt: Attempt) -> Result<(), std::io::Error> {
///     if attempt.is_last() {
///         tracing::warn!(topic = order.topic(), "the last attempt");
///     }
///     Ok(())
/// }
/// ```
///
/// `S` is the type given to the consumer's `state(..)`; `M` tells the implementations apart and is found by the
/// compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle records",
    label = "not a handler",
    note = "a handler is `async fn(Record<T>) -> Result<(), E>`; the first parameter is `Record<T>`, `T: KafkaMessage` or \
            `Vec<Record<T>>`, then any of `State<S>`, `Ack`, `Attempt` may follow, `E` can be displayed, and its future is \
            `Send`",
    note = "the `S` of `State<S>` is the type of the value given to `.state(..)`, and is `Clone`"
)]
pub trait Handler<M, S>: Clone + Send + Sync + 'static {
    /// What the first parameter is made of.
    type Input: Input;
    /// The error of one attempt.
    type Error: HandlerError;
    /// Whether the function runs on a blocking thread, where it cannot be interrupted.
    #[doc(hidden)]
    const BLOCKS: bool;
    /// Whether it takes an `Ack`.
    #[doc(hidden)]
    const ACKS: bool;

    /// Calls the function once.
    #[doc(hidden)]
    fn call(
        &self,
        input: Self::Input,
        given: &mut Given<'_, S>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// An error of a handler: anything that can be displayed and sent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a handler",
    label = "implement `Display` for it: its text goes into the span and the dead letter"
)]
pub trait HandlerError: Display + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<E: Display + Send + 'static> HandlerError for E {}

/// What a handler returns: nothing, or a `Result<(), E>`.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "return nothing or `Result<(), E>`"
)]
pub trait Returned: Send + 'static {
    /// The error; `Infallible` for a function that returns nothing.
    type Error: HandlerError;
    #[doc(hidden)]
    fn into_result(self) -> Result<(), Self::Error>;
}

impl Returned for () {
    type Error = Infallible;

    fn into_result(self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<E: HandlerError> Returned for Result<(), E> {
    type Error = E;

    fn into_result(self) -> Result<(), E> {
        self
    }
}

/// Marks `async` functions among the implementations of [`Handler`].
#[doc(hidden)]
#[derive(Debug)]
pub enum Asynchronous {}

/// Marks functions that are not `async` among the implementations of [`Handler`].
#[doc(hidden)]
#[derive(Debug)]
pub enum Blocking {}

macro_rules! handlers {
    ($($extra:ident $value:ident),*) => {
        impl<F, I, $($extra,)* Fut, S> Handler<(Asynchronous, I, $($extra,)*), S> for F
        where
            F: Fn(I, $($extra),*) -> Fut + Clone + Send + Sync + 'static,
            I: Input,
            $($extra: Extract<S>,)*
            Fut: Future + Send,
            Fut::Output: Returned,
        {
            type Input = I;
            type Error = <Fut::Output as Returned>::Error;
            const BLOCKS: bool = false;
            const ACKS: bool = false $(|| $extra::IS_ACK)*;

            fn call(&self, input: I, given: &mut Given<'_, S>) -> impl Future<Output = Result<(), Self::Error>> + Send {
                let _ = &given;
                $(let $value = $extra::extract(given);)*
                let future = self(input, $($value),*);
                async move { future.await.into_result() }
            }
        }

        impl<F, I, $($extra,)* R, S> Handler<(Blocking, I, $($extra,)*), S> for F
        where
            F: Fn(I, $($extra),*) -> R + Clone + Send + Sync + 'static,
            I: Input,
            $($extra: Extract<S>,)*
            R: Returned,
        {
            type Input = I;
            type Error = R::Error;
            const BLOCKS: bool = true;
            const ACKS: bool = false $(|| $extra::IS_ACK)*;

            fn call(&self, input: I, given: &mut Given<'_, S>) -> impl Future<Output = Result<(), Self::Error>> + Send {
                let _ = &given;
                $(let $value = $extra::extract(given);)*
                let handler = self.clone();
                on_blocking_thread(move || handler(input, $($value),*).into_result())
            }
        }
    };
}

handlers!();
handlers!(A a);
handlers!(A a, B b);
handlers!(A a, B b, C c);

/// Runs `work` where it may block, with the span of this attempt current. A panic comes out here again.
async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let cx = current::context();
    let work = running::carried(work);
    let thread = tokio::task::spawn_blocking(move || {
        let _attached = cx.attach();
        work()
    });
    match thread.await {
        Ok(returned) => returned.into_here(),
        Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
        // The runtime is shutting down, and takes this future along.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Ack, Attempt, Record, State};

    fn takes<M, S, H: Handler<M, S>>(_: H, _state: &S) -> (bool, bool, bool) {
        (H::BLOCKS, H::ACKS, H::Input::IS_BATCH)
    }

    async fn one(_: Record) {}
    async fn all(_: Record, _: Ack, _: State<u8>, _: Attempt) -> Result<(), std::fmt::Error> {
        Ok(())
    }
    async fn batch(_: Vec<Record>, _: Attempt) -> Result<(), String> {
        Ok(())
    }
    fn sync(_: Record) -> Result<(), std::fmt::Error> {
        Ok(())
    }
    fn sync_batch(_: Vec<Record>, _: State<u8>) {}

    #[test]
    fn functions_of_all_shapes_are_handlers() {
        assert_eq!(takes(one, &()), (false, false, false));
        assert_eq!(takes(all, &7_u8), (false, true, false));
        assert_eq!(takes(batch, &()), (false, false, true));
        assert_eq!(takes(sync, &()), (true, false, false));
        assert_eq!(takes(sync_batch, &7_u8), (true, false, true));
        assert_eq!(takes(|_: Record| async {}, &()), (false, false, false));
        assert_eq!(takes(|_: Record, _: Attempt| Err::<(), _>("no"), &()), (true, false, false));
    }
}
