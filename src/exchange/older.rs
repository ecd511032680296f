//! Rows of a correction that may be older than what the table has.
//!
//! A reject whose key can be read is overtaken when a later delivery loads that key. Of a row whose key could not be read, or
//! was changed when it was corrected, nobody has kept watch. If the table has a row of its key with other values, that row
//! stays as it is, and the correction is told, where it may be a newer one: other deliveries have been loaded since, or it
//! is a row of the same file, in which a key that stands twice is refused as well.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow_array::BooleanArray;

use super::{
    Engine, EngineError,
    deliver::{Fault, Mode},
    run::Unseen,
    take::Job,
};
use crate::{
    ledger::DeliveryState,
    mapping::plan::{DuplicateKeys, Plan},
    model::{Batch, Rule, State, value},
    targets::{Difference, DifferenceKind, RowRefusal, Target},
    validate::{ValidateError, WorkFile, keys::KeyHash},
};

/// What is said of a row that a later delivery may have brought.
const OLDER: &str = "has a key that was not known before, and the table has another row with it that a later file may have \
                     brought: send it with the next file instead";
/// What is said of a row whose key another row of its file has.
const TWICE: &str = "has the key of another row of its file, which is loaded: correct the key, or send the change with the next \
                     file";

/// Records that are not written, and why.
pub(super) type Older = BTreeMap<u64, &'static str>;

impl Engine {
    /// The records of a correction that are not written, as the table may have newer values.
    pub(super) fn older_rows(
        &self,
        job: &Job,
        work: &mut WorkFile,
        target: &dyn Target,
    ) -> Result<Older, Fault> {
        let Some(of) = job.corrects else { return Ok(Older::new()) };
        let (former, others_since, watched) = {
            let ledger = self.ledger();
            let view = ledger.view();
            let Some(former) = view.by_id(of)? else { return Ok(Older::new()) };
            let others_since = view.loaded_since(&former, &job.plan.table.table)?;
            let watched = view.keys_of(former.arrival)?;
            (former, others_since, watched)
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
            return Ok(Older::new());
        }
        let mut unknown: HashMap<Vec<String>, u64> = HashMap::new();
        let mut comparison = target.compare(&job.plan.table, job.plan.row_schema(&work.seal.layout))?;
        let mut told = |difference: Difference| {
            let record = difference.origin.map(|origin| origin.record);
            if let Some(record) = record.filter(|record| !known.contains(record))
                && difference.kind == DifferenceKind::Update
            {
                unknown.insert(difference.key, record);
            }
        };
        for batch in work.rows()? {
            comparison.compare(&batch?, Some(&mut told))?;
        }
        comparison.finish()?;
        if others_since || unknown.is_empty() {
            return Ok(unknown.into_values().map(|record| (record, OLDER)).collect());
        }
        self.twice_in_file(job, former, &unknown)
    }

    /// Those of the records with these keys whose key another row of the file has, or one that an earlier correction of it brought:
    /// in one file they would have been refused. It is read again, which happens only for keys that were corrected and that
    /// the table has.
    fn twice_in_file(
        &self,
        job: &Job,
        former: DeliveryState,
        wanted: &HashMap<Vec<String>, u64>,
    ) -> Result<Older, Fault> {
        let lasting = |error: EngineError| Fault::Lasting(error.to_string());
        let plan = self.plan_of_today(&former, None).map_err(lasting)?;
        let mut files = self.ledger().view().corrections_of(former.id)?;
        let is_loaded = |state: State| matches!(state, State::Loaded | State::LoadedWithRejects);
        files.retain(|file| file.id != job.id && is_loaded(file.state));
        files.push(former);
        let mut twice = Older::new();
        for file in files {
            let job = self.job_of(&file, &plan).map_err(lasting)?;
            let share = self.memory.share(job.size, false);
            let Ok(mut work) = self.validate(&job, Mode::Beside, &share, None, &mut Unseen)? else {
                continue;
            };
            for batch in work.rows()? {
                let batch = batch?;
                for (key, origin) in keys(&plan, &batch).zip(&batch.origins) {
                    let Some(corrected) = wanted.get(&key) else { continue };
                    let wins = plan.duplicate_keys == DuplicateKeys::Last && *corrected > origin.record;
                    if !wins && *corrected != origin.record {
                        twice.insert(*corrected, TWICE);
                    }
                }
            }
        }
        Ok(twice)
    }
}

/// The keys of a batch's rows in canonical form.
fn keys<'b>(plan: &Plan, batch: &'b Batch) -> impl Iterator<Item = Vec<String>> + 'b {
    let schema = batch.rows.schema();
    let names = plan.table.key.iter().filter_map(|at| plan.columns.get(*at));
    let columns: Vec<usize> = names.filter_map(|column| schema.index_of(&column.name).ok()).collect();
    (0..batch.rows.num_rows()).map(move |row| {
        let cells = columns.iter().map(|at| value::text::text(batch.rows.column(*at), row));
        cells.map(Option::unwrap_or_default).collect()
    })
}

/// The batch without the rows that are `older`, which are refused instead.
pub(super) fn leave_out(
    batch: Batch,
    older: &Older,
    refused: &mut Vec<RowRefusal>,
) -> Result<Batch, ValidateError> {
    if older.is_empty() || !batch.origins.iter().any(|origin| older.contains_key(&origin.record)) {
        return Ok(batch);
    }
    let keep: Vec<bool> = batch.origins.iter().map(|origin| !older.contains_key(&origin.record)).collect();
    let Batch { rows, mut origins } = batch;
    let refusal = |origin: &crate::model::Origin| RowRefusal {
        origin: *origin,
        rule: Rule::Key,
        column: None,
        message: older.get(&origin.record).copied().unwrap_or(OLDER).to_owned(),
        said: None,
    };
    refused.extend(origins.iter().filter(|origin| older.contains_key(&origin.record)).map(refusal));
    origins.retain(|origin| !older.contains_key(&origin.record));
    let rows = arrow_select::filter::filter_record_batch(&rows, &BooleanArray::from(keep))?;
    Ok(Batch { rows, origins })
}
