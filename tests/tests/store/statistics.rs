use std::time::Duration;

use throughline::store::Filter;

use crate::support::{Fixture, begin, ms, rows, span};

crate::on_both!(
    percentiles_are_durations_of_spans,
    nothing_has_statistics_too,
    histogram_counts_each_span_once,
    sums_do_not_overflow
);

// store.md, section 5: nearest rank, so that both stores answer alike.
async fn percentiles_are_durations_of_spans(f: Fixture) {
    let mut batch = Vec::new();
    for id in 1..=200_u64 {
        // Not in the order of their durations.
        let duration = id * 77 % 200 + 1;
        let made = span(u128::from(id / 4 + 1), id, 0, begin() + ms(id * 10)).lasts(ms(duration));
        let made = if id % 2 == 0 { made.service("even").name("e") } else { made.service("odd").name("o") };
        batch.push(match id % 20 {
            0 => made.fails("timeout"),
            1 | 2 => made.fails("io"),
            _ => made,
        });
    }
    f.store.write(rows(batch)).await.unwrap();
    let stats = f.store.stats(Filter::new(), Some(Duration::from_secs(1))).await.unwrap();
    let nearest = [100, 180, 190, 198].map(|number: i64| number * 1_000_000);
    assert_eq!(stats.all.percentiles_ns, nearest);
    assert_eq!((stats.all.count, stats.all.errors, stats.all.timeouts), (200, 30, 10));
    assert_eq!(stats.all.sum_ns, (1..=200_u128).sum::<u128>() * 1_000_000);
    assert!((stats.all.mean_ns() - 100_500_000.0).abs() < 1.0);
    assert!((stats.all.error_rate() - 0.15).abs() < 1e-9);
    assert_eq!(stats.traces, 51);
    assert_eq!(
        stats.by_service.iter().map(|(name, stats)| (name.as_str(), stats.count)).collect::<Vec<_>>(),
        [("even", 100), ("odd", 100)]
    );
    assert_eq!(stats.by_operation[1].1, "o");
    // Even ids have odd durations and the other way round: 1, 3, .. 199 and 2, 4, .. 200.
    assert_eq!(stats.by_service[0].1.percentiles_ns[0] / 1_000_000, 99);
    assert_eq!(stats.by_service[1].1.percentiles_ns[0] / 1_000_000, 100);
    assert_eq!(stats.by_time.len(), 3);
    assert_eq!(stats.by_time.iter().map(|(_, stats)| stats.count).collect::<Vec<_>>(), [99, 100, 1]);
    assert!(stats.by_time.iter().all(|(start, _)| start % 1_000_000_000 == 0));
    let some = f.store.stats(Filter::new().service("odd").from(begin() + ms(1_000)), None).await.unwrap();
    assert_eq!((some.all.count, some.by_service.len(), some.by_time.len()), (50, 1, 0));
}

async fn nothing_has_statistics_too(f: Fixture) {
    let stats = f.store.stats(Filter::new().operation_contains("x"), Some(Duration::ZERO)).await.unwrap();
    assert_eq!(stats, throughline::store::Stats::default());
    assert!(stats.all.error_rate() == 0.0 && stats.all.mean_ns() == 0.0);
    let latency = f.store.latency(Filter::new()).await.unwrap();
    assert_eq!((latency.count, latency.sum_ns, latency.buckets.len()), (0, 0, 17));
}

async fn histogram_counts_each_span_once(f: Fixture) {
    let durations = [0, 1, 2, 3, 50, 51, 15_000, 15_001, 3_600_000];
    let spans = durations.iter().zip(1..).map(|(duration, id)| span(1, id, 0, begin()).lasts(ms(*duration)));
    f.store.write(rows(spans)).await.unwrap();
    let latency = f.store.latency(Filter::new().service("shop")).await.unwrap();
    let counts: Vec<(Option<u128>, u64)> = latency
        .buckets
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(bound, count)| (bound.map(|bound| bound.as_millis()), *count))
        .collect();
    assert_eq!(
        counts,
        [(Some(2), 3), (Some(4), 1), (Some(50), 1), (Some(100), 1), (Some(15_000), 1), (None, 2)]
    );
    assert_eq!(latency.count, 9);
    assert_eq!(latency.sum_ns, durations.iter().map(|ms| u128::from(*ms)).sum::<u128>() * 1_000_000);
}

async fn sums_do_not_overflow(f: Fixture) {
    let century = Duration::from_secs(100 * 366 * 86_400);
    f.store.write(rows((1..=10).map(|id| span(1, id, 0, begin()).lasts(century)))).await.unwrap();
    let stats = f.store.stats(Filter::new(), None).await.unwrap();
    assert_eq!(stats.all.sum_ns, century.as_nanos() * 10);
}
