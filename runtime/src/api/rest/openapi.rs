//! The OpenAPI document, made from the handlers.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Object, Ref, RefOr, ResponseBuilder, Type};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::{export, health, names, path, stats, stream, traces};
use crate::api::problem::Body;

/// Where the document is.
pub(super) const PATH: &str = "/api/openapi.json";

#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Traces",
        description = "Who did what, how long it took, and how often it failed. A slash at the end of a path does not matter. Not described here, because others have: `/v1/traces`, which takes OTLP over HTTP, and `/jaeger`, below which is what Jaeger's clients ask for.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        traces::list,
        traces::trace,
        traces::spans,
        path::critical_path,
        export::export,
        stream::stream,
        stats::summary,
        stats::latency,
        names::services,
        names::operations,
        names::dependencies,
        health::health,
        document,
    ),
    components(schemas(Body)),
    security((), ("token" = [])),
    modifiers(&Token),
    tags(
        (name = "traces", description = "Traces and their spans."),
        (name = "statistics", description = "Counts and durations."),
        (name = "names", description = "What there is to ask for."),
        (name = "service", description = "The service itself."),
    ),
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The document.
pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "service",
    responses((status = 200, body = Object, content_type = "application/json"), Refused))]
pub(super) async fn document() -> Response {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| Bytes::from(openapi().to_json().unwrap_or_default()));
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.clone()).into_response()
}

type Responses = BTreeMap<String, RefOr<utoipa::openapi::Response>>;

/// What any request may be refused with.
pub(super) struct Refused;

/// 404 of a trace.
pub(super) struct Unknown;

/// What happens when there is too much to do, or the store is away.
pub(super) struct Busy;

impl IntoResponses for Refused {
    fn responses() -> Responses {
        [
            problem("400", "A parameter is wrong; `parameter` names it.", false),
            problem("401", "The bearer token is missing or wrong.", false),
            problem("403", "`Host` has a name that this server does not go by.", false),
        ]
        .into()
    }
}

impl IntoResponses for Unknown {
    fn responses() -> Responses {
        [problem("404", "There is no such trace.", false)].into()
    }
}

impl IntoResponses for Busy {
    fn responses() -> Responses {
        [
            problem("429", "As much is asked at once as is allowed.", true),
            problem("503", "The store is away.", true),
            problem("504", "The query took too long.", false),
        ]
        .into()
    }
}

fn problem(status: &str, description: &str, may_retry: bool) -> (String, RefOr<utoipa::openapi::Response>) {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let mut response =
        ResponseBuilder::new().description(description).content("application/problem+json", content);
    if may_retry {
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("After so many seconds another try is worth it."));
        response = response.header("Retry-After", header.build());
    }
    (status.to_owned(), RefOr::T(response.build()))
}
