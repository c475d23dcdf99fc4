//! Texts that must not be too long.

/// The text, or as much of its beginning as fits into so many bytes.
pub(crate) fn at_most(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
