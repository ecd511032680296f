//! What file names tell: which are in the making, and which are our own.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Claimed files lie in a folder of this name beside where they were found.
pub(super) const CLAIMED_FOLDER: &str = ".wharf";

/// Ends the names of files in the making, in any case.
const IN_PROGRESS: [&[u8]; 3] = [b".part", b".tmp", b".filepart"];

/// True for the name of a file that somebody still writes: it begins with a dot, or ends with `~`, `.part`, `.tmp` or
/// `.filepart`.
pub(super) fn in_progress(name: &[u8]) -> bool {
    let ends = |ending: &[u8]| {
        let at = name.len().checked_sub(ending.len());
        at.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    name.starts_with(b".") || name.ends_with(b"~") || IN_PROGRESS.into_iter().any(ends)
}

/// The name without its ending: `orders.csv` for `orders.csv.gz`.
pub(super) fn stem(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(at) if at > 0 => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

/// The last part of a path, in bytes.
pub(super) fn name_of(path: &Path) -> &[u8] {
    path.file_name().map_or(b"", OsStr::as_bytes)
}

/// The path of another file in the same folder.
pub(super) fn beside(path: &Path, name: &[u8]) -> PathBuf {
    path.with_file_name(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_in_the_making_are_known_in_any_case() {
        for name in ["a.part", "A.TMP", "orders.csv.FilePart", "a.csv~", ".a.csv", ".part", "~"] {
            assert!(in_progress(name.as_bytes()), "{name}");
        }
        for name in ["a.csv", "part", "tmp", "a.parts", "~a", "a.tmp.csv", "filepart.csv", ""] {
            assert!(!in_progress(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_stem_is_the_name_without_its_last_ending() {
        let cases = [("a.csv", "a"), ("a.csv.gz", "a.csv"), ("a", "a"), (".a", ".a"), ("a.", "a")];
        for (name, expected) in cases {
            assert_eq!(stem(name.as_bytes()), expected.as_bytes(), "{name}");
        }
    }
}
