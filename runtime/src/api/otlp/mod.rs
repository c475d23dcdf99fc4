//! The OTLP receiver: `POST /v1/traces`, and the same over gRPC.
//!
//! | file | holds |
//! |---|---|
//! | `http`, `grpc` | the two transports |
//! | `receive` | what both do: decode, store, say what became of it |
//! | `ingest` | the bounded way to the store |
//! | `budget` | how much memory requests may take while they come in |

mod budget;
mod grpc;
mod http;
mod ingest;
mod receive;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use tokio::sync::Semaphore;

use self::budget::Budget;
pub(super) use self::grpc::{denied, is_grpc};
pub(crate) use self::ingest::{Ingest, Refusal};
use super::options::ApiOptions;
use super::state::Shared;
use crate::store::Store;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/v1/traces", post(http::traces))
        .route("/v1/traces/", post(http::traces))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(grpc::export))
}

/// What all requests to the receiver share.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) ingest: Ingest,
    budget: Arc<Budget>,
    /// Requests that are decoded at once: it takes memory, and no more of them are done in parallel.
    decoding: Arc<Semaphore>,
}

impl Receiver {
    pub(super) fn new(store: Arc<dyn Store>, options: &ApiOptions) -> Self {
        let parallel = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            ingest: Ingest::new(store, options.max_waiting_bytes),
            budget: Arc::new(Budget::new(options.max_waiting_bytes)),
            decoding: Arc::new(Semaphore::new(parallel)),
        }
    }
}
