//! The life of rejects: tried again under another mapping, corrected, overtaken by later files, ignored.

use serde_json::{Value, json};

use crate::{
    crash::{copy_of, killed_beyond},
    support::{Site, csv},
};

const MAPPING: &str = r#"match = "stock*"
[format]
type = "csv"
[target]
table = "stock"
key = ["article"]
[columns]
article = { required = true, max_length = 5 }
count = { type = "integer", required = true }
note = { max_length = 5 }
"#;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn id(delivery: &Value) -> &str {
    text(&delivery["delivery"])
}

/// How many rejects of a delivery are open, corrected, overtaken, ignored.
#[track_caller]
fn standing(site: &Site, delivery: &Value) -> [u64; 4] {
    let shown = site.run(["show", "--json", id(delivery)]).exits(0).object();
    ["open", "corrected", "overtaken", "ignored"]
        .map(|state| shown["rejects"][state].as_u64().unwrap_or_else(|| panic!("{shown}")))
}

fn stock(site: &Site) -> Vec<Vec<String>> {
    site.query("SELECT article, count, note FROM stock ORDER BY article")
}

fn row(article: &str, count: &str, note: &str) -> Vec<String> {
    [article, count, note].map(str::to_owned).to_vec()
}

#[test]
fn a_replay_loads_what_the_mapping_of_today_lets_through_and_closes_it() {
    let site = Site::with_mapping("stock", MAPPING);
    let file = "article,count,note\nA,1,x\nB,1.000,y\nC,2,too long a note\nD,z,z\nE,\"5,a\n";
    let (code, first) = site.load("stock_1.csv", file);
    assert_eq!((code, standing(&site, &first)), (2, [4, 0, 0, 0]));
    let report = csv(&site.path(text(&first["reports"]["rejects"])));
    let before = site.run(["replay", "--json", id(&first)]).exits(2).object();
    assert_eq!(before["tally"]["rejected"], 4);
    assert_eq!(before["reports"], first["reports"], "nothing has changed, and the report says so already");
    assert_eq!(standing(&site, &first), [4, 0, 0, 0]);

    site.write(
        "mappings/inbound/stock.toml",
        MAPPING
            .replace("\"integer\"", "\"integer\", group_mark = \".\"")
            .replace("note = { max_length = 5 }", "note = {}"),
    );
    let second = site.run(["replay", "--json", id(&first)]).exits(2).object();
    assert_eq!(second["corrects"], first["delivery"]);
    assert_eq!(second["file"], "stock_1.csv");
    let tally = &second["tally"];
    assert_eq!(
        (tally["read"].as_u64(), tally["inserted"].as_u64(), tally["rejected"].as_u64()),
        (Some(4), Some(2), Some(2))
    );
    assert_eq!(stock(&site), [row("A", "1", "x"), row("B", "1000", "y"), row("C", "2", "too long a note")]);
    assert_eq!(standing(&site, &first), [2, 2, 0, 0]);
    assert_eq!(standing(&site, &second), [0, 0, 0, 0]);
    let (header, left) = csv(&site.path(text(&second["reports"]["rejects"])));
    assert_eq!(header, report.0);
    let place = |row: &Vec<String>| (row[..4].to_vec(), row[4][..7].to_owned(), row[5].clone());
    let places = |rows: &[Vec<String>]| rows.iter().map(place).collect::<Vec<_>>();
    assert_eq!(places(&left), places(&report.1[2..]), "what is left keeps its id, its values and its line");
    let third = site.run(["replay", "--json", "stock"]).exits(2).object();
    assert_eq!(third["tally"]["read"], 2);
    assert_eq!(third["reports"], second["reports"]);
}

#[test]
fn a_replay_without_open_rejects_does_nothing() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, clean) = site.load("stock_1.csv", "article,count\nA,1\n");
    let ran = site.run(["replay", id(&clean)]).exits(0);
    assert!(ran.err.contains("has no open rejects"), "{ran:?}");
    assert_eq!(site.run(["deliveries", "--json"]).json().len(), 1);
}

