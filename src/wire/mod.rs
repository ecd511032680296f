//! Durable input and output without business: files that are whole or absent, copies that are hashed on the way,
//! the lock of a site. Imports nothing of ours; reads no clock.
//!
//! Durable means: the file's data is fsynced, and so is the folder that names it. A step that fails leaves nothing
//! half-made under the final name, and its error tells the path, what was tried and what the system said. Each such step
//! has a fail point ([`fail`]), at which the tests of debug builds have it fail or the process killed.

pub mod atomic;
pub mod copy;
pub mod error;
pub mod fail;
pub mod folder;
pub mod handle;
pub mod lock;
pub mod secret;
pub mod spool;
pub mod stamp;

pub use atomic::AtomicFile;
pub use copy::{Copied, copy_hashed, discard, hash_file, sync_all};
pub use error::WireError;
pub use handle::FolderHandle;
pub use lock::{Holder, SiteLock};
pub use secret::{Secret, SecretSource};
pub use stamp::{FileStamp, open_regular};
