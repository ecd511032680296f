//! From syntax to the typed tree: what is allowed, what it means, and everything that is wrong with it.
//!
//! The syntax tree of the parser knows far more than an expression may say; every node that is allowed is named here,
//! and everything else is a problem.

mod calls;
mod conditions;
mod convert;
mod literals;
mod names;
mod operators;
mod places;

use std::ops::Range;

use sqlparser::{
    ast::{BinaryOperator, Expr, UnaryOperator},
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan},
};

pub(super) use self::convert::{assign, condition};
use super::{
    Expression, ExpressionProblem, Scope,
    compare::Comparison,
    node::{Node, Run, call},
    rows::{Outcome, Rows},
    tokens::{self, Tokens},
    types::Type,
    vector::{Texts, Vector},
};

/// Compiles an expression, or says everything that is wrong with it.
pub(super) fn compile(text: &str, scope: &Scope) -> Result<Expression, Vec<ExpressionProblem>> {
    let tokens = Tokens::read(text).map_err(|problem| vec![problem])?;
    let syntax = parse(&tokens).map_err(|problem| vec![problem])?;
    let mut checker = Checker { tokens: &tokens, scope, problems: Vec::new(), copied: 0 };
    let typed = checker.expression(&syntax);
    match typed {
        Some(typed) if checker.problems.is_empty() => Ok(Expression {
            is_text: typed.is_loose(),
            node: typed.node,
            result: typed.of,
            length: text.len(),
        }),
        _ => Err(checker.problems),
    }
}

/// The syntax tree.
fn parse(tokens: &Tokens<'_>) -> Result<Expr, ExpressionProblem> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(without_symmetric(tokens));
    let syntax = parser.parse_expr().map_err(|error| syntax_problem(tokens, &error))?;
    let next = parser.peek_token_ref();
    if next.token == Token::EOF {
        return Ok(syntax);
    }
    let place = tokens.at(tokens.offset(next.span.start));
    let message = format!("the expression could end before `{}`", shown(tokens.slice(&place)));
    let help = "an operator or a parenthesis is missing, or this is more than one expression";
    Err(ExpressionProblem::new(place, message, Some(help.into())))
}

/// The tokens without SYMMETRIC and ASYMMETRIC behind BETWEEN, which the parser does not know; the checker looks for them
/// among all tokens.
fn without_symmetric(tokens: &Tokens<'_>) -> Vec<TokenWithSpan> {
    let mut kept: Vec<TokenWithSpan> = Vec::new();
    for token in tokens.for_parser() {
        let behind_between = kept.last().is_some_and(|last| is_keyword(&last.token, Keyword::BETWEEN));
        let word = if let Token::Word(word) = &token.token { word.value.as_str() } else { "" };
        let symmetric = ["symmetric", "asymmetric"].iter().any(|known| word.eq_ignore_ascii_case(known));
        if !(behind_between && symmetric) {
            kept.push(token);
        }
    }
    kept
}

fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword)
}

/// The parser's words as a problem with a place.
fn syntax_problem(tokens: &Tokens<'_>, error: &ParserError) -> ExpressionProblem {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
        ParserError::RecursionLimitExceeded => return tokens::too_deep(0..tokens.text().len()),
    };
    // The message ends in " at Line: 1, Column: 5".
    let (text, location) = text.rsplit_once(" at Line: ").unwrap_or((text, ""));
    let place = location.split_once(", Column: ").and_then(|(line, column)| {
        let location = sqlparser::tokenizer::Location {
            line: line.trim().parse().ok()?,
            column: column.trim().parse().ok()?,
        };
        (location.line > 0).then(|| tokens.at(tokens.offset(location)))
    });
    let end = tokens.text().len();
    let place = place.unwrap_or(end..end);
    if place.is_empty() {
        let message = "the expression ends where something is missing";
        return ExpressionProblem::new(0..end, message.into(), None);
    }
    let found = shown(tokens.slice(&place));
    let message = match text.strip_prefix("Expected: ").and_then(|text| text.rsplit_once(", found: ")) {
        Some(("an expression" | "identifier", _)) => format!("a value is missing before `{found}`"),
        Some((expected, _)) => format!("`{found}` stands where {expected} should"),
        None => format!("this cannot be read: {}", tokens::lower_first(text)),
    };
    ExpressionProblem::new(place, message, None)
}

/// BETWEEN, CASE with an operand, IN and NULLIF look at a value more than once. In one another they would double it with every
/// level; so many parts in all may stand in the tree again, more than a list of thousands needs.
const MAX_COPIED: usize = 100_000;

