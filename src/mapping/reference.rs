//! The reference pages, written from the schemas and from the tables of formats, types and rules, so that they cannot
//! say anything else than the program does.

use std::fmt::Write;

use serde_json::Value as Json;

use super::{expect, parsers::KEYS_OF_TYPES, schema};
use crate::{
    formats::FORMATS,
    model::reject::{RULES, Rule},
};

/// More words than this get a table of their own.
const WORDS_IN_A_CELL: usize = 6;

/// The page on mappings, as Markdown.
#[must_use]
pub fn mapping_reference() -> String {
    let mut page = Page::new(schema::mapping(), MAPPING_INTRODUCTION);
    page.schema();
    page.paragraph(PATTERNS);
    page.heading("Types");
    page.rows(&["Type", "Values"], TYPES.iter().map(|(name, values)| vec![code(name), (*values).to_owned()]));
    page.heading("Column keys that go with some types only");
    let keys = KEYS_OF_TYPES.iter().map(|(key, types)| vec![code(key), types.join(", ")]);
    page.rows(&["Key", "Types"], keys);
    page.paragraph(DIRECTIVES);
    page.paragraph(ORDER);
    page.heading("Rule codes");
    page.paragraph("The word that a report gives for what is wrong with a record.");
    page.rows(
        &["Code", "The record or value"],
        RULES
            .iter()
            .chain([&Rule::check("NAME")])
            .map(|rule| vec![code(rule.code()), broken(rule).to_owned()]),
    );
    page.text
}

/// The page on `wharf.toml`, as Markdown.
#[must_use]
pub fn site_reference() -> String {
    let mut page = Page::new(schema::site(), SITE_INTRODUCTION);
    page.schema();
    page.text
}

const MAPPING_INTRODUCTION: &str = "\
# Mappings

A mapping says how one kind of file becomes rows of a table. It is a TOML file, `mappings/inbound/NAME.toml`; its name \
is the mapping's name. `wharf check` finds everything that is wrong with it, `wharf schema` prints its JSON Schema: \
save that as `mappings/schema.json`, begin each mapping with the line `#:schema ../schema.json`, and editors complete \
its keys.

This page is written by the program itself.";

const SITE_INTRODUCTION: &str = "\
# `wharf.toml`

The settings of a site. Every part may be left out, and so may the file. `wharf schema site` prints its JSON Schema.

This page is written by the program itself.";

const PATTERNS: &str = "\
## Patterns of file names

| Part | Stands for |
|---|---|
| `*` | any characters, or none |
| `?` | one character |
| `{name}` | one or more characters, kept under that name |
| `{name:%Y%m%d}` | a date or time, kept under that name; made of `%Y %y %m %d %j %H %M %S %b %F` and what stands between |
| `{{` and `}}` | a brace |

Upper and lower case are the same. A pattern is of the name alone, without folders.";

const DIRECTIVES: &str = "\
## Directives of dates and times

| Directive | Stands for |
|---|---|
| `%Y`, `%y` | a year of four digits; of two, placed by `pivot` |
| `%m`, `%b`, `%B` | a month by its number; by its English name, short or in full |
| `%d`, `%e` | a day of the month; `%e` may begin with a space |
| `%j` | a day of the year |
| `%H`, `%I` with `%p` | an hour of 24; of 12, with AM or PM |
| `%M`, `%S` | minutes and seconds |
| `%f`, `%.f` | digits of a fraction of a second; with the point before them, or nothing |
| `%z` | the offset from UTC: `Z`, `+01`, `+0100` or `+01:00` |
| `%F`, `%T`, `%%` | `%Y-%m-%d`; `%H:%M:%S`; the sign itself |

Everything else stands for itself.";

const ORDER: &str = "\
## What happens to a field, in order

1. `trim` takes white space off its ends.
2. A text of `null`, or the empty field unless `empty = \"text\"`, becomes no value.
3. `default` takes the place of no value.
4. `case` folds it, then `map` replaces it.
5. It is read as its `type`.
6. The rules are tried: `required`, `min_length`, `max_length`, `pattern`, `one_of`, `is`, `min`, `max`. Every rule \
that is broken is reported, not only the first.
7. Columns with `value` are computed from those that are valid, and their rules are tried on the value as it is \
written: a number with a point and all digits of its scale, dates and times in ISO 8601. A value that cannot be \
computed, such as a division by zero, breaks `type`. A computed column is `sensitive` when it reads one that is. It is not \
written when the file has none of the columns that it reads.
8. `keep` of `[filter]` leaves records out: they count as filtered, whatever else is wrong with them, and are neither \
loaded nor reported. A record that has an invalid value in a column of the filter stays and is rejected.
9. The `[checks]` are tried, each on records that are valid in the columns that it reads.
10. Over the file, for records that are neither filtered nor rejected: `unique`, and the key.

