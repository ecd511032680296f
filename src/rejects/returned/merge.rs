//! One row of a returned report and the record that it corrects become one.

use std::{borrow::Cow, collections::BTreeSet};

use encoding_rs::Encoding;

use super::{
    columns::Columns,
    locale::Locale,
    rerendered::{Evidence, is_rerendered},
};
use crate::{
    mapping::{Plan, plan::ValueParser},
    model::{Reject, Rule, printable},
    rejects::{
        rejects_csv::{RAW_COLUMN, raw_text},
        spreadsheet::unprotect,
    },
    validate::Seal,
};

/// A record as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Its fields in the order of the file's columns.
    Fields(Vec<Box<str>>),
    /// Its text, where it has no fields.
    Text(String),
    /// It has no fields, and its text is as it was.
    Unchanged,
    /// Why it cannot be told, as the rest of a sentence that begins with "the record".
    Refused(String),
}

/// What is known of the records of one kept file of rejects.
#[derive(Debug)]
pub struct Kept<'a> {
    seal: &'a Seal,
    plan: &'a Plan,
    columns: &'a Columns,
    /// For each column of the file, how the mapping reads it today.
    parsers: Vec<Option<&'a ValueParser>>,
    /// The columns of the file whose texts tell rows apart, or are looked up.
    identities: BTreeSet<usize>,
}

impl<'a> Kept<'a> {
    /// Records that were rejected under `seal` and are corrected under `plan`.
    #[must_use]
    pub fn new(seal: &'a Seal, plan: &'a Plan, columns: &'a Columns) -> Self {
        let mut parsers = vec![None; seal.header.len()];
        for (name, place) in seal.columns.iter().zip(&seal.layout) {
            let parser = plan.columns.iter().find(|column| column.name == *name).map(|column| &column.parser);
            if let Some(slot) = place.and_then(|place| parsers.get_mut(place)) {
                *slot = parser;
            }
        }
        let mut kept = Self { seal, plan, columns, parsers, identities: BTreeSet::new() };
        kept.identities = kept.identities();
        kept
    }

    /// The columns of the file whose texts tell rows apart, or are looked up.
    fn identities(&self) -> BTreeSet<usize> {
        let all = &self.plan.columns;
        let own = all.iter().enumerate().filter(|(_, column)| column.unique || column.lookup.is_some());
        let lookups = all.iter().filter_map(|column| column.lookup.as_ref());
        let others = lookups.flat_map(|lookup| &lookup.keys).flatten();
        let key = self.plan.table.key.iter();
        let columns = own.map(|(index, _)| index).chain(others.copied()).chain(key.copied()).collect();
        let is_text = |at: &usize| self.parser(*at).is_some_and(|parser| matches!(parser, ValueParser::Text));
        self.fields_of(columns).into_iter().filter(is_text).collect()
    }

    /// The columns of the file that these columns of the plan take, or read.
    fn fields_of(&self, columns: Vec<usize>) -> BTreeSet<usize> {
        let names = self.plan.read_by(columns).into_iter().filter_map(|column| self.plan.columns.get(column));
        let known = names.filter_map(|column| self.seal.columns.iter().position(|name| *name == column.name));
        known.filter_map(|column| self.seal.layout.get(column).copied().flatten()).collect()
    }

    /// Takes a row into account as to which country it was written in.
    pub fn see(&self, row: &[String], former: &Reject, evidence: &mut Evidence) {
        let wrong = self.wrong(former);
        for (at, field) in former.fields.iter().enumerate() {
            if let Some(cell) = self.cell(row, at).filter(|_| !wrong.contains(&at)) {
                evidence.see(field, cell, self.parser(at));
            }
        }
    }

    /// The record as the row corrects it. `row` are the cells of the returned report; `undone` counts those that a program
    /// has changed and nobody else.
    #[must_use]
    pub fn merge(
        &self,
        row: &[String],
        former: &Reject,
        locale: &Locale,
        encoding: &'static Encoding,
        undone: &mut u64,
    ) -> Merged {
        if former.fields.is_empty() {
            return self.merge_text(row, former, locale, encoding);
        }
        let wrong = self.wrong(former);
        let mut fields = Vec::with_capacity(former.fields.len());
        for (at, field) in former.fields.iter().enumerate() {
            let is_wrong = wrong.contains(&at);
            let now = match self.cell(row, at) {
                Some(cell) if is_wrong => {
                    let is_shown = |cell: &str| is_rerendered(field, cell, locale, encoding, self.parser(at));
                    self.of_wrong(at, field, cell, is_shown, undone)
                }
                Some(cell) if is_rerendered(field, cell, locale, encoding, self.parser(at)) => {
                    *undone += u64::from(**field != *cell);
                    field
                }
                Some(cell) => cell,
                None if is_wrong => {
                    return Merged::Refused(self.missing(at));
                }
                None => field,
            };
            fields.push(now.into());
        }
        Merged::Fields(fields)
    }

