//! The store over TLS, as `sslmode` and `sslrootcert` ask for it:
//! `tests/peers/postgres -- cargo test -p throughline-tests --features tls --test postgres_tls`.
//!
//! The certificate is for 127.0.0.1; 127.0.0.2 is the same machine by a name that it is not for.

mod server;

use std::error::Error;
use std::net::SocketAddr;

use server::{Front, certificate};
use throughline::store::{self, StoreError, StoreOptions};
use throughline_tests::peers;

/// The address of the server of this run.
fn postgres() -> Option<SocketAddr> {
    let Some(url) = peers::postgres() else {
        peers::skip("PostgreSQL", "postgres");
        return None;
    };
    let (_, host) = url.split_once('@').expect("a user");
    Some(host.split_once('/').expect("a database").0.parse().expect("an address"))
}

async fn health(front: &Front, ssl: &str) -> Result<(), StoreError> {
    let authority = certificate("authority.pem");
    let ssl = ssl.replace("AUTHORITY", authority.to_str().expect("a path in UTF-8"));
    let url = format!("postgres://postgres@{}/postgres?{ssl}", front.address);
    // The schema is of no interest: whoever is told that there is none has talked to the server.
    let store = store::open(StoreOptions::new(url).auto_migrate(false))?;
    match store.health().await {
        Ok(_) | Err(StoreError::NotMigrated { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn words(error: &StoreError) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words += &format!(": {error}");
        source = error.source();
    }
    words
}

#[tokio::test]
async fn connections_are_as_safe_as_they_are_asked_to_be() {
    let Some(behind) = postgres() else { return };
    // The address, the parameters, and whether they let us in.
    let rows = [
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=AUTHORITY", true),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=AUTHORITY", true),
        ("127.0.0.1", "sslmode=require&sslrootcert=AUTHORITY", true),
        ("127.0.0.1", "sslmode=require", true),
        ("127.0.0.1", "sslmode=prefer", true),
        ("127.0.0.1", "application_name=x", true),
        ("127.0.0.2", "sslmode=verify-full&sslrootcert=AUTHORITY", false),
        ("127.0.0.2", "sslmode=verify-ca&sslrootcert=AUTHORITY", true),
        // Whoever signed it is none of the system's.
        ("127.0.0.1", "sslmode=verify-full", false),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=system", false),
    ];
    for (ip, ssl, is_let_in) in rows {
        let front = Front::start(ip, behind, true).await;
        let answer = health(&front, ssl).await;
        let (encrypted, plain) = front.counts();
        assert_eq!(plain, 0, "{ssl}");
        match answer {
            Ok(()) => assert!(is_let_in && encrypted > 0, "{ip} {ssl}"),
            Err(error) => {
                assert!(!is_let_in, "{ip} {ssl}: {}", words(&error));
                assert!(words(&error).to_lowercase().contains("certificate"), "{}", words(&error));
            }
        }
    }
}

#[tokio::test]
async fn server_without_tls_is_used_only_where_that_is_allowed() {
    let Some(behind) = postgres() else { return };
    let front = Front::start("127.0.0.1", behind, false).await;
    for ssl in ["sslmode=prefer", "sslmode=disable"] {
        health(&front, ssl).await.unwrap();
    }
    let (encrypted, plain) = front.counts();
    assert!(encrypted == 0 && plain >= 2);
    for ssl in ["sslmode=require", "sslmode=verify-full&sslrootcert=AUTHORITY"] {
        let error = health(&front, ssl).await.unwrap_err();
        assert!(words(&error).contains("TLS"), "{}", words(&error));
    }
}

#[test]
fn authorities_that_cannot_be_read_are_named() {
    for (path, word) in [("/nowhere/authority.pem", "No such file"), ("/dev/null", "no certificate")] {
        let url = format!("postgres://h/d?sslmode=verify-full&sslrootcert={path}");
        let error = store::open(StoreOptions::new(url)).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(word), "{error}");
    }
}
