//! Starts the threads and tasks of a runner.

use std::future::Future;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::engine::Engine;
use super::error::RunError;
use super::farewell::Farewell;
use super::handle::RunnerHandle;
use super::lanes::{self, Lanes};
use super::lines::Lines;
use super::poll::{self, End};
use super::rebalance::{RunnerContext, Spawn};
use super::settings::{Concurrency, EngineSettings, client_config};
use super::work::Work;
use super::{commit, partition};

/// What a runner is started with, besides its work.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) config: ClientConfig,
    pub(super) group: Option<String>,
    /// Names, or patterns that begin with `^`.
    pub(super) topics: Vec<String>,
    pub(super) settings: EngineSettings,
}

/// Starts a runner on the current runtime.
///
/// # Errors
///
/// [`RunError::Setting`], [`RunError::Client`] and [`RunError::Start`].
pub(super) fn start<W: Work>(start: &Start, work: W) -> Result<RunnerHandle, RunError> {
    let runtime = Handle::try_current().map_err(|error| RunError::Start(error.to_string()))?;
    let settings = start.settings.clone();
    settings.check()?;
    check_topics(&start.topics)?;
    let config = client_config(&start.config, start.group.as_deref(), &settings)?;
    let (commits, requests) = mpsc::channel();
    let work = Arc::new(work);
    let lanes = match settings.concurrency {
        Concurrency::ByKey(count) => Some(Arc::new(Lanes::<W::Item>::new(count))),
        Concurrency::PerPartition(_) | Concurrency::Sequential => None,
    };
    let lines = Lines::start().map_err(|error| RunError::Start(error.to_string()))?;
    let engine = Arc::new(Engine::new(settings, &config, runtime.clone(), commits, lines));
    let context = RunnerContext {
        engine: Arc::clone(&engine),
        spawn: spawner(&runtime, &work, lanes.as_ref()),
        consumer: OnceLock::new(),
        farewell: Farewell::of(&config),
    };
    let consumer = BaseConsumer::from_config_and_context(&config, context).map_err(RunError::Client)?;
    let consumer = Arc::new(consumer);
    let _ = consumer.context().consumer.set(Arc::downgrade(&consumer));
    let topics: Vec<&str> = start.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(RunError::Client)?;

    let committer = thread::Builder::new().name("throughline-kafka-commit".to_owned()).spawn({
        let (engine, consumer) = (Arc::clone(&engine), Arc::downgrade(&consumer));
        move || commit::run(&engine, &consumer, &requests)
    });
    let committer = committer.map_err(|error| RunError::Start(error.to_string()))?;
    let lane_tasks: Vec<_> = lanes
        .iter()
        .flat_map(|lanes| (0..lanes.count()).map(move |lane| (lanes, lane)))
        .map(|(lanes, lane)| {
            runtime.spawn(lanes::run(Arc::clone(&work), Arc::clone(lanes), lane)).abort_handle()
        })
        .collect();
    let end_lanes = move || {
        for task in &lane_tasks {
            task.abort();
        }
        if let Some(lanes) = lanes {
            lanes.clear();
        }
    };
    let (tell, outcome) = watch::channel(None);
    // Dropped when the runtime is shut down, also while there is no partition.
    runtime.spawn(sentinel(Arc::clone(&engine), outcome.clone()));
    let end = End {
        end_lanes: Box::new(end_lanes),
        committer,
        tell: Box::new(move |outcome| drop(tell.send(Some(outcome)))),
    };
    let poll_thread = thread::Builder::new().name("throughline-kafka-poll".to_owned()).spawn({
        let engine = Arc::clone(&engine);
        move || poll::run(&engine, consumer, end)
    });
    if let Err(error) = poll_thread {
        engine.end_commits();
        return Err(RunError::Start(error.to_string()));
    }
    Ok(RunnerHandle::new(engine, outcome))
}

fn check_topics(topics: &[String]) -> Result<(), RunError> {
    if topics.is_empty() {
        return Err(RunError::setting(
            "topics",
            "",
            "nothing to consume; name topics with `.topics([..])` or `.pattern(..)`",
        ));
    }
    match topics.iter().find(|topic| topic.is_empty() || topic.contains('\0')) {
        Some(topic) => {
            Err(RunError::setting("topics", topic, "expected names of 1 to 249 of a-z A-Z 0-9 . _ -"))
        }
        None => Ok(()),
    }
}

fn spawner<W: Work>(runtime: &Handle, work: &Arc<W>, lanes: Option<&Arc<Lanes<W::Item>>>) -> Spawn {
    let (runtime, work, lanes) = (runtime.clone(), Arc::clone(work), lanes.cloned());
    Box::new(move |generation| {
        let task = partition::run(Arc::clone(&work), lanes.clone(), Arc::clone(generation));
        generation.set_task(runtime.spawn(task).abort_handle());
    })
}

/// Notices the end of the runtime, also if that drops it before it was ever polled.
fn sentinel(
    engine: Arc<Engine>,
    mut outcome: watch::Receiver<Option<poll::Outcome>>,
) -> impl Future<Output = ()> + Send {
    struct Watch(Option<Arc<Engine>>);
    impl Drop for Watch {
        fn drop(&mut self) {
            if let Some(engine) = self.0.take() {
                engine.runtime_gone();
            }
        }
    }
    impl Watch {
        fn end(mut self) {
            self.0 = None;
        }
    }
    let watch = Watch(Some(engine));
    async move {
        let _ = outcome.wait_for(Option::is_some).await;
        watch.end();
    }
}
