//! Validation: a plan and a file's records become rows and rejects, in a sealed work file, with a verdict.
//!
//! [`chunk::PureStep`] runs on each chunk, side by side; [`sequence::Sequence`] takes the results in file order and does
//! what needs that order: duplicate keys, unique values, trailers, totals, limits. The verdict falls before a target is
//! touched.

pub mod chunk;
pub mod column;
pub mod computed;
pub mod kept;
pub mod keys;
mod looking;
pub mod lookup;
mod made;
mod parts;
mod rejected_keys;
mod ruled;
pub mod sequence;
pub mod store;
pub mod superseded;
pub mod verdict;
pub mod work;

pub use chunk::{Checked, PureStep};
pub use rejected_keys::KeyReader;
pub use sequence::Sequence;
pub use verdict::Verdict;
pub use work::{Seal, WorkFile};

use thiserror::Error;

/// Why validation could not go on. Nothing of it is the file's fault.
#[derive(Debug, Error)]
pub enum ValidateError {
    /// The disk of the folder for work files fails.
    #[error("cannot write the work file: {0}")]
    Work(std::io::Error),
    /// What was read back is not Arrow as it was written.
    #[error("the work file is damaged: {0}")]
    Arrow(arrow_schema::ArrowError),
    /// What was read back is not what was written.
    #[error("the work file is damaged: {0}")]
    Damaged(&'static str),
}

impl From<std::io::Error> for ValidateError {
    /// What is read back and is not what was written is damage, and no disk that fails.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::InvalidData => Self::Damaged("its checksum does not match"),
            _ => Self::Work(error),
        }
    }
}

impl From<arrow_schema::ArrowError> for ValidateError {
    /// A disk that fails under an Arrow stream is a disk that fails, and no damage.
    fn from(error: arrow_schema::ArrowError) -> Self {
        match error {
            arrow_schema::ArrowError::IoError(_, cause) => cause.into(),
            other => Self::Arrow(other),
        }
    }
}
