//! The sequenced step: takes what the pure step found, chunk by chunk in file order, and does what needs that order.
//!
//! It numbers the records, watches keys and unique values (which may extend the reject mask), adds up totals, and puts
//! rows and rejects aside in the work file. Rejected records neither claim nor violate keys.

use std::{borrow::Cow, collections::BTreeMap, io, sync::Arc};

use arrow_array::{BooleanArray, UInt32Array, UInt64Array};

use super::{
    ValidateError,
    chunk::{Checked, PureStep, UniqueHashes},
    column::Findings,
    computed::Sheet,
    kept::Folder,
    keys::{KeyHash, KeyIndex},
    parts,
    rejected_keys::RejectedKeysWriter,
    superseded::SupersededWriter,
    verdict::{self, Totals},
    work::{OriginArrays, REJECT_FILE_VERSION, Seal, WorkFile, WorkWriter},
};
use crate::{
    formats::{Chunk, Opened, Records, Span, Trailer},
    mapping::plan::{DuplicateKeys, Plan},
    model::{ContentHash, Position, Reject, Rule, Violation, reject::reported},
};

/// Trailers kept for the verdict; two are one too many already.
const MOST_TRAILERS: usize = 2;

/// The sequenced step of one file.
pub struct Sequence {
    plan: Arc<Plan>,
    header: Vec<String>,
    encoding: &'static str,
    layout: Vec<Option<usize>>,
    work: WorkWriter,
    keys: KeyIndex,
    unique: Vec<KeyIndex>,
    superseded: SupersededWriter,
    rejected_keys: Option<RejectedKeysWriter>,
    records: u64,
    lines: u64,
    rejected: u64,
    filtered: u64,
    superseded_count: u64,
    violations: BTreeMap<Rule, u64>,
    controls: Vec<(i128, u64)>,
    trailers: Vec<(Trailer, u64, u64)>,
    reject_keys: Vec<(u64, KeyHash)>,
    most_reject_keys: usize,
}

/// How a sequence is set up.
#[derive(Clone, Copy, Debug)]
pub struct SequenceOptions<'a> {
    /// Where work files overflow to.
    pub folder: Folder<'a>,
    /// Memory for all key sets together, in bytes.
    pub key_memory_bytes: usize,
    /// Keep the rows, for loading; otherwise only rejects and counts.
    pub keep_rows: bool,
    /// Keys of rejected records that are noted at most.
    pub most_reject_keys: usize,
}

