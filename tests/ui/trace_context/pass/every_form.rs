use std::collections::HashMap;
use throughline::TraceContext;

#[derive(TraceContext)]
struct WithHeaders<T> {
    #[trace(headers)]
    headers: HashMap<String, String>,
    payload: T,
}

#[derive(TraceContext, Default)]
struct WithFields {
    #[trace(traceparent)]
    parent: Option<String>,
    #[trace(tracestate)]
    state: Option<String>,
    #[trace(baggage)]
    baggage: std::option::Option<std::string::String>,
}

#[derive(TraceContext)]
struct OnlyParent<'a> {
    #[trace(traceparent)]
    r#type: Option<String>,
    name: &'a str,
}

fn main() {
    let mut message = WithHeaders { headers: HashMap::new(), payload: 1 };
    message.inject_trace_context();
    let _ = (message.extract_trace_context(), message.payload, message.headers);
    let mut message = WithFields::default();
    message.inject_trace_context();
    let _ = (message.parent, message.state, message.baggage);
    let message = OnlyParent { r#type: None, name: "a" };
    let _ = (message.extract_trace_context(), message.name);
}
