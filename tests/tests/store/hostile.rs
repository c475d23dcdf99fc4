use opentelemetry::trace::{Event, TraceId};
use opentelemetry::{Key, KeyValue};
use throughline::store::{Filter, Page, StoreError};

use crate::support::{Fixture, begin, ids, rows, same, span};

crate::on_both!(
    hostile_texts_are_texts,
    nul_becomes_the_replacement_character,
    megabyte_attributes_are_kept,
    long_names_are_cut_and_found,
    answers_that_are_too_large_are_refused,
);

const HOSTILE: [&str; 8] = [
    "'; drop table execution_traces; --",
    "\" } $1 ?1 %s {} {\"a\":1}",
    "\\N\t\n\\.\r\n",
    "\\u0000 \\ud800",
    "\u{1}\u{7f}\u{80}\u{feff}\u{202e}\u{2028}\u{ffff}\u{10ffff}",
    "Zażółć 东京 😀 e\u{301}",
    "$double",
    "",
];

async fn hostile_texts_are_texts(f: Fixture) {
    for (index, text) in HOSTILE.iter().enumerate() {
        let trace = index as u128 + 1;
        let mut made = span(trace, 1, 0, begin()).service(text).name(text).fails(text);
        made.data.status = opentelemetry::trace::Status::error((*text).to_owned());
        made.data.attributes.push(KeyValue::new(Key::new((*text).to_owned()), (*text).to_owned()));
        made.data.attributes.push(KeyValue::new("task_id", (*text).to_owned()));
        made.data.events.events = vec![Event::new(
            (*text).to_owned(),
            begin(),
            vec![KeyValue::new((*text).to_owned(), (*text).to_owned())],
            0,
        )];
        let row = made.row();
        assert_eq!(f.store.write(vec![row.clone()]).await.unwrap().inserted, 1, "{text:?}");
        let stored = f.store.spans(TraceId::from(trace), None, 2).await.unwrap();
        same(&stored[0], &row);
        assert_eq!(stored[0].operation_name, *text);
        assert_eq!(stored[0].attributes()[*text], *text);
        let all = Filter::new();
        for filter in [
            all.clone().service(*text).task_id(*text),
            all.clone().operation(*text).attribute(*text, *text),
            all.clone().attribute(*text, *text),
        ] {
            let list = f.store.list(filter.clone(), Page::first(9)).await.unwrap();
            assert_eq!(ids(&list), [trace], "{filter:?}");
            assert_eq!(list.traces[0].services, [*text]);
        }
    }
    assert_eq!(f.store.services().await.unwrap().len(), HOSTILE.len());
    f.store.stats(Filter::new().operation_contains("'").attribute("'", "\""), None).await.unwrap();
}

// store.md, section 3: U+0000 becomes U+FFFD: PostgreSQL cannot hold it.
async fn nul_becomes_the_replacement_character(f: Fixture) {
    let mut made =
        span(1, 1, 0, begin()).service("a\0b").name("\0").attribute("task_id", "t\0").attribute("k", "v\0");
    made.data.status = opentelemetry::trace::Status::error("no\0");
    f.store.write(rows([made])).await.unwrap();
    let stored = f.store.spans(TraceId::from(1_u128), None, 2).await.unwrap().remove(0);
    assert_eq!((stored.service_name.as_str(), stored.operation_name.as_str()), ("a\u{fffd}b", "\u{fffd}"));
    assert_eq!(stored.error_message.as_deref(), Some("no\u{fffd}"));
    assert_eq!(stored.attributes()["k"], "v\u{fffd}");
    for filter in
        [Filter::new().service("a\0b"), Filter::new().task_id("t\0"), Filter::new().attribute("k", "v\0")]
    {
        assert_eq!(
            ids(&f.store.list(filter, Page::first(9)).await.unwrap()),
            [1],
            "who asks with it finds it"
        );
    }
}

async fn megabyte_attributes_are_kept(f: Fixture) {
    // Random digits: nothing that compression makes small.
    let mut state = 1_u64;
    let text: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from(state >> 60).unwrap())
    })
    .take(1 << 20)
    .collect();
    let batch = rows((1..=4).map(|id| {
        span(1, id, 0, begin()).attribute("prompt", text.clone()).attribute("task_id", text.clone())
    }));
    assert_eq!(f.store.write(batch).await.unwrap().inserted, 4);
    let stored = f.store.spans(TraceId::from(1_u128), None, 10).await.unwrap();
    assert!(stored.iter().all(|span| span.attributes()["prompt"] == text.as_str() && span.ids[0].is_none()));
}

async fn long_names_are_cut_and_found(f: Fixture) {
    // PostgreSQL's indexes take 2,704 bytes at most.
    let long: String = (0..5_000_u32).map(|n| char::from_u32(0x4e00 + n * 7 % 20_000).unwrap()).collect();
    let batch = rows([span(1, 1, 0, begin()).service(&long).name(&long), span(2, 1, 0, begin())]);
    assert_eq!(f.store.write(batch).await.unwrap().inserted, 2);
    let kept = f.store.spans(TraceId::from(1_u128), None, 2).await.unwrap().remove(0);
    assert!(kept.operation_name.len() <= 1_024 && kept.operation_name.ends_with('…'));
    let found =
        f.store.list(Filter::new().operation(kept.operation_name).service(kept.service_name), Page::first(9));
    assert_eq!(ids(&found.await.unwrap()), [1]);
}

async fn answers_that_are_too_large_are_refused(f: Fixture) {
    let spans = (1..=40_u64).map(|id| span(1, id, 0, begin()).attribute("text", "x".repeat(100_000)));
    f.store.write(rows(spans)).await.unwrap();
    let store = f.open(|options| options.max_answer_bytes(1 << 20));
    let id = TraceId::from(1_u128);
    assert!(matches!(store.spans(id, None, 40).await, Err(StoreError::TooLarge)));
    assert_eq!(store.spans(id, None, 5).await.unwrap().len(), 5, "less is answered, and the store goes on");
    assert_eq!(f.store.spans(id, None, 40).await.unwrap().len(), 40);
}
