//! `commit = "batch"`: a file that is loaded in several transactions, cut off between them and taken up again. Batches are made
//! small and kills placed by variables that only debug builds know.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    engine::Running,
    support::{Ran, Site, run},
};

const MAPPING: &str = "match = \"stock*\"\n[format]\ntype = \"csv\"\n\
    [target]\ntable = \"stock\"\nkey = \"id\"\ncommit = \"batch\"\n\
    [columns]\nid = { type = \"integer\" }\nv = { max_length = 9 }\n";

/// A table with a rule of its own.
const TABLE: &str = "CREATE TABLE stock (id INTEGER PRIMARY KEY NOT NULL, v TEXT CHECK (v <> 'never'))";

/// A site whose table is there.
fn site(mapping: &str) -> Site {
    let site = Site::with_mapping("stock", mapping);
    assert_eq!(site.load("stock_0.csv", "id,v\n0,\n").0, 0);
    site.sql(&format!("DROP TABLE stock; {TABLE}"));
    site
}

pub trait Small {
    fn sql(&self, sql: &str);
    fn small(&self, arguments: &[&str], fail: &str) -> Command;
    fn cut(&self, file: &str, fail: &str);
    fn go_on(&self) -> Value;
    fn delivery(&self, file: &str) -> Value;
    fn story(&self, file: &str) -> String;
}

impl Small for Site {
    fn sql(&self, sql: &str) {
        rusqlite::Connection::open(self.path("var/warehouse.db")).unwrap().execute_batch(sql).unwrap();
    }

    /// The program with batches of three rows.
    fn small(&self, arguments: &[&str], fail: &str) -> Command {
        let mut command = self.command(arguments);
        command.env("WHARF_BATCH_ROWS", "3").env("WHARF_FAIL", fail);
        command
    }

    /// Loads a file and is killed at a point.
    fn cut(&self, file: &str, fail: &str) {
        let mut command = self.small(&["load", file], &format!("{fail}=kill"));
        let killed = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(killed.signal(), Some(9), "{fail} is reached");
    }

    /// Starts again and finishes what was left; a line for each time that rows were written.
    fn go_on(&self) -> Value {
        let record = self.path("points.txt");
        let _ = fs::remove_file(&record);
        let done = run(&mut self.small(&["run", "--once"], &format!("record={}", record.display())));
        assert!(done.code >= 0, "{}", done.err);
        let reached = fs::read_to_string(&record).unwrap();
        json!(reached.lines().filter(|line| *line == "target.write").count())
    }

    fn delivery(&self, file: &str) -> Value {
        let found = self.run(["deliveries", "--json"]).exits(0).json();
        found.into_iter().find(|delivery| delivery["file"] == file).unwrap()
    }

    fn story(&self, file: &str) -> String {
        let id = self.delivery(file)["delivery"].as_str().unwrap().to_owned();
        self.run(["show", &id]).out
    }
}

fn rows(range: std::ops::RangeInclusive<u32>) -> String {
    range.map(|id| format!("{id},x\n")).collect()
}

pub fn ten() -> String {
    format!("id,v\n{}", rows(1..=10))
}

pub fn counts(delivery: &Value) -> Vec<u64> {
    let parts = ["read", "inserted", "updated", "unchanged", "superseded", "rejected", "withheld"];
    parts.iter().map(|part| delivery["tally"][part].as_u64().unwrap()).collect()
}

