//! The pure step: one chunk of records in; rows, violations, key hashes and partial totals out.
//!
//! It knows nothing of other chunks, reads no clock and writes nothing, so it runs on any thread, in any order, and may be
//! repeated to the same effect. The one thing that it may read is a snapshot of a lookup table, which never changes.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, cast::AsArray, types};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use super::{
    ValidateError,
    column::Findings,
    computed::{self, Computing, Moment, Raw, Sheet},
    keys::KeyHash,
    lookup::Snapshots,
};
use crate::{
    formats::{Chunk, Records, Splitter},
    mapping::{expression::Facts, plan::Plan},
    model::Violation,
};

/// What the pure step needs besides the chunk.
#[derive(Debug)]
pub struct PureStep {
    plan: Arc<Plan>,
    splitter: Arc<dyn Splitter>,
    /// For each column of the plan, the file's column that it takes.
    layout: Vec<Option<usize>>,
    /// For each column of the plan, whether it is part of the rows.
    written: Vec<bool>,
    schema: SchemaRef,
    /// The key columns of the plan; empty when the file lacks one of them.
    key: Vec<usize>,
    /// The columns of the plan whose values must be unique.
    unique: Vec<usize>,
    computing: Computing,
    /// Keys the hashes of keys, so that nobody can make two of them meet.
    secret: [u64; 2],
}

/// What the pure step found in one chunk.
#[derive(Debug)]
pub struct Checked {
    /// The chunk, for the raw bytes of rejects.
    pub chunk: Chunk,
    /// Its records as they were split.
    pub records: Records,
    /// Its columns.
    pub sheet: Sheet,
    /// One row a record; those of records with violations are of no use.
    pub rows: RecordBatch,
    /// (record of the chunk, violation), by record, then column.
    pub findings: Findings,
    /// The hash of each record's key; empty when there is no key to watch.
    pub keys: Vec<KeyHash>,
    /// For each unique column: its index in the plan, and each record's hash, none for "no value".
    pub unique: Vec<UniqueHashes>,
    /// For each control: the sum over the chunk, in units of the column's last digit, and the records whose value is
    /// not known.
    pub controls: Vec<(i128, u64)>,
}

impl Checked {
    /// True when so much text is made of its records that they have to be done again, fewer at a time: nothing else of it is
    /// of use.
    #[must_use]
    pub fn needs_parts(&self) -> bool {
        self.sheet.made().needs_parts()
    }
}

/// A unique column's index in the plan, and the hash of each record's value, none for "no value".
pub type UniqueHashes = (usize, Vec<Option<KeyHash>>);

