//! SIGTERM and SIGINT, counted.

use std::io;

use tokio::sync::watch;

/// Signals since this began to listen.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    count: watch::Receiver<u32>,
}

impl Signals {
    /// Listens on the current runtime.
    pub(super) fn listen() -> io::Result<Self> {
        let (arrived, count) = watch::channel(0);
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let (mut terminate, mut interrupt) =
                (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                        () = arrived.closed() => return,
                    }
                    arrived.send_modify(|count| *count += 1);
                }
            });
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    heard = tokio::signal::ctrl_c() => if heard.is_err() { return },
                    () = arrived.closed() => return,
                }
                arrived.send_modify(|count| *count += 1);
            }
        });
        Ok(Signals { count })
    }

    /// Waits until so many have arrived.
    pub(super) async fn arrived(&mut self, at_least: u32) {
        if self.count.wait_for(|count| *count >= at_least).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
