//! A table as others look things up in it: some columns of all its rows, as texts.

use super::{
    canonical::{self, WRITING},
    errors::Faults,
    name::TableName,
    session::Session,
    shape::{self, Shape, StoredColumn},
};
use crate::{
    model::printable,
    targets::{ReadSpec, RowSink, TargetError, identifier::quoted},
};

/// Reads the table on a connection whose transaction sees it as it is at one moment.
pub(super) fn read(
    session: &Session,
    faults: &Faults,
    spec: ReadSpec<'_>,
    sink: &mut dyn RowSink,
) -> Result<(), TargetError> {
    let fault = |failure| faults.fault(&failure);
    let shape = shape::read(session, TableName::of(spec.table)).map_err(fault)?;
    let shape = shape.ok_or_else(|| {
        TargetError::NoTable(format!(
            "there is no table `{}` in the {}",
            printable::short(spec.table, 100),
            faults.database()
        ))
    })?;
    let columns = columns(&shape, faults, spec)?;
    sink.begin(&columns.iter().map(|column| canonical::compares(column)).collect::<Vec<_>>());
    let texts: Vec<String> = columns.iter().map(|column| format!("{}::text", quoted(&column.name))).collect();
    let query = format!("SELECT {} FROM {}", texts.join(", "), shape.quoted());
    session.run(WRITING).map_err(fault)?;
    let read = session.each(&query, &mut |row| {
        let mut values = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            let stored: Option<&str> = row.try_get(at)?;
            values.push(stored.map(|stored| canonical::plain(stored, column)));
        }
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        Ok(sink.row(&values))
    });
    read.map_err(fault)
}

/// The columns that are asked for; every one that is not there, or may not be read, is named.
fn columns<'s>(
    shape: &'s Shape,
    faults: &Faults,
    spec: ReadSpec<'_>,
) -> Result<Vec<&'s StoredColumn>, TargetError> {
    let shown = |name: &str| printable::short(name, 100);
    let mut columns = Vec::with_capacity(spec.columns.len());
    let mut missing = Vec::new();
    let mut hidden = !shape.may_use_schema;
    for name in spec.columns {
        match shape.column(name) {
            Some(column) => {
                hidden |= !column.may.select;
                columns.push(column);
            }
            None => missing.push(format!(
                "the table `{}` in the {} has no column `{}`",
                shown(spec.table),
                faults.database(),
                shown(name)
            )),
        }
    }
    if missing.is_empty() && hidden {
        missing.push(format!(
            "this user may not read table `{}` in the {}: run GRANT USAGE ON SCHEMA {} TO {grantee}; GRANT SELECT ON {} TO \
             {grantee}",
            shown(spec.table),
            faults.database(),
            quoted(&shape.schema),
            shape.quoted(),
            grantee = faults.grantee()
        ));
    }
    if missing.is_empty() { Ok(columns) } else { Err(TargetError::Misfit(missing)) }
}

/// The tables that the foreign keys of a table refer to: by their names alone where the search path finds them so, else with
/// their schemas.
pub(super) fn parents(session: &Session, faults: &Faults, table: &str) -> Result<Vec<String>, TargetError> {
    let fault = |failure| faults.fault(&failure);
    let Some(shape) = shape::read(session, TableName::of(table)).map_err(fault)? else {
        return Ok(Vec::new());
    };
    let rows = session.rows(
        "SELECT DISTINCT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname::text
                              ELSE n.nspname::text || '.' || c.relname::text END
         FROM pg_catalog.pg_constraint k
         JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_class r ON r.oid = k.conrelid
         JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace
         WHERE k.contype = 'f' AND s.nspname = $1::text AND r.relname = $2::text",
        &[
            (&shape.schema, tokio_postgres::types::Type::TEXT),
            (&shape.name, tokio_postgres::types::Type::TEXT),
        ],
    );
    let rows = rows.map_err(fault)?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| fault(error.into()))).collect()
}