    /// What a cell says that had to be corrected. A text that tells rows or things apart is no other text because a
    /// spreadsheet shows it so: `00012` that came back as `12` would be a customer of whom nobody wrote. Whoever means that
    /// writes `'12`.
    fn of_wrong<'c>(
        &self,
        at: usize,
        field: &'c str,
        cell: &'c str,
        is_shown: impl Fn(&str) -> bool,
        undone: &mut u64,
    ) -> &'c str {
        if !self.identities.contains(&at) {
            return cell;
        }
        match cell.strip_prefix('\'') {
            Some(meant) if is_shown(meant) => meant,
            // White space is no spreadsheet's doing.
            _ if field.trim() != cell.trim() && is_shown(cell) => {
                *undone += 1;
                field
            }
            _ => cell,
        }
    }

    /// What is said when the cell is gone that had to be corrected.
    fn missing(&self, at: usize) -> String {
        let name = printable::short(self.seal.header.get(at).map_or("", String::as_str), 60);
        let has_column = self.columns.of_file.get(at).copied().flatten().is_some();
        let gone = if has_column { "ends before that cell" } else { "the file has no such column" };
        format!("has to be corrected in \"{name}\", but {gone}: put it back")
    }

    /// A record without columns: its text is corrected, or its columns are filled in.
    fn merge_text(
        &self,
        row: &[String],
        former: &Reject,
        locale: &Locale,
        encoding: &'static Encoding,
    ) -> Merged {
        let before = raw_text(self.seal, former);
        let text = self.columns.raw.map(|place| unprotect(row.get(place).map_or("", String::as_str)));
        let text = text.filter(|text| !text.trim().is_empty());
        let is_same = text.is_none_or(|text| is_rerendered(&before, text, locale, encoding, None));
        let cells: Vec<Cow<'_, str>> =
            (0..self.seal.header.len()).map(|at| self.cell(row, at).unwrap_or_default().into()).collect();
        let filled = cells.iter().any(|cell| !cell.trim().is_empty());
        match (filled, is_same) {
            (true, true) => Merged::Fields(cells.into_iter().map(Into::into).collect()),
            (true, false) => Merged::Refused(format!(
                "is corrected in {RAW_COLUMN} and in the other columns too: leave one of them as it was"
            )),
            (false, _) if text.is_none() => Merged::Refused(format!(
                "has neither text in {RAW_COLUMN} nor anything in the other columns: correct one of them"
            )),
            (false, true) => Merged::Unchanged,
            (false, false) => match text {
                Some(text) if text.contains(char::REPLACEMENT_CHARACTER) => Merged::Refused(format!(
                    "has characters in {RAW_COLUMN} that could not be shown: write them anew"
                )),
                text => Merged::Text(text.unwrap_or_default().to_owned()),
            },
        }
    }

    /// The cell for a column of the file, as whoever wrote it meant it; none when the report has that column no more, or the
    /// row ends before it.
    fn cell<'r>(&self, row: &'r [String], at: usize) -> Option<&'r str> {
        let place = self.columns.of_file.get(at).copied().flatten()?;
        row.get(place).map(|cell| unprotect(cell))
    }

    fn parser(&self, at: usize) -> Option<&ValueParser> {
        self.parsers.get(at).copied().flatten()
    }

    /// The columns of the file in which something was found: where a rule is about several values, in any of them.
    fn wrong(&self, former: &Reject) -> BTreeSet<usize> {
        let place = |column: usize| self.seal.layout.get(column).copied().flatten();
        let mut wrong: BTreeSet<usize> =
            former.violations.iter().filter_map(|violation| place(usize::from(violation.column?))).collect();
        let mut read = Vec::new();
        for violation in &former.violations {
            if violation.rule == Rule::Key {
                // A key is one value, in whichever of its columns it is put right.
                read.extend(self.plan.table.key.iter().copied());
            }
            let check = self.plan.checks.iter().find(|check| check.rule == violation.rule);
            read.extend(check.iter().flat_map(|check| check.expression.columns()));
            if violation.rule == Rule::Filter {
                read.extend(self.plan.filter.iter().flat_map(|filter| filter.expression.columns()));
            }
            let name = violation.column.and_then(|column| self.seal.columns.get(usize::from(column)));
            if let Some(at) = self.plan.columns.iter().position(|column| Some(&column.name) == name) {
                read.push(at);
                let lookup = self.plan.columns.get(at).and_then(|column| column.lookup.as_ref());
                read.extend(lookup.iter().flat_map(|lookup| &lookup.keys).flatten());
            }
        }
        wrong.extend(self.fields_of(read));
        wrong
    }
}

#[cfg(test)]
mod tests;
