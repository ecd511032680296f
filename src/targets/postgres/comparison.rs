//! What a load would do, by the same words in which a load asks the server, in a transaction that only reads: it makes no
//! temporary table, so that it needs no right but to read, and runs on a standby too.
//!
//! The rows of a batch go to the server as texts, one array a column, and are held there against the table, as the types of
//! its columns have it.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use tokio_postgres::{Row, types::Type};

use super::{
    canonical::{WRITING, canonical},
    encode::Encoder,
    errors::{Failure, Faults},
    plan::{Plan, contract},
    refusals::Refusals,
    scan::Scan,
    session::{Parameter, Session},
    shape::Shape,
};
use crate::{
    model::{
        Batch, Tally,
        value::{self, ValueType},
    },
    targets::{
        Change, Comparison, Difference, DifferenceKind, Differences, MOST_REFUSALS, Mode, Refusal,
        RowRefusal, TableSpec, TargetError, Vanishing,
    },
};

/// Before each look, as values that the table's types do not take end it.
const SAVEPOINT: &str = "wharf_look";
/// A page of an index costs as much as one of the table: the planner would else read all of a table for each batch.
const BY_INDEX: &str = "SET LOCAL random_page_cost = 1; SET LOCAL jit = off";
/// Rows that are held against the table at once, which bounds what goes there and comes back.
const ROWS_A_LOOK: usize = 8192;

/// An open comparison.
pub(super) struct PostgresComparison {
    session: Session,
    faults: Faults,
    mode: Mode,
    /// None when there is no table yet.
    table: Option<Table>,
    /// The key's columns in the batch, in the mapping's order.
    key: Vec<usize>,
    counts: Tally,
}

/// A table that rows are held against.
struct Table {
    plan: Plan,
    refusals: Refusals,
    /// The types of the columns of the batches, in the table and in the mapping.
    types: Vec<(String, ValueType)>,
    /// In mode mirror.
    scan: Option<Scan>,
}

/// The columns in which a row differs from that of the table (their indices in the batch), and what is stored there.
type Changed = Vec<(usize, Option<String>)>;

/// What was found of a batch, by the numbers of its rows.
#[derive(Default)]
struct Looked {
    /// Rows that the table has: what changes in them, or why they would not be written.
    found: BTreeMap<usize, Result<Changed, Same>>,
    refused: BTreeMap<usize, Refusal>,
}

/// Why a row that the table has would not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Same {
    Unchanged,
    Superseded,
}

impl PostgresComparison {
    /// Begins on a connection whose transaction sees the table as it is at one moment; `shape` is that of a table that fits, none
    /// where there is none yet. `memory_bytes` is the memory in which rows may be remembered.
    pub(super) fn new(
        session: Session,
        faults: Faults,
        (spec, shape): (&TableSpec, Option<&Shape>),
        schema: SchemaRef,
        memory_bytes: u64,
    ) -> Result<Self, TargetError> {
        let place = |at: &usize| {
            let name = &spec.columns.get(*at)?.name;
            schema.fields().iter().position(|field| field.name() == name)
        };
        let key = spec.key.iter().map(place).collect::<Option<_>>();
        let key = key.ok_or_else(|| contract("the file has no key"))?;
        let table = match shape {
            None => None,
            Some(shape) => Some(Table::new(&session, &faults, (spec, shape), schema, memory_bytes)?),
        };
        Ok(Self { session, faults, mode: spec.mode, table, key, counts: Tally::default() })
    }

    fn tell_key(&self, batch: &Batch, row: usize) -> Vec<String> {
        let columns = self.key.iter().map(|at| batch.rows.column(*at));
        columns.map(|array| value::text::text(array, row).unwrap_or_default()).collect()
    }
}

impl Table {
    fn new(
        session: &Session,
        faults: &Faults,
        (spec, shape): (&TableSpec, &Shape),
        schema: SchemaRef,
        memory_bytes: u64,
    ) -> Result<Self, TargetError> {
        let plan = Plan::new(spec, shape, schema)?;
        session.run(&format!("{WRITING}; {BY_INDEX}")).map_err(|failure| faults.fault(&failure))?;
        let types = plan.columns.iter().map(|column| {
            let spec = spec.columns.get(usize::from(column.spec))?;
            Some((shape.column(&spec.name)?.base.clone(), spec.value_type))
        });
        let types = types.collect::<Option<Vec<_>>>().ok_or_else(|| contract("a column has no type"))?;
        let scan = Scan::new(spec, &plan, &types, memory_bytes)?;
        Ok(Self { refusals: Refusals::new(spec, shape), plan, types, scan })
    }

