//! The two servers that are asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use throughline::api::{Api, ApiOptions};
use throughline::store::Store;
use throughline_tests::peers;
use tokio::sync::OnceCell;
use tower::ServiceExt as _;

use crate::spans;

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Null when it is no JSON.
    pub(crate) body: Value,
}

/// Our endpoints, asked without a socket.
#[derive(Clone, Debug)]
pub(crate) struct Ours(Router);

impl Ours {
    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        Self::with(store, ApiOptions::new())
    }

    pub(crate) fn with(store: Arc<dyn Store>, options: ApiOptions) -> Self {
        Self(Api::new(store, options).router())
    }

    /// With the spans of all tests.
    pub(crate) async fn filled(store: Arc<dyn Store>) -> Self {
        let ours = Self::over(store);
        ours.receive(&spans::document()).await;
        ours
    }

    /// Takes spans as any sender's.
    pub(crate) async fn receive(&self, document: &Value) {
        let request = Request::post("/v1/traces").header(CONTENT_TYPE, "application/json");
        let (status, body) = self.send(request.body(Body::from(document.to_string())).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        let rejected = &serde_json::from_slice::<Value>(&body).unwrap()["partialSuccess"];
        assert!(rejected.is_null() || rejected["rejectedSpans"].is_null(), "{rejected}");
    }

    /// Asks for a path below `/jaeger`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let (status, body) = self.raw(Method::GET, path).await;
        Answer { status: status.as_u16(), body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    /// When another try is worth it, as the answer to a path below `/jaeger` has it.
    pub(crate) async fn retry_after(&self, path: &str) -> Option<String> {
        let request = Request::get(format!("/jaeger{path}")).header(HOST, "localhost");
        let response = self.0.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        response.headers().get(RETRY_AFTER).map(|seconds| seconds.to_str().unwrap().to_owned())
    }

    pub(crate) async fn raw(&self, method: Method, path: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::builder().method(method).uri(format!("/jaeger{path}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn send(&self, mut request: Request<Body>) -> (StatusCode, Vec<u8>) {
        request.headers_mut().insert(HOST, "localhost".parse().unwrap());
        let response = self.0.clone().oneshot(request).await.unwrap();
        (response.status(), response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }
}

/// A real Jaeger that has the spans of all tests.
#[derive(Clone, Debug)]
pub(crate) struct Theirs {
    url: String,
}

impl Theirs {
    /// `None` in a run without one, and said so. It is sent the spans once, whoever asks first.
    pub(crate) async fn filled() -> Option<Self> {
        static FILLED: OnceCell<()> = OnceCell::const_new();
        let Some(jaeger) = peers::jaeger() else {
            peers::skip("Jaeger", "jaeger");
            return None;
        };
        let theirs = Self { url: jaeger.query };
        FILLED.get_or_init(|| theirs.fill(&jaeger.otlp)).await;
        Some(theirs)
    }

    async fn fill(&self, otlp: &str) {
        let sent = reqwest::Client::new()
            .post(format!("{otlp}/v1/traces"))
            .header(CONTENT_TYPE, "application/json")
            .body(spans::document().to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status().as_u16(), 200);
        // Accepted is not yet stored.
        let deadline = Instant::now() + Duration::from_secs(30);
        for (id, count) in spans::counts() {
            loop {
                let answer = self.get(&format!("/api/traces/{id}")).await;
                if answer.body["data"][0]["spans"].as_array().is_some_and(|spans| spans.len() == count) {
                    break;
                }
                assert!(Instant::now() < deadline, "{id} did not arrive: {answer:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let answer = reqwest::Client::new().get(format!("{}{path}", self.url)).send().await.unwrap();
        let status = answer.status().as_u16();
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
        Answer { status, body }
    }
}
