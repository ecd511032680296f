//! Mode mirror: which rows the file has, and having the others vanish.
//!
//! Each row that the look for keys finds is remembered, and so is each new one; afterwards the table is gone through once,
//! and what was not remembered vanishes. A row is known by the number that SQLite gives it, which comes with the look at
//! no cost, or where that may change under us by its key.

use std::sync::Arc;

use arrow_array::RecordBatch;
use rusqlite::{Connection, Result, Row, types::ValueRef};

use super::{
    errors::Faults,
    load::contract,
    lookup::{Lookup, Terms},
    plan::{Known, Plan, Purpose},
    scopes::Scopes,
    shape::Shape,
    sql, stored,
};
use crate::{
    model::value::{ValueType, temporal},
    targets::{
        Difference, DifferenceKind, Mirror, TableSpec, TargetError, Vanished, Vanishing,
        row_set::{RowSet, bind},
    },
};

/// By what a row is known while a file is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// By the number that SQLite gives it, under this name.
    Number(&'static str),
    /// By its key.
    Key,
}

impl Identity {
    /// Of the rows of a table that fits `spec`; none where nothing vanishes.
    pub(super) fn of(connection: &Connection, spec: &TableSpec, shape: &Shape) -> Result<Option<Self>> {
        if spec.mirror.is_none() {
            return Ok(None);
        }
        // What triggers do with rows is not known, and the number is written by the mapping where it is a column of it
        // that is not the key.
        let number = shape.rowid.filter(|_| !shape.triggers && !sets_number(spec, shape));
        let Some(name) = number else { return Ok(Some(Self::Key)) };
        let largest: Option<i64> = connection.query_row(
            &format!("SELECT max({name}) FROM {}", sql::quoted(&shape.name)),
            [],
            |row| row.get(0),
        )?;
        // New rows are counted on from the largest number, until there is no larger one.
        let has_room = largest.is_none_or(|largest| largest < i64::MAX / 2);
        Ok(Some(if has_room { Self::Number(name) } else { Self::Key }))
    }
}

fn sets_number(spec: &TableSpec, shape: &Shape) -> bool {
    let alias = shape.alias.and_then(|at| shape.columns.get(at));
    let mapped = |name: &str| spec.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    alias.and_then(|alias| mapped(&alias.name)).is_some_and(|column| !spec.key.contains(&column))
}

/// The expression that says whether a stored row is marked, and the assignment that takes the mark off.
pub(super) fn mark_words(mirror: &Mirror) -> Option<(String, String)> {
    let Vanished::Mark { column, value_type } = &mirror.vanished else { return None };
    let name = sql::quoted(column);
    Some(match value_type {
        ValueType::Boolean => (format!("coalesce({name}, 0) <> 0"), format!("{name} = 0")),
        _ => (format!("{name} IS NOT NULL"), format!("{name} = NULL")),
    })
}

/// What the file has of a table, while it is loaded or compared.
pub(super) struct Mirroring {
    identity: Identity,
    /// How the keys of rejected records are looked up.
    keys: Arc<Plan>,
    /// The rows that the file has, those of rejected records too.
    present: RowSet,
    /// Rows found that were not marked.
    found: u64,
    scopes: Scopes,
    /// The rows that vanish, once they have been looked for.
    gone: RowSet,
    scan: String,
    remove: String,
    /// What the mark is set to.
    mark: Option<ValueType>,
    /// Reads the key of a row, in the mapping's order, for people.
    read_key: String,
    key_types: Vec<ValueType>,
    id_columns: usize,
}

