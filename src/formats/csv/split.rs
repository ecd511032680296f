//! Finds the fields of a chunk of whole CSV records.
//!
//! The common dialect (one-byte delimiter, doubled quotes, lines that end in LF or CR LF) is split by looking for three
//! bytes at a time; a record with anything unusual in it, and every other dialect, goes through [`scan::record`]. Both
//! ways find the same, which a property test holds them to.

use std::borrow::Cow;

use super::scan::{self, Dialect, Fault, Found, RawField};
use crate::{
    formats::{Chunk, Place, Records, Span, Splitter, Trailer, text},
    model::{Rule, Violation},
};

/// What a splitter knows of its file.
#[derive(Debug)]
pub struct CsvSplitter {
    /// The file's dialect.
    pub dialect: Dialect,
    /// Fields a record must have.
    pub width: usize,
    /// Each record ends with a delimiter that ends no field.
    pub trailing_delimiter: bool,
    /// How the trailer's first field begins.
    pub trailer_starts_with: Option<String>,
}

impl Splitter for CsvSplitter {
    fn split(&self, chunk: &Chunk, records: &mut Records) {
        clear(records, self.width);
        if let Some(large) = chunk.oversized {
            records.places.push(Place { byte: 0, length: chunk.raw.len() as u32, line: 0 });
            records.spans.resize(self.width, Span::default());
            records.faults.push((0, self.too_large(large.bytes)));
            records.lines = large.lines;
            return;
        }
        let (view, invalid) = readable(chunk);
        records.spans.reserve(chunk.raw.len() / 8);
        let fast = invalid.is_empty() && is_common(&self.dialect, view.as_bytes());
        let mut pass = Pass {
            splitter: self,
            chunk,
            text: &view,
            invalid: &invalid,
            records,
            line: 0,
            inner_lines: 0,
            row: 0,
        };
        if fast {
            pass.common()
        } else {
            pass.general()
        }
        pass.records.lines = pass.line as u64;
        if let Cow::Owned(repaired) = view {
            records.repaired = Some(repaired);
        }
    }
}

impl CsvSplitter {
    fn too_large(&self, bytes: u64) -> Violation {
        let limit = self.dialect.max_record_bytes;
        Violation {
            column: None,
            rule: Rule::Size,
            value: "".into(),
            message: format!(
                "is {bytes} bytes long; a record may have at most {limit} (format.max_record_bytes)"
            )
            .into(),
        }
    }
}

fn clear(records: &mut Records, width: usize) {
    records.width = width;
    records.spans.clear();
    records.places.clear();
    records.faults.clear();
    records.undecodable.clear();
    records.scratch.clear();
    records.repaired = None;
    records.trailers.clear();
    records.former.clear();
    records.lines = 0;
}

/// The chunk's text, and where in it something is not valid: (byte, what).
fn readable(chunk: &Chunk) -> (Cow<'_, str>, Vec<(u32, &'static str)>) {
    const NOT_VALID: &str = "holds bytes that are not valid in the file's encoding";
    const NUL: &str = "holds a NUL byte";
    let (view, positions) = match &chunk.decoded {
        Some(decoded) => (Cow::Borrowed(decoded.text.as_str()), decoded.invalid.clone()),
        None => match chunk.raw.text().or_else(|| std::str::from_utf8(&chunk.raw).ok()) {
            Some(valid) => (Cow::Borrowed(valid), Vec::new()),
            None => {
                let (repaired, positions) = text::repair(&chunk.raw);
                (Cow::Owned(repaired), positions)
            }
        },
    };
    let mut invalid: Vec<_> = positions.into_iter().map(|at| (at, NOT_VALID)).collect();
    if memchr::memchr(0, view.as_bytes()).is_some() {
        invalid.extend(memchr::memchr_iter(0, view.as_bytes()).map(|at| (at as u32, NUL)));
        invalid.sort_unstable_by_key(|(at, _)| *at);
    }
    (view, invalid)
}

