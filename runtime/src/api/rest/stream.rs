//! The live tail as server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};

use super::filter::{FILTERS, FilterParams, REPEATED, filter};
use super::openapi::{Busy, Refused};
use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::api::state::Shared;
use crate::api::tail::{Tailed, Told, matching, page, told};
use crate::store::{Filter, TailCursor};

/// A comment after so much silence keeps proxies from closing the connection.
const SILENCE: Duration = Duration::from_secs(15);

/// Traces as they get new spans, as server-sent events. An event `trace` has a `Trace`; the id of an event is the place to go
/// on from, which browsers send as `Last-Event-ID` when they come again: what was stored in the 15 minutes before is then told
/// first. An event `lagged` has `{"missed": n}`: so many events did not fit into the queue of this client. A trace may be told
/// more than once.
#[utoipa::path(get, path = "/api/traces/stream", tag = "traces",
    params(
        FilterParams,
        ("Last-Event-ID" = Option<String>, Header, nullable = false, pattern = "^([0-9]{1,18}-[0-9a-fA-F]{32}-[0-9a-fA-F]{16})?$",
            description = "Go on after this event.")),
    responses((status = 200, body = String, content_type = "text/event-stream"), Refused, Busy))]
pub(super) async fn stream(
    State(shared): State<Shared>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let filter = filter(&Params::new(&uri, &FILTERS, &REPEATED)?)?;
    let after = match headers.get("last-event-id").filter(|id| !id.is_empty()) {
        None => None,
        Some(id) => Some(
            id.to_str()
                .ok()
                .and_then(|id| id.parse::<TailCursor>().ok())
                .ok_or_else(|| Problem::parameter("Last-Event-ID", "expected the id of an event"))?,
        ),
    };
    // In this order: what is stored while the past is told waits in the queue.
    let tailed = shared.subscribe(filter.clone()).await?;
    let tail = Events { shared, filter, tailed, after, ready: VecDeque::new(), is_begun: false };
    let events =
        unfold(
            tail,
            |mut tail| async move { tail.next().await.map(|event| (Ok::<_, Infallible>(event), tail)) },
        );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// One client.
struct Events {
    shared: Shared,
    filter: Filter,
    tailed: Tailed,
    /// From here on the past is still to be told.
    after: Option<TailCursor>,
    ready: VecDeque<Bytes>,
    is_begun: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.is_begun {
            self.is_begun = true;
            if self.after.is_none() {
                // Who is cut off before the first event can go on, too.
                return Some(match self.tailed.next_or_place() {
                    Ok(told) => event(&told),
                    Err(place) => silence(place),
                });
            }
        }
        while let (None, Some(after)) = (self.ready.front(), self.after) {
            self.past(after).await?;
        }
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        match tokio::time::timeout(SILENCE, self.tailed.next()).await {
            Ok(told) => told.as_ref().map(event),
            Err(_) => Some(match self.tailed.next_or_place() {
                Ok(told) => event(&told),
                Err(place) => silence(place),
            }),
        }
    }

    /// Reads what the client missed; `None` when the store does not answer, and the client had better come again.
    async fn past(&mut self, after: TailCursor) -> Option<()> {
        // Not by the filter: the store's places are those of all spans.
        let asked = self.filter.clone();
        let found = self
            .shared
            .query(move |store| async move {
                let (page, more) = page(&store, Some(after)).await?;
                let ids = matching(page.spans, &asked);
                let told = told(&store, ids.clone()).await?;
                let traces: Vec<_> = ids.iter().filter_map(|id| told.get(id).cloned()).collect();
                Ok((traces, page.cursor, more))
            })
            .await;
        let (traces, cursor, more) = found.ok()?;
        let last = traces.len();
        for (index, json) in (1..).zip(traces) {
            let at = if index == last { cursor } else { Some(after) };
            self.ready.push_back(event(&Told::Trace { json, at }));
        }
        self.after = if more { cursor } else { None };
        Some(())
    }
}

fn event(told: &Told) -> Bytes {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match told {
        Told::Trace { json, at } => {
            if let Some(at) = at {
                let _ = writeln!(text, "id: {at}");
            }
            // Within JSON, line ends can only be blanks: those of a string are escaped.
            write!(text, "event: trace\ndata: {}\n\n", json.replace(['\r', '\n'], " "))
        }
        Told::Lagged(missed) => write!(text, "event: lagged\ndata: {{\"missed\":{missed}}}\n\n"),
    };
    text.into()
}

/// A comment. With an id and no data there is no event, but the client knows its place.
fn silence(place: Option<TailCursor>) -> Bytes {
    match place {
        Some(place) => format!(": \nid: {place}\n\n").into(),
        None => Bytes::from_static(b": \n\n"),
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt as _;

    use super::*;
    use crate::api::ApiOptions;
    use crate::store::{self, StoreOptions};

    #[tokio::test]
    async fn silence_is_broken_by_a_comment_with_the_place() {
        let folder = std::env::temp_dir().join(format!("throughline-silence-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let url = format!("sqlite:{}", folder.join("traces.db").display());
        let store = store::open(StoreOptions::new(url)).unwrap();
        let shared: Shared = Arc::new(crate::api::state::State::new(store, ApiOptions::new()));
        let answer = stream(State(shared), HeaderMap::new(), Uri::from_static("/")).await.unwrap();
        let mut events = answer.into_body().into_data_stream();
        let begin = events.next().await.unwrap().unwrap();
        assert!(begin.starts_with(b": \nid: "), "{begin:?}");
        tokio::time::pause();
        let before = tokio::time::Instant::now();
        assert_eq!(events.next().await.unwrap().unwrap(), begin, "nothing was stored, the place is the same");
        assert!(before.elapsed() >= SILENCE);
        drop(events);
        let _ = std::fs::remove_dir_all(folder);
    }
}
