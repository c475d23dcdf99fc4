use opentelemetry_sdk::Resource;

use super::*;
use crate::store::{Converter, Lift};
use crate::testing::samples;

/// (id, parent, start, end) in nanoseconds.
fn trace(spans: &[(u64, u64, i64, i64)]) -> Vec<StoredSpan> {
    let mut converter = Converter::new(&Resource::builder_empty().build(), Lift::default());
    spans
        .iter()
        .map(|(id, parent, start, end)| {
            let mut span = converter.convert(&samples::span(1, *id, *parent, "a"));
            span.start_ns = *start;
            span.duration_ns = end - start;
            span
        })
        .collect()
}

fn path(spans: &[(u64, u64, i64, i64)]) -> Vec<(u64, i64, i64)> {
    let spans = trace(spans);
    let id = |id: SpanId| u64::from_be_bytes(id.to_bytes());
    Tree::new(&spans)
        .critical_path(&spans)
        .iter()
        .map(|step| (id(step.span_id), step.start_ns, step.end_ns))
        .collect()
}

#[test]
fn path_goes_through_the_child_that_ended_last() {
    // 2 and 3 run side by side: 3 ends last, 2 does not matter; before 3 there is 4.
    assert_eq!(
        path(&[(1, 0, 0, 100), (2, 1, 20, 60), (3, 1, 30, 90), (4, 1, 5, 25)]),
        [(1, 0, 5), (4, 5, 25), (1, 25, 30), (3, 30, 90), (1, 90, 100)]
    );
}

#[test]
fn path_goes_down_and_up_again() {
    assert_eq!(
        path(&[(1, 0, 0, 100), (2, 1, 10, 80), (3, 2, 20, 50)]),
        [(1, 0, 10), (2, 10, 20), (3, 20, 50), (2, 50, 80), (1, 80, 100)]
    );
}

#[test]
fn child_that_outlives_its_parent_is_cut() {
    assert_eq!(path(&[(1, 0, 0, 100), (2, 1, 40, 150)]), [(1, 0, 40), (2, 40, 100)]);
    assert_eq!(path(&[(1, 0, 50, 100), (2, 1, 20, 70)]), [(2, 50, 70), (1, 70, 100)]);
}

#[test]
fn steps_follow_one_another_without_a_gap() {
    let spans = [
        (1, 0, 0, 1000),
        (2, 1, 100, 400),
        (3, 1, 300, 700),
        (4, 3, 310, 650),
        (5, 4, 320, 330),
        (6, 1, 690, 1000),
    ];
    let steps = path(&spans);
    assert_eq!(steps.first().map(|step| step.1), Some(0));
    assert_eq!(steps.last().map(|step| step.2), Some(1000));
    assert!(steps.windows(2).all(|pair| pair[0].2 == pair[1].1), "{steps:?}");
}

#[test]
fn self_time_is_what_no_child_covers() {
    let tree = Tree::new(&trace(&[(1, 0, 0, 100), (2, 1, 10, 40), (3, 1, 30, 60), (4, 1, 90, 200)]));
    assert_eq!(tree.spans().iter().map(|span| span.self_ns).collect::<Vec<_>>(), [40, 30, 30, 110]);
}

#[test]
fn orphans_stand_at_the_top_and_circles_are_cut() {
    let tree = Tree::new(&trace(&[(1, 0, 0, 100), (2, 9, 10, 40), (3, 2, 15, 20)]));
    assert_eq!(tree.orphan_count(), 1);
    assert_eq!(tree.spans().iter().map(|span| span.depth).collect::<Vec<_>>(), [0, 0, 1]);
    let circle = trace(&[(1, 3, 0, 100), (2, 1, 10, 40), (3, 2, 15, 20), (4, 4, 16, 17)]);
    let tree = Tree::new(&circle);
    assert_eq!(tree.spans().len(), 4, "each span once");
    assert_eq!(tree.orphan_count(), 2);
    assert!(!tree.critical_path(&circle).is_empty());
}

#[test]
fn deep_traces_need_no_deep_stack() {
    let deep: Vec<_> = (1..=100_000_u64).map(|id| (id, id - 1, 0, 1_000_000)).collect();
    let spans = trace(&deep);
    let tree = Tree::new(&spans);
    assert_eq!(tree.spans().last().map(|span| span.depth), Some(99_999));
    assert_eq!(tree.critical_path(&spans).len(), 1, "the deepest one held everything up");
}