    /// Holds rows against the table. With `details`, what differs is told.
    fn look(&mut self, session: &Session, rows: &RecordBatch, details: bool) -> Result<Looked, Failure> {
        let encoder = Encoder::new(rows, &self.plan.columns, None);
        let refused = encoder.map(|encoder| encoder.unkeepable(rows.num_rows(), &self.plan.columns));
        let mut looked = Looked { refused: refused.unwrap_or_default(), ..Looked::default() };
        let sent: Vec<usize> = (0..rows.num_rows()).filter(|row| !looked.refused.contains_key(row)).collect();
        let columns: Vec<usize> = (0..self.plan.columns.len()).collect();
        let what = if details { self.details() } else { String::new() };
        let query = self.query(&columns, &what);
        let compared = if details { self.plan.compared().count() } else { 0 };
        // The part that comes next stands last.
        let mut parts: Vec<&[usize]> = sent.chunks(ROWS_A_LOOK).rev().collect();
        while let Some(part) = parts.pop() {
            match self.ask(session, &query, (rows, &columns), part) {
                Ok(found) => {
                    for row in &found {
                        self.note(row, compared, &mut looked)?;
                    }
                }
                Err(failure) => match (self.refusals.refusal(&failure), part) {
                    (None, _) => return Err(failure),
                    (Some(refusal), [row]) => {
                        looked.refused.insert(*row, refusal);
                        // A load would end here.
                        if looked.refused.len() > MOST_REFUSALS {
                            return Ok(looked);
                        }
                    }
                    (Some(_), _) => {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                    }
                },
            }
        }
        Ok(looked)
    }

    /// The rows that wait, `s`, held against those of the table, `o`: number, whether it is marked, differs, is newer, its key;
    /// then what is asked for beyond that. Every value is read as one of its column's type, whether the table has its row or not.
    fn query(&self, columns: &[usize], details: &str) -> String {
        let picked =
            || columns.iter().filter_map(|at| Some((self.plan.columns.get(*at)?, self.types.get(*at)?)));
        let names: Vec<&str> = picked().map(|(column, _)| column.staged.as_str()).collect();
        let values: Vec<String> =
            picked().map(|(column, (of, _))| format!("r.{0}::{of} AS {0}", column.staged)).collect();
        let arrays: Vec<String> = (2..names.len() + 2).map(|at| format!("${at}::text[]")).collect();
        // A key alone is only looked for.
        let alone = columns.len() < self.plan.columns.len();
        let (differs, newer) =
            if alone { ("false".to_owned(), None) } else { (self.plan.differs(), self.plan.is_newer()) };
        let key: Vec<String> = self.plan.key().map(|column| format!("o.{}::text", column.name)).collect();
        format!(
            "WITH s AS MATERIALIZED (SELECT r.n, {values} FROM unnest($1::int8[], {arrays}) r (n, {names}))
             SELECT s.n, {marked}, {differs}, {newer}, {key}{details} FROM s JOIN {table} o ON {same_key}",
            marked = self.plan.marked().unwrap_or("false"),
            newer = newer.map_or_else(|| "true".to_owned(), |newer| format!("({newer}) IS TRUE")),
            key = key.join(", "),
            values = values.join(", "),
            arrays = arrays.join(", "),
            names = names.join(", "),
            table = self.plan.table,
            same_key = self.plan.same_key(),
        )
    }

    fn details(&self) -> String {
        let each = self.plan.compared().map(|(_, column)| {
            let differs = column.differs();
            format!(", {differs}, CASE WHEN {differs} THEN o.{}::text END", column.name)
        });
        each.collect()
    }

