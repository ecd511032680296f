//! What a load would do, by the same look at the table that a load takes, in a read transaction.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rusqlite::{Connection, Row, types::ValueRef};

use super::{
    errors::Faults,
    fit,
    load::contract,
    lookup::{Decision, Lookup},
    mirror::Mirroring,
    plan::{Known, Plan, Purpose},
    shape,
    snapshot::Snapshot,
};
use crate::{
    model::{Batch, Tally, value},
    targets::{
        Change, Comparison, Difference, DifferenceKind, Differences, Fit, Mode, Refusal, RowRefusal,
        TableSpec, TargetError, Vanishing,
    },
};

/// An open comparison.
pub(super) struct SqliteComparison {
    /// None when there is no database yet.
    snapshot: Option<Snapshot>,
    faults: Faults,
    plan: Plan,
    mirroring: Option<Mirroring>,
    mode: Mode,
    /// The key's columns in the batch, in the mapping's order.
    key: Vec<usize>,
    /// For each column of the batch its index in the spec.
    columns: Vec<u16>,
    counts: Tally,
}

impl SqliteComparison {
    /// Begins. Without a `snapshot` there is no database yet. `memory_bytes` is the memory in which it may remember rows.
    pub(super) fn new(
        snapshot: Option<Snapshot>,
        faults: Faults,
        loads_table: &str,
        spec: &TableSpec,
        schema: SchemaRef,
        memory_bytes: u64,
    ) -> Result<Self, TargetError> {
        let fault = |error: rusqlite::Error| faults.fault(&error);
        let fitting = match &snapshot {
            Some(snapshot) => fit::compare(&snapshot.connection, spec, loads_table).map_err(fault)?,
            None => fit::compare_nothing(spec, loads_table),
        };
        let plan = |connection: &Connection| plan(connection, spec, schema, &faults, memory_bytes);
        let (plan, mirroring) = match (fitting, &snapshot) {
            (Fit::Misfit(differences), _) => return Err(TargetError::Misfit(differences)),
            (Fit::Fits, Some(snapshot)) => plan(&snapshot.connection)?,
            _ => {
                let nowhere = Connection::open_in_memory().map_err(fault)?;
                fit::create(&nowhere, spec).map_err(fault)?;
                plan(&nowhere)?
            }
        };
        let place = |name: &str| spec.columns.iter().position(|column| column.name == name);
        let columns: Vec<usize> =
            plan.schema.fields().iter().filter_map(|field| place(field.name())).collect();
        let key = spec.key.iter().filter_map(|wanted| columns.iter().position(|column| column == wanted));
        Ok(Self {
            key: key.collect(),
            columns: columns.into_iter().map(|column| u16::try_from(column).unwrap_or(u16::MAX)).collect(),
            mode: spec.mode,
            plan,
            mirroring,
            snapshot,
            faults,
            counts: Tally::default(),
        })
    }

    fn key(&self, batch: &Batch, row: usize) -> Vec<String> {
        let columns = self.key.iter().map(|at| batch.rows.column(*at));
        columns.map(|array| value::text::text(array, row).unwrap_or_default()).collect()
    }

    fn decide(&mut self, batch: &Batch, details: bool) -> Result<(Vec<Decision>, Details), TargetError> {
        let cells = self.plan.cells(batch)?;
        let rows = u32::try_from(batch.rows.num_rows()).map_err(|_| contract("a batch is too large"))?;
        let mut changed = Details::new();
        let Some(snapshot) = &self.snapshot else {
            return Ok((vec![Decision::Insert; batch.len()], changed));
        };
        let lookup = Lookup { cells: &cells, rows, terms: &self.plan.terms };
        let mirroring = &mut self.mirroring;
        let (plan, columns) = (&self.plan, &self.columns);
        let decisions = lookup.decide(&snapshot.connection, &plan.finder, &mut |row, stored, decision| {
            if details && decision == Decision::Update {
                changed.push((row, changes(&lookup, (plan, columns), batch, (row, stored))));
            }
            match mirroring {
                Some(mirroring) => mirroring.found(&plan.terms, stored),
                None => Ok(()),
            }
        });
        let noted = decisions.and_then(|decisions| match mirroring {
            Some(mirroring) => mirroring.batch(&lookup).map(|()| decisions),
            None => Ok(decisions),
        });
        let decisions = noted.map_err(|error| self.faults.fault(&error))?;
        // They were found in the order of their keys.
        changed.sort_by_key(|(row, _)| *row);
        Ok((decisions, changed))
    }
}

