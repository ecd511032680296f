//! What the engine says of a delivery when it has come to its end.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use crate::{
    formats::text,
    ledger::{DeliveryState, Reports},
    model::{DeliveryId, Outcome, Reason, Reject, Rule, Tally, Violation, printable, reject::MASK},
    rejects,
    validate::{Seal, ValidateError, WorkFile, work::RejectFile},
};

/// Rejects shown with a delivery's outcome.
pub const SAMPLE_REJECTS: usize = 3;

/// The end of a delivery, or of a file that could not be taken.
#[derive(Clone, Debug)]
pub struct DeliveryReport {
    /// The delivery; none for a file that was not taken.
    pub delivery: Option<DeliveryId>,
    /// The file as it was named to the engine.
    pub file: PathBuf,
    /// The mapping, if one fits.
    pub mapping: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where that needs saying.
    pub reason: Option<Reason>,
    /// The same in words.
    pub message: Option<String>,
    /// What became of its records.
    pub tally: Tally,
    /// The same for each table.
    pub tables: BTreeMap<String, Tally>,
    /// Where the reports are, from the site's folder.
    pub reports: Reports,
    /// The first rejects.
    pub sample: Vec<Sample>,
    /// Nothing was written: the rows were compared with the table.
    pub shadow: bool,
    /// How long it took, in milliseconds.
    pub worked_millis: u64,
    /// The delivery that it corrects rejects of.
    pub corrects: Option<DeliveryId>,
}

impl DeliveryReport {
    /// A report that says nothing yet but how it ended.
    #[must_use]
    pub fn new(delivery: Option<DeliveryId>, file: &Path, mapping: Option<&str>, outcome: Outcome) -> Self {
        Self {
            delivery,
            file: file.to_owned(),
            mapping: mapping.map(str::to_owned),
            outcome,
            reason: None,
            message: None,
            tally: Tally::default(),
            tables: BTreeMap::new(),
            reports: Reports::default(),
            sample: Vec::new(),
            shadow: false,
            worked_millis: 0,
            corrects: None,
        }
    }

    /// What the ledger knows of a delivery, as a report of this outcome.
    #[must_use]
    pub fn of(delivery: &DeliveryState, outcome: Outcome) -> Self {
        let name = delivery.file.to_string();
        let file = delivery.source_path.as_deref().unwrap_or(Path::new(&name));
        Self {
            reason: delivery.reason,
            message: delivery.message.clone(),
            tally: delivery.tally.unwrap_or_default(),
            tables: delivery.tables.clone(),
            reports: delivery.reports.clone(),
            worked_millis: delivery.worked_millis.unwrap_or_default(),
            corrects: delivery.corrects,
            shadow: delivery.is_shadow(),
            ..Self::new(Some(delivery.id), file, delivery.mapping.as_deref(), outcome)
        }
    }

    /// Adds the first rejects, as they were kept.
    pub(super) fn add_sample(&mut self, kept: &Path) {
        let Ok(kept) = File::open(kept).map_err(ValidateError::Work).and_then(RejectFile::open) else {
            return;
        };
        let rejects =
            kept.rejects().and_then(|rejects| rejects.take(SAMPLE_REJECTS).collect::<Result<Vec<_>, _>>());
        if let Ok(rejects) = rejects {
            self.sample = rejects.iter().flat_map(|reject| sample_of(&kept.seal, reject)).collect();
        }
    }
}

/// One violation of one of the first rejects, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Physical line on which the record starts.
    pub line: u64,
    /// The file's column; empty when the whole record is concerned.
    pub column: String,
    /// The value, masked if it is sensitive; the start of the record when the whole record is concerned.
    pub value: String,
    /// What is wrong: a whole sentence of a check, else what follows the column, or "the record".
    pub message: String,
    /// True when the message is a whole sentence.
    pub is_sentence: bool,
}

/// The first rejects, as they may be shown.
pub(super) fn sample(work: &WorkFile) -> Result<Vec<Sample>, ValidateError> {
    let mut sample = Vec::new();
    for reject in work.rejects()?.take(SAMPLE_REJECTS) {
        sample.extend(sample_of(&work.seal, &reject?));
    }
    Ok(sample)
}

/// So much of a record's bytes is looked at to show how it begins.
const SHOWN_RECORD_BYTES: usize = 256;
/// Violations of one record that are shown with it; the reports have them all.
const SHOWN_VIOLATIONS: usize = 5;

/// One reject's first violations as they may be shown.
pub fn sample_of(seal: &Seal, reject: &Reject) -> Vec<Sample> {
    let any_sensitive = seal.sensitive.contains(&true);
    let raw = reject.raw.get(..SHOWN_RECORD_BYTES.min(reject.raw.len())).unwrap_or_default();
    let record = if any_sensitive { MASK.into() } else { text::shown(raw, &seal.encoding) };
    let of = |violation: &Violation| {
        let column = violation.column.map_or("", |column| rejects::column_of_file(seal, column));
        let value = match violation.column {
            Some(column) => rejects::shown_value(seal, Some(column), &violation.value),
            None => &record,
        };
        Sample {
            line: reject.position.line,
            column: printable::short(column, 60),
            value: printable::short(value, 60),
            message: violation.message.to_string(),
            is_sentence: matches!(violation.rule, Rule::Check(_)),
        }
    };
    reject.violations.iter().take(SHOWN_VIOLATIONS).map(of).collect()
}
