//! Whether a table fits its mapping, and making the table that does. Every difference is named at once, each with what to do.

use tokio_postgres::types::Type;

use super::{
    errors::{Failure, Faults},
    kinds,
    loads::Loads,
    name::TableName,
    session::Session,
    shape::{self, Kind, Shape, StoredColumn},
};
use crate::{
    model::{printable, value::ValueType},
    targets::{
        Fit, Mode, TableSpec, TargetColumn, Vanished, WriteWhen,
        identifier::{nearest, quoted, quoted_list},
    },
};

/// PostgreSQL cuts off what is longer (NAMEDATALEN).
const MOST_NAME_BYTES: usize = 63;

/// What was found out about a table.
pub(super) struct Looked {
    /// Whether it fits.
    pub fit: Fit,
    /// The table, where there is one.
    pub shape: Option<Shape>,
}

/// What a table is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Rows will be written.
    Load,
    /// They will be compared with it, for which it is enough to read it.
    Comparison,
}

/// Compares the table with what the mapping wants; `loads` is the table in which loads are remembered.
pub(super) fn look(
    session: &Session,
    spec: &TableSpec,
    (loads, purpose): (Loads<'_>, Purpose),
    faults: &Faults,
) -> Result<Looked, Failure> {
    let name = TableName::of(&spec.table);
    let mut differences = names(spec, loads);
    let mut shape = None;
    let mut creates = false;
    if differences.is_empty() {
        shape = shape::read(session, name)?;
        match &shape {
            Some(shape) => {
                differences = table(shape, (spec, purpose), faults);
            }
            None if spec.create => {
                creates = true;
                if purpose == Purpose::Load {
                    differences.extend(cannot_create(session, name, faults)?);
                }
            }
            None => differences.push(missing(spec, shape::table_names(session, name.schema)?)),
        }
        if purpose == Purpose::Load {
            differences.extend(cannot_stage(session, faults)?);
            differences.extend(loads.lacking(session, faults)?);
        }
    }
    let fit = match (differences.is_empty(), creates) {
        (true, true) => Fit::WouldCreate,
        (true, false) => Fit::Fits,
        (false, _) => Fit::Misfit(differences),
    };
    Ok(Looked { fit, shape })
}

/// Creates the table of a mapping.
pub(super) fn create(session: &Session, spec: &TableSpec) -> Result<(), Failure> {
    session.run(&ddl(spec))
}

/// The statement that creates the table of a mapping.
pub(super) fn ddl(spec: &TableSpec) -> String {
    let key: Vec<&str> =
        spec.key.iter().filter_map(|at| spec.columns.get(*at)).map(|c| c.name.as_str()).collect();
    let columns = spec.columns.iter().enumerate().map(|(at, column)| {
        let not_null = if column.required || spec.key.contains(&at) { " NOT NULL" } else { "" };
        format!("{} {}{not_null}", quoted(&column.name), kinds::declared(column.value_type))
    });
    let columns: Vec<String> = columns.chain(mark(spec).map(mark_declared)).collect();
    format!(
        "CREATE TABLE {} ({}, PRIMARY KEY ({}))",
        TableName::of(&spec.table).quoted(),
        columns.join(", "),
        quoted_list(key)
    )
}

/// The column in which rows that vanished are marked, and its type.
fn mark(spec: &TableSpec) -> Option<(&str, ValueType)> {
    match &spec.mirror.as_ref()?.vanished {
        Vanished::Mark { column, value_type } => Some((column, *value_type)),
        Vanished::Delete => None,
    }
}

/// Rows that the file does not have are deleted.
fn deletes(spec: &TableSpec) -> bool {
    spec.mirror.as_ref().is_some_and(|mirror| mirror.vanished == Vanished::Delete)
}

fn mark_declared((name, value_type): (&str, ValueType)) -> String {
    let default = if value_type == ValueType::Boolean { " NOT NULL DEFAULT false" } else { "" };
    format!("{} {}{default}", quoted(name), kinds::declared(value_type))
}

/// Names that no table of PostgreSQL can have.
fn names(spec: &TableSpec, loads: Loads<'_>) -> Vec<String> {
    let shown = |name: &str| printable::short(name, 100);
    let mut differences = Vec::new();
    if loads.is(&spec.table) {
        differences.push(format!(
            "`{}` is the table in which loads are remembered: give the mapping another table",
            shown(&spec.table)
        ));
    }
    let name = TableName::of(&spec.table);
    let own = spec.columns.iter().map(|column| column.name.as_str());
    let parts = [Some(name.table), name.schema].into_iter().flatten();
    for name in parts.chain(own).chain(mark(spec).map(|(name, _)| name)) {
        if name.is_empty() || name.contains('\0') {
            differences.push(format!("`{}` cannot be a name in PostgreSQL: choose another one", shown(name)));
        } else if name.len() > MOST_NAME_BYTES {
            differences.push(format!(
                "`{}` is longer than the {MOST_NAME_BYTES} bytes that PostgreSQL keeps of a name: choose a shorter one",
                shown(name)
            ));
        }
    }
    differences
}

fn missing(spec: &TableSpec, tables: Vec<String>) -> String {
    let name = TableName::of(&spec.table);
    let nearest = nearest(name.table, tables.iter().map(String::as_str));
    let hint =
        nearest.map_or_else(String::new, |name| format!(" (there is `{}`)", printable::short(name, 100)));
    format!(
        "table `{}` does not exist{hint}: correct `table`, or set `create = true`",
        printable::short(&spec.table, 100)
    )
}

/// Why this user cannot create the table.
fn cannot_create(session: &Session, name: TableName<'_>, faults: &Faults) -> Result<Option<String>, Failure> {
    let found = session.rows(
        "SELECT nspname::text, has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE')
         FROM pg_catalog.pg_namespace WHERE nspname = coalesce($1, current_schema()::text)",
        &[(&name.schema, Type::TEXT)],
    )?;
    let Some(row) = found.first() else {
        return Ok(Some(match name.schema {
            Some(schema) => format!(
                "schema `{}` does not exist: run CREATE SCHEMA {}, or correct `table`",
                printable::short(schema, 100),
                quoted(schema)
            ),
            None => "no schema of the search path exists, so that no table can be created: name one, as in \
                     `schema.table`"
                .to_owned(),
        }));
    };
    let (schema, may): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
    if may {
        return Ok(None);
    }
    Ok(Some(format!(
        "this user may not create tables in schema `{}`: run GRANT CREATE, USAGE ON SCHEMA {} TO {}",
        printable::short(&schema, 100),
        quoted(&schema),
        faults.grantee()
    )))
}

/// Rows that meet others wait in a temporary table.
fn cannot_stage(session: &Session, faults: &Faults) -> Result<Option<String>, Failure> {
    let row = session.row(
        "SELECT has_database_privilege(current_database(), 'TEMPORARY'), quote_ident(current_database())",
        &[],
    )?;
    let (may, database): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok((!may).then(|| {
        format!(
            "this user may not make temporary tables, in which rows are held against those of the table: run GRANT \
             TEMPORARY ON DATABASE {database} TO {}",
            faults.grantee()
        )
    }))
}

fn table(shape: &Shape, (spec, purpose): (&TableSpec, Purpose), faults: &Faults) -> Vec<String> {
    let table = printable::short(&spec.table, 100);
    match shape.kind {
        Kind::Table => {}
        Kind::View if shape.is_writable => {}
        Kind::View => {
            return vec![format!(
                "rows cannot be written to the view `{table}`: give it INSTEAD OF triggers for INSERT and UPDATE, or \
                 name the table behind it"
            )];
        }
        Kind::Foreign => {
            return vec![format!(
                "`{table}` is a table of another server: load into that server, or name an ordinary table"
            )];
        }
        Kind::Other => return vec![format!("`{table}` is no table that rows can be written to: name one")],
    }
    let mut differences = Vec::new();
    if shape.has_rules {
        differences.push(format!(
            "table `{table}` has rules (CREATE RULE) that write something else instead, so that nobody could tell what \
             became of a row: use triggers"
        ));
    }
    if shape.kind == Kind::View && deletes(spec) && !shape.is_deletable {
        differences.push(format!(
            "rows of the view `{table}` cannot be deleted: give it an INSTEAD OF trigger for DELETE, or have rows marked \
             (`vanished`)"
        ));
    }
    differences.extend(lacking_privileges(shape, (spec, purpose), faults));
    for column in &spec.columns {
        match shape.column(&column.name) {
            Some(stored) => differences.extend(difference(shape, spec, column, stored)),
            None => differences.push(missing_column(shape, column)),
        }
    }
    for stored in &shape.columns {
        let mapped = spec.columns.iter().any(|column| column.name == stored.name);
        if !mapped && stored.not_null && !stored.has_default && !stored.is_generated {
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

/// What this user may not do and has to, with the statement that helps.
fn lacking_privileges(shape: &Shape, (spec, purpose): (&TableSpec, Purpose), faults: &Faults) -> Vec<String> {
    let mut differences = Vec::new();
    if !shape.may_use_schema {
        differences.push(format!(
            "this user may not use schema `{}`: run GRANT USAGE ON SCHEMA {} TO {}",
            printable::short(&shape.schema, 100),
            quoted(&shape.schema),
            faults.grantee()
        ));
    }
    let mapped: Vec<&StoredColumn> =
        spec.columns.iter().filter_map(|column| shape.column(&column.name)).collect();
    let marked = mark(spec).and_then(|(name, _)| shape.column(name));
    let updates = spec.mode != Mode::Insert;
    let mut lacking = Vec::new();
    if !mapped.iter().copied().chain(marked).all(|column| column.may.select) {
        lacking.push("SELECT");
    }
    if purpose == Purpose::Load {
        if !mapped.iter().all(|column| column.may.insert) {
            lacking.push("INSERT");
        }
        if updates && !mapped.iter().copied().chain(marked).all(|column| column.may.update) {
            lacking.push("UPDATE");
        }
        if deletes(spec) && !shape.may_delete {
            lacking.push("DELETE");
        }
    }
    if !lacking.is_empty() {
        differences.push(format!(
            "this user lacks privileges on table `{}`: run GRANT {} ON {} TO {}",
            printable::short(&spec.table, 100),
            lacking.join(", "),
            shape.quoted(),
            faults.grantee()
        ));
    }
    differences
}

/// The column of marks must be there, take them, and take NULL or false again.
fn mark_difference(shape: &Shape, spec: &TableSpec, (name, value_type): (&str, ValueType)) -> Option<String> {
    let (table, shown) = (printable::short(&shape.name, 100), printable::short(name, 100));
    if spec.columns.iter().any(|column| column.name == name) {
        return Some(format!(
            "`{shown}` cannot be a column of the mapping and the mark of rows that vanished"
        ));
    }
    let declared = kinds::declared(value_type);
    let Some(stored) = shape.column(name) else {
        return Some(format!(
            "table `{table}` has no column `{shown}` in which rows that vanished could be marked: correct its name, or add it to the table (type {declared})"
        ));
    };
    let takes = match value_type {
        ValueType::Boolean => stored.type_name == "bool",
        _ => matches!(stored.type_name.as_str(), "timestamptz" | "timestamp"),
    };
    let cannot = if stored.is_generated {
        "is computed by the database"
    } else if !takes {
        "is not declared so that it takes marks"
    } else if stored.not_null && value_type != ValueType::Boolean {
        "must have a value (NOT NULL), so that no mark could be taken off again"
    } else {
        return None;
    };
    Some(format!(
        "column `{shown}` of the table, in which rows that vanished are marked, {cannot}: declare it {declared}, or name another one"
    ))
}

fn missing_column(shape: &Shape, column: &TargetColumn) -> String {
    let nearest = nearest(&column.name, shape.columns.iter().map(|stored| stored.name.as_str()));
    let hint =
        nearest.map_or_else(String::new, |name| format!(" (there is `{}`)", printable::short(name, 100)));
    format!(
        "table `{}` has no column `{}`{hint}: correct its name, take it out of the mapping, or add it to the table (type {})",
        printable::short(&shape.name, 100),
        printable::short(&column.name, 100),
        kinds::declared(column.value_type)
    )
}

fn difference(shape: &Shape, spec: &TableSpec, column: &TargetColumn, stored: &StoredColumn) -> Vec<String> {
    let name = printable::short(&column.name, 100);
    let is_key = spec.key.iter().any(|at| spec.columns.get(*at).is_some_and(|key| key.name == column.name));
    if stored.is_generated {
        return vec![format!("column `{name}` is computed by the database: take it out of the mapping")];
    }
    let is_updated = spec.mode != Mode::Insert && !is_key && column.write == WriteWhen::Always;
    if stored.always_identity && is_updated {
        return vec![format!(
            "column `{name}` is numbered by the database (GENERATED ALWAYS): take it out of the mapping, or declare it \
             GENERATED BY DEFAULT"
        )];
    }
    let mut differences = Vec::new();
    if shape.kind == Kind::View && !stored.is_updatable {
        differences
            .push(format!("column `{name}` of the view cannot be written: take it out of the mapping"));
    }
    if let Err(effect) = kinds::form(column, stored) {
        differences.push(format!(
            "column `{name}` is declared {}, where {} {effect}: declare it {} in the table, or correct the column in the mapping",
            printable::short(&stored.declared, 60),
            kinds::described(column.value_type),
            kinds::declared(column.value_type),
        ));
    }
    if stored.not_null && !column.required {
        differences.push(format!(
            "column `{name}` of the table must have a value (NOT NULL), but the mapping lets it be missing: add `required = true` or a `default`"
        ));
    }
    differences
}

/// Rows are found by their key, so the table must promise that a key stands there once. What a view promises cannot be
/// known: keys that stand there more than once are found when rows are loaded.
fn key(shape: &Shape, spec: &TableSpec) -> Option<String> {
    if shape.kind == Kind::View {
        return None;
    }
    let names: Vec<&str> =
        spec.key.iter().filter_map(|at| spec.columns.get(*at)).map(|c| c.name.as_str()).collect();
    // A column that is not there is named as missing already.
    let columns: Vec<i16> =
        names.iter().map(|name| shape.column(name).map(|found| found.number)).collect::<Option<_>>()?;
    if shape.uniques_on(&columns).any(|unique| unique.is_sound) {
        return None;
    }
    let (table, key) = (printable::short(&shape.name, 100), printable::short(&names.join(", "), 200));
    Some(match shape.uniques_on(&columns).next() {
        Some(_) => format!(
            "the unique index on the key ({key}) of table `{table}` does not hold for all rows at every moment, as it is partial, deferrable or not valid: make one that does"
        ),
        None => format!(
            "table `{table}` has no primary key or unique index on exactly the key ({key}), without a condition: run CREATE UNIQUE INDEX ON {} ({}), or correct `key`",
            shape.quoted(),
            quoted_list(names.iter().copied())
        ),
    })
}
