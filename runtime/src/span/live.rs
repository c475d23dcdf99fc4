//! Live cells: how a `Context` that names one of our spans reaches that very span, from any thread, for as long as
//! the span is open, and finds nothing once it has ended.
//!
//! A cell belongs to one span at a time and is used again and again. Its generation tells a latecomer, who may hold
//! a `Context` of a span that ended long ago, that the cell is now somebody else's.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, Link, Span as ApiSpan, SpanContext, Status};

use super::fork;
use super::message;
use super::side::Side;

/// Writes that came after their span's end, and were ignored.
static WRITES_AFTER_END: AtomicU64 = AtomicU64::new(0);

pub(crate) fn writes_after_end() -> u64 {
    WRITES_AFTER_END.load(Ordering::Relaxed)
}

/// Cells are made this many at a time.
const BLOCK: usize = 32;
/// A thread keeps this many spare cells; one that ends more spans than it starts passes the rest on.
const KEPT: usize = 64;

#[derive(Debug)]
pub(super) struct Live {
    generation: AtomicU64,
    /// Whether a side box was ever made for the present generation: what the owner looks at when the span ends.
    written: AtomicBool,
    side: Mutex<Option<Box<Stamped>>>,
    /// What the span says about its message, if its record has something in common with others.
    pub(super) message: message::Place,
}

/// A side box and the generation that it was made for.
#[derive(Debug)]
struct Stamped {
    generation: u64,
    side: Side,
}

