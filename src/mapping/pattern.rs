//! Patterns of file names, such as `orders_{date:%Y%m%d}.csv`.
//!
//! `*` stands for any characters, `?` for one; `{name}` captures one or more characters, `{name:FORMAT}` a date or
//! time in `strftime` notation; `{{` and `}}` are braces. Case does not matter, and nothing reaches across `/` or `\`.
//! A pattern becomes a regular expression of a linear-time engine, every letter of it escaped, so neither a pattern
//! nor a hostile name can make matching slow.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use super::{
    expression::CaptureValue,
    name_time::{self, PARTS, Part},
    order::OrderValue,
};
use crate::model::value::{
    ValueType,
    temporal::{Ambiguous, DateParser, TimestampParser},
};

/// Longest pattern in characters: file systems allow names of 255 bytes.
const MAX_CHARACTERS: usize = 255;

/// A pattern of file names.
#[derive(Clone, Debug)]
pub struct NamePattern {
    written: String,
    captures: Vec<Capture>,
    regex: Regex,
}

/// A capture of a pattern: its name, the group of the regular expression that takes its text, and the parts of a date or
/// time in it with their groups.
#[derive(Clone, Debug)]
struct Capture {
    name: String,
    group: usize,
    parts: Vec<(Part, usize)>,
}

impl Capture {
    fn value_type(&self) -> ValueType {
        let has = |part: Part| self.parts.iter().any(|(known, _)| *known == part);
        let year = has(Part::Year) || has(Part::ShortYear);
        let day = has(Part::DayOfYear) || (has(Part::Month) || has(Part::MonthName)) && has(Part::Day);
        match (year && day, has(Part::Hour) || has(Part::Minute) || has(Part::Second)) {
            (false, _) => ValueType::Text,
            (true, false) => ValueType::Date,
            (true, true) => ValueType::Timestamp,
        }
    }
}

/// What the captures of a pattern took from a name, in the pattern's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures(Vec<(String, String)>);

impl Captures {
    /// What the capture `name` took.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }

    /// (name, text) of each capture.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// Why a pattern cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct PatternError {
    /// What is wrong.
    pub message: String,
    /// The bytes of the pattern concerned.
    pub part: std::ops::Range<usize>,
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let whole = |message: &str| PatternError { message: message.to_owned(), part: 0..pattern.len() };
        if pattern.is_empty() {
            return Err(whole("an empty pattern takes no file"));
        }
        if pattern.chars().count() > MAX_CHARACTERS {
            return Err(whole(&format!("a file name has no more than {MAX_CHARACTERS} characters")));
        }
        let mut compiler =
            Compiler { pattern, at: 0, expression: String::from(r"\A"), captures: Vec::new(), groups: 0 };
        compiler.run()?;
        compiler.expression.push_str(r"\z");
        let regex = RegexBuilder::new(&compiler.expression)
            .case_insensitive(true)
            .build()
            .map_err(|_| whole("this pattern is too long"))?;
        Ok(Self { written: pattern.to_owned(), captures: compiler.captures, regex })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// True when the pattern takes files of this name, without folders.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }

    /// What the captures take from `name`, a file name without folders; none when the name does not match.
    #[must_use]
    pub fn matches(&self, name: &str) -> Option<Captures> {
        let found = self.regex.captures(name)?;
        let text = |group: usize| found.get(group).map_or("", |part| part.as_str()).to_owned();
        Some(Captures(
            self.captures.iter().map(|capture| (capture.name.clone(), text(capture.group))).collect(),
        ))
    }

    /// The names of the captures.
    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|capture| capture.name.as_str())
    }

    /// The captures with the types that their values have: a day or an instant where the format has all parts of one, else
    /// a text.
    pub(super) fn capture_types(&self) -> impl Iterator<Item = (&str, ValueType)> {
        self.captures.iter().map(|capture| (capture.name.as_str(), capture.value_type()))
    }

    /// What the captures take from `name`; none when the name does not match. A day that no calendar has is left out.
    #[must_use]
    pub fn values(&self, name: &str) -> Option<Vec<(String, CaptureValue)>> {
        let found = self.regex.captures(name)?;
        let text = |group: usize| found.get(group).map_or("", |part| part.as_str());
        let values = self.captures.iter().filter_map(|capture| {
            let [year, month, day, hour, minute, second] =
                name_time::time(capture.parts.iter().map(|(part, group)| (*part, text(*group))));
            let value = match capture.value_type() {
                ValueType::Date => {
                    let parser = DateParser::new(&[], None).ok()?;
                    CaptureValue::Date(parser.parse(&format!("{year:04}-{month:02}-{day:02}")).ok()?)
                }
                ValueType::Timestamp => {
                    let parser = TimestampParser::new(&[], None, None, Ambiguous::default()).ok()?;
                    let written = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
                    CaptureValue::Timestamp(parser.parse(&written).ok()?)
                }
                _ => CaptureValue::Text(text(capture.group).to_owned()),
            };
            Some((capture.name.clone(), value))
        });
        Some(values.collect())
    }

    /// What the capture compares by first: the place of the year, month, day, hour, minute or second among these; none
    /// when it is a text.
    pub(super) fn coarsest(&self, capture: &str) -> Option<usize> {
        let parts = &self.captures.iter().find(|known| known.name == capture)?.parts;
        parts.iter().map(|(part, _)| part.unit()).min()
    }

    /// What the capture takes from `name`, as files are put in order by it: a date or time by its parts, whatever their
    /// order in the name. None when the name does not match.
    pub(super) fn order_value(&self, name: &str, capture: &str) -> Option<OrderValue> {
        let capture = self.captures.iter().find(|known| known.name == capture)?;
        let found = self.regex.captures(name)?;
        let text = |group: usize| found.get(group).map_or("", |part| part.as_str());
        if capture.parts.is_empty() {
            return Some(OrderValue::Text(text(capture.group).into()));
        }
        let parts = capture.parts.iter().map(|(part, group)| (*part, text(*group)));
        Some(OrderValue::Time(name_time::time(parts)))
    }
}

