//! One pass over a sample: the evidence of every record, chunk by chunk. [`Survey::chunk`] is pure and may run on any
//! thread; [`Evidence::take`] puts the parts together in the order of the file.

use std::sync::Arc;

use super::{
    InferError,
    column::{Column, Look, has_twin, hash},
    encoding::TextCounts,
    sniff::Sniffed,
};
use crate::{
    formats::{Chunk, FieldSource, Format, Framer, Records, Span, Splitter, Trailer, Wanted, csv::Csv},
    model::Rule,
};

/// Hashes kept over all columns of a sample, at 8 bytes each: 32 MB. Beyond, the column that has most is watched no
/// longer, and the draft says how far it was.
const MOST_HASHES: usize = 4 << 20;

/// Records and columns of the small table by which pairs of columns are chosen.
pub const TABLE_RECORDS: usize = 1_000;
/// See [`TABLE_RECORDS`].
pub const TABLE_COLUMNS: usize = 64;

/// A sample that is opened for a pass.
pub struct Pass {
    /// Cuts it into chunks.
    pub framer: Box<dyn Framer>,
    /// What to do with each.
    pub survey: Arc<Survey>,
}

/// The pure step.
#[derive(Debug)]
pub struct Survey {
    /// Finds the fields.
    pub splitter: Arc<dyn Splitter>,
    /// Fields of a record.
    pub width: usize,
    /// Physical lines before the first record.
    pub lines_before: u64,
    look: Arc<Look>,
    watches_text: bool,
}

impl Survey {
    /// Opens a sample as it was sniffed.
    ///
    /// # Errors
    /// What the format says of it.
    pub fn open(
        sniffed: &Sniffed,
        input: Box<dyn std::io::Read + Send>,
        look: Arc<Look>,
    ) -> Result<Pass, InferError> {
        let csv = Csv::new(sniffed.options()).map_err(|problems| {
            let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            InferError::Unclear(messages.join("; "))
        })?;
        let opened = csv.open(input, &sniffed.wanted())?;
        let survey = Self {
            splitter: opened.splitter,
            width: opened.header.len(),
            lines_before: opened.lines_before,
            look,
            watches_text: sniffed.encoding == encoding_rs::UTF_8,
        };
        Ok(Pass { framer: opened.framer, survey: Arc::new(survey) })
    }

    /// The evidence of one chunk.
    #[must_use]
    pub fn chunk(&self, chunk: &mut Chunk, records: &mut Records) -> Part {
        chunk.check_text();
        self.splitter.split(chunk, records);
        let text_counts = if self.watches_text { TextCounts::of(&chunk.raw) } else { TextCounts::default() };
        let mut broken = vec![false; records.len()];
        let mut faults = Faults::default();
        for (record, violation) in &records.faults {
            if let Some(slot) = broken.get_mut(*record as usize) {
                faults.note(
                    violation.rule.clone(),
                    !*slot,
                    records.places.get(*record as usize).map_or(0, |place| place.line.into()),
                );
                *slot = true;
            }
        }
        for (record, ..) in &records.undecodable {
            if let Some(slot) = broken.get_mut(*record as usize) {
                faults.note(
                    Rule::Encoding,
                    !*slot,
                    records.places.get(*record as usize).map_or(0, |place| place.line.into()),
                );
                *slot = true;
            }
        }
        let text = records.text(chunk);
        let field = |record: usize, column: usize| {
            let span = records.spans.get(record * records.width + column).copied().unwrap_or_default();
            let source = if span.start & Span::SCRATCH != 0 { records.scratch.as_str() } else { &text };
            source.get(span.range()).unwrap_or_default()
        };
        let columns = (0..self.width).map(|at| {
            let mut column = Column::new(&self.look);
            for (record, broken) in broken.iter().enumerate() {
                if !broken {
                    column.add(field(record, at), &self.look);
                }
            }
            column.close(&self.look);
            column
        });
        let columns = columns.collect();
        let table = if chunk.index == 0 {
            let rows = broken.iter().enumerate().filter(|(_, broken)| !**broken).take(TABLE_RECORDS);
            rows.map(|(record, _)| {
                (0..self.width.min(TABLE_COLUMNS))
                    .map(|column| hash(field(record, column).trim(), self.look.secret))
                    .collect()
            })
            .collect()
        } else {
            Vec::new()
        };
        Part {
            records: records.len() as u64,
            lines: records.lines,
            faults,
            columns,
            table,
            text_counts,
            trailers: std::mem::take(&mut records.trailers),
        }
    }

    /// For each record of a chunk that is not broken the hash of each of these sets of columns.
    #[must_use]
    pub fn keys(&self, chunk: &mut Chunk, records: &mut Records, sets: &[Vec<usize>]) -> Vec<Vec<u64>> {
        chunk.check_text();
        self.splitter.split(chunk, records);
        let mut broken = vec![false; records.len()];
        for (record, _) in &records.faults {
            if let Some(slot) = broken.get_mut(*record as usize) {
                *slot = true;
            }
        }
        let text = records.text(chunk);
        let of = |set: &Vec<usize>| {
            let sound = broken.iter().enumerate().filter(|(_, broken)| !**broken);
            let hashes = sound.map(|(record, _)| {
                let parts = set.iter().map(|column| {
                    let at = record * records.width + column;
                    let span = records.spans.get(at).copied().unwrap_or_default();
                    let source =
                        if span.start & Span::SCRATCH != 0 { records.scratch.as_str() } else { &text };
                    hash(source.get(span.range()).unwrap_or_default().trim(), self.look.secret)
                });
                combined(parts)
            });
            hashes.collect()
        };
        sets.iter().map(of).collect()
    }
}

