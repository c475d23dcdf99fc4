//! One thread does anything in any order; a `VecDeque` says what must come of it.

use std::collections::VecDeque;

use proptest::prelude::*;

use crate::chunk;
use crate::counted::Drops;

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
                    prop_assert_eq!(writer.push(|| drops.entry(pushed)), fits);
                    if fits {
                        expected.push_back(pushed);
                        written += 1;
                        pushed += 1;
                    }
                }
                Step::Pop => {
                    prop_assert_eq!(reader.pop().map(|entry| entry.number()), expected.pop_front());
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

/// The user's destructors run in there: a panic while an entry is made leaves the chunk as it was.
#[test]
fn panic_while_an_entry_is_made_writes_nothing() {
    let drops = Drops::new(1);
    let (mut writer, mut reader) = chunk::chunk(1);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        writer.push(|| std::panic::resume_unwind(Box::new(())))
    }));
    assert!(caught.is_err());
    assert!(reader.pop().is_none());
    assert!(writer.push(|| drops.entry(0)));
    assert_eq!(reader.pop().map(|entry| entry.number()), Some(0));
}
