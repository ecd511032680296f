//! The scopes of a file: the values that its rows have in the scope's columns. Stored rows with other values cannot
//! vanish.

use std::collections::HashSet;

use rusqlite::types::ValueRef;

use super::{
    cells::Cells,
    stored::{decimal, instant},
};
use crate::{model::value::ValueType, targets::MOST_SCOPES};

/// A scope whose values take more bytes is known by their hash.
const MOST_BYTES: usize = 256;

/// The scopes seen so far.
#[derive(Debug)]
pub(super) struct Scopes {
    /// The columns: index in the batch, and type.
    columns: Vec<(usize, ValueType)>,
    seen: HashSet<Box<[u8]>>,
    /// The scope of the row before: files mostly come sorted by it.
    last: Vec<u8>,
    too_many: bool,
}

impl Scopes {
    /// None yet, of these columns of the batches.
    pub(super) fn new(columns: Vec<(usize, ValueType)>) -> Self {
        Self { columns, seen: HashSet::new(), last: Vec::new(), too_many: false }
    }

    /// True when there are more than can be remembered.
    pub(super) fn are_too_many(&self) -> bool {
        self.too_many
    }

    /// The scopes of a batch's rows.
    pub(super) fn add(&mut self, cells: &[Cells<'_>], rows: usize) {
        if self.columns.is_empty() || self.too_many {
            return;
        }
        let (mut scope, mut text) = (Vec::new(), String::new());
        for row in 0..rows {
            scope.clear();
            for (column, value_type) in &self.columns {
                if let Some(cells) = cells.get(*column) {
                    encode(cells.value(row, &mut text), *value_type, &mut scope);
                }
            }
            if scope == self.last {
                continue;
            }
            std::mem::swap(&mut scope, &mut self.last);
            let known = shortened(&self.last);
            if !self.seen.contains(&*known) {
                if self.seen.len() >= MOST_SCOPES {
                    self.too_many = true;
                    return;
                }
                self.seen.insert(known);
            }
        }
    }

    /// True when a stored row is in a scope of the file; `stored` are its values in the scope's columns.
    pub(super) fn has<'v>(&self, stored: impl Iterator<Item = ValueRef<'v>>) -> bool {
        if self.columns.is_empty() {
            return true;
        }
        let mut scope = Vec::new();
        for (value, (_, value_type)) in stored.zip(&self.columns) {
            encode(value, *value_type, &mut scope);
        }
        self.seen.contains(&*shortened(&scope))
    }
}

/// Writes a value so that equal ones are equal bytes, whoever stored them, and values do not run into each other.
fn encode(value: ValueRef<'_>, value_type: ValueType, scope: &mut Vec<u8>) {
    let mut put = |kind: u8, bytes: &[u8]| {
        scope.push(kind);
        scope.extend_from_slice(bytes);
    };
    match (value_type, value) {
        (_, ValueRef::Null) => return put(0, &[]),
        (ValueType::Decimal { scale, .. }, _) => {
            if let Some(value) = decimal(value, scale) {
                return put(1, &value.to_le_bytes());
            }
        }
        (ValueType::Timestamp, ValueRef::Text(bytes)) => {
            if let Some(value) = instant(bytes) {
                return put(2, &value.to_le_bytes());
            }
        }
        _ => {}
    }
    match value {
        ValueRef::Null => {}
        // Every integer that a column of floats can hold exactly is one of its floats.
        ValueRef::Integer(value) if value_type == ValueType::Float => {
            put(3, &(value as f64).to_bits().to_le_bytes());
        }
        ValueRef::Integer(value) => put(4, &value.to_le_bytes()),
        ValueRef::Real(value) => put(3, &(value + 0.0).to_bits().to_le_bytes()),
        ValueRef::Text(bytes) => {
            put(5, &bytes.len().to_le_bytes());
            scope.extend_from_slice(bytes);
        }
        ValueRef::Blob(bytes) => {
            put(6, &bytes.len().to_le_bytes());
            scope.extend_from_slice(bytes);
        }
    }
}

fn shortened(scope: &[u8]) -> Box<[u8]> {
    if scope.len() <= MOST_BYTES { scope.into() } else { (*blake3::hash(scope).as_bytes()).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_scope_whoever_stored_them_and_others_are_not() {
        let one = |value: ValueRef<'_>, value_type| {
            let mut scope = Vec::new();
            encode(value, value_type, &mut scope);
            scope
        };
        let decimal = ValueType::Decimal { precision: 9, scale: 2 };
        assert_eq!(one(ValueRef::Text(b"1.5"), decimal), one(ValueRef::Text(b"1.50"), decimal));
        assert_eq!(one(ValueRef::Integer(2), decimal), one(ValueRef::Text(b"2.00"), decimal));
        let time = ValueType::Timestamp;
        assert_eq!(
            one(ValueRef::Text(b"1970-01-01 01:00:01+01:00"), time),
            one(ValueRef::Text(b"1970-01-01T00:00:01Z"), time)
        );
        assert_eq!(one(ValueRef::Integer(2), ValueType::Float), one(ValueRef::Real(2.0), ValueType::Float));
        assert_eq!(one(ValueRef::Real(-0.0), ValueType::Float), one(ValueRef::Real(0.0), ValueType::Float));
        let text = ValueType::Text;
        assert_ne!(one(ValueRef::Text(b"2"), text), one(ValueRef::Integer(2), text));
        assert_ne!(one(ValueRef::Text(b""), text), one(ValueRef::Null, text));
        assert_ne!(shortened(&[1; 300]), shortened(&[2; 300]));
    }
}
