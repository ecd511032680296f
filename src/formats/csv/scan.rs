//! The one definition of where a CSV record and its fields end, one record at a time.
//!
//! A field that begins with the quote runs to the closing quote; a doubled quote (or an escaped one) is part of it. A
//! quote inside an unquoted field is an ordinary character. Two things are wrong, and neither may cost more than the
//! record it stands in:
//!
//! - text after a closing quote on the line on which the quote opened: the record goes on as if the rest were
//!   unquoted, and is rejected;
//! - a quote that never closes: no closing quote within the size limits or before the end of the file, or one that is
//!   followed by text on a later line, which is where the next quoted field of a later record would begin. The record
//!   then ends with the line on which the quote opened, and the next line starts a new record.

/// What a CSV looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Between two fields; one character or several, never empty.
    pub delimiter: Box<[u8]>,
    /// Around a field, if there is such a thing.
    pub quote: Option<u8>,
    /// Makes the next character an ordinary one; without it, a quote inside quotes is doubled.
    pub escape: Option<u8>,
    /// A record that begins with it is no record.
    pub comment: Option<u8>,
    /// More bytes than this are not searched for a closing quote, and a record may have no more.
    pub max_record_bytes: usize,
    /// More lines than this are not searched for a closing quote.
    pub max_record_lines: usize,
}

/// A field's bytes in the record, quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawField {
    /// First byte.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// The text is not letter by letter what stands between the ends (or the quotes): something is escaped.
    pub escaped: bool,
}

/// What is wrong with a record's quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Text after a closing quote; the byte of the quote's field.
    TextAfterQuote(usize),
    /// A quote that never closes; its byte.
    Unclosed(usize),
}

/// A record as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// One past its last byte, the line end not counted.
    pub end: usize,
    /// Where the next record starts.
    pub next: usize,
    /// Line ends inside its quoted fields.
    pub inner_lines: usize,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

/// Finds the record that starts at `start`, and its fields. None when it may go on beyond `bytes`; with `last`,
/// `bytes` end with the file, and there is always an answer. `start` is less than the length of `bytes`.
pub fn record(
    bytes: &[u8],
    start: usize,
    last: bool,
    dialect: &Dialect,
    fields: &mut Vec<RawField>,
) -> Option<Found> {
    fields.clear();
    if dialect.comment.is_some() && bytes.get(start).copied() == dialect.comment {
        let (end, next) = line_end(bytes, start, last)?;
        return Some(Found { end, next, inner_lines: 0, fault: None });
    }
    let mut scan = Scan { bytes, last, dialect, inner_lines: 0, fault: None };
    let mut at = start;
    loop {
        let field = match scan.field(at)? {
            Field::Ends(field) => field,
            Field::Unclosed(quote) => {
                let (end, next) = line_end(bytes, quote, last)?;
                return Some(Found {
                    end,
                    next,
                    inner_lines: scan.inner_lines,
                    fault: Some(Fault::Unclosed(quote)),
                });
            }
        };
        fields.push(field);
        if bytes.get(field.end..).is_some_and(|rest| rest.starts_with(&dialect.delimiter)) {
            at = field.end + dialect.delimiter.len();
            continue;
        }
        let (end, next) = line_end(bytes, field.end, last)?;
        return Some(Found { end, next, inner_lines: scan.inner_lines, fault: scan.fault });
    }
}

/// The first line end at or after `at`: where it begins and where the next line begins. None when it may stand beyond
/// `bytes`.
pub fn line_end(bytes: &[u8], at: usize, last: bool) -> Option<(usize, usize)> {
    let Some(offset) = memchr::memchr2(b'\n', b'\r', bytes.get(at..).unwrap_or_default()) else {
        return last.then_some((bytes.len(), bytes.len()));
    };
    let end = at + offset;
    match (bytes.get(end), bytes.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => Some((end, end + 2)),
        (Some(b'\r'), None) if !last => None,
        _ => Some((end, end + 1)),
    }
}

