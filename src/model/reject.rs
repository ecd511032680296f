//! A record that did not pass, and everything that was found wrong with it.

use std::{fmt, sync::Arc};

/// Which rule a violation broke. The codes are part of the report format.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A wrong number of fields.
    Columns,
    /// Text after a closing quote, or a quote that never closes.
    Quote,
    /// Bytes that are not valid in the file's encoding, or a NUL.
    Encoding,
    /// Longer than a record may be.
    Size,
    /// Not of the column's type.
    Type,
    /// Empty where a value is required.
    Required,
    /// Shorter than allowed.
    MinLength,
    /// Longer than allowed.
    MaxLength,
    /// Does not match the pattern.
    Pattern,
    /// Not one of the listed values.
    OneOf,
    /// Below the minimum.
    Min,
    /// Above the maximum.
    Max,
    /// Not what `is` asks for: an e-mail address, an IBAN, ...
    Is,
    /// A value that must be unique stands in an earlier record of the file.
    Unique,
    /// The key stands in an earlier record of the file, or (mode insert) in the table.
    Key,
    /// Is not in the lookup table.
    Lookup,
    /// The filter cannot tell whether the record counts.
    Filter,
    /// A check of the mapping does not hold; its code, `check:NAME`.
    Check(Arc<str>),
    /// The database refused the row.
    Target,
    /// A row of a corrected file that cannot be taken.
    Correction,
}

/// How the codes of checks begin.
const CHECK: &str = "check:";

/// Every rule but the checks, which mappings name, in the order of the reference.
pub const RULES: &[Rule] = &[
    Rule::Columns,
    Rule::Quote,
    Rule::Encoding,
    Rule::Size,
    Rule::Type,
    Rule::Required,
    Rule::MinLength,
    Rule::MaxLength,
    Rule::Pattern,
    Rule::OneOf,
    Rule::Min,
    Rule::Max,
    Rule::Is,
    Rule::Unique,
    Rule::Key,
    Rule::Lookup,
    Rule::Filter,
    Rule::Target,
    Rule::Correction,
];

impl Rule {
    /// The code that stands in reports.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Columns => "columns",
            Self::Quote => "quote",
            Self::Encoding => "encoding",
            Self::Size => "size",
            Self::Type => "type",
            Self::Required => "required",
            Self::MinLength => "min_length",
            Self::MaxLength => "max_length",
            Self::Pattern => "pattern",
            Self::OneOf => "one_of",
            Self::Min => "min",
            Self::Max => "max",
            Self::Is => "is",
            Self::Unique => "unique",
            Self::Key => "key",
            Self::Lookup => "lookup",
            Self::Filter => "filter",
            Self::Check(code) => code,
            Self::Target => "target",
            Self::Correction => "correction",
        }
    }

    /// The rule with this code, if there is one.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code.strip_prefix(CHECK) {
            Some(_) => Some(Self::Check(code.into())),
            None => RULES.iter().find(|rule| rule.code() == code).cloned(),
        }
    }

    /// The rule of the mapping's check of this name.
    #[must_use]
    pub fn check(name: &str) -> Self {
        Self::Check(format!("{CHECK}{name}").into())
    }

    /// True when it is about several columns of a record together, each of which may be sound.
    #[must_use]
    pub fn is_of_expressions(&self) -> bool {
        matches!(self, Self::Check(_) | Self::Filter)
    }

    /// True when a record that broke it has no columns, if the violation names none.
    #[must_use]
    pub fn leaves_no_columns(&self) -> bool {
        matches!(self, Self::Columns | Self::Quote | Self::Encoding | Self::Size)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One finding in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Index of the column in the plan; none when the whole record is concerned.
    pub column: Option<u16>,
    /// The rule that was broken.
    pub rule: Rule,
    /// The value as it stood in the file, at most [`MAX_VALUE_BYTES`] of it.
    pub value: Box<str>,
    /// What is wrong, as the rest of a sentence that begins with the column or "the record":
    /// "is not a date like 31/12/2025". Of a check it is the whole sentence, as the mapping has it.
    pub message: Box<str>,
}

/// The start of a value, as much of it as goes into a report.
#[must_use]
pub fn reported(value: &str) -> &str {
    let end = (0..=MAX_VALUE_BYTES.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
    value.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// More of a single value is not copied into a report: a spreadsheet cell holds no more.
pub const MAX_VALUE_BYTES: usize = 32_767;

/// Shown in place of a sensitive value.
pub const MASK: &str = "***";

/// Where a record stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Record number, from 1 after the header.
    pub record: u64,
    /// Physical line on which the record starts, from 1.
    pub line: u64,
    /// Offset of its first byte in the unwrapped file.
    pub byte: u64,
    /// Its length in bytes, the line end not counted.
    pub length: u64,
}

/// A record that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Where it stands.
    pub position: Position,
    /// Its bytes as they came, without the line end; cut at the record size limit.
    pub raw: Vec<u8>,
    /// Its fields in the file's own column order, decoded and unquoted; empty when the record has no columns
    /// (wrong field count, broken quotes).
    pub fields: Vec<Box<str>>,
    /// Everything found in it, in column order; never empty.
    pub violations: Vec<Violation>,
}
