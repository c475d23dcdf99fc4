//! The live tail.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::Value as Json;
use throughline::api::{Api, ApiOptions};
use throughline_tests::store::{Fixture, Make, ms, rows, span};

use crate::support::{Answer, Server, hex};

crate::on_both!(
    traces_are_told_as_they_get_spans,
    filters_hold_for_the_live_tail,
    who_comes_again_misses_nothing,
    who_does_not_keep_up_is_told_how_many_were_missed,
    there_are_as_many_clients_as_are_allowed,
    server_that_ends_ends_its_streams,
    large_spans_do_not_stop_the_live_tail,
);

/// A server, and the value that tells it of new spans.
async fn start(f: &Fixture, options: ApiOptions) -> (Api, Server) {
    let api = Api::new(f.store.clone(), options);
    let server = Server::serve(api.standalone()).await;
    (api, server)
}

/// A span that began just now: older ones are no news.
fn news(trace: u128, id: u64) -> Make {
    span(trace, id, id - 1, SystemTime::now() - ms(10))
}

/// One client's connection.
struct Events {
    response: reqwest::Response,
    text: String,
    last_id: Option<String>,
}

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    data: Json,
}

impl Events {
    /// Connects, and waits until the server has begun to listen.
    async fn open(server: &Server, query: &str, last_id: Option<&str>) -> Self {
        let mut request = server.request(&format!("/api/traces/stream?{query}"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Self { response, text: String::new(), last_id: None };
        if last_id.is_none() {
            assert_eq!(events.block().await, Some(None));
            assert!(events.last_id.is_some(), "a client knows its place from the start");
        }
        events
    }

    /// What stands before the next empty line: an event, or a comment; `None` at the end.
    async fn block(&mut self) -> Option<Option<Event>> {
        let block = loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                break block;
            }
            let limit = Duration::from_secs(60);
            let chunk =
                tokio::time::timeout(limit, self.response.chunk()).await.expect("in time").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        };
        let (mut name, mut data) = (String::new(), String::new());
        for line in block.lines() {
            match line.split_once(": ").unwrap() {
                ("event", value) => value.clone_into(&mut name),
                ("data", value) => data.push_str(value),
                ("id", value) => self.last_id = Some(value.to_owned()),
                ("", _) => {}
                other => panic!("{other:?}"),
            }
        }
        Some((!data.is_empty()).then(|| Event { name, data: serde_json::from_str(&data).unwrap() }))
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.block().await.expect("the stream goes on") {
                return event;
            }
        }
    }
}

async fn traces_are_told_as_they_get_spans(f: Fixture) {
    f.store.write(rows([news(9, 1)])).await.unwrap();
    let (api, server) = start(&f, ApiOptions::new()).await;
    let mut events = Events::open(&server, "", None).await;
    for id in 1..=2 {
        f.store.write(rows([news(1, id)])).await.unwrap();
        api.committed();
        let mut event = events.next().await;
        // PostgreSQL's last second before the client came may still be told.
        while event.data["trace_id"] == hex(9) {
            event = events.next().await;
        }
        assert_eq!(event.name, "trace");
        assert_eq!((&event.data["trace_id"], &event.data["span_count"]), (&hex(1).into(), &id.into()));
        assert_eq!(event.data, server.get(&format!("/api/traces/{}", hex(1))).await.json());
    }
    // Without a word to the server: by its own look.
    f.store.write(rows([news(2, 1)])).await.unwrap();
    assert_eq!(events.next().await.data["trace_id"], hex(2));
}

async fn filters_hold_for_the_live_tail(f: Fixture) {
    let (api, server) = start(&f, ApiOptions::new()).await;
    let mut bank = Events::open(&server, "service=bank&attr=n:3", None).await;
    let mut all = Events::open(&server, "", None).await;
    let batch = [
        news(1, 1).service("bank"),
        news(2, 1).attribute("n", 3),
        news(3, 1).service("bank").attribute("n", 3),
    ];
    f.store.write(rows(batch)).await.unwrap();
    api.committed();
    assert_eq!(bank.next().await.data["trace_id"], hex(3), "the first that it hears of");
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        seen.insert(all.next().await.data["trace_id"].to_string());
    }
}

