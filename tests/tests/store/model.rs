//! Random spans and random questions: both stores answer as a plain loop over the spans does.

use std::collections::{BTreeSet, HashMap, HashSet};

use opentelemetry::trace::{SpanKind, TraceId};
use throughline::store::{Filter, Outcome, Page, StoredSpan};

use crate::support::{Fixture, begin, ids, ms, span};

crate::on_both!(answers_are_those_of_a_plain_loop);

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()].clone()
    }
}

const SERVICES: [&str; 4] = ["gate", "shop", "bank", "Bank"];
const NAMES: [&str; 5] = ["GET /", "get order", "charge", "Charge card", "idle"];
const KINDS: [SpanKind; 3] = [SpanKind::Server, SpanKind::Client, SpanKind::Internal];
const IDS: [&str; 3] = ["a", "b", "A"];
const ERRORS: [&str; 3] = ["io", "timeout", "Deadline_Exceeded"];
const OUTCOMES: [Outcome; 3] = [Outcome::Success, Outcome::Error, Outcome::Timeout];

fn spans(random: &mut Random) -> Vec<StoredSpan> {
    let mut spans = Vec::new();
    for trace in 1..=80_u128 {
        let start = random.below(60);
        for id in 1..=random.below(8) + 1 {
            let mut made = span(
                trace,
                id,
                if random.one_in(6) { 77 } else { id - 1 },
                begin() + ms(start + random.below(20)),
            )
            .service(random.of(&SERVICES))
            .name(random.of(&NAMES))
            .kind(random.of(&KINDS))
            .lasts(ms(random.below(30)))
            .attribute("n", i64::try_from(random.below(3)).unwrap());
            if random.one_in(3) {
                made = made.attribute("task_id", random.of(&IDS));
            }
            if random.one_in(4) {
                made = made.fails(random.of(&ERRORS));
            }
            spans.push(made.row());
        }
    }
    spans
}

fn filter(random: &mut Random) -> Filter {
    let mut filter = Filter::new();
    if random.one_in(3) {
        filter = filter.service(random.of(&SERVICES));
    }
    if random.one_in(5) {
        filter = filter.operation(random.of(&NAMES));
    }
    if random.one_in(5) {
        filter = filter.operation_contains(random.of(&["GE", "charge", "zzz"]));
    }
    if random.one_in(4) {
        filter = filter.outcome(random.of(&OUTCOMES));
    }
    if random.one_in(5) {
        filter = filter.kind(random.of(&KINDS));
    }
    if random.one_in(4) {
        filter = filter.task_id(random.of(&IDS));
    }
    if random.one_in(5) {
        filter = filter.attribute("n", random.of(&["0", "1", "x"]));
    }
    if random.one_in(5) {
        filter = filter.attribute_anywhere("n", random.of(&["0", "1", "x"]));
    }
    if random.one_in(6) {
        filter = filter.status(random.of(&[0, 1, 2]));
    }
    if random.one_in(6) {
        let from = random.below(60);
        filter = filter.span_range(begin() + ms(from), begin() + ms(from + random.below(30)));
    }
    if random.one_in(4) {
        filter = filter.min_duration(ms(random.below(20)));
    }
    if random.one_in(4) {
        filter = filter.max_duration(ms(random.below(30)));
    }
    if random.one_in(3) {
        filter = filter.from(begin() + ms(random.below(60)));
    }
    if random.one_in(3) {
        filter = filter.to(begin() + ms(random.below(70)));
    }
    if random.one_in(15) {
        filter = filter.trace_id(TraceId::from(u128::from(random.below(90))));
    }
    filter
}

