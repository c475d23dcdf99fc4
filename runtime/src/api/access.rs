//! Who is let in, and what every answer carries.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use subtle::ConstantTimeEq;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::options::ApiOptions;
use super::otlp;
use super::problem::Problem;
use super::state::Shared;
use super::trace;

/// The routes behind the access rules.
pub(super) fn guard(routes: Router<Shared>, shared: &Shared) -> Router<Shared> {
    let guarded = routes.layer(from_fn_with_state(Arc::clone(shared), check));
    match cors(&shared.options) {
        // Outermost: a browser asks for permission without a token.
        Some(cors) => guarded.layer(cors),
        None => guarded,
    }
}

async fn check(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let trace_id = trace::id(request.headers());
    request.extensions_mut().insert(TraceIdText(trace_id.clone()));
    let mut response = match may_enter(&shared.options, request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        // A probe has neither a token nor always a name; it is told no more than that we live.
        Err(_) if is_probe(&request) => {
            request.extensions_mut().insert(Stranger);
            next.run(request).await
        }
        Err(problem) if otlp::is_grpc(request.headers()) => otlp::denied(&problem),
        Err(problem) => problem.into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.render(&mut response, &trace_id);
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// In a request's extensions: it would not have been let in anywhere else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stranger;

/// In a request's extensions: the trace id that its answer names.
#[derive(Debug, Clone)]
pub(super) struct TraceIdText(pub(super) String);

/// Exactly this path: where the routes are nested, what is before it has been taken off.
fn is_probe(request: &Request) -> bool {
    matches!(request.uri().path(), "/health" | "/health/")
        && matches!(*request.method(), Method::GET | Method::HEAD)
}

fn may_enter(options: &ApiOptions, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let host = uri.host().or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()).map(without_port));
    if !host.is_some_and(|host| is_known(&options.hosts, host)) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this server does not go by the name in `Host`"));
    }
    let Some(token) = &options.token else { return Ok(()) };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
    let is_right = given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(token.as_bytes()))
    });
    if is_right {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNAUTHORIZED, "a bearer token is needed, and it must be the right one"))
    }
}

/// The name in `Host`: `[::1]:80` and `localhost:80` lose their ports.
fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(at) if !host.ends_with(']') => host.get(..at).unwrap_or(host),
        _ => host,
    }
}

fn is_known(hosts: &[String], host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        || hosts.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(host))
}

fn cors(options: &ApiOptions) -> Option<CorsLayer> {
    if options.cors_origins.is_empty() {
        return None;
    }
    let origins = if options.cors_origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(options.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let headers = [AUTHORIZATION, http::header::CONTENT_TYPE, http::HeaderName::from_static("last-event-id")];
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(headers)
            .expose_headers([http::header::LINK, http::header::RETRY_AFTER]),
    )
}
