//! Drafts a mapping from samples of a feed.
//!
//! [`sniff`](sniff::sniff) looks at the start and the end of a sample and finds its layout; a [`Survey`] goes through all of
//! its records and counts what speaks for which type; a [`Drafter`] puts the evidence of several samples together and
//! writes a mapping whose comments say how each line was found. Nothing here opens files or starts threads: who drives it
//! gives bytes and readers, and runs [`Survey::chunk`], which is pure, wherever it likes.
//!
//! Memory is bounded by limits that stand beside what they bound, not by the size of a sample.

mod amount;
mod column;
mod dialect;
mod draft;
mod encoding;
mod forms;
mod header;
mod joined;
mod keys;
mod moments;
mod naming;
mod numbers;
mod sniff;
mod survey;
mod toml_text;
mod trailer;
mod types;
mod write;

use thiserror::Error;

use crate::formats::FormatError;

pub use column::Look;
pub use draft::{Draft, DraftColumn, Drafter, Sample};
pub use forms::Forms;
pub use keys::KeyCount;
pub use naming::{mapping_name, patterns};
pub use sniff::{HEAD_BYTES, Sniffed, TAIL_BYTES, agree, sniff};
pub use survey::{Evidence, Pass, Survey};

/// Why there is no draft.
#[derive(Debug, Error)]
pub enum InferError {
    /// Nothing stands in the sample.
    #[error("the file is empty; a draft needs a file with a header or records")]
    Empty,
    /// The sample is no text.
    #[error("this is no text file, but {0}")]
    NotText(String),
    /// The sample makes no sense as a table.
    #[error("{0}")]
    Unclear(String),
    /// Samples that do not belong together.
    #[error("the samples do not look like one feed: {0}; draft them one by one")]
    Differ(String),
    /// The sample cannot be read under the layout that was found.
    #[error(transparent)]
    Format(#[from] FormatError),
}
