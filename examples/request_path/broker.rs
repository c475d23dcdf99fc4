//! The broker: librdkafka's embedded cluster, in a process of its own.

use rdkafka::mocking::MockCluster;

use crate::{Error, TOPIC, children};

pub(crate) async fn run() -> Result<(), Error> {
    let cluster = MockCluster::new(1)?;
    cluster.create_topic(TOPIC, 4, 1)?;
    children::ready(&cluster.bootstrap_servers());
    children::parent_is_done().await;
    Ok(())
}
