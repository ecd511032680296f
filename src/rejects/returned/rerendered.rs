//! What spreadsheets do to cells that nobody touched, so that it can be undone.
//!
//! A spreadsheet that opens a report takes texts for numbers, dates and truth values, and writes what it shows of them: 00123
//! comes back as 123, 1.10 as 01. Okt, 2026-03-01 as 01.03.2026, a long number as 1.23457E+15. Which country it was set
//! to shows in the cells that it changed; only what a spreadsheet of that country makes of the original is taken for
//! its doing, and everything else for a person's.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::{
    locale::{LOCALES, Locale, Meaning},
    number,
};
use crate::{
    mapping::plan::ValueParser,
    model::value::{number::decimal_text, temporal::date_text},
};

/// Digits after the point with which numbers are compared; no spreadsheet shows more.
const COMPARED_SCALE: u8 = 15;

/// The country that a returned file was written in, found by what changed in its cells.
#[derive(Debug)]
pub struct Evidence {
    /// Cells that each of [`LOCALES`] explains.
    explained: Vec<u64>,
    semicolons: bool,
}

impl Evidence {
    /// None yet, about a file whose cells are divided by `delimiter`.
    #[must_use]
    pub fn new(delimiter: char) -> Self {
        Self { explained: vec![0; LOCALES.len()], semicolons: delimiter == ';' }
    }

    /// Takes a cell into account of which nobody has said that it is wrong.
    pub fn see(&mut self, original: &str, returned: &str, parser: Option<&ValueParser>) {
        let (original, returned) = (original.trim(), returned.trim());
        // Plain digits are the same everywhere.
        let tells = returned.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'-');
        if original == returned || !tells {
            return;
        }
        for (locale, explained) in LOCALES.iter().zip(&mut self.explained) {
            *explained += u64::from(is_shown_as(original, returned, locale, parser));
        }
    }

    /// The country that explains most; of several, the likeliest.
    #[must_use]
    pub fn locale(&self) -> &'static Locale {
        // Semicolons stand where the comma is the decimal mark.
        let likely = |locale: &Locale| (locale.decimal == ',') == self.semicolons;
        let ranked = LOCALES.iter().zip(&self.explained).rev();
        let best = ranked.max_by_key(|(locale, explained)| (**explained, likely(locale)));
        best.map_or(&LOCALES[0], |(locale, _)| locale)
    }
}

/// True when `returned` is what a program in `locale` that writes in `encoding` makes of the text `original`, without
/// anybody having changed it. `parser` is how the mapping reads the column, if it takes it.
#[must_use]
pub fn is_rerendered(
    original: &str,
    returned: &str,
    locale: &Locale,
    encoding: &'static Encoding,
    parser: Option<&ValueParser>,
) -> bool {
    is_same_text(original, returned, encoding)
        || is_shown_as(original.trim(), returned.trim(), locale, parser)
}

/// The same text but for what is lost around it and in it: white space, line ends, letters that the encoding lacks.
fn is_same_text(original: &str, returned: &str, encoding: &'static Encoding) -> bool {
    let (original, returned) = (plain(original), plain(returned));
    // A column too narrow for its numbers is written as it is shown.
    let too_narrow = returned.len() > 1 && returned.bytes().all(|byte| byte == b'#');
    original == returned || too_narrow || is_squeezed(&original, &returned, encoding)
}

fn plain(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.contains(['\r', '\u{a0}']) {
        return text.replace("\r\n", "\n").replace('\r', "\n").replace('\u{a0}', " ").into();
    }
    text.into()
}

/// Letters that the encoding of the returned file lacks stand as other letters in it: `Łódź` as `Lódz` or `?ód?`.
fn is_squeezed(original: &str, returned: &str, encoding: &'static Encoding) -> bool {
    if [UTF_8, UTF_16LE, UTF_16BE].contains(&encoding) || original.is_ascii() {
        return false;
    }
    let mut left = returned.chars().peekable();
    for c in original.chars() {
        let Some(seen) = left.next() else { return false };
        if seen == c {
            continue;
        }
        let mut buffer = [0; 4];
        let (_, _, lacks) = encoding.encode(c.encode_utf8(&mut buffer));
        if !lacks || !(seen == '?' || seen == '_' || seen.is_ascii_alphanumeric()) {
            return false;
        }
        // Beyond the first plane a letter counts for two.
        if c.len_utf16() == 2 && seen == '?' {
            left.next_if_eq(&'?');
        }
    }
    left.next().is_none()
}

/// True when `returned` is what a spreadsheet in `locale` shows of `original`.
fn is_shown_as(original: &str, returned: &str, locale: &Locale, parser: Option<&ValueParser>) -> bool {
    // A number that is shown has no zeros before it.
    let is_code =
        returned.len() > 1 && returned.starts_with('0') && returned.bytes().all(|byte| byte.is_ascii_digit());
    let shown = if is_code { Vec::new() } else { locale.shows(returned) };
    if shown.is_empty() {
        return false;
    }
    let mut read = locale.reads(original);
    // Whoever imports a file can say how its numbers are written. A comma alone may be either mark.
    let is_group: fn(char) -> bool = if original.contains('.') { |c| c == ',' } else { |_| false };
    read.extend(number::read(original, '.', is_group).map(Meaning::Number));
    read.extend(parser.and_then(|parser| by_mapping(original, parser, locale)));
    shown.iter().any(|shown| read.iter().any(|read| is_same(read, shown)))
}

/// What the mapping takes the text for.
fn by_mapping(text: &str, parser: &ValueParser, locale: &Locale) -> Option<Meaning> {
    let mut plain = String::new();
    match parser {
        ValueParser::Integer(format) | ValueParser::Decimal(format) | ValueParser::Float(format) => {
            let value = format.decimal(text, 38, COMPARED_SCALE).ok()?;
            decimal_text(value, COMPARED_SCALE, &mut plain);
            number::read(&plain, '.', |_| false).map(Meaning::Number)
        }
        ValueParser::Date(parser) => {
            date_text(parser.parse(text).ok()?, &mut plain);
            locale.reads(&plain).into_iter().find(|meaning| matches!(meaning, Meaning::Day { .. }))
        }
        _ => None,
    }
}

fn is_same(read: &Meaning, shown: &Meaning) -> bool {
    match (read, shown) {
        (Meaning::Number(read), Meaning::Number(shown)) => shown.shows(read),
        (Meaning::Day { day: read, time: None }, Meaning::Day { day: shown, time: None }) => read == shown,
        (Meaning::Day { day: read, time: Some(at) }, Meaning::Day { day: shown, time: Some(seen) }) => {
            read == shown && is_same_time(*at, *seen)
        }
        (Meaning::Time(read), Meaning::Time(shown)) => is_same_time(*read, *shown),
        // Of the day only what is shown of it is left.
        (Meaning::Day { day: (_, month, day), time: None }, Meaning::DayOfMonth(seen, of)) => {
            (month, day) == (seen, of)
        }
        _ => read == shown,
    }
}

/// Seconds are not always shown.
fn is_same_time(read: super::locale::Time, shown: super::locale::Time) -> bool {
    let same = read.2.unwrap_or(0) == shown.2.unwrap_or(0) || shown.2.is_none();
    (read.0, read.1) == (shown.0, shown.1) && same
}

#[cfg(test)]
mod tests;
