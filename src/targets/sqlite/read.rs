//! A table as others look things up in it: some columns of all its rows, as texts.

use std::borrow::Cow;

use rusqlite::{Connection, types::ValueRef};

use super::{
    errors::Faults,
    shape::{self, Affinity, StoredColumn},
    sql,
};
use crate::{
    model::printable,
    targets::{Compares, ReadSpec, RowSink, TargetError},
};

/// Reads the table through a connection whose read transaction is open.
pub(super) fn read(
    connection: &Connection,
    faults: &Faults,
    spec: ReadSpec<'_>,
    sink: &mut dyn RowSink,
) -> Result<(), TargetError> {
    let fault = |error: rusqlite::Error| faults.fault(&error);
    let shown = |name: &str| printable::short(name, 100);
    let Some(shape) = shape::read(connection, spec.table).map_err(fault)? else {
        return Err(TargetError::NoTable(format!(
            "there is no table `{}` in the {}",
            shown(spec.table),
            faults.database()
        )));
    };
    let mut columns: Vec<&StoredColumn> = Vec::with_capacity(spec.columns.len());
    let mut missing = Vec::new();
    for name in spec.columns {
        match shape.column(name).and_then(|index| shape.columns.get(index)) {
            Some(column) => columns.push(column),
            None => missing.push(format!(
                "the table `{}` in the {} has no column `{}`",
                shown(spec.table),
                faults.database(),
                shown(name)
            )),
        }
    }
    if !missing.is_empty() {
        return Err(TargetError::Misfit(missing));
    }
    sink.begin(&columns.iter().map(|column| compares(column)).collect::<Vec<_>>());
    let names = columns.iter().map(|column| column.name.as_str());
    let query = format!("SELECT {} FROM {}", sql::quoted_list(names), sql::quoted(&shape.name));
    let mut statement = connection.prepare(&query).map_err(fault)?;
    let mut rows = statement.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let mut texts = Vec::with_capacity(columns.len());
        for index in 0..columns.len() {
            texts.push(text(row.get_ref(index).map_err(fault)?));
        }
        let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
        if sink.row(&texts).is_break() {
            break;
        }
    }
    Ok(())
}

/// How the values of a column compare. SQLite has no days and instants: they are texts under a name that says so.
fn compares(column: &StoredColumn) -> Compares {
    let declared = column.declared.to_ascii_uppercase();
    if declared.contains("TIMESTAMP") || declared.contains("DATETIME") {
        return Compares::Timestamp;
    }
    if declared.starts_with("DATE") {
        return Compares::Date;
    }
    match column.affinity {
        Affinity::Integer | Affinity::Numeric | Affinity::Real => Compares::Number,
        // Decimals that a load wrote are texts too, each in its one form.
        Affinity::Text | Affinity::Blob => Compares::Text,
    }
}

/// A stored value as text; none for NULL, and for bytes, which are no text.
fn text(value: ValueRef<'_>) -> Option<Cow<'_, str>> {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => None,
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) => Some(number.to_string().into()),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes)),
    }
}
