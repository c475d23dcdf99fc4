//! Attributes in the summaries of traces: they rule out what need not be read, and never what is there.

use throughline::store::{Filter, Page};

use crate::support::{Fixture, begin, ids, ms, rows, span};

crate::on_both!(
    attribute_is_found_in_whatever_batch_its_span_came,
    traces_from_before_summaries_had_attributes_are_found,
    every_way_to_spell_a_value_finds_it,
    one_trace_of_many_is_found,
    operations_with_a_part_in_common_are_merged_by_time,
    services_with_unusual_names_are_told_apart,
);

async fn attribute_is_found_in_whatever_batch_its_span_came(f: Fixture) {
    for id in 1..=5_u64 {
        let number = i64::try_from(id).unwrap();
        let spans = [span(1, id, id - 1, begin()).attribute("n", number), span(2, id, 0, begin())];
        f.store.write(rows(spans)).await.unwrap();
    }
    for number in 1..=5 {
        let list =
            f.store.list(Filter::new().attribute("n", number.to_string()), Page::first(9)).await.unwrap();
        assert_eq!((ids(&list), list.total), (vec![1], Some(1)));
    }
    let list = f.store.list(Filter::new().attribute("n", "6"), Page::first(9)).await.unwrap();
    assert_eq!((ids(&list), list.total), (vec![], Some(0)));
}

async fn traces_from_before_summaries_had_attributes_are_found(f: Fixture) {
    let old = [span(1, 1, 0, begin()).attribute("n", 1), span(2, 1, 0, begin()).attribute("n", 2)];
    f.store.write(rows(old)).await.unwrap();
    f.execute("update trace_summaries set attributes = null").await;
    // One of them gets another span from a version that has them.
    f.store.write(rows([span(1, 2, 1, begin()).attribute("n", 3)])).await.unwrap();
    for (value, found) in [("1", vec![1]), ("2", vec![2]), ("3", vec![1]), ("4", vec![])] {
        let list = f.store.list(Filter::new().attribute("n", value), Page::first(9)).await.unwrap();
        assert_eq!(ids(&list), found, "{value}");
    }
}

async fn every_way_to_spell_a_value_finds_it(f: Fixture) {
    let spans = [
        span(1, 1, 0, begin()).attribute("v", 200),
        span(2, 1, 0, begin() + ms(1)).attribute("v", 0.5),
        span(3, 1, 0, begin() + ms(2)).attribute("v", 3.0),
        span(4, 1, 0, begin() + ms(3)).attribute("v", "0.50"),
        span(5, 1, 0, begin() + ms(4)).attribute("v", true),
        span(6, 1, 0, begin() + ms(5)).attribute("v", "a\"b\\c\u{1}é😀"),
        span(7, 1, 0, begin() + ms(6)).attribute("v", 9_007_199_254_740_993_i64),
        span(8, 1, 0, begin() + ms(7)).attribute("v", ""),
    ];
    f.store.write(rows(spans)).await.unwrap();
    for (value, found) in [
        ("200", vec![1]),
        ("200.0", vec![1]),
        ("2e2", vec![1]),
        ("0.5", vec![2]),
        ("0.50", vec![4, 2]),
        ("3", vec![3]),
        ("3.0", vec![3]),
        ("true", vec![5]),
        ("a\"b\\c\u{1}é😀", vec![6]),
        ("9007199254740993", vec![7]),
        ("", vec![8]),
        ("False", vec![]),
    ] {
        let list = f.store.list(Filter::new().attribute("v", value), Page::first(9)).await.unwrap();
        assert_eq!(ids(&list), found, "{value:?}");
    }
}

async fn one_trace_of_many_is_found(f: Fixture) {
    let spans = (1..=3_000_u128).map(|trace| {
        span(trace, 1, 0, begin() + ms(u64::try_from(trace).unwrap()))
            .attribute("user.id", i64::try_from(trace).unwrap())
            .attribute("tenant", "one")
    });
    for part in rows(spans).chunks(700) {
        f.store.write(part.to_vec()).await.unwrap();
    }
    for trace in [1_u128, 1_500, 3_000] {
        let filter = Filter::new().attribute("user.id", trace.to_string()).attribute("tenant", "one");
        let list = f.store.list(filter, Page::first(9)).await.unwrap();
        assert_eq!((ids(&list), list.total), (vec![trace], Some(1)));
    }
}

async fn operations_with_a_part_in_common_are_merged_by_time(f: Fixture) {
    // More operations than are read one by one, and fewer.
    for (prefix, operations) in [("few", 5_u128), ("many", 40)] {
        let offset = if prefix == "few" { 0 } else { 10_000 };
        let spans = (1..=600_u128).map(|trace| {
            span(offset + trace, 1, 0, begin() + ms(u64::try_from(trace).unwrap()))
                .name(&format!("{prefix}.{}", trace % operations))
        });
        f.store.write(rows(spans)).await.unwrap();
        let filter = || Filter::new().operation_contains(prefix);
        let mut seen = Vec::new();
        let mut page = Page::first(100);
        loop {
            let part = f.store.list(filter(), page).await.unwrap();
            assert_eq!(part.total, Some(600));
            seen.extend(ids(&part));
            match part.next {
                Some(cursor) => page = Page::first(100).after(cursor),
                None => break,
            }
        }
        assert_eq!(seen, (offset + 1..=offset + 600).rev().collect::<Vec<_>>());
    }
}

async fn services_with_unusual_names_are_told_apart(f: Fixture) {
    let names = ["a", "a\"", "\"a", "a\\", "a,b", "a\tb", "é", "%", "", "{a}", "a\",\"b"];
    for (number, name) in names.iter().enumerate() {
        let trace = u128::try_from(number).unwrap() + 1;
        // The second batch makes the database merge the lists.
        f.store.write(rows([span(trace, 1, 0, begin()).service(name)])).await.unwrap();
        f.store.write(rows([span(trace, 2, 1, begin()).service("z")])).await.unwrap();
    }
    let far = begin() + ms(60_000);
    for (number, name) in names.iter().enumerate() {
        let trace = u128::try_from(number).unwrap() + 1;
        for filter in [
            Filter::new().service(*name),
            Filter::new().service(*name).to(far),
            Filter::new().service(*name).min_duration(ms(0)).to(far),
        ] {
            let list = f.store.list(filter, Page::first(20)).await.unwrap();
            assert_eq!((ids(&list), list.total), (vec![trace], Some(1)), "{name:?}");
        }
    }
}
