//! The attempt that is running on this task, which an annotated handler fills instead of making a span of its own.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

use crate::kafka::ConsumedMessage;
use crate::span::Outcome;

tokio::task_local! {
    static RUNNING: Running;
}

static EVER: AtomicBool = AtomicBool::new(false);

/// Whether an attempt ever ran in this process. If not, handlers need not look whether one runs here.
#[inline]
pub(in crate::kafka) fn was_ever() -> bool {
    EVER.load(Ordering::Relaxed)
}

/// One attempt with a process span.
#[derive(Debug)]
pub(super) struct Running {
    what: Arc<What>,
    filled: Cell<bool>,
    /// How the annotated handler's error is called, where that says it better than its type's name.
    outcome: RefCell<Option<Outcome>>,
}

#[derive(Debug)]
struct What {
    /// Names the process span; `None` if there is none, because tracing is off.
    cx: Option<Context>,
    topic: Arc<str>,
    partition: i32,
    /// Of the first record.
    offset: i64,
    /// Of a batch.
    count: Option<usize>,
}

/// What the handler left behind.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) filled: bool,
    pub(super) outcome: Option<Outcome>,
}

impl Running {
    pub(super) fn new(
        cx: Option<Context>,
        topic: &Arc<str>,
        partition: i32,
        offset: i64,
        count: Option<usize>,
    ) -> Self {
        Self::of(Arc::new(What { cx, topic: Arc::clone(topic), partition, offset, count }))
    }

    fn of(what: Arc<What>) -> Self {
        // A task that is running has seen this: what brings it to another thread puts that in order, too.
        EVER.store(true, Ordering::Relaxed);
        Running { what, filled: Cell::new(false), outcome: RefCell::new(None) }
    }

    fn left(&self) -> Left {
        Left { filled: self.filled.get(), outcome: self.outcome.borrow_mut().take() }
    }

    fn put(&self, left: Left) {
        if left.filled {
            self.filled.set(true);
        }
        if left.outcome.is_some() {
            *self.outcome.borrow_mut() = left.outcome;
        }
    }
}

/// Runs one attempt, and gives what an annotated handler left behind.
pub(super) async fn scope<F: Future>(running: Running, attempt: F) -> (F::Output, Left) {
    let attempt = async {
        let output = attempt.await;
        (output, RUNNING.with(Running::left))
    };
    RUNNING.scope(running, attempt).await
}

/// The process span of the attempt that runs here, if it is that of this message, or of this batch of `count`, and nobody
/// has filled it yet. Whoever asks fills it.
#[inline]
pub(in crate::kafka) fn claim<M: ConsumedMessage + ?Sized>(
    first: &M,
    count: Option<usize>,
) -> Option<Claimed> {
    claim_if(|what| {
        what.count == count
            && what.offset == first.offset()
            && what.partition == first.partition()
            && *what.topic == *first.topic()
    })
}

/// The same for a function that is given something else than the message.
pub(in crate::kafka) fn claim_any() -> Option<Claimed> {
    claim_if(|_| true)
}

#[inline]
fn claim_if(is_it: impl FnOnce(&What) -> bool) -> Option<Claimed> {
    if was_ever() { claim_running(is_it) } else { None }
}

fn claim_running(is_it: impl FnOnce(&What) -> bool) -> Option<Claimed> {
    let claim = |running: &Running| {
        let is_claimed = is_it(&running.what) && !running.filled.replace(true);
        is_claimed.then(|| Claimed { what: Arc::clone(&running.what) })
    };
    RUNNING.try_with(claim).ok().flatten()
}

/// A process span of the runner that an annotated function fills.
#[derive(Debug)]
pub(in crate::kafka) struct Claimed {
    what: Arc<What>,
}

impl Claimed {
    pub(in crate::kafka) fn is_recording(&self) -> bool {
        self.what.cx.as_ref().is_some_and(|cx| cx.span().is_recording())
    }

    pub(in crate::kafka) fn update_name(&self, name: Cow<'static, str>) {
        if let Some(cx) = &self.what.cx {
            cx.span().update_name(name);
        }
    }

    pub(in crate::kafka) fn set_attribute(&self, attribute: KeyValue) {
        if let Some(cx) = &self.what.cx {
            cx.span().set_attribute(attribute);
        }
    }

    /// Tells the runner how the function ended, in the words of its own `err` argument.
    pub(in crate::kafka) fn ended(&self, outcome: Outcome) {
        let _ = RUNNING.try_with(|running| *running.outcome.borrow_mut() = Some(outcome));
    }
}

/// `work` with what is running here, for a thread of its own.
pub(super) fn carried<T>(work: impl FnOnce() -> T + Send) -> impl FnOnce() -> Carried<T> + Send {
    let what = RUNNING.try_with(|running| Arc::clone(&running.what)).ok();
    move || match what {
        Some(what) => RUNNING.sync_scope(Running::of(what), || {
            let value = work();
            Carried { value, left: RUNNING.with(Running::left) }
        }),
        None => Carried { value: work(), left: Left::default() },
    }
}

/// A value from another thread, and what was left behind there.
pub(super) struct Carried<T> {
    value: T,
    left: Left,
}

impl<T> Carried<T> {
    pub(super) fn into_here(self) -> T {
        let _ = RUNNING.try_with(|running| running.put(self.left));
        self.value
    }
}