#[test]
fn a_load_that_is_killed_goes_on_after_its_last_batch_with_the_counts_of_the_whole() {
    // Killed before and after a batch is committed: how many rows are there then, and how often are rows written again.
    for (fail, there, written) in [
        ("target.mark@2", 3, 3),
        ("target.marked@2", 6, 2),
        ("target.written@3", 6, 2),
        ("target.commit@1", 9, 1),
    ] {
        let site = site(MAPPING);
        site.sql("INSERT INTO stock VALUES (2, 'old'), (5, 'x')");
        site.write("stock.csv", ten());
        site.cut("stock.csv", fail);
        let rows = site.query("SELECT count(*) FROM stock WHERE v = 'x' AND id <> 5");
        assert_eq!(rows[0][0], (there - u32::from(there > 4)).to_string(), "{fail}");
        assert_eq!(site.go_on(), json!(written), "{fail}");
        let delivery = site.delivery("stock.csv");
        assert_eq!(delivery["outcome"], "loaded", "{fail}");
        assert_eq!(counts(&delivery), [10, 8, 1, 1, 0, 0, 0], "{fail}");
        assert_eq!(site.query("SELECT count(*) FROM stock WHERE v = 'x'")[0][0], "10");
        let story = site.story("stock.csv");
        let record = if there == 3 {
            3
        } else if fail == "target.commit@1" {
            9
        } else {
            6
        };
        assert!(story.contains(&format!("goes on after record {record}")), "{fail}: {story}");
    }
}

#[test]
fn what_the_table_refused_before_the_kill_is_reported_as_if_nothing_had_happened() {
    let file = "id,v\n1,x\n2,never\n3,x\n4,too long for it\n5,never\n6,x\n7,x\n8,x\n9,never\n";
    let undisturbed = site(MAPPING);
    undisturbed.write("stock.csv", file);
    run(&mut undisturbed.small(&["load", "stock.csv"], "")).exits(2);
    for fail in ["target.mark@1", "target.marked@1", "target.mark@2", "target.marked@2", "target.seal@1"] {
        let site = site(MAPPING);
        site.write("stock.csv", file);
        site.cut("stock.csv", fail);
        site.go_on();
        let (delivery, wanted) = (site.delivery("stock.csv"), undisturbed.delivery("stock.csv"));
        assert_eq!(delivery["tally"], wanted["tally"], "{fail}");
        assert_eq!(counts(&delivery), [9, 5, 0, 0, 0, 4, 0], "{fail}");
        let report = |site: &Site| site.read("outbox/rejects/stock/stock.csv.errors.csv");
        assert_eq!(report(&site), report(&undisturbed), "{fail}");
        let kept = fs::read_dir(site.path("var/work")).unwrap().count();
        assert_eq!(kept, 0, "{fail}: nothing is left of what was kept for going on");
    }
}

#[test]
fn a_file_of_which_the_table_refuses_too_much_is_refused_and_says_what_is_loaded() {
    let site = site(MAPPING);
    let bad: String = (7..=1_100).map(|id| format!("{id},never\n")).collect();
    site.write("stock.csv", format!("id,v\n{}{bad}", rows(1..=6)));
    let refused = run(&mut site.small(&["load", "stock.csv", "--json"], "")).exits(3).object();
    assert_eq!((&refused["outcome"], &refused["reason"]), (&json!("refused"), &json!("target_limit")));
    let tally = &refused["tally"];
    assert_eq!((&tally["read"], &tally["inserted"]), (&json!(1_100), &json!(6)));
    assert_eq!(tally["withheld"].as_u64().unwrap() + tally["rejected"].as_u64().unwrap(), 1_094);
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("the good rows up to record 1005 are loaded and stay: send the whole file again"),
        "{message}"
    );
    assert!(!message.contains("nothing was loaded"), "{message}");
    assert_eq!(site.query("SELECT count(*) FROM stock")[0][0], "6");
    let (_, rejects) = site.report(&refused, "rejects");
    assert!(
        rejects.iter().all(|row| row.iter().any(|cell| cell.contains("this file was loaded in part only")))
    );
    // The same file, once the table takes it, is no duplicate and changes only what is missing.
    site.sql("DROP TABLE stock; CREATE TABLE stock (id INTEGER PRIMARY KEY NOT NULL, v TEXT)");
    site.sql(&format!(
        "INSERT INTO stock VALUES {}",
        (1..=6).map(|id| format!("({id}, 'x')")).collect::<Vec<_>>().join(",")
    ));
    let again = run(&mut site.small(&["load", "stock.csv", "--json"], "")).exits(0).object();
    assert_eq!(counts(&again), [1_100, 1_094, 0, 6, 0, 0, 0]);
}

