//! Expressions: what a mapping says about values in the language of SQL, as `value`, `keep`, `check` and `when`.
//!
//! The syntax is PostgreSQL's, and so is the meaning: on the same inputs both give the same results, but for what
//! docs/expressions.md lists. An expression is typed when its mapping is checked, so that a wrong one is a problem with a
//! place, and it is run column by column. What goes wrong with a record's values (an overflow, a division by zero) is
//! a failure of that record alone. Nothing that stands in a file or in an expression makes it panic or run away: texts,
//! nesting, regular expressions and results have limits.

mod arithmetic;
mod cast;
mod check;
mod compare;
mod decimal;
mod facts;
mod functions;
mod interval;
mod like;
mod logic;
mod members;
mod moments;
mod node;
mod reference;
mod rows;
mod strings;
mod time;
mod tokens;
mod types;
mod vector;
mod zone;

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, NullBuffer};

pub use self::{
    facts::{Capture, CaptureValue, Facts},
    rows::MAX_MADE_BYTES,
    types::Type,
};
use self::{
    node::Node,
    rows::{Outcome, Rows},
    vector::{Texts, Vector},
};
use crate::model::value::ValueType;

/// The names that an expression may use.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The columns.
    pub columns: Vec<ScopeColumn>,
    /// The captures of the mapping's patterns of file names.
    pub captures: Vec<Capture>,
}

/// A column that an expression may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
}

/// Something that is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionProblem {
    /// The bytes of the expression concerned.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl ExpressionProblem {
    pub(in crate::mapping) fn new(range: Range<usize>, message: String, help: Option<String>) -> Self {
        Self { range, message, help }
    }
}

/// An expression, typed and ready to run.
#[derive(Clone, Debug)]
pub struct Expression {
    node: Node,
    result: Type,
    /// The bytes of its text.
    length: usize,
    /// True for a text as written, which may become what its column is.
    is_text: bool,
}

/// What an expression runs on: a chunk of records.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The columns by their index in the scope, in the types of [`ValueType::arrow`]; none: NULL in all records.
    pub columns: &'a [Option<ArrayRef>],
    /// Number of records.
    pub len: usize,
    /// What is known of the file.
    pub facts: &'a Facts,
    /// The number of the first record, from 1 after the header.
    pub first_record: u64,
    /// The numbers of all records, where they do not follow one another; empty otherwise.
    pub numbers: &'a [u64],
}

/// The values of a chunk.
#[derive(Debug)]
pub struct Evaluated {
    /// One value a record, in the Arrow type of [`Expression::result`]; NULL for those that failed, and of no meaning
    /// for those that were not selected. Without a type (a bare NULL) it is text.
    pub values: ArrayRef,
    /// The records that have no value, by their index, each once and in order, and why: the whole of a sentence, such
    /// as "division by zero".
    pub failures: Vec<(u32, Box<str>)>,
    /// Bytes of text that were made, those on the way to the values included.
    pub made_bytes: usize,
    /// True when several records together take more than [`MAX_MADE_BYTES`]: the values mean nothing, and are to be asked for
    /// again with fewer records. A record that takes more alone has failed.
    pub is_too_much: bool,
}

/// Compiles an expression.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile(text: &str, scope: &Scope) -> Result<Expression, Vec<ExpressionProblem>> {
    check::compile(text, scope)
}

/// The page on expressions, as Markdown.
#[must_use]
pub fn expression_reference() -> String {
    reference::page()
}

impl Expression {
    /// The type of its values.
    #[must_use]
    pub fn result(&self) -> Type {
        self.result
    }

    /// The columns it reads, as indices into the scope, in order and each once.
    #[must_use]
    pub fn columns(&self) -> Vec<usize> {
        let mut found = Vec::new();
        self.node.visit(&mut |node| {
            if let Node::Column(index, _) = node {
                found.push(*index);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// True when it uses `record`, the number of the record.
    #[must_use]
    pub fn uses_record(&self) -> bool {
        let mut found = false;
        self.node.visit(&mut |node| found |= matches!(node, Node::Record));
        found
    }

    /// The expression as the value of a column of this type. Integers fit decimals and floats; a decimal with more
    /// digits after the point than the column has is let through here, and a value that uses them is that record's
    /// failure: nothing is rounded unasked.
    ///
    /// # Errors
    /// Its values are of another type.
    pub fn into_type(self, value_type: ValueType) -> Result<Self, ExpressionProblem> {
        check::assign(self, value_type)
    }

    /// The expression as a condition.
    ///
    /// # Errors
    /// Its values are not true or false.
    pub fn into_condition(self) -> Result<Self, ExpressionProblem> {
        check::condition(self)
    }

    /// Runs it on a chunk: on all records, or on those with a set bit.
    #[must_use]
    pub fn evaluate(&self, inputs: &Inputs<'_>, selection: Option<&BooleanBuffer>) -> Evaluated {
        let outcome = Outcome::default();
        let rows = Rows::new(inputs.len, selection.cloned(), &outcome);
        let vector = if rows.is_empty() { Vector::null(self.result) } else { self.node.run(inputs, &rows) };
        let value_type = match self.result {
            Type::Value(value_type) => value_type,
            Type::Unknown => ValueType::Text,
            Type::Local => ValueType::Timestamp,
            Type::Interval => ValueType::Decimal { precision: 38, scale: 0 },
        };
        if let Vector::Text(Texts::One(Some(text))) = &vector {
            outcome.spend(text.len().saturating_mul(inputs.len));
        }
        let (made_bytes, is_too_much) = (outcome.made_bytes(), outcome.is_too_much());
        let vector = if is_too_much { Vector::null(self.result) } else { vector };
        let values = vector.into_array(value_type, inputs.len);
        let mut failures = outcome.into_failures();
        if is_too_much {
            failures.clear();
            failures.extend((inputs.len == 1).then_some((0, rows::TOO_MUCH)));
        }
        // The first failure of a record counts.
        failures.sort_by_key(|(row, _)| *row);
        failures.dedup_by_key(|(row, _)| *row);
        let values = if failures.is_empty() { values } else { without(&values, &failures) };
        let failures = failures.into_iter().map(|(row, failure)| (row, failure.into())).collect();
        Evaluated { values, failures, made_bytes, is_too_much: is_too_much && inputs.len > 1 }
    }
}

/// The values without those of records that failed.
fn without(values: &ArrayRef, failures: &[(u32, rows::Failure)]) -> ArrayRef {
    let mut known: Vec<bool> = (0..values.len()).map(|row| values.is_valid(row)).collect();
    for (row, _) in failures {
        if let Some(bit) = known.get_mut(*row as usize) {
            *bit = false;
        }
    }
    let data = values.to_data().into_builder().nulls(Some(NullBuffer::from(known)));
    // Only the set of NULLs is another: what was sound before stays so.
    data.build().map_or_else(|_| std::sync::Arc::clone(values), arrow_array::make_array)
}

#[cfg(test)]
mod tests;
