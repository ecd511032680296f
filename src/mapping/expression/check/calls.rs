//! Calls of functions.

use std::ops::Range;

use sqlparser::ast::Expr;

use super::{Checker, Typed};

impl Checker<'_> {
    /// A call, in whatever syntax it is written.
    pub(super) fn any_call(&mut self, syntax: &Expr, place: Range<usize>) -> Option<Typed> {
        let _ = syntax;
        self.problem(place, "there is no such function", None)
    }

    /// `x AT TIME ZONE 'Europe/Berlin'`
    pub(super) fn at_time_zone(&mut self, moment: &Expr, zone: &Expr, place: Range<usize>) -> Option<Typed> {
        let _ = (moment, zone);
        self.problem(place, "there is no such function", None)
    }
}
