//! A database that was put back to an older state, or a ledger: `reconcile` names what differs, and `rerun` brings back what the
//! database has forgotten, in the order in which it was loaded the first time.

use std::fs;

use serde_json::{Value, json};

use crate::{
    engine::until,
    support::{Site, query},
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
"#;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn id(delivery: &Value) -> &str {
    text(&delivery["delivery"])
}

fn loaded(site: &Site, name: &str, rows: &str) -> Value {
    let (code, delivery) = site.load(name, format!("article,count\n{rows}"));
    assert!(matches!(code, 0 | 2), "{delivery:#}");
    delivery
}

/// A copy of the site's database as it stands now.
fn back_up(site: &Site) -> Vec<u8> {
    let copy = site.path("backup.db");
    let _ = fs::remove_file(&copy);
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    fs::read(copy).unwrap()
}

/// Puts the database back to that state.
fn put_back(site: &Site, backup: &[u8]) {
    for rest in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.path(format!("var/warehouse.db{rest}")));
    }
    site.write("var/warehouse.db", backup);
}

fn stock(site: &Site) -> Vec<Vec<String>> {
    site.query("SELECT article, count FROM stock ORDER BY article")
}

/// How many rejects of a delivery are open, corrected, overtaken, ignored.
#[track_caller]
fn standing(site: &Site, delivery: &str) -> [u64; 4] {
    let shown = site.run(["show", "--json", delivery]).exits(0).object();
    ["open", "corrected", "overtaken", "ignored"]
        .map(|state| shown["rejects"][state].as_u64().unwrap_or_else(|| panic!("{shown}")))
}

/// The only database that `reconcile` tells of, and the exit code.
fn reconciled(site: &Site, code: i32) -> Value {
    let mut told = site.run(["reconcile", "--json"]).exits(code).object();
    assert_eq!(told["databases"].as_array().map(Vec::len), Some(1), "{told:#}");
    told["databases"][0].take()
}

fn ids(deliveries: &Value) -> Vec<&str> {
    deliveries.as_array().unwrap_or_else(|| panic!("{deliveries}")).iter().map(id).collect()
}

/// Runs the command that `reconcile` gave for its first table.
fn follow(site: &Site, database: &Value, code: i32) -> Vec<Value> {
    let command = text(&database["tables"][0]["command"]);
    let arguments: Vec<&str> = command.split(' ').skip(1).chain(["--json"]).collect();
    site.run(arguments).exits(code).json()
}

#[test]
fn where_ledger_and_database_agree_it_says_so_and_where_nothing_was_loaded_too() {
    let site = Site::with_mapping("stock", MAPPING);
    let ran = site.run(["reconcile"]).exits(1);
    assert!(ran.err.contains("nothing has been loaded here yet"), "{ran:?}");
    loaded(&site, "stock_1.csv", "A,1\n");
    loaded(&site, "stock_2.csv", "A,x\nB,2\n");
    // Neither has a row in the loads table, nor needs one.
    loaded(&site, "stock_2.csv", "A,x\nB,2\n");
    site.load("stock_3.csv", "");
    let ran = site.run(["reconcile"]).exits(0);
    assert_eq!(ran.out, "the site's own database: 2 deliveries known to both\n");
}

