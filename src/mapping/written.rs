//! A mapping as it is written: the types that read it, whose doc comments are the reference.
//!
//! Reading only says what stands there. Keys that a mapping must have are required by the schema, not by these types,
//! so that what is sound in a mapping can be checked although other parts of it are not. What it all means is decided
//! in [`mod@super::compile`].

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    order::{self, Order},
    plan::{Case, DuplicateKeys, EmptyFile, OnDuplicate},
};
use crate::{
    formats::FORMATS,
    model::value::{TYPE_NAMES, kind::Kind, number::Negative, temporal::Ambiguous},
    targets::{Commit, Mode, OnNull, WriteWhen},
};

/// How one kind of file becomes rows of a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Wharf mapping")]
pub struct Written {
    /// Patterns of the names of the files that this mapping takes, such as `orders_{date:%Y%m%d}.csv` or `*.csv`;
    /// upper and lower case are the same.
    #[serde(rename = "match")]
    #[schemars(required)]
    pub matches: Option<Texts>,
    /// The sources of `wharf.toml` from which this mapping takes files, one name or a list. Left out: all. Files that are
    /// named on the command line are taken whatever stands here.
    pub source: Option<Texts>,
    /// Mappings that go first, one name or a list: a file is loaded once they have loaded what arrived before it.
    pub waits_for: Option<Texts>,
    /// How long a file waits for the mappings of `waits_for`, such as `"90m"` or `"4h"` (1m to 7d); after that it is held
    /// for a person.
    #[serde(default = "wait_limit")]
    pub wait_limit: String,
    /// The order in which waiting files are loaded. `file.CAPTURE`, such as `"file.date"`, goes by what that capture of
    /// `match` took, which every pattern must have: a capture with a format by time, whatever the order in the name,
    /// another as names do. Files that are equal in it go by their names.
    #[serde(default = "by_name")]
    #[schemars(schema_with = "order::schema")]
    pub order: String,
    /// What to do with a file whose bytes this mapping has loaded before.
    #[serde(default)]
    pub on_duplicate: OnDuplicate,
    /// What to do with a file of zero bytes.
    #[serde(default)]
    pub empty_file: EmptyFile,
    /// Another mapping may take the same file too; both must say so.
    #[serde(default)]
    pub shared: bool,
    /// How the bytes of the file become records.
    #[schemars(required, schema_with = "format_schema")]
    pub format: Option<serde_json::Value>,
    /// Where the rows go.
    #[schemars(required)]
    pub target: Option<TargetWritten>,
    /// How many rejected records are too many.
    #[serde(default)]
    pub rejects: RejectsWritten,
    /// Which records count.
    #[serde(default)]
    pub filter: FilterWritten,
    /// The columns of the target, one line each, in the order in which reports show them.
    #[schemars(required)]
    pub columns: Option<IndexMap<String, ColumnWritten>>,
    /// What must hold for each record, whatever its columns say one by one; the name stands in reports as `check:NAME`.
    #[serde(default)]
    pub checks: IndexMap<String, CheckWritten>,
}

fn wait_limit() -> String {
    "4h".to_owned()
}

fn by_name() -> String {
    Order::NAME.to_owned()
}

/// One alternative a format: its options, and in front of them the word that chooses it.
fn format_schema(generator: &mut SchemaGenerator) -> Schema {
    let formats = FORMATS.iter().map(|entry| {
        let schema = (entry.schema)(generator);
        let mut options = inlined(generator, schema);
        let own = options.remove("properties");
        let mut properties = serde_json::Map::new();
        properties.insert(
            FORMAT_TAG.to_owned(),
            serde_json::json!({ "const": entry.name, "description": "The format." }),
        );
        properties.extend(
            own.as_ref()
                .and_then(|own| own.as_object())
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone())),
        );
        let mut required = vec![serde_json::Value::from(FORMAT_TAG)];
        required
            .extend(options.get("required").and_then(|own| own.as_array()).into_iter().flatten().cloned());
        options.insert("properties".to_owned(), properties.into());
        options.insert("required".to_owned(), required.into());
        options
    });
    let formats: Vec<Schema> = formats.collect();
    json_schema!({ "oneOf": formats })
}

