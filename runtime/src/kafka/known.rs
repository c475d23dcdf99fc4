//! Name and attributes that the process spans of one handler, or the send spans of one producer, have in common for a topic:
//! made once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use opentelemetry::KeyValue;

use super::attributes;
use super::consumer::WORDING;
use super::options::ProcessOptions;
use crate::span::limits;
use crate::span::message::{Given, Word};

/// Handlers and producers times topics whose spans share what they have in common. It is kept for good, so there is an end to it.
const MOST: usize = 512;
/// Of which a thread remembers so many.
const MOST_OF_A_THREAD: usize = 64;

/// What all of it depends on.
#[derive(Debug)]
struct Key {
    operation: Cow<'static, str>,
    topic: Cow<'static, str>,
    template: Option<Cow<'static, str>>,
    group: Option<Cow<'static, str>>,
    client_id: Option<Cow<'static, str>>,
    server: Option<(Cow<'static, str>, u16)>,
}

/// The first topic of a handler whose options stay at their place and are the same for good, which is nearly always its
/// only one.
pub(super) type First = OnceLock<(Box<str>, &'static Given)>;

/// What a thread remembers.
struct Known {
    /// Options that are constant are told by their place. `None`: by what they say.
    constant: Option<*const ProcessOptions>,
    key: Key,
    given: &'static Given,
}

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

type Content = (Cow<'static, str>, Vec<(&'static str, Common)>);

static ALL: LazyLock<Mutex<HashMap<Content, &'static Given>>> = LazyLock::new(Mutex::default);

/// Name and attributes of the process span of a message of this topic (kafka.md S-1, A-16). `first`: the options stay at their
/// place and are the same for good. `None`: there are too many handlers or topics already.
#[inline]
pub(super) fn given(
    options: &ProcessOptions,
    first: Option<&'static First>,
    topic: &str,
) -> Option<&'static Given> {
    if let Some((known, given)) = first.and_then(First::get)
        && **known == *topic
    {
        return Some(given);
    }
    let given = remembered(options, first.is_some(), topic)?;
    if let Some(first) = first {
        // Set already: another topic was.
        let _ = first.set((topic.into(), given));
    }
    Some(given)
}

#[inline(never)]
fn remembered(options: &ProcessOptions, constant: bool, topic: &str) -> Option<&'static Given> {
    let found = KNOWN.try_with(|known| {
        let mut known = known.try_borrow_mut().ok()?;
        let at = known.iter().position(|known| known.is(options, constant, topic))?;
        if at > 0 {
            // Records come one topic after the other: what was found now is what is looked for next.
            known.swap(0, at);
        }
        known.first().map(|known| known.given)
    });
    match found {
        Ok(Some(given)) => Some(given),
        _ => learn(options, constant, topic),
    }
}

#[cold]
fn learn(options: &ProcessOptions, constant: bool, topic: &str) -> Option<&'static Given> {
    let mut attributes = Vec::with_capacity(10);
    each(options, Some(topic), |key, value| attributes.push((key, value)));
    let given = registered(name(options, Some(topic)), attributes)?;
    let _ = KNOWN.try_with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.truncate(MOST_OF_A_THREAD - 1);
            let constant = constant.then_some(ptr::from_ref(options));
            known.insert(0, Known { constant, key: Key::of(options, topic), given });
        }
    });
    Some(given)
}

/// What many spans have in common; the same again for the same name and attributes. `None`: there is too much already.
pub(super) fn registered(
    name: Cow<'static, str>,
    attributes: Vec<(&'static str, Common)>,
) -> Option<&'static Given> {
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let content = (name, attributes);
    if let Some(given) = all.get(&content) {
        return Some(given);
    }
    if all.len() >= MOST {
        return None;
    }
    let limits = limits::current();
    let word = |value: &Common| match value {
        Common::Text(text) => Word::Text(limits.cut(leaked(text.clone()))),
        Common::Number(number) => Word::Number(*number),
    };
    let words = content.1.iter().map(|(key, value)| (*key, word(value))).collect();
    let given: &'static Given = Box::leak(Box::new(Given::new(leaked(content.0.clone()), words, WORDING)));
    all.insert(content, given);
    Some(given)
}

/// For as long as the program runs; [`MOST`] bounds how much there is of it.
fn leaked(text: Cow<'static, str>) -> &'static str {
    match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => Box::leak(text.into_boxed_str()),
    }
}

