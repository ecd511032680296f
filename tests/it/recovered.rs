//! Recovery that shows itself: what a start found unfinished, and what became of it, stands in `status` afterwards. The program is
//! killed at its fail points, which are in debug builds only, and so is this.

use std::{os::unix::process::ExitStatusExt, process::Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};
use wharf::wire::fail::VARIABLE;

use crate::{
    engine::{Running, until},
    running::{INBOX, row, site},
    support::Site,
};

/// Runs a command until it kills itself at this point.
#[track_caller]
fn killed(site: &Site, point: &str, arguments: &[&str]) {
    let mut command = site.command(arguments);
    command.env(VARIABLE, format!("{point}=kill")).stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(command.status().unwrap().signal(), Some(9), "{point}");
}

fn recovery(site: &Site) -> Value {
    site.status()["recovery"].take()
}

#[test]
fn a_start_in_order_has_nothing_to_tell() {
    let site = site(INBOX);
    site.arrive("inbox/prices_1.csv", row("A", 1));
    site.run(["run", "--once"]).exits(0);
    site.run(["run", "--once"]).exits(0);
    assert_eq!(recovery(&site), Value::Null);
    assert!(!site.run(["status"]).exits(0).out.contains("found unfinished"));
}

#[test]
fn status_tells_which_deliveries_the_last_start_found_unfinished_and_what_became_of_each() {
    let site = site(INBOX);
    let other = site.write("orders_1.csv", row("A", 1));
    killed(&site, "target.committed@1", &["load", site.write("prices_1.csv", row("A", 1)).to_str().unwrap()]);
    let before = site.run(["status"]).exits(0).out;
    assert!(
        before.contains("left by a run that was ended") && !before.contains("found unfinished"),
        "{before}"
    );
    // The second one ends before anything of it is in the database; the first one is picked up by that command.
    killed(&site, "target.begin@2", &["load", other.to_str().unwrap()]);
    let ran = site.run(["load"]).exits(0);
    assert!(
        ran.err.contains("orders_1.csv") && ran.err.contains("was left running by an earlier run"),
        "{ran:?}"
    );
    let told = recovery(&site);
    assert_eq!((&told["unfinished"], &told["command"]), (&json!(1), &json!("wharf load")));
    assert_eq!(
        (&told["deliveries"][0]["file"], &told["deliveries"][0]["now"]),
        (&json!("orders_1.csv"), &json!("loaded"))
    );
    let database = site.query("SELECT count(*) FROM _wharf_loads");
    assert_eq!(database, [["2"]]);
}

#[test]
fn what_was_loaded_already_is_only_recorded_and_status_says_so() {
    let site = site(INBOX);
    site.arrive("inbox/prices_1.csv", row("A", 1));
    killed(&site, "target.committed@1", &["run", "--once"]);
    let ran = site.run(["run", "--once"]).exits(0);
    assert!(ran.err.contains("the database had the rows already; only recorded now"), "{ran:?}");
    let told = recovery(&site);
    let delivery = &told["deliveries"][0];
    assert_eq!((&delivery["was"], &delivery["now"]), (&json!("running"), &json!("loaded")));
    let notes = delivery["notes"].to_string();
    assert!(notes.contains("picked up again") && notes.contains("only recorded now"), "{notes}");
    let shown = site.run(["status"]).exits(0).out;
    let line = shown
        .lines()
        .find(|line| line.contains("prices_1.csv: running; "))
        .unwrap_or_else(|| panic!("{shown}"));
    assert!(line.ends_with("the database had the rows already; only recorded now; now loaded"), "{line}");
    assert!(
        shown.contains("found unfinished at 20") && shown.contains("(wharf run), and what became of it:"),
        "{shown}"
    );
    assert_eq!(site.query("SELECT * FROM prices"), [["A", "1"]]);
    // It stays until something else was found.
    site.run(["run", "--once"]).exits(0);
    assert_eq!(recovery(&site)["at"], told["at"]);
}

#[test]
fn status_tells_which_claimed_files_were_given_back_or_settled_and_what_was_removed() {
    let site = site(INBOX);
    site.arrive("inbox/prices_1.csv", row("A", 1));
    killed(&site, "copy.sync@1", &["run", "--once"]);
    site.run(["run", "--once"]).exits(0);
    let told = recovery(&site);
    assert_eq!(
        (&told["put_back"]["files"], &told["removed"], &told["unfinished"]),
        (&json!(1), &json!(1), &json!(0)),
        "{told:#}"
    );
    assert!(told["put_back"]["names"][0].as_str().unwrap().ends_with("inbox/prices_1.csv"), "{told:#}");
    let shown = site.run(["status"]).exits(0).out;
    assert!(shown.contains("1 file claimed and not taken, given back to their source: "), "{shown}");
    assert!(shown.contains("1 file in the making removed"), "{shown}");

    site.arrive("inbox/prices_2.csv", row("A", 2));
    killed(&site, "settle.remove@1", &["run", "--once"]);
    site.run(["run", "--once"]).exits(0);
    let told = recovery(&site);
    assert_eq!((&told["settled"]["files"], &told["put_back"]["files"]), (&json!(1), &json!(0)), "{told:#}");
    assert!(site.run(["status"]).exits(0).out.contains("1 file taken, of which their source was told now: "));
    assert_eq!(site.query("SELECT * FROM prices"), [["A", "2"]]);
    assert_eq!(site.files_in("inbox"), Vec::<String>::new());
}

#[test]
fn requests_that_nobody_had_answered_are_counted() {
    let site = site(INBOX);
    let file = site.write("prices_1.csv", row("A", 1));
    let mut run = site.start();
    run.says("at work");
    run.freeze();
    killed(&site, "ledger.asked@1", &["load", file.to_str().unwrap()]);
    run.kill();
    let run = site.start();
    site.waits_for("prices_1.csv", "loaded");
    assert_eq!(recovery(&site)["requests"], 1);
    assert!(site.run(["status"]).exits(0).out.contains("1 request of other commands unanswered"));
    run.stop().exits(0);
}

#[test]
fn status_tells_since_when_a_database_takes_nothing_and_why_until_it_does() {
    let settings = format!("{INBOX}[store]\nbusy_seconds = 0\n[run]\nretry_seconds = 1\nattempts = 20\n");
    let site = site(&settings);
    site.arrive("inbox/prices_0.csv", row("A", 0));
    site.run(["run", "--once"]).exits(0);
    let busy = Connection::open(site.path("var/warehouse.db")).unwrap();
    busy.execute_batch("BEGIN IMMEDIATE").unwrap();
    let run: Running = site.start();
    site.arrive("inbox/prices_1.csv", row("A", 1));
    let told = until("status to tell of the database", || {
        let told = site.status();
        told["engine"]["databases"].as_array().is_some_and(|databases| !databases.is_empty()).then_some(told)
    });
    let database = &told["engine"]["databases"][0];
    assert!(database["trouble"].as_str().unwrap().contains("is locked"), "{database}");
    assert_eq!(database["connection"], Value::Null);
    let shown = site.run(["status"]).exits(0).out;
    assert!(shown.contains("the site's own database takes nothing since 20"), "{shown}");
    drop(busy);
    site.waits_for("prices_1.csv", "loaded");
    until("status to tell that it goes on", || {
        (site.status()["engine"]["databases"] == json!([])).then_some(())
    });
    run.stop().exits(0);
}