impl PureStep {
    /// The step for one file under `plan`. `layout` says which of the file's columns each plan column takes, `facts` is
    /// what expressions may ask of the file and its delivery, `snapshots` are the plan's lookup tables.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        splitter: Arc<dyn Splitter>,
        layout: &[Option<usize>],
        secret: [u64; 2],
        (facts, snapshots): (&Arc<Facts>, &Arc<Snapshots>),
    ) -> Self {
        let written = plan.written(layout);
        let is_written = |column: &usize| written.get(*column).copied().unwrap_or(false);
        let has_key = plan.table.key.iter().all(is_written);
        let unique = |column: &usize| plan.columns.get(*column).is_some_and(|column| column.unique);
        Self {
            splitter,
            schema: plan.row_schema(layout),
            key: if has_key { plan.table.key.clone() } else { Vec::new() },
            unique: (0..plan.columns.len()).filter(is_written).filter(unique).collect(),
            layout: layout.to_vec(),
            computing: Computing::new(&plan, facts, snapshots),
            written,
            plan,
            secret,
        }
    }

    /// The columns of the rows: those of the plan that the file holds or that are computed, in the plan's order.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Runs the step. `records` are split anew; what they held is gone.
    ///
    /// # Errors
    /// Never for what stands in a file; only what the disk says under a large lookup table, or if the plan's own columns did
    /// not fit together.
    pub fn run(&self, mut chunk: Chunk, mut records: Records) -> Result<Checked, ValidateError> {
        chunk.check_text();
        self.split(&chunk, &mut records);
        self.check(chunk, records)
    }

    /// Splits a chunk into its records.
    pub(super) fn split(&self, chunk: &Chunk, records: &mut Records) {
        self.splitter.split(chunk, records);
    }

    /// Runs the step on records of a chunk.
    pub(super) fn check(&self, chunk: Chunk, mut records: Records) -> Result<Checked, ValidateError> {
        let mut broken = vec![false; records.len()];
        for (record, _) in records.faults.iter() {
            if let Some(slot) = broken.get_mut(*record as usize) {
                *slot = true;
            }
        }
        let mut findings = std::mem::take(&mut records.faults);
        let mut sheet = Sheet::new(self.layout.len(), broken);
        {
            let text = records.text(&chunk);
            let raw = Raw { records: &records, text: &text, layout: &self.layout };
            self.computing.read(raw, &mut sheet, &mut findings)?;
            if !sheet.made().needs_parts() {
                self.computing.run(raw, &mut sheet, &mut findings, Moment::Pure)?;
            }
        }
        if sheet.made().needs_parts() {
            // Nobody needs what has come of it so far, and the memory is wanted.
            sheet.arrays.clear();
            findings.clear();
        }
        let rows = RecordBatch::new_empty(self.schema());
        let (keys, unique, controls) = (Vec::new(), Vec::new(), Vec::new());
        let checked = Checked { chunk, records, sheet, rows, findings, keys, unique, controls };
        if self.computing.needs_order() || checked.needs_parts() { Ok(checked) } else { self.close(checked) }
    }

    /// Does what has to know the number of the chunk's first record, if anything does. This belongs to the sequenced step.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn conclude(&self, mut checked: Checked, first_record: u64) -> Result<Checked, ValidateError> {
        if !self.computing.needs_order() || checked.needs_parts() {
            return Ok(checked);
        }
        let former = checked.records.former.iter().map(|former| former.position.record);
        let numbers: Vec<u64> = former.collect();
        let moment = Moment::InOrder { first_record, numbers: &numbers };
        {
            let text = checked.records.text(&checked.chunk);
            let raw = Raw { records: &checked.records, text: &text, layout: &self.layout };
            self.computing.run(raw, &mut checked.sheet, &mut checked.findings, moment)?;
        }
        if checked.needs_parts() { Ok(checked) } else { self.close(checked) }
    }

    /// All columns are there: what is left are hashes, sums and rows.
    fn close(&self, mut checked: Checked) -> Result<Checked, ValidateError> {
        let (sheet, findings) = (&mut checked.sheet, &mut checked.findings);
        let controls = self.plan.control_columns.iter().map(|column| sum(sheet, *column, findings));
        checked.controls = controls.collect();
        for (record, former) in checked.records.former.iter_mut().enumerate() {
            // What is known of a corrected record whatever it is now, no filter takes away.
            if let Some(filtered) = sheet.filtered.get_mut(record).filter(|_| !former.wrong.is_empty()) {
                *filtered = false;
            }
            findings.extend(former.wrong.drain(..).map(|violation| (record as u32, violation)));
        }
        if !sheet.filtered.is_empty() {
            // What is left out is no business of anybody's.
            findings.retain(|(record, _)| !sheet.filtered.get(*record as usize).copied().unwrap_or(false));
        }
        // Columns were visited one after the other.
        let sheet = &*sheet;
        findings.sort_by_key(|(record, violation)| (*record, computed::place(violation)));
        if !self.key.is_empty() {
            checked.keys = self.hash(sheet, &self.key);
        }
        checked.unique = self.unique.iter().map(|column| self.unique_hashes(sheet, *column)).collect();
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(sheet.records));
        let columns = sheet.arrays.iter().zip(&self.written).filter(|(_, written)| **written);
        let columns = columns.filter_map(|(array, _)| array.clone()).collect();
        checked.rows = RecordBatch::try_new_with_options(self.schema(), columns, &options)?;
        Ok(checked)
    }

    fn unique_hashes(&self, sheet: &Sheet, column: usize) -> UniqueHashes {
        let array = sheet.arrays.get(column).and_then(Option::as_ref);
        let known = |row: usize| array.is_some_and(|array| array.is_valid(row));
        let hashes = self.hash(sheet, &[column]).into_iter().enumerate();
        (column, hashes.map(|(row, hash)| known(row).then_some(hash)).collect())
    }

    /// One hash a row over the values of the columns `of`.
    fn hash(&self, sheet: &Sheet, of: &[usize]) -> Vec<KeyHash> {
        let [k0, k1] = self.secret;
        let fresh = SipHasher13::new_with_keys(k0, k1);
        let arrays = of.iter().filter_map(|column| sheet.arrays.get(*column)?.as_ref());
        let columns: Vec<HashedColumn<'_>> = arrays.map(HashedColumn::new).collect();
        (0..sheet.records)
            .map(|row| {
                let mut hasher = fresh;
                for column in &columns {
                    column.write(row, &mut hasher);
                }
                let hash = hasher.finish128();
                KeyHash([hash.h1, hash.h2])
            })
            .collect()
    }
}

