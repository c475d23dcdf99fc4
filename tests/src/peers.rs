//! Servers of others that tests talk to, as the scripts in `tests/peers` start them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Names the broker (HOST:PORT) that `tests/peers/kafka -- COMMAND` started for the command.
pub const KAFKA: &str = "THROUGHLINE_TEST_KAFKA";

/// The real broker that this run was given, if it was given one.
pub fn kafka() -> Option<String> {
    std::env::var(KAFKA).ok().filter(|address| !address.is_empty())
}

/// Whether absence of a peer is a failure, because nobody reads the lines of a run in CI.
pub fn required() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

/// Says that a test does nothing for want of a peer that a script of `tests/peers` starts.
///
/// # Panics
///
/// In CI.
pub fn skip(peer: &str, script: &str) {
    say_skipped(peer, &format!("start it with tests/peers/{script}"));
}

/// Says that a test does nothing for want of a program.
///
/// # Panics
///
/// In CI.
pub fn skip_program(program: &str) {
    say_skipped(program, &format!("sudo apt-get install {program}"));
}

fn say_skipped(peer: &str, remedy: &str) {
    let line = format!("skipped: {peer} ({remedy})");
    assert!(!required(), "{line}");
    // Past the harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A script of `tests/peers`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// A server of the test's own, to be stopped and started: on the same port, with the same data.
///
/// It ends with this value, and also when the test process dies: its input is the leash.
#[derive(Debug)]
pub struct OwnServer {
    script: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    address: String,
}

impl OwnServer {
    fn start(script: &Path) -> Self {
        let mut script = Command::new(script)
            .arg("control")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash");
        let commands = script.stdin.take();
        let answers = BufReader::new(script.stdout.take().expect("a pipe"));
        let mut own = OwnServer { script, commands, answers, address: String::new() };
        let started = own.answer();
        let address = started.strip_prefix("started ");
        own.address = address.unwrap_or_else(|| panic!("the server said {started:?}")).to_owned();
        own
    }

    /// HOST:PORT, or a URL.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it in good order; returns when it is gone.
    pub fn stop(&mut self) {
        self.command("stop");
    }

    /// Ends it at once, without a word to its clients; returns when it is gone.
    pub fn kill(&mut self) {
        self.command("kill");
    }

    /// Starts it again; returns when it answers.
    pub fn restart(&mut self) {
        self.command("start");
    }

    /// Holds it (SIGSTOP): connections stay open, nobody answers.
    pub fn pause(&mut self) {
        self.command("pause");
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.command("resume");
    }

    fn command(&mut self, word: &str) {
        let commands = self.commands.as_mut().expect("open until dropped");
        writeln!(commands, "{word}").expect("the script reads");
        let answer = self.answer();
        assert_eq!(answer, format!("{word} done"));
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.script.wait();
    }
}

/// A real broker of the test's own; its [address](OwnServer::address) is HOST:PORT.
#[derive(Debug)]
pub struct OwnKafka(OwnServer);

impl OwnKafka {
    /// Starts a broker with `tests/peers/kafka`; `None` in a run without real brokers, and said so.
    ///
    /// # Panics
    ///
    /// If the broker does not start.
    pub fn start() -> Option<Self> {
        if kafka().is_none() {
            skip("Apache Kafka", "kafka");
            return None;
        }
        let script = script("kafka");
        let fetched = Command::new(&script).arg("fetch").status().expect("bash");
        if !fetched.success() {
            skip("Apache Kafka of its own", "kafka");
            return None;
        }
        Some(Self(OwnServer::start(&script)))
    }
}

impl Deref for OwnKafka {
    type Target = OwnServer;

    fn deref(&self) -> &OwnServer {
        &self.0
    }
}

impl DerefMut for OwnKafka {
    fn deref_mut(&mut self) -> &mut OwnServer {
        &mut self.0
    }
}

/// Names the server (a URL) that `tests/peers/postgres -- COMMAND` started for the command.
pub const POSTGRES: &str = "THROUGHLINE_TEST_POSTGRES";

/// The PostgreSQL that this run was given, if it was given one.
pub fn postgres() -> Option<String> {
    std::env::var(POSTGRES).ok().filter(|url| !url.is_empty())
}

/// A PostgreSQL of the test's own; its [address](OwnServer::address) is a URL.
#[derive(Debug)]
pub struct OwnPostgres(OwnServer);

impl OwnPostgres {
    /// Starts a server with `tests/peers/postgres`; `None` in a run without PostgreSQL, and said so.
    ///
    /// # Panics
    ///
    /// If the server does not start.
    pub fn start() -> Option<Self> {
        if postgres().is_none() {
            skip("PostgreSQL", "postgres");
            return None;
        }
        Some(Self(OwnServer::start(&script("postgres"))))
    }
}

impl Deref for OwnPostgres {
    type Target = OwnServer;

    fn deref(&self) -> &OwnServer {
        &self.0
    }
}

impl DerefMut for OwnPostgres {
    fn deref_mut(&mut self) -> &mut OwnServer {
        &mut self.0
    }
}

/// Names the query API (a URL) of the server that `tests/peers/jaeger -- COMMAND` started for the command.
pub const JAEGER: &str = "THROUGHLINE_TEST_JAEGER";

/// Names where that server takes OTLP over HTTP (a URL).
pub const JAEGER_OTLP: &str = "THROUGHLINE_TEST_JAEGER_OTLP";

/// Names the topic of [`KAFKA`] from which that server also takes spans, if it was started with `--from-kafka`.
pub const JAEGER_TOPIC: &str = "THROUGHLINE_TEST_JAEGER_TOPIC";

/// A real Jaeger.
#[derive(Clone, Debug)]
pub struct Jaeger {
    /// The URL of its query API.
    pub query: String,
    /// The URL of its OTLP receiver; `/v1/traces` is below it.
    pub otlp: String,
    /// The topic from which it also takes OTLP in protobuf; `None` without Kafka.
    pub topic: Option<String>,
}

/// The Jaeger that this run was given, if it was given one.
pub fn jaeger() -> Option<Jaeger> {
    let of = |name| std::env::var(name).ok().filter(|url: &String| !url.is_empty());
    Some(Jaeger { query: of(JAEGER)?, otlp: of(JAEGER_OTLP)?, topic: of(JAEGER_TOPIC) })
}
