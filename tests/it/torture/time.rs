//! Another time for the whole program, by Debian's libfaketime: whatever asks the system for the time of day is told that,
//! and what measures durations is left alone, as on a machine whose clock is set.

use std::path::PathBuf;

/// The library, for whatever machine this is.
fn library() -> PathBuf {
    const NAME: &str = "faketime/libfaketimeMT.so.1";
    let folders = std::fs::read_dir("/usr/lib").expect("a Debian machine").flatten();
    let found = folders.map(|folder| folder.path().join(NAME)).find(|path| path.exists());
    found.expect("Debian's package faketime is installed; tests/run installs it")
}

/// The variables with which a program has another time: set off by some hours ("-1h"), or begun at a moment of that zone
/// ("@2026-10-25 02:30:00").
pub fn shifted(by: &str, zone: &str) -> Vec<(&'static str, String)> {
    vec![
        ("LD_PRELOAD", library().to_str().expect("a plain path").to_owned()),
        ("FAKETIME", by.to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
        ("TZ", zone.to_owned()),
    ]
}

/// The same, with the time in a file that may be written to while the program runs.
pub fn shifted_by_file(file: &std::path::Path, zone: &str) -> Vec<(&'static str, String)> {
    let mut variables = shifted("", zone);
    variables.retain(|(name, _)| *name != "FAKETIME");
    variables.push(("FAKETIME_TIMESTAMP_FILE", file.to_str().expect("a plain path").to_owned()));
    variables.push(("FAKETIME_NO_CACHE", "1".to_owned()));
    variables
}
