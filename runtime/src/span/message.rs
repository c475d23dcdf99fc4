//! What tells the span of one message from that of the next: a few numbers and a short key, for which nothing is
//! allocated.
//!
//! While the span is open they lie in its live cell, which is its own and is there anyway. When it ends they go into the
//! chunk in an entry of their own, before the record that they belong to.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;

use super::live::Live;

/// Longest key that is kept in place, in bytes.
pub(crate) const KEY_BYTES: usize = 64;

const WORDS: usize = 3 + KEY_BYTES / 8;
const OFFSET: usize = 0;
const WAITED: usize = 1;
/// Partition, length of the key, marks.
const REST: usize = 2;
const KEY: usize = 3;

const KEY_LENGTH: u32 = 32;
const NO_KEY: u64 = 0xff << KEY_LENGTH;
const TOMBSTONE: u64 = 1 << 40;
const LINKS_PARENT: u64 = 1 << 41;
const ATTEMPT: u32 = 48;

/// What a span says about its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'m> {
    /// Below zero: unknown. As is an offset.
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) waited_ms: Option<u64>,
    /// At most [`KEY_BYTES`] long, or it is left out.
    pub(crate) key: Option<&'m [u8]>,
    pub(crate) is_tombstone: bool,
    /// Zero: not told.
    pub(crate) attempt: u32,
}

/// The place for it in a live cell. Only the span's owner writes and reads here: the words are atomic because the cell is
/// shared, and every access is a plain move.
#[derive(Debug)]
pub(super) struct Place([AtomicU64; WORDS]);