/// The compared values with which a row differs from the stored one. `columns` are the indices in the spec of those of the
/// batch.
fn changes(
    lookup: &Lookup<'_>,
    (plan, columns): (&Plan, &[u16]),
    batch: &Batch,
    (row, stored): (usize, &Row<'_>),
) -> Vec<Change> {
    let change = |(column, value): (usize, ValueRef<'_>)| {
        Some(Change {
            column: *columns.get(column)?,
            stored: super::stored::text(value, *plan.types.get(column)?),
            new: value::text::text(batch.rows.columns().get(column)?, row),
        })
    };
    let mut changes: Vec<Change> = lookup.differing(row, stored).filter_map(change).collect();
    changes.sort_by_key(|change| change.column);
    changes
}

/// Changed rows of a batch with their changes.
type Details = Vec<(usize, Vec<Change>)>;

impl Comparison for SqliteComparison {
    fn compare(
        &mut self,
        batch: &Batch,
        mut differences: Differences<'_>,
    ) -> Result<Vec<RowRefusal>, TargetError> {
        let (decisions, changed) = self.decide(batch, differences.is_some())?;
        let mut changed = changed.into_iter().peekable();
        let mut refusals = Vec::new();
        for ((row, decision), origin) in decisions.into_iter().enumerate().zip(&batch.origins) {
            if self.mode == Mode::Insert && decision != Decision::Insert {
                refusals.push(Refusal::known_key().of(*origin));
                continue;
            }
            let kind = match decision {
                Decision::Insert => {
                    self.counts.inserted += 1;
                    DifferenceKind::Insert
                }
                Decision::Update => {
                    self.counts.updated += 1;
                    DifferenceKind::Update
                }
                Decision::Unchanged => {
                    self.counts.unchanged += 1;
                    continue;
                }
                Decision::Superseded => {
                    self.counts.superseded += 1;
                    continue;
                }
            };
            if let Some(tell) = &mut differences {
                let found = changed.next_if(|(of, _)| *of == row);
                tell(Difference {
                    origin: Some(*origin),
                    kind,
                    key: self.key(batch, row),
                    changes: found.map(|(_, changes)| changes).unwrap_or_default(),
                });
            }
        }
        Ok(refusals)
    }

    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError> {
        match (&mut self.mirroring, &self.snapshot) {
            (Some(mirroring), Some(snapshot)) => mirroring.rejected(&snapshot.connection, keys, &self.faults),
            _ => Ok(()),
        }
    }

    fn vanishing(&mut self, differences: Differences<'_>) -> Result<Option<Vanishing>, TargetError> {
        let (Some(mirroring), Some(snapshot)) = (&mut self.mirroring, &self.snapshot) else {
            return Ok(Some(Vanishing::default()));
        };
        let fault = |error: rusqlite::Error| self.faults.fault(&error);
        let vanishing = mirroring.look(&snapshot.connection).map_err(fault)?;
        if let (Some(_), Some(tell)) = (&vanishing, differences) {
            mirroring.tell(&snapshot.connection, tell).map_err(fault)?;
        }
        self.counts.deleted = vanishing.map_or(0, |vanishing| vanishing.rows);
        Ok(vanishing)
    }

    fn finish(self: Box<Self>) -> Result<Tally, TargetError> {
        self.snapshot.map_or(Ok(()), |snapshot| snapshot.finish(&self.faults))?;
        Ok(self.counts)
    }
}

fn plan(
    connection: &Connection,
    spec: &TableSpec,
    schema: SchemaRef,
    faults: &Faults,
    memory_bytes: u64,
) -> Result<(Plan, Option<Mirroring>), TargetError> {
    let fault = |error: rusqlite::Error| faults.fault(&error);
    let shape = shape::read(connection, &spec.table).map_err(fault)?;
    let shape = shape.ok_or_else(|| contract("its table is not there"))?;
    let known = Known::look(connection, spec, &shape).map_err(fault)?;
    let plan = Plan::new(spec, &known, schema, Purpose::Comparison)?;
    let mirroring = Mirroring::new(spec, &known, &plan, memory_bytes)?;
    Ok((plan, mirroring))
}
