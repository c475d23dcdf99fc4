//! The ends of a chunk as the span core uses them: an entry is a value, or nothing where one was moved out.

use crate::chunk::{Reader, Writer};

pub(crate) trait Put<T> {
    /// Moves the value in. False if the chunk is full.
    fn put(&mut self, value: T) -> bool;
}

impl<T> Put<T> for Writer<Option<T>> {
    fn put(&mut self, value: T) -> bool {
        let mut entry = Some(value);
        let moved = self.push(&mut entry, None);
        assert_eq!(entry.is_none(), moved, "an entry is in one place");
        moved
    }
}

pub(crate) trait Take<T> {
    /// Takes the oldest value.
    fn take(&mut self) -> Option<T>;
}

impl<T> Take<T> for Reader<Option<T>> {
    fn take(&mut self) -> Option<T> {
        self.pop().map(|entry| entry.expect("nothing is handed over only where something was moved out"))
    }
}
