//! The live tail: one reader of the store for all clients, and a queue for each of them.
//!
//! The reader runs while there are clients. It asks the store for new spans once a second, and at once when somebody says
//! that there are some ([`State::committed`]); it asks what became of their traces, and tells each client of the traces
//! that it wants to hear of. A client that does not keep up is told how many it missed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::trace::TraceId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::options::ApiOptions;
use super::problem::Problem;
use super::rest::trace_json;
use super::state::{Shared, State};
use crate::diagnostics;
use crate::store::{Filter, Store, StoreError, StoredSpan, Tail, TailCursor};

/// How often the store is asked for what other processes wrote.
const EACH: Duration = Duration::from_secs(1);

/// What is told of at once waits this long for more.
const AT_LEAST: Duration = Duration::from_millis(50);

/// What may still change its place in the order is left for the next time.
const SETTLE: Duration = Duration::from_secs(1);

/// Spans that are read at once.
const SPANS: usize = 500;

/// Text that waits for one client, in bytes. A single event may be larger.
const WAITING_BYTES: usize = 4 << 20;

/// What a client is told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A trace that has new spans, and the place to go on from after it.
    Trace { json: Arc<str>, at: Option<TailCursor> },
    /// So many events did not fit into the queue.
    Lagged(u64),
}

/// All clients, and whether somebody reads for them.
#[derive(Debug)]
pub(super) struct Hub {
    places: Arc<Semaphore>,
    waiting_events: usize,
    news: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    clients: Vec<Client>,
    is_running: bool,
    is_closed: bool,
    /// Up to here everything was told.
    cursor: Option<TailCursor>,
}

#[derive(Debug)]
struct Client {
    filter: Filter,
    queue: mpsc::Sender<Told>,
    missed: u64,
    /// It came while a page was being read: what it wants to hear of that page was not looked up.
    is_new: bool,
    shared: Arc<Queue>,
}

/// What the reader and a client both see of the client's queue.
#[derive(Debug)]
struct Queue {
    bytes: AtomicUsize,
    /// Everything up to here that the client wants is in the queue, or was.
    passed: Mutex<Option<TailCursor>>,
}

/// A client's end of its queue. Dropping it gives the place to another one.
#[derive(Debug)]
pub(super) struct Tailed {
    queue: mpsc::Receiver<Told>,
    shared: Arc<Queue>,
    _place: OwnedSemaphorePermit,
}

