//! The span of a pull that hands out a message, or fails.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, TraceContextExt as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

use super::client::Client;
use super::message::ConsumedMessage;
use super::metrics::{self, Measured, Timer};
use super::options::KeyText;
use super::{attributes, error};
use crate::span::{self, Kind, Options, OwnedSpan, Site, clock};

static POLL: Site = Site::internal("poll", Kind::Client);

/// A pull that is under way: its span is made once it is known that there is something to tell.
pub(super) struct Pull {
    timer: Timer,
    begun: Option<clock::Reading>,
}

impl Pull {
    pub(super) fn begin() -> Self {
        Pull { timer: Timer::start(), begun: span::on().then(clock::now) }
    }

    pub(super) fn received(self, client: &Client, message: &BorrowedMessage<'_>, key: KeyText) {
        if let Some(begun) = self.begun {
            let creation = message.creation_context();
            let creation = creation.span().span_context().clone();
            let topic = ConsumedMessage::topic(message);
            let mut given = given(client);
            given.push(KeyValue::new(attributes::DESTINATION, topic.to_owned()));
            given.extend(attributes::partition(ConsumedMessage::partition(message)));
            let mut span = OwnedSpan::idle(&POLL);
            let options = Options::new()
                .name(format!("poll {topic}"))
                .begun(begun)
                .links(creation.is_valid().then(|| Link::with_context(creation)))
                .attributes(given);
            if span::open_with(&mut span, options) {
                let tombstone = message.value_bytes().is_none();
                let tombstone = tombstone.then(|| KeyValue::new(attributes::TOMBSTONE, true));
                let offset = attributes::offset(ConsumedMessage::offset(message));
                let key = attributes::key(ConsumedMessage::key(message), key);
                span.set_attributes(offset.into_iter().chain(key).chain(tombstone));
            }
            span.end();
        }
        let measured = || Measured {
            topic: Some(ConsumedMessage::topic(message).into()),
            partition: Some(ConsumedMessage::partition(message)),
            ..measured(client)
        };
        metrics::operation(self.timer, measured);
        metrics::consumed(1, measured);
    }

    /// kafka.md E-1.
    pub(super) fn failed(self, client: &Client, error: &KafkaError) {
        let error_type = error::error_type(error);
        if let Some(begun) = self.begun {
            let mut span = OwnedSpan::idle(&POLL);
            span::open_with(&mut span, Options::new().begun(begun).attributes(given(client)));
            span.fail(error_type, error.to_string());
            span.end();
        }
        metrics::operation(self.timer, || Measured {
            error_type: Some(error_type.into()),
            ..measured(client)
        });
    }
}

fn given(client: &Client) -> Vec<KeyValue> {
    let mut given = Vec::with_capacity(10);
    given.extend(attributes::operation("poll".into(), "receive"));
    given.extend(client.group().map(|group| KeyValue::new(attributes::GROUP, group.to_owned())));
    given.extend(client.attributes());
    given
}

fn measured(client: &Client) -> Measured<'_> {
    Measured {
        operation: "poll".into(),
        kind: "receive",
        group: client.group().map(Into::into),
        server: client.server().map(|(address, port)| (address.into(), port)),
        ..Measured::default()
    }
}
