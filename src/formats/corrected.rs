//! The records of a correction: rows that an earlier delivery rejected, as they are now, in a small file of our own making.
//!
//! The first line names the file's own columns, each further line is one record as a JSON object: where it stood in the
//! file that is corrected, its fields or, where it has none, its bytes, and what is known to be wrong with it whatever
//! its values are. Nobody names this format in a mapping: a correction runs under its mapping with only the format
//! replaced by this one.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Chunk, Control, Format, FormatError, Former, Framer, Opened, Place, RawRecord, Records, Span, Splitter,
    TrailerOptions, Wanted, csv,
};
use crate::model::{Position, Rule, Violation};

/// Bytes of a chunk: enough to keep a core busy, few enough that many are under way at once.
const CHUNK_BYTES: usize = 256 << 10;
/// A record holds a few copies of what a mapping allows at most (64 MB), each byte of which JSON may write as six.
const MOST_LINE_BYTES: u64 = 1 << 30;
/// The version of the file's layout.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    wharf_correction: u32,
    header: Vec<String>,
}

/// A record's line.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    /// Record, line, byte and length in the file that is corrected.
    at: [u64; 4],
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Cow<'a, str>>,
    /// The record's bytes where it has no fields, as text or in hexadecimal digits.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    raw: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    hex: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    wrong: Vec<Wrong<'a>>,
}

/// What is wrong whatever the values are: column, rule, value, message.
#[derive(Debug, Serialize, Deserialize)]
struct Wrong<'a>(
    Option<u16>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
);

/// One record of a correction.
#[derive(Clone, Copy, Debug)]
pub struct CorrectedRecord<'a> {
    /// Where it stood in the file that is corrected.
    pub position: Position,
    /// Its fields in the order of that file's columns; empty when it has none.
    pub fields: &'a [Box<str>],
    /// Its bytes, which count only where there are no fields.
    pub raw: &'a [u8],
    /// What is wrong with it whatever its values are; columns are those of the plan it will run under.
    pub wrong: &'a [Violation],
}

/// Writes the first line. `header` are the columns of the file that is corrected.
///
/// # Errors
/// What the output says.
pub fn write_head(header: &[String], output: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *output, &Head { wharf_correction: VERSION, header: header.to_vec() })?;
    output.write_all(b"\n")
}

/// Writes a record's line.
///
/// # Errors
/// What the output says.
pub fn write_record(record: &CorrectedRecord<'_>, output: &mut dyn Write) -> io::Result<()> {
    let Position { record: number, line, byte, length } = record.position;
    let raw = record.fields.is_empty().then(|| std::str::from_utf8(record.raw));
    let (raw, hex) = match raw {
        Some(Ok(text)) => (Some(Cow::Borrowed(text)), None),
        Some(Err(_)) => {
            let hex: String = record.raw.iter().map(|byte| format!("{byte:02x}")).collect();
            (None, Some(Cow::Owned(hex)))
        }
        None => (None, None),
    };
    let wrong = record.wrong.iter().map(|violation| {
        let code = Cow::Borrowed(violation.rule.code());
        Wrong(violation.column, code, Cow::Borrowed(&*violation.value), Cow::Borrowed(&*violation.message))
    });
    let line = Line {
        at: [number, line, byte, length],
        fields: record.fields.iter().map(|field| Cow::Borrowed(&**field)).collect(),
        raw,
        hex,
        wrong: wrong.collect(),
    };
    serde_json::to_writer(&mut *output, &line)?;
    output.write_all(b"\n")
}

/// The numbers of the records in such a file, in its order.
///
/// # Errors
/// What the disk says, or that it is no such file.
pub fn record_numbers(input: impl Read) -> Result<Vec<u64>, FormatError> {
    /// Only what is asked for is kept; the rest of the line is gone past.
    #[derive(Deserialize)]
    struct Number {
        at: [u64; 4],
    }
    let mut lines = Lines { input: BufReader::new(input), byte: 0 };
    lines.next()?;
    let mut numbers = Vec::new();
    while let Some(line) = lines.next()? {
        let Number { at: [number, ..] } = serde_json::from_slice(&line).map_err(|_| damaged())?;
        numbers.push(number);
    }
    Ok(numbers)
}

/// The format. It stands in for that of a mapping.
#[derive(Debug)]
pub struct Corrected {
    /// The mapping finds columns by their names.
    pub has_names: bool,
    /// Records that are not loaded, whatever they are now, with words that say why.
    pub refused: BTreeMap<u64, String>,
}

