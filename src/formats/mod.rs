//! Formats: how the bytes of a file become records.
//!
//! Reading has two steps. A [`Framer`] goes through the file once, in order, and cuts it into chunks of whole
//! records; it finds only where records end. A [`Splitter`] then finds the fields of one chunk; it is pure, so chunks
//! are split side by side. Neither knows columns' types or rules.
//!
//! A format is one entry of [`FORMATS`]; schema, reference and tests follow from the table.

pub mod corrected;
pub mod csv;
pub mod text;

use std::{fmt::Debug, io::Read, ops::Range, sync::Arc};

use thiserror::Error;

use crate::model::{Position, Reason, Violation};

/// One format: how its options are described and read.
pub struct FormatEntry {
    /// The word after `type =`.
    pub name: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    /// The JSON Schema of its options; the key `type` is added where the schemas of all formats come together.
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// Makes the format from its options, or says which option (a path of keys below `[format]`) is wrong and why.
    pub build: fn(serde_json::Value) -> Built,
}

/// A format, or every option of it that makes no sense.
pub type Built = Result<Arc<dyn Format>, Vec<OptionProblem>>;

/// Every format, in the order of the reference.
pub const FORMATS: &[FormatEntry] = &[csv::ENTRY];

/// An option that reads well but makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionProblem {
    /// The keys below `[format]` that lead to it; empty for the whole table.
    pub path: Vec<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Where a column's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldSource {
    /// The first of these names that the file has.
    Named(Vec<String>),
    /// The field with this number, from 1.
    Numbered(usize),
}

/// What a column of the plan wants of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where its text comes from.
    pub source: FieldSource,
    /// True when a file without the field cannot be loaded.
    pub required: bool,
}

/// A format with its options, ready to open files.
pub trait Format: Send + Sync + Debug {
    /// The format's name in [`FORMATS`].
    fn name(&self) -> &'static str;

    /// Reads what stands before the first record, finds the wanted fields, and gives the two halves of the reader.
    ///
    /// `wanted` has one entry a plan column; [`Opened::layout`] answers in the same order.
    ///
    /// # Errors
    /// [`FormatError::Refused`] when the file as a whole cannot be read under these options, [`FormatError::Read`]
    /// when the disk fails.
    fn open(&self, input: Box<dyn Read + Send>, wanted: &[Wanted]) -> Result<Opened, FormatError>;

    /// True when columns can be found by name: the file has a header, or its records carry names.
    fn has_names(&self) -> bool;

    /// The trailer that every file must end with, if the mapping asks for one.
    fn trailer(&self) -> Option<&TrailerOptions>;

    /// The totals that the trailer states.
    fn controls(&self) -> &[Control];

    /// The fields of a record that stands by itself, without file around it and without a line end. None unless it is
    /// exactly one record of `width` fields without any fault.
    fn split_record(&self, record: RawRecord<'_>, width: usize) -> Option<Vec<Box<str>>>;
}

/// A record that stands by itself.
#[derive(Clone, Copy, Debug)]
pub enum RawRecord<'a> {
    /// As it came, in the format's encoding.
    Bytes(&'a [u8]),
    /// As somebody wrote it.
    Text(&'a str),
}

/// The last record of a file that counts and sums the others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrailerOptions {
    /// How the trailer's first field begins.
    pub starts_with: String,
    /// The number of the trailer's field that holds the count of records, from 1. Left out: the trailer must be
    /// there, but counts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Added to the records read before the two are compared, for systems that count header and trailer too.
    #[serde(default)]
    pub offset: i64,
}

/// A control total: the sum of a column over all records must equal a field of the trailer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The column that is summed; an integer or decimal.
    pub column: String,
    /// The number of the trailer's field that holds the sum, from 1.
    pub sum: usize,
}

