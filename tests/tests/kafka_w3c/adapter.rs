//! A service between two requests: a record for each that comes in, a call from the record's process span for each that
//! goes out. A process of its own, because duplicates are rejected in all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use throughline::kafka::{Headers, ProcessOptions, process};
use throughline::propagation::{Duplicates, set_duplicates};
use throughline::{Setup, inject_trace_context, traced_span};
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::peers;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const WAIT: Duration = Duration::from_secs(30);

/// The headers of a request, as they came or as they go.
pub(crate) type Lines = Vec<(String, Vec<u8>)>;

/// A call that the handler of a record makes; without a URL only its headers are asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) url: Option<String>,
    pub(crate) arguments: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Order {
    number: u64,
    calls: Vec<Call>,
}

pub(crate) struct Adapter {
    runtime: Runtime,
    service: Arc<Service>,
    _broker: Option<Cluster>,
}

pub(crate) struct Service {
    topic: String,
    producer: FutureProducer,
    /// Who waits for the record of this number.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Vec<Lines>>>>,
    http: reqwest::Client,
}

impl Adapter {
    /// The one of this process.
    pub(crate) fn get() -> &'static Self {
        static ADAPTER: OnceLock<Adapter> = OnceLock::new();
        ADAPTER.get_or_init(Adapter::start)
    }

    fn start() -> Self {
        let setup = Setup::new("w3c").without_environment().exporters([]).subscriber(false);
        let setup = setup.exporter(throughline::export::memory::MemoryExporter::with_traces(100));
        // It ends with the process.
        std::mem::forget(setup.install().unwrap());
        set_duplicates(Duplicates::Reject);

        let topic = format!("w3c-{}", std::process::id());
        let cluster = peers::kafka().is_none().then(|| Cluster::start(1));
        let servers = peers::kafka().or_else(|| cluster.as_ref().map(Cluster::bootstrap)).unwrap();
        if let Some(cluster) = &cluster {
            cluster.mock().create_topic(&topic, 1, 1).unwrap();
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("linger.ms", "0").set("fetch.wait.max.ms", "10");
        config.set("group.id", &topic).set("enable.auto.commit", "false");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let service = {
            let _runtime = runtime.enter();
            Arc::new(Service {
                producer: config.create().unwrap(),
                waiting: Mutex::default(),
                http: reqwest::Client::new(),
                topic,
            })
        };
        runtime.block_on(service.make_topic());
        runtime.spawn(Arc::clone(&service).consume(config));
        Adapter { runtime, service, _broker: cluster }
    }

    /// What the calls of the handler carry when a request with these headers came.
    pub(crate) fn deliver(&self, headers: Lines, calls: usize) -> Vec<Lines> {
        let calls = (0..calls).map(|_| Call::default()).collect();
        self.runtime.block_on(self.service.deliver(headers, calls))
    }

    /// The address at which requests are taken.
    pub(crate) fn serve(&self) -> String {
        self.runtime.block_on(super::http::serve(Arc::clone(&self.service)))
    }
}

impl Service {
    /// A broker may make topics when they are asked for, and needs a record for that.
    async fn make_topic(&self) {
        let first = FutureRecord::<str, str>::to(&self.topic).payload("");
        self.producer.send(first, WAIT).await.unwrap();
    }

    pub(crate) async fn deliver(&self, lines: Lines, calls: Vec<Call>) -> Vec<Lines> {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (sender, done) = oneshot::channel();
        self.waiting.lock().unwrap().insert(number, sender);
        let mut headers = Headers::new();
        for (name, value) in lines {
            headers.push(name, value);
        }
        let payload = serde_json::to_string(&Order { number, calls }).unwrap();
        let record = FutureRecord::<str, str>::to(&self.topic).payload(&payload);
        // By rdkafka's own producer: ours would write a context of its own.
        self.producer.send(record.headers(headers.to_owned_headers()), WAIT).await.unwrap();
        tokio::time::timeout(WAIT, done).await.expect("the record came").unwrap()
    }

    async fn consume(self: Arc<Self>, config: ClientConfig) {
        let consumer: StreamConsumer = config.create().unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(&self.topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&all).unwrap();
        while let Ok(message) = consumer.recv().await {
            let payload = message.payload().unwrap_or_default();
            let Ok(order) = serde_json::from_slice::<Order>(payload) else { continue };
            let handler = async {
                let mut sent = Vec::new();
                for call in &order.calls {
                    sent.push(self.call(call).await);
                }
                Ok::<_, String>(sent)
            };
            let sent = process(&message, ProcessOptions::new(), handler).await.unwrap();
            let waiting = self.waiting.lock().unwrap().remove(&order.number);
            let _ = waiting.expect("somebody waits").send(sent);
        }
    }

    #[traced_span("call", kind = client)]
    async fn call(&self, call: &Call) -> Lines {
        let mut lines = Lines::new();
        inject_trace_context(&mut lines);
        if let Some(url) = &call.url {
            let mut request = self.http.post(url).header("content-type", "application/json");
            for (name, value) in &lines {
                request = request.header(name, value.as_slice());
            }
            request.body(call.arguments.to_string()).send().await.unwrap();
        }
        lines
    }
}