/// The key whose word chooses the format.
const FORMAT_TAG: &str = "type";

/// The definition that `schema` refers to, taken out of the definitions, as nothing else refers to it.
fn inlined(generator: &mut SchemaGenerator, schema: Schema) -> Schema {
    let reference = schema.get("$ref").and_then(|path| path.as_str());
    let name = reference.and_then(|path| path.rsplit('/').next());
    let definition = name.and_then(|name| generator.definitions_mut().shift_remove(name));
    definition.and_then(|definition| Schema::try_from(definition).ok()).unwrap_or(schema)
}

/// `[target]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct TargetWritten {
    /// A connection of `wharf.toml`. Left out: the site's own SQLite database, `warehouse.db` in its store.
    pub connection: Option<String>,
    /// The table.
    #[schemars(required)]
    pub table: Option<String>,
    /// The columns whose values tell rows apart, one name or a list. They are always required.
    #[schemars(required)]
    pub key: Option<Texts>,
    /// How rows meet those of the table.
    #[serde(default = "upsert")]
    pub mode: Mode,
    /// Create the table from the columns if it is missing. An existing table is never altered.
    #[serde(default = "yes")]
    pub create: bool,
    /// What happens to a key that stands in two records of one file.
    #[serde(default)]
    pub duplicate_keys: DuplicateKeys,
    /// The column that says which row is newer, a number, a date or a timestamp: a row that differs from the stored one is
    /// written only if its value there is larger, or if nothing is stored there; else it counts as superseded.
    pub newer: Option<String>,
    /// In mode `mirror`, what becomes of rows that the file does not have: `"delete"`, or `{ mark = "deleted_at" }`.
    pub vanished: Option<VanishedWritten>,
    /// In mode `mirror`, columns, one name or a list: only rows whose values there are those of a good record of the file can
    /// vanish. Left out: all rows can.
    pub scope: Option<Texts>,
    /// In mode `mirror`: when more rows than this would vanish, the file waits for a person. A number of rows, or a share
    /// such as `"5%"` of the rows that stood in the table (with `scope`, in the scope) before. Left out: 20%; 10 rows may
    /// always vanish then.
    pub max_deletes: Option<ShareWritten>,
    /// How much of a file one transaction holds. With `batch` a load that was cut off goes on where it stopped, and others
    /// see the table grow meanwhile; if such a file is refused or held in the end, the rows before that place stay loaded.
    #[serde(default)]
    pub commit: Commit,
    /// Write nothing: compare the rows with the table as it stands, which another job still fills, and report the
    /// differences.
    #[serde(default)]
    pub shadow: bool,
}

/// What becomes of rows that the file does not have.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum VanishedWritten {
    /// One word.
    Word(VanishedWord),
    /// They are marked.
    Mark(MarkWritten),
}

/// What one word says about rows that the file does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum VanishedWord {
    /// They are deleted.
    Delete,
}

/// How rows that the file does not have are marked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct MarkWritten {
    /// The column of the table that is set; the mapping itself does not write it. When the file has the row again, the mark
    /// is taken off.
    #[schemars(required)]
    pub mark: Option<String>,
    /// The type of that column.
    #[serde(rename = "type", default)]
    pub mark_type: MarkType,
}

/// The type of the column of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MarkType {
    /// When the delivery arrived; nothing in rows that are not marked.
    #[default]
    Timestamp,
    /// True; false in rows that are not marked.
    Boolean,
}

fn upsert() -> Mode {
    Mode::Upsert
}

/// `[rejects]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct RejectsWritten {
    /// More rejects than this refuse the file whole, and nothing of it is loaded: a number of records, or a share of
    /// those read such as `"5%"`. Left out: no limit.
    pub limit: Option<ShareWritten>,
    /// More rejects than this wait for a person before anything is loaded; written like `limit`.
    pub hold: Option<ShareWritten>,
    /// A percentage counts only from this many rejects on. Left out: 1.
    #[schemars(range(min = 1))]
    pub at_least: Option<u64>,
}

