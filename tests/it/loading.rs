//! What a load does to the table: true counts, duplicates, the modes and the keys of columns that steer writing, and the
//! order in which files are loaded.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Ran, Site, query};

/// A mapping of prices, with more lines at its top, in `[target]`, and in `[columns]`.
fn prices(top: &str, target: &str, columns: &str) -> String {
    format!(
        "match = \"prices*\"\n{top}\n[format]\ntype = \"csv\"\n[target]\ntable = \"prices\"\nkey = [\"article\"]\n{target}\n\
         [columns]\narticle = {{ max_length = 5 }}\nprice = {{ type = \"decimal(9,2)\" }}\n{columns}\n"
    )
}

/// Inserted, updated, unchanged, superseded, rejected and withheld of a delivery whose counts must balance.
#[track_caller]
fn counts(delivery: &Value) -> [u64; 6] {
    let tally = &delivery["tally"];
    let count = |name: &str| tally[name].as_u64().unwrap_or_else(|| panic!("no {name}: {delivery:#}"));
    let found = ["inserted", "updated", "unchanged", "superseded", "rejected", "withheld"].map(count);
    assert_eq!(count("read"), found.iter().sum::<u64>() + count("filtered"), "{delivery:#}");
    assert_eq!(tally["exact"], true);
    found
}

fn outcomes(ran: &Ran) -> Vec<Value> {
    ran.json().iter().map(|delivery| delivery["outcome"].clone()).collect()
}

#[test]
fn a_file_goes_to_the_mapping_whose_patterns_its_name_fits_in_any_case() {
    let site = Site::new();
    let mapping =
        prices("", "", "").replace("\"prices*\"", "[\"prices_{shop}_{date:%Y%m%d}.csv\", \"full?.{{csv}}\"]");
    site.write("mappings/inbound/prices.toml", mapping);
    let names = [
        ("prices_north_20260131.csv", true),
        ("PRICES_NORTH_20260131.CSV", true),
        ("prices_20260131.csv", false),
        ("prices_north_20261301.csv", false),
        ("prices_north_20260131.csv.bak", false),
        ("full1.{csv}", true),
        ("full.{csv}", false),
    ];
    for (price, (name, fits)) in names.into_iter().enumerate() {
        let (code, delivery) = site.load(name, format!("article,price\nA,{price}\n"));
        let expected =
            if fits { (0, json!("prices"), json!(null)) } else { (3, json!(null), json!("no_mapping")) };
        assert_eq!((code, delivery["mapping"].clone(), delivery["reason"].clone()), expected, "{name}");
    }
}

#[test]
fn a_program_is_told_of_each_delivery_in_one_object_with_the_same_keys() {
    let site = Site::with_mapping("prices", &prices("", "", ""));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    for (name, content, outcome) in [
        ("prices_1.csv", "article,price\nA,1\nB,x\n", "loaded_with_rejects"),
        ("prices_2.csv", "article,price\nA,1\nB,x\n", "duplicate"),
        ("prices_3.csv", "", "refused"),
        ("nobody.csv", "", "refused"),
    ] {
        let (_, delivery) = site.load(name, content);
        assert_eq!((&delivery["file"], &delivery["outcome"]), (&json!(name), &json!(outcome)));
        assert_eq!(
            keys(&delivery),
            "delivery file mapping corrects outcome reason message tally tables reports seconds"
        );
        assert_eq!(
            keys(&delivery["tally"]),
            "read inserted updated unchanged superseded filtered rejected withheld deleted exact"
        );
        assert_eq!(keys(&delivery["reports"]), "rejects errors");
        assert!(delivery["seconds"].is_f64());
        assert_eq!(site.read(name), content, "the file stays where it is, as it is");
    }
}

#[test]
fn an_upsert_counts_what_it_inserts_updates_and_finds_unchanged_and_writes_nothing_else() {
    let site = Site::with_mapping("prices", &prices("", "", "since = { type = \"timestamp\" }"));
    let first = "article,price,since\nA,1.50,2026-01-01T00:00Z\nB,2.5,2026-01-01T00:00Z\nC,3,\nD,4,\n";
    let (code, delivery) = site.load("prices_1.csv", first);
    assert_eq!((code, counts(&delivery)), (0, [4, 0, 0, 0, 0, 0]));

    // The business adds a column of its own, and a trigger tells which rows are written.
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database
        .execute_batch(
            "ALTER TABLE prices ADD COLUMN remark TEXT;
             UPDATE prices SET remark = 'ours';
             CREATE TABLE written (article TEXT);
             CREATE TRIGGER note AFTER UPDATE ON prices BEGIN INSERT INTO written VALUES (new.article); END;",
        )
        .unwrap();
    drop(database);
    // A and B are the same in other words; C has a new price; D is gone, which an upsert does not mind; E is new.
    let second =
        "article,price,since\nA,1.5,2026-01-01T02:00+02:00\nB,2.50,2026-01-01 00:00:00Z\nC,3.01,\nE,5,\n";
    let (code, delivery) = site.load("prices_2.csv", second);
    assert_eq!((code, counts(&delivery)), (0, [1, 1, 2, 0, 0, 0]));
    assert_eq!(delivery["tables"], json!({ "prices": delivery["tally"] }));
    assert_eq!(
        site.query("SELECT article, price, remark FROM prices ORDER BY article"),
        [
            ["A", "1.50", "ours"],
            ["B", "2.50", "ours"],
            ["C", "3.01", "ours"],
            ["D", "4.00", "ours"],
            ["E", "5.00", "-"]
        ]
    );
    assert_eq!(site.query("SELECT article FROM written"), [["C"]]);
}

