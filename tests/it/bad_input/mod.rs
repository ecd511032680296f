//! Input that nobody wants, and machines that say no. Whatever comes, a load ends in one recorded outcome whose counts
//! balance, the exit code tells it, and the words say what is wrong, where, and what to do.
//!
//! Each case is loaded twice, in two equal sites: once for programs (`--json`) and once for people. Both must be told
//! the same, and nothing that a terminal would obey may reach either.

mod arrival;
mod arrival_clocks;
mod arrival_machine;
mod arrival_many;
mod arrival_races;
#[cfg(debug_assertions)]
mod batches;
mod corrections;
mod expressions;
mod fields;
mod files;
mod full_disk;
mod infer;
mod lookups;
mod machine;
mod mapping_expressions;
mod mirrors;
mod mounts;
mod names;
mod postgres;
mod records;
mod targets;
mod trailers;

use std::{ffi::OsStr, path::Path};

use serde_json::Value;
use wharf::model::printable;

use crate::support::{Ran, Site};

/// A mapping of three columns that takes every file.
const ITEMS: &str = r#"
match = "*"

[format]
type = "csv"

[target]
table = "items"
key = "id"

[columns]
id = { required = true }
name = {}
amount = { type = "decimal(9,2)" }
"#;

/// A site with the mapping of items.
fn items() -> Site {
    Site::with_mapping("items", ITEMS)
}

/// The same with more lines under `[format]`.
fn items_with(format: &str) -> Site {
    Site::with_mapping("items", &ITEMS.replace("type = \"csv\"", &format!("type = \"csv\"\n{format}")))
}

/// What loading a file came to.
struct Loaded {
    /// The site in which it was loaded for programs.
    site: Site,
    /// What programs were told of it.
    object: Value,
    /// What people were told of it.
    text: String,
    code: i32,
}

/// Loads `content` under the name `name` in two sites that `site` makes.
#[track_caller]
fn load(site: impl Fn() -> Site, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> Loaded {
    let name = name.as_ref();
    let (for_programs, for_people) = (site(), site());
    for site in [&for_programs, &for_people] {
        site.write(name, &content);
    }
    let arguments = |first: &[&'static str]| -> Vec<std::ffi::OsString> {
        first.iter().map(Into::into).chain(["--".into(), name.into()]).collect()
    };
    let told = for_programs.run(arguments(&["load", "--json"]));
    let text = for_people.run(arguments(&["load"]));
    plain(&told);
    plain(&text);
    assert_eq!((told.code, told.err.as_str()), (text.code, ""), "{told:?} {text:?}");
    let object = told.object();
    balances(&object);
    recorded(&for_programs, &object);
    Loaded { site: for_programs, object, text: text.out, code: told.code }
}

/// Asserts that a terminal could be shown the output: nothing in it but plain characters and line ends.
#[track_caller]
fn plain(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        let other = text.chars().find(|c| *c != '\n' && !printable::is_plain(*c));
        assert_eq!(other, None, "{ran:?}");
    }
}

/// Asserts that every record read is accounted for exactly once, in the delivery and in each of its tables.
#[track_caller]
fn balances(delivery: &Value) {
    let tables = delivery["tables"].as_object().expect("tables").values();
    for tally in tables.chain([&delivery["tally"]]) {
        let count =
            |name: &str| tally[name].as_u64().unwrap_or_else(|| panic!("no count {name}: {delivery}"));
        let parts = ["inserted", "updated", "unchanged", "superseded", "filtered", "rejected", "withheld"];
        assert_eq!(parts.map(count).iter().sum::<u64>(), count("read"), "{delivery}");
    }
}

/// Asserts that the ledger has the delivery as programs were told of it.
#[track_caller]
fn recorded(site: &Site, delivery: &Value) {
    let Some(id) = delivery["delivery"].as_str() else { return };
    let told = site.run(["deliveries", "--json"]).exits(0).json();
    let kept =
        told.iter().find(|kept| kept["delivery"] == id).unwrap_or_else(|| panic!("{id} is not in {told:?}"));
    for key in ["outcome", "reason", "mapping", "reports"] {
        assert_eq!(kept[key], delivery[key], "{key}");
    }
    if delivery["outcome"] != "duplicate" {
        assert_eq!(kept["tally"], delivery["tally"]);
    }
}

impl Loaded {
    /// Asserts exit code, outcome and reason (none: an empty text).
    #[track_caller]
    fn ends(&self, code: i32, outcome: &str, reason: &str) -> &Self {
        let found = (self.code, &self.object["outcome"], self.object["reason"].as_str().unwrap_or_default());
        assert_eq!(found, (code, &Value::from(outcome), reason), "{}", self.object);
        assert!(self.text.contains(&outcome.replace('_', " ")), "{}", self.text);
        assert!(self.text.contains("next:"), "{}", self.text);
        self
    }

    /// Asserts that people and programs are told all of this about the file.
    #[track_caller]
    fn says(&self, parts: &[&str]) -> &Self {
        let message = self.object["message"].as_str().unwrap_or_default();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
            assert!(self.text.contains(part), "{part:?} is not in {}", self.text);
        }
        self
    }

    /// Asserts the counts: read, inserted, rejected, withheld; the others are zero.
    #[track_caller]
    fn counts(&self, read: u64, inserted: u64, rejected: u64, withheld: u64) -> &Self {
        let names = ["read", "inserted", "rejected", "withheld"];
        let found = names.map(|name| self.object["tally"][name].as_u64().unwrap_or(u64::MAX));
        assert_eq!(found, [read, inserted, rejected, withheld], "{}", self.object);
        self
    }

    /// The violations of the report for programs, each as `line column rule: value`; its message is returned beside it.
    #[track_caller]
    fn violations(&self) -> Vec<(String, String)> {
        let (header, rows) = self.site.report(&self.object, "errors");
        assert_eq!(header, ["record", "line", "byte", "column", "value", "rule", "message"]);
        let shown =
            |row: Vec<String>| (format!("{} {} {}: {}", row[1], row[3], row[5], row[4]), row[6].clone());
        rows.into_iter().map(shown).collect()
    }

    /// Asserts the violations, each as `line column rule: value`, and that people are shown the first ones.
    #[track_caller]
    fn rejects(&self, expected: &[&str]) -> &Self {
        let found: Vec<String> = self.violations().into_iter().map(|(shown, _)| shown).collect();
        assert_eq!(found, expected);
        let first = expected[0].split(' ').next().unwrap_or_default();
        assert!(self.text.contains(&format!("line {first}: ")), "{}", self.text);
        self
    }

    /// Asserts the rows of `id, name, amount` in the table, by id, each as `id|name|amount`.
    #[track_caller]
    fn rows(&self, expected: &[&str]) -> &Self {
        let rows = self.site.query("SELECT id, name, amount FROM items ORDER BY id");
        let found: Vec<String> = rows.iter().map(|row| row.join("|")).collect();
        assert_eq!(found, expected);
        self
    }

    /// Asserts that no table was made or written.
    #[track_caller]
    fn nothing_loaded(&self) -> &Self {
        let database = self.site.path("var/warehouse.db");
        if database.exists() {
            let tables =
                crate::support::query(&database, "SELECT name FROM sqlite_master WHERE name = 'items'");
            assert!(tables.is_empty() || self.site.query("SELECT * FROM items").is_empty());
        }
        assert_eq!(self.object["tables"], serde_json::json!({}));
        self
    }
}

/// The names of the files below a folder of the site, folders excepted.
fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}
