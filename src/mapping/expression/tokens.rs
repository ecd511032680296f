//! The tokens of an expression and where they stand: places for problems, and the limits that are kept before a parser
//! sees the text.

use std::ops::Range;

use sqlparser::{
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer},
};

use super::ExpressionProblem;

/// Longest expression in bytes: far beyond what a person writes or reads, and little enough to compile in no time.
const MAX_BYTES: usize = 64 * 1024;
/// Parentheses, calls and CASEs in one another: parsing, typing and running go down one call for each, and a thread of
/// ours has a stack of two megabytes.
const MAX_NESTING: usize = 40;
/// Operations on top of one another, those that stand in a row included (`a + b + c` are two): bounded for the same
/// reason.
const MAX_DEPTH: usize = 250;

/// The tokens of a text, white space and comments left out, with their places.
#[derive(Debug)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    tokens: Vec<(TokenWithSpan, Range<usize>)>,
}

impl<'t> Tokens<'t> {
    /// Splits a text into tokens.
    pub(super) fn read(text: &'t str) -> Result<Self, ExpressionProblem> {
        if text.len() > MAX_BYTES {
            let message = format!("an expression has at most {MAX_BYTES} bytes, this one has {}", text.len());
            return Err(ExpressionProblem::new(0..text.len(), message, None));
        }
        let mut found = Self { text, tokens: Vec::new() };
        let tokens =
            Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().map_err(|error| {
                let at = found.offset(error.location);
                let message = format!("this cannot be read: {}", lower_first(&error.message));
                ExpressionProblem::new(at..text.len(), message, None)
            })?;
        let tokens = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
        // Tokens come in order, so that one walk through the text finds all their places.
        let mut cursor = Cursor::new(text);
        for token in tokens {
            cursor.advance(token.span.start);
            let start = cursor.byte;
            cursor.advance(token.span.end);
            found.tokens.push((token, start..cursor.byte));
        }
        if found.tokens.is_empty() {
            let message = "there is no expression here";
            return Err(ExpressionProblem::new(0..text.len(), message.into(), None));
        }
        found.keep_limits()?;
        Ok(found)
    }

    /// The tokens for a parser.
    pub(super) fn for_parser(&self) -> Vec<TokenWithSpan> {
        self.tokens.iter().map(|(token, _)| token.clone()).collect()
    }

