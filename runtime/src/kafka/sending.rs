//! A send from its call to the report on its delivery: the span, the context that goes into the record, the measurement.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;

use super::adopted::{self, Adopted};
use super::client::Client;
use super::known::{self, Common};
use super::metrics::{self, Measured, Timer};
use super::record::Record;
use super::send_options::{Existing, SendOptions};
use super::{attributes, error, headers};
use crate::propagation;
use crate::span::message::{Given, Message};
use crate::span::{self, Kind, Options, OwnedSpan, Site};
use crate::trace_context::CreationContext;

static SEND: Site = Site::internal("send", Kind::Producer);

/// What the spans of one handle of a producer have in common.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) client: Arc<Client>,
    pub(super) options: SendOptions,
    /// What the spans of a topic have in common, before and after the cluster is known.
    known: RwLock<Vec<(String, bool, &'static Given)>>,
}

/// Topics of which a producer remembers that. What is above it is looked for each time.
const MOST_TOPICS: usize = 64;

/// What a span says of a record that is being sent.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'r> {
    pub(super) topic: &'r str,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<&'r [u8]>,
    pub(super) value: Option<&'r [u8]>,
    pub(super) creation: &'r CreationContext,
    /// Whose baggage goes along.
    pub(super) record: Option<&'r Record>,
}

/// A send that is under way.
#[derive(Debug)]
pub(super) struct Sending {
    span: OwnedSpan,
    timer: Timer,
    profile: Arc<Profile>,
}

impl Profile {
    pub(super) fn new(client: Arc<Client>, options: SendOptions) -> Self {
        Profile { client, options, known: RwLock::default() }
    }

