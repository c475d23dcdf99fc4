use opentelemetry::trace::{Event, Link, SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use throughline::store::{StoredSpan, Written};

use crate::support::{Fixture, begin, ms, rows, same, span};

crate::on_both!(
    span_reads_back_whole,
    repeated_batch_adds_nothing,
    partly_repeated_batch_adds_the_rest,
    batching_does_not_change_a_summary,
    orphans_are_counted_and_adopted,
    many_writers_of_one_trace_lose_nothing,
    batches_at_once_are_told_apart,
    empty_batch_is_no_error,
);

fn written(inserted: usize, duplicate: usize) -> (usize, usize, usize) {
    (inserted, duplicate, 0)
}

fn counts(written: Written) -> (usize, usize, usize) {
    (written.inserted, written.duplicate, written.rejected)
}

// store.md, section 3: JSON keeps types.
async fn span_reads_back_whole(f: Fixture) {
    let mut make = span(1, 2, 7, begin())
        .attribute("text", "a \"quoted\" \\ line\n")
        .attribute("int", i64::MIN)
        .attribute("whole double", 2.0)
        .attribute("double", 0.1 + 0.2)
        .attribute("nan", f64::NAN)
        .attribute("minus zero", -0.0)
        .attribute("huge", 1e300)
        .attribute("tiny", 5e-324)
        .attribute("bool", true)
        .attribute("texts", Value::Array(Array::String(vec![StringValue::from("a"), "b".into()])))
        .attribute("doubles", Value::Array(Array::F64(vec![1.0, f64::INFINITY])))
        .attribute("task.id", "t-1")
        .attribute("gen_ai.tool.name", "search")
        .fails("timeout");
    let state = TraceState::from_key_value([("vendor", "x")]).unwrap();
    make.data.span_context = SpanContext::new(
        TraceId::from(1_u128),
        SpanId::from(u64::MAX),
        TraceFlags::SAMPLED,
        false,
        state.clone(),
    );
    make.data.parent_span_is_remote = true;
    make.data.dropped_attributes_count = 3;
    make.data.events.events = vec![Event::new(
        "cache miss",
        begin() + ms(1),
        vec![KeyValue::new("key", "k"), KeyValue::new("n", 1.0)],
        2,
    )];
    make.data.events.dropped_count = 4;
    make.data.links.links = vec![Link::new(
        SpanContext::new(TraceId::from(9_u128), SpanId::from(8_u64), TraceFlags::default(), true, state),
        vec![KeyValue::new("why", "retry")],
        0,
    )];
    make.data.links.dropped_count = 5;
    let row = make.row();
    f.store.write(vec![row.clone()]).await.unwrap();

    let stored = f.store.spans(TraceId::from(1_u128), None, 10).await.unwrap();
    assert_eq!(stored.len(), 1);
    same(&stored[0], &row);
    let attributes = stored[0].attributes();
    assert!(attributes["whole double"].is_f64(), "a double stays one");
    assert!(attributes["int"].is_i64());
    assert_eq!(
        attributes["double"].as_f64().unwrap().to_bits(),
        (0.1_f64 + 0.2).to_bits(),
        "to the last bit"
    );
    assert_eq!(attributes["nan"]["$double"], "NaN");
    assert_eq!(stored[0].ids, [Some("t-1".to_owned()), None, None, Some("search".to_owned())]);
    assert_eq!(stored[0].outcome(), "timeout");
}

// store.md, section 3: counts come from rows really inserted, so a repeated batch adds nothing.
async fn repeated_batch_adds_nothing(f: Fixture) {
    let batch =
        rows([span(1, 1, 0, begin()).fails("io"), span(1, 2, 1, begin() + ms(1)), span(2, 1, 0, begin())]);
    assert_eq!(counts(f.store.write(batch.clone()).await.unwrap()), written(3, 0));
    assert_eq!(counts(f.store.write(batch).await.unwrap()), written(0, 3));
    let trace = f.store.trace(TraceId::from(1_u128)).await.unwrap().unwrap();
    assert_eq!((trace.span_count, trace.error_count), (2, 1));
    assert_eq!(f.store.spans(TraceId::from(1_u128), None, 10).await.unwrap().len(), 2);
}

async fn partly_repeated_batch_adds_the_rest(f: Fixture) {
    let old = rows([span(1, 1, 0, begin()), span(1, 2, 1, begin())]);
    f.store.write(old).await.unwrap();
    // One is stored, one is new, and one stands twice in the batch.
    let mixed = rows([
        span(1, 2, 1, begin()),
        span(1, 3, 1, begin()).fails(""),
        span(1, 4, 1, begin()),
        span(1, 4, 1, begin()),
    ]);
    assert_eq!(counts(f.store.write(mixed).await.unwrap()), written(2, 2));
    let trace = f.store.trace(TraceId::from(1_u128)).await.unwrap().unwrap();
    assert_eq!((trace.span_count, trace.error_count), (4, 1));
}

async fn batching_does_not_change_a_summary(f: Fixture) {
    // The root is neither the first to begin nor the first to arrive.
    let spans = |trace: u128| -> Vec<StoredSpan> {
        rows([
            span(trace, 5, 1, begin() - ms(3)).service("early").name("skewed clock"),
            span(trace, 1, 0, begin()).service("gate").name("GET /").lasts(ms(50)).fails("io"),
            span(trace, 2, 1, begin() + ms(5)).service("shop").lasts(ms(500)),
            span(trace, 3, 2, begin() + ms(6)).service("bank").fails(""),
            span(trace, 4, 2, begin() + ms(6)).service("Bank, \"&\" {Sons}\\"),
        ])
    };
    f.store.write(spans(1)).await.unwrap();
    for one in spans(2) {
        f.store.write(vec![one]).await.unwrap();
    }
    for one in spans(3).into_iter().rev() {
        f.store.write(vec![one]).await.unwrap();
    }
    let one = f.store.trace(TraceId::from(1_u128)).await.unwrap().unwrap();
    assert_eq!(one.head.as_ref().unwrap().operation_name, "GET /");
    assert_eq!(one.services, ["Bank, \"&\" {Sons}\\", "bank", "early", "gate", "shop"]);
    assert_eq!((one.end_ns - one.start_ns) / 1_000_000, 508);
    for other in [2_u128, 3] {
        let other = f.store.trace(TraceId::from(other)).await.unwrap().unwrap();
        assert_eq!(other.head.as_ref().unwrap().operation_name, "GET /");
        assert_eq!(
            (other.start_ns, other.end_ns, other.span_count, other.error_count, &other.services),
            (one.start_ns, one.end_ns, 5, 2, &one.services)
        );
    }
}

async fn orphans_are_counted_and_adopted(f: Fixture) {
    f.store.write(rows([span(1, 2, 1, begin() + ms(1)), span(1, 3, 2, begin() + ms(2))])).await.unwrap();
    let trace = f.store.trace(TraceId::from(1_u128)).await.unwrap().unwrap();
    assert_eq!(trace.orphan_count, 1, "its parent has not come");
    assert_eq!(trace.head.unwrap().span_id, SpanId::from(2_u64), "the earliest stands in for the root");
    f.store.write(rows([span(1, 1, 0, begin())])).await.unwrap();
    let trace = f.store.trace(TraceId::from(1_u128)).await.unwrap().unwrap();
    assert_eq!(trace.orphan_count, 0);
    assert_eq!(trace.head.unwrap().span_id, SpanId::from(1_u64));
}

// store.md, section 3: rows sorted by trace id, or services writing one trace would deadlock.
async fn many_writers_of_one_trace_lose_nothing(f: Fixture) {
    f.store.migrate().await.unwrap();
    let begin = begin();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_u64 {
        let store = f.open(|options| options);
        writers.spawn(async move {
            for round in 0..10_u64 {
                // The same ten traces, in another order each time, each batch with spans of its own.
                let spans = (0..10_u64).map(|trace| {
                    let trace = u128::from((trace * 7 + round + writer) % 10 + 1);
                    span(trace, writer * 1_000 + round + 1, 0, begin)
                });
                let result = store.write(rows(spans)).await;
                assert_eq!(result.unwrap().inserted, 10);
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    for trace in 1..=10_u128 {
        assert_eq!(f.store.trace(TraceId::from(trace)).await.unwrap().unwrap().span_count, 40);
    }
}

// They share transactions; each hears of its own spans alone.
async fn batches_at_once_are_told_apart(f: Fixture) {
    let batch = |number: u64| {
        let own = (1..=number).map(|id| span(u128::from(number), id, 0, begin()));
        let shared = span(1_000, 1, 0, begin());
        let too_old = span(2_000, number, 0, std::time::UNIX_EPOCH + ms(1));
        rows(own.chain([shared, too_old]))
    };
    let sent: Vec<_> = (1..=20_u64)
        .map(|number| {
            let (store, spans) = (f.store.clone(), batch(number));
            tokio::spawn(async move { (number, store.write(spans).await.unwrap()) })
        })
        .collect();
    let mut shared = 0;
    for sent in sent {
        let (number, written) = sent.await.unwrap();
        let own = usize::try_from(number).unwrap();
        let is_first = written.inserted == own + 1;
        shared += usize::from(is_first);
        assert_eq!(counts(written), (own + usize::from(is_first), usize::from(!is_first), 1));
    }
    assert_eq!(shared, 1, "the span that all had was stored once");
}

async fn empty_batch_is_no_error(f: Fixture) {
    assert_eq!(f.store.write(Vec::new()).await.unwrap(), Written::default());
    assert_eq!(f.store.trace(TraceId::from(1_u128)).await.unwrap(), None);
    assert!(f.store.spans(TraceId::from(1_u128), None, 10).await.unwrap().is_empty());
}
