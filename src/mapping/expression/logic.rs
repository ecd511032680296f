//! NOT, and the questions that NULL answers too.

use std::sync::Arc;

use super::{
    node::Run,
    vector::{Bits, Vector},
};

/// NOT.
pub(super) fn not() -> Run {
    Arc::new(|_, arguments| {
        let [Vector::Boolean(bits)] = arguments else { return Vector::Boolean(Bits::One(None)) };
        Vector::Boolean(match bits {
            Bits::One(value) => Bits::One(value.map(|value| !value)),
            Bits::Many(values, nulls) => Bits::Many(!values, nulls.clone()),
        })
    })
}

/// IS NULL, or, for what is `known`, IS NOT NULL.
pub(super) fn is_null(known: bool) -> Run {
    Arc::new(move |rows, arguments| {
        let is_known = |row| arguments.first().is_some_and(|argument| argument.is_known(row));
        Vector::Boolean(rows.decide(&[], |row| Ok(Some(is_known(row) == known))))
    })
}

/// IS TRUE and its kin: true where the operand is `value` (none: NULL), or, not `wanted`, where it is anything else.
pub(super) fn is(value: Option<bool>, wanted: bool) -> Run {
    Arc::new(move |rows, arguments| {
        let at = |row| match arguments.first() {
            Some(Vector::Boolean(bits)) => bits.at(row),
            _ => None,
        };
        Vector::Boolean(rows.decide(&[], |row| Ok(Some((at(row) == value) == wanted))))
    })
}
