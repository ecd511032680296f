//! What expressions make of a chunk: computed columns, then the filter, then the checks.
//!
//! An expression runs on the records in which every column that it reads is sound; what goes wrong in one record is that
//! record's violation. What depends on the number of the record is left to the sequenced step, all else belongs to the
//! pure one: it is the same code, run at two moments.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, cast::AsArray, make_array, new_null_array};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use super::{
    ValidateError,
    column::{self, Fields, Findings},
    looking::{self, Looker},
    lookup::Snapshots,
    made::{Made, TOO_MUCH},
    ruled,
};
use crate::{
    formats::Records,
    mapping::{
        expression::{Evaluated, Expression, Facts, Inputs},
        plan::{Check, Column, Lookup, Plan},
    },
    model::{Rule, Violation, value},
};

/// The columns of one chunk, and which of its records they are good for.
#[derive(Debug, Default)]
pub struct Sheet {
    /// The number of records.
    pub records: usize,
    /// By column of the plan; none for those that the file lacks.
    pub arrays: Vec<Option<ArrayRef>>,
    /// For each record, true when it has no columns at all.
    pub broken: Vec<bool>,
    /// For each record, true when the filter leaves it out; empty when none is left out.
    pub filtered: Vec<bool>,
    /// By column of the plan, for each record, true when its value there is not valid; empty when all are.
    faulty: Vec<Vec<bool>>,
    /// The text made for them.
    made: Made,
}

impl Sheet {
    /// So many columns of a chunk, not read yet.
    #[must_use]
    pub fn new(columns: usize, broken: Vec<bool>) -> Self {
        let arrays = vec![None; columns];
        let faulty = vec![Vec::new(); columns];
        let made = Made::new(broken.len());
        Self { records: broken.len(), arrays, broken, filtered: Vec::new(), faulty, made }
    }

    /// The text made for its records.
    pub(super) fn made(&self) -> Made {
        self.made
    }

    /// True when a record has a value in this column.
    #[must_use]
    pub fn is_known(&self, column: usize, record: usize) -> bool {
        self.arrays.get(column).and_then(Option::as_ref).is_some_and(|array| array.is_valid(record))
    }

    /// The text of a value; none for "no value".
    #[must_use]
    pub fn text(&self, column: usize, record: usize) -> Option<String> {
        self.arrays.get(column)?.as_ref().and_then(|array| value::text::text(array, record))
    }

    /// What something was found about is not to be used.
    fn spoil_found(&mut self, findings: &[(u32, Violation)]) {
        for (record, violation) in findings {
            if let Some(column) = violation.column {
                self.spoil(usize::from(column), *record as usize);
            }
        }
    }

    /// Values are to be used only where these bits are set.
    fn spoil_unless(&mut self, column: usize, sound: Option<&BooleanBuffer>) {
        let Some(sound) = sound else { return };
        for record in (0..self.records).filter(|record| !sound.value(*record)) {
            self.spoil(column, record);
        }
    }

    /// The value of a record in this column is not to be used.
    fn spoil(&mut self, column: usize, record: usize) {
        let Some(faulty) = self.faulty.get_mut(column) else { return };
        faulty.resize(self.records, false);
        if let Some(slot) = faulty.get_mut(record) {
            *slot = true;
        }
    }

    /// The records in which all of these columns are sound; none when all are.
    pub(super) fn sound(&self, columns: &[usize]) -> Option<BooleanBuffer> {
        let mut masks: Vec<&Vec<bool>> = columns
            .iter()
            .filter_map(|column| self.faulty.get(*column))
            .filter(|mask| !mask.is_empty())
            .collect();
        if self.broken.contains(&true) {
            masks.push(&self.broken);
        }
        if masks.is_empty() {
            return None;
        }
        let bad = |record: usize| masks.iter().any(|mask| mask.get(record).copied().unwrap_or(false));
        Some(BooleanBuffer::collect_bool(self.records, |record| !bad(record)))
    }
}

