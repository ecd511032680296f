//! What the site remembers, and how people find it again: `status`, `deliveries`, `show` and `rejects`.

use std::{fs, io::Write};

use serde_json::{Value, json};

use crate::support::Site;

const MAPPING: &str = r#"match = "stock*"
[format]
type = "csv"
[target]
table = "stock"
key = ["article"]
[rejects]
hold = 2
[columns]
article = {}
count = { type = "integer" }
owner = { sensitive = true }
"#;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// A site with a delivery of each kind that one mapping and the command line can make; gives them in order.
fn busy_site() -> (Site, Vec<Value>) {
    let site = Site::with_mapping("stock", MAPPING);
    site.write("mappings/inbound/orders.toml", MAPPING.replace("stock", "orders"));
    let deliveries = vec![
        site.load("stock_1.csv", "article,count\nA,1\nB,2\n").1,
        site.load("stock_2.csv", "article,count\nA,1\nB,x\n").1,
        site.load("stock_3.csv", "article,count\nA,1\nB,x\n").1,
        site.load("stock_4.csv", "article,count\nA,x\nB,x\nC,x\n").1,
        site.load("orders_1.csv", "").1,
        site.load("nobody.csv", "article,count\n").1,
        site.load("orders_2.csv", "article,count\nA,1\n").1,
    ];
    (site, deliveries)
}

#[test]
fn status_tells_a_new_site_how_to_begin() {
    let site = Site::with_mapping("stock", MAPPING);
    let out = site.run(["status"]).exits(0).out;
    let lines: Vec<&str> = out.lines().collect();
    let expected = [
        "no engine runs here; `wharf run` starts one",
        "mappings: stock",
        "nothing has been loaded here yet; begin with `wharf load FILE`",
    ];
    assert_eq!(lines, expected);
    let empty = site.run(["status", "--json"]).exits(0).object();
    let expected = json!({
        "engine": null, "deliveries": {}, "attention": [], "unfinished": [], "latest": [],
        "open_rejects": { "deliveries": 0, "rejects": 0 }, "broken_mappings": 0, "recovery": null
    });
    assert_eq!(empty, expected);
    assert!(!site.path("var").exists(), "asking makes nothing");
}

#[test]
fn status_counts_what_there_is_and_says_what_needs_a_person_and_what_to_do() {
    let (site, deliveries) = busy_site();
    let status = site.run(["status", "--json"]).exits(0).object();
    assert_eq!(
        status["deliveries"],
        json!({ "held": 1, "loaded": 2, "loaded_with_rejects": 1, "refused": 2, "duplicate": 1 })
    );
    assert_eq!(status["attention"].as_array().unwrap().len(), 1);
    assert_eq!(status["attention"][0]["delivery"], deliveries[3]["delivery"]);
    assert_eq!(status["latest"][0]["delivery"], deliveries[6]["delivery"]);

    site.write("mappings/inbound/broken.toml", "match = 5\n");
    let out = site.run(["status"]).exits(0).out;
    let held = text(&deliveries[3]["delivery"]);
    for part in [
        "mappings: broken (not valid), orders, stock\n  `wharf check` tells what is wrong\n",
        "7 deliveries: 1 held, 2 loaded, 1 loaded with rejects, 2 refused, 1 duplicate\n",
        "needs a person:\n",
        "stock_4.csv: held\n      3 records = 0 inserted + 3 rejected\n",
        &format!("next: look at the reports, then `wharf approve {held}` or `wharf decline {held}`\n"),
        "latest:\n",
    ] {
        assert!(out.contains(part), "{part:?} is missing:\n{out}");
    }
}

#[test]
fn deliveries_are_listed_the_latest_first_and_filtered() {
    let (site, deliveries) = busy_site();
    let today = &text(&site.run(["deliveries", "--json", "--limit", "1"]).object()["taken"])[..10].to_owned();
    let listed = |options: &[&str]| -> Vec<usize> {
        let ran = site.run(["deliveries", "--json"].iter().chain(options)).exits(0);
        let number =
            |found: &Value| deliveries.iter().position(|delivery| delivery["delivery"] == found["delivery"]);
        ran.json().iter().map(|found| number(found).unwrap()).collect()
    };
    let none: &[usize] = &[];
    for (options, expected) in [
        (&[][..], &[6, 5, 4, 3, 2, 1, 0][..]),
        (&["--state", "loaded"], &[6, 0]),
        (&["--state", "held", "--state", "duplicate"], &[3, 2]),
        (&["--mapping", "orders"], &[6, 4]),
        (&["--mapping", "orders", "--state", "refused"], &[4]),
        (&["--name", "STOCK_"], &[3, 2, 1, 0]),
        (&["--name", "_2"], &[6, 1]),
        (&["--name", "%"], none),
        (&["--limit", "2", "--offset", "1"], &[5, 4]),
        (&["--until", "2020-01-01"], none),
        (&["--since", "2999-01-01"], none),
        (&["--since", today, "--name", "nobody"], &[5]),
    ] {
        let found = listed(options);
        assert_eq!(found, expected, "{options:?}");
    }
    for options in [["--state", "lost"], ["--since", "yesterday"], ["--limit", "-1"]] {
        let ran = site.run(["deliveries"].iter().chain(&options)).exits(1);
        assert!(ran.err.contains(options[1]), "{}", ran.err);
    }
    let out = site.run(["deliveries"]).exits(0).out;
    assert_eq!(out.lines().count(), 8, "a header and a line each:\n{out}");
}