    /// Name and attributes of the send spans of a topic (kafka.md S-1, A-16). `None`: there are too many topics.
    fn known(&self, topic: &str) -> Option<&'static Given> {
        let has_cluster = self.client.cluster().is_some();
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let is_it = |(of, with, _): &&(String, bool, _)| of == topic && *with == has_cluster;
            if let Some((.., given)) = known.iter().find(is_it) {
                return Some(given);
            }
        }
        let text = |text: &str| Common::Text(Cow::Owned(text.to_owned()));
        let mut attributes = vec![
            (attributes::SYSTEM, Common::Text("kafka".into())),
            (attributes::OPERATION_NAME, Common::Text("send".into())),
            (attributes::OPERATION_TYPE, Common::Text("send".into())),
            (attributes::DESTINATION, text(topic)),
        ];
        attributes
            .extend(self.options.template.as_deref().map(|template| (attributes::TEMPLATE, text(template))));
        attributes.extend(self.client.common());
        let given = known::registered(self.name("send", Some(topic)).into(), attributes)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST_TOPICS {
            known.push((topic.to_owned(), has_cluster, given));
        }
        Some(given)
    }

    /// kafka.md A-16: what samplers see.
    pub(super) fn given(
        &self,
        operation: &'static str,
        topic: Option<&str>,
        partition: Option<i32>,
    ) -> Vec<KeyValue> {
        let mut given = Vec::with_capacity(10);
        given.extend(attributes::operation(Cow::Borrowed(operation), operation));
        given.extend(topic.map(|topic| KeyValue::new(attributes::DESTINATION, topic.to_owned())));
        given.extend(
            self.options.template.clone().map(|template| KeyValue::new(attributes::TEMPLATE, template)),
        );
        given.extend(partition.and_then(attributes::partition));
        given.extend(self.client.attributes());
        given
    }

    /// kafka.md S-1.
    pub(super) fn name(&self, operation: &str, topic: Option<&str>) -> String {
        match self.options.template.as_deref().or(topic) {
            Some(destination) => format!("{operation} {destination}"),
            None => operation.to_owned(),
        }
    }

    pub(super) fn timer(&self) -> Timer {
        if self.options.metrics { Timer::start() } else { Timer::off() }
    }

    pub(super) fn measured<'a>(
        &'a self,
        topic: Option<&'a str>,
        partition: Option<i32>,
        error: Option<&'static str>,
    ) -> Measured<'a> {
        Measured {
            operation: "send".into(),
            kind: "send",
            topic: topic.map(Cow::Borrowed),
            template: self.options.template.as_deref().map(Cow::Borrowed),
            group: None,
            partition: partition.filter(|partition| *partition >= 0),
            server: self.client.server().map(|(address, port)| (Cow::Borrowed(address), port)),
            error_type: error.map(Cow::Borrowed),
        }
    }

    /// M-2, at the report.
    pub(super) fn count_sent(&self, topic: &str, partition: i32, error: Option<&KafkaError>) {
        if self.options.metrics {
            let error = error.map(error::error_type);
            metrics::sent(1, || self.measured(Some(topic), Some(partition), error));
        }
    }

    /// What goes onto a span that records, beyond what samplers see (kafka.md ).
    pub(super) fn details(&self, outgoing: &Outgoing<'_>, headers: Option<&OwnedHeaders>) -> Vec<KeyValue> {
        let mut all = Vec::new();
        all.extend(attributes::key(outgoing.key, self.options.key));
        if outgoing.value.is_none() {
            all.push(KeyValue::new(attributes::TOMBSTONE, true));
        }
        self.asked_for(outgoing, headers, &mut all);
        all
    }

    fn asked_for(&self, outgoing: &Outgoing<'_>, headers: Option<&OwnedHeaders>, all: &mut Vec<KeyValue>) {
        if let Some(value) = outgoing.value.filter(|_| self.options.sizes) {
            all.push(attributes::body_size(value.len()));
        }
        if let Some(headers) = headers {
            let SendOptions { message_id, conversation_id, headers: named, .. } = self.options;
            all.extend(headers::all_captured(headers, message_id, conversation_id, named));
        }
    }

    /// The creation context that is not this send's own (kafka.md P-2, T-3), if the record has one.
    pub(super) fn custom(&self, outgoing: &Outgoing<'_>, headers: &Option<OwnedHeaders>) -> Option<Custom> {
        let creation = outgoing.creation;
        let keeps = self.options.existing == Existing::Keep;
        if let Some(cx) = creation.context().filter(|cx| (keeps || creation.is_custom()) && is_valid(cx)) {
            return Some(Custom { cx: cx.clone(), is_written: false });
        }
        let cx = headers.as_ref().filter(|_| keeps).map(propagation::extract_trace_context)?;
        is_valid(&cx).then_some(Custom { cx, is_written: true })
    }

    /// Writes the context that the record goes out with.
    pub(super) fn write(
        outgoing: &Outgoing<'_>,
        custom: Option<&Custom>,
        own: Option<&Context>,
        headers: &mut Option<OwnedHeaders>,
    ) {
        let cx = match (custom, own) {
            // Not modified, P-2.
            (Some(Custom { is_written: true, .. }), _) => return,
            (Some(Custom { cx, .. }), _) | (None, Some(cx)) => Cow::Borrowed(cx),
            // Tracing is off: the trace that this record belongs to goes on without a span of ours.
            (None, None) => Cow::Owned(span::current::context()),
        };
        let cx = match outgoing.record {
            Some(record) => Cow::Owned(record.add_baggage(&cx)),
            None => cx,
        };
        propagation::inject_context(&cx, headers);
    }
}

/// A creation context that the send keeps.
pub(super) struct Custom {
    cx: Context,
    /// It stands in the record's headers already.
    is_written: bool,
}

impl Custom {
    pub(super) fn span_context(&self) -> SpanContext {
        self.cx.span().span_context().clone()
    }
}

fn is_valid(cx: &Context) -> bool {
    cx.span().span_context().is_valid()
}

impl Sending {
    /// Begins the span and writes its context into the headers, or that which the record has and keeps.
    pub(super) fn begin(
        profile: &Arc<Profile>,
        outgoing: &Outgoing<'_>,
        headers: &mut Option<OwnedHeaders>,
    ) -> Self {
        let timer = profile.timer();
        let custom = profile.custom(outgoing, headers);
        let (span, timer) = match adopted::take() {
            Some(adopted) => profile.adopt(adopted, outgoing, custom.as_ref()),
            None => (profile.open(outgoing, custom.as_ref()), timer),
        };
        let mut sending = Sending { span, timer, profile: Arc::clone(profile) };
        if sending.span.is_recording() {
            let more = if sending.span.message_place().is_some() {
                // Key and tombstone were told when it began.
                let mut more = Vec::new();
                if attributes::short_key(outgoing.key, profile.options.key).is_none() {
                    more.extend(attributes::key(outgoing.key, profile.options.key));
                }
                profile.asked_for(outgoing, headers.as_ref(), &mut more);
                more
            } else {
                profile.details(outgoing, headers.as_ref())
            };
            if !more.is_empty() {
                sending.span.set_attributes(more);
            }
        }
        Profile::write(outgoing, custom.as_ref(), sending.span.context(), headers);
        sending
    }

