//! What many spans have in common, made once: a name and attributes.

use opentelemetry::KeyValue;

use super::limits;

/// Shared by the records of many spans, which are small for it; each exported span has copies.
#[derive(Debug)]
pub(crate) struct Given {
    name: String,
    attributes: Vec<KeyValue>,
}

impl Given {
    pub(crate) fn new(name: String, attributes: Vec<KeyValue>) -> Self {
        let limits = limits::current();
        let cut = |attribute: KeyValue| KeyValue::new(attribute.key, limits.cut_value(attribute.value));
        Self { name, attributes: attributes.into_iter().map(cut).collect() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }
}
