//! CSV and its kin: fields between delimiters, records on lines.
//!
//! Strict: a field that begins with a quote ends with one, every record has as many fields as the header, every byte is
//! valid in the file's encoding. What breaks that costs the record it stands in and is said with its place.

pub mod frame;
pub mod header;
pub mod scan;
pub mod split;
#[cfg(test)]
mod tests;
pub mod window;

use std::{io::Read, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Built, Chunk, Control, Format, FormatEntry, FormatError, Opened, OptionProblem, RawRecord, Records,
    Splitter, TrailerOptions, Wanted, text,
};
pub use header::folded;
use scan::Dialect;

/// The entry of this format in the table.
pub const ENTRY: FormatEntry = FormatEntry {
    name: "csv",
    summary: "Fields between delimiters, one record a line: CSV, TSV and their kin.",
    schema: |generator| generator.subschema_for::<CsvOptions>(),
    build,
};

/// Options of a CSV file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvOptions {
    /// Between two fields: one character, such as `";"` or `"\t"`, or several, such as `"||"`. A first line `sep=;` in
    /// the file wins.
    pub delimiter: String,
    /// Around fields that hold delimiters, quotes or line ends: one ASCII character, or `""` for files without quotes.
    pub quote: String,
    /// Makes the next character an ordinary one: one ASCII character, such as `"\\"`. Left out, a quote inside quotes is
    /// doubled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<String>,
    /// Lines that begin with this character are no records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Lines before the header (or the first record) that are left out.
    pub skip_rows: u32,
    /// True when each line ends with a delimiter that ends no field.
    pub trailing_delimiter: bool,
    /// The encoding, by any label of the WHATWG Encoding Standard. A byte order mark in the file wins.
    pub encoding: String,
    /// True when the first line names the columns. Names are compared without case, white space around them and
    /// non-breaking spaces. Without a header, `from` is a column number from 1.
    pub header: bool,
    /// What to do with columns of the header that no column of the mapping takes: leave them out, or refuse the file.
    pub unexpected: Unexpected,
    /// The last record counts the others. A file without it, or with another count, is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trailer: Option<TrailerOptions>,
    /// Sums that the trailer states, over all records of the file. A file in which one differs is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
    /// Largest record in bytes (1,024 to 67,108,864); a larger one is rejected. Also how far a closing quote is looked
    /// for.
    pub max_record_bytes: u32,
    /// Most lines in one quoted field; a quote that does not close within so many lines costs the line it stands in.
    pub max_record_lines: u32,
}

/// What to do with columns that the mapping does not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unexpected {
    /// Leave them out.
    #[default]
    Ignore,
    /// Refuse the file.
    Reject,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: ",".into(),
            quote: "\"".into(),
            escape: None,
            comment: None,
            skip_rows: 0,
            trailing_delimiter: false,
            encoding: "utf-8".into(),
            header: true,
            unexpected: Unexpected::Ignore,
            trailer: None,
            controls: Vec::new(),
            // A database row of a megabyte is rare; a lost quote is not, and costs a search this long.
            max_record_bytes: 1 << 20,
            max_record_lines: 1000,
        }
    }
}

/// The limits of `max_record_bytes`: below, ordinary records would not fit; above, the chunks under way would outgrow the
/// memory a site is given.
const RECORD_BYTES: std::ops::RangeInclusive<u32> = 1 << 10..=1 << 26;

/// A CSV format, its options checked.
#[derive(Clone, Debug)]
pub struct Csv {
    options: CsvOptions,
    dialect: Dialect,
    encoding: &'static encoding_rs::Encoding,
}

fn build(options: serde_json::Value) -> Built {
    let mut options = options;
    if let Some(table) = options.as_object_mut() {
        table.remove("type");
    }
    match serde_json::from_value::<CsvOptions>(options) {
        Ok(options) => Csv::new(options).map(|csv| Arc::new(csv) as Arc<dyn Format>),
        Err(error) => Err(vec![OptionProblem { path: Vec::new(), message: error.to_string(), help: None }]),
    }
}

