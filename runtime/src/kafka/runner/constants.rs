//! What is the same for all commits and events of a runner.

use std::sync::Arc;

use opentelemetry::KeyValue;
use rdkafka::ClientConfig;

use crate::kafka::attributes;

/// What is the same for all records of a runner, for the attributes of spans and metrics.
#[derive(Clone, Debug)]
pub(super) struct Constants {
    pub(super) group: Arc<str>,
    pub(super) server: Option<(Arc<str>, u16)>,
    /// The brokers of the configuration.
    pub(super) bootstrap: Option<String>,
    /// Client id and server as attributes of spans.
    pub(super) attributes: Vec<KeyValue>,
}

impl Constants {
    pub(super) fn of(config: &ClientConfig) -> Self {
        let server = attributes::server_of(config);
        let mut all = Vec::with_capacity(3);
        all.extend(config.get("client.id").map(|id| KeyValue::new(attributes::CLIENT_ID, id.to_owned())));
        if let Some((address, port)) = &server {
            all.push(KeyValue::new(attributes::SERVER_ADDRESS, address.clone()));
            all.push(KeyValue::new(attributes::SERVER_PORT, i64::from(*port)));
        }
        Constants {
            group: config.get("group.id").unwrap_or_default().into(),
            bootstrap: bootstrap(config).map(str::to_owned),
            server: server.map(|(address, port)| (address.into(), port)),
            attributes: all,
        }
    }
}

/// The brokers of a configuration: one setting with two names.
pub(super) fn bootstrap(config: &ClientConfig) -> Option<&str> {
    config.get("bootstrap.servers").or_else(|| config.get("metadata.broker.list"))
}
