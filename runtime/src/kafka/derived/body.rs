//! The body of a message: the fields that serde writes.

use serde::de::{DeserializeOwned, Deserializer};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};

/// A struct some of whose fields are its body.
pub trait SerdeBody {
    /// A struct of the body's fields alone.
    type Read: DeserializeOwned;

    /// Writes the body's fields.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// The body as codecs see it: one type with serde's two traits, that borrows to be written and owns what is read.
#[derive(Debug)]
pub enum Body<'b, T: SerdeBody> {
    Of(&'b T),
    Read(T::Read),
}

impl<T: SerdeBody> Serialize for Body<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Body::Of(message) => message.write(serializer),
            Body::Read(_) => Err(S::Error::custom("this body was read; write the message it is in")),
        }
    }
}

impl<'de, T: SerdeBody> Deserialize<'de> for Body<'_, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::Read::deserialize(deserializer).map(Body::Read)
    }
}
