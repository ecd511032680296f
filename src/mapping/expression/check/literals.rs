//! Values as written.

use std::ops::Range;

use sqlparser::ast::{DateTimeField, Expr, Interval as IntervalSyntax, TypedString, Value};

use super::{Checker, Typed, shown};
use crate::mapping::expression::{
    decimal,
    interval::Interval,
    node::Node,
    types::Type,
    vector::{Bits, Fixed, Vector},
};

impl Checker<'_> {
    /// A number, a text, TRUE, FALSE or NULL.
    pub(super) fn literal(&mut self, value: &Value, place: Range<usize>) -> Option<Typed> {
        let (vector, of) = match value {
            Value::Number(text, _) => return self.number(text, place),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                (Vector::text(text), Type::TEXT)
            }
            Value::DollarQuotedString(text) => (Vector::text(&text.value), Type::TEXT),
            Value::Boolean(value) => (Vector::Boolean(Bits::One(Some(*value))), Type::BOOLEAN),
            Value::Null => (Vector::null(Type::Unknown), Type::Unknown),
            Value::Placeholder(name) => {
                let message = format!("`{}` stands for nothing here", shown(name));
                let help = "columns are named as they are, without a sign before them";
                return self.problem(place, message, Some(help));
            }
            _ => {
                let message =
                    format!("`{}` is not a value that is known here", shown(self.tokens.slice(&place)));
                return self.problem(place, message, Some("texts stand in single quotes: 'paid'"));
            }
        };
        Some(Typed { node: Node::Constant(vector), of, place, is_literal: of == Type::TEXT })
    }

    fn number(&mut self, text: &str, place: Range<usize>) -> Option<Typed> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let (vector, of) = match (text.parse::<i64>(), decimal::read(text)) {
            (Ok(value), _) if plain => (Vector::Integer(Fixed::One(Some(value))), Type::INTEGER),
            (_, Some((value, precision, scale))) => {
                (Vector::Decimal(Fixed::One(Some(value))), Type::decimal(precision, scale))
            }
            _ => {
                let message = format!("`{}` is not a number of at most 38 digits", shown(text));
                return self.problem(place, message, None);
            }
        };
        Some(Typed { node: Node::Constant(vector), of, place, is_literal: false })
    }

    /// `date '2025-12-31'` and its kin.
    pub(super) fn typed_literal(&mut self, typed: &TypedString, place: Range<usize>) -> Option<Typed> {
        let to = self.type_of(&typed.data_type, &place)?;
        let text = match &typed.value.value {
            Value::SingleQuotedString(text) => Vector::text(text),
            _ => return self.problem(place, "a text in single quotes belongs here", None),
        };
        let literal =
            Typed { node: Node::Constant(text), of: Type::TEXT, place: place.clone(), is_literal: true };
        Some(Typed { place, ..self.read_literal(literal, to)? })
    }

    /// `interval '1 day'`, `interval '5' day`.
    pub(super) fn interval(&mut self, syntax: &IntervalSyntax, place: Range<usize>) -> Option<Typed> {
        let help = "write `interval '1 month 3 days'` or `interval '04:30'`; a number of days is added as it is: \
                    `order_date + 5`";
        let plain = syntax.last_field.is_none()
            && syntax.leading_precision.is_none()
            && syntax.fractional_seconds_precision.is_none();
        let text = match &*syntax.value {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) if plain => text,
                _ => return self.problem(place, "this interval is not written as a text", Some(help)),
            },
            _ => return self.problem(place, "this interval is not written as a text", Some(help)),
        };
        let unit = syntax.leading_field.as_ref().map(DateTimeField::to_string);
        match Interval::read(text, unit.as_deref()) {
            Some(interval) => {
                let vector = Vector::Interval(Fixed::One(Some(interval.pack())));
                Some(Typed { node: Node::Constant(vector), of: Type::Interval, place, is_literal: false })
            }
            None => self.problem(place, format!("'{}' is not an interval", shown(text)), Some(help)),
        }
    }
}
