//! Fail points: names for the moments at which a crash, a broken disk or a step left out could do harm. The tests make
//! those happen by an environment variable, `WHARF_FAIL`, which only debug builds know; in a release build there is
//! neither the variable nor a name of a point, and reaching one is no code at all.
//!
//! A point stands **before** its step, so that the point of the next step is also the moment after this one. Where the step is
//! the last of its kind, or its fate cannot be seen from outside (a commit), a point of its own stands behind it.

#[cfg(debug_assertions)]
mod active;

use std::{io, path::Path};

use super::error::WireError;

#[cfg(debug_assertions)]
pub use active::VARIABLE;

/// Makes the points and their static table: the name by which tests and docs call each, and what happens there.
macro_rules! points {
    ($($point:ident, $name:literal, $what:literal;)+) => {
        /// A moment at which tests can make something go wrong.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(debug_assertions, derive(Debug, Hash, PartialOrd, Ord))]
        pub enum Point {
            $(#[doc = $what] $point,)+
        }

        #[cfg(debug_assertions)]
        impl Point {
            /// Every point, in the order of a file's way.
            pub const ALL: &[Self] = &[$(Self::$point),+];

            /// Its name, which does not change.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)+ }
            }

            /// What happens there, as a sentence.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$point => $what,)+ }
            }
        }
    };
}

points! {
    LockHeld, "lock.held", "The site's lock is ours, and nothing has been done under it.";
    LeftoverRemove, "leftover.remove", "A file in the making that a killed process left is about to be removed.";
    LedgerOpen, "ledger.open", "The ledger is about to be made, or brought up to date.";
    ProbeWritten, "probe.written", "A file that tries out whether a folder tells of changes is there, and about to be removed.";
    SourceLook, "source.look", "A source has been looked at, and nothing has been done about what was found.";
    ClaimFolder, "claim.folder", "The folder of claimed files is about to be made.";
    ClaimRename, "claim.rename", "A file is about to be claimed.";
    ClaimDone, "claim.done", "A file is claimed, and nothing else is known of it.";
    ClaimSecure, "claim.secure", "The names of claimed files are about to be made durable.";
    ClaimBack, "claim.back", "A claimed file is about to be put back.";
    FolderMake, "folder.make", "A folder is about to be made.";
    FolderSync, "folder.sync", "The name of a new folder is about to be made durable.";
    CopyCreate, "copy.create", "The archived copy is about to be created.";
    CopyWrite, "copy.write", "A block is about to be hashed and written to the archived copy.";
    CopySync, "copy.sync", "The archived copy is about to be made durable.";
    CopyRename, "copy.rename", "The archived copy is about to be given its name.";
    CopyFolder, "copy.folder", "The name of the archived copy is about to be made durable.";
    CopyDiscard, "copy.discard", "An archived copy of which the ledger knows nothing is about to be removed.";
    LedgerPlan, "ledger.plan", "A mapping's text is about to be kept in the ledger.";
    LedgerAppend, "ledger.append", "Events are about to be written to the ledger.";
    LedgerCommit, "ledger.commit", "Events are written to the ledger, and about to be committed.";
    LedgerCommitted, "ledger.committed", "Events are committed to the ledger, and nobody has been told.";
    LedgerAsk, "ledger.ask", "A request to the running engine is about to be committed.";
    LedgerAsked, "ledger.asked", "A request to the running engine stands in the ledger.";
    RequestFound, "request.found", "The running engine has found a request, and done nothing about it.";
    SettleBegin, "settle.begin", "The ledger has the file; its source is about to be told.";
    SettleMarker, "settle.marker", "The marker of a taken file is about to be removed or moved.";
    SettleRemove, "settle.remove", "A taken file is about to be removed from its source.";
    SettleMove, "settle.move", "A taken file is about to be moved aside.";
    SettleDone, "settle.done", "The source of a taken file is told.";
    CorrectionWrite, "correction.write", "The records of a correction are about to be written to the archive.";
    LookupRead, "lookup.read", "A lookup table is about to be read.";
    SpoolOpen, "spool.open", "What is put aside outgrows the memory: a file without a name is about to be opened.";
    WorkKeep, "work.keep", "The seal of a work file that outlives the process is about to be written.";
    WorkDone, "work.done", "A delivery is validated, and its verdict has not fallen.";
    TargetBegin, "target.begin", "The transaction of a load is about to begin.";
    LoadsEnter, "loads.enter", "The delivery's row is about to be inserted into the loads table.";
    TargetBegun, "target.begun", "The transaction of a load has begun; it has no rows.";
    TargetWrite, "target.write", "A batch is about to be written to the target.";
    TargetWritten, "target.written", "A batch is written to the target.";
    TargetMark, "target.mark", "A batch of a delivery is about to be committed.";
    TargetMarked, "target.marked", "A batch of a delivery is committed, and nobody has been told.";
    TargetVanish, "target.vanish", "Rows that the file does not have are about to vanish.";
    RejectsKeep, "rejects.keep", "The rejects of a delivery are about to be kept.";
    TargetSeal, "target.seal", "The load is about to be completed with its tally.";
    LoadsComplete, "loads.complete", "The delivery's row in the loads table is about to be completed.";
    TargetCommit, "target.commit", "The load is about to be committed.";
    TargetCommitted, "target.committed", "The load is committed, and nobody has been told.";
    ReportWrite, "report.write", "The reports of a delivery are about to be written.";
    ReportBetween, "report.between", "One of the two reports has its name, the other has not.";
    ReportWritten, "report.written", "The reports of a delivery are written, and the ledger does not know.";
    FileCreate, "file.create", "A report, or another file that is whole or absent, is about to be created.";
    FileWrite, "file.write", "The last bytes of such a file are about to be written.";
    FileSync, "file.sync", "Such a file is about to be made durable.";
    FileRename, "file.rename", "Such a file is about to be given its name.";
    FileFolder, "file.folder", "The name of such a file is about to be made durable.";
}

/// Reaches a point. True: the step behind it is to be done; false: a test wants to see what happens without it.
///
/// # Errors
/// The error of a broken or full disk, when a test wants the step to fail.
#[cfg(debug_assertions)]
pub fn step(point: Point) -> io::Result<bool> {
    active::reach(point)
}

/// Reaches a point. True: the step behind it is to be done.
///
/// # Errors
/// Never: nothing can be made to fail in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
#[allow(clippy::unnecessary_wraps, clippy::inline_always, clippy::missing_const_for_fn)]
pub fn step(_point: Point) -> io::Result<bool> {
    Ok(true)
}

/// Does a step of the disk at its point: [`step`] and the step itself, with what was tried and where if either fails.
pub(super) fn durable(
    point: Point,
    action: &'static str,
    path: &Path,
    does: impl FnOnce() -> io::Result<()>,
) -> Result<(), WireError> {
    let done = step(point).and_then(|wanted| if wanted { does() } else { Ok(()) });
    done.map_err(|cause| WireError::io(action, path, cause))
}

/// Reaches a point behind which no step can fail: only a kill or a wait can happen there.
#[inline]
pub fn moment(point: Point) {
    // An error is wanted by nobody here.
    let _ = step(point);
}
