//! The pure step: one chunk of records in; rows, violations, key hashes and partial totals out.
//!
//! It knows nothing of other chunks, reads no clock and touches no disk, so it runs on any thread, in any order, and
//! may be repeated to the same effect.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, cast::AsArray, types};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use super::{
    column::{self, Fields, Findings},
    keys::KeyHash,
};
use crate::{
    formats::{Chunk, Records, Splitter},
    mapping::plan::Plan,
};

/// What the pure step needs besides the chunk.
#[derive(Debug)]
pub struct PureStep {
    plan: Arc<Plan>,
    splitter: Arc<dyn Splitter>,
    /// The columns that the file holds: (index in the plan, the file's column).
    present: Vec<(usize, usize)>,
    schema: SchemaRef,
    /// Index into `present` of each key column; empty when the file lacks one of them.
    key: Vec<usize>,
    /// Index into `present` of each column whose values must be unique.
    unique: Vec<usize>,
    /// Index into `present` of each control column.
    controls: Vec<usize>,
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

/// A unique column's index in the plan, and the hash of each record's value, none for "no value".
pub type UniqueHashes = (usize, Vec<Option<KeyHash>>);

impl PureStep {
    /// The step for one file under `plan`. `layout` says which of the file's columns each plan column takes.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        splitter: Arc<dyn Splitter>,
        layout: &[Option<usize>],
        secret: [u64; 2],
    ) -> Self {
        let present: Vec<(usize, usize)> =
            layout.iter().enumerate().filter_map(|(index, place)| Some((index, (*place)?))).collect();
        let of_plan = |index: &usize| present.iter().position(|(plan_index, _)| plan_index == index);
        let fields: Vec<Field> = present
            .iter()
            .filter_map(|(index, _)| plan.columns.get(*index))
            .map(|column| Field::new(&column.name, column.value_type.arrow(), true))
            .collect();
        let key: Option<Vec<usize>> = plan.table.key.iter().map(of_plan).collect();
        let unique = (0..present.len())
            .filter(|at| {
                present.get(*at).and_then(|(index, _)| plan.columns.get(*index)).is_some_and(|c| c.unique)
            })
            .collect();
        let controls = plan.control_columns.iter().filter_map(of_plan).collect();
        Self {
            splitter,
            schema: Arc::new(Schema::new(fields)),
            key: key.unwrap_or_default(),
            unique,
            controls,
            present,
            plan,
            secret,
        }
    }

    /// The columns of the rows: those of the plan that the file holds, in the plan's order.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Runs the step. `records` are split anew; what they held is gone.
    ///
    /// # Errors
    /// Never for what stands in a file; only if the plan's own columns did not fit together.
    pub fn run(&self, mut chunk: Chunk, mut records: Records) -> Result<Checked, arrow_schema::ArrowError> {
        chunk.check_text();
        self.splitter.split(&chunk, &mut records);
        let mut broken = vec![false; records.len()];
        for (record, _) in records.faults.iter() {
            if let Some(slot) = broken.get_mut(*record as usize) {
                *slot = true;
            }
        }
        let mut findings = std::mem::take(&mut records.faults);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.present.len());
        {
            let text = records.text(&chunk);
            for (index, place) in &self.present {
                let Some(column) = self.plan.columns.get(*index) else { continue };
                let fields = Fields { records: &records, text: &text, broken: &broken, place: *place };
                arrays.push(column::run(column, *index as u16, &fields, &mut findings));
            }
        }
        for (record, former) in records.former.iter_mut().enumerate() {
            findings.extend(former.wrong.drain(..).map(|violation| (record as u32, violation)));
        }
        // Columns were visited one after the other; within a record their order stays.
        findings.sort_by_key(|(record, _)| *record);
        let keys =
            if self.key.is_empty() { Vec::new() } else { self.hash(&arrays, &self.key, records.len()) };
        let unique = self.unique.iter().map(|at| self.unique_hashes(&arrays, *at, records.len())).collect();
        let controls = self.controls.iter().map(|at| self.sum(&arrays, *at, &broken, &findings)).collect();
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(records.len()));
        let rows = RecordBatch::try_new_with_options(self.schema(), arrays, &options)?;
        Ok(Checked { chunk, records, rows, findings, keys, unique, controls })
    }

    fn unique_hashes(&self, arrays: &[ArrayRef], at: usize, count: usize) -> UniqueHashes {
        let hashes = self.hash(arrays, &[at], count);
        let known = |row: &usize| arrays.get(at).is_some_and(|array| array.is_valid(*row));
        let column = self.present.get(at).map_or(0, |(index, _)| *index);
        (column, hashes.into_iter().enumerate().map(|(row, hash)| known(&row).then_some(hash)).collect())
    }

    /// One hash a row over the values of the columns `of`.
    fn hash(&self, arrays: &[ArrayRef], of: &[usize], count: usize) -> Vec<KeyHash> {
        let [k0, k1] = self.secret;
        let fresh = SipHasher13::new_with_keys(k0, k1);
        let columns: Vec<HashedColumn<'_>> =
            of.iter().filter_map(|at| arrays.get(*at)).map(HashedColumn::new).collect();
        (0..count)
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

    fn sum(&self, arrays: &[ArrayRef], at: usize, broken: &[bool], findings: &Findings) -> (i128, u64) {
        let Some(array) = arrays.get(at) else { return (0, broken.len() as u64) };
        let sum = match array.data_type() {
            DataType::Decimal128(..) => {
                array.as_primitive::<types::Decimal128Type>().iter().flatten().fold(0i128, i128::wrapping_add)
            }
            DataType::Int64 => {
                array.as_primitive::<types::Int64Type>().iter().flatten().map(i128::from).sum()
            }
            _ => 0,
        };
        let column = self.present.get(at).map(|(index, _)| *index as u16);
        let unread =
            findings.iter().filter(|(_, violation)| violation.column == column && column.is_some()).count();
        let without = broken.iter().filter(|broken| **broken).count();
        (sum, (unread + without) as u64)
    }
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
