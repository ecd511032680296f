//! The house rules of docs/architecture.md that a program can hold: who imports whom, and who may read the clock, start
//! threads and open channels.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// (folder, folders it may import besides itself).
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &[]),
    ("formats", &["model", "wire"]),
    ("targets", &["model", "wire"]),
    ("sources", &["model", "wire"]),
    ("mapping", &["model", "formats", "targets", "sources"]),
    ("validate", &["model", "wire", "mapping", "formats", "targets"]),
    ("rejects", &["model", "wire", "mapping", "formats", "validate"]),
    ("ledger", &["model", "wire"]),
    (
        "exchange",
        &["model", "wire", "mapping", "formats", "targets", "sources", "validate", "rejects", "ledger"],
    ),
    ("cli", &["model", "wire", "mapping", "formats", "targets", "validate", "rejects", "ledger", "exchange"]),
];

/// The source files of a folder, without their unit tests: (path, text).
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test =
                path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test {
                let text = fs::read_to_string(&path).unwrap();
                let code: Vec<&str> = without_tests(&text)
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .collect();
                found.push((path, code.join("\n")));
            }
        }
    }
    found
}

/// A source up to its modules of tests.
fn without_tests(text: &str) -> &str {
    let begins = |(at, mark): &(usize, &str)| {
        let next = text[at + mark.len()..].lines().next().unwrap_or_default();
        next.contains("mod ") && next.ends_with('{')
    };
    let end = text.match_indices("#[cfg(test)]\n").find(begins).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The folders that a source names behind `crate::`, in `use` lists too.
fn imported(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word =
            |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, true);
            for (offset, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && depth == 0 && c.is_alphabetic() => {
                        found.insert(word(&list[offset..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.insert(word(rest));
        }
    }
    found
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let folders: BTreeSet<&str> = MAY_IMPORT.iter().map(|(folder, _)| *folder).collect();
    for (folder, allowed) in MAY_IMPORT {
        for (path, code) in sources(folder) {
            for other in imported(&code).iter().filter(|other| folders.contains(other.as_str())) {
                assert!(
                    other == folder || allowed.contains(&other.as_str()),
                    "{} imports {other}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn only_the_engine_reads_the_clock_starts_threads_and_opens_channels() {
    // A connection to PostgreSQL has a thread of its own, so that it can be used from any other: decision 0012.
    const OF_ITS_OWN: &str = "src/targets/postgres/driving.rs";
    let reserved = [
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "thread::spawn",
        "thread::scope",
        "mpsc::",
        ".spawn(",
    ];
    for (folder, _) in MAY_IMPORT.iter().filter(|(folder, _)| *folder != "exchange") {
        for (path, code) in sources(folder) {
            if path.ends_with(OF_ITS_OWN) {
                continue;
            }
            for word in reserved {
                assert!(!code.contains(word), "{} uses {word}", path.display());
            }
        }
    }
}

#[test]
fn only_mapping_knows_toml() {
    for (folder, _) in MAY_IMPORT.iter().filter(|(folder, _)| *folder != "mapping") {
        for (path, code) in sources(folder) {
            assert!(!code.contains("toml::"), "{} uses toml", path.display());
        }
    }
}

#[test]
fn there_is_no_unsafe_code_and_no_unfinished_work() {
    for (folder, _) in MAY_IMPORT {
        for (path, code) in sources(folder) {
            for word in ["unsafe ", "todo!", "unimplemented!", "TODO", "FIXME", "dbg!"] {
                assert!(!code.contains(word), "{} has {word}", path.display());
            }
        }
    }
}