#[test]
fn insert_mode_rejects_rows_whose_key_the_table_has_already() {
    let site = Site::with_mapping("prices", &prices("", "mode = \"insert\"", ""));
    site.load("prices_1.csv", "article,price\nA,1\nB,2\n");
    let (code, delivery) = site.load("prices_2.csv", "article,price\nC,3\nA,9\n");
    assert_eq!((code, counts(&delivery)), (2, [1, 0, 0, 0, 1, 0]));
    let (_, errors) = site.report(&delivery, "errors");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0][..6], ["2", "3", "18", "article", "A", "key"]);
    assert_eq!(
        site.query("SELECT * FROM prices ORDER BY article"),
        [["A", "1.00"], ["B", "2.00"], ["C", "3.00"]]
    );
}

#[test]
fn the_same_bytes_under_another_name_are_a_duplicate_and_nothing_is_done() {
    let site = Site::with_mapping("prices", &prices("", "", ""));
    let (_, first) = site.load("prices_1.csv", "article,price\nA,1\n");
    let (code, again) = site.load("prices_2.csv", "article,price\nA,1\n");
    assert_eq!((code, &again["outcome"], &again["reason"]), (0, &json!("duplicate"), &json!("same_content")));
    assert_eq!(
        again["message"],
        format!("duplicate of {}, nothing to do", first["delivery"].as_str().unwrap())
    );
    assert_eq!(site.query("SELECT count(*) FROM _wharf_loads"), [["1"]]);
    assert!(site.path("prices_2.csv").exists());
}

#[test]
fn only_what_was_loaded_last_under_the_same_mapping_makes_a_duplicate() {
    let monday = "article,price\nA,1\nB,2\n";
    let tuesday = "article,price\nA,1.10\nB,2\n";
    let site = Site::with_mapping("prices", &prices("", "", ""));
    site.load("prices_mon.csv", monday);
    site.load("prices_tue.csv", tuesday);
    let (_, back) = site.load("prices_wed.csv", monday);
    assert_eq!((&back["outcome"], counts(&back)), (&json!("loaded"), [0, 1, 1, 0, 0, 0]));

    // A comment changes nothing; a rule does.
    site.write("mappings/inbound/prices.toml", prices("# nightly", "", ""));
    assert_eq!(site.load("prices_wed.csv", monday).1["outcome"], "duplicate");
    site.write(
        "mappings/inbound/prices.toml",
        prices("", "", "").replace("max_length = 5", "max_length = 6"),
    );
    let (_, changed) = site.load("prices_wed.csv", monday);
    assert_eq!((&changed["outcome"], counts(&changed)), (&json!("loaded"), [0, 0, 2, 0, 0, 0]));

    // What was refused was not loaded.
    site.write("mappings/inbound/prices.toml", prices("", "", "[rejects]\nlimit = 0"));
    let bad = "article,price\nA,x\n";
    assert_eq!(site.load("prices_thu.csv", bad).1["outcome"], "refused");
    assert_eq!(site.load("prices_thu.csv", bad).1["outcome"], "refused");
}

#[test]
fn what_a_database_put_back_to_an_older_state_does_not_know_any_more_loads_again() {
    let site = Site::with_mapping("prices", &prices("", "", ""));
    site.load("prices_1.csv", "article,price\nA,1\n");
    let older = fs::read(site.path("var/warehouse.db")).unwrap();
    site.load("prices_2.csv", "article,price\nA,2\n");
    site.write("var/warehouse.db", older);
    let (_, again) = site.load("prices_2.csv", "article,price\nA,2\n");
    assert_eq!((&again["outcome"], counts(&again)), (&json!("loaded"), [0, 1, 0, 0, 0, 0]));
    assert_eq!(site.load("prices_2.csv", "article,price\nA,2\n").1["outcome"], "duplicate");
}

