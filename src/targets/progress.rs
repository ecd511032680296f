//! A delivery that is committed batch by batch: how far it has come, as the loads table keeps it.

use serde::{Deserialize, Serialize};

use crate::model::{ContentHash, Tally};

/// How much of a delivery one transaction holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Commit {
    /// All of it: others see the whole delivery or nothing of it.
    #[default]
    Delivery,
    /// A batch of its rows, for files that are too large for one transaction: others see the table grow, and a load that
    /// was cut off goes on after the last batch.
    Batch,
}

/// A place in a delivery up to which all its rows are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The last record that was sent, by its number in the file; records are sent in rising order, so none up to it is
    /// sent again.
    pub record: u64,
    /// Hash over the rows that the target has refused up to here; all zero when there are none.
    pub rejects: ContentHash,
    /// Hash over the rows that are sent, the whole delivery's: a load goes on only with the same.
    pub work: ContentHash,
}

/// What the loads table remembers of a load that is committed in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How far it has come.
    #[serde(flatten)]
    pub mark: Mark,
    /// The counts of [`Load::counts`](super::Load::counts) up to there.
    pub counts: Tally,
}

impl Progress {
    /// True when some of what was sent became a row of the table, or was one.
    #[must_use]
    pub fn is_of_rows(&self) -> bool {
        let Tally { inserted, updated, unchanged, .. } = self.counts;
        [inserted, updated, unchanged].iter().any(|count| *count > 0)
    }

    /// As the loads table keeps it: a JSON object.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From what [`Progress::to_text`] wrote; none when it is something else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What a target remembers of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// Nothing: none of its rows are in.
    Nothing,
    /// Some of it was committed, batch by batch, up to this place.
    Part(Progress),
    /// All of it: its load was completed.
    Whole,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_back_as_it_was_written_and_other_texts_do_not_read() {
        let mark = Mark { record: u64::MAX, rejects: ContentHash([0; 32]), work: ContentHash([0xa5; 32]) };
        let counts = Tally { inserted: 3, superseded: 1, exact: false, ..Tally::default() };
        let progress = Progress { mark, counts };
        assert_eq!(Progress::from_text(&progress.to_text()), Some(progress));
        for other in ["", "{}", "null", "[1]", "{\"record\":1}"] {
            assert_eq!(Progress::from_text(other), None, "{other}");
        }
    }
}
