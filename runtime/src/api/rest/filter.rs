//! The parameters that say which spans are meant.

use opentelemetry::trace::SpanKind;
use utoipa::IntoParams;

use crate::api::params::Params;
use crate::api::problem::Problem;
use crate::store::{Filter, KINDS, Outcome};

/// All parameters of [`FilterParams`], in its order.
pub(super) const FILTERS: [&str; 14] = [
    "task_id",
    "plan_id",
    "agent_id",
    "tool_id",
    "trace_id",
    "service",
    "operation_name",
    "status",
    "kind",
    "min_duration_ms",
    "max_duration_ms",
    "start_time_from",
    "start_time_to",
    "attr",
];

/// The one among them that may be repeated.
pub(super) const REPEATED: [&str; 1] = ["attr"];

/// What the document says of them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // read by `filter`, which names the parameter that is wrong
pub(super) struct FilterParams {
    /// Exactly this `task_id`.
    task_id: Option<String>,
    /// Exactly this `plan_id`.
    plan_id: Option<String>,
    /// Exactly this `agent_id`.
    agent_id: Option<String>,
    /// Exactly this `tool_id`.
    tool_id: Option<String>,
    /// This trace: 32 hex digits.
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    trace_id: Option<String>,
    /// Exactly this `service.name`.
    service: Option<String>,
    /// A part of the span's name, without regard to case.
    operation_name: Option<String>,
    /// How the span ended.
    #[param(inline)]
    status: Option<StatusWord>,
    /// The span's kind.
    #[param(inline)]
    kind: Option<KindWord>,
    /// Shortest duration.
    #[param(minimum = 0, maximum = 1e15)]
    min_duration_ms: Option<f64>,
    /// Longest duration.
    #[param(minimum = 0, maximum = 1e15)]
    max_duration_ms: Option<f64>,
    /// Earliest start, included; without a zone it is UTC.
    #[param(format = DateTime)]
    start_time_from: Option<String>,
    /// Latest start, excluded; without a zone it is UTC.
    #[param(format = DateTime)]
    start_time_to: Option<String>,
    /// An attribute as `key:value`; up to 16 of them. The value matches a string, and the number or boolean that it spells.
    #[param(pattern = "^[^:]+:", max_items = 16)]
    attr: Option<Vec<String>>,
}

/// How a span ended.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // for the document
pub(super) enum StatusWord {
    Success,
    Error,
    Timeout,
}

/// The kind of a span.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // for the document
pub(super) enum KindWord {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// Reads them.
pub(super) fn filter(params: &Params) -> Result<Filter, Problem> {
    let text = |name: &str| params.text(name).map(str::to_owned);
    let mut filter = Filter::new();
    filter.ids = [text("task_id"), text("plan_id"), text("agent_id"), text("tool_id")];
    filter.trace_id = params.trace_id("trace_id")?;
    filter.service = text("service");
    filter.operation_contains = text("operation_name");
    filter.outcome = params.word(
        "status",
        &[("success", Outcome::Success), ("error", Outcome::Error), ("timeout", Outcome::Timeout)],
    )?;
    filter.kind = kind(params)?;
    filter.min_duration = params.milliseconds("min_duration_ms")?;
    filter.max_duration = params.milliseconds("max_duration_ms")?;
    filter.from = params.time("start_time_from")?;
    filter.to = params.time("start_time_to")?;
    for attribute in params.all("attr") {
        let (key, value) = attribute
            .split_once(':')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Problem::parameter("attr", "expected key:value"))?;
        filter = filter.attribute(key, value);
    }
    Ok(filter)
}

/// The kind of span, by its word.
pub(super) fn kind(params: &Params) -> Result<Option<SpanKind>, Problem> {
    params.word("kind", &KINDS)
}
