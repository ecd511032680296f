//! A mapping compiled: everything resolved that can be before a file is seen. Reading a mapping only validates; a
//! plan is what runs.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    io::Read,
    sync::Arc,
    time::Duration,
};

use arrow_schema::{Field, Schema, SchemaRef};
use regex::Regex;

use crate::{
    formats::{Format, FormatError, Opened, Wanted},
    mapping::{
        expression::{CaptureValue, Expression},
        order::{Order, OrderKey, OrderValue},
        pattern::NamePattern,
    },
    model::{
        Rule,
        reject::MASK,
        value::{
            ValueType,
            boolean::BooleanWords,
            kind::Kind,
            number::NumberFormat,
            temporal::{DateParser, TimeParser, TimestampParser},
        },
    },
    targets::TableSpec,
};

/// A mapping, ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The mapping's name: its file name without `.toml`.
    pub name: String,
    /// BLAKE3 over what the mapping means (comments, order of keys and defaults written out do not matter), in hex.
    pub fingerprint: String,
    /// The mapping's text as it stood, kept so that recovery runs the plan that was in force.
    pub source: Arc<str>,
    /// File names it takes.
    pub matches: Vec<NamePattern>,
    /// The sources it takes files from, by name; empty: all of them. A file that a person names counts whatever stands here.
    pub sources: Vec<String>,
    /// The mappings, by name, that load first what arrived before a file of this one.
    pub waits_for: Vec<String>,
    /// How long a file waits for them before it is held for a person.
    pub wait_limit: Duration,
    /// The order in which its files are loaded.
    pub order: Order,
    /// True when another mapping may take the same file too.
    pub shared: bool,
    /// What to do with bytes that were loaded before.
    pub on_duplicate: OnDuplicate,
    /// What to do with a file of zero bytes.
    pub empty_file: EmptyFile,
    /// The format with its options.
    pub format: Arc<dyn Format>,
    /// The columns in their order.
    pub columns: Vec<Column>,
    /// Those of them that need others, as they are computed or looked up by several keys: in an order in which each stands
    /// behind those that it reads.
    pub dependent: Vec<usize>,
    /// The tables and files that columns are looked up in.
    pub lookups: Vec<LookupTable>,
    /// What must be true of a record that counts; its columns are numbered as here. None: all records count.
    pub filter: Option<Filter>,
    /// What must hold for each record.
    pub checks: Vec<Check>,
    /// For each of the format's controls, the index of its column.
    pub control_columns: Vec<usize>,
    /// The connection of the target; none for the site's own SQLite database.
    pub connection: Option<String>,
    /// The table.
    pub table: TableSpec,
    /// What happens to a key that stands twice in one file.
    pub duplicate_keys: DuplicateKeys,
    /// How many rejects are too many.
    pub rejects: RejectLimits,
    /// In mode mirror, how many rows may vanish before a person has to look.
    pub deletes: DeleteLimit,
    /// Nothing is written: the rows are compared with the table as it stands.
    pub shadow: bool,
}

impl Plan {
    /// Opens a file: its layout says for each column of the plan which column of the file it takes; none for those that
    /// the file lacks, and for those that are computed.
    ///
    /// # Errors
    /// As [`Format::open`].
    pub fn open(&self, input: Box<dyn Read + Send>) -> Result<Opened, FormatError> {
        let wanted: Vec<Wanted> =
            self.columns.iter().filter_map(|column| column.source.wanted().cloned()).collect();
        let mut opened = self.format.open(input, &wanted)?;
        let mut found = std::mem::take(&mut opened.layout).into_iter();
        let place = |column: &Column| column.source.wanted().and_then(|_| found.next().flatten());
        opened.layout = self.columns.iter().map(place).collect();
        Ok(opened)
    }

    /// What the captures take from a file's name, by the first pattern that takes it.
    #[must_use]
    pub fn captures(&self, name: &str) -> Vec<(String, CaptureValue)> {
        self.matches.iter().find_map(|pattern| pattern.values(name)).unwrap_or_default()
    }

    /// For each column, whether it is written: those that a file of this layout holds, and those that are computed, unless
    /// the file has none of what they are computed from.
    #[must_use]
    pub fn written(&self, layout: &[Option<usize>]) -> Vec<bool> {
        let mut written: Vec<bool> =
            (0..self.columns.len()).map(|column| layout.get(column).copied().flatten().is_some()).collect();
        for index in &self.dependent {
            let Some(column) = self.columns.get(*index) else { continue };
            let ValueSource::Computed(expression) = &column.source else { continue };
            let reads = expression.columns();
            let any = reads.iter().any(|read| written.get(*read).copied().unwrap_or(false));
            if let Some(slot) = written.get_mut(*index) {
                *slot = any || reads.is_empty() || column.required;
            }
        }
        written
    }

    /// The columns of the rows of a file of this layout: those that are written.
    #[must_use]
    pub fn row_schema(&self, layout: &[Option<usize>]) -> SchemaRef {
        let written = self.columns.iter().zip(self.written(layout)).filter(|(_, written)| *written);
        let fields = written.map(|(column, _)| Field::new(&column.name, column.value_type.arrow(), true));
        Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
    }

