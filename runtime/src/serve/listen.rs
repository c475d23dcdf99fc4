//! Connections: taking them, and ending them in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::error::ServeError;

/// Connections of one address at once; the next ones wait to be taken.
const MOST_CONNECTIONS: usize = 1_024;

/// Requests at once on one connection of HTTP/2.
const MOST_STREAMS: u32 = 64;

/// A connection that says nothing for so long is closed, and so is one whose request has no end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long connections may take to end what they have begun.
const GRACE: Duration = Duration::from_secs(10);

/// An address that is listened on.
#[derive(Debug)]
pub(super) struct Bound {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

/// Listens; nobody is answered yet.
pub(super) async fn bind(
    address: SocketAddr,
    flag: &'static str,
    off: &'static str,
) -> Result<Bound, ServeError> {
    let failed = |source| ServeError::Bind { address, flag, off, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address })
}

/// Answers until it is told to stop; returns when the requests that were begun are done, or after the grace.
pub(super) async fn answer(bound: Bound, app: Router, mut stop: watch::Receiver<bool>) {
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let taken = tokio::select! {
            // An error means that nobody is left who could say so.
            _ = stop.wait_for(|stop| *stop) => break,
            taken = take(&bound.listener, &places) => taken,
        };
        let Some((stream, place)) = taken else { continue };
        let watcher = connections.watcher();
        let (app, mut stop) = (app.clone(), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            // Which version of HTTP it speaks shows with its first bytes.
            let begins = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => false,
                first = timeout(HEAD_TIMEOUT, async { stream.peek(&mut [0]).await }) => matches!(first, Ok(Ok(1))),
            };
            if !begins {
                return;
            }
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MOST_STREAMS);
            let service = TowerToHyperService::new(app);
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            // What goes wrong with a connection is its client's affair.
            let _ = watcher.watch(connection).await;
        });
    }
    drop(bound);
    let _ = timeout(GRACE, connections.shutdown()).await;
}

/// The next connection, when there is a place for it.
async fn take(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and waited for. Where it cannot be set, they are slower.
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(_) => {
            // A client that left already, or no more files; then trying at once would keep a core busy.
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
