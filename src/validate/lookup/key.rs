//! The keys of lookup tables: texts made one for all that are the same value, and hashed.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::{
    model::value::temporal::{self, Ambiguous, DateParser, TimestampParser},
    targets::Compares,
    validate::keys::KeyHash,
};

/// Makes hashes of keys, so that equal values have equal ones.
#[derive(Clone, Debug)]
pub struct Keys {
    parts: Vec<Part>,
    secret: [u64; 2],
}

#[derive(Clone, Debug)]
enum Part {
    Text,
    Number,
    Date(DateParser),
    Timestamp(TimestampParser),
}

impl Keys {
    /// Keys of several columns, each compared in its way. The `secret` keys the hashes, so that nobody can make two meet.
    #[must_use]
    pub fn new(compares: &[Compares], secret: [u64; 2]) -> Self {
        let part = |compares: &Compares| match compares {
            Compares::Text => Part::Text,
            Compares::Number => Part::Number,
            Compares::Date => DateParser::new(&[], None).map_or(Part::Text, Part::Date),
            Compares::Timestamp => TimestampParser::new(&[], None, None, Ambiguous::default())
                .map_or(Part::Text, Part::Timestamp),
        };
        Self { parts: compares.iter().map(part).collect(), secret }
    }

    /// The columns of a key.
    #[must_use]
    pub fn width(&self) -> usize {
        self.parts.len()
    }

    /// The hash of a key, which has one text a column. `buffer` serves for texts that have to be made anew.
    pub fn hash<'t>(&self, texts: impl IntoIterator<Item = &'t str>, buffer: &mut String) -> KeyHash {
        let [k0, k1] = self.secret;
        let mut hasher = SipHasher13::new_with_keys(k0, k1);
        for (part, text) in self.parts.iter().zip(texts) {
            let one = part.one(text, buffer).as_bytes();
            hasher.write(one);
            hasher.write_u32(one.len() as u32);
        }
        let hash = hasher.finish128();
        KeyHash([hash.h1, hash.h2])
    }
}

impl Part {
    /// The one text of all that are the same value; what is no such value stays what it is, and meets nothing.
    fn one<'t>(&self, text: &'t str, buffer: &'t mut String) -> &'t str {
        buffer.clear();
        match self {
            Self::Text => return text,
            Self::Number => return number(text, buffer),
            Self::Date(parser) => match parser.parse(text) {
                Ok(day) => temporal::date_text(day, buffer),
                Err(_) => return text,
            },
            Self::Timestamp(parser) => match parser.parse(text) {
                Ok(instant) => temporal::timestamp_text(instant, buffer),
                Err(_) => return text,
            },
        }
        buffer
    }
}

/// A number without what makes no difference: zeros before it and at the end of its fraction, a plus sign.
fn number<'t>(text: &'t str, buffer: &'t mut String) -> &'t str {
    match text {
        // As databases keep them that have no type for it.
        "true" => return "1",
        "false" => return "0",
        _ => {}
    }
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return text;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if !negative && whole.len() == text.len() {
        return text;
    }
    if negative && !(whole.is_empty() && fraction.is_empty()) {
        buffer.push('-');
    }
    buffer.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        buffer.push('.');
        buffer.push_str(fraction);
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(compares: Compares, one: &str, other: &str) -> bool {
        let keys = Keys::new(&[compares], [1, 2]);
        let mut buffer = String::new();
        keys.hash([one], &mut buffer) == keys.hash([other], &mut buffer)
    }

    #[test]
    fn numbers_and_dates_compare_by_value_and_texts_bytewise() {
        let equal = [
            ("007", "7"),
            ("7.00", "7"),
            ("+7", "7"),
            ("-0", "0"),
            ("-07.50", "-7.5"),
            (".5", "0.5"),
            ("true", "1"),
        ];
        for (one, other) in equal {
            assert!(same(Compares::Number, one, other), "{one} {other}");
            assert!(!same(Compares::Text, one, other), "{one} {other}");
        }
        for (one, other) in
            [("7", "70"), ("-7", "7"), ("7x", "7"), ("", "0"), ("-", "0"), (".", "0"), ("1e1", "10")]
        {
            assert!(!same(Compares::Number, one, other), "{one} {other}");
        }
        assert!(same(Compares::Date, "2026-01-05", "2026-01-05") && !same(Compares::Date, "x", "y"));
        assert!(same(Compares::Timestamp, "2026-01-05T10:00:00+01:00", "2026-01-05T09:00:00Z"));
    }

    #[test]
    fn columns_of_a_key_do_not_run_into_each_other() {
        let keys = Keys::new(&[Compares::Text, Compares::Text], [1, 2]);
        let mut buffer = String::new();
        assert_ne!(keys.hash(["ab", "c"], &mut buffer), keys.hash(["a", "bc"], &mut buffer));
    }
}
