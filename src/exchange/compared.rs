//! The rows of a validated file held against the table that they would go to. Nothing is written.

use super::{
    rows::MOST_TARGET_REJECTS,
    vanish::{self, Compares, Vanish},
};
use crate::{
    mapping::plan::Plan,
    model::{Outcome, Reason, Tally},
    targets::{Difference, RowRefusal, Target, TargetError},
    validate::{ValidateError, Verdict, WorkFile, verdict},
};

/// What a load would come to.
#[derive(Debug)]
pub struct Compared {
    /// How it would end.
    pub outcome: Outcome,
    /// Why, where that needs saying.
    pub reason: Option<Reason>,
    /// The same in words.
    pub message: Option<String>,
    /// Its counts.
    pub tally: Tally,
    /// The counts of the comparison, whatever a load would make of them.
    pub counts: Tally,
    /// Rows that the mode refuses, such as those in mode insert whose key is there already.
    pub refused: Vec<RowRefusal>,
}

/// Why rows cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The table does not fit, or its database is at fault.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The work file.
    #[error(transparent)]
    Validate(#[from] ValidateError),
}

/// Compares all rows of `work` with the table of `plan`. `tell` is told each difference until it says that it has seen
/// enough.
///
/// # Errors
/// When table or work file cannot be read.
pub fn compare(
    target: &dyn Target,
    plan: &Plan,
    work: &mut WorkFile,
    tell: &mut dyn FnMut(Difference) -> bool,
) -> Result<Compared, CompareError> {
    let mut comparison = target.compare(&plan.table, plan.row_schema(&work.seal.layout))?;
    let mut wants_more = true;
    let mut told = |difference| wants_more &= tell(difference);
    let mut refused: Vec<RowRefusal> = Vec::new();
    for batch in work.rows()? {
        refused.extend(comparison.compare(&batch?, Some(&mut told))?);
        if refused.len() > MOST_TARGET_REJECTS {
            break;
        }
    }
    let vanish: Vanish = if refused.len() > MOST_TARGET_REJECTS {
        Vanish::Never
    } else {
        vanish::look::<CompareError>(
            plan,
            work,
            &mut Compares { comparison: &mut *comparison, tell: &mut told },
        )?
    };
    let counts = comparison.finish()?;
    let seal = &work.seal;
    let rejected = seal.rejected + refused.len() as u64;
    let tally = Tally {
        read: seal.read,
        rejected,
        superseded: counts.superseded + seal.superseded,
        filtered: seal.filtered,
        ..counts
    };
    let mut compared =
        Compared { outcome: Outcome::Loaded, reason: None, message: None, tally, counts: tally, refused };
    compared.judge(plan, &vanish);
    Ok(compared)
}

impl Compared {
    /// Rows that the table would take.
    fn accepted(&self) -> u64 {
        let Tally { inserted, updated, unchanged, superseded, .. } = self.counts;
        inserted + updated + unchanged + superseded
    }

    fn judge(&mut self, plan: &Plan, vanish: &Vanish) {
        let (read, filtered, rejected) = (self.tally.read, self.tally.filtered, self.tally.rejected);
        (self.outcome, self.reason, self.message) = if self.refused.len() > MOST_TARGET_REJECTS {
            let message = format!("the table would refuse more than {MOST_TARGET_REJECTS} rows");
            (Outcome::Refused, Some(Reason::TargetLimit), Some(message))
        } else {
            match verdict::judge_rejects(plan, read, rejected) {
                Some(Verdict::Refuse { reason, message }) => (Outcome::Refused, Some(reason), Some(message)),
                Some(Verdict::Hold { message }) => (Outcome::Held, Some(Reason::RejectHold), Some(message)),
                _ => match vanish.hold(plan, self.accepted()) {
                    Some(hold) => (Outcome::Held, Some(Reason::DeleteHold), Some(hold.message)),
                    None if rejected > 0 => (Outcome::LoadedWithRejects, None, vanish.note()),
                    None => (Outcome::Loaded, None, vanish.note()),
                },
            }
        };
        if matches!(self.outcome, Outcome::Refused | Outcome::Held) {
            let withheld = read.saturating_sub(filtered).saturating_sub(rejected);
            self.tally = Tally { read, filtered, rejected, withheld, ..Tally::default() };
        }
    }
}
