//! What stands before the first record: preamble, a `sep=` line, the header; and which of the file's columns are wanted.

use std::collections::HashMap;

use super::{
    Unexpected,
    scan::{self, Dialect, RawField},
    window::Window,
};
use crate::{
    formats::{Chunk, FieldSource, FormatError, Records, Span, Splitter, Wanted, text},
    model::{Reason, printable},
};

/// How far the records are looked at to find how many fields they have, when no header tells.
const SAMPLE_RECORDS: usize = 100;

/// What is gone past is let go of in pieces of this size.
const LET_GO_BYTES: usize = 1 << 20;

/// The start of a file, read line by line.
#[derive(Debug)]
pub struct Head {
    window: Window,
    /// How much of the window is gone past. It is let go of in large pieces, as each time the rest moves.
    at: usize,
    /// The dialect, as the file's own `sep=` line may have changed it.
    pub dialect: Dialect,
    /// Physical lines gone by.
    pub lines: u64,
}

impl Head {
    /// The head of the file in `window`.
    #[must_use]
    pub fn new(window: Window, dialect: Dialect) -> Self {
        Self { window, at: 0, dialect, lines: 0 }
    }

    /// The encoding of the file.
    #[must_use]
    pub fn encoding(&self) -> &'static encoding_rs::Encoding {
        self.window.encoding()
    }

    /// The rest of the file, which begins with a record.
    #[must_use]
    pub fn into_rest(mut self) -> Window {
        self.let_go();
        self.window
    }

    fn view(&self) -> &[u8] {
        self.window.view().get(self.at..).unwrap_or_default()
    }

    fn let_go(&mut self) {
        self.window.cut(self.at, Vec::new());
        self.at = 0;
    }

    /// Refuses a file that is evidently in another encoding as a whole.
    ///
    /// # Errors
    /// The refusal, with the encoding that it looks like.
    pub fn check_encoding(&self, declared: &'static encoding_rs::Encoding) -> Result<(), FormatError> {
        let suggestion = if self.window.is_utf8() { text::suggest(self.window.raw()) } else { None };
        match suggestion {
            Some(wide @ ("utf-16le" | "utf-16be")) => Err(refused(
                Reason::Encoding,
                format!(
                    "the file is not {}: every second byte is zero; set format.encoding = \"{wide}\"",
                    declared.name()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Leaves out `rows` lines and a line that names the delimiter, as spreadsheets write it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn skip_preamble(&mut self, rows: u32) -> Result<(), FormatError> {
        self.take_separator_line()?;
        for _ in 0..rows {
            let Some((_, next)) = self.first_line()? else { break };
            self.leave_out(next, 1);
        }
        if rows > 0 {
            self.take_separator_line()?;
        }
        Ok(())
    }

    fn take_separator_line(&mut self) -> Result<(), FormatError> {
        let Some((end, next)) = self.first_line()? else { return Ok(()) };
        let Some([b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter @ ..]) = self.view().get(..end)
        else {
            return Ok(());
        };
        let one = std::str::from_utf8(delimiter).is_ok_and(|text| text.chars().count() == 1);
        if one {
            self.dialect.delimiter = delimiter.into();
            self.leave_out(next, 1);
        }
        Ok(())
    }

    /// The names of the file's columns, trimmed, as the file writes them.
    ///
    /// # Errors
    /// A refusal when there is no header, or it is broken.
    pub fn read_header(&mut self, trailing_delimiter: bool) -> Result<Vec<String>, FormatError> {
        let mut fields: Vec<RawField> = Vec::new();
        loop {
            self.fill_record()?;
            let view = self.view();
            if view.is_empty() {
                return Err(refused(Reason::Empty, "the file holds no header and no records".into()));
            }
            let Some(found) = scan::record(view, 0, self.window.ended(), &self.dialect, &mut fields) else {
                return Err(self.broken("is too long"));
            };
            if fields.is_empty() && found.fault.is_none() || found.end == 0 {
                self.leave_out(found.next, 1); // a comment or a blank line
                continue;
            }
            if found.fault.is_some() {
                return Err(self.broken("has a quote that does not close, or text after one"));
            }
            // The header is split as any record is, as a chunk of its own.
            let lines = self.lines + 1;
            let inner = found.inner_lines as u64;
            self.let_go();
            let cut = self.window.cut(found.next, Vec::new());
            self.lines += 1 + inner;
            let chunk =
                Chunk { byte: cut.byte, raw: cut.raw.into(), decoded: cut.decoded, ..Chunk::default() };
            return self.names(&chunk, fields.len(), trailing_delimiter, lines);
        }
    }

    fn names(
        &self,
        chunk: &Chunk,
        width: usize,
        trailing: bool,
        line: u64,
    ) -> Result<Vec<String>, FormatError> {
        let mut records = Records::default();
        self.splitter(width).split(chunk, &mut records);
        if let Some((_, _, what)) = records.undecodable.first() {
            let message = format!(
                "line {line}: the header {what}; correct the file or set format.encoding{}",
                text::suggest(&chunk.raw).map(|label| format!(" (\"{label}\"?)")).unwrap_or_default()
            );
            return Err(refused(Reason::Encoding, message));
        }
        let text = records.text(chunk);
        let name = |span: &Span| {
            let source = if span.start & Span::SCRATCH == 0 { &*text } else { &records.scratch };
            clean(source.get(span.range()).unwrap_or_default()).to_owned()
        };
        let mut names: Vec<String> = records.spans.iter().take(width).map(name).collect();
        if trailing && names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        Ok(names)
    }

    /// How many fields most of the first records have; at least as many as the mapping asks for.
    ///
    /// # Errors
    /// A refusal when the file holds nothing.
    pub fn width_without_header(&mut self, wanted: &[Wanted], trailing: bool) -> Result<usize, FormatError> {
        self.fill_record()?;
        let view = self.view();
        if view.is_empty() {
            return Err(refused(Reason::Empty, "the file holds no records".into()));
        }
        let (mut at, mut fields, mut widths) = (0, Vec::new(), Vec::new());
        while at < view.len() && widths.len() < SAMPLE_RECORDS {
            let Some(found) = scan::record(view, at, self.window.ended(), &self.dialect, &mut fields) else {
                break;
            };
            if found.fault.is_none() && found.end > at && !fields.is_empty() {
                widths.push(fields.len() - usize::from(trailing && fields.len() > 1));
            }
            at = found.next;
        }
        let highest = wanted.iter().map(|wanted| match wanted.source {
            FieldSource::Numbered(number) => number,
            FieldSource::Named(_) => 1,
        });
        let votes = |width: usize| widths.iter().filter(|other| **other == width).count();
        let usual = widths.iter().copied().max_by_key(|width| (votes(*width), *width)).unwrap_or(1);
        Ok(usual.max(highest.max().unwrap_or(1)))
    }

    fn splitter(&self, width: usize) -> super::split::CsvSplitter {
        super::split::CsvSplitter {
            dialect: self.dialect.clone(),
            width,
            trailing_delimiter: false,
            trailer_starts_with: None,
        }
    }

    /// Makes sure that the first record is in the window, if it is no larger than a record may be.
    fn fill_record(&mut self) -> Result<(), FormatError> {
        let reach = 2 * self.dialect.max_record_bytes;
        loop {
            let view = self.view();
            let mut fields = Vec::new();
            let whole =
                !view.is_empty() && scan::record(view, 0, false, &self.dialect, &mut fields).is_some();
            if whole || self.window.ended() || view.len() > reach {
                return Ok(());
            }
            self.window.fill_more()?;
        }
    }

    /// The first line's end and the start of the next; none at the end of the file.
    fn first_line(&mut self) -> Result<Option<(usize, usize)>, FormatError> {
        loop {
            let (view, last) = (self.view(), self.window.ended());
            if last && view.is_empty() {
                return Ok(None);
            }
            if let Some(found) = scan::line_end(view, 0, last) {
                return Ok(Some(found));
            }
            if view.len() > 2 * self.dialect.max_record_bytes {
                return Err(self.broken("is too long"));
            }
            self.window.fill_more()?;
        }
    }

    fn leave_out(&mut self, next: usize, lines: u64) {
        self.at += next;
        self.lines += lines;
        if self.at > LET_GO_BYTES {
            self.let_go();
        }
    }

    fn broken(&self, what: &str) -> FormatError {
        let line = self.lines + 1;
        refused(
            Reason::Header,
            format!("line {line}: the header {what}; correct the file, or check delimiter and quote"),
        )
    }
}

fn refused(reason: Reason, message: String) -> FormatError {
    FormatError::Refused { reason, message }
}

/// Takes white space, non-breaking spaces and byte order marks off both ends.
fn clean(name: &str) -> &str {
    name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// A name in the form in which names are compared.
#[must_use]
pub fn folded(name: &str) -> String {
    clean(name).replace(['\u{a0}', '\u{202f}'], " ").to_lowercase()
}

/// Finds the wanted columns in a header.
///
/// # Errors
/// A refusal that names every column that is missing, stands twice or is not expected.
pub fn find_named(
    names: &[String],
    wanted: &[Wanted],
    unexpected: Unexpected,
) -> Result<Vec<Option<usize>>, FormatError> {
    // Where each name stands first, and how often.
    let mut places: HashMap<String, (usize, usize)> = HashMap::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        places.entry(folded(name)).or_insert((place, 0)).1 += 1;
    }
    let mut problems = Vec::new();
    let mut taken = vec![false; names.len()];
    let mut layout = Vec::with_capacity(wanted.len());
    for column in wanted {
        let FieldSource::Named(candidates) = &column.source else {
            layout.push(None);
            continue;
        };
        let place = candidates.iter().find_map(|name| places.get(&folded(name)).copied());
        if let Some((place, times)) = place {
            if times > 1 {
                problems.push(format!("the header names {} twice", shown(names.get(place))));
            }
            if let Some(slot) = taken.get_mut(place) {
                *slot = true;
            }
        } else if column.required {
            let all: Vec<_> = candidates.iter().map(|name| shown(Some(name))).collect();
            problems.push(format!("the header has no column {}", all.join(" or ")));
        }
        layout.push(place.map(|(place, _)| place));
    }
    if unexpected == Unexpected::Reject {
        let extra = names.iter().zip(&taken).filter(|(_, taken)| !**taken);
        problems.extend(extra.map(|(name, _)| format!("the column {} is not expected", shown(Some(name)))));
    }
    problems.dedup();
    let any = layout.iter().any(Option::is_some);
    if problems.is_empty() && any {
        return Ok(layout);
    }
    // A first line that names no column may be data, and data does not belong in messages.
    if !any {
        let message = "the first line names none of the mapping's columns; if the file has no header, set format.header = false; \
                       if it stands further down, set format.skip_rows; or check format.delimiter";
        return Err(refused(Reason::Header, message.to_owned()));
    }
    let columns = listed(names.iter().map(|name| shown(Some(name))));
    let message = format!("{}; the file's columns are {columns}", listed(problems.into_iter()));
    Err(refused(Reason::Header, message))
}

/// The first of some texts, and how many more there are.
fn listed(mut texts: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 20;
    let first: Vec<String> = texts.by_ref().take(SHOWN).collect();
    match texts.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn shown(name: Option<&String>) -> String {
    format!("\"{}\"", printable::short(name.map_or("", String::as_str), 60))
}

/// Finds the wanted columns of a file without a header, and names the columns by their numbers.
///
/// # Errors
/// A refusal when there are columns that nobody expects, and the mapping says so.
pub fn find_numbered(
    width: usize,
    wanted: &[Wanted],
    unexpected: Unexpected,
) -> Result<(Vec<String>, Vec<Option<usize>>), FormatError> {
    let layout: Vec<Option<usize>> = wanted
        .iter()
        .map(|column| match column.source {
            FieldSource::Numbered(number) => number.checked_sub(1),
            FieldSource::Named(_) => None,
        })
        .collect();
    let names: Vec<String> = (1..=width).map(|number| format!("column {number}")).collect();
    if unexpected == Unexpected::Reject {
        let mut taken = vec![false; width];
        for place in layout.iter().flatten() {
            if let Some(slot) = taken.get_mut(*place) {
                *slot = true;
            }
        }
        let extra: Vec<String> =
            names.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(name, _)| name.clone()).collect();
        if !extra.is_empty() {
            let message =
                format!("the records have fields that no column takes: {}", listed(extra.into_iter()));
            return Err(refused(Reason::Header, message));
        }
    }
    Ok((names, layout))
}
