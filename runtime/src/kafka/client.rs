//! What all spans of one client share, read from its configuration and learnt from its cluster.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;

use super::known::Common;
use super::{attributes, native};
use crate::span;

/// After this many spans without an answer the cluster's id is asked for at every so-manieth only.
const ASKED_OFTEN: u32 = 256;

/// Attributes that are the same for all spans of a producer or consumer (kafka.md ).
#[derive(Debug, Default)]
pub(super) struct Client {
    id: Option<String>,
    constant: Vec<KeyValue>,
    server: Option<(String, u16)>,
    group: Option<String>,
    cluster: OnceLock<KeyValue>,
    asked: AtomicU32,
}

impl Client {
    pub(super) fn of(config: &ClientConfig) -> Self {
        Self::new(config.get("client.id"), attributes::server_of(config), config.get("group.id"))
    }

    /// Of a client that was made by others.
    pub(super) fn of_native<C: ClientContext>(client: &rdkafka::client::Client<C>) -> Self {
        let [id, servers, group] =
            [c"client.id", c"bootstrap.servers", c"group.id"].map(|name| native::setting(client, name));
        // What librdkafka calls a client that nobody named.
        let id = id.as_deref().filter(|id| *id != "rdkafka");
        Self::new(id, servers.as_deref().and_then(attributes::single_server), group.as_deref())
    }

    fn new(id: Option<&str>, server: Option<(String, u16)>, group: Option<&str>) -> Self {
        let id = id.map(str::to_owned);
        let mut constant: Vec<_> =
            id.iter().map(|id| KeyValue::new(attributes::CLIENT_ID, id.clone())).collect();
        if let Some((address, port)) = &server {
            constant.push(KeyValue::new(attributes::SERVER_ADDRESS, address.clone()));
            constant.push(KeyValue::new(attributes::SERVER_PORT, i64::from(*port)));
        }
        Client { id, constant, server, group: group.map(str::to_owned), ..Client::default() }
    }

    /// Asks for the cluster's id while it is not known and spans are made. It does not wait: librdkafka learns the id with
    /// the first metadata, so spans that begin before it came lack it, and no thread has to block for it.
    pub(super) fn learn_cluster<C: ClientContext>(&self, client: &rdkafka::client::Client<C>) {
        if !span::on() || self.cluster.get().is_some() {
            return;
        }
        // A broker that is too old never tells.
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked >= ASKED_OFTEN && !asked.is_multiple_of(ASKED_OFTEN) {
            return;
        }
        if let Some(id) = client.fetch_cluster_id(Duration::ZERO) {
            let _ = self.cluster.set(KeyValue::new(attributes::CLUSTER_ID, id));
        }
    }

    /// Client id, server and cluster, as far as they are known.
    pub(super) fn attributes(&self) -> impl Iterator<Item = KeyValue> + '_ {
        self.constant.iter().chain(self.cluster.get()).cloned()
    }

    /// The same, for what many spans have in common.
    pub(super) fn common(&self) -> impl Iterator<Item = (&'static str, Common)> + '_ {
        let text = |text: &str| Common::Text(text.to_owned().into());
        let id = self.id.as_deref().map(|id| (attributes::CLIENT_ID, text(id)));
        let server = self.server.as_ref().map(|(address, port)| {
            [
                (attributes::SERVER_ADDRESS, text(address)),
                (attributes::SERVER_PORT, Common::Number(i64::from(*port))),
            ]
        });
        let cluster =
            self.cluster.get().map(|cluster| (attributes::CLUSTER_ID, text(&cluster.value.as_str())));
        id.into_iter().chain(server.into_iter().flatten()).chain(cluster)
    }

    /// The cluster's id, once it is known.
    pub(super) fn cluster(&self) -> Option<&KeyValue> {
        self.cluster.get()
    }

    pub(super) fn server(&self) -> Option<(&str, u16)> {
        self.server.as_ref().map(|(address, port)| (address.as_str(), *port))
    }

    pub(super) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }
}
