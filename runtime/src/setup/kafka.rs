//! The settings of the exporter `kafka`.

use super::effective::{Resolver, Source};
use super::error::SetupError;
use super::parse;
use crate::export::kafka::{KafkaConfig, SpanKey};

const BROKERS: &str = "THROUGHLINE_KAFKA_BROKERS";
const PROPERTIES: &str = "THROUGHLINE_KAFKA_PROPERTIES";

/// Reads everything that the exporter needs to know.
///
/// # Errors
///
/// No brokers, or properties that are none: the traces would be lost.
pub(super) fn resolve(r: &mut Resolver<'_>, code: Option<&str>) -> Result<KafkaConfig, SetupError> {
    let (brokers, source) = match (r.text(BROKERS), code) {
        (Some(brokers), _) => (brokers, Source::Variable(BROKERS)),
        (None, Some(brokers)) => (brokers.to_owned(), Source::Code),
        (None, None) => {
            return Err(SetupError::Invalid {
                setting: BROKERS.to_owned(),
                value: String::new(),
                expected: "HOST:PORT, several with commas between, as the exporter `kafka` needs them"
                    .to_owned(),
            });
        }
    };
    r.push("kafka.brokers", brokers.clone(), source);
    let topic = r.setting(
        "kafka.topic",
        &[("THROUGHLINE_KAFKA_TOPIC", |text| Ok(text.to_owned()))],
        None,
        "otlp_spans".to_owned(),
        Clone::clone,
    );
    let key = r.setting(
        "kafka.key",
        &[("THROUGHLINE_KAFKA_KEY", |text| {
            parse::word(text, &[("none", SpanKey::None), ("trace_id", SpanKey::TraceId)])
        })],
        None,
        SpanKey::default(),
        |key| match key {
            SpanKey::None => "none".to_owned(),
            SpanKey::TraceId => "trace_id".to_owned(),
        },
    );
    let mut properties = Vec::new();
    if let Some(text) = r.text(PROPERTIES) {
        properties = pairs(&text).ok_or_else(|| SetupError::Invalid {
            setting: PROPERTIES.to_owned(),
            value: "REDACTED".to_owned(),
            expected: "NAME=VALUE, several with commas between, such as security.protocol=SSL".to_owned(),
        })?;
        let shown: Vec<String> = properties.iter().map(|(name, _)| format!("{name}=REDACTED")).collect();
        r.push("kafka.properties", shown.join(","), Source::Variable(PROPERTIES));
    }
    Ok(KafkaConfig { brokers, topic, key, properties })
}

/// Values are percent-decoded, so that they may hold commas.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, value) = entry.split_once('=')?;
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((name.trim().to_owned(), value.into_owned())).filter(|(name, _)| !name.is_empty())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_commas_and_equals_signs() {
        assert_eq!(
            pairs("a.b=1, c=x%2Cy=z,"),
            Some(vec![("a.b".to_owned(), "1".to_owned()), ("c".to_owned(), "x,y=z".to_owned())])
        );
        assert_eq!(pairs("a"), None);
        assert_eq!(pairs("=1"), None);
    }
}
