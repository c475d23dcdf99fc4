//! What the store takes and how fast it answers.
//!
//! `cargo bench -p throughline-tests --bench store` fills an SQLite file;
//! `tests/peers/postgres -- cargo bench -p throughline-tests --bench store` PostgreSQL as well. `-- 1000000` says how many
//! spans (default 200,000), `-- sqlite` or `-- postgres` which of them alone. Wanted: PostgreSQL 60,000 spans a second with
//! all indexes, SQLite 70,000; a trace by id within 5 ms, a filtered list within 50 ms (95 of 100), also at 10,000,000
//! spans.
//!
//! A batch is 512 spans of about 51 traces; a span has ten attributes. The file or cluster lies where `TMPDIR` says.
//! `-- keep` leaves the SQLite file there, and `-- ask URL` asks what such a run has filled, an hour later as well.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use throughline::store::{self, Converter, Filter, Lift, Outcome, Page, Store, StoreOptions};
use throughline_tests::peers;

const BATCH: u64 = 512;
const SPANS_PER_TRACE: u64 = 10;
const SERVICES: u64 = 12;
/// Programs that send at once.
const WRITERS: usize = 8;

/// A filter, from a random number.
type Question = Box<dyn Fn(u64) -> Filter>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let spans = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = std::env::temp_dir().join(format!("throughline-bench-{}", std::process::id()));
    let url = format!("sqlite:{}", folder.join("traces.db").display());
    if let Some(at) = arguments.iter().position(|argument| argument == "ask") {
        let url = arguments.get(at + 1).expect("the URL of a store");
        runtime.block_on(ask_again(url));
        return;
    }
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let wanted = |name: &str| has(name) || !(has("sqlite") || has("postgres"));
    std::fs::create_dir_all(&folder).expect("a folder");
    if wanted("sqlite") {
        runtime.block_on(measure("SQLite", &url, spans));
    }
    if has("keep") {
        println!("{url} is kept");
    } else {
        let _ = std::fs::remove_dir_all(&folder);
    }
    if !wanted("postgres") {
        return;
    }
    match peers::postgres() {
        Some(url) => runtime.block_on(measure("PostgreSQL", &url, spans)),
        None => peers::skip("PostgreSQL", "postgres"),
    }
}

async fn measure(what: &str, url: &str, spans: u64) {
    let store = store::open(StoreOptions::new(url)).expect("a store");
    store.migrate().await.expect("a schema");
    let begin = SystemTime::now() - Duration::from_secs(3_600 * 20);
    // 1,000 spans a second would be 20 hours for the largest fill.
    let spacing = Duration::from_nanos(3_600 * 20 * 1_000_000_000 / spans.max(1));
    let mut make = Make::new(begin, spacing);
    // One program that sends a batch after the other, and then some that send at once.
    for (writers, until) in [(1, spans / 5), (WRITERS, spans)] {
        fill(what, &store, &mut make, writers, until).await;
    }
    let size = store.health().await.expect("health").size_bytes;
    println!("{what}: {} bytes a span on disk, indexes included", size / make.made);
    ask(what, &store, make.made, begin).await;
}

/// Asks a store that an earlier run has filled.
async fn ask_again(url: &str) {
    let store = store::open(StoreOptions::new(url)).expect("a store");
    let first = store.trace(trace_id(0)).await.expect("an answer").expect("the first trace of a run");
    let newest = store.list(Filter::new(), Page::first(1).count(false)).await.expect("an answer").traces;
    let id = u128::from_be_bytes(newest.first().expect("a trace").trace_id.to_bytes());
    let traces = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
    let begin = SystemTime::UNIX_EPOCH + Duration::from_nanos(first.start_ns.unsigned_abs());
    ask("again", &store, traces * SPANS_PER_TRACE, begin).await;
}