Expressions are those of [expressions.md](expressions.md). They name columns as `[columns]` does; a name with blanks or \
capitals stands in double quotes.";

/// What each type holds, in the order of [`crate::model::value::TYPE_NAMES`].
const TYPES: &[(&str, &str)] = &[
    ("text", "any text"),
    ("integer", "a whole number of 64 bits"),
    (
        "decimal(p,s)",
        "an exact number of at most `p` digits (up to 38), `s` of them after the point; more digits are a \
                      violation, never a rounding",
    ),
    ("float", "a floating-point number of 64 bits"),
    ("boolean", "true or false"),
    ("date", "a day, 0001-01-01 to 9999-12-31"),
    ("time", "a time of day, to the microsecond"),
    ("timestamp", "an instant, to the microsecond, kept in UTC"),
    ("uuid", "a UUID"),
    ("json", "a JSON text"),
];

/// What is wrong with a record that breaks `rule`.
fn broken(rule: &Rule) -> &'static str {
    match rule {
        Rule::Columns => "has a wrong number of fields",
        Rule::Quote => "has text after a closing quote, or a quote that never closes",
        Rule::Encoding => "holds bytes that are not valid in the file's encoding",
        Rule::Size => "is larger than a record may be",
        Rule::Type => "is not of the column's type",
        Rule::Required => "is missing",
        Rule::MinLength => "is shorter than `min_length`",
        Rule::MaxLength => "is longer than `max_length`",
        Rule::Pattern => "does not match `pattern`",
        Rule::OneOf => "is not one of `one_of`",
        Rule::Min => "is less than `min`",
        Rule::Max => "is more than `max`",
        Rule::Is => "is not what `is` asks for",
        Rule::Unique => "stands in an earlier record of the file, and must be `unique`",
        Rule::Key => "has the key of an earlier record or, in mode `insert`, of a stored row",
        Rule::Lookup => "is not in the lookup table",
        Rule::Filter => "cannot be told from those that are left out, as `keep` has no value for it",
        Rule::Check(_) => "does not pass the check of that name",
        Rule::Target => "was refused by the database",
        Rule::Correction => "is a row of a corrected file that cannot be taken",
    }
}

struct Page<'a> {
    root: &'a Json,
    text: String,
}

impl<'a> Page<'a> {
    fn new(root: &'a Json, introduction: &str) -> Self {
        let mut page = Self { root, text: String::new() };
        page.paragraph(introduction);
        page
    }

