//! The layer and its settings.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderName, Method, Uri};
use tower_layer::Layer;

use super::service::ServerService;

type RouteOf = dyn Fn(&Method, &Uri, &Extensions) -> Option<String> + Send + Sync;

/// Makes a SERVER span of every request; see the [module](crate::server).
///
/// With axum it goes on after the routes, by `Router::layer`: before, the route is not known yet.
#[derive(Clone, Debug, Default)]
#[must_use = "a layer does nothing until it is added to a router"]
pub struct ServerLayer {
    settings: Arc<Settings>,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) skip: Vec<String>,
    pub(super) public: bool,
    pub(super) traceresponse: bool,
    pub(super) trace_id_header: bool,
    pub(super) request_headers: Vec<HeaderName>,
    pub(super) response_headers: Vec<HeaderName>,
    pub(super) route: Option<Arc<RouteOf>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            skip: ["/health", "/healthz", "/livez", "/readyz", "/metrics"].map(str::to_owned).to_vec(),
            public: false,
            traceresponse: true,
            trace_id_header: false,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            route: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("skip", &self.skip)
            .field("public", &self.public)
            .field("traceresponse", &self.traceresponse)
            .field("trace_id_header", &self.trace_id_header)
            .field("request_headers", &self.request_headers)
            .field("response_headers", &self.response_headers)
            .finish_non_exhaustive()
    }
}

impl ServerLayer {
    /// A layer with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Paths that get no span, in place of `/health /healthz /livez /readyz /metrics`. They run in the caller's trace,
    /// or in a fresh unsampled one, so that a trace id exists all the same.
    pub fn skip<P: Into<String>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        self.with(|settings| settings.skip = paths.into_iter().map(Into::into).collect())
    }

    /// For servers that strangers can reach; default false. A remote parent becomes a link of a new trace, its
    /// sampling flag is not trusted, and its baggage is not taken over.
    pub fn public(self, public: bool) -> Self {
        self.with(|settings| settings.public = public)
    }

    /// Whether answers carry `traceresponse: 00-{trace id}-{span id}-{flags}`, unless one is there; default true.
    /// By the draft of W3C Trace Context Level 2.
    pub fn traceresponse(self, write: bool) -> Self {
        self.with(|settings| settings.traceresponse = write)
    }

    /// Whether answers carry `x-trace-id` with the bare trace id; default false.
    pub fn trace_id_header(self, write: bool) -> Self {
        self.with(|settings| settings.trace_id_header = write)
    }

    /// Request headers to record as `http.request.header.<name>`; default none. `authorization`,
    /// `proxy-authorization`, `cookie`, `set-cookie` and `x-api-key` read `REDACTED` even so.
    pub fn request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.request_headers = names.into_iter().collect())
    }

    /// Response headers to record as `http.response.header.<name>`; default none. Redacted as those of the request.
    pub fn response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.response_headers = names.into_iter().collect())
    }

    /// How to find `http.route`, for routers other than axum's, whose `MatchedPath` is read by default. The template
    /// (`/plans/{id}`), never the path: span names must be few.
    pub fn route_by(
        self,
        route: impl Fn(&Method, &Uri, &Extensions) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.route = Some(Arc::new(route)))
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerService::new(inner, Arc::clone(&self.settings))
    }
}
