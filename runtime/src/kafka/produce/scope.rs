//! The function's span while it runs: current, and open to be taken over by the first record that is sent.

use std::borrow::Cow;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use opentelemetry::trace::{Link, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard, KeyValue};
use pin_project_lite::pin_project;

use super::options::ProducerOptions;
use super::parameter::SendParameter;
use crate::kafka::adopted::{Adopted, Open, Says};
use crate::kafka::attributes;
use crate::kafka::metrics::{self, Measured, Timer};
use crate::propagation;
use crate::span::{self, Kind, Options, Outcome, OwnedSpan};

/// What is known of the send beside its span.
#[derive(Debug)]
pub struct Producing {
    timer: Timer,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    says: Says,
    creates: bool,
    /// The function sends one record, its parameter.
    sends: bool,
    measured: Measured<'static>,
}

impl Producing {
    /// Of a span that has not begun.
    #[must_use]
    #[inline]
    #[allow(clippy::new_without_default, reason = "named as `Span::idle` is")]
    pub const fn idle() -> Self {
        Producing { timer: Timer::off(), begun: None }
    }
}

/// Begins the span of a function that makes or sends a record, and writes its context into the parameter. True if it
/// records.
pub fn open_produce<P: SendParameter, O: FnOnce() -> ProducerOptions>(
    span: &mut OwnedSpan,
    producing: &mut Producing,
    mut parameter: P,
    creates: bool,
    options: O,
) -> bool {
    let measured = metrics::is_measured();
    if !span::on() && !measured {
        // The trace that the record belongs to goes on without a span of ours (kafka.md T-2).
        parameter.write(&span::current::context());
        return false;
    }
    let options = options();
    if options.send.metrics {
        producing.timer = Timer::start();
    }
    let operation_type = if creates { "create" } else { "send" };
    let operation = options.operation.clone().unwrap_or(Cow::Borrowed(operation_type));
    let topic = options.topic.clone().or_else(|| parameter.topic().map(|topic| Cow::Owned(topic.to_owned())));
    let custom = parameter.custom(options.send.existing);
    let partition = parameter.partition();
    producing.begun = Some(Begun {
        says: Says { name: options.name.is_some(), topic: topic.is_some(), operation: operation.clone() },
        creates,
        sends: parameter.is_there(),
        measured: Measured {
            operation: operation.clone(),
            kind: operation_type,
            topic: topic.clone(),
            template: options.send.template.clone(),
            partition,
            ..Measured::default()
        },
    });
    let details = options.send.clone();
    if span::on() {
        let own_context = custom.is_none() && propagation::propagates();
        let kind = if creates || own_context { Kind::Producer } else { Kind::Client };
        span::open_with(
            span,
            begin(options, operation, operation_type, topic, partition, kind, custom.as_ref()),
        );
        if span.is_recording() {
            span.set_attributes(parameter.details(&details));
        }
    }
    match (custom, span.context()) {
        // Not modified (P-2).
        (Some(_), _) => {}
        (None, Some(own)) => parameter.write(own),
        (None, None) => parameter.write(&span::current::context()),
    }
    span.is_recording()
}

fn begin(
    options: ProducerOptions,
    operation: Cow<'static, str>,
    operation_type: &'static str,
    topic: Option<Cow<'static, str>>,
    partition: Option<i32>,
    kind: Kind,
    custom: Option<&Context>,
) -> Options {
    let mut given = Vec::with_capacity(8);
    let template = options.send.template;
    // kafka.md S-1.
    let name = options.name.unwrap_or_else(|| match template.as_deref().or(topic.as_deref()) {
        Some(destination) => Cow::Owned(format!("{operation} {destination}")),
        None => operation.clone(),
    });
    given.extend(attributes::operation(operation, operation_type));
    given.extend(topic.map(|topic| KeyValue::new(attributes::DESTINATION, topic)));
    given.extend(template.map(|template| KeyValue::new(attributes::TEMPLATE, template)));
    given.extend(partition.and_then(attributes::partition));
    given.extend(options.client_id.map(|id| KeyValue::new(attributes::CLIENT_ID, id)));
    let custom = custom.map(|cx| Link::with_context(cx.span().span_context().clone()));
    let begun = Options::new().name(name).kind(kind).attributes(given).links(custom).links(options.links);
    match options.scope {
        Some(scope) => begun.scope(scope),
        None => begun,
    }
}

/// In the context of a span that does not know its topic: the message that is created may.
#[derive(Debug)]
pub(super) struct Unnamed {
    /// What the topic follows in the span's name, if the name is not the user's.
    pub(super) operation: Option<Cow<'static, str>>,
}

/// The function's span while it runs. Ends it where it is dropped, if nobody took it over.
#[derive(Debug)]
pub struct Scope {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    cx: Context,
    own: Option<Context>,
    open: Arc<Open>,
    creates: bool,
    sends: bool,
    measured: Measured<'static>,
    panicked: bool,
}

