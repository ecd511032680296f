//! Where the parts of an expression stand. The parser's own places leave out signs, parentheses and names of functions;
//! the tokens have them.

use std::ops::Range;

use sqlparser::ast::{CastKind, Expr, Spanned};

use super::Checker;

impl Checker<'_> {
    /// The bytes of a part.
    pub(super) fn place(&self, syntax: &Expr) -> Range<usize> {
        let tokens = self.tokens;
        match syntax {
            Expr::Nested(inner) => tokens.with_parentheses(tokens.with_token_before(self.place(inner))),
            Expr::UnaryOp { expr, .. } => tokens.with_token_before(self.place(expr)),
            Expr::BinaryOp { left, right, .. } => around(self.place(left), self.place(right)),
            Expr::Function(function) => {
                let name = tokens.bytes(function.name.span());
                // Without arguments there are no parentheses to go to.
                tokens.with_parentheses(name)
            }
            Expr::Cast { expr, kind: CastKind::DoubleColon, .. } => self.place(expr),
            Expr::Ceil { expr, .. } | Expr::Floor { expr, .. } | Expr::Cast { expr, .. } => {
                let name = tokens.with_token_before(tokens.with_token_before(self.place(expr)));
                tokens.with_parentheses(name)
            }
            Expr::Interval(interval) => tokens.with_token_before(self.place(&interval.value)),
            Expr::TypedString(typed) => tokens.with_token_before(tokens.bytes(typed.value.span)),
            _ => tokens.bytes(syntax.span()),
        }
    }
}

/// From the beginning of one to the end of the other.
pub(super) fn around(left: Range<usize>, right: Range<usize>) -> Range<usize> {
    left.start.min(right.start)..left.end.max(right.end)
}
