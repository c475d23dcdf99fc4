//! What the arguments of `#[kafka_producer]` say.

use std::borrow::Cow;

use opentelemetry::trace::Link;

use crate::kafka::options::{CapturedHeader, KeyText};
use crate::kafka::send_options::{Existing, SendOptions};
use crate::span::{IntoLink, IntoScope};

/// The arguments of one `#[kafka_producer]`. Built only when a span is going to be made.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until they are given to a span"]
pub struct ProducerOptions {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) operation: Option<Cow<'static, str>>,
    pub(super) topic: Option<Cow<'static, str>>,
    pub(super) client_id: Option<Cow<'static, str>>,
    pub(super) links: Vec<Link>,
    pub(super) scope: Option<opentelemetry::InstrumentationScope>,
    pub(super) send: SendOptions,
}

impl ProducerOptions {
    /// The defaults, each named at its method.
    pub fn new() -> Self {
        Self::default()
    }

    /// Name of the span; default `send` or `create` and the topic.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// `messaging.operation.name`; default `send`, or `create` for a function that returns a message.
    pub fn operation(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// `messaging.destination.name`; default: the record's.
    pub fn topic(mut self, topic: impl Into<Cow<'static, str>>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// `messaging.client.id`.
    pub fn client_id(mut self, client_id: impl Into<Cow<'static, str>>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// As [`SendOptions::template`].
    pub fn template(mut self, template: impl Into<Cow<'static, str>>) -> Self {
        self.send = self.send.template(template);
        self
    }

    /// As [`SendOptions::existing`].
    pub fn existing(mut self, existing: Existing) -> Self {
        self.send = self.send.existing(existing);
        self
    }

    /// As [`SendOptions::key`].
    pub fn key(mut self, key: KeyText) -> Self {
        self.send = self.send.key(key);
        self
    }

    /// As [`SendOptions::headers`].
    pub fn headers(mut self, headers: &'static [CapturedHeader]) -> Self {
        self.send = self.send.headers(headers);
        self
    }

    /// As [`SendOptions::message_id`].
    pub fn message_id(mut self, header: &'static str) -> Self {
        self.send = self.send.message_id(header);
        self
    }

    /// As [`SendOptions::conversation_id`].
    pub fn conversation_id(mut self, header: &'static str) -> Self {
        self.send = self.send.conversation_id(header);
        self
    }

    /// As [`SendOptions::metrics`].
    pub fn metrics(mut self, record: bool) -> Self {
        self.send = self.send.metrics(record);
        self
    }

    /// As [`SendOptions::sizes`].
    pub fn sizes(mut self, record: bool) -> Self {
        self.send = self.send.sizes(record);
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
