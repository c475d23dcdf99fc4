//! JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Codec;
use crate::kafka::message_error::BoxError;

/// Values as JSON, by serde.
///
/// Nothing but white space may follow the value. Depth is bounded by `serde_json` (128).
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn encode(value: &T, _topic: &str) -> Result<Vec<u8>, BoxError> {
        Ok(serde_json::to_vec(value)?)
    }

    fn decode(bytes: &[u8], _topic: &str) -> Result<T, BoxError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