#[test]
fn a_file_like_the_one_before_a_partly_loaded_one_is_no_duplicate() {
    let site = site(MAPPING);
    let monday = format!("id,v\n{}", rows(1..=6));
    assert_eq!(site.load("stock_1.csv", &monday).0, 0);
    let bad: String = (7..=1_100).map(|id| format!("{id},never\n")).collect();
    let tuesday = format!("id,v\n1,y\n2,y\n3,y\n{bad}");
    site.write("stock_2.csv", tuesday);
    run(&mut site.small(&["load", "stock_2.csv"], "")).exits(3);
    assert_eq!(site.query("SELECT count(*) FROM stock WHERE v = 'y'")[0][0], "3");
    let (_, again) = site.load("stock_3.csv", &monday);
    assert_eq!(again["outcome"], "loaded");
    assert_eq!(counts(&again), [6, 0, 3, 3, 0, 0, 0]);
}

#[test]
fn too_many_rejects_in_the_middle_hold_the_rest_until_a_person_lets_it_go_on() {
    let site = site(&MAPPING.replace("[columns]", "[rejects]\nhold = 1\n[columns]"));
    let file = format!("id,v\n{}4,never\n5,x\n6,never\n{}", rows(1..=3), rows(7..=9));
    site.write("stock.csv", file);
    let held = run(&mut site.small(&["load", "stock.csv", "--json"], "")).exits(3).object();
    assert_eq!((&held["outcome"], counts(&held)), (&json!("held"), vec![9, 3, 0, 0, 0, 2, 4]));
    assert!(held["message"].as_str().unwrap().contains("up to record 3 are loaded and stay"), "{held}");
    let id = held["delivery"].as_str().unwrap();
    let done = run(&mut site.small(&["approve", id, "--json"], "")).exits(2).object();
    assert_eq!(counts(&done), [9, 7, 0, 0, 0, 2, 0]);
}

#[test]
fn a_partly_loaded_file_that_is_declined_says_what_stays() {
    let site = site(&MAPPING.replace("[columns]", "[rejects]\nhold = 1\n[columns]"));
    site.write("stock.csv", format!("id,v\n{}4,never\n5,x\n6,never\n", rows(1..=3)));
    let held = run(&mut site.small(&["load", "stock.csv", "--json"], "")).exits(3).object();
    let id = held["delivery"].as_str().unwrap();
    let declined: Ran = run(&mut site.small(&["decline", id, "--json"], ""));
    let declined = declined.object();
    assert_eq!((&declined["outcome"], counts(&declined)), (&json!("refused"), vec![6, 3, 0, 0, 0, 2, 1]));
    assert!(
        declined["message"].as_str().unwrap().contains("up to record 3 are loaded and stay"),
        "{declined}"
    );
    assert_eq!(site.query("SELECT count(*) FROM stock")[0][0], "3");
}

/// The mapping with a lookup in a file, and that file.
fn looking_up(site: &Site, mode: &str) {
    let mapping = MAPPING
        .replace("commit", &format!("mode = \"{mode}\"\ncommit"))
        .replace("max_length = 9", "lookup = { file = \"words.csv\", key = \"k\", value = \"v\" }");
    site.write("mappings/inbound/stock.toml", mapping);
    site.write("mappings/lookups/words.csv", "k,v\nx,one\n");
}

