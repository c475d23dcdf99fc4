//! A trace as a tree, computed from its spans: orphans, self time, the critical path.

use std::collections::HashMap;

use opentelemetry::trace::SpanId;

use super::span::StoredSpan;

/// The spans of one trace in their relation.
///
/// Spans arrive in any order, or never: one whose parent is not there stands at the top and is an orphan. Ids that form a
/// circle, which only a broken sender makes, are cut.
#[derive(Debug, Clone)]
pub struct Tree {
    spans: Vec<TreeSpan>,
    tops: Vec<usize>,
}

/// One span of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeSpan {
    /// Its id.
    pub span_id: SpanId,
    /// Where it stands in the slice that the tree was made of.
    pub index: usize,
    /// Levels above it; 0 at the top.
    pub depth: usize,
    /// Whether it names a parent that is not there.
    pub is_orphan: bool,
    /// Nanoseconds of its duration during which none of its children ran.
    pub self_ns: i64,
}

/// A piece of the critical path: the time in which this span, and none below it, held up the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The span.
    pub span_id: SpanId,
    /// Where it stands in the slice that the tree was made of.
    pub index: usize,
    /// From, in nanoseconds since 1970.
    pub start_ns: i64,
    /// To, in nanoseconds since 1970.
    pub end_ns: i64,
}

impl Tree {
    /// Orders the spans of one trace: each before its children, siblings by start.
    #[must_use]
    pub fn new(spans: &[StoredSpan]) -> Self {
        let relation = Relation::new(spans);
        let mut tree = Self { spans: Vec::with_capacity(spans.len()), tops: relation.tops.clone() };
        let mut todo: Vec<(usize, usize)> = relation.tops.iter().rev().map(|top| (*top, 0)).collect();
        while let Some((index, depth)) = todo.pop() {
            let Some(span) = spans.get(index) else { continue };
            let children = relation.children_of(index);
            todo.extend(children.iter().rev().map(|child| (*child, depth + 1)));
            tree.spans.push(TreeSpan {
                span_id: span.span_id,
                index,
                depth,
                is_orphan: depth == 0 && !span.is_root(),
                self_ns: self_time(span, children.iter().filter_map(|child| spans.get(*child))),
            });
        }
        tree
    }

    /// The spans, each before its children.
    #[must_use]
    pub fn spans(&self) -> &[TreeSpan] {
        &self.spans
    }

    /// How many name a parent that is not there.
    #[must_use]
    pub fn orphan_count(&self) -> usize {
        self.spans.iter().filter(|span| span.is_orphan).count()
    }

    /// What the end of the trace waited for, by time: from the root's end backwards, the child that ended last before,
    /// cut to its parent, and so on within it; then what was before its start.
    ///
    /// Of several spans at the top the first root counts, else the one that began first. `spans` is what the tree was made
    /// of.
    #[must_use]
    pub fn critical_path(&self, spans: &[StoredSpan]) -> Vec<Step> {
        let relation = Relation::new(spans);
        let root = self.tops.iter().find(|top| spans.get(**top).is_some_and(StoredSpan::is_root));
        let Some(root) = root.or(self.tops.first()) else { return Vec::new() };
        let mut path = critical_path(spans, &relation, *root);
        path.reverse();
        path
    }
}

struct Relation {
    tops: Vec<usize>,
    children: Vec<Vec<usize>>,
}