#[test]
fn a_key_that_stood_twice_stays_wrong_however_often_it_is_replayed() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, first) = site.load("stock_1.csv", "article,count\nA,1\nA,2\n");
    let again = site.run(["replay", "--json", id(&first)]).exits(2).object();
    assert_eq!(again["tally"]["rejected"], 1);
    assert_eq!(site.query("SELECT count FROM stock"), [["1"]]);
}

#[test]
fn a_computed_key_or_unique_value_that_stood_twice_stays_wrong_too() {
    let computed = MAPPING
        .replace("key = [\"article\"]", "key = [\"id\"]")
        .replace("note = {", "id = { value = \"article || '-' || count\" }\nshout = { value = \"upper(note)\", unique = true }\nnote = {");
    let site = Site::with_mapping("stock", &computed);
    let (_, first) = site.load("stock_1.csv", "article,count,note\nA,1,x\nA,1,y\nB,2,X\n");
    assert_eq!(first["tally"]["rejected"], 2, "{first:#}");
    let again = site.run(["replay", "--json", id(&first)]).exits(2).object();
    assert_eq!(again["tally"]["rejected"], 2);
    assert_eq!(site.query("SELECT id, shout FROM stock"), [["A-1", "X"]]);
}

#[test]
fn a_later_file_that_loads_the_key_of_an_open_reject_overtakes_it() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, first) = site.load("stock_1.csv", "article,count\nA,x\nB,y\nC,z\n");
    let (_, second) = site.load("stock_2.csv", "article,count\nA,7\nB,y\n");
    assert_eq!(standing(&site, &first), [2, 0, 1, 0]);
    assert_eq!(standing(&site, &second), [1, 0, 0, 0]);
    let replayed = site.run(["replay", "--json", id(&first)]).exits(2).object();
    assert_eq!(replayed["tally"]["read"], 2, "what is overtaken is not tried again: {replayed}");
    site.load("stock_3.csv", "article,count\nB,8\nC,9\n");
    assert_eq!(standing(&site, &first), [0, 0, 3, 0]);
    assert_eq!(standing(&site, &second), [0, 0, 1, 0]);
}

#[test]
fn a_file_of_few_rows_overtakes_its_keys_among_many_open_rejects() {
    let site = Site::with_mapping("stock", MAPPING);
    let bad: String = (0..30).map(|number| format!("K{number},many,\n")).collect();
    let (_, first) = site.load("stock_1.csv", format!("article,count,note\n{bad}"));
    let (_, second) = site.load("stock_2.csv", "article,count,note\nK3,none,\nK4,none,\n");
    let (code, third) = site.load("stock_3.csv", "article,count,note\nK3,1,\nK29,2,\nZ,3,\n");
    assert_eq!(code, 0, "{third}");
    assert_eq!(standing(&site, &first), [28, 0, 2, 0]);
    assert_eq!(standing(&site, &second), [1, 0, 1, 0]);
}

#[test]
fn a_row_whose_key_another_row_of_its_file_has_loaded_is_overtaken_from_the_start() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, first) = site.load("stock_1.csv", "article,count\nA,x\nA,2\nB,y\n");
    assert_eq!(standing(&site, &first), [1, 0, 1, 0]);
}

#[test]
fn rejects_of_files_that_are_refused_or_held_are_not_open_until_they_are_loaded() {
    let mapping = format!("{MAPPING}[rejects]\nlimit = 2\nhold = 1\n");
    let site = Site::with_mapping("stock", &mapping);
    let (_, refused) = site.load("stock_1.csv", "article,count\nA,x\nB,x\nC,x\n");
    assert_eq!((text(&refused["outcome"]), standing(&site, &refused)), ("refused", [0; 4]));
    let (_, held) = site.load("stock_2.csv", "article,count\nA,x\nB,x\nC,1\n");
    assert_eq!((text(&held["outcome"]), standing(&site, &held)), ("held", [0; 4]));
    let ran = site.run(["replay", id(&held)]).exits(0);
    assert!(ran.err.contains("has no open rejects"), "{ran:?}");
    site.run(["approve", id(&held)]).exits(2);
    assert_eq!(standing(&site, &held), [2, 0, 0, 0]);
    // Neither the limit nor the hold is asked of a correction.
    let again = site.run(["replay", "--json", id(&held)]).exits(2).object();
    assert_eq!((&again["outcome"], &again["tally"]["rejected"]), (&json!("loaded_with_rejects"), &json!(2)));
}

