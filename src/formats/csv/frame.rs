//! Cuts a CSV into chunks of whole records, in order and with bounded memory.
//!
//! Whether a line end ends a record depends on the quotes before it, all the way from the start of the file. What is
//! needed for a cut is little, though: only the quotes have to be visited, not the line ends between them. Dialects
//! in which a quote's meaning shows by the byte before it are framed that way; the others record by record.
//!
//! Promise: splitting the chunks one by one finds the same records as scanning the whole file would.

use super::{
    scan::{self, Dialect, RawField},
    window::Window,
};
use crate::formats::{Chunk, FormatError, Framer, Oversized};

/// A chunk has at least so many bytes, if the file does: large enough that handing it over costs nothing, small enough
/// that its fields stay in a core's cache.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A chunk has at most about so many fields: each takes some forty bytes on its way, and a few chunks are under way at
/// once.
const CHUNK_FIELDS: usize = 1 << 17;

/// A chunk is not made smaller than this for its fields.
const SMALLEST_CHUNK_BYTES: usize = 1 << 10;

/// So much of a record that is larger than a record may be is kept for its reject.
pub const HEAD_BYTES: usize = 1 << 16;

/// Buffers kept for chunks to come. More chunks than this are never under way.
const SPARES: usize = 16;

/// The framer of one file.
#[derive(Debug)]
pub struct CsvFramer {
    window: Window,
    dialect: Dialect,
    chunk_bytes: usize,
    width: usize,
    index: u64,
    spares: Vec<Vec<u8>>,
}

impl CsvFramer {
    /// Frames what is left in `window`, which stands at the start of a record of `width` fields.
    #[must_use]
    pub fn new(window: Window, dialect: Dialect, width: usize, chunk_bytes: usize) -> Self {
        Self { window, dialect, chunk_bytes, width, index: 0, spares: Vec::new() }
    }

    /// Where to cut instead of at `cut`, so that the chunk's fields fit into memory: short records of a wide file, broken
    /// ones most of all, take far more of it than their bytes.
    fn within_fields(&self, cut: usize) -> usize {
        let mut cut = cut;
        loop {
            let view = self.window.view().get(..cut).unwrap_or_default();
            let fields = (scan::count_lines(view) + 1).saturating_mul(self.width.max(1));
            if fields <= CHUNK_FIELDS || cut <= SMALLEST_CHUNK_BYTES {
                return cut;
            }
            let target = (cut / fields.div_ceil(CHUNK_FIELDS).max(2)).max(SMALLEST_CHUNK_BYTES / 2);
            let mut at = 0;
            let last = self.window.ended();
            let whole = self.window.view();
            let smaller = if hops(&self.dialect) {
                hop(whole, &mut at, target, last, &self.dialect)
            } else {
                walk(whole, &mut at, target, last, &self.dialect)
            };
            match smaller {
                Some(smaller) if smaller < cut => cut = smaller,
                _ => return cut,
            }
        }
    }

    fn emit(&mut self, at: usize, oversized: Option<Oversized>) -> Chunk {
        let spare = self.spares.pop().unwrap_or_default();
        let cut = self.window.cut(at, spare);
        let index = self.index;
        self.index += 1;
        Chunk { index, byte: cut.byte, raw: cut.raw.into(), decoded: cut.decoded, oversized }
    }

    /// The first record end at or after the chunk size.
    fn find_cut(&mut self) -> Result<Cut, FormatError> {
        let mut at = 0;
        // A record that does not end within this is larger than a record may be.
        let enough = self.chunk_bytes + 2 * self.dialect.max_record_bytes;
        loop {
            let view = self.window.view();
            let step = if hops(&self.dialect) {
                hop(view, &mut at, self.chunk_bytes, self.window.ended(), &self.dialect)
            } else {
                walk(view, &mut at, self.chunk_bytes, self.window.ended(), &self.dialect)
            };
            match step {
                Some(cut) => return Ok(Cut::At(cut)),
                None if self.window.ended() => return Ok(Cut::At(view.len())),
                None if view.len() > enough => return Ok(Cut::TooFar),
                // Half as much again each time, as some records are then looked at from their start.
                None => {
                    let more = view.len() + (view.len() / 2).max(1);
                    self.window.fill(more)?;
                }
            }
        }
    }

    /// The window holds a record that is too large to keep whole. What stands before it becomes a chunk; if nothing
    /// does, the head of the record itself.
    fn around_large_record(&mut self) -> Result<Chunk, FormatError> {
        let (mut start, mut fields) = (0, Vec::new());
        let view = self.window.view();
        while let Some(found) = scan::record(view, start, false, &self.dialect, &mut fields) {
            start = found.next;
        }
        if start > 0 {
            return Ok(self.emit(start, None));
        }
        let head = self.window.raw().get(..HEAD_BYTES).unwrap_or(self.window.raw()).to_vec();
        let byte = self.window.byte();
        let oversized = skip_record(&mut self.window, &self.dialect)?;
        let index = self.index;
        self.index += 1;
        Ok(Chunk { index, byte, raw: head.into(), decoded: None, oversized: Some(oversized) })
    }
}

enum Cut {
    /// A record ends here.
    At(usize),
    /// No record ends within what may be held in memory.
    TooFar,
}