impl Format for Corrected {
    fn name(&self) -> &'static str {
        "correction"
    }

    fn open(&self, input: Box<dyn Read + Send>, wanted: &[Wanted]) -> Result<Opened, FormatError> {
        let mut lines = Lines { input: BufReader::with_capacity(CHUNK_BYTES, input), byte: 0 };
        let head = lines.next()?.ok_or_else(damaged)?;
        let head: Head = serde_json::from_slice(&head).map_err(|_| damaged())?;
        if head.wharf_correction != VERSION {
            return Err(damaged());
        }
        let layout = csv::layout_of(&head.header, self.has_names, wanted)?;
        Ok(Opened {
            splitter: Arc::new(CorrectedSplitter { width: head.header.len(), refused: self.refused.clone() }),
            framer: Box::new(CorrectedFramer { lines, index: 0 }),
            header: head.header,
            layout,
            lines_before: 1,
            encoding: "UTF-8",
        })
    }

    fn has_names(&self) -> bool {
        self.has_names
    }

    fn trailer(&self) -> Option<&TrailerOptions> {
        None
    }

    fn controls(&self) -> &[Control] {
        &[]
    }

    fn split_record(&self, _: RawRecord<'_>, _: usize) -> Option<Vec<Box<str>>> {
        None
    }
}

fn damaged() -> FormatError {
    let cause = io::Error::new(io::ErrorKind::InvalidData, "it is no file of corrected records");
    FormatError::Read(cause)
}

/// Lines with the place they stand at.
#[derive(Debug)]
struct Lines<R: Read> {
    input: BufReader<R>,
    byte: u64,
}

impl<R: Read> Lines<R> {
    /// The next line, without its end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, FormatError> {
        let mut line = Vec::new();
        let read = (&mut self.input).take(MOST_LINE_BYTES).read_until(b'\n', &mut line)?;
        self.byte += read as u64;
        if read == 0 {
            return Ok(None);
        }
        // We end every line ourselves: one that does not is cut off.
        if line.pop() != Some(b'\n') {
            return Err(damaged());
        }
        Ok(Some(line))
    }
}

struct CorrectedFramer {
    lines: Lines<Box<dyn Read + Send>>,
    index: u64,
}

impl std::fmt::Debug for CorrectedFramer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CorrectedFramer({})", self.index)
    }
}

impl Framer for CorrectedFramer {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, FormatError> {
        let byte = self.lines.byte;
        let mut raw = Vec::new();
        while raw.len() < CHUNK_BYTES
            && let Some(line) = self.lines.next()?
        {
            raw.extend_from_slice(&line);
            raw.push(b'\n');
        }
        if raw.is_empty() {
            return Ok(None);
        }
        self.index += 1;
        Ok(Some(Chunk { index: self.index - 1, byte, raw: raw.into(), ..Chunk::default() }))
    }

    fn recycle(&mut self, _: Chunk) {}
}

#[derive(Debug)]
struct CorrectedSplitter {
    width: usize,
    refused: BTreeMap<u64, String>,
}

impl Splitter for CorrectedSplitter {
    fn split(&self, chunk: &Chunk, records: &mut Records) {
        *records = Records { width: self.width, ..Records::default() };
        let mut byte = 0u32;
        for line in chunk.raw.split_inclusive(|byte| *byte == b'\n') {
            let length = line.len() as u32;
            records.places.push(Place { byte, length: length.saturating_sub(1), line: records.lines as u32 });
            byte += length;
            records.lines += 1;
            self.record(line, records);
        }
    }
}

