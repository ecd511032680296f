//! What a load would do: the file validated, and its rows held against the table as it stands. Nothing is written, neither
//! to the database nor to the ledger, and nobody is kept from loading meanwhile.

use std::{fs::File, path::Path, sync::Arc};

use super::{
    Folders, Sample, Step,
    clock::{Clock, SystemClock},
    compared::{self, CompareError, Compared},
    deliver, facts,
    inspect::{InspectError, Inspector},
    lookup_files, target,
};
use crate::{
    ledger::{LedgerError, LedgerReader},
    mapping::{Plan, Site, plan::OnDuplicate},
    model::{ContentHash, DeliveryId, Outcome, Reason, Tally, reject::MASK},
    targets::{Difference, DifferenceKind, TargetError},
    validate::ValidateError,
    wire::{self, WireError},
};

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The file or its validation.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The table or its database.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<WireError> for PreviewError {
    fn from(error: WireError) -> Self {
        Self::Inspect(error.into())
    }
}

impl From<ValidateError> for PreviewError {
    fn from(error: ValidateError) -> Self {
        Self::Inspect(error.into())
    }
}

impl From<CompareError> for PreviewError {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Target(error) => error.into(),
            CompareError::Validate(error) => error.into(),
        }
    }
}

/// What a load would do.
#[derive(Debug)]
pub struct Preview {
    /// How it would end.
    pub outcome: Outcome,
    /// Why, where that needs saying.
    pub reason: Option<Reason>,
    /// The same in words.
    pub message: Option<String>,
    /// Its counts.
    pub tally: Tally,
    /// The delivery that loaded the same bytes already, so that a load would do nothing with them.
    pub loaded_by: Option<DeliveryId>,
    /// The first rejects.
    pub rejects: Vec<Sample>,
    /// The first rows that would be inserted.
    pub inserted: Vec<RowShown>,
    /// The first rows that would be updated.
    pub updated: Vec<RowShown>,
    /// The first rows of the table that would be deleted or marked, as the file does not have them.
    pub deleted: Vec<RowShown>,
}

/// A row as it may be shown.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RowShown {
    /// The line on which its record begins; none for a row that only the table has.
    pub line: Option<u64>,
    /// The values of its key; what is sensitive is masked.
    pub key: Vec<String>,
    /// What would change in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeShown>,
}

/// A change of a value as it may be shown.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ChangeShown {
    /// The table's column.
    pub column: String,
    /// What the table has; none is NULL.
    pub from: Option<String>,
    /// What the file has; none is NULL.
    pub to: Option<String>,
}

impl RowShown {
    /// `difference` with what is sensitive masked.
    #[must_use]
    pub fn new(plan: &Plan, difference: Difference) -> Self {
        let column = |index: usize| plan.columns.get(index);
        let masked = |index: usize, text: String| {
            if column(index).is_some_and(|column| column.sensitive) { MASK.to_owned() } else { text }
        };
        let key = plan.table.key.iter().zip(difference.key).map(|(index, text)| masked(*index, text));
        let changes = difference.changes.into_iter().map(|change| {
            let index = usize::from(change.column);
            ChangeShown {
                column: column(index).map(|column| column.name.clone()).unwrap_or_default(),
                from: change.stored.map(|text| masked(index, text)),
                to: change.new.map(|text| masked(index, text)),
            }
        });
        Self {
            line: difference.origin.map(|origin| origin.line),
            key: key.collect(),
            changes: changes.collect(),
        }
    }
}

/// Finds out what loading the file at `path` under `plan` would do. `shown` rows of each kind are told in detail.
///
/// # Errors
/// When file, ledger or table cannot be read.
pub fn preview(
    site: &Site,
    inspector: &Inspector,
    plan: &Arc<Plan>,
    path: &Path,
    shown: usize,
    progress: &mut dyn FnMut(Step, u64, u64),
) -> Result<Preview, PreviewError> {
    let facts = facts::of_file(path, plan, SystemClock::default().unix_millis());
    let inspection = inspector.inspect(plan, path, &facts, true, progress)?;
    let mut preview = Preview {
        loaded_by: loaded_by(site, plan, path)?,
        rejects: inspection.sample(shown)?,
        outcome: inspection.outcome,
        reason: inspection.reason,
        message: inspection.message,
        tally: inspection.tally,
        inserted: Vec::new(),
        updated: Vec::new(),
        deleted: Vec::new(),
    };
    let Some(mut work) = inspection.work else { return Ok(preview) };
    if preview.outcome == Outcome::Refused {
        return Ok(preview);
    }
    let target = target::open(&site.settings, plan.connection.as_deref())?;
    let mut tell = |difference: Difference| {
        let rows = match difference.kind {
            DifferenceKind::Insert => &mut preview.inserted,
            DifferenceKind::Update => &mut preview.updated,
            DifferenceKind::Delete => &mut preview.deleted,
        };
        if rows.len() < shown {
            rows.push(RowShown::new(plan, difference));
        }
        true
    };
    let compared = match compared::compare(&*target, plan, &mut work, &mut tell) {
        Ok(compared) => compared,
        Err(CompareError::Target(error @ TargetError::Misfit(_))) => {
            (preview.outcome, preview.reason) = (Outcome::Refused, Some(Reason::Target));
            preview.message = Some(error.to_string());
            return Ok(preview);
        }
        Err(error) => return Err(error.into()),
    };
    preview.conclude(plan, compared, shown);
    Ok(preview)
}

impl Preview {
    /// Adds what the comparison says. What validation holds for a person stays held.
    fn conclude(&mut self, plan: &Plan, compared: Compared, shown: usize) {
        let key = plan.table.key.first().and_then(|column| plan.columns.get(*column));
        let room = shown.saturating_sub(self.rejects.len());
        self.rejects.extend(compared.refused.iter().take(room).map(|refusal| Sample {
            line: refusal.origin.line,
            column: key.map(|column| column.name.clone()).unwrap_or_default(),
            value: String::new(),
            message: refusal.message.clone(),
            is_sentence: false,
        }));
        self.tally = compared.tally;
        if self.outcome != Outcome::Held {
            (self.outcome, self.reason, self.message) = (compared.outcome, compared.reason, compared.message);
        }
    }
}

/// The delivery that has loaded the bytes of the file under this mapping, if a load would find it.
fn loaded_by(site: &Site, plan: &Plan, path: &Path) -> Result<Option<DeliveryId>, PreviewError> {
    let ledger = Folders::of(site).ledger();
    if !ledger.exists() || plan.on_duplicate == OnDuplicate::Load || plan.shadow {
        return Ok(None);
    }
    let reader = LedgerReader::open(&ledger)?;
    let file: File = wire::open_regular(path)?;
    let size = file.metadata().map_err(|cause| WireError::io("read", path, cause))?.len();
    if !reader.view().knows_size(size)? {
        return Ok(None);
    }
    let (hash, _) = wire::hash_file(&file, path, |_| {})?;
    Ok(deliver::loaded_before(
        reader.view(),
        plan,
        &ContentHash(hash),
        lookup_files::hash(&site.dir, plan).as_deref(),
    )?)
}
