//! Databases that say no: locked, with another table than the mapping expects, or with triggers that refuse rows.

use rusqlite::Connection;
use serde_json::Value;

use super::{ITEMS, Loaded, balances, items, load, plain};
use crate::support::{Site, query};

/// A site whose database was prepared by somebody else.
fn items_in(database: &str) -> Site {
    let site = items();
    std::fs::create_dir(site.path("var")).unwrap();
    let connection = Connection::open(site.path("var/warehouse.db")).unwrap();
    connection.execute_batch(database).unwrap();
    site
}

/// The table as Wharf would make it, with a trigger that refuses rows.
fn guarded(condition: &str) -> String {
    format!(
        "CREATE TABLE items (id TEXT NOT NULL PRIMARY KEY, name TEXT, amount TEXT);
         CREATE TRIGGER guard BEFORE INSERT ON items WHEN {condition}
         BEGIN SELECT RAISE(ABORT, 'not on a Sunday'); END;"
    )
}

/// A header and `count` good rows, and as the last one a record that is rejected.
fn rows_and_a_reject(count: u32) -> String {
    let rows: String = (1..=count).map(|id| format!("{id},n{id},{id}\n")).collect();
    format!("id,name,amount\n{rows},last,1\n")
}

#[test]
fn a_locked_database_fails_the_load_which_then_goes_well_when_it_is_tried_again() {
    for (journal, begin) in
        [("wal", "IMMEDIATE"), ("wal", "EXCLUSIVE"), ("delete", "IMMEDIATE"), ("delete", "EXCLUSIVE")]
    {
        let site = items_in("CREATE TABLE items (id TEXT NOT NULL PRIMARY KEY, name TEXT, amount TEXT);");
        site.write("wharf.toml", "[store]\nbusy_seconds = 0\n");
        site.write("a.csv", rows_and_a_reject(3));
        let other = Connection::open(site.path("var/warehouse.db")).unwrap();
        other.pragma_update(None, "journal_mode", journal).unwrap();
        other.execute_batch(&format!("BEGIN {begin}")).unwrap();

        let failed = site.run(["load", "--json", "a.csv"]).exits(1).object();
        balances(&failed);
        assert_eq!((&failed["outcome"], &failed["reason"]), (&"failed".into(), &"fault".into()));
        let tally = &failed["tally"];
        assert_eq!(
            (&tally["read"], &tally["rejected"], &tally["withheld"]),
            (&4.into(), &1.into(), &3.into())
        );
        let message = failed["message"].as_str().unwrap();
        assert!(message.contains("warehouse.db` is locked by another program"), "{message}");
        let id = failed["delivery"].as_str().unwrap();
        let again = site.run(["retry", id]).exits(1);
        plain(&again);
        assert!(again.out.contains(&format!("then `wharf retry {id}`")), "{again:?}");
        let status = site.run(["status"]).exits(0);
        assert!(status.out.contains("needs a person") && status.out.contains(id), "{status:?}");

        other.execute_batch("ROLLBACK").unwrap();
        let loaded = site.run(["retry", "--json", id]).exits(2).object();
        balances(&loaded);
        assert_eq!((&loaded["delivery"], &loaded["outcome"]), (&id.into(), &"loaded_with_rejects".into()));
        assert_eq!(loaded["tally"]["inserted"], 3);
        assert_eq!(site.query("SELECT id FROM items ORDER BY id"), [["1"], ["2"], ["3"]]);
        assert_eq!(site.query("SELECT state FROM _wharf_loads"), [["loaded"]]);
        assert_eq!(site.report(&loaded, "errors").1.len(), 1);
    }
}