struct Compiler<'a> {
    pattern: &'a str,
    at: usize,
    expression: String,
    captures: Vec<Capture>,
    /// Groups opened so far; the whole is group 0.
    groups: usize,
}

impl<'a> Compiler<'a> {
    fn rest(&self) -> &'a str {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn error(&self, length: usize, message: &str) -> PatternError {
        PatternError { message: message.to_owned(), part: self.at..self.at + length }
    }

    fn run(&mut self) -> Result<(), PatternError> {
        while let Some(character) = self.rest().chars().next() {
            let doubled = self.rest().starts_with("{{") || self.rest().starts_with("}}");
            match character {
                '{' if !doubled => {
                    self.capture()?;
                    continue;
                }
                '}' if !doubled => {
                    return Err(self.error(1, "this `}` closes nothing; write `}}` for a brace"));
                }
                '/' | '\\' => return Err(self.error(1, "a pattern is of a file's name, without folders")),
                '*' => self.expression.push_str(r"[^/\\]*"),
                '?' => self.expression.push_str(r"[^/\\]"),
                _ => self.expression.push_str(&regex::escape(character.encode_utf8(&mut [0; 4]))),
            }
            self.at += if doubled { 2 } else { character.len_utf8() };
        }
        Ok(())
    }

    /// `{name}` or `{name:FORMAT}`, from its opening brace on.
    fn capture(&mut self) -> Result<(), PatternError> {
        let rest = self.rest();
        let Some(end) = rest.find('}') else {
            return Err(self.error(rest.len(), "this `{` is never closed; write `{{` for a brace"));
        };
        let inner = rest.get(1..end).unwrap_or_default();
        let (name, format) =
            inner.split_once(':').map_or((inner, None), |(name, format)| (name, Some(format)));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
            let message = "a capture is named by a small letter, then small letters, digits and `_`";
            return Err(self.error(end + 1, message));
        }
        if self.captures.iter().any(|known| known.name == name) {
            return Err(self.error(end + 1, &format!("there is a capture `{name}` already")));
        }
        let group = self.open();
        let parts = match format {
            None => {
                self.expression.push_str(r"[^/\\]+");
                Vec::new()
            }
            Some(format) => self.format(format, 1 + name.len() + 1)?,
        };
        self.expression.push(')');
        self.captures.push(Capture { name: name.to_owned(), group, parts });
        self.at += end + 1;
        Ok(())
    }

    /// Opens a group of the expression and gives its number.
    fn open(&mut self) -> usize {
        self.expression.push('(');
        self.groups += 1;
        self.groups
    }

    /// A format that stands `offset` bytes behind the opening brace; gives its parts with their groups.
    fn format(&mut self, format: &str, offset: usize) -> Result<Vec<(Part, usize)>, PatternError> {
        let begin = self.at + offset;
        let problem = |at: usize, length: usize, message: String| {
            let start = begin + at;
            Err(PatternError { message, part: start..start + length })
        };
        if !format.contains('%') {
            let message = "a format is made of parts such as %Y, %m and %d".to_owned();
            return problem(0, format.len(), message);
        }
        let mut found = Vec::new();
        let mut characters = format.char_indices();
        while let Some((at, character)) = characters.next() {
            if character != '%' {
                self.expression.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
                continue;
            }
            let letter = characters.next().map(|(_, letter)| letter);
            match PARTS.iter().find(|(known, _)| Some(*known) == letter) {
                Some((_, parts)) => {
                    for (before, part) in *parts {
                        self.expression.push_str(before);
                        found.push((*part, self.open()));
                        self.expression.push_str(part.expression());
                        self.expression.push(')');
                    }
                }
                None if letter == Some('%') => self.expression.push('%'),
                None => {
                    let known: Vec<String> = PARTS.iter().map(|(letter, _)| format!("%{letter}")).collect();
                    let letter = letter.map(String::from).unwrap_or_default();
                    let message =
                        format!("there is no `%{letter}` in file names; possible: {}", known.join(", "));
                    return problem(at, 1 + letter.len(), message);
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pattern: &str, name: &str) -> Option<Vec<(String, String)>> {
        NamePattern::parse(pattern).unwrap().matches(name).map(|captures| captures.0)
    }

    fn refused(pattern: &str) -> (String, String) {
        let error = NamePattern::parse(pattern).unwrap_err();
        (error.message, pattern[error.part].to_owned())
    }

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        assert!(taken("orders_*.csv", "Orders_2026 new.CSV").is_some());
        assert!(taken("orders_*.csv", "orders_.csv").is_some());
        assert!(taken("orders_*.csv", "orders_1.csv.gz").is_none());
        assert!(taken("orders_*.csv", "my_orders_1.csv").is_none());
        assert!(taken("a?.csv", "aé.csv").is_some());
        assert!(taken("a?.csv", "a.csv").is_none());
        assert!(taken("ÄRGER*", "ärger.csv").is_some());
    }

    #[test]
    fn letters_that_mean_something_in_regular_expressions_are_only_letters() {
        assert!(taken("a.(b)+[c]|^$.csv", "a.(b)+[c]|^$.csv").is_some());
        assert!(taken("a.csv", "abcsv").is_none());
        assert!(taken("a|b", "a").is_none());
        assert!(taken("{{x}}*", "{x}1").is_some());
    }

    #[test]
    fn captures_take_their_part_of_the_name() {
        let date = |text: &str| Some(vec![("date".to_owned(), text.to_owned())]);
        assert_eq!(taken("orders_{date:%Y%m%d}.csv", "orders_20261120.csv"), date("20261120"));
        assert_eq!(taken("x{date:%d-%b-%y}", "X03-Nov-26"), date("03-Nov-26"));
        let captures = NamePattern::parse("{shop}_{n}.csv").unwrap().matches("a_b_7.csv").unwrap();
        assert_eq!(
            (captures.get("shop"), captures.get("n"), captures.get("x")),
            (Some("a_b"), Some("7"), None)
        );
    }

    #[test]
    fn a_date_that_cannot_be_one_does_not_match() {
        for name in [
            "orders_20261301.csv",
            "orders_20260132.csv",
            "orders_2026111.csv",
            "orders_２０２６１１２０.csv",
        ] {
            assert_eq!(taken("orders_{date:%Y%m%d}.csv", name), None, "{name}");
        }
        assert!(taken("{t:%H%M%S}", "240000").is_none());
    }

    #[test]
    fn a_capture_gives_the_value_by_which_files_are_ordered() {
        let value = |pattern: &str, name: &str| NamePattern::parse(pattern).unwrap().order_value(name, "x");
        let time = |time: [u16; 6]| Some(OrderValue::Time(time));
        assert_eq!(value("{a}_{x:%d-%m-%Y}_{b}", "1_31-12-2026_2"), time([2026, 12, 31, 0, 0, 0]));
        assert_eq!(value("{a:%Y}{x:%H%M%S %F}", "2020235960 2026-01-02"), time([2026, 1, 2, 23, 59, 60]));
        assert_eq!(value("{x}_{y}", "a_9_b"), Some(OrderValue::Text("a_9".into())));
        assert_eq!(value("{x:%Y}", "abcd"), None);
        assert_eq!(value("{y}", "abcd"), None);
        let coarsest = |pattern: &str| NamePattern::parse(pattern).unwrap().coarsest("x");
        assert_eq!(
            ["{x}", "{x:%S%Y}", "{x:%d%b}", "{x:%j}", "{x:%M%H}"].map(coarsest),
            [None, Some(0), Some(1), Some(1), Some(3)]
        );
    }

    #[test]
    fn nothing_reaches_across_folders_or_lines() {
        assert!(taken("*", "a/b").is_none());
        assert!(taken("{x}", "a\\b").is_none());
        assert!(taken("a?b", "a/b").is_none());
        assert!(taken("*", "a\nb").is_some());
    }

    #[test]
    fn a_pattern_that_cannot_be_read_says_where() {
        assert_eq!(refused("a_{date:%Y%Q}.csv").1, "%Q");
        assert_eq!(refused("a_{date").1, "{date");
        assert_eq!(refused("a}.csv").1, "}");
        assert_eq!(refused("{Date}").1, "{Date}");
        assert_eq!(refused("{a}{a}").1, "{a}");
        assert_eq!(refused("{a:digits}").1, "digits");
        assert_eq!(refused("in/*.csv").1, "/");
        assert_eq!(refused("{a:%").1, "{a:%");
        assert_eq!(refused("{a:x%}").1, "%");
        assert_eq!(refused("").1, "");
        assert!(NamePattern::parse(&"{".repeat(300)).is_err());
    }

    #[test]
    fn a_hostile_name_or_pattern_is_matched_in_linear_time() {
        let pattern = "*a".repeat(100);
        assert!(taken(&pattern, &format!("{}b", "a".repeat(200_000))).is_none());
        let captures: String = (0..40).map(|n| format!("{{c{n}}}")).collect();
        assert!(taken(&captures, &"x".repeat(255)).is_some());
        assert!(NamePattern::parse(&"?".repeat(255)).is_ok());
    }
}
