//! A tower layer that gives every request to a web server a SERVER span, and a health route.
//!
//! ```
//! use axum::{Router, routing::get};
//! use throughline::server::{ServerLayer, health_router};
//!
//! # async fn load() -> &'static str { "" }
//! let app: Router = Router::new()
//!     .route("/plans/{id}", get(load))
//!     .merge(health_router())
//!     .layer(ServerLayer::new()); // after the routes: it wants to know which one matched
//! ```
//!
//! Follows the semantic conventions for HTTP spans, v1.44.0: the span is named `{method} {http.route}`, never by the
//! path. The parent comes from the request's headers in whatever format is configured. The span ends with the **body**
//! of the answer, with its trailers for gRPC; for upgrades and `text/event-stream` it ends with the head.
//!
//! | what happens | status | `error.type` |
//! |---|---|---|
//! | answer below 500 | unset | - |
//! | answer from 500 on | Error | the code, such as `500` |
//! | the service fails without an answer, or the body breaks off | Error | the type of the error |
//! | the client goes away | Error | `cancelled` |
//! | the handler panics | Error | `panic` |

mod attributes;
mod body;
mod grpc;
mod health;
mod layer;
mod redact;
mod request;
mod service;

pub use body::TracedBody;
pub use health::health_router;
pub use layer::ServerLayer;
pub use service::{ServerFuture, ServerService};