#[test]
fn what_a_restored_database_forgot_is_named_and_loaded_again_in_its_order() {
    let site = Site::with_mapping("stock", MAPPING);
    let first = loaded(&site, "stock_1.csv", "A,1\nB,1\n");
    let backup = back_up(&site);
    let second = loaded(&site, "stock_2.csv", "A,2\nC,2\n");
    let third = loaded(&site, "stock_3.csv", "A,3\nD,3\n");
    let before = stock(&site);
    put_back(&site, &backup);

    let told = reconciled(&site, 3);
    assert_eq!(
        (&told["agreed"], &told["unknown"], &told["connection"]),
        (&json!(1), &json!(0), &json!(null))
    );
    let table = &told["tables"][0];
    assert_eq!((text(&table["table"]), &table["older"]), ("stock", &json!(false)));
    assert_eq!(ids(&table["forgotten"]), [id(&second), id(&third)]);
    assert_eq!(table["forgotten"][0]["tally"]["inserted"], 1);
    assert_eq!(table["forgotten"][0]["archived"], true);
    let shown = site.run(["reconcile"]).exits(3).out;
    let (newest, older) = (shown.find(id(&third)).unwrap(), shown.find(id(&second)).unwrap());
    assert!(newest < older, "the newest first: {shown}");
    assert!(shown.contains(&format!("next: wharf rerun {} {}", id(&second), id(&third))), "{shown}");
    assert!(shown.contains("stock_3.csv (stock)") && shown.contains("2 records"), "{shown}");
    assert!(!shown.contains(id(&first)), "{shown}");

    // In whatever order they are named.
    let again = site.run(["rerun", "--json", id(&third), id(&second)]).exits(0).json();
    assert_eq!(
        again.iter().map(|again| text(&again["file"])).collect::<Vec<_>>(),
        ["stock_2.csv", "stock_3.csv"]
    );
    assert_eq!(stock(&site), before);
    assert_eq!(reconciled(&site, 0)["agreed"], 3);
    // The same file once more is a duplicate, as it was before.
    let (_, again) = site.load("stock_3.csv", "article,count\nA,3\nD,3\n");
    assert_eq!(again["outcome"], "duplicate");
}

#[test]
fn a_database_that_is_put_back_a_second_time_is_told_by_the_names_of_the_first() {
    let site = Site::with_mapping("stock", MAPPING);
    loaded(&site, "stock_1.csv", "A,1\n");
    let backup = back_up(&site);
    let second = loaded(&site, "stock_2.csv", "A,2\nB,x\n");
    for _ in 0..2 {
        put_back(&site, &backup);
        let told = reconciled(&site, 3);
        assert_eq!(ids(&told["tables"][0]["forgotten"]), [id(&second)]);
        follow(&site, &told, 2);
        assert_eq!(stock(&site), [["A", "2"]]);
        reconciled(&site, 0);
    }
    let again = site.run(["deliveries", "--json", "--name", "stock_2"]).exits(0).json();
    let open: Vec<u64> = again.iter().map(|delivery| standing(&site, id(delivery))[0]).collect();
    assert_eq!(open, [1, 0, 0], "what is wrong with the file is one reject, not three");
}

#[test]
fn rejects_stand_as_they_stood_when_a_forgotten_delivery_and_its_corrections_are_loaded_again() {
    let site = Site::with_mapping("stock", MAPPING);
    loaded(&site, "stock_0.csv", "Z,1\n");
    let backup = back_up(&site);
    let first = loaded(&site, "stock_1.csv", "A,1\nB,x\nC,x\nD,x\nE,x\nlonger,1\n");
    let report = site.read(text(&first["reports"]["rejects"]));
    let record =
        |key: &str| report.lines().find(|line| line.contains(&format!(",{key},"))).unwrap().to_owned();
    let header = report.lines().next().unwrap();
    site.write("back.csv", format!("{header}\n{}\n", record("B").replace("B,x", "B,22")));
    let corrected = site.run(["resubmit", "--json", "back.csv"]).exits(0).object();
    let ignored = record("C").split(',').next().unwrap().trim_start_matches('\u{feff}').to_owned();
    site.run(["rejects", "--ignore", &ignored, "--reason", "a test"]).exits(0);
    loaded(&site, "stock_2.csv", "D,4\n");
    let (before, stands) = (stock(&site), standing(&site, id(&first)));
    assert_eq!(stands, [2, 1, 1, 1]);
    put_back(&site, &backup);

    let told = reconciled(&site, 3);
    let forgotten = &told["tables"][0]["forgotten"];
    assert_eq!(forgotten.as_array().unwrap().len(), 3);
    assert_eq!((id(&forgotten[1]), &forgotten[1]["corrects"]), (id(&corrected), &first["delivery"]));
    let again = follow(&site, &told, 2);
    assert_eq!(stock(&site), before);
    assert_eq!(standing(&site, id(&again[0])), stands, "{again:#?}");
    assert_eq!(standing(&site, id(&first)), [0, 1, 3, 1], "the open ones are those of the new delivery");
    assert_eq!(again[1]["corrects"], again[0]["delivery"]);
    reconciled(&site, 0);
    // What is still open can be corrected.
    let report = site.read(text(&again[0]["reports"]["rejects"]));
    let line = report.lines().find(|line| line.contains(",E,")).unwrap();
    site.write("back.csv", format!("{header}\n{}\n", line.replace("E,x", "E,5")));
    site.run(["resubmit", "back.csv"]).exits(0);
    assert!(stock(&site).contains(&vec!["E".to_owned(), "5".to_owned()]));
}

