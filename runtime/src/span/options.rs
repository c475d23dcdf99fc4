//! What a caller may say about a span at its start, beyond what the call site fixes.

use std::borrow::Cow;

use opentelemetry::trace::{Link, SpanContext};
use opentelemetry::{Context, InstrumentationScope, KeyValue};

use super::clock::Reading;
#[cfg(feature = "kafka")]
use super::message::Message;
use super::message::{Details, Given};
use super::site::Kind;

/// Where a span's parent comes from.
#[derive(Debug, Default)]
pub(super) enum Parent {
    /// The context current on this thread.
    #[default]
    Current,
    /// No parent: a new trace, linked to the caller's span.
    Root,
    /// This context; its baggage is current inside the span, too.
    Context(Context),
    /// This span; baggage stays as it is.
    Span(SpanContext),
    /// This span, which need not be in the context: what else is in that is current inside the span.
    #[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only messages come with one"))]
    Remote(SpanContext, Context),
}

/// What `name = ..`, `parent = ..`, `root`, `links = ..` and `scope = ..` say, and the instrumentation of this crate.
#[derive(Debug, Default)]
pub struct Options {
    pub(super) name: Option<Cow<'static, str>>,
    pub(super) kind: Option<Kind>,
    pub(super) parent: Parent,
    pub(super) links: Vec<Link>,
    pub(super) scope: Option<InstrumentationScope>,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) begun: Option<Reading>,
    pub(super) message: Option<(&'static Given, Details)>,
}

impl Options {
    /// Nothing said: as the call site has it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the span, in place of the call site's.
    #[must_use]
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The kind, in place of the call site's.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The parent, in place of the current context. None or invalid: a root.
    #[must_use]
    pub fn parent(mut self, parent: impl IntoParent) -> Self {
        self.parent = match parent.into_parent().0 {
            Parent::Span(span) if !span.is_valid() => Parent::Context(Context::new()),
            other => other,
        };
        self
    }

    /// A new trace, with a link to the caller's span if there is one. Baggage stays.
    #[must_use]
    pub fn root(mut self) -> Self {
        self.parent = Parent::Root;
        self
    }

    /// Links to other spans. Given at creation, so that samplers see them.
    #[must_use]
    pub fn links<L: IntoLink>(mut self, links: impl IntoIterator<Item = L>) -> Self {
        self.links.extend(links.into_iter().map(IntoLink::into_link));
        self
    }

    /// The instrumentation scope, in place of the user's package.
    #[must_use]
    pub fn scope(mut self, scope: impl IntoScope) -> Self {
        self.scope = Some(scope.into_scope());
        self
    }

    /// When what the span stands for began, if that was before its links and attributes were known.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub(crate) fn begun(mut self, begun: Reading) -> Self {
        self.begun = Some(begun);
        self
    }

    /// What a message's span begins with, in one go: a value as big as this is not passed on piece by piece.
    #[cfg(feature = "kafka")]
    pub(crate) fn of_message(of: OfMessage<'_>) -> Self {
        let OfMessage { given, message, parent, links, name, scope } = of;
        let links_parent = matches!(parent, MessageParent::Continued(..));
        let parent = match parent {
            MessageParent::Continued(span, cx) => Parent::Remote(span, cx),
            MessageParent::Other(cx) => Parent::Context(cx),
        };
        let message = Some((given, Details::of(message, links_parent)));
        Self { name, kind: None, parent, links, scope, attributes: Vec::new(), begun: None, message }
    }

    /// What it has in common with the spans of other messages, and what it says about its own.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub(crate) fn message(mut self, given: &'static Given, message: &Message<'_>) -> Self {
        self.message = Some((given, Details::of(message, false)));
        self
    }

    /// Attributes. Given at creation, so that samplers see them.
    #[must_use]
    pub fn attributes(mut self, attributes: Vec<KeyValue>) -> Self {
        self.attributes.extend(attributes);
        self
    }
}

/// What the span of a message begins with. Name and attributes that it shares with other spans count less than what it is
/// told apart from them.
#[cfg(feature = "kafka")]
pub(crate) struct OfMessage<'m> {
    pub(crate) given: &'static Given,
    pub(crate) message: &'m Message<'m>,
    pub(crate) parent: MessageParent,
    pub(crate) links: Vec<Link>,
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) scope: Option<InstrumentationScope>,
}

/// What the span of a message begins under.
#[cfg(feature = "kafka")]
pub(crate) enum MessageParent {
    /// The sender's span, valid, which the span also links to. What else is in the context is current inside.
    Continued(SpanContext, Context),
    /// The span that this context names, or none.
    Other(Context),
}

/// A parent as [`IntoParent`] gives it.
#[derive(Debug)]
pub struct ParentValue(pub(super) Parent);

/// What `parent = ..` takes: a `Context`, a `SpanContext`, references to them, or an `Option` of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parent of a span",
    label = "write a `Context`, a `SpanContext`, a reference to one, or an `Option` of them"
)]
pub trait IntoParent {
    /// The parent.
    fn into_parent(self) -> ParentValue;
}

impl IntoParent for Context {
    fn into_parent(self) -> ParentValue {
        ParentValue(Parent::Context(self))
    }
}

impl IntoParent for &Context {
    fn into_parent(self) -> ParentValue {
        self.clone().into_parent()
    }
}

impl IntoParent for SpanContext {
    fn into_parent(self) -> ParentValue {
        ParentValue(Parent::Span(self))
    }
}

impl IntoParent for &SpanContext {
    fn into_parent(self) -> ParentValue {
        self.clone().into_parent()
    }
}

impl<P: IntoParent> IntoParent for Option<P> {
    fn into_parent(self) -> ParentValue {
        match self {
            Some(parent) => parent.into_parent(),
            None => ParentValue(Parent::Span(SpanContext::NONE)),
        }
    }
}

/// What `links = ..` iterates over: a `SpanContext`, a reference to one, or a `Link`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a link of a span",
    label = "iterate over `SpanContext` or `opentelemetry::trace::Link`"
)]
pub trait IntoLink {
    /// The link.
    fn into_link(self) -> Link;
}

impl IntoLink for Link {
    fn into_link(self) -> Link {
        self
    }
}

impl IntoLink for SpanContext {
    fn into_link(self) -> Link {
        Link::new(self, Vec::new(), 0)
    }
}

impl IntoLink for &SpanContext {
    fn into_link(self) -> Link {
        self.clone().into_link()
    }
}

/// What `scope = ..` takes: an `InstrumentationScope`, or a name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an instrumentation scope",
    label = "write a name or an `opentelemetry::InstrumentationScope`"
)]
pub trait IntoScope {
    /// The scope.
    fn into_scope(self) -> InstrumentationScope;
}

impl IntoScope for InstrumentationScope {
    fn into_scope(self) -> InstrumentationScope {
        self
    }
}

impl IntoScope for &InstrumentationScope {
    fn into_scope(self) -> InstrumentationScope {
        self.clone()
    }
}

impl IntoScope for &'static str {
    fn into_scope(self) -> InstrumentationScope {
        InstrumentationScope::builder(self).build()
    }
}

impl IntoScope for String {
    fn into_scope(self) -> InstrumentationScope {
        InstrumentationScope::builder(self).build()
    }
}
