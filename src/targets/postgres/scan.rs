//! Mode mirror, without writing: which rows the file has, and going through the table for the others.

use std::ops::{ControlFlow, Range};

use arrow_array::RecordBatch;
use rusqlite::types::ValueRef;
use tokio_postgres::Row;

use super::{
    canonical::canonical,
    errors::Failure,
    plan::{Column, Plan},
    scopes::Scopes,
    session::Session,
};
use crate::{
    model::value::ValueType,
    targets::{
        Difference, DifferenceKind, Differences, Mode, TableSpec, TargetError, Vanishing, row_set::RowSet,
    },
};

/// What the file has of a table.
pub(super) struct Scan {
    /// The rows of the table that the file has, by their keys as texts.
    present: RowSet,
    /// Those of them that are not marked.
    found: u64,
    scopes: Scopes,
    query: String,
    /// The types of the key's columns.
    key: Vec<ValueType>,
    /// Their places among those, in the mapping's order.
    key_order: Vec<usize>,
}

impl Scan {
    /// None in other modes.
    pub(super) fn new(
        spec: &TableSpec,
        plan: &Plan,
        types: &[(String, ValueType)],
        most_bytes: u64,
    ) -> Result<Option<Self>, TargetError> {
        let Some(mirror) = spec.mirror.as_ref().filter(|_| spec.mode == Mode::Mirror) else {
            return Ok(None);
        };
        let place = |at: &usize| plan.columns.iter().position(|column| usize::from(column.spec) == *at);
        let scope: Vec<usize> = mirror.scope.iter().filter_map(place).collect();
        let texts = |column: &Column| format!("o.{}::text", column.name);
        let key: Vec<&Column> = plan.key().collect();
        let picked = scope.iter().filter_map(|at| plan.columns.get(*at)).map(texts);
        let select: Vec<String> = key.iter().copied().map(texts).chain(picked).collect();
        let present = RowSet::of_values(key.len(), most_bytes).map_err(|error| {
            TargetError::Lasting(format!("rows cannot be remembered in a temporary file: {error}"))
        })?;
        let in_mapping = spec.key.iter().filter_map(place);
        let places = plan.columns.iter().enumerate().filter(|(_, column)| column.is_key);
        let places: Vec<usize> = places.map(|(at, _)| at).collect();
        Ok(Some(Self {
            present,
            found: 0,
            query: format!("SELECT {} FROM {} o WHERE {}", select.join(", "), plan.table, plan.is_row()),
            scopes: Scopes::new(scope.iter().filter_map(|at| Some((*at, types.get(*at)?.1))).collect()),
            key_order: in_mapping.filter_map(|at| places.iter().position(|place| *place == at)).collect(),
            key: places.iter().filter_map(|at| types.get(*at)).map(|(_, of)| *of).collect(),
        }))
    }

    /// The file has these rows.
    pub(super) fn rows(&mut self, rows: &RecordBatch) {
        self.scopes.add(rows);
    }

    /// The table has this row, and so has the file.
    pub(super) fn found(&mut self, row: &Row, key: Range<usize>, is_marked: bool) -> Result<(), Failure> {
        self.found += u64::from(!is_marked);
        let mut texts: Vec<&str> = Vec::with_capacity(key.len());
        for at in key {
            texts.push(row.try_get(at)?);
        }
        self.present.add(texts.iter().map(|text| ValueRef::Text(text.as_bytes()))).map_err(Failure::from)
    }

    /// Goes through the table for the rows that the file does not have. None when it has too many scopes.
    pub(super) fn look(
        &self,
        session: &Session,
        mut tell: Differences<'_>,
    ) -> Result<Option<Vanishing>, Failure> {
        if self.scopes.are_too_many() {
            return Ok(None);
        }
        let width = self.key.len();
        let mut gone = 0;
        let mut broken = None;
        session.each(&self.query, &mut |row| {
            let mut texts: Vec<Option<&str>> = Vec::with_capacity(row.len());
            for at in 0..row.len() {
                texts.push(row.try_get(at)?);
            }
            let (key, scope) = texts.split_at(width);
            let has = self.present.has(key.iter().map(|text| match text {
                Some(text) => ValueRef::Text(text.as_bytes()),
                None => ValueRef::Null,
            }));
            match has {
                Err(error) => {
                    broken = Some(error);
                    return Ok(ControlFlow::Break(()));
                }
                Ok(false) if self.scopes.has(scope) => {}
                Ok(_) => return Ok(ControlFlow::Continue(())),
            }
            gone += 1;
            if let Some(tell) = &mut tell {
                let text = |at: &usize| {
                    let stored = key.get(*at).copied().flatten().unwrap_or_default();
                    Some(canonical(stored, *self.key.get(*at)?))
                };
                let key = self.key_order.iter().filter_map(text).collect();
                tell(Difference { origin: None, kind: DifferenceKind::Delete, key, changes: Vec::new() });
            }
            Ok(ControlFlow::Continue(()))
        })?;
        match broken {
            Some(error) => Err(error.into()),
            None => Ok(Some(Vanishing { rows: gone, of: self.found + gone })),
        }
    }
}
