//! How values are written as bytes.

mod json;
#[cfg(feature = "kafka-protobuf")]
mod protobuf;
mod raw;

pub use json::Json;
#[cfg(feature = "kafka-protobuf")]
#[cfg_attr(docsrs, doc(cfg(feature = "kafka-protobuf")))]
pub use protobuf::Protobuf;
pub use raw::Raw;

use super::message_error::BoxError;

/// A way to write values of type `T` as the bytes of a record, and to read them back.
///
/// [`Json`], [`Raw`] and `Protobuf` (feature `kafka-protobuf`) are built in. Implement it for a type of your own and name
/// that in `#[kafka(codec = ..)]`: with the bounds of serde on `T` it takes structs with body fields, with others the
/// types of `#[kafka(payload)]` fields that fit. What a schema registry needs beside the bytes lives in statics of its
/// own.
///
/// ```
/// use serde::{Serialize, de::DeserializeOwned};
/// use throughline::kafka::{BoxError, Codec, KafkaMessage};
///
/// /// JSON behind a byte that tells the version of the format.
/// struct Versioned;
///
/// impl<T: Serialize + DeserializeOwned> Codec<T> for Versioned {
///     fn encode(value: &T, _topic: &str) -> Result<Vec<u8>, BoxError> {
///         let mut bytes = vec![1];
///         serde_json::to_writer(&mut bytes, value)?;
///         Ok(bytes)
///     }
///
///     fn decode(bytes: &[u8], _topic: &str) -> Result<T, BoxError> {
///         match bytes.split_first() {
///             Some((1, json)) => Ok(serde_json::from_slice(json)?),
///             _ => Err("not version 1".into()),
///         }
///     }
/// }
///
/// #[derive(KafkaMessage)]
/// #[kafka(topic = "orders", codec = Versioned)]
/// struct Order {
///     amount: u64,
/// }
///
/// assert_eq!(Order { amount: 7 }.to_record()?.value().as_deref(), Some(&b"\x01{\"amount\":7}"[..]));
/// # Ok::<(), throughline::kafka::EncodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the codec `{Self}` cannot encode and decode `{T}`",
    label = "the codec does not take this type"
)]
pub trait Codec<T> {
    /// The bytes of a value that goes to `topic`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the value from being written.
    fn encode(value: &T, topic: &str) -> Result<Vec<u8>, BoxError>;

    /// The value of bytes that came from `topic`, which anybody may have written: no bytes may panic.
    ///
    /// # Errors
    ///
    /// Whatever keeps the bytes from being read.
    fn decode(bytes: &[u8], topic: &str) -> Result<T, BoxError>;
}
