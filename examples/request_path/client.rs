//! The client: sends the requests.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use throughline::traced_span;

use crate::Error;
use crate::gateway::Order;

/// One request. The span is the root of the trace; its context goes into the request's headers.
#[traced_span("POST /orders", kind = client, fields(order.id = order.id))]
pub(crate) async fn place(http: &reqwest::Client, gateway: &str, order: &Order) -> Result<(), Error> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    throughline::inject_trace_context(&mut headers);
    let body = serde_json::to_vec(order)?;
    let url = format!("http://{gateway}/orders");
    http.post(url).headers(headers).body(body).send().await?.error_for_status()?;
    Ok(())
}
