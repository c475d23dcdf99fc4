//! The embedded cluster with what its safe interface leaves out.
#![allow(unsafe_code)] // brokers' advertised addresses, delays of groups and new brokers are C functions only

use std::ffi::CString;
use std::net::SocketAddr;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings::{
    rd_kafka_handle_mock_cluster, rd_kafka_mock_broker_add, rd_kafka_mock_broker_set_host_port,
    rd_kafka_mock_cluster_t, rd_kafka_mock_group_initial_rebalance_delay_ms,
    rd_kafka_mock_set_group_consumer_heartbeat_interval_ms,
    rd_kafka_mock_set_group_consumer_session_timeout_ms, rd_kafka_resp_err_t,
};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};

/// An embedded cluster that may cross threads, as `MockCluster` may not.
///
/// Groups of it join at once. It ends when it is dropped.
pub struct Cluster {
    /// librdkafka keeps the cluster with the client that asked for it.
    client: BaseProducer,
    brokers: i32,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts a cluster with brokers 1 to `brokers`.
    pub fn start(brokers: i32) -> Self {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", brokers.to_string());
        let client: BaseProducer = config.create().expect("an embedded cluster");
        let cluster = Cluster { client, brokers };
        let native = cluster.native();
        // SAFETY: the cluster lives as long as the client; the functions lock it themselves.
        unsafe {
            rd_kafka_mock_group_initial_rebalance_delay_ms(native, 0);
            rd_kafka_mock_set_group_consumer_session_timeout_ms(native, 3_000);
            rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(native, 50);
        }
        cluster
    }

    /// How long a member of a KIP-848 group may be silent; 3 s unless told otherwise. A test that loses nobody takes more,
    /// so that a busy machine loses nobody either.
    pub fn session_timeout(&self, silence: Duration) {
        let silence = i32::try_from(silence.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the cluster lives as long as the client; the function locks it.
        unsafe { rd_kafka_mock_set_group_consumer_session_timeout_ms(self.native(), silence) };
    }

    fn native(&self) -> *mut rd_kafka_mock_cluster_t {
        // SAFETY: the client is alive; it was made with an embedded cluster.
        let native = unsafe { rd_kafka_handle_mock_cluster(self.client.client().native_ptr()) };
        assert!(!native.is_null(), "the client has an embedded cluster");
        native
    }

    /// The safe interface.
    pub fn mock(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.client.client().mock_cluster().expect("the client has an embedded cluster")
    }

    /// The brokers' own addresses, in the order of their ids.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let servers = self.mock().bootstrap_servers();
        servers.split(',').map(|address| address.parse().expect("an address of an embedded broker")).collect()
    }

    /// `bootstrap.servers` without a proxy.
    pub fn bootstrap(&self) -> String {
        self.mock().bootstrap_servers()
    }

    /// What metadata and coordinator responses call the address of a broker from now on.
    pub fn advertise(&self, broker: i32, address: SocketAddr) {
        let host = CString::new(address.ip().to_string()).expect("no NUL in an address");
        // SAFETY: the cluster lives as long as the client; the host is copied, and the function locks the cluster.
        unsafe {
            rd_kafka_mock_broker_set_host_port(
                self.native(),
                broker,
                host.as_ptr(),
                i32::from(address.port()),
            );
        }
    }

    /// Adds a broker, which takes part from the next metadata on.
    pub fn add_broker(&self, broker: i32) {
        // SAFETY: the cluster lives as long as the client; the work is done on the cluster's own thread.
        let error = unsafe { rd_kafka_mock_broker_add(self.native(), broker) };
        assert_eq!(error, rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
}