#[test]
fn a_forgotten_correction_of_a_delivery_that_the_database_has_is_loaded_again_alone() {
    let site = Site::with_mapping("stock", MAPPING);
    let first = loaded(&site, "stock_1.csv", "A,1\nB,x\n");
    let backup = back_up(&site);
    let report = site.read(text(&first["reports"]["rejects"]));
    site.write("back.csv", report.replacen("B,x", "B,22", 1));
    let corrected = site.run(["resubmit", "--json", "back.csv"]).exits(0).object();
    let ran = site.run(["rerun", id(&corrected)]).exits(1);
    assert!(ran.err.contains("is a correction, and no whole file"), "{ran:?}");
    put_back(&site, &backup);
    let told = reconciled(&site, 3);
    assert_eq!(ids(&told["tables"][0]["forgotten"]), [id(&corrected)]);
    follow(&site, &told, 0);
    assert_eq!(stock(&site), [["A", "1"], ["B", "22"]]);
    assert_eq!(standing(&site, id(&first)), [0, 1, 0, 0]);
    reconciled(&site, 0);
    put_back(&site, &fs::read(site.path("backup.db")).unwrap());
    fs::remove_file(site.path("var/warehouse.db")).unwrap();
    let ran = site.run(["rerun", id(&corrected)]).exits(1);
    let both = format!("wharf rerun {} {}", id(&first), id(&corrected));
    assert!(ran.err.contains("does not have either") && ran.err.contains(&both), "{ran:?}");
    site.run(["rerun", id(&corrected), id(&first)]).exits(2);
    assert_eq!(stock(&site), [["A", "1"], ["B", "22"]]);
}

#[test]
fn what_was_loaded_after_the_backup_was_put_back_is_put_over_the_older_values_again() {
    let site = Site::with_mapping("stock", MAPPING);
    loaded(&site, "stock_1.csv", "A,1\n");
    let backup = back_up(&site);
    let second = loaded(&site, "stock_2.csv", "A,2\nB,2\n");
    put_back(&site, &backup);
    let third = loaded(&site, "stock_3.csv", "A,3\n");
    let told = reconciled(&site, 3);
    let table = &told["tables"][0];
    assert_eq!((ids(&table["forgotten"]), ids(&table["again"])), (vec![id(&second)], vec![id(&third)]));
    assert_eq!(table["older"], true);
    // Without a word about it, nothing is put over newer values.
    let ran = site.run(["rerun", id(&second)]).exits(1);
    assert!(ran.err.contains(id(&third)) && ran.err.contains("--older"), "{ran:?}");
    let shown = site.run(["reconcile"]).exits(3).out;
    assert!(
        shown.contains("1 delivery that the database has came later, and is put over them again"),
        "{shown}"
    );
    follow(&site, &told, 0);
    assert_eq!(stock(&site), [["A", "3"], ["B", "2"]]);
    reconciled(&site, 0);
}

