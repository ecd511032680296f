//! `FILE.rejects.csv`: one line a rejected record, for the people who correct them. Safe to open in a spreadsheet.

use std::{borrow::Cow, io::Write};

use super::{Context, ReportError, column_of_file, csv_error, finish_csv, shown_value, spreadsheet::protect};
use crate::{
    formats::text,
    model::{Reject, Rule, printable},
    validate::Seal,
};

/// The first column: by it, a corrected row is known again.
pub const ID_COLUMN: &str = "wharf_reject_id";
/// What is wrong, in words.
pub const PROBLEMS_COLUMN: &str = "wharf_problems";
/// The record as it came, where it has no columns.
pub const RAW_COLUMN: &str = "wharf_raw";

/// Longest value repeated in the words about it.
const VALUE_CHARACTERS: usize = 60;

/// Tells spreadsheets that the report is UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Writes the report: the id, the file's own columns as they came, the problems, and the raw record where there are no
/// columns.
pub struct RejectsCsv<'a> {
    writer: csv::Writer<&'a mut dyn Write>,
    context: Context<'a>,
}

impl<'a> RejectsCsv<'a> {
    /// Writes the header.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(output: &'a mut dyn Write, context: Context<'a>) -> Result<Self, ReportError> {
        let header = &context.seal.header;
        // Only where it makes a difference: programs that do not expect it are spared it in plain ASCII.
        // What is ASCII byte by byte need not be in UTF-16.
        let is_ascii = context.seal.rejects_are_ascii && !context.seal.encoding.starts_with("UTF-16");
        if !is_ascii || !header.iter().all(|name| name.is_ascii()) {
            output.write_all(BYTE_ORDER_MARK)?;
        }
        let mut report = Self { writer: csv::Writer::from_writer(output), context };
        let own = |name: &'static str| std::iter::once(Cow::Borrowed(name));
        let names = header.iter().map(|name| protect(name));
        report.row(own(ID_COLUMN).chain(names).chain(own(PROBLEMS_COLUMN)).chain(own(RAW_COLUMN)))?;
        Ok(report)
    }

    /// Writes a record.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push(&mut self, reject: &Reject) -> Result<(), ReportError> {
        let width = self.context.seal.header.len();
        // A row of a corrected file that stands for no record has no number, and no id.
        let id = match reject.position.record {
            0 => String::new(),
            record => self.context.ids.id(record),
        };
        let has_columns = reject.fields.len() == width;
        let fields = (0..width).map(|at| match reject.fields.get(at) {
            Some(field) if has_columns => protect(field),
            _ => Cow::Borrowed(""),
        });
        let problems = problems(reject, self.context);
        let raw = if has_columns { Cow::Borrowed("") } else { raw_text(self.context.seal, reject) };
        self.row(
            std::iter::once(Cow::Borrowed(id.as_str()))
                .chain(fields)
                .chain([protect(&problems), protect(&raw)]),
        )
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self) -> Result<(), ReportError> {
        finish_csv(self.writer)
    }

    fn row<'c>(&mut self, cells: impl Iterator<Item = Cow<'c, str>>) -> Result<(), ReportError> {
        for cell in cells {
            self.writer.write_field(cell.as_bytes()).map_err(csv_error)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(csv_error)
    }
}

/// The text of a record, as the report shows it where there are no columns.
#[must_use]
pub fn raw_text<'a>(seal: &Seal, reject: &'a Reject) -> Cow<'a, str> {
    text::shown(&reject.raw, &seal.encoding)
}

/// Everything that is wrong with a record, as one line of words.
fn problems(reject: &Reject, context: Context<'_>) -> String {
    let mut parts: Vec<String> = Vec::with_capacity(reject.violations.len() + 1);
    parts.extend(context.refused.map(str::to_owned));
    for violation in &reject.violations {
        let Some(column) = violation.column else {
            parts.push(match violation.rule {
                Rule::Check(_) => violation.message.to_string(),
                _ => format!("the record {}", violation.message),
            });
            continue;
        };
        let name = column_of_file(context.seal, column);
        let value =
            printable::short(shown_value(context.seal, Some(column), &violation.value), VALUE_CHARACTERS);
        parts.push(match value.as_str() {
            "" => format!("{name} {}", violation.message),
            value => format!("{name} \"{value}\" {}", violation.message),
        });
    }
    format!("line {}: {}", reject.position.line, parts.join("; "))
}
