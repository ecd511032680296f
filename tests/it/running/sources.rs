//! What the settings of a source say, and what becomes of its folder.

use std::fs;

use super::{INBOX, id, row, site};
use crate::{engine::until, support::Site};

fn source(more: &str) -> Site {
    site(&format!("{INBOX}{more}\n"))
}

/// The evidence that the ledger keeps of a delivery.
#[track_caller]
fn evidence(site: &Site, delivery: &serde_json::Value) -> String {
    let shown = site.run(["show", "--json", id(delivery)]).exits(0).object();
    shown["story"][0]["event"]["evidence"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_with_a_marker_is_taken_when_the_marker_is_there_and_the_marker_goes_with_it() {
    let site = source("marker = \"{name}.done\"");
    site.arrive("inbox/prices_1.csv", row("A", 1));
    site.arrive("inbox/prices_2.csv", row("B", 2));
    let run = site.start();
    site.arrive("inbox/prices_2.csv.done", "");
    let loaded = site.waits_for("prices_2.csv", "loaded");
    assert!(evidence(&site, &loaded).contains("prices_2.csv.done is there"));
    assert_eq!(site.deliveries().len(), 1);
    site.arrive("inbox/prices_1.csv.done", "");
    site.waits_for("prices_1.csv", "loaded");
    run.stop().exits(0);
    assert_eq!(site.files_in("inbox"), [""; 0]);
}

#[test]
fn the_files_of_a_manifest_are_taken_when_all_are_there_and_others_are_left_alone() {
    let site = source("manifest = \"*.lst\"");
    site.arrive("inbox/prices_1.csv", row("A", 1));
    site.arrive("inbox/prices_9.csv", row("I", 9));
    site.arrive("inbox/night.lst", "prices_1.csv\norders_1.csv;13\n");
    let run = site.start();
    let status = until("the manifest to be missed", || {
        let status = site.status();
        let sources = status["engine"]["sources"].as_array()?.clone();
        sources[0]["asides"].as_array()?.first().map(|aside| aside["why"].as_str().unwrap().to_owned())
    });
    assert!(status.contains("orders_1.csv, which is not there"), "{status}");
    assert!(site.deliveries().is_empty());
    site.arrive("inbox/orders_1.csv", row("O", 1));
    let loaded = site.waits_for("prices_1.csv", "loaded");
    site.waits_for("orders_1.csv", "loaded");
    assert!(evidence(&site, &loaded).contains("named by night.lst"));
    until("the manifest to be gone", || (site.files_in("inbox") == ["prices_9.csv"]).then_some(()));
    run.stop().exits(0);
}

#[test]
fn files_of_folders_below_are_taken_only_where_the_settings_say_so() {
    for (more, expected) in [("", 1), ("recursive = true", 3)] {
        let site = source(more);
        for (number, folder) in ["", "2026/", "2026/01/"].into_iter().enumerate() {
            site.arrive(format!("inbox/{folder}prices_{number}.csv"), row("A", 1));
        }
        site.run(["run", "--once"]).exits(0);
        assert_eq!(site.deliveries().len(), expected, "{more}");
        assert_eq!(site.files_in("inbox").len(), 3 - expected, "{more}");
    }
}

#[test]
fn files_dropped_into_a_folder_that_is_made_while_it_runs_are_taken() {
    let site = source("recursive = true");
    let run = site.start();
    for folder in ["a", "a/b", "c"] {
        let name = format!("prices_{}.csv", folder.replace('/', "_"));
        site.arrive(format!("inbox/{folder}/{name}"), row(folder, 1));
        site.waits_for(&name, "loaded");
    }
    run.stop().exits(0);
}

#[test]
fn files_whose_names_the_source_does_not_take_are_left_alone() {
    let site = source("match = [\"prices_*.csv\", \"*.txt\"]");
    for name in ["prices_1.csv", "orders_1.csv", "Prices_2.CSV", "prices.txt"] {
        site.arrive(format!("inbox/{name}"), row(name, 1));
    }
    site.run(["run", "--once"]).exits(0);
    assert_eq!(site.files_in("inbox"), ["orders_1.csv"]);
    assert_eq!(site.deliveries().len(), 3);
}

#[test]
fn settled_files_are_moved_aside_and_replace_nothing_there() {
    let site = source("after = \"move:done\"");
    fs::create_dir(site.path("done")).unwrap();
    let run = site.start();
    for value in [1, 2] {
        site.arrive("inbox/prices.csv", row("A", value));
        until("the file to be loaded", || {
            (site.query_or_none("SELECT value FROM prices") == [[value.to_string()]]).then_some(())
        });
        until("the file to be moved", || site.files_in("inbox").is_empty().then_some(()));
    }
    run.stop().exits(0);
    assert_eq!(site.files_in("done"), ["prices.csv", "prices.csv.2"]);
    assert_eq!((site.read("done/prices.csv"), site.read("done/prices.csv.2")), (row("A", 1), row("A", 2)));
}

#[test]
fn files_that_stay_are_taken_once_also_after_a_restart_and_again_when_they_change() {
    let site = source("after = \"keep\"");
    site.arrive("inbox/prices_1.csv", row("A", 1));
    for _ in 0..3 {
        let run = site.start();
        site.waits_for("prices_1.csv", "loaded");
        run.stop().exits(0);
        site.run(["run", "--once"]).exits(0);
        assert_eq!(site.deliveries().len(), 1);
    }
    let run = site.start();
    site.arrive("inbox/prices_1.csv", row("A", 22));
    until("the change to be loaded", || (site.deliveries().len() == 2).then_some(()));
    site.waits_for("prices_1.csv", "loaded");
    run.stop().exits(0);
    assert_eq!(site.query("SELECT value FROM prices"), [["22"]]);
    assert_eq!(site.files_in("inbox"), ["prices_1.csv"]);
}

#[test]
fn a_folder_that_disappears_is_told_and_when_it_is_back_files_are_taken_from_it() {
    let site = source("");
    let run = site.start();
    until("events", || (site.status()["engine"]["sources"][0]["watched"] == "by file events").then_some(()));
    fs::rename(site.path("inbox"), site.path("away")).unwrap();
    let said = run.says("is not there");
    assert_eq!((&said["level"], &said["source"]), (&"error".into(), &"inbox".into()));
    let trouble = || site.status()["engine"]["sources"][0]["trouble"].as_str().map(str::to_owned);
    assert!(until("status to tell", trouble).contains("is not there"));
    assert!(!site.run(["status"]).exits(0).out.contains("nothing needs a person"));

    // Another folder of that name, with a file in it from the beginning and one that comes later.
    site.arrive("new/prices_1.csv", row("A", 1));
    fs::rename(site.path("new"), site.path("inbox")).unwrap();
    site.waits_for("prices_1.csv", "loaded");
    run.says("the folder can be listed again");
    site.arrive("inbox/prices_2.csv", row("B", 1));
    site.waits_for("prices_2.csv", "loaded");
    until("status to be well", || trouble().is_none().then_some(()));
    run.stop().exits(0);
}
