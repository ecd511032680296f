//! Clocks that are wrong, are set, and change for summer: what is taken, in which order, and how often, does not depend on
//! them.

use std::fs;

use super::time::{shifted, shifted_by_file};
use crate::{
    engine::Running,
    running::{INBOX, loaded, row, site},
    support::{Site, run},
};

/// Runs until all is done, at another time.
fn once(site: &Site, by: &str, zone: &str) {
    let mut command = site.command(["run", "--once", "--json"]);
    run(command.envs(shifted(by, zone))).exits(0);
}

/// All files of `prices` were loaded once, in this order.
#[track_caller]
fn are_loaded_once(site: &Site, files: &[&str]) {
    assert_eq!(loaded(site), files);
    let count = files.len().to_string();
    assert_eq!(
        site.query("SELECT count(*), count(DISTINCT delivery) FROM _wharf_loads"),
        [[&*count, &*count]]
    );
    assert_eq!(site.files_in("inbox"), [""; 0]);
    assert!(site.run(["status"]).exits(0).out.contains("nothing needs a person"));
}

/// When the events of all deliveries were recorded, in their order.
fn seconds(site: &Site) -> Vec<i64> {
    let at =
        crate::support::query(&site.path("var/ledger.db"), "SELECT at / 1000 FROM events ORDER BY sequence");
    at.into_iter().map(|row| row[0].parse().unwrap()).collect()
}

#[test]
fn a_clock_that_is_set_back_between_runs_loses_doubles_and_reorders_nothing() {
    let site = site(INBOX);
    for (number, by) in [(1, "+0"), (2, "-1h"), (3, "+1d"), (4, "-1h")] {
        site.arrive(format!("inbox/prices_{number}.csv"), row("A", number));
        once(&site, by, "UTC");
    }
    let at = seconds(&site);
    assert!(at.windows(2).any(|pair| pair[1] <= pair[0] - 3000), "the clock was never set back: {at:?}");
    are_loaded_once(&site, &["prices_1.csv", "prices_2.csv", "prices_3.csv", "prices_4.csv"]);
    assert_eq!(site.query("SELECT value FROM prices"), [["4"]]);
    // The same bytes are a duplicate at any hour.
    site.arrive("inbox/prices_5.csv", row("A", 4));
    once(&site, "-1d", "UTC");
    assert_eq!(site.waits_for("prices_5.csv", "duplicate")["reason"], "same_content");
}

#[test]
fn a_clock_that_is_set_back_an_hour_while_a_run_is_at_work_changes_nothing() {
    let site = site(INBOX);
    let time = site.write("time", "+0\n");
    let mut command = site.command(["run", "--json"]);
    command.envs(shifted_by_file(&time, "UTC"));
    let engine = Running::start(&site, command);
    site.arrive("inbox/prices_1.csv", row("A", 1));
    site.waits_for("prices_1.csv", "loaded");
    for (number, by) in [(2, "-1h\n"), (3, "-2h\n"), (4, "+1h\n")] {
        fs::write(&time, by).unwrap();
        site.arrive(format!("inbox/prices_{number}.csv"), row("A", number));
        site.waits_for(&format!("prices_{number}.csv"), "loaded");
    }
    engine.stop().exits(0);
    let at = seconds(&site);
    assert!(at.windows(2).any(|pair| pair[1] <= pair[0] - 3000), "the clock was never set back: {at:?}");
    are_loaded_once(&site, &["prices_1.csv", "prices_2.csv", "prices_3.csv", "prices_4.csv"]);
    assert_eq!(site.query("SELECT value FROM prices"), [["4"]]);
}

#[test]
fn the_hour_that_comes_twice_and_the_one_that_never_comes_change_nothing() {
    // Berlin: at 03:00 on 2026-10-25 it is 02:00 again, and at 02:00 on 2027-03-28 it is 03:00.
    for (before, after) in
        [("@2026-10-25 02:59:58", "@2026-10-25 02:00:01"), ("@2027-03-28 01:59:59", "@2027-03-28 03:00:01")]
    {
        let site = site(INBOX);
        for (number, by) in [(1, before), (2, after), (3, before)] {
            site.arrive(format!("inbox/prices_{number}.csv"), row("A", number));
            once(&site, by, "Europe/Berlin");
        }
        are_loaded_once(&site, &["prices_1.csv", "prices_2.csv", "prices_3.csv"]);
        assert_eq!(site.query("SELECT value FROM prices"), [["3"]]);
    }
}