    /// The place of a file among those of this mapping: the smaller key is loaded first. `name` is the file's name without
    /// folders, `modified_nanos` its last change in nanoseconds since 1970.
    #[must_use]
    pub fn order_key(&self, name: &str, modified_nanos: i128) -> OrderKey {
        let value = match &self.order {
            Order::Name => OrderValue::Name,
            Order::Modified => OrderValue::Modified(modified_nanos),
            Order::Capture(capture) => {
                let value = self.matches.iter().find_map(|pattern| pattern.order_value(name, capture));
                value.unwrap_or(OrderValue::Absent)
            }
        };
        OrderKey::new(value, name)
    }

    /// The columns that the values of these come from: themselves, and for computed ones those that they read.
    #[must_use]
    pub fn read_by(&self, columns: Vec<usize>) -> BTreeSet<usize> {
        let (mut open, mut read) = (columns, BTreeSet::new());
        while let Some(column) = open.pop() {
            let expression = self.columns.get(column).and_then(|column| column.source.expression());
            if read.insert(column)
                && let Some(expression) = expression
            {
                open.extend(expression.columns());
            }
        }
        read
    }

    /// The values of several columns as the one value of a violation about the first of them. Reports mask a value by the
    /// column of its violation; what is sensitive in the other columns is masked here.
    #[must_use]
    pub fn joined<'a>(&self, columns: &[usize], value: impl Fn(usize) -> Option<&'a str>) -> String {
        let part = |(at, column): (usize, &usize)| {
            let masked = at > 0 && self.columns.get(*column).is_some_and(|column| column.sensitive);
            if masked { Some(MASK) } else { value(*column) }
        };
        columns.iter().enumerate().filter_map(part).collect::<Vec<_>>().join(" / ")
    }
}

/// What to do with bytes that were loaded before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// Nothing: the delivery ends as `duplicate`.
    #[default]
    Skip,
    /// Load them again.
    Load,
}

/// What to do with a file of zero bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EmptyFile {
    /// Refuse it: an empty file is most often one that was never written.
    #[default]
    Refuse,
    /// Load it as a file without records.
    Load,
}

/// What happens to a key that stands twice in one file.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateKeys {
    /// The later record is rejected.
    #[default]
    Reject,
    /// The later record wins; the earlier one counts as superseded.
    Last,
}

/// How many rejects are too many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RejectLimits {
    /// More than this refuses the file whole.
    pub limit: Option<Share>,
    /// More than this waits for a person.
    pub hold: Option<Share>,
    /// A percentage counts only from this many rejects on.
    pub at_least: u64,
}

/// A number of records, or a share of those read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// So many records.
    Records(u64),
    /// Hundred-thousandths of the records read: 5 % is 5,000. Exact, so that a limit of 1 % of 1,000 is 10.
    Millipercent(u64),
}

impl Share {
    /// True when `part` is more than this of `whole`.
    #[must_use]
    pub fn is_exceeded(self, part: u64, whole: u64) -> bool {
        match self {
            Self::Records(most) => part > most,
            Self::Millipercent(share) => u128::from(part) * 100_000 > u128::from(share) * u128::from(whole),
        }
    }
}

/// As a mapping writes it.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(records) => records.fmt(f),
            Self::Millipercent(share) => {
                let text = format!("{}.{:03}", share / 1000, share % 1000);
                write!(f, "\"{}%\"", text.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

/// How many rows may vanish before a person has to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeleteLimit {
    /// More than this wait for a person.
    pub most: Share,
    /// So many may vanish whatever the share.
    pub always: u64,
}

impl Default for DeleteLimit {
    /// A file that was cut off is held; a small table may change as it likes.
    fn default() -> Self {
        Self { most: Share::Millipercent(20_000), always: 10 }
    }
}

impl DeleteLimit {
    /// True when `rows` of `of` rows are too many.
    #[must_use]
    pub fn is_exceeded(self, rows: u64, of: u64) -> bool {
        rows > self.always && self.most.is_exceeded(rows, of)
    }
}

/// One column of the plan.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the target and in reports.
    pub name: String,
    /// Where its values come from.
    pub source: ValueSource,
    /// Its type.
    pub value_type: ValueType,
    /// How its text is read.
    pub parser: ValueParser,
    /// No value is a violation. True for key columns.
    pub required: bool,
    /// The text that stands for no value.
    pub default: Option<Box<str>>,
    /// Texts that mean no value, compared after trimming.
    pub nulls: Vec<Box<str>>,
    /// True when the empty field is the empty text rather than no value.
    pub empty_is_text: bool,
    /// Take white space (NBSP too) off both ends.
    pub trim: bool,
    /// Fold the case.
    pub case: Option<Case>,
    /// Replace whole values.
    pub map: Option<HashMap<Box<str>, Box<str>>>,
    /// Rules on the text, run in this order after the type.
    pub rules: Vec<TextRule>,
    /// Bounds on the value.
    pub bounds: Bounds,
    /// Where it is looked up.
    pub lookup: Option<Lookup>,
    /// Each value may stand in one record of the file only.
    pub unique: bool,
    /// Mask the value wherever it is shown.
    pub sensitive: bool,
}

