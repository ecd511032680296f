//! The ledger: the durable memory of every delivery. Events go in, state comes out.
//!
//! An [`Event`] is appended and never changed; what a delivery is, is what [`apply`] makes of its events. The table
//! of deliveries is derived from them in the same transaction, so that it can be asked quickly, and can be made again
//! at any time ([`Ledger::rebuild`]). What [`Ledger::append`] has returned from is on the disk.
//!
//! There is one writer at a time; readers ([`LedgerReader`]) work beside it, in any process. Nothing here reads the
//! clock: callers give the time.

pub mod closing;
pub mod error;
pub mod event;
pub mod filter;
pub mod recovery;
pub mod request;
mod row;
mod schema;
pub mod state;
pub mod store;
pub mod transition;
pub mod view;

pub use closing::{Closing, Ranges, RejectKey, RejectStates};
pub use error::LedgerError;
pub use event::{Event, Reports, Stop, Taken};
pub use filter::Filter;
pub use recovery::{Found, NAMED, Recovery};
pub use request::{Answer, Request, Wish};
pub use schema::SCHEMA_VERSION;
pub use state::{DeliveryState, Place, RejectCounts};
pub use store::{Ledger, Site};
pub use transition::{IllegalTransition, apply};
pub use view::{Brought, Entry, KeptPlan, LedgerReader, LoadedBefore, View};
