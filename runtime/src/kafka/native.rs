//! Header access by librdkafka's own functions, names and values as bytes.
//!
//! `rdkafka`'s readers panic on a header name that is not UTF-8, so one hostile producer would send every consumer of
//! a topic into a crash loop; and its headers can only grow, while a forwarded message must carry one `traceparent`.
#![allow(unsafe_code)] // the C functions are the only way round both; each call states why it is sound

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::ptr;

use rdkafka::ClientContext;
use rdkafka::bindings::{
    rd_kafka_brokers_add, rd_kafka_conf, rd_kafka_conf_get, rd_kafka_conf_res_t, rd_kafka_err2name,
    rd_kafka_header_add, rd_kafka_header_cnt, rd_kafka_header_get_all, rd_kafka_header_remove,
    rd_kafka_headers_t, rd_kafka_mem_free, rd_kafka_memberid, rd_kafka_message_headers,
    rd_kafka_queue_destroy, rd_kafka_queue_get_consumer, rd_kafka_queue_length, rd_kafka_resp_err_t,
};
use rdkafka::client::Client;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use crate::propagation::{Refusal, is_one_of, refuse};

type Visit<'v, 'a> = &'v mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>;

/// Walks headers from the last to the first.
pub(super) fn walk_back<'a>(headers: &'a BorrowedHeaders, visit: Visit<'_, 'a>) {
    // SAFETY: a reference to `BorrowedHeaders` is the address of librdkafka's list, valid and unchanged while borrowed.
    // (`rdkafka` lets safe code write the expression `BorrowedHeaders`, rust-rdkafka #825; no reader of it can help that.)
    unsafe { walk_native(ptr::from_ref(headers).cast(), visit) }
}

/// Walks the headers of a message from the last to the first.
pub(super) fn walk_message_back<'a>(message: &'a BorrowedMessage<'_>, visit: Visit<'_, 'a>) {
    let mut native = ptr::null_mut();
    // SAFETY: the message is valid while borrowed; the call parses its header block once and keeps the list with it.
    match unsafe { rd_kafka_message_headers(message.ptr(), &raw mut native) } {
        // SAFETY: on success the list belongs to the message, which is borrowed for 'a.
        rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR if !native.is_null() => unsafe {
            walk_native(native, visit);
        },
        rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR | rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NOENT => {}
        // A block that does not parse looks like none to `rdkafka`; here it is counted.
        _ => refuse(Refusal::Malformed),
    }
}

/// # Safety
///
/// `headers` points to a list of librdkafka that is neither freed nor changed for 'a.
unsafe fn walk_native<'a>(headers: *const rd_kafka_headers_t, visit: Visit<'_, 'a>) {
    // SAFETY: by this function's contract.
    let count = unsafe { rd_kafka_header_cnt(headers) };
    for index in (0..count).rev() {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list is valid; an index out of bounds is an error code.
        let error =
            unsafe { rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size) };
        if error != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            continue;
        }
        // SAFETY: librdkafka ends names with a NUL, and keeps them as long as the list.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        let value = if value.is_null() {
            None
        } else {
            // SAFETY: a value that is not null has `size` bytes, kept as long as the list.
            Some(unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) })
        };
        if visit(name, value).is_break() {
            return;
        }
    }
}

/// Removes every header whose name is one of `names`, ignoring ASCII case.
pub(super) fn remove(headers: &mut OwnedHeaders, names: &[&str]) {
    // librdkafka compares names exactly, so each spelling that occurs is removed by itself.
    let mut spellings: Vec<CString> = Vec::new();
    walk_back(headers.as_borrowed(), &mut |name, _| {
        if is_one_of(name, names)
            && !spellings.iter().any(|known| known.as_bytes() == name)
            && let Ok(spelling) = CString::new(name)
        {
            spellings.push(spelling);
        }
        ControlFlow::Continue(())
    });
    for spelling in &spellings {
        // SAFETY: the list is owned and borrowed mutably; nothing that was read from it is alive.
        unsafe { rd_kafka_header_remove(native(headers), spelling.as_ptr()) };
    }
}