impl Framer for CsvFramer {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, FormatError> {
        self.window.fill(self.chunk_bytes)?;
        if self.window.view().is_empty() && self.window.ended() {
            return Ok(None);
        }
        match self.find_cut()? {
            Cut::At(at) => {
                let at = self.within_fields(at);
                Ok(Some(self.emit(at, None)))
            }
            Cut::TooFar => self.around_large_record().map(Some),
        }
    }

    fn recycle(&mut self, chunk: Chunk) {
        // A buffer that one large record has blown up is not kept.
        let memory = chunk.raw.into_vec();
        if self.spares.len() < SPARES && memory.capacity() <= 4 * self.chunk_bytes {
            self.spares.push(memory);
        }
    }
}

/// True for dialects in which a quote opens a field exactly when the byte before it is a delimiter or a line end.
fn hops(dialect: &Dialect) -> bool {
    dialect.delimiter.len() == 1 && dialect.escape.is_none() && dialect.comment.is_none()
}

/// Goes from quote to quote, from `at` (outside quotes) on; `at` is where to go on when there is no answer yet.
fn hop(view: &[u8], at: &mut usize, target: usize, last: bool, dialect: &Dialect) -> Option<usize> {
    let delimiter = dialect.delimiter.first().copied().unwrap_or(b',');
    loop {
        let next_quote = dialect
            .quote
            .and_then(|quote| memchr::memchr(quote, view.get(*at..).unwrap_or_default()))
            .map_or(view.len(), |offset| *at + offset);
        // From `at` to the quote every line end ends a record.
        let search_from = target.max(*at);
        // No further than to the quote: on a long line with many, each would look for the same far end.
        if search_from < next_quote
            && let Some(offset) = memchr::memchr2(b'\n', b'\r', &view[search_from..next_quote])
            && let Some((_, next)) = scan::line_end(view, search_from + offset, last)
        {
            return Some(next);
        }
        if next_quote >= view.len() {
            // A carriage return at the very end is looked at again when more is here.
            *at = view.len().saturating_sub(1).max(*at);
            return None;
        }
        let opens = match next_quote.checked_sub(1).and_then(|before| view.get(before)) {
            None => true,
            Some(byte) => *byte == delimiter || matches!(byte, b'\n' | b'\r'),
        };
        *at = next_quote;
        *at = if opens { scan::after_quoted(view, next_quote, last, dialect)? } else { next_quote + 1 };
    }
}

/// Goes record by record.
fn walk(view: &[u8], at: &mut usize, target: usize, last: bool, dialect: &Dialect) -> Option<usize> {
    let mut fields: Vec<RawField> = Vec::new();
    while *at < view.len() {
        let found = scan::record(view, *at, last, dialect, &mut fields)?;
        *at = found.next;
        if *at >= target {
            return Some(*at);
        }
    }
    None
}

/// Goes past the record at the start of the window without keeping it, field by field.
fn skip_record(window: &mut Window, dialect: &Dialect) -> Result<Oversized, FormatError> {
    let from = window.byte();
    let reach = 2 * dialect.max_record_bytes + HEAD_BYTES;
    let (mut lines, mut at, mut inside_text) = (1, 0, false);
    loop {
        // What is gone past is let go of a window at a time: each time, the rest of the window moves.
        if window.view().len() - at < reach && !window.ended() {
            window.cut(at, Vec::new());
            at = 0;
            window.fill(2 * reach)?;
        }
        let (view, last) = (window.view(), window.ended());
        let opens = !inside_text && dialect.quote.is_some() && view.get(at).copied() == dialect.quote;
        let field_end = if !opens {
            scan::unquoted_end(view, at, last, dialect)
        } else {
            match scan::quoted(view, at, last, dialect) {
                Some(scan::Quoted::Closed { end, lines: inner, .. }) => {
                    lines += inner as u64;
                    Some(end)
                }
                Some(scan::Quoted::TextAfter { end, .. }) => {
                    (at, inside_text) = (end, true);
                    continue;
                }
                Some(scan::Quoted::Unclosed) | None => return end_at_line(window, at, from, lines),
            }
        };
        let Some(end) = field_end else {
            // No end of the text in sight: go past all of it but what could be the start of a delimiter.
            at = view.len().saturating_sub(dialect.delimiter.len() + 1).max(at);
            inside_text = true;
            continue;
        };
        inside_text = false;
        if !view.get(end..).is_some_and(|rest| rest.starts_with(&dialect.delimiter)) {
            return end_at_line(window, end, from, lines);
        }
        at = end + dialect.delimiter.len();
    }
}

/// Goes past the first line end at or after `at`, which ends a record that began at byte `from` of the file.
fn end_at_line(window: &mut Window, at: usize, from: u64, lines: u64) -> Result<Oversized, FormatError> {
    window.cut(at, Vec::new());
    loop {
        window.fill(2)?;
        let (view, last) = (window.view(), window.ended());
        if let Some((end, next)) = scan::line_end(view, 0, last) {
            window.cut(end, Vec::new());
            let bytes = window.byte() - from;
            window.cut(next - end, Vec::new());
            return Ok(Oversized { bytes, lines });
        }
        let keep = usize::from(view.last() == Some(&b'\r'));
        window.cut(view.len() - keep, Vec::new());
        window.fill_more()?;
    }
}