async fn fill(what: &str, store: &Arc<dyn Store>, make: &mut Make, writers: usize, until: u64) {
    let begun = make.made;
    let (mut converting, mut writing, mut batches) = (Duration::ZERO, Duration::ZERO, Vec::new());
    while make.made < until {
        let made: Vec<_> = (0..writers * 4).map(|_| make.batch()).collect();
        let at = Instant::now();
        let rows: Vec<Vec<_>> = made
            .iter()
            .map(|batch| {
                batch.iter().map(|(span, service)| make.converters[*service].convert(span)).collect()
            })
            .collect();
        converting += at.elapsed();
        // Each writer sends its next batch when the one before is written.
        let mut queues: Vec<Vec<Vec<_>>> = (0..writers).map(|_| Vec::new()).collect();
        for (number, batch) in rows.into_iter().enumerate() {
            queues[number % writers].push(batch);
        }
        let at = Instant::now();
        let sent = queues.into_iter().map(|queue| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut times = Vec::new();
                for rows in queue {
                    let (at, count) = (Instant::now(), rows.len());
                    let written = store.write(rows).await.expect("written");
                    assert_eq!(written.inserted, count);
                    times.push(at.elapsed());
                }
                times
            })
        });
        for sent in sent.collect::<Vec<_>>() {
            batches.extend(sent.await.expect("a writer"));
        }
        writing += at.elapsed();
    }
    let spans = make.made - begun;
    let rate = |time: Duration| spans as f64 / time.as_secs_f64() / 1e3;
    batches.sort_unstable();
    println!(
        "{what}, {writers} at once: {spans} spans written at {:.1} k/s, conversion to rows included {:.1} k/s; a batch takes \
         {:.1} ms, 95 of 100 within {:.1} ms",
        rate(writing),
        rate(writing + converting),
        batches[batches.len() / 2].as_secs_f64() * 1e3,
        batches[batches.len() * 95 / 100].as_secs_f64() * 1e3,
    );
}

async fn ask(what: &str, store: &Arc<dyn Store>, spans: u64, begin: SystemTime) {
    let traces = spans / SPANS_PER_TRACE;
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let report = |name: &str, mut times: Vec<Duration>| {
        times.sort_unstable();
        let ms = |at: usize| times[(times.len() * at / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
        println!("{what}: {name:<44} p50 {:>8.2} ms  p95 {:>8.2} ms", ms(50), ms(95));
    };
    const ROUNDS: usize = 60;

    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let id = trace_id(next() % traces);
        let at = Instant::now();
        let trace = store.trace(id).await.expect("an answer").expect("it is stored");
        let all = store.spans(id, None, 10_000).await.expect("an answer");
        times.push(at.elapsed());
        assert_eq!(all.len() as u64, trace.span_count);
    }
    report("a trace with its spans, by id", times);

    let hour = begin + Duration::from_secs(3_600 * 9);
    let questions: Vec<(&str, Question)> = vec![
        ("all", Box::new(|_| Filter::new())),
        ("service", Box::new(|n| Filter::new().service(service(n % SERVICES)))),
        (
            "service and errors",
            Box::new(|n| Filter::new().service(service(n % SERVICES)).outcome(Outcome::Error)),
        ),
        (
            "service and operation",
            Box::new(|n| Filter::new().service(service(n % SERVICES)).operation(operation(n % 40))),
        ),
        (
            "operation, a part of it",
            Box::new(|n| Filter::new().operation_contains(format!("STEP_{}", n % 40))),
        ),
        ("task", Box::new(move |n| Filter::new().task_id(format!("task-{}", n % (traces / 3).max(1))))),
        ("errors", Box::new(|_| Filter::new().outcome(Outcome::Error))),
        ("longer than 90 ms", Box::new(|_| Filter::new().min_duration(Duration::from_millis(90)))),
        (
            "service in one hour",
            Box::new(move |n| {
                Filter::new().service(service(n % SERVICES)).from(hour).to(hour + Duration::from_secs(3_600))
            }),
        ),
        (
            "attribute in one hour",
            Box::new(move |n| {
                Filter::new()
                    .attribute("user.id", format!("{}", n % 5_000))
                    .from(hour)
                    .to(hour + Duration::from_secs(3_600))
            }),
        ),
    ];
    for (name, filter) in &questions {
        for count in [true, false] {
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                let filter = filter(next());
                let at = Instant::now();
                store.list(filter, Page::first(50).count(count)).await.expect("an answer");
                times.push(at.elapsed());
                if times.iter().sum::<Duration>() > Duration::from_secs(20) {
                    break;
                }
            }
            report(&format!("list: {name}{}", if count { ", counted" } else { "" }), times);
        }
    }

    let mut times = Vec::new();
    let first = store.list(Filter::new().service(service(1)), Page::first(50)).await.expect("an answer");
    let mut cursor = first.next;
    while let Some(after) = cursor
        && times.len() < ROUNDS
    {
        let at = Instant::now();
        let page = Page::first(50).after(after).count(false);
        cursor = store.list(Filter::new().service(service(1)), page).await.expect("an answer").next;
        times.push(at.elapsed());
    }
    report("list: service, the pages after the first", times);

    let mut times = Vec::new();
    for _ in 0..3 {
        let at = Instant::now();
        store
            .stats(Filter::new().from(hour).to(hour + Duration::from_secs(3_600)), None)
            .await
            .expect("an answer");
        times.push(at.elapsed());
    }
    report("statistics of one hour", times);
}

