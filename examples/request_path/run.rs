//! The parent: starts the others, sends the requests, prints the traces.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use throughline::{Exporter, Setup, Telemetry};
use throughline_examples::note;

use crate::children::{self, Started};
use crate::gateway::Order;
use crate::store::{self, Folder};
use crate::{Destination, Error, Options, Role, broker, client, collector, print};

/// Requests under way at once.
const CONCURRENCY: usize = 8;

/// From this number of requests on there is a progress line.
const LONG_RUN: usize = 20;

/// How long the traces of all requests may take after the last answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same set-up for every process of the example; only the name differs.
pub(crate) fn telemetry(service: &str, destination: &Destination) -> Result<Telemetry, Error> {
    let mut setup = Setup::new(service)
        .exporters([Exporter::Otlp])
        .otlp_endpoint(&destination.collector)
        .schedule_delay(Duration::from_millis(200))
        // So that the example shows the same whatever is set around it.
        .without_environment();
    if let Some(url) = &destination.database {
        setup = setup.exporters([Exporter::Otlp, Exporter::Database]).database_url(url);
    }
    Ok(setup.install()?)
}

/// Delivers the last spans.
pub(crate) fn finish(telemetry: &Telemetry) -> Result<(), Error> {
    let report = telemetry.shutdown(Duration::from_secs(10));
    if report.deadline_met { Ok(()) } else { Err(report.to_string().into()) }
}

pub(crate) async fn run(options: Options) -> Result<(), Error> {
    if let Some(address) = &options.kafka {
        broker::answers(address).await?;
    }
    let receiver = collector::start(options.otlp.clone()).await?;
    let folder = if options.store { Some(Folder::new()?) } else { None };
    let destination =
        Destination { collector: receiver.endpoint.clone(), database: folder.as_ref().map(Folder::url) };
    let telemetry = telemetry("client", &destination)?;
    let broker = match &options.kafka {
        Some(_) => None,
        None => Some(children::start(Role::Broker, "", &Destination::default()).await?),
    };
    let kafka = match (&options.kafka, &broker) {
        (Some(address), _) => address.clone(),
        (None, broker) => broker.as_ref().map(|broker| broker.address.clone()).unwrap_or_default(),
    };
    let mut worker = children::start(Role::Worker, &kafka, &destination).await?;
    let mut gateway = children::start(Role::Gateway, &kafka, &destination).await?;

    let begun = Instant::now();
    let progress = Progress::new(options.requests);
    if options.kill_worker {
        let half = options.requests / 2;
        send(&gateway, 0..half, &progress).await?;
        worker.kill().await?;
        send(&gateway, half..options.requests, &progress).await?;
        worker = children::start(Role::Worker, &kafka, &destination).await?;
    } else {
        send(&gateway, 0..options.requests, &progress).await?;
    }
    let finished = receiver.collector.wait_for(options.requests, |traces| progress.traces(traces));
    let all_came = tokio::select! {
        in_time = tokio::time::timeout(PATIENCE, finished) => in_time.is_ok(),
        error = worker.failed() => return Err(error),
        error = gateway.failed() => return Err(error),
    };
    progress.clear();

    // Each delivers its last spans before it ends.
    gateway.finish().await?;
    worker.finish().await?;
    tokio::task::block_in_place(|| finish(&telemetry))?;
    if let Some(broker) = broker {
        broker.finish().await?;
    }
    let (traces, passed_on) = receiver.finish().await;
    if options.json {
        print::json(&traces);
    } else {
        print::trees(&traces);
    }
    if let Some(url) = &destination.database {
        store::read_back(url, &traces, options.json).await?;
    }
    note(format_args!("{} requests, {} traces, {:.1?}", options.requests, traces.len(), begun.elapsed()));
    passed_on?;
    if all_came { Ok(()) } else { Err("not every request came through; see the traces above".into()) }
}

/// Sends the requests of these numbers.
async fn send(
    gateway: &Started,
    numbers: std::ops::Range<usize>,
    progress: &Arc<Progress>,
) -> Result<(), Error> {
    let http = reqwest::Client::new();
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONCURRENCY.min(numbers.len()) {
        let (http, next, progress) = (http.clone(), Arc::clone(&next), Arc::clone(progress));
        let (address, end) = (gateway.address.clone(), numbers.end);
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return Ok::<_, Error>(());
                }
                let card = if number % 4 == 2 { "stolen" } else { "valid" };
                let order = Order { id: number as u64 + 1, card: card.to_owned() };
                client::place(&http, &address, &order).await?;
                progress.answered();
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    Ok(())
}

/// A line on standard error that counts, on long runs at a terminal.
struct Progress {
    requests: usize,
    answered: AtomicUsize,
    shown: bool,
}

impl Progress {
    fn new(requests: usize) -> Arc<Self> {
        let shown = requests >= LONG_RUN && std::io::stderr().is_terminal();
        Arc::new(Progress { requests, answered: AtomicUsize::new(0), shown })
    }

    fn answered(&self) {
        let answered = self.answered.fetch_add(1, Ordering::Relaxed) + 1;
        self.show(format_args!("{answered}/{} requests answered", self.requests));
    }

    fn traces(&self, traces: usize) {
        self.show(format_args!("{traces}/{} requests processed", self.requests));
    }

    fn show(&self, line: std::fmt::Arguments<'_>) {
        if self.shown {
            // A progress line that cannot be written is no reason to stop.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K{line}");
        }
    }

    fn clear(&self) {
        self.show(format_args!(""));
    }
}
