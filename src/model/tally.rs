//! The counts of one delivery, which must balance.

use serde::{Deserialize, Serialize};

/// What became of the records of one delivery, or of its part for one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records read, whatever became of them.
    pub read: u64,
    /// Rows the target did not have.
    pub inserted: u64,
    /// Rows the target had with other values.
    pub updated: u64,
    /// Rows the target had with the same values; not written.
    pub unchanged: u64,
    /// Rows that a later record of the file, or a newer row of the table, made void.
    pub superseded: u64,
    /// Records that the filter leaves out.
    pub filtered: u64,
    /// Records that did not pass.
    pub rejected: u64,
    /// Good rows of a delivery that is refused, held or failed.
    pub withheld: u64,
    /// Rows deleted or marked because the file no longer has them. Not part of the balance.
    pub deleted: u64,
    /// False when the target cannot tell inserted from updated.
    pub exact: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            read: 0,
            inserted: 0,
            updated: 0,
            unchanged: 0,
            superseded: 0,
            filtered: 0,
            rejected: 0,
            withheld: 0,
            deleted: 0,
            exact: true,
        }
    }
}

impl Tally {
    /// True when every record read is accounted for exactly once.
    #[must_use]
    pub fn balances(&self) -> bool {
        let parts = [
            self.inserted,
            self.updated,
            self.unchanged,
            self.superseded,
            self.filtered,
            self.rejected,
            self.withheld,
        ];
        parts.iter().try_fold(0u64, |sum, part| sum.checked_add(*part)) == Some(self.read)
    }

    /// Rows that stand in the target because of this delivery, written now or already there.
    #[must_use]
    pub fn loaded(&self) -> u64 {
        self.inserted + self.updated + self.unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn a_tally_balances_when_every_record_is_counted_once() {
        let tally =
            Tally { read: 10, inserted: 4, updated: 2, unchanged: 1, rejected: 3, ..Tally::default() };
        assert!(tally.balances());
        assert_eq!(tally.loaded(), 7);
    }

    #[test]
    fn a_lost_or_doubled_record_unbalances_a_tally() {
        assert!(!Tally { read: 10, inserted: 9, ..Tally::default() }.balances());
        assert!(!Tally { read: 10, inserted: 10, rejected: 1, ..Tally::default() }.balances());
        assert!(!Tally { read: 0, inserted: u64::MAX, updated: 1, ..Tally::default() }.balances());
    }

    #[test]
    fn deleted_rows_are_not_part_of_the_balance() {
        assert!(Tally { read: 1, inserted: 1, deleted: 5, ..Tally::default() }.balances());
    }
}