/// Joins the span and what is known beside it.
pub fn scope(span: OwnedSpan, producing: Producing) -> Scope {
    let Producing { timer, begun } = producing;
    let running = begun.map(|Begun { says, creates, sends, measured }| {
        let own = span.context().cloned().map(|own| match says.topic {
            false if creates => {
                own.with_value(Unnamed { operation: (!says.name).then(|| says.operation.clone()) })
            }
            _ => own,
        });
        let open = Arc::new(Open::new(Adopted { span, timer, says }));
        let base = own.clone().unwrap_or_else(span::current::context);
        // What is created is sent later, or by somebody else.
        let cx = if creates { base } else { base.with_value(Arc::clone(&open)) };
        Running { cx, own, open, creates, sends, measured, panicked: false }
    });
    Scope { running }
}

impl Scope {
    fn attach(&self) -> Option<ContextGuard> {
        self.running.as_ref().map(|running| running.cx.clone().attach())
    }

    fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Where a returned message gets its context from.
    fn created(&self) -> Option<&Context> {
        self.running.as_ref().filter(|running| running.creates).and_then(|running| running.own.as_ref())
    }

    fn end(&mut self, outcome: Outcome, place: Option<(i32, i64)>) {
        let Some(running) = self.running.take() else { return };
        // Taken over: it ends with the delivery.
        let Some(Adopted { mut span, timer, .. }) = running.open.take() else { return };
        if let Some((partition, offset)) = place.filter(|_| span.is_recording()) {
            let place = attributes::partition(partition).into_iter().chain(attributes::offset(offset));
            span.set_attributes(place.collect::<Vec<_>>());
        }
        let mut measured = running.measured;
        if let Some((partition, _)) = place.filter(|(partition, _)| *partition >= 0) {
            measured.partition = Some(partition);
        }
        match outcome {
            Outcome::Failed { error_type, description } => {
                measured.error_type = Some(error_type.clone());
                span.fail(error_type, description.unwrap_or_default());
            }
            // Only what was handed over was sent (M-2).
            Outcome::None if running.sends && timer.is_on() => metrics::sent(1, || measured.clone()),
            Outcome::None => {}
        }
        span.end();
        if !running.creates {
            metrics::operation(timer, || measured);
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let Some(Adopted { mut span, timer, .. }) = running.open.take() else { return };
        let panicked = running.panicked || std::thread::panicking();
        if running.panicked {
            span.panicked();
        }
        // A panic inside counts more than being dropped.
        span.cancel();
        if !running.creates {
            metrics::operation(timer, || Measured {
                error_type: panicked.then_some(Cow::Borrowed("panic")),
                ..running.measured
            });
        }
    }
}

/// Calls a function's body in its span.
pub fn produce_sync<T, B, P, L>(mut scope: Scope, body: B, probe: P, look: L) -> T
where
    B: FnOnce() -> T,
    P: FnOnce(&T) -> Outcome,
    L: FnOnce(&mut T, Option<&Context>) -> Option<(i32, i64)>,
{
    let attached = scope.attach();
    let mut value = body();
    drop(attached);
    if scope.is_running() {
        let place = look(&mut value, scope.created());
        scope.end(probe(&value), place);
    }
    value
}

/// The synchronous part of a function that returns a future, in its span.
pub fn future_within<Output, F, B>(scope: &Scope, body: B) -> F
where
    F: Future<Output = Output>,
    B: FnOnce() -> F,
{
    let _attached = scope.attach();
    body()
}

pin_project! {
    /// A function's future in its span.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Produce<F, P, L> {
        #[pin]
        future: Option<F>,
        scope: Scope,
        endings: Option<(P, L)>,
    }

    impl<F, P, L> PinnedDrop for Produce<F, P, L> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What its destructors record belongs to the span.
            let attached = this.scope.attach();
            this.future.set(None);
            drop(attached);
        }
    }
}

/// A function's future in its span.
pub fn produce<F, P, L>(scope: Scope, future: F, probe: P, look: L) -> Produce<F, P, L>
where
    F: Future,
    P: FnOnce(&F::Output) -> Outcome,
    L: FnOnce(&mut F::Output, Option<&Context>) -> Option<(i32, i64)>,
{
    Produce { future: Some(future), scope, endings: Some((probe, look)) }
}

/// Remembers that a poll unwound; forgotten where none did.
struct Unwinding<'a>(&'a mut Scope);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if let Some(running) = &mut self.0.running {
            running.panicked = true;
        }
    }
}

impl<F, P, L> Future for Produce<F, P, L>
where
    F: Future,
    P: FnOnce(&F::Output) -> Outcome,
    L: FnOnce(&mut F::Output, Option<&Context>) -> Option<(i32, i64)>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let attached = this.scope.attach();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            // Polled after the end: as with any future, there is nothing more to come.
            return Poll::Pending;
        };
        let unwinding = Unwinding(this.scope);
        let polled = future.poll(task);
        mem::forget(unwinding);
        let mut value = ready!(polled);
        this.future.set(None);
        drop(attached);
        if let Some((probe, look)) = this.endings.take()
            && this.scope.is_running()
        {
            let place = look(&mut value, this.scope.created());
            this.scope.end(probe(&value), place);
        }
        Poll::Ready(value)
    }
}
