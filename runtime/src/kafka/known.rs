//! Name and attributes that the process spans of one handler have in common for a partition: made once per thread.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use opentelemetry::{KeyValue, StringValue, Value};

use super::attributes;
use super::options::ProcessOptions;
use crate::span::given::Given;

/// Kept per thread: handlers times partitions. What is above it is made again each time.
const MOST: usize = 64;

/// What all of it depends on, and it.
struct Known {
    operation: Cow<'static, str>,
    topic: String,
    template: Option<Cow<'static, str>>,
    group: Option<Cow<'static, str>>,
    client_id: Option<Cow<'static, str>>,
    server: Option<(Cow<'static, str>, u16)>,
    partition: i32,
    given: Arc<Given>,
}

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// Name and attributes of the process span of a message of this partition (kafka.md S-1, A-16).
pub(super) fn given(options: &ProcessOptions, topic: &str, partition: i32) -> Arc<Given> {
    let found = KNOWN.try_with(|known| {
        let mut known = known.try_borrow_mut().ok()?;
        let at = known.iter().position(|known| known.is(options, topic, partition))?;
        if at > 0 {
            // Records come by partition: what was found now is what is looked for next.
            known.swap(0, at);
        }
        known.first().map(|known| Arc::clone(&known.given))
    });
    match found {
        Ok(Some(given)) => given,
        _ => learn(options, topic, partition),
    }
}

#[cold]
fn learn(options: &ProcessOptions, topic: &str, partition: i32) -> Arc<Given> {
    let ProcessOptions { operation, template, group, client_id, server, .. } = options;
    let mut all = common(options, Some(topic));
    all.extend(attributes::partition(partition));
    let destination = template.as_deref().unwrap_or(topic);
    let all = all.into_iter().map(|attribute| KeyValue::new(attribute.key, shared(attribute.value)));
    let given = Arc::new(Given::new(format!("{operation} {destination}"), all.collect()));
    let known = Known {
        operation: operation.clone(),
        topic: topic.to_owned(),
        template: template.clone(),
        group: group.clone(),
        client_id: client_id.clone(),
        server: server.clone(),
        partition,
        given: Arc::clone(&given),
    };
    let _ = KNOWN.try_with(|all| {
        if let Ok(mut all) = all.try_borrow_mut() {
            all.truncate(MOST - 1);
            all.insert(0, known);
        }
    });
    given
}

/// A value whose copies share its text.
fn shared(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(StringValue::from(Arc::<str>::from(text.as_str()))),
        other => other,
    }
}

impl Known {
    fn is(&self, options: &ProcessOptions, topic: &str, partition: i32) -> bool {
        self.partition == partition
            && self.topic == topic
            && self.operation == options.operation
            && self.template == options.template
            && self.group == options.group
            && self.client_id == options.client_id
            && self.server == options.server
    }
}

/// kafka.md A-16: what samplers see.
pub(super) fn common(options: &ProcessOptions, topic: Option<&str>) -> Vec<KeyValue> {
    let mut given = Vec::with_capacity(10);
    given.extend(attributes::operation(options.operation.clone(), "process"));
    given.extend(topic.map(|topic| KeyValue::new(attributes::DESTINATION, topic.to_owned())));
    let named = |value: &Option<Cow<'static, str>>, key| value.clone().map(|value| KeyValue::new(key, value));
    given.extend(named(&options.template, attributes::TEMPLATE));
    given.extend(named(&options.group, attributes::GROUP));
    given.extend(named(&options.client_id, attributes::CLIENT_ID));
    if let Some((address, port)) = &options.server {
        given.push(KeyValue::new(attributes::SERVER_ADDRESS, address.clone()));
        given.push(KeyValue::new(attributes::SERVER_PORT, i64::from(*port)));
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_for_a_handler_and_a_partition() {
        let of = |group, topic, partition| given(&ProcessOptions::new().group(group), topic, partition);
        let first = of("a", "orders", 1);
        assert_eq!(first.name(), "process orders");
        assert!(Arc::ptr_eq(&first, &of("a", "orders", 1)));
        for other in [of("b", "orders", 1), of("a", "invoices", 1), of("a", "orders", 2)] {
            assert!(!Arc::ptr_eq(&first, &other));
        }
        assert!(Arc::ptr_eq(&first, &of("a", "orders", 1)), "the others did not push it out");
    }

    #[test]
    fn a_handler_with_a_topic_for_each_message_keeps_no_more_than_the_bound() {
        for number in 0..1_000 {
            let topic = format!("orders-{number}");
            assert_eq!(given(&ProcessOptions::new(), &topic, 0).name(), format!("process {topic}"));
        }
        KNOWN.with_borrow(|known| assert_eq!(known.len(), MOST));
    }
}
