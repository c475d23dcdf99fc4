//! `sslmode` and `sslrootcert`, as libpq reads them
//! (<https://www.postgresql.org/docs/current/libpq-ssl.html>). The driver knows only some of their values.

use std::borrow::Cow;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::store::error::StoreError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    /// Encrypted if the server offers it, by whomever.
    Prefer,
    /// Encrypted; verified like `VerifyCa` if an authority is named.
    Require,
    /// By a server whose certificate an authority has signed.
    VerifyCa,
    /// The same, and it is for this host.
    VerifyFull,
}

/// What the URL says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ssl {
    pub(super) mode: Mode,
    /// A file of authorities; without one, those of the system.
    pub(super) authorities: Option<PathBuf>,
}

/// How connections are made.
#[derive(Clone)]
pub(super) enum Encryption {
    Never,
    #[cfg(feature = "postgres-tls")]
    Tls(super::tls::Connector),
}

/// The URL without the two parameters, and what they say.
pub(super) fn taken_out(url: &str) -> Result<(Cow<'_, str>, Ssl), StoreError> {
    let mut ssl = Ssl { mode: Mode::Prefer, authorities: None };
    let Some((base, query)) = url.split_once('?') else { return Ok((url.into(), ssl)) };
    let mut others = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8_lossy();
        match name {
            "sslmode" => {
                ssl.mode = match value.as_ref() {
                    "disable" => Mode::Disable,
                    // Unencrypted first is not offered: what is there is better than what is not.
                    "allow" | "prefer" => Mode::Prefer,
                    "require" => Mode::Require,
                    "verify-ca" => Mode::VerifyCa,
                    "verify-full" => Mode::VerifyFull,
                    other => {
                        let why = format!(
                            "has `sslmode={other}`, which is none of disable, prefer, require, verify-ca, verify-full"
                        );
                        return Err(StoreError::Url { why: why.into() });
                    }
                };
            }
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => ssl.authorities = Some(PathBuf::from(value.as_ref())),
            "sslcert" | "sslkey" => {
                return Err(StoreError::Url { why: format!("has `{name}`, which is not offered").into() });
            }
            _ => others.push(pair),
        }
    }
    let url = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
    Ok((url.into(), ssl))
}

impl Encryption {
    /// Tells the driver as well.
    pub(super) fn new(ssl: &Ssl, config: &mut Config) -> Result<Self, StoreError> {
        config.ssl_mode(match ssl.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        if ssl.mode == Mode::Disable {
            return Ok(Self::Never);
        }
        #[cfg(feature = "postgres-tls")]
        return super::tls::connector(ssl).map(Self::Tls);
        #[cfg(not(feature = "postgres-tls"))]
        if ssl.mode == Mode::Prefer {
            Ok(Self::Never)
        } else {
            Err(StoreError::FeatureMissing { what: "PostgreSQL over TLS", feature: "postgres-tls" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str) -> (String, Mode, Option<PathBuf>) {
        let (url, ssl) = taken_out(url).unwrap();
        (url.into_owned(), ssl.mode, ssl.authorities)
    }

    #[test]
    fn parameters_of_tls_are_taken_out_and_others_stay() {
        assert_eq!(told("postgres://h/d"), ("postgres://h/d".to_owned(), Mode::Prefer, None));
        assert_eq!(
            told(
                "postgres://h/d?connect_timeout=3&sslmode=verify-full&sslrootcert=/etc/a%20b.pem&options=-cx%3Dy"
            ),
            (
                "postgres://h/d?connect_timeout=3&options=-cx%3Dy".to_owned(),
                Mode::VerifyFull,
                Some(PathBuf::from("/etc/a b.pem"))
            )
        );
        assert_eq!(
            told("postgres://h/d?sslmode=verify-ca&sslrootcert=system"),
            ("postgres://h/d".to_owned(), Mode::VerifyCa, None)
        );
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        for (url, word) in [("postgres://h?sslmode=on", "sslmode=on"), ("postgres://h?sslcert=x", "sslcert")]
        {
            let error = taken_out(url).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
