//! Comparing without writing: what a load would do to the table, and to which values.

use arrow_array::RecordBatch;

use super::{RowRefusal, TargetError, Vanishing};
use crate::model::{Batch, Origin, Tally};

/// What is told of each difference. A caller that has seen enough gives none from then on, and pays for none.
pub type Differences<'d> = Option<&'d mut dyn FnMut(Difference)>;

/// Rows held against a table as it stood when the comparison began. Nothing is written, and nobody else is kept from
/// writing.
///
/// What only writing can find out is not known here: rows that a check, a trigger, a foreign key or another unique index
/// of the table would refuse count as written.
pub trait Comparison: Send {
    /// Compares the rows of a batch, and tells the differences in their order. Rows that the mode refuses (in mode insert
    /// those whose key is there already) are given back, as [`super::Load::write`] does.
    ///
    /// # Errors
    /// A fault; the comparison is then of no use any more.
    fn compare(
        &mut self,
        batch: &Batch,
        differences: Differences<'_>,
    ) -> Result<Vec<RowRefusal>, TargetError>;

    /// As [`super::Load::present`].
    ///
    /// # Errors
    /// A fault; the comparison is then of no use any more.
    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError>;

    /// As [`super::Load::vanishing`], and tells the rows that would vanish.
    ///
    /// # Errors
    /// A fault; the comparison is then of no use any more.
    fn vanishing(&mut self, differences: Differences<'_>) -> Result<Option<Vanishing>, TargetError>;

    /// Ends the comparison: the counts that a load would have had, with inserted, updated, unchanged, superseded and
    /// deleted filled, and nothing else. Deleted are the rows that [`Comparison::vanishing`] counted.
    ///
    /// # Errors
    /// A fault, also when the database turns out to have changed where it could only be read without a lock.
    fn finish(self: Box<Self>) -> Result<Tally, TargetError>;
}

/// A row with which file and table differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where the row stands in the file; none for one that the file does not have.
    pub origin: Option<Origin>,
    /// What a load would do.
    pub kind: DifferenceKind,
    /// The values of the key, in the mapping's order and in canonical form.
    pub key: Vec<String>,
    /// For an update, the columns that make the row changed, in the mapping's order. Empty for a row that was marked as
    /// vanished and comes back as it was, and for all others.
    pub changes: Vec<Change>,
}

/// What a load would do with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The table does not have it.
    Insert,
    /// The table has it with other values.
    Update,
    /// The file does not have it, so it would be deleted, or marked.
    Delete,
}

/// A value with which file and table differ, both in canonical form; none is NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The column: an index into the spec's columns.
    pub column: u16,
    /// What the table has.
    pub stored: Option<String>,
    /// What the file has.
    pub new: Option<String>,
}