#[test]
fn in_insert_mode_any_earlier_load_of_the_bytes_makes_a_duplicate() {
    let site = Site::with_mapping("prices", &prices("", "mode = \"insert\"", ""));
    site.load("prices_1.csv", "article,price\nA,1\n");
    site.load("prices_2.csv", "article,price\nB,1\n");
    assert_eq!(site.load("prices_3.csv", "article,price\nA,1\n").1["outcome"], "duplicate");
}

#[test]
fn again_and_on_duplicate_load_the_same_bytes_once_more() {
    let file = "article,price\nA,1\n";
    let site = Site::with_mapping("prices", &prices("", "", ""));
    site.load("prices.csv", file);
    let again = site.run(["load", "--json", "--again", "prices.csv"]).exits(0).object();
    assert_eq!((&again["outcome"], counts(&again)), (&json!("loaded"), [0, 0, 1, 0, 0, 0]));

    let site = Site::with_mapping("prices", &prices("on_duplicate = \"load\"", "", ""));
    site.load("prices.csv", file);
    let (_, again) = site.load("prices.csv", file);
    assert_eq!((&again["outcome"], counts(&again)), (&json!("loaded"), [0, 0, 1, 0, 0, 0]));
}

#[test]
fn a_table_is_made_by_default_and_not_with_create_false() {
    let site = Site::with_mapping("prices", &prices("", "create = false", ""));
    let (code, delivery) = site.load("prices.csv", "article,price\nA,1\n");
    assert_eq!((code, &delivery["outcome"], counts(&delivery)), (3, &json!("refused"), [0, 0, 0, 0, 0, 1]));
    assert!(delivery["message"].as_str().unwrap().contains("prices"), "{delivery:#}");
    assert_eq!(site.query("SELECT count(*) FROM sqlite_schema WHERE name = 'prices'"), [["0"]]);
    site.write("mappings/inbound/prices.toml", prices("", "", ""));
    assert_eq!(site.load("prices.csv", "article,price\nA,1\n").0, 0);
}

#[test]
fn of_a_key_that_stands_twice_in_a_file_the_later_record_is_rejected_or_wins() {
    let file = "article,price\nA,1\nB,2\nA,3\nA,x\nB,4\nA,5\n";
    let site = Site::with_mapping("prices", &prices("", "", ""));
    let (code, delivery) = site.load("prices.csv", file);
    assert_eq!((code, counts(&delivery)), (2, [2, 0, 0, 0, 4, 0]));
    assert_eq!(site.query("SELECT * FROM prices ORDER BY article"), [["A", "1.00"], ["B", "2.00"]]);

    let site = Site::with_mapping("prices", &prices("", "duplicate_keys = \"last\"", ""));
    let (code, delivery) = site.load("prices.csv", file);
    assert_eq!((code, counts(&delivery)), (2, [2, 0, 0, 3, 1, 0]));
    assert_eq!(site.query("SELECT * FROM prices ORDER BY article"), [["A", "5.00"], ["B", "4.00"]]);
}

#[test]
fn columns_can_be_set_once_keep_their_value_or_take_no_part_in_what_is_changed() {
    let site = Site::with_mapping(
        "prices",
        &prices(
            "",
            "",
            "category = { write = \"insert\" }\nphone = { on_null = \"keep\" }\nseen = { compare = false }",
        ),
    );
    site.load(
        "prices_1.csv",
        "article,price,category,phone,seen\nA,1,tea,111,mon\nB,1,tea,111,mon\nC,1,tea,111,mon\n",
    );
    // A differs only in what is not compared, is set once, or is kept; B has a new price too; C a new phone.
    let second = "article,price,category,phone,seen\nA,1,mugs,,tue\nB,2,mugs,,tue\nC,1,,222,\n";
    let (code, delivery) = site.load("prices_2.csv", second);
    assert_eq!((code, counts(&delivery)), (0, [0, 2, 1, 0, 0, 0]));
    assert_eq!(
        site.query("SELECT * FROM prices ORDER BY article"),
        [
            ["A", "1.00", "tea", "111", "mon"],
            ["B", "2.00", "tea", "111", "tue"],
            ["C", "1.00", "tea", "222", "-"]
        ]
    );
}

#[test]
fn a_column_whose_field_the_file_lacks_is_not_written() {
    let site = Site::with_mapping("prices", &prices("", "", "stock = { type = \"integer\", default = 7 }"));
    site.load("prices_1.csv", "article,price,stock\nA,1,5\nB,1,\n");
    let (code, delivery) = site.load("prices_2.csv", "article,price\nA,2\nB,1\nC,1\n");
    assert_eq!((code, counts(&delivery)), (0, [1, 1, 1, 0, 0, 0]));
    assert_eq!(
        site.query("SELECT * FROM prices ORDER BY article"),
        [["A", "2.00", "5"], ["B", "1.00", "7"], ["C", "1.00", "-"]]
    );
}

