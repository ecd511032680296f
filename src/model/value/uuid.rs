//! UUIDs in their many spellings, written in the one of RFC 9562.

use uuid::{Uuid, fmt::Hyphenated};

use super::ValueError;

/// Reads a UUID from trimmed text and writes it behind `out` in lower case with hyphens. Capital letters, braces, a
/// leading `urn:uuid:` and a form without hyphens are accepted.
///
/// # Errors
/// The text is no UUID; then nothing is written.
pub fn parse_uuid(text: &str, out: &mut String) -> Result<(), ValueError> {
    let id = Uuid::try_parse(text)
        .map_err(|_| ValueError("is not a UUID like 0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b".into()))?;
    out.push_str(id.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_becomes_the_one() {
        for text in [
            "0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b",
            "0197F6A2-5E1C-7D3A-9B44-1C2D3E4F5A6B",
            "{0197F6A2-5E1C-7D3A-9B44-1C2D3E4F5A6B}",
            "0197f6a25e1c7d3a9b441c2d3e4f5a6b",
            "urn:uuid:0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b",
        ] {
            let mut out = String::from("=");
            assert_eq!(parse_uuid(text, &mut out), Ok(()), "{text}");
            assert_eq!(out, "=0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b");
        }
    }

    #[test]
    fn what_is_no_uuid_writes_nothing() {
        for text in [
            "",
            "0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6",
            "0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6g",
            "0197f6a25-e1c-7d3a-9b44-1c2d3e4f5a6b",
            "{0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b",
            "0197f6a2 5e1c 7d3a 9b44 1c2d3e4f5a6b",
        ] {
            let mut out = String::new();
            assert!(parse_uuid(text, &mut out).is_err(), "{text}");
            assert_eq!(out, "");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let _ = parse_uuid(&text, &mut String::new());
        }
    }
}
