//! Numbers as the systems of many countries write them, read exactly.
//!
//! A [`NumberFormat`] is compiled once a column. A plain text (`-1234.56` with the column's own decimal mark) takes
//! one loop over its bytes; currency, group marks and other ways to write a negative take a second, slower road that
//! allocates nothing either. What is not surely one number is an error: a group mark in the wrong place is never
//! skipped, and a digit that does not fit is never rounded away.

mod format;
mod parts;
mod plain;
mod text;

use self::{
    parts::{Fault, Parts},
    plain::Scanned,
};
use super::ValueError;

pub use self::{
    format::{Negative, NumberFormat},
    text::decimal_text,
};

impl NumberFormat {
    /// Reads a whole number from trimmed text.
    ///
    /// # Errors
    /// The text is no whole number of this format, has a decimal mark, or does not fit in 64 bits.
    #[inline]
    pub fn integer(&self, text: &str) -> Result<i64, ValueError> {
        match plain::integer(text.as_bytes()).or_else(|| self.scan(text).and_then(Scanned::integer)) {
            Some(value) => Ok(value),
            None => self.integer_of_parts(text),
        }
    }

    /// Reads an exact number from trimmed text, in units of its last digit: `1234.5` with a scale of 2 is 123450.
    ///
    /// `precision` is the digits in all (1 to 38), `scale` those after the decimal mark (at most `precision`). Zeros
    /// at either end do not count.
    ///
    /// # Errors
    /// The text is no number of this format, or has more digits before or after the decimal mark than declared.
    #[inline]
    pub fn decimal(&self, text: &str, precision: u8, scale: u8) -> Result<i128, ValueError> {
        match self.scan(text).and_then(|number| number.decimal(precision, scale)) {
            Some(value) => Ok(value),
            None => self.decimal_of_parts(text, precision, scale),
        }
    }

    /// Reads a double from trimmed text; an exponent (`1.5e-3`) is accepted.
    ///
    /// # Errors
    /// The text is no number of this format (words such as `NaN` never are), or is too large for a double.
    #[inline]
    pub fn float(&self, text: &str) -> Result<f64, ValueError> {
        let value = match self
            .scan(text)
            .and_then(Scanned::float)
            .or_else(|| plain::float(text, self.decimal_byte))
        {
            Some(value) => value,
            None => self.float_of_parts(text)?,
        };
        if value.is_infinite() {
            return Err(ValueError("is too large".into()));
        }
        Ok(value + 0.0) // -0.0 becomes 0.0, so that equal values are equal bit for bit
    }

    #[inline]
    fn scan(&self, text: &str) -> Option<Scanned> {
        plain::scan(text.as_bytes(), self.decimal_byte, self.group_byte)
    }

    fn integer_of_parts(&self, text: &str) -> Result<i64, ValueError> {
        let parts = Parts::of(self, text).map_err(|fault| match fault {
            Fault::NotANumber => {
                ValueError(format!("is not a whole number like {}", self.whole_example()).into())
            }
            Fault::Grouping => self.badly_grouped(),
        })?;
        if !parts.fraction.is_empty() {
            return Err(ValueError("has digits after the decimal mark, but must be a whole number".into()));
        }
        parts.integer().ok_or_else(|| {
            ValueError(format!("is out of range: whole numbers go from {} to {}", i64::MIN, i64::MAX).into())
        })
    }

    fn decimal_of_parts(&self, text: &str, precision: u8, scale: u8) -> Result<i128, ValueError> {
        let parts = Parts::of(self, text).map_err(|fault| match fault {
            Fault::NotANumber => self.not_a_number(),
            Fault::Grouping => self.badly_grouped(),
        })?;
        let precision = precision.min(plain::MAX_PRECISION);
        let scale = scale.min(precision);
        if parts.fraction.bytes().skip(scale.into()).any(|digit| digit != b'0') {
            return Err(too_many_digits(scale, "after"));
        }
        parts.decimal(precision, scale).ok_or_else(|| too_many_digits(precision - scale, "before"))
    }

    fn float_of_parts(&self, text: &str) -> Result<f64, ValueError> {
        Parts::of_float(self, text).and_then(|parts| parts.float()).map_err(|fault| match fault {
            Fault::NotANumber => self.not_a_number(),
            Fault::Grouping => self.badly_grouped(),
        })
    }

    fn not_a_number(&self) -> ValueError {
        ValueError(format!("is not a number like {}", self.example()).into())
    }

    fn badly_grouped(&self) -> ValueError {
        ValueError(format!("has a group mark in the wrong place: write it like {}", self.example()).into())
    }
}

