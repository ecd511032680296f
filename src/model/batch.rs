//! Rows on their way from validation to a target, each with the place in the file it came from.

use arrow_array::RecordBatch;

/// Where one row stood in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Record number, from 1 after the header.
    pub record: u64,
    /// Physical line on which the record starts, from 1.
    pub line: u64,
    /// Offset of the record's first byte in the unwrapped file.
    pub byte: u64,
    /// Length of the record in bytes, its line end not counted.
    pub length: u32,
}

/// Rows that passed: one Arrow column a mapped column that the file holds, and one origin a row.
///
/// The Arrow types are those of [`crate::model::value::ValueType::arrow`].
#[derive(Clone, Debug)]
pub struct Batch {
    /// The rows; the field names are the target columns.
    pub rows: RecordBatch,
    /// `origins[i]` belongs to row `i`.
    pub origins: Vec<Origin>,
}

impl Batch {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// True when no row is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }
}
