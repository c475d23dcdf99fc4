//! What a producer's spans say and which contexts they keep.

use std::borrow::Cow;

use super::options::{CapturedHeader, KeyText};

/// What becomes of a trace context that a record already carries in its headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Existing {
    /// It is replaced: a bare `traceparent` is nearly always the copy of a forwarded one.
    #[default]
    Replace,
    /// A valid one is kept as a creation context that was made on purpose: the span of the send links to it.
    Keep,
}

/// How a [`TracedProducer`](super::TracedProducer) or [`TracedThreadedProducer`](super::TracedThreadedProducer) makes its
/// spans; give it to `with_options`.
///
/// ```
/// use throughline::kafka::{KeyText, SendOptions};
///
/// let options = SendOptions::new().key(KeyText::Off).template("orders.{tenant}");
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until they are given to a producer"]
pub struct SendOptions {
    pub(super) template: Option<Cow<'static, str>>,
    pub(super) existing: Existing,
    pub(super) create_spans: bool,
    pub(super) key: KeyText,
    pub(super) headers: &'static [CapturedHeader],
    pub(super) message_id: Option<&'static str>,
    pub(super) conversation_id: Option<&'static str>,
    pub(super) metrics: bool,
    pub(super) sizes: bool,
}

impl Default for SendOptions {
    fn default() -> Self {
        SendOptions {
            template: None,
            existing: Existing::default(),
            create_spans: true,
            key: KeyText::default(),
            headers: &[],
            message_id: None,
            conversation_id: None,
            metrics: true,
            sizes: false,
        }
    }
}

impl SendOptions {
    /// The defaults, each named at its method.
    pub fn new() -> Self {
        Self::default()
    }

    /// `messaging.destination.template`, in span names and metrics in place of the topic; default none.
    pub fn template(mut self, template: impl Into<Cow<'static, str>>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// Whether a trace context among a record's headers is replaced or kept; default [`Existing::Replace`].
    pub fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Whether each record of a batch gets a `create` span, whose context it carries; default true. Without them all
    /// records carry the context of the one `send` span.
    pub fn create_spans(mut self, create: bool) -> Self {
        self.create_spans = create;
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

    /// Whether `messaging.client.operation.duration` and `messaging.client.sent.messages` are recorded; default true.
    /// Both need the feature `metrics` and a global meter provider.
    pub fn metrics(mut self, record: bool) -> Self {
        self.metrics = record;
        self
    }

    /// Whether `messaging.message.body.size` (bytes) is recorded; default false.
    pub fn sizes(mut self, record: bool) -> Self {
        self.sizes = record;
        self
    }
}