impl Key {
    fn of(options: &ProcessOptions, topic: &str) -> Self {
        let ProcessOptions { operation, template, group, client_id, server, .. } = options;
        Key {
            operation: operation.clone(),
            topic: Cow::Owned(topic.to_owned()),
            template: template.clone(),
            group: group.clone(),
            client_id: client_id.clone(),
            server: server.clone(),
        }
    }
}

impl Known {
    #[inline]
    fn is(&self, options: &ProcessOptions, constant: bool, topic: &str) -> bool {
        let is_handler = match self.constant {
            Some(known) => constant && ptr::eq(known, options),
            None => !constant && self.says(options),
        };
        is_handler && self.key.topic == topic
    }

    fn says(&self, options: &ProcessOptions) -> bool {
        self.key.operation == options.operation
            && self.key.template == options.template
            && self.key.group == options.group
            && self.key.client_id == options.client_id
            && self.key.server == options.server
    }
}

/// kafka.md S-1.
pub(super) fn name(options: &ProcessOptions, topic: Option<&str>) -> Cow<'static, str> {
    let operation = &options.operation;
    match options.template.as_deref().or(topic) {
        Some(destination) => Cow::Owned(format!("{operation} {destination}")),
        None => operation.clone(),
    }
}

/// kafka.md A-16: what samplers see, but for the partition.
pub(super) fn common(options: &ProcessOptions, topic: Option<&str>) -> Vec<KeyValue> {
    let mut given = Vec::with_capacity(10);
    each(options, topic, |key, value| {
        given.push(match value {
            Common::Text(value) => KeyValue::new(key, value),
            Common::Number(number) => KeyValue::new(key, number),
        });
    });
    given
}

/// A value of an attribute that spans have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Common {
    Text(Cow<'static, str>),
    Number(i64),
}

fn each(options: &ProcessOptions, topic: Option<&str>, mut add: impl FnMut(&'static str, Common)) {
    use attributes as key;

    add(key::SYSTEM, Common::Text("kafka".into()));
    add(key::OPERATION_NAME, Common::Text(options.operation.clone()));
    add(key::OPERATION_TYPE, Common::Text("process".into()));
    if let Some(topic) = topic {
        add(key::DESTINATION, Common::Text(Cow::Owned(topic.to_owned())));
    }
    let named = [
        (key::TEMPLATE, &options.template),
        (key::GROUP, &options.group),
        (key::CLIENT_ID, &options.client_id),
    ];
    for (key, text) in named {
        if let Some(text) = text {
            add(key, Common::Text(text.clone()));
        }
    }
    if let Some((address, port)) = &options.server {
        add(key::SERVER_ADDRESS, Common::Text(address.clone()));
        add(key::SERVER_PORT, Common::Number(i64::from(*port)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_for_a_handler_and_a_topic() {
        let of = |group, topic| given(&ProcessOptions::new().group(group), None, topic).unwrap();
        let first = of("a", "orders");
        assert_eq!(first.name(), "process orders");
        assert!(ptr::eq(first, of("a", "orders")));
        for other in [of("b", "orders"), of("a", "invoices")] {
            assert!(!ptr::eq(first, other));
        }
        assert!(ptr::eq(first, of("a", "orders")), "the others did not push it out");
        let elsewhere = std::thread::spawn(|| {
            let options = ProcessOptions::new().group("a");
            ptr::from_ref(given(&options, None, "orders").unwrap()) as usize
        });
        assert_eq!(elsewhere.join().unwrap(), ptr::from_ref(first) as usize, "threads share it");
    }

    #[test]
    fn constant_options_are_known_by_their_place() {
        static FIRST: First = First::new();
        let options = ProcessOptions::new().group("constant");
        let of = |topic| given(&options, Some(&FIRST), topic).unwrap();
        let first = of("orders");
        assert!(ptr::eq(first, of("orders")));
        assert!(ptr::eq(first, given(&options.clone(), None, "orders").unwrap()));
        let second = of("invoices");
        assert!(!ptr::eq(first, second));
        assert!(ptr::eq(first, of("orders")) && ptr::eq(second, of("invoices")), "both stay known");
    }

    // The bound is of the process, and other tests in it need room: so one handler has one topic over and over here.
    #[test]
    fn a_thread_forgets_what_it_has_not_seen_for_long() {
        for round in 0..3 {
            for number in 0..MOST_OF_A_THREAD + 10 {
                let topic = format!("orders-{number}");
                let given = given(&ProcessOptions::new(), None, &topic).unwrap();
                assert_eq!(given.name(), format!("process {topic}"), "round {round}");
            }
            KNOWN.with_borrow(|known| assert_eq!(known.len(), MOST_OF_A_THREAD));
        }
    }
}