impl Mirroring {
    /// For the table that `plan` reads. `most_bytes` is the memory for each of the two sets of rows. None when nothing can
    /// vanish: another mode, or an empty table.
    pub(super) fn new(
        spec: &TableSpec,
        known: &Known<'_>,
        plan: &Plan,
        most_bytes: u64,
    ) -> std::result::Result<Option<Self>, TargetError> {
        let (Some(mirror), Some(identity), false) = (&spec.mirror, known.identity, known.empty) else {
            return Ok(None);
        };
        let shape = known.shape;
        let fault = |error: rusqlite::Error| {
            TargetError::Lasting(format!("rows cannot be remembered in a temporary file: {error}"))
        };
        let keys = Plan::new(spec, known, plan.key_schema(), Purpose::Presence)?;
        let key = plan.key_names();
        let id: Vec<String> = match identity {
            Identity::Number(name) => vec![name.to_owned()],
            Identity::Key => key.iter().map(|name| sql::quoted(name)).collect(),
        };
        let set = || match identity {
            Identity::Number(_) => Ok(RowSet::of_numbers(most_bytes)),
            Identity::Key => RowSet::of_values(id.len(), most_bytes),
        };
        let scope = columns(spec, shape, &mirror.scope);
        let marked = mark_words(mirror);
        let unmarked = marked.map(|(marked, _)| format!(" AND NOT ({marked})")).unwrap_or_default();
        let is_row = key
            .iter()
            .map(|name| format!("{} IS NOT NULL", sql::quoted(name)))
            .collect::<Vec<_>>()
            .join(" AND ");
        let by_id = id.iter().map(|name| format!("{name} = ?")).collect::<Vec<_>>().join(" AND ");
        let table = sql::quoted(&shape.name);
        let picked = id.iter().cloned().chain(scope.iter().map(|(name, _)| sql::quoted(name)));
        let read = columns(spec, shape, &spec.key);
        Ok(Some(Self {
            present: set().map_err(fault)?,
            gone: set().map_err(fault)?,
            found: 0,
            scopes: Scopes::new(plan.places(scope.iter().map(|(name, of)| (*name, *of)))),
            scan: format!(
                "SELECT {} FROM {table} WHERE {is_row}{unmarked}",
                picked.collect::<Vec<_>>().join(", ")
            ),
            remove: match &mirror.vanished {
                Vanished::Delete => format!("DELETE FROM {table} WHERE {by_id}"),
                Vanished::Mark { column, .. } => {
                    format!("UPDATE {table} SET {} = ? WHERE {by_id}", sql::quoted(column))
                }
            },
            mark: match &mirror.vanished {
                Vanished::Delete => None,
                Vanished::Mark { value_type, .. } => Some(*value_type),
            },
            read_key: format!(
                "SELECT {} FROM {table} WHERE {by_id}",
                sql::quoted_list(read.iter().map(|(name, _)| *name))
            ),
            key_types: read.iter().map(|(_, of)| *of).collect(),
            id_columns: id.len(),
            identity,
            keys: Arc::new(keys),
        }))
    }

    /// The file has the rows of this batch.
    pub(super) fn batch(&mut self, lookup: &Lookup<'_>) -> Result<()> {
        self.scopes.add(lookup.cells, lookup.rows as usize);
        self.add_keys(lookup)
    }

    fn add_keys(&mut self, lookup: &Lookup<'_>) -> Result<()> {
        if self.identity == Identity::Key {
            let keys = lookup.keys();
            for row in 0..lookup.rows as usize {
                if keys.values(row).all(|value| value != ValueRef::Null) {
                    self.present.add(keys.values(row))?;
                }
            }
        }
        Ok(())
    }

    /// The table has this row, and so has the file.
    pub(super) fn found(&mut self, terms: &Terms, stored: &Row<'_>) -> Result<()> {
        self.found += u64::from(!terms.is_marked(stored)?);
        if let Identity::Number(_) = self.identity {
            self.present.add(std::iter::once(ValueRef::Integer(terms.number_of(stored)?)))?;
        }
        Ok(())
    }

    /// New rows have these numbers.
    pub(super) fn inserted(&mut self, numbers: std::ops::RangeInclusive<i64>) -> Result<()> {
        if let Identity::Number(_) = self.identity {
            for number in numbers {
                self.present.add(std::iter::once(ValueRef::Integer(number)))?;
            }
        }
        Ok(())
    }