/// A piece of an expression in a message: on one line, and not too long.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= MOST {
        return text;
    }
    format!("{}...", text.chars().take(MOST).collect::<String>())
}

/// True for a comparison without parentheses around it.
fn is_comparison(syntax: &Expr) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(syntax, Expr::BinaryOp { op: Eq | NotEq | Lt | LtEq | Gt | GtEq, .. })
}

/// Types a syntax tree, and keeps what is wrong with it.
struct Checker<'a> {
    tokens: &'a Tokens<'a>,
    scope: &'a Scope,
    problems: Vec<ExpressionProblem>,
    /// How many parts stand in the tree again.
    copied: usize,
}

/// A typed part, with the place it comes from.
#[derive(Clone, Debug)]
struct Typed {
    node: Node,
    of: Type,
    place: Range<usize>,
    /// True for a text as written: it becomes what it stands beside.
    is_literal: bool,
}

impl Typed {
    /// The text of a constant one.
    fn constant_text(&self) -> Option<&str> {
        match &self.node {
            Node::Constant(Vector::Text(Texts::One(Some(text)))) => Some(text),
            _ => None,
        }
    }

    /// True for a text as written, which takes the type of what it stands beside.
    fn is_loose(&self) -> bool {
        self.is_literal && self.of == Type::TEXT
    }

    fn is_constant(&self) -> bool {
        matches!(self.node, Node::Constant(_))
    }
}

