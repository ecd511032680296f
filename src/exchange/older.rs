//! Rows of a correction that may be older than what the table has.
//!
//! A reject whose key can be read is overtaken when a later delivery loads that key. Of a row whose key could not be read, or
//! was changed when it was corrected, nobody has kept watch. If the table has a row of its key with other values, and other
//! deliveries have been loaded since, one of them may have brought that row: it stays as it is, and the correction is told.

use std::collections::BTreeSet;

use arrow_array::BooleanArray;

use super::{Engine, deliver::Fault, take::Job};
use crate::{
    model::{Batch, Rule},
    targets::{Difference, DifferenceKind, RowRefusal, Target},
    validate::{ValidateError, WorkFile, keys::KeyHash},
};

/// What is said of such a row.
const OLDER: &str = "has a key that was not known before, and the table has another row with it that a later file may have \
                     brought: send it with the next file instead";

impl Engine {
    /// The records of a correction that are not written, as the table may have newer values.
    pub(super) fn older_rows(
        &self,
        job: &Job,
        work: &mut WorkFile,
        target: &dyn Target,
    ) -> Result<BTreeSet<u64>, Fault> {
        let mut older = BTreeSet::new();
        let Some(of) = job.corrects else { return Ok(older) };
        let watched = {
            let ledger = self.ledger();
            let view = ledger.view();
            let Some(former) = view.by_id(of)? else { return Ok(older) };
            if !view.loaded_since(&former, &job.plan.table.table)? {
                return Ok(older);
            }
            view.keys_of(former.arrival)?
        };
        let mut known: BTreeSet<u64> = BTreeSet::new();
        for (record, hash) in watched {
            let keys = work.keys.as_ref();
            let found = keys.map(|keys| keys.find(KeyHash::from_bytes(&hash))).transpose();
            if found.map_err(ValidateError::from)?.flatten() == Some(record) {
                known.insert(record);
            }
        }
        if known.len() as u64 >= work.seal.good {
            return Ok(older);
        }
        let mut comparison = target.compare(&job.plan.table, job.plan.row_schema(&work.seal.layout))?;
        let mut told = |difference: Difference| {
            let record = difference.origin.map(|origin| origin.record);
            let unknown = record.filter(|record| !known.contains(record));
            older.extend(unknown.filter(|_| difference.kind == DifferenceKind::Update));
        };
        for batch in work.rows()? {
            comparison.compare(&batch?, Some(&mut told))?;
        }
        comparison.finish()?;
        Ok(older)
    }
}

/// The batch without the rows that are `older`, which are refused instead.
pub(super) fn leave_out(
    batch: Batch,
    older: &BTreeSet<u64>,
    refused: &mut Vec<RowRefusal>,
) -> Result<Batch, ValidateError> {
    if older.is_empty() || !batch.origins.iter().any(|origin| older.contains(&origin.record)) {
        return Ok(batch);
    }
    let keep: Vec<bool> = batch.origins.iter().map(|origin| !older.contains(&origin.record)).collect();
    let Batch { rows, mut origins } = batch;
    let refusal = |origin: &crate::model::Origin| RowRefusal {
        origin: *origin,
        rule: Rule::Key,
        column: None,
        message: OLDER.to_owned(),
        said: None,
    };
    refused.extend(origins.iter().filter(|origin| older.contains(&origin.record)).map(refusal));
    origins.retain(|origin| !older.contains(&origin.record));
    let rows = arrow_select::filter::filter_record_batch(&rows, &BooleanArray::from(keep))?;
    Ok(Batch { rows, origins })
}