/// `[filter]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct FilterWritten {
    /// An expression over the columns: records for which it is true count, all others are left out without a word, whatever
    /// else may be wrong with them. A record in which one of its columns is not valid is not left out.
    pub keep: Option<String>,
}

/// A line of `[checks]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Check", example = serde_json::json!({ "check": "due_date >= order_date" }))]
pub struct CheckWritten {
    /// An expression over the columns: a record for which it is false is rejected. One for which it is NULL, as a value is
    /// missing, passes.
    #[schemars(required)]
    pub check: Option<String>,
    /// What is said of such a record, in words for those who correct it. Left out: a sentence with the expression.
    pub message: Option<String>,
}

/// A number of records, or a percentage of those read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ShareWritten {
    /// Records.
    Records(u64),
    /// A percentage, such as "0.5%".
    Percent(String),
}

/// A line of `[columns]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Column", example = serde_json::json!({ "from": "Order No" }))]
pub struct ColumnWritten {
    /// The column of the file: its name; a list of names, of which the first that the file has is taken; or, when
    /// the file has no header, its number from 1. Left out: the name of the target's column. Names are compared
    /// trimmed and without case.
    pub from: Option<FromWritten>,
    /// An expression over other columns that gives the value, instead of a column of the file: `quantity * unit_price`.
    /// Without `type`, the column is of the expression's own type.
    pub value: Option<String>,
    /// The type of the values.
    #[serde(rename = "type", default)]
    pub value_type: TypeName,
    /// A record without a value is rejected, and a file without the column is refused.
    #[serde(default)]
    pub required: bool,
    /// Stands in for a missing value, written as the file would write it.
    pub default: Option<Literal>,
    /// Texts that mean "no value", one or a list. The empty field means it too, unless `empty = "text"`.
    pub null: Option<Texts>,
    /// What the empty field means.
    #[serde(default)]
    pub empty: Empty,
    /// Take white space off both ends of the field first, no-break spaces too.
    #[serde(default = "yes")]
    pub trim: bool,
    /// The least number of characters.
    pub min_length: Option<usize>,
    /// The largest number of characters.
    pub max_length: Option<usize>,
    /// A regular expression that the whole value must match.
    pub pattern: Option<String>,
    /// The only values allowed.
    #[schemars(length(min = 1))]
    pub one_of: Option<Vec<String>>,
    /// Whole values to replace by others, before type and rules: `{ N = "new", P = "paid" }`.
    pub map: Option<IndexMap<String, String>>,
    /// Fold the case of the value, before `map`.
    pub case: Option<Case>,
    /// What the value must be; check digits are verified.
    pub is: Option<Kind>,
    /// How dates, times and timestamps are written, in the directives below; one format, or a list of which the first
    /// that fits counts. Left out: ISO 8601.
    pub format: Option<Texts>,
    /// The last two-digit year that belongs to the 2000s: with 50, 50 is 2050 and 51 is 1951. Left out: 68.
    #[schemars(range(max = 99))]
    pub pivot: Option<u8>,
    /// The smallest value allowed: a number, or a date or time in ISO 8601 in quotes.
    pub min: Option<BoundWritten>,
    /// The largest value allowed, written like `min`.
    pub max: Option<BoundWritten>,
    /// The character between whole digits and fraction. Left out: the point, or the comma if `group_mark` is the point.
    pub decimal_mark: Option<char>,
    /// The character between groups of digits; a space stands for no-break and thin spaces too. Left out: there is none.
    pub group_mark: Option<char>,
    /// How negative numbers are written.
    #[serde(default)]
    pub negative: Negative,
    /// Texts around a number that are taken off, such as currency signs; one or a list.
    pub strip: Option<Texts>,
    /// The words for true, one or a list. Both lists left out: true, yes, y, t, 1 and on, in any case.
    #[serde(rename = "true")]
    pub true_words: Option<Texts>,
    /// The words for false, one or a list. Both lists left out: false, no, n, f, 0 and off, in any case.
    #[serde(rename = "false")]
    pub false_words: Option<Texts>,
    /// The time zone of timestamps that state no offset: an IANA name such as `Europe/London`, or an offset such as
    /// `+01:00`. A local time that does not exist is a violation. Left out: UTC.
    pub timezone: Option<String>,
    /// What a local time means that exists twice, when clocks are turned back.
    #[serde(default)]
    pub ambiguous: Ambiguous,
    /// The value must stand in a table or file of others, or is replaced by what stands there beside it.
    pub lookup: Option<LookupWritten>,
    /// Each value may stand in one record of the file only.
    #[serde(default)]
    pub unique: bool,
    /// A difference in this column alone makes a row changed.
    #[serde(default = "yes")]
    pub compare: bool,
    /// When the column is written.
    #[serde(default)]
    pub write: WriteWhen,
    /// What a missing value does to a stored one.
    #[serde(default)]
    pub on_null: OnNull,
    /// Mask the value in logs, terminal output and `errors.csv`.
    #[serde(default)]
    pub sensitive: bool,
}

