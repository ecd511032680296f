//! Delimiter, quote and escape of a sample: the ones under which most records have the same number of fields.

use crate::formats::csv::scan::{self, Dialect, RawField};

/// Records that are looked at.
pub const MOST_ROWS: usize = 500;

/// Delimiters, and how much is believed of each. What stands in times and dates is none of them.
const DELIMITERS: [(&str, f64); 10] = [
    (",", 1.0),
    (";", 1.0),
    ("\t", 1.0),
    ("|", 1.0),
    ("\u{1f}", 1.0),
    ("\u{1}", 1.0),
    ("^", 0.9),
    ("~", 0.9),
    ("¦", 0.9),
    ("§", 0.9),
];

/// A record at the start or the end of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its fields, unquoted and trimmed.
    pub cells: Vec<String>,
    /// Physical lines before it.
    pub line: usize,
    /// Physical lines that it takes.
    pub lines: usize,
}

impl Row {
    /// How many fields are not empty.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.cells.iter().filter(|cell| !cell.is_empty()).count()
    }
}

/// The dialect with these marks.
#[must_use]
pub fn dialect(delimiter: &str, quote: Option<u8>, escape: Option<u8>) -> Dialect {
    Dialect {
        delimiter: delimiter.as_bytes().into(),
        quote,
        escape,
        comment: None,
        max_record_bytes: 1 << 20,
        max_record_lines: 1000,
    }
}

/// The records of `text` under a dialect, blank lines left out, `most` at most; `whole` says that the file ends with the
/// text.
#[must_use]
pub fn rows(text: &str, dialect: &Dialect, whole: bool, most: usize) -> Vec<Row> {
    let bytes = text.as_bytes();
    let (mut at, mut line, mut fields, mut found_rows) = (0, 0, Vec::new(), Vec::new());
    while at < bytes.len() && found_rows.len() < most {
        let Some(found) = scan::record(bytes, at, whole, dialect, &mut fields) else { break };
        let lines = 1 + found.inner_lines;
        if found.end > at && !fields.is_empty() {
            let cells = fields.iter().map(|field| cell(text, field, dialect)).collect();
            found_rows.push(Row { cells, line, lines });
        }
        line += lines;
        at = found.next;
    }
    found_rows
}

fn cell(text: &str, field: &RawField, dialect: &Dialect) -> String {
    let raw = text.get(field.start..field.end).unwrap_or_default();
    let Some(quote) = dialect.quote.map(char::from) else { return raw.trim().to_owned() };
    let inner = raw.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).unwrap_or(raw);
    let inner = inner.trim();
    match dialect.escape.map(char::from) {
        _ if !field.escaped => inner.to_owned(),
        Some(escape) => inner.replace(&format!("{escape}{quote}"), &quote.to_string()),
        None => inner.replace(&format!("{quote}{quote}"), &quote.to_string()),
    }
}

/// How well a dialect explains a text.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Score {
    value: f64,
    /// The share of the records that are of the width that explains most.
    share: f64,
    faults: usize,
}

fn score(text: &str, dialect: &Dialect, whole: bool) -> Score {
    let bytes = text.as_bytes();
    let (mut at, mut fields, mut records, mut faults) = (0, Vec::new(), 0_usize, 0);
    let mut widths: Vec<(usize, usize)> = Vec::new();
    while at < bytes.len() && records < MOST_ROWS {
        let Some(found) = scan::record(bytes, at, whole, dialect, &mut fields) else { break };
        if found.end > at && !fields.is_empty() {
            records += 1;
            faults += usize::from(found.fault.is_some());
            match widths.iter_mut().find(|(width, _)| *width == fields.len()) {
                Some((_, count)) => *count += 1,
                None => widths.push((fields.len(), 1)),
            }
        }
        at = found.next;
    }
    let share = |count: usize| count as f64 / records.max(1) as f64;
    let worth = |(width, count): &(usize, usize)| {
        let fields = if *width < 2 { 0.05 } else { (*width as f64 + 1.0).ln() };
        share(*count).powi(2) * fields
    };
    let best = widths.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)));
    Score {
        value: best.map_or(0.0, worth) * (1.0 - share(faults) / 2.0),
        share: best.map_or(0.0, |(_, count)| share(*count)),
        faults,
    }
}

