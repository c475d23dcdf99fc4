//! Spans in the order and at the depth in which a tree shows them, whatever their parents say.

use std::collections::HashMap;

use opentelemetry::trace::SpanId;

use super::tree::TreeSpan;

/// One span's place in the picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index into the spans given.
    pub(super) index: usize,
    /// For every level above this one whether the line goes on downward; the last is this span's own.
    pub(super) branches: Vec<bool>,
    /// It names a parent that is not there, although a root is.
    pub(super) orphan: bool,
}

/// Parents before children, siblings by start. Every span appears once, also when parents form a circle or an id
/// occurs twice.
pub(super) fn arrange(spans: &[TreeSpan]) -> Vec<Place> {
    let mut by_id = HashMap::with_capacity(spans.len());
    for (index, span) in spans.iter().enumerate() {
        by_id.entry((span.trace_id, span.span_id)).or_insert(index);
    }
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut tops = Vec::new();
    for (index, span) in spans.iter().enumerate() {
        match by_id.get(&(span.trace_id, span.parent_span_id)) {
            Some(parent) if *parent != index => children.entry(*parent).or_default().push(index),
            _ => tops.push(index),
        }
    }
    let by_start = |list: &mut Vec<usize>| list.sort_by_key(|index| spans.get(*index).map(|s| s.start_time));
    by_start(&mut tops);
    children.values_mut().for_each(by_start);

    let has_root = spans.iter().any(|span| span.parent_span_id == SpanId::INVALID);
    let mut walk =
        Walk { children, placed: vec![false; spans.len()], places: Vec::with_capacity(spans.len()) };
    for top in tops {
        let orphan = has_root && spans.get(top).is_some_and(|span| span.parent_span_id != SpanId::INVALID);
        walk.below(top, orphan);
    }
    // What is left hangs on a circle of parents.
    for index in 0..spans.len() {
        walk.below(index, true);
    }
    walk.places
}

struct Walk {
    children: HashMap<usize, Vec<usize>>,
    placed: Vec<bool>,
    places: Vec<Place>,
}

impl Walk {
    /// Without recursion: a trace may be deeper than a stack.
    fn below(&mut self, top: usize, orphan: bool) {
        let mut todo = vec![Place { index: top, branches: Vec::new(), orphan }];
        while let Some(place) = todo.pop() {
            match self.placed.get_mut(place.index) {
                Some(placed) if !*placed => *placed = true,
                _ => continue,
            }
            let children = self.children.remove(&place.index).unwrap_or_default();
            let last = children.len().saturating_sub(1);
            for (n, index) in children.into_iter().enumerate().rev() {
                let mut branches = place.branches.clone();
                branches.push(n < last);
                todo.push(Place { index, branches, orphan: false });
            }
            self.places.push(place);
        }
    }
}
