//! How much text is made for the records of a chunk, by expressions, lookups and defaults: what stands in a file is bounded by
//! the chunk, what is made of it by nothing else.
//!
//! Several records that take too much are done again, fewer at a time; a record that takes too much alone is rejected. So
//! what becomes of a record never depends on its neighbours.

use crate::mapping::expression::MAX_MADE_BYTES;

/// Why a computed text is none: it would be too much for its record.
pub(super) const TOO_MUCH: &str = "the texts made for the record are longer than 8 megabytes together";

/// What is said of a looked-up text that would be too much for its record.
pub(super) const TOO_MUCH_FOUND: &str =
    "makes the texts made for the record longer than 8 megabytes together";

/// Longest text that is looked up, in bytes: as long as any that an expression makes.
pub(super) const MAX_FOUND_BYTES: usize = 1024 * 1024;

/// Bytes of text made for the records of a chunk, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    records: usize,
    bytes: usize,
    is_too_much: bool,
}

impl Made {
    /// Nothing made yet for so many records.
    pub(super) fn new(records: usize) -> Self {
        Self { records, ..Self::default() }
    }

    /// So many bytes more are made; false when they may not be.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let sum = self.bytes.saturating_add(bytes);
        if sum > MAX_MADE_BYTES {
            self.is_too_much = true;
            return false;
        }
        self.bytes = sum;
        true
    }

    /// More was to be made than may be, as an expression has found.
    pub(super) fn overflow(&mut self) {
        self.is_too_much = true;
    }

    /// True when the records have to be done again, fewer at a time: nothing that was found is of use.
    pub(super) fn needs_parts(&self) -> bool {
        self.is_too_much && self.records > 1
    }

    /// True when so little was made that more records may be done at once.
    pub(super) fn is_little(&self) -> bool {
        self.bytes < MAX_MADE_BYTES / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_records_are_done_in_parts() {
        let (mut one, mut two) = (Made::new(1), Made::new(2));
        for made in [&mut one, &mut two] {
            assert!(made.take(MAX_MADE_BYTES) && !made.needs_parts() && !made.is_little());
            assert!(!made.take(1));
        }
        assert!(!one.needs_parts() && two.needs_parts());
    }
}
