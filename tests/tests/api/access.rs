//! Who is let in.

use reqwest::header::{AUTHORIZATION, HOST};
use throughline::api::{Api, ApiOptions};
use throughline_tests::store::Fixture;

use crate::support::{Answer, Server};

crate::on_both!(
    foreign_host_is_refused,
    token_is_asked_for,
    other_origins_get_nothing_unless_they_are_named,
    routes_can_be_nested_and_merged,
);

async fn foreign_host_is_refused(f: Fixture) {
    let server = Server::with(&f.store, ApiOptions::new().host("traces.example.org")).await;
    for (host, status) in [
        ("localhost:16690", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("127.0.1.1:16690", 200),
        ("128.0.0.1", 403),
        ("[::1]:80", 200),
        ("[::1]", 200),
        ("traces.example.org:443", 200),
        ("Traces.Example.Org", 200),
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("localhost.evil.example", 403),
        ("traces.example.org.evil.example", 403),
        ("127.0.0.1.nip.io", 403),
        ("", 403),
    ] {
        let answer = Answer::of(server.request("/api/services").header(HOST, host)).await;
        assert_eq!(answer.status, status, "{host}: {}", answer.text);
        if status == 403 {
            answer.problem(403);
        }
    }
    let probe = Answer::of(server.request("/health").header(HOST, "10.0.0.7:16690")).await.json();
    assert_eq!(probe.get("store"), None);
}

async fn token_is_asked_for(f: Fixture) {
    let server = Server::with(&f.store, ApiOptions::new().token("s3cret")).await;
    for given in [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer s3cre"),
        Some("Bearer s3cret2"),
        Some("Bearer S3CRET"),
        Some("Basic s3cret"),
        Some("s3cret"),
    ] {
        let mut request = server.request("/api/services");
        if let Some(given) = given {
            request = request.header(AUTHORIZATION, given);
        }
        let answer = Answer::of(request).await;
        answer.problem(401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{given:?}");
        assert!(!answer.text.contains("s3cret"));
    }
    for given in ["Bearer s3cret", "bearer s3cret"] {
        let request = server.request("/api/services").header(AUTHORIZATION, given);
        assert_eq!(Answer::of(request).await.status, 200);
    }
    // Nor does anybody learn without it which paths there are.
    server.get("/api/nothing").await.problem(401);
    for path in ["/api/openapi.json", "/api/traces/health", "/jaeger/api/traces/health", "/x/health"] {
        server.get(path).await.problem(401);
    }
    let posted = server.client.post(format!("{}/health", server.base));
    Answer::of(posted).await.problem(401);
}

async fn other_origins_get_nothing_unless_they_are_named(f: Fixture) {
    let origin = "https://ops.example.org";
    let plain = Server::start(&f).await;
    let answer = Answer::of(plain.request("/api/services").header("origin", origin)).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);

    let server = Server::with(&f.store, ApiOptions::new().token("x").cors_origin(origin)).await;
    let ask = |origin: &str| {
        let url = format!("{}/api/services", server.base);
        server
            .client
            .request(reqwest::Method::OPTIONS, url)
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
    };
    let asked = Answer::of(ask(origin)).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, Some(origin)));
    let other = Answer::of(ask("https://evil.example")).await;
    assert_eq!(other.header("access-control-allow-origin"), None);
    let read = server.request("/api/services").header("origin", origin).bearer_auth("x");
    let read = Answer::of(read).await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, Some(origin)));
}

async fn routes_can_be_nested_and_merged(f: Fixture) {
    let own = || axum::Router::new().route("/own", axum::routing::get(|| async { "mine" }));
    let api = Api::new(f.store.clone(), ApiOptions::new());
    let nested = own().nest("/tenants/{tenant}/traces", api.router()).fallback(|| async { "not mine" });
    let server = Server::serve(nested).await;
    assert_eq!(server.get("/own").await.text, "mine");
    server.get("/tenants/a/traces/api/services").await.json();
    server.get("/tenants/a/traces/api/traces/1").await.problem(400);
    assert_eq!(server.get("/tenants/a/traces/api/nothing").await.text, "not mine");
    assert_eq!(server.get("/tenants/a/traces/health").await.json()["status"], "healthy");

    let server = Server::serve(own().fallback(|| async { "not mine" }).merge(api.router())).await;
    server.get("/api/services/").await.json();
    assert_eq!(server.get("/elsewhere").await.text, "not mine");
}