impl Place {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    fn set(&self, at: usize, word: u64) {
        if let Some(place) = self.0.get(at) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// Writes what was read elsewhere.
    pub(super) fn put(&self, details: &Details) {
        for (place, word) in self.0.iter().zip(details.0) {
            place.store(word, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn write(&self, message: &Message<'_>, links_parent: bool) {
        let partition = u64::from(message.partition.cast_unsigned());
        let tombstone = if message.is_tombstone { TOMBSTONE } else { 0 };
        let links_parent = if links_parent { LINKS_PARENT } else { 0 };
        let length = self.write_key(message.key);
        self.set(OFFSET, message.offset.cast_unsigned());
        self.set(WAITED, message.waited_ms.unwrap_or(u64::MAX));
        let attempt = u64::from(u16::try_from(message.attempt).unwrap_or(u16::MAX)) << ATTEMPT;
        self.set(REST, partition | length | tombstone | links_parent | attempt);
    }

    /// Tells where the message went.
    pub(super) fn add_place(&self, partition: i32, offset: i64) {
        let Some(rest) = self.0.get(REST) else { return };
        let others = rest.load(Ordering::Relaxed) & !u64::from(u32::MAX);
        rest.store(others | u64::from(partition.cast_unsigned()), Ordering::Relaxed);
        self.set(OFFSET, offset.cast_unsigned());
    }

    /// Tells a key that was not told at the start.
    pub(super) fn add_key(&self, key: &[u8]) {
        let Some(rest) = self.0.get(REST) else { return };
        let others = rest.load(Ordering::Relaxed) & !NO_KEY;
        rest.store(others | self.write_key(Some(key)), Ordering::Relaxed);
    }

    /// Gives the length, where it stands in the word.
    #[inline]
    fn write_key(&self, key: Option<&[u8]>) -> u64 {
        let Some(key) = key.filter(|key| key.len() <= KEY_BYTES) else { return NO_KEY };
        let (words, rest) = key.as_chunks::<8>();
        for (place, word) in self.0.iter().skip(KEY).zip(words) {
            place.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        if !rest.is_empty() {
            let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.set(KEY + words.len(), last);
        }
        (key.len() as u64) << KEY_LENGTH
    }

    #[inline]
    pub(super) fn read(&self) -> Details {
        Details(std::array::from_fn(|at| self.0.get(at).map_or(0, |word| word.load(Ordering::Relaxed))))
    }
}

/// Where an open span tells of its message, for what is known later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessagePlace {
    live: &'static Live,
    generation: u64,
}

impl MessagePlace {
    pub(super) fn new(live: &'static Live, generation: u64) -> Self {
        Self { live, generation }
    }

    /// Tells a key of at most [`KEY_BYTES`], unless the span has ended.
    pub(crate) fn add_key(self, key: &[u8]) {
        if self.live.is_of(self.generation) {
            self.live.message.add_key(key);
        }
    }

    /// Tells where the message went, unless the span has ended.
    pub(crate) fn add_place(self, partition: i32, offset: i64) {
        if self.live.is_of(self.generation) {
            self.live.message.add_place(partition, offset);
        }
    }
}

/// What a record tells of its message, on its way to the collector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Details([u64; WORDS]);

impl Details {
    pub(crate) fn of(message: &Message<'_>, links_parent: bool) -> Self {
        let place = Place::new();
        place.write(message, links_parent);
        place.read()
    }

    /// The span's first link is to its parent.
    pub(crate) fn links_parent(&self) -> bool {
        self.0[REST] & LINKS_PARENT != 0
    }

    /// Whether it was; from here on it is not.
    pub(super) fn take_links_parent(&mut self) -> bool {
        let links_parent = self.links_parent();
        self.0[REST] &= !LINKS_PARENT;
        links_parent
    }

    #[allow(clippy::cast_possible_truncation)] // the lower half of the word
    pub(crate) fn partition(&self) -> i32 {
        (self.0[REST] as u32).cast_signed()
    }

    pub(crate) fn offset(&self) -> i64 {
        self.0[OFFSET].cast_signed()
    }

    pub(crate) fn waited_ms(&self) -> Option<u64> {
        Some(self.0[WAITED]).filter(|ms| *ms != u64::MAX)
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.0[REST] & TOMBSTONE != 0
    }

    /// Zero: not told.
    pub(crate) fn attempt(&self) -> u64 {
        self.0[REST] >> ATTEMPT
    }

    /// The key, if there is one and it is UTF-8.
    pub(crate) fn key(&self) -> Option<String> {
        let length = usize::try_from((self.0[REST] >> KEY_LENGTH) & 0xff).ok()?;
        let mut bytes = [0; KEY_BYTES];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(self.0.iter().skip(KEY)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        str::from_utf8(bytes.get(..length)?).ok().map(str::to_owned)
    }
}

/// Name and attributes that the spans of many messages have in common, made once and kept for good.
#[derive(Debug)]
pub(crate) struct Given {
    name: &'static str,
    attributes: Vec<(&'static str, Word)>,
    wording: Wording,
}

/// A value that many spans have in common. A `KeyValue` made of it costs half of the copy of one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Text(&'static str),
    Number(i64),
}

impl Word {
    #[inline]
    pub(crate) fn with_key(self, key: &'static str) -> KeyValue {
        match self {
            Word::Text(text) => KeyValue::new(key, text),
            Word::Number(number) => KeyValue::new(key, number),
        }
    }
}

/// Puts into words what a record tells of its message: `at_start` what samplers see, `later` the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wording {
    pub(crate) at_start: fn(&Details, &mut Vec<KeyValue>),
    pub(crate) later: fn(&Details, &mut Vec<KeyValue>),
}

impl Given {
    pub(crate) fn new(name: &'static str, attributes: Vec<(&'static str, Word)>, wording: Wording) -> Self {
        Self { name, attributes, wording }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// At most so many attributes.
    pub(crate) fn most(&self) -> usize {
        self.attributes.len() + 5
    }

    /// Adds what a sampler sees of the message.
    pub(crate) fn add_start(&self, details: &Details, to: &mut Vec<KeyValue>) {
        to.extend(self.attributes.iter().map(|(key, word)| word.with_key(key)));
        (self.wording.at_start)(details, to);
    }

    /// Adds what else a record tells of it.
    pub(crate) fn add_rest(&self, details: &Details, to: &mut Vec<KeyValue>) {
        (self.wording.later)(details, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(key: Option<&[u8]>) -> Details {
        let place = Place::new();
        let message =
            Message { partition: 3, offset: 42, waited_ms: Some(7), key, is_tombstone: true, attempt: 5 };
        place.write(&Message { key: Some(&[b'x'; KEY_BYTES]), ..message }, true);
        place.write(&message, false);
        place.read()
    }

    #[test]
    fn what_goes_in_comes_out() {
        for length in 0..=KEY_BYTES {
            let key: String = ('a'..='z').cycle().take(length).collect();
            let details = through(Some(key.as_bytes()));
            assert_eq!(details.key(), Some(key));
            assert_eq!((details.partition(), details.offset(), details.waited_ms()), (3, 42, Some(7)));
            assert!(details.is_tombstone() && !details.links_parent() && details.attempt() == 5);
        }
    }

    #[test]
    fn keys_that_are_no_text_or_too_long_are_left_out() {
        assert_eq!(through(None).key(), None);
        assert_eq!(through(Some(b"\xff")).key(), None);
        assert_eq!(through(Some(&[b'a'; KEY_BYTES + 1])).key(), None);
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let place = Place::new();
        let message = Message {
            partition: -1,
            offset: -1,
            waited_ms: None,
            key: None,
            is_tombstone: false,
            attempt: 0,
        };
        place.write(&message, true);
        let details = place.read();
        assert_eq!((details.partition(), details.offset(), details.waited_ms()), (-1, -1, None));
        assert!(!details.is_tombstone() && details.links_parent() && details.attempt() == 0);
        assert_eq!(details.key(), None);
        place.add_key(b"late");
        assert_eq!(place.read().key().as_deref(), Some("late"));
        assert_eq!((place.read().partition(), place.read().links_parent()), (-1, true));
        place.add_place(7, 99);
        let details = place.read();
        assert_eq!((details.partition(), details.offset(), details.key().as_deref()), (7, 99, Some("late")));
    }
}
