//! Reading a request in protobuf that comes from anywhere.
//!
//! Two things are looked after before the messages are made. A few bytes can ask for a lot of memory: an empty span takes
//! two on the wire and some 300 in memory; so messages are counted first. And one attribute cut in the middle of a
//! character, as senders in languages whose strings are bytes write it, would cost the whole batch: there the bytes that are
//! no UTF-8 become `?`.

use prost::Message;

use super::{DecodeError, ExportTraceServiceRequest, MOST_MESSAGES};

/// The request in these bytes.
pub(crate) fn from_protobuf(body: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    let mut found = Found::default();
    walk(body, 0, &REQUEST, DEEPEST, &mut found).map_err(malformed)?;
    if found.messages > MOST_MESSAGES {
        return Err(DecodeError::TooMany);
    }
    let decoded = if found.invalid.is_empty() {
        ExportTraceServiceRequest::decode(body)
    } else {
        let mut mended = body.to_vec();
        for at in found.invalid {
            if let Some(byte) = mended.get_mut(at) {
                *byte = b'?';
            }
        }
        ExportTraceServiceRequest::decode(mended.as_slice())
    };
    decoded.map_err(|error| malformed(&error.to_string()))
}

fn malformed(why: &str) -> DecodeError {
    DecodeError::Malformed { encoding: "protobuf", why: why.to_owned() }
}

/// prost's own limit of messages within one another.
const DEEPEST: usize = 100;

/// What the fields of a message are; those not named are numbers or bytes, or unknown.
struct Schema {
    texts: &'static [u32],
    messages: &'static [(u32, &'static Schema)],
}

static REQUEST: Schema = Schema { texts: &[], messages: &[(1, &RESOURCE_SPANS)] };
static RESOURCE_SPANS: Schema = Schema { texts: &[3], messages: &[(1, &RESOURCE), (2, &SCOPE_SPANS)] };
static RESOURCE: Schema = Schema { texts: &[], messages: &[(1, &PAIR), (3, &ENTITY)] };
static ENTITY: Schema = Schema { texts: &[1, 2, 3, 4], messages: &[] };
static SCOPE_SPANS: Schema = Schema { texts: &[3], messages: &[(1, &SCOPE), (2, &SPAN)] };
static SCOPE: Schema = Schema { texts: &[1, 2], messages: &[(3, &PAIR)] };
static SPAN: Schema =
    Schema { texts: &[3, 5], messages: &[(9, &PAIR), (11, &EVENT), (13, &LINK), (15, &STATUS)] };
static EVENT: Schema = Schema { texts: &[2], messages: &[(3, &PAIR)] };
static LINK: Schema = Schema { texts: &[3], messages: &[(4, &PAIR)] };
static STATUS: Schema = Schema { texts: &[2], messages: &[] };
static PAIR: Schema = Schema { texts: &[1], messages: &[(2, &VALUE)] };
static VALUE: Schema = Schema { texts: &[1], messages: &[(5, &VALUES), (6, &PAIRS)] };
static VALUES: Schema = Schema { texts: &[], messages: &[(1, &VALUE)] };
static PAIRS: Schema = Schema { texts: &[], messages: &[(1, &PAIR)] };

#[derive(Default)]
struct Found {
    messages: usize,
    /// Where bytes are that must be text and are none.
    invalid: Vec<usize>,
}

/// One message, which begins `offset` bytes into the request.
fn walk(
    message: &[u8],
    offset: usize,
    schema: &Schema,
    depth: usize,
    found: &mut Found,
) -> Result<(), &'static str> {
    let depth = depth.checked_sub(1).ok_or("messages are nested too deeply")?;
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => {
                varint(&mut rest)?;
            }
            1 => drop(take(&mut rest, 8)?),
            5 => drop(take(&mut rest, 4)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).map_err(|_| TRUNCATED)?;
                let start = offset + message.len() - rest.len();
                let value = take(&mut rest, length)?;
                let field = u32::try_from(tag >> 3).map_err(|_| "a field has an impossible number")?;
                if schema.texts.contains(&field) {
                    no_text(value, start, &mut found.invalid);
                } else if let Some((_, schema)) = schema.messages.iter().find(|(number, _)| *number == field)
                {
                    found.messages += 1;
                    // The rest need not be looked at.
                    if found.messages > MOST_MESSAGES {
                        return Ok(());
                    }
                    walk(value, start, schema, depth, found)?;
                }
            }
            // Groups went out of use long before OTLP was made.
            _ => return Err("a field has a wire type that OTLP does not have"),
        }
    }
    Ok(())
}

const TRUNCATED: &str = "it ends in the middle of a field";

fn varint(rest: &mut &[u8]) -> Result<u64, &'static str> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, left) = rest.split_first().ok_or(TRUNCATED)?;
        *rest = left;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number has more than ten bytes")
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], &'static str> {
    let (taken, left) = rest.split_at_checked(length).ok_or(TRUNCATED)?;
    *rest = left;
    Ok(taken)
}

/// Notes the bytes that are no part of UTF-8.
fn no_text(mut text: &[u8], mut start: usize, invalid: &mut Vec<usize>) {
    while let Err(error) = std::str::from_utf8(text) {
        let good = error.valid_up_to();
        // Where the text ends within a character, all of it that is there.
        let bad = error.error_len().unwrap_or(text.len() - good);
        invalid.extend((start + good)..(start + good + bad));
        start += good + bad;
        text = text.get(good + bad..).unwrap_or_default();
    }
}