/// Line ends in `bytes`: LF, CR LF and CR each count once.
#[must_use]
pub fn count_lines(bytes: &[u8]) -> usize {
    let feeds = memchr::memchr_iter(b'\n', bytes).count();
    let returns = memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n')).count();
    feeds + returns
}

/// Where framing outside quotes goes on after the quoted field that opens at `start`: at the delimiter or line end after
/// it, or on the next line when it never closes. None when that cannot be seen yet.
pub fn after_quoted(bytes: &[u8], start: usize, last: bool, dialect: &Dialect) -> Option<usize> {
    let mut scan = Scan { bytes, last, dialect, inner_lines: 0, fault: None };
    match scan.field(start)? {
        Field::Ends(field) => Some(field.end),
        Field::Unclosed(quote) => line_end(bytes, quote, last).map(|(_, next)| next),
    }
}

/// What follows the quote that opens at `start`. None when that cannot be seen yet.
pub fn quoted(bytes: &[u8], start: usize, last: bool, dialect: &Dialect) -> Option<Quoted> {
    Scan { bytes, last, dialect, inner_lines: 0, fault: None }.quoted(start)
}

/// The end of the unquoted text that starts at `start`. None when that cannot be seen yet.
pub fn unquoted_end(bytes: &[u8], start: usize, last: bool, dialect: &Dialect) -> Option<usize> {
    Scan { bytes, last, dialect, inner_lines: 0, fault: None }.unquoted_end(start).map(|(end, _)| end)
}

/// What became of a quote that opens a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoted {
    /// It closes before a delimiter, a line end or the end of the file.
    Closed {
        /// One past the closing quote.
        end: usize,
        /// Line ends between the quotes.
        lines: usize,
        /// Something between the quotes is escaped.
        escaped: bool,
    },
    /// It closes on the same line, but text follows.
    TextAfter {
        /// One past the closing quote.
        end: usize,
        /// Something between the quotes is escaped.
        escaped: bool,
    },
    /// It never closes.
    Unclosed,
}

enum Field {
    /// It ends before a delimiter, a line end or the end of the file.
    Ends(RawField),
    /// It begins with a quote, at this byte, that never closes.
    Unclosed(usize),
}

struct Scan<'a> {
    bytes: &'a [u8],
    last: bool,
    dialect: &'a Dialect,
    inner_lines: usize,
    fault: Option<Fault>,
}

