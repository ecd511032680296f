//! Patterns of file names, such as `orders_{date:%Y%m%d}.csv`.
//!
//! `*` stands for any characters, `?` for one; `{name}` captures one or more characters, `{name:FORMAT}` a date or
//! time in `strftime` notation; `{{` and `}}` are braces. Case does not matter, and nothing reaches across `/` or `\`.
//! A pattern becomes a regular expression of a linear-time engine, every letter of it escaped, so neither a pattern
//! nor a hostile name can make matching slow.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// Longest pattern in characters: file systems allow names of 255 bytes.
const MAX_CHARACTERS: usize = 255;

/// What dates and times are made of: the letter after `%`, and what it stands for in a name.
const PARTS: &[(char, &str)] = &[
    ('Y', "[0-9]{4}"),
    ('y', "[0-9]{2}"),
    ('m', "(?:0[1-9]|1[0-2])"),
    ('d', "(?:0[1-9]|[12][0-9]|3[01])"),
    ('j', "(?:00[1-9]|0[1-9][0-9]|[12][0-9]{2}|3[0-5][0-9]|36[0-6])"),
    ('H', "(?:[01][0-9]|2[0-3])"),
    ('M', "[0-5][0-9]"),
    ('S', "(?:[0-5][0-9]|60)"),
    ('b', "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"),
    ('F', "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"),
];

/// A pattern of file names.
#[derive(Clone, Debug)]
pub struct NamePattern {
    written: String,
    names: Vec<String>,
    regex: Regex,
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
        let mut compiler = Compiler { pattern, at: 0, expression: String::from(r"\A"), names: Vec::new() };
        compiler.run()?;
        compiler.expression.push_str(r"\z");
        let regex = RegexBuilder::new(&compiler.expression)
            .case_insensitive(true)
            .build()
            .map_err(|_| whole("this pattern is too long"))?;
        Ok(Self { written: pattern.to_owned(), names: compiler.names, regex })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What the captures take from `name`, a file name without folders; none when the name does not match.
    #[must_use]
    pub fn matches(&self, name: &str) -> Option<Captures> {
        let found = self.regex.captures(name)?;
        let text = |index: usize| found.get(index + 1).map_or("", |part| part.as_str());
        let captures =
            self.names.iter().enumerate().map(|(index, name)| (name.clone(), text(index).to_owned()));
        Some(Captures(captures.collect()))
    }
}

struct Compiler<'a> {
    pattern: &'a str,
    at: usize,
    expression: String,
    names: Vec<String>,
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
        if self.names.iter().any(|known| known == name) {
            return Err(self.error(end + 1, &format!("there is a capture `{name}` already")));
        }
        self.expression.push('(');
        match format {
            None => self.expression.push_str(r"[^/\\]+"),
            Some(format) => self.format(format, 1 + name.len() + 1)?,
        }
        self.expression.push(')');
        self.names.push(name.to_owned());
        self.at += end + 1;
        Ok(())
    }

    /// A format that stands `offset` bytes behind the opening brace.
    fn format(&mut self, format: &str, offset: usize) -> Result<(), PatternError> {
        let problem = |at: usize, length: usize, message: String| {
            let start = self.at + offset + at;
            Err(PatternError { message, part: start..start + length })
        };
        if !format.contains('%') {
            let message = "a format is made of parts such as %Y, %m and %d".to_owned();
            return problem(0, format.len(), message);
        }
        let mut expression = String::new();
        let mut characters = format.char_indices();
        while let Some((at, character)) = characters.next() {
            if character != '%' {
                expression.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
                continue;
            }
            let letter = characters.next().map(|(_, letter)| letter);
            match PARTS.iter().find(|(known, _)| Some(*known) == letter) {
                Some((_, digits)) => expression.push_str(digits),
                None if letter == Some('%') => expression.push('%'),
                None => {
                    let known: Vec<String> = PARTS.iter().map(|(letter, _)| format!("%{letter}")).collect();
                    let letter = letter.map(String::from).unwrap_or_default();
                    let message =
                        format!("there is no `%{letter}` in file names; possible: {}", known.join(", "));
                    return problem(at, 1 + letter.len(), message);
                }
            }
        }
        self.expression.push_str(&expression);
        Ok(())
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
