//! The broker: librdkafka's embedded cluster, in a process of its own; or a real one.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Error, TOPIC, children};

pub(crate) async fn run() -> Result<(), Error> {
    let cluster = MockCluster::new(1)?;
    cluster.create_topic(TOPIC, 4, 1)?;
    children::ready(&cluster.bootstrap_servers());
    children::parent_is_done().await;
    Ok(())
}

/// Whether somebody listens at this address: librdkafka itself would go on asking without a word.
pub(crate) async fn answers(address: &str) -> Result<(), Error> {
    if !address.contains(':') {
        return Err(format!("--kafka is `{address}`; expected HOST:PORT").into());
    }
    let connected = match timeout(Duration::from_secs(5), TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err("no answer within 5 s".to_owned()),
    };
    connected.map(drop).map_err(|why| format!("no Kafka broker at `{address}`: {why}").into())
}