impl Live {
    fn new() -> Self {
        Self {
            generation: AtomicU64::new(1),
            written: AtomicBool::new(false),
            side: Mutex::new(None),
            message: message::Place::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Stamped>>> {
        // No foreign code runs under this lock, and whatever state a panic left is a valid side box.
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only the keys of messages are told late"))]
    pub(super) fn is_of(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    /// Whether anybody wrote to the span.
    #[inline]
    pub(super) fn is_written(&self) -> bool {
        self.written.load(Ordering::Acquire)
    }

    /// Gives what others wrote to the span. The owner calls it once, when the span ends.
    #[cold]
    pub(super) fn take(&self, generation: u64) -> Option<Side> {
        if fork::is_child() {
            return None;
        }
        let taken = self.lock().take();
        self.written.store(false, Ordering::Relaxed);
        taken.filter(|stamped| stamped.generation == generation).map(|stamped| stamped.side)
    }
}

/// Cells that no thread keeps.
static SPARES: Mutex<Vec<&'static Live>> = Mutex::new(Vec::new());

/// The count of a thread that has given its cells up: no place has this number.
const GIVEN_UP: usize = usize::MAX;

/// A thread's own free cells. Plain cells without a destructor: the thread's end passes them on.
#[derive(Debug)]
pub(super) struct FreeCells {
    cells: [Cell<Option<&'static Live>>; KEPT],
    count: Cell<usize>,
}

impl FreeCells {
    pub(super) const fn new() -> Self {
        Self { cells: [const { Cell::new(None) }; KEPT], count: Cell::new(0) }
    }

    /// A free cell and its generation. Cells are never given back to the allocator, so a handle can outlive its
    /// span at will; there are as many as spans were ever open at once.
    #[inline(always)]
    pub(super) fn acquire(&self) -> (&'static Live, u64) {
        let top = self.count.get().wrapping_sub(1);
        let kept = self.cells.get(top).and_then(Cell::get);
        let live = match kept {
            Some(live) => {
                self.count.set(top);
                live
            }
            None => self.refill(),
        };
        (live, live.generation.load(Ordering::Relaxed))
    }

    /// Ends a span's claim on its cell: handles of this generation find nothing from here on.
    #[inline(always)]
    pub(super) fn release(&self, live: &'static Live, generation: u64) {
        live.generation.store(generation + 1, Ordering::Release);
        let top = self.count.get();
        match self.cells.get(top) {
            Some(cell) => {
                cell.set(Some(live));
                self.count.set(top + 1);
            }
            None => pass_on(live),
        }
    }

    #[cold]
    #[inline(never)]
    fn refill(&self) -> &'static Live {
        let spare = spares().pop();
        if let Some(live) = spare {
            return live;
        }
        if self.count.get() == GIVEN_UP {
            return Box::leak(Box::new(Live::new()));
        }
        let block: &'static [Live] = Box::leak((0..BLOCK).map(|_| Live::new()).collect());
        let Some((first, rest)) = block.split_first() else { return Box::leak(Box::new(Live::new())) };
        for (cell, live) in self.cells.iter().zip(rest) {
            cell.set(Some(live));
        }
        self.count.set(rest.len().min(KEPT));
        first
    }

    /// Gives all of them to whoever needs them next, and those that come back later, too.
    pub(super) fn give_up(&self) {
        let count = self.count.replace(GIVEN_UP);
        if fork::is_child() {
            return;
        }
        let kept = self.cells.iter().take(if count == GIVEN_UP { 0 } else { count }).filter_map(Cell::get);
        spares().extend(kept);
    }
}

fn spares() -> MutexGuard<'static, Vec<&'static Live>> {
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cold]
#[inline(never)]
fn pass_on(live: &'static Live) {
    if !fork::is_child() {
        spares().push(live);
    }
}

/// The places that make handles and have to be fast, each of which the compiler is to see by itself.
pub(super) mod place {
    pub(in crate::span) const SYNC: u8 = 0;
    pub(in crate::span) const OWNED: u8 = 1;
    pub(in crate::span) const TOLD: u8 = 2;
    pub(in crate::span) const OTHER: u8 = 3;
    #[cfg(feature = "kafka")]
    pub(in crate::span) const MESSAGE: u8 = 4;
    #[cfg(feature = "kafka")]
    pub(in crate::span) const MESSAGE_SYNC: u8 = 5;
}

/// What a `Context` holds: OpenTelemetry's view of one of our spans.
#[derive(Debug)]
pub(super) struct Handle<const PLACE: u8> {
    span_context: SpanContext,
    live: &'static Live,
    generation: u64,
}

impl<const PLACE: u8> Handle<PLACE> {
    pub(super) fn new(span_context: SpanContext, live: &'static Live, generation: u64) -> Self {
        Self { span_context, live, generation }
    }

    #[cold]
    #[inline(never)]
    fn write(&self, change: impl FnOnce(&mut Side)) {
        if fork::is_child() {
            return;
        }
        let mut slot = self.live.lock();
        if self.live.generation.load(Ordering::Acquire) != self.generation {
            WRITES_AFTER_END.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match &mut *slot {
            Some(stamped) if stamped.generation == self.generation => {
                if stamped.side.end_ns.is_some() {
                    WRITES_AFTER_END.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                change(&mut stamped.side);
            }
            _ => {
                let mut stamped = Box::new(Stamped { generation: self.generation, side: Side::default() });
                change(&mut stamped.side);
                *slot = Some(stamped);
            }
        }
        self.live.written.store(true, Ordering::Release);
    }
}

impl<const PLACE: u8> ApiSpan for Handle<PLACE> {
    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        let event = Event::new(name, timestamp, attributes, 0);
        self.write(|side| side.add_event(event));
    }

    fn span_context(&self) -> &SpanContext {
        &self.span_context
    }

    fn is_recording(&self) -> bool {
        if self.live.generation.load(Ordering::Acquire) != self.generation {
            return false;
        }
        if fork::is_child() {
            return false;
        }
        if !self.live.written.load(Ordering::Acquire) {
            return true;
        }
        let ended =
            self.live.lock().as_ref().is_some_and(|stamped| {
                stamped.generation == self.generation && stamped.side.end_ns.is_some()
            });
        !ended
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.write(|side| side.set_attribute(attribute));
    }

    fn set_status(&mut self, status: Status) {
        self.write(|side| side.set_status(status));
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        let name = new_name.into();
        self.write(|side| side.update_name(name));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.write(|side| side.add_link(Link::new(span_context, attributes, 0)));
    }

    /// Fixes the end time and closes the span to further writes. It leaves the stack when its function returns.
    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        let since_epoch = timestamp.duration_since(UNIX_EPOCH).unwrap_or_default();
        let end_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        self.write(|side| side.end_ns = Some(end_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle((live, generation): (&'static Live, u64)) -> Handle<{ place::OTHER }> {
        Handle::new(SpanContext::NONE, live, generation)
    }

    #[test]
    fn a_write_reaches_the_open_span() {
        let cell = FreeCells::new().acquire();
        assert!(!cell.0.is_written());
        handle(cell).set_attribute(KeyValue::new("a", 1));
        assert!(cell.0.is_written());
        let side = cell.0.take(cell.1).unwrap();
        assert_eq!(side.attributes, [KeyValue::new("a", 1)]);
    }

    #[test]
    fn a_write_after_the_end_never_reaches_the_cells_next_owner() {
        let (live, generation) = FreeCells::new().acquire();
        let mut late = handle((live, generation));
        handle((live, generation)).set_attribute(KeyValue::new("racing", 1));
        live.generation.store(generation + 1, Ordering::Release);
        late.set_attribute(KeyValue::new("late", 1));
        assert!(!late.is_recording());
        assert!(live.take(generation + 1).is_none());
    }

    #[test]
    fn an_end_through_the_api_closes_the_span() {
        let cell = FreeCells::new().acquire();
        let mut writer = handle(cell);
        writer.end();
        assert!(!writer.is_recording());
        writer.set_attribute(KeyValue::new("late", 1));
        let side = cell.0.take(cell.1).unwrap();
        assert!(side.attributes.is_empty() && side.end_ns.is_some());
    }

    #[test]
    fn cells_are_used_again() {
        let free = FreeCells::new();
        let (first, generation) = free.acquire();
        free.release(first, generation);
        let (again, next) = free.acquire();
        assert!(std::ptr::eq(first, again));
        assert_eq!(next, generation + 1);
    }

    #[test]
    fn more_cells_than_a_thread_keeps_are_passed_on() {
        let free = FreeCells::new();
        let open: Vec<_> = (0..KEPT + 10).map(|_| free.acquire()).collect();
        open.iter().for_each(|(live, generation)| free.release(live, *generation));
        assert_eq!(free.count.get(), KEPT);
        free.give_up();
        assert!(spares().len() >= KEPT);
        let (late, generation) = free.acquire();
        let spare = spares().len();
        free.release(late, generation);
        assert!(spares().len() > spare, "nobody takes cells from a thread that has ended");
    }
}
