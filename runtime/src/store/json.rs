//! Attributes as JSON that keeps their types.
//!
//! A double always has a point; what JSON's or PostgreSQL's numbers cannot hold is an object with one key:
//! `{"$double": "NaN"}`, `{"$bytes": "<base64>"}`. U+0000 becomes U+FFFD, because PostgreSQL's text cannot hold it.

use std::collections::HashSet;
use std::fmt::Write as _;

use opentelemetry::{Array, KeyValue, Value};

/// An attribute, as the SDK or as OTLP has it.
pub(crate) trait Attribute {
    fn key(&self) -> &str;
    fn write_value(&self, out: &mut String);
}

impl Attribute for KeyValue {
    fn key(&self) -> &str {
        self.key.as_str()
    }

    fn write_value(&self, out: &mut String) {
        value(out, &self.value);
    }
}

/// Writes `{"key":value,..}`. Of two attributes with the same key the last one counts, as in a map.
pub(crate) fn object(out: &mut String, attributes: &[impl Attribute]) {
    out.push('{');
    let mut first = true;
    let repeated = repeated(attributes);
    for (index, attribute) in attributes.iter().enumerate() {
        if repeated.binary_search(&index).is_ok() {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        string(out, attribute.key());
        out.push(':');
        attribute.write_value(out);
    }
    out.push('}');
}

/// Up to so many attributes, looking at each pair is faster than hashing.
const FEW: usize = 32;

/// The places, ascending, of the attributes whose key comes again.
fn repeated(attributes: &[impl Attribute]) -> Vec<usize> {
    let keys = || attributes.iter().map(Attribute::key).enumerate();
    if attributes.len() <= FEW {
        let comes_again =
            |(index, key): &(usize, &str)| keys().skip(index + 1).any(|(_, later)| later == *key);
        return keys().filter(comes_again).map(|(index, _)| index).collect();
    }
    // What comes in over the network may have a million of them. From the end, so that the last one is met first.
    let mut met = HashSet::with_capacity(attributes.len());
    let mut repeated: Vec<usize> =
        keys().rev().filter(|(_, key)| !met.insert(*key)).map(|(index, _)| index).collect();
    repeated.reverse();
    repeated
}

fn value(out: &mut String, value: &Value) {
    match value {
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::I64(value) => integer(out, *value),
        Value::F64(value) => double(out, *value),
        Value::String(value) => string(out, value.as_str()),
        Value::Array(Array::Bool(items)) => {
            array(out, items, |out, item| out.push_str(if *item { "true" } else { "false" }));
        }
        Value::Array(Array::I64(items)) => array(out, items, |out, item| integer(out, *item)),
        Value::Array(Array::F64(items)) => array(out, items, |out, item| double(out, *item)),
        Value::Array(Array::String(items)) => array(out, items, |out, item| string(out, item.as_str())),
        other => string(out, &other.as_str()),
    }
}

fn array<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

pub(crate) fn integer(out: &mut String, value: i64) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

/// PostgreSQL's `numeric` has no sign of zero and would write out every digit of 1e300.
pub(crate) fn double(out: &mut String, value: f64) {
    let magnitude = value.abs();
    let is_plain = value.is_finite()
        && ((1e-5..1e15).contains(&magnitude) || (magnitude == 0.0 && value.is_sign_positive()));
    let _ = if is_plain { write!(out, "{value:?}") } else { write!(out, "{{\"$double\":\"{value:?}\"}}") };
}

/// A string in quotes.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0 => "\u{fffd}",
            1..0x20 => "",
            _ => continue,
        };
        // All of these are ASCII, so the cut lies on character boundaries.
        out.push_str(text.get(plain..at).unwrap_or_default());
        plain = at + 1;
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::StringValue;

    fn of(item: impl Into<Value>) -> String {
        let mut out = String::new();
        value(&mut out, &item.into());
        out
    }

    #[test]
    fn doubles_carry_a_point_or_are_named_as_doubles() {
        assert_eq!(of(2.0), "2.0");
        assert_eq!(of(0.1), "0.1");
        assert_eq!(of(0.0), "0.0");
        for (number, text) in [
            (-0.0, "-0.0"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (1e300, "1e300"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(of(number), format!("{{\"$double\":\"{text}\"}}"));
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits(), "{text} reads back");
        }
    }

    #[test]
    fn whatever_a_string_holds_it_reads_back_save_nul() {
        let hostile = "a\"b\\c\n\r\t\u{1}\u{1f}\u{7f}é\u{2028}😀';--";
        assert_eq!(serde_json::from_str::<String>(&of(hostile)).unwrap(), hostile);
        assert_eq!(of("a\0b"), "\"a\u{fffd}b\"");
    }

    #[test]
    fn last_of_two_equal_keys_counts() {
        let mut out = String::new();
        object(&mut out, &[KeyValue::new("k", 1), KeyValue::new("l", true), KeyValue::new("k", 2)]);
        assert_eq!(out, r#"{"l":true,"k":2}"#);
        let many: Vec<_> =
            (0..500).map(|number: i64| KeyValue::new(format!("k{}", number % 100), number)).collect();
        let mut out = String::new();
        object(&mut out, &many);
        let expected: Vec<_> = (400..500).map(|number| format!("\"k{}\":{number}", number - 400)).collect();
        assert_eq!(out, format!("{{{}}}", expected.join(",")));
    }

    #[test]
    fn arrays_keep_the_type_of_their_items() {
        assert_eq!(of(Value::Array(vec![1.0, 2.5].into())), "[1.0,2.5]");
        assert_eq!(of(Value::Array(vec![StringValue::from("a"), "b".into()].into())), r#"["a","b"]"#);
    }
}