#[test]
fn of_whole_files_only_the_latest_is_loaded_again_and_what_it_does_not_have_vanishes() {
    let mapping =
        MAPPING.replace("key = ", "mode = \"mirror\"\nvanished = \"delete\"\nmax_deletes = \"100%\"\nkey = ");
    let site = Site::with_mapping("stock", &mapping);
    loaded(&site, "stock_1.csv", "A,1\nB,1\nC,1\n");
    let backup = back_up(&site);
    let second = loaded(&site, "stock_2.csv", "A,2\n");
    let third = loaded(&site, "stock_3.csv", "A,3\nD,3\n");
    let before = stock(&site);
    put_back(&site, &backup);
    let told = reconciled(&site, 3);
    let table = &told["tables"][0];
    assert_eq!((ids(&table["forgotten"]), ids(&table["void"])), (vec![id(&third)], vec![id(&second)]));
    let shown = site.run(["reconcile"]).exits(3).out;
    assert!(shown.contains("a later file is the whole truth, so nothing has to be done"), "{shown}");
    let again = follow(&site, &told, 0);
    assert_eq!(again[0]["tally"]["deleted"], 2);
    assert_eq!(stock(&site), before);
    let told = reconciled(&site, 3);
    assert_eq!((ids(&told["tables"][0]["forgotten"]), &told["tables"][0]["command"]), (vec![], &json!(null)));
}