impl Csv {
    /// Checks the options.
    ///
    /// # Errors
    /// Every option that makes no sense.
    pub fn new(options: CsvOptions) -> Result<Self, Vec<OptionProblem>> {
        let mut problems = Vec::new();
        let mut problem = |path: &[&'static str], message: &str, help: &str| {
            let help = (!help.is_empty()).then(|| help.to_owned());
            problems.push(OptionProblem { path: path.to_vec(), message: message.to_owned(), help });
        };
        if options.delimiter.is_empty() || options.delimiter.contains(['\n', '\r', '\0']) {
            problem(
                &["delimiter"],
                "a delimiter is one character or several, and no line end",
                "write \"\\t\" for a tab",
            );
        }
        let quote = one_ascii(&options.quote);
        if !options.quote.is_empty() && quote.is_none() {
            problem(&["quote"], "a quote is one ASCII character", "write \"\" for files without quotes");
        }
        for (key, value) in [("escape", &options.escape), ("comment", &options.comment)] {
            if value.as_deref().is_some_and(|text| one_ascii(text).is_none()) {
                problem(&[key], "this is one ASCII character", "leave the key out when there is none");
            }
        }
        let (escape, comment) =
            (options.escape.as_deref().and_then(one_ascii), options.comment.as_deref().and_then(one_ascii));
        let first = options.delimiter.bytes().next();
        for (key, mark) in [("quote", quote), ("escape", escape), ("comment", comment)] {
            if mark.is_some() && mark == first {
                problem(&[key], "this is the delimiter too", "the two must differ");
            }
        }
        if comment.is_some() && comment == quote {
            problem(&["comment"], "this is the quote too", "the two must differ");
        }
        let encoding = text::by_label(&options.encoding);
        if encoding.is_none() {
            problem(
                &["encoding"],
                "there is no encoding of this name",
                "write a label of the WHATWG Encoding Standard: utf-8, windows-1252, iso-8859-15, utf-16le, shift_jis, ...",
            );
        }
        if !RECORD_BYTES.contains(&options.max_record_bytes) {
            problem(&["max_record_bytes"], "the limit lies between 1024 and 67108864", "");
        }
        if options.max_record_lines == 0 {
            problem(&["max_record_lines"], "a record has at least one line", "");
        }
        if let Some(trailer) = &options.trailer {
            if trailer.starts_with.is_empty() {
                problem(
                    &["trailer", "starts_with"],
                    "the empty text begins every record",
                    "write how the trailer begins",
                );
            }
            if trailer.count == Some(0) {
                problem(&["trailer", "count"], "fields are numbered from 1", "");
            }
        } else if !options.controls.is_empty() {
            problem(
                &["controls"],
                "control totals stand in the trailer",
                "add `trailer = { starts_with = ... }`",
            );
        }
        if options.controls.iter().any(|control| control.sum == 0) {
            problem(&["controls"], "fields are numbered from 1", "");
        }
        let (true, Some(encoding)) = (problems.is_empty(), encoding) else { return Err(problems) };
        let dialect = Dialect {
            delimiter: options.delimiter.as_bytes().into(),
            // With an escape that is the quote itself, quotes are doubled.
            escape: escape.filter(|escape| Some(*escape) != quote),
            quote,
            comment,
            max_record_bytes: options.max_record_bytes as usize,
            max_record_lines: options.max_record_lines as usize,
        };
        Ok(Self { options, dialect, encoding })
    }
}

/// A file whose columns nobody has described: what its header names, and what cuts the rest into chunks.
#[derive(Debug)]
pub struct Table {
    /// The names of the columns, trimmed, as the file writes them.
    pub header: Vec<String>,
    /// The dialect, as the file's own `sep=` line may have changed it.
    pub dialect: Dialect,
    /// Cuts the records into chunks.
    pub framer: frame::CsvFramer,
    /// Physical lines that stand before the first record.
    pub lines_before: u64,
}

