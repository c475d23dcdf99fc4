//! Signals that end the program: waiting for them, and flushing before they do.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::watch;

use super::telemetry::Telemetry;

/// How many `shutdown_signal()` are waiting: then the program ends by itself, and nobody ends it from here.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Whether somebody asked for a flush before the end.
static FLUSHES: AtomicBool = AtomicBool::new(false);

static SIGNALS: OnceLock<Option<watch::Receiver<Option<Signal>>>> = OnceLock::new();

/// SIGTERM or SIGINT; on Windows, Ctrl-C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Interrupt,
    #[cfg(unix)]
    Terminate,
}

/// Resolves on SIGTERM or SIGINT (Ctrl-C on Windows): for the graceful end of a server.
///
/// ```no_run
/// # async fn serve(listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
/// axum::serve(listener, app).with_graceful_shutdown(throughline::shutdown_signal()).await
/// # }
/// ```
///
/// Needs no particular runtime. A second signal ends the program at once, and so does the first when nobody waits any more.
/// Where signals cannot be listened to it never resolves, and the signal's default action
/// ends the program as ever.
pub async fn shutdown_signal() {
    struct Waiting;
    impl Drop for Waiting {
        fn drop(&mut self) {
            WAITING.fetch_sub(1, Ordering::Relaxed);
        }
    }
    WAITING.fetch_add(1, Ordering::Relaxed);
    let _waiting = Waiting;
    let Some(mut signals) = receiver() else { return std::future::pending().await };
    if signals.wait_for(Option::is_some).await.is_err() {
        // The listening thread is gone, which only a panic in it can do.
        std::future::pending::<()>().await;
    }
}

/// Starts the thread that flushes on a signal and then lets the default action run.
///
/// # Errors
///
/// When the thread cannot be started.
pub(super) fn flush_on_signal(timeout: Duration) -> io::Result<()> {
    let Some(mut signals) = receiver() else {
        return Err(io::Error::other("signals cannot be listened to"));
    };
    FLUSHES.store(true, Ordering::Relaxed);
    thread::Builder::new().name("throughline-signal-flush".to_owned()).spawn(move || {
        let Ok(runtime) = runtime::Builder::new_current_thread().build() else { return };
        let arrived =
            runtime.block_on(async { signals.wait_for(Option::is_some).await.map(|signal| *signal) });
        if let Ok(Some(signal)) = arrived {
            if let Some(telemetry) = Telemetry::current() {
                let _ = telemetry.flush(timeout);
            }
            if WAITING.load(Ordering::Relaxed) == 0 {
                default_action(signal);
            }
        }
    })?;
    Ok(())
}

/// What happens without us, so that the exit status is right.
fn default_action(signal: Signal) {
    #[cfg(unix)]
    {
        let number = match signal {
            Signal::Interrupt => signal_hook::consts::SIGINT,
            Signal::Terminate => signal_hook::consts::SIGTERM,
        };
        let _ = signal_hook::low_level::emulate_default_handler(number);
    }
    #[cfg(not(unix))]
    {
        let Signal::Interrupt = signal;
        // STATUS_CONTROL_C_EXIT
        std::process::exit(0xC000_013A_u32.cast_signed());
    }
}

/// The receiving end of the one thread that listens. `None` when it could not be started.
fn receiver() -> Option<watch::Receiver<Option<Signal>>> {
    SIGNALS.get_or_init(|| listen().ok()).clone()
}

fn listen() -> io::Result<watch::Receiver<Option<Signal>>> {
    let (sender, receiver) = watch::channel(None);
    // Its own runtime: listening must work in programs that have none, and outlive those that have.
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    thread::Builder::new().name("throughline-signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let mut is_second = false;
            while let Some(signal) = signals.next().await {
                // Listening took the default action away. It must not be missed by those who are in a hurry, nor
                // when nobody else acts on the signal.
                let nobody_acts = WAITING.load(Ordering::Relaxed) == 0 && !FLUSHES.load(Ordering::Relaxed);
                if is_second || nobody_acts {
                    default_action(signal);
                }
                is_second = true;
                let _ = sender.send(Some(signal));
            }
        });
    })?;
    Ok(receiver)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Option<Signal> {
        use std::task::Poll;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(arrived) = self.interrupt.poll_recv(cx) {
                return Poll::Ready(arrived.map(|()| Signal::Interrupt));
            }
            self.terminate.poll_recv(cx).map(|arrived| arrived.map(|()| Signal::Terminate))
        })
        .await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[allow(clippy::unnecessary_wraps)] // as on Unix
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Option<Signal> {
        tokio::signal::ctrl_c().await.ok().map(|()| Signal::Interrupt)
    }
}
