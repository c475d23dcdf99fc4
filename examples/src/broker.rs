//! A Kafka broker without Kafka: librdkafka's embedded cluster, in a process of its own.
//!
//! A process of its own, because the cluster ends the whole process over some mistakes, such as members of one group that
//! ask for different assignments.

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;

use crate::say;

/// In the environment of the broker's process: its topics and their partitions, `orders:4,orders.dlq:1`.
const TOPICS: &str = "THROUGHLINE_EXAMPLE_BROKER";

/// A broker that runs as long as this lives.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    address: String,
}

impl Broker {
    /// Starts a broker with these topics, each with its number of partitions. Whoever does this calls
    /// [`serve_if_asked`](Self::serve_if_asked) first thing in `main`.
    ///
    /// # Errors
    ///
    /// If this program cannot be started a second time.
    pub fn start(topics: &[(&str, i32)]) -> io::Result<Self> {
        let topics: Vec<_> =
            topics.iter().map(|(topic, partitions)| format!("{topic}:{partitions}")).collect();
        let mut child = Command::new(env::current_exe()?)
            .env(TOPICS, topics.join(","))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        Ok(Broker { child, address: address.trim().to_owned() })
    }

    /// In the broker's own process: is the broker until the program that started it lets go. Elsewhere it does nothing.
    pub fn serve_if_asked() {
        let Ok(topics) = env::var(TOPICS) else { return };
        let served = serve(&topics);
        std::process::exit(i32::from(served.is_err()));
    }

    /// What clients connect to.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn serve(topics: &str) -> Result<(), Box<dyn std::error::Error>> {
    let cluster = MockCluster::new(1)?;
    for topic in topics.split(',') {
        let (topic, partitions) = topic.split_once(':').ok_or("expected TOPIC:PARTITIONS")?;
        cluster.create_topic(topic, partitions.parse()?, 1)?;
    }
    say(cluster.bootstrap_servers());
    // Ends when the other program ends, however it does.
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// `config` for a member of a group, which the embedded broker admits at once if it speaks the newer protocol (KIP-848).
#[must_use]
pub fn member(mut config: ClientConfig) -> ClientConfig {
    config
        .set("group.protocol", "consumer")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "10");
    config
}
