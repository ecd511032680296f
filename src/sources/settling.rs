//! Since when each file has been as it is. Pure: the time is handed in, on a clock that never goes back, and the times that
//! files carry are only compared with one another, never believed.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::wire::FileStamp;

/// What changes when a file is written to or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    length: u64,
    modified_nanos: i64,
    inode: u64,
}

impl State {
    /// The state that a stamp shows; the inode only counts where the file system's numbers are stable.
    pub(super) fn of(stamp: &FileStamp, stable_inodes: bool) -> Self {
        // Times before 1677 and after 2262 are all alike.
        let modified_nanos = stamp.modified_nanos.clamp(i64::MIN.into(), i64::MAX.into());
        Self {
            length: stamp.length,
            modified_nanos: i64::try_from(modified_nanos).unwrap_or_default(),
            inode: if stable_inodes { stamp.inode } else { 0 },
        }
    }
}

/// The text by which a ledger tells one state of a file from another. Device numbers are left out, as they change when
/// a file system is mounted again, and so is the time of change of the entry, which a rename changes.
pub(super) fn stamp_text(stamp: &FileStamp, stable_inodes: bool) -> String {
    let FileStamp { length, modified_nanos, inode, .. } = stamp;
    if stable_inodes {
        format!("length={length} modified={modified_nanos} inode={inode}")
    } else {
        format!("length={length} modified={modified_nanos}")
    }
}

/// True when a text by [`stamp_text`] counts on the inode.
pub(super) fn counts_inode(stamp: &str) -> bool {
    stamp.contains(" inode=")
}

/// What a file is to its source; decided once for each state of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To be taken.
    Data,
    /// Says that another one is whole.
    Marker,
    /// Names files that are whole together.
    Manifest,
    /// None of our business.
    Left,
}

/// The files that are watched until they are taken.
#[derive(Debug, Default)]
pub(super) struct Settling {
    seen: HashMap<PathBuf, Seen>,
    look: u32,
}

/// 40 bytes beside the path: folders hold tens of thousands of files.
#[derive(Debug)]
struct Seen {
    state: State,
    since_nanos: u64,
    look: u32,
    role: Role,
}

impl Settling {
    /// Another look at the source begins.
    pub(super) fn begin_look(&mut self) {
        self.look = self.look.wrapping_add(1);
    }

    /// A file is still there: its role and since when it has been in this state. None when it has not been seen so.
    pub(super) fn recall(&mut self, path: &Path, state: State) -> Option<(Role, Duration)> {
        let seen = self.seen.get_mut(path).filter(|seen| seen.state == state)?;
        seen.look = self.look;
        Some((seen.role, Duration::from_nanos(seen.since_nanos)))
    }

    /// A file is seen in this state for the first time.
    pub(super) fn meet(&mut self, path: &Path, state: State, role: Role, now: Duration) {
        let since_nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let seen = Seen { state, since_nanos, look: self.look, role };
        if let Some(known) = self.seen.get_mut(path) {
            *known = seen;
        } else {
            self.seen.insert(path.to_path_buf(), seen);
        }
    }

    /// A file needs no watching any more.
    pub(super) fn forget(&mut self, path: &Path) {
        self.seen.remove(path);
    }

    /// The look is complete: what was not seen is not there any more.
    pub(super) fn end_look(&mut self) {
        let look = self.look;
        self.seen.retain(|_, seen| seen.look == look);
        if self.seen.capacity() / 4 > self.seen.len() {
            self.seen.shrink_to_fit();
        }
    }
}

/// The files that need no thought until they change: those that stay and are taken already, and those that are none of our
/// business. There may be hundreds of thousands, so only hashes are kept; the key is made at random, so that nobody
/// can choose names that collide.
#[derive(Debug)]
pub(super) struct Decided {
    files: HashMap<u128, (u64, u32)>,
    hashes: RandomState,
    key: [u64; 2],
    look: u32,
}

impl Decided {
    /// Remembers nothing.
    pub(super) fn new() -> Self {
        let hashes = RandomState::new();
        let key = [hashes.hash_one(1), hashes.hash_one(2)];
        Self { files: HashMap::new(), hashes, key, look: 0 }
    }

    /// Another look at the source begins.
    pub(super) fn begin_look(&mut self) {
        self.look = self.look.wrapping_add(1);
    }

    /// True when this state of the file has been decided.
    pub(super) fn recall(&mut self, path: &Path, state: State) -> bool {
        let (key, wanted) = (self.key_of(path), self.hashes.hash_one(state));
        match self.files.get_mut(&key) {
            Some((known, look)) if *known == wanted => {
                *look = self.look;
                true
            }
            _ => false,
        }
    }

    /// This state of the file needs no more thought.
    pub(super) fn add(&mut self, path: &Path, state: State) {
        self.files.insert(self.key_of(path), (self.hashes.hash_one(state), self.look));
    }

    /// The look is complete: what was not seen is forgotten; whoever decided will be asked again if it returns.
    pub(super) fn end_look(&mut self) {
        let look = self.look;
        self.files.retain(|_, (_, seen)| *seen == look);
        if self.files.capacity() / 4 > self.files.len() {
            self.files.shrink_to_fit();
        }
    }

