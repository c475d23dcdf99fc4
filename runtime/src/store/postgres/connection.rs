//! Connections, and what their errors mean.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::{Client, Config, NoTls};

use super::class;
use super::encryption::{Encryption, taken_out};
use crate::store::error::StoreError;

/// Where to connect to.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    encryption: Encryption,
}

impl Target {
    pub(super) fn new(url: &str) -> Result<Self, StoreError> {
        let (url, ssl) = taken_out(url)?;
        // The driver's error may quote the text, and with it a password.
        let mut config: Config = url
            .parse()
            .map_err(|_| StoreError::Url { why: "is no URL that PostgreSQL understands".into() })?;
        let encryption = Encryption::new(&ssl, &mut config)?;
        if config.get_application_name().is_none() {
            config.application_name("throughline");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        Ok(Self { config, encryption })
    }

    pub(super) async fn connect(&self) -> Result<Client, StoreError> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(StoreError::refused("there is no tokio runtime to run the connection"));
        };
        // Whoever uses the client hears of it when the connection ends.
        let client = match &self.encryption {
            Encryption::Never => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(failed)?;
                runtime.spawn(connection);
                client
            }
            #[cfg(feature = "postgres-tls")]
            Encryption::Tls(connector) => {
                let (client, connection) = self.config.connect(connector.clone()).await.map_err(failed)?;
                runtime.spawn(connection);
                client
            }
        };
        // What a person or a tool has set for this user must not change what our statements mean.
        client
            .batch_execute("set timezone = 'UTC'; set datestyle = 'ISO'; set client_min_messages = warning")
            .await
            .map_err(failed)?;
        Ok(client)
    }
}

/// Connections that read.
pub(super) struct Pool {
    target: Target,
    idle: Mutex<Vec<Client>>,
    places: Semaphore,
    timeout: Duration,
}

impl Pool {
    pub(super) fn new(target: Target, most: usize, timeout: Duration) -> Self {
        Self { target, idle: Mutex::new(Vec::new()), places: Semaphore::new(most), timeout }
    }

    /// A connection, or a turn to wait for one.
    pub(super) async fn get(&self) -> Result<Pooled<'_>, StoreError> {
        let place = match tokio::time::timeout(self.timeout, self.places.acquire()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(StoreError::unavailable("it is closed")),
            Err(_) => return Err(StoreError::unavailable("all connections are in use")),
        };
        let idle = loop {
            let mut clients = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            match clients.pop() {
                Some(client) if client.is_closed() => {}
                other => break other,
            }
        };
        let client = match idle {
            Some(client) => client,
            None => {
                let client = self.target.connect().await?;
                let limit = self.timeout.as_millis();
                // A page of a list is found sooner than more processes are started for it; statistics are not.
                let sql = format!(
                    "set statement_timeout = {limit}; set default_transaction_read_only = on; \
                     set parallel_setup_cost = 50000"
                );
                client.batch_execute(&sql).await.map_err(failed)?;
                client
            }
        };
        Ok(Pooled { client, pool: self, _place: place })
    }
}

/// A connection in use. One that is dropped without being put back is closed: somebody stopped waiting for its answer.
pub(super) struct Pooled<'p> {
    client: Client,
    pool: &'p Pool,
    _place: SemaphorePermit<'p>,
}

impl Pooled<'_> {
    pub(super) fn put_back(self) {
        if !self.client.is_closed() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.client);
        }
    }
}

impl Deref for Pooled<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// The driver's error in our classes.
pub(super) fn failed(error: tokio_postgres::Error) -> StoreError {
    let Some(code) = error.code().map(|code| code.code().to_owned()) else {
        let why = "the connection failed";
        return StoreError::Unavailable { why: why.into(), source: Some(Box::new(error)) };
    };
    let why = match (class(&error), code.as_str()) {
        (_, "57014") => return StoreError::TimedOut,
        ("08" | "57", _) => "the connection was ended",
        ("53", _) => "the server is short of memory, disk or connections",
        ("28", _) => "the server does not let us in; correct user and password in THROUGHLINE_DATABASE_URL",
        (_, "3D000") => "there is no database of that name",
        ("40", _) | (_, "55P03") => "another transaction is in the way",
        (_, "25006") => "the server takes no writes now",
        _ => {
            let why = format!("PostgreSQL says {code}");
            return StoreError::Refused { why: why.into(), source: Some(Box::new(error)) };
        }
    };
    StoreError::Unavailable { why: why.into(), source: Some(Box::new(error)) }
}
