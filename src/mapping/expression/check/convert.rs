//! From one type to another: by itself where nothing can be lost, and by CAST.

use std::ops::Range;

use sqlparser::ast::{CastKind, DataType, ExactNumberInfo, Expr, TimezoneInfo};

use super::{Checker, Typed, places::around, shown};
use crate::{
    mapping::expression::{
        Expression, ExpressionProblem, cast, decimal,
        node::{Node, call},
        rows::{Outcome, Rows},
        types::Type,
        vector::{Fixed, Vector},
    },
    model::value::ValueType,
};

impl Checker<'_> {
    /// The same value as one of another type. A text as written is read as that type; of numbers, the digits it has make
    /// its type.
    pub(super) fn coerce(&mut self, typed: Typed, to: Type) -> Option<Typed> {
        let place = typed.place.clone();
        if typed.of == to {
            return Some(typed);
        }
        if typed.of == Type::Unknown {
            let node = Node::Constant(Vector::null(to));
            return Some(Typed { node, of: to, place, is_literal: false });
        }
        if typed.is_loose() {
            return self.read_literal(typed, to);
        }
        let is_implicit = typed
            .of
            .common(to)
            .is_some_and(|common| common == to || (to.digits().is_some() && typed.of.digits().is_some()));
        if let Some(run) = cast::cast(typed.of, to).filter(|_| is_implicit) {
            return Some(self.call("cast", run, vec![typed], to, place));
        }
        let message = format!("{}, but {} is needed here", self.sentence(&typed), to.phrase());
        self.problem(place, message, None)
    }

    /// A text as written, read as a value of a type.
    pub(super) fn read_literal(&mut self, typed: Typed, to: Type) -> Option<Typed> {
        let text = typed.constant_text().unwrap_or_default().to_owned();
        if to == Type::TEXT {
            return Some(Typed { is_literal: false, ..typed });
        }
        if let (Some((_, _)), Some((value, precision, scale))) =
            (to.digits().filter(|_| to != Type::INTEGER), signed(text.trim()))
        {
            let node = Node::Constant(Vector::Decimal(Fixed::One(Some(value))));
            return Some(Typed {
                node,
                of: Type::decimal(precision, scale),
                place: typed.place,
                is_literal: false,
            });
        }
        let place = typed.place.clone();
        let Some(run) = cast::cast(Type::TEXT, to) else {
            let message = format!("the text `{}` cannot be {}", shown(&text), to.phrase());
            return self.problem(place, message, None);
        };
        let outcome = Outcome::default();
        let value = call(&run, &[Vector::text(&text)], &Rows::single(&outcome));
        if let Some((_, failure)) = outcome.into_failures().first() {
            let message = format!("'{}' is not {}: {failure}", shown(&text), to.phrase());
            return self.problem(place, message, None);
        }
        Some(Typed { node: Node::Constant(value), of: to, place, is_literal: false })
    }

    /// Brings two values that stand side by side to one type; decimals keep their scales, which are given. `together`
    /// says why they cannot stand so.
    pub(super) fn alike(
        &mut self,
        left: Typed,
        right: Typed,
        together: &str,
    ) -> Option<(Typed, Typed, (u8, u8))> {
        let (left, right) = match (left.is_loose(), right.is_loose()) {
            (true, false) if right.of != Type::Unknown => (self.coerce(left, right.of)?, right),
            (false, true) if left.of != Type::Unknown => {
                let of = left.of;
                (left, self.coerce(right, of)?)
            }
            _ => (left, right),
        };
        let Some(common) = left.of.common(right.of) else {
            let message = format!("{} and {}: {together}", self.sentence(&left), self.sentence(&right));
            let help = cast_help(&left, &right);
            return self.problem(around(left.place, right.place), message, help);
        };
        if let (Some((_, s)), Some((_, t))) = (left.of.digits(), right.of.digits()) {
            if left.of == Type::INTEGER && right.of == Type::INTEGER {
                return Some((left, right, (0, 0)));
            }
            return Some((self.as_decimal(left)?, self.as_decimal(right)?, (s, t)));
        }
        let scales = common.digits().map_or((0, 0), |(_, scale)| (scale, scale));
        Some((self.coerce(left, common)?, self.coerce(right, common)?, scales))
    }

    /// An exact number as a decimal.
    pub(super) fn as_decimal(&mut self, typed: Typed) -> Option<Typed> {
        if typed.of == Type::INTEGER { self.coerce(typed, Type::decimal(19, 0)) } else { Some(typed) }
    }

    /// Brings values to the one type that a result of any of them has.
    pub(super) fn unify(&mut self, list: Vec<Typed>, what: &str) -> Option<(Type, Vec<Typed>)> {
        let mut common = Type::Unknown;
        let mut first: Option<&Typed> = None;
        for typed in list.iter().filter(|typed| !typed.is_loose() && typed.of != Type::Unknown) {
            let Some(next) = common.common(typed.of) else {
                let before = first.map(|first| self.sentence(first)).unwrap_or_default();
                let message =
                    format!("{before} and {}: {what} gives values of one type", self.sentence(typed));
                return self.problem(typed.place.clone(), message, None);
            };
            common = next;
            first = first.or(Some(typed));
        }
        if common == Type::Unknown && list.iter().any(Typed::is_loose) {
            common = Type::TEXT;
        }
        // A number written as a text may have more digits than the others.
        let mut read = Vec::with_capacity(list.len());
        for typed in list {
            let typed = if typed.is_loose() { self.read_literal(typed, common)? } else { typed };
            common = common.common(typed.of).unwrap_or(common);
            read.push(typed);
        }
        let unified: Option<Vec<Typed>> = read.into_iter().map(|typed| self.coerce(typed, common)).collect();
        Some((common, unified?))
    }

    /// CAST and `::`.
    pub(super) fn cast_to(
        &mut self,
        kind: &CastKind,
        operand: &Expr,
        data_type: &DataType,
        place: Range<usize>,
    ) -> Option<Typed> {
        if !matches!(kind, CastKind::Cast | CastKind::DoubleColon) {
            return self.problem(place, "there are only CAST and `::`: what cannot be cast fails", None);
        }
        let typed = self.expression(operand);
        let to = self.type_of(data_type, &place);
        let (typed, to) = (typed?, to?);
        if typed.of == Type::Unknown || (typed.is_loose() && to == Type::TEXT) {
            return Some(Typed { place, is_literal: false, ..self.coerce(typed, to)? });
        }
        if typed.of == to {
            return Some(Typed { place, is_literal: false, ..typed });
        }
        let Some(run) = cast::cast(typed.of, to) else {
            let message = format!("{}, and that cannot become {}", self.sentence(&typed), to.phrase());
            return self.problem(place, message, None);
        };
        if typed.is_loose() && to.digits().is_none() {
            return Some(Typed { place, ..self.read_literal(typed, to)? });
        }
        Some(self.call("cast", run, vec![typed], to, place))
    }

    /// The type that a name in SQL means.
    pub(super) fn type_of(&mut self, data_type: &DataType, place: &Range<usize>) -> Option<Type> {
        let name = data_type.to_string().to_lowercase();
        match data_type {
            DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None) => Some(Type::TEXT),
            DataType::Integer(None) | DataType::Int(None) | DataType::BigInt(None) | DataType::Int8(None) => {
                Some(Type::INTEGER)
            }
            DataType::Decimal(digits) | DataType::Numeric(digits) | DataType::Dec(digits) => match *digits {
                ExactNumberInfo::Precision(precision) => self.decimal_type(precision, 0, place),
                ExactNumberInfo::PrecisionAndScale(precision, scale) => {
                    self.decimal_type(precision, scale, place)
                }
                ExactNumberInfo::None => {
                    let help = "write its digits: decimal(12,2) has 12 in all, 2 of them after the point";
                    self.problem(place.clone(), "a decimal has a fixed number of digits", Some(help))
                }
            },
            DataType::Float(ExactNumberInfo::None)
            | DataType::Double(ExactNumberInfo::None)
            | DataType::DoublePrecision
            | DataType::Float8 => Some(Type::FLOAT),
            DataType::Bool | DataType::Boolean => Some(Type::BOOLEAN),
            DataType::Date => Some(Type::DATE),
            DataType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Some(Type::TIME),
            DataType::Timestamp(None, TimezoneInfo::WithoutTimeZone) => Some(Type::Local),
            DataType::Timestamp(None, _) => Some(Type::TIMESTAMP),
            DataType::Uuid => Some(Type::Value(ValueType::Uuid)),
            DataType::JSON => Some(Type::Value(ValueType::Json)),
            DataType::Interval { fields: None, precision: None } => Some(Type::Interval),
            _ => {
                let message = format!("there is no type `{}`", shown(&name));
                let help = "there are text, integer, decimal(p,s), float, boolean, date, time, timestamp, interval, \
                            uuid and json";
                self.problem(place.clone(), message, Some(help))
            }
        }
    }

    fn decimal_type(&mut self, precision: u64, scale: i64, place: &Range<usize>) -> Option<Type> {
        match (u8::try_from(precision), u8::try_from(scale)) {
            (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision => {
                Some(Type::decimal(precision, scale))
            }
            _ => {
                let message = "a decimal has 1 to 38 digits in all, and no more of them after the point";
                self.problem(place.clone(), message, None)
            }
        }
    }
}

