//! Commands beside a running engine: what they ask for is done by it, and they say the same as when they are alone.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{INBOX, id, mapping, row, site};
use crate::{
    engine::until,
    support::{Ran, Site},
};

fn bad(rejects: u32) -> String {
    row("A", 1) + &(0..rejects).map(|number| format!("bad {number},x\n")).collect::<String>()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// What was said, without what differs between two runs of the same thing: times, and the ids of new deliveries. Beside an
/// engine, which need not run in the same folder, messages name files by their whole paths.
fn said(site: &Site, ran: &Ran, known: &[&str]) -> (i32, Vec<Value>, String) {
    let whole = format!("cannot open {}", site.path("").display());
    let ran = Ran { code: ran.code, out: ran.out.replace(&whole, "cannot open "), err: ran.err.clone() };
    let mut objects = ran.json();
    for object in &mut objects {
        let fields = object.as_object_mut().unwrap();
        fields.remove("seconds");
        if fields.get("delivery").and_then(Value::as_str).is_some_and(|id| !known.contains(&id)) {
            fields.insert("delivery".to_owned(), json!("new"));
        }
    }
    (ran.code, objects, ran.err)
}

/// Runs a command in a copy of the site where nothing runs, and in another where an engine does, and compares.
#[track_caller]
fn same_beside(site: &Site, arguments: &[&str]) -> (i32, Vec<Value>) {
    let known: Vec<String> = site.deliveries().iter().map(|delivery| id(delivery).to_owned()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let (alone, beside) = (Site::new(), Site::new());
    for other in [&alone, &beside] {
        copy(&site.path(""), &other.path(""));
    }
    let arguments = || [&["--json"], arguments].concat();
    let expected = said(&alone, &alone.run(arguments()), &known);
    let run = beside.start();
    run.says("at work");
    until("the engine to be ready", || beside.status()["engine"]["sources"][0].is_object().then_some(()));
    let found = said(&beside, &beside.run(arguments()), &known);
    run.stop().exits(0);
    assert_eq!(found, expected, "{:?}", arguments());
    let states = |site: &Site| -> Vec<Value> {
        site.deliveries()
            .iter()
            .map(|delivery| json!([delivery["file"], delivery["outcome"], delivery["tally"]]))
            .collect()
    };
    assert_eq!(states(&beside), states(&alone), "{:?}", arguments());
    (found.0, found.1)
}

/// A site with a held delivery, a failed one and a loaded one.
fn decided_site() -> (Site, [String; 3]) {
    let site = site(&format!("{INBOX}[connections.shop]\nurl = \"sqlite:away/shop.db\"\n"));
    site.write("mappings/inbound/prices.toml", mapping("prices", "", "[rejects]\nhold = 1"));
    let text = mapping("orders", "", "").replace("[target]", "[target]\nconnection = \"shop\"");
    site.write("mappings/inbound/orders.toml", text);
    site.write("mappings/inbound/stock.toml", mapping("stock", "", ""));
    let (_, held) = site.load("prices.csv", bad(3));
    let (_, failed) = site.load("orders.csv", row("O", 1));
    let (_, loaded) = site.load("stock.csv", row("S", 1));
    let ids = [(&held, "held"), (&failed, "failed"), (&loaded, "loaded")].map(|(delivery, outcome)| {
        assert_eq!(delivery["outcome"], outcome);
        id(delivery).to_owned()
    });
    (site, ids)
}

#[test]
fn decisions_beside_a_run_are_carried_out_by_it_and_say_what_they_say_alone() {
    let (site, [held, failed, loaded]) = decided_site();
    let (code, told) = same_beside(&site, &["approve", &held]);
    assert_eq!(
        (code, &told[0]["outcome"], &told[0]["tally"]["rejected"]),
        (2, &json!("loaded_with_rejects"), &json!(3))
    );
    let (code, told) = same_beside(&site, &["retry", &held]);
    assert_eq!((code, &told[0]["outcome"]), (3, &json!("held")));
    let (code, told) = same_beside(&site, &["decline", &held]);
    assert_eq!((code, &told[0]["outcome"]), (0, &json!("refused")));
    let (code, told) = same_beside(&site, &["decline", &failed]);
    assert_eq!((code, &told[0]["outcome"]), (0, &json!("refused")));
    fs::create_dir(site.path("away")).unwrap();
    let (code, told) = same_beside(&site, &["retry", &failed]);
    assert_eq!((code, &told[0]["outcome"]), (0, &json!("loaded")));
    // What cannot be done is denied in the same words.
    for (command, delivery) in
        [("approve", &loaded), ("retry", &loaded), ("decline", &loaded), ("approve", &failed)]
    {
        let (code, told) = same_beside(&site, &[command, delivery]);
        assert_eq!(code, 1, "{command}");
        assert!(told[0]["error"].as_str().unwrap().contains(delivery.as_str()), "{told:?}");
    }
}

#[test]
fn replays_reruns_and_ignoring_beside_a_run_are_carried_out_by_it_and_say_what_they_say_alone() {
    let site = site(INBOX);
    site.write("mappings/inbound/prices.toml", mapping("prices", "", ""));
    let (_, first) = site.load("prices.csv", bad(3));
    let text = mapping("prices", "", "").replace("\"integer\"", "\"integer\", null = [\"x\"]");
    site.write("mappings/inbound/prices.toml", text);
    let first = id(&first);
    let (code, told) = same_beside(&site, &["replay", first]);
    assert_eq!((code, &told[0]["outcome"], &told[0]["corrects"]), (0, &json!("loaded"), &json!(first)));
    assert_eq!(told[0]["tally"]["inserted"], 3);
    let (code, told) = same_beside(&site, &["rerun", first]);
    assert_eq!(
        (code, &told[0]["tally"]["inserted"], &told[0]["tally"]["unchanged"]),
        (0, &json!(3), &json!(1))
    );
    let (code, told) = same_beside(&site, &["rejects", "--ignore", first, "--reason", "tests"]);
    assert_eq!((code, &told[0]["ignored"]), (0, &json!(3)));
    site.load("prices_2.csv", row("A", 2));
    let (code, told) = same_beside(&site, &["rerun", first]);
    assert!(code == 1 && told[0]["error"].as_str().unwrap().contains("--older"), "{told:?}");
}

#[test]
fn a_running_engine_replays_under_the_mapping_as_it_stands_in_the_file_now() {
    let site = site(INBOX);
    let (_, first) = site.load("prices.csv", bad(2));
    let run = site.start();
    run.says("at work");
    let text = mapping("prices", "", "").replace("\"integer\"", "\"integer\", null = [\"x\"]");
    site.write("mappings/inbound/prices.toml", text);
    let replayed = site.run(["replay", "--json", id(&first)]).exits(0).object();
    run.says("asked: replay");
    run.stop().exits(0);
    assert_eq!(replayed["tally"]["inserted"], 2);
}

#[test]
fn rejects_that_lacked_a_parent_are_tried_again_by_the_engine_that_runs() {
    let site = site(INBOX);
    site.write("mappings/inbound/orders.toml", mapping("orders", "", "price = {}"));
    site.load("prices_1.csv", row("A", 1));
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE orders (id TEXT PRIMARY KEY NOT NULL, value INTEGER, price TEXT REFERENCES prices (id))",
        )
        .unwrap();
    drop(database);
    let (code, lacking) = site.load("orders_1.csv", "id,value,price\n1,1,A\n2,2,B\n");
    assert_eq!((code, &lacking["tally"]["rejected"]), (2, &json!(1)));
    let run = site.start();
    run.says("at work");
    site.arrive("inbox/prices_2.csv", row("B", 1));
    let corrected = || {
        let shown = site.run(["show", "--json", id(&lacking)]).exits(0).object();
        (shown["rejects"]["corrected"] == 1).then_some(())
    };
    until("the reject to be tried again", corrected);
    run.stop().exits(0);
    assert_eq!(site.query("SELECT id FROM orders ORDER BY id"), [["1"], ["2"]]);
}

#[test]
fn what_a_person_approved_beside_a_run_is_in_the_story_with_the_persons_name() {
    let (site, [held, ..]) = decided_site();
    let run = site.start();
    run.says("at work");
    site.run(["approve", &held]).exits(2);
    let asked = run.says("asked: approve");
    assert_eq!(asked["by"], "tester");
    run.stop().exits(0);
    let story = site.run(["show", &held]).exits(0).out;
    assert!(story.contains("approved by tester with 3 rejects"), "{story}");
}

#[test]
fn load_beside_a_run_is_done_by_it_and_says_what_it_says_alone() {
    let (site, _) = decided_site();
    site.write("stock_2.csv", row("S", 2));
    site.write("stock_10.csv", bad(2));
    site.write("nobodys.csv", row("N", 1));
    site.write("stock_empty.csv", "");
    for (arguments, code) in [
        (&["load", "stock_2.csv"][..], 0),
        (&["load", "stock_10.csv", "stock_2.csv"], 2),
        (&["load", "stock.csv"], 0),
        (&["load", "--again", "stock.csv"], 0),
        (&["load", "nobodys.csv"], 3),
        (&["load", "--mapping", "stock", "nobodys.csv"], 0),
        (&["load", "--mapping", "unknown", "nobodys.csv"], 1),
        (&["load", "stock_empty.csv"], 3),
        (&["load", "none.csv"], 1),
        // It waits behind the held one, and says so.
        (&["load", "--mapping", "prices", "stock_2.csv"], 3),
    ] {
        let (found, told) = same_beside(&site, arguments);
        assert_eq!(found, code, "{arguments:?} {told:#?}");
        assert!(site.path("stock_2.csv").exists());
    }
}

#[test]
fn rows_loaded_beside_a_run_and_their_reports_are_those_of_a_load_alone() {
    let site = site(INBOX);
    let run = site.start();
    run.says("at work");
    let (code, told) = site.load("prices_1.csv", bad(2));
    run.says("asked: load");
    run.stop().exits(0);
    assert_eq!((code, &told["tally"]["rejected"]), (2, &json!(2)));
    assert_eq!(site.query("SELECT * FROM prices"), [["A", "1"]]);
    assert_eq!(site.report(&told, "errors").1.len(), 2);
}

#[test]
fn a_second_run_is_told_who_holds_the_site_and_ends() {
    let site = site(INBOX);
    let run = site.start();
    run.says("at work");
    for arguments in [&["run"][..], &["run", "--once"]] {
        let second = site.run(arguments).exits(1);
        let process = run.process().to_string();
        assert!(second.err.contains(&process) && second.err.contains("wharf run"), "{}", second.err);
    }
    site.arrive("inbox/prices.csv", row("A", 1));
    site.waits_for("prices.csv", "loaded");
    run.stop().exits(0);
}

#[test]
fn a_mapping_that_is_changed_while_an_engine_runs_is_named_until_the_engine_is_started_again() {
    let site = site(INBOX);
    let run = site.start();
    run.says("at work");
    until("the engine to tell of itself", || {
        site.status()["engine"]["changed_mappings"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    site.write("mappings/inbound/prices.toml", mapping("prices", "on_duplicate = \"load\"", ""));
    site.write("mappings/inbound/more.toml", mapping("more", "", ""));
    assert_eq!(site.status()["engine"]["changed_mappings"], json!(["more", "prices"]));
    let status = site.run(["status"]).exits(0).out;
    assert!(status.contains("in force only when it is started again: more, prices"), "{status}");
    site.write("prices_1.csv", row("A", 1));
    let loaded = site.run(["load", "prices_1.csv"]).exits(0);
    assert!(loaded.err.contains("changed since the engine that runs here began"), "{}", loaded.err);
    run.stop().exits(0);
    let run = site.start();
    run.says("at work");
    until("the engine to tell of itself", || {
        site.status()["engine"]["changed_mappings"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    run.stop().exits(0);
}
