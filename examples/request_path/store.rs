//! The database: where it is, and a trace read back out of it over the REST API.

use std::path::PathBuf;

use serde_json::Value;
use throughline::api;
use throughline::export::console::TreeSpan;
use throughline::store::{self, StoreOptions};
use throughline_examples::say;
use tokio::net::TcpListener;

use crate::Error;

/// A folder for the database, which goes away with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("throughline-request-path-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// What `THROUGHLINE_DATABASE_URL` would say.
    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.0.join("traces.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Serves the database on a free port, asks for what failed, prints one of these traces, and fails when the database does
/// not have all that was sent.
pub(crate) async fn read_back(url: &str, sent: &[Vec<TreeSpan>], json: bool) -> Result<(), Error> {
    let store = store::open(StoreOptions::new(url))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}/api/traces", listener.local_addr()?);
    let server = tokio::spawn(async move { axum::serve(listener, api::router(store)).await });

    let summary = get(&format!("{base}/stats/summary")).await?;
    let mut list = get(&format!("{base}/?status=error&page_size=1")).await?;
    if list["total"] == 0 {
        list = get(&format!("{base}/?page_size=1")).await?;
    }
    let trace = list["traces"].get(0).ok_or("the database is empty")?;
    let spans = get(&format!("{base}/{}/spans", text(trace, "trace_id"))).await?;
    if json {
        say(format_args!("{spans}"));
    } else {
        print(&base, &summary, trace, &spans);
    }
    server.abort();

    let expected: usize = sent.iter().map(Vec::len).sum();
    let found = summary["total"].as_u64().unwrap_or(0);
    if found == expected as u64 {
        Ok(())
    } else {
        Err(format!("{expected} spans were sent, and the database has {found}").into())
    }
}

async fn get(url: &str) -> Result<Value, Error> {
    let answer = reqwest::get(url).await?.error_for_status()?.bytes().await?;
    Ok(serde_json::from_slice(&answer)?)
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn print(base: &str, summary: &Value, trace: &Value, spans: &Value) {
    say(format_args!("\nGET {base}/stats/summary"));
    say(format_args!(
        "    {} spans of {} traces in the database, {} failed, 95 % took {:.1} ms at most",
        summary["total"],
        summary["traces"],
        summary["error"],
        summary["p95_ms"].as_f64().unwrap_or(0.0)
    ));
    say(format_args!("GET {base}/{}/spans", text(trace, "trace_id")));
    for span in spans.as_array().into_iter().flatten() {
        say(format_args!(
            "    {}  {:>8.2} ms  {:<8} {:<8} {}",
            text(span, "start_time"),
            span["duration_ms"].as_f64().unwrap_or(0.0),
            text(span, "status"),
            text(span, "service_name"),
            text(span, "operation_name"),
        ));
    }
}