fn ns(time: std::time::SystemTime) -> i64 {
    i64::try_from(time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

fn matches(filter: &Filter, span: &StoredSpan) -> bool {
    let kinds = [None, Some(SpanKind::Internal), Some(SpanKind::Server), Some(SpanKind::Client)];
    let outcome = match span.outcome() {
        "success" => Outcome::Success,
        "timeout" => Outcome::Timeout,
        _ => Outcome::Error,
    };
    let duration = |limit: std::time::Duration| i64::try_from(limit.as_nanos()).unwrap();
    filter.trace_id.is_none_or(|id| id == span.trace_id)
        && filter.service.as_ref().is_none_or(|name| *name == span.service_name)
        && filter.operation.as_ref().is_none_or(|name| *name == span.operation_name)
        && filter
            .operation_contains
            .as_ref()
            .is_none_or(|part| span.operation_name.to_lowercase().contains(&part.to_lowercase()))
        && filter.outcome.is_none_or(|wanted| wanted == outcome)
        && filter
            .kind
            .as_ref()
            .is_none_or(|kind| kinds[usize::try_from(span.kind).unwrap()].as_ref() == Some(kind))
        && filter.ids[0].as_ref().is_none_or(|id| span.ids[0].as_ref() == Some(id))
        && filter.status.is_none_or(|status| status == span.status)
        && filter.span_range.is_none_or(|(from, to)| (ns(from)..ns(to)).contains(&span.start_ns))
        && filter
            .attributes
            .iter()
            .chain(&filter.attributes_anywhere)
            .all(|(key, value)| value.parse().ok() == span.attributes()[key].as_i64())
        && filter.min_duration.is_none_or(|limit| span.duration_ns >= duration(limit))
        && filter.max_duration.is_none_or(|limit| span.duration_ns <= duration(limit))
}

fn in_time(filter: &Filter, start_ns: i64) -> bool {
    filter.from.is_none_or(|from| start_ns >= ns(from)) && filter.to.is_none_or(|to| start_ns < ns(to))
}

async fn answers_are_those_of_a_plain_loop(f: Fixture) {
    let mut random = Random(17);
    let spans = spans(&mut random);
    let mut shuffled: Vec<StoredSpan> = spans.clone();
    for index in (1..shuffled.len()).rev() {
        shuffled.swap(index, usize::try_from(random.below(index as u64 + 1)).unwrap());
    }
    for part in shuffled.chunks(37) {
        f.store.write(part.to_vec()).await.unwrap();
    }
    let mut starts: HashMap<TraceId, i64> = HashMap::new();
    for span in &spans {
        let start = starts.entry(span.trace_id).or_insert(span.start_ns);
        *start = (*start).min(span.start_ns);
    }
    let mut not_empty = 0;
    for _ in 0..150 {
        let filter = filter(&mut random);
        let found: HashSet<TraceId> = spans
            .iter()
            .filter(|span| matches(&filter, span) && in_time(&filter, starts[&span.trace_id]))
            .map(|span| span.trace_id)
            .collect();
        let mut expected: Vec<(i64, u128)> =
            found.iter().map(|id| (starts[id], u128::from_be_bytes(id.to_bytes()))).collect();
        expected.sort_unstable_by(|a, b| b.cmp(a));
        let expected: Vec<u128> = expected.into_iter().map(|(_, id)| id).collect();
        for span in &spans {
            let is_meant = matches(&filter, span) && in_time(&filter, span.start_ns);
            assert_eq!(filter.matches(span), is_meant, "{filter:?}: {span:?}");
        }
        let list = f.store.list(filter.clone(), Page::first(100)).await.unwrap();
        assert_eq!(ids(&list), expected, "{filter:?}");
        not_empty += usize::from(!expected.is_empty());

        let stats = f.store.stats(filter.clone(), None).await.unwrap();
        let mut durations: Vec<i64> = spans
            .iter()
            .filter(|span| matches(&filter, span) && in_time(&filter, span.start_ns))
            .map(|span| span.duration_ns)
            .collect();
        durations.sort_unstable();
        let rank = |percent: usize| {
            durations.get((durations.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
        };
        assert_eq!(stats.all.count, durations.len() as u64, "{filter:?}");
        assert_eq!(stats.all.percentiles_ns, [50, 90, 95, 99].map(rank), "{filter:?}");
        assert_eq!(f.store.latency(filter).await.unwrap().count, durations.len() as u64);
    }
    assert!(not_empty > 60, "the questions are not beside the point: {not_empty}");

    for trace in f.store.list(Filter::new(), Page::first(100)).await.unwrap().traces {
        let own: Vec<&StoredSpan> = spans.iter().filter(|span| span.trace_id == trace.trace_id).collect();
        let orphans = own
            .iter()
            .filter(|span| !span.is_root() && own.iter().all(|other| other.span_id != span.parent_span_id));
        assert_eq!(trace.orphan_count, orphans.count() as u64);
        assert_eq!(trace.span_count, own.len() as u64);
        assert_eq!(trace.error_count, own.iter().filter(|span| span.is_error()).count() as u64);
        let services: BTreeSet<&str> = own.iter().map(|span| span.service_name.as_str()).collect();
        assert_eq!(trace.services, services.into_iter().collect::<Vec<_>>());
        let counts = f.store.service_counts(vec![trace.trace_id]).await.unwrap();
        assert_eq!(
            counts.iter().map(|count| &count.service).collect::<Vec<_>>(),
            trace.services.iter().collect::<Vec<_>>()
        );
        for count in counts {
            let of_service: Vec<_> = own.iter().filter(|span| span.service_name == count.service).collect();
            assert_eq!(count.trace_id, trace.trace_id);
            assert_eq!(count.spans, of_service.len() as u64);
            assert_eq!(count.errors, of_service.iter().filter(|span| span.is_error()).count() as u64);
        }
        let head =
            own.iter().min_by_key(|span| (!span.is_root(), span.start_ns, span.span_id.to_bytes())).unwrap();
        assert_eq!(trace.head.unwrap().span_id, head.span_id);
    }
}
