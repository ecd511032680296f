//! Comparisons, and what chooses between values.

use std::ops::Range;

use sqlparser::ast::{CaseWhen, Expr, Spanned};

use super::{Checker, Typed};
use crate::{
    mapping::expression::{
        compare::{self, Comparison},
        like::{self, Pattern},
        logic, members,
        node::Node,
        types::Type,
        vector::Vector,
    },
    model::value::ValueType,
};

impl Checker<'_> {
    /// `=`, `<` and so on.
    pub(super) fn compare(
        &mut self,
        comparison: Comparison,
        left: Typed,
        right: Typed,
        place: Range<usize>,
    ) -> Option<Typed> {
        let (left, right, scales) = self.comparable(left, right)?;
        let run = compare::run(comparison, scales);
        Some(self.call("compare", run, vec![left, right], Type::BOOLEAN, place))
    }

    /// Two values of one type that has an order.
    fn comparable(&mut self, left: Typed, right: Typed) -> Option<(Typed, Typed, (u8, u8))> {
        let json = Type::Value(ValueType::Json);
        if let Some(typed) = [&left, &right].into_iter().find(|typed| typed.of == json) {
            let message = format!("{}: it cannot be compared", self.sentence(typed));
            let help = "`CAST(... AS text)` compares the text of it";
            return self.problem(typed.place.clone(), message, Some(help));
        }
        self.alike(left, right, "they cannot be compared")
    }

    /// IS NULL, IS TRUE, IS DISTINCT FROM and their kin.
    pub(super) fn is(&mut self, syntax: &Expr, place: Range<usize>) -> Option<Typed> {
        let (operand, value, wanted) = match syntax {
            Expr::IsNull(operand) | Expr::IsNotNull(operand) => {
                let operand = self.expression(operand)?;
                let run = logic::is_null(matches!(syntax, Expr::IsNotNull(_)));
                return Some(self.call("is null", run, vec![operand], Type::BOOLEAN, place));
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                let (left, right) = (self.expression(left), self.expression(right));
                let (left, right, scales) = self.comparable(left?, right?)?;
                let run = compare::distinct(matches!(syntax, Expr::IsDistinctFrom(..)), scales);
                return Some(self.call("is distinct from", run, vec![left, right], Type::BOOLEAN, place));
            }
            Expr::IsTrue(operand) => (operand, Some(true), true),
            Expr::IsNotTrue(operand) => (operand, Some(true), false),
            Expr::IsFalse(operand) => (operand, Some(false), true),
            Expr::IsNotFalse(operand) => (operand, Some(false), false),
            Expr::IsUnknown(operand) => (operand, None, true),
            Expr::IsNotUnknown(operand) => (operand, None, false),
            _ => return None,
        };
        let operand = self.condition(operand, "IS")?;
        Some(self.call("is", logic::is(value, wanted), vec![operand], Type::BOOLEAN, place))
    }

    /// `x IN (a, b, c)`
    pub(super) fn in_list(
        &mut self,
        operand: &Expr,
        list: &[Expr],
        negated: bool,
        place: Range<usize>,
    ) -> Option<Typed> {
        let operand = self.expression(operand);
        let list: Vec<Option<Typed>> = list.iter().map(|item| self.expression(item)).collect();
        let (operand, list) = (operand?, list.into_iter().collect::<Option<Vec<Typed>>>()?);
        // A text as written takes the type of the first value that has one.
        let of = list.iter().find(|item| !item.is_loose() && item.of != Type::Unknown).map(|item| item.of);
        let operand = match of.filter(|_| operand.is_loose() || operand.of == Type::Unknown) {
            Some(of) => self.coerce(operand, of)?,
            None => operand,
        };
        let mut pairs = Vec::with_capacity(list.len());
        for item in list {
            let again = self.copy(&operand)?;
            pairs.push(self.comparable(again, item)?);
        }
        if let Some(set) =
            members::Set::of(pairs.iter().map(|(left, item, scales)| (left.of, &item.node, *scales)))
            && let Some((left, _, _)) = pairs.first()
        {
            return Some(self.call("in", set.run(!negated), vec![left.clone()], Type::BOOLEAN, place));
        }
        let equals = |(left, item, scales): (Typed, Typed, (u8, u8))| {
            let run = compare::run(Comparison::Equal, scales);
            self.call("compare", run, vec![left, item], Type::BOOLEAN, place.clone()).node
        };
        let node = Node::Or(pairs.into_iter().map(equals).collect());
        let found = Typed { node, of: Type::BOOLEAN, place: place.clone(), is_literal: false };
        Some(if negated { self.call("not", logic::not(), vec![found], Type::BOOLEAN, place) } else { found })
    }

    /// `x BETWEEN low AND high`, with SYMMETRIC in either order.
    pub(super) fn between(
        &mut self,
        operand: &Expr,
        negated: bool,
        (low, high): (&Expr, &Expr),
        place: Range<usize>,
    ) -> Option<Typed> {
        let between = self.place(operand).end..self.place(low).start;
        let symmetric = self.tokens.word_between("symmetric", between);
        let (operand, low, high) = (self.expression(operand), self.expression(low), self.expression(high));
        let (operand, low, high) = (operand?, low?, high?);
        let within = |checker: &mut Self, low: &Typed, high: &Typed| -> Option<Node> {
            let (again, low) = (checker.copy(&operand)?, checker.copy(low)?);
            let least = checker.compare(Comparison::GreaterOrEqual, again, low, place.clone())?;
            let (again, high) = (checker.copy(&operand)?, checker.copy(high)?);
            let most = checker.compare(Comparison::LessOrEqual, again, high, place.clone())?;
            Some(Node::And(vec![least.node, most.node]))
        };
        let mut node = within(self, &low, &high)?;
        if symmetric {
            node = Node::Or(vec![node, within(self, &high, &low)?]);
        }
        let found = Typed { node, of: Type::BOOLEAN, place: place.clone(), is_literal: false };
        Some(if negated { self.call("not", logic::not(), vec![found], Type::BOOLEAN, place) } else { found })
    }

    /// LIKE and ILIKE.
    pub(super) fn like(
        &mut self,
        (operand, pattern, escape): (&Expr, &Expr, Option<&Expr>),
        folds: bool,
        negated: bool,
        place: Range<usize>,
    ) -> Option<Typed> {
        let (operand, pattern) = (self.expression(operand), self.expression(pattern));
        let (operand, pattern) = (self.text(operand?, "LIKE")?, self.text(pattern?, "LIKE")?);
        let escape = match escape {
            None => Some('\\'),
            Some(syntax) => {
                let typed = self.expression(syntax)?;
                match typed.constant_text().map(like::escape) {
                    Some(Ok(escape)) => escape,
                    _ => return self.problem(typed.place, "an ESCAPE is one character in quotes", None),
                }
            }
        };
        let known = match pattern.constant_text().map(|text| Pattern::new(text, folds, escape)) {
            Some(Err(failure)) => return self.problem(pattern.place, failure, None),
            Some(Ok(known)) => Some(known),
            None => None,
        };
        let run = like::run(known, folds, escape, !negated);
        Some(self.call("like", run, vec![operand, pattern], Type::BOOLEAN, place))
    }

    /// A value that must be text.
    pub(super) fn text(&mut self, typed: Typed, what: &str) -> Option<Typed> {
        if typed.of == Type::TEXT || typed.of == Type::Unknown {
            return self.coerce(Typed { is_literal: false, ..typed }, Type::TEXT);
        }
        let message = format!("{}, but {what} takes text", self.sentence(&typed));
        self.problem(typed.place, message, Some("`CAST(... AS text)` makes text of it"))
    }

    /// CASE, with an operand that is compared or without.
    pub(super) fn case(
        &mut self,
        operand: Option<&Expr>,
        branches: &[CaseWhen],
        otherwise: Option<&Expr>,
        place: Range<usize>,
    ) -> Option<Typed> {
        let operand = match operand {
            Some(operand) => Some(self.expression(operand)?),
            None => None,
        };
        let (mut conditions, mut results) = (Vec::new(), Vec::new());
        for branch in branches {
            conditions.push(match &operand {
                None => self.condition(&branch.condition, "WHEN"),
                Some(operand) => self.expression(&branch.condition).and_then(|value| {
                    let at = self.tokens.bytes(branch.condition.span());
                    let again = self.copy(operand)?;
                    self.compare(Comparison::Equal, again, value, at)
                }),
            });
            results.push(self.expression(&branch.result));
        }
        results.push(match otherwise {
            Some(otherwise) => self.expression(otherwise),
            None => {
                let node = Node::Constant(Vector::null(Type::Unknown));
                Some(Typed { node, of: Type::Unknown, place: place.clone(), is_literal: false })
            }
        });
        let conditions: Vec<Typed> = conditions.into_iter().collect::<Option<_>>()?;
        let (of, mut results) = self.unify(results.into_iter().collect::<Option<_>>()?, "CASE")?;
        let otherwise = Box::new(results.pop()?.node);
        let branches =
            conditions.into_iter().zip(results).map(|(when, then)| (when.node, then.node)).collect();
        Some(Typed { node: Node::Case { branches, otherwise, of }, of, place, is_literal: false })
    }
}