#[test]
fn a_failed_delivery_that_is_loaded_by_a_new_one_of_the_same_bytes_needs_nobody_any_more() {
    let site = items_in("CREATE TABLE items (id TEXT NOT NULL PRIMARY KEY, name TEXT, amount TEXT);");
    site.write("wharf.toml", "[store]\nbusy_seconds = 0\n");
    site.write("a.csv", rows_and_a_reject(3));
    let other = Connection::open(site.path("var/warehouse.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failed = site.run(["load", "--json", "a.csv"]).exits(1).object();
    other.execute_batch("ROLLBACK").unwrap();
    let loaded = site.run(["load", "--json", "a.csv"]).exits(2).object();
    assert_eq!(loaded["tally"]["inserted"], 3);
    let kept = site.run(["show", "--json", failed["delivery"].as_str().unwrap()]).exits(0).object();
    assert_eq!(kept["outcome"], "overtaken");
    assert!(site.run(["status"]).out.contains("nothing needs a person"));
    let gone = site.run(["retry", failed["delivery"].as_str().unwrap()]).exits(1);
    assert!(gone.err.contains("is `overtaken`"), "{gone:?}");
}

#[test]
fn a_table_that_does_not_fit_is_refused_before_the_first_row_with_every_difference() {
    let table = "CREATE TABLE items (id INTEGER PRIMARY KEY, nam TEXT, amount REAL, must TEXT NOT NULL);
                 INSERT INTO items VALUES (7, 'kept', 1.5, 'x');";
    let loaded = load(|| items_in(table), "a.csv", rows_and_a_reject(3));
    loaded.ends(3, "refused", "target").counts(4, 0, 1, 3);
    loaded.says(&[
        "the table items does not fit",
        "column `id` is declared INTEGER",
        "no column `name` (there is `nam`)",
        "column `amount` is declared REAL",
        "column `must` of the table must have a value",
        "or correct its `type` in the mapping",
    ]);
    assert_eq!(loaded.site.query("SELECT * FROM items"), [["7", "kept", "1.5", "x"]]);
    assert_eq!(loaded.object["tables"], serde_json::json!({}));
    let checked = loaded.site.run(["check"]).exits(1);
    assert!(checked.err.contains("4 problems found"), "{checked:?}");
}

#[test]
fn a_table_that_is_missing_is_refused_where_none_may_be_made() {
    let strict = || {
        let site = items_in("CREATE TABLE item (id TEXT PRIMARY KEY);");
        site.write("mappings/inbound/items.toml", ITEMS.replace("key =", "create = false\nkey ="));
        site
    };
    let loaded = load(strict, "a.csv", rows_and_a_reject(1));
    loaded.ends(3, "refused", "target").counts(2, 0, 1, 1);
    loaded.says(&["table `items` does not exist (there is `item`)", "create = true"]);
    assert_eq!(query(&loaded.site.path("var/warehouse.db"), "SELECT count(*) FROM item"), [["0"]]);
}

/// The lines, rules and messages of the rejects, and what people are told of them.
#[track_caller]
fn refused_by_the_trigger(loaded: &Loaded, lines: &[u32]) {
    let found = loaded.violations();
    let refused: Vec<_> = found.iter().filter(|(shown, _)| shown.contains("target")).collect();
    assert_eq!(refused.len(), lines.len(), "{found:?}");
    for ((shown, message), line) in refused.into_iter().zip(lines) {
        assert_eq!(shown, &format!("{line}  target: "));
        assert_eq!(message, "was refused by a trigger of the table: not on a Sunday");
    }
}

#[test]
fn a_trigger_that_refuses_one_row_has_that_row_rejected_and_the_others_loaded() {
    let loaded = load(|| items_in(&guarded("new.id = '2'")), "a.csv", rows_and_a_reject(300));
    loaded.ends(2, "loaded_with_rejects", "").counts(301, 299, 2, 0);
    refused_by_the_trigger(&loaded, &[3]);
    loaded.rejects(&["3  target: ", "302 id required: "]);
    let told = "line 3: the record `2,n2,2` was refused by a trigger of the table: not on a Sunday";
    assert!(loaded.text.contains(told), "{}", loaded.text);
    assert_eq!(loaded.site.query("SELECT count(*), sum(id = '2') FROM items"), [["299", "0"]]);
    let (_, people) = loaded.site.report(&loaded.object, "rejects");
    assert!(people[0][5].contains("2,n2,2") || people[0][1] == "2", "the record as it came: {people:?}");
}

#[test]
fn a_trigger_that_refuses_all_of_a_few_rows_has_each_of_them_rejected() {
    let loaded = load(|| items_in(&guarded("1")), "a.csv", rows_and_a_reject(5));
    loaded.ends(2, "loaded_with_rejects", "").counts(6, 0, 6, 0).rows(&[]);
    refused_by_the_trigger(&loaded, &[2, 3, 4, 5, 6]);
    assert_eq!(loaded.site.query("SELECT state FROM _wharf_loads"), [["loaded"]]);
}

#[test]
fn a_trigger_that_refuses_more_than_a_thousand_rows_refuses_the_file() {
    let loaded = load(|| items_in(&guarded("1")), "a.csv", rows_and_a_reject(1_500));
    loaded.ends(3, "refused", "target_limit").counts(1_501, 0, 1, 1_500).rows(&[]).nothing_loaded();
    loaded.says(&[
        "the database refused more than 1000 rows",
        "line 2",
        "was refused by a trigger of the table",
    ]);
    let loads = loaded.site.query("SELECT count(*) FROM sqlite_master WHERE name = '_wharf_loads'");
    assert_eq!(loads, [["0"]], "the transaction is undone as a whole");

    // A thousand are still told one by one.
    let loaded = load(|| items_in(&guarded("new.id <> '1'")), "a.csv", rows_and_a_reject(1_001));
    loaded.ends(2, "loaded_with_rejects", "").counts(1_002, 1, 1_001, 0).rows(&["1|n1|1.00"]);
}

#[test]
fn rows_that_the_database_refuses_count_for_the_limit_of_the_mapping() {
    let limited = || {
        let site = items_in(&guarded("new.id IN ('1', '3')"));
        site.write("mappings/inbound/items.toml", format!("{ITEMS}\n[rejects]\nlimit = 2\n"));
        site
    };
    let loaded = load(limited, "a.csv", rows_and_a_reject(3));
    loaded.ends(3, "refused", "reject_limit").counts(4, 0, 3, 1).rows(&[]);
    loaded.says(&["3 of 4 records were rejected", "limit = 2"]);
    loaded.rejects(&["2  target: ", "4  target: ", "5 id required: "]);
}

#[test]
fn a_trigger_that_ends_the_transaction_fails_the_load_and_nothing_is_loaded() {
    let trigger = guarded("new.id = '2'").replace("ABORT", "ROLLBACK");
    let loaded = load(|| items_in(&trigger), "a.csv", rows_and_a_reject(3));
    loaded.ends(1, "failed", "fault").counts(4, 0, 1, 3).rows(&[]);
    loaded.says(&["ended the load's transaction, so nothing was loaded", "RAISE(ROLLBACK)"]);
}

#[test]
fn a_database_that_is_none_or_a_folder_fails_the_load() {
    let garbage = || {
        let site = items();
        site.write(
            "var/warehouse.db",
            "this is no database, but it is long enough to be looked at\n".repeat(50),
        );
        site
    };
    let folder = || {
        let site = items();
        site.write("var/warehouse.db/x", "");
        site
    };
    let missing = || {
        let site = Site::with_mapping("items", &ITEMS.replace("table =", "connection = \"w\"\ntable ="));
        site.write("wharf.toml", "[connections.w]\nurl = \"sqlite:gone/w.db\"\n");
        site
    };
    let cases: [(&dyn Fn() -> Site, &str); 3] = [
        (&garbage, "is not an SQLite database"),
        (&folder, "is a folder: name a file in it"),
        (&missing, "does not exist: create it, or correct the path"),
    ];
    for (site, part) in cases {
        let loaded = load(site, "a.csv", rows_and_a_reject(3));
        loaded.ends(1, "failed", "fault").counts(4, 0, 1, 3).says(&[part]);
    }
}

#[test]
fn hostile_names_of_table_and_columns_are_only_names() {
    let table = "x\"; DROP TABLE precious; --";
    let columns = ["k\"]`'id", "x) VALUES (1); --", "?1 :a @b $c %s"];
    let mapping = format!(
        "match = \"*\"\n[format]\ntype = \"csv\"\n[target]\ntable = {}\nkey = {}\n[columns]\n{}",
        Value::from(table),
        Value::from(columns[0]),
        columns.iter().zip(["id", "name", "amount"]).fold(String::new(), |text, (column, from)| {
            text + &format!("{} = {{ from = \"{from}\" }}\n", Value::from(*column))
        })
    );
    let site = || {
        let site = items_in("CREATE TABLE precious (x); INSERT INTO precious VALUES (1);");
        site.write("mappings/inbound/items.toml", mapping.replace("\"id\" }", "\"id\", required = true }"));
        site
    };
    let loaded = load(site, "a.csv", "id,name,amount\n1,a,2\n1,b,3\n,c,4\n5,d,6\n");
    loaded.ends(2, "loaded_with_rejects", "").counts(4, 2, 2, 0);
    assert_eq!(loaded.violations()[0].0, "3 k\"]`'id key: 1");
    assert_eq!(loaded.site.query("SELECT * FROM precious"), [["1"]]);
    let select = format!("SELECT * FROM \"{}\" ORDER BY 1", table.replace('"', "\"\""));
    assert_eq!(loaded.site.query(&select), [["1", "a", "2"], ["5", "d", "6"]]);
    // The second time the rows are looked up, compared and updated.
    let (code, again) = loaded.site.load("b.csv", "id,name,amount\n1,a,2\n5,d,7\n");
    assert_eq!((code, &again["tally"]["unchanged"], &again["tally"]["updated"]), (0, &1.into(), &1.into()));
    assert!(again["tables"].get(table).is_some());
    plain(&loaded.site.run(["show", loaded.object["delivery"].as_str().unwrap()]).exits(0));
}