impl Relation {
    fn new(spans: &[StoredSpan]) -> Self {
        let mut places: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (index, span) in spans.iter().enumerate() {
            places.entry(span.span_id).or_insert(index);
        }
        let parent_of = |index: usize| {
            let span = spans.get(index)?;
            let parent = places.get(&span.parent_span_id).copied()?;
            (!span.is_root() && parent != index).then_some(parent)
        };
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|index| spans.get(*index).map(|span| (span.start_ns, span.span_id.to_bytes())));
        let mut relation = Self { tops: Vec::new(), children: vec![Vec::new(); spans.len()] };
        // 0: not looked at; 1: on the way up from the present span; 2: hangs below some top.
        let mut state = vec![0_u8; spans.len()];
        for index in order {
            let mut way = Vec::new();
            let mut at = Some(index);
            while let Some(here) = at
                && state.get(here) == Some(&0)
            {
                set(&mut state, here, 1);
                way.push(here);
                at = parent_of(here);
            }
            // The way ended at a span without a parent, at one that hangs already, or in itself: a circle.
            let is_circle = at.is_some_and(|here| state.get(here) == Some(&1));
            for (step, here) in way.iter().enumerate() {
                set(&mut state, *here, 2);
                let is_last = step + 1 == way.len();
                match parent_of(*here) {
                    Some(parent) if !(is_last && is_circle) => {
                        if let Some(children) = relation.children.get_mut(parent) {
                            children.push(*here);
                        }
                    }
                    _ => relation.tops.push(*here),
                }
            }
        }
        let start = |index: &usize| spans.get(*index).map(|span| (span.start_ns, span.span_id.to_bytes()));
        relation.tops.sort_by_key(start);
        for children in &mut relation.children {
            children.sort_by_key(start);
        }
        relation
    }

    fn children_of(&self, index: usize) -> &[usize] {
        self.children.get(index).map_or(&[], Vec::as_slice)
    }
}

fn set(state: &mut [u8], index: usize, value: u8) {
    if let Some(slot) = state.get_mut(index) {
        *slot = value;
    }
}

/// `children` by start.
fn self_time<'s>(span: &StoredSpan, children: impl Iterator<Item = &'s StoredSpan>) -> i64 {
    let (mut covered, mut until) = (0_i64, span.start_ns);
    for child in children {
        let start = child.start_ns.max(until);
        let end = child.end_ns().min(span.end_ns());
        if end > start {
            covered = covered.saturating_add(end - start);
            until = end;
        }
    }
    (span.duration_ns - covered).max(0)
}

/// The steps, last first. Without recursion: a trace may be deeper than a stack.
fn critical_path(spans: &[StoredSpan], relation: &Relation, root: usize) -> Vec<Step> {
    struct Frame {
        index: usize,
        /// Where the path stands, going back in time.
        cursor: i64,
        /// Where it began to go back.
        end_ns: i64,
        start_ns: i64,
        /// Children not tried yet, the one that ended last at the end.
        children: Vec<usize>,
    }
    let frame = |index: usize, not_before: i64, not_after: i64| {
        let span = spans.get(index)?;
        let mut children = relation.children_of(index).to_vec();
        children.sort_by_key(|child| spans.get(*child).map(|child| (child.end_ns(), child.start_ns)));
        let start_ns = span.start_ns.max(not_before);
        let end_ns = span.end_ns().min(not_after);
        Some(Frame { index, cursor: end_ns, end_ns, start_ns, children })
    };
    let mut path = Vec::new();
    let mut step = |index: usize, start_ns: i64, end_ns: i64| {
        if let Some(span) = spans.get(index)
            && end_ns > start_ns
        {
            path.push(Step { span_id: span.span_id, index, start_ns, end_ns });
        }
    };
    let mut frames: Vec<Frame> = frame(root, i64::MIN, i64::MAX).into_iter().collect();
    while let Some(top) = frames.last_mut() {
        let Some(child) = top.children.pop() else {
            step(top.index, top.start_ns, top.cursor);
            let start = top.start_ns;
            frames.pop();
            if let Some(parent) = frames.last_mut() {
                parent.cursor = start;
            }
            continue;
        };
        let Some(span) = spans.get(child) else { continue };
        // One that outlived its parent is cut; one that ended after a later step began ran beside it.
        let end = if top.cursor == top.end_ns { span.end_ns().min(top.cursor) } else { span.end_ns() };
        if end > top.cursor || end <= top.start_ns || span.start_ns >= end {
            continue;
        }
        step(top.index, end, top.cursor);
        let not_before = top.start_ns;
        top.cursor = end;
        frames.extend(frame(child, not_before, end));
    }
    path
}

#[cfg(test)]
mod tests;
