//! Writing the rows that waited: all with two statements, or in parts where some of them are refused.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use super::{
    errors::Failure,
    plan::Plan,
    refusals::Refusals,
    session::Session,
    stage::{STAGE, WORK},
};
use crate::targets::{MISSING_PARENT, MOST_REFUSALS, Refusal};

/// The savepoint before an attempt.
const SAVEPOINT: &str = "wharf_merge";
/// Rows of a part, where not all are written at once: what is divided when one of them is refused.
const PART_ROWS: usize = 8192;
/// The condition that picks a part.
const IN_PART: &str = " AND w.n BETWEEN $1 AND $2 AND s.n BETWEEN $1 AND $2";

/// What is to be done, or was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Rows to insert.
    pub inserts: u64,
    /// Rows to update.
    pub updates: u64,
    /// Rows that are older than those of the table.
    pub superseded: u64,
    /// Rows whose key the table has, in mode insert.
    pub known: u64,
}

impl Wanted {
    /// True when something is to be written.
    pub(super) fn writes(&self) -> bool {
        self.inserts + self.updates > 0
    }

    /// The rows that are not unchanged.
    pub(super) fn all(&self) -> u64 {
        self.inserts + self.updates + self.superseded + self.known
    }
}

/// A row that is to be written.
#[derive(Clone, Copy, Debug)]
struct Pending {
    record: i64,
    inserts: bool,
}

/// Writes rows.
pub(super) struct Merge<'a> {
    /// The connection.
    pub session: &'a Session,
    /// How rows are written.
    pub plan: &'a Plan,
    /// Makes refusals of what the server says.
    pub refusals: &'a Refusals,
    /// How many rows wait.
    pub rows: u64,
}

impl Merge<'_> {
    /// Writes all rows. False, and nothing is written, when the server refuses some, or others have changed the table since
    /// it was looked at.
    pub(super) fn at_once(&self, wanted: &Wanted) -> Result<bool, Failure> {
        self.session.run(&format!("SAVEPOINT {SAVEPOINT}"))?;
        let update = if wanted.updates > 0 { self.plan.update("") } else { None };
        let insert = (wanted.inserts > 0).then(|| self.plan.insert(wanted.inserts == self.rows, ""));
        let mut written = Ok(true);
        for (sql, rows) in [(update, wanted.updates), (insert, wanted.inserts)] {
            let Some(sql) = sql else { continue };
            written = match self.session.execute(&sql, &[]) {
                Ok(count) => Ok(count == rows),
                Err(failure) if self.refusals.refusal(&failure).is_some() => Ok(false),
                Err(failure) => Err(failure),
            };
            if !matches!(written, Ok(true)) {
                break;
            }
        }
        let end = if written? { "RELEASE SAVEPOINT" } else { "ROLLBACK TO SAVEPOINT" };
        self.session.run(&format!("{end} {SAVEPOINT}"))?;
        Ok(end == "RELEASE SAVEPOINT")
    }

    /// Writes the rows in parts, and divides those in which a row is refused. `wanted` becomes what was written.
    pub(super) fn in_parts(
        &self,
        wanted: &mut Wanted,
        refused: &mut BTreeMap<u64, Refusal>,
    ) -> Result<(), Failure> {
        self.session
            .run(&format!("CREATE INDEX ON {STAGE} (n); CREATE INDEX ON {WORK} (n); ANALYZE {WORK}"))?;
        (wanted.inserts, wanted.updates) = (0, 0);
        let mut orphans = Vec::new();
        let mut after = i64::MIN;
        loop {
            let part = self.part(after)?;
            let Some(last) = part.last() else { break };
            after = last.record;
            self.write(&part, wanted, refused, &mut orphans)?;
            if refused.len() > MOST_REFUSALS {
                return Ok(());
            }
        }
        // Rows that refer to others of the file, which may have come later. Each round ends at least one of them.
        while self.plan.refers_to_itself && !orphans.is_empty() {
            let before = orphans.len();
            let mut again = Vec::new();
            for row in std::mem::take(&mut orphans) {
                self.write(&[row], wanted, refused, &mut again)?;
            }
            orphans = again;
            if orphans.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// The rows that are written next, in the file's order.
    fn part(&self, after: i64) -> Result<Vec<Pending>, Failure> {
        let rows = self.session.rows(
            &format!(
                "SELECT n, what = 'i' FROM {WORK} WHERE what IN ('i', 'u') AND n > $1 ORDER BY n LIMIT {PART_ROWS}"
            ),
            &[(&after, Type::INT8)],
        )?;
        rows.iter().map(|row| Ok(Pending { record: row.try_get(0)?, inserts: row.try_get(1)? })).collect()
    }

    fn write(
        &self,
        part: &[Pending],
        wanted: &mut Wanted,
        refused: &mut BTreeMap<u64, Refusal>,
        orphans: &mut Vec<Pending>,
    ) -> Result<(), Failure> {
        // The part that comes next stands last.
        let mut parts = vec![part];
        while let Some(part) = parts.pop() {
            let inserts = part.iter().filter(|row| row.inserts).count() as u64;
            let counts = (inserts, part.len() as u64 - inserts);
            match (self.attempt(part, counts)?, part) {
                (None, _) => {
                    wanted.inserts += counts.0;
                    wanted.updates += counts.1;
                    for row in part {
                        refused.remove(&row.record.cast_unsigned());
                    }
                }
                (Some(refusal), [row]) => {
                    if refusal.message == MISSING_PARENT {
                        orphans.push(*row);
                    }
                    refused.insert(row.record.cast_unsigned(), refusal);
                    if refused.len() > MOST_REFUSALS {
                        return Ok(());
                    }
                }
                (Some(_), _) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        Ok(())
    }

    /// Writes a part, so many rows inserted and updated; or says why the server does not take it, or a row of it.
    fn attempt(&self, part: &[Pending], (inserts, updates): (u64, u64)) -> Result<Option<Refusal>, Failure> {
        let (Some(first), Some(last)) = (part.first(), part.last()) else { return Ok(None) };
        let range = [
            (&first.record as &(dyn tokio_postgres::types::ToSql + Sync), Type::INT8),
            (&last.record, Type::INT8),
        ];
        self.session.run(&format!("SAVEPOINT {SAVEPOINT}"))?;
        let update = if updates > 0 { self.plan.update(IN_PART) } else { None };
        let insert = (inserts > 0).then(|| self.plan.insert(false, IN_PART));
        let mut refusal = None;
        for (sql, rows) in [(update, updates), (insert, inserts)] {
            let Some(sql) = sql else { continue };
            refusal = match self.session.execute(&sql, &range) {
                Ok(count) if count == rows => continue,
                Ok(_) => Some(Refusal::target(None, "was passed over by a trigger of the table")),
                Err(failure) => Some(self.refusals.refusal(&failure).ok_or(failure)?),
            };
            break;
        }
        let undo = if refusal.is_some() { "ROLLBACK TO SAVEPOINT wharf_merge; " } else { "" };
        self.session.run(&format!("{undo}RELEASE SAVEPOINT {SAVEPOINT}"))?;
        Ok(refusal)
    }
}
