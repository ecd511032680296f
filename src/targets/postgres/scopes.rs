//! The scopes of a file: the values that its rows have in the scope's columns, in canonical form. Stored rows with other
//! values cannot vanish.

use std::collections::HashSet;

use arrow_array::RecordBatch;

use super::canonical::canonical;
use crate::{
    model::value::{self, ValueType},
    targets::MOST_SCOPES,
};

/// A scope whose values take more bytes is known by their hash.
const MOST_BYTES: usize = 256;

/// The scopes seen so far.
#[derive(Debug)]
pub(super) struct Scopes {
    /// The columns: index in the batch, and type.
    columns: Vec<(usize, ValueType)>,
    seen: HashSet<Box<[u8]>>,
    too_many: bool,
}

impl Scopes {
    /// None yet, of these columns of the batches.
    pub(super) fn new(columns: Vec<(usize, ValueType)>) -> Self {
        Self { columns, seen: HashSet::new(), too_many: false }
    }

    /// True when there are more than can be remembered.
    pub(super) fn are_too_many(&self) -> bool {
        self.too_many
    }

    /// The scopes of these rows.
    pub(super) fn add(&mut self, rows: &RecordBatch) {
        if self.columns.is_empty() {
            return;
        }
        for row in 0..rows.num_rows() {
            let texts = self.columns.iter().map(|(column, of)| {
                let text = value::text::text(rows.columns().get(*column)?, row)?;
                Some(canonical(&text, *of))
            });
            let scope = encoded(texts);
            if self.too_many || self.seen.contains(&scope) {
                continue;
            }
            if self.seen.len() >= MOST_SCOPES {
                self.too_many = true;
                return;
            }
            self.seen.insert(scope);
        }
    }

    /// True when a stored row is in a scope of the file; `stored` are its values in the scope's columns, as the server writes
    /// them.
    pub(super) fn has(&self, stored: &[Option<&str>]) -> bool {
        let texts = stored.iter().zip(&self.columns);
        let texts = texts.map(|(text, (_, of))| text.map(|text| canonical(text, *of)));
        self.columns.is_empty() || self.seen.contains(&encoded(texts))
    }
}

/// The same bytes for the same values, and values do not run into each other.
fn encoded(texts: impl Iterator<Item = Option<String>>) -> Box<[u8]> {
    let mut scope = Vec::new();
    for text in texts {
        match text {
            None => scope.push(0),
            Some(text) => {
                scope.push(1);
                scope.extend_from_slice(&text.len().to_le_bytes());
                scope.extend_from_slice(text.as_bytes());
            }
        }
    }
    if scope.len() <= MOST_BYTES { scope.into() } else { (*blake3::hash(&scope).as_bytes()).into() }
}
