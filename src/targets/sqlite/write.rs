//! Writing the rows of a batch: in their order, several to a statement where that is safe, one by one where a row has
//! to be told from its neighbours.

use std::ops::RangeInclusive;

use rusqlite::{CachedStatement, Connection, Error, types::ToSqlOutput};

use super::{
    cells::Cells,
    errors::{self, Faults, Refusals},
    lookup::Decision,
};
use crate::targets::{Refusal, TargetError};

/// The statements of a load, and what they need of a batch.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    /// An INSERT of `group` rows, all columns of the batch in their order.
    pub insert_group: String,
    /// How many rows that is; 1 when each row must have its own statement.
    pub group: usize,
    /// An INSERT of one row.
    pub insert: String,
    /// An UPDATE of one row: the columns of `set`, then those of `key`. Empty when no column is ever updated.
    pub update: String,
    /// The columns (of the batch) that an UPDATE sets.
    pub set: Vec<usize>,
    /// The columns (of the batch) of the key.
    pub key: Vec<usize>,
    /// A refused row may leave traces that its statement does not undo: guard each row by a savepoint.
    pub guarded: bool,
    /// The numbers that SQLite gives new rows are wanted; those of a group follow one another.
    pub numbered: bool,
}

/// What became of the rows.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Rows that are new.
    pub inserted: u64,
    /// Rows that replaced others.
    pub updated: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows that were there with other values that are not older.
    pub superseded: u64,
    /// The numbers of new rows, where they are wanted.
    pub numbers: Vec<RangeInclusive<i64>>,
    /// Rows that were not taken: number in the batch, and why.
    pub refused: Vec<(usize, Refusal)>,
}

/// Writes one batch.
pub(super) struct Writer<'a> {
    connection: &'a Connection,
    statements: &'a Statements,
    refusals: &'a Refusals,
    faults: &'a Faults,
    cells: &'a [Cells<'a>],
    insert: CachedStatement<'a>,
    insert_group: CachedStatement<'a>,
    update: Option<CachedStatement<'a>>,
    text: String,
    written: Written,
}