impl Checker<'_> {
    /// Keeps a problem; there is no typed part then.
    fn problem<T>(
        &mut self,
        place: Range<usize>,
        message: impl Into<String>,
        help: Option<&str>,
    ) -> Option<T> {
        self.problems.push(ExpressionProblem::new(place, message.into(), help.map(Into::into)));
        None
    }

    /// The same part once more.
    fn copy(&mut self, typed: &Typed) -> Option<Typed> {
        typed.node.visit(&mut |_| self.copied += 1);
        if self.copied <= MAX_COPIED {
            return Some(typed.clone());
        }
        let message = "this value is used too often in what is compared with it";
        let help = "make it a column of its own, with a `value`, and compare that";
        self.problem(typed.place.clone(), message, Some(help))
    }

    /// "`quantity` is an integer"
    fn sentence(&self, typed: &Typed) -> String {
        format!("`{}` is {}", shown(self.tokens.slice(&typed.place)), typed.of.phrase())
    }

    /// Types an expression.
    fn expression(&mut self, syntax: &Expr) -> Option<Typed> {
        let place = self.place(syntax);
        match syntax {
            Expr::Nested(inner) => Some(Typed { place, ..self.expression(inner)? }),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.name(syntax, place),
            Expr::Value(value) => self.literal(&value.value, place),
            Expr::TypedString(typed) => self.typed_literal(typed, place),
            Expr::Interval(interval) => self.interval(interval, place),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr, place),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, place),
            Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..) => self.is(syntax, place),
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated, place),
            Expr::Between { expr, negated, low, high } => self.between(expr, *negated, (low, high), place),
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like((expr, pattern, escape_char.as_deref()), false, *negated, place)
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like((expr, pattern, escape_char.as_deref()), true, *negated, place)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), place)
            }
            Expr::Cast { expr, data_type, format: None, kind } => self.cast_to(kind, expr, data_type, place),
            Expr::AtTimeZone { timestamp, time_zone } => self.at_time_zone(timestamp, time_zone, place),
            Expr::Function(_)
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. } => self.any_call(syntax, place),
            _ => self.not_allowed(syntax, place),
        }
    }

    /// What is not in the language, in words.
    fn not_allowed(&mut self, syntax: &Expr, place: Range<usize>) -> Option<Typed> {
        let (what, help) = match syntax {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => (
                "a query",
                Some("an expression sees its own record only; a `lookup` finds values in other tables"),
            ),
            Expr::SimilarTo { .. } | Expr::RLike { .. } => {
                ("SIMILAR TO", Some("`regexp_like(value, 'pattern')` does it"))
            }
            Expr::Collate { .. } => ("COLLATE", Some("texts are compared by their characters' code points")),
            Expr::Tuple(_) => ("a list in parentheses", None),
            Expr::Array(_) | Expr::CompoundFieldAccess { .. } => ("an array", None),
            Expr::Overlay { .. } => ("OVERLAY", Some("put it together with `left`, `substring` and `||`")),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => ("`*` as a value", None),
            Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                ("ANY or ALL", Some("`x IN (a, b)` looks at several values"))
            }
            _ => ("this", None),
        };
        let message = format!("{what} is not part of expressions: `{}`", shown(self.tokens.slice(&place)));
        self.problem(place, message, help)
    }

    fn unary(&mut self, operator: UnaryOperator, operand: &Expr, place: Range<usize>) -> Option<Typed> {
        match operator {
            UnaryOperator::Not => {
                let operand = self.condition(operand, "NOT")?;
                Some(self.call("not", super::logic::not(), vec![operand], Type::BOOLEAN, place))
            }
            UnaryOperator::Minus => {
                let operand = self.expression(operand)?;
                self.negate(operand, place)
            }
            UnaryOperator::Plus => {
                let operand = self.expression(operand)?;
                if operand.of.is_number() || operand.of == Type::Unknown {
                    return Some(Typed { place, ..operand });
                }
                let message = format!("{}: `+` takes numbers", self.sentence(&operand));
                self.problem(operand.place, message, None)
            }
            _ => self.no_operator(place),
        }
    }

    fn no_operator(&mut self, place: Range<usize>) -> Option<Typed> {
        let message =
            format!("this operator is not part of expressions: `{}`", shown(self.tokens.slice(&place)));
        let help =
            "there are + - * / % || = <> < <= > >= AND OR NOT IS IN BETWEEN LIKE; the rest are functions";
        self.problem(place, message, Some(help))
    }

    fn binary(
        &mut self,
        left: &Expr,
        operator: &BinaryOperator,
        right: &Expr,
        place: Range<usize>,
    ) -> Option<Typed> {
        let comparison = match operator {
            BinaryOperator::And | BinaryOperator::Or => {
                return self.logic(left, *operator == BinaryOperator::Or, right, place);
            }
            BinaryOperator::Eq => Some(Comparison::Equal),
            BinaryOperator::NotEq => Some(Comparison::Unequal),
            BinaryOperator::Lt => Some(Comparison::Less),
            BinaryOperator::LtEq => Some(Comparison::LessOrEqual),
            BinaryOperator::Gt => Some(Comparison::Greater),
            BinaryOperator::GtEq => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        if comparison.is_some() && (is_comparison(left) || is_comparison(right)) {
            let help = "write `low <= x AND x <= high`, or parentheses around what is compared first";
            return self.problem(place, "comparisons do not follow one another", Some(help));
        }
        // Both sides are looked at, so that all problems are found.
        let (left, right) = (self.expression(left), self.expression(right));
        let (left, right) = (left?, right?);
        if let Some(comparison) = comparison {
            return self.compare(comparison, left, right, place);
        }
        match operator {
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo => self.arithmetic(operator, left, right, place),
            BinaryOperator::StringConcat => self.concatenate(left, right, place),
            _ => self.no_operator(place),
        }
    }

    /// AND and OR; those in a row become one.
    fn logic(&mut self, left: &Expr, or: bool, right: &Expr, place: Range<usize>) -> Option<Typed> {
        let word = if or { "OR" } else { "AND" };
        let (left, right) = (self.condition(left, word), self.condition(right, word));
        let (left, right) = (left?, right?);
        let mut operands = match (left.node, or) {
            (Node::Or(operands), true) | (Node::And(operands), false) => operands,
            (node, _) => vec![node],
        };
        operands.push(right.node);
        let node = if or { Node::Or(operands) } else { Node::And(operands) };
        Some(Typed { node, of: Type::BOOLEAN, place, is_literal: false })
    }

    /// An operand that must be true or false.
    fn condition(&mut self, syntax: &Expr, word: &str) -> Option<Typed> {
        let typed = self.expression(syntax)?;
        if typed.of == Type::BOOLEAN || typed.of == Type::Unknown || typed.is_loose() {
            return self.coerce(typed, Type::BOOLEAN);
        }
        let message = format!("{}, but {word} takes what is true or false", self.sentence(&typed));
        self.problem(typed.place, message, Some("compare it with something, as in `quantity > 0`"))
    }

    /// An operation on arguments of the right types. When all of them are constant, so is the result.
    fn call(
        &self,
        name: &'static str,
        run: Run,
        arguments: Vec<Typed>,
        of: Type,
        place: Range<usize>,
    ) -> Typed {
        let constants: Option<Vec<Vector>> = arguments
            .iter()
            .map(|argument| match &argument.node {
                Node::Constant(vector) => Some(vector.clone()),
                _ => None,
            })
            .collect();
        if let Some(constants) = constants {
            let outcome = Outcome::default();
            let value = call(&run, &constants, &Rows::single(&outcome));
            if outcome.into_failures().is_empty() {
                return Typed { node: Node::Constant(value), of, place, is_literal: false };
            }
        }
        let arguments = arguments.into_iter().map(|argument| argument.node).collect();
        Typed { node: Node::Call { name, run, arguments }, of, place, is_literal: false }
    }
}