#[test]
fn show_tells_the_story_the_counts_and_the_first_five_rows_as_loaded() {
    let site = Site::with_mapping("stock", MAPPING);
    let file = "Count,article,owner\nx,A0,o\n007,A1,o\n2,A2,\n3,A3,o\n4,A4,o\ny,A5,o\n5,A6,o\n6,A7,o\n";
    let (_, delivery) = site.load("stock_1.csv", file);
    let id = text(&delivery["delivery"]);
    let shown = site.run(["show", "--json", id]).exits(0).object();
    for key in ["file", "mapping", "outcome", "tally", "tables", "reports", "delivery"] {
        assert_eq!(shown[key], delivery[key], "{key}");
    }
    let story: Vec<&str> =
        shown["story"].as_array().unwrap().iter().map(|entry| text(&entry["event"]["event"])).collect();
    assert_eq!(story, ["taken", "started", "validated", "loaded", "rejects_opened"]);
    assert_eq!(shown["violations"], json!({ "type": 2 }));
    assert_eq!(fs::read(site.path(text(&shown["archive"]))).unwrap(), file.as_bytes());
    assert_eq!(shown["columns"], json!(["article", "count", "owner"]));
    let row = |record: u64, article: &str, count: &str, owner: Value| json!({ "record": record, "values": [article, count, owner] });
    assert_eq!(
        shown["rows"],
        json!([
            row(2, "A1", "7", json!("***")),
            row(3, "A2", "2", Value::Null),
            row(4, "A3", "3", json!("***")),
            row(5, "A4", "4", json!("***")),
            row(7, "A6", "5", json!("***")),
        ])
    );
    let out = site.run(["show", id]).exits(0).out;
    for part in [
        "stock_1.csv: loaded with rejects\n",
        "8 records = 6 inserted + 2 rejected\n",
        "\nstory:\n",
        "  attempt 1 began\n",
        "  validated: 8 records read, 6 good, 2 rejected\n",
        "\nfirst 5 rows as loaded:\n",
    ] {
        assert!(out.contains(part), "{part:?} is missing:\n{out}");
    }
}

#[test]
fn show_of_a_file_that_was_not_loaded_says_why_and_shows_no_rows() {
    let (site, deliveries) = busy_site();
    for (number, why) in [
        (2, "the same bytes were loaded by"),
        (3, "3 of 3 records were rejected"),
        (4, "no bytes"),
        (5, "no mapping takes"),
    ] {
        let id = text(&deliveries[number]["delivery"]);
        let shown = site.run(["show", "--json", id]).exits(0).object();
        assert_eq!((&shown["outcome"], &shown["rows"]), (&deliveries[number]["outcome"], &Value::Null));
        let out = site.run(["show", id]).exits(0).out;
        assert!(out.contains(why), "{why}:\n{out}");
        assert!(!out.contains("as loaded"), "{out}");
    }
}

#[test]
fn rejects_lists_the_deliveries_that_have_some_and_the_violations_of_one() {
    let (site, deliveries) = busy_site();
    let listed = site.run(["rejects", "--json"]).exits(0).json();
    let ids: Vec<&Value> = listed.iter().map(|delivery| &delivery["delivery"]).collect();
    assert_eq!(ids, [&deliveries[3]["delivery"], &deliveries[1]["delivery"]]);
    let out = site.run(["rejects"]).exits(0).out;
    assert!(out.contains(text(&deliveries[1]["reports"]["rejects"])), "{out}");

    let held = text(&deliveries[3]["delivery"]);
    let found = site.run(["rejects", "--json", held]).exits(0).object();
    assert_eq!(found["counts"], json!([{ "column": "count", "rule": "type", "count": 3 }]));
    let rejects = found["rejects"].as_array().unwrap();
    let expected = json!({
        "id": rejects[1]["id"], "record": 2, "line": 3, "byte": 18, "state": null, "why": null,
        "violations": [{ "column": "count", "value": "x", "rule": "type", "message": "is not a whole number like 1234" }],
    });
    assert_eq!((rejects.len(), &rejects[1]), (3, &expected));
    let out = site.run(["rejects", held, "--limit", "2"]).exits(0).out;
    assert!(out.contains("line 3: count \"x\" is not a whole number") && out.contains("and 1 more"), "{out}");
    let none = site.run(["rejects", text(&deliveries[0]["delivery"])]).exits(0).out;
    assert_eq!(none, "stock_1.csv: no rejects\n");
}

