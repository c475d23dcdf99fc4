//! Durations as Go writes them: `1.5s`, `2h45m`, `300µs`.

/// Nanoseconds; `None` for what is none, or is more than an `i64` holds. Only `0` needs no unit.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (number, after) = split(rest, |sign| sign.is_ascii_digit() || sign == '.');
        let (unit, after) = split(after, |sign| !sign.is_ascii_digit() && sign != '.');
        total = total.checked_add(part(number, unit_ns(unit)?)?)?;
        rest = after;
    }
    Some(if is_negative { -total } else { total })
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|sign| !belongs(sign)).unwrap_or(text.len()))
}

fn unit_ns(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter look alike.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn part(number: &str, unit_ns: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let mut total = match whole {
        "" => 0,
        whole => whole.parse::<i64>().ok()?.checked_mul(unit_ns)?,
    };
    // Digit by digit, so that 0.1 is a tenth; what is below a nanosecond is cut off.
    let mut digit_ns = i128::from(unit_ns);
    let mut scale = 1_i128;
    let mut below = 0_i128;
    for digit in fraction.bytes().take(18) {
        scale *= 10;
        below = below * 10 + i128::from(digit.wrapping_sub(b'0'));
    }
    digit_ns *= below;
    total = total.checked_add(i64::try_from(digit_ns / scale).ok()?)?;
    Some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    #[test]
    fn durations_of_go_are_read() {
        for (text, ns) in [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1h15m30.918s", 4_530_918_000_000),
            ("100ns", 100),
            ("3us", 3_000),
            ("3\u{b5}s", 3_000),
            ("3\u{3bc}s", 3_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("0.1ms", 100_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("+1ms", 1_000_000),
            ("-1.5ms", -1_500_000),
            ("9223372036854775807ns", i64::MAX),
            ("1s1s", 2_000_000_000),
            ("0.9ns", 0),
        ] {
            assert_eq!(parse(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "",
            "3",
            "-",
            "+",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "1 s",
            " 1s",
            "1.2.3s",
            "1S",
            "1e3s",
            "9223372036854775808ns",
            "9223372036854775.808s1ns2h",
            "99999999999999999999999h",
            "1h-1m",
            "½s",
            "1s½",
            "\u{b5}s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_too_odd_to_be_refused(text in r"[-+]?([0-9.]{0,22}(ns|us|µs|ms|s|m|h|x|)){0,4}") {
            let _ = parse(&text);
        }

        #[test]
        fn sum_of_parts_is_the_whole(h in 0_i64..1_000, m in 0_i64..60, s in 0_i64..60, ms in 0_i64..1_000) {
            let ns = ((h * 60 + m) * 60 + s) * 1_000_000_000 + ms * 1_000_000;
            prop_assert_eq!(parse(&format!("{h}h{m}m{s}.{ms:03}s")), Some(ns));
            prop_assert_eq!(parse(&format!("-{h}h{m}m{s}s{ms}ms")), Some(-ns));
        }
    }
}