#[test]
fn a_correction_makes_no_file_a_duplicate_and_is_none() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, first) = site.load("stock_1.csv", "article,count\nA,1\nB,x\n");
    for _ in 0..2 {
        let replayed = site.run(["replay", "--json", id(&first)]).exits(2).object();
        assert_eq!(replayed["outcome"], "loaded_with_rejects");
    }
    let (code, again) = site.load("stock_1.csv", "article,count\nA,1\nB,x\n");
    assert_eq!((code, &again["outcome"]), (0, &json!("duplicate")));
}

#[test]
fn a_rerun_loads_the_whole_archived_file_under_the_mapping_of_today() {
    let site = Site::with_mapping("stock", MAPPING);
    let file = site.write("stock_1.csv", "article,count\nA,1\nB,1.000\nC,x\n");
    let (_, first) = site.load("stock_1.csv", std::fs::read(&file).unwrap());
    std::fs::remove_file(file).unwrap();
    site.write(
        "mappings/inbound/stock.toml",
        MAPPING.replace("\"integer\"", "\"integer\", group_mark = \".\""),
    );
    let again = site.run(["rerun", "--json", id(&first)]).exits(2).object();
    let tally = &again["tally"];
    assert_eq!(
        (&tally["unchanged"], &tally["inserted"], &tally["rejected"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(standing(&site, &first), [0, 0, 2, 0], "what still does not load is a reject of the rerun");
    assert_eq!(standing(&site, &again), [1, 0, 0, 0]);
}

#[test]
fn a_rerun_of_an_older_file_is_refused_unless_it_is_meant() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, first) = site.load("stock_1.csv", "article,count\nA,1\n");
    let (_, second) = site.load("stock_2.csv", "article,count\nA,2\n");
    let ran = site.run(["rerun", id(&first)]).exits(1);
    assert!(ran.err.contains(id(&second)) && ran.err.contains("--older"), "{}", ran.err);
    assert_eq!(site.query("SELECT count FROM stock"), [["2"]]);
    site.run(["rerun", "--older", id(&first)]).exits(0);
    assert_eq!(site.query("SELECT count FROM stock"), [["1"]]);
}

#[test]
fn a_rerun_over_values_that_people_corrected_is_refused_unless_it_is_meant() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, first) = site.load("stock_1.csv", "article,count\nA,1\nB,x\n");
    let report = site.read(first["reports"]["rejects"].as_str().unwrap());
    site.write("back.csv", report.replacen("B,x", "B,22", 1));
    site.run(["resubmit", "back.csv"]).exits(0);
    let ran = site.run(["rerun", id(&first)]).exits(1);
    assert!(
        ran.err.contains("1 of its rejects have been corrected") && ran.err.contains("--older"),
        "{}",
        ran.err
    );
    assert_eq!(stock(&site), [row("A", "1", "-"), row("B", "22", "-")]);
    site.run(["rerun", "--older", id(&first)]).exits(2);
}