/// At which moment expressions are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment<'a> {
    /// In any order: those that do not ask for the number of the record.
    Pure,
    /// In the order of the file: the others.
    InOrder {
        /// The number of the chunk's first record.
        first_record: u64,
        /// The numbers of all of them, where they do not follow one another; empty otherwise.
        numbers: &'a [u64],
    },
}

impl Moment<'_> {
    fn runs(self, in_order: bool) -> bool {
        (self == Self::Pure) != in_order
    }
}

/// An expression of the plan with what has to be known to run it.
#[derive(Clone, Debug)]
struct Runnable {
    expression: Expression,
    /// The columns of the plan that it reads.
    reads: Vec<usize>,
    /// It depends on the number of the record.
    in_order: bool,
    /// What goes wrong with it may not be told in detail, as that may quote a value.
    is_sensitive: bool,
}

/// A column that needs others.
#[derive(Clone, Debug)]
struct Dependent {
    /// Its number in the plan.
    column: usize,
    /// What computes it; none for a field that is looked up by several keys.
    computed: Option<Runnable>,
    in_order: bool,
}

/// Where the fields of a chunk are.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// Its records.
    pub records: &'a Records,
    /// The text that their spans point into.
    pub text: &'a str,
    /// For each column of the plan the file's column that it takes.
    pub layout: &'a [Option<usize>],
}

/// The expressions of a plan, ready to run on the chunks of one file.
#[derive(Debug)]
pub struct Computing {
    plan: Arc<Plan>,
    facts: Arc<Facts>,
    snapshots: Arc<Snapshots>,
    /// The columns that need others, each behind those that it reads.
    dependent: Vec<Dependent>,
    filter: Option<Runnable>,
    checks: Vec<Runnable>,
}