/// One hash of several, in their order.
pub fn combined(parts: impl Iterator<Item = u64>) -> u64 {
    parts.fold(0x9e37_79b9_7f4a_7c15, |all, part| {
        (all.rotate_left(23) ^ part).wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

/// Records that are broken, by what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Broken records.
    pub records: u64,
    /// A wrong number of fields.
    pub columns: u64,
    /// Quotes.
    pub quote: u64,
    /// Bytes that are not valid.
    pub encoding: u64,
    /// Too large.
    pub size: u64,
    /// Physical line of the first one, as it stands in its part.
    pub first_line: Option<u64>,
}

impl Faults {
    fn note(&mut self, rule: Rule, is_new: bool, line: u64) {
        self.records += u64::from(is_new);
        self.first_line = Some(self.first_line.map_or(line, |known| known.min(line)));
        match rule {
            Rule::Columns => self.columns += 1,
            Rule::Quote => self.quote += 1,
            Rule::Size => self.size += 1,
            _ => self.encoding += 1,
        }
    }

    fn add(&mut self, other: &Self, lines_before: u64) {
        self.records += other.records;
        self.columns += other.columns;
        self.quote += other.quote;
        self.encoding += other.encoding;
        self.size += other.size;
        self.first_line = self.first_line.or(other.first_line.map(|line| line + lines_before));
    }
}

/// What one chunk says.
#[derive(Debug)]
pub struct Part {
    records: u64,
    lines: u64,
    faults: Faults,
    columns: Vec<Column>,
    table: Vec<Vec<u64>>,
    text_counts: TextCounts,
    trailers: Vec<Trailer>,
}

/// What a sample says.
#[derive(Debug)]
pub struct Evidence {
    /// Records, broken ones and trailers: the latter not counted.
    pub records: u64,
    /// Broken records; the line is that of the file.
    pub faults: Faults,
    /// The columns in the order of the file.
    pub columns: Vec<Column>,
    /// Columns that were watched for repeated values only so far, in records, and had none by then.
    pub watched: Vec<Option<u64>>,
    /// The first records as hashes, to choose pairs of columns by.
    pub table: Vec<Vec<u64>>,
    /// Lines by what they are made of, where the sample is read as UTF-8.
    pub text_counts: TextCounts,
    /// Trailers, and whether each is the last record so far as is known.
    pub trailers: Vec<Trailer>,
    /// Records that stand behind the first trailer.
    pub behind_trailer: u64,
    lines: u64,
}

impl Evidence {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(survey: &Survey) -> Self {
        Self {
            records: 0,
            faults: Faults::default(),
            columns: (0..survey.width).map(|_| Column::new(&survey.look)).collect(),
            watched: vec![None; survey.width],
            table: Vec::new(),
            text_counts: TextCounts::default(),
            trailers: Vec::new(),
            behind_trailer: 0,
            lines: survey.lines_before + 1,
        }
    }

    /// Adds the next part of the file.
    pub fn take(&mut self, part: Part) {
        let after = match (self.trailers.is_empty(), part.trailers.first()) {
            (false, _) => part.records,
            (true, Some(first)) => part.records - u64::from(first.records_before).min(part.records),
            (true, None) => 0,
        };
        self.behind_trailer += after;
        self.trailers.extend(part.trailers);
        self.faults.add(&part.faults, self.lines);
        self.records += part.records;
        self.lines += part.lines;
        self.text_counts.add(part.text_counts);
        if self.table.is_empty() {
            self.table = part.table;
        }
        for ((mine, mut theirs), watched) in self.columns.iter_mut().zip(part.columns).zip(&self.watched) {
            let hashes = std::mem::take(&mut theirs.hashes);
            mine.merge(theirs);
            if mine.repeats || watched.is_some() {
                mine.hashes = Vec::new();
            } else {
                mine.hashes.extend_from_slice(&hashes);
            }
        }
        self.keep_within_memory();
    }

    fn keep_within_memory(&mut self) {
        while self.columns.iter().map(|column| column.hashes.len()).sum::<usize>() > MOST_HASHES {
            // The last one of those that have most: keys stand in front.
            let largest =
                self.columns.iter().enumerate().max_by_key(|(at, column)| (column.hashes.len(), *at));
            let Some((at, _)) = largest else { return };
            let records = self.records;
            if let (Some(column), Some(watched)) = (self.columns.get_mut(at), self.watched.get_mut(at)) {
                column.repeats = has_twin(&mut column.hashes);
                *watched = (!column.repeats).then_some(records);
                column.hashes = Vec::new();
            }
        }
    }

    /// Ends the pass: tells which columns hold each value once, and lets go of the hashes.
    pub fn close(&mut self) {
        for column in &mut self.columns {
            column.repeats = column.repeats || has_twin(&mut column.hashes);
            column.hashes = Vec::new();
        }
    }
}

impl Sniffed {
    /// What to ask of the format: every column that can be named.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        match &self.header {
            Some(names) if self.by_number.is_none() => names
                .iter()
                .filter(|name| !name.is_empty())
                .map(|name| Wanted { source: FieldSource::Named(vec![name.clone()]), required: false })
                .collect(),
            _ => vec![Wanted { source: FieldSource::Numbered(self.width.max(1)), required: false }],
        }
    }
}
