//! Every argument and every kind of field, in a crate of warnings that are errors.
#![deny(warnings, clippy::all, clippy::pedantic, missing_docs, unreachable_pub, unused_qualifications)]
#![forbid(unsafe_code)]
#![no_implicit_prelude]

/// Shared by producers and consumers.
pub const ORDERS: &str = "orders";

/// Text of a key.
pub mod hex {
    /// Writes.
    #[must_use]
    pub fn to_bytes(id: &[u8]) -> ::std::vec::Vec<u8> {
        id.to_owned()
    }

    /// Reads.
    ///
    /// # Errors
    ///
    /// None.
    pub fn from_bytes(bytes: &[u8]) -> ::std::result::Result<::std::vec::Vec<u8>, ::std::convert::Infallible> {
        ::std::result::Result::Ok(bytes.to_owned())
    }

    use ::std::borrow::ToOwned as _;
}

/// A message.
#[derive(::throughline::KafkaMessage, ::std::fmt::Debug)]
#[kafka(topic = ORDERS, codec = Json)]
#[kafka(event = "order.placed", version = 2, content_type = "application/json")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderPlaced<'a, T, const N: usize = 2>
where
    T: ::serde::Serialize + ::serde::de::DeserializeOwned,
{
    /// The key.
    #[kafka(key, with = hex)]
    pub id: ::std::option::Option<::std::vec::Vec<u8>>,
    #[kafka(header = "x-tenant")]
    tenant: ::std::string::String,
    #[kafka(header = "x-attempt")]
    attempt: ::std::option::Option<u32>,
    #[kafka(header = "x-nullable")]
    nullable: ::std::option::Option<::std::option::Option<u32>>,
    #[kafka(header = "x-line")]
    lines: ::std::vec::Vec<f64>,
    #[kafka(header = "x-each")]
    each: ::std::vec::Vec<::std::option::Option<[u8; N]>>,
    #[kafka(header = "x-plan", baggage)]
    plan: ::std::option::Option<::std::string::String>,
    #[kafka(timestamp)]
    at: ::std::time::SystemTime,
    #[kafka(partition)]
    partition: ::std::option::Option<i32>,
    #[kafka(trace)]
    trace: ::throughline::CreationContext,
    #[kafka(headers)]
    rest: ::throughline::kafka::Headers,
    /// The body.
    pub amount: T,
    #[serde(default)]
    r#type: ::std::borrow::Cow<'a, str>,
}

/// A value alone.
#[derive(::throughline::KafkaMessage, ::std::fmt::Debug)]
#[kafka(topic = "blobs", codec = Raw)]
pub struct Blob {
    #[kafka(payload)]
    data: ::std::option::Option<::std::vec::Vec<u8>>,
    #[serde(skip)]
    seen: bool,
}

/// A message of no fields.
#[derive(::throughline::KafkaMessage, ::std::fmt::Debug)]
#[kafka(topic = "pings")]
pub struct Ping {}

fn main() {
    use ::throughline::TraceContext;
    use ::throughline::kafka::KafkaMessage;
    use ::std::option::Option::Some;

    fn is_message<M: KafkaMessage>(topic: &str) {
        ::std::assert_eq!(M::TOPIC, topic);
    }
    fn carries<M: TraceContext>() {}
    is_message::<OrderPlaced<'_, u64>>("orders");
    is_message::<::std::option::Option<Blob>>("blobs");
    is_message::<::throughline::kafka::Tombstone<Ping>>("pings");
    carries::<OrderPlaced<'_, u64>>();
    let blob = Blob { data: Some(::std::vec![1]), seen: true };
    let read = <Blob as KafkaMessage>::from_message(&blob.to_record().unwrap()).unwrap();
    ::std::assert!(read.data == blob.data && read.seen != blob.seen);
}