    fn key_of(&self, path: &Path) -> u128 {
        let [one, other] = self.key;
        let mut hasher = SipHasher13::new_with_keys(one, other);
        hasher.write(path.as_os_str().as_bytes());
        hasher.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(2);

    fn state(length: u64, modified_nanos: i64, inode: u64) -> State {
        State { length, modified_nanos, inode }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// One look that shows one file, at a time; tells whether it is settled.
    fn look(settling: &mut Settling, millis: u64, shown: Option<State>) -> bool {
        let (path, now) = (Path::new("/in/a.csv"), at(millis));
        settling.begin_look();
        let settled = shown.is_some_and(|state| match settling.recall(path, state) {
            Some((_, since)) => now >= since + QUIET,
            None => {
                settling.meet(path, state, Role::Data, now);
                false
            }
        });
        settling.end_look();
        settled
    }

    #[test]
    fn a_file_is_settled_once_it_has_not_changed_for_the_quiet_period() {
        let mut settling = Settling::default();
        let whole = state(10, 5, 1);
        assert!(!look(&mut settling, 1000, Some(whole)));
        assert!(!look(&mut settling, 2999, Some(whole)));
        assert!(look(&mut settling, 3000, Some(whole)));
        assert!(look(&mut settling, 9000, Some(whole)));
    }

    #[test]
    fn every_change_starts_the_quiet_period_again_and_so_does_one_after_a_pause() {
        let mut settling = Settling::default();
        assert!(!look(&mut settling, 0, Some(state(10, 5, 1))));
        assert!(!look(&mut settling, 1500, Some(state(20, 6, 1))));
        assert!(!look(&mut settling, 3000, Some(state(20, 6, 1))));
        assert!(look(&mut settling, 3500, Some(state(20, 6, 1))));
        assert!(!look(&mut settling, 60_000, Some(state(30, 7, 1))));
        assert!(!look(&mut settling, 61_999, Some(state(30, 7, 1))));
        assert!(look(&mut settling, 62_000, Some(state(30, 7, 1))));
    }

    #[test]
    fn a_preserved_time_of_change_is_no_evidence_for_anything() {
        let mut settling = Settling::default();
        // Years ago, and years ahead.
        for modified in [0, i64::MAX] {
            assert!(!look(&mut settling, 0, Some(state(10, modified, 1))));
            assert!(!look(&mut settling, 1999, Some(state(10, modified, 1))));
        }
        // The same time of change while it grows.
        assert!(!look(&mut settling, 10_000, Some(state(11, i64::MAX, 1))));
        assert!(!look(&mut settling, 11_000, Some(state(12, i64::MAX, 1))));
    }

    #[test]
    fn a_replaced_file_of_the_same_length_and_time_is_another_one() {
        let mut settling = Settling::default();
        assert!(!look(&mut settling, 0, Some(state(10, 5, 1))));
        assert!(!look(&mut settling, 5000, Some(state(10, 5, 2))));
        assert!(look(&mut settling, 7000, Some(state(10, 5, 2))));
    }

    #[test]
    fn a_file_that_vanished_is_met_anew() {
        let mut settling = Settling::default();
        assert!(!look(&mut settling, 0, Some(state(10, 5, 1))));
        assert!(!look(&mut settling, 1000, None));
        assert!(settling.seen.is_empty());
        assert!(!look(&mut settling, 5000, Some(state(10, 5, 1))));
        assert!(look(&mut settling, 7000, Some(state(10, 5, 1))));
    }

    #[test]
    fn a_look_that_was_broken_off_forgets_nothing() {
        let mut settling = Settling::default();
        assert!(!look(&mut settling, 0, Some(state(10, 5, 1))));
        settling.begin_look();
        assert!(look(&mut settling, 2000, Some(state(10, 5, 1))));
    }

    #[test]
    fn what_is_remembered_of_a_file_is_small() {
        assert!(size_of::<Seen>() <= 40);
        assert!(size_of::<(u128, (u64, u32))>() <= 32);
    }

    #[test]
    fn a_decision_holds_for_one_state_of_one_file_while_it_is_there() {
        let mut decided = Decided::new();
        let (path, other) = (Path::new("/in/a.csv"), Path::new("/in/b.csv"));
        decided.begin_look();
        assert!(!decided.recall(path, state(1, 2, 3)));
        decided.add(path, state(1, 2, 3));
        decided.end_look();
        decided.begin_look();
        assert!(decided.recall(path, state(1, 2, 3)));
        assert!(!decided.recall(path, state(2, 2, 3)) && !decided.recall(other, state(1, 2, 3)));
        decided.end_look();
        decided.begin_look();
        decided.end_look();
        assert!(!decided.recall(path, state(1, 2, 3)));
    }

    #[test]
    fn inodes_count_only_where_they_are_stable() {
        let stamp = |inode| FileStamp { length: 3, modified_nanos: 4, changed_nanos: 5, device: 6, inode };
        assert_eq!(stamp_text(&stamp(7), true), "length=3 modified=4 inode=7");
        assert_eq!(stamp_text(&stamp(7), false), "length=3 modified=4");
        assert_eq!(State::of(&stamp(7), false), State::of(&stamp(8), false));
        assert_ne!(State::of(&stamp(7), true), State::of(&stamp(8), true));
        assert!(counts_inode(&stamp_text(&stamp(7), true)) && !counts_inode(&stamp_text(&stamp(7), false)));
    }
}
