//! What the business talks about: deliveries, rows, rejects, tallies and outcomes. No I/O, no clock.

pub mod batch;
pub mod delivery;
pub mod natural;
pub mod outcome;
pub mod printable;
pub mod reject;
pub mod tally;
pub mod value;

pub use batch::{Batch, Origin};
pub use delivery::{ContentHash, DeliveryId, FileName};
pub use natural::natural;
pub use outcome::{Outcome, Reason, State};
pub use reject::{Position, Reject, Rule, Violation};
pub use tally::Tally;
