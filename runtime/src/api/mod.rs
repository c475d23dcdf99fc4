//! Endpoints over a [`Store`]: REST for people and programs, what Jaeger's clients ask for, and an OTLP receiver.
//!
//! ```
//! use throughline::api::{Api, ApiOptions};
//! use throughline::store::{self, StoreOptions};
//!
//! # fn main() -> Result<(), throughline::store::StoreError> {
//! # #[cfg(feature = "sqlite")] {
//! let store = store::open(StoreOptions::new("sqlite:./throughline.db"))?;
//! let api = Api::new(store, ApiOptions::new().token("a long secret"));
//! let app: axum::Router = axum::Router::new().nest("/tracing", api.router());
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! The guide, with every path and answers to look at, is [`guide::api`](crate::guide::api). Whoever is let in is decided by
//! [`ApiOptions`]: by default only requests whose `Host` is a loopback name. No request makes more than a bounded number of
//! queries at once, reads more than a bounded number of spans, or waits for ever.
//!
//! | module | holds |
//! |---|---|
//! | `rest` | `/api/..` and `/health`, and the OpenAPI document |
//! | `jaeger` | `/jaeger/..` |
//! | `otlp` | `/v1/traces`, and the same over gRPC |
//! | `access`, `options`, `problem`, `params`, `trace` | who is let in, and what goes in and comes out |
//! | `state`, `spans`, `dependencies`, `tail` | the store, asked within limits |

mod access;
mod dependencies;
mod jaeger;
mod options;
mod otlp;
mod params;
mod problem;
mod rest;
mod spans;
mod state;
mod tail;
mod trace;

use std::sync::Arc;

use axum::Router;

pub use self::options::ApiOptions;
#[cfg(all(feature = "serve", feature = "kafka"))]
use self::otlp::Ingest;
#[cfg(all(feature = "serve", feature = "kafka"))]
pub(crate) use self::otlp::Refusal;
use self::problem::Problem;
use self::state::{Shared, State};
use crate::store::Store;

/// All endpoints over a store, with the default [`ApiOptions`].
///
/// The router has no fallback of its own, so that it can be merged into any other.
pub fn router(store: Arc<dyn Store>) -> Router {
    Api::new(store, ApiOptions::new()).router()
}

/// A store with its limits, its access rules and its live tail. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Api {
    shared: Shared,
}

impl Api {
    /// Nothing is started before the first request.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, options: ApiOptions) -> Self {
        Self { shared: Arc::new(State::new(store, options)) }
    }

    /// All endpoints, to be merged into another router or nested below a path of it. A path that is none of them is the
    /// other router's.
    pub fn router(&self) -> Router {
        self.guarded(routes())
    }

    /// All endpoints for a server of their own, which answers 404 to every other path.
    pub fn standalone(&self) -> Router {
        self.guarded(routes().fallback(unknown_path))
    }

    /// The OTLP receiver alone, over HTTP and gRPC, for a port of its own.
    ///
    /// gRPC needs HTTP/2: with `axum::serve`, the feature `http2` of `axum`.
    pub fn receiver(&self) -> Router {
        self.guarded(otlp::router())
    }

    /// Returns when no received spans wait for the store any more; for the end of a server that no longer listens.
    pub async fn idle(&self) {
        self.shared.receiver.ingest.idle().await;
    }

    /// Says that spans were stored by other ways than this value's own receiver, so that the live tail need not wait for its
    /// next look, at most a second.
    pub fn committed(&self) {
        self.shared.committed();
    }

    /// Ends all live tails and takes no new ones. Without it, a server that waits for its connections to end waits for ever.
    pub fn end_streams(&self) {
        self.shared.end_tails();
    }

    /// The way to the store that received spans take.
    #[cfg(all(feature = "serve", feature = "kafka"))]
    pub(crate) fn ingest(&self) -> Ingest {
        self.shared.receiver.ingest.clone()
    }

    fn guarded(&self, routes: Router<Shared>) -> Router {
        access::guard(routes, &self.shared).with_state(Arc::clone(&self.shared))
    }
}

fn routes() -> Router<Shared> {
    rest::router().nest("/jaeger", jaeger::router()).merge(otlp::router())
}

async fn unknown_path() -> Problem {
    Problem::not_found("there is no such path; /api/openapi.json lists those that are")
}
