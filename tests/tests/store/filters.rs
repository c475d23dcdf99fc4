use opentelemetry::trace::{SpanKind, TraceId};
use throughline::store::{Filter, Outcome, Page};

use crate::support::{Fixture, begin, ids, ms, rows, span};

crate::on_both!(each_filter_finds_its_traces, conditions_meet_on_one_span, attribute_index_changes_no_answer);

fn traces() -> Vec<throughline::store::StoredSpan> {
    rows([
        span(1, 1, 0, begin()).service("gate").name("GET /orders").kind(SpanKind::Server).lasts(ms(20)),
        span(1, 2, 1, begin() + ms(1)).service("shop").name("Load Order").attribute("task_id", "t1"),
        span(2, 1, 0, begin() + ms(10)).service("shop").name("charge").fails("io").attribute("plan_id", "p1"),
        span(3, 1, 0, begin() + ms(20))
            .service("shop")
            .name("charge")
            .fails("DEADLINE_EXCEEDED")
            .attribute("agent_id", "a1"),
        span(4, 1, 0, begin() + ms(30))
            .service("bank")
            .name("ÄNDERN 100%_sure")
            .attribute("tool_id", "x1")
            .attribute("http.response.status_code", 503)
            .attribute("ratio", 0.5)
            .attribute("cached", true)
            .attribute("user \"id\" $.x", "o'neil"),
        span(5, 1, 0, begin() + ms(40)).service("bank").name("idle").lasts(ms(300)).attribute("code", "503"),
    ])
}

async fn each_filter_finds_its_traces(f: Fixture) {
    f.store.write(traces()).await.unwrap();
    let all = Filter::new;
    for (filter, found) in [
        (all(), vec![5, 4, 3, 2, 1]),
        (all().trace_id(TraceId::from(3_u128)), vec![3]),
        (all().service("shop"), vec![3, 2, 1]),
        (all().service("Shop"), vec![]),
        (all().operation("charge"), vec![3, 2]),
        (all().operation("charg"), vec![]),
        (all().operation_contains("ORDER"), vec![1]),
        (all().operation_contains("ändern"), vec![4]),
        (all().operation_contains("%_"), vec![4]),
        (all().operation_contains("nothing"), vec![]),
        (all().outcome(Outcome::Error), vec![2]),
        (all().outcome(Outcome::Timeout), vec![3]),
        (all().outcome(Outcome::Success), vec![5, 4, 1]),
        (all().kind(SpanKind::Server), vec![1]),
        (all().kind(SpanKind::Producer), vec![]),
        (all().task_id("t1"), vec![1]),
        (all().plan_id("p1"), vec![2]),
        (all().agent_id("a1"), vec![3]),
        (all().tool_id("x1"), vec![4]),
        (all().tool_id("x2"), vec![]),
        (all().attribute("http.response.status_code", "503"), vec![4]),
        (all().attribute("code", "503"), vec![5]),
        (all().attribute("ratio", "0.5"), vec![4]),
        (all().attribute("cached", "true"), vec![4]),
        (all().attribute("cached", "1"), vec![]),
        (all().attribute("user \"id\" $.x", "o'neil"), vec![4]),
        (all().attribute("cached", "true").attribute("ratio", "0.5"), vec![4]),
        (all().attribute("cached", "true").attribute("ratio", "0.6"), vec![]),
        (all().min_duration(ms(20)), vec![5, 1]),
        (all().max_duration(ms(20)), vec![4, 3, 2, 1]),
        (all().min_duration(ms(20)).max_duration(ms(20)), vec![1]),
        (all().from(begin() + ms(20)), vec![5, 4, 3]),
        (all().to(begin() + ms(20)), vec![2, 1]),
        (all().from(begin() + ms(10)).to(begin() + ms(40)).service("shop"), vec![3, 2]),
    ] {
        let list = f.store.list(filter.clone(), Page::first(10)).await.unwrap();
        assert_eq!(ids(&list), found, "{filter:?}");
        assert_eq!(list.total, Some(found.len() as u64), "{filter:?}");
    }
}

// store.md, section 6: a trace matches when one of its spans does.
async fn conditions_meet_on_one_span(f: Fixture) {
    f.store.write(traces()).await.unwrap();
    let both = f.store.list(Filter::new().service("gate").task_id("t1"), Page::first(10)).await.unwrap();
    assert!(both.traces.is_empty(), "the service is one span's, the task another's");
}

async fn attribute_index_changes_no_answer(f: Fixture) {
    let store = f.open(|options| options.index_attributes(true));
    store.write(traces()).await.unwrap();
    for (key, value, found) in
        [("http.response.status_code", "503", vec![4]), ("code", "503", vec![5]), ("x", "", vec![])]
    {
        let list = store.list(Filter::new().attribute(key, value), Page::first(10)).await.unwrap();
        assert_eq!(ids(&list), found);
    }
}