#[test]
fn the_database_remembers_each_load_with_its_tally_under_the_name_that_the_site_gives() {
    let site = Site::with_mapping("prices", &prices("", "connection = \"shop\"", ""));
    site.write(
        "wharf.toml",
        "[connections.shop]\nurl = \"sqlite:shop.db\"\nloads_table = \"loads of wharf\"\n",
    );
    let (_, first) = site.load("prices_1.csv", "article,price\nA,1\nB,x\n");
    site.load("prices_1.csv", "article,price\nA,1\nB,x\n");
    site.load("prices_2.csv", "");
    let (_, last) = site.load("prices_3.csv", "article,price\nA,2\n");
    let rows = query(
        &site.path("shop.db"),
        "SELECT delivery, part, state, tally, site FROM \"loads of wharf\" ORDER BY delivery",
    );
    assert_eq!(rows.len(), 2, "neither the duplicate nor the refused file is a load");
    for (row, delivery) in rows.iter().zip([first, last]) {
        assert_eq!(row[..3], [delivery["delivery"].as_str().unwrap(), "0", "loaded"]);
        assert_eq!(serde_json::from_str::<Value>(&row[3]).unwrap(), delivery["tally"]);
    }
    assert_eq!(rows[0][4], rows[1][4]);
    assert!(!site.path("var/warehouse.db").exists());
}

#[test]
fn mappings_that_share_a_file_load_it_each_as_a_delivery_of_its_own() {
    let site = Site::with_mapping("prices", &prices("shared = true", "", ""));
    let articles = "match = \"*.csv\"\nshared = true\n[format]\ntype = \"csv\"\n[target]\ntable = \"articles\"\nkey = \"no\"\n\
                    [columns]\nno = { from = \"Article\", pattern = \"[A-C]\" }\n";
    site.write("mappings/inbound/articles.toml", articles);
    site.write("prices.csv", "article,price\nA,1\nZ,2\n");
    let ran = site.run(["load", "--json", "prices.csv"]).exits(2);
    let (mappings, ids): (Vec<Value>, Vec<Value>) =
        ran.json().iter().map(|delivery| (delivery["mapping"].clone(), delivery["delivery"].clone())).unzip();
    assert_eq!(mappings, ["articles", "prices"]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(outcomes(&ran), ["loaded_with_rejects", "loaded"]);
    assert_eq!(
        site.query("SELECT (SELECT count(*) FROM articles), (SELECT count(*) FROM prices)"),
        [["1", "2"]]
    );
    let again = site.run(["load", "--json", "prices.csv"]).exits(0);
    assert_eq!(outcomes(&again), ["duplicate", "duplicate"]);
}

#[test]
fn files_load_in_the_order_of_their_names_with_digits_as_numbers() {
    let site = Site::with_mapping("prices", &prices("", "", ""));
    let names = ["prices_10.csv", "prices_9.csv", "prices_1.csv", "prices_2.csv"];
    for name in names {
        let number = name.trim_start_matches("prices_").trim_end_matches(".csv");
        site.write(name, format!("article,price\nA,{number}\n"));
    }
    let ran = site.run(["load", "--json"].iter().chain(&names)).exits(0);
    let files: Vec<Value> = ran.json().iter().map(|delivery| delivery["file"].clone()).collect();
    assert_eq!(files, ["prices_1.csv", "prices_2.csv", "prices_9.csv", "prices_10.csv"]);
    assert_eq!(site.query("SELECT price FROM prices"), [["10.00"]]);
}

#[test]
fn one_command_loads_several_files_and_its_exit_code_is_that_of_the_worst() {
    let site = Site::with_mapping("prices", &prices("", "", ""));
    site.write("prices_1.csv", "article,price\nA,1\n");
    site.write("prices_2.csv", "");
    site.write("prices_3.csv", "article,price\nB,1\nC,x\n");
    let load = |files: &[&str]| site.run(["load", "--json", "--again"].iter().chain(files));
    assert_eq!(load(&["prices_1.csv", "prices_3.csv"]).exits(2).json().len(), 2);
    let ran = load(&["prices_1.csv", "prices_2.csv", "prices_3.csv"]).exits(3);
    assert_eq!(outcomes(&ran), ["loaded", "refused", "loaded_with_rejects"]);
    let ran = load(&["prices_1.csv", "prices_missing.csv", "prices_2.csv"]).exits(1);
    assert_eq!(outcomes(&ran), ["loaded", "refused", "failed"]);
    assert_eq!(site.query("SELECT article FROM prices ORDER BY article"), [["A"], ["B"]]);
}