#[test]
fn rejects_that_are_ignored_with_a_reason_load_no_more_and_the_story_says_who_and_why() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, first) = site.load("stock_1.csv", "article,count\nA,x\nB,y\nC,z\n");
    let ids: Vec<String> =
        csv(&site.path(text(&first["reports"]["rejects"]))).1.into_iter().map(|row| row[0].clone()).collect();
    let said =
        site.run(["rejects", "--json", "--ignore", &ids[1], "--reason", "a test row"]).exits(0).object();
    assert_eq!((&said["delivery"], &said["ignored"]), (&first["delivery"], &json!(1)));
    assert_eq!(standing(&site, &first), [2, 0, 0, 1]);
    let replayed = site.run(["replay", "--json", id(&first)]).exits(2).object();
    assert_eq!(replayed["tally"]["read"], 2);
    let story = site.run(["show", id(&first)]).exits(0).out;
    assert!(story.contains("1 reject ignored by tester: a test row"), "{story}");
    let shown = site.run(["rejects", "--json", "--state", "ignored", id(&first)]).exits(0).object();
    assert_eq!(shown["rejects"][0]["id"], json!(ids[1]));
    assert_eq!(shown["rejects"][0]["why"]["reason"], "a test row");
    site.run(["rejects", "--ignore", id(&first), "--reason", "all of it"]).exits(0);
    assert_eq!(standing(&site, &first), [0, 0, 0, 3]);

    for (what, arguments) in [
        ("is ignored, says tester: a test row", vec!["rejects", "--ignore", &ids[1], "--reason", "again"]),
        ("has no open rejects", vec!["rejects", "--ignore", id(&first), "--reason", "again"]),
        ("--reason", vec!["rejects", "--ignore", &ids[0]]),
        ("say why", vec!["rejects", "--ignore", &ids[0], "--reason", " "]),
        ("no delivery", vec!["rejects", "--ignore", "00000000000000000000000000000000", "--reason", "x"]),
    ] {
        let ran = site.run(&arguments).exits(1);
        assert!(ran.err.contains(what), "{what}: {ran:?}");
    }
}

#[test]
fn rejects_are_listed_by_state_mapping_and_rule_and_counted_by_column_and_rule() {
    let site = Site::with_mapping("stock", MAPPING);
    site.write("mappings/inbound/other.toml", MAPPING.replace("stock", "other"));
    let (_, first) = site.load("stock_1.csv", "article,count,note\nA,x,y\nB,y,too long\nC,1,too long\nD,1\n");
    let (_, other) = site.load("other_1.csv", "article,count\nlonger,1\n");
    let listed = |options: &[&str]| -> Vec<Value> {
        let ran = site.run(["rejects", "--json"].iter().chain(options)).exits(0);
        ran.json().into_iter().map(|mut found| found["delivery"].take()).collect()
    };
    let (a, b) = (first["delivery"].clone(), other["delivery"].clone());
    assert_eq!(listed(&[]), [b.clone(), a.clone()]);
    assert_eq!(listed(&["--state", "open"]), [b.clone(), a.clone()]);
    assert_eq!(listed(&["--mapping", "stock"]), std::slice::from_ref(&a));
    assert_eq!(listed(&["--rule", "type"]), std::slice::from_ref(&a));
    assert_eq!(listed(&["--state", "corrected"]), [json!(null); 0]);
    let shown = site.run(["rejects", "--json", id(&first)]).exits(0).object();
    assert_eq!(
        shown["counts"],
        json!([
            { "column": "", "rule": "columns", "count": 1 },
            { "column": "count", "rule": "type", "count": 2 },
            { "column": "note", "rule": "max_length", "count": 2 },
        ])
    );
    assert_eq!(shown["states"], json!({ "open": 4, "corrected": 0, "overtaken": 0, "ignored": 0 }));
    let lines = |options: &[&str]| -> Vec<u64> {
        let found = site.run(["rejects", "--json", id(&first)].iter().chain(options)).exits(0).object();
        found["rejects"].as_array().unwrap().iter().map(|reject| reject["line"].as_u64().unwrap()).collect()
    };
    assert_eq!(lines(&[]), [2, 3, 4, 5]);
    assert_eq!(lines(&["--rule", "type"]), [2, 3]);
    assert_eq!(lines(&["--limit", "1"]), [2]);
    assert_eq!(lines(&["--state", "ignored"]), [0; 0]);
    let status = site.run(["status", "--json"]).exits(0).object();
    assert_eq!(status["open_rejects"], json!({ "deliveries": 2, "rejects": 5 }));
    let said = site.run(["status"]).exits(0).out;
    assert!(said.contains("open rejects: 5 in 2 deliveries"), "{said}");
}

