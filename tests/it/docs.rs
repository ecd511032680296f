//! What the repository says of the program is what the program does: the reference pages, the schema that editors use,
//! the examples; and a ledger that an earlier version wrote still tells the same.
//!
//! `WHARF_WRITE_DOCS=1` writes the generated pages again, `WHARF_WRITE_LEDGER=1` the ledger of this version.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use wharf::mapping::{expression::expression_reference, reference, schema};

use crate::support::Site;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Holds a file of the repository against what the program makes of it now, or writes it.
#[track_caller]
fn assert_generated(name: &str, expected: &str) {
    let path = root().join(name);
    if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let line =
        (1..).zip(found.lines().zip(expected.lines())).find(|(_, (found, expected))| found != expected);
    assert!(found == expected, "{name} is out of date (first at {line:?}); `just docs` writes it again");
}

#[test]
fn the_reference_pages_are_those_of_the_types() {
    assert_generated("docs/mapping.md", &reference::mapping_reference());
    assert_generated("docs/configuration.md", &reference::site_reference());
    assert_generated("docs/expressions.md", &expression_reference());
}

#[test]
fn the_schema_for_editors_is_that_of_the_types_and_every_shipped_mapping_points_at_it() {
    assert_generated("mappings/schema.json", &format!("{:#}\n", schema::mapping()));
    let mut mappings = 0;
    for entry in fs::read_dir(root().join("mappings/inbound")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("#:schema ../schema.json\n"), "{}", path.display());
            mappings += 1;
        }
    }
    assert!(mappings >= 2);
}

/// The TOML examples of a page.
fn examples(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let blocks = text.split("\n```toml\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_example_of_a_mapping_or_of_settings_in_the_docs_is_valid() {
    let mut pages = vec![root().join("README.md")];
    let mut open = vec![root().join("docs")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { pages.push(path) }
        }
    }
    let mut checked = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|ending| ending == "md")) {
        for example in examples(page) {
            let site = Site::new();
            let is_mapping = example.lines().any(|line| line.starts_with("match"));
            site.write(if is_mapping { "mappings/inbound/example.toml" } else { "wharf.toml" }, &example);
            let ran = site.run(["check"]);
            assert_eq!(ran.code, 0, "{}:\n{example}\n{}", page.display(), ran.err);
            checked += 1;
        }
    }
    assert!(checked > 0);
}

/// A site whose ledger holds deliveries of every outcome that one has by hand.
fn eventful_site() -> Site {
    let mapping = |table: &str, more: &str| {
        format!(
            "match = \"{table}*\"\n[format]\ntype = \"csv\"\n[target]\n{more}table = \"{table}\"\nkey = \"id\"\n[rejects]\nlimit = 3\n\
             hold = 1\n[columns]\nid = {{}}\nn = {{ type = \"integer\" }}\n"
        )
    };
    let site = Site::with_mapping("stock", &mapping("stock", ""));
    site.write("mappings/inbound/sales.toml", mapping("sales", "connection = \"away\"\n"));
    let connect =
        |path: &str| site.write("wharf.toml", format!("[connections.away]\nurl = \"sqlite:{path}\"\n"));
    connect("/nowhere/sales.db");
    let load =
        |name: &str, content: &str| site.load(name, content).1["delivery"].as_str().unwrap().to_owned();
    load("stock_1.csv", "id,n\nA,1\nB,2\n");
    load("stock_2.csv", "id,n\nA,1\nB,3\nC,x\n");
    load("stock_2 again.csv", "id,n\nA,1\nB,3\nC,x\n");
    let approved = load("stock_3.csv", "id,n\nA,x\nB,x\nC,3\n");
    site.run(["approve", &approved]).exits(2);
    let declined = load("stock_4.csv", "id,n\nA,y\nB,y\n");
    site.run(["decline", &declined]).exits(0);
    load("stock_5.csv", "id,n\nA,z\nB,z\n");
    load("stock_6.csv", "id,n\n1,z\n2,z\n3,z\n4,z\n");
    load("stock_\u{fc}.csv", "");
    load("unknown.csv", "id,n\n");
    let open = load("stock_7.csv", "id,n\nD,1\nE,x\n");
    site.write("mappings/inbound/stock.toml", mapping("stock", "").replace("integer", "text"));
    site.run(["replay", &open]).exits(0);
    let failed = load("sales_1.csv", "id,n\nA,1\n");
    site.run(["retry", &failed]).exits(1);
    connect("sales.db");
    load("sales_1.csv", "id,n\nA,1\n");
    connect("/nowhere/sales.db");
    load("sales_2.csv", "id,n\nA,2\n");
    site
}

/// All that is told of a ledger.
fn told(site: &Site) -> Value {
    let deliveries = site.run(["deliveries", "--json"]).exits(0).json();
    let stories: Vec<Value> = deliveries
        .iter()
        .map(|delivery| {
            let mut shown =
                site.run(["show", "--json", delivery["delivery"].as_str().unwrap()]).exits(0).object();
            // The rows come from the archive.
            shown.as_object_mut().unwrap().retain(|key, _| !matches!(&**key, "columns" | "rows"));
            shown
        })
        .collect();
    json!({ "status": site.run(["status", "--json"]).exits(0).object()["deliveries"], "deliveries": stories })
}

#[test]
fn a_ledger_of_every_version_so_far_opens_and_tells_what_it_told_then() {
    let folder = root().join("tests/fixtures/ledger");
    if std::env::var_os("WHARF_WRITE_LEDGER").is_some() {
        let site = eventful_site();
        let version = folder.join(format!("v{}", wharf::ledger::SCHEMA_VERSION));
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("told.json"), format!("{:#}\n", told(&site))).unwrap();
        fs::copy(site.path("var/ledger.db"), version.join("ledger.db")).unwrap();
    }
    let mut versions = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let version = entry.unwrap().path();
        let site = Site::with_mapping(
            "stock",
            "match = \"stock*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"t\"\nkey = \"id\"\n[columns]\nid = {}\n",
        );
        site.write("var/ledger.db", fs::read(version.join("ledger.db")).unwrap());
        let expected: Value =
            serde_json::from_str(&fs::read_to_string(version.join("told.json")).unwrap()).unwrap();
        let found = told(&site);
        assert_eq!(found["status"], expected["status"]);
        let pairs =
            found["deliveries"].as_array().unwrap().iter().zip(expected["deliveries"].as_array().unwrap());
        // Later versions may tell more, but what was told is told in the same words.
        for (found, expected) in pairs.clone() {
            for (key, expected) in expected.as_object().unwrap() {
                assert_eq!(&found[key], expected, "{}: {key} of {found:#}", version.display());
            }
        }
        assert_eq!(pairs.len(), expected["deliveries"].as_array().unwrap().len());
        // And it goes on from there.
        assert_eq!(site.load("stock_1.csv", "id\n1\n").1["outcome"], "loaded");
        assert_eq!(told(&site)["deliveries"].as_array().unwrap().len(), pairs.len() + 1);
        versions += 1;
    }
    assert_eq!(
        versions,
        wharf::ledger::SCHEMA_VERSION,
        "one a version; WHARF_WRITE_LEDGER=1 writes that of this one"
    );
}
