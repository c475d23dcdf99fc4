//! What propagation needs of a set of headers, and the standard containers that have it.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::ControlFlow;

/// Headers that can be walked, names and values as bytes.
///
/// Implemented for string maps, header lists, `http::HeaderMap` (feature `server`) and the header and message types of
/// `rdkafka` (feature `kafka`). Implement it for a carrier of your own and it works everywhere in this crate.
///
/// ```
/// use std::ops::ControlFlow;
/// use throughline::propagation::HeaderView;
///
/// struct Envelope { properties: Vec<(String, Option<Vec<u8>>)> }
///
/// impl HeaderView for Envelope {
///     fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
///         for (name, value) in self.properties.iter().rev() {
///             if visit(name.as_bytes(), value.as_deref()).is_break() { return; }
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "no trace context can be read from `{Self}`",
    label = "write a map or a list of headers, or implement `HeaderView`"
)]
pub trait HeaderView {
    /// Calls `visit` with the name and value of each header, from the last to the first, until it breaks.
    ///
    /// A value may be null, as in Kafka. Names and values may be any bytes. A container without an order gives its own.
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>);
}

/// Headers into which a trace context can be written.
#[diagnostic::on_unimplemented(
    message = "no trace context can be written into `{Self}`",
    label = "write a map or a list of headers, or implement `HeaderEdit`"
)]
pub trait HeaderEdit {
    /// Removes every header whose name is one of `names`, ignoring ASCII case. The others keep their bytes and order.
    fn remove(&mut self, names: &[&str]);

    /// Adds a header after the others. `name` is in lower case; a carrier that cannot hold the header leaves it out.
    fn append(&mut self, name: &str, value: &str);
}

/// Whether `name` is one of `names`, ignoring ASCII case.
pub(crate) fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

impl<H: HeaderView + ?Sized> HeaderView for &H {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        (**self).walk_back(visit);
    }
}

impl<H: HeaderView + ?Sized> HeaderView for &mut H {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        (**self).walk_back(visit);
    }
}

impl<H: HeaderEdit + ?Sized> HeaderEdit for &mut H {
    fn remove(&mut self, names: &[&str]) {
        (**self).remove(names);
    }

    fn append(&mut self, name: &str, value: &str) {
        (**self).append(name, value);
    }
}

/// Header lists: `Vec<(String, Vec<u8>)>`, `Vec<(String, Option<Vec<u8>>)>`, `Vec<(String, String)>`.
macro_rules! header_list {
    ($value:ty, $view:expr, $make:expr) => {
        impl HeaderView for [(String, $value)] {
            fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
                let view: fn(&$value) -> Option<&[u8]> = $view;
                for (name, value) in self.iter().rev() {
                    if visit(name.as_bytes(), view(value)).is_break() {
                        return;
                    }
                }
            }
        }

        impl HeaderView for Vec<(String, $value)> {
            fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
                self.as_slice().walk_back(visit);
            }
        }

        impl HeaderEdit for Vec<(String, $value)> {
            fn remove(&mut self, names: &[&str]) {
                self.retain(|(name, _)| !is_one_of(name.as_bytes(), names));
            }

            fn append(&mut self, name: &str, value: &str) {
                let make: fn(&str) -> $value = $make;
                self.push((name.to_owned(), make(value)));
            }
        }
    };
}

header_list!(Vec<u8>, |value| Some(value), |value| value.as_bytes().to_vec());
header_list!(Option<Vec<u8>>, |value| value.as_deref(), |value| Some(value.as_bytes().to_vec()));
header_list!(String, |value| Some(value.as_bytes()), |value| value.to_owned());

impl<S: BuildHasher> HeaderView for HashMap<String, String, S> {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        for (name, value) in self {
            if visit(name.as_bytes(), Some(value.as_bytes())).is_break() {
                return;
            }
        }
    }
}

impl<S: BuildHasher> HeaderEdit for HashMap<String, String, S> {
    fn remove(&mut self, names: &[&str]) {
        self.retain(|name, _| !is_one_of(name.as_bytes(), names));
    }

    fn append(&mut self, name: &str, value: &str) {
        self.insert(name.to_owned(), value.to_owned());
    }
}
