//! The rows of a returned report, as forgiving as spreadsheets are careless: rows may end early or in empty cells, and a
//! whole line may stand in one cell.

use std::io::Read;

use super::dialect::Written;
use crate::{
    formats::{
        Chunk, FormatError, Framer,
        csv::{
            Csv, CsvOptions, Table,
            scan::{self, Dialect, Fault, RawField},
        },
    },
    model::Reason,
};

/// A row of a report is a record and what is wrong with it: twice what a record usually may have.
const MOST_ROW_BYTES: u32 = 2 << 20;
/// No spreadsheet has more columns.
const MOST_COLUMNS: usize = 16_384;
/// Lines in one cell, as in records.
const MOST_ROW_LINES: u32 = 1000;

/// A returned report that is being read.
#[derive(Debug)]
pub struct ReturnedTable {
    /// The names of its columns.
    pub header: Vec<String>,
    /// Physical lines before the first row.
    pub lines_before: u64,
    framer: Box<dyn Framer>,
    dialect: Dialect,
}

/// One row of a chunk.
#[derive(Debug)]
pub struct Row {
    /// Its first byte in the chunk.
    pub byte: usize,
    /// Its length in bytes, the line end not counted.
    pub length: usize,
    /// Physical lines of the chunk before it.
    pub line: usize,
    /// Its cells, never more than columns. Programs leave out cells at the end that are empty; people leave out others.
    pub cells: Vec<String>,
    /// Why it cannot be read, as the rest of a sentence that begins with "the record".
    pub fault: Option<&'static str>,
}

impl Row {
    /// The cell of a column.
    #[must_use]
    pub fn cell(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }
}

/// The rows of a chunk.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows that hold anything.
    pub rows: Vec<Row>,
    /// Physical lines of the chunk.
    pub lines: usize,
}

impl ReturnedTable {
    /// Opens a report that is written so.
    ///
    /// # Errors
    /// [`FormatError::Refused`] when its header is broken, [`FormatError::Read`] when the disk fails.
    pub fn open(input: Box<dyn Read + Send>, written: Written) -> Result<Self, FormatError> {
        let options = CsvOptions {
            delimiter: written.delimiter.into(),
            encoding: written.encoding.name().to_owned(),
            max_record_bytes: MOST_ROW_BYTES,
            max_record_lines: MOST_ROW_LINES,
            ..CsvOptions::default()
        };
        let csv = Csv::new(options)
            .map_err(|_| FormatError::Read(std::io::Error::other("its dialect cannot be read")))?;
        let Table { mut header, dialect, framer, lines_before } = csv.open_table(input)?;
        if let [only] = header.as_slice() {
            let mut cells = Vec::new();
            if cells_in_one(only, &dialect, &mut cells) {
                header = cells.iter().map(|name| name.trim().to_owned()).collect();
            }
        }
        if header.len() > MOST_COLUMNS {
            let message = format!(
                "the corrected file has more than {MOST_COLUMNS} columns, which no report of ours has"
            );
            return Err(FormatError::Refused { reason: Reason::Header, message });
        }
        Ok(Self { header, lines_before, framer: Box::new(framer), dialect })
    }

    /// The next chunk of whole rows; none at the end.
    ///
    /// # Errors
    /// [`FormatError`] when it cannot be read on.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, FormatError> {
        Ok(self.framer.next_chunk()?.map(|mut chunk| {
            chunk.check_text();
            chunk
        }))
    }

    /// The rows of a chunk. Rows of nothing but empty cells are none.
    #[must_use]
    pub fn rows(&self, chunk: &Chunk) -> Rows {
        if let Some(large) = chunk.oversized {
            let row = Row {
                byte: 0,
                length: chunk.raw.len(),
                line: 0,
                cells: Vec::new(),
                fault: Some("is larger than a row of a corrected file may be (2 MiB)"),
            };
            return Rows { rows: vec![row], lines: usize::try_from(large.lines).unwrap_or(usize::MAX) };
        }
        let text = chunk.text();
        let mut rows = Rows::default();
        let (mut at, mut fields) = (0, Vec::new());
        while at < text.len() {
            let Some(found) = scan::record(text.as_bytes(), at, true, &self.dialect, &mut fields) else {
                break;
            };
            let cells = fields.iter().map(|field| cell(&text, *field, &self.dialect)).collect();
            let (byte, length) = chunk.place_of(at, found.end, found.next);
            let mut row = Row { byte, length, line: rows.lines, cells, fault: None };
            self.complete(&mut row, found.fault);
            if row.fault.is_none() && is_invalid(chunk, at, found.end) {
                row.fault = Some(
                    "holds bytes that are not valid in the file's encoding: save the file again as UTF-8",
                );
            }
            rows.lines += found.inner_lines + usize::from(found.next > found.end);
            at = found.next.max(at + 1);
            if row.fault.is_some() || row.cells.iter().any(|cell| !cell.trim().is_empty()) {
                rows.rows.push(row);
            }
        }
        rows
    }

    /// Takes the row apart if it stands in one cell, and sees that it has no more cells than there are columns.
    fn complete(&self, row: &mut Row, fault: Option<Fault>) {
        if let Some(fault) = fault {
            row.fault = Some(match fault {
                Fault::TextAfterQuote(_) => "has text after a closing quote",
                Fault::Unclosed(_) => "has a quote that does not close",
            });
            return;
        }
        let width = self.header.len();
        if width > 1
            && let [only] = row.cells.as_slice()
        {
            let mut cells = Vec::new();
            if cells_in_one(&only.clone(), &self.dialect, &mut cells) {
                row.cells = cells;
            }
        }
        if row.cells.iter().skip(width).any(|cell| !cell.trim().is_empty()) {
            row.fault = Some("has more cells than the header has columns");
            return;
        }
        row.cells.truncate(width);
    }
}