/// A decimal with its sign.
fn signed(text: &str) -> Option<(i128, u8, u8)> {
    match text.strip_prefix('-') {
        Some(digits) => decimal::read(digits).map(|(value, precision, scale)| (-value, precision, scale)),
        None => decimal::read(text.strip_prefix('+').unwrap_or(text)),
    }
    .filter(|_| text.contains(|c: char| c.is_ascii_digit()))
}

/// What to do about two types that do not go together.
fn cast_help(left: &Typed, right: &Typed) -> Option<&'static str> {
    let is_text = |typed: &Typed| typed.of == Type::TEXT;
    (is_text(left) || is_text(right))
        .then_some("`CAST(... AS text)`, or another type, makes one of the other")
}

/// What [`Expression::into_type`] promises.
pub(in crate::mapping::expression) fn assign(
    expression: Expression,
    value_type: ValueType,
) -> Result<Expression, ExpressionProblem> {
    let (from, to) = (expression.result, Type::Value(value_type));
    let range = 0..expression.length;
    if from == to {
        return Ok(expression);
    }
    let wrap = |run| Node::Call { name: "assign", run, arguments: vec![expression.node.clone()] };
    let node = match (from, to) {
        (Type::Unknown, _) => Node::Constant(Vector::null(to)),
        (Type::TEXT, _) if expression.is_text => {
            let text = match &expression.node {
                Node::Constant(vector) => vector.clone(),
                _ => Vector::null(Type::TEXT),
            };
            let outcome = Outcome::default();
            let value = cast::cast(Type::TEXT, to).map(|run| call(&run, &[text], &Rows::single(&outcome)));
            match (value, outcome.into_failures().first()) {
                (Some(value), None) => Node::Constant(value),
                (_, failure) => {
                    let why = failure.map(|(_, failure)| format!(": {failure}")).unwrap_or_default();
                    let message = format!("this text is not {}{why}", to.phrase());
                    return Err(ExpressionProblem::new(range, message, None));
                }
            }
        }
        (Type::Value(ValueType::Decimal { scale: 0, .. }), Type::INTEGER) => wrap(cast::exact(0, to)),
        (Type::INTEGER | Type::Value(ValueType::Decimal { .. }), Type::Value(ValueType::Decimal { .. })) => {
            wrap(cast::exact(from.digits().map_or(0, |(_, scale)| scale), to))
        }
        (_, Type::FLOAT) if from.is_number() => match cast::cast(from, to) {
            Some(run) => wrap(run),
            None => return Err(misfit(from, to, range)),
        },
        (Type::DATE | Type::Local, Type::TIMESTAMP) => match cast::cast(from, to) {
            Some(run) => wrap(run),
            None => return Err(misfit(from, to, range)),
        },
        _ => return Err(misfit(from, to, range)),
    };
    Ok(Expression { node, result: to, ..expression })
}

