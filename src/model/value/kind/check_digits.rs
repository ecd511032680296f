//! Check digits: the sums that tell a mistyped number from a good one.

use super::{Checked, ensure};

const LETTER_A: u32 = 10;

/// The value of a character of `0`-`9` and `A`-`Z`, as ISO 7064 and ISO 6166 count them: A is 10, Z is 35.
fn value(byte: u8) -> u32 {
    match byte {
        b'A'..=b'Z' => u32::from(byte - b'A') + LETTER_A,
        _ => u32::from(byte.wrapping_sub(b'0')) % 10,
    }
}

/// The remainder by 97 of the number that digits and capital letters stand for (ISO 7064, MOD 97-10).
pub(super) fn remainder_97(characters: impl Iterator<Item = u8>) -> u32 {
    characters.fold(0, |remainder, byte| {
        let value = value(byte);
        (remainder * if value < LETTER_A { 10 } else { 100 } + value) % 97
    })
}

/// Whether digits, and capital letters that stand for two digits each, have a sum that the last one makes a multiple
/// of ten when every other one from the right counts double (ISO/IEC 7812-1, annex B).
pub(super) fn has_luhn_digit(characters: &[u8]) -> bool {
    let digits = characters.iter().rev().flat_map(|byte| {
        let value = value(*byte);
        std::iter::once(value % 10).chain((value >= LETTER_A).then_some(value / 10))
    });
    let sum: u32 = digits
        .zip([1, 2].into_iter().cycle())
        .map(|(digit, weight)| match digit * weight {
            product @ 0..=9 => product,
            product => product - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Digits, the last of them a Luhn digit.
pub(super) fn luhn(text: &str) -> Checked {
    let digits = text.as_bytes();
    ensure(
        digits.len() >= 2 && digits.iter().all(u8::is_ascii_digit),
        "is not a number of at least 2 digits",
    )?;
    ensure(has_luhn_digit(digits), "has a wrong check digit, so that a digit is wrong or two are swapped")
}

/// A GTIN: 8 (EAN-8), 12 (UPC-A), 13 (EAN-13) or 14 digits. From the right, digits count once and three times by
/// turns, and the sum is a multiple of ten (GS1 General Specifications, 7.9).
pub(super) fn ean(text: &str) -> Checked {
    let digits = text.as_bytes();
    let is_form = matches!(digits.len(), 8 | 12 | 13 | 14) && digits.iter().all(u8::is_ascii_digit);
    ensure(is_form, "is not an EAN of 8, 12, 13 or 14 digits")?;
    let weights = [1, 3].into_iter().cycle();
    let sum: u32 = digits.iter().rev().zip(weights).map(|(digit, weight)| value(*digit) * weight).sum();
    ensure(sum.is_multiple_of(10), "has a wrong check digit, so that a digit is wrong or two are swapped")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_numbers_pass_and_a_wrong_digit_is_found() {
        for (check, good) in [
            (ean as fn(&str) -> Checked, "4006381333931"),
            (ean, "73513537"),
            (ean, "036000291452"),
            (ean, "10012345678902"),
            (luhn, "4111111111111111"),
            (luhn, "378282246310005"),
            (luhn, "79927398713"),
            (luhn, "18"),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
            for (index, digit) in good.char_indices() {
                let other =
                    char::from_digit((digit.to_digit(10).expect("a digit") + 1) % 10, 10).expect("a digit");
                let mut wrong = good.to_owned();
                wrong.replace_range(index..=index, &other.to_string());
                assert!(check(&wrong).is_err_and(|message| message.contains("check digit")), "{wrong}");
            }
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "400638133393",
            "4006381333931 ",
            "40063813339a1",
            "400-6381333931",
            "0",
            "４００６３８１３３３９３１",
        ] {
            assert!(ean(text).is_err(), "{text}");
        }
        for text in ["0", "4111 1111 1111 1111", "41111111-1111", ""] {
            assert!(luhn(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn one_of_ten_last_digits_is_right(number in "[0-9]{1,30}") {
            let right = (0..10).filter(|digit| luhn(&format!("{number}{digit}")).is_ok()).count();
            prop_assert_eq!(right, 1);
        }

        #[test]
        fn the_remainder_is_that_of_the_whole_number(number in any::<u64>()) {
            prop_assert_eq!(u64::from(remainder_97(number.to_string().bytes())), number % 97);
        }
    }
}
