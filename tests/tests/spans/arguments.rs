//! Every argument that changes the span itself.

use throughline::opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt as _};
use throughline::opentelemetry::{Context, InstrumentationScope, KeyValue};
use throughline::{span_id, traced_span};

use super::support::{SpanDataExt as _, block_on, kind_of, new_parent, spans_in, spans_of};

#[traced_span]
fn named_after_the_function() {}

#[traced_span("orders.load")]
fn named_by_a_literal() {}

#[traced_span(name = format!("orders.{what}"))]
fn named_by_an_expression(what: &str) {
    let _ = what;
}

#[traced_span]
fn r#match() {}

// tokio-rs/tracing#720 #1489 #1705 #2934, tracing-opentelemetry#82
#[test]
fn names() {
    let ((), spans) = spans_of(|| {
        named_after_the_function();
        named_by_a_literal();
        named_by_an_expression("delete");
        r#match();
    });
    assert_eq!(spans.names(), ["named_after_the_function", "orders.load", "orders.delete", "match"]);
}

#[traced_span(kind = server)]
fn server() {}
#[traced_span(kind = client)]
async fn client() {}
#[traced_span(kind = producer)]
fn producer() {}
#[traced_span(kind = consumer)]
fn consumer() {}
#[traced_span(kind = internal)]
fn internal() {}

#[test]
fn kinds() {
    let ((), spans) = spans_of(|| {
        server();
        block_on(client());
        producer();
        consumer();
        internal();
    });
    assert_eq!(kind_of(spans.named("server")), SpanKind::Server);
    assert_eq!(kind_of(spans.named("client")), SpanKind::Client);
    assert_eq!(kind_of(spans.named("producer")), SpanKind::Producer);
    assert_eq!(kind_of(spans.named("consumer")), SpanKind::Consumer);
    assert_eq!(kind_of(spans.named("internal")), SpanKind::Internal);
}

#[traced_span(parent = cx)]
fn with_parent(cx: &Context) {
    let _ = cx;
    named_after_the_function();
}

#[traced_span(parent = parent)]
async fn with_optional_parent(parent: Option<SpanContext>) {}

// tokio-rs/tracing#2520 #1564: given at creation.
#[test]
fn parent_is_given_at_creation() {
    let other = new_parent();
    let cx = Context::new().with_remote_span_context(other.clone());
    let ((), here) = spans_of(|| with_parent(&cx));
    assert!(here.names().is_empty());
    let there = spans_in(&other);
    assert_eq!(there.named("with_parent").parent_span_id, other.span_id());
    there.assert_child("named_after_the_function", "with_parent");
}

#[test]
fn parent_none_begins_a_new_trace() {
    let (_, here) = spans_of(|| block_on(with_optional_parent(None)));
    assert!(here.names().is_empty());
    let other = new_parent();
    let (_, _) = spans_of(|| block_on(with_optional_parent(Some(other.clone()))));
    assert_eq!(spans_in(&other).only().parent_span_id, other.span_id());
}

#[traced_span(root)]
fn new_root() -> SpanContext {
    Context::current().span().span_context().clone()
}

#[test]
fn root_is_a_new_trace_linked_to_the_caller() {
    let (root, here) = spans_of(new_root);
    assert!(here.names().is_empty());
    assert_ne!(root.trace_id(), here.parent.trace_id());
    let there = spans_in(&root);
    let links: Vec<_> = there.only().links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, [here.parent.span_id()]);
}

#[traced_span(links = links.iter())]
fn linked_to_contexts(links: &[SpanContext]) {
    let _ = links;
}

#[traced_span(links = [Link::new(to, vec![KeyValue::new("why", "retry")], 0)])]
async fn linked_with_attributes(to: SpanContext) {}

// tokio-rs/tracing#879 #2021 #2091
#[test]
fn links_are_given_at_creation() {
    let others = [new_parent(), new_parent()];
    let ((), spans) = spans_of(|| {
        linked_to_contexts(&others);
        block_on(linked_with_attributes(others[0].clone()));
    });
    let linked: Vec<_> =
        spans.named("linked_to_contexts").links.iter().map(|link| link.span_context.clone()).collect();
    assert_eq!(linked, others);
    let link = &spans.named("linked_with_attributes").links[0];
    assert_eq!(link.attributes, [KeyValue::new("why", "retry")]);
}

#[traced_span(scope = "orders")]
fn scope_by_literal() {}

#[traced_span(scope = InstrumentationScope::builder("built").with_version("2").build())]
fn scope_by_expression() {}

#[test]
fn scope_is_the_package_unless_told() {
    let ((), spans) = spans_of(|| {
        named_after_the_function();
        scope_by_literal();
        scope_by_expression();
    });
    let scope = |name: &str| {
        let scope = &spans.named(name).instrumentation_scope;
        (scope.name().to_owned(), scope.version().map(str::to_owned))
    };
    let own = (env!("CARGO_PKG_NAME").to_owned(), Some(env!("CARGO_PKG_VERSION").to_owned()));
    assert_eq!(scope("named_after_the_function"), own);
    assert_eq!(scope("scope_by_literal"), ("orders".to_owned(), None));
    assert_eq!(scope("scope_by_expression"), ("built".to_owned(), Some("2".to_owned())));
}

#[traced_span(leaf, fields(n))]
fn leaf(n: u8) -> Option<String> {
    throughline::set_attribute("written", i64::from(n));
    span_id()
}

#[traced_span]
fn around_a_leaf() -> Option<String> {
    leaf(1)
}

#[test]
fn a_leaf_nests_and_is_writable_by_our_functions() {
    let (id, spans) = spans_of(around_a_leaf);
    spans.assert_child("leaf", "around_a_leaf");
    assert_eq!(id, Some(spans.named("leaf").span_context.span_id().to_string()));
    assert_eq!(spans.named("leaf").text("written").as_deref(), Some("1"));
}

struct Store<T>(T);

trait Load {
    fn load(&self);
}

impl<T> Load for Store<T> {
    #[traced_span]
    fn load(&self) {}
}

impl<T> Store<T> {
    #[traced_span]
    async fn load_async(&self) {}
}

// tokio-rs/tracing#1939 #1123
#[test]
fn the_function_is_named_with_its_type_and_trait() {
    let ((), spans) = spans_of(|| {
        Store(1u8).load();
        block_on(Store(1u8).load_async());
        named_after_the_function();
    });
    let function = |name: &str| spans.named(name).text("code.function.name").unwrap_or_default();
    assert_eq!(function("named_after_the_function"), "spans::arguments::named_after_the_function");
    let method = function("load");
    assert!(
        method.starts_with("<spans::arguments::Store<")
            && method.ends_with(" as spans::arguments::Load>::load"),
        "{method}"
    );
    let method = function("load_async");
    assert!(method.starts_with("spans::arguments::Store<") && method.ends_with("::load_async"), "{method}");
    assert!(spans.named("load").text("code.file.path").is_some_and(|path| path.ends_with("arguments.rs")));
}

mod renamed {
    pub(super) use throughline::__private;
}

#[traced_span(crate = renamed)]
fn by_another_path() {}

#[test]
fn crate_is_a_path_to_a_reexport() {
    let ((), spans) = spans_of(by_another_path);
    assert_eq!(spans.names(), ["by_another_path"]);
}
