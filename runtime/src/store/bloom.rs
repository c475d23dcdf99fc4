//! A Bloom filter over the attributes of a trace's spans.
//!
//! Few traces have an attribute that somebody looks for, and to read all spans of the others takes most of such a search.
//! So the summary of a trace holds this: 1,024 bits, of which each attribute sets four. Where one of those that the wanted
//! attribute would have set is missing, no span of the trace has it; where all are there, the spans are asked. With the
//! hundred different attributes of a trace of ten spans, one of a hundred traces is asked in vain. A very large trace has
//! all bits, and is always asked.
//!
//! What is written stays on disk: hash and form may only change together with a migration that empties the column.

use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

/// Size of the filter in bytes.
pub(crate) const BYTES: usize = 128;

/// Bits that an attribute sets.
const EACH: u32 = 4;

/// The bits of some attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bloom([u8; BYTES]);

impl Default for Bloom {
    fn default() -> Self {
        Self([0; BYTES])
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bloom({} bits)", self.0.iter().map(|byte| byte.count_ones()).sum::<u32>())
    }
}

impl Bloom {
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    pub(crate) fn union(mut self, other: &Self) -> Self {
        for (byte, more) in self.0.iter_mut().zip(other.0) {
            *byte |= more;
        }
        self
    }

    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    pub(crate) fn contains(&self, wanted: &Self) -> bool {
        self.0.iter().zip(wanted.0).all(|(byte, wanted)| byte & wanted == wanted)
    }

    /// Adds the members of an object of attributes, as [`json::object`](super::json::object) writes it.
    pub(crate) fn add_object(&mut self, attributes_json: &str) {
        // What is not JSON has no attribute that could be found.
        let _ = serde_json::Deserializer::from_str(attributes_json).deserialize_map(Members(self));
    }

    fn add(&mut self, hash: Hash) {
        let mut rest = hash.mixed();
        for _ in 0..EACH {
            let bit = usize::try_from(rest % (BYTES as u64 * 8)).unwrap_or(0);
            if let Some(byte) = self.0.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
            rest >>= 10;
        }
    }
}

/// What a span that has this attribute has set, one of these at least: the value may be that text, or the number that the
/// text spells. Both as a filter gives them.
pub(crate) fn wanted(key: &str, value: &str) -> Vec<Bloom> {
    let (key, value) = (super::span::clean(key), super::span::clean(value));
    let with = |value: Hash| {
        let mut bloom = Bloom::default();
        bloom.add(value);
        bloom
    };
    let key = Hash::of_key(&key);
    let mut wanted = vec![with(key.text(&value))];
    if let Ok(Json::Number(number)) = serde_json::from_str(&value) {
        let as_number = match number.as_i64() {
            Some(whole) => key.whole(whole),
            None => key.number(number.as_f64().unwrap_or(f64::NAN)),
        };
        let as_number = with(as_number);
        if wanted.first() != Some(&as_number) {
            wanted.push(as_number);
        }
    }
    wanted
}

/// FNV-1a, as for resources: the same in every process and version.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    fn of_key(key: &str) -> Self {
        // No key holds U+0000, see `json`.
        Self(0xcbf2_9ce4_8422_2325).text(key).text("\0")
    }

    fn text(self, text: &str) -> Self {
        Self(
            text.bytes()
                .fold(self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)),
        )
    }

    /// Numbers that compare as equal have one form, whatever their type.
    #[allow(clippy::cast_precision_loss)]
    fn whole(self, value: i64) -> Self {
        if value.unsigned_abs() <= EXACT { self.display(value) } else { self.display(value as f64) }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn number(self, value: f64) -> Self {
        let is_whole = value.fract() == 0.0 && value.abs() <= EXACT as f64;
        if is_whole { self.display(value as i64) } else { self.display(value) }
    }

    fn display(mut self, value: impl fmt::Display) -> Self {
        // Writing here cannot fail.
        let _ = write!(self, "{value}");
        self
    }

    /// FNV leaves the high bits of short texts alike.
    fn mixed(self) -> u64 {
        let hash = (self.0 ^ self.0 >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ hash >> 33
    }
}

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self = self.text(text);
        Ok(())
    }
}

