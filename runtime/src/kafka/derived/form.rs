//! How a value of a key or header is written: as text, as bytes, or by functions of the user's.

use std::any::type_name;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use crate::kafka::message_error::BoxError;

/// Why bytes are no value of a type.
#[derive(Debug)]
pub enum Misfit {
    NotUtf8,
    Other(BoxError),
}

/// A way to write values of type `T` as bytes, and to read them back.
pub trait Form<T> {
    fn write(&self, value: &T) -> Vec<u8>;
    fn read(&self, bytes: &[u8]) -> Result<T, Misfit>;
}

/// Asks for the form of a type: `(&&&Probe::<T>::new()).form()` takes the first trait below that fits.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    #[allow(clippy::new_without_default)] // called by generated code alone
    pub const fn new() -> Self {
        Probe(PhantomData)
    }
}

pub trait IsText<T> {
    fn form(&self) -> Text;
}

impl<T> IsText<T> for &&Probe<T>
where
    T: Display + FromStr,
    T::Err: Into<BoxError>,
{
    fn form(&self) -> Text {
        Text
    }
}

pub trait IsBytes<T> {
    fn form(&self) -> Bytes;
}

impl<T: AsRef<[u8]> + TryFrom<Vec<u8>>> IsBytes<T> for &Probe<T> {
    fn form(&self) -> Bytes {
        Bytes
    }
}

/// Fits everything, so that the error is about [`KeyOrHeader`] and not about methods.
pub trait IsNeither<T> {
    fn form(&self) -> Neither
    where
        T: KeyOrHeader;
}

impl<T> IsNeither<T> for Probe<T> {
    fn form(&self) -> Neither
    where
        T: KeyOrHeader,
    {
        Neither
    }
}

/// What no type is that gets as far as being asked for it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key or a header",
    label = "write `with = path`, or implement `Display` and `FromStr` for text, `AsRef<[u8]>` and `TryFrom<Vec<u8>>` for bytes",
    note = "the error of `FromStr` converts into `Box<dyn Error + Send + Sync>`; `path` has `to_bytes` and `from_bytes`"
)]
pub trait KeyOrHeader {}

/// Stands for a form where there is none, so that one mistake is one error.
#[derive(Clone, Copy, Debug)]
pub struct Neither;

impl<T> Form<T> for Neither {
    fn write(&self, _: &T) -> Vec<u8> {
        Vec::new()
    }

    fn read(&self, _: &[u8]) -> Result<T, Misfit> {
        Err(Misfit::Other("the type has no form".into()))
    }
}

/// The text of `Display`, read by `FromStr`.
#[derive(Clone, Copy, Debug)]
pub struct Text;

impl<T> Form<T> for Text
where
    T: Display + FromStr,
    T::Err: Into<BoxError>,
{
    fn write(&self, value: &T) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn read(&self, bytes: &[u8]) -> Result<T, Misfit> {
        let text = str::from_utf8(bytes).map_err(|_| Misfit::NotUtf8)?;
        text.parse().map_err(|error: T::Err| Misfit::Other(error.into()))
    }
}

/// The bytes of `AsRef<[u8]>`, read by `TryFrom<Vec<u8>>`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes;

impl<T: AsRef<[u8]> + TryFrom<Vec<u8>>> Form<T> for Bytes {
    fn write(&self, value: &T) -> Vec<u8> {
        value.as_ref().to_vec()
    }

    fn read(&self, bytes: &[u8]) -> Result<T, Misfit> {
        // The error of an array is the bytes themselves, so none is asked of the type.
        let misfit = |_| Misfit::Other(format!("{} bytes are no `{}`", bytes.len(), type_name::<T>()).into());
        T::try_from(bytes.to_vec()).map_err(misfit)
    }
}

/// Functions of the user's: `to_bytes` and `from_bytes` of `with = path`.
#[derive(Clone, Copy, Debug)]
pub struct With<W, R> {
    to_bytes: W,
    from_bytes: R,
}

impl<W, R> With<W, R> {
    pub const fn new(to_bytes: W, from_bytes: R) -> Self {
        With { to_bytes, from_bytes }
    }
}

impl<T, B, E, W, R> Form<T> for With<W, R>
where
    W: Fn(&T) -> B,
    B: Into<Vec<u8>>,
    R: Fn(&[u8]) -> Result<T, E>,
    E: Into<BoxError>,
{
    fn write(&self, value: &T) -> Vec<u8> {
        (self.to_bytes)(value).into()
    }

    fn read(&self, bytes: &[u8]) -> Result<T, Misfit> {
        (self.from_bytes)(bytes).map_err(|error| Misfit::Other(error.into()))
    }
}
