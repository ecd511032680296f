//! Mode mirror: the file is the whole truth, and what it does not have vanishes from the table.

use crate::model::value::ValueType;

/// Combinations of values of the scope's columns that a target remembers of one file. A scope is a store, a country, a
/// year; a file with more of them than this names something else as its scope.
pub const MOST_SCOPES: usize = 10_000;

/// What mode mirror does with rows that the file does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// What vanishing is.
    pub vanished: Vanished,
    /// Indices into the spec's columns: only rows whose values in these are those of a row of the file can vanish. None:
    /// all rows can.
    pub scope: Vec<usize>,
}

/// What vanishing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vanished {
    /// The row is deleted.
    Delete,
    /// The row stays, and a column that the mapping does not write says so: a timestamp is set to the time of the delivery,
    /// a boolean to true. Such a row is not counted again; when the file has it again it is updated, and the mark taken
    /// off (NULL, or false).
    Mark {
        /// The column's name.
        column: String,
        /// [`ValueType::Timestamp`] or [`ValueType::Boolean`].
        value_type: ValueType,
    },
}

/// How much would vanish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vanishing {
    /// Rows that the file does not have.
    pub rows: u64,
    /// Rows that stood in the table before and are not marked: all of them, or with a scope those that are in it or in the
    /// file.
    pub of: u64,
}