    fn paragraph(&mut self, text: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}{text}");
    }

    fn heading(&mut self, text: &str) {
        self.paragraph(&format!("## {text}"));
    }

    fn rows(&mut self, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        let _ = writeln!(self.text, "\n| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            let _ = writeln!(self.text, "| {} |", cells.join(" | "));
        }
    }

    /// All sections of the schema: the keys at the top, then one section a table.
    fn schema(&mut self) {
        let mut sections = Vec::new();
        let mut top = Vec::new();
        for (key, written) in properties(self.root) {
            let schema = schema::resolve(self.root, written);
            let entry = schema.get("additionalProperties").map(|entry| schema::resolve(self.root, entry));
            match (schema::alternatives(self.root, schema), entry) {
                (Some(formats), _) if formats.iter().all(|one| schema::is_table(one)) => {
                    sections.push((format!("`[{key}]`"), description(written), Vec::new(), formats));
                }
                (None, Some(entry)) if schema::is_table(entry) => {
                    let heading = format!("`[{key}]`: what stands in an entry `NAME = {{ ... }}`");
                    sections.push((heading, description(written), self.keys(entry, ""), Vec::new()));
                }
                (None, _) if schema::is_table(schema) => {
                    sections.push((
                        format!("`[{key}]`"),
                        description(written),
                        self.keys(schema, ""),
                        Vec::new(),
                    ));
                }
                _ => top.extend(self.key(self.root, key, written, "")),
            }
        }
        if !top.is_empty() {
            self.heading("Keys at the top");
            self.table(top);
        }
        for (heading, purpose, keys, formats) in sections {
            self.heading(&heading);
            self.paragraph(purpose);
            if !keys.is_empty() {
                self.table(keys);
            }
            for (entry, options) in FORMATS.iter().zip(formats) {
                self.paragraph(&format!("### `type = \"{}\"`\n\n{}", entry.name, entry.summary));
                self.table(self.keys(options, ""));
            }
        }
    }

    fn table(&mut self, keys: Vec<Key<'a>>) {
        self.rows(&["Key", "Value", "Default", "Meaning"], keys.iter().map(|key| key.cells.to_vec()));
        for key in keys.iter().filter(|key| key.words.len() > WORDS_IN_A_CELL) {
            self.paragraph(&format!("### Words for `{}`", key.name));
            let rows = key.words.iter().map(|(word, meaning)| vec![code(word), (*meaning).to_owned()]);
            self.rows(&["Word", "Meaning"], rows);
        }
    }

    fn keys(&self, table: &'a Json, prefix: &str) -> Vec<Key<'a>> {
        properties(table).flat_map(|(key, schema)| self.key(table, key, schema, prefix)).collect()
    }

    /// A key and, when its value is a table or a list of tables, the keys in that.
    fn key(&self, table: &'a Json, key: &str, written: &'a Json, prefix: &str) -> Vec<Key<'a>> {
        let schema = schema::resolve(self.root, written);
        let alternatives = schema::alternatives(self.root, schema).unwrap_or_else(|| vec![schema]);
        let words: Vec<(&str, &str)> = alternatives
            .iter()
            .flat_map(|one| schema::words(one).into_iter().map(|word| (word, description(one))))
            .collect();
        let explained = words.iter().all(|(_, meaning)| !meaning.is_empty());
        let is_word = written.get("const").is_some();
        let mut meaning = description(written).to_owned();
        if explained && !is_word && (1..=WORDS_IN_A_CELL).contains(&words.len()) {
            let explain =
                |(word, purpose): &(&str, &str)| format!("{}: {}", code(word), purpose.trim_end_matches('.'));
            let explained: Vec<String> = words.iter().map(explain).collect();
            let _ = write!(meaning, " {}.", explained.join("; "));
        }
        let default = match written.get("default") {
            _ if schema::required(table).any(|name| name == key) => "required".to_owned(),
            Some(default) => code(&default.to_string()),
            None => String::new(),
        };
        let values = match words.len() {
            count if count > WORDS_IN_A_CELL && explained => "a word, see below".to_owned(),
            _ => expect::phrase(&alternatives),
        };
        let name = format!("{prefix}{key}");
        let words = if explained { words } else { Vec::new() };
        let mut keys =
            vec![Key { name: name.clone(), cells: [code(&name), values, default, meaning], words }];
        let items = schema.get("items").map(|items| schema::resolve(self.root, items));
        for inner in alternatives.iter().copied().chain(items).filter(|inner| schema::is_table(inner)) {
            let dots = if items.is_some() { "[]." } else { "." };
            keys.extend(self.keys(inner, &format!("{name}{dots}")));
        }
        keys
    }
}

struct Key<'a> {
    name: String,
    cells: [String; 4],
    /// The words it takes, with what each means.
    words: Vec<(&'a str, &'a str)>,
}

fn properties(table: &Json) -> impl Iterator<Item = (&str, &Json)> {
    let properties = table.get("properties").and_then(Json::as_object);
    properties.into_iter().flatten().map(|(key, schema)| (key.as_str(), schema))
}

fn description(schema: &Json) -> &str {
    schema.get("description").and_then(Json::as_str).unwrap_or_default()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::TYPE_NAMES;

    #[test]
    fn every_type_has_a_line_in_the_order_of_the_types() {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, TYPE_NAMES);
    }

    #[test]
    fn the_reference_names_every_key_word_and_rule() {
        let page = mapping_reference();
        for name in
            ["match", "trailer.starts_with", "controls[].sum", "duplicate_keys", "at_least", "on_null"]
        {
            assert!(page.contains(&format!("\n| `{name}` |")), "{name}");
        }
        for name in ["`upsert`: ", "| `email` |", "`type = \"csv\"`", "| `min_length` | is shorter"] {
            assert!(page.contains(name), "{name}");
        }
        assert!(page.lines().filter(|line| line.starts_with('|')).all(|line| line.ends_with('|')));
        for name in ["source", "waits_for", "wait_limit", "order"] {
            assert!(page.contains(&format!("\n| `{name}` |")), "{name}");
        }
        for name in
            ["max_memory", "url", "loads_table", "threads", "settle_seconds", "marker", "retry_seconds"]
        {
            assert!(site_reference().contains(&format!("\n| `{name}` |")), "{name}");
        }
    }
}
