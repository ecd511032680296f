//! `FILE.errors.csv`: one line a violation, for programs. Values stand exactly as they came; those of sensitive columns are
//! masked.

use std::io::Write;

use super::{Context, ReportError, csv_error, finish_csv, shown_value};
use crate::model::Reject;

/// The header.
pub const COLUMNS: [&str; 7] = ["record", "line", "byte", "column", "value", "rule", "message"];

/// Writes the report.
pub struct ErrorsCsv<'a> {
    writer: csv::Writer<&'a mut dyn Write>,
    context: Context<'a>,
}

impl<'a> ErrorsCsv<'a> {
    /// Writes the header.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(output: &'a mut dyn Write, context: Context<'a>) -> Result<Self, ReportError> {
        let mut writer = csv::Writer::from_writer(output);
        writer.write_record(COLUMNS).map_err(csv_error)?;
        Ok(Self { writer, context })
    }

    /// Writes the violations of a record.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push(&mut self, reject: &Reject) -> Result<(), ReportError> {
        let position = &reject.position;
        let place = [position.record, position.line, position.byte].map(|number| number.to_string());
        let seal = self.context.seal;
        for violation in &reject.violations {
            let column = violation.column.and_then(|column| seal.columns.get(usize::from(column)));
            let value = shown_value(seal, violation.column, &violation.value);
            let rest = [column.map_or("", String::as_str), value, violation.rule.code(), &violation.message];
            self.writer.write_record(place.iter().map(String::as_str).chain(rest)).map_err(csv_error)?;
        }
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self) -> Result<(), ReportError> {
        finish_csv(self.writer)
    }
}