#[test]
fn a_file_whose_values_changed_before_it_goes_on_is_sent_from_its_first_record_again() {
    let site = site(MAPPING);
    looking_up(&site, "upsert");
    site.write("stock.csv", ten());
    site.cut("stock.csv", "target.marked@2");
    site.write("mappings/lookups/words.csv", "k,v\nx,two\n");
    assert_eq!(site.go_on(), json!(4));
    let delivery = site.delivery("stock.csv");
    assert_eq!((&delivery["outcome"], counts(&delivery)), (&json!("loaded"), vec![10, 4, 6, 0, 0, 0, 0]));
    assert_eq!(site.query("SELECT count(*) FROM stock WHERE v = 'two'")[0][0], "10", "none is mixed in");
    assert!(
        delivery["message"].as_str().unwrap().contains("begun again from the first record"),
        "{delivery}"
    );
}

#[test]
fn where_rows_are_only_inserted_a_file_whose_values_changed_is_left_to_a_person() {
    let site = site(MAPPING);
    looking_up(&site, "insert");
    site.write("stock.csv", ten());
    site.cut("stock.csv", "target.marked@2");
    site.write("mappings/lookups/words.csv", "k,v\nx,two\n");
    site.go_on();
    let failed = site.delivery("stock.csv");
    assert_eq!((&failed["outcome"], counts(&failed)), (&json!("failed"), vec![10, 6, 0, 0, 0, 0, 4]));
    assert!(failed["message"].as_str().unwrap().contains("put back what has changed"), "{failed}");
    site.write("mappings/lookups/words.csv", "k,v\nx,one\n");
    let id = failed["delivery"].as_str().unwrap().to_owned();
    let done = run(&mut site.small(&["retry", &id, "--json"], "")).exits(0).object();
    assert_eq!(counts(&done), [10, 10, 0, 0, 0, 0, 0]);
}

#[test]
fn a_table_that_lost_the_rows_of_a_partly_loaded_file_gets_them_all_again() {
    let dropped = MAPPING.replace("commit", "create = true\ncommit");
    for (mapping, gone) in [(&*dropped, "DROP TABLE stock"), (MAPPING, "DELETE FROM stock")] {
        let site = site(mapping);
        site.write("stock.csv", ten());
        site.cut("stock.csv", "target.marked@2");
        site.sql(gone);
        assert_eq!(site.go_on(), json!(4), "{gone}");
        let delivery = site.delivery("stock.csv");
        assert_eq!(
            (&delivery["outcome"], counts(&delivery)),
            (&json!("loaded"), vec![10, 10, 0, 0, 0, 0, 0])
        );
        assert_eq!(site.query("SELECT count(*) FROM stock")[0][0], "10", "{gone}");
        let message = delivery["message"].as_str().unwrap();
        assert!(
            message.contains("up to record 6 were committed before, but the table stock has no rows"),
            "{message}"
        );
    }
}

#[test]
fn where_rows_are_only_inserted_a_table_that_lost_them_is_left_to_a_person() {
    let site = site(&MAPPING.replace("commit", "mode = \"insert\"\ncommit"));
    site.write("stock.csv", ten());
    site.cut("stock.csv", "target.marked@2");
    site.sql("CREATE TABLE kept AS SELECT * FROM stock; DELETE FROM stock");
    site.go_on();
    let failed = site.delivery("stock.csv");
    assert_eq!((&failed["outcome"], counts(&failed)), (&json!("failed"), vec![10, 0, 0, 0, 0, 0, 10]));
    assert!(failed["message"].as_str().unwrap().contains("put them back and `retry`"), "{failed}");
    site.sql("INSERT INTO stock SELECT * FROM kept");
    let id = failed["delivery"].as_str().unwrap().to_owned();
    let done = run(&mut site.small(&["retry", &id, "--json"], "")).exits(0).object();
    assert_eq!(counts(&done), [10, 10, 0, 0, 0, 0, 0]);
}

