//! What is asked of a span and what belongs to it: its events, its resource, its scope, its own time.

use opentelemetry::trace::{Event, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use throughline::store::{Converter, Filter, Lift, Page, StoredSpan};

use crate::support::{Fixture, begin, ids, ms, rows, span};

crate::on_both!(
    attributes_are_found_wherever_they_are,
    attribute_of_the_span_alone_is_another_question,
    span_is_asked_for_its_own_time,
    counts_of_services_are_by_trace,
);

fn traces() -> Vec<StoredSpan> {
    let host = |name: &str| {
        Resource::builder_empty()
            .with_service_name("shop")
            .with_attributes([KeyValue::new("host.name", name.to_owned()), KeyValue::new("host.cpus", 2)])
            .build()
    };
    let mut with_event = span(2, 1, 0, begin() + ms(1)).data;
    with_event.events.events.push(Event::new(
        "retry",
        begin(),
        vec![KeyValue::new("attempt", 3), KeyValue::new("who's", "o'neil \"x\"")],
        0,
    ));
    let mut with_scope = span(3, 1, 0, begin() + ms(2)).data;
    with_scope.instrumentation_scope = InstrumentationScope::builder("shop.http")
        .with_version("1.2")
        .with_attributes([KeyValue::new("stable", true)])
        .build();
    vec![
        Converter::new(&host("a1"), Lift::default())
            .convert(&span(1, 1, 0, begin()).attribute("attempt", "3").data),
        Converter::new(&host("b2"), Lift::default()).convert(&with_event),
        Converter::new(&host("b2"), Lift::default()).convert(&with_scope),
    ]
}

async fn attributes_are_found_wherever_they_are(f: Fixture) {
    f.store.write(traces()).await.unwrap();
    for (key, value, found) in [
        ("attempt", "3", vec![2, 1]),
        ("attempt", "4", vec![]),
        ("who's", "o'neil \"x\"", vec![2]),
        ("host.name", "b2", vec![3, 2]),
        ("host.cpus", "2", vec![3, 2, 1]),
        ("service.name", "shop", vec![3, 2, 1]),
        ("stable", "true", vec![3]),
        ("stable", "false", vec![]),
        ("otel.scope.name", "shop.http", vec![3]),
        ("otel.scope.version", "1.2", vec![3]),
        ("otel.scope.version", "1.3", vec![]),
        ("name", "shop.http", vec![]),
        ("", "", vec![]),
        ("'; drop table execution_traces; --", "\0", vec![]),
    ] {
        let filter = Filter::new().attribute_anywhere(key, value);
        let list = f.store.list(filter.clone(), Page::first(10)).await.unwrap();
        assert_eq!(ids(&list), found, "{key}={value}");
        let of_service = f.store.list(filter.service("shop"), Page::first(10)).await.unwrap();
        assert_eq!(ids(&of_service), found, "{key}={value}, by the index of services");
    }
    let both = Filter::new().attribute_anywhere("host.name", "b2").attribute_anywhere("attempt", "3");
    assert_eq!(ids(&f.store.list(both, Page::first(10)).await.unwrap()), [2]);
}

async fn attribute_of_the_span_alone_is_another_question(f: Fixture) {
    f.store.write(traces()).await.unwrap();
    let own = Filter::new().attribute("attempt", "3");
    assert_eq!(ids(&f.store.list(own, Page::first(10)).await.unwrap()), [1]);
}

async fn span_is_asked_for_its_own_time(f: Fixture) {
    f.store
        .write(rows([
            span(1, 1, 0, begin()).service("gate").lasts(ms(100)),
            span(1, 2, 1, begin() + ms(50)),
            span(2, 1, 0, begin() + ms(10)).lasts(ms(100)),
        ]))
        .await
        .unwrap();
    let at = |from, to| Filter::new().span_range(begin() + ms(from), begin() + ms(to));
    for (filter, found) in [
        (at(50, 51), vec![1]),
        (at(51, 60), vec![]),
        (at(40, 50), vec![]),
        (at(0, 11), vec![2, 1]),
        (at(0, 11).service("shop"), vec![2]),
        (at(50, 60).service("shop"), vec![1]),
        (at(50, 60).service("gate"), vec![]),
    ] {
        let list = f.store.list(filter.clone(), Page::first(10)).await.unwrap();
        assert_eq!(ids(&list), found, "{filter:?}");
        assert_eq!(list.total, Some(found.len() as u64), "{filter:?}");
    }
}

async fn counts_of_services_are_by_trace(f: Fixture) {
    f.store
        .write(rows([
            span(1, 1, 0, begin()).service("shop"),
            span(1, 2, 1, begin()).service("Bank").fails("io"),
            span(1, 3, 1, begin()).service("shop").fails("timeout"),
            span(2, 1, 0, begin()).service("shop"),
        ]))
        .await
        .unwrap();
    let id = |number: u128| TraceId::from(number);
    let counts = f.store.service_counts(vec![id(2), id(9), id(1)]).await.unwrap();
    let counts: Vec<_> = counts
        .iter()
        .map(|count| (count.trace_id, count.service.as_str(), count.spans, count.errors))
        .collect();
    assert_eq!(counts, [(id(1), "Bank", 1, 1), (id(1), "shop", 2, 1), (id(2), "shop", 1, 0)]);
    assert_eq!(f.store.service_counts(Vec::new()).await.unwrap(), []);
}
