//! Who is let in, and how much at once.

use std::fmt;
use std::time::Duration;

use crate::store::Lift;

/// Access rules and limits of the endpoints.
///
/// The default lets in whoever comes with a loopback name in `Host`, without a token. A program that listens on any other
/// address sets [`token`](Self::token), and names itself by [`host`](Self::host).
///
/// ```
/// use throughline::api::ApiOptions;
///
/// let options = ApiOptions::new().token("a long secret").host("traces.example.org");
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ApiOptions {
    /// What requests must carry as `Authorization: Bearer ..`. Variable: `THROUGHLINE_API_TOKEN`; default none.
    pub token: Option<String>,
    /// Names, without a port, that `Host` may have besides `localhost` and loopback addresses. `*` allows all.
    pub hosts: Vec<String>,
    /// Origins whose pages may read answers, such as `https://ops.example.org`; default none. `*` allows all.
    pub cors_origins: Vec<String>,
    /// Queries that run at once; the next one is answered with 429. Default 32.
    pub max_queries: usize,
    /// After this a request is answered with 504; default 10 s.
    pub timeout: Duration,
    /// Spans in one answer; default 10,000.
    pub max_spans: usize,
    /// The text of the spans in one answer, in bytes, after which no more are added; default 32 MiB.
    pub max_answer_bytes: usize,
    /// Clients of the live tail; the next one is answered with 429. Default 64.
    pub max_tails: usize,
    /// Events that wait for one client of the live tail; then it is told how many it missed. Default 1,024.
    pub max_waiting_events: usize,
    /// Which attributes of received spans become ids; that of the store's options.
    pub lift: Lift,
    /// The largest request that the receiver takes, unpacked, in bytes; beyond it 413. Default 16 MiB.
    pub max_request_bytes: usize,
    /// Received spans that wait for the store, and once more requests that come in, in bytes; beyond it 429. Default
    /// 64 MiB.
    pub max_waiting_bytes: usize,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            token: None,
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            max_queries: 32,
            timeout: Duration::from_secs(10),
            max_spans: 10_000,
            max_answer_bytes: 32 << 20,
            max_tails: 64,
            max_waiting_events: 1_024,
            lift: Lift::default(),
            max_request_bytes: 16 << 20,
            max_waiting_bytes: 64 << 20,
        }
    }
}

impl ApiOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires this bearer token. An empty one is none.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into()).filter(|token| !token.is_empty());
        self
    }

    /// Allows this name, without a port, in `Host`; `*` allows all.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Lets pages of this origin read answers; `*` allows all.
    #[must_use]
    pub fn cors_origin(mut self, origin: impl Into<String>) -> Self {
        self.cors_origins.push(origin.into());
        self
    }

    /// How many queries run at once.
    #[must_use]
    pub fn max_queries(mut self, queries: usize) -> Self {
        self.max_queries = queries;
        self
    }

    /// After this a request is answered with 504.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Spans in one answer.
    #[must_use]
    pub fn max_spans(mut self, spans: usize) -> Self {
        self.max_spans = spans;
        self
    }

    /// The text of the spans in one answer, in bytes.
    #[must_use]
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer_bytes = bytes;
        self
    }

    /// How many clients may follow the live tail.
    #[must_use]
    pub fn max_tails(mut self, clients: usize) -> Self {
        self.max_tails = clients;
        self
    }

    /// Which attributes of received spans become ids.
    #[must_use]
    pub fn lift(mut self, lift: Lift) -> Self {
        self.lift = lift;
        self
    }

    /// The largest request that the receiver takes, unpacked, in bytes.
    #[must_use]
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request_bytes = bytes;
        self
    }

    /// Received spans that wait for the store, in bytes.
    #[must_use]
    pub fn max_waiting_bytes(mut self, bytes: usize) -> Self {
        self.max_waiting_bytes = bytes;
        self
    }

    /// Events that wait for one client of the live tail.
    #[must_use]
    pub fn max_waiting_events(mut self, events: usize) -> Self {
        self.max_waiting_events = events;
        self
    }
}

impl fmt::Debug for ApiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiOptions")
            .field("token", &self.token.as_ref().map(|_| "REDACTED"))
            .field("hosts", &self.hosts)
            .field("cors_origins", &self.cors_origins)
            .field("max_queries", &self.max_queries)
            .field("timeout", &self.timeout)
            .field("max_spans", &self.max_spans)
            .field("max_answer_bytes", &self.max_answer_bytes)
            .field("max_tails", &self.max_tails)
            .field("max_waiting_events", &self.max_waiting_events)
            .field("lift", &self.lift)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("max_waiting_bytes", &self.max_waiting_bytes)
            .finish()
    }
}