/// A file that was opened under a format.
#[derive(Debug)]
pub struct Opened {
    /// Cuts the file into chunks.
    pub framer: Box<dyn Framer>,
    /// Splits chunks into fields.
    pub splitter: Arc<dyn Splitter>,
    /// The names of the file's own columns in their order; without a header, their numbers.
    pub header: Vec<String>,
    /// For each wanted column the file's column (from 0) that holds it; none when the file lacks it.
    pub layout: Vec<Option<usize>>,
    /// Physical lines that stand before the first chunk: preamble and header.
    pub lines_before: u64,
    /// The encoding of the file's bytes, by its name in the WHATWG Encoding Standard.
    pub encoding: &'static str,
}

/// Goes through a file in order and cuts it into chunks of whole records.
pub trait Framer: Send + Debug {
    /// The next chunk; none at the end of the file.
    ///
    /// # Errors
    /// [`FormatError::Refused`] when the file cannot be read on, [`FormatError::Read`] when the disk fails.
    fn next_chunk(&mut self) -> Result<Option<Chunk>, FormatError>;

    /// Gives back a chunk that is done with, so that its buffers serve again.
    fn recycle(&mut self, chunk: Chunk);
}

/// Some whole records of a file, with fixed borders: splitting it again gives the same.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Its number, from 0.
    pub index: u64,
    /// Offset of its first byte in the file.
    pub byte: u64,
    /// The bytes as they came.
    pub raw: RawBytes,
    /// The text, when `raw` is not UTF-8 by declaration; none when `raw` is to be read as UTF-8.
    pub decoded: Option<text::Decoded>,
    /// When the last record is larger than a record may be: its whole size in bytes and its lines. Only its head is
    /// in the chunk.
    pub oversized: Option<Oversized>,
}

impl Chunk {
    /// Finds out whether the bytes are UTF-8, if they are declared to be, once for all who ask for the text.
    pub fn check_text(&mut self) {
        if self.decoded.is_none()
            && let RawBytes::Unchecked(bytes) = &mut self.raw
        {
            self.raw = match String::from_utf8(std::mem::take(bytes)) {
                Ok(text) => RawBytes::Text(text),
                Err(error) => RawBytes::Unchecked(error.into_bytes()),
            };
        }
    }
}

impl Chunk {
    /// Its text; what is not valid in it shows as another character.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match (&self.decoded, self.raw.text()) {
            (Some(decoded), _) => decoded.text.as_str().into(),
            (None, Some(text)) => text.into(),
            (None, None) => String::from_utf8_lossy(&self.raw),
        }
    }

    /// The raw bytes of the record from `start` to `end` of the text, with the next one at `next`: the first byte, and how
    /// many there are without the line end.
    #[must_use]
    pub fn place_of(&self, start: usize, end: usize, next: usize) -> (usize, usize) {
        let Some(decoded) = &self.decoded else { return (start, end.saturating_sub(start)) };
        let first = decoded.raw_offset(start);
        let after = if next >= decoded.text.len() { self.raw.len() } else { decoded.raw_offset(next) };
        let line_end = next.saturating_sub(end) * decoded.bytes_per_ascii;
        (first, after.saturating_sub(first).saturating_sub(line_end))
    }
}

/// Bytes that may be known to be text.
#[derive(Debug)]
pub enum RawBytes {
    /// Nobody has looked yet, or they are no UTF-8.
    Unchecked(Vec<u8>),
    /// They are.
    Text(String),
}

impl RawBytes {
    /// The text, if the bytes are known to be UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Unchecked(_) => None,
            Self::Text(text) => Some(text),
        }
    }

    /// The memory.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Unchecked(bytes) => bytes,
            Self::Text(text) => text.into_bytes(),
        }
    }
}

impl Default for RawBytes {
    fn default() -> Self {
        Self::Unchecked(Vec::new())
    }
}

impl From<Vec<u8>> for RawBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Unchecked(bytes)
    }
}

impl std::ops::Deref for RawBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Unchecked(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }
}

/// What is known of a record that is too large to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversized {
    /// All its bytes, without the line end.
    pub bytes: u64,
    /// The physical lines it spans, 1 or more.
    pub lines: u64,
}

