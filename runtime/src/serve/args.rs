//! The command line.

use std::net::{Ipv4Addr, SocketAddr};

use clap::{Args, Parser, Subcommand};

/// A trace back end in one program: receives OTLP from any language, keeps traces in PostgreSQL or in one SQLite file, and
/// answers questions about them.
#[derive(Debug, Parser)]
#[command(name = "throughline", version)]
pub(super) struct Program {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Receive, store and show traces.
    Serve(Box<Serve>),
    /// Make the tables, or bring them up to date.
    Migrate(Migrate),
}

/// Settings of the store besides its URL are variables: THROUGHLINE_RETENTION, THROUGHLINE_SQLITE_MAX_BYTES,
/// THROUGHLINE_PARTITION, THROUGHLINE_INDEX_ATTRIBUTES, THROUGHLINE_LIFT, THROUGHLINE_AUTO_MIGRATE.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where traces are kept: `postgres://USER@HOST/DATABASE` or `sqlite:PATH` [variable: THROUGHLINE_DATABASE_URL]
    /// [default: sqlite:./throughline.db]
    #[arg(long, value_name = "URL")]
    pub(super) database: Option<String>,

    /// Address of the REST API, of Jaeger's API and of OTLP over HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:16690", value_parser = address)]
    pub(super) listen: SocketAddr,

    /// Address of OTLP over HTTP alone, or `off`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4318", value_parser = maybe_address)]
    pub(super) listen_http: MaybeAddress,

    /// Address of OTLP over gRPC, or `off`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4317", value_parser = maybe_address)]
    pub(super) listen_grpc: MaybeAddress,

    /// What requests must carry as `Authorization: Bearer TOKEN`; other users of this machine can read it here, so the
    /// variable is better [variable: THROUGHLINE_API_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,

    /// Listen on addresses of other machines' reach without a token
    #[arg(long)]
    pub(super) insecure: bool,

    /// A name that requests may have in `Host` besides those of the loopback; several times for more. Without it, every
    /// name is allowed when an address is not of the loopback
    #[arg(long, value_name = "NAME")]
    pub(super) host: Vec<String>,

    /// An origin whose pages may read answers, such as `https://ops.example.org`; several times for more
    #[arg(long, value_name = "ORIGIN")]
    pub(super) cors_origin: Vec<String>,

    /// Read spans from Kafka, too: HOST:PORT,HOST:PORT
    #[arg(long, value_name = "BROKERS")]
    pub(super) from_kafka: Option<String>,

    /// The topic, with an OTLP request in each message, as protobuf or JSON
    #[arg(long, value_name = "TOPIC", default_value = "otlp_spans", requires = "from_kafka")]
    pub(super) topic: String,

    /// The consumer group; programs with the same group and store share the work
    #[arg(long, value_name = "GROUP", default_value = "throughline", requires = "from_kafka")]
    pub(super) group: String,

    /// A setting of librdkafka, such as `security.protocol=SSL`; several times for more
    #[arg(long, value_name = "NAME=VALUE", requires = "from_kafka")]
    pub(super) kafka_setting: Vec<String>,
}

/// Makes the tables of the store, or brings them up to date; safe when several do so at once.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Where traces are kept; for PostgreSQL behind a pooler, THROUGHLINE_MIGRATION_DATABASE_URL is the direct way
    /// [variable: THROUGHLINE_DATABASE_URL] [default: sqlite:./throughline.db]
    #[arg(long, value_name = "URL")]
    pub(super) database: Option<String>,

    /// Print the SQL instead, for those who may not change tables from a program
    #[arg(long)]
    pub(super) print_sql: bool,
}

/// An address, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaybeAddress(pub(super) Option<SocketAddr>);

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| "expected IP:PORT, such as 127.0.0.1:4318 or 0.0.0.0:4318".to_owned())
}

fn maybe_address(text: &str) -> Result<MaybeAddress, String> {
    if text == "off" {
        return Ok(MaybeAddress(None));
    }
    address(text)
        .map(|address| MaybeAddress(Some(address)))
        .map_err(|expected| format!("{expected}, or `off`"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Program::command().debug_assert();
    }

    #[test]
    fn addresses_are_numbers_or_localhost() {
        assert_eq!(address("localhost:1"), Ok(SocketAddr::from(([127, 0, 0, 1], 1))));
        assert_eq!(address("[::1]:1").map(|address| address.ip().is_loopback()), Ok(true));
        assert_eq!(maybe_address("off"), Ok(MaybeAddress(None)));
        assert!(maybe_address("4318").is_err_and(|error| error.contains("`off`")));
    }
}
