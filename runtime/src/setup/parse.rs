//! Readers for the texts that stand in variables. Each either understands the whole text or says what it expected.

use std::time::Duration;

use percent_encoding::percent_decode_str;

/// What would have been understood, for messages: `expected ..`.
pub(crate) type Expected = String;

/// A word out of a table, without regard to case.
pub(crate) fn word<T: Copy>(text: &str, table: &[(&str, T)]) -> Result<T, Expected> {
    table
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
        .ok_or_else(|| one_of(table.iter().map(|(word, _)| *word)))
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> Expected {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// The specification's booleans: only `true` is true, and anything but `false` deserves a word.
pub(crate) fn strict_boolean(text: &str) -> Result<bool, Expected> {
    word(text, &[("true", true), ("false", false)])
}

/// The booleans of our own variables.
pub(crate) fn boolean(text: &str) -> Result<bool, Expected> {
    word(
        text,
        &[
            ("true", true),
            ("false", false),
            ("1", true),
            ("0", false),
            ("yes", true),
            ("no", false),
            ("on", true),
            ("off", false),
        ],
    )
}

/// A probability.
pub(crate) fn ratio(text: &str) -> Result<f64, Expected> {
    text.parse::<f64>()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "a number from 0 to 1".to_owned())
}

/// A count of which zero makes no sense.
pub(crate) fn count(text: &str) -> Result<usize, Expected> {
    text.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(|| "a whole number above 0".to_owned())
}

/// A limit: zero is allowed and lets nothing through.
pub(crate) fn limit(text: &str) -> Result<u32, Expected> {
    text.parse::<u32>().map_err(|_| "a whole number from 0".to_owned())
}

/// Milliseconds, as all `OTEL_*` durations are given.
pub(crate) fn milliseconds(text: &str) -> Result<Duration, Expected> {
    text.parse::<u64>()
        .ok()
        .filter(|ms| *ms > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| "a whole number of milliseconds above 0".to_owned())
}

/// A duration with its unit: `500ms`, `5s`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, Expected> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    digits
        .parse::<u64>()
        .ok()
        .and_then(|n| match unit.trim().to_ascii_lowercase().as_str() {
            "ms" => Some(Duration::from_millis(n)),
            "s" => Some(Duration::from_secs(n)),
            "m" | "min" => n.checked_mul(60).map(Duration::from_secs),
            _ => None,
        })
        .ok_or_else(|| "a duration with its unit, such as `500ms`, `5s` or `1m`".to_owned())
}

/// How long spans are kept: `30d`, `12h`, `off`.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn retention(text: &str) -> Result<Option<Duration>, Expected> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let hours = match unit.trim().to_ascii_lowercase().as_str() {
        "h" => Some(1),
        "d" => Some(24),
        "w" => Some(7 * 24),
        _ => None,
    };
    let seconds = digits.parse::<u64>().ok().zip(hours).and_then(|(n, hours)| n.checked_mul(hours * 3_600));
    seconds
        // A hundred years: beyond that it is a slip of the finger.
        .filter(|seconds| (1..=100 * 366 * 86_400).contains(seconds))
        .map(|seconds| Some(Duration::from_secs(seconds)))
        .ok_or_else(|| "a duration such as `30d`, `12h` or `4w`, or `off`".to_owned())
}

/// What one chunk of records needs; a smaller queue could not hold a single one.
pub(crate) const LEAST_QUEUE_BYTES: usize = 64 << 10;

/// A size in bytes: `1048576`, `64KiB`, `16MiB`, `1GiB`.
pub(crate) fn bytes(text: &str) -> Result<usize, Expected> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" | "kib" => Some(10),
        "m" | "mib" => Some(20),
        "g" | "gib" => Some(30),
        _ => None,
    };
    digits
        .parse::<usize>()
        .ok()
        .zip(shift)
        .and_then(|(n, shift)| n.checked_mul(1 << shift))
        .filter(|n| *n >= LEAST_QUEUE_BYTES)
        .ok_or_else(|| "a size of at least 64KiB, such as `16MiB`".to_owned())
}

/// `key=value,key=value` with percent-encoded keys and values: `OTEL_RESOURCE_ATTRIBUTES`.
///
/// # Errors
///
/// By the specification one mistake discards the whole text; the message says where it is.
pub(crate) fn resource_attributes(text: &str) -> Result<Vec<(String, String)>, Expected> {
    entries(text)
        .map(|(number, entry)| {
            let (key, value) =
                entry.split_once('=').ok_or_else(|| format!("`key=value` in entry {number}"))?;
            let key = decoded(key.trim()).filter(|key| !key.is_empty());
            let value = decoded(value.trim());
            key.zip(value).ok_or_else(|| format!("a key and percent-encoded UTF-8 in entry {number}"))
        })
        .collect()
}