impl Scan<'_> {
    fn field(&mut self, start: usize) -> Option<Field> {
        if !self.opens_quote(start) {
            let (end, escaped) = self.unquoted_end(start)?;
            return Some(Field::Ends(RawField { start, end, escaped }));
        }
        match self.quoted(start)? {
            Quoted::Closed { end, lines, escaped } => {
                self.inner_lines += lines;
                Some(Field::Ends(RawField { start, end, escaped }))
            }
            Quoted::TextAfter { end, escaped } => {
                self.fault.get_or_insert(Fault::TextAfterQuote(start));
                let (end, _) = self.unquoted_end(end)?;
                Some(Field::Ends(RawField { start, end, escaped }))
            }
            Quoted::Unclosed => Some(Field::Unclosed(start)),
        }
    }

    fn opens_quote(&self, start: usize) -> bool {
        self.dialect.quote.is_some() && self.bytes.get(start).copied() == self.dialect.quote
    }

    fn quoted(&self, start: usize) -> Option<Quoted> {
        let (close, escaped) = match self.closing_quote(start) {
            Closing::At(close, escaped) => (close, escaped),
            Closing::Never => return Some(Quoted::Unclosed),
            Closing::Beyond => return None,
        };
        let content = self.bytes.get(start..close).unwrap_or_default();
        let ends = self.ends_here(close + 1)?;
        let lines = match memchr::memchr2(b'\n', b'\r', content) {
            Some(first) => count_lines(content.get(first..).unwrap_or_default()),
            None => 0,
        };
        Some(match (ends, lines) {
            (_, lines) if lines > self.dialect.max_record_lines => Quoted::Unclosed,
            (true, lines) => Quoted::Closed { end: close + 1, lines, escaped },
            (false, 0) => Quoted::TextAfter { end: close + 1, escaped },
            (false, _) => Quoted::Unclosed,
        })
    }

    /// True when a field may end at `at`; none when that cannot be seen yet.
    fn ends_here(&self, at: usize) -> Option<bool> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        match rest.first() {
            None => self.last.then_some(true),
            Some(b'\n' | b'\r') => Some(true),
            Some(_) if rest.starts_with(&self.dialect.delimiter) => Some(true),
            Some(_) if !self.last && self.dialect.delimiter.starts_with(rest) => None,
            Some(_) => Some(false),
        }
    }

    fn closing_quote(&self, start: usize) -> Closing {
        let quote = self.dialect.quote.unwrap_or(b'"');
        let escape = self.dialect.escape.unwrap_or(quote);
        let limit = start.saturating_add(1).saturating_add(self.dialect.max_record_bytes);
        let window = self.bytes.get(..limit.min(self.bytes.len())).unwrap_or_default();
        let mut at = start + 1;
        let mut escaped = false;
        loop {
            let Some(offset) = memchr::memchr2(quote, escape, window.get(at..).unwrap_or_default()) else {
                let seen_enough = self.last || self.bytes.len() > limit;
                return if seen_enough { Closing::Never } else { Closing::Beyond };
            };
            let found = at + offset;
            let doubled = escape == quote;
            let is_quote = window.get(found) == Some(&quote);
            match self.bytes.get(found + 1) {
                None if !self.last => return Closing::Beyond,
                Some(next) if doubled && *next == quote => (escaped, at) = (true, found + 2),
                _ if is_quote => return Closing::At(found, escaped),
                _ => (escaped, at) = (true, found + 2),
            }
        }
    }

    /// The end of unquoted text, and whether something in it is escaped.
    fn unquoted_end(&self, start: usize) -> Option<(usize, bool)> {
        let first = self.dialect.delimiter.first().copied().unwrap_or(b',');
        let mut at = start;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let stop = rest.iter().position(|byte| {
                matches!(byte, b'\n' | b'\r') || *byte == first || Some(*byte) == self.dialect.escape
            });
            let Some(offset) = stop else { return self.last.then_some((self.bytes.len(), escaped)) };
            let found = at + offset;
            let byte = self.bytes.get(found).copied();
            if matches!(byte, Some(b'\n' | b'\r')) || self.ends_here(found)? {
                return Some((found, escaped));
            }
            // An escape outside quotes makes the next character an ordinary one; at the very end it is one itself.
            if byte == self.dialect.escape && byte.is_some() {
                if found + 1 >= self.bytes.len() {
                    return self.last.then_some((self.bytes.len(), escaped));
                }
                escaped = true;
                at = found + 2;
            } else {
                at = found + 1;
            }
        }
    }
}

enum Closing {
    /// The closing quote's byte, and whether anything before it is escaped.
    At(usize, bool),
    /// There is none within the limits.
    Never,
    /// It may stand beyond what is here.
    Beyond,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> Dialect {
        Dialect {
            delimiter: Box::from(*b","),
            quote: Some(b'"'),
            escape: None,
            comment: None,
            max_record_bytes: 1 << 20,
            max_record_lines: 1000,
        }
    }

    /// The records of `text` as lists of raw fields, a fault written as `!`.
    fn records(text: &str, dialect: &Dialect) -> Vec<String> {
        let bytes = text.as_bytes();
        let (mut at, mut fields, mut shown) = (0, Vec::new(), Vec::new());
        while at < bytes.len() {
            let found = record(bytes, at, true, dialect, &mut fields).unwrap();
            let parts: Vec<_> = fields.iter().map(|f| &text[f.start..f.end]).collect();
            shown.push(match found.fault {
                None => parts.join("|"),
                Some(_) => format!("!{}", &text[at..found.end]),
            });
            at = found.next;
        }
        shown
    }