impl Hub {
    pub(super) fn new(options: &ApiOptions) -> Self {
        Self {
            places: Arc::new(Semaphore::new(options.max_tails.min(Semaphore::MAX_PERMITS))),
            waiting_events: options.max_waiting_events.clamp(1, Semaphore::MAX_PERMITS),
            news: Notify::new(),
            inner: Mutex::new(Inner::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Says that spans were stored, so that nobody waits for the next second.
    pub(crate) fn committed(&self) {
        self.tail.news.notify_one();
    }

    /// Ends all live tails and takes no new ones.
    pub(super) fn end_tails(&self) {
        let mut inner = self.tail.lock();
        inner.is_closed = true;
        inner.clients.clear();
    }

    /// One more client, which hears of everything that is stored from now on.
    pub(super) async fn subscribe(self: &Arc<Self>, filter: Filter) -> Result<Tailed, Problem> {
        let Ok(place) = Arc::clone(&self.tail.places).try_acquire_owned() else {
            return Err(Problem::busy("as many clients as are allowed follow the live tail already"));
        };
        // Also tells at once when the store is away.
        let now = self.query(|store| async move { store.tail(None, Filter::new(), 1, SETTLE).await }).await?;
        let (queue, told) = mpsc::channel(self.tail.waiting_events);
        let mut inner = self.tail.lock();
        if inner.is_closed {
            return Err(Problem::ending());
        }
        if !inner.is_running {
            inner.is_running = true;
            inner.cursor = now.cursor;
            tokio::spawn(read(Arc::clone(self)));
        }
        let shared = Arc::new(Queue { bytes: AtomicUsize::new(0), passed: Mutex::new(inner.cursor) });
        inner.clients.push(Client { filter, queue, missed: 0, is_new: true, shared: Arc::clone(&shared) });
        Ok(Tailed { queue: told, shared, _place: place })
    }
}

impl Tailed {
    /// What comes next; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Told> {
        let told = self.queue.recv().await?;
        Some(self.taken(told))
    }

    fn taken(&self, told: Told) -> Told {
        if let Told::Trace { json, .. } = &told {
            self.shared.bytes.fetch_sub(json.len(), Ordering::Relaxed);
        }
        told
    }

    /// What waits, or else the place up to which there is nothing to wait for.
    pub(super) fn next_or_place(&mut self) -> Result<Told, Option<TailCursor>> {
        // In this order: what belongs before the place was put into the queue before it was told.
        let passed = *self.shared.passed.lock().unwrap_or_else(PoisonError::into_inner);
        match self.queue.try_recv() {
            Ok(told) => Ok(self.taken(told)),
            Err(_) => Err(passed),
        }
    }
}

/// Reads for all clients, until there are none.
async fn read(state: Shared) {
    let mut was_away = false;
    let mut is_behind = false;
    loop {
        if !is_behind {
            tokio::select! {
                () = tokio::time::sleep(EACH) => {}
                () = state.tail.news.notified() => tokio::time::sleep(AT_LEAST).await,
            }
        }
        let cursor = {
            let mut inner = state.tail.lock();
            inner.clients.retain(|client| !client.queue.is_closed());
            if inner.clients.is_empty() {
                inner.is_running = false;
                return;
            }
            for client in &mut inner.clients {
                client.is_new = false;
            }
            inner.cursor
        };
        match step(&state, cursor).await {
            Ok(more) => {
                was_away = false;
                is_behind = more;
            }
            Err(error) => {
                if !was_away {
                    diagnostics::warn(format_args!("the live tail waits for the store: {error}"));
                }
                was_away = true;
                is_behind = false;
            }
        }
    }
}

/// Tells of what came after the cursor; whether there may be more already.
async fn step(state: &State, cursor: Option<TailCursor>) -> Result<bool, StoreError> {
    let (tail, is_behind) = page(&state.store, cursor).await?;
    // Which clients want to hear of which traces; in the order in which the traces were last heard of.
    let traces = by_trace(tail.spans);
    let wanted: Vec<TraceId> = {
        let inner = state.tail.lock();
        let is_wanted = |spans: &[StoredSpan]| {
            inner.clients.iter().any(|client| spans.iter().any(|span| client.filter.matches(span)))
        };
        traces.iter().filter(|(_, spans)| is_wanted(spans)).map(|(id, _)| *id).collect()
    };
    let told = told(&state.store, wanted).await?;

    let mut inner = state.tail.lock();
    for client in inner.clients.iter_mut().filter(|client| !client.is_new) {
        client.tell_missed();
        let matching: Vec<&TraceId> = traces
            .iter()
            .filter(|(_, spans)| spans.iter().any(|span| client.filter.matches(span)))
            .map(|(id, _)| id)
            .collect();
        for (index, id) in matching.iter().enumerate() {
            // Whoever goes on from before the last of them hears of all of them again, and misses none.
            let at = if index + 1 == matching.len() { tail.cursor } else { cursor };
            if let Some(json) = told.get(*id) {
                client.tell(json, at);
            }
        }
        *client.shared.passed.lock().unwrap_or_else(PoisonError::into_inner) = tail.cursor;
    }
    inner.cursor = tail.cursor;
    Ok(is_behind)
}

/// The next spans, and whether there may be more already.
pub(super) async fn page(
    store: &Arc<dyn Store>,
    cursor: Option<TailCursor>,
) -> Result<(Tail, bool), StoreError> {
    let mut limit = SPANS;
    loop {
        match store.tail(cursor, Filter::new(), limit, SETTLE).await {
            Err(StoreError::TooLarge) if limit > 1 => limit /= 2,
            Ok(tail) => {
                let more = tail.spans.len() == limit;
                return Ok((tail, more));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Spans by trace, the one heard of last at the end.
fn by_trace(spans: Vec<StoredSpan>) -> Vec<(TraceId, Vec<StoredSpan>)> {
    let mut traces: HashMap<TraceId, (usize, Vec<StoredSpan>)> = HashMap::new();
    for (index, span) in spans.into_iter().enumerate() {
        let (last, spans) = traces.entry(span.trace_id).or_default();
        *last = index;
        spans.push(span);
    }
    let mut traces: Vec<_> = traces.into_iter().collect();
    traces.sort_unstable_by_key(|(_, (last, _))| *last);
    traces.into_iter().map(|(id, (_, spans))| (id, spans)).collect()
}

/// Traces as the events have them.
pub(super) async fn told(
    store: &Arc<dyn Store>,
    ids: Vec<TraceId>,
) -> Result<HashMap<TraceId, Arc<str>>, StoreError> {
    let mut told = HashMap::with_capacity(ids.len());
    let mut parts = vec![ids];
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match store.traces(part.clone()).await {
            Ok(found) => {
                told.extend(found.into_iter().map(|trace| (trace.trace_id, trace_json(trace).into())));
            }
            Err(StoreError::TooLarge) if part.len() > 1 => {
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(told)
}

/// The traces of these spans that a filter means, the one heard of last at the end.
pub(super) fn matching(spans: Vec<StoredSpan>, filter: &Filter) -> Vec<TraceId> {
    by_trace(spans.into_iter().filter(|span| filter.matches(span)).collect())
        .into_iter()
        .map(|(id, _)| id)
        .collect()
}

impl Client {
    fn tell_missed(&mut self) {
        if self.missed > 0 && self.queue.try_send(Told::Lagged(self.missed)).is_ok() {
            self.missed = 0;
        }
    }

    fn tell(&mut self, json: &Arc<str>, at: Option<TailCursor>) {
        self.tell_missed();
        let waiting = self.shared.bytes.load(Ordering::Relaxed);
        let fits = waiting == 0 || waiting.saturating_add(json.len()) <= WAITING_BYTES;
        // Counted before it is sent: the client takes it off.
        self.shared.bytes.fetch_add(json.len(), Ordering::Relaxed);
        let is_told = self.missed == 0
            && fits
            && self.queue.try_send(Told::Trace { json: Arc::clone(json), at }).is_ok();
        if !is_told {
            self.shared.bytes.fetch_sub(json.len(), Ordering::Relaxed);
            self.missed = self.missed.saturating_add(1);
        }
    }
}
