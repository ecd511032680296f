//! Mode mirror: what becomes of the rows that the file does not have. The same for a load, and for what only compares.

use arrow_array::RecordBatch;

use crate::{
    mapping::plan::{DeleteLimit, Plan},
    targets::{Comparison, Difference, Load, MOST_SCOPES, Mirror, TargetError, Vanished, Vanishing},
    validate::{ValidateError, WorkFile},
};

/// What is asked of a table after all rows of a file.
pub(super) trait Looks {
    /// The file has rows with these keys, although their records were rejected.
    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError>;

    /// How much would vanish; none when the file has too many scopes.
    fn vanishing(&mut self) -> Result<Option<Vanishing>, TargetError>;
}

impl Looks for Box<dyn Load> {
    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError> {
        (**self).present(keys)
    }

    fn vanishing(&mut self) -> Result<Option<Vanishing>, TargetError> {
        (**self).vanishing()
    }
}

/// A comparison, and who is told of the rows that would vanish.
pub(super) struct Compares<'a> {
    /// The comparison.
    pub(super) comparison: &'a mut dyn Comparison,
    /// Who is told.
    pub(super) tell: &'a mut dyn FnMut(Difference),
}

impl Looks for Compares<'_> {
    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError> {
        self.comparison.present(keys)
    }

    fn vanishing(&mut self) -> Result<Option<Vanishing>, TargetError> {
        self.comparison.vanishing(Some(self.tell))
    }
}

/// What becomes of the rows that the file does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Vanish {
    /// They are none of this run's business.
    Never,
    /// They stay this time, and why.
    NotNow(String),
    /// They vanish.
    Rows(Vanishing),
}

/// Why a person has to look before anything vanishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// What the person should look at.
    pub(super) message: String,
    /// Rows that would vanish.
    pub(super) deletes: u64,
}

/// Looks for the rows that the file behind `work` does not have.
pub(super) fn look<E: From<TargetError> + From<ValidateError>>(
    plan: &Plan,
    work: &WorkFile,
    table: &mut dyn Looks,
) -> Result<Vanish, E> {
    let Some(mirror) = &plan.table.mirror else { return Ok(Vanish::Never) };
    if let Some(why) = unreadable(plan, work) {
        return Ok(Vanish::NotNow(why));
    }
    for keys in work.rejected_keys()?.into_iter().flatten() {
        table.present(&keys?)?;
    }
    Ok(match table.vanishing()? {
        Some(vanishing) => Vanish::Rows(vanishing),
        None => Vanish::NotNow(format!(
            "nothing was {} this time: the file has more than {MOST_SCOPES} different values in the columns of `scope`, so \
             that it cannot be told what it is the whole of",
            done(mirror)
        )),
    })
}

/// Why nothing vanishes where keys could not be read.
pub(super) fn unreadable(plan: &Plan, work: &WorkFile) -> Option<String> {
    let mirror = plan.table.mirror.as_ref()?;
    let records = work.seal.unreadable_keys;
    (records > 0).then(|| {
        let (keys, they) = if records == 1 { ("the key of 1 record", "it") } else { ("the keys of records", "they") };
        let count = if records == 1 { String::new() } else { format!(" ({records})") };
        format!(
            "nothing was {} this time: {keys}{count} could not be read, so nobody knows which rows {they} may stand for; see \
             the rejects",
            done(mirror)
        )
    })
}

impl Vanish {
    /// What is told of it in the end.
    pub(super) fn note(&self) -> Option<String> {
        match self {
            Self::NotNow(why) => Some(why.clone()),
            _ => None,
        }
    }

    /// Why a person has to look first; `accepted` are the rows of the file that the table takes.
    pub(super) fn hold(&self, plan: &Plan, accepted: u64) -> Option<Hold> {
        let mirror = plan.table.mirror.as_ref()?;
        let found = match self {
            Self::Never => return None,
            Self::NotNow(_) => Vanishing::default(),
            Self::Rows(found) => *found,
        };
        let Vanishing { rows, of } = found;
        let verb = done(mirror);
        let message = if accepted == 0 {
            let fate = match rows {
                0 => format!("no row would be {verb}"),
                1 => format!("the 1 row that is left would be {verb}"),
                _ => format!("all {rows} rows that are left would be {verb}"),
            };
            format!("no record of the file was accepted, which is seldom the whole truth: {fate}")
        } else if plan.deletes.is_exceeded(rows, of) {
            let percent = rows as f64 * 100.0 / of.max(1) as f64;
            let limit = if plan.deletes == DeleteLimit::default() {
                format!("the {} that pass where `max_deletes` is left out", plan.deletes.most)
            } else {
                format!("max_deletes = {} lets pass", plan.deletes.most)
            };
            format!(
                "{rows} of {of} rows ({percent:.2} %) are not in the file and would be {verb}, more than {limit}"
            )
        } else {
            return None;
        };
        Some(Hold { message, deletes: rows })
    }
}

fn done(mirror: &Mirror) -> &'static str {
    match mirror.vanished {
        Vanished::Delete => "deleted",
        Vanished::Mark { .. } => "marked as vanished",
    }
}
