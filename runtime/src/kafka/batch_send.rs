//! The one Send span of a batch, which ends with the last of its reports (kafka.md P-3, P-4).

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::Link;
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;

use super::metrics::{self, Timer};
use super::record::Record;
use super::sending::{Custom, Outgoing, Profile};
use super::{attributes, error};
use crate::propagation;
use crate::span::{self, Kind, Options, OwnedSpan, Site};

static CREATE: Site = Site::internal("create", Kind::Producer);
static SEND: Site = Site::internal("send", Kind::Producer);

/// A batch on its way. Shared by its records in flight; the span ends where the last of them is dropped.
#[derive(Debug)]
pub(super) struct BatchSend {
    profile: Arc<Profile>,
    timer: Timer,
    /// The topic that all records go to, if it is one.
    topic: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    span: OwnedSpan,
    records: usize,
    reported: usize,
    failed: usize,
    /// Of the first record that was not delivered.
    error: Option<(&'static str, String)>,
}

impl BatchSend {
    /// Makes the spans and gives the headers of each record, with its context in them.
    pub(super) fn begin(
        profile: &Arc<Profile>,
        records: &[Record],
    ) -> (Arc<Self>, Vec<Option<OwnedHeaders>>) {
        let timer = profile.timer();
        let topic = same_topic(records);
        let mut headers: Vec<_> = records.iter().map(Record::to_owned_headers).collect();
        let customs: Vec<_> = records
            .iter()
            .zip(&headers)
            .map(|(record, headers)| profile.custom(&outgoing(record), headers))
            .collect();
        let creates = profile.options.create_spans && span::on() && propagation::propagates();
        let created: Vec<_> = records
            .iter()
            .zip(&headers)
            .zip(&customs)
            .map(|((record, headers), custom)| {
                // P-2: no Create span where the record has a context.
                let creates = creates && custom.is_none();
                creates.then(|| create(profile, record, headers.as_ref())).flatten()
            })
            .collect();
        let mut span = OwnedSpan::idle(&SEND);
        if span::on() {
            let links = records.iter().zip(&customs).zip(&created);
            let links = links.filter_map(|((record, custom), created)| {
                let context = custom.as_ref().map(Custom::span_context);
                let context =
                    context.or_else(|| created.as_ref().map(span_context)).filter(|cx| cx.is_valid());
                Some(Link::new(context?, on_link(profile, record, topic.is_none()), 0))
            });
            open(&mut span, profile, records, topic.as_deref(), links.collect(), &customs, &created);
        }
        for (((record, headers), custom), created) in
            records.iter().zip(&mut headers).zip(&customs).zip(&created)
        {
            let own = created.as_ref().or(span.context());
            Profile::write(&outgoing(record), custom.as_ref(), own, headers);
        }
        let state = State { span, records: records.len(), reported: 0, failed: 0, error: None };
        let batch = BatchSend {
            profile: Arc::clone(profile),
            timer,
            topic: topic.map(Cow::into_owned),
            state: Mutex::new(state),
        };
        (Arc::new(batch), headers)
    }

    /// The report on one record.
    pub(super) fn reported(&self, topic: &str, partition: i32, error: Option<&KafkaError>) {
        self.note(error);
        self.profile.count_sent(topic, partition, error);
    }

    /// A record that was not even queued.
    pub(super) fn refused(&self, error: &KafkaError) {
        self.note(Some(error));
    }

    fn note(&self, error: Option<&KafkaError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.reported += 1;
        if let Some(error) = error {
            state.failed += 1;
            state.error.get_or_insert_with(|| (error::error_type(error), error.to_string()));
        }
    }
}

impl Drop for BatchSend {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let State { span, records, reported, failed, error } = state;
        let mut span = std::mem::replace(span, OwnedSpan::idle(&SEND));
        let error_type = error.as_ref().map(|(error_type, _)| *error_type);
        match error {
            Some((error_type, text)) => {
                span.fail(*error_type, format!("{failed} of {records} records were not delivered: {text}"));
                span.end();
            }
            // The caller gave up while it waited for room in the queue.
            None if reported < records => span.cancel(),
            None => span.end(),
        }
        let (profile, topic) = (&self.profile, self.topic.as_deref());
        metrics::operation(self.timer, || profile.measured(topic, None, error_type));
    }
}

fn open(
    span: &mut OwnedSpan,
    profile: &Profile,
    records: &[Record],
    topic: Option<&str>,
    links: Vec<Link>,
    customs: &[Option<Custom>],
    created: &[Option<Context>],
) {
    // Its own context goes into the records that have no other.
    let own_context =
        propagation::propagates() && customs.iter().zip(created).any(|pair| matches!(pair, (None, None)));
    let partition = records.first().and_then(Record::partition);
    let partition = partition.filter(|_| records.iter().all(|record| record.partition() == partition));
    let mut given = profile.given("send", topic, partition.filter(|_| topic.is_some()));
    given.push(attributes::batch_count(u64::try_from(records.len()).unwrap_or(u64::MAX)));
    let options = Options::new()
        .name(profile.name("send", topic))
        .kind(if own_context { Kind::Producer } else { Kind::Client })
        .links(links)
        .attributes(given);
    span::open_with(span, options);
}

/// The Create span of a record; gives its context.
fn create(profile: &Profile, record: &Record, headers: Option<&OwnedHeaders>) -> Option<Context> {
    let mut span = OwnedSpan::idle(&CREATE);
    let topic = Some(record.topic());
    let given = profile.given("create", topic, record.partition());
    span::open_with(&mut span, Options::new().name(profile.name("create", topic)).attributes(given));
    if span.is_recording() {
        span.set_attributes(profile.details(&outgoing(record), headers));
    }
    let cx = span.context().cloned();
    span.end();
    cx
}

/// kafka.md A-17: what differs between the records of a batch.
fn on_link(profile: &Profile, record: &Record, topics: bool) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(4);
    all.extend(attributes::key(record.key(), profile.options.key));
    all.extend(record.partition().and_then(attributes::partition));
    if topics {
        all.push(KeyValue::new(attributes::DESTINATION, record.topic().to_owned()));
    }
    if record.value().is_none() {
        all.push(KeyValue::new(attributes::TOMBSTONE, true));
    }
    all
}

fn span_context(cx: &Context) -> opentelemetry::trace::SpanContext {
    opentelemetry::trace::TraceContextExt::span(cx).span_context().clone()
}

fn same_topic(records: &[Record]) -> Option<Cow<'_, str>> {
    let first = records.first()?.topic();
    records.iter().all(|record| record.topic() == first).then_some(Cow::Borrowed(first))
}

pub(super) fn outgoing(record: &Record) -> Outgoing<'_> {
    Outgoing {
        topic: record.topic(),
        partition: record.partition(),
        key: record.key(),
        value: record.value().as_deref(),
        creation: record.creation(),
        record: Some(record),
    }
}
