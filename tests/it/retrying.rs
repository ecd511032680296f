//! Rejects that lack a row of another table are tried again by themselves, whatever ends the program meanwhile.

use serde_json::{Value, json};

use crate::{
    crash::{copy_of, killed_beyond},
    support::Site,
};

const STOCK: &str = r#"match = "stock*"
[format]
type = "csv"
[target]
table = "stock"
key = ["article"]
[columns]
article = { required = true }
shop = { lookup = { table = "shops", key = "shop" } }
count = { type = "integer" }
"#;

const SHOPS: &str = r#"match = "shops*"
[format]
type = "csv"
[target]
table = "shops"
key = ["shop"]
[columns]
shop = {}
"#;

fn site() -> Site {
    let site = Site::with_mapping("stock", STOCK);
    site.write("inbox/.none", "");
    site.write("mappings/inbound/shops.toml", SHOPS);
    site.load("shops_1.csv", "shop\nN\n");
    site
}

/// Loads a file of stock, of which some shops are not known; its id.
#[track_caller]
fn lacking(site: &Site, rows: &str) -> String {
    let (code, loaded) = site.load("stock_1.csv", format!("article,shop,count\n{rows}"));
    assert_eq!(code, 2, "{loaded}");
    loaded["delivery"].as_str().unwrap().to_owned()
}

fn show(site: &Site, delivery: &str) -> Value {
    site.run(["show", "--json", delivery]).exits(0).object()
}

/// How many rejects of a delivery are open, corrected, overtaken.
#[track_caller]
fn standing(site: &Site, delivery: &str) -> [u64; 3] {
    let shown = show(site, delivery);
    ["open", "corrected", "overtaken"].map(|state| shown["rejects"][state].as_u64().unwrap())
}

fn stock(site: &Site) -> Vec<String> {
    let rows = site.query("SELECT article, shop, count FROM stock ORDER BY article");
    rows.into_iter().map(|row| row.join("|")).collect()
}

/// How often the rejects of a delivery were tried.
fn tries(site: &Site, delivery: &str) -> usize {
    let story = show(site, delivery)["story"].as_array().unwrap().clone();
    story.iter().filter(|entry| entry["event"]["event"] == "rejects_tried").count()
}

#[test]
fn rejects_that_could_not_be_tried_when_their_parent_came_are_tried_at_the_next_start_and_only_then() {
    let site = site();
    let first = lacking(&site, "A,N,1\nB,S,2\nC,W,3\n");
    // Nothing is tried under a mapping that is broken.
    site.write("mappings/inbound/stock.toml", "match = ");
    site.write("shops_2.csv", "shop\nS\n");
    site.run(["load", "shops_2.csv"]).exits(0);
    assert_eq!((standing(&site, &first), tries(&site, &first)), ([2, 0, 0], 0));
    site.write("mappings/inbound/stock.toml", STOCK);
    for start in [vec!["load"], vec!["run", "--once"], vec!["replay", &first]] {
        let site = copy_of(&site);
        site.run(start.iter());
        assert_eq!(standing(&site, &first), [1, 1, 0], "{start:?}");
        assert_eq!(stock(&site), ["A|N|1", "B|S|2"], "{start:?}");
        let before = tries(&site, &first);
        let ids = site.run(["deliveries", "--json"]).json().len();
        site.run(["load"]).exits(0);
        site.run(["run", "--once"]).exits(0);
        assert_eq!(tries(&site, &first), before, "nothing came since: nothing is tried after {start:?}");
        assert_eq!(site.run(["deliveries", "--json"]).json().len(), ids);
        site.write("shops_3.csv", "shop\nW\n");
        site.run(["load", "shops_3.csv"]).exits(0);
        assert_eq!(standing(&site, &first), [0, 2, 0], "{start:?}");
    }
}

