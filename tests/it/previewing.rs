//! What `preview` says, that it writes nothing, and shadow runs beside the job that a mapping is to replace.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use crate::support::{Site, csv};

/// A mapping of prices with more lines in `[target]` and as rules of the price.
fn prices(target: &str, rules: &str) -> String {
    format!(
        "match = \"prices*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"prices\"\nkey = [\"article\"]\n{target}\n\
         [columns]\narticle = {{ max_length = 5 }}\nprice = {{ type = \"decimal(9,2)\"{rules} }}\nnote = {{ sensitive = true }}\n"
    )
}

const FIRST: &str = "article,price,note\nA,1,x\nB,2,x\nC,3,x\n";
const SECOND: &str = "article,price,note\nA,1.00,x\nB,2.5,y\nX,z,x\nD,4,x\nE,5,\n";

/// Every file of the site with a hash of its content, but for those that SQLite makes beside a database that is read.
fn everything(site: &Site) -> BTreeMap<String, String> {
    let names =
        site.files_in(".").into_iter().filter(|name| !name.ends_with("-shm") && !name.ends_with("-wal"));
    names.map(|name| (name.clone(), blake3::hash(&fs::read(site.path(name)).unwrap()).to_string())).collect()
}

fn tally(value: &Value) -> Value {
    value["tally"].clone()
}

#[test]
fn a_preview_tells_what_the_load_then_does_and_writes_nothing() {
    for target in ["", "mode = \"insert\"", "duplicate_keys = \"last\""] {
        let site = Site::with_mapping("prices", &prices(target, ""));
        site.load("prices_1.csv", FIRST);
        site.write("prices_2.csv", SECOND);
        let before = everything(&site);
        let preview = site.run(["preview", "--json", "prices_2.csv"]);
        assert_eq!(everything(&site), before, "nothing was written");
        let (foretold, loaded) = (preview.object(), site.run(["load", "--json", "prices_2.csv"]));
        assert_eq!(preview.code, loaded.code);
        let loaded = loaded.object();
        assert_eq!(
            (tally(&foretold), &foretold["outcome"], &foretold["reason"]),
            (tally(&loaded), &loaded["outcome"], &loaded["reason"]),
            "{target}"
        );
    }
}

