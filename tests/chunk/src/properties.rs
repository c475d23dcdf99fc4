//! One thread does anything in any order; a `VecDeque` says what must come of it.

use std::collections::VecDeque;

use proptest::prelude::*;

use crate::chunk;
use crate::counted::Drops;
use crate::ends::{Put, Take};

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Pop,
    Waiting,
    Reuse,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![4 => Just(Step::Push), 4 => Just(Step::Pop), 1 => Just(Step::Waiting), 1 => Just(Step::Reuse)];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    // No file of failures: the package has nowhere of its own to keep one, and a failure prints its input.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunk_is_a_queue_until_it_is_full(capacity in 0_usize..12, steps in steps()) {
        let drops = Drops::new(steps.len());
        let (mut writer, mut reader) = chunk::chunk(capacity);
        let (mut expected, mut written) = (VecDeque::new(), 0);
        let mut pushed = 0;
        prop_assert_eq!(writer.capacity(), capacity);
        for step in steps {
            match step {
                Step::Push => {
                    let fits = written < capacity;
                    if !fits {
                        prop_assert!(!writer.push(&mut None, None));
                    } else {
                        prop_assert!(writer.put(drops.entry(pushed)));
                        expected.push_back(pushed);
                        written += 1;
                        pushed += 1;
                    }
                }
                Step::Pop => {
                    prop_assert_eq!(reader.take().map(|entry| entry.number()), expected.pop_front());
                }
                Step::Waiting => prop_assert_eq!(reader.waiting(), expected.len()),
                Step::Reuse => match chunk::reuse(writer, reader) {
                    Some(ends) => {
                        prop_assert!(expected.is_empty());
                        (writer, reader) = ends;
                        written = 0;
                    }
                    None => {
                        prop_assert!(!expected.is_empty());
                        expected.clear();
                        written = 0;
                        (writer, reader) = chunk::chunk(capacity);
                    }
                },
            }
        }
        drop((writer, reader));
        let each = drops.each();
        prop_assert!(each[..pushed].iter().all(|drops| *drops == 1), "{:?}", each);
        prop_assert!(each[pushed..].iter().all(|drops| *drops == 0), "{:?}", each);
    }
}

#[test]
fn ends_of_two_chunks_are_not_reused() {
    let ((writer, _), (_, reader)) = (chunk::chunk::<u8>(1), chunk::chunk::<u8>(1));
    assert!(chunk::reuse(writer, reader).is_none());
}

#[test]
fn full_chunk_leaves_the_entry_where_it_is() {
    let drops = Drops::new(2);
    let (mut writer, mut reader) = chunk::chunk(1);
    assert!(writer.put(drops.entry(0)));
    let mut entry = Some(drops.entry(1));
    assert!(!writer.push(&mut entry, None));
    assert_eq!(entry.map(|entry| entry.number()), Some(1));
    assert_eq!(reader.take().map(|entry| entry.number()), Some(0));
    assert!(reader.take().is_none());
}
