//! Mode mirror: which rows the file has, and having the others vanish, all of it in the server.
//!
//! The rows that wait in the temporary table say what the file has; beside them, another one keeps the keys of records that
//! were rejected, and of rows that the table would not take. What neither of them has, vanishes.

use arrow_array::RecordBatch;
use tokio_postgres::types::Type;

use super::{
    copy::Copier,
    encode::Encoder,
    errors::Failure,
    plan::{Column, Plan},
    refusals::Refusals,
    session::Session,
    shape::Shape,
    stage::{LOCK, STAGE},
};
use crate::{
    model::value::ValueType,
    targets::{MOST_SCOPES, Mirror, TableSpec, Vanished, Vanishing, identifier::quoted},
};

/// Keys, and scopes, of what the file has although it does not wait.
const PRESENT: &str = "_wharf_present";
/// The keys of rows that vanish.
const GONE: &str = "_wharf_gone";
/// Rows that are sent at once: no more of them than may be refused, so that none is left out unseen.
const ROWS_A_COPY: usize = 1000;

/// What the file has of a table, while it is loaded.
pub(super) struct Mirroring {
    mirror: Mirror,
    table: String,
    /// The columns of the key, and of the scope, each with its base type.
    key: Vec<Column>,
    scope: Vec<(Column, String)>,
    /// Those of both among the columns of the batches.
    kept: Vec<usize>,
    /// The condition that a row of the table has a key, and is not marked.
    is_row: String,
    marked: Option<String>,
    same_key: String,
    /// Rows that wait and whose row is marked, before anything is written.
    marked_before: u64,
}

impl Mirroring {
    /// None in other modes.
    pub(super) fn new(spec: &TableSpec, shape: &Shape, plan: &Plan) -> Option<Self> {
        let mirror = spec.mirror.clone()?;
        let place = |at: &usize| plan.columns.iter().position(|column| usize::from(column.spec) == *at);
        let based = |at: usize| {
            let column = plan.columns.get(at)?.clone();
            let name = &spec.columns.get(usize::from(column.spec))?.name;
            Some((column, shape.column(name)?.base.clone()))
        };
        let scope: Vec<usize> = mirror.scope.iter().filter_map(place).collect();
        let is_kept =
            |at: &usize| plan.columns.get(*at).is_some_and(|column| column.is_key) || scope.contains(at);
        Some(Self {
            kept: (0..plan.columns.len()).filter(is_kept).collect(),
            scope: scope.iter().filter_map(|at| based(*at)).collect(),
            key: plan.key().cloned().collect(),
            table: plan.table.clone(),
            is_row: plan.is_row(),
            marked: plan.marked().map(str::to_owned),
            same_key: plan.same_key(),
            marked_before: 0,
            mirror,
        })
    }

    /// Makes room for what does not wait.
    pub(super) fn prepare(&self, session: &Session) -> Result<(), Failure> {
        let scope = self.scope.iter().map(|(column, _)| column).filter(|column| !column.is_key);
        let columns: Vec<&str> = self.key.iter().chain(scope).map(|column| column.staged.as_str()).collect();
        session.run(&format!(
            "CREATE TEMPORARY TABLE {PRESENT} ON COMMIT DROP AS SELECT n, {} FROM {STAGE} WITH NO DATA",
            columns.join(", ")
        ))
    }

    /// The file has these rows of a batch, although the table would not take them.
    pub(super) fn refused(
        &self,
        session: &Session,
        (plan, refusals): (&Plan, &Refusals),
        rows: &RecordBatch,
        picked: &[usize],
    ) -> Result<(), Failure> {
        let Ok(kept) = rows.project(&self.kept) else { return Ok(()) };
        let columns: Vec<Column> = self.kept.iter().filter_map(|at| plan.columns.get(*at)).cloned().collect();
        // Any number: it says that this is a row, with its scope.
        self.keep(session, refusals, (&kept, &columns), picked, true)
    }

    /// The file has rows with these keys, although their records were rejected.
    pub(super) fn present(
        &self,
        session: &Session,
        refusals: &Refusals,
        keys: &RecordBatch,
    ) -> Result<(), Failure> {
        let rows: Vec<usize> = (0..keys.num_rows()).collect();
        self.keep(session, refusals, (keys, &self.key), &rows, false)
    }

    /// A key that the table's types do not take is that of no row of it, and need not be kept.
    fn keep(
        &self,
        session: &Session,
        refusals: &Refusals,
        (rows, columns): (&RecordBatch, &[Column]),
        picked: &[usize],
        are_rows: bool,
    ) -> Result<(), Failure> {
        let names: Vec<&str> = columns.iter().map(|column| column.staged.as_str()).collect();
        let number = if are_rows { "n, " } else { "" };
        let sql = format!("COPY {PRESENT} ({number}{}) FROM STDIN BINARY", names.join(", "));
        for part in picked.chunks(ROWS_A_COPY) {
            let indices: Vec<u32> = part.iter().filter_map(|row| u32::try_from(*row).ok()).collect();
            let indices = arrow_array::UInt32Array::from(indices);
            let Ok(part) = arrow_select::take::take_record_batch(rows, &indices) else { continue };
            let numbers = vec![0; part.num_rows()];
            let Some(encoder) = Encoder::new(&part, columns, are_rows.then_some(&numbers[..])) else {
                continue;
            };
            let copier = Copier { session, sql: &sql, refusals, leaves_known_keys: false };
            copier.copy(&encoder, part.num_rows(), columns)?;
        }
        Ok(())
    }

