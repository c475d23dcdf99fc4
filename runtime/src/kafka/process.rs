//! The process span without a macro.

use std::future::Future;

use super::consumer::{enter, open, open_batch};
use super::message::ConsumedMessage;
use super::metrics::{Measure, in_span, traced};
use super::options::ProcessOptions;
use crate::span::{Kind, Outcome, OwnedSpan, Site, Span, text};

pub(super) static PROCESS: Site = Site::internal("process", Kind::Consumer);

/// Runs `handler` in the process span of `message`, as `#[kafka_consumer]` does with a function.
///
/// The span begins with the first poll and ends with the future. An `Err` makes it fail: its type is `error.type`, its
/// text the description.
///
/// ```
/// use rdkafka::message::BorrowedMessage;
/// use throughline::kafka::{ProcessOptions, process};
///
/// async fn consume(message: BorrowedMessage<'_>) -> Result<(), std::io::Error> {
///     process(&message, ProcessOptions::new().group("billing"), async { Ok(()) }).await
/// }
/// ```
pub async fn process<M, F, T, E>(message: &M, options: ProcessOptions, handler: F) -> Result<T, E>
where
    M: ConsumedMessage + ?Sized,
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    let mut span = OwnedSpan::idle(&PROCESS);
    let mut measure = Measure::idle();
    open(&mut span, &mut measure, message, || options);
    traced((&mut span, measure), handler, outcome).await
}

/// Runs `handler` in the process span of a batch: one span with a link to the creation context of each message.
pub async fn process_batch<B, M, F, T, E>(messages: &B, options: ProcessOptions, handler: F) -> Result<T, E>
where
    B: AsRef<[M]> + ?Sized,
    M: ConsumedMessage,
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    let mut span = OwnedSpan::idle(&PROCESS);
    let mut measure = Measure::idle();
    open_batch(&mut span, &mut measure, messages, || options);
    traced((&mut span, measure), handler, outcome).await
}

/// Calls `handler` in the process span of `message`.
pub fn process_sync<M, T, E>(
    message: &M,
    options: ProcessOptions,
    handler: impl FnOnce() -> Result<T, E>,
) -> Result<T, E>
where
    M: ConsumedMessage + ?Sized,
    E: std::fmt::Display,
{
    let mut span = Span::idle(&PROCESS);
    let mut measure = Measure::idle();
    enter(&mut span, &mut measure, message, || options);
    in_span((&mut span, measure), handler, outcome)
}

fn outcome<T, E: std::fmt::Display>(result: &Result<T, E>) -> Outcome {
    match result {
        Ok(_) => Outcome::None,
        Err(error) => Outcome::Failed {
            error_type: std::any::type_name::<E>().into(),
            description: Some(text(format_args!("{error}")).into()),
        },
    }
}
