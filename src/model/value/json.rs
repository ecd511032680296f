//! JSON texts, checked and never changed.

use serde::de::IgnoredAny;

use super::ValueError;

/// Checks that `text` is one JSON value of any type (RFC 8259).
///
/// # Errors
/// It is not; the message says at which character reading stopped.
pub fn check_json(text: &str) -> Result<(), ValueError> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        // The library's messages name what was expected and where, never what was found.
        Err(error) => Err(ValueError(format!("is not JSON: {error}").into())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn any_json_value_passes() {
        for text in [
            "null",
            "-1.5e300",
            "123456789012345678901234567890",
            r#""text""#,
            "[]",
            r#"{"a": [1, {"b": "\u00e9"}], "a": null}"#,
        ] {
            assert_eq!(check_json(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_the_value() {
        for text in [
            "",
            "nul",
            "{'secret': 1}",
            r#"{"secret": }"#,
            "[1,]",
            "1 2",
            r#""secret"#,
            "NaN",
            "01",
            r#""\x""#,
        ] {
            let message = check_json(text).expect_err(text).to_string();
            assert!(message.starts_with("is not JSON: ") && message.contains("column"), "{text}: {message}");
            assert!(!message.contains("secret"), "{text}: {message}");
        }
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let _ = check_json(&"[".repeat(1_000_000));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(text in any::<String>()) {
            let _ = check_json(&text);
        }
    }
}
