//! A proxy in front of an embedded cluster that understands frames: it delays, throttles, cuts, resets and loses what
//! a test names, and tells which offsets go by.
//!
//! Brokers tell clients where to connect, so each broker advertises its proxy: no client gets round it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::cluster::Cluster;
use super::wire::{JOIN_AND_SYNC_GROUP, METADATA, OFFSET_COMMIT, PRODUCE, Request, without_brokers};

/// What happens to connections, present and future.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Each frame comes so much later, in both directions.
    Latency(Duration),
    /// So many bytes a second go through, in each direction of each connection.
    Throttle(u32),
    /// Connections stay open, new ones are taken, and nothing moves. They are reset when the fault ends.
    HalfOpen,
    /// The next Produce goes through; instead of its response the connection is reset. Once.
    LoseAcknowledgement,
    /// Each response is cut after so many bytes, and the connection with it.
    CutResponses(usize),
    /// Metadata tells of topics and of no broker, to this client.
    NoBrokers(&'static str),
    /// Where one side ends a connection, the other learns it so much later.
    SlowClose(Duration),
    /// New connections are reset at once; the present ones were, when this began.
    Reset,
}

/// An offset that a group asked a broker to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record to read.
    pub offset: i64,
}

type OnCommit = Box<dyn Fn(CommitRequest) + Send + Sync>;

struct Shared {
    fault: watch::Sender<Fault>,
    /// Raised to reset the connections that are open.
    resets: watch::Sender<u64>,
    /// Clients whose connections are half-open, by `client.id`.
    severed: watch::Sender<HashSet<String>>,
    /// How many times a fault that happens once has happened.
    happened: watch::Sender<u64>,
    on_commit: OnCommit,
}

/// One proxy per broker of a cluster.
pub struct Proxy {
    shared: Arc<Shared>,
    bootstrap: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Stands in front of all brokers of `cluster`, which send their clients here from now on.
    pub fn before(cluster: &Cluster) -> Self {
        Self::watching(cluster, |_| {})
    }

    /// Like [`before`](Self::before); `on_commit` is told each offset before the broker gets it.
    pub fn watching(cluster: &Cluster, on_commit: impl Fn(CommitRequest) + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            fault: watch::Sender::new(Fault::None),
            resets: watch::Sender::new(0),
            severed: watch::Sender::default(),
            happened: watch::Sender::new(0),
            on_commit: Box::new(on_commit),
        });
        let (stop, stopped) = oneshot::channel();
        let listeners: Vec<_> = cluster
            .addresses()
            .into_iter()
            .map(|broker| (std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"), broker))
            .collect();
        let mut bootstrap = Vec::new();
        for (id, (listener, _)) in (1..).zip(&listeners) {
            listener.set_nonblocking(true).expect("a socket");
            let address = listener.local_addr().expect("a bound socket");
            cluster.advertise(id, address);
            bootstrap.push(address.to_string());
        }
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(listeners, &of_thread, stopped));
        Proxy { shared, bootstrap: bootstrap.join(","), stop: Some(stop), thread: Some(thread) }
    }

    /// `bootstrap.servers` of clients.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Begins a fault, which takes the place of the one before.
    pub fn set(&self, fault: Fault) {
        let before = self.shared.fault.send_replace(fault);
        if fault == Fault::Reset || before == Fault::HalfOpen {
            self.reset();
        }
    }

    /// Resets all open connections; new ones are welcome.
    pub fn reset(&self) {
        self.shared.resets.send_modify(|resets| *resets += 1);
    }

    /// Cuts one client off, by its `client.id`: its connections stay open, and nothing moves.
    pub fn sever(&self, client: &str) {
        self.shared.severed.send_modify(|severed| _ = severed.insert(client.to_owned()));
    }

    /// Lets the client connect again; what was half-open is reset.
    pub fn heal(&self, client: &str) {
        self.shared.severed.send_modify(|severed| _ = severed.remove(client));
    }

    /// How often a fault with a definite moment (a lost acknowledgement, a cut or changed response) has happened.
    pub fn happened(&self) -> u64 {
        *self.shared.happened.borrow()
    }

    /// Waits until such a fault has happened `times` times in all.
    pub async fn has_happened(&self, times: u64) {
        let mut happened = self.shared.happened.subscribe();
        // The sender lives as long as `self`.
        let _ = happened.wait_for(|happened| *happened >= times).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    listeners: Vec<(std::net::TcpListener, SocketAddr)>,
    shared: &Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for (listener, broker) in listeners {
            let listener = TcpListener::from_std(listener).expect("a socket");
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((client, _)) => {
                            tokio::spawn(connection(client, broker, Arc::clone(&shared)));
                        }
                        // Of that one connection, or there are too many; a listener has no others.
                        Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                }
            });
        }
        let _ = stopped.await;
    });
}

/// How a connection ends.
enum End {
    Closed,
    Reset,
}

/// A client that connects again has ended its last connection before, which the broker is to hear before, too.
const AFTER_ENDS: Duration = Duration::from_millis(5);