    /// The report: delivered.
    pub(super) fn delivered(mut self, topic: &str, partition: i32, offset: i64) {
        match self.span.message_place() {
            Some(place) => place.add_place(partition, offset),
            None if self.span.is_recording() => {
                let place = attributes::partition(partition).into_iter().chain(attributes::offset(offset));
                self.span.set_attributes(place.collect::<Vec<_>>());
            }
            None => {}
        }
        self.span.end();
        metrics::operation(self.timer, || self.profile.measured(Some(topic), Some(partition), None));
        self.profile.count_sent(topic, partition, None);
    }

    /// The report: not delivered.
    pub(super) fn failed(self, topic: &str, partition: i32, error: &KafkaError) {
        let profile = Arc::clone(&self.profile);
        self.refused(topic, error);
        profile.count_sent(topic, partition, Some(error));
    }

    /// Not even queued, so it was not sent (M-2).
    pub(super) fn refused(mut self, topic: &str, error: &KafkaError) {
        let error_type = error::error_type(error);
        self.span.fail(error_type, error.to_string());
        self.span.end();
        metrics::operation(self.timer, || self.profile.measured(Some(topic), None, Some(error_type)));
    }

    /// Given up by the caller while it waited for room in the queue.
    pub(super) fn cancelled(self) {
        self.span.cancel();
    }
}

impl Profile {
    /// kafka.md P-2, P-3: PRODUCER if its own context goes into the record, else CLIENT.
    fn open(&self, outgoing: &Outgoing<'_>, custom: Option<&Custom>) -> OwnedSpan {
        let mut span = OwnedSpan::idle(&SEND);
        if !span::on() {
            return span;
        }
        let own_context = custom.is_none() && propagation::propagates();
        let options = Options::new().links(custom.map(|custom| Link::with_context(custom.span_context())));
        // Producer is what the site says.
        let options = if own_context { options } else { options.kind(Kind::Client) };
        let options = match self.known(outgoing.topic) {
            Some(given) => {
                let message = Message {
                    partition: outgoing.partition.unwrap_or(-1),
                    offset: -1,
                    waited_ms: None,
                    key: attributes::short_key(outgoing.key, self.options.key),
                    is_tombstone: outgoing.value.is_none(),
                    attempt: 0,
                };
                options.message(given, &message)
            }
            None => options.name(self.name("send", Some(outgoing.topic))).attributes(self.given(
                "send",
                Some(outgoing.topic),
                outgoing.partition,
            )),
        };
        span::open_with(&mut span, options);
        span
    }

    /// The span that a `#[kafka_producer]` opened becomes this record's.
    fn adopt(
        &self,
        adopted: Adopted,
        outgoing: &Outgoing<'_>,
        custom: Option<&Custom>,
    ) -> (OwnedSpan, Timer) {
        let Adopted { mut span, timer, says } = adopted;
        if span.is_recording() {
            // What the attribute says of operation and destination stays.
            let said = |key: &str| {
                let operation = [attributes::SYSTEM, attributes::OPERATION_NAME, attributes::OPERATION_TYPE];
                operation.contains(&key) || (says.topic && key == attributes::DESTINATION)
            };
            let given = self.given("send", Some(outgoing.topic), outgoing.partition);
            span.set_attributes(given.into_iter().filter(|attribute| !said(attribute.key.as_str())));
            if !says.topic && !says.name {
                span.update_name(self.name(&says.operation, Some(outgoing.topic)));
            }
            if let Some(custom) = custom {
                span.add_link(custom.span_context());
            }
        }
        (span, timer)
    }
}