/// Finds the dialect of `text`, the start of a sample. `said` is a delimiter that the sample itself names.
#[must_use]
pub fn find(text: &str, whole: bool, said: Option<&str>) -> Dialect {
    let delimiter = match said {
        Some(delimiter) => delimiter.to_owned(),
        None => find_delimiter(text, whole),
    };
    let doubled = dialect(&delimiter, Some(b'"'), None);
    let best = score(text, &doubled, whole);
    let single_quoted = text
        .lines()
        .take(MOST_ROWS)
        .filter(|line| line.contains(&format!("{delimiter}'")) && line.contains(&format!("'{delimiter}")))
        .count();
    if !text.contains('"') && single_quoted > 0 {
        let single = dialect(&delimiter, Some(b'\''), None);
        let found = score(text, &single, whole);
        if found.faults == 0
            && found.share >= best.share
            && single_quoted * 2 > text.lines().take(MOST_ROWS).count()
        {
            return single;
        }
    }
    if text.contains("\\\"") {
        let escaped = dialect(&delimiter, Some(b'"'), Some(b'\\'));
        let found = score(text, &escaped, whole);
        if found.faults < best.faults || found.value > best.value {
            return escaped;
        }
    }
    // Most quotes are broken, and without them the records are no less equal: they are ordinary characters.
    let with_quotes = text.lines().take(MOST_ROWS).filter(|line| line.contains('"')).count();
    if best.faults * 2 > with_quotes {
        let bare = dialect(&delimiter, None, None);
        if score(text, &bare, whole).share >= best.share {
            return bare;
        }
    }
    doubled
}

fn find_delimiter(text: &str, whole: bool) -> String {
    let scored =
        DELIMITERS.iter().filter(|(delimiter, _)| text.contains(delimiter)).map(|(delimiter, weight)| {
            let quoted = score(text, &dialect(delimiter, Some(b'"'), None), whole).value;
            let bare = score(text, &dialect(delimiter, None, None), whole).value * 0.8;
            (*delimiter, weight * quoted.max(bare))
        });
    let best = scored.max_by(|a, b| a.1.total_cmp(&b.1));
    match best {
        // Two strokes between fields look like an empty field between each two.
        Some(("|", _)) if text.matches('|').count() == 2 * text.matches("||").count() => "||".to_owned(),
        Some((delimiter, value)) if value > 0.1 => delimiter.to_owned(),
        _ => ",".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(text: &str) -> (String, Option<char>, Option<char>) {
        let found = find(text, true, None);
        let delimiter = String::from_utf8(found.delimiter.to_vec()).unwrap();
        (delimiter, found.quote.map(char::from), found.escape.map(char::from))
    }

    fn of(
        delimiter: &str,
        quote: Option<char>,
        escape: Option<char>,
    ) -> (String, Option<char>, Option<char>) {
        (delimiter.to_owned(), quote, escape)
    }

    #[test]
    fn the_delimiter_is_the_one_that_gives_records_of_equal_width() {
        assert_eq!(marks("a,b,c\n1,2,3\n"), of(",", Some('"'), None));
        assert_eq!(
            marks("No;Betrag;Tag\n1;1.234,56;01.02.2025\n2;3,00;02.02.2025\n"),
            of(";", Some('"'), None)
        );
        assert_eq!(marks("a\tb\n1,5\t2,5\n"), of("\t", Some('"'), None));
        assert_eq!(marks("a|b|c\n1|2|10:20\n"), of("|", Some('"'), None));
        assert_eq!(marks("a||b||c\n1||2||3\n"), of("||", Some('"'), None));
        assert_eq!(marks("name\n10:20\n11:30\n"), of(",", Some('"'), None));
    }

    #[test]
    fn quotes_and_escapes_are_those_that_leave_nothing_broken() {
        assert_eq!(marks("a,b\n\"x \\\" y\",2\n\"z\",3\n"), of(",", Some('"'), Some('\\')));
        assert_eq!(marks("a;b;c\n'x;y';'2';'3'\n'z';'3';'4'\n"), of(";", Some('\''), None));
        assert_eq!(marks("a\tb\n\"Best\" of\tx\n\"New\" one\ty\n"), of("\t", None, None));
        assert_eq!(marks("a,b\n\"x, y\",2\n\"z\"\"q\",3\n"), of(",", Some('"'), None));
    }

    #[test]
    fn rows_have_their_lines_and_their_cells_without_quotes() {
        let found = rows("a,b\n\n\"x\ny\", 2 \n\"p\"\"q\",3\n", &dialect(",", Some(b'"'), None), true, 10);
        let shown: Vec<_> = found.iter().map(|row| (row.cells.join("|"), row.line, row.lines)).collect();
        assert_eq!(
            shown,
            [("a|b".to_owned(), 0, 1), ("x\ny|2".to_owned(), 2, 2), ("p\"q|3".to_owned(), 4, 1)]
        );
    }
}