    /// Sends these rows of these columns of a batch.
    fn ask(
        &self,
        session: &Session,
        query: &str,
        (rows, columns): (&RecordBatch, &[usize]),
        part: &[usize],
    ) -> Result<Vec<Row>, Failure> {
        let numbers: Vec<i64> = part.iter().map(|row| *row as i64).collect();
        let texts: Vec<Vec<Option<String>>> = rows
            .columns()
            .iter()
            .map(|array| part.iter().map(|row| value::text::text(array, *row)).collect())
            .collect();
        debug_assert_eq!(texts.len(), columns.len());
        let mut parameters: Vec<Parameter<'_>> = vec![(&numbers, Type::INT8_ARRAY)];
        parameters.extend(texts.iter().map(|texts| (texts as _, Type::TEXT_ARRAY)));
        session.run(&format!("SAVEPOINT {SAVEPOINT}"))?;
        let found = session.rows(query, &parameters);
        let end = match &found {
            Ok(_) => format!("RELEASE SAVEPOINT {SAVEPOINT}"),
            Err(failure) if failure.db().is_some() => {
                format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}")
            }
            // There is nobody to tell it.
            Err(_) => return found,
        };
        session.run(&end)?;
        found
    }

    fn note(&mut self, row: &Row, compared: usize, looked: &mut Looked) -> Result<(), Failure> {
        let number: i64 = row.try_get(0)?;
        let (is_marked, differs, is_newer) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let key = self.plan.key().count();
        if let Some(scan) = &mut self.scan {
            scan.found(row, 4..4 + key, is_marked)?;
        }
        let decision = match (is_marked, differs, is_newer) {
            // It was gone: whatever comes back is written, and takes the mark off.
            (true, ..) | (_, true, true) => {
                let mut changed = Vec::new();
                for (at, (column, _)) in self.plan.compared().take(compared).enumerate() {
                    if row.try_get(4 + key + at * 2)? {
                        changed.push((column, row.try_get(5 + key + at * 2)?));
                    }
                }
                Ok(changed)
            }
            (_, true, false) => Err(Same::Superseded),
            (_, false, _) => Err(Same::Unchanged),
        };
        // A view may have a key twice; a load refuses such a row.
        looked.found.entry(usize::try_from(number).unwrap_or(usize::MAX)).or_insert(decision);
        Ok(())
    }

    /// What a difference is told of: by the index in the spec, in the mapping's order.
    fn changes(&self, batch: &Batch, row: usize, changed: Changed) -> Vec<Change> {
        let change = |(column, stored): (usize, Option<String>)| {
            let of = self.types.get(column)?.1;
            Some(Change {
                column: self.plan.columns.get(column)?.spec,
                stored: stored.map(|stored| canonical(&stored, of)),
                new: value::text::text(batch.rows.columns().get(column)?, row),
            })
        };
        let mut changes: Vec<Change> = changed.into_iter().filter_map(change).collect();
        changes.sort_by_key(|change| change.column);
        changes
    }

    /// The file has rows with these keys, although they are not loaded.
    fn present(&mut self, session: &Session, keys: &RecordBatch) -> Result<(), Failure> {
        let columns: Vec<usize> = self.key_columns();
        let query = self.query(&columns, "");
        let rows: Vec<usize> = (0..keys.num_rows()).collect();
        let mut parts: Vec<&[usize]> = rows.chunks(ROWS_A_LOOK).rev().collect();
        while let Some(part) = parts.pop() {
            match self.ask(session, &query, (keys, &columns), part) {
                Ok(found) => {
                    let key = columns.len();
                    for row in &found {
                        let is_marked = row.try_get(1)?;
                        if let Some(scan) = &mut self.scan {
                            scan.found(row, 4..4 + key, is_marked)?;
                        }
                    }
                }
                Err(failure) if self.refusals.refusal(&failure).is_some() => {
                    // No row of the table can have a key that its types do not take.
                    if let (first, second @ [_, ..]) = part.split_at(part.len() / 2)
                        && !first.is_empty()
                    {
                        parts.extend([second, first]);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    fn key_columns(&self) -> Vec<usize> {
        let columns = self.plan.columns.iter().enumerate();
        columns.filter(|(_, column)| column.is_key).map(|(at, _)| at).collect()
    }
}

impl Comparison for PostgresComparison {
    fn compare(
        &mut self,
        batch: &Batch,
        mut differences: Differences<'_>,
    ) -> Result<Vec<RowRefusal>, TargetError> {
        let mut looked = match &mut self.table {
            None => Looked::default(),
            Some(table) => {
                if batch.rows.schema_ref().fields() != table.plan.schema.fields() {
                    return Err(contract("a batch has other columns than the comparison began with"));
                }
                if let Some(scan) = &mut table.scan {
                    scan.rows(&batch.rows);
                }
                let looked = table.look(&self.session, &batch.rows, differences.is_some());
                looked.map_err(|failure| self.faults.fault(&failure))?
            }
        };
        let mut refusals = Vec::new();
        for (row, origin) in batch.origins.iter().enumerate() {
            if let Some(refusal) = looked.refused.remove(&row) {
                refusals.push(refusal.of(*origin));
                continue;
            }
            let (kind, changes) = match (looked.found.remove(&row), &self.table) {
                (None, _) => {
                    self.counts.inserted += 1;
                    (DifferenceKind::Insert, Vec::new())
                }
                (Some(_), _) if self.mode == Mode::Insert => {
                    refusals.push(Refusal::known_key().of(*origin));
                    continue;
                }
                (Some(Err(Same::Unchanged)), _) => {
                    self.counts.unchanged += 1;
                    continue;
                }
                (Some(Err(Same::Superseded)), _) => {
                    self.counts.superseded += 1;
                    continue;
                }
                (Some(Ok(found)), table) => {
                    self.counts.updated += 1;
                    let changes = table.as_ref().map(|table| table.changes(batch, row, found));
                    (DifferenceKind::Update, changes.unwrap_or_default())
                }
            };
            if let Some(tell) = &mut differences {
                tell(Difference { origin: Some(*origin), kind, key: self.tell_key(batch, row), changes });
            }
        }
        Ok(refusals)
    }

    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError> {
        match self.table.as_mut().filter(|table| table.scan.is_some()) {
            Some(table) => table.present(&self.session, keys).map_err(|failure| self.faults.fault(&failure)),
            None => Ok(()),
        }
    }

    fn vanishing(&mut self, differences: Differences<'_>) -> Result<Option<Vanishing>, TargetError> {
        let Some(scan) = self.table.as_ref().and_then(|table| table.scan.as_ref()) else {
            return Ok(Some(Vanishing::default()));
        };
        let vanishing = scan.look(&self.session, differences);
        let vanishing = vanishing.map_err(|failure| self.faults.fault(&failure))?;
        self.counts.deleted = vanishing.map_or(0, |vanishing| vanishing.rows);
        Ok(vanishing)
    }

    fn finish(self: Box<Self>) -> Result<Tally, TargetError> {
        Ok(self.counts)
    }
}
