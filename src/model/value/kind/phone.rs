//! Telephone numbers that can be called from anywhere.

use super::{Checked, ensure};

/// A number with its country code (ITU-T E.164): a plus, at most 15 digits, and the marks people put between them.
///
/// National numbers are refused: without the country they are not one number but many.
pub(super) fn phone(text: &str) -> Checked {
    ensure(
        text.strip_prefix('+').is_some_and(is_international),
        "is not a telephone number with its country code, like +44 20 7946 0958",
    )
}

fn is_international(number: &str) -> bool {
    let mut digits = 0;
    let mut after_digit = false;
    let mut parentheses = None;
    for c in number.chars() {
        let is_in_place = match c {
            '0'..='9' => {
                digits += 1;
                digits > 1 || c != '0'
            }
            // Area codes and the trunk zero that is left out from abroad: +49 (0)30 123456.
            '(' if parentheses.is_none() => {
                parentheses = Some(true);
                digits > 0
            }
            ')' if parentheses == Some(true) => {
                parentheses = Some(false);
                after_digit
            }
            ' ' | '\u{a0}' | '-' | '.' | '/' => after_digit,
            _ => false,
        };
        if !is_in_place {
            return false;
        }
        // One space may follow the closing parenthesis.
        after_digit = c.is_ascii_digit() || c == ')';
    }
    // Shorter ones are services that cannot be called from abroad.
    (7..=15).contains(&digits) && after_digit && parentheses != Some(true) && !number.ends_with(')')
}

#[cfg(test)]
mod tests {
    use super::phone;

    #[test]
    fn numbers_with_a_country_code_pass() {
        for text in [
            "+442079460958",
            "+44 20 7946 0958",
            "+49 (0)30 123456",
            "+49 (30) 123456",
            "+1-202-555-0143",
            "+33.1.23.45.67.89",
            "+43 1/5880-0",
            "+2904567",
            "+123456789012345",
        ] {
            assert_eq!(phone(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "+",
            "030 123456",
            "0044 20 7946 0958",
            "+0 20 7946 0958",
            "+44 20  7946 0958",
            "+44 20 7946 0958 ",
            "+44 20 7946 0958-",
            "+ 44 20 7946 0958",
            "+44 (20 7946 0958",
            "+44 20) 7946 0958",
            "+44 () 7946 0958",
            "+44 (20) (7946) 0958",
            "+44 20 7946 (0958)",
            "+(44) 20 7946 0958",
            "+123456",
            "+1234567890123456",
            "+44 20 7946 0958 ext. 2",
            "+44 20 CALL NOW",
            "+４４2079460958",
        ] {
            assert!(phone(text).is_err(), "{text}");
        }
    }
}
