use std::time::{Duration, SystemTime};

use throughline::store::Filter;

use crate::support::{Fixture, ms, rows, span};

crate::on_both!(tail_tells_each_new_span_once, tail_takes_filters);

fn now() -> SystemTime {
    SystemTime::now() - ms(10)
}

async fn tail_tells_each_new_span_once(f: Fixture) {
    f.store.write(rows([span(1, 1, 0, now())])).await.unwrap();
    let first = f.store.tail(None, Filter::new(), 100, Duration::ZERO).await.unwrap();
    assert!(first.spans.is_empty(), "what was there before is no news");
    let mut cursor = first.cursor;
    let mut seen = Vec::new();
    for round in 0..3_u128 {
        // An old span is no news even when it is stored now.
        let mut batch = rows((1..=5).map(|id| span(10 + round, id, 0, now())));
        batch.extend(rows([span(50 + round, 1, 0, SystemTime::now() - Duration::from_secs(3_600))]));
        f.store.write(batch).await.unwrap();
        loop {
            let tail = f.store.tail(cursor, Filter::new(), 2, Duration::ZERO).await.unwrap();
            // The cursor goes through an event id.
            cursor = tail.cursor.map(|cursor| cursor.to_string().parse().unwrap());
            if tail.spans.is_empty() {
                break;
            }
            assert!(tail.spans.len() <= 2);
            seen.extend(tail.spans.iter().map(|span| (span.trace_id, span.span_id)));
        }
    }
    assert_eq!(seen.len(), 15);
    seen.sort_by_key(|(trace, span)| (trace.to_bytes(), span.to_bytes()));
    seen.dedup();
    assert_eq!(seen.len(), 15, "none twice");
}

async fn tail_takes_filters(f: Fixture) {
    f.store.migrate().await.unwrap();
    let cursor = f.store.tail(None, Filter::new(), 1, Duration::ZERO).await.unwrap().cursor;
    f.store.write(rows([span(1, 1, 0, now()), span(1, 2, 1, now()).service("bank")])).await.unwrap();
    let tail = f.store.tail(cursor, Filter::new().service("bank"), 10, Duration::ZERO).await.unwrap();
    assert_eq!(tail.spans.len(), 1);
    let settled = f.store.tail(cursor, Filter::new(), 10, Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(settled.spans.len(), if f.is_postgres() { 0 } else { 2 });
}
