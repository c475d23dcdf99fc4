//! A call site: what is known about a span before it starts.

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::SpanKind;

/// The kind of a span as a call site states it: OpenTelemetry's five kinds, usable in a `static`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Work inside the process.
    Internal,
    /// Answers a request that came from elsewhere.
    Server,
    /// Waits for the answer to a request sent elsewhere.
    Client,
    /// Hands a message to somebody who takes it later.
    Producer,
    /// Takes a message that was handed over earlier.
    Consumer,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        }
    }
}

/// Name and version of the package that a span's code belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    name: Option<&'static str>,
    version: Option<&'static str>,
}

impl Scope {
    /// A scope; without a name (a build outside cargo) it is `unknown`.
    #[must_use]
    pub const fn new(name: Option<&'static str>, version: Option<&'static str>) -> Self {
        Self { name, version }
    }

    /// The scope of spans that this crate makes by itself.
    #[cfg(any(feature = "kafka", feature = "server"))]
    pub(crate) const THROUGHLINE: Self =
        Self::new(Some(env!("CARGO_PKG_NAME")), Some(env!("CARGO_PKG_VERSION")));

    pub(crate) fn to_instrumentation_scope(self) -> InstrumentationScope {
        let builder = InstrumentationScope::builder(self.name.unwrap_or("unknown"));
        match self.version {
            Some(version) => builder.with_version(version).build(),
            None => builder.build(),
        }
    }
}

/// Everything about a span that the source code fixes. Lives in a `static` beside the function.
#[derive(Debug)]
pub struct Site {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) keys: &'static [&'static str],
    pub(crate) scope: Scope,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    /// Resolved by the collector and not by the function: it is a generic's `type_name`, no constant.
    pub(crate) path: fn() -> &'static str,
}

impl Site {
    /// A call site. `path` gives the name of an item inside the function, whose tail is cut off on export.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kind: Kind,
        keys: &'static [&'static str],
        scope: Scope,
        file: &'static str,
        line: u32,
        path: fn() -> &'static str,
    ) -> Self {
        Self { name, kind, keys, scope, file, line, path }
    }

    /// A site of this crate's own instrumentation. Its spans carry no `code.*` attributes: the place they would
    /// name is ours and not the user's.
    #[cfg(any(feature = "kafka", feature = "server"))]
    pub(crate) const fn internal(name: &'static str, kind: Kind) -> Self {
        Self::new(name, kind, &[], Scope::THROUGHLINE, "", 0, || "")
    }

    /// `code.function.name`: the path of the annotated function, or `None` for a site that has no function.
    pub(crate) fn function_name(&self) -> Option<&'static str> {
        let path = function_path((self.path)());
        (!path.is_empty()).then_some(path)
    }
}

/// The full path of the item given: type, trait, module.
pub fn path_of<F>(_: F) -> &'static str {
    std::any::type_name::<F>()
}

/// Cuts what the expansion added to the function's path: the marker function, the static that holds it, and the
/// closures that the compiler puts between an `async fn` and its body.
fn function_path(marker: &'static str) -> &'static str {
    let mut path = marker;
    loop {
        let before = path;
        for tail in ["::f", "::SITE", "::{{constant}}", "::{{closure}}"] {
            path = path.strip_suffix(tail).unwrap_or(path);
        }
        // A user's function may be called `f`: only the marker, at the very end, is ours.
        if path == before || !path.contains("::SITE") && !path.ends_with("}}") {
            return path;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::function_path;

    #[test]
    fn the_marker_is_cut_off() {
        assert_eq!(function_path("app::plan::SITE::f"), "app::plan");
        assert_eq!(
            function_path("<app::S<_> as app::Store>::load::SITE::f"),
            "<app::S<_> as app::Store>::load"
        );
        assert_eq!(function_path("app::fetch::{{closure}}::SITE::f"), "app::fetch");
    }

    #[test]
    fn a_function_called_f_keeps_its_name() {
        assert_eq!(function_path("app::f::SITE::f"), "app::f");
    }
}
