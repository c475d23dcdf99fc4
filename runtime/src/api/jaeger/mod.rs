//! What Jaeger's clients ask for; nested under `/jaeger`.
//!
//! Clients are split between two versions of the interface: Jaeger's own pages search by the third and open a trace by the
//! first, Grafana uses the first. Where Jaeger 2.13 and 2.20 differ, the answers are those of 2.20.
//!
//! | file | holds |
//! |---|---|
//! | `parameters`, `duration`, `ids` | what requests say |
//! | `search`, `traces` | what is asked of the store, and whole traces |
//! | `v1`, `v3`, `warnings` | the two versions, and what both warn of |

mod duration;
mod ids;
mod parameters;
mod search;
mod traces;
mod v1;
mod v3;
mod warnings;

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::Uri;
use http::header::RETRY_AFTER;

use super::problem::Problem;
use super::state::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new().merge(v1::router()).nest("/api/v3", v3::router()).fallback(unknown)
}

/// An answer that says when another try is worth it.
fn later(mut response: Response, after_s: Option<u32>) -> Response {
    if let Some(seconds) = after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

async fn unknown(uri: Uri) -> Response {
    let problem = Problem::not_found("there is nothing at this path");
    if uri.path().starts_with("/api/v3/") {
        v3::Error::from(problem).into_response()
    } else {
        v1::Error::from(problem).into_response()
    }
}