fn misfit(from: Type, to: Type, range: Range<usize>) -> ExpressionProblem {
    let message = format!("this is {}, but the column is {}", from.phrase(), to.phrase());
    let help = match (from, to) {
        (Type::Value(ValueType::Decimal { .. }), Type::INTEGER) => {
            "`round(...)` or `trunc(...)` makes whole numbers of it, and `type = \"decimal(p,s)\"` keeps the digits".into()
        }
        (Type::FLOAT, Type::INTEGER | Type::Value(ValueType::Decimal { .. })) => {
            format!("`CAST(... AS {to})` rounds it")
        }
        (Type::Interval, _) => "`EXTRACT(epoch FROM ...)` gives its seconds".into(),
        (Type::Local, _) => format!("`CAST(... AS {to})` takes that part of it"),
        (Type::Value(_), _) if cast::cast(from, to).is_some() => {
            format!("declare it with `type = \"{from}\"`, or write `CAST(... AS {to})`")
        }
        _ => format!("declare it with `type = \"{from}\"`"),
    };
    ExpressionProblem::new(range, message, Some(help))
}

/// What [`Expression::into_condition`] promises.
pub(in crate::mapping::expression) fn condition(
    expression: Expression,
) -> Result<Expression, ExpressionProblem> {
    match expression.result {
        Type::BOOLEAN => Ok(expression),
        Type::Unknown => Ok(Expression {
            node: Node::Constant(Vector::null(Type::BOOLEAN)),
            result: Type::BOOLEAN,
            ..expression
        }),
        other => {
            let message = format!("this is {}, but a condition is true or false", other.phrase());
            let help = "compare it with something, as in `quantity > 0`".to_owned();
            Err(ExpressionProblem::new(0..expression.length, message, Some(help)))
        }
    }
}