/// The entries that `text` has, with their number from 1; a comma at the end makes none.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(',')
        .enumerate()
        .map(|(index, entry)| (index + 1, entry.trim()))
        .filter(|(_, entry)| !entry.is_empty())
}

/// `None` for a broken percent sign or bytes that are no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let whole = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !whole {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Headers of `OTEL_EXPORTER_OTLP_HEADERS`, and what is wrong with those that are left out.
///
/// Messages count entries and never quote them: a value is a secret until proven otherwise.
pub(crate) fn headers(text: &str) -> (Vec<(String, String)>, Vec<String>) {
    let mut good = Vec::new();
    let mut problems = Vec::new();
    for (number, entry) in entries(text) {
        match header(entry) {
            Ok(header) => good.push(header),
            Err(expected) => problems.push(format!("entry {number} is left out; expected {expected}")),
        }
    }
    (good, problems)
}

fn header(entry: &str) -> Result<(String, String), &'static str> {
    let (name, value) = entry.split_once('=').ok_or("`name=value`")?;
    let name = name.trim();
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err("a header name before `=`");
    }
    let value = decoded(value.trim()).ok_or("a percent-encoded value after `=`")?;
    if value.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("a value without control characters");
    }
    Ok((name.to_ascii_lowercase(), value))
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_ignore_case_and_list_what_is_known() {
        assert_eq!(word("GRPC", &[("grpc", 1), ("http/protobuf", 2)]), Ok(1));
        assert_eq!(
            word("http", &[("grpc", 1), ("http/protobuf", 2)]),
            Err("`grpc` or `http/protobuf`".to_owned())
        );
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(one_of(["a"]), "`a`");
    }

    #[test]
    fn specification_booleans_know_two_words() {
        assert_eq!(strict_boolean("True"), Ok(true));
        assert!(strict_boolean("1").is_err());
        assert_eq!(boolean("off"), Ok(false));
        assert_eq!(boolean("YES"), Ok(true));
        assert!(boolean("maybe").is_err());
    }

    #[test]
    fn ratios_lie_between_zero_and_one() {
        assert_eq!(ratio("0.1"), Ok(0.1));
        assert_eq!(ratio("1"), Ok(1.0));
        for wrong in ["1.5", "-0.1", "NaN", "inf", "10%", "x"] {
            assert!(ratio(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn zero_and_negative_counts_are_refused() {
        for wrong in ["0", "-1", "1.5", "99999999999999999999999", "many"] {
            assert!(count(wrong).is_err(), "{wrong}");
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(limit("0"), Ok(0));
        assert!(limit("-1").is_err());
    }

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5 s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        for wrong in ["5", "s", "5h", "-5s", "99999999999999999999s", "18446744073709551615m", "5é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn retention_is_hours_days_or_weeks() {
        assert_eq!(retention("30d"), Ok(Some(Duration::from_secs(30 * 86_400))));
        assert_eq!(retention("12 H"), Ok(Some(Duration::from_secs(12 * 3_600))));
        assert_eq!(retention("Off"), Ok(None));
        for wrong in ["0d", "30", "d", "-1d", "5s", "99999999999999999999d", "18446744073709551615w"] {
            assert!(retention(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(bytes("65536"), Ok(65_536));
        assert_eq!(bytes("16MiB"), Ok(16 << 20));
        assert_eq!(bytes("1 g"), Ok(1 << 30));
        for wrong in ["1", "64", "16MB", "MiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn resource_attributes_are_percent_decoded() {
        assert_eq!(
            resource_attributes("team=planning%2Cinfra, service.version = 1.2 ,note=%C3%A4,"),
            Ok(vec![
                ("team".to_owned(), "planning,infra".to_owned()),
                ("service.version".to_owned(), "1.2".to_owned()),
                ("note".to_owned(), "ä".to_owned()),
            ])
        );
    }

    #[test]
    fn one_mistake_discards_all_resource_attributes() {
        for wrong in ["a=1,b", "=1", "a=%zz", "a=%F", "a=%ff"] {
            assert!(resource_attributes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(resource_attributes("a=1,b"), Err("`key=value` in entry 2".to_owned()));
    }

    #[test]
    fn bad_headers_are_left_out_and_never_quoted() {
        let (good, problems) =
            headers("Authorization=Basic%20c2VjcmV0,tokenwithoutname,x-org=a=b,bad name=1,n=%0a");
        assert_eq!(
            good,
            [
                ("authorization".to_owned(), "Basic c2VjcmV0".to_owned()),
                ("x-org".to_owned(), "a=b".to_owned())
            ]
        );
        assert_eq!(problems.len(), 3);
        assert!(problems.iter().all(|problem| !problem.contains("tokenwithoutname")), "{problems:?}");
    }
}
