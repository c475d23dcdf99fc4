//! What the arguments of `#[kafka_consumer]` say about one handler.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::trace::Link;

use crate::span::{IntoLink, IntoScope};

/// How the span of a handler relates to the creation context of its message and to the span that is active where the
/// handler is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextMode {
    /// Child of the creation context; under an active span, child of that one.
    #[default]
    ParentOrLink,
    /// A new root; under an active span, child of that one.
    Link,
    /// Child of the creation context in any case.
    Parent,
    /// A root in any case.
    NewRoot,
}

/// The text form of a record's key in `messaging.kafka.message.key`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum KeyText {
    /// Left out, for instance because keys are personal data.
    Off,
    /// The key itself if it is UTF-8 and at most `max_bytes` long; a longer one is left out, not cut.
    Utf8 {
        /// Longest key that is recorded, in bytes.
        max_bytes: usize,
    },
    /// What the function makes of the key; `None` leaves it out.
    With(fn(&[u8]) -> Option<String>),
}

impl Default for KeyText {
    /// UTF-8 of at most 64 bytes.
    fn default() -> Self {
        KeyText::Utf8 { max_bytes: 64 }
    }
}

/// A header that becomes an attribute of the span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapturedHeader {
    pub(super) header: &'static str,
    pub(super) attribute: &'static str,
}

impl CapturedHeader {
    /// Records the value of `header` (compared ignoring ASCII case) as `attribute`, if it is UTF-8 of at most 256 bytes.
    pub const fn new(header: &'static str, attribute: &'static str) -> Self {
        CapturedHeader { header, attribute }
    }
}

/// The arguments of one `#[kafka_consumer]`, or of one call of [`process`](super::process()).
///
/// Built only when a span is going to be recorded, so its expressions cost nothing while tracing is off.
///
/// ```
/// use throughline::kafka::{ContextMode, ProcessOptions};
///
/// let options = ProcessOptions::new().group("billing").context(ContextMode::Parent);
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until they are given to a span"]
pub struct ProcessOptions {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) operation: Cow<'static, str>,
    pub(super) topic: Option<Cow<'static, str>>,
    pub(super) template: Option<Cow<'static, str>>,
    pub(super) group: Option<Cow<'static, str>>,
    pub(super) client_id: Option<Cow<'static, str>>,
    pub(super) server: Option<(Cow<'static, str>, u16)>,
    pub(super) context: ContextMode,
    pub(super) parent_max_age: Option<Duration>,
    pub(super) key: KeyText,
    pub(super) headers: &'static [CapturedHeader],
    pub(super) message_id: Option<&'static str>,
    pub(super) conversation_id: Option<&'static str>,
    pub(super) baggage: bool,
    pub(super) queue_time: bool,
    pub(super) metrics: bool,
    /// The delivery was counted already, as that of an attempt that is not the first.
    pub(super) counted: bool,
    pub(super) sizes: bool,
    pub(super) links: Vec<Link>,
    pub(super) scope: Option<opentelemetry::InstrumentationScope>,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        ProcessOptions {
            name: None,
            operation: Cow::Borrowed("process"),
            topic: None,
            template: None,
            group: None,
            client_id: None,
            server: None,
            context: ContextMode::default(),
            // Outlives an ordinary outage, and keeps a replay from growing traces that are days old.
            parent_max_age: Some(Duration::from_secs(3600)),
            key: KeyText::default(),
            headers: &[],
            message_id: None,
            conversation_id: None,
            baggage: true,
            queue_time: true,
            metrics: true,
            counted: false,
            sizes: false,
            links: Vec::new(),
            scope: None,
        }
    }
}

impl ProcessOptions {
    /// The defaults: a child of the creation context, or of the active span.
    pub fn new() -> Self {
        Self::default()
    }

    /// Span name; default `{operation} {template or topic}`.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// `messaging.operation.name`; default `process`. The operation type stays `process`.
    pub fn operation(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.operation = operation.into();
        self
    }

    /// `messaging.destination.name`; default: the topic of the message. Needed for a batch that may be empty.
    pub fn topic(mut self, topic: impl Into<Cow<'static, str>>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// `messaging.destination.template`, which also stands in the span name instead of the topic.
    pub fn template(mut self, template: impl Into<Cow<'static, str>>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// `messaging.consumer.group.name`.
    pub fn group(mut self, group: impl Into<Cow<'static, str>>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// `messaging.client.id`.
    pub fn client_id(mut self, client_id: impl Into<Cow<'static, str>>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// `server.address` and `server.port`, for consumers with exactly one entry in `bootstrap.servers`.
    pub fn server(mut self, address: impl Into<Cow<'static, str>>, port: u16) -> Self {
        self.server = Some((address.into(), port));
        self
    }

    /// Parent, link or new root; default [`ContextMode::ParentOrLink`].
    pub fn context(mut self, context: ContextMode) -> Self {
        self.context = context;
        self
    }

    /// A record older than this (by its timestamp) is linked instead of continued; default one hour, `None`: no limit.
    pub fn parent_max_age(mut self, max_age: Option<Duration>) -> Self {
        self.parent_max_age = max_age;
        self
    }

    /// How the key is recorded; default: UTF-8 of at most 64 bytes.
    pub fn key(mut self, key: KeyText) -> Self {
        self.key = key;
        self
    }

    /// Headers that become attributes; default none.
    pub fn headers(mut self, headers: &'static [CapturedHeader]) -> Self {
        self.headers = headers;
        self
    }

    /// Header that holds `messaging.message.id`; default none.
    pub fn message_id(mut self, header: &'static str) -> Self {
        self.message_id = Some(header);
        self
    }

    /// Header that holds `messaging.message.conversation_id`; default none.
    pub fn conversation_id(mut self, header: &'static str) -> Self {
        self.conversation_id = Some(header);
        self
    }

    /// Whether the sender's baggage is current inside the handler; default true.
    pub fn baggage(mut self, attach: bool) -> Self {
        self.baggage = attach;
        self
    }

    /// Whether `throughline.messaging.queue_time_ms` is recorded; default true.
    pub fn queue_time(mut self, record: bool) -> Self {
        self.queue_time = record;
        self
    }

    /// Whether `messaging.process.duration` and `messaging.client.consumed.messages` are recorded; default true. Both
    /// need the feature `metrics` and a global meter provider.
    pub fn metrics(mut self, record: bool) -> Self {
        self.metrics = record;
        self
    }

    /// Whether `messaging.message.body.size` (bytes) is recorded; default false.
    pub fn sizes(mut self, record: bool) -> Self {
        self.sizes = record;
        self
    }

    /// Links beside those of the convention; default none.
    pub fn links<L: IntoLink>(mut self, links: impl IntoIterator<Item = L>) -> Self {
        self.links.extend(links.into_iter().map(IntoLink::into_link));
        self
    }

    /// Instrumentation scope; default: the scope of the call site.
    pub fn scope(mut self, scope: impl IntoScope) -> Self {
        self.scope = Some(scope.into_scope());
        self
    }
}
