//! Targets: where rows go.
//!
//! A load is `begin -> write(batch)* -> seal -> commit`, or `abort` (also by dropping it). Everything between `begin`
//! and `commit` happens or does not happen as one: the row of the delivery in the loads table is written first in the
//! same transaction, so that a second attempt waits for the first one's fate and then sees it, and is completed with
//! the tally last.
//!
//! With [`Commit::Batch`] a load is `begin -> (write(batch)* -> mark)* -> seal -> commit`: what stands before a mark happens
//! together with it or not at all, and stays. The row of the delivery carries the latest mark, so that a load that was cut
//! off is resumed after it, in [`Begun::Resumed`].
//!
//! What the database says about a row is a [`RowRefusal`] and becomes a reject; what it says about itself is a
//! [`TargetError`] and never does.

mod capabilities;
mod comparison;
mod identifier;
mod mirror;
pub mod postgres;
mod progress;
mod refusal;
mod row_set;
pub mod sqlite;

pub use capabilities::Capability;
pub use comparison::{Change, Comparison, Difference, DifferenceKind, Differences};
pub use mirror::{MOST_SCOPES, Mirror, Vanished, Vanishing};
pub use progress::{Commit, Mark, Progress, Remembered};
pub use refusal::{MISSING_PARENT, MOST_REFUSALS, Refusal, RowRefusal};

use std::ops::ControlFlow;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use thiserror::Error;

use crate::{
    model::{Batch, ContentHash, DeliveryId, Tally, value::ValueType},
    wire::fail::{self, Point},
};

/// How rows meet those of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// New keys are inserted, known keys updated where a value differs.
    Upsert,
    /// New keys are inserted, known keys are rejected.
    Insert,
    /// Like upsert, and rows that the file does not have vanish: the file is the whole truth.
    Mirror,
}

/// When a column is written.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WriteWhen {
    /// Whenever the row is written.
    #[default]
    Always,
    /// Only when the row is new: afterwards the business owns the value.
    Insert,
}

/// What a missing value does to a stored one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnNull {
    /// It replaces the stored value by NULL.
    #[default]
    Write,
    /// The stored value stays.
    Keep,
}

/// One column as a target sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetColumn {
    /// Its name in the table.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// True when the mapping lets no NULL through.
    pub required: bool,
    /// The longest text the mapping lets through, in characters.
    pub max_length: Option<usize>,
    /// False when a difference in it alone does not make a row changed.
    pub compare: bool,
    /// When it is written.
    pub write: WriteWhen,
    /// What a missing value does.
    pub on_null: OnNull,
}

/// A table as a mapping wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name.
    pub table: String,
    /// The columns that the mapping can write, in the mapping's order.
    pub columns: Vec<TargetColumn>,
    /// Indices into `columns` of the key.
    pub key: Vec<usize>,
    /// How rows meet those of the table.
    pub mode: Mode,
    /// Create the table when it is missing.
    pub create: bool,
    /// Index into `columns`: a row that differs from the stored one is written only if its value in this column is larger,
    /// or the stored one is NULL; else it counts as superseded.
    pub newer: Option<usize>,
    /// In [`Mode::Mirror`], what happens to rows that the file does not have.
    pub mirror: Option<Mirror>,
    /// How much of a delivery one transaction holds; never [`Commit::Batch`] in mode mirror.
    pub commit: Commit,
}

/// Which delivery a load belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadId<'a> {
    /// The site's own identity, as several sites may load into one database.
    pub site: &'a str,
    /// The delivery.
    pub delivery: DeliveryId,
}

/// What is read of a table that others are looked up in.
#[derive(Clone, Copy, Debug)]
pub struct ReadSpec<'a> {
    /// The table.
    pub table: &'a str,
    /// Its columns.
    pub columns: &'a [String],
}

/// How the values of a table's column compare with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compares {
    /// As texts, bytewise.
    Text,
    /// As numbers: 007 is 7.
    Number,
    /// As days.
    Date,
    /// As instants.
    Timestamp,
}

/// Takes the rows of a table that is read.
pub trait RowSink {
    /// How the values of each column that was asked for compare; once, before any row.
    fn begin(&mut self, compares: &[Compares]);

