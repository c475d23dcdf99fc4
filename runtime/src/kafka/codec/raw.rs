//! Bytes as they are.

use super::Codec;
use crate::kafka::message_error::BoxError;

/// The bytes of the value, unchanged: for fields such as `Vec<u8>`, `String`, `Bytes`, `[u8; 16]`.
///
/// Takes every type that is `AsRef<[u8]>` and `TryFrom<Vec<u8>>`.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl<T: AsRef<[u8]> + TryFrom<Vec<u8>>> Codec<T> for Raw {
    fn encode(value: &T, _topic: &str) -> Result<Vec<u8>, BoxError> {
        Ok(value.as_ref().to_vec())
    }

    fn decode(bytes: &[u8], _topic: &str) -> Result<T, BoxError> {
        // The error of an array is the bytes themselves, so none is asked of the type.
        T::try_from(bytes.to_vec())
            .map_err(|_| format!("{} bytes are no `{}`", bytes.len(), std::any::type_name::<T>()).into())
    }
}
