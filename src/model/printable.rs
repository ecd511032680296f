//! Text from outside, made safe to show: nothing that a terminal, a log or a reader's eye would obey gets through.

/// True for a character that shows as itself and moves or hides nothing: no C0, C1, DEL, bidirectional controls,
/// zero-width or line separators.
#[must_use]
pub fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with everything that is not plain written as an escape (`\n`, `\u{1b}`).
#[must_use]
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    push(&mut shown, text);
    shown
}

/// Like [`text`], for bytes that may not be UTF-8; those that are not are written `\xff`.
#[must_use]
pub fn bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        push(&mut shown, part.valid());
        for byte in part.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// Like [`text`], cut to `width` characters with an ellipsis.
#[must_use]
pub fn short(value: &str, width: usize) -> String {
    // Each character shows as at least one: no more of them have to be looked at.
    let end = value.char_indices().nth(width + 1).map_or(value.len(), |(end, _)| end);
    let shown = text(value.get(..end).unwrap_or_default());
    if shown.chars().count() <= width {
        return shown;
    }
    let mut cut: String = shown.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A number with its thousands set apart.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn push(shown: &mut String, text: &str) {
    for c in text.chars() {
        if is_plain(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
}

/// A moment in UTC, to the second.
#[must_use]
pub fn moment(unix_millis: u64) -> String {
    let millis = i64::try_from(unix_millis).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| unix_millis.to_string(), |moment| moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(text("a\u{1b}[31mb\nc\u{202e}d\u{9b}"), r"a\u{1b}[31mb\nc\u{202e}d\u{9b}");
        assert_eq!(bytes(b"ok\xff\x00"), r"ok\xff\u{0}");
        assert_eq!(text("Müller, 東京 €"), "Müller, 東京 €");
    }

    #[test]
    fn long_values_are_cut_with_an_ellipsis() {
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(short("abcd", 4), "abcd");
    }
}