#[test]
fn the_archive_keeps_the_bytes_as_they_came_once_and_the_ledger_their_hash() {
    let site = Site::with_mapping("stock", MAPPING);
    let bytes = b"article,count\r\nA,1\r\nZo\xeb,\xff\r\n";
    let (_, first) = site.load("stock_1.csv", bytes);
    let (_, second) = site.load("stock_2.csv", bytes);
    let shown = [first, second]
        .map(|delivery| site.run(["show", "--json", text(&delivery["delivery"])]).exits(0).object());
    let archived = site.path(text(&shown[0]["archive"]));
    assert_eq!(fs::read(&archived).unwrap(), bytes);
    assert!(fs::metadata(&archived).unwrap().permissions().readonly());
    assert_eq!(shown[0]["hash"], blake3::hash(bytes).to_hex().as_str());
    assert_eq!(shown[0]["size"], bytes.len());
    assert_eq!((&shown[1]["archive"], &shown[1]["hash"]), (&shown[0]["archive"], &shown[0]["hash"]));
}

#[test]
fn a_delivery_is_found_by_the_beginning_of_its_id_and_several_are_named() {
    let (site, deliveries) = busy_site();
    let id = text(&deliveries[0]["delivery"]);
    for short in [&id[..26], &id.to_uppercase()[..26], &id.replace('-', "")[..24]] {
        assert_eq!(site.run(["show", "--json", short]).exits(0).object()["delivery"], id);
    }
    let ran = site.run(["show", &id[..5]]).exits(1);
    for delivery in &deliveries {
        assert!(ran.err.contains(text(&delivery["delivery"])), "{}", ran.err);
    }
    for (wanted, said) in [("ffff", "ffff"), ("01a", "01a"), ("orders", "orders"), ("", "")] {
        let ran = site.run(["show", wanted]).exits(1);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn no_value_of_a_file_stands_in_the_ledger() {
    let mapping = MAPPING.replace("[columns]", "[columns]\nnote = { one_of = [\"fine\"], unique = true }");
    let site = Site::with_mapping("stock", &mapping);
    let canary = "canary-in-the-cell";
    let file = format!(
        "article,count,owner,note\n{canary}1,1,{canary}2,fine\n{canary}1,1,,\nB,{canary}3,,\nC,1,,{canary}4\nD,\"{canary}5\n"
    );
    for (number, mode) in [(1, "upsert"), (2, "insert")] {
        site.write(
            "mappings/inbound/stock.toml",
            mapping
                .replace("hold = 2", "limit = 9")
                .replace("[rejects]", &format!("mode = \"{mode}\"\n[rejects]")),
        );
        let (code, _) = site.load(&format!("stock_{number}.csv"), &file);
        assert_eq!(code, 2);
    }
    site.write("mappings/inbound/stock.toml", &mapping);
    assert_eq!(site.load("stock_3.csv", &file).0, 3);
    for name in ["var/ledger.db", "var/ledger.db-wal"] {
        let Ok(bytes) = fs::read(site.path(name)) else { continue };
        let found = bytes.windows(canary.len()).position(|window| window == canary.as_bytes());
        assert_eq!(found, None, "{name}");
    }
    assert!(fs::read(site.path("var/ledger.db")).unwrap().len() > 4096);
}

#[test]
fn everything_can_be_looked_at_while_another_process_is_at_work_and_a_second_load_is_told_by_whom() {
    let (site, deliveries) = busy_site();
    let mut lock = fs::File::options().write(true).open(site.path("var/lock")).unwrap();
    lock.lock().unwrap();
    lock.write_all(b"4711\nwharf load\n").unwrap();
    let mut ledger = rusqlite::Connection::open(site.path("var/ledger.db")).unwrap();
    let writing = ledger.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    writing.execute("DELETE FROM deliveries", []).unwrap();

    let id = text(&deliveries[1]["delivery"]);
    for arguments in
        [&["status"][..], &["deliveries"], &["show", id], &["rejects"], &["rejects", id], &["check"]]
    {
        assert!(!site.run(arguments).exits(0).out.is_empty(), "{arguments:?}");
    }
    assert_eq!(site.run(["deliveries", "--json"]).json().len(), deliveries.len());
    for arguments in [&["load", "stock_1.csv"][..], &["retry", id], &["approve", id], &["decline", id]] {
        let ran = site.run(arguments).exits(1);
        assert!(ran.err.contains("process 4711 (wharf load) holds"), "{arguments:?}: {}", ran.err);
    }
    drop(writing);
    drop(lock);
    site.run(["load"]).exits(0);
}