impl Csv {
    /// Opens a file for its header's sake, whatever its columns are.
    ///
    /// # Errors
    /// [`FormatError::Refused`] when there is no header, or it is broken; [`FormatError::Read`] when the disk fails.
    pub fn open_table(&self, input: Box<dyn Read + Send>) -> Result<Table, FormatError> {
        let mut head = self.head(input)?;
        let header = head.read_header(self.options.trailing_delimiter)?;
        let (dialect, lines_before) = (head.dialect.clone(), head.lines);
        let framer =
            frame::CsvFramer::new(head.into_rest(), dialect.clone(), header.len(), frame::CHUNK_BYTES);
        Ok(Table { header, dialect, framer, lines_before })
    }

    /// The start of a file, its preamble left out.
    fn head(&self, input: Box<dyn Read + Send>) -> Result<header::Head, FormatError> {
        let window = window::Window::open(input, self.encoding)?;
        let mut head = header::Head::new(window, self.dialect.clone());
        head.check_encoding(self.encoding)?;
        head.skip_preamble(self.options.skip_rows)?;
        Ok(head)
    }
}

fn one_ascii(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(*byte),
        _ => None,
    }
}

/// For each wanted column the place among `names` that holds it, found by name or by number.
pub(super) fn layout_of(
    names: &[String],
    by_name: bool,
    wanted: &[Wanted],
) -> Result<Vec<Option<usize>>, FormatError> {
    if by_name {
        return header::find_named(names, wanted, Unexpected::Ignore);
    }
    header::find_numbered(names.len(), wanted, Unexpected::Ignore).map(|(_, layout)| layout)
}

impl Format for Csv {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn has_names(&self) -> bool {
        self.options.header
    }

    fn trailer(&self) -> Option<&TrailerOptions> {
        self.options.trailer.as_ref()
    }

    fn controls(&self) -> &[Control] {
        &self.options.controls
    }

    fn split_record(&self, record: RawRecord<'_>, width: usize) -> Option<Vec<Box<str>>> {
        let (raw, encoding) = match record {
            RawRecord::Bytes(bytes) => (bytes, self.encoding),
            RawRecord::Text(text) => (text.as_bytes(), encoding_rs::UTF_8),
        };
        let decoded = text::LineDecoder::new(encoding).map(|mut decoder| {
            let mut decoded = decoder.start();
            decoder.decode(raw, 0, true, &mut decoded);
            decoded
        });
        let mut chunk = Chunk { raw: raw.to_vec().into(), decoded, ..Chunk::default() };
        chunk.check_text();
        let splitter = split::CsvSplitter {
            dialect: self.dialect.clone(),
            width,
            trailing_delimiter: self.options.trailing_delimiter,
            trailer_starts_with: None,
        };
        let mut records = Records::default();
        splitter.split(&chunk, &mut records);
        let is_whole = records.len() == 1 && records.faults.is_empty() && records.undecodable.is_empty();
        is_whole.then(|| (0..width).map(|column| records.text_of(&chunk, 0, column).into()).collect())
    }

    fn open(&self, input: Box<dyn Read + Send>, wanted: &[Wanted]) -> Result<Opened, FormatError> {
        let mut head = self.head(input)?;
        let header =
            if self.options.header { Some(head.read_header(self.options.trailing_delimiter)?) } else { None };
        let (names, layout) = match &header {
            Some(names) => (names.clone(), header::find_named(names, wanted, self.options.unexpected)?),
            None => {
                let width = head.width_without_header(wanted, self.options.trailing_delimiter)?;
                header::find_numbered(width, wanted, self.options.unexpected)?
            }
        };
        let splitter = split::CsvSplitter {
            dialect: head.dialect.clone(),
            width: names.len(),
            trailing_delimiter: self.options.trailing_delimiter,
            trailer_starts_with: self.options.trailer.as_ref().map(|trailer| trailer.starts_with.clone()),
        };
        let (dialect, lines_before, encoding) = (head.dialect.clone(), head.lines, head.encoding().name());
        let framer = frame::CsvFramer::new(head.into_rest(), dialect, names.len(), frame::CHUNK_BYTES);
        Ok(Opened {
            framer: Box::new(framer),
            splitter: Arc::new(splitter),
            header: names,
            layout,
            lines_before,
            encoding,
        })
    }
}