/// The sum of a column over a chunk, in units of its last digit, and the records whose value is not known.
fn sum(sheet: &Sheet, column: usize, findings: &Findings) -> (i128, u64) {
    let Some(array) = sheet.arrays.get(column).and_then(Option::as_ref) else {
        return (0, sheet.records as u64);
    };
    let sum = match array.data_type() {
        DataType::Decimal128(..) => {
            array.as_primitive::<types::Decimal128Type>().iter().flatten().fold(0i128, i128::wrapping_add)
        }
        DataType::Int64 => array.as_primitive::<types::Int64Type>().iter().flatten().map(i128::from).sum(),
        _ => 0,
    };
    let of_column = |(_, violation): &&(u32, Violation)| violation.column.map(usize::from) == Some(column);
    let unread = findings.iter().filter(of_column).count();
    let without = sheet.broken.iter().filter(|broken| **broken).count();
    (sum, (unread + without) as u64)
}

/// A column whose values go into a hash, so that equal values give equal hashes and different ones do not run into
/// each other.
enum HashedColumn<'a> {
    Text(&'a StringArray),
    Boolean(&'a BooleanArray),
    /// Values of a fixed width, as their bytes.
    Fixed(&'a [u8], usize),
}

impl<'a> HashedColumn<'a> {
    fn new(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int64 => Self::fixed::<types::Int64Type>(array),
            DataType::Float64 => Self::fixed::<types::Float64Type>(array),
            DataType::Date32 => Self::fixed::<types::Date32Type>(array),
            DataType::Decimal128(..) => Self::fixed::<types::Decimal128Type>(array),
            DataType::Time64(TimeUnit::Microsecond) => Self::fixed::<types::Time64MicrosecondType>(array),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::fixed::<types::TimestampMicrosecondType>(array)
            }
            _ => Self::Fixed(&[], 0),
        }
    }

    fn fixed<T: arrow_array::ArrowPrimitiveType>(array: &'a ArrayRef) -> Self {
        let width = size_of::<T::Native>();
        Self::Fixed(array.as_primitive::<T>().values().inner().as_slice(), width)
    }

    #[inline]
    fn write(&self, row: usize, hasher: &mut SipHasher13) {
        match self {
            Self::Text(array) => {
                let text = array.value(row).as_bytes();
                hasher.write(text);
                hasher.write_u32(text.len() as u32);
            }
            Self::Boolean(array) => hasher.write_u8(u8::from(array.value(row))),
            Self::Fixed(bytes, width) => {
                hasher.write(bytes.get(row * width..(row + 1) * width).unwrap_or_default());
            }
        }
    }
}