/// True when something between these bytes of the chunk's text is not valid in the encoding.
fn is_invalid(chunk: &Chunk, start: usize, end: usize) -> bool {
    let Some(decoded) = &chunk.decoded else { return false };
    let first = decoded.invalid.partition_point(|at| (*at as usize) < start);
    decoded.invalid.get(first).is_some_and(|at| (*at as usize) < end)
}

/// A cell's text, without its quotes.
fn cell(text: &str, field: RawField, dialect: &Dialect) -> String {
    let cell = text.get(field.start..field.end).unwrap_or_default();
    let quote = dialect.quote.map(char::from);
    let inner = quote.and_then(|quote| cell.strip_prefix(quote)?.strip_suffix(quote));
    match (inner, quote) {
        (Some(inner), Some(quote)) => inner.replace(&format!("{quote}{quote}"), &quote.to_string()),
        _ => cell.to_owned(),
    }
}

/// The cells of a line that a spreadsheet took for one cell, as it divides lines at another character.
fn cells_in_one(line: &str, dialect: &Dialect, cells: &mut Vec<String>) -> bool {
    let mut fields = Vec::new();
    let found = scan::record(line.as_bytes(), 0, true, dialect, &mut fields);
    let whole = found.is_some_and(|found| found.fault.is_none() && found.end == line.len());
    if line.is_empty() || !whole || fields.len() < 2 {
        return false;
    }
    cells.extend(fields.iter().map(|field| cell(line, *field, dialect)));
    true
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{super::dialect, *};

    /// A row's line, its cells, and whether something is wrong with it.
    type Seen = (usize, Vec<String>, bool);

    fn read(bytes: &[u8]) -> (Vec<String>, Vec<Seen>) {
        let written = dialect::written(&mut &*bytes).unwrap().expect("a returned report");
        let mut table = ReturnedTable::open(Box::new(Cursor::new(bytes.to_vec())), written).unwrap();
        let (mut found, mut lines) = (Vec::new(), table.lines_before as usize);
        while let Some(chunk) = table.next_chunk().unwrap() {
            let rows = table.rows(&chunk);
            for row in rows.rows {
                let raw = &chunk.raw[row.byte..row.byte + row.length];
                assert!(!raw.ends_with(b"\n"), "{raw:?}");
                found.push((lines + row.line + 1, row.cells, row.fault.is_some()));
            }
            lines += rows.lines;
        }
        (table.header, found)
    }

    fn texts(cells: &[&str]) -> Vec<String> {
        cells.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rows_that_end_early_or_in_empty_cells_have_no_more_cells_than_columns() {
        let (header, rows) = read(b"wharf_reject_id;a;b\r\n1;2\r\n3;4;5;;\r\n;;\r\n\r\n6;\"7;\"\"8\";9\r\n");
        assert_eq!(header, ["wharf_reject_id", "a", "b"]);
        assert_eq!(
            rows,
            [
                (2, texts(&["1", "2"]), false),
                (3, texts(&["3", "4", "5"]), false),
                (6, texts(&["6", "7;\"8", "9"]), false),
            ]
        );
    }

    #[test]
    fn a_line_in_one_cell_is_taken_apart() {
        let text = b"wharf_reject_id,a,b\r\n\"1,2,\"\"x, y\"\"\"\r\n3,4,5\r\n";
        assert_eq!(
            read(text).1,
            [(2, texts(&["1", "2", "x, y"]), false), (3, texts(&["3", "4", "5"]), false)]
        );
        let (header, rows) = read(b"\"wharf_reject_id,\"\"a\"\",b\"\r\n\"1,2,3\"\r\n");
        assert_eq!(
            (header, rows),
            (texts(&["wharf_reject_id", "a", "b"]), vec![(2, texts(&["1", "2", "3"]), false)])
        );
    }

    #[test]
    fn a_row_that_cannot_be_read_costs_no_other() {
        let (_, rows) = read(b"wharf_reject_id,a\n1,\"x\"y\n2,b,c\n3,d\n");
        let faults: Vec<bool> = rows.iter().map(|(_, _, fault)| *fault).collect();
        assert_eq!(faults, [true, true, false]);
    }

    #[test]
    fn utf_16_with_tabs_reads_as_utf_8_does() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let bytes =
            [&b"\xff\xfe"[..], &wide("wharf_reject_id\tName\r\n1\t\"Mül\nler\"\r\n2\tŁódź\r\n")].concat();
        assert_eq!(
            read(&bytes).1,
            [(2, texts(&["1", "Mül\nler"]), false), (4, texts(&["2", "Łódź"]), false),]
        );
        let broken = [&bytes[..], b"3\0\t\0\x00\xd8\r\0\n\0"].concat();
        let (_, rows) = read(&broken);
        assert_eq!(rows.iter().map(|(_, _, fault)| *fault).collect::<Vec<_>>(), [false, false, true]);
    }
}
