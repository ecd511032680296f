//! What kinds of targets can.

/// What a target can that not every kind of target can. The conformance suite (tests/it/targets) holds a target to all that
/// it names, and to what every target owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// A delivery happens as a whole or not at all, and others see it so.
    Atomic,
    /// It tells rows that were inserted, updated and unchanged apart.
    ExactCounts,
    /// It can delete rows.
    Delete,
    /// A delivery can be committed batch by batch, and goes on after the last one when it was cut off.
    Resumable,
}