    /// The file has rows with these keys, although they are not loaded.
    pub(super) fn rejected(
        &mut self,
        connection: &Connection,
        keys: &RecordBatch,
        faults: &Faults,
    ) -> std::result::Result<(), TargetError> {
        let plan = Arc::clone(&self.keys);
        let cells = plan.arrays(keys)?;
        let rows = u32::try_from(keys.num_rows()).map_err(|_| contract("a batch is too large"))?;
        let lookup = Lookup { cells: &cells, rows, terms: &plan.terms };
        let decided = lookup
            .decide(connection, &plan.finder, &mut |_, stored, _| self.found(&plan.terms, stored))
            .and_then(|_| self.add_keys(&lookup));
        decided.map_err(|error| faults.fault(&error))
    }

    /// Looks for the rows that the file does not have. None when it has too many scopes.
    pub(super) fn look(&mut self, connection: &Connection) -> Result<Option<Vanishing>> {
        if self.scopes.are_too_many() {
            return Ok(None);
        }
        let mut scan = connection.prepare(&self.scan)?;
        let columns = scan.column_count();
        let mut rows = scan.query([])?;
        let value = |row: &Row<'_>, at: usize| -> Result<()> { row.get_ref(at).map(drop) };
        while let Some(row) = rows.next()? {
            (0..columns).try_for_each(|at| value(row, at))?;
            let of =
                |range: std::ops::Range<usize>| range.map(|at| row.get_ref(at).unwrap_or(ValueRef::Null));
            if !self.present.has(of(0..self.id_columns))? && self.scopes.has(of(self.id_columns..columns)) {
                self.gone.add(of(0..self.id_columns))?;
            }
        }
        let rows = self.gone.len()?;
        Ok(Some(Vanishing { rows, of: self.found + rows }))
    }

    /// Has the rows vanish that were looked for, and says how many did: a trigger may keep some. `unix_millis` is the time
    /// of the delivery.
    pub(super) fn carry_out(&self, connection: &Connection, unix_millis: u64) -> Result<u64> {
        let mut text = String::new();
        let micros = i64::try_from(unix_millis).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
        let mark = match self.mark {
            None => None,
            Some(ValueType::Boolean) => Some(ValueRef::Integer(1)),
            Some(_) => {
                temporal::timestamp_text(micros, &mut text);
                Some(ValueRef::Text(text.as_bytes()))
            }
        };
        let mut remove = connection.prepare(&self.remove)?;
        let mut vanished = 0;
        self.gone.each(|id| -> Result<()> {
            bind(&mut remove, mark.into_iter().chain(id.iter().copied()))?;
            vanished += remove.raw_execute()? as u64;
            Ok(())
        })?;
        Ok(vanished)
    }

    /// Tells the rows that were looked for.
    pub(super) fn tell(&self, connection: &Connection, tell: &mut dyn FnMut(Difference)) -> Result<()> {
        let mut read = connection.prepare(&self.read_key)?;
        self.gone.each(|id| -> Result<()> {
            bind(&mut read, id.iter().copied())?;
            let mut rows = read.raw_query();
            let Some(row) = rows.next()? else { return Ok(()) };
            let key =
                self.key_types.iter().enumerate().map(|(at, value_type)| {
                    Ok(stored::text(row.get_ref(at)?, *value_type).unwrap_or_default())
                });
            let key = key.collect::<Result<_>>()?;
            tell(Difference { origin: None, kind: DifferenceKind::Delete, key, changes: Vec::new() });
            Ok(())
        })
    }
}

/// Columns of the spec by the names that the table has for them, with their types.
fn columns<'a>(spec: &'a TableSpec, shape: &'a Shape, picked: &[usize]) -> Vec<(&'a str, ValueType)> {
    let of = |at: &usize| {
        let column = spec.columns.get(*at)?;
        let stored = shape.column(&column.name).and_then(|at| shape.columns.get(at))?;
        Some((stored.name.as_str(), column.value_type))
    };
    picked.iter().filter_map(of).collect()
}
