//! The memory for keys and for lookup tables, shared by the deliveries that are validated at once.

use std::sync::Mutex;

use super::locked;

/// A delivery gets so much whatever the others have: with less, it would write to the disk for every few thousand keys.
/// Together with the limit on deliveries at once it bounds what is given beyond the total.
const LEAST_BYTES: u64 = 2 << 20;

/// What is left of such memory.
#[derive(Debug)]
pub(super) struct KeyMemory {
    total: u64,
    left: Mutex<u64>,
}

/// Memory that a delivery may use; it goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    memory: &'a KeyMemory,
    /// Bytes.
    pub(super) bytes: u64,
    taken: u64,
}

impl KeyMemory {
    pub(super) fn new(total: u64) -> Self {
        Self { total, left: Mutex::new(total) }
    }

    /// A share for a file of `size` bytes, whose keys are never larger than a few times the file itself. No delivery gets
    /// all of what others could need, unless it is alone.
    pub(super) fn share(&self, size: u64, alone: bool) -> Share<'_> {
        const KEYS_PER_FILE: u64 = 4;
        let most = if alone { self.total } else { self.total / 4 * 3 };
        let wanted = size.saturating_mul(KEYS_PER_FILE).clamp(LEAST_BYTES, most.max(LEAST_BYTES));
        let mut left = locked(&self.left);
        let taken = wanted.min(*left);
        *left -= taken;
        Share { memory: self, bytes: taken.max(LEAST_BYTES), taken }
    }
}

impl Share<'_> {
    /// Gives back what is not used, now that it is known.
    pub(super) fn keep(&mut self, bytes: u64) {
        let unused = self.taken.saturating_sub(bytes);
        *locked(&self.memory.left) += unused;
        self.taken -= unused;
        self.bytes = self.bytes.min(bytes);
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *locked(&self.memory.left) += self.taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_together_are_never_more_than_the_total_but_for_the_least_of_each() {
        let memory = KeyMemory::new(64 << 20);
        let large = memory.share(1 << 40, false);
        assert_eq!(large.bytes, 48 << 20);
        let second = memory.share(1 << 40, false);
        assert_eq!(second.bytes, 16 << 20);
        assert_eq!(memory.share(1 << 40, false).bytes, LEAST_BYTES);
        drop(second);
        let mut small = memory.share(1 << 40, false);
        small.keep(1 << 20);
        assert_eq!(memory.share(1 << 40, false).bytes, 15 << 20);
        drop((large, small));
        assert_eq!(memory.share(1 << 40, true).bytes, 64 << 20);
        assert_eq!(memory.share(100, false).bytes, LEAST_BYTES);
    }
}
