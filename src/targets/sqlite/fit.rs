//! Whether a table fits its mapping, and making the table that does. Every difference is named at once, each with what
//! to do.

use rusqlite::Connection;

use super::{
    errors,
    shape::{self, Affinity, Kind, Shape, StoredColumn},
    sql::{self, OnConflict},
};
use crate::{
    model::{printable, value::ValueType},
    targets::{Fit, TableSpec, TargetColumn, Vanished, identifier::nearest},
};

/// Compares the table with what the mapping wants.
pub(super) fn compare(connection: &Connection, spec: &TableSpec, loads_table: &str) -> rusqlite::Result<Fit> {
    let mut differences = names(spec, loads_table);
    if differences.is_empty() {
        match shape::read(connection, &spec.table)? {
            Some(shape) => {
                differences = table(&shape, spec);
                if differences.is_empty() {
                    differences.extend(uncompilable(connection, &shape, spec)?);
                }
            }
            None if spec.create => return Ok(Fit::WouldCreate),
            None => differences.push(missing(spec, shape::table_names(connection)?)),
        }
    }
    Ok(if differences.is_empty() { Fit::Fits } else { Fit::Misfit(differences) })
}

/// Compares without a database: there is no file yet.
pub(super) fn compare_nothing(spec: &TableSpec, loads_table: &str) -> Fit {
    let mut differences = names(spec, loads_table);
    if !spec.create {
        differences.push(missing(spec, Vec::new()));
    }
    if differences.is_empty() { Fit::WouldCreate } else { Fit::Misfit(differences) }
}

/// Creates the table of a mapping.
///
/// It is an ordinary rowid table. WITHOUT ROWID saves the second tree, which makes little difference to keys in their
/// order and a large one to others, as rows then move with them. Processor time for a million rows of ten columns with
/// a text key, first load and the same again: 1.0 s and 0.78 s against 1.1 s and 0.73 s WITHOUT ROWID for sorted keys,
/// 2.9 s and 3.1 s against 4.8 s and 3.7 s for shuffled ones; 149 MB against 133 MB.
///
/// It is not STRICT: versions of SQLite before 3.37 (2021) cannot open a database that holds a single STRICT table, and
/// the people who read this one do not choose their version. What a load writes is bound in its stored form either way.
pub(super) fn create(connection: &Connection, spec: &TableSpec) -> rusqlite::Result<()> {
    let key: Vec<&str> =
        spec.key.iter().filter_map(|at| spec.columns.get(*at)).map(|c| c.name.as_str()).collect();
    let columns: Vec<String> = spec
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let not_null = if column.required || spec.key.contains(&at) { " NOT NULL" } else { "" };
            format!("{} {}{not_null}", sql::quoted(&column.name), declared(column.value_type))
        })
        .collect();
    let columns: Vec<String> = columns.into_iter().chain(mark(spec).map(mark_declared)).collect();
    connection.execute_batch(&format!(
        "CREATE TABLE {} ({}, PRIMARY KEY ({}))",
        sql::quoted(&spec.table),
        columns.join(", "),
        sql::quoted_list(key)
    ))
}

/// The column in which rows that vanished are marked, and its type.
fn mark(spec: &TableSpec) -> Option<(&str, ValueType)> {
    match &spec.mirror.as_ref()?.vanished {
        Vanished::Mark { column, value_type } => Some((column, *value_type)),
        Vanished::Delete => None,
    }
}

fn mark_declared((name, value_type): (&str, ValueType)) -> String {
    let default = if value_type == ValueType::Boolean { " NOT NULL DEFAULT 0" } else { "" };
    format!("{} {}{default}", sql::quoted(name), declared(value_type))
}

/// The type under which a column is declared.
fn declared(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Integer | ValueType::Boolean => "INTEGER",
        ValueType::Float => "REAL",
        ValueType::Text
        | ValueType::Decimal { .. }
        | ValueType::Date
        | ValueType::Time
        | ValueType::Timestamp
        | ValueType::Uuid
        | ValueType::Json => "TEXT",
    }
}

/// Names that no table of SQLite can have.
fn names(spec: &TableSpec, loads_table: &str) -> Vec<String> {
    let mut differences = Vec::new();
    let shown = |name: &str| printable::short(name, 100);
    if spec.table.eq_ignore_ascii_case(loads_table) {
        differences.push(format!(
            "`{}` is the table in which loads are remembered: give the mapping another table",
            shown(&spec.table)
        ));
    }
    if spec.table.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_")) {
        differences.push(format!(
            "`{}` cannot be a table's name, as SQLite keeps names with `sqlite_` for itself: choose another one",
            shown(&spec.table)
        ));
    }
    let own = spec.columns.iter().map(|column| column.name.as_str());
    for name in std::iter::once(spec.table.as_str()).chain(own).chain(mark(spec).map(|(name, _)| name)) {
        if name.is_empty() || name.contains('\0') {
            differences.push(format!("`{}` cannot be a name in SQLite: choose another one", shown(name)));
        }
    }
    for (at, column) in spec.columns.iter().enumerate() {
        if let Some(other) = spec.columns.iter().take(at).find(|o| o.name.eq_ignore_ascii_case(&column.name))
        {
            differences.push(format!(
                "`{}` and `{}` are one column to SQLite: rename one of them",
                shown(&other.name),
                shown(&column.name)
            ));
        }
    }
    differences
}