    /// The whole text.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// What stands at a place.
    pub(super) fn slice(&self, place: &Range<usize>) -> &'t str {
        self.text.get(place.clone()).unwrap_or_default()
    }

    /// The bytes of a span; the whole text for an empty one.
    pub(super) fn bytes(&self, span: Span) -> Range<usize> {
        if span.start.line == 0 {
            return 0..self.text.len();
        }
        let start = self.tokens.binary_search_by_key(&span.start, |(token, _)| token.span.start);
        let end = self.tokens.binary_search_by_key(&span.end, |(token, _)| token.span.end);
        let place = |found: Result<usize, usize>| found.ok().and_then(|at| self.tokens.get(at));
        let start = place(start).map_or_else(|| self.offset(span.start), |(_, place)| place.start);
        let end = place(end).map_or_else(|| self.offset(span.end), |(_, place)| place.end);
        start..end.max(start)
    }

    /// The byte at a location: lines and columns count from 1, columns in characters.
    pub(super) fn offset(&self, location: Location) -> usize {
        let mut cursor = Cursor::new(self.text);
        cursor.advance(location);
        cursor.byte
    }

    /// The place of the token that begins at a byte or behind it; the end of the text when there is none.
    pub(super) fn at(&self, byte: usize) -> Range<usize> {
        let found = self.tokens.iter().find(|(_, place)| place.start >= byte);
        found.map_or(self.text.len()..self.text.len(), |(_, place)| place.clone())
    }

    /// True when a word stands between two bytes.
    pub(super) fn word_between(&self, word: &str, between: Range<usize>) -> bool {
        self.tokens.iter().any(|(token, place)| {
            place.start >= between.start
                && place.end <= between.end
                && matches!(&token.token, Token::Word(found) if found.value.eq_ignore_ascii_case(word))
        })
    }

    /// The place with the token before it.
    pub(super) fn with_token_before(&self, place: Range<usize>) -> Range<usize> {
        let before = self.tokens.iter().rev().find(|(_, token)| token.end <= place.start);
        before.map_or(place.start, |(_, token)| token.start)..place.end
    }

    /// The place up to the parenthesis that closes the first one behind its start.
    pub(super) fn with_parentheses(&self, place: Range<usize>) -> Range<usize> {
        let mut depth = 0_usize;
        for (token, at) in self.tokens.iter().filter(|(_, at)| at.start >= place.start) {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen if depth <= 1 => return place.start..at.end.max(place.end),
                Token::RParen => depth -= 1,
                _ if depth == 0 && at.start >= place.end => break,
                _ => {}
            }
        }
        place
    }

    /// Looks at how deep the expression goes before anything follows it down.
    fn keep_limits(&self) -> Result<(), ExpressionProblem> {
        let mut levels = vec![Level::default()];
        for (token, place) in &self.tokens {
            match Role::of(&token.token) {
                Role::Open => levels.push(Level::default()),
                Role::Close if levels.len() > 1 => {
                    let inner = levels.pop().map_or(0, |inner| inner.depth());
                    if let Some(level) = levels.last_mut() {
                        level.below = level.below.max(inner + 1);
                    }
                }
                Role::Close => {}
                Role::Separator => {
                    if let Some(level) = levels.last_mut() {
                        *level = Level { best: level.depth(), ..Level::default() };
                    }
                }
                Role::Operator => {
                    if let Some(level) = levels.last_mut() {
                        level.operators += 1;
                    }
                }
                Role::Other => {}
            }
            if levels.len() > MAX_NESTING {
                return Err(too_deep(place.clone()));
            }
            if levels.last().is_some_and(|level| level.depth() > MAX_DEPTH) {
                let message = format!("more than {MAX_DEPTH} operations stand on one another here");
                let help = "`x IN (a, b, c)` takes the place of many comparisons";
                return Err(ExpressionProblem::new(place.clone(), message, Some(help.into())));
            }
        }
        Ok(())
    }
}

/// A place in a text that only goes forward.
struct Cursor<'t> {
    rest: std::str::Chars<'t>,
    at: Location,
    byte: usize,
}

impl<'t> Cursor<'t> {
    fn new(text: &'t str) -> Self {
        Self { rest: text.chars(), at: Location { line: 1, column: 1 }, byte: 0 }
    }

    /// Goes to a location, or to the end of the text.
    fn advance(&mut self, to: Location) {
        while self.at < to {
            let Some(character) = self.rest.next() else { return };
            self.byte += character.len_utf8();
            if character == '\n' {
                self.at = Location { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
        }
    }
}

/// The problem of an expression that is nested too deep.
pub(super) fn too_deep(place: Range<usize>) -> ExpressionProblem {
    let message = format!("an expression goes at most {MAX_NESTING} levels deep");
    ExpressionProblem::new(place, message, None)
}

/// What is known of one level of parentheses.
#[derive(Default)]
struct Level {
    /// Operators since the last separator.
    operators: usize,
    /// The depth of the deepest parentheses since then.
    below: usize,
    /// The deepest of what came before.
    best: usize,
}

impl Level {
    /// At most so many operations lie on one another.
    fn depth(&self) -> usize {
        self.best.max(self.operators + self.below)
    }
}

enum Role {
    Open,
    Close,
    Separator,
    Operator,
    Other,
}

impl Role {
    fn of(token: &Token) -> Self {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => Self::Open,
            Token::RParen | Token::RBracket | Token::RBrace => Self::Close,
            Token::Comma => Self::Separator,
            Token::Word(word) => match word.keyword {
                Keyword::CASE => Self::Open,
                Keyword::END => Self::Close,
                Keyword::WHEN | Keyword::THEN | Keyword::ELSE => Self::Separator,
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::INTERVAL
                | Keyword::AT
                | Keyword::COLLATE => Self::Operator,
                _ => Self::Other,
            },
            Token::Number(..) | Token::SingleQuotedString(_) | Token::EOF => Self::Other,
            // Whatever else stands between operands may be an operator.
            _ => Self::Operator,
        }
    }
}

/// The words of a library as the rest of a sentence.
pub(super) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