#[test]
fn a_preview_shows_the_rows_that_would_be_inserted_and_changed_from_what_to_what_and_masks_what_is_sensitive()
{
    let site = Site::with_mapping("prices", &prices("", ""));
    site.load("prices_1.csv", FIRST);
    site.write("prices_2.csv", SECOND);
    let preview = site.run(["preview", "--json", "prices_2.csv"]).exits(2).object();
    assert_eq!(preview["inserted"], json!([{ "line": 5, "key": ["D"] }, { "line": 6, "key": ["E"] }]));
    let changes = json!([
        { "column": "price", "from": "2.00", "to": "2.50" },
        { "column": "note", "from": "***", "to": "***" }
    ]);
    assert_eq!(preview["updated"], json!([{ "line": 3, "key": ["B"], "changes": changes }]));
    assert_eq!(preview["rejects"][0]["line"], 4);
    let text = site.run(["preview", "prices_2.csv"]).exits(2).out;
    for part in [
        "prices_2.csv: would be loaded with rejects",
        "5 records = 2 inserted + 1 updated + 1 unchanged + 1 rejected",
        "line 4: price \"z\"",
        "line 3: B: price from \"2.00\" to \"2.50\"; note from \"***\" to \"***\"",
        "line 5: D",
        "nothing was written; `wharf load prices_2.csv` does this",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let one = site.run(["preview", "--limit", "1", "prices_2.csv"]).exits(2).out;
    assert!(one.contains("and 1 more") && !one.contains("line 6"), "{one}");
}

#[test]
fn a_preview_of_a_site_that_has_loaded_nothing_yet_makes_no_store() {
    let site = Site::with_mapping("prices", &prices("", ""));
    site.write("prices_1.csv", FIRST);
    let preview = site.run(["preview", "--json", "prices_1.csv"]).exits(0).object();
    assert_eq!(preview["tally"]["inserted"], 3);
    assert!(!site.path("var").exists());
}

#[test]
fn a_preview_says_what_would_be_refused_held_or_a_duplicate() {
    let site = Site::with_mapping("prices", &(prices("", "") + "[rejects]\nlimit = 1\nhold = 0\n"));
    let loaded = site.load("prices_1.csv", FIRST).1;
    let preview = |name: &str, content: &str| {
        site.write(name, content);
        let ran = site.run(["preview", "--json", name]);
        (ran.code, ran.object())
    };
    let (code, same) = preview("prices_2.csv", FIRST);
    assert_eq!((code, &same["loaded_by"]), (0, &loaded["delivery"]));
    let (code, held) = preview("prices_3.csv", SECOND);
    assert_eq!((code, &held["outcome"], &held["reason"]), (3, &json!("held"), &json!("reject_hold")));
    // What a person decides about is shown all the same.
    assert_eq!(held["inserted"].as_array().unwrap().len(), 2);
    let (code, refused) = preview("prices_4.csv", &SECOND.replace("E,5", "E,e"));
    assert_eq!((code, &refused["reason"]), (3, &json!("reject_limit")));
    let (code, header) = preview("prices_5.csv", "article\nA\n");
    assert_eq!(
        (code, &header["outcome"]),
        (0, &json!("loaded")),
        "a column that is not required may be missing"
    );
    let (code, nobody) = preview("nobody.csv", FIRST);
    assert_eq!((code, &nobody["reason"]), (3, &json!("no_mapping")));
    assert_eq!(site.run(["preview", "prices_gone.csv"]).code, 1);
}

#[test]
fn a_delivery_of_the_past_is_run_under_the_mapping_of_today_and_what_newly_passes_and_fails_is_told() {
    let site = Site::with_mapping("prices", &prices("", ", min = 2"));
    let (_, delivery) = site.load("prices_1.csv", "article,price,note\nA,1,x\nB,2,x\nC,3,x\nD,z,x\n");
    let id = delivery["delivery"].as_str().unwrap();
    let same = site.run(["preview", "--against", id, "--json"]).exits(2).object();
    assert_eq!((&same["changed"], &same["still_failing"]), (&json!(false), &json!(2)));

    site.write("mappings/inbound/prices.toml", prices("", ", max = 2"));
    let before = everything(&site);
    let against = site.run(["preview", "--against", id, "--json"]).exits(2).object();
    assert_eq!(everything(&site), before);
    assert_eq!(against["changed"], true);
    assert_eq!(
        (&against["newly_passing"]["count"], &against["newly_passing"]["first"][0]["line"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&against["newly_failing"]["count"], &against["newly_failing"]["first"][0]["line"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(against["still_failing"], 1);
    let text = site.run(["preview", "--against", id]).exits(2).out;
    for part in
        ["1 record would now pass", "was wrong: line 2", "1 record would now fail", "is wrong: line 4"]
    {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn records_that_todays_filter_leaves_out_are_counted_apart_from_those_that_pass_and_fail() {
    let site = Site::with_mapping("prices", &prices("", ", min = 2"));
    let (_, delivery) = site.load("prices_1.csv", "article,price,note\nA,1,x\nB,2,no\nC,3,x\nD,1,no\n");
    let id = delivery["delivery"].as_str().unwrap();
    site.write("mappings/inbound/prices.toml", prices("", "") + "[filter]\nkeep = \"note <> 'no'\"\n");
    let against = site.run(["preview", "--against", id, "--json"]).exits(0).object();
    assert_eq!(against["newly_passing"]["count"], 1, "A alone: {against:#}");
    assert_eq!(against["newly_filtered"], json!({ "rejects": 1, "rows": 1 }), "D, B: {against:#}");
    let text = site.run(["preview", "--against", id]).exits(0).out;
    for part in [
        "4 read, 0 rejected, 2 filtered",
        "1 record would now pass",
        "1 record rejected then would now be left out by the filter",
        "1 record passed then would now be left out by the filter",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

#[test]
fn what_was_never_validated_cannot_be_compared_with_today_and_says_so() {
    let site = Site::with_mapping("prices", &prices("", ""));
    let (_, delivery) = site.load("prices_1.csv", "");
    let ran = site.run(["preview", "--against", delivery["delivery"].as_str().unwrap()]).exits(1);
    assert!(ran.err.contains("was never validated"), "{}", ran.err);
    assert!(site.run(["preview", "--against", "nobody"]).exits(1).err.contains("nobody"));
}

/// A table that another job fills.
const OTHERS: &str = "CREATE TABLE prices (article TEXT PRIMARY KEY, price TEXT, note TEXT);
    INSERT INTO prices VALUES ('A', '1.00', 'x'), ('B', '9.00', 'secret'), ('Z', '1.00', 'x');";

fn shadowed(target: &str) -> Site {
    let site = Site::with_mapping("prices", &prices(&format!("shadow = true\n{target}"), ""));
    fs::create_dir(site.path("var")).unwrap();
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database.execute_batch(OTHERS).unwrap();
    site
}

#[test]
fn a_shadow_run_reports_with_what_the_table_differs_and_writes_nothing_into_it() {
    let site = shadowed("");
    let before = site.query("SELECT * FROM prices");
    let (code, delivery) = site.load("prices_1.csv", SECOND);
    assert_eq!((code, &delivery["outcome"]), (2, &json!("loaded_with_rejects")));
    assert_eq!(site.query("SELECT * FROM prices"), before);
    assert_eq!(site.query("SELECT name FROM sqlite_schema WHERE type = 'table'"), [["prices"]]);
    let count = |name: &str| delivery["tally"][name].as_u64().unwrap();
    assert_eq!(["inserted", "updated", "unchanged", "rejected"].map(count), [2, 1, 1, 1]);
    assert_eq!(delivery["tables"], json!({}), "no table was written");
    let message = delivery["message"].as_str().unwrap();
    assert!(
        message.contains("shadow run, nothing was written") && message.contains("1 differ, 2 are missing"),
        "{message}"
    );

    let path = delivery["reports"]["differences"].as_str().unwrap();
    assert_eq!(path, "outbox/shadow/prices/prices_1.csv.differences.csv");
    let (header, rows) = csv(&site.path(path));
    assert_eq!(header.join(" "), "delivery difference line record key column table file");
    let rows: Vec<String> = rows.iter().map(|row| row[1..].join("|")).collect();
    assert_eq!(
        rows,
        [
            "different|3|2|B|price|9.00|2.50",
            "different|3|2|B|note|***|***",
            "missing in the table|5|4|D|||",
            "missing in the table|6|5|E|||",
        ]
    );
    assert!(site.run(["load", "prices_1.csv"]).out.contains("prices_1.csv: compared, nothing written"));
}

#[test]
fn a_shadow_run_compares_the_same_bytes_every_time_and_the_first_real_run_loads_them() {
    let site = shadowed("");
    for number in 1..=2 {
        let (_, delivery) = site.load("prices_1.csv", FIRST);
        let expected = match number {
            1 => "outbox/shadow/prices/prices_1.csv.differences.csv",
            _ => "outbox/shadow/prices/prices_1.csv.2.differences.csv",
        };
        assert_eq!(delivery["reports"]["differences"], expected);
    }
    // The other job has done its work: nothing differs, and there is nothing to report.
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database.execute_batch("DELETE FROM prices; INSERT INTO prices VALUES ('A', '1', 'x'), ('B', '2.0', 'x'), ('C', '3.00', 'x')").unwrap();
    let (code, delivery) = site.load("prices_1.csv", FIRST);
    assert_eq!((code, &delivery["reports"]["differences"]), (0, &json!(null)));
    assert_eq!(site.run(["deliveries", "--json", "--limit", "1"]).object()["message"], delivery["message"]);

    site.write("mappings/inbound/prices.toml", prices("", ""));
    let (code, delivery) = site.load("prices_1.csv", FIRST.replace("C,3", "C,4"));
    assert_eq!((code, &delivery["outcome"], &delivery["tally"]["updated"]), (0, &json!("loaded"), &json!(1)));
}

#[test]
fn a_shadow_run_of_a_file_that_a_load_would_hold_holds_nobody_up_and_says_so() {
    let site = shadowed("");
    let held = prices("shadow = true", "") + "[rejects]\nhold = 0\n";
    site.write("mappings/inbound/prices.toml", held);
    let (code, delivery) = site.load("prices_1.csv", SECOND);
    assert_eq!((code, &delivery["outcome"]), (2, &json!("loaded_with_rejects")));
    assert!(delivery["message"].as_str().unwrap().contains("a load would be held"), "{delivery:#}");
}

#[test]
fn a_shadow_run_is_never_called_loaded() {
    let site = shadowed("");
    site.write("prices_1.csv", SECOND);
    let preview = site.run(["preview", "prices_1.csv"]).exits(2).out;
    assert!(preview.contains("would be compared, nothing would be written"), "{preview}");
    assert!(preview.contains("while the mapping says `shadow = true`"), "{preview}");
    let (_, delivery) = site.load("prices_1.csv", SECOND);
    let id = delivery["delivery"].as_str().unwrap().to_owned();
    let preview_again = site.run(["preview", "prices_1.csv"]).exits(2).out;
    for (command, says) in [
        (vec!["status"], "1 delivery: 1 compared, nothing written"),
        (vec!["deliveries"], "compared, nothing written"),
        (vec!["rejects"], "compared, nothing written"),
        (vec!["show", &id], "shadow run: compared in "),
        (vec!["show", &id], "for looking at only"),
    ] {
        let said = site.run(&command).exits(0).out;
        assert!(said.contains(says), "{command:?}: {said}");
        let claims =
            said.contains("loaded with rejects") || said.contains("loaded in ") || said.contains("as loaded");
        assert!(!claims, "{command:?}: {said}");
    }
    assert!(!preview_again.contains("loaded these bytes"), "{preview_again}");
    assert_eq!(site.run(["show", "--json", &id]).object()["shadow"], true);
}

#[test]
fn a_corrected_reject_of_a_shadow_run_is_told_that_nothing_of_it_is_loaded() {
    let site = shadowed("");
    let (_, delivery) = site.load("prices_1.csv", SECOND);
    let report = delivery["reports"]["rejects"].as_str().unwrap();
    let before = site.query("SELECT * FROM prices");
    let ran = site.run(["resubmit", report]);
    let said = ran.out + &ran.err;
    assert!(said.contains("is of a shadow run, of which nothing is loaded"), "{said}");
    assert_eq!(site.query("SELECT * FROM prices"), before);
}

#[test]
fn a_shadow_run_keeps_nobody_from_loading_an_earlier_file_again() {
    let site = Site::with_mapping("prices", &prices("", ""));
    let (_, first) = site.load("prices_1.csv", FIRST);
    site.write("mappings/inbound/prices.toml", prices("shadow = true", ""));
    site.load("prices_2.csv", SECOND);
    site.write("mappings/inbound/prices.toml", prices("", ""));
    site.run(["rerun", first["delivery"].as_str().unwrap()]).exits(0);
    site.load("prices_3.csv", SECOND);
    let ran = site.run(["rerun", first["delivery"].as_str().unwrap()]).exits(1);
    assert!(ran.err.contains("came later and is loaded already"), "{}", ran.err);
}

#[test]
fn a_file_that_is_not_there_is_said_before_any_mapping() {
    let site = Site::with_mapping("prices", &prices("", ""));
    for command in ["preview", "validate"] {
        for name in ["nosuch", "prices_9.csv"] {
            let ran = site.run([command, name]).exits(1);
            let said = ran.out + &ran.err;
            assert!(
                said.contains("No such file") && !said.contains("no mapping"),
                "{command} {name}: {said}"
            );
        }
        site.write("other.txt", "x");
        let said = site.run([command, "other.txt"]).exits(3).out;
        assert!(said.contains("no mapping takes a file of this name"), "{said}");
    }
}

#[test]
fn rejects_of_a_rule_or_mapping_that_does_not_exist_are_a_slip_and_not_none() {
    let site = Site::with_mapping("prices", &prices("", ""));
    site.load("prices_1.csv", SECOND);
    for (option, name, says) in [
        ("--rule", "nosuch", "there is no rule `nosuch`; the rules are columns, quote"),
        ("--mapping", "nosuch", "nosuch"),
    ] {
        let ran = site.run(["rejects", option, name]).exits(1);
        assert!(ran.err.contains(says), "{option}: {}", ran.err);
    }
    for arguments in [["--rule", "check:later"], ["--rule", "lookup"], ["--mapping", "prices"]] {
        site.run(["rejects"].into_iter().chain(arguments)).exits(0);
    }
    // Its deliveries outlive a mapping.
    fs::rename(site.path("mappings/inbound/prices.toml"), site.path("mappings/inbound/articles.toml"))
        .unwrap();
    let said = site.run(["rejects", "--mapping", "prices"]).exits(0).out;
    assert!(said.contains("prices_1.csv"), "{said}");
}
