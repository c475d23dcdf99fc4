//! The gateway: takes orders by HTTP and puts them on Kafka.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use rdkafka::ClientConfig;
use rdkafka::producer::FutureRecord;
use serde::{Deserialize, Serialize};
use throughline::kafka::TracedProducer;
use throughline::server::{ServerLayer, health_router};
use throughline::traced_span;
use tokio::net::TcpListener;

use crate::{Destination, Error, TOPIC, children, run};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) card: String,
}

pub(crate) async fn run(kafka: &str, destination: &Destination) -> Result<(), Error> {
    let telemetry = run::telemetry("gateway", destination)?;
    let producer: TracedProducer =
        ClientConfig::new().set("bootstrap.servers", kafka).set("linger.ms", "1").create()?;
    let app = Router::new()
        .route("/orders", post(accept))
        .with_state(Arc::new(producer))
        .merge(health_router())
        .layer(ServerLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    children::ready(&listener.local_addr()?.to_string());
    axum::serve(listener, app).with_graceful_shutdown(children::parent_is_done()).await?;
    tokio::task::block_in_place(|| run::finish(&telemetry))
}

/// The trace came in with the request: the layer made the span around this.
async fn accept(
    State(producer): State<Arc<TracedProducer>>,
    Json(order): Json<Order>,
) -> Result<StatusCode, (StatusCode, String)> {
    check(&order).await.map_err(|problem| (StatusCode::UNPROCESSABLE_ENTITY, problem))?;
    let internal = |problem: &dyn std::fmt::Display| (StatusCode::INTERNAL_SERVER_ERROR, problem.to_string());
    let payload = serde_json::to_vec(&order).map_err(|error| internal(&error))?;
    let key = format!("order-{}", order.id);
    // The send's span ends when the broker has the record, and its context travels in the record's headers.
    let record = FutureRecord::to(TOPIC).key(&key).payload(&payload);
    producer.send(record, Duration::from_secs(5)).await.map_err(|(error, _)| internal(&error))?;
    tracing::info!(order = order.id, "order accepted");
    Ok(StatusCode::ACCEPTED)
}

#[traced_span("gateway.check_order", fields(order.id = order.id))]
async fn check(order: &Order) -> Result<(), String> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    if order.card.is_empty() { Err("no card".to_owned()) } else { Ok(()) }
}
