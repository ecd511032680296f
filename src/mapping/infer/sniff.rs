//! The layout of a sample: what is found by looking at its start and its end only.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::{
    InferError,
    dialect::{self, MOST_ROWS, Row},
    encoding::{self, Found},
    header,
};
use crate::formats::{
    TrailerOptions,
    csv::{CsvOptions, scan::Dialect},
};

/// Bytes that are looked at from the start of a sample.
pub const HEAD_BYTES: usize = 1 << 20;
/// Bytes that are looked at from its end.
pub const TAIL_BYTES: usize = 1 << 16;
/// Records of the end that are compared with the last one.
const TAIL_ROWS: usize = 200;

/// What a sample looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sniffed {
    /// The encoding.
    pub encoding: &'static Encoding,
    /// Nothing proves the encoding.
    pub encoding_guessed: bool,
    /// A byte order mark says it.
    pub has_mark: bool,
    /// Between fields.
    pub delimiter: String,
    /// Around fields.
    pub quote: Option<u8>,
    /// Before an ordinary character.
    pub escape: Option<u8>,
    /// Before a line that is no record.
    pub comment: Option<u8>,
    /// Lines before the header, or before the first record.
    pub skip_rows: u32,
    /// The names of the columns, trimmed; those without a name are empty. None when there is no header.
    pub header: Option<Vec<String>>,
    /// Why the columns are taken by their numbers although there is a header.
    pub by_number: Option<String>,
    /// Fields of a record.
    pub width: usize,
    /// Each line ends with a delimiter.
    pub trailing_delimiter: bool,
    /// The last record, when it is a trailer: how it begins.
    pub trailer: Option<String>,
}

impl Sniffed {
    /// The options of the format.
    #[must_use]
    pub fn options(&self) -> CsvOptions {
        let one = |byte: u8| char::from(byte).to_string();
        CsvOptions {
            delimiter: self.delimiter.clone(),
            quote: self.quote.map_or_else(String::new, one),
            escape: self.escape.map(one),
            comment: self.comment.map(one),
            skip_rows: self.skip_rows,
            trailing_delimiter: self.trailing_delimiter,
            encoding: self.label(),
            header: self.names_columns(),
            trailer: self.trailer.clone().map(|starts_with| TrailerOptions {
                starts_with,
                count: None,
                offset: 0,
            }),
            ..CsvOptions::default()
        }
    }

    /// True when columns are found by the names of the header.
    #[must_use]
    pub fn names_columns(&self) -> bool {
        self.header.is_some() && self.by_number.is_none()
    }

    /// The label of the encoding in a mapping.
    #[must_use]
    pub fn label(&self) -> String {
        self.encoding.name().to_ascii_lowercase()
    }
}

/// Looks at a sample: at `head`, its first bytes, up to [`HEAD_BYTES`], and at `tail`, its last ones, up to
/// [`TAIL_BYTES`]; `size` is that of all of it. `forced` is an encoding that is known better.
///
/// # Errors
/// When there is nothing to be found out.
pub fn sniff(head: &[u8], tail: &[u8], size: u64, forced: Option<Found>) -> Result<Sniffed, InferError> {
    if size == 0 || head.is_empty() {
        return Err(InferError::Empty);
    }
    let whole = head.len() as u64 >= size;
    let Found { encoding, mark_bytes, guessed } = match forced {
        Some(found) => found,
        None => encoding::find(head, whole)?,
    };
    let text = decoded(encoding, head.get(mark_bytes..).unwrap_or_default());
    let (said, body) = separator_line(&text);
    if body.trim().is_empty() {
        return Err(InferError::Empty);
    }
    let mut dialect = dialect::find(body, whole, said);
    let mut rows = dialect::rows(body, &dialect, whole, MOST_ROWS);
    if rows.is_empty() {
        return Err(InferError::Unclear(format!(
            "the first line goes on beyond {HEAD_BYTES} bytes; if this is a table, its line ends are missing"
        )));
    }
    let width = usual_width(&rows);
    if width > 1 && rows.iter().any(|row| is_remark(row) && row.cells.len() != width) {
        dialect.comment = Some(b'#');
        rows.retain(|row| !is_remark(row));
    }
    let layout = header::find(&rows, width);
    let delimiter = String::from_utf8_lossy(&dialect.delimiter).into_owned();
    let mut sniffed = Sniffed {
        encoding,
        encoding_guessed: guessed,
        has_mark: mark_bytes > 0,
        delimiter,
        quote: dialect.quote,
        escape: dialect.escape,
        comment: dialect.comment,
        skip_rows: u32::try_from(layout.skip_rows).unwrap_or(u32::MAX),
        header: layout.header,
        by_number: layout.by_number,
        width: layout.width,
        trailing_delimiter: layout.trailing_delimiter,
        trailer: None,
    };
    let records = rows.get(layout.first..).unwrap_or_default();
    let not_records = layout.first + usize::from(said.is_some());
    sniffed.trailer = End { tail, size, encoding, not_records }.trailer(&dialect, records, width, whole);
    Ok(sniffed)
}