async fn who_comes_again_misses_nothing(f: Fixture) {
    f.store.migrate().await.unwrap();
    let (api, server) = start(&f, ApiOptions::new()).await;
    let mut events = Events::open(&server, "min_duration_ms=1", None).await;
    let mut seen = BTreeSet::new();
    for round in 0..3_u128 {
        let last_id = events.last_id.take();
        drop(events);
        // More than is read at once, while nobody listens.
        let batch = (1..=300_u128).map(|n| news(round * 300 + n, 1));
        f.store.write(rows(batch.chain([news(10_000 + round, 1).lasts(Duration::ZERO)]))).await.unwrap();
        events = Events::open(&server, "min_duration_ms=1", last_id.as_deref()).await;
        f.store.write(rows([news(20_000 + round, 1)])).await.unwrap();
        api.committed();
        let upto = (usize::try_from(round).unwrap() + 1) * 301;
        while seen.len() < upto {
            let event = events.next().await;
            assert_eq!(event.name, "trace");
            seen.insert(u128::from_str_radix(event.data["trace_id"].as_str().unwrap(), 16).unwrap());
        }
    }
    let expected: BTreeSet<u128> = (1..=900).chain(20_000..20_003).collect();
    assert_eq!(seen, expected);
    let foreign = server.request("/api/traces/stream").header("last-event-id", "17");
    assert_eq!(Answer::of(foreign).await.problem(400)["parameter"], "Last-Event-ID");
}

async fn who_does_not_keep_up_is_told_how_many_were_missed(f: Fixture) {
    let (api, server) = start(&f, ApiOptions::new().max_waiting_events(3)).await;
    let mut events = Events::open(&server, "", None).await;
    f.store.write(rows((1..=200).map(|trace| news(trace, 1)))).await.unwrap();
    api.committed();
    let (mut told, mut missed) = (0, 0);
    while told + missed < 200 {
        let event = events.next().await;
        match event.name.as_str() {
            "trace" => told += 1,
            "lagged" => missed += event.data["missed"].as_u64().unwrap(),
            other => panic!("{other}"),
        }
    }
    assert_eq!(told + missed, 200);
    assert!(told >= 3 && missed > 0, "{told} told, {missed} missed");
    f.store.write(rows([news(999, 1)])).await.unwrap();
    api.committed();
    assert_eq!(events.next().await.data["trace_id"], hex(999), "it goes on");
}

async fn there_are_as_many_clients_as_are_allowed(f: Fixture) {
    let (_, server) = start(&f, ApiOptions::new().max_tails(2)).await;
    let first = Events::open(&server, "", None).await;
    let _second = Events::open(&server, "", None).await;
    let third = server.get("/api/traces/stream").await;
    third.problem(429);
    assert!(third.header("retry-after").is_some());
    drop(first);
    // The server notices when it next has something to say.
    while server.request("/api/traces/stream").send().await.unwrap().status() == 429 {
        tokio::task::yield_now().await;
    }
}

async fn server_that_ends_ends_its_streams(f: Fixture) {
    let (api, server) = start(&f, ApiOptions::new()).await;
    let mut events = Events::open(&server, "", None).await;
    api.end_streams();
    assert_eq!(events.block().await, None);
    server.get("/api/traces/stream").await.problem(503);
}

/// The store gives out 1 MiB at once, and each span has a tenth of that.
async fn large_spans_do_not_stop_the_live_tail(f: Fixture) {
    let small = Fixture { url: f.url.clone(), store: f.open(|options| options.max_answer_bytes(1 << 20)) };
    let (api, server) = start(&small, ApiOptions::new()).await;
    let events = Events::open(&server, "", None).await;
    let last_id = events.last_id.clone();
    let large = (1..=30).map(|trace| news(trace, 1).attribute("text", "x".repeat(100_000)));
    f.store.write(rows(large)).await.unwrap();
    api.committed();
    for mut events in [events, Events::open(&server, "", last_id.as_deref()).await] {
        let mut seen = BTreeSet::new();
        while seen.len() < 30 {
            seen.insert(events.next().await.data["trace_id"].to_string());
        }
    }
}