    /// Looks at what the rows that wait will bring back, before they are written.
    pub(super) fn before_writing(&mut self, session: &Session) -> Result<(), Failure> {
        self.marked_before = self.marked_now(session)?;
        Ok(())
    }

    fn marked_now(&self, session: &Session) -> Result<u64, Failure> {
        let Some(marked) = &self.marked else { return Ok(0) };
        count(
            session,
            &format!(
                "SELECT count(*) FROM {} o JOIN {STAGE} s ON {} WHERE {marked}",
                self.table, self.same_key
            ),
        )
    }

    /// Looks for the rows that the file does not have, after its own are written, of which so many are new. None when it has
    /// too many scopes.
    pub(super) fn look(&self, session: &Session, inserted: u64) -> Result<Option<Vanishing>, Failure> {
        if !self.scope.is_empty() {
            let scopes = format!(
                "SELECT count(*) FROM (SELECT DISTINCT r FROM ({}) x LIMIT {}) y",
                self.scopes(),
                MOST_SCOPES + 1
            );
            if count(session, &scopes)? > MOST_SCOPES as u64 {
                return Ok(None);
            }
        }
        // What is counted now is what goes.
        session.run(&format!("LOCK TABLE {} {LOCK}; ANALYZE {PRESENT}", self.table))?;
        let absent = format!(
            "NOT EXISTS (SELECT FROM {STAGE} s WHERE {0}) AND NOT EXISTS (SELECT FROM {PRESENT} s WHERE {0})",
            self.same_key
        );
        let key: Vec<String> =
            self.key.iter().map(|column| format!("o.{} AS {}", column.name, column.staged)).collect();
        let in_scope = if self.scope.is_empty() {
            String::new()
        } else {
            let of_table: Vec<String> =
                self.scope.iter().map(|(column, base)| format!("o.{}::{base}", column.name)).collect();
            format!(
                " AND EXISTS (SELECT FROM (SELECT DISTINCT r FROM ({}) x) y WHERE y.r = ROW({}))",
                self.scopes(),
                of_table.join(", ")
            )
        };
        session.run(&format!(
            "CREATE TEMPORARY TABLE {GONE} ON COMMIT DROP AS SELECT {} FROM {} o WHERE {} AND {absent}{in_scope}",
            key.join(", "),
            self.table,
            self.is_row
        ))?;
        let rows = count(session, &format!("SELECT count(*) FROM {GONE}"))?;
        // Those that were there before, and not marked: not the new ones, nor those whose mark was taken off.
        let revived = self.marked_before.saturating_sub(self.marked_now(session)?);
        let of = self.in_file(session, rows)?.saturating_sub(inserted).saturating_sub(revived) + rows;
        Ok(Some(Vanishing { rows, of }))
    }

    /// The rows of the table that the file has, where `gone` are those that it does not have in its scopes.
    fn in_file(&self, session: &Session, gone: u64) -> Result<u64, Failure> {
        let all = format!("SELECT count(*) FROM {} o WHERE {}", self.table, self.is_row);
        if self.scope.is_empty() {
            return Ok(count(session, &all)?.saturating_sub(gone));
        }
        let waits = format!("EXISTS (SELECT FROM {STAGE} s WHERE {})", self.same_key);
        let present = format!("EXISTS (SELECT FROM {PRESENT} s WHERE {})", self.same_key);
        // One after the other: what is joined by OR would be asked for each row of the table.
        let waiting = count(session, &format!("{all} AND {waits}"))?;
        Ok(waiting + count(session, &format!("{all} AND {present} AND NOT {waits}"))?)
    }

    /// The scopes of the file, `r`: as one value, in which what is missing equals what is missing.
    fn scopes(&self) -> String {
        let staged: Vec<&str> = self.scope.iter().map(|(column, _)| column.staged.as_str()).collect();
        let staged = staged.join(", ");
        format!(
            "SELECT ROW({staged}) AS r FROM {STAGE} UNION ALL SELECT ROW({staged}) FROM {PRESENT} WHERE n IS NOT NULL"
        )
    }

    /// Has the rows vanish that were looked for, and says how many did: a trigger may keep some. `unix_millis` is the time of
    /// the delivery.
    pub(super) fn carry_out(&self, session: &Session, unix_millis: u64) -> Result<u64, Failure> {
        let (table, same_key) = (&self.table, &self.same_key);
        let gone = format!("{GONE} s WHERE {same_key}");
        match &self.mirror.vanished {
            Vanished::Delete => session.execute(&format!("DELETE FROM {table} o USING {gone}"), &[]),
            Vanished::Mark { column, value_type: ValueType::Boolean } => {
                let mark = format!("UPDATE {table} o SET {} = true FROM {gone}", quoted(column));
                session.execute(&mark, &[])
            }
            Vanished::Mark { column, .. } => {
                let micros = i64::try_from(unix_millis).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
                // Exact, where seconds as a float are not.
                let at = "timestamptz 'epoch' + $1 * interval '1 microsecond'";
                let mark = format!("UPDATE {table} o SET {} = {at} FROM {gone}", quoted(column));
                session.execute(&mark, &[(&micros, Type::INT8)])
            }
        }
    }
}

fn count(session: &Session, select: &str) -> Result<u64, Failure> {
    let count: i64 = session.row(select, &[])?.try_get(0)?;
    Ok(count.unsigned_abs())
}
