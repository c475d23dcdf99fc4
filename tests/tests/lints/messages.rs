//! `#[derive(KafkaMessage)]` with fields of every kind, in code that has nothing to complain about.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;
use throughline::kafka::{CreationContext, Headers};
use throughline::{KafkaMessage, TraceContext as _};

const TOPIC: &str = "orders";

mod hex {
    pub(super) fn to_bytes(id: &[u8]) -> Vec<u8> {
        id.to_vec()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Vec<u8>, std::num::ParseIntError> {
        let numbers = bytes.iter().map(|byte| char::from(*byte).to_string().parse());
        numbers.collect()
    }
}

#[derive(Debug, Clone, KafkaMessage)]
#[kafka(topic = TOPIC, codec = Json, event = "order.placed", version = 2, content_type = "application/json")]
#[serde(rename_all = "camelCase")]
pub(super) struct Order<'a, T, const N: usize>
where
    T: Serialize + DeserializeOwned,
{
    #[kafka(key, with = hex)]
    id: Option<Vec<u8>>,
    #[kafka(header = "x-tenant")]
    tenant: String,
    #[kafka(header = "x-attempt")]
    attempt: Option<u32>,
    #[kafka(header = "x-line")]
    lines: Vec<f64>,
    #[kafka(header = "x-each")]
    each: Vec<Option<[u8; N]>>,
    #[kafka(header = "x-plan", baggage)]
    plan: Option<String>,
    #[kafka(timestamp)]
    at: Option<SystemTime>,
    #[kafka(partition)]
    partition: Option<i32>,
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    amount: T,
    #[serde(skip_serializing_if = "str::is_empty", default)]
    note: Cow<'a, str>,
    #[serde(skip)]
    cached: bool,
}

#[derive(Debug, KafkaMessage)]
#[kafka(topic = "blobs", codec = Raw)]
pub(super) struct Blob {
    #[kafka(payload)]
    data: Vec<u8>,
}

#[derive(Debug, KafkaMessage)]
#[kafka(topic = "pings")]
pub(super) struct Ping {}

pub(super) fn call_all() {
    let mut order = Order {
        id: None,
        tenant: String::new(),
        attempt: None,
        lines: vec![1.0],
        each: vec![Some([1, 2])],
        plan: None,
        at: None,
        partition: None,
        trace: CreationContext::none(),
        rest: Headers::new(),
        amount: 1,
        note: Cow::Borrowed(""),
        cached: false,
    };
    order.inject_trace_context();
    let read: Order<'_, i32, 2> = KafkaMessage::from_message(&order.to_record().unwrap()).unwrap();
    assert_eq!((read.amount, read.cached), (1, false));
    let blob = Blob { data: vec![1] };
    assert_eq!(Blob::from_message(&blob.to_record().unwrap()).unwrap().data, [1]);
    drop(Ping::from_message(&Ping {}.to_record().unwrap()));
}