/// True when the quick way finds what [`scan::record`] would.
fn is_common(dialect: &Dialect, bytes: &[u8]) -> bool {
    dialect.delimiter.len() == 1
        && dialect.escape.is_none()
        && dialect.comment.is_none()
        && memchr::memchr_iter(b'\r', bytes).all(|at| bytes.get(at + 1) == Some(&b'\n'))
}

/// One pass over a chunk.
struct Pass<'a> {
    splitter: &'a CsvSplitter,
    chunk: &'a Chunk,
    text: &'a str,
    invalid: &'a [(u32, &'static str)],
    records: &'a mut Records,
    /// Physical lines before the record at hand.
    line: usize,
    /// Lines that end inside quotes in the record at hand.
    inner_lines: usize,
    /// Where the spans of the record at hand begin.
    row: usize,
}

impl Pass<'_> {
    /// The common dialect: delimiters, quotes and line feeds are looked for at once.
    fn common(&mut self) {
        let bytes = self.text.as_bytes();
        let delimiter = self.splitter.dialect.delimiter.first().copied().unwrap_or(b',');
        let quote = self.splitter.dialect.quote.unwrap_or(delimiter);
        let (mut record, mut field, mut from) = (0, 0, 0);
        'search: loop {
            let rest = bytes.get(from..).unwrap_or_default();
            for offset in memchr::memchr3_iter(delimiter, quote, b'\n', rest) {
                let at = from + offset;
                let byte = bytes.get(at).copied().unwrap_or_default();
                if byte == delimiter {
                    self.push(field, at);
                    field = at + 1;
                } else if byte == b'\n' {
                    let end = if at > field && bytes.get(at - 1) == Some(&b'\r') { at - 1 } else { at };
                    self.push(field, end);
                    self.end_record(record, end, at + 1, None);
                    (record, field) = (at + 1, at + 1);
                } else if at == field {
                    match self.quoted_in_place(at) {
                        Some((after, lines)) => {
                            self.inner_lines += lines;
                            // The delimiter or line feed after it ends a field that is pushed already.
                            match bytes.get(after) {
                                Some(byte) if *byte == delimiter => (field, from) = (after + 1, after + 1),
                                Some(_) => {
                                    let next = after + 1 + usize::from(bytes.get(after) == Some(&b'\r'));
                                    self.end_record(record, after, next, None);
                                    (record, field, from) = (next, next, next);
                                }
                                None => {
                                    self.end_record(record, after, after, None);
                                    return;
                                }
                            }
                        }
                        None => {
                            let next = self.unusual(record);
                            (record, field, from) = (next, next, next);
                        }
                    }
                    continue 'search;
                }
            }
            break;
        }
        if record < bytes.len() {
            self.push(field, bytes.len());
            self.end_record(record, bytes.len(), bytes.len(), None);
        }
    }

    /// Pushes the quoted field that opens at `open`, if there is nothing wrong with it and it is small; tells where it
    /// ends and how many lines end inside it.
    fn quoted_in_place(&mut self, open: usize) -> Option<(usize, usize)> {
        let bytes = self.text.as_bytes();
        let dialect = &self.splitter.dialect;
        let quote = dialect.quote?;
        let delimiter = dialect.delimiter.first().copied()?;
        let (mut at, mut escaped) = (open + 1, false);
        let close = loop {
            let found = at + memchr::memchr(quote, bytes.get(at..)?)?;
            if bytes.get(found + 1) != Some(&quote) {
                break found;
            }
            (at, escaped) = (found + 2, true);
        };
        match bytes.get(close + 1) {
            None | Some(b'\n' | b'\r') => {}
            Some(byte) if *byte == delimiter => {}
            Some(_) => return None,
        }
        let content = bytes.get(open + 1..close)?;
        if content.len() > dialect.max_record_lines.min(dialect.max_record_bytes) {
            return None;
        }
        let lines = memchr::memchr_iter(b'\n', content).count();
        self.push_field(RawField { start: open, end: close + 1, escaped });
        Some((close + 1, lines))
    }

    /// Starts the record at `start` over, the careful way; tells where the next one starts.
    fn unusual(&mut self, start: usize) -> usize {
        self.records.spans.truncate(self.row);
        let mut fields = Vec::new();
        match scan::record(self.text.as_bytes(), start, true, &self.splitter.dialect, &mut fields) {
            Some(found) => self.take(start, &found, &fields),
            None => self.text.len(),
        }
    }

    /// Every dialect, record by record.
    fn general(&mut self) {
        let bytes = self.text.as_bytes();
        let (mut at, mut fields) = (0, Vec::new());
        while at < bytes.len() {
            match scan::record(bytes, at, true, &self.splitter.dialect, &mut fields) {
                Some(found) => at = self.take(at, &found, &fields),
                None => return,
            }
        }
    }

    fn take(&mut self, start: usize, found: &Found, fields: &[RawField]) -> usize {
        if fields.is_empty() && found.fault.is_none() {
            self.line += 1; // a comment
            return found.next;
        }
        for field in fields {
            self.push_field(*field);
        }
        self.inner_lines = found.inner_lines;
        let before = self.records.places.len();
        self.end_record(start, found.end, found.next, found.fault);
        if !self.invalid.is_empty() && self.records.places.len() > before {
            self.note_invalid(start, found, fields);
        }
        found.next
    }

    /// Pushes an unquoted field without escapes.
    fn push(&mut self, start: usize, end: usize) {
        self.records.spans.push(Span { start: start as u32, length: (end - start) as u32 });
    }

    /// Pushes a field of any kind, its quotes and escapes taken off.
    fn push_field(&mut self, field: RawField) {
        let dialect = &self.splitter.dialect;
        let bytes = self.text.as_bytes();
        let quoted = dialect.quote.is_some()
            && bytes.get(field.start).copied() == dialect.quote
            && field.end >= field.start + 2
            && bytes.get(field.end - 1).copied() == dialect.quote;
        let (start, end) = if quoted { (field.start + 1, field.end - 1) } else { (field.start, field.end) };
        if !field.escaped {
            return self.push(start, end);
        }
        let escape = dialect.escape.or(dialect.quote).map(char::from);
        let scratch_start = self.records.scratch.len();
        let mut rest = self.text.get(start..end).unwrap_or_default();
        while let Some((before, after)) = escape.and_then(|escape| rest.split_once(escape)) {
            self.records.scratch.push_str(before);
            // What follows the escape stands for itself, another escape too.
            let next = after.chars().next();
            self.records.scratch.extend(next);
            rest = after.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
        }
        self.records.scratch.push_str(rest);
        let length = self.records.scratch.len() - scratch_start;
        self.records.spans.push(Span { start: Span::SCRATCH | scratch_start as u32, length: length as u32 });
    }

    /// Ends the record whose bytes are `start..end`; its fields are pushed.
    fn end_record(&mut self, start: usize, end: usize, next: usize, fault: Option<Fault>) {
        let line = self.line;
        self.line += 1 + std::mem::take(&mut self.inner_lines);
        let mut fields = self.records.spans.len() - self.row;
        if fields == 1 && start == end {
            self.records.spans.truncate(self.row); // a blank line
            return;
        }
        if self.take_trailer(line) {
            return;
        }
        let width = self.splitter.width;
        if self.splitter.trailing_delimiter && fields == width + 1 && self.last_is_empty() {
            self.records.spans.pop();
            fields -= 1;
        }
        let index = self.records.places.len() as u32;
        let place = self.place(start, end, next, line);
        self.records.places.push(place);
        let violation = match fault {
            Some(Fault::TextAfterQuote(_)) => Some((Rule::Quote, TEXT_AFTER_QUOTE.to_owned())),
            Some(Fault::Unclosed(_)) => Some((Rule::Quote, UNCLOSED.to_owned())),
            None if end - start > self.splitter.dialect.max_record_bytes => {
                self.records.faults.push((index, self.splitter.too_large((end - start) as u64)));
                self.records.spans.truncate(self.row);
                None
            }
            None if fields != width => Some((Rule::Columns, wrong_count(fields, width))),
            None => None,
        };
        if let Some((rule, message)) = violation {
            let violation = Violation { column: None, rule, value: "".into(), message: message.into() };
            self.records.faults.push((index, violation));
            self.records.spans.truncate(self.row);
        }
        self.records.spans.resize(self.row + width, Span::default());
        self.row = self.records.spans.len();
    }

    fn last_is_empty(&self) -> bool {
        self.records.spans.last().is_some_and(|span| span.length == 0)
    }

    /// Takes the record at hand out if it is a trailer.
    fn take_trailer(&mut self, line: usize) -> bool {
        let Some(prefix) = &self.splitter.trailer_starts_with else { return false };
        let spans = self.records.spans.get(self.row..).unwrap_or_default();
        let field = |span: &Span| {
            let text =
                if span.start & Span::SCRATCH != 0 { self.records.scratch.as_str() } else { self.text };
            text.get(span.range()).unwrap_or_default().trim()
        };
        if !spans.first().is_some_and(|first| field(first).starts_with(prefix.as_str())) {
            return false;
        }
        let fields = spans.iter().map(|span| field(span).to_owned()).collect();
        let records_before = self.records.places.len() as u32;
        self.records.trailers.push(Trailer { fields, line: line as u32, records_before });
        self.records.spans.truncate(self.row);
        true
    }

    /// The record's place in the chunk's raw bytes.
    fn place(&self, start: usize, end: usize, next: usize, line: usize) -> Place {
        let (byte, length) = self.chunk.place_of(start, end, next);
        Place { byte: byte as u32, length: length as u32, line: line as u32 }
    }

    /// Ties what is not valid in the record just taken to its fields.
    fn note_invalid(&mut self, start: usize, found: &Found, fields: &[RawField]) {
        let index = (self.records.places.len() - 1) as u32;
        let first = self.invalid.partition_point(|(at, _)| (*at as usize) < start);
        let here = self.invalid.get(first..).unwrap_or_default();
        let here = here.iter().take_while(|(at, _)| (*at as usize) < found.end);
        let has_columns = self.records.faults.last().is_none_or(|(record, _)| *record != index);
        // Each finding once a field, or once a record that has no fields: the first place stands for the others.
        let mut said: Vec<(Option<usize>, &str)> = Vec::new();
        for (at, what) in here {
            let column = has_columns.then(|| fields.partition_point(|field| field.end <= *at as usize));
            let column =
                column.filter(|column| fields.get(*column).is_some_and(|field| field.start <= *at as usize));
            let seen = match column {
                // Fields come in ascending order.
                Some(_) => said
                    .iter()
                    .rev()
                    .take_while(|(other, _)| *other == column)
                    .any(|(_, other)| other == what),
                None => said.iter().filter(|(other, _)| other.is_none()).any(|(_, other)| other == what),
            };
            if seen {
                continue;
            }
            said.push((column, what));
            match column {
                Some(column) => self.records.undecodable.push((index, column as u32, *what)),
                None => {
                    let message = (*what).into();
                    let violation =
                        Violation { column: None, rule: Rule::Encoding, value: "".into(), message };
                    self.records.faults.push((index, violation));
                }
            }
        }
    }
}

const TEXT_AFTER_QUOTE: &str =
    "has text after a closing quote; a quote inside a quoted field is written twice";
const UNCLOSED: &str = "has a quote that never closes; the record was ended with its line";

fn wrong_count(found: usize, wanted: usize) -> String {
    let plural = if found == 1 { "" } else { "s" };
    format!("has {found} field{plural} where {wanted} are expected")
}
