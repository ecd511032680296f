//! How a run begins, ends and bears faults.

use rusqlite::Connection;
use serde_json::json;

use super::{INBOX, events, id, mapping, row, site};
use crate::{engine::until, support::Site};

/// Somebody else writes to the site's database until this is dropped.
fn somebody_writes(site: &Site) -> Connection {
    let connection = Connection::open(site.path("var/warehouse.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// A site that has loaded a file before, so that there is a database to keep busy.
fn begun_site(settings: &str) -> Site {
    let site = site(settings);
    site.arrive("inbox/prices_0.csv", row("A", 0));
    site.run(["run", "--once"]).exits(0);
    site
}

/// Settings with which a busy database shows at once, and is tried again soon.
fn impatient(attempts: u32) -> String {
    format!("{INBOX}[store]\nbusy_seconds = 0\n[run]\nretry_seconds = 1\nattempts = {attempts}\n")
}

#[test]
fn told_to_stop_it_ends_in_order_and_the_next_run_takes_up_what_was_broken_off() {
    let site = site(INBOX);
    let mapping = mapping("prices", "", "").replace("[target]", "[target]\nduplicate_keys = \"last\"");
    site.write("mappings/inbound/prices.toml", mapping);
    // Long enough to be checked for a while, and short in the table.
    let records: String = (0..3_000_000_u32).map(|record| format!("A{},{record}\n", record % 7)).collect();
    site.arrive("inbox/prices.csv", format!("id,value\n{records}"));
    let run = site.start();
    let broken_off = site.waits_for("prices.csv", "running");
    let ran = run.stop().exits(0);
    assert!(ran.err.contains("told to stop") && ran.err.contains("broken off"), "{}", ran.err);
    assert_eq!(site.waits_for("prices.csv", "waiting")["delivery"], broken_off["delivery"]);
    assert_eq!(events(&site, &broken_off), ["taken", "started", "interrupted"]);
    assert!(!site.path("var/live.json").exists());

    let run = site.start();
    site.waits_for("prices.csv", "loaded");
    run.stop().exits(0);
    let shown = site.run(["show", "--json", id(&broken_off)]).exits(0).object();
    let attempts: Vec<&serde_json::Value> = shown["story"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["event"]["event"] == "started")
        .map(|entry| &entry["event"]["attempt"])
        .collect();
    assert_eq!(attempts, [1, 1], "the attempt that was broken off does not count");
    assert_eq!(site.query("SELECT count(*) FROM prices"), [["7"]]);
}

#[test]
fn an_idle_run_ends_at_once_in_order_by_either_signal() {
    for name in ["TERM", "INT"] {
        let site = site(INBOX);
        let run = site.start();
        run.says("at work");
        run.signal(name);
        let ran = run.ends().exits(0);
        assert!(ran.err.contains("\"stopped\""), "{}", ran.err);
        assert_eq!(site.read("var/lock"), "");
    }
}

#[test]
fn once_takes_what_is_there_and_ends_with_the_code_of_the_worst_outcome() {
    let settings = format!("{INBOX}[run]\nattempts = 1\n[connections.shop]\nurl = \"sqlite:away/shop.db\"\n");
    let bad = "id,value\nA,1\nbad,x\n";
    for (files, code) in [
        (&[][..], 0),
        (&[("prices_1.csv", "id,value\nA,1\n")][..], 0),
        (&[("prices_1.csv", "id,value\nA,1\n"), ("prices_2.csv", bad)], 2),
        (&[("prices_1.csv", bad), ("photos.zip", "PK")], 3),
        (&[("held_1.csv", bad), ("prices_1.csv", bad)], 3),
        (&[("failed_1.csv", "id,value\nA,1\n"), ("photos.zip", "PK")], 1),
        (&[("broken_1.csv", "id,value\nA,1\n")], 1),
    ] {
        let site = site(&settings);
        site.write("mappings/inbound/held.toml", mapping("held", "", "[rejects]\nhold = 0"));
        let failed = mapping("failed", "", "").replace("[target]", "[target]\nconnection = \"shop\"");
        site.write("mappings/inbound/failed.toml", failed);
        if code == 1 && files.len() == 1 {
            site.write("mappings/inbound/broken.toml", mapping("broken", "", "[columns.more]\nnonsense = 1"));
        }
        for (name, content) in files {
            site.arrive(format!("inbox/{name}"), content);
        }
        let ran = site.run(["run", "--once", "--json"]).exits(code);
        let left = site.files_in("inbox");
        if files.first().is_some_and(|(name, _)| name.starts_with("broken")) {
            assert_eq!(left, ["broken_1.csv"]);
            assert!(ran.err.contains("broken_1.csv") && ran.err.contains("wharf check"), "{}", ran.err);
        } else {
            assert_eq!((left.len(), ran.json().len()), (0, files.len()), "{ran:?}");
        }
    }
}

#[test]
fn once_tells_of_what_waits_behind_a_held_file() {
    let site = site(INBOX);
    site.write("mappings/inbound/prices.toml", mapping("prices", "", "[rejects]\nhold = 0"));
    site.arrive("inbox/prices_1.csv", "id,value\nA,1\nbad,x\n");
    site.run(["run", "--once"]).exits(3);
    site.arrive("inbox/prices_2.csv", row("A", 2));
    let ran = site.run(["run", "--once", "--json"]).exits(3);
    let told = ran.object();
    assert_eq!(
        (&told["file"].as_str().unwrap().ends_with("prices_2.csv"), &told["outcome"]),
        (&true, &json!("waiting"))
    );
}

#[test]
fn once_waits_for_a_file_that_is_still_settling() {
    let site = site("[sources.inbox]\nfolder = \"inbox\"\nsettle_seconds = 1\n");
    site.arrive("inbox/prices_1.csv", row("A", 1));
    site.run(["run", "--once"]).exits(0);
    assert_eq!(site.query("SELECT * FROM prices"), [["A", "1"]]);
}

#[test]
fn a_run_after_one_that_was_killed_says_what_it_found_unfinished_and_finishes_it() {
    let site = begun_site(&format!("{INBOX}[store]\nbusy_seconds = 300\n"));
    let busy = somebody_writes(&site);
    site.arrive("inbox/prices_1.csv", row("A", 1));
    let run = site.start();
    let running = site.waits_for("prices_1.csv", "running");
    run.kill();
    drop(busy);
    let run = site.start();
    let said = run.says("was left running by an earlier run; finishing it");
    assert!(said["message"].as_str().unwrap().contains(id(&running)), "{said}");
    let loaded = site.waits_for("prices_1.csv", "loaded");
    assert_eq!(loaded["delivery"], running["delivery"]);
    run.stop().exits(0);
    let story = site.run(["show", id(&loaded)]).exits(0).out;
    assert!(story.contains("picked up again") && story.contains("attempt 2 began"), "{story}");
    assert_eq!(site.deliveries().len(), 2);
}

#[test]
fn a_busy_database_is_tried_again_and_loaded_into_when_it_is_free() {
    let site = begun_site(&impatient(20));
    let busy = somebody_writes(&site);
    let run = site.start();
    site.arrive("inbox/prices_1.csv", row("A", 1));
    let said = run.says("tried again in 1 s");
    assert_eq!(said["level"], "warn");
    let waiting = site.waits_for("prices_1.csv", "waiting");
    assert_eq!(said["delivery"], waiting["delivery"]);
    let status = site.run(["status"]).exits(0).out;
    assert!(status.contains("tried again at") && status.contains("is locked by another program"), "{status}");
    drop(busy);
    let loaded = site.waits_for("prices_1.csv", "loaded");
    run.stop().exits(0);
    let story = events(&site, &loaded);
    assert_eq!(story[..3], ["taken", "started", "postponed"]);
    assert_eq!(site.query("SELECT value FROM prices"), [["1"]]);
}

#[test]
fn after_as_many_attempts_as_the_settings_say_it_is_failed_and_a_retry_loads_it() {
    let site = begun_site(&impatient(2));
    let busy = somebody_writes(&site);
    let run = site.start();
    site.arrive("inbox/prices_1.csv", row("A", 1));
    let failed = site.waits_for("prices_1.csv", "failed");
    let starts = |events: Vec<String>| events.iter().filter(|event| *event == "started").count();
    assert_eq!(starts(events(&site, &failed)), 2);
    assert_eq!(run.says("failed: ")["delivery"], failed["delivery"]);
    drop(busy);
    let retried = site.run(["retry", "--json", id(&failed)]).exits(0).object();
    assert_eq!((&retried["outcome"], &retried["delivery"]), (&json!("loaded"), &failed["delivery"]));
    run.stop().exits(0);
}

#[test]
fn a_mapping_that_is_not_valid_keeps_its_files_where_they_are_and_the_others_go_on() {
    let site = site(INBOX);
    site.write("mappings/inbound/orders.toml", mapping("orders", "", "[columns.more]\nnonsense = 1"));
    site.arrive("inbox/orders_1.csv", row("O", 1));
    site.arrive("inbox/prices_1.csv", row("A", 1));
    let run = site.start();
    site.waits_for("prices_1.csv", "loaded");
    assert_eq!(run.says("left alone")["level"], "error");
    until("status to tell", || site.run(["status"]).out.contains("left alone:").then_some(()));
    run.stop().exits(0);
    site.write("mappings/inbound/orders.toml", mapping("orders", "", ""));
    assert_eq!(site.files_in("inbox"), ["orders_1.csv"]);
    site.run(["run", "--once"]).exits(0);
    assert_eq!(site.files_in("inbox"), [""; 0]);
}
