//! Records that no client would send, put into the log by Produce requests of our own.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::wire::{PRODUCE, bytes, crc32c, varint};

/// Name and value of a header, any bytes.
pub type RawHeader = (Vec<u8>, Option<Vec<u8>>);

/// One record as it stands in the log.
#[derive(Clone, Debug, Default)]
pub struct RawRecord {
    /// The key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since the epoch; may be anything.
    pub timestamp_ms: i64,
    /// The headers.
    pub headers: RawHeaders,
}

/// The header block of a record.
#[derive(Clone, Debug)]
pub enum RawHeaders {
    /// A well-formed block.
    List(Vec<RawHeader>),
    /// These bytes in the place of a block.
    Block(Vec<u8>),
}

impl Default for RawHeaders {
    fn default() -> Self {
        RawHeaders::List(Vec::new())
    }
}

impl RawRecord {
    /// A record with a value and these headers.
    pub fn with_headers(headers: impl IntoIterator<Item = RawHeader>) -> Self {
        let headers = RawHeaders::List(headers.into_iter().collect());
        RawRecord { value: Some(b"{}".to_vec()), headers, ..RawRecord::default() }
    }

    /// A record with a value and these bytes in the place of its headers.
    pub fn with_block(block: &[u8]) -> Self {
        let headers = RawHeaders::Block(block.to_vec());
        RawRecord { value: Some(b"{}".to_vec()), headers, ..RawRecord::default() }
    }

    fn write(&self, out: &mut Vec<u8>, offset_delta: i64, base_timestamp: i64) {
        let mut record = vec![0];
        varint(&mut record, self.timestamp_ms.wrapping_sub(base_timestamp));
        varint(&mut record, offset_delta);
        bytes(&mut record, self.key.as_deref());
        bytes(&mut record, self.value.as_deref());
        match &self.headers {
            RawHeaders::List(headers) => {
                varint(&mut record, i64::try_from(headers.len()).unwrap_or(i64::MAX));
                for (name, value) in headers {
                    bytes(&mut record, Some(name));
                    bytes(&mut record, value.as_deref());
                }
            }
            RawHeaders::Block(block) => record.extend_from_slice(block),
        }
        bytes(out, Some(&record));
    }
}

/// A record batch.
#[derive(Clone, Debug, Default)]
pub struct RawBatch {
    /// Each record with its place in the batch. Places left out are gaps, as compaction leaves them.
    pub records: Vec<(i32, RawRecord)>,
    /// Places of the batch in all; at least the last record's and one.
    pub places: i32,
    /// Whether it holds a transaction marker instead of records.
    pub marker: bool,
}

/// Bit 5 of a batch's attributes: its records are no messages.
const CONTROL: i16 = 1 << 5;

impl RawBatch {
    /// Records one after the other.
    pub fn of(records: impl IntoIterator<Item = RawRecord>) -> Self {
        let records: Vec<_> = (0..).zip(records).collect();
        RawBatch { places: i32::try_from(records.len()).unwrap_or(i32::MAX), records, marker: false }
    }

    /// The marker with which a transaction ends: it takes an offset, and no consumer sees it.
    pub fn marker() -> Self {
        // Version 0 and the type: commit.
        let key = Some(vec![0, 0, 0, 1]);
        let record = RawRecord { key, value: Some(vec![0; 6]), ..RawRecord::default() };
        RawBatch { records: vec![(0, record)], places: 1, marker: true }
    }

    fn write(&self) -> Vec<u8> {
        let base_timestamp = self.records.first().map_or(0, |(_, record)| record.timestamp_ms);
        let newest = self.records.iter().map(|(_, record)| record.timestamp_ms).max().unwrap_or(0);
        let mut checked = Vec::new();
        checked.extend(if self.marker { CONTROL } else { 0 }.to_be_bytes());
        checked.extend((self.places - 1).to_be_bytes());
        checked.extend(base_timestamp.to_be_bytes());
        checked.extend(newest.to_be_bytes());
        // No producer id, epoch and sequence.
        checked.extend([0xff; 8 + 2 + 4]);
        // An embedded broker counts offsets by the number of records, so this is the number of places.
        checked.extend(self.places.to_be_bytes());
        for (place, record) in &self.records {
            record.write(&mut checked, i64::from(*place), base_timestamp);
        }
        let mut batch = Vec::new();
        batch.extend(0_i64.to_be_bytes());
        batch.extend(i32::try_from(4 + 1 + 4 + checked.len()).unwrap_or(i32::MAX).to_be_bytes());
        batch.extend((-1_i32).to_be_bytes());
        batch.push(2);
        batch.extend(crc32c(&checked).to_be_bytes());
        batch.extend(checked);
        batch
    }
}

/// Puts a batch into the log of a partition whose leader listens at `broker`; gives its first offset.
///
/// # Errors
///
/// Those of the connection; the broker's refusal is one of kind `Other` with Kafka's error code.
pub fn produce(broker: SocketAddr, topic: &str, partition: i32, batch: &RawBatch) -> io::Result<i64> {
    let mut request = Vec::new();
    request.extend(PRODUCE.to_be_bytes());
    // The oldest version with batches of format 2, which real brokers still take.
    request.extend(3_i16.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    string(&mut request, "hostile");
    request.extend((-1_i16).to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    string(&mut request, topic);
    request.extend(1_i32.to_be_bytes());
    request.extend(partition.to_be_bytes());
    let batch = batch.write();
    request.extend(i32::try_from(batch.len()).unwrap_or(i32::MAX).to_be_bytes());
    request.extend(batch);

    let mut connection = TcpStream::connect(broker)?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    connection.write_all(&i32::try_from(request.len()).unwrap_or(i32::MAX).to_be_bytes())?;
    connection.write_all(&request)?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let mut response = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap_or(0)];
    connection.read_exact(&mut response)?;
    // Number of the request, topics, name of the topic, partitions, partition, error, first offset.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    let field = |at: usize, bytes: usize| {
        response.get(at..at + bytes).ok_or_else(|| io::Error::other("the response is too short"))
    };
    let error = i16::from_be_bytes(field(at, 2)?.try_into().map_err(io::Error::other)?);
    if error != 0 {
        return Err(io::Error::other(format!("error {error} of the broker")));
    }
    Ok(i64::from_be_bytes(field(at + 2, 8)?.try_into().map_err(io::Error::other)?))
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    out.extend(text.as_bytes());
}
