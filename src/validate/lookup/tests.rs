use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::targets::Compares;

/// A snapshot of rows of one key and two values, and the folder of what overflows.
fn snapshot(
    rows: &[(String, [Option<String>; 2])],
    memory_bytes: usize,
) -> (Result<Snapshot, BuildError>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::new(&[Compares::Text], [3, 4]);
    let mut builder = Builder::new("t", keys, 2, folder.path(), memory_bytes);
    for (key, [one, two]) in rows {
        builder.push(&[Some(key), one.as_deref(), two.as_deref()]).unwrap();
    }
    (builder.finish(), folder)
}

fn look(snapshot: &Snapshot, key: &str, column: usize) -> Option<Option<String>> {
    let key = snapshot.keys().hash([key], &mut String::new());
    let mut text = String::new();
    let found = snapshot.value(key, column, &mut text).unwrap();
    assert_eq!(found.is_some(), snapshot.contains(key).unwrap());
    found.map(|known| known.then_some(text))
}

proptest! {
    #[test]
    fn a_snapshot_answers_as_a_map_would_in_memory_and_on_disk(
        rows in prop::collection::vec((0u32..400, prop::option::of("[a-zü]{0,3}"), prop::option::of("b{200,300}")), 0..600),
        large: bool,
    ) {
        let mut naive: HashMap<String, [Option<String>; 2]> = HashMap::new();
        let rows: Vec<(String, [Option<String>; 2])> = rows
            .into_iter()
            .map(|(key, one, two)| {
                let values = naive.entry(key.to_string()).or_insert([one, two]).clone();
                (key.to_string(), values)
            })
            .collect();
        let (built, folder) = snapshot(&rows, if large { 1 << 20 } else { 1 << 10 });
        let built = built.unwrap();
        for key in (0..450).map(|key: u32| key.to_string()) {
            for column in 0..2 {
                let expected = naive.get(&key).map(|values| values[column].clone());
                prop_assert_eq!(look(&built, &key, column), expected);
            }
        }
        prop_assert_eq!(built.rows(), rows.len() as u64);
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files have no names");
    }
}

#[test]
fn a_key_that_stands_twice_with_other_values_is_told() {
    let row = |key: &str, value: &str| (key.to_owned(), [Some(value.to_owned()), None]);
    for memory_bytes in [1 << 20, 200] {
        let mut rows: Vec<_> = (0..100).map(|number| row(&format!("k{number}"), "v")).collect();
        rows.push(row("k7", "v"));
        assert!(snapshot(&rows, memory_bytes).0.is_ok());
        rows.push(row("k7", "w"));
        let twice = Keys::new(&[Compares::Text], [3, 4]).hash(["k7"], &mut String::new());
        let error = snapshot(&rows, memory_bytes).0.unwrap_err();
        assert!(matches!(error, BuildError::Twice(key) if key == twice), "{error:?}");
    }
}

#[test]
fn a_table_beyond_its_memory_keeps_little_of_it() {
    let rows: Vec<_> =
        (0..50_000).map(|number| (number.to_string(), [Some("value".to_owned()), None])).collect();
    let (built, _folder) = snapshot(&rows, 64 << 10);
    let built = built.unwrap();
    assert!(built.memory_bytes() < 8 << 10, "{}", built.memory_bytes());
    assert_eq!(look(&built, "49999", 0), Some(Some("value".to_owned())));
    assert_eq!(look(&built, "50000", 0), None);
}

#[test]
fn an_empty_table_has_no_key_and_null_is_no_key() {
    let (built, _folder) = snapshot(&[], 1 << 20);
    assert_eq!(look(&built.unwrap(), "", 0), None);
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::new(&[Compares::Number, Compares::Text], [3, 4]);
    let mut builder = Builder::new("t", keys, 0, folder.path(), 1 << 10);
    builder.push(&[Some("1"), None]).unwrap();
    builder.push(&[Some("007"), Some("x")]).unwrap();
    let built = builder.finish().unwrap();
    let has = |one, two| built.contains(built.keys().hash([one, two], &mut String::new())).unwrap();
    assert!(has("7", "x") && has("7.0", "x") && !has("1", "") && !has("7", "y"));
    assert_eq!(built.rows(), 2);
}