#[test]
fn a_parents_load_that_is_killed_in_the_middle_of_writing_any_file_leaves_no_reject_behind() {
    let site = site();
    let rows: String = (0..3_000).map(|number| format!("{number},S,{number}\n")).collect();
    let first = lacking(&site, &rows);
    site.write("shops_2.csv", "shop\nS\n");
    let (mut killed, mut late) = (0, 0);
    for kilobytes in [4, 40, 100, 150, 200, 250, 300, 350, 400, 500, 600, 700, 800, 1_000] {
        let site = copy_of(&site);
        let is_killed = killed_beyond(kilobytes, &site, &["load", "shops_2.csv"]);
        killed += usize::from(is_killed);
        let is_loaded = site.query("SELECT count(*) FROM shops") == [["2"]];
        late += usize::from(is_killed && is_loaded);
        site.run(["load"]);
        if site.query("SELECT count(*) FROM shops") == [["1"]] {
            site.run(["load", "shops_2.csv"]).exits(0);
        }
        assert_eq!(standing(&site, &first), [0, 3_000, 0], "beyond {kilobytes} KiB");
        let sums = site.query("SELECT count(*), sum(count) FROM stock");
        assert_eq!(sums, [["3000", "4498500"]], "beyond {kilobytes} KiB");
        assert_eq!(site.run(["deliveries", "--json"]).json().len(), 4, "beyond {kilobytes} KiB");
    }
    assert!(killed >= 5 && late >= 2, "{killed} were killed, {late} of them after the parent was loaded");
}

#[test]
fn of_rejects_with_one_key_the_first_that_loads_stays_whichever_parent_comes_when() {
    let site = site();
    let first = lacking(&site, "2,S,1\n2,S,2\n5,W,1\n5,S,2\n6,S,1\n6,W,2\n");
    for (parents, expected, left) in [
        (["S", "W"], ["2|S|1", "5|S|2", "6|S|1"], [1, 3, 2]),
        (["W", "S"], ["2|S|1", "5|W|1", "6|W|2"], [1, 3, 2]),
    ] {
        let site = copy_of(&site);
        for parent in parents {
            let file = format!("shops_{parent}.csv");
            site.write(&file, format!("shop\n{parent}\n"));
            site.run(["load", &file]);
        }
        assert_eq!(stock(&site), expected, "{parents:?}");
        assert_eq!(standing(&site, &first), left, "{parents:?}");
        site.load("shops_9.csv", "shop\nX\n");
        site.run(["replay", &first]).exits(2);
        assert_eq!(stock(&site), expected, "{parents:?}: a second row with the key never loads");
        let rejects = site.run(["rejects", "--json", &first]).exits(0).out;
        assert!(rejects.contains("repeats the key of record"), "{rejects}");
    }
}

#[test]
fn a_reject_whose_key_another_row_of_its_file_has_is_not_said_to_be_older() {
    let site = Site::with_mapping("stock", STOCK);
    site.write("mappings/inbound/shops.toml", SHOPS);
    site.load("shops_1.csv", "shop\nN\n");
    let first = lacking(&site, "A,N,1\nA,N,x\n");
    assert_eq!(standing(&site, &first), [0, 0, 1]);
    let shown = site.run(["show", &first]).exits(0).out;
    assert!(
        shown.contains("1 reject overtaken: other rows of the same file were loaded with their keys"),
        "{shown}"
    );
    let report = show(&site, &first)["reports"]["rejects"].as_str().unwrap().to_owned();
    let corrected = site.read(&report).replace(",x,", ",7,");
    site.write("back.csv", corrected);
    let ran = site.run(["resubmit", "--json", "back.csv"]);
    let ran = ran.exits(2).object();
    let errors = site.read(ran["reports"]["errors"].as_str().unwrap());
    assert!(errors.contains("another row of the same file was loaded with this key"), "{errors}");
    assert!(!errors.contains("newer"), "{errors}");
    assert_eq!(stock(&site), ["A|N|1"]);
}

#[test]
fn a_lookup_table_that_no_load_has_created_yet_is_empty_and_its_rows_load_when_it_comes() {
    let site = Site::with_mapping("stock", STOCK);
    site.write("mappings/inbound/shops.toml", SHOPS);
    site.run(["check"]).exits(0);
    let first = lacking(&site, "A,N,1\nB,S,2\nC,N,x\n");
    let rejects = site.run(["rejects", "--json", &first]).exits(0).out;
    assert!(rejects.contains("is not in shops, which is empty"), "{rejects}");
    site.write("shops_1.csv", "shop\nN\nS\n");
    let ran = site.run(["load", "--json", "shops_1.csv"]).exits(0).json();
    assert_eq!((&ran[1]["corrects"], &ran[1]["tally"]["inserted"]), (&json!(first), &json!(2)));
    assert_eq!(stock(&site), ["A|N|1", "B|S|2"]);
    assert_eq!(standing(&site, &first), [1, 2, 0]);
}
