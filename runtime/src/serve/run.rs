//! `throughline serve`, from the first line to the last span.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::args::{MaybeAddress, Serve};
use super::error::ServeError;
use super::greeting::{Access, Greeting};
use super::listen::{self, Bound};
use super::say;
use crate::api::{Api, ApiOptions};
use crate::export::chain::chain;
use crate::setup::database::for_program;
use crate::store::{self, Store, StoreOptions};
use crate::{diagnostics, export, shutdown_signal};

/// How long the start waits for a database.
const MIGRATION_WAIT: Duration = Duration::from_secs(10);

/// How long the end waits for spans whose senders were not answered yet.
const LAST_WRITES: Duration = Duration::from_secs(20);

pub(super) async fn serve(args: Serve) -> Result<(), ServeError> {
    // Before anything else, so that a signal during the start ends us in good order.
    let signal = tokio::spawn(shutdown_signal());
    let (options, warnings) = for_program(args.database.as_deref())?;
    for warning in warnings {
        diagnostics::warn(format_args!("{warning}"));
    }
    let access = access(&args)?;
    let bound = bind(&args).await?;
    let store = store::open(options.clone())?;
    prepare(&*store, &options).await?;
    let api = Api::new(Arc::clone(&store), api_options(&args, &options, access));
    let janitor = tokio::spawn(export::database::maintain(store));

    let (stopper, stop) = watch::channel(false);
    let mut work = JoinSet::new();
    let greeting = Greeting {
        store: shown(&options.url),
        api: bound.api.address,
        http: bound.http.as_ref().map(|bound| bound.address),
        grpc: bound.grpc.as_ref().map(|bound| bound.address),
        access,
        kafka: args.from_kafka.clone().map(|brokers| (brokers, args.topic.clone(), args.group.clone())),
    };
    start_kafka(&args, &api, &options, &stop, &mut work)?;
    work.spawn(listen::answer(bound.api, api.standalone(), stop.clone()));
    for bound in [bound.http, bound.grpc].into_iter().flatten() {
        work.spawn(listen::answer(bound, api.receiver(), stop.clone()));
    }
    say(&greeting.text());

    // The task ends with the signal only.
    let _ = signal.await;
    diagnostics::info(format_args!("stopping: what was begun is finished"));
    let _ = stopper.send(true);
    api.end_streams();
    while work.join_next().await.is_some() {}
    let is_idle = timeout(LAST_WRITES, api.idle()).await.is_ok();
    janitor.abort();
    if is_idle {
        diagnostics::info(format_args!("stopped: all that was acknowledged is stored"));
    } else {
        diagnostics::warn(format_args!(
            "stopped while the store did not answer: what was not acknowledged is left to its senders"
        ));
    }
    Ok(())
}

fn token(args: &Serve) -> Option<String> {
    let given = args.token.clone().or_else(|| std::env::var("THROUGHLINE_API_TOKEN").ok());
    given.filter(|token| !token.is_empty())
}

fn addresses(args: &Serve) -> impl Iterator<Item = SocketAddr> {
    let MaybeAddress(http) = args.listen_http;
    let MaybeAddress(grpc) = args.listen_grpc;
    [Some(args.listen), http, grpc].into_iter().flatten()
}

/// Who is let in; an error when that would be everybody without anybody having said so.
fn access(args: &Serve) -> Result<Access, ServeError> {
    let open = addresses(args).find(|address| !address.ip().is_loopback());
    match (token(args), open) {
        (Some(_), _) => Ok(Access::Token),
        (None, None) => Ok(Access::Loopback),
        (None, Some(_)) if args.insecure => Ok(Access::Everybody),
        (None, Some(address)) => Err(ServeError::Open { address }),
    }
}

/// The addresses, all of them or none.
struct Addresses {
    api: Bound,
    http: Option<Bound>,
    grpc: Option<Bound>,
}

async fn bind(args: &Serve) -> Result<Addresses, ServeError> {
    const OFF: &str = ", or `off`";
    let api = listen::bind(args.listen, "--listen", "").await?;
    let http = match args.listen_http.0 {
        Some(address) => Some(listen::bind(address, "--listen-http", OFF).await?),
        None => None,
    };
    let grpc = match args.listen_grpc.0 {
        Some(address) => Some(listen::bind(address, "--listen-grpc", OFF).await?),
        None => None,
    };
    Ok(Addresses { api, http, grpc })
}

fn api_options(args: &Serve, options: &StoreOptions, access: Access) -> ApiOptions {
    let mut api = ApiOptions::new().lift(options.lift.clone()).token(token(args).unwrap_or_default());
    api.hosts.clone_from(&args.host);
    // In a network of their own, services call us by names that nobody here knows.
    let is_open = access == Access::Everybody || addresses(args).any(|address| !address.ip().is_loopback());
    if is_open && args.host.is_empty() {
        api = api.host("*");
    }
    api.cors_origins.clone_from(&args.cors_origin);
    api
}

/// The schema. A database that is away is none of our errors: senders are told until it is back.
async fn prepare(store: &dyn Store, options: &StoreOptions) -> Result<(), ServeError> {
    if !options.auto_migrate {
        return Ok(());
    }
    let why = match timeout(MIGRATION_WAIT, store.migrate()).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) if error.is_transient() => chain(&error),
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => "it does not answer".to_owned(),
    };
    diagnostics::warn(format_args!("the database is away, and spans are refused until it is back: {why}"));
    Ok(())
}

/// The URL without secrets, and of a file its whole path.
fn shown(url: &str) -> String {
    match store::kind(url) {
        Ok(store::Kind::Sqlite(path)) => {
            format!("sqlite:{}", std::path::absolute(&path).unwrap_or(path).display())
        }
        _ => store::shown(url),
    }
}

#[cfg(feature = "kafka")]
fn start_kafka(
    args: &Serve,
    api: &Api,
    options: &StoreOptions,
    stop: &watch::Receiver<bool>,
    work: &mut JoinSet<()>,
) -> Result<(), ServeError> {
    let Some(brokers) = &args.from_kafka else { return Ok(()) };
    let source = super::from_kafka::Source {
        brokers: brokers.clone(),
        topic: args.topic.clone(),
        group: args.group.clone(),
        settings: args.kafka_setting.clone(),
    };
    let consumer = super::from_kafka::Consumer::new(&source, api.clone(), options.lift.clone())?;
    work.spawn(consumer.run(stop.clone()));
    Ok(())
}

#[cfg(not(feature = "kafka"))]
fn start_kafka(
    args: &Serve,
    _: &Api,
    _: &StoreOptions,
    _: &watch::Receiver<bool>,
    _: &mut JoinSet<()>,
) -> Result<(), ServeError> {
    match args.from_kafka {
        None => Ok(()),
        Some(_) => Err(ServeError::Argument(
            "--from-kafka needs the feature `kafka`, which this build does not have".to_owned(),
        )),
    }
}