fn yes() -> bool {
    true
}

/// `lookup` of a column
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct LookupWritten {
    /// The table, as it stands when the delivery begins. One that a mapping of the site creates counts as empty until its
    /// first load.
    pub table: Option<String>,
    /// A CSV file in `mappings/lookups` instead: UTF-8, commas, and a header.
    pub file: Option<String>,
    /// The connection of the table. Left out: that of the target.
    pub connection: Option<String>,
    /// The column of the table that holds the values. For several, `{ iso2 = "country", year = "year" }`: for each column
    /// of the table, the column of this mapping that is looked up in it. Numbers and dates compare by value, texts bytewise.
    #[schemars(required)]
    pub key: Option<LookupKeyWritten>,
    /// The column of the table whose value takes the place, before type and rules. Left out: the value stays, but must be
    /// there. A text of more than a megabyte rejects its record.
    pub value: Option<String>,
}

/// The key of a lookup.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum LookupKeyWritten {
    /// One column of the table.
    One(String),
    /// Several, each with the column of the mapping.
    Several(IndexMap<String, String>),
}

/// Where a column's text comes from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum FromWritten {
    /// A column's name.
    Name(String),
    /// Names, of which the first that the file has is taken.
    Names(#[schemars(length(min = 1))] Vec<String>),
    /// A column's number, from 1.
    Number(#[schemars(range(min = 1))] usize),
}

/// One text, or a list of texts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Texts {
    /// One.
    One(String),
    /// Several.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

impl Texts {
    /// The texts in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// A text, number or truth value, as the file would write it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Literal {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// True or false.
    Boolean(bool),
}

impl Literal {
    /// The text that the file would hold.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
        }
    }
}

/// A bound: a number, or a text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum BoundWritten {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
}

impl BoundWritten {
    /// The bound as text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// What the empty field means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// No value.
    #[default]
    Null,
    /// The empty text.
    Text,
}

/// The name of a type; what it means is [`crate::model::value::ValueType`]'s to say.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TypeName(pub String);

impl Default for TypeName {
    fn default() -> Self {
        Self("text".to_owned())
    }
}

impl JsonSchema for TypeName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Type".into()
    }

    /// The names as words, and a pattern for those that take digits in parentheses; whether the digits make sense is
    /// said later, in words.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (with_digits, words): (Vec<&str>, Vec<&str>) =
            TYPE_NAMES.iter().partition(|name| name.contains('('));
        let patterns = with_digits.iter().map(|name| {
            let word = name.split('(').next().unwrap_or_default();
            json_schema!({ "type": "string", "title": name, "pattern": format!("^{word}") })
        });
        let words = json_schema!({ "type": "string", "enum": words });
        let alternatives: Vec<Schema> = std::iter::once(words).chain(patterns).collect();
        json_schema!({ "anyOf": alternatives })
    }
}