    /// A row: a text for each column, none for NULL. Nothing more is read after a break.
    fn row(&mut self, row: &[Option<&str>]) -> ControlFlow<()>;
}

/// Reaches a point at which a load may fail as by a database that went away; true: the step behind it is to be done.
pub(crate) fn reach(point: Point) -> Result<bool, TargetError> {
    fail::step(point).map_err(|cause| TargetError::Passing(cause.to_string()))
}

/// Opens connections to one database.
pub trait Target: Send + Sync {
    /// What it can that not every target can; the conformance suite (tests/it/targets) runs what these ask for.
    fn capabilities(&self) -> &'static [Capability];

    /// Compares the table with what the mapping wants; reads only.
    ///
    /// # Errors
    /// A fault. That the table does not fit is no error but the answer.
    fn fit(&self, spec: &TableSpec) -> Result<Fit, TargetError>;

    /// The statements that somebody with more rights has to run before this user can load into the table, in their order;
    /// none when nothing is lacking, or the target knows no rights. Reads only.
    ///
    /// # Errors
    /// A fault.
    fn statements(&self, spec: &TableSpec) -> Result<Vec<String>, TargetError>;

    /// The tables that the foreign keys of `table` refer to; none when it is not there.
    ///
    /// # Errors
    /// A fault.
    fn parents(&self, table: &str) -> Result<Vec<String>, TargetError>;