impl CorrectedSplitter {
    fn record(&self, line: &[u8], records: &mut Records) {
        let at = records.former.len() as u32;
        let parsed = serde_json::from_slice::<Line<'_>>(line).ok();
        let former = parsed.as_ref().and_then(former);
        let has_fields = parsed.as_ref().is_some_and(|line| line.fields.len() == self.width);
        for place in 0..self.width {
            let field = parsed.as_ref().filter(|_| has_fields).and_then(|line| line.fields.get(place));
            let field = field.map_or("", |field| field);
            let span =
                Span { start: records.scratch.len() as u32 | Span::SCRATCH, length: field.len() as u32 };
            records.spans.push(span);
            records.scratch.push_str(field);
        }
        let mut former = former.unwrap_or_else(|| Former {
            position: Position { record: u64::MAX, line: 0, byte: 0, length: 0 },
            raw: Vec::new(),
            wrong: vec![of_record(Rule::Columns, "cannot be read back as it was kept")],
        });
        if let Some(message) = self.refused.get(&former.position.record) {
            former.wrong = vec![of_record(Rule::Correction, message)];
        }
        if !has_fields {
            // Without columns nothing but the record as a whole can be wrong.
            former.wrong.iter_mut().for_each(|violation| violation.column = None);
            if former.wrong.is_empty() {
                former.wrong.push(of_record(Rule::Columns, "has other columns than the file it belongs to"));
            }
            records.faults.extend(former.wrong.drain(..).map(|violation| (at, violation)));
        }
        records.former.push(former);
    }
}

fn of_record(rule: Rule, message: &str) -> Violation {
    Violation { column: None, rule, value: "".into(), message: message.into() }
}

/// What the line tells of its record besides the fields.
fn former(line: &Line<'_>) -> Option<Former> {
    let [record, at_line, byte, length] = line.at;
    let wrong = line.wrong.iter().map(|Wrong(column, code, value, message)| {
        Some(Violation {
            column: *column,
            rule: Rule::from_code(code)?,
            value: (&**value).into(),
            message: (&**message).into(),
        })
    });
    let raw = match (&line.raw, &line.hex) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(hex)) => bytes(hex)?,
        (None, None) => line.fields.join(",").into_bytes(),
    };
    Some(Former {
        position: Position { record, line: at_line, byte, length },
        raw,
        wrong: wrong.collect::<Option<_>>()?,
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::FieldSource;

    fn position(record: u64) -> Position {
        Position { record, line: record + 1, byte: record * 10, length: 9 }
    }

    fn written() -> Vec<u8> {
        let mut output = Vec::new();
        write_head(&["No".into(), "Name".into()], &mut output).unwrap();
        let fields: Vec<Box<str>> = vec!["7".into(), "a,\"b\"\nü".into()];
        let wrong = [Violation {
            column: Some(3),
            rule: Rule::Key,
            value: "7".into(),
            message: "repeats the key of record 2".into(),
        }];
        for record in [
            CorrectedRecord { position: position(5), fields: &fields, raw: b"", wrong: &[] },
            CorrectedRecord { position: position(8), fields: &fields, raw: b"", wrong: &wrong },
            CorrectedRecord { position: position(9), fields: &[], raw: b"x\xff", wrong: &wrong },
        ] {
            write_record(&record, &mut output).unwrap();
        }
        output
    }

    #[test]
    fn records_read_back_with_the_places_they_had_and_what_is_wrong_with_them() {
        let bytes = written();
        let name = |name: &str| Wanted { source: FieldSource::Named(vec![name.into()]), required: true };
        let mut opened = Corrected { has_names: true, refused: [(9, "is ignored".into())].into() }
            .open(Box::new(io::Cursor::new(bytes.clone())), &[name("name"), name("no")])
            .unwrap();
        assert_eq!(opened.layout, [Some(1), Some(0)]);
        let chunk = opened.framer.next_chunk().unwrap().unwrap();
        assert!(opened.framer.next_chunk().unwrap().is_none());
        let mut records = Records::default();
        opened.splitter.split(&chunk, &mut records);
        assert_eq!(records.len(), 3);
        assert_eq!(records.text_of(&chunk, 0, 1), "a,\"b\"\nü");
        assert_eq!(
            records.former.iter().map(|former| former.position).collect::<Vec<_>>(),
            [5, 8, 9].map(position)
        );
        assert_eq!(records.former[1].wrong[0].rule, Rule::Key);
        assert_eq!(records.former[2].raw, b"x\xff");
        assert_eq!(records.faults.len(), 1);
        assert_eq!((records.faults[0].0, &*records.faults[0].1.message), (2, "is ignored"));
        assert_eq!(record_numbers(bytes.as_slice()).unwrap(), [5, 8, 9]);
    }

    #[test]
    fn a_file_that_is_cut_off_is_a_fault_and_no_shorter_correction() {
        let bytes = written();
        let error = record_numbers(&bytes[..bytes.len() - 3]).unwrap_err();
        assert!(matches!(error, FormatError::Read(_)), "{error}");
    }
}