#[test]
fn a_replay_killed_in_the_middle_of_writing_any_file_is_finished_by_the_next_run() {
    let site = Site::with_mapping("stock", MAPPING);
    let note = "n".repeat(80);
    let rows: String = (0..3_000).map(|number| format!("{number},{number},{note}\n")).collect();
    let (_, first) = site.load("stock_1.csv", format!("article,count,note\n{rows}long article,1,x\n"));
    assert_eq!(standing(&site, &first), [3_001, 0, 0, 0]);
    site.write("mappings/inbound/stock.toml", MAPPING.replace("note = { max_length = 5 }", "note = {}"));
    let (mut killed, mut taken) = (0, 0);
    for kilobytes in [4, 40, 100, 200, 300, 400, 500, 600, 700, 800, 1_000] {
        let site = copy_of(&site);
        killed += usize::from(killed_beyond(kilobytes, &site, &["replay", id(&first)]));
        site.run(["load"]);
        taken += usize::from(standing(&site, &first)[1] == 3_000);
        let ran = site.run(["replay", "--json", id(&first)]).exits(2).object();
        assert_eq!(ran["tally"]["rejected"], 1, "beyond {kilobytes} KiB");
        assert_eq!(standing(&site, &first), [1, 3_000, 0, 0], "beyond {kilobytes} KiB");
        let sums = site.query("SELECT count(*), sum(count) FROM stock");
        assert_eq!(sums, [["3000", "4498500"]], "beyond {kilobytes} KiB");
    }
    assert!(killed >= 4 && taken >= 1, "{killed} were killed, {taken} of them or more after they were taken");
}

const SHOPS: &str = r#"match = "shops*"
[format]
type = "csv"
[target]
table = "shops"
key = ["shop"]
[columns]
shop = {}
"#;

/// A site whose stock refers to its shops.
fn shops() -> Site {
    let mapping = MAPPING.replace("note = { max_length = 5 }", "shop = {}");
    let site = Site::with_mapping("stock", &mapping);
    site.write("mappings/inbound/shops.toml", SHOPS);
    site.load("shops_1.csv", "shop\nN\n");
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE stock (article TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL, shop TEXT REFERENCES shops (shop))",
        )
        .unwrap();
    site
}

#[test]
fn rejects_that_only_lacked_a_parent_are_tried_again_by_themselves_when_a_later_delivery_brings_it() {
    let site = shops();
    let file = "article,count,shop\nA,1,N\nB,2,S\nC,x,S\nD,3,W\n";
    let (_, first) = site.load("stock_1.csv", file);
    assert_eq!(standing(&site, &first), [3, 0, 0, 0]);
    // Neither a table that nobody waits for nor a row that nobody waits for makes a delivery.
    site.load("stock_2.csv", "article,count,shop\nE,1,N\n");
    site.load("shops_2.csv", "shop\nE\n");
    assert_eq!(site.run(["deliveries", "--json"]).json().len(), 4);

    site.write("shops_3.csv", "shop\nS\n");
    let ran = site.run(["load", "--json", "shops_3.csv"]).exits(0).json();
    assert_eq!((&ran[0]["file"], &ran[1]["file"]), (&json!("shops_3.csv"), &json!("stock_1.csv")));
    assert_eq!((&ran[1]["corrects"], &ran[1]["tally"]["inserted"]), (&first["delivery"], &json!(1)));
    assert_eq!(standing(&site, &first), [2, 1, 0, 0]);
    let shown = site.run(["show", id(&ran[1])]).exits(0).out;
    assert!(shown.contains("tried again by itself"), "{shown}");
    // Nothing new came: nothing is tried.
    site.load("shops_3.csv", "shop\nS\n");
    site.load("shops_4.csv", "shop\nX\n");
    assert_eq!(site.run(["deliveries", "--json"]).json().len(), 8);
    site.load("shops_5.csv", "shop\nY\n");
    assert_eq!(site.query("SELECT article FROM stock ORDER BY article"), [["A"], ["B"], ["E"]]);
    site.write("shops_6.csv", "shop\nW\n");
    site.run(["load", "shops_6.csv"]).exits(0);
    assert_eq!(standing(&site, &first), [1, 2, 0, 0], "what has other faults too stays with people");
}