    /// What the target has of this delivery: what was committed, and not undone since by a restored backup.
    ///
    /// # Errors
    /// A fault.
    fn remembers(&self, load: LoadId<'_>) -> Result<Remembered, TargetError>;

    /// The deliveries of a site that the target remembers as a whole, in the order of their ids: at most `limit`, those after
    /// `after`.
    ///
    /// # Errors
    /// A fault.
    fn remembered(
        &self,
        site: &str,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryId>, TargetError>;

    /// Begins the load of a delivery, creates the table if the mapping says so, and finds out whether the delivery was
    /// loaded before, as a whole or in part. `schema` are the columns the file holds, a subset of the spec's columns in the
    /// same order. A load that was begun with [`Commit::Batch`] is resumed whatever `spec.commit` is now.
    ///
    /// # Errors
    /// A fault, or [`TargetError::Misfit`] when the table no longer fits.
    fn begin(&self, load: LoadId<'_>, spec: &TableSpec, schema: SchemaRef) -> Result<Begun, TargetError>;

    /// Begins to compare rows with the table as it stands now, without writing anything. A table that is missing and that
    /// the mapping would create has no rows. `schema` is as for [`Target::begin`].
    ///
    /// # Errors
    /// A fault, or [`TargetError::Misfit`] when the table does not fit.
    fn compare(&self, spec: &TableSpec, schema: SchemaRef) -> Result<Box<dyn Comparison>, TargetError>;

    /// Reads some columns of a table as it stands at one moment, whoever made it, without writing anything. Values come in
    /// their plain texts.
    ///
    /// # Errors
    /// [`TargetError::Misfit`] when the table has no such columns; [`TargetError::NoTable`] when it or its database is not
    /// there; other faults.
    fn read(&self, spec: ReadSpec<'_>, sink: &mut dyn RowSink) -> Result<(), TargetError>;
}

/// Whether a table fits its mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Fits,
    /// It does not exist, and the mapping would create it.
    WouldCreate,
    /// It does not; each line names one difference and what to do.
    Misfit(Vec<String>),
}

/// How a load begins.
pub enum Begun {
    /// Rows can be written.
    Open(Box<dyn Load>),
    /// An earlier load of the delivery was cut off between two of its marks: rows can be written from the record after
    /// `mark.record` on, and the load's counts begin with those of the progress. Who cannot go on from there calls
    /// [`Load::start_over`].
    Resumed(Box<dyn Load>, Progress),
    /// The same, but the table has none of the rows that were in it then: it had to be created, or is empty. All rows have
    /// to be sent again.
    Lost(Box<dyn Load>, Progress),
    /// The delivery is in the target already, with this tally.
    Already(Committed),
}

/// What the loads table remembers of a committed load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The tally it was completed with.
    pub tally: Tally,
    /// Hash over the rejects that the target caused; all zero when it caused none.
    pub rejects: ContentHash,
}

/// An open load. Dropping it without [`Load::commit`] undoes it, back to the last mark if there is one.
pub trait Load: Send {
    /// Writes the rows of a batch in their order. A row the database refuses is reported and left out, the others are
    /// written; its refusal is the row's own fault only.
    ///
    /// # Errors
    /// A fault; the load is then lost and must be begun again.
    fn write(&mut self, batch: &Batch) -> Result<Vec<RowRefusal>, TargetError>;

    /// Writes what was put aside until more rows are known: after the last batch, and before each mark, and before anything
    /// else is asked. The rows that the database refuses are given by the numbers of their records. A target that has written
    /// every row already does nothing. Beyond [`MOST_REFUSALS`] it need not look for more.
    ///
    /// # Errors
    /// A fault; the load is then lost and must be begun again.
    fn finish(&mut self) -> Result<Vec<(u64, Refusal)>, TargetError> {
        Ok(Vec::new())
    }

    /// The counts so far: inserted, updated, unchanged, superseded and deleted are filled, nothing else. Those of rows that
    /// were put aside are known after [`Load::finish`]. Those of a resumed load hold what was counted before it was cut off.
    fn counts(&self) -> Tally;

    /// What a person should know of how the table took the rows, though nothing is wrong; after [`Load::finish`].
    fn note(&self) -> Option<String> {
        None
    }

    /// With [`Commit::Batch`]: makes durable what was written since the last mark, together with this one and the counts so
    /// far, in one transaction; the load goes on in another one. What was refused up to here must be kept durably before, as
    /// `mark.rejects` tells. Between two marks others may write to the table, or change it: then the load is lost.
    ///
    /// # Errors
    /// A fault; the load is then lost, and whether the mark was made is found out by beginning again.
    fn mark(&mut self, mark: &Mark) -> Result<(), TargetError>;

    /// Of a resumed load: forgets how far it had come, as its rows are all sent again. The counts begin at zero; the next
    /// mark, or the end, replaces the former ones. What is in the table stays there.
    ///
    /// # Errors
    /// A fault; the load is then lost and must be begun again.
    fn start_over(&mut self) -> Result<(), TargetError>;

    /// In mode mirror: records that were rejected have these keys, so their rows are in the file all the same. The batch has
    /// the key's columns only, in the order of the load's schema.
    ///
    /// # Errors
    /// A fault; the load is then lost and must be begun again.
    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError>;

    /// In mode mirror, after all rows: how much would vanish. None when the file has more than [`MOST_SCOPES`] scopes, so
    /// that nothing can.
    ///
    /// # Errors
    /// A fault; the load is then lost and must be begun again.
    fn vanishing(&mut self) -> Result<Option<Vanishing>, TargetError>;

    /// Has those rows vanish that [`Load::vanishing`] counted.
    ///
    /// # Errors
    /// A fault, also when the table does not let go of a row; the load is then lost and must be begun again.
    fn vanish(&mut self) -> Result<(), TargetError>;

    /// Completes the delivery's row in the loads table, last of all. `tally` balances.
    ///
    /// # Errors
    /// A fault.
    fn seal(&mut self, tally: &Tally, rejects: ContentHash) -> Result<(), TargetError>;

    /// Makes it all durable.
    ///
    /// # Errors
    /// A fault; after [`TargetError::Unsettled`], beginning again tells whether it happened.
    fn commit(self: Box<Self>) -> Result<(), TargetError>;
}

/// What the database says about itself.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The table does not fit the mapping; each line names one difference and what to do.
    #[error("the table does not fit the mapping: {}", .0.join("; "))]
    Misfit(Vec<String>),
    /// Locked, busy or out of room: the same may go well later.
    #[error("{0}")]
    Passing(String),
    /// The reply to a commit was lost on the way: whether it happened is found out by beginning again.
    #[error("{0}")]
    Unsettled(String),
    /// There is no such table to read, or not even its database: the first load may make both.
    #[error("{0}")]
    NoTable(String),
    /// It will not go well by itself.
    #[error("{0}")]
    Lasting(String),
}