fn too_many_digits(allowed: u8, side: &str) -> ValueError {
    ValueError(match allowed {
        0 => format!("has digits {side} the decimal mark, but none are allowed").into(),
        1 => format!("has more than 1 digit {side} the decimal mark").into(),
        _ => format!("has more than {allowed} digits {side} the decimal mark").into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(
        decimal_mark: char,
        group_mark: Option<char>,
        negative: Negative,
        strip: &[&str],
    ) -> NumberFormat {
        NumberFormat::new(decimal_mark, group_mark, negative, strip.iter().map(ToString::to_string).collect())
            .expect("a good format")
    }

    fn message<T: std::fmt::Debug>(result: Result<T, ValueError>) -> String {
        result.expect_err("an error").to_string()
    }

    const MONEY: &[&str] = &["EUR", "€", "%", "Fr", "kr.", "CHF", ",-"];

    #[test]
    fn numbers_of_many_countries_are_read() {
        use Negative::{Leading, Parentheses, Trailing};
        for (mark, group, negative, text, expected) in [
            ('.', None, Leading, "1234.56", 123_456),
            ('.', None, Leading, "+1234.5", 123_450),
            ('.', None, Leading, "-0.07", -7),
            ('.', None, Leading, "\u{2212}12.50", -1250),
            ('.', None, Leading, ".5", 50),
            ('.', None, Leading, "-.5", -50),
            ('.', None, Leading, "0000000000000000000000012", 1200),
            ('.', None, Leading, "1.50000000000000000000000", 150),
            ('.', Some(','), Leading, "1,234,567.89", 123_456_789),
            ('.', Some(','), Leading, "1234567.89", 123_456_789),
            ('.', Some('\''), Leading, "1'234.50", 123_450),
            ('.', Some('\''), Leading, "-1\u{2019}234\u{2019}567.5", -123_456_750),
            ('.', Some('’'), Leading, "1'234.50", 123_450),
            (',', Some('.'), Leading, "1.234,56", 123_456),
            (',', Some('.'), Trailing, "1.234,56-", -123_456),
            (',', Some('.'), Trailing, "1.234,56 -", -123_456),
            (',', Some('.'), Trailing, "1.234,56+", 123_456),
            (',', Some('.'), Trailing, "-1.234,56", -123_456),
            (',', None, Parentheses, "(12,50)", -1250),
            (',', None, Parentheses, "( 12,50 )", -1250),
            (',', None, Parentheses, "-12,50", -1250),
            (',', Some(' '), Leading, "1 234 567,8", 123_456_780),
            (',', Some(' '), Leading, "1\u{a0}234\u{202f}567,8", 123_456_780),
            (',', Some('\u{a0}'), Leading, "1 234,00", 123_400),
            (',', Some('\u{2009}'), Leading, "12\u{2009}234,00", 1_223_400),
            ('٫', None, Leading, "12٫5", 1250),
            (',', None, Leading, "12,5 %", 1250),
            (',', None, Leading, "12,5%", 1250),
            (',', None, Leading, "EUR 12,5", 1250),
            (',', None, Leading, "12,5 eur", 1250),
            (',', None, Leading, "€12,5", 1250),
            (',', None, Leading, "-€ 5", -500),
            (',', None, Leading, "€ -5", -500),
            (',', None, Leading, "- 5 €", -500),
            (',', None, Trailing, "5- EUR", -500),
            (',', None, Trailing, "5 EUR-", -500),
            (',', None, Parentheses, "(5 EUR)", -500),
            (',', None, Parentheses, "EUR (5)", -500),
            (',', None, Leading, "€,5", 50),
            ('.', Some('\''), Leading, "CHF\u{a0}1'000.05", 100_005),
            (',', Some('.'), Leading, "1.000,05 kr.", 100_005),
            (',', None, Trailing, "Fr 12,-", 1200),
            (',', None, Trailing, "Fr -12,-", -1200),
        ] {
            let format = format(mark, group, negative, MONEY);
            assert_eq!(format.decimal(text, 14, 2), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_surely_a_number_is_refused() {
        use Negative::{Leading, Parentheses, Trailing};
        for (negative, text) in [
            (Leading, ""),
            (Leading, "+"),
            (Leading, "-"),
            (Leading, ","),
            (Leading, "5,"),
            (Leading, "--5"),
            (Leading, "+-5"),
            (Leading, "5-"),
            (Leading, "(5)"),
            (Leading, "1,2,3"),
            (Leading, "1 234"),
            (Leading, "12a"),
            (Leading, "1e5"),
            (Leading, "0x10"),
            (Leading, "NaN"),
            (Leading, "inf"),
            (Leading, "１２"),
            (Leading, "१२"),
            (Leading, "5²"),
            (Leading, "EUR"),
            (Leading, "€ €"),
            (Leading, "EUR EUR 5"),
            (Leading, "12 EUR 5"),
            (Leading, "Fr,50"),
            (Leading, ",-50"),
            (Leading, "1_000"),
            (Trailing, "-5-"),
            (Trailing, "(5)"),
            (Trailing, "-"),
            (Parentheses, "(-5)"),
            (Parentheses, "-(5)"),
            (Parentheses, "(5"),
            (Parentheses, "()"),
            (Parentheses, "5-"),
        ] {
            let format = format(',', Some('.'), negative, MONEY);
            assert_eq!(message(format.decimal(text, 14, 2)), "is not a number like 1.234,56", "{text}");
            assert_eq!(message(format.integer(text)), "is not a whole number like 1.234", "{text}");
            assert!(text == "1e5" || format.float(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_group_mark_in_the_wrong_place_is_never_skipped() {
        let format = format(',', Some('.'), Negative::Leading, &[]);
        for text in [
            "1.5", "12.34", ".123", "1234.567", "1..234", "1.234.56", "1.", "1.234.", "0.125", "1,234.5",
            "1,2.345",
        ] {
            let wrong = "has a group mark in the wrong place: write it like 1.234,56";
            assert_eq!(message(format.decimal(text, 14, 4)), wrong, "{text}");
            assert_eq!(message(format.float(text)), wrong, "{text}");
            assert_eq!(message(format.integer(text)), wrong, "{text}");
        }
    }

    #[test]
    fn integers_reach_both_ends_of_their_range_and_not_beyond() {
        let plain = NumberFormat::default();
        let grouped = format('.', Some(','), Negative::Leading, &[]);
        let out = "is out of range: whole numbers go from -9223372036854775808 to 9223372036854775807";
        assert_eq!(plain.integer("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(plain.integer("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(grouped.integer("-9,223,372,036,854,775,808"), Ok(i64::MIN));
        assert_eq!(plain.integer("-000000000000000000000000000001"), Ok(-1));
        assert_eq!(plain.integer("999999999999999999"), Ok(999_999_999_999_999_999));
        for text in
            ["9223372036854775808", "-9223372036854775809", "99999999999999999999999999999999999999999"]
        {
            assert_eq!(message(plain.integer(text)), out);
        }
    }

    #[test]
    fn an_integer_has_no_digits_after_the_decimal_mark() {
        let plain = NumberFormat::default();
        for text in ["5.0", "5.5", ".0"] {
            assert_eq!(
                message(plain.integer(text)),
                "has digits after the decimal mark, but must be a whole number"
            );
        }
        assert_eq!(message(plain.integer("1,234")), "is not a whole number like 1234");
    }

    #[test]
    fn a_digit_too_many_is_an_error_and_a_zero_too_many_is_not() {
        let plain = NumberFormat::default();
        for (text, precision, scale, expected) in [
            ("12345678.1234", 12, 4, Ok(123_456_781_234)),
            ("0012345678.123400", 12, 4, Ok(123_456_781_234)),
            ("123456789", 12, 4, Err("has more than 8 digits before the decimal mark")),
            ("123456789.123456789123456789", 30, 18, Ok(123_456_789_123_456_789_123_456_789)),
            ("1.12345", 12, 4, Err("has more than 4 digits after the decimal mark")),
            ("1.123450000000000000001", 12, 5, Err("has more than 5 digits after the decimal mark")),
            ("10", 2, 1, Err("has more than 1 digit before the decimal mark")),
            ("1", 2, 2, Err("has digits before the decimal mark, but none are allowed")),
            ("0.25", 2, 2, Ok(25)),
            ("1.5", 4, 0, Err("has digits after the decimal mark, but none are allowed")),
            ("1.000", 4, 0, Ok(1)),
            ("-0", 4, 2, Ok(0)),
            ("99999999999999999999999999999999999999", 38, 0, Ok(10_i128.pow(38) - 1)),
            ("-.99999999999999999999999999999999999999", 38, 38, Ok(1 - 10_i128.pow(38))),
            (
                "100000000000000000000000000000000000000",
                38,
                0,
                Err("has more than 38 digits before the decimal mark"),
            ),
            ("9999999999999999999", 19, 0, Ok(9_999_999_999_999_999_999)),
            ("9999999999999999999", 38, 19, Ok(99_999_999_999_999_999_990_000_000_000_000_000_000)),
        ] {
            let read = plain.decimal(text, precision, scale);
            assert_eq!(read, expected.map_err(|text| ValueError(text.into())), "{text}");
        }
    }

    #[test]
    fn floats_take_exponents_and_nothing_that_is_no_number() {
        let plain = NumberFormat::default();
        let german = format(',', Some('.'), Negative::Trailing, &["kg"]);
        for (format, text, expected) in [
            (&plain, "1234.56", 1234.56),
            (&plain, "+1.5e-3", 0.0015),
            (&plain, "-2E+02", -200.0),
            (&plain, "0.30000000000000004", 0.1 + 0.2),
            (&plain, "1e-999", 0.0),
            (&german, "1.234,56-", -1234.56),
            (&german, "1,5e3 kg", 1500.0),
            (
                &german,
                "3,141592653589793238462643383279502884197169399375105820974944592307",
                std::f64::consts::PI,
            ),
        ] {
            assert_eq!(format.float(text), Ok(expected), "{text}");
        }
        for text in ["nan", "inf", "infinity", "e5", "1e", "1e+", "1e1.5", "5.", "1e5e5", "0x1p3", ""] {
            assert_eq!(message(plain.float(text)), "is not a number like 1234.56", "{text}");
        }
        assert_eq!(message(plain.float("1e999")), "is too large");
        assert_eq!(message(german.float("-1e999")), "is too large");
        assert!(plain.float("-0").expect("zero").is_sign_positive());
    }

    fn any_format() -> impl Strategy<Value = NumberFormat> {
        let marks = prop_oneof![
            Just(('.', None)),
            Just(('.', Some(','))),
            Just((',', Some('.'))),
            Just((',', Some(' '))),
            Just(('.', Some('\''))),
            Just(('·', None)),
        ];
        let negative =
            prop_oneof![Just(Negative::Leading), Just(Negative::Trailing), Just(Negative::Parentheses)];
        (marks, negative).prop_map(|((mark, group), negative)| format(mark, group, negative, MONEY))
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(format in any_format(), text in any::<String>(), p in any::<u8>(), s in any::<u8>()) {
            let _ = (format.integer(&text), format.decimal(&text, p, s), format.float(&text));
        }

        #[test]
        fn no_text_of_number_characters_makes_a_reader_panic(
            format in any_format(),
            text in "[-+(]?(€|EUR )?[0-9.,' \u{a0}\u{2019}]{0,45}(e[-+0-9]{0,4})?[-+)%]?",
            p in any::<u8>(),
            s in any::<u8>(),
        ) {
            let _ = (format.integer(&text), format.decimal(&text, p, s), format.float(&text));
        }

        #[test]
        fn integers_survive_the_way_to_text_and_back(format in any_format(), value in any::<i64>()) {
            prop_assert_eq!(format.integer(&value.to_string()), Ok(value));
        }

        #[test]
        fn both_roads_read_the_same_values(text in "[-+]?[0-9]{0,4}([,.][0-9]{3}){0,3}(\\.[0-9]{0,8})?", p in 1_u8..=38, s in 0_u8..=38) {
            let grouped = format('.', Some(','), Negative::Leading, &[]);
            let s = s.min(p);
            if let Some(scanned) = grouped.scan(&text) {
                if let Some(value) = scanned.decimal(p, s) {
                    prop_assert_eq!(grouped.decimal_of_parts(&text, p, s), Ok(value));
                }
                if let Some(value) = scanned.integer() {
                    prop_assert_eq!(grouped.integer_of_parts(&text), Ok(value));
                }
                if let Some(value) = scanned.float() {
                    prop_assert_eq!(grouped.float_of_parts(&text), Ok(value));
                }
            }
        }

        #[test]
        fn grouped_numbers_are_what_they_are_without_groups(value in any::<i64>()) {
            let digits = value.unsigned_abs().to_string();
            let mut text = String::from(if value < 0 { "-" } else { "" });
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(3) {
                    text.push('.');
                }
                text.push(digit);
            }
            prop_assert_eq!(format(',', Some('.'), Negative::Leading, &[]).integer(&text), Ok(value));
        }

        #[test]
        fn floats_survive_the_way_to_text_and_back(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let plain = NumberFormat::default();
            prop_assert_eq!(plain.float(&value.to_string()), Ok(value));
            let comma = format(',', None, Negative::Leading, &[]);
            prop_assert_eq!(comma.float(&value.to_string().replace('.', ",")), Ok(value));
        }
    }
}
