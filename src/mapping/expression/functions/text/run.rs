//! How the functions on text run.

use std::sync::Arc;

use super::super::Given;
use crate::mapping::expression::{
    Type, cast,
    node::Run,
    rows::{Failure, MAX_TEXT_BYTES, TOO_LONG},
    vector::{Fixed, Texts, Vector},
};

/// Longest text that a function makes of a short one, in characters.
const MAX_CHARACTERS: i64 = MAX_TEXT_BYTES as i64;
/// A set of so many characters is looked through faster than it is sorted.
const FEW_CHARACTERS: usize = 8;

/// The number of characters. No text is longer than an i64 counts.
pub(super) fn characters(text: &str) -> i64 {
    let count = if text.is_ascii() { text.len() } else { text.chars().count() };
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The byte behind so many characters; the end when there are fewer.
pub(super) fn byte_at(text: &str, characters: i64) -> usize {
    let Ok(count) = usize::try_from(characters) else { return if characters < 0 { 0 } else { text.len() } };
    if text.is_ascii() {
        return count.min(text.len());
    }
    text.char_indices().nth(count).map_or(text.len(), |(at, _)| at)
}

/// Cut behind n characters; behind all but n of them when it is negative.
pub(super) fn split_at(text: &str, n: i64) -> (&str, &str) {
    let n = if n < 0 { characters(text).saturating_add(n).max(0) } else { n };
    text.split_at_checked(byte_at(text, n)).unwrap_or((text, ""))
}

/// A text made of each text.
pub(super) fn rewrite(write: fn(&str, &mut String)) -> Run {
    Arc::new(move |rows, arguments| match arguments {
        [Vector::Text(texts)] => Vector::Text(rows.write(arguments, |row, out| {
            write(texts.get(row), out);
            Ok(true)
        })),
        _ => Vector::null(Type::TEXT),
    })
}

/// A number made of each text.
pub(super) fn count(of: fn(&str) -> i64) -> Run {
    Arc::new(move |rows, arguments| match arguments {
        [Vector::Text(texts)] => Vector::Integer(rows.map(arguments, |row| Ok(Some(of(texts.get(row)))))),
        _ => Vector::Integer(Fixed::One(None)),
    })
}

/// A part of each text, by a number.
pub(super) fn part(of: fn(&str, i64) -> Result<&str, Failure>) -> Run {
    Arc::new(move |rows, arguments| match arguments {
        [Vector::Text(texts), Vector::Integer(numbers)] => Vector::Text(rows.write(arguments, |row, out| {
            out.push_str(of(texts.get(row), numbers.get(row))?);
            Ok(true)
        })),
        _ => Vector::null(Type::TEXT),
    })
}

/// Characters to take off. Sorted when there are many, so that a long set is not looked through for each character.
enum Characters<'a> {
    Few(&'a str),
    Sorted(Vec<char>),
}

impl<'a> Characters<'a> {
    fn new(set: &'a str) -> Self {
        if set.len() <= FEW_CHARACTERS {
            return Self::Few(set);
        }
        let mut sorted: Vec<char> = set.chars().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self::Sorted(sorted)
    }

    fn contains(&self, character: char) -> bool {
        match self {
            Self::Few(set) => set.contains(character),
            Self::Sorted(sorted) => sorted.binary_search(&character).is_ok(),
        }
    }
}

pub(super) fn trimmed(begin: bool, end: bool) -> Run {
    let space = Texts::One(Some(" ".into()));
    Arc::new(move |rows, arguments| {
        let (texts, set) = match arguments {
            [Vector::Text(texts)] => (texts, &space),
            [Vector::Text(texts), Vector::Text(set)] => (texts, set),
            _ => return Vector::null(Type::TEXT),
        };
        let of_all = if let Texts::One(Some(set)) = set { Some(Characters::new(set)) } else { None };
        Vector::Text(rows.write(arguments, |row, out| {
            let mut text = texts.get(row);
            let of_row = if of_all.is_none() { Some(Characters::new(set.get(row))) } else { None };
            let set = of_all.as_ref().or(of_row.as_ref());
            let is_one = |character: char| set.is_some_and(|set| set.contains(character));
            if begin {
                text = text.trim_start_matches(is_one);
            }
            if end {
                text = text.trim_end_matches(is_one);
            }
            out.push_str(text);
            Ok(true)
        }))
    })
}

pub(super) fn substring() -> Run {
    Arc::new(|rows, arguments| {
        let (texts, starts, lengths) = match arguments {
            [Vector::Text(texts), Vector::Integer(starts)] => (texts, starts, None),
            [Vector::Text(texts), Vector::Integer(starts), Vector::Integer(lengths)] => {
                (texts, starts, Some(lengths))
            }
            _ => return Vector::null(Type::TEXT),
        };
        Vector::Text(rows.write(arguments, |row, out| {
            let (text, start) = (texts.get(row), starts.get(row));
            // Characters before the first one count, as in SQL: from -1, 4 characters end with the second.
            let end = match lengths.map(|lengths| lengths.get(row)) {
                Some(length) if length < 0 => return Err("a negative length of a substring".into()),
                Some(length) => start.saturating_add(length).saturating_sub(1).max(0),
                None => i64::MAX,
            };
            let from = byte_at(text, start.saturating_sub(1).max(0));
            let to = byte_at(text, end).max(from);
            out.push_str(text.get(from..to).unwrap_or_default());
            Ok(true)
        }))
    })
}

pub(super) fn replace() -> Run {
    Arc::new(|rows, arguments| {
        let [Vector::Text(texts), Vector::Text(parts), Vector::Text(by)] = arguments else {
            return Vector::null(Type::TEXT);
        };
        Vector::Text(rows.write(arguments, |row, out| {
            let (text, part, by) = (texts.get(row), parts.get(row), by.get(row));
            let start = out.len();
            if part.is_empty() {
                out.push_str(text);
                return Ok(true);
            }
            let mut from = 0;
            for (at, _) in text.match_indices(part) {
                out.push_str(text.get(from..at).unwrap_or_default());
                out.push_str(by);
                from = at + part.len();
                if i64::try_from(out.len() - start).is_ok_and(|length| length > MAX_CHARACTERS) {
                    return Err(TOO_LONG);
                }
            }
            out.push_str(text.get(from..).unwrap_or_default());
            Ok(true)
        }))
    })
}

pub(super) fn split_part() -> Run {
    Arc::new(|rows, arguments| {
        let [Vector::Text(texts), Vector::Text(separators), Vector::Integer(numbers)] = arguments else {
            return Vector::null(Type::TEXT);
        };
        Vector::Text(rows.write(arguments, |row, out| {
            let (text, separator, n) = (texts.get(row), separators.get(row), numbers.get(row));
            let Some(skipped) = n.unsigned_abs().checked_sub(1) else {
                return Err("a part counts from 1, or from -1 at the end, and not from 0".into());
            };
            let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
            let found = match separator.is_empty() {
                true => Some(text).filter(|_| skipped == 0),
                false if n > 0 => text.split(separator).nth(skipped),
                // What overlaps is parted from the front, whichever end is counted from.
                false => {
                    let count = text.split(separator).count();
                    count.checked_sub(skipped + 1).and_then(|at| text.split(separator).nth(at))
                }
            };
            out.push_str(found.unwrap_or_default());
            Ok(true)
        }))
    })
}

pub(super) fn padded(before: bool) -> Run {
    let space = Texts::One(Some(" ".into()));
    Arc::new(move |rows, arguments| {
        let (texts, lengths, fills) = match arguments {
            [Vector::Text(texts), Vector::Integer(lengths)] => (texts, lengths, &space),
            [Vector::Text(texts), Vector::Integer(lengths), Vector::Text(fills)] => (texts, lengths, fills),
            _ => return Vector::null(Type::TEXT),
        };
        Vector::Text(rows.write(arguments, |row, out| {
            let (text, length, fill) = (texts.get(row), lengths.get(row).max(0), fills.get(row));
            if length > MAX_CHARACTERS {
                return Err(TOO_LONG);
            }
            let text = split_at(text, length).0;
            let missing = usize::try_from(length - characters(text)).unwrap_or_default();
            if !before {
                out.push_str(text);
            }
            // An empty fill gives nothing, however often.
            out.extend(fill.chars().cycle().take(missing));
            if before {
                out.push_str(text);
            }
            Ok(true)
        }))
    })
}

pub(super) fn repeat() -> Run {
    Arc::new(|rows, arguments| {
        let [Vector::Text(texts), Vector::Integer(numbers)] = arguments else {
            return Vector::null(Type::TEXT);
        };
        Vector::Text(rows.write(arguments, |row, out| {
            let (text, n) = (texts.get(row), numbers.get(row).max(0));
            let length = i64::try_from(text.len()).ok().and_then(|length| length.checked_mul(n));
            if length.is_none_or(|length| length > MAX_CHARACTERS) {
                return Err(TOO_LONG);
            }
            // Nothing is nothing, however often.
            if !text.is_empty() {
                (0..n).for_each(|_| out.push_str(text));
            }
            Ok(true)
        }))
    })
}

pub(super) fn concatenated(given: &[Given], separated: bool) -> Run {
    let of: Vec<(Type, u8)> =
        given.iter().map(|given| (given.of, given.of.digits().map_or(0, |(_, scale)| scale))).collect();
    Arc::new(move |rows, arguments| {
        let (separator, values) = match arguments {
            [separator @ Vector::Text(_), values @ ..] if separated => (Some(separator), values),
            values => (None, values),
        };
        let needed = separator.map(std::slice::from_ref).unwrap_or_default();
        let of = of.get(of.len().saturating_sub(values.len())..).unwrap_or_default();
        Vector::Text(rows.write(needed, |row, out| {
            let mut first = true;
            for (value, (of, scale)) in values.iter().zip(of).filter(|(value, _)| value.is_known(row)) {
                if let Some(separator) = separator.filter(|_| !first) {
                    cast::write(separator, row, Type::TEXT, 0, out);
                }
                first = false;
                match value {
                    // One letter, as PostgreSQL shows them.
                    Vector::Boolean(bits) => out.push(if bits.at(row) == Some(true) { 't' } else { 'f' }),
                    value => cast::write(value, row, *of, *scale, out),
                }
            }
            Ok(true)
        }))
    })
}
