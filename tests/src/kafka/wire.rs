//! As much of Kafka's protocol as the proxy and the raw sender need: frames, request headers, OffsetCommit, record
//! batches of format 2.

/// The request whose responses carry the broker's acknowledgement.
pub(super) const PRODUCE: i16 = 0;
/// The request that stores a group's offsets.
pub(super) const OFFSET_COMMIT: i16 = 8;
/// The request for brokers, topics and leaders.
pub(super) const METADATA: i16 = 3;
/// The requests that a group's coordinator answers when all members have asked.
pub(super) const JOIN_AND_SYNC_GROUP: [i16; 2] = [11, 14];

/// The request of a frame: its kind, version and number, and what follows them.
#[derive(Debug)]
pub(super) struct Request<'f> {
    pub api: i16,
    pub version: i16,
    pub correlation: i32,
    /// `client.id` of who asks.
    pub client: String,
    rest: Reader<'f>,
}

impl<'f> Request<'f> {
    /// Reads a frame without its length.
    pub(super) fn parse(frame: &'f [u8]) -> Option<Self> {
        let mut rest = Reader(frame);
        let (api, version, correlation) = (rest.i16()?, rest.i16()?, rest.i32()?);
        // Written in the old way in every version of the header.
        let client = rest.string(false)?;
        Some(Request { api, version, correlation, client, rest })
    }

    /// The offsets of an OffsetCommit: group, topic, partition, offset.
    pub(super) fn commits(mut self) -> Option<Vec<(String, String, i32, i64)>> {
        let version = self.version;
        let flexible = version >= 8;
        let rest = &mut self.rest;
        rest.tags(flexible)?;
        let group = rest.string(flexible)?;
        if version >= 1 {
            rest.i32()?;
            rest.string(flexible)?;
        }
        if version >= 7 {
            rest.string(flexible)?;
        }
        if (2..=4).contains(&version) {
            rest.take(8)?;
        }
        let mut commits = Vec::new();
        for _ in 0..rest.count(flexible)? {
            let topic = rest.string(flexible)?;
            for _ in 0..rest.count(flexible)? {
                let (partition, offset) = (rest.i32()?, rest.i64()?);
                if version >= 6 {
                    rest.i32()?;
                }
                if version == 1 {
                    rest.i64()?;
                }
                rest.string(flexible)?;
                rest.tags(flexible)?;
                commits.push((group.clone(), topic.clone(), partition, offset));
            }
            rest.tags(flexible)?;
        }
        Some(commits)
    }
}

/// A Metadata response (a frame without its length) as one of a broker that knows its topics and not yet who else there is:
/// a node that has just started. `None` for versions below 9.
pub(super) fn without_brokers(frame: &[u8], version: i16) -> Option<Vec<u8>> {
    if version < 9 {
        return None;
    }
    let mut rest = Reader(frame);
    rest.i32()?;
    rest.tags(true)?;
    rest.i32()?;
    let head = frame.len() - rest.0.len();
    for _ in 0..rest.count(true)? {
        rest.i32()?;
        rest.string(true)?;
        rest.i32()?;
        rest.string(true)?;
        rest.tags(true)?;
    }
    Some([&frame[..head], &[1], rest.0].concat())
}

#[derive(Debug)]
struct Reader<'f>(&'f [u8]);

impl<'f> Reader<'f> {
    fn take(&mut self, bytes: usize) -> Option<&'f [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn unsigned(&mut self) -> Option<usize> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let [byte] = self.take(1)? else { return None };
            value |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
        }
    }

    /// A null string is read as an empty one.
    fn string(&mut self, compact: bool) -> Option<String> {
        let bytes = if compact {
            self.unsigned()?.saturating_sub(1)
        } else {
            usize::try_from(self.i16()?).unwrap_or(0)
        };
        Some(String::from_utf8_lossy(self.take(bytes)?).into_owned())
    }

    fn count(&mut self, compact: bool) -> Option<usize> {
        if compact {
            Some(self.unsigned()?.saturating_sub(1))
        } else {
            Some(usize::try_from(self.i32()?).unwrap_or(0))
        }
    }

    fn tags(&mut self, flexible: bool) -> Option<()> {
        if flexible {
            for _ in 0..self.unsigned()? {
                self.unsigned()?;
                let bytes = self.unsigned()?;
                self.take(bytes)?;
            }
        }
        Some(())
    }
}

/// A number in the encoding of record batches: zigzag, seven bits a byte.
pub(super) fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or_default());
}

/// Bytes with their length in front; null has the length −1.
pub(super) fn bytes(out: &mut Vec<u8>, value: Option<&[u8]>) {
    varint(out, value.map_or(-1, |value| i64::try_from(value.len()).unwrap_or(i64::MAX)));
    out.extend_from_slice(value.unwrap_or_default());
}

/// Castagnoli's CRC, which record batches carry.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_are_zigzag() {
        for (value, expected) in [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (300, vec![0xd8, 0x04])] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_commit_of_an_old_version_is_read() {
        let mut frame =
            vec![0, 8, 0, 7, 0, 0, 0, 9, 0, 1, b'c', 0, 1, b'g', 0, 0, 0, 3, 0, 1, b'm', 0xff, 0xff];
        frame.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 4]);
        frame.extend(77_i64.to_be_bytes());
        frame.extend([0xff; 4]);
        frame.extend([0, 0]);
        let request = Request::parse(&frame).unwrap();
        assert_eq!((request.api, request.correlation), (OFFSET_COMMIT, 9));
        assert_eq!(request.commits().unwrap(), [("g".to_owned(), "t".to_owned(), 4, 77)]);
    }

    #[test]
    fn metadata_loses_its_brokers_and_nothing_else() {
        let mut frame = vec![0, 0, 0, 7, 0, 0, 0, 0, 0];
        let brokers = [3, 0, 0, 0, 1, 2, b'a', 0, 0, 9, 9, 0, 0, 0, 0, 0, 2, 2, b'b', 0, 0, 9, 8, 2, b'r', 0];
        let topics = [2, b'c', 0, 0, 0, 1, 1, 0];
        let expected = [&frame[..], &[1], &topics].concat();
        frame.extend(brokers);
        frame.extend(topics);
        assert_eq!(without_brokers(&frame, 12), Some(expected));
        assert_eq!(without_brokers(&frame, 8), None);
        assert_eq!(without_brokers(&frame[..20], 12), None);
    }

    #[test]
    fn a_commit_of_a_flexible_version_is_read_and_a_short_one_is_not() {
        let mut frame = vec![0, 8, 0, 9, 0, 0, 0, 9, 0, 1, b'c', 0, 2, b'g', 0, 0, 0, 3, 2, b'm', 0];
        frame.extend([2, 2, b't', 2, 0, 0, 0, 4]);
        frame.extend(77_i64.to_be_bytes());
        frame.extend([0xff; 4]);
        frame.extend([1, 0, 0, 0]);
        assert_eq!(
            Request::parse(&frame).unwrap().commits().unwrap(),
            [("g".to_owned(), "t".to_owned(), 4, 77)]
        );
        assert_eq!(Request::parse(&frame[..30]).unwrap().commits(), None);
    }
}