#[test]
fn a_delivery_whose_archived_copy_is_gone_is_said_to_need_the_original() {
    let site = Site::with_mapping("stock", MAPPING);
    loaded(&site, "stock_1.csv", "A,1\n");
    let backup = back_up(&site);
    let second = loaded(&site, "stock_2.csv", "A,2\n");
    let third = loaded(&site, "stock_3.csv", "A,3\n");
    put_back(&site, &backup);
    let shown = site.run(["show", "--json", id(&second)]).object();
    let archived = text(&shown["archive"]).to_owned();
    let archived = [archived.clone(), format!("var/archive/{archived}")]
        .into_iter()
        .find(|path| site.path(path).is_file());
    fs::remove_file(site.path(archived.expect("the archived copy"))).unwrap();
    let told = reconciled(&site, 3);
    let table = &told["tables"][0];
    assert_eq!(
        (&table["forgotten"][0]["archived"], &table["forgotten"][1]["archived"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(text(&table["command"]), format!("wharf rerun {}", id(&third)));
    let shown = site.run(["reconcile"]).exits(3).out;
    assert!(shown.contains("its archived copy is gone: load the original file again"), "{shown}");
    let ran = site.run(["rerun", id(&second)]).exits(1);
    assert!(ran.err.contains("is gone; load the original file again"), "{ran:?}");
}

#[test]
fn loads_that_a_restored_ledger_does_not_know_are_named() {
    let site = Site::with_mapping("stock", MAPPING);
    loaded(&site, "stock_1.csv", "A,1\n");
    let ledger = site.path("ledger.backup");
    let database = rusqlite::Connection::open(site.path("var/ledger.db")).unwrap();
    database.execute("VACUUM INTO ?1", [ledger.to_str().unwrap()]).unwrap();
    drop(database);
    let second = loaded(&site, "stock_2.csv", "A,2\n");
    for rest in ["-wal", "-shm"] {
        let _ = fs::remove_file(site.path(format!("var/ledger.db{rest}")));
    }
    fs::copy(ledger, site.path("var/ledger.db")).unwrap();
    let told = reconciled(&site, 3);
    assert_eq!((&told["unknown"], &told["strangers"]), (&json!(1), &json!([id(&second)])));
    let shown = site.run(["reconcile"]).exits(3).out;
    assert!(shown.contains("the ledger does not know 1 delivery") && shown.contains(id(&second)), "{shown}");
}

#[test]
fn a_load_that_another_site_made_into_the_same_database_is_nobodys_difference() {
    let (one, other) = (Site::with_mapping("stock", MAPPING), Site::with_mapping("stock", MAPPING));
    let shared = one.path("shared.db");
    let settings = format!("[connections.w]\nurl = \"sqlite:{}\"\n", shared.display());
    for site in [&one, &other] {
        site.write("wharf.toml", &settings);
        site.write(
            "mappings/inbound/stock.toml",
            MAPPING.replace("[target]", "[target]\nconnection = \"w\""),
        );
    }
    loaded(&one, "stock_1.csv", "A,1\n");
    loaded(&other, "stock_2.csv", "B,1\n");
    for site in [&one, &other] {
        assert_eq!(reconciled(site, 0)["agreed"], 1);
    }
    assert_eq!(query(&shared, "SELECT count(*) FROM _wharf_loads"), [["2"]]);
}

#[test]
fn a_database_that_cannot_be_asked_is_said_and_does_not_hide_the_others() {
    let site = Site::with_mapping("stock", MAPPING);
    site.write(
        "wharf.toml",
        "[connections.w]\nurl = \"sqlite:data/w.db\"\n[connections.x]\nurl = \"sqlite:x.db\"\n",
    );
    site.write("data/readme", "");
    for (name, connection) in [("orders", "w"), ("items", "x")] {
        let mapping = MAPPING.replace("stock", name);
        let target = format!("[target]\nconnection = \"{connection}\"");
        site.write(format!("mappings/inbound/{name}.toml"), mapping.replace("[target]", &target));
    }
    for file in ["orders_1.csv", "items_1.csv", "stock_1.csv"] {
        loaded(&site, file, "A,1\n");
    }
    fs::remove_dir_all(site.path("data")).unwrap();
    fs::remove_file(site.path("x.db")).unwrap();
    let told = site.run(["reconcile", "--json"]).exits(1).object();
    let databases = told["databases"].as_array().unwrap();
    let trouble = |at: usize| databases[at]["trouble"].as_str().unwrap_or_default().to_owned();
    assert_eq!((databases[0]["agreed"].clone(), trouble(0).as_str()), (json!(1), ""));
    assert!(trouble(1).contains("does not exist"), "{told:#}");
    assert_eq!(databases[2]["tables"][0]["table"], "items");
    site.run(["reconcile", "--mapping", "stock"]).exits(1);
    site.run(["reconcile", "--connection", "x"]).exits(3);
    let shown = site.run(["reconcile"]).exits(1).out;
    assert!(shown.contains("connection w: cannot be asked: "), "{shown}");
    for (option, name, said) in
        [("--connection", "nobody", "it has: w, x"), ("--mapping", "nobody", "there is no mapping `nobody`")]
    {
        let ran = site.run(["reconcile", option, name]).exits(1);
        assert!(ran.err.contains(said), "{ran:?}");
    }
}

#[test]
fn what_comes_behind_a_rerun_that_is_not_loaded_stays_undone_and_is_said() {
    let site = Site::with_mapping("stock", MAPPING);
    let other = MAPPING.replace("stock", "items");
    site.write("mappings/inbound/items.toml", other);
    loaded(&site, "stock_1.csv", "A,1\n");
    let backup = back_up(&site);
    let second = loaded(&site, "stock_2.csv", "A,x\nB,2\n");
    let third = loaded(&site, "stock_3.csv", "B,3\n");
    let fourth = loaded(&site, "items_1.csv", "B,3\n");
    put_back(&site, &backup);
    site.write("mappings/inbound/stock.toml", MAPPING.replace("[columns]", "[rejects]\nhold = 0\n[columns]"));
    let ran = site.run(["rerun", "--json", id(&second), id(&third), id(&fourth)]).exits(3);
    let outcomes: Vec<String> =
        ran.json().iter().map(|done| format!("{} {}", text(&done["file"]), text(&done["outcome"]))).collect();
    assert_eq!(outcomes, ["stock_2.csv held", "items_1.csv loaded"]);
    assert!(ran.err.contains("stock_3.csv") && ran.err.contains("is not run again"), "{ran:?}");
    assert_eq!(stock(&site), [["A", "1"]]);
}

#[test]
fn the_steps_of_the_manual_bring_a_restored_database_back() {
    let manual =
        fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md"))
            .unwrap();
    let section = manual.split("\n## A database restored from a backup\n").nth(1).expect("the section");
    let steps: Vec<&str> = section
        .split("```sh\n")
        .nth(1)
        .and_then(|block| block.split("```").next())
        .unwrap()
        .lines()
        .collect();
    let site = Site::with_mapping("stock", MAPPING);
    loaded(&site, "stock_1.csv", "A,1\n");
    site.write("backup/warehouse.db", back_up(&site));
    loaded(&site, "stock_2.csv", "A,2\nB,x\n");
    let mut codes = Vec::new();
    let mut next = String::new();
    for step in steps.iter().filter(|step| !step.starts_with("systemctl")) {
        let line = if *step == "wharf rerun ID..." { std::mem::take(&mut next) } else { (*step).to_owned() };
        let mut words = line.split(' ');
        let done = if words.next() == Some("wharf") {
            site.run(words)
        } else {
            let mut shell = std::process::Command::new("sh");
            crate::support::run(shell.current_dir(site.path("")).args(["-c", &line]))
        };
        if let Some(command) = done.out.lines().find_map(|line| line.trim().strip_prefix("next: ")) {
            next = command.to_owned();
        }
        codes.push(done.code);
    }
    assert_eq!(codes, [0, 0, 3, 2, 0], "{steps:?}");
    assert_eq!(stock(&site), [["A", "2"]]);
}

#[test]
fn a_run_notices_that_the_database_has_forgotten_and_status_says_what_to_do() {
    let site = crate::running::site(crate::running::INBOX);
    site.arrive("inbox/prices_1.csv", crate::running::row("A", 1));
    site.run(["run", "--once"]).exits(0);
    let backup = back_up(&site);
    site.arrive("inbox/prices_2.csv", crate::running::row("A", 2));
    site.run(["run", "--once"]).exits(0);
    let told = |site: &Site| site.status()["engine"]["forgotten"].clone();
    let run = site.start();
    until("the run to say what it knows", || told(&site).is_array().then_some(()));
    run.stop().exits(0);
    put_back(&site, &backup);
    let run = site.start();
    let forgotten =
        until("status to tell of it", || told(&site).as_array().and_then(|told| told.first().cloned()));
    let text = text(&forgotten);
    assert!(text.contains("does not know prices_2.csv") && text.contains("`wharf reconcile`"), "{text}");
    run.says("does not know prices_2.csv");
    let shown = site.run(["status"]).exits(0).out;
    assert!(shown.contains(text) && !shown.contains("nothing needs a person"), "{shown}");
    run.stop().exits(0);
}

#[test]
fn what_was_forgotten_is_brought_back_by_a_run_that_is_at_work_too() {
    let site = Site::with_mapping("stock", MAPPING);
    loaded(&site, "stock_1.csv", "A,1\n");
    let backup = back_up(&site);
    // Loaded in another order than that of their names.
    let third = loaded(&site, "stock_3.csv", "A,3\nB,x\n");
    let second = loaded(&site, "stock_2.csv", "A,2\n");
    put_back(&site, &backup);
    fs::create_dir(site.path("inbox")).unwrap();
    let run = site.start();
    run.says("at work");
    let told = reconciled(&site, 3);
    assert_eq!(ids(&told["tables"][0]["forgotten"]), [id(&third), id(&second)]);
    let again = follow(&site, &told, 2);
    assert_eq!(
        again.iter().map(|again| text(&again["file"])).collect::<Vec<_>>(),
        ["stock_3.csv", "stock_2.csv"]
    );
    assert_eq!(stock(&site), [["A", "2"]]);
    reconciled(&site, 0);
    run.stop().exits(0);
}