fn missing(spec: &TableSpec, tables: Vec<String>) -> String {
    let nearest = nearest(&spec.table, tables.iter().map(String::as_str));
    let hint =
        nearest.map_or_else(String::new, |name| format!(" (there is `{}`)", printable::short(name, 100)));
    format!(
        "table `{}` does not exist{hint}: correct `table`, or set `create = true`",
        printable::short(&spec.table, 100)
    )
}

fn table(shape: &Shape, spec: &TableSpec) -> Vec<String> {
    let table = printable::short(&shape.name, 100);
    match shape.kind {
        Kind::Table => {}
        Kind::View => return vec![format!("`{table}` is a view: name the table behind it")],
        Kind::Virtual => return vec![format!("`{table}` is a virtual table: name an ordinary one")],
    }
    let mut differences = Vec::new();
    if shape.triggers && shape.on_conflict {
        differences.push(format!(
            "table `{table}` has triggers and an ON CONFLICT clause, which could replace or drop rows without a word: take one of them out of its definition"
        ));
    }
    for column in &spec.columns {
        match shape.column(&column.name).and_then(|at| shape.columns.get(at)) {
            Some(stored) => differences.extend(difference(shape, column, stored)),
            None => differences.push(missing_column(shape, column)),
        }
    }
    for stored in &shape.columns {
        let mapped = spec.columns.iter().any(|column| column.name.eq_ignore_ascii_case(&stored.name));
        if !mapped && stored.not_null && !stored.has_default && !stored.generated {
            differences.push(format!(
                "column `{}` of the table must have a value (NOT NULL, no default), but the mapping does not write it: map it, or give it a default",
                printable::short(&stored.name, 100)
            ));
        }
    }
    differences.extend(mark(spec).and_then(|mark| mark_difference(shape, spec, mark)));
    differences.extend(key(shape, spec));
    differences
}

/// The column of marks must be there, take them, and take NULL or 0 again.
fn mark_difference(shape: &Shape, spec: &TableSpec, (name, value_type): (&str, ValueType)) -> Option<String> {
    let (table, shown) = (printable::short(&shape.name, 100), printable::short(name, 100));
    if spec.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)) {
        return Some(format!(
            "`{shown}` cannot be a column of the mapping and the mark of rows that vanished"
        ));
    }
    let Some(stored) = shape.column(name).and_then(|at| shape.columns.get(at)) else {
        return Some(format!(
            "table `{table}` has no column `{shown}` in which rows that vanished could be marked: correct its name, or add it to the table (type {})",
            declared(value_type)
        ));
    };
    let cannot = if stored.generated {
        "is computed by the database"
    } else if effect(value_type, stored.affinity, shape.strict, &stored.declared).is_some() {
        "is not declared so that it takes marks"
    } else if stored.not_null && value_type != ValueType::Boolean {
        "must have a value (NOT NULL), so that no mark could be taken off again"
    } else {
        return None;
    };
    Some(format!(
        "column `{shown}` of the table, in which rows that vanished are marked, {cannot}: declare it {}, or name another one",
        declared(value_type)
    ))
}

/// What SQLite says to the statements of a load, which pull in the table's triggers and foreign keys.
fn uncompilable(
    connection: &Connection,
    shape: &Shape,
    spec: &TableSpec,
) -> rusqlite::Result<Option<String>> {
    let columns: Vec<&str> = spec.columns.iter().map(|column| column.name.as_str()).collect();
    let set: Vec<(&str, bool)> = columns.iter().map(|name| (*name, false)).collect();
    let deletes = spec.mirror.as_ref().is_some_and(|mirror| mirror.vanished == Vanished::Delete);
    for statement in [
        Some(sql::insert(&shape.name, &columns, 1, OnConflict::Unsaid)),
        Some(sql::update(&shape.name, &set, None, &columns, OnConflict::Unsaid)),
        deletes.then(|| format!("DELETE FROM {}", sql::quoted(&shape.name))),
    ]
    .iter()
    .flatten()
    {
        match connection.prepare(statement).map(drop) {
            Err(error) if errors::is_in_statement(&error) => {
                return Ok(Some(format!(
                    "no row can be written to table `{}` as it stands ({}): repair its triggers and foreign keys",
                    printable::short(&shape.name, 100),
                    printable::short(errors::text(&error), 200)
                )));
            }
            other => other?,
        }
    }
    Ok(None)
}

fn missing_column(shape: &Shape, column: &TargetColumn) -> String {
    let nearest = nearest(&column.name, shape.columns.iter().map(|stored| stored.name.as_str()));
    let hint =
        nearest.map_or_else(String::new, |name| format!(" (there is `{}`)", printable::short(name, 100)));
    format!(
        "table `{}` has no column `{}`{hint}: correct its name, take it out of the mapping, or add it to the table (type {})",
        printable::short(&shape.name, 100),
        printable::short(&column.name, 100),
        declared(column.value_type)
    )
}