#[test]
fn a_later_file_that_is_the_whole_truth_overtakes_every_reject_before_it() {
    let mirror = "mode = \"mirror\"\nvanished = \"delete\"\n[columns]";
    let site = Site::with_mapping("stock", &MAPPING.replace("[columns]", mirror));
    let (_, first) = site.load("stock_1.csv", "article,count\nA,x\ntoo long,1\nC,1\n");
    assert_eq!(standing(&site, &first), [2, 0, 0, 0]);
    // A correction of it never deletes.
    site.write(
        "mappings/inbound/stock.toml",
        MAPPING.replace("[columns]", mirror).replace("max_length = 5 }\ncount", "max_length = 9 }\ncount"),
    );
    let replayed = site.run(["replay", "--json", id(&first)]).exits(2).object();
    assert_eq!((&replayed["tally"]["inserted"], &replayed["tally"]["deleted"]), (&json!(1), &json!(0)));
    site.load("stock_2.csv", "article,count\nC,2\n");
    assert_eq!(standing(&site, &first), [0, 1, 1, 0]);
    assert_eq!(site.query("SELECT article FROM stock"), [["C"]]);
}

#[test]
fn a_row_whose_key_nobody_could_watch_replaces_no_row_that_a_later_file_may_have_brought() {
    let site = Site::with_mapping("stock", MAPPING);
    let (_, first) = site.load("stock_1.csv", "article,count\nlong one,1\nlong two,2\n");
    let shorter = |from: &str| MAPPING.replace("max_length = 5 }\ncount", from);
    let mapped = shorter("map = { \"long one\" = \"A\", \"long two\" = \"B\" }, max_length = 5 }\ncount");
    site.write("mappings/inbound/stock.toml", &mapped);
    site.load("stock_2.csv", "article,count\nA,7\n");
    let replayed = site.run(["replay", "--json", id(&first)]).exits(2).object();
    assert_eq!((&replayed["tally"]["inserted"], &replayed["tally"]["rejected"]), (&json!(1), &json!(1)));
    let (_, left) = site.report(&replayed, "rejects");
    assert!(left[0][3].contains("a later file may have brought"), "{left:?}");
    assert_eq!(site.query("SELECT article, count FROM stock ORDER BY article"), [["A", "7"], ["B", "2"]]);
    assert_eq!(standing(&site, &first), [1, 1, 0, 0]);
}

#[test]
fn a_row_whose_key_could_not_be_read_changes_the_table_as_long_as_no_later_file_was_loaded() {
    let site = Site::with_mapping("stock", MAPPING);
    site.load("stock_0.csv", "article,count\nA,5\n");
    let (_, first) = site.load("stock_1.csv", "article,count\nlong one,1\n");
    let mapped = MAPPING.replace("max_length = 5 }\ncount", "map = { \"long one\" = \"A\" } }\ncount");
    site.write("mappings/inbound/stock.toml", &mapped);
    let replayed = site.run(["replay", "--json", id(&first)]).exits(0).object();
    assert_eq!(replayed["tally"]["updated"], 1);
    assert_eq!(site.query("SELECT article, count FROM stock"), [["A", "1"]]);
}

#[test]
fn rejects_that_only_lacked_a_row_of_a_lookup_table_are_tried_again_when_it_comes() {
    let lookup = MAPPING
        .replace("note = { max_length = 5 }", "shop = { lookup = { table = \"shops\", key = \"shop\" } }");
    let site = Site::with_mapping("stock", &lookup);
    site.write("mappings/inbound/shops.toml", SHOPS);
    site.load("shops_1.csv", "shop\nN\n");
    let (_, first) = site.load("stock_1.csv", "article,count,shop\nA,1,N\nB,2,S\nC,x,S\nD,3,W\n");
    assert_eq!(standing(&site, &first), [3, 0, 0, 0]);
    site.load("shops_2.csv", "shop\nE\n");
    site.write("shops_3.csv", "shop\nS\n");
    let ran = site.run(["load", "--json", "shops_3.csv"]).exits(0).json();
    assert_eq!((&ran[1]["corrects"], &ran[1]["tally"]["inserted"]), (&first["delivery"], &json!(1)));
    assert_eq!(standing(&site, &first), [2, 1, 0, 0]);
    assert_eq!(site.query("SELECT article FROM stock ORDER BY article"), [["A"], ["B"]]);
}
