//! Headers and creation contexts in formats of serde: for structs that are stored as well as sent.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record_headers::Headers;

/// A list of pairs of name and value. Bytes that are UTF-8 are a string, others a list of numbers; a null value is null.
impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for (name, value) in self {
            list.serialize_element(&(Text(name), value.map(Text)))?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of headers, each a name and a value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers, A::Error> {
                let mut headers = Headers::new();
                while let Some((name, value)) = list.next_element::<(Owned, Option<Owned>)>()? {
                    headers.extend([(name.0, value.map(|value| value.0))]);
                }
                Ok(headers)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Text where it can be, so that a person can read it.
struct Text<'b>(&'b [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(self.0) {
            Ok(text) if serializer.is_human_readable() => serializer.serialize_str(text),
            _ => serializer.serialize_bytes(self.0),
        }
    }
}

struct Owned(Vec<u8>);

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Owned;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Owned, E> {
                Ok(Owned(text.as_bytes().to_vec()))
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Owned, E> {
                Ok(Owned(bytes.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Owned, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = list.next_element::<u64>()? {
                    bytes.push(u8::try_from(byte).map_err(|_| A::Error::custom("a byte is below 256"))?);
                }
                Ok(Owned(bytes))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(Bytes)
        } else {
            deserializer.deserialize_byte_buf(Bytes)
        }
    }
}