/// Where the values of a column come from.
#[derive(Clone, Debug)]
pub enum ValueSource {
    /// The file has them as text.
    Field(Wanted),
    /// They are computed from other columns, which are numbered as in the plan.
    Computed(Expression),
}

impl ValueSource {
    /// The field of the file, if it is one.
    #[must_use]
    pub fn wanted(&self) -> Option<&Wanted> {
        match self {
            Self::Field(wanted) => Some(wanted),
            Self::Computed(_) => None,
        }
    }

    /// The expression, if there is one.
    #[must_use]
    pub fn expression(&self) -> Option<&Expression> {
        match self {
            Self::Field(_) => None,
            Self::Computed(expression) => Some(expression),
        }
    }
}

/// How a column is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Which of the plan's [`Plan::lookups`].
    pub table: usize,
    /// For each of its keys, the plan's column whose value is looked up; none: the column's own.
    pub keys: Vec<Option<usize>>,
    /// Which of its values takes the column's place; none: the value stays, and must only be there.
    pub value: Option<usize>,
}

/// A table or file that columns are looked up in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupTable {
    /// Where it is.
    pub source: LookupSource,
    /// The columns that make its key.
    pub keys: Vec<String>,
    /// The columns whose values take the place of others.
    pub values: Vec<String>,
}

/// Where a lookup table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupSource {
    /// A table of a connection; none: of the site's own database.
    Table {
        /// The connection.
        connection: Option<String>,
        /// The table.
        table: String,
    },
    /// A file of the folder of lookups, by its name.
    File(String),
}

impl LookupSource {
    /// As messages for people name it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Table { table, .. } => table,
            Self::File(name) => name,
        }
    }
}

impl Lookup {
    /// True when it needs the values of other columns.
    #[must_use]
    pub fn needs_others(&self) -> bool {
        self.keys.iter().any(Option::is_some)
    }
}

/// What must be true of a record that counts.
#[derive(Clone, Debug)]
pub struct Filter {
    /// True, false or NULL; only true lets the record count.
    pub expression: Expression,
    /// True when it reads a column that is sensitive.
    pub is_sensitive: bool,
}

/// What must hold for each record.
#[derive(Clone, Debug)]
pub struct Check {
    /// The rule that a record breaks for which it does not hold.
    pub rule: Rule,
    /// True, false or NULL; NULL lets the record pass.
    pub expression: Expression,
    /// What is said of a record for which it is false; a whole sentence.
    pub message: Box<str>,
    /// True when it reads a column that is sensitive.
    pub is_sensitive: bool,
}

/// Folding of a column's case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// ABC
    Upper,
    /// abc
    Lower,
}

/// How a column's text is read as a value.
#[derive(Clone, Debug)]
pub enum ValueParser {
    /// As it is.
    Text,
    /// A whole number.
    Integer(NumberFormat),
    /// An exact number; precision and scale stand in the column's type.
    Decimal(NumberFormat),
    /// A float.
    Float(NumberFormat),
    /// Listed words.
    Boolean(BooleanWords),
    /// A day.
    Date(DateParser),
    /// A time of day.
    Time(TimeParser),
    /// An instant.
    Timestamp(TimestampParser),
    /// A UUID.
    Uuid,
    /// A JSON text.
    Json,
}

/// A rule on a value's text.
#[derive(Clone, Debug)]
pub enum TextRule {
    /// At least so many characters.
    MinLength(usize),
    /// At most so many characters.
    MaxLength(usize),
    /// Matches whole; the pattern as written stands beside it, for messages.
    Pattern(Regex, Box<str>),
    /// Is one of these.
    OneOf(Vec<Box<str>>),
    /// Is a value of this kind.
    Is(Kind),
}

/// Smallest and largest value, both allowed, in the unit of the column's Arrow type.
#[derive(Clone, Debug, Default)]
pub enum Bounds {
    /// None.
    #[default]
    None,
    /// For integers, dates (days), times and timestamps (microseconds).
    Integer {
        /// Smallest.
        min: Option<Bound<i64>>,
        /// Largest.
        max: Option<Bound<i64>>,
    },
    /// For decimals, in units of the last digit.
    Decimal {
        /// Smallest.
        min: Option<Bound<i128>>,
        /// Largest.
        max: Option<Bound<i128>>,
    },
    /// For floats.
    Float {
        /// Smallest.
        min: Option<Bound<f64>>,
        /// Largest.
        max: Option<Bound<f64>>,
    },
}

/// One bound, with its text as written for messages.
#[derive(Clone, Debug)]
pub struct Bound<T> {
    /// The value.
    pub value: T,
    /// As the mapping writes it.
    pub written: Box<str>,
}
