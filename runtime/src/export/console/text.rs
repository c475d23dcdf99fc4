//! Durations, values and untrusted text as they look on a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

/// Three significant digits and the unit that fits: `842 µs`, `12.3 ms`, `1.24 s`, `2 min 5 s`.
pub(super) fn duration(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        m if m < 999.5 => format!("{m:.0} µs"),
        m if m < 9_995.0 => format!("{:.2} ms", m / 1e3),
        m if m < 99_950.0 => format!("{:.1} ms", m / 1e3),
        m if m < 999_500.0 => format!("{:.0} ms", m / 1e3),
        m if m < 9_995_000.0 => format!("{:.2} s", m / 1e6),
        m if m < 59_950_000.0 => format!("{:.1} s", m / 1e6),
        _ => {
            let seconds = duration.as_secs();
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

/// The text without control characters, which could move the cursor or recolour the terminal, cut to `most`
/// characters.
pub(super) fn shown(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(most));
    for (n, c) in text.chars().enumerate() {
        if n == most {
            out.push('…');
            break;
        }
        if is_unsafe(c) {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Control characters, and the marks that turn the direction of the text around them.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that the text takes, one per character: names are rarely anything else.
pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits() {
        let shown = |micros: u64| duration(Duration::from_micros(micros));
        assert_eq!(shown(0), "0 µs");
        assert_eq!(shown(842), "842 µs");
        assert_eq!(shown(1_500), "1.50 ms");
        assert_eq!(shown(12_345), "12.3 ms");
        assert_eq!(shown(128_400), "128 ms");
        assert_eq!(shown(999_900), "1.00 s");
        assert_eq!(shown(1_240_000), "1.24 s");
        assert_eq!(shown(125_000_000), "2 min 5 s");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(shown("a\u{1b}[31mb\nc\u{202e}", 80), "a\\u{1b}[31mb\\nc\\u{202e}");
        assert_eq!(shown("plain text", 80), "plain text");
        assert_eq!(shown("äöüß", 3), "äöü…");
    }
}
