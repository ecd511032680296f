//! Arithmetic and `||`: which operation two types have together, and the type of its result.

use std::ops::Range;

use sqlparser::ast::BinaryOperator;

use super::{Checker, Typed, places::around};
use crate::mapping::expression::{
    arithmetic::{self, Operation},
    moments,
    node::Run,
    strings,
    types::{MAX_DIGITS, Type},
};

/// Digits after the point of a quotient, more if an operand has more: as many as PostgreSQL gives for quotients between 1
/// and 10,000.
const QUOTIENT_SCALE: u8 = 16;

impl Checker<'_> {
    /// `+ - * / %`
    pub(super) fn arithmetic(
        &mut self,
        operator: &BinaryOperator,
        left: Typed,
        right: Typed,
        place: Range<usize>,
    ) -> Option<Typed> {
        let Some(operation) = Operation::of(operator) else {
            return self.problem(place, "unknown operator", None);
        };
        let (left, right) = self.settle(operation, left, right)?;
        if left.of.is_number() && right.of.is_number() {
            return self.numbers(operation, left, right, place);
        }
        if let Some((run, of)) = moments::operation(operation, left.of, right.of) {
            let (left, right) = match operation {
                // Interval times number goes through a float.
                Operation::Multiply | Operation::Divide if left.of.is_number() => {
                    (self.coerce(left, Type::FLOAT)?, right)
                }
                Operation::Multiply | Operation::Divide => {
                    let right = if right.of.is_number() { self.coerce(right, Type::FLOAT)? } else { right };
                    (left, right)
                }
                _ => (left, right),
            };
            return Some(self.call(operation.name(), run, vec![left, right], of, place));
        }
        let message = format!(
            "{} and {}: `{}` takes {}",
            self.sentence(&left),
            self.sentence(&right),
            operation.sign(),
            operation.takes()
        );
        let help = match (left.of == Type::TEXT || right.of == Type::TEXT, operation) {
            (true, Operation::Add) => Some("`||` puts texts together"),
            (true, _) => Some("`CAST(... AS decimal(12,2))` reads a number in a text"),
            _ => None,
        };
        self.problem(around(left.place, right.place), message, help)
    }

    /// Gives a type to texts as written and to NULLs by what they stand beside.
    fn settle(&mut self, operation: Operation, left: Typed, right: Typed) -> Option<(Typed, Typed)> {
        let open = |typed: &Typed| typed.of == Type::Unknown || typed.is_loose();
        let partner = |of: Type| match of {
            Type::DATE if operation == Operation::Add => Type::INTEGER,
            Type::TIMESTAMP | Type::Local if operation == Operation::Add => Type::Interval,
            of => of,
        };
        match (open(&left), open(&right)) {
            (true, true) if left.of == Type::Unknown && right.of == Type::Unknown => {
                Some((self.coerce(left, Type::INTEGER)?, self.coerce(right, Type::INTEGER)?))
            }
            (true, false) if partner(right.of) != Type::TEXT => {
                let of = partner(right.of);
                Some((self.coerce(left, of)?, right))
            }
            (false, true) if partner(left.of) != Type::TEXT => {
                let of = partner(left.of);
                Some((left, self.coerce(right, of)?))
            }
            _ => Some((left, right)),
        }
    }

    pub(super) fn numbers(
        &mut self,
        operation: Operation,
        left: Typed,
        right: Typed,
        place: Range<usize>,
    ) -> Option<Typed> {
        let name = operation.name();
        if left.of == Type::INTEGER && right.of == Type::INTEGER {
            return Some(self.call(
                name,
                arithmetic::integers(operation),
                vec![left, right],
                Type::INTEGER,
                place,
            ));
        }
        let (Some((p, s)), Some((q, t))) = (left.of.digits(), right.of.digits()) else {
            let (left, right) = (self.coerce(left, Type::FLOAT)?, self.coerce(right, Type::FLOAT)?);
            if operation == Operation::Modulo {
                let message = "`%` takes exact numbers, and one of these is a float";
                return self.problem(place, message, Some("`CAST(... AS decimal(12,4))` makes it exact"));
            }
            return Some(self.call(
                name,
                arithmetic::floats(operation),
                vec![left, right],
                Type::FLOAT,
                place,
            ));
        };
        let (left, right) = (self.as_decimal(left)?, self.as_decimal(right)?);
        let Some(of) = decimal_result(operation, (p, s), (q, t)) else {
            let message = format!(
                "this product has {} digits after the point, and a decimal has at most {MAX_DIGITS}",
                s.saturating_add(t)
            );
            return self.problem(place, message, Some("round one of its factors: `round(x, 4)`"));
        };
        let scale = of.digits().map_or(0, |(_, scale)| scale);
        let run = arithmetic::decimals(operation, s, t, scale);
        Some(self.call(name, run, vec![left, right], of, place))
    }

    /// `-x`
    pub(super) fn negate(&mut self, operand: Typed, place: Range<usize>) -> Option<Typed> {
        let of = operand.of;
        let run: Run = match of {
            Type::Unknown => return Some(Typed { place, ..self.coerce(operand, Type::INTEGER)? }),
            _ if of.is_number() || of == Type::Interval => arithmetic::negate(),
            _ => {
                let message = format!("{}: `-` takes numbers and intervals", self.sentence(&operand));
                return self.problem(operand.place, message, None);
            }
        };
        Some(self.call("negate", run, vec![operand], of, place))
    }

    /// `||`: texts, and a text with anything else.
    pub(super) fn concatenate(&mut self, left: Typed, right: Typed, place: Range<usize>) -> Option<Typed> {
        let is_text = |typed: &Typed| typed.of == Type::TEXT || typed.of == Type::Unknown;
        if !is_text(&left) && !is_text(&right) {
            let message =
                format!("{} and {}: one side of `||` is text", self.sentence(&left), self.sentence(&right));
            let help = "`CAST(... AS text)` makes text of one of them";
            return self.problem(around(left.place, right.place), message, Some(help));
        }
        let run = strings::concatenate(left.of, right.of);
        Some(self.call("concatenate", run, vec![left, right], Type::TEXT, place))
    }
}

/// The type of an exact result: enough digits for every result, up to 38. None when too many stand after the point.
fn decimal_result(operation: Operation, (p, s): (u8, u8), (q, t): (u8, u8)) -> Option<Type> {
    let (whole, other) = (p.saturating_sub(s), q.saturating_sub(t));
    let (before, scale) = match operation {
        Operation::Add | Operation::Subtract => (whole.max(other).saturating_add(1), s.max(t)),
        Operation::Multiply => (whole.saturating_add(other), s.saturating_add(t)),
        Operation::Divide => (whole.saturating_add(t), s.max(t).max(QUOTIENT_SCALE)),
        Operation::Modulo => (whole.min(other), s.max(t)),
    };
    (scale <= MAX_DIGITS).then(|| Type::decimal(before.saturating_add(scale), scale))
}
