//! Protocol Buffers.

use prost::Message;

use super::Codec;
use crate::kafka::message_error::BoxError;

/// Protocol Buffers, by `prost`: for one field `#[kafka(payload)]` whose type implements [`prost::Message`].
///
/// Needs the feature `kafka-protobuf`. The bytes are the message alone, without the frame of a schema registry.
#[derive(Clone, Copy, Debug)]
pub struct Protobuf;

impl<T: Message + Default> Codec<T> for Protobuf {
    fn encode(value: &T, _topic: &str) -> Result<Vec<u8>, BoxError> {
        Ok(value.encode_to_vec())
    }

    fn decode(bytes: &[u8], _topic: &str) -> Result<T, BoxError> {
        Ok(T::decode(bytes)?)
    }
}