/// Makes the layouts of several samples of one feed the same where they may differ by chance.
///
/// # Errors
/// When they are not of one feed.
pub fn agree(samples: &mut [(String, Sniffed)]) -> Result<(), InferError> {
    let Some(((name, first), others)) = samples.split_first() else { return Ok(()) };
    for (other_name, other) in others {
        let differ = |what: &str, one: &str, two: &str| {
            Err(InferError::Differ(format!("{name} has {what} {one}, {other_name} has {two}")))
        };
        if first.delimiter != other.delimiter {
            let shown = |sniffed: &Sniffed| format!("\"{}\"", sniffed.delimiter.escape_default());
            return differ("the delimiter", &shown(first), &shown(other));
        }
        let header = |sniffed: &Sniffed| if sniffed.header.is_some() { "a header" } else { "none" };
        if first.header.is_some() != other.header.is_some() {
            return differ("in its first record", header(first), header(other));
        }
        if first.names_columns() && other.names_columns() && first.skip_rows != other.skip_rows {
            return differ(
                "lines before the header:",
                &first.skip_rows.to_string(),
                &other.skip_rows.to_string(),
            );
        }
    }
    let rare = |find: fn(&Sniffed) -> bool, all: &[(String, Sniffed)]| {
        all.iter().find(|(_, s)| find(s)).map(|(_, s)| s.clone())
    };
    let unusual = rare(|sniffed| sniffed.quote != Some(b'"') || sniffed.escape.is_some(), samples);
    let remarks = rare(|sniffed| sniffed.comment.is_some(), samples);
    let numbered = rare(|sniffed| sniffed.by_number.is_some(), samples);
    let encoded = rare(|sniffed| sniffed.encoding != UTF_8, samples);
    let trailer = samples.first().and_then(|(_, sniffed)| sniffed.trailer.clone());
    let same_trailer = samples.iter().all(|(_, sniffed)| sniffed.trailer == trailer);
    for (_, sniffed) in samples {
        if let Some(other) = &unusual {
            (sniffed.quote, sniffed.escape) = (other.quote, other.escape);
        }
        if let Some(other) = &remarks {
            sniffed.comment = other.comment;
        }
        if let Some(other) = &numbered
            && sniffed.by_number.is_none()
        {
            sniffed.by_number = other.by_number.clone();
            sniffed.skip_rows = sniffed.skip_rows.saturating_add(u32::from(sniffed.header.is_some()));
        }
        if let Some(other) = &encoded
            && other.encoding_guessed
            && sniffed.encoding == UTF_8
        {
            (sniffed.encoding, sniffed.encoding_guessed) = (other.encoding, true);
        }
        if !same_trailer {
            sniffed.trailer = None;
        }
    }
    Ok(())
}

fn decoded(encoding: &'static Encoding, bytes: &[u8]) -> String {
    if encoding == UTF_8 {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

/// The delimiter of a first line `sep=;`, and the text behind it.
fn separator_line(text: &str) -> (Option<&str>, &str) {
    let line = text.lines().next().unwrap_or_default();
    match line.get(..4) {
        Some(start)
            if start.eq_ignore_ascii_case("sep=")
                && line.get(4..).is_some_and(|d| d.chars().count() == 1) =>
        {
            let rest = text.get(line.len()..).unwrap_or_default();
            let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r'])).unwrap_or(rest);
            (line.get(4..), rest)
        }
        _ => (None, text),
    }
}

fn is_remark(row: &Row) -> bool {
    row.cells.first().is_some_and(|cell| cell.starts_with('#'))
}

/// How many fields most records have; of two numbers the larger one, as titles and remarks have few.
fn usual_width(rows: &[Row]) -> usize {
    let mut widths: Vec<(usize, usize)> = Vec::new();
    for row in rows {
        match widths.iter_mut().find(|(width, _)| *width == row.cells.len()) {
            Some((_, count)) => *count += 1,
            None => widths.push((row.cells.len(), 1)),
        }
    }
    widths.into_iter().max_by_key(|(width, count)| (*count, *width)).map_or(1, |(width, _)| width)
}

/// Words with which trailers begin.
const TRAILER_WORDS: [&str; 24] = [
    "t",
    "z",
    "tr",
    "tl",
    "trl",
    "tlr",
    "trlr",
    "trailer",
    "ftr",
    "footer",
    "eof",
    "end",
    "ende",
    "fin",
    "total",
    "totals",
    "totale",
    "grand total",
    "sum",
    "summe",
    "gesamt",
    "count",
    "control",
    "99",
];

/// The end of a sample.
struct End<'a> {
    tail: &'a [u8],
    size: u64,
    encoding: &'static Encoding,
    /// Rows at the start of the sample that are no records.
    not_records: usize,
}

impl End<'_> {
    fn rows(&self, dialect: &Dialect) -> Vec<Row> {
        let from = self.size.saturating_sub(self.tail.len() as u64);
        // A piece of UTF-16 begins with a whole unit.
        let odd = (self.encoding == UTF_16LE || self.encoding == UTF_16BE) && from % 2 == 1;
        let text = decoded(self.encoding, self.tail.get(usize::from(odd)..).unwrap_or_default());
        if from == 0 {
            let rows = dialect::rows(&text, dialect, true, usize::MAX);
            return rows.into_iter().skip(self.not_records).collect();
        }
        // The first line of the piece is most likely the end of one.
        let text = text.split_once('\n').map_or("", |(_, rest)| rest);
        dialect::rows(text, dialect, true, usize::MAX)
    }

    /// How the trailer begins, if the last record is one. `records` are the first ones of the sample, all of them when it
    /// is `whole` and small.
    fn trailer(&self, dialect: &Dialect, records: &[Row], width: usize, whole: bool) -> Option<String> {
        if width < 2 || records.len() < 3 {
            return None;
        }
        let mut last_rows = self.rows(dialect);
        let last = last_rows.pop()?;
        let start = last.cells.first()?.trim();
        let before = last_rows.get(last_rows.len().saturating_sub(TAIL_ROWS)..).unwrap_or_default();
        let early = records.split_last().map_or(records, |(_, early)| if whole { early } else { records });
        let others = || {
            let rows = early.iter().chain(before).filter(|row| row.cells.len() == width);
            rows.filter_map(|row| row.cells.first())
        };
        let is_known = |word: &str| TRAILER_WORDS.iter().any(|known| word.eq_ignore_ascii_case(known));
        let is_word = is_known(start) || leading_letters(start).is_some_and(is_known);
        let looks_alike = others().any(|other| shape(other) == shape(start));
        let says_number = last.cells.iter().skip(1).any(|cell| cell.chars().any(|c| c.is_ascii_digit()));
        let is_trailer = if last.cells.len() == width {
            is_word && says_number && (last.filled() < width || !looks_alike)
        } else {
            is_word || !looks_alike
        };
        let begins = match leading_letters(start) {
            Some(letters) => letters.to_owned(),
            None if start.starts_with('(') => "(".to_owned(),
            None => start.chars().take(20).collect(),
        };
        let is_only = !others().any(|other| other.starts_with(&begins));
        (!start.is_empty() && is_trailer && is_only).then_some(begins)
    }
}