/// Whole numbers up to here are the same as doubles.
const EXACT: u64 = 1 << 53;

/// Adds every member whose value is no object and no array: others cannot be asked for.
struct Members<'a>(&'a mut Bloom);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key_seed(Key)? {
            if let Some(hash) = members.next_value_seed(Value(key))? {
                self.0.add(hash);
            }
        }
        Ok(())
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Hash;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Hash, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Hash, E> {
        Ok(Hash::of_key(key))
    }
}

struct Value(Hash);

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Option<Hash>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Option<Hash>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Option<Hash>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, value: &str) -> Result<Option<Hash>, E> {
        Ok(Some(self.0.text(value)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<Hash>, E> {
        Ok(Some(self.0.text(if value { "true" } else { "false" })))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<Hash>, E> {
        Ok(Some(self.0.whole(value)))
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, value: u64) -> Result<Option<Hash>, E> {
        Ok(Some(
            i64::try_from(value).map_or_else(|_| self.0.number(value as f64), |value| self.0.whole(value)),
        ))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<Hash>, E> {
        Ok(Some(self.0.number(value)))
    }

    fn visit_unit<E>(self) -> Result<Option<Hash>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<Hash>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<Hash>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Bloom {
        let mut bloom = Bloom::default();
        bloom.add_object(json);
        bloom
    }

    fn may_have(json: &str, key: &str, value: &str) -> bool {
        wanted(key, value).iter().any(|wanted| of(json).contains(wanted))
    }

    #[test]
    fn attribute_is_found_by_its_text_and_by_equal_numbers() {
        let json = r#"{"s":"a\"é","n":200,"d":0.5,"w":3.0,"t":true,"b":9007199254740993,"x":"7"}"#;
        for (key, value) in [
            ("s", "a\"é"),
            ("n", "200"),
            ("n", "200.0"),
            ("n", "2e2"),
            ("d", "0.5"),
            ("d", "0.50"),
            ("w", "3"),
            ("w", "3.0"),
            ("t", "true"),
            ("b", "9007199254740993"),
            ("b", "9007199254740992.0"),
            ("x", "7"),
        ] {
            assert!(may_have(json, key, value), "{key}={value}");
        }
    }

    #[test]
    fn most_others_are_not() {
        let json = r#"{"s":"a","n":200,"array":[1,2],"object":{"$double":"NaN"},"none":null}"#;
        let others = (0..1_000).filter(|number| may_have(json, "s", &format!("b{number}"))).count();
        assert!(others < 5, "{others} of 1,000");
        assert!(!may_have(json, "n", "201") && !may_have(json, "N", "200") && !may_have(json, "array", "1"));
    }

    #[test]
    fn few_are_found_in_vain_among_a_hundred_attributes() {
        let members: Vec<_> = (0..100).map(|number| format!("\"k{number}\":\"v{number}\"")).collect();
        let bloom = of(&format!("{{{}}}", members.join(",")));
        let found =
            (0..10_000).filter(|number| bloom.contains(&wanted("k1", &format!("other-{number}"))[0])).count();
        assert!(found < 250, "{found} of 10,000");
    }

    #[test]
    fn text_that_is_no_object_adds_nothing() {
        for text in ["", "{", "[1]", "7", "\"a\"", "{\"a\":1"] {
            let _ = of(text);
        }
        assert_eq!(of("[1]"), Bloom::default());
    }

    #[test]
    fn union_has_both() {
        let both = of(r#"{"a":1}"#).union(&of(r#"{"b":2}"#));
        assert!(both.contains(&of(r#"{"a":1}"#)) && both.contains(&of(r#"{"b":2}"#)));
        assert_eq!(Bloom::from_bytes(both.as_bytes()), Some(both));
        assert_eq!(Bloom::from_bytes(&[0; 3]), None);
    }

    /// It stays on disk: a change of the hash would hide what is stored.
    #[test]
    fn bits_of_an_attribute_stay() {
        let bits: Vec<usize> = (0..BYTES * 8)
            .filter(|bit| of(r#"{"user.id":"42"}"#).as_bytes()[bit / 8] & (1 << (bit % 8)) != 0)
            .collect();
        assert_eq!(bits, [407, 476, 552, 991]);
    }
}
