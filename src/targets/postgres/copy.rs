//! Sending the rows of a batch by COPY, each attempt behind a savepoint: where the server refuses some, they are divided until
//! each bad row stands alone.

use std::{collections::BTreeMap, ops::Range};

use super::{
    encode::Encoder,
    errors::Failure,
    plan::Column,
    refusals::{self, Refusals},
    session::Session,
};
use crate::targets::{MOST_REFUSALS, Refusal};

/// The savepoint before an attempt.
const SAVEPOINT: &str = "wharf_copy";

/// What became of the rows of a batch.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Rows that are in.
    pub rows: u64,
    /// Rows that were not taken: number in the batch, and why.
    pub refused: BTreeMap<usize, Refusal>,
    /// Rows that were not sent, as the key of one of them is in the table by now.
    pub left: Vec<usize>,
}

/// Where rows go.
pub(super) struct Copier<'a> {
    /// The connection.
    pub session: &'a Session,
    /// The COPY statement.
    pub sql: &'a str,
    /// Makes refusals of what the server says.
    pub refusals: &'a Refusals,
    /// A key that the table has is no refusal but a reason to hold the rows against it: they are left.
    pub leaves_known_keys: bool,
}

impl Copier<'_> {
    /// Sends `rows` rows of a batch, in their order.
    pub(super) fn copy(
        &self,
        encoder: &Encoder<'_>,
        rows: usize,
        columns: &[Column],
    ) -> Result<Copied, Failure> {
        let mut copied = Copied { refused: encoder.unkeepable(rows, columns), ..Copied::default() };
        let rows: Vec<usize> = (0..rows).filter(|row| !copied.refused.contains_key(row)).collect();
        // The range that comes next stands last.
        let mut ranges: Vec<Range<usize>> = std::iter::once(0..rows.len()).collect();
        while let Some(range) = ranges.pop() {
            let Some(part) = rows.get(range.clone()).filter(|part| !part.is_empty()) else { continue };
            match self.attempt(encoder, part)? {
                Attempt::Done => copied.rows += part.len() as u64,
                Attempt::KnownKey => {
                    copied.left = part.to_vec();
                    let later = ranges.iter().rev().filter_map(|range| rows.get(range.clone()));
                    copied.left.extend(later.flatten());
                    return Ok(copied);
                }
                Attempt::Refused(refusal, at) => match part {
                    [row] => {
                        copied.refused.insert(*row, refusal);
                        // The load ends here anyway.
                        if copied.refused.len() > MOST_REFUSALS {
                            return Ok(copied);
                        }
                    }
                    _ => ranges.extend(divided(range, at).into_iter().rev()),
                },
            }
        }
        Ok(copied)
    }

    fn attempt(&self, encoder: &Encoder<'_>, rows: &[usize]) -> Result<Attempt, Failure> {
        self.session.run(&format!("SAVEPOINT {SAVEPOINT}"))?;
        let (undone, at) = match self.session.copy_in(self.sql, SAVEPOINT, &mut encoder.buffers(rows)) {
            Ok(count) if count == rows.len() as u64 => {
                self.session.run(&format!("RELEASE SAVEPOINT {SAVEPOINT}"))?;
                return Ok(Attempt::Done);
            }
            // A trigger that gives no row passes it over without a word.
            Ok(_) => (Refusal::target(None, "was passed over by a trigger of the table"), None),
            Err(failure) if self.leaves_known_keys && self.refusals.is_known_key(&failure) => {
                self.go_back()?;
                return Ok(Attempt::KnownKey);
            }
            Err(failure) => match self.refusals.refusal(&failure) {
                Some(refusal) => (refusal, refusals::copied_row(&failure)),
                None => return Err(failure),
            },
        };
        self.go_back()?;
        Ok(Attempt::Refused(undone, at))
    }

    fn go_back(&self) -> Result<(), Failure> {
        self.session.run(&format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}"))
    }
}

/// How an attempt ended.
enum Attempt {
    /// All rows are in.
    Done,
    /// None is, as the table has the key of one of them.
    KnownKey,
    /// None is, and this is said of the row of this number, from 1, or of one of them.
    Refused(Refusal, Option<usize>),
}

/// The parts into which a range is divided: around the row that is said to be bad, or in the middle. Each is shorter.
fn divided(range: Range<usize>, at: Option<usize>) -> Vec<Range<usize>> {
    match at.and_then(|at| range.start.checked_add(at.checked_sub(1)?)).filter(|at| range.contains(at)) {
        Some(at) => vec![range.start..at, at..at + 1, at + 1..range.end],
        None => {
            let middle = range.start + range.len() / 2;
            vec![range.start..middle, middle..range.end]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_divided_around_the_row_that_is_named() {
        assert_eq!(divided(10..20, Some(3)), [10..12, 12..13, 13..20]);
        assert_eq!(divided(10..20, Some(1)), [10..10, 10..11, 11..20]);
        assert_eq!(divided(10..20, Some(10)), [10..19, 19..20, 20..20]);
        for elsewhere in [None, Some(0), Some(11), Some(usize::MAX)] {
            assert_eq!(divided(10..20, elsewhere), [10..15, 15..20]);
        }
        assert_eq!(divided(10..11, None), [10..10, 10..11]);
    }
}