/// The letters before the digits of `TRL00012`; none when there are no digits behind letters.
fn leading_letters(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphabetic())?;
    let (letters, rest) = text.split_at(end);
    (letters.len() > 1 && rest.bytes().all(|byte| byte.is_ascii_digit())).then_some(letters)
}

/// A text with letters and digits made alike.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for c in text.chars().take(40) {
        let class = if c.is_ascii_digit() {
            '9'
        } else if c.is_alphabetic() {
            'a'
        } else {
            c
        };
        if !shape.ends_with(class) {
            shape.push(class);
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Sniffed {
        sniff(text.as_bytes(), text.as_bytes(), text.len() as u64, None).unwrap()
    }

    #[test]
    fn a_trailer_is_a_last_record_unlike_the_others() {
        let file =
            |last: &str| format!("no;name;amount\n1001;Ada;1,50\n1002;Bob;2,50\n1003;Cy;3,00\n{last}\n");
        assert_eq!(of(&file("TRL;3;7,00")).trailer.as_deref(), Some("TRL"));
        assert_eq!(of(&file("Total;;7,00")).trailer.as_deref(), Some("Total"));
        assert_eq!(of(&file("(3 rows affected)")).trailer.as_deref(), Some("("));
        assert_eq!(of(&file("TRL000003")).trailer.as_deref(), Some("TRL"));
        assert_eq!(of(&file("1004;Dee")).trailer, None);
        assert_eq!(of(&file("1004;Dee;1,00")).trailer, None);
    }

    #[test]
    fn preamble_remarks_and_a_separator_line_are_told_from_records() {
        let found =
            of("sep=;\nAccounts of the bank\nas of 01.02.2025\n\nno;name;amount\n1;Ada;2\n2;Bob;3\n3;Cy;4\n");
        assert_eq!((found.skip_rows, found.delimiter.as_str()), (3, ";"));
        assert_eq!(found.header, Some(vec!["no".to_owned(), "name".to_owned(), "amount".to_owned()]));
        let found = of("# made by hand\na,b,c\n1,2,x\n# a remark\n3,4,y\n5,6,z\n");
        assert_eq!((found.comment, found.skip_rows), (Some(b'#'), 0));
    }

    #[test]
    fn a_delimiter_at_the_end_of_each_line_ends_no_field() {
        let found = of("a;b;c;\n1;2;x;\n3;4;y;\n");
        assert!(found.trailing_delimiter && found.width == 3);
        let found = of("a;b;c\n1;2;x;\n3;4;y;\n5;6;z;\n");
        assert!(found.trailing_delimiter && found.width == 3 && found.names_columns());
    }

    #[test]
    fn a_file_without_line_ends_or_content_is_said_to_be_one() {
        assert!(matches!(sniff(b"", b"", 0, None), Err(InferError::Empty)));
        assert!(matches!(sniff(b" \n\n", b"", 3, None), Err(InferError::Empty)));
        let long = vec![b'x'; HEAD_BYTES];
        assert!(matches!(sniff(&long, &long, 1 << 30, None), Err(InferError::Unclear(_))));
    }
}