impl<'a> Writer<'a> {
    /// A writer of the batch `cells`.
    pub(super) fn new(
        connection: &'a Connection,
        statements: &'a Statements,
        refusals: &'a Refusals,
        faults: &'a Faults,
        cells: &'a [Cells<'a>],
    ) -> Result<Self, TargetError> {
        let prepare = |sql: &str| connection.prepare_cached(sql).map_err(|error| faults.fault(&error));
        Ok(Self {
            insert: prepare(&statements.insert)?,
            insert_group: prepare(&statements.insert_group)?,
            update: if statements.update.is_empty() { None } else { Some(prepare(&statements.update)?) },
            connection,
            statements,
            refusals,
            faults,
            cells,
            text: String::new(),
            written: Written::default(),
        })
    }

    /// Writes the rows as decided.
    pub(super) fn write(mut self, decisions: &[Decision]) -> Result<Written, TargetError> {
        let mut group = Vec::with_capacity(self.statements.group);
        for (row, decision) in decisions.iter().enumerate() {
            match decision {
                Decision::Unchanged => self.written.unchanged += 1,
                Decision::Superseded => self.written.superseded += 1,
                Decision::Insert => {
                    group.push(row);
                    if group.len() >= self.statements.group {
                        self.insert_group(&group)?;
                        group.clear();
                    }
                }
                Decision::Update => {
                    self.insert_each(&group)?;
                    group.clear();
                    self.one(row, Decision::Update)?;
                }
            }
        }
        self.insert_each(&group)?;
        Ok(self.written)
    }

    /// Inserts a full group at once. When a row of it is refused, those before it are in, and the rest go one by one.
    fn insert_group(&mut self, rows: &[usize]) -> Result<(), TargetError> {
        if rows.len() == 1 {
            return self.insert_each(rows);
        }
        let width = self.cells.len();
        let text = &mut self.text;
        for (at, row) in rows.iter().enumerate() {
            if let Err(error) = bind(&mut self.insert_group, at * width, self.cells.iter(), *row, text) {
                self.refusal(&error)?;
                return self.insert_each(rows);
            }
        }
        let inserted = match self.insert_group.raw_execute() {
            Ok(inserted) => inserted,
            Err(error) => {
                self.refusal(&error)?;
                usize::try_from(self.connection.changes()).unwrap_or(0)
            }
        };
        self.written.inserted += inserted as u64;
        self.note_numbers(inserted);
        self.insert_each(rows.get(inserted..).unwrap_or_default())
    }

    fn insert_each(&mut self, rows: &[usize]) -> Result<(), TargetError> {
        rows.iter().try_for_each(|row| self.one(*row, Decision::Insert))
    }

    fn one(&mut self, row: usize, what: Decision) -> Result<(), TargetError> {
        if self.statements.guarded {
            self.savepoint("SAVEPOINT wharf_row")?;
        }
        let refusal = match self.execute(row, what) {
            Ok(0) => Some(errors::ignored()),
            Ok(_) => None,
            Err(error) => Some(self.refusal(&error)?),
        };
        if self.statements.guarded {
            if refusal.is_some() {
                self.savepoint("ROLLBACK TO wharf_row")?;
            }
            self.savepoint("RELEASE wharf_row")?;
        }
        match refusal {
            Some(refusal) => self.written.refused.push((row, refusal)),
            None if what == Decision::Insert => {
                self.written.inserted += 1;
                self.note_numbers(1);
            }
            None => self.written.updated += 1,
        }
        Ok(())
    }

    /// The last rows that were written are new.
    fn note_numbers(&mut self, rows: usize) {
        if !self.statements.numbered || rows == 0 {
            return;
        }
        let last = self.connection.last_insert_rowid();
        let first = last - (rows as i64 - 1);
        match self.written.numbers.last_mut() {
            Some(range) if range.end().checked_add(1) == Some(first) => *range = *range.start()..=last,
            _ => self.written.numbers.push(first..=last),
        }
    }

    fn execute(&mut self, row: usize, what: Decision) -> rusqlite::Result<usize> {
        let pick = |columns: &'a [usize]| columns.iter().filter_map(|at| self.cells.get(*at));
        match (&mut self.update, what) {
            (Some(update), Decision::Update) => {
                let cells = pick(&self.statements.set).chain(pick(&self.statements.key));
                bind(update, 0, cells, row, &mut self.text)?;
                update.raw_execute()
            }
            _ => {
                bind(&mut self.insert, 0, self.cells.iter(), row, &mut self.text)?;
                self.insert.raw_execute()
            }
        }
    }

    /// The refusal an error stands for, if it is one and the transaction has survived it.
    fn refusal(&self, error: &Error) -> Result<Refusal, TargetError> {
        let Some(refusal) = self.refusals.refusal(error) else { return Err(self.faults.fault(error)) };
        if self.connection.is_autocommit() {
            return Err(self.faults.lost());
        }
        Ok(refusal)
    }

    fn savepoint(&self, sql: &str) -> Result<(), TargetError> {
        let done = self.connection.prepare_cached(sql).and_then(|mut statement| statement.raw_execute());
        done.map(drop).map_err(|error| self.faults.fault(&error))
    }
}

/// Binds the cells of a row to the parameters after the first `skip`.
fn bind<'c>(
    statement: &mut CachedStatement<'_>,
    skip: usize,
    cells: impl Iterator<Item = &'c Cells<'c>>,
    row: usize,
    text: &mut String,
) -> rusqlite::Result<()> {
    for (at, cells) in cells.enumerate() {
        statement.raw_bind_parameter(skip + at + 1, ToSqlOutput::Borrowed(cells.value(row, text)))?;
    }
    Ok(())
}
