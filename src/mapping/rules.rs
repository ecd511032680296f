//! The rules on a column's text.

use std::ops::Range;

use regex::Regex;

use super::{plan::TextRule, written::ColumnWritten};

/// Takes a finding: the key, the part of its text (all of it when none), and what is wrong.
pub type Report<'a> = &'a mut dyn FnMut(&'static str, Option<Range<usize>>, &str);

/// The rules of a column in the order in which they run; those that make no sense are reported and left out.
pub fn compile(written: &ColumnWritten, report: Report<'_>) -> Vec<TextRule> {
    if let (Some(least), Some(most)) = (written.min_length, written.max_length)
        && least > most
    {
        report("max_length", None, "this is less than `min_length`: no value would pass");
    }
    let mut rules = Vec::new();
    rules.extend(written.min_length.map(TextRule::MinLength));
    rules.extend(written.max_length.map(TextRule::MaxLength));
    if let Some(pattern) = &written.pattern {
        match whole(pattern) {
            Ok(regex) => rules.push(TextRule::Pattern(regex, pattern.as_str().into())),
            Err((part, message)) => {
                report("pattern", part, &format!("this is not a regular expression: {message}"));
            }
        }
    }
    if let Some(words) = &written.one_of {
        rules.push(TextRule::OneOf(words.iter().map(|word| word.as_str().into()).collect()));
    }
    rules.extend(written.is.map(TextRule::Is));
    rules
}

/// A regular expression that matches `pattern` from the first to the last character of a text.
fn whole(pattern: &str) -> Result<Regex, (Option<Range<usize>>, String)> {
    if let Err(error) = regex_syntax::parse(pattern) {
        return Err(match error {
            regex_syntax::Error::Parse(error) => (Some(bytes(error.span())), error.kind().to_string()),
            regex_syntax::Error::Translate(error) => (Some(bytes(error.span())), error.kind().to_string()),
            other => (None, other.to_string()),
        });
    }
    // The line end closes a comment that a pattern in verbose mode may end with.
    Regex::new(&format!(r"\A(?:{pattern})\z"))
        .or_else(|_| Regex::new(&format!("\\A(?:{pattern}\n)\\z")))
        .map_err(|_| (None, "it is too large".to_owned()))
}

fn bytes(span: &regex_syntax::ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_value() {
        let regex = whole("SO-\\d+|x").unwrap();
        assert!(regex.is_match("SO-12") && regex.is_match("x"));
        assert!(!regex.is_match("xSO-12") && !regex.is_match("SO-12\n") && !regex.is_match("xx"));
        assert!(whole("(?x) ab # two letters").unwrap().is_match("ab"));
        assert!(whole("a|ab").unwrap().is_match("ab"));
    }

    #[test]
    fn a_bad_pattern_says_what_and_where() {
        let (part, message) = whole("ab(c").unwrap_err();
        assert_eq!(part, Some(2..3));
        assert_eq!(message, "unclosed group");
        let (part, message) = whole(r"\p{Nonsense}").unwrap_err();
        assert_eq!(part, Some(0..12));
        assert!(message.contains("property"), "{message}");
        assert!(whole("a)(b").is_err());
    }

    #[test]
    fn a_pattern_that_would_grow_without_limit_is_refused() {
        assert_eq!(whole("(((a{100}){100}){100}){100}").unwrap_err().1, "it is too large");
    }
}
