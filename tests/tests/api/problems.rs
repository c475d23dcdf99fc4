//! Every way to be refused.

use std::sync::Arc;
use std::time::Duration;

use throughline::api::ApiOptions;
use throughline::store::{self, StoreOptions};
use throughline_tests::store::{Fixture, Folder, begin, rows, span};

use crate::support::{Answer, Server, hex};

crate::on_both!(
    wrong_parameters_are_named,
    what_is_not_there_is_not_found,
    other_methods_are_refused,
    too_many_queries_are_told_to_come_again,
    slow_queries_are_given_up,
    final_slash_does_not_matter,
);

async fn wrong_parameters_are_named(f: Fixture) {
    let server = Server::start(&f).await;
    let id = hex(1);
    for (path, parameter) in [
        ("/api/traces/?colour=red".to_owned(), "colour"),
        ("/api/traces/?page=0".into(), "page"),
        ("/api/traces/?page=-1".into(), "page"),
        ("/api/traces/?page=10001".into(), "page"),
        ("/api/traces/?page=1&page=2".into(), "page"),
        ("/api/traces/?page_size=0".into(), "page_size"),
        ("/api/traces/?page_size=101".into(), "page_size"),
        ("/api/traces/?page_size=ten".into(), "page_size"),
        ("/api/traces/?status=ok".into(), "status"),
        ("/api/traces/?kind=SERVER".into(), "kind"),
        ("/api/traces/?trace_id=xyz".into(), "trace_id"),
        ("/api/traces/?start_time_from=yesterday".into(), "start_time_from"),
        ("/api/traces/?start_time_to=2026-13-01T00:00:00Z".into(), "start_time_to"),
        ("/api/traces/?min_duration_ms=-1".into(), "min_duration_ms"),
        ("/api/traces/?max_duration_ms=NaN".into(), "max_duration_ms"),
        ("/api/traces/?attr=novalue".into(), "attr"),
        ("/api/traces/?attr=:x".into(), "attr"),
        (format!("/api/traces/?{}", "attr=a:b&".repeat(17)), "attr"),
        ("/api/traces/?cursor=17".into(), "cursor"),
        ("/api/traces/?status=&page=".into(), "status"),
        ("/api/traces/?service=%FF".into(), "service"),
        (format!("/api/traces/?service={}", "x".repeat(5_000)), "service"),
        ("/api/traces/stats/summary?page=1".into(), "page"),
        ("/api/traces/stats/latency?status=x".into(), "status"),
        ("/api/traces/1".into(), "trace_id"),
        ("/api/traces/%FF".into(), "trace_id"),
        (format!("/api/traces/{id}0/spans"), "trace_id"),
        (format!("/api/traces/{id}?x=1"), "x"),
        (format!("/api/traces/{id}/spans?limit=0"), "limit"),
        (format!("/api/traces/{id}/spans?limit=10001"), "limit"),
        (format!("/api/traces/{id}/spans?after=x"), "after"),
        (format!("/api/traces/{id}/export?after=x"), "after"),
        (format!("/api/traces/{id}/critical-path?after=x"), "after"),
        ("/api/services?service=x".into(), "service"),
        ("/api/operations?kind=x".into(), "kind"),
        ("/api/dependencies?start_time_from=x".into(), "start_time_from"),
    ] {
        let problem = server.get(&path).await.problem(400);
        assert_eq!(problem["parameter"], parameter, "{path}");
    }
}

async fn what_is_not_there_is_not_found(f: Fixture) {
    f.store.write(rows([span(1, 1, 0, begin())])).await.unwrap();
    let server = Server::start(&f).await;
    for path in ["", "/spans", "/critical-path", "/export"] {
        server.get(&format!("/api/traces/{}{path}", hex(2))).await.problem(404);
        server.get(&format!("/api/traces/{}{path}", hex(0))).await.problem(404);
        assert_eq!(server.get(&format!("/api/traces/{}{path}", hex(1))).await.status, 200);
    }
    // Past the end of a trace that is there.
    let end = format!("/api/traces/{}/spans?after=9000000000000000000-0000000000000001", hex(1));
    assert_eq!(server.get(&end).await.json(), serde_json::json!([]));
    for path in ["/", "/api", "/api/nothing", "/api/traces/x/y/z", "/..%2f..%2fetc/passwd"] {
        server.get(path).await.problem(404);
    }
}

async fn other_methods_are_refused(f: Fixture) {
    let server = Server::start(&f).await;
    for path in ["/api/traces/", "/api/services", "/health"] {
        let request = server.client.delete(format!("{}{path}", server.base));
        let answer = Answer::of(request).await;
        answer.problem(405);
        assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    }
}

async fn too_many_queries_are_told_to_come_again(f: Fixture) {
    let server = Server::with(&f.store, ApiOptions::new().max_queries(0)).await;
    let answer = server.get("/api/services").await;
    answer.problem(429);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

async fn slow_queries_are_given_up(f: Fixture) {
    let server = Server::with(&f.store, ApiOptions::new().timeout(Duration::ZERO)).await;
    for path in ["/api/traces/", "/api/traces/stats/summary", "/api/dependencies"] {
        server.get(path).await.problem(504);
    }
}

async fn final_slash_does_not_matter(f: Fixture) {
    f.store.write(rows([span(1, 1, 0, begin())])).await.unwrap();
    let server = Server::start(&f).await;
    let id = hex(1);
    for path in [
        "/api/traces".to_owned(),
        format!("/api/traces/{id}"),
        format!("/api/traces/{id}/spans"),
        format!("/api/traces/{id}/critical-path"),
        format!("/api/traces/{id}/export"),
        "/api/traces/stats/summary".into(),
        "/api/traces/stats/latency".into(),
        "/api/services".into(),
        "/api/operations".into(),
        "/api/dependencies".into(),
        "/api/openapi.json".into(),
    ] {
        let (without, with) = (server.get(&path).await.json(), server.get(&format!("{path}/")).await.json());
        assert_eq!(without, with, "{path}");
    }
}

/// A file that cannot be there.
#[tokio::test]
async fn store_that_is_away_is_told_without_its_words() {
    let folder = Folder::new();
    let url = format!("sqlite:{}", folder.0.join("not/there/traces.db").display());
    let store = store::open(StoreOptions::new(url)).unwrap();
    let server = Server::with(&store, ApiOptions::new()).await;
    for path in ["/api/traces/", "/api/services", &format!("/api/traces/{}", hex(1))] {
        let answer = server.get(path).await;
        let problem = answer.problem(503);
        assert_eq!(answer.header("retry-after"), Some("5"));
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("select") && !detail.contains("not/there"), "{detail}");
    }
    let health = server.get("/health").await.json();
    assert_eq!(health["status"], "degraded");
    drop(Arc::clone(&store));
}

/// A table that somebody dropped: the store answers with words of its own, which nobody outside gets to see.
#[tokio::test]
async fn refusal_of_the_database_is_no_business_of_the_client() {
    let folder = Folder::new();
    let store = store::open(StoreOptions::new(folder.url())).unwrap();
    let fixture = Fixture { url: folder.url(), store };
    fixture.store.migrate().await.unwrap();
    fixture.execute("drop table trace_operations").await;
    let answer = Server::start(&fixture).await.get("/api/services").await;
    let problem = answer.problem(500);
    let detail = problem["detail"].as_str().unwrap();
    assert!(!detail.contains("trace_operations") && !detail.contains("select"), "{detail}");
}
