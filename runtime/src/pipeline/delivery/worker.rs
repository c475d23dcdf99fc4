//! The threads that run exporters, and the loop that serves one lane.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep_until};

use super::attempt::{End, deliver};
use super::backoff::Backoff;
use super::lane::Lane;
use super::place::{Batch, Fate, Step};
use super::unwind::{Either, catching, race};
use crate::pipeline::exporter::BatchExporter;

/// An exporter with its place in the queue.
pub(super) struct Post {
    pub(super) lane: Arc<Lane>,
    pub(super) exporter: Box<dyn BatchExporter>,
}

/// Starts a thread with a private runtime for these exporters. A thread that cannot start turns them off.
pub(super) fn spawn(thread_name: &str, posts: Vec<Post>, resource: Resource, limit: Duration) {
    let lanes: Vec<_> = posts.iter().map(|post| Arc::clone(&post.lane)).collect();
    let started = thread::Builder::new().name(thread_name.to_owned()).spawn(move || {
        // For the thread's life: an exporter's own requests make no spans.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => serve_all(runtime, posts, &resource, limit),
            Err(error) => {
                for post in &posts {
                    post.lane.no_worker(&format!("its runtime cannot start: {error}"));
                }
            }
        }
    });
    if let Err(error) = started {
        for lane in lanes {
            lane.no_worker(&format!("its thread cannot start: {error}"));
        }
    }
}

fn serve_all(runtime: Runtime, posts: Vec<Post>, resource: &Resource, limit: Duration) {
    let served: Vec<_> = posts
        .into_iter()
        .map(|post| {
            let lane = Arc::clone(&post.lane);
            (lane, runtime.spawn(supervise(post, resource.clone(), limit, Backoff::new())))
        })
        .collect();
    runtime.block_on(async {
        for (lane, task) in served {
            if task.await.is_err() {
                lane.no_worker("its worker ended");
            }
        }
    });
    // A name lookup that hangs sits on a blocking thread; nobody waits for it.
    runtime.shutdown_background();
}

/// Serves one lane until it is closed; after a panic it waits and starts the exporter anew.
pub(super) async fn supervise(post: Post, resource: Resource, limit: Duration, mut backoff: Backoff) {
    let Post { lane, mut exporter } = post;
    let mut restart = Backoff::new();
    loop {
        let mut arrived = false;
        let served = catching(async {
            exporter.start(&resource);
            serve(&lane, exporter.as_mut(), limit, &mut backoff, &mut arrived).await;
        });
        let Err(message) = served.await else { break };
        if !lane.panicked(&message) {
            break;
        }
        if arrived {
            restart.reset();
        }
        let until = Instant::now() + restart.next_wait();
        let _ = race(race(sleep_until(until), lane.urgent()), lane.abandoned()).await;
    }
    // The destructor is the user's code, too.
    let _ = catching(async move { drop(exporter) }).await;
}

async fn serve(
    lane: &Lane,
    exporter: &mut dyn BatchExporter,
    limit: Duration,
    backoff: &mut Backoff,
    arrived: &mut bool,
) {
    loop {
        match lane.next_step() {
            Step::Export { mut batch, probe } => {
                let work = deliver(lane, exporter, &mut batch, limit, probe, backoff);
                match race(work, lane.abandoned()).await {
                    Either::First(end) => *arrived |= conclude(lane, end, probe.then_some(batch)),
                    // What is in flight stays counted as undelivered.
                    Either::Second(()) => {}
                }
            }
            Step::Flush => {
                let _ = race(exporter.flush(), lane.abandoned()).await;
                lane.flushed();
            }
            Step::Stop => {
                let _ = race(exporter.shutdown(), lane.abandoned()).await;
                lane.stopped();
                return;
            }
            Step::Wait(until) => idle(lane, exporter, until).await,
        }
    }
}

/// Tells the lane how the batch ended; whether it arrived. `probe`: the batch, if the attempt was one.
fn conclude(lane: &Lane, end: End, probe: Option<Batch>) -> bool {
    match end {
        End::Arrived { refused, why } => {
            lane.batch_arrived();
            if refused > 0 {
                lane.refused(refused, why.as_deref().unwrap_or("no reason given"));
            }
            true
        }
        End::Lost { failed_before, why } => {
            match probe.filter(|_| failed_before == 0) {
                Some(batch) => lane.probe_failed(batch, &why),
                None => lane.batch_lost(failed_before, Fate::Failed, &why),
            }
            false
        }
        End::Closed { why } => {
            lane.turned_off(&why);
            false
        }
    }
}

/// Waits for work, for the time given, or for the time that the exporter asked to be woken at.
async fn idle(lane: &Lane, exporter: &mut dyn BatchExporter, until: Option<Instant>) {
    let wake_at = exporter.wake_in().map(|pause| Instant::now() + pause);
    let earliest = match (until, wake_at) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    match earliest {
        None => lane.work().await,
        Some(at) => {
            if let Either::Second(()) = race(lane.work(), sleep_until(at)).await
                && wake_at.is_some_and(|wake_at| wake_at <= Instant::now())
            {
                exporter.wake();
            }
        }
    }
}