fn trace_id(number: u64) -> TraceId {
    // Spread like random ids: neighbours in time are none in the index.
    let high = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995;
    TraceId::from(u128::from(high) << 64 | u128::from(number + 1))
}

fn service(number: u64) -> String {
    format!("service-{number}")
}

fn operation(number: u64) -> String {
    format!("pipeline.step_{number}")
}

struct Make {
    made: u64,
    begin: SystemTime,
    spacing: Duration,
    converters: Vec<Converter>,
}

impl Make {
    fn new(begin: SystemTime, spacing: Duration) -> Self {
        let converters = (0..SERVICES)
            .map(|number| {
                let resource = Resource::builder().with_service_name(service(number)).build();
                Converter::new(&resource, Lift::default())
            })
            .collect();
        Self { made: 0, begin, spacing, converters }
    }

    fn batch(&mut self) -> Vec<(SpanData, usize)> {
        (0..BATCH)
            .map(|_| {
                let number = self.made;
                self.made += 1;
                self.span(number)
            })
            .collect()
    }

    fn span(&self, number: u64) -> (SpanData, usize) {
        let (trace, place) = (number / SPANS_PER_TRACE, number % SPANS_PER_TRACE);
        let mix = number.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 20;
        let start = self.begin + self.spacing * u32::try_from(number).unwrap_or(u32::MAX);
        let mut attributes = vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("url.path", format!("/orders/{}", mix % 100_000)),
            KeyValue::new("http.response.status_code", 200),
            KeyValue::new("server.address", "orders.internal"),
            KeyValue::new("server.port", 8080),
            KeyValue::new("user.id", format!("{}", mix % 5_000)),
            KeyValue::new("retry", false),
            KeyValue::new("ratio", mix as f64 / 1e9),
            KeyValue::new("code.function.name", "orders::handler::create_order"),
        ];
        if place == 3 {
            attributes.push(KeyValue::new("task_id", format!("task-{}", trace / 3)));
        }
        let failed = mix.is_multiple_of(50);
        let data = SpanData {
            span_context: SpanContext::new(
                trace_id(trace),
                SpanId::from(mix << 8 | (place + 1)),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: if place == 0 { SpanId::INVALID } else { SpanId::from(place) },
            parent_span_is_remote: false,
            span_kind: if place == 0 { SpanKind::Server } else { SpanKind::Internal },
            name: operation(mix % 40).into(),
            start_time: start,
            end_time: start + Duration::from_micros(mix % 100_000),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if failed { Status::error("it failed") } else { Status::Unset },
            instrumentation_scope: InstrumentationScope::default(),
        };
        (data, usize::try_from((trace * 7 + place / 4) % SERVICES).unwrap_or(0))
    }
}