    #[test]
    fn records_end_at_every_kind_of_line_end() {
        assert_eq!(records("a,b\nc,d\r\ne,f\rg,h", &dialect()), ["a|b", "c|d", "e|f", "g|h"]);
    }

    #[test]
    fn quoted_fields_hold_delimiters_line_ends_and_doubled_quotes() {
        assert_eq!(records("\"a,\n\"\"b\"\"\",c\nd,\"\"\n", &dialect()), ["\"a,\n\"\"b\"\"\"|c", "d|\"\""]);
        assert_eq!(records("12\" pipe,x\n", &dialect()), ["12\" pipe|x"]);
    }

    #[test]
    fn text_after_a_closing_quote_costs_one_record() {
        assert_eq!(records("1,\"x\"y,2\n3,4,5\n", &dialect()), ["!1,\"x\"y,2", "3|4|5"]);
        assert_eq!(records("1,\"x\"y,\"a\nb\"\n3,4,5\n", &dialect()), ["!1,\"x\"y,\"a\nb\"", "3|4|5"]);
    }

    #[test]
    fn an_unclosed_quote_costs_the_line_it_opens_on() {
        assert_eq!(
            records("1,a\n2,\"b\n3,c\n4,\"d\"\n5,e\n", &dialect()),
            ["1|a", "!2,\"b", "3|c", "4|\"d\"", "5|e"]
        );
        assert_eq!(records("1,\"b\n2,c\n3,d", &dialect()), ["!1,\"b", "2|c", "3|d"]);
        assert_eq!(records("1,\"a\nb\",\"c\n2,d\n", &dialect()), ["!1,\"a\nb\",\"c", "2|d"]);
    }

    #[test]
    fn a_quote_is_not_searched_beyond_the_limits() {
        let small = Dialect { max_record_bytes: 8, ..dialect() };
        assert_eq!(records("\"aaaa\naaaa\nbbbb\"\nc\n", &small), ["!\"aaaa", "aaaa", "bbbb\"", "c"]);
        let few = Dialect { max_record_lines: 1, ..dialect() };
        assert_eq!(records("\"a\nb\"\n\"c\nd\ne\"\n", &few), ["\"a\nb\"", "!\"c", "d", "e\""]);
    }

    #[test]
    fn escapes_work_inside_and_outside_quotes() {
        let escaped = Dialect { escape: Some(b'\\'), ..dialect() };
        assert_eq!(records("\"a\\\"b\",c\\,d\n\\\\,e\n", &escaped), ["\"a\\\"b\"|c\\,d", "\\\\|e"]);
        assert_eq!(records("a\\", &escaped), ["a\\"]);
    }

    #[test]
    fn delimiters_may_be_long_and_quotes_absent() {
        let long = Dialect { delimiter: Box::from(*b"||"), ..dialect() };
        assert_eq!(records("a|b||\"c||d\"||e\n", &long), ["a|b|\"c||d\"|e"]);
        let bare = Dialect { quote: None, ..dialect() };
        assert_eq!(records("\"a,b\"\n", &bare), ["\"a|b\""]);
    }

    #[test]
    fn a_record_is_not_decided_before_its_end_is_seen() {
        let mut fields = Vec::new();
        for text in ["a,b", "a,\"b", "a,\"b\"", "a,b\r", "a,\"b\"\r"] {
            assert_eq!(record(text.as_bytes(), 0, false, &dialect(), &mut fields), None, "{text:?}");
        }
        assert!(record(b"a,\"b\"\n", 0, false, &dialect(), &mut fields).is_some());
    }
}
