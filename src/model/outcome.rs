//! What can become of a delivery.

use serde::{Deserialize, Serialize};

/// Where a delivery stands. The last word is one of the outcomes; `held` and `failed` wait for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its bytes are archived.
    Taken,
    /// It waits for its turn.
    Waiting,
    /// It is being validated or loaded.
    Running,
    /// Every record that was not filtered is in the target.
    Loaded,
    /// The good rows are in the target, the rejects are reported.
    LoadedWithRejects,
    /// Nothing of it was loaded, and nothing will be.
    Refused,
    /// The same bytes were loaded before.
    Duplicate,
    /// A newer complete file made it void.
    Overtaken,
    /// Nothing was loaded yet: a person has to look at it.
    Held,
    /// A fault kept it from loading; it can be tried again.
    Failed,
}

/// The state a delivery ends a run in, as reports and exit codes speak of it.
pub type Outcome = State;

impl State {
    /// The word that stands in the ledger, reports and JSON.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Loaded => "loaded",
            Self::LoadedWithRejects => "loaded_with_rejects",
            Self::Refused => "refused",
            Self::Duplicate => "duplicate",
            Self::Overtaken => "overtaken",
            Self::Held => "held",
            Self::Failed => "failed",
        }
    }

    /// True when nothing more will happen to the delivery by itself or by a person's word.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Loaded | Self::LoadedWithRejects | Self::Refused | Self::Duplicate | Self::Overtaken
        )
    }

    /// True when a person has to do something about it.
    #[must_use]
    pub fn needs_attention(self) -> bool {
        matches!(self, Self::Held | Self::Failed)
    }
}

/// Why a delivery was refused, held, failed or found a duplicate. The codes are part of the JSON output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No mapping's `match` fits the file's name.
    NoMapping,
    /// Two mappings fit and do not both say `shared = true`.
    Ambiguous,
    /// Zero bytes, or nothing but a byte order mark.
    Empty,
    /// The header is missing, or lacks, doubles or adds columns.
    Header,
    /// The file as a whole is not in the encoding the mapping names.
    Encoding,
    /// The trailer is absent, doubled, in the wrong place or disagrees.
    Trailer,
    /// A control total disagrees.
    Controls,
    /// More rejects than `[rejects] limit` allows.
    RejectLimit,
    /// More rejects than `[rejects] hold` lets pass without a person.
    RejectHold,
    /// In mode mirror, more rows would vanish than may without a person, or no record was accepted.
    DeleteHold,
    /// It waited for another mapping for as long as its own allows.
    WaitLimit,
    /// The target table does not fit the mapping.
    Target,
    /// The target refused more rows than can be told apart one by one.
    TargetLimit,
    /// A corrected file of which no row belongs to a reject of the site.
    NoReject,
    /// The same bytes under the same mapping were loaded before.
    SameContent,
    /// The file changed while it was read.
    Changed,
    /// A disk, network or database fault.
    Fault,
}
