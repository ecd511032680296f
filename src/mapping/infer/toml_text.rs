//! Texts and numbers as a draft writes them.

use crate::model::printable;

/// A text as TOML writes it.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if printable::is_plain(c) && (!c.is_whitespace() || c == ' ') => out.push(c),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// Texts as a TOML list.
#[must_use]
pub fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_toml_reads_them() {
        for text in ["a\"b\\c\n\t", "\u{202e}x\u{1f}", "Größe\u{a0}€", "\u{e0041}"] {
            let document =
                crate::mapping::document::Document::parse("x", &format!("x = {}", quoted(text))).unwrap().0;
            let node = document.find(&["x".into()]).unwrap();
            assert!(matches!(&node.value, crate::mapping::document::Value::Text(read) if read == text));
        }
    }
}
