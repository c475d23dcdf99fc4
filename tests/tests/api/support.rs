//! A server over a test's store, and what it answers.

use std::sync::Arc;
use std::time::SystemTime;

use reqwest::header::HeaderMap;
use serde_json::Value as Json;
use throughline::api::{Api, ApiOptions};
use throughline::store::Store;
use throughline_tests::store::Fixture;

/// A server of the test's own. It ends with the test's runtime.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) client: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body of an answer that went well.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.text).unwrap()
    }

    /// The body of an answer that says what is wrong.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Json {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem: Json = serde_json::from_str(&self.text).unwrap();
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string() && problem["type"].is_string());
        assert_eq!(problem["trace_id"].as_str().unwrap().len(), 32);
        problem
    }
}

impl Server {
    pub(crate) async fn start(f: &Fixture) -> Self {
        Self::with(&f.store, ApiOptions::new()).await
    }

    pub(crate) async fn with(store: &Arc<dyn Store>, options: ApiOptions) -> Self {
        Self::serve(Api::new(Arc::clone(store), options).standalone()).await
    }

    pub(crate) async fn serve(app: axum::Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(path)).await
    }

    /// The numbers of the traces that `/api/traces/` lists for this query.
    #[track_caller]
    pub(crate) fn list(&self, query: &str) -> impl Future<Output = Vec<u128>> + use<> {
        let request = self.request(&format!("/api/traces/?{query}"));
        async move { numbers(&Answer::of(request).await.json()["traces"]) }
    }
}

/// The trace ids of an array, as numbers.
pub(crate) fn numbers(traces: &Json) -> Vec<u128> {
    let id = |trace: &Json| u128::from_str_radix(trace["trace_id"].as_str().unwrap(), 16).unwrap();
    traces.as_array().unwrap().iter().map(id).collect()
}

/// A trace id as it stands in a path.
pub(crate) fn hex(trace: u128) -> String {
    format!("{trace:032x}")
}

/// A time on a full second, without its zone, which is UTC.
pub(crate) fn utc(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap().strftime("%Y-%m-%dT%H:%M:%S").to_string()
}
