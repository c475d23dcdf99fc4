//! Owned headers, byte by byte as they came.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::ControlFlow;
use std::slice;

use rdkafka::message::OwnedHeaders;

use super::native;
use crate::propagation::{HeaderEdit, HeaderView, is_one_of};

/// The headers of a record: an ordered list of names and values, both of any bytes.
///
/// A value may be null, which is neither an empty value nor an absent header. Names may occur more than once. Reading a
/// message into this list and writing it to another keeps bytes, order, duplicates and null values (`rdkafka`'s own
/// header types panic on a name that is not UTF-8; this one does not).
///
/// ```
/// use throughline::kafka::Headers;
///
/// let mut headers = Headers::new();
/// headers.push("x-tenant", "acme");
/// headers.push_null("x-plan");
/// headers.push([0xff, 0xfe], [0x00]);
/// assert_eq!(headers.get("X-Tenant"), Some(Some(&b"acme"[..])));
/// assert_eq!(headers.get("x-plan"), Some(None));
/// assert_eq!(headers.get("x-flow"), None);
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    /// Names and values one after the other: two allocations, however many headers there are.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    name_bytes: usize,
    /// `None` is null.
    value_bytes: Option<usize>,
}

impl Entry {
    fn of(self, bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
        let name_end = self.start + self.name_bytes;
        let name = bytes.get(self.start..name_end).unwrap_or_default();
        let value = |size| bytes.get(name_end..name_end + size).unwrap_or_default();
        (name, self.value_bytes.map(value))
    }
}

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of all headers of a message or carrier.
    pub fn copy_of<H: HeaderView + ?Sized>(headers: &H) -> Self {
        Self::copy_where(headers, |_| true)
    }

    /// A copy of the headers whose name `keep` accepts.
    pub(super) fn copy_where<H: HeaderView + ?Sized>(
        headers: &H,
        mut keep: impl FnMut(&[u8]) -> bool,
    ) -> Self {
        let mut copy = Headers::new();
        headers.walk_back(&mut |name, value| {
            if keep(name) {
                copy.add(name, value);
            }
            ControlFlow::Continue(())
        });
        copy.entries.reverse();
        copy
    }

    /// How many headers there are, duplicates included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a header after the others, whether or not there is one of that name.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.add(name.as_ref(), Some(value.as_ref()));
    }

    /// Adds a header with a null value after the others.
    pub fn push_null(&mut self, name: impl AsRef<[u8]>) {
        self.add(name.as_ref(), None);
    }

    /// Adds a header after the others; for chains of calls.
    #[must_use]
    pub fn with(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.push(name, value);
        self
    }

    /// The value of the last header called `name`, ignoring ASCII case: `None` if there is none, `Some(None)` if its
    /// value is null.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<Option<&[u8]>> {
        let name = name.as_ref();
        self.iter().rev().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of all headers called `name`, ignoring ASCII case, in their order.
    pub fn get_all<'h>(
        &'h self,
        name: &'h (impl AsRef<[u8]> + ?Sized),
    ) -> impl Iterator<Item = Option<&'h [u8]>> {
        let name = name.as_ref();
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Removes every header called `name`, ignoring ASCII case, and tells how many there were.
    pub fn remove_all(&mut self, name: impl AsRef<[u8]>) -> usize {
        let name = name.as_ref();
        self.retain(|other, _| !other.eq_ignore_ascii_case(name))
    }

    /// Keeps the headers that `keep` accepts, in their order, and tells how many went.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], Option<&[u8]>) -> bool) -> usize {
        let bytes = &self.bytes;
        let before = self.entries.len();
        self.entries.retain(|entry| {
            let (name, value) = entry.of(bytes);
            keep(name, value)
        });
        let removed = before - self.entries.len();
        if removed > 0 {
            // What went may have been most of the bytes.
            *self = self.iter().collect();
        }
        removed
    }

    /// Names and values from the first header to the last; a null value is `None`.
    pub fn iter(&self) -> HeadersIter<'_> {
        HeadersIter { bytes: &self.bytes, entries: self.entries.iter() }
    }

    /// The headers as `rdkafka` takes them.
    pub fn to_owned_headers(&self) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(self.len());
        for (name, value) in self {
            native::append(&mut headers, name, value);
        }
        headers
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let entry =
            Entry { start: self.bytes.len(), name_bytes: name.len(), value_bytes: value.map(<[u8]>::len) };
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.entries.push(entry);
    }
}

/// The headers of a list, from the first to the last; see [`Headers::iter`].
#[derive(Clone)]
pub struct HeadersIter<'h> {
    bytes: &'h [u8],
    entries: slice::Iter<'h, Entry>,
}

impl<'h> Iterator for HeadersIter<'h> {
    type Item = (&'h [u8], Option<&'h [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|entry| entry.of(self.bytes))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl DoubleEndedIterator for HeadersIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.entries.next_back().map(|entry| entry.of(self.bytes))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}
impl FusedIterator for HeadersIter<'_> {}

impl fmt::Debug for HeadersIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(|(name, value)| Shown(name, value))).finish()
    }
}

/// A header as text of one line, whatever its bytes are.
struct Shown<'h>(&'h [u8], Option<&'h [u8]>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(value) => write!(f, "{}: \"{}\"", self.0.escape_ascii(), value.escape_ascii()),
            None => write!(f, "{}: null", self.0.escape_ascii()),
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt(f)
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl<'h> IntoIterator for &'h Headers {
    type Item = (&'h [u8], Option<&'h [u8]>);
    type IntoIter = HeadersIter<'h>;

    fn into_iter(self) -> HeadersIter<'h> {
        self.iter()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, Option<V>)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, Option<V>)>>(headers: I) -> Self {
        let mut all = Headers::new();
        all.extend(headers);
        all
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(N, Option<V>)> for Headers {
    fn extend<I: IntoIterator<Item = (N, Option<V>)>>(&mut self, headers: I) {
        for (name, value) in headers {
            self.add(name.as_ref(), value.as_ref().map(AsRef::as_ref));
        }
    }
}

impl HeaderView for Headers {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        for (name, value) in self.iter().rev() {
            if visit(name, value).is_break() {
                return;
            }
        }
    }
}

impl HeaderEdit for Headers {
    fn remove(&mut self, names: &[&str]) {
        self.retain(|name, _| !is_one_of(name, names));
    }

    fn append(&mut self, name: &str, value: &str) {
        self.push(name, value);
    }
}