/// Finds the fields of a chunk. Pure: the same chunk gives the same records, on any thread or machine.
pub trait Splitter: Send + Sync + Debug {
    /// Splits `chunk`; what was in `records` before is gone.
    fn split(&self, chunk: &Chunk, records: &mut Records);
}

/// The records of one chunk as field slices. Reused from chunk to chunk, so that nothing is allocated a field.
#[derive(Debug, Default)]
pub struct Records {
    /// Fields a record must have.
    pub width: usize,
    /// `width` spans a record, row after row; for a record that has no columns they are empty.
    pub spans: Vec<Span>,
    /// Where each record stands in the chunk.
    pub places: Vec<Place>,
    /// Findings of the format: (index into `places`, violation), in record order. A record that has one with
    /// [`Violation::column`] none has no columns.
    pub faults: Vec<(u32, Violation)>,
    /// Fields (record, file column) that hold bytes which are not valid in the encoding, with what was found there;
    /// in record order.
    pub undecodable: Vec<(u32, u32, &'static str)>,
    /// Text of fields that do not stand in the chunk letter by letter.
    pub scratch: String,
    /// The decoded text of the chunk when it had to be repaired; otherwise fields point into the chunk itself.
    pub repaired: Option<String>,
    /// Records recognised as trailers; they are not in `places`.
    pub trailers: Vec<Trailer>,
    /// Physical lines of the chunk, comments and blank lines included.
    pub lines: u64,
    /// For the records of a correction, one each: what they were before. Empty for any other file.
    pub former: Vec<Former>,
}

/// A record of a correction as it was in the file that is corrected.
#[derive(Clone, Debug)]
pub struct Former {
    /// Where it stood. It keeps that place in reports, so that people find it again.
    pub position: Position,
    /// Its bytes.
    pub raw: Vec<u8>,
    /// What is wrong with it whatever its values are.
    pub wrong: Vec<Violation>,
}

impl Records {
    /// Number of records, trailers not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The text that unescaped spans of `chunk` point into.
    #[must_use]
    pub fn text<'a>(&'a self, chunk: &'a Chunk) -> std::borrow::Cow<'a, str> {
        match &self.repaired {
            Some(repaired) => repaired.into(),
            // Chunks that are not UTF-8 were repaired.
            None => chunk.text(),
        }
    }

    /// The text of one field. For loops over many fields, take [`Records::text`] once.
    #[must_use]
    pub fn text_of(&self, chunk: &Chunk, record: usize, column: usize) -> String {
        let span = self.spans.get(record * self.width + column).copied().unwrap_or_default();
        let text = self.text(chunk);
        let text = if span.start & Span::SCRATCH != 0 { self.scratch.as_str() } else { &text };
        text.get(span.range()).unwrap_or_default().to_owned()
    }

    /// True when the chunk held no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// A field: where its text stands in the chunk's text or, with [`Span::SCRATCH`] set, in [`Records::scratch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte; the top bit tells which text.
    pub start: u32,
    /// Length in bytes.
    pub length: u32,
}

impl Span {
    /// Set in `start` when the text stands in the scratch.
    pub const SCRATCH: u32 = 1 << 31;

    /// The bytes it covers.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        let start = (self.start & !Self::SCRATCH) as usize;
        start..start + self.length as usize
    }
}

/// Where a record stands in its chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its first raw byte, from the chunk's start.
    pub byte: u32,
    /// Its raw bytes, without the line end.
    pub length: u32,
    /// Physical lines of the chunk before it.
    pub line: u32,
}

/// A trailer record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Its fields, unquoted and trimmed.
    pub fields: Vec<String>,
    /// Physical lines of the chunk before it.
    pub line: u32,
    /// Records of the chunk that stand before it.
    pub records_before: u32,
}

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The file is at fault: refuse it.
    #[error("{message}")]
    Refused {
        /// The code of the refusal.
        reason: Reason,
        /// What is wrong, where, and what to do.
        message: String,
    },
    /// The disk is at fault.
    #[error("cannot read the file: {0}")]
    Read(#[from] std::io::Error),
}
