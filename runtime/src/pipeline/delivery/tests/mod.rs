//! Delivery against scripted exporters. Where time matters it is scripted, too: one lane runs on the test's own
//! runtime, whose clock jumps to the next event whenever nothing else is to be done.

mod breaker;
mod isolation;
mod law;
mod retry;
mod room;
mod shutdown;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::condition::Notice;
use super::lane::{Lane, NoticeSink};
use super::place::Share;
use super::worker::{Post, supervise};
use crate::pipeline::exporter::{BatchExporter, DoneFuture, ExportError, ExportFuture, Exported};
use crate::testing::samples;

/// What a scripted destination answers to one attempt.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Takes,
    Refuses(usize),
    Fails(ExportError),
    Panics,
    Hangs,
    TakesAfter(Duration),
}

pub(super) fn transient() -> Reply {
    Reply::Fails(ExportError::Transient { retry_after: None, message: "503 Service Unavailable".into() })
}

pub(super) fn throttled(pause: Duration) -> Reply {
    Reply::Fails(ExportError::Transient { retry_after: Some(pause), message: "429 Too Many Requests".into() })
}

pub(super) fn permanent() -> Reply {
    Reply::Fails(ExportError::Permanent { message: "400 Bad Request".into() })
}

pub(super) fn too_large() -> Reply {
    Reply::Fails(ExportError::TooLarge { message: "413 Payload Too Large".into() })
}

/// What a scripted exporter has seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) attempts: Mutex<Vec<(Instant, usize)>>,
    pub(super) taken: AtomicUsize,
    pub(super) starts: AtomicUsize,
    pub(super) flushes: AtomicUsize,
    pub(super) shutdowns: AtomicUsize,
}

impl Seen {
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    pub(super) fn attempts(&self) -> Vec<(Instant, usize)> {
        self.attempts.lock().unwrap().clone()
    }
}

type Answer = Box<dyn FnMut(&[SpanData]) -> Reply + Send>;

pub(super) struct Scripted {
    name: &'static str,
    answer: Answer,
    seen: Arc<Seen>,
    may_block: bool,
}

impl Scripted {
    pub(super) fn new(
        name: &'static str,
        answer: impl FnMut(&[SpanData]) -> Reply + Send + 'static,
    ) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        (Self { name, answer: Box::new(answer), seen: Arc::clone(&seen), may_block: false }, seen)
    }

    pub(super) fn on_own_thread(mut self) -> Self {
        self.may_block = true;
        self
    }
}

impl BatchExporter for Scripted {
    fn component_type(&self) -> &'static str {
        "scripted_span_exporter"
    }

    fn name(&self) -> &str {
        self.name
    }

    fn start(&mut self, _: &Resource) {
        self.seen.starts.fetch_add(1, Ordering::SeqCst);
    }

    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a> {
        Box::pin(async move {
            self.seen.attempts.lock().unwrap().push((Instant::now(), spans.len()));
            let mut rejected = 0;
            match (self.answer)(spans) {
                Reply::Takes => {}
                Reply::Refuses(count) => rejected = count,
                Reply::Fails(error) => return Err(error),
                Reply::Panics => panic!("scripted panic"),
                Reply::Hangs => std::future::pending().await,
                Reply::TakesAfter(pause) => sleep(pause).await,
            }
            self.seen.taken.fetch_add(spans.len() - rejected, Ordering::SeqCst);
            Ok(Exported { rejected, reason: "no such tenant".into() })
        })
    }

    fn flush(&mut self) -> DoneFuture<'_> {
        self.seen.flushes.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {})
    }

    fn shutdown(&mut self) -> DoneFuture<'_> {
        self.seen.shutdowns.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {})
    }

    fn may_block(&self) -> bool {
        self.may_block
    }
}

/// Answers the script in order, then takes everything.
pub(super) fn script(replies: impl IntoIterator<Item = Reply>) -> impl FnMut(&[SpanData]) -> Reply + Send {
    let mut replies: Vec<_> = replies.into_iter().collect();
    replies.reverse();
    move |_| replies.pop().unwrap_or(Reply::Takes)
}

/// The lines told so far, and where they go.
pub(super) fn notices() -> (Arc<Mutex<Vec<Notice>>>, NoticeSink) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    (lines, Arc::new(move |notice: &Notice| sink.lock().unwrap().push(notice.clone())))
}

/// One lane and its worker on the runtime of the test.
pub(super) struct OneLane {
    pub(super) lane: Arc<Lane>,
    pub(super) seen: Arc<Seen>,
    pub(super) lines: Arc<Mutex<Vec<Notice>>>,
}

pub(super) const LIMIT: Duration = Duration::from_secs(60);
pub(super) const BYTES_PER_SPAN: usize = 100;

pub(super) fn one_lane(answer: impl FnMut(&[SpanData]) -> Reply + Send + 'static) -> OneLane {
    one_lane_of(Share { bytes: usize::MAX, spans: usize::MAX }, LIMIT, answer)
}

pub(super) fn one_lane_of(
    share: Share,
    limit: Duration,
    answer: impl FnMut(&[SpanData]) -> Reply + Send + 'static,
) -> OneLane {
    let (exporter, seen) = Scripted::new("scripted", answer);
    let (lines, sink) = notices();
    let lane = Arc::new(Lane::new("scripted", "scripted_span_exporter", share, sink));
    let post = Post { lane: Arc::clone(&lane), exporter: Box::new(exporter) };
    tokio::spawn(supervise(post, Resource::builder_empty().build(), limit, Backoff::seeded(42)));
    OneLane { lane, seen, lines }
}

impl OneLane {
    pub(super) fn offer(&self, spans: usize) {
        self.lane.offer(batch(spans).into(), spans * BYTES_PER_SPAN);
    }

    /// Lets the scripted time pass, and everything happen that falls into it.
    pub(super) async fn pass(&self, time: Duration) {
        sleep(time).await;
        let (collected, accounted) = self.lane.law();
        assert_eq!(collected, accounted, "every span is in exactly one place");
    }
}

pub(super) fn batch(spans: usize) -> Arc<Vec<SpanData>> {
    Arc::new((1..=spans as u64).map(|id| samples::span(u128::from(id), id, 0, "work")).collect())
}
