//! Row G1 with members that are killed: in processes of their own, which hear of nothing.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use throughline::kafka::{Attempt, Consumer, Record, State, tracked};
use throughline_tests::kafka::checker::{Begins, Outcome, Place};

use super::load::{GROUP, Load, Protocol, alone, on_runtime};
use super::support::TOPIC;

/// The settings of the member, a line each: name, tab, value.
const CONFIG: &str = "KAFKA_FAULTS_MEMBER";

const PAUSE: Duration = Duration::from_millis(2);
const TICK: Duration = Duration::from_millis(100);

/// Tells the checker, which is in the process that started this one, and waits until it has heard: what a handler has not
/// told it has not returned from.
#[derive(Clone, Default)]
struct Link(Arc<Mutex<u64>>);

impl Link {
    /// Gives the number of the line.
    fn tell(&self, line: &str) -> u64 {
        let mut told = self.0.lock().unwrap();
        *told += 1;
        // The harness of the tests writes there, too.
        println!("@{told}\t{line}");
        std::io::stdin().lock().read_line(&mut String::new()).unwrap();
        *told
    }
}

async fn handle(record: Record, State(link): State<Link>, attempt: Attempt) {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
    let begun = link.tell(&format!(
        "{}\t{}\t{}\t{}\t{}\t{}",
        record.partition().unwrap(),
        record.offset().unwrap(),
        attempt.generation(),
        attempt.number(),
        text(record.key()),
        text(record.value().as_deref())
    ));
    tokio::task::yield_now().await;
    link.tell(&begun.to_string());
}

/// A member that runs until it is killed.
#[test]
#[ignore = "what the other test starts and kills"]
fn member_outside() {
    let Ok(settings) = std::env::var(CONFIG) else { return };
    let mut config = ClientConfig::new();
    for (name, value) in settings.lines().filter_map(|line| line.split_once('\t')) {
        config.set(name, value);
    }
    on_runtime(async {
        let consumer = Consumer::from_config(config).group(GROUP).topics([TOPIC]).commit(tracked(TICK, 100));
        let member = consumer.state(Link::default()).start(handle).unwrap();
        member.wait().await.unwrap();
    });
}

/// A member in a process of its own.
struct Outside {
    process: Child,
    handled: Arc<AtomicUsize>,
    listener: Option<JoinHandle<()>>,
}

impl Outside {
    fn start(load: &Load) -> Self {
        let number = load.next_member();
        let settings: Vec<_> =
            load.config(number).config_map().iter().map(|(name, value)| format!("{name}\t{value}")).collect();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "--include-ignored", "killed::member_outside"]);
        command.env(CONFIG, settings.join("\n")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (mut answers, lines) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (checker, handled) = (load.checker.clone(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&handled);
        let listener = std::thread::spawn(move || {
            let mut running = HashMap::new();
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                // Behind what the harness began a line with.
                let Some((_, told)) = line.split_once('@') else { continue };
                let words: Vec<_> = told.split('\t').collect();
                match words[..] {
                    [id, partition, offset, generation, attempt, key, value] => {
                        let place = Place::new(TOPIC, partition.parse().unwrap(), offset.parse().unwrap());
                        let delivery = Begins {
                            place,
                            key: Some(key.as_bytes()),
                            value: Some(value.as_bytes()),
                            member: number,
                            generation: generation.parse().unwrap(),
                            attempt: attempt.parse().unwrap(),
                        };
                        running.insert(id.to_owned(), checker.begins(delivery));
                    }
                    [_, begun] => {
                        running.remove(begun).unwrap().ends(Outcome::Handled);
                        seen.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => panic!("{line}"),
                }
                if writeln!(answers).is_err() {
                    break;
                }
            }
        });
        Outside { process, handled, listener: Some(listener) }
    }

    fn handled(&self) -> usize {
        self.handled.load(Ordering::Relaxed)
    }

    /// By SIGKILL.
    fn kill(self) {
        drop(self);
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // What it had begun is abandoned, when the listener has come to the end of what it said.
        let _ = (self.process.kill(), self.process.wait());
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
    }
}

async fn killed(protocol: Protocol) {
    let mut load = Load::start(protocol, 6);
    load.produce(8, PAUSE);
    let member =
        load.member_with(|_, _| super::load::How::Handles, |consumer| consumer.commit(tracked(TICK, 100)));
    load.flows(100).await;
    for _ in 0..3 {
        let outside = Outside::start(&load);
        load.until("the member outside handles records", || outside.handled() >= 100).await;
        outside.kill();
        load.until("its partitions are taken over", || member.health().partitions == 6).await;
        load.catches_up().await;
    }
    load.rests().await;
    load.all_committed().await;
    member.close(super::support::WAIT).await.unwrap();
    // The spans of those that were killed are gone with them.
    load.nothing_lost();
}

alone! {
    /// G1
    async fn g1_killed_processes() within 150 {
        killed(Protocol::CooperativeSticky).await;
    }

    /// G1: KIP-848
    async fn g1_killed_processes_where_the_broker_assigns() within 150 {
        killed(Protocol::Broker).await;
    }
}