/// Adds a header at the end; a value of `None` is null.
pub(super) fn append(headers: &mut OwnedHeaders, name: &[u8], value: Option<&[u8]>) {
    let value_bytes = value.map_or(0, <[u8]>::len);
    let (Ok(name_bytes), Ok(value_bytes)) = (isize::try_from(name.len()), isize::try_from(value_bytes))
    else {
        return;
    };
    // SAFETY: the list is owned and borrowed mutably; name and value are copied, with the lengths that are given. A
    // null value is what the function takes for null.
    unsafe {
        rd_kafka_header_add(
            native(headers),
            name.as_ptr().cast(),
            name_bytes,
            value.map_or(ptr::null(), |value| value.as_ptr().cast()),
            value_bytes,
        )
    };
}

fn native(headers: &mut OwnedHeaders) -> *mut rd_kafka_headers_t {
    ptr::from_ref(headers.as_borrowed()).cast::<rd_kafka_headers_t>().cast_mut()
}

/// A setting that a client was made with, as text.
pub(super) fn setting<C: ClientContext>(client: &Client<C>, name: &CStr) -> Option<String> {
    let mut buffer = [0_u8; 512];
    let mut size = buffer.len();
    // SAFETY: the client is alive while borrowed, and its configuration with it; at most `size` bytes are written.
    let result = unsafe {
        let config = rd_kafka_conf(client.native_ptr());
        rd_kafka_conf_get(config, name.as_ptr(), buffer.as_mut_ptr().cast(), &raw mut size)
    };
    if result != rd_kafka_conf_res_t::RD_KAFKA_CONF_OK || size > buffer.len() {
        return None;
    }
    let text = CStr::from_bytes_until_nul(&buffer).ok()?.to_str().ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Adds brokers to those that the client knows (a list as in `bootstrap.servers`), as far as it does not have them.
pub(super) fn add_brokers<C: ClientContext>(client: &Client<C>, brokers: &str) {
    let Ok(brokers) = CString::new(brokers) else { return };
    // SAFETY: the client is alive while borrowed; the text is copied, and the function locks the client itself.
    unsafe { rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) };
}

/// Whether a client of a classic group is a member of it: it has joined, and not left.
pub(super) fn is_member<C: ClientContext>(client: &Client<C>) -> bool {
    // SAFETY: the client is alive while borrowed; the id, null or a text ended by a NUL, is given back.
    unsafe {
        let id = rd_kafka_memberid(client.native_ptr());
        if id.is_null() {
            return false;
        }
        let is_empty = CStr::from_ptr(id).is_empty();
        rd_kafka_mem_free(client.native_ptr(), id.cast());
        !is_empty
    }
}

/// How many events wait in the queue of a consumer.
pub(super) fn queued<C: ClientContext>(client: &Client<C>) -> usize {
    // SAFETY: the client is alive while borrowed; the queue's handle, null without a group, is given back.
    unsafe {
        let queue = rd_kafka_queue_get_consumer(client.native_ptr());
        if queue.is_null() {
            return 0;
        }
        let length = rd_kafka_queue_length(queue);
        rd_kafka_queue_destroy(queue);
        length
    }
}

/// librdkafka's name of an error code, such as `_MSG_TIMED_OUT` or `NOT_ENOUGH_REPLICAS`.
pub(super) fn error_name(code: RDKafkaErrorCode) -> Option<&'static str> {
    let code = RDKafkaRespErr::try_from(code as i32).ok()?;
    // SAFETY: the function takes any code and gives a static string.
    let name = unsafe { rd_kafka_err2name(code) };
    if name.is_null() {
        return None;
    }
    // SAFETY: not null, static, ended by a NUL.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}