impl Computing {
    /// The expressions of `plan`; `facts` are of the file and its delivery, `snapshots` are of the plan's lookup tables.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, facts: &Arc<Facts>, snapshots: &Arc<Snapshots>) -> Self {
        let mut in_order = vec![false; plan.columns.len()];
        let runnable = |expression: &Expression, is_sensitive: bool, in_order: &[bool]| {
            let reads = expression.columns();
            let by_column = reads.iter().any(|column| in_order.get(*column).copied().unwrap_or(false));
            let in_order = expression.uses_record() || by_column;
            Runnable { expression: expression.clone(), reads, in_order, is_sensitive }
        };
        let mut dependent = Vec::with_capacity(plan.dependent.len());
        for index in &plan.dependent {
            let Some(column) = plan.columns.get(*index) else { continue };
            let expression = column.source.expression();
            let computed = expression.map(|expression| runnable(expression, column.sensitive, &in_order));
            let mut others = column.lookup.iter().flat_map(|lookup| lookup.keys.iter().flatten());
            let waits = computed.as_ref().is_some_and(|computed| computed.in_order)
                || others.any(|other| in_order.get(*other).copied().unwrap_or(false));
            if let Some(slot) = in_order.get_mut(*index) {
                *slot = waits;
            }
            dependent.push(Dependent { column: *index, computed, in_order: waits });
        }
        let filter = plan.filter.as_ref();
        let filter = filter.map(|filter| runnable(&filter.expression, filter.is_sensitive, &in_order));
        let checks = plan.checks.iter();
        let checks = checks.map(|check| runnable(&check.expression, check.is_sensitive, &in_order)).collect();
        Self {
            plan: Arc::clone(plan),
            facts: Arc::clone(facts),
            snapshots: Arc::clone(snapshots),
            dependent,
            filter,
            checks,
        }
    }

    /// True when some of it has to wait for the order of the file.
    #[must_use]
    pub fn needs_order(&self) -> bool {
        let dependent = self.dependent.iter().any(|dependent| dependent.in_order);
        dependent || self.filter.iter().chain(&self.checks).any(|runnable| runnable.in_order)
    }

    /// Reads the columns that take a field and need no others, and looks up what is to be looked up.
    ///
    /// # Errors
    /// What the disk says under a large lookup table.
    pub fn read(
        &self,
        raw: Raw<'_>,
        sheet: &mut Sheet,
        findings: &mut Findings,
    ) -> Result<(), ValidateError> {
        for (index, column) in self.plan.columns.iter().enumerate() {
            let others = column.lookup.as_ref().is_some_and(Lookup::needs_others);
            let replaced = column.lookup.as_ref().is_some_and(|lookup| lookup.value.is_some());
            if others && replaced {
                continue; // its text is not known yet
            }
            self.read_field(index, column, raw, sheet, findings)?;
            if !others {
                self.look_up_field(index, column, raw, sheet, findings)?;
            }
            if sheet.made.needs_parts() {
                return Ok(());
            }
        }
        sheet.spoil_found(findings);
        Ok(())
    }

    /// Reads a column that takes a field, if the file has it.
    fn read_field(
        &self,
        index: usize,
        column: &Column,
        raw: Raw<'_>,
        sheet: &mut Sheet,
        findings: &mut Findings,
    ) -> Result<(), ValidateError> {
        let Some(Some(place)) = raw.layout.get(index) else { return Ok(()) };
        let fields = Fields { records: raw.records, text: raw.text, broken: &sheet.broken, place: *place };
        let replaced = column.lookup.as_ref().filter(|lookup| lookup.value.is_some());
        let mut looker = replaced.map(|lookup| Looker::new(lookup, &self.snapshots, sheet)).transpose()?;
        let mut made = sheet.made;
        let values = column::run(column, index as u16, &fields, looker.as_mut(), &mut made, findings);
        looker.map_or(Ok(()), Looker::finish)?;
        sheet.made = made;
        if let Some(slot) = sheet.arrays.get_mut(index) {
            *slot = Some(values);
        }
        Ok(())
    }

    /// Finds the fields whose values do not stand where they have to.
    fn look_up_field(
        &self,
        index: usize,
        column: &Column,
        raw: Raw<'_>,
        sheet: &Sheet,
        findings: &mut Findings,
    ) -> Result<(), ValidateError> {
        let Some(lookup) = column.lookup.as_ref().filter(|lookup| lookup.value.is_none()) else {
            return Ok(());
        };
        let (Some(Some(place)), Some(Some(values))) = (raw.layout.get(index), sheet.arrays.get(index)) else {
            return Ok(());
        };
        let fields = Fields { records: raw.records, text: raw.text, broken: &sheet.broken, place: *place };
        let looker = Looker::new(lookup, &self.snapshots, sheet)?;
        let rows = sheet.sound(&[index]);
        looking::exists(
            looker,
            index,
            values,
            rows.as_ref(),
            &|record| fields.of(record).to_owned(),
            findings,
        )
    }

    /// Runs what belongs to this moment. When the text made for the records is too much, it ends early.
    ///
    /// # Errors
    /// What the disk says under a large lookup table.
    pub fn run(
        &self,
        raw: Raw<'_>,
        sheet: &mut Sheet,
        findings: &mut Findings,
        moment: Moment<'_>,
    ) -> Result<(), ValidateError> {
        for dependent in self.dependent.iter().filter(|dependent| moment.runs(dependent.in_order)) {
            let index = dependent.column;
            let Some(column) = self.plan.columns.get(index) else { continue };
            let found = findings.len();
            match &dependent.computed {
                Some(computed) => self.compute(index, column, computed, sheet, findings, moment)?,
                None => self.depend(index, column, raw, sheet, findings)?,
            }
            if sheet.made.needs_parts() {
                return Ok(());
            }
            sheet.spoil_found(findings.get(found..).unwrap_or_default());
        }
        if let Some(filter) = self.filter.as_ref().filter(|filter| moment.runs(filter.in_order)) {
            self.filter(filter, sheet, findings, moment);
        }
        for (check, runnable) in self.plan.checks.iter().zip(&self.checks) {
            if moment.runs(runnable.in_order) && !sheet.made.needs_parts() {
                self.check(check, runnable, sheet, findings, moment);
            }
        }
        Ok(())
    }

    /// Looks up a field by several keys.
    fn depend(
        &self,
        index: usize,
        column: &Column,
        raw: Raw<'_>,
        sheet: &mut Sheet,
        findings: &mut Findings,
    ) -> Result<(), ValidateError> {
        let Some(lookup) = &column.lookup else { return Ok(()) };
        if lookup.value.is_none() {
            return self.look_up_field(index, column, raw, sheet, findings);
        }
        self.read_field(index, column, raw, sheet, findings)?;
        let others: Vec<usize> = lookup.keys.iter().copied().flatten().collect();
        sheet.spoil_unless(index, sheet.sound(&others).as_ref());
        Ok(())
    }

    /// The values of an expression, and the records for which they mean anything; none: all.
    fn evaluate(
        &self,
        runnable: &Runnable,
        sheet: &mut Sheet,
        moment: Moment<'_>,
    ) -> (Evaluated, Option<BooleanBuffer>) {
        let (first_record, numbers) = match moment {
            Moment::Pure => (0, [].as_slice()),
            Moment::InOrder { first_record, numbers } => (first_record, numbers),
        };
        let inputs =
            Inputs { columns: &sheet.arrays, len: sheet.records, facts: &self.facts, first_record, numbers };
        let sound = sheet.sound(&runnable.reads);
        let mut evaluated = runnable.expression.evaluate(&inputs, sound.as_ref());
        // Texts that stand in the file anyway are not made, and those on the way are gone.
        let kept = evaluated.values.as_string_opt::<i32>().map_or(0, |texts| texts.value_data().len());
        if evaluated.is_too_much {
            sheet.made.overflow();
        } else if !sheet.made.take(kept.min(evaluated.made_bytes)) {
            evaluated.values = new_null_array(evaluated.values.data_type(), sheet.records);
            evaluated.failures = (0..sheet.records as u32).map(|record| (record, TOO_MUCH.into())).collect();
        }
        (evaluated, sound)
    }

    /// Computes a column, looks it up, and tries its rules.
    fn compute(
        &self,
        index: usize,
        column: &Column,
        computed: &Runnable,
        sheet: &mut Sheet,
        findings: &mut Findings,
        moment: Moment<'_>,
    ) -> Result<(), ValidateError> {
        let number = u16::try_from(index).ok();
        let (Evaluated { values, failures, .. }, sound) = self.evaluate(computed, sheet, moment);
        if sheet.made.needs_parts() {
            return Ok(());
        }
        sheet.spoil_unless(index, sound.as_ref());
        let values = match sound {
            Some(sound) => known_only(values, sound)?,
            None => values,
        };
        for (record, what) in failures {
            sheet.spoil(index, record as usize);
            let message = format!("cannot be computed{}", why(&what, computed.is_sensitive));
            findings.push((record, violation(number, Rule::Type, "", message)));
        }
        let values = match &column.lookup {
            Some(lookup) => {
                let others: Vec<usize> = lookup.keys.iter().copied().flatten().collect();
                sheet.spoil_unless(index, sheet.sound(&others).as_ref());
                let rows = sheet.sound(&[index]);
                let looker = Looker::new(lookup, &self.snapshots, sheet)?;
                if lookup.value.is_some() {
                    let mut made = sheet.made;
                    let replaced =
                        looking::replace(looker, index, column, &values, rows.as_ref(), &mut made, findings)?;
                    sheet.made = made;
                    replaced
                } else {
                    let shown = |record| value::text::text(&values, record).unwrap_or_default();
                    looking::exists(looker, index, &values, rows.as_ref(), &shown, findings)?;
                    values
                }
            }
            None => values,
        };
        // What was replaced has been tried already.
        if column.lookup.as_ref().is_none_or(|lookup| lookup.value.is_none()) {
            let good = sheet.sound(&[index]);
            ruled::check(column, &values, good.as_ref(), &mut |record, (rule, message)| {
                let value = value::text::text(&values, record as usize).unwrap_or_default();
                findings.push((record, violation(number, rule, &value, message.into_owned())));
            });
        }
        if let Some(slot) = sheet.arrays.get_mut(index) {
            *slot = Some(values);
        }
        Ok(())
    }

    /// Finds the records that are left out: those for which the filter is false or NULL.
    fn filter(&self, filter: &Runnable, sheet: &mut Sheet, findings: &mut Findings, moment: Moment<'_>) {
        let (Evaluated { values, failures, .. }, sound) = self.evaluate(filter, sheet, moment);
        if sheet.made.needs_parts() {
            return;
        }
        let kept: &BooleanArray = values.as_boolean();
        let is_sound = |record: usize| sound.as_ref().is_none_or(|sound| sound.value(record));
        let mut filtered: Vec<bool> = (0..sheet.records)
            .map(|record| is_sound(record) && !(kept.is_valid(record) && kept.value(record)))
            .collect();
        for (record, what) in failures {
            if let Some(slot) = filtered.get_mut(record as usize) {
                *slot = false;
            }
            let message = format!("cannot be filtered{}", why(&what, filter.is_sensitive));
            findings.push((record, violation(None, Rule::Filter, "", message)));
        }
        if filtered.contains(&true) {
            sheet.filtered = filtered;
        }
    }

    /// Finds the records for which a check does not hold, or cannot be tried.
    fn check(
        &self,
        check: &Check,
        runnable: &Runnable,
        sheet: &mut Sheet,
        findings: &mut Findings,
        moment: Moment<'_>,
    ) {
        let (Evaluated { values, failures, .. }, sound) = self.evaluate(runnable, sheet, moment);
        if sheet.made.needs_parts() {
            return;
        }
        let mut find = |record, message| {
            findings.push((record, violation(None, check.rule.clone(), "", message)));
        };
        for (record, what) in failures {
            let why = why(&what, runnable.is_sensitive);
            find(record, format!("whether this holds cannot be told{why}: {}", check.message));
        }
        let holds: &BooleanArray = values.as_boolean();
        if holds.false_count() == 0 {
            return;
        }
        let is_sound = |record: usize| sound.as_ref().is_none_or(|sound| sound.value(record));
        for record in 0..sheet.records {
            if is_sound(record) && holds.is_valid(record) && !holds.value(record) {
                find(record as u32, check.message.to_string());
            }
        }
    }
}

/// Values with NULL where these bits are not set.
fn known_only(values: ArrayRef, bits: BooleanBuffer) -> Result<ArrayRef, ValidateError> {
    let nulls = NullBuffer::union(values.nulls(), Some(&NullBuffer::new(bits)));
    Ok(make_array(values.to_data().into_builder().nulls(nulls).build()?))
}

/// What went wrong, for the end of a message. It may quote a value, so nothing is told where that is sensitive.
fn why(what: &str, is_sensitive: bool) -> String {
    if is_sensitive { String::new() } else { format!(" ({what})") }
}

fn violation(column: Option<u16>, rule: Rule, value: &str, message: String) -> Violation {
    let value = crate::model::reject::reported(value).into();
    Violation { column, rule, value, message: message.into() }
}

/// What stands first among the findings of one record: what says that it has no columns, then column by column, then what
/// concerns all of them.
#[must_use]
pub fn place(violation: &Violation) -> u32 {
    match (violation.column, &violation.rule) {
        (Some(column), _) => 1 + u32::from(column),
        (None, rule) if rule.leaves_no_columns() => 0,
        (None, Rule::Filter) => u32::MAX - 1,
        (None, _) => u32::MAX,
    }
}
