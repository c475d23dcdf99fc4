use opentelemetry::trace::SpanKind;
use throughline::store::Edge;

use crate::support::{Fixture, begin, ms, rows, span};

crate::on_both!(services_and_operations_are_listed, edges_are_calls_between_services);

async fn services_and_operations_are_listed(f: Fixture) {
    let batch = rows([
        span(1, 1, 0, begin()).service("shop").name("b").kind(SpanKind::Server),
        span(1, 2, 1, begin()).service("shop").name("a"),
        span(1, 3, 1, begin()).service("shop").name("a"),
        span(1, 4, 1, begin()).service("Bank").name("a").kind(SpanKind::Client),
    ]);
    f.store.write(batch).await.unwrap();
    assert_eq!(f.store.services().await.unwrap(), ["Bank", "shop"]);
    let names = |list: Vec<(String, i16)>| {
        list.into_iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>()
    };
    assert_eq!(names(f.store.operations(None, None).await.unwrap()), ["a 1", "a 3", "b 2"]);
    assert_eq!(names(f.store.operations(Some("shop".into()), None).await.unwrap()), ["a 1", "b 2"]);
    assert_eq!(
        names(f.store.operations(Some("shop".into()), Some(SpanKind::Server)).await.unwrap()),
        ["b 2"]
    );
    assert!(f.store.operations(Some("none".into()), None).await.unwrap().is_empty());
}

async fn edges_are_calls_between_services(f: Fixture) {
    let mut batch = Vec::new();
    for call in 1..=20_u64 {
        let trace = u128::from(call);
        batch.push(
            span(trace, 1, 0, begin())
                .service("gate")
                .kind(SpanKind::Client)
                .attribute("server.address", "shop.local"),
        );
        let called =
            span(trace, 2, 1, begin() + ms(1)).service("shop").kind(SpanKind::Server).lasts(ms(call));
        batch.push(if call > 18 { called.fails("io") } else { called });
        // Without a partner: named by the database, not by its address.
        batch.push(
            span(trace, 3, 2, begin() + ms(2))
                .service("shop")
                .kind(SpanKind::Client)
                .attribute("server.address", "db.local")
                .attribute("db.namespace", "orders"),
        );
        // Within one service: no edge.
        batch.push(span(trace, 4, 2, begin() + ms(2)).service("shop"));
    }
    batch.push(
        span(99, 1, 0, begin())
            .service("shop")
            .kind(SpanKind::Producer)
            .attribute("messaging.destination.name", "paid"),
    );
    batch.push(span(98, 1, 0, begin()).service("shop").kind(SpanKind::Client));
    f.store.write(rows(batch)).await.unwrap();
    let edges = f.store.dependencies(begin() - ms(1), begin() + ms(1_000)).await.unwrap();
    let one = |edge: &Edge| {
        (edge.parent.clone(), edge.child.clone(), edge.calls, edge.errors, edge.p95_ns / 1_000_000)
    };
    let text = |a: &str, b: &str, calls, errors, p95| (a.to_owned(), b.to_owned(), calls, errors, p95);
    assert_eq!(
        edges.iter().map(one).collect::<Vec<_>>(),
        [text("gate", "shop", 20, 2, 19), text("shop", "orders", 20, 0, 1), text("shop", "paid", 1, 0, 1)]
    );
    assert!(f.store.dependencies(begin() - ms(9), begin() - ms(1)).await.unwrap().is_empty());
}
