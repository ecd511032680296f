//! Everything by which two sites that lived through the same story can be told apart, but for ids and times.
//!
//! What is made alike: the id of a delivery is replaced by the name of its file; the id of a reject, once it is proven to be
//! that of its delivery and record, by that file and record; times and durations are left out; and deliveries, loads and
//! kept rejects stand in the order of their texts. The hash of a file that comes back is left out, as the ids of rejects are part
//! of it. Nothing else is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use wharf::{model::DeliveryId, rejects::RejectIds};

use super::{
    database::Database,
    story::{FILLED, counts},
};
use crate::support::{Site, query};

/// What stands at the end.
pub type Ending = BTreeMap<String, Value>;

const REJECT_ID_LENGTH: usize = 32;
/// Lines of a difference that are told.
const MOST_LINES: usize = 6;

/// Puts names in the place of ids.
struct Names {
    key: [u8; 32],
    deliveries: BTreeMap<String, String>,
}

/// Looks at everything.
pub fn ending(site: &Site, database: &dyn Database) -> Ending {
    let deliveries = site.run(["deliveries", "--json"]).exits(0).json();
    let names = Names::new(site, &deliveries);
    let mut ending = Ending::new();
    let mut told: Vec<Value> =
        deliveries.iter().filter(|one| counts(one)).map(|one| names.delivery(one)).collect();
    told.sort_by_key(Value::to_string);
    ending.insert("deliveries".to_owned(), told.into());
    let row = |(table, columns): &(&str, &[&str])| {
        format!("SELECT '{table}|' || {} FROM {table}", database.joined(columns))
    };
    let all = FILLED.iter().map(row).collect::<Vec<_>>().join(" UNION ALL ");
    ending.insert("tables".to_owned(), database.rows(site, &format!("{all} ORDER BY 1")).into());
    let load = database.joined(&["site", "delivery", "part", "state", "tally", "rejects"]);
    let loads = database.rows(site, &format!("SELECT {load} FROM _wharf_loads"));
    ending.insert("loads".to_owned(), names.sorted(loads));
    for folder in ["inbox", "shelf", "done", "desk", "outbox", "var/rejects", "var/work"] {
        let files = files(&site.path(folder));
        let relative =
            |path: &PathBuf| path.strip_prefix(site.path(folder)).unwrap().to_string_lossy().into_owned();
        ending.insert(format!("files in {folder}"), names.sorted(files.iter().map(relative).collect()));
        if folder == "outbox" {
            for path in &files {
                ending.insert(
                    format!("report {}", relative(path)),
                    names.text(&fs::read_to_string(path).unwrap()).into(),
                );
            }
        }
    }
    ending.insert("archive".to_owned(), archive(site, &deliveries));
    ending.insert("keys of open rejects".to_owned(), names.sorted(open_keys(site)));
    ending
}

/// Tells what is not as it was expected, if anything.
pub fn difference(found: &Ending, expected: &Ending) -> Option<String> {
    let keys: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let key = keys.into_iter().find(|key| found.get(*key) != expected.get(*key))?;
    let (found, expected) = (parts(found.get(key)), parts(expected.get(key)));
    let only = |these: &[String], those: &[String]| {
        let lines = these.iter().filter(|line| !those.contains(line));
        lines.take(MOST_LINES).map(|line| format!("\n    {line:.600}")).collect::<String>()
    };
    Some(format!(
        "{key} differs\n  found only{}\n  expected only{}",
        only(&found, &expected),
        only(&expected, &found)
    ))
}

fn parts(value: Option<&Value>) -> Vec<String> {
    match value {
        None => Vec::new(),
        Some(Value::Array(parts)) => parts.iter().map(Value::to_string).collect(),
        Some(Value::String(text)) => text.lines().map(str::to_owned).collect(),
        Some(other) => vec![other.to_string()],
    }
}

impl Names {
    fn new(site: &Site, deliveries: &[Value]) -> Self {
        let connection = rusqlite::Connection::open(site.path("var/ledger.db")).unwrap();
        let key = connection.query_row("SELECT site_key FROM site", [], |row| row.get(0)).unwrap();
        let name = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
            (text("delivery"), format!("<{} {}>", text("file"), text("mapping")))
        };
        let site = connection.query_row("SELECT site_id FROM site", [], |row| row.get(0)).unwrap();
        let site = (site, "<site>".to_owned());
        Self { key, deliveries: deliveries.iter().map(name).chain([site]).collect() }
    }

    fn delivery(&self, delivery: &Value) -> Value {
        let mut told = serde_json::Map::new();
        for (key, value) in delivery.as_object().unwrap() {
            let is_left_out = match &**key {
                "taken" | "finished" | "seconds" => true,
                "hash" => !delivery["corrects"].is_null(),
                _ => false,
            };
            if !is_left_out {
                told.insert(key.clone(), value.clone());
            }
        }
        serde_json::from_str(&self.text(&Value::Object(told).to_string())).unwrap()
    }

    fn sorted(&self, texts: Vec<String>) -> Value {
        let mut texts: Vec<String> = texts.iter().map(|text| self.text(text)).collect();
        texts.sort();
        texts.into()
    }

    /// A text with names in the place of ids.
    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, name) in &self.deliveries {
            text = text.replace(id, name);
        }
        let mut made = String::with_capacity(text.len());
        let mut word = String::new();
        for letter in text.chars().chain(['\n']) {
            if letter.is_ascii_hexdigit() {
                word.push(letter);
                continue;
            }
            made.push_str(&self.reject(&word).unwrap_or_else(|| word.clone()));
            word.clear();
            made.push(letter);
        }
        made.pop();
        made
    }

    /// The name of a reject by its id. It is one only if it is that of this record of a delivery that the ledger knows.
    fn reject(&self, word: &str) -> Option<String> {
        if word.len() != REJECT_ID_LENGTH {
            return None;
        }
        let record = RejectIds::read(&self.key, word)?.record;
        self.deliveries.iter().find_map(|(id, name)| {
            let id: DeliveryId = id.parse().ok()?;
            (RejectIds::new(self.key, id).id(record) == word).then(|| format!("{name}#{record}"))
        })
    }
}

/// True for each archived copy that the ledger names: it is there, and has the bytes that it should have. And what is there in
/// the making.
fn archive(site: &Site, deliveries: &[Value]) -> Value {
    let sql = "SELECT DISTINCT hex(hash), archive FROM deliveries";
    let mut whole = true;
    for row in query(&site.path("var/ledger.db"), sql) {
        let bytes = fs::read(site.path("var/archive").join(&row[1])).unwrap_or_default();
        whole = whole && blake3::hash(&bytes).to_hex().to_uppercase() == row[0];
    }
    let in_the_making = files(&site.path("var/archive"));
    let in_the_making =
        in_the_making.iter().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.'));
    json!({ "whole": whole && !deliveries.is_empty(), "in the making": in_the_making.count() })
}

/// The records whose keys the ledger keeps, as their rejects are open.
fn open_keys(site: &Site) -> Vec<String> {
    let sql = "SELECT CAST(deliveries.file AS TEXT) || ' ' || record FROM reject_keys
               JOIN deliveries ON deliveries.arrival = reject_keys.delivery";
    query(&site.path("var/ledger.db"), sql).into_iter().map(|mut row| row.remove(0)).collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
