//! The files that are claimed right now. A look leaves them alone; once a claim ends, however it ends, it sees them again.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::wire::FileStamp;

/// The claimed files of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct InHand(Arc<Mutex<Hands>>);

#[derive(Debug, Default)]
struct Hands {
    files: HashSet<PathBuf>,
    /// Counts claims and their ends, so that it can be told whether there was any in between.
    changes: u64,
}

impl InHand {
    /// Takes the file at a place, unless somebody has it.
    pub(super) fn take(&self, at: &Path, marker: Option<FileStamp>) -> Option<Hold> {
        let mut hands = self.hands();
        if !hands.files.insert(at.to_path_buf()) {
            return None;
        }
        hands.changes += 1;
        Some(Hold { held: Some((self.clone(), at.to_path_buf())), marker })
    }

    /// True while the file at that place is claimed.
    pub(super) fn has(&self, at: &Path) -> bool {
        self.hands().files.contains(at)
    }

    /// If no file is claimed, the number of changes so far.
    pub(super) fn idle(&self) -> Option<u64> {
        let hands = self.hands();
        hands.files.is_empty().then_some(hands.changes)
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a claimed file out of the listings until it is dropped. The default one keeps nothing, for sources that list no
/// claimed files.
#[derive(Debug, Default)]
pub struct Hold {
    held: Option<(InHand, PathBuf)>,
    marker: Option<FileStamp>,
}

impl Hold {
    /// The marker as it was when the file was claimed.
    pub(super) fn marker(&self) -> Option<&FileStamp> {
        self.marker.as_ref()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((in_hand, at)) = self.held.take() {
            let mut hands = in_hand.hands();
            hands.files.remove(&at);
            hands.changes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_one_hand_until_that_lets_go() {
        let (in_hand, at) = (InHand::default(), Path::new("/in/.wharf/a"));
        let before = in_hand.idle();
        let hold = in_hand.take(at, None).unwrap();
        assert!(in_hand.has(at) && in_hand.take(at, None).is_none() && in_hand.idle().is_none());
        drop(hold);
        assert!(!in_hand.has(at) && in_hand.take(at, None).is_some());
        assert_ne!(in_hand.idle(), before);
    }
}
