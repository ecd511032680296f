//! Numbers as spreadsheets read and show them: exact, with the digits that are shown.

/// A number of at most so many characters; no spreadsheet shows a longer one.
const MOST_CHARACTERS: usize = 64;

/// So many digits a spreadsheet keeps; the others become zeros.
const KEPT_DIGITS: usize = 15;

/// With fewer digits than this, a number that was cut to fit its cell is not told from another number.
const FEWEST_CUT_DIGITS: usize = 9;

/// A number that is not zero is 0.DIGITS times ten to the power of `exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    negative: bool,
    /// Without zeros at either end.
    digits: String,
    exponent: i32,
}

/// A number as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its value.
    pub number: Number,
    /// Digits written, leading zeros not counted.
    significant: usize,
    /// With an exponent.
    scientific: bool,
    /// With a percent sign.
    percent: bool,
}

/// Reads a number with this decimal mark; `is_group` tells group marks, between groups of three digits.
pub fn read(text: &str, decimal: char, is_group: fn(char) -> bool) -> Option<Shown> {
    if text.len() > MOST_CHARACTERS {
        return None;
    }
    let (text, percent) = match text.strip_suffix('%') {
        Some(rest) => (rest.trim_end(), true),
        None => (text, false),
    };
    let (negative, text) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest),
        None => match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        },
    };
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, Some(whole_power(power)?)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once(decimal) {
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let whole = ungrouped(whole, is_group)?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(&whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0').len();
    let leading = all.len() - significant;
    let exponent = i32::try_from(whole.len()).ok()? - i32::try_from(leading).ok()? + power.unwrap_or(0);
    let digits = all.trim_matches('0').to_owned();
    let number = if digits.is_empty() {
        Number { negative: false, digits, exponent: 0 }
    } else {
        Number { negative, digits, exponent }
    };
    Some(Shown { number, significant, scientific: power.is_some(), percent })
}

fn whole_power(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plausible = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plausible { text.strip_prefix('+').unwrap_or(text).parse().ok() } else { None }
}

/// The digits without their group marks; none when these do not stand between groups of three.
fn ungrouped(whole: &str, is_group: fn(char) -> bool) -> Option<String> {
    if !whole.contains(is_group) {
        return Some(whole.to_owned());
    }
    let groups: Vec<&str> = whole.split(is_group).collect();
    let well_placed = groups.iter().enumerate().all(|(at, group)| match at {
        0 => (1..=3).contains(&group.len()),
        _ => group.len() == 3,
    });
    well_placed.then(|| groups.concat())
}

impl Shown {
    /// True when a spreadsheet that read `original` may show this: the same number, or as much of it as fits a cell.
    #[must_use]
    pub fn shows(&self, original: &Self) -> bool {
        let (shown, number) = (&self.number, &original.number);
        if self.percent != original.percent {
            return false;
        }
        if shown == number {
            return true;
        }
        if shown.negative != number.negative || number.digits.is_empty() {
            return false;
        }
        let cut = if self.scientific {
            self.significant
        } else if self.significant >= FEWEST_CUT_DIGITS && number.digits.len() > FEWEST_CUT_DIGITS {
            // Zeros at its end may be digits that were not kept.
            self.significant.min(KEPT_DIGITS)
        } else {
            return false;
        };
        rounded(number, cut) == *shown || truncated(number, cut) == *shown
    }
}

fn truncated(number: &Number, digits: usize) -> Number {
    let kept = number.digits.get(..digits).unwrap_or(&number.digits);
    Number { digits: kept.trim_end_matches('0').to_owned(), ..number.clone() }
}

fn rounded(number: &Number, digits: usize) -> Number {
    let up = number.digits.as_bytes().get(digits).is_some_and(|digit| *digit >= b'5');
    let mut kept = truncated(number, digits);
    if !up {
        return kept;
    }
    let mut bytes = number.digits.as_bytes().get(..digits).unwrap_or_default().to_vec();
    for digit in bytes.iter_mut().rev() {
        if *digit == b'9' {
            *digit = b'0';
        } else {
            *digit += 1;
            kept.digits = String::from_utf8_lossy(&bytes).trim_end_matches('0').to_owned();
            return kept;
        }
    }
    // Nines all the way: 9.99 becomes 10.
    Number { digits: "1".to_owned(), exponent: kept.exponent.saturating_add(1), ..kept }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(text: &str) -> Option<Shown> {
        read(text, '.', |c| c == ',')
    }

    fn comma(text: &str) -> Option<Shown> {
        read(text, ',', |c| c == '.')
    }

    #[test]
    fn what_a_spreadsheet_shows_of_a_number_is_that_number() {
        for (original, shown) in [
            ("00123", "123"),
            ("+5", "5"),
            (".5", "0,5"),
            ("1.10", "1,1"),
            ("-0.0", "0"),
            ("1,234.50", "1.234,50"),
            ("1,234.50", "1234,5"),
            ("(5)", "-5"),
            ("1234567890123456", "1,23457E+15"),
            ("1234567890123456", "1234567890123450"),
            ("0.00001234", "1,234E-05"),
            ("1E5", "1,00E+05"),
            ("9999999999999999", "1E+16"),
            ("12345678.123456789", "12345678,12"),
            ("12.50%", "12,5%"),
        ] {
            assert!(comma(shown).unwrap().shows(&point(original).unwrap()), "{original} {shown}");
        }
    }

    #[test]
    fn another_number_is_another() {
        for (original, shown) in [
            ("123", "124"),
            ("1.10", "1,11"),
            ("5", "-5"),
            ("12.5", "12,5%"),
            ("1234567890123456", "1,23458E+15"),
            ("12345678", "1234567"),
            ("123.45", "123,4"),
            ("0", "1"),
            ("1", "0"),
        ] {
            assert!(!comma(shown).unwrap().shows(&point(original).unwrap()), "{original} {shown}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in
            ["", "-", ".", ",", "1,23", "1.2.3", "12a", "1e", "1e9999", "e5", "()", "%", "1,,000", "--1"]
        {
            assert_eq!(point(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[-+(]?[0-9.,' ]{0,30}([eE][-+]?[0-9]{0,4})?[)%]?", other in "[0-9.]{0,30}") {
            if let (Some(one), Some(two)) = (point(&text), comma(&other)) {
                let _ = (one.shows(&two), two.shows(&one));
            }
        }
    }
}