#[test]
fn a_partly_loaded_file_that_ends_every_attempt_says_how_far_it_is_and_can_go_on() {
    let site = site(MAPPING);
    site.write("stock.csv", ten());
    site.cut("stock.csv", "target.marked@1");
    for _ in 0..2 {
        let mut again = site.small(&["run", "--once"], "target.begun@1=kill");
        let killed = again.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(killed.signal(), Some(9));
    }
    site.go_on();
    let failed = site.delivery("stock.csv");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("up to record 3 are loaded and stay, and `retry` goes on there"), "{message}");
    let told = run(&mut site.small(&["load"], "")).exits(0).err;
    assert!(told.contains("stock.csv") && told.contains("is failed and waits for a person"), "{told}");
    let id = failed["delivery"].as_str().unwrap();
    let declined = run(&mut site.small(&["decline", id], "")).exits(0).out;
    assert!(declined.contains("3 inserted") && declined.contains("it is loaded in part"), "{declined}");
}

#[test]
fn refusals_that_are_gone_begin_the_file_again_and_are_found_again() {
    let site = site(MAPPING);
    site.write("stock.csv", format!("id,v\n1,x\n2,never\n{}", rows(3..=7)));
    site.cut("stock.csv", "target.marked@2");
    let kept: Vec<_> =
        fs::read_dir(site.path("var/work")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let kept = kept.iter().find(|path| path.extension().is_some_and(|end| end == "refusals")).unwrap();
    fs::write(kept, "something else").unwrap();
    site.go_on();
    let delivery = site.delivery("stock.csv");
    assert_eq!(
        (&delivery["outcome"], counts(&delivery)),
        (&json!("loaded_with_rejects"), vec![7, 1, 0, 5, 0, 1, 0])
    );
}

#[test]
fn a_database_that_is_away_between_two_batches_costs_nothing_that_is_committed() {
    let site = site(MAPPING);
    site.write("stock.csv", ten());
    let mut load = site.small(&["load", "stock.csv", "--json"], "target.mark@3=eio");
    let failed = run(&mut load).exits(1).object();
    assert_eq!((&failed["outcome"], counts(&failed)), (&json!("failed"), vec![10, 6, 0, 0, 0, 0, 4]));
    assert!(failed["message"].as_str().unwrap().contains("up to record 6 are loaded and stay"), "{failed}");
    let id = failed["delivery"].as_str().unwrap();
    let done = run(&mut site.small(&["retry", id, "--json"], "")).exits(0).object();
    assert_eq!(counts(&done), [10, 10, 0, 0, 0, 0, 0]);
}

#[test]
fn rejects_whose_key_a_partly_loaded_file_has_brought_are_overtaken() {
    let site = site(&MAPPING.replace("[columns]", "[rejects]\nhold = 1\n[columns]"));
    let (_, first) = site.load("stock_1.csv", "id,v\n2,too long for it\n");
    assert_eq!(first["outcome"], "loaded_with_rejects");
    site.write("stock_2.csv", format!("id,v\n{}4,never\n5,x\n6,never\n", rows(1..=3)));
    run(&mut site.small(&["load", "stock_2.csv"], "")).exits(3);
    let open = site.delivery("stock_1.csv");
    assert_eq!(open["rejects"]["overtaken"], json!(1), "{open}");
}

#[test]
fn an_engine_that_is_told_to_stop_ends_after_the_batch_at_hand() {
    let site = site(MAPPING);
    fs::create_dir(site.path("inbox")).unwrap();
    site.write("wharf.toml", crate::running::INBOX);
    site.write("new.csv", ten());
    fs::rename(site.path("new.csv"), site.path("inbox/stock.csv")).unwrap();
    let go = site.path("go");
    let command = site.small(&["run", "--json"], &format!("target.mark@2=wait:{}", go.display()));
    let mut engine = Running::start(&site, command);
    engine.until("the second batch", || site.path("go.reached").exists());
    engine.signal("TERM");
    engine.says("told to stop");
    fs::write(&go, "").unwrap();
    engine.ends().exits(0);
    assert_eq!(site.query("SELECT count(*) FROM stock")[0][0], "6");
    site.go_on();
    assert_eq!(counts(&site.delivery("stock.csv")), [10, 10, 0, 0, 0, 0, 0]);
}