fn difference(shape: &Shape, column: &TargetColumn, stored: &StoredColumn) -> Vec<String> {
    let name = printable::short(&column.name, 100);
    if stored.generated {
        return vec![format!("column `{name}` is computed by the database: take it out of the mapping")];
    }
    let mut differences = Vec::new();
    if let Some(effect) = effect(column.value_type, stored.affinity, shape.strict, &stored.declared) {
        let as_declared = match stored.declared.as_str() {
            "" => "without a type".to_owned(),
            declared => printable::short(declared, 60),
        };
        differences.push(format!(
            "column `{name}` is declared {as_declared}, where {} {effect}: declare it {} in the table, or correct its `type` in the mapping",
            described(column.value_type),
            declared(column.value_type),
        ));
    }
    if stored.not_null && !column.required {
        differences.push(format!(
            "column `{name}` of the table must have a value (NOT NULL), but the mapping lets it be missing: add `required = true` or a `default`"
        ));
    }
    differences
}

fn described(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Text => "a text",
        ValueType::Integer => "a whole number",
        ValueType::Decimal { .. } => "a decimal, which is kept as text to stay exact,",
        ValueType::Float => "a float",
        ValueType::Boolean => "a boolean, which is kept as 0 or 1,",
        ValueType::Date => "a date, which is kept as text,",
        ValueType::Time => "a time, which is kept as text,",
        ValueType::Timestamp => "a timestamp, which is kept as text,",
        ValueType::Uuid => "a uuid, which is kept as text,",
        ValueType::Json => "a JSON text",
    }
}

/// What a declared type does to values of a type; none when they stay what they are.
fn effect(value_type: ValueType, affinity: Affinity, strict: bool, declared: &str) -> Option<&'static str> {
    // In a STRICT table the declared type is one of six words, and only ANY takes everything.
    if strict {
        let fits = match affinity {
            Affinity::Blob => declared.eq_ignore_ascii_case("ANY"),
            Affinity::Integer | Affinity::Numeric => {
                matches!(value_type, ValueType::Integer | ValueType::Boolean)
            }
            Affinity::Real => value_type == ValueType::Float,
            Affinity::Text => {
                !matches!(value_type, ValueType::Integer | ValueType::Boolean | ValueType::Float)
            }
        };
        return if fits { None } else { Some("would be refused or changed") };
    }
    match (value_type, affinity) {
        (_, Affinity::Blob) => None,
        (ValueType::Text | ValueType::Json, Affinity::Text) => None,
        (ValueType::Text, _) => Some("that looks like a number would become one (00123 would become 123)"),
        (ValueType::Json, _) => Some("that is a number would not be kept as written (1.0 would become 1)"),
        (ValueType::Decimal { .. }, Affinity::Text) => None,
        (ValueType::Decimal { .. }, _) => Some("would become a float and lose digits"),
        // Their texts never look like numbers, so that they stay what they are in a column declared DATE or DATETIME.
        (ValueType::Date | ValueType::Time | ValueType::Timestamp | ValueType::Uuid, _) => None,
        (ValueType::Integer | ValueType::Boolean, Affinity::Integer | Affinity::Numeric) => None,
        (ValueType::Integer | ValueType::Boolean, Affinity::Real) => Some("would become a float"),
        (ValueType::Float, Affinity::Real | Affinity::Numeric) => None,
        (ValueType::Float, Affinity::Integer) => Some("does not belong"),
        (ValueType::Integer | ValueType::Boolean | ValueType::Float, Affinity::Text) => {
            Some("would become text")
        }
    }
}

/// Rows are found by their key, so the table must promise that a key stands there once, and must take those keys for
/// different that the mapping takes for different.
fn key(shape: &Shape, spec: &TableSpec) -> Vec<String> {
    let names: Vec<&str> =
        spec.key.iter().filter_map(|at| spec.columns.get(*at)).map(|c| c.name.as_str()).collect();
    let Some(columns) = names.iter().map(|name| shape.column(name)).collect::<Option<Vec<usize>>>() else {
        return Vec::new(); // named as missing already
    };
    let mut differences = Vec::new();
    for stored in columns.iter().filter_map(|at| shape.columns.get(*at)) {
        if !shape::is_binary(&stored.collation) {
            differences.push(format!(
                "column `{}` compares texts by the collation {}, under which keys that differ in the file can be one key in the table: declare it COLLATE BINARY",
                printable::short(&stored.name, 100),
                printable::short(&stored.collation, 100)
            ));
        }
    }
    match shape.unique_on(&columns) {
        Some(unique) if unique.binary => {}
        Some(_) => differences.push(format!(
            "the unique index on the key ({}) does not compare texts bytewise: make one with COLLATE BINARY",
            printable::short(&names.join(", "), 200)
        )),
        None => differences.push(format!(
            "table `{}` has no primary key or unique index on exactly the key ({}), without a condition: run CREATE UNIQUE INDEX on these columns, or correct `key`",
            printable::short(&shape.name, 100),
            printable::short(&names.join(", "), 200)
        )),
    }
    differences
}
