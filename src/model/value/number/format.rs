//! How the numbers of one column are written, checked once when a mapping is.

use serde::{Deserialize, Serialize};

use super::plain;

/// What a sign can be; the minus has two forms.
pub(super) const SIGNS: [char; 3] = ['-', '\u{2212}', '+'];

/// How a number may show that it is below zero. A leading minus (`-5`, or U+2212) is always accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Negative {
    /// Only by a leading minus: `-5`.
    #[default]
    Leading,
    /// Also by a minus behind the number: `5-`. A plus may stand there too.
    Trailing,
    /// Also by parentheses: `(5)`.
    Parentheses,
}

/// How the numbers of one column are written.
#[derive(Clone, Debug)]
pub struct NumberFormat {
    pub(super) decimal_mark: char,
    /// The decimal mark when it is ASCII, else a byte that UTF-8 never has.
    pub(super) decimal_byte: u8,
    /// The group mark likewise; of several that count, the ASCII one.
    pub(super) group_byte: u8,
    pub(super) group_mark: GroupMark,
    pub(super) negative: Negative,
    /// Longest first, so that "EUR" is not taken for an "E" with a rest.
    pub(super) strip: Box<[Box<str>]>,
}

/// What may stand between groups of three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupMark {
    None,
    /// Space, and the spaces that typesetters and French systems use in its place.
    Space,
    /// `'` and the typographic `’`.
    Apostrophe,
    Other(char),
}

impl GroupMark {
    fn new(mark: Option<char>) -> Self {
        match mark {
            None => Self::None,
            Some(mark) if Self::Space.is(mark) => Self::Space,
            Some(mark) if Self::Apostrophe.is(mark) => Self::Apostrophe,
            Some(mark) => Self::Other(mark),
        }
    }

    pub(super) fn is(self, c: char) -> bool {
        match self {
            Self::None => false,
            // Space, no-break, figure, thin and narrow no-break space.
            Self::Space => matches!(c, ' ' | '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}'),
            Self::Apostrophe => matches!(c, '\'' | '\u{2019}'),
            Self::Other(mark) => c == mark,
        }
    }

    fn shown(self) -> Option<char> {
        match self {
            Self::None => None,
            Self::Space => Some(' '),
            Self::Apostrophe => Some('\''),
            Self::Other(mark) => Some(mark),
        }
    }
}

impl Default for NumberFormat {
    /// `1234.56`, a leading minus, nothing stripped.
    fn default() -> Self {
        Self {
            decimal_mark: '.',
            decimal_byte: b'.',
            group_byte: plain::NO_MARK,
            group_mark: GroupMark::None,
            negative: Negative::Leading,
            strip: Box::default(),
        }
    }
}

impl NumberFormat {
    /// Compiles a format.
    ///
    /// `group_mark` stands between groups of three digits; a space covers no-break, narrow and thin spaces, and `'`
    /// covers `’`. The texts of `strip` ("EUR", "€", "%") may stand once at either end, with or without white space
    /// and in any ASCII case.
    ///
    /// # Errors
    /// A sentence for the admin when the marks cannot be told apart from each other or from digits, letters and
    /// signs, or when a text to strip would take a part of the number away.
    pub fn new(
        decimal_mark: char,
        group_mark: Option<char>,
        negative: Negative,
        strip: Vec<String>,
    ) -> Result<Self, String> {
        let groups = GroupMark::new(group_mark);
        if is_no_mark(decimal_mark) || decimal_mark.is_whitespace() {
            return Err(format!("`{}` cannot be a decimal mark", decimal_mark.escape_default()));
        }
        if let Some(mark) = group_mark.filter(|mark| is_no_mark(*mark)) {
            return Err(format!("`{}` cannot be a group mark", mark.escape_default()));
        }
        if groups.is(decimal_mark) {
            return Err(format!("`{decimal_mark}` cannot be both the decimal mark and the group mark"));
        }
        let mut texts: Vec<Box<str>> = Vec::with_capacity(strip.len());
        for text in &strip {
            let text = text.trim();
            let sole = text.chars().next().filter(|c| text.len() == c.len_utf8());
            let is_part_of_number = |c| is_sign(c) || c == decimal_mark || groups.is(c);
            let takes_part = text.contains(|c: char| c.is_ascii_digit())
                || text.starts_with(SIGNS)
                || sole.is_some_and(is_part_of_number);
            if text.is_empty() || takes_part {
                let shown = text.escape_debug();
                return Err(format!(
                    "`{shown}` cannot be stripped, as it would take away a part of the number"
                ));
            }
            texts.push(text.into());
        }
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Ok(Self {
            decimal_mark,
            decimal_byte: ascii_byte(Some(decimal_mark)),
            group_byte: ascii_byte(groups.shown()),
            group_mark: groups,
            negative,
            strip: texts.into(),
        })
    }

    /// A whole number in this format, for messages.
    pub(super) fn whole_example(&self) -> String {
        let group = self.group_mark.shown().map_or_else(String::new, String::from);
        format!("1{group}234")
    }

    /// A number in this format, for messages.
    pub(super) fn example(&self) -> String {
        format!("{}{}56", self.whole_example(), self.decimal_mark)
    }
}

/// True for what a mark cannot be: it would be taken for a digit, a sign, a word or nothing.
fn is_no_mark(c: char) -> bool {
    c.is_alphanumeric() || c.is_control() || is_sign(c)
}

fn ascii_byte(mark: Option<char>) -> u8 {
    mark.and_then(|mark| u8::try_from(mark).ok()).filter(u8::is_ascii).unwrap_or(plain::NO_MARK)
}

fn is_sign(c: char) -> bool {
    SIGNS.contains(&c) || matches!(c, '(' | ')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_cannot_be_told_apart_are_refused() {
        for (mark, group, strip) in [
            ('.', Some('.'), ""),
            ('\'', Some('’'), ""),
            ('5', None, ""),
            ('e', None, ""),
            ('-', None, ""),
            (' ', None, ""),
            ('.', Some('0'), ""),
            ('.', Some('('), ""),
            ('.', Some('\n'), ""),
            ('.', None, " "),
            ('.', None, "-"),
            ('.', None, "."),
            ('.', Some(','), ","),
            ('.', None, "Q1"),
            ('.', None, "-EUR"),
        ] {
            let strip = if strip.is_empty() { Vec::new() } else { vec![strip.to_owned()] };
            let refused = NumberFormat::new(mark, group, Negative::Leading, strip.clone());
            assert!(refused.is_err(), "{mark:?} {group:?} {strip:?}");
        }
        assert!(NumberFormat::new('.', None, Negative::Leading, vec![".-".into(), "m²".into()]).is_ok());
    }

    #[test]
    fn the_longest_text_is_stripped_first() {
        let strip = ["E", "EUR", "EU"].map(String::from).to_vec();
        let format = NumberFormat::new('.', None, Negative::Leading, strip).expect("a good format");
        assert_eq!(format.integer("EUR 5"), Ok(5));
        assert_eq!(format.integer("5e"), Ok(5));
    }
}