impl Sequence {
    /// The step for the file that was `opened` under `plan`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(
        plan: Arc<Plan>,
        opened: &Opened,
        step: &PureStep,
        options: SequenceOptions<'_>,
    ) -> Result<Self, ValidateError> {
        let unique_count = plan.columns.iter().filter(|column| column.unique).count();
        let share = options.key_memory_bytes / (1 + unique_count);
        Ok(Self {
            header: opened.header.clone(),
            encoding: opened.encoding,
            layout: opened.layout.clone(),
            work: WorkWriter::new(&options.folder, &step.schema(), options.keep_rows)?,
            keys: options.folder.keys(share),
            unique: (0..unique_count).map(|_| options.folder.unique(share)).collect(),
            superseded: SupersededWriter::new(options.folder.spool(Folder::SUPERSEDED)),
            rejected_keys: RejectedKeysWriter::new(&plan, &step.schema(), &options.folder)?,
            records: 0,
            lines: opened.lines_before,
            rejected: 0,
            filtered: 0,
            superseded_count: 0,
            violations: BTreeMap::new(),
            controls: vec![(0, 0); plan.control_columns.len()],
            trailers: Vec::new(),
            reject_keys: Vec::new(),
            most_reject_keys: options.most_reject_keys,
            plan,
        })
    }

    /// Records read so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Takes the next chunk in file order, and gives its buffers back. `step` is the one that it comes from.
    ///
    /// # Errors
    /// What the disk says.
    pub fn take(&mut self, step: &PureStep, checked: Checked) -> Result<(Chunk, Records), ValidateError> {
        let (first_record, lines) = (self.records, self.lines);
        let checked = step.conclude(checked, first_record + 1)?;
        let (chunk, mut records) = if checked.needs_parts() {
            self.take_in_parts(step, checked.chunk, checked.records)?
        } else {
            self.take_whole(checked)?
        };
        for trailer in records.trailers.drain(..) {
            if self.trailers.len() < MOST_TRAILERS {
                let line = lines + u64::from(trailer.line) + 1;
                let before = first_record + u64::from(trailer.records_before);
                self.trailers.push((trailer, line, before));
            }
        }
        self.lines += records.lines;
        Ok((chunk, records))
    }

    /// Does a chunk again, so many records at a time as fit into memory with all that is made of them. This is for the
    /// sequenced step, as two such chunks side by side would not fit either.
    fn take_in_parts(
        &mut self,
        step: &PureStep,
        mut chunk: Chunk,
        mut whole: Records,
    ) -> Result<(Chunk, Records), ValidateError> {
        step.split(&chunk, &mut whole);
        let count = whole.len();
        let (mut from, mut size) = (0, count.div_ceil(2));
        while from < count {
            let to = from.saturating_add(size.max(1)).min(count);
            let checked = step.check(chunk, parts::part(&mut whole, from..to))?;
            let checked = step.conclude(checked, self.records + 1)?;
            let part;
            if checked.needs_parts() {
                (chunk, part) = (checked.chunk, checked.records);
                size = (to - from) / 2;
            } else {
                size = if checked.sheet.made().is_little() { size.saturating_mul(2) } else { size };
                (chunk, part) = self.take_whole(checked)?;
                from = to;
            }
            parts::give_back(&mut whole, part);
        }
        Ok((chunk, whole))
    }

    /// Takes records whose columns are all there. Lines and trailers are the caller's.
    fn take_whole(&mut self, checked: Checked) -> Result<(Chunk, Records), ValidateError> {
        let Checked { chunk, records, sheet, rows, mut findings, keys, unique, controls } = checked;
        let count = records.len();
        let mut keep = sheet.filtered.iter().map(|filtered| !filtered).collect::<Vec<bool>>();
        self.filtered += keep.iter().filter(|keep| !**keep).count() as u64;
        keep.resize(count, true);
        for (record, _) in &findings {
            if let Some(slot) = keep.get_mut(*record as usize) {
                *slot = false;
            }
        }
        {
            let text = records.text(&chunk);
            let view = View { chunk: &chunk, records: &records, text: &text, sheet: &sheet };
            let found = findings.len();
            self.claim(&view, &keys, &unique, &mut keep, &mut findings)?;
            if findings.len() > found {
                findings.sort_by_key(|(record, _)| *record);
            }
            self.note_reject_keys(&view, &findings, &keys);
            if let Some(keys) = &mut self.rejected_keys {
                keys.note(&rows, &findings)?;
            }
            self.put_rejects_aside(&view, findings)?;
            if self.work.keeps_rows() && keep.iter().any(|keep| *keep) {
                let origins = self.origins(&view);
                self.work.push_rows(&rows, origins, &BooleanArray::from(keep))?;
            }
        }
        for (total, (sum, unknown)) in self.controls.iter_mut().zip(&controls) {
            total.0 = total.0.wrapping_add(*sum);
            total.1 += unknown;
        }
        self.records += count as u64;
        Ok((chunk, records))
    }

    /// Ends the file: the verdict falls, and the work file is sealed.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self) -> Result<WorkFile, ValidateError> {
        let totals = Totals {
            read: self.records,
            rejected: self.rejected,
            trailers: &self.trailers,
            controls: &self.controls,
        };
        let (rejected_keys, unreadable_keys) = match self.rejected_keys {
            Some(keys) => keys.finish().map(|(keys, unreadable)| (Some(keys), unreadable))?,
            None => (None, 0),
        };
        let seal = Seal {
            version: REJECT_FILE_VERSION,
            plan: self.plan.fingerprint.clone(),
            columns: self.plan.columns.iter().map(|column| column.name.clone()).collect(),
            sensitive: self.plan.columns.iter().map(|column| column.sensitive).collect(),
            header: self.header,
            encoding: self.encoding.to_owned(),
            layout: self.layout,
            read: self.records,
            good: self.records - self.rejected - self.filtered - self.superseded_count,
            superseded: self.superseded_count,
            rejected: self.rejected,
            filtered: self.filtered,
            unreadable_keys,
            violations: self
                .violations
                .iter()
                .map(|(rule, count)| (rule.code().to_owned(), *count))
                .collect(),
            rejects_are_ascii: true,
            verdict: verdict::judge(&self.plan, &totals),
            reject_bytes: 0,
            reject_hash: ContentHash([0; 32]),
            target_reject_bytes: 0,
            target_reject_hash: ContentHash([0; 32]),
        };
        let mut work = self.work.seal(seal, self.superseded.finish()?, rejected_keys)?;
        work.keys = Some(self.keys);
        work.reject_keys = self.reject_keys;
        Ok(work)
    }

    /// The number of a record in its file; one of a correction keeps that which it had.
    fn number(&self, view: &View<'_>, at: usize) -> u64 {
        let former = view.records.former.get(at).map(|former| former.position.record);
        former.unwrap_or(self.records + at as u64 + 1)
    }

    /// Notes the keys of rejected records, where they can be read, so that it can be told when a later file brings the
    /// same key.
    fn note_reject_keys(&mut self, view: &View<'_>, findings: &Findings, keys: &[KeyHash]) {
        if keys.is_empty() {
            return;
        }
        let mut findings = findings.iter().peekable();
        while let Some((at, first)) = findings.next() {
            // One that repeats the key of an earlier record is corrected by another key, which nobody knows yet.
            let mut is_readable = self.leaves_key(first);
            while let Some((_, violation)) = findings.next_if(|(other, _)| other == at) {
                is_readable &= self.leaves_key(violation);
            }
            let is_known = |column: &usize| view.sheet.is_known(*column, *at as usize);
            if is_readable
                && self.plan.table.key.iter().all(is_known)
                && self.reject_keys.len() < self.most_reject_keys
                && let Some(key) = keys.get(*at as usize)
            {
                self.reject_keys.push((self.number(view, *at as usize), *key));
            }
        }
    }

    /// True when a record of which this was found has a key all the same.
    fn leaves_key(&self, violation: &Violation) -> bool {
        match violation.column {
            Some(column) => !self.plan.table.key.contains(&usize::from(column)),
            None => violation.rule.is_of_expressions(),
        }
    }

    /// Lets the records that pass claim their keys and unique values; those that cannot are rejected.
    fn claim(
        &mut self,
        view: &View<'_>,
        keys: &[KeyHash],
        unique: &[UniqueHashes],
        keep: &mut [bool],
        findings: &mut Findings,
    ) -> io::Result<()> {
        if keys.is_empty() && unique.is_empty() {
            return Ok(());
        }
        self.keys.warm(keys);
        for (at, keep) in keep.iter_mut().enumerate() {
            if !*keep {
                continue;
            }
            let record = self.number(view, at);
            let key = keys.get(at).copied();
            let wrong = if unique.is_empty() {
                self.claim_key(view, key, at, record)?
            } else {
                self.claim_all(view, key, unique, at, record)?
            };
            if !wrong.is_empty() {
                *keep = false;
                findings.extend(wrong.into_iter().map(|violation| (at as u32, violation)));
            }
        }
        Ok(())
    }

    fn claim_key(
        &mut self,
        view: &View<'_>,
        key: Option<KeyHash>,
        at: usize,
        record: u64,
    ) -> io::Result<Vec<Violation>> {
        let Some(key) = key else { return Ok(Vec::new()) };
        match self.plan.duplicate_keys {
            DuplicateKeys::Reject => Ok(match self.keys.claim(key, record)? {
                Some(earlier) => vec![self.key_violation(view, at, earlier)],
                None => Vec::new(),
            }),
            DuplicateKeys::Last => {
                if let Some(earlier) = self.keys.take_over(key, record)? {
                    self.superseded.push(earlier)?;
                    self.superseded_count += 1;
                }
                Ok(Vec::new())
            }
        }
    }

    /// With unique columns a record is looked up everywhere before it claims anything.
    fn claim_all(
        &mut self,
        view: &View<'_>,
        key: Option<KeyHash>,
        unique: &[UniqueHashes],
        at: usize,
        record: u64,
    ) -> io::Result<Vec<Violation>> {
        let mut wrong = Vec::new();
        if self.plan.duplicate_keys == DuplicateKeys::Reject
            && let Some(key) = key
            && let Some(earlier) = self.keys.find(key)?
        {
            wrong.push(self.key_violation(view, at, earlier));
        }
        for (index, (column, hashes)) in self.unique.iter().zip(unique) {
            if let Some(Some(hash)) = hashes.get(at)
                && let Some(earlier) = index.find(*hash)?
            {
                wrong.push(Violation {
                    column: Some(*column as u16),
                    rule: Rule::Unique,
                    value: reported(&self.value(view, at, *column)).into(),
                    message: format!("must be unique, but stands in record {earlier} already").into(),
                });
            }
        }
        if wrong.is_empty() {
            self.claim_key(view, key, at, record)?;
            for (index, (_, hashes)) in self.unique.iter_mut().zip(unique) {
                if let Some(Some(hash)) = hashes.get(at) {
                    index.claim(*hash, record)?;
                }
            }
        }
        Ok(wrong)
    }

    fn key_violation(&self, view: &View<'_>, at: usize, earlier: u64) -> Violation {
        let key = &self.plan.table.key;
        let values: Vec<(usize, Cow<'_, str>)> =
            key.iter().map(|column| (*column, self.value(view, at, *column))).collect();
        let value = |column| values.iter().find(|(of, _)| *of == column).map(|(_, value)| &**value);
        Violation {
            column: key.first().map(|column| *column as u16),
            rule: Rule::Key,
            value: reported(&self.plan.joined(key, value)).into(),
            message: format!("repeats the key of record {earlier}").into(),
        }
    }

    /// The text of the field that a plan column takes, or of the value that it computes.
    fn value<'a>(&self, view: &View<'a>, at: usize, column: usize) -> Cow<'a, str> {
        match self.layout.get(column) {
            Some(Some(place)) => view.field(at * view.records.width + place).into(),
            _ => view.sheet.text(column, at).unwrap_or_default().into(),
        }
    }

    fn origins(&self, view: &View<'_>) -> OriginArrays {
        let places = &view.records.places;
        let (byte, line, record) = (view.chunk.byte, self.lines + 1, self.records + 1);
        let former = &view.records.former;
        if !former.is_empty() {
            let part = |of: fn(&Position) -> u64| former.iter().map(move |former| of(&former.position));
            let length = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
            return OriginArrays {
                records: UInt64Array::from_iter_values(part(|place| place.record)),
                lines: UInt64Array::from_iter_values(part(|place| place.line)),
                bytes: UInt64Array::from_iter_values(part(|place| place.byte)),
                lengths: UInt32Array::from_iter_values(part(|place| place.length).map(length)),
            };
        }
        OriginArrays {
            records: UInt64Array::from_iter_values(record..record + places.len() as u64),
            lines: UInt64Array::from_iter_values(places.iter().map(|place| line + u64::from(place.line))),
            bytes: UInt64Array::from_iter_values(places.iter().map(|place| byte + u64::from(place.byte))),
            lengths: UInt32Array::from_iter_values(places.iter().map(|place| place.length)),
        }
    }

    fn put_rejects_aside(&mut self, view: &View<'_>, findings: Findings) -> Result<(), ValidateError> {
        let mut findings = findings.into_iter().peekable();
        while let Some((at, first)) = findings.next() {
            let mut violations = vec![first];
            while let Some((_, violation)) = findings.next_if(|(other, _)| *other == at) {
                violations.push(violation);
            }
            for violation in &violations {
                *self.violations.entry(violation.rule.clone()).or_default() += 1;
            }
            self.rejected += 1;
            let reject = self.reject(view, at as usize, violations);
            self.work.push_reject(reject)?;
        }
        Ok(())
    }

    fn reject(&self, view: &View<'_>, at: usize, violations: Vec<Violation>) -> Reject {
        let (records, chunk) = (view.records, view.chunk);
        let place = records.places.get(at).copied().unwrap_or_default();
        let (start, length) = (place.byte as usize, place.length as usize);
        let is_whole =
            |violation: &Violation| violation.column.is_none() && violation.rule.leaves_no_columns();
        let row = at * records.width;
        let no_fields = |mut spans: std::ops::Range<usize>| spans.all(|span| view.field(span).is_empty());
        // What cannot be taken of a corrected file may have columns all the same.
        let broken = violations.iter().any(is_whole)
            || (violations.iter().any(|violation| violation.rule == Rule::Correction)
                && no_fields(row..row + records.width));
        let fields = if broken {
            Vec::new()
        } else {
            (row..row + records.width).map(|span| view.field(span).into()).collect()
        };
        if let Some(former) = records.former.get(at) {
            return Reject { position: former.position, raw: former.raw.clone(), fields, violations };
        }
        Reject {
            position: Position {
                record: self.records + at as u64 + 1,
                line: self.lines + u64::from(place.line) + 1,
                byte: chunk.byte + u64::from(place.byte),
                length: chunk.oversized.map_or(length as u64, |large| large.bytes),
            },
            raw: chunk.raw.get(start..start + length).unwrap_or_default().to_vec(),
            fields,
            violations,
        }
    }
}

/// A chunk with its records and its text.
struct View<'a> {
    chunk: &'a Chunk,
    records: &'a Records,
    text: &'a str,
    sheet: &'a Sheet,
}

impl<'a> View<'a> {
    /// The text of the field with this number in the chunk's row-major spans.
    fn field(&self, number: usize) -> &'a str {
        let span = self.records.spans.get(number).copied().unwrap_or_default();
        let source = if span.start & Span::SCRATCH == 0 { self.text } else { &self.records.scratch };
        source.get(span.range()).unwrap_or_default()
    }
}
