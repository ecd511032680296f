//! What today's mapping says of a delivery in the archive: which of its records would newly pass, and which would newly
//! fail. Nothing is loaded and nothing is recorded.

use std::{cmp::Ordering, fs::File, path::Path, sync::Arc};

use roaring::RoaringTreemap;

use super::{
    Sample, Step,
    inspect::{InspectError, Inspection, Inspector},
    report::sample_of,
};
use crate::{
    ledger::DeliveryState,
    mapping::{Plan, expression::Facts},
    model::{Reject, Tally},
    validate::{ValidateError, WorkFile, work::RejectFile},
};

/// A delivery under another mapping than the one it ran under.
pub struct Against {
    /// What validation says today.
    pub inspection: Inspection,
    /// Records that were rejected then and would pass now, with what was wrong with them.
    pub newly_passing: Records,
    /// Records that were rejected then and that today's filter leaves out.
    pub filtered_rejects: u64,
    /// Records that passed then and that today's filter leaves out; not known where the filter of then left some out, as
    /// nobody wrote down which.
    pub filtered_rows: Option<u64>,
    /// Records that passed then and would be rejected now, with what is wrong with them.
    pub newly_failing: Records,
    /// Records that were and would be rejected.
    pub still_failing: u64,
    /// Records that only the database refused; what it would say today is not known.
    pub refused_by_target: u64,
}

/// Some records: how many, and what is wrong with the first.
#[derive(Debug, Default)]
pub struct Records {
    /// How many.
    pub count: u64,
    /// What is wrong with the first.
    pub first: Vec<Sample>,
}

/// Validates `archived` bytes, of whose delivery some facts are known, under `plan` and compares what is rejected with the rejects `kept` of then;
/// none were kept if there were none. `shown` records of each kind are told in detail.
///
/// # Errors
/// When the archived copy or the rejects cannot be read.
pub fn against(
    inspector: &Inspector,
    plan: &Arc<Plan>,
    archived: (&Path, &Arc<Facts>),
    (then, kept): (Tally, Option<&Path>),
    shown: usize,
    progress: &mut dyn FnMut(Step, u64, u64),
) -> Result<Against, InspectError> {
    let (path, facts) = archived;
    let inspection = inspector.inspect(plan, path, facts, true, progress)?;
    let kept = match kept {
        Some(path) => {
            let file = File::open(path).map_err(|cause| crate::wire::WireError::io("open", path, cause))?;
            Some(RejectFile::open(file)?)
        }
        None => None,
    };
    let mut found = Against {
        inspection,
        newly_passing: Records::default(),
        filtered_rejects: 0,
        filtered_rows: None,
        newly_failing: Records::default(),
        still_failing: 0,
        refused_by_target: 0,
    };
    found.compare(kept.as_ref(), shown)?;
    if then.filtered == 0 {
        let now = found.inspection.tally.filtered;
        found.filtered_rows = Some(now.saturating_sub(found.filtered_rejects));
    }
    Ok(found)
}

/// True when the rejects of a delivery tell which of its records passed: it was validated to its end.
#[must_use]
pub fn was_validated(delivery: &DeliveryState) -> bool {
    delivery.tally.is_some_and(|tally| tally.read > 0)
}

impl Against {
    fn compare(&mut self, kept: Option<&RejectFile>, shown: usize) -> Result<(), ValidateError> {
        let by_target = match kept {
            Some(kept) => kept.target_rejects()?,
            None => Vec::new(),
        };
        self.refused_by_target = by_target.len() as u64;
        let is_by_target = |reject: &Reject| {
            let record = reject.position.record;
            by_target.binary_search_by_key(&record, |reject| reject.position.record).is_ok()
        };
        let filtered = match (&mut self.inspection.work, kept) {
            (Some(work), Some(kept)) if work.seal.filtered > 0 => filtered_of(kept, work)?,
            _ => RoaringTreemap::new(),
        };
        let Some(work) = &self.inspection.work else { return Ok(()) };
        let mut then = match kept {
            Some(kept) => Some(kept.rejects()?),
            None => None,
        };
        let mut next_then = || -> Result<Option<Reject>, ValidateError> {
            let mut then = then.iter_mut().flatten();
            then.find(|reject| !reject.as_ref().is_ok_and(is_by_target)).transpose()
        };
        let mut now = work.rejects()?;
        let (mut old, mut new) = (next_then()?, now.next().transpose()?);
        loop {
            let order = match (&old, &new) {
                (Some(old), Some(new)) => old.position.record.cmp(&new.position.record),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(()),
            };
            match (order, &old, &new, kept) {
                (Ordering::Less, Some(old), ..) if filtered.contains(old.position.record) => {
                    self.filtered_rejects += 1;
                }
                (Ordering::Less, Some(old), _, Some(kept)) => {
                    self.newly_passing.add(shown, || sample_of(&kept.seal, old));
                }
                (Ordering::Greater, _, Some(new), _) => {
                    self.newly_failing.add(shown, || sample_of(&work.seal, new));
                }
                _ => self.still_failing += 1,
            }
            if order.is_le() {
                old = next_then()?;
            }
            if order.is_ge() {
                new = now.next().transpose()?;
            }
        }
    }
}

/// Those of the `kept` rejects that are neither rows nor rejects of `work`: today's filter leaves them out. They take a bit or
/// two each, as the numbers of records stand close together.
fn filtered_of(kept: &RejectFile, work: &mut WorkFile) -> Result<RoaringTreemap, ValidateError> {
    let mut filtered = RoaringTreemap::new();
    for reject in kept.rejects()? {
        filtered.insert(reject?.position.record);
    }
    for reject in work.rejects()? {
        filtered.remove(reject?.position.record);
    }
    for batch in work.rows()? {
        for origin in batch?.origins {
            filtered.remove(origin.record);
        }
    }
    if work.seal.superseded > 0 {
        for record in filtered.clone() {
            if work.is_void(record)? {
                filtered.remove(record);
            }
        }
    }
    Ok(filtered)
}

impl Records {
    fn add(&mut self, shown: usize, sample: impl FnOnce() -> Vec<Sample>) {
        self.count += 1;
        if self.count <= shown as u64 {
            self.first.extend(sample());
        }
    }
}
