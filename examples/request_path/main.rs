//! One request through three processes, printed as one trace.
//!
//! ```text
//! cargo run --example request_path
//! cargo run --example request_path -- --store    # in a database too, and read back over the REST API
//! ```
//!
//! What to look at:
//!
//! * Each tree is one request. The client's span is at the top, the gateway's below it, and below the `send` to Kafka
//!   the worker's, in another process, with the time that the message spent in the broker.
//! * Every fourth card is declined: the failed spans are red and say why.
//! * The log lines of gateway and worker (on standard error) carry the trace id that stands above the tree.
//!
//! This process starts itself three more times, as gateway, Kafka broker and worker. They know nothing of one another but
//! an address: the trace travels in the headers of the HTTP request and of the Kafka record, which the library writes and
//! reads. Each of them sends its spans by OTLP to this process, which is where the trees come from.

mod broker;
mod children;
mod client;
mod collector;
mod gateway;
mod print;
mod run;
mod store;
mod worker;

use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};
use throughline_examples::note;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// The Kafka topic between gateway and worker.
pub(crate) const TOPIC: &str = "orders";

/// Sends requests through a gateway, Kafka and a worker, and prints each as one trace.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// A Kafka broker (HOST:PORT) to use instead of the embedded one.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,

    /// An OTLP receiver over HTTP that gets all spans, too; `/v1/traces` is added to a URL without a path.
    #[arg(long, value_name = "URL", value_parser = collector::url)]
    otlp: Option<String>,

    /// Number of requests.
    #[arg(long, default_value_t = 5)]
    requests: usize,

    /// Print spans as JSON lines instead of trees.
    #[arg(long)]
    json: bool,

    /// Kill the worker in the middle and start another one: it goes on with the messages that were not finished.
    #[arg(long)]
    kill_worker: bool,

    /// Keep the spans in a database as well (an SQLite file in a temporary folder), and end with a trace that is read back
    /// over the REST API.
    #[arg(long)]
    store: bool,

    /// What this process is; set by the process that starts the others.
    #[arg(long, hide = true)]
    role: Option<Role>,

    #[command(flatten)]
    destination: Destination,
}

/// Where a child sends its spans.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Destination {
    /// The parent's receiver.
    #[arg(long, hide = true, default_value = "")]
    collector: String,

    /// The URL of the database, with `--store`.
    #[arg(long, hide = true)]
    database: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Broker,
    Gateway,
    Worker,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Broker => "broker",
            Role::Gateway => "gateway",
            Role::Worker => "worker",
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    let role = options.role;
    let kafka = options.kafka.clone().unwrap_or_default();
    let ended = match role {
        None => run::run(options).await,
        Some(Role::Broker) => broker::run().await,
        Some(Role::Gateway) => gateway::run(&kafka, &options.destination).await,
        Some(Role::Worker) => worker::run(&kafka, &options.destination).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let who = role.map_or(String::new(), |role| format!("{}: ", role.name()));
            note(format_args!("error: {who}{error}"));
            ExitCode::FAILURE
        }
    }
}