async fn connection(mut client: TcpStream, broker: SocketAddr, shared: Arc<Shared>) {
    let mut resets = shared.resets.subscribe();
    let fault = *shared.fault.borrow();
    if fault == Fault::Reset {
        let _ = client.set_zero_linger();
        return;
    }
    tokio::time::sleep(AFTER_ENDS).await;
    let Ok(mut upstream) = TcpStream::connect(broker).await else { return };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let waiting = Waiting::default();
    let end = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_broker, mut to_broker) = upstream.split();
        tokio::select! {
            end = requests(&mut from_client, &mut to_broker, &shared, &waiting) => end,
            end = responses(&mut from_broker, &mut to_client, &shared, &waiting) => end,
            _ = resets.changed() => End::Reset,
        }
    };
    match end {
        End::Reset => {
            let _ = (client.set_zero_linger(), upstream.set_zero_linger());
        }
        End::Closed => {
            let fault = *shared.fault.borrow();
            if let Fault::SlowClose(delay) = fault {
                tokio::time::sleep(delay).await;
            }
            // The embedded broker does not read on where a member waits for its group, so it would not see the end, and
            // aborts when the member joins again.
            if waiting.requests().values().any(|(api, _)| JOIN_AND_SYNC_GROUP.contains(api)) {
                let _ = upstream.set_zero_linger();
            }
        }
    }
}

/// What is known of a connection: the requests under way, kind and version by number, and who asks.
#[derive(Default)]
struct Waiting {
    requests: Mutex<HashMap<i32, (i16, i16)>>,
    client: OnceLock<String>,
}

impl Waiting {
    fn requests(&self) -> MutexGuard<'_, HashMap<i32, (i16, i16)>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stays here while the client is cut off; true if it was.
    async fn is_severed(&self, shared: &Shared) -> bool {
        let Some(client) = self.client.get().filter(|client| shared.severed.borrow().contains(*client))
        else {
            return false;
        };
        // The sender lives as long as `shared`.
        let _ = shared.severed.subscribe().wait_for(|severed| !severed.contains(client)).await;
        true
    }
}

async fn requests(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
    waiting: &Waiting,
) -> End {
    while let Ok(frame) = read_frame(from).await {
        if let Some(request) = Request::parse(&frame) {
            waiting.requests().insert(request.correlation, (request.api, request.version));
            waiting.client.get_or_init(|| request.client.clone());
            tokio::select! {
                // Else the next request could be read as part of the end.
                biased;
                severed = waiting.is_severed(shared) => if severed { return End::Reset },
                // It gives up before it is let through.
                () = ends(from) => return End::Closed,
            }
            if request.api == OFFSET_COMMIT {
                for (group, topic, partition, offset) in request.commits().unwrap_or_default() {
                    (shared.on_commit)(CommitRequest { group, topic, partition, offset });
                }
            }
        }
        delay(shared, frame.len()).await;
        if write_frame(to, &frame).await.is_err() {
            break;
        }
    }
    End::Closed
}

async fn responses(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
    waiting: &Waiting,
) -> End {
    while let Ok(mut frame) = read_frame(from).await {
        let number = frame.first_chunk().map_or(0, |number| i32::from_be_bytes(*number));
        let request = waiting.requests().remove(&number);
        if waiting.is_severed(shared).await {
            return End::Reset;
        }
        delay(shared, frame.len()).await;
        let fault = *shared.fault.borrow();
        match fault {
            Fault::LoseAcknowledgement if request.is_some_and(|(api, _)| api == PRODUCE) => {
                shared.fault.send_replace(Fault::None);
                shared.happened.send_modify(|happened| *happened += 1);
                return End::Reset;
            }
            Fault::NoBrokers(client) if waiting.client.get().is_some_and(|asks| asks == client) => {
                if let Some((METADATA, version)) = request
                    && let Some(without) = without_brokers(&frame, version)
                {
                    frame = without;
                    shared.happened.send_modify(|happened| *happened += 1);
                }
            }
            Fault::CutResponses(bytes) => {
                let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
                let whole: Vec<u8> = length.into_iter().chain(frame).take(bytes).collect();
                let _ = to.write_all(&whole).await;
                let _ = to.shutdown().await;
                shared.happened.send_modify(|happened| *happened += 1);
                return End::Closed;
            }
            _ => {}
        }
        if write_frame(to, &frame).await.is_err() {
            break;
        }
    }
    End::Closed
}

/// Waits as long as the fault of the moment asks for.
async fn delay(shared: &Shared, bytes: usize) {
    let fault = *shared.fault.borrow();
    match fault {
        Fault::Latency(latency) => tokio::time::sleep(latency).await,
        Fault::Throttle(bytes_per_second) => {
            let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
            tokio::time::sleep(Duration::from_secs_f64(bytes / f64::from(bytes_per_second.max(1)))).await;
        }
        // What ends the fault resets the connection, which ends this wait.
        Fault::HalfOpen => std::future::pending().await,
        _ => {}
    }
}

/// Until the other side ends the connection, whatever comes before.
async fn ends(from: &mut (impl AsyncRead + Unpin)) {
    while read_frame(from).await.is_ok() {}
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = usize::try_from(from.read_u32().await?).unwrap_or(usize::MAX);
    if length > 256 << 20 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn write_frame(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
    // One write: a client that polls between the two would read half a frame more often than from a broker.
    let whole: Vec<u8> = length.iter().chain(frame).copied().collect();
    to.write_all(&whole).await
}
