use opentelemetry::trace::TraceId;
use throughline::store::{Filter, Page, StoreError};

use crate::support::{Fixture, begin, ids, ms, rows, span};

crate::on_both!(
    list_is_newest_first_and_pages_meet,
    cursor_sees_no_trace_twice_when_new_ones_arrive,
    numbered_pages_hold_what_cursors_give,
    common_service_is_paged_to_the_end,
    spans_of_a_trace_are_paged_by_start,
    traces_by_id_are_those_that_are_stored,
    unknown_cursor_is_refused,
    long_lists_are_counted_as_far_as_it_is_quick,
    count_finds_what_lies_before_many_others,
);

async fn list_is_newest_first_and_pages_meet(f: Fixture) {
    // Three traces begin at once: their ids decide.
    let spans = (1..=25_u128).map(|trace| span(trace, 1, 0, begin() + ms(u64::try_from(trace / 3).unwrap())));
    f.store.write(rows(spans)).await.unwrap();
    let all = f.store.list(Filter::new(), Page::first(100)).await.unwrap();
    assert_eq!(ids(&all), (1..=25_u128).rev().collect::<Vec<_>>());
    assert_eq!((all.total, all.total_capped, all.next), (Some(25), false, None));
    let mut seen = Vec::new();
    let mut page = Page::first(7);
    loop {
        let part = f.store.list(Filter::new(), page.clone()).await.unwrap();
        assert_eq!(part.total, Some(25), "the count is of the whole list");
        seen.extend(ids(&part));
        match part.next {
            Some(cursor) => page = page.after(cursor.to_string().parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, ids(&all));
}

async fn cursor_sees_no_trace_twice_when_new_ones_arrive(f: Fixture) {
    f.store
        .write(rows((1..=10).map(|t| span(t, 1, 0, begin() + ms(u64::try_from(t).unwrap())))))
        .await
        .unwrap();
    let first = f.store.list(Filter::new(), Page::first(4)).await.unwrap();
    f.store
        .write(rows((11..=15).map(|t| span(t, 1, 0, begin() + ms(u64::try_from(t).unwrap())))))
        .await
        .unwrap();
    let second = f.store.list(Filter::new(), Page::first(4).after(first.next.unwrap())).await.unwrap();
    assert_eq!((ids(&first), ids(&second)), (vec![10, 9, 8, 7], vec![6, 5, 4, 3]));
}

async fn numbered_pages_hold_what_cursors_give(f: Fixture) {
    f.store
        .write(rows((1..=10).map(|t| span(t, 1, 0, begin() + ms(u64::try_from(t).unwrap())))))
        .await
        .unwrap();
    for filter in [Filter::new(), Filter::new().service("shop")] {
        let third = f.store.list(filter.clone(), Page::first(4).offset(8)).await.unwrap();
        assert_eq!((ids(&third), third.next), (vec![2, 1], None));
        let beyond = f.store.list(filter, Page::first(4).offset(100).count(false)).await.unwrap();
        assert_eq!((ids(&beyond), beyond.total), (vec![], None));
    }
}

// More spans than one look into the index reads: the other way answers the same.
async fn common_service_is_paged_to_the_end(f: Fixture) {
    let traces = 1_800_u128;
    let mut batch = Vec::new();
    for trace in 1..=traces {
        let start = begin() + ms(u64::try_from(trace).unwrap());
        batch.push(span(trace, 1, 0, start).lasts(ms(900)));
        // A late span: the newest entries of the index are not of the newest traces.
        batch.push(span(trace, 2, 1, start + ms(u64::try_from(trace * 7 % 800).unwrap())));
        batch.push(span(trace, 3, 1, start).service("rare").name("other"));
    }
    for part in rows(batch).chunks(1_000) {
        f.store.write(part.to_vec()).await.unwrap();
    }
    let filter = Filter::new().service("shop");
    let mut seen = Vec::new();
    let mut page = Page::first(500);
    loop {
        let part = f.store.list(filter.clone(), page.clone()).await.unwrap();
        assert_eq!(part.total, Some(1_800));
        seen.extend(ids(&part));
        match part.next {
            Some(cursor) => page = page.after(cursor),
            None => break,
        }
    }
    assert_eq!(seen, (1..=traces).rev().collect::<Vec<_>>());
}

async fn spans_of_a_trace_are_paged_by_start(f: Fixture) {
    let spans = (1..=20_u64).map(|id| span(1, id, id - 1, begin() + ms(20 - id / 4)));
    f.store.write(rows(spans)).await.unwrap();
    let id = TraceId::from(1_u128);
    let all = f.store.spans(id, None, 100).await.unwrap();
    assert!(all.windows(2).all(|pair| (pair[0].start_ns, pair[0].span_id.to_bytes())
        < (pair[1].start_ns, pair[1].span_id.to_bytes())));
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let part = f.store.spans(id, after, 6).await.unwrap();
        let Some(last) = part.last() else { break };
        after = Some(last.cursor().to_string().parse().unwrap());
        seen.extend(part);
    }
    assert_eq!(seen, all);
}

async fn traces_by_id_are_those_that_are_stored(f: Fixture) {
    let spans = (1..=1_500_u128).flat_map(|trace| [span(trace, 1, 0, begin()), span(trace, 2, 9, begin())]);
    f.store.write(rows(spans)).await.unwrap();
    let ids: Vec<TraceId> = (500..=3_000_u128).map(TraceId::from).collect();
    let found = f.store.traces(ids).await.unwrap();
    assert_eq!(found.len(), 1_001);
    for trace in &found {
        assert_eq!(f.store.trace(trace.trace_id).await.unwrap().as_ref(), Some(trace));
    }
    assert!(f.store.traces(Vec::new()).await.unwrap().is_empty());
}

async fn unknown_cursor_is_refused(f: Fixture) {
    let error = "not-a-cursor".parse::<throughline::store::TraceCursor>().unwrap_err();
    assert!(matches!(error, StoreError::Cursor));
    assert_eq!(f.store.list(Filter::new(), Page::first(1)).await.unwrap().total, Some(0));
}

// Exact up to 10,000 traces, where their summaries tell, or 5,000 spans of a name; else among the newest 1,000 traces.
async fn long_lists_are_counted_as_far_as_it_is_quick(f: Fixture) {
    let count = async |filter: Filter, page: Page| {
        let list = f.store.list(filter, page).await.unwrap();
        (list.total.unwrap(), list.total_capped)
    };
    let of_service = || Filter::new().service("shop");
    let named = || [of_service().operation("work"), of_service().min_duration(ms(1))];
    let spans = rows((1..=10_001_u128).map(|trace| span(trace, 1, 0, begin())));
    f.store.write(spans[..5_000].to_vec()).await.unwrap();
    for filter in named() {
        assert_eq!(count(filter, Page::first(1)).await, (5_000, false));
    }
    assert_eq!(count(of_service(), Page::first(1)).await, (5_000, false));
    f.store.write(spans[5_000..10_000].to_vec()).await.unwrap();
    assert_eq!(count(Filter::new(), Page::first(1)).await, (10_000, false));
    assert_eq!(count(of_service(), Page::first(1)).await, (10_000, false));
    assert_eq!(count(of_service().to(begin() + ms(1)), Page::first(1)).await, (10_000, false));
    f.store.write(spans[10_000..].to_vec()).await.unwrap();
    assert_eq!(count(Filter::new(), Page::first(1)).await, (10_000, true));
    assert_eq!(count(of_service(), Page::first(1)).await, (10_000, true));
    for filter in named() {
        assert_eq!(count(filter.clone(), Page::first(1)).await, (5_000, true));
        assert_eq!(count(filter.clone().from(begin()), Page::first(1)).await, (5_000, true));
        assert_eq!(count(filter.to(begin() + ms(1)), Page::first(1)).await, (1_000, true));
    }
    let longer = Filter::new().min_duration(ms(1));
    assert_eq!(count(longer.clone(), Page::first(1)).await, (1_000, true));
    // A page that is far beyond shows that there are more.
    assert_eq!(count(longer, Page::first(10).offset(5_000)).await, (5_011, true));
}

// The newest 10,000 spans of the service are after the end of the range.
async fn count_finds_what_lies_before_many_others(f: Fixture) {
    let old = rows((1..=30_u128).map(|trace| span(trace, 1, 0, begin())));
    f.store.write(old).await.unwrap();
    let later = begin() + ms(60_000);
    f.store.write(rows((31..=10_100_u128).map(|trace| span(trace, 1, 0, later)))).await.unwrap();
    let list = f.store.list(Filter::new().service("shop").to(later), Page::first(10)).await.unwrap();
    assert_eq!((list.total, list.total_capped), (Some(30), false));
}
