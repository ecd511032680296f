//! A file from the moment it is seen to the moment its source lets go of it.

use std::{fs, process::Command};

use serde_json::json;

use super::{INBOX, events, id, mapping, row, site};
use crate::{
    engine::{Running, until},
    support::Site,
};

/// What `status` says of how the first source is watched.
fn watched(site: &Site) -> String {
    let status = site.status();
    status["engine"]["sources"][0]["watched"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_file_is_noticed_by_its_event_taken_when_it_is_whole_and_removed_and_what_showed_that_it_is_whole_is_kept()
 {
    // Within a day nobody would look, if the event did not come.
    let site = site("[sources.inbox]\nfolder = \"inbox\"\nsettle_seconds = 1\nevery = \"1d\"\n");
    let run = site.start();
    until("events", || (watched(&site) == "by file events").then_some(()));
    site.arrive("inbox/prices.csv", row("A", 1));
    let loaded = site.waits_for("prices.csv", "loaded");
    assert_eq!(loaded["source"], "inbox");
    assert_eq!(site.query("SELECT * FROM prices"), [["A", "1"]]);
    until("the file to be gone", || site.files_in("inbox").is_empty().then_some(()));

    let shown = site.run(["show", "--json", id(&loaded)]).exits(0).object();
    assert_eq!(shown["story"][0]["event"]["evidence"], "unchanged for 1 s");
    let shown = site.run(["show", id(&loaded)]).exits(0).out;
    assert!(shown.contains("unchanged for 1 s"), "{shown}");
    run.stop().exits(0);
}

#[test]
fn where_no_events_come_the_folder_is_listed_at_the_intervals_of_the_settings() {
    let site = site(&format!("{INBOX}every = \"1s\"\n"));
    // In a namespace of its own the program may watch no folder at all.
    let wharf = site.command(["run", "--json"]);
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c"])
        .arg("echo 0 >/proc/sys/user/max_inotify_instances && exec \"$0\" run --json");
    command.arg(wharf.get_program()).current_dir(site.path(""));
    let run = Running::start(&site, command);
    let said = run.says("the folder is listed every 1 s");
    assert!(said["message"].as_str().unwrap().contains("max_user_instances"), "{said}");
    assert!(watched(&site).starts_with("listed every 1 s"));
    for name in ["prices_1.csv", "prices_2.csv"] {
        site.arrive(format!("inbox/{name}"), row(name, 1));
        site.waits_for(name, "loaded");
    }
    run.stop().exits(0);
}

#[test]
fn files_dropped_while_nobody_was_there_are_taken_at_start() {
    let site = site(INBOX);
    for name in ["prices_1.csv", "prices_2.csv"] {
        site.arrive(format!("inbox/{name}"), row(name, 1));
    }
    let run = site.start();
    site.waits_for("prices_1.csv", "loaded");
    site.waits_for("prices_2.csv", "loaded");
    run.stop().exits(0);
}

#[test]
fn files_in_the_making_are_left_alone_until_they_are_renamed() {
    let site = site(INBOX);
    let making = ["prices.csv.part", "prices.TMP", "prices.csv.filepart", "prices.csv~", ".prices.csv"];
    for name in making {
        site.arrive(format!("inbox/{name}"), row(name, 1));
    }
    site.arrive("inbox/prices_1.csv", row("A", 1));
    let run = site.start();
    site.waits_for("prices_1.csv", "loaded");
    fs::rename(site.path("inbox/prices.csv.part"), site.path("inbox/prices.csv")).unwrap();
    site.waits_for("prices.csv", "loaded");
    run.stop().exits(0);
    assert_eq!(site.files_in("inbox"), [".prices.csv", "prices.TMP", "prices.csv.filepart", "prices.csv~"]);
    assert_eq!(site.deliveries().len(), 2);
}

#[test]
fn a_file_of_no_mapping_or_of_two_is_taken_kept_and_refused_and_the_others_go_on() {
    let site = site(INBOX);
    site.write("mappings/inbound/more.toml", mapping("orders_x", "", ""));
    for name in ["photos.zip", "orders_x.csv", "orders_1.csv"] {
        site.arrive(format!("inbox/{name}"), row(name, 1));
    }
    let run = site.start();
    let nobodys = site.waits_for("photos.zip", "refused");
    let everybodys = site.waits_for("orders_x.csv", "refused");
    site.waits_for("orders_1.csv", "loaded");
    run.stop().exits(0);
    assert_eq!((&nobodys["reason"], &everybodys["reason"]), (&json!("no_mapping"), &json!("ambiguous")));
    assert!(everybodys["message"].as_str().unwrap().contains("more and orders"), "{everybodys:#}");
    assert_eq!(events(&site, &nobodys), ["taken", "refused"]);
    let shown = site.run(["show", "--json", id(&nobodys)]).exits(0).object();
    assert_eq!(
        fs::read_to_string(site.path(shown["archive"].as_str().unwrap())).unwrap(),
        row("photos.zip", 1)
    );
    assert_eq!(site.files_in("inbox"), [""; 0]);
}

#[test]
fn a_file_goes_to_the_mapping_of_its_source_only() {
    let site = site(&format!("{INBOX}[sources.acme]\nfolder = \"acme\"\nsettle_seconds = 0\n"));
    site.write("mappings/inbound/prices.toml", mapping("prices", "source = \"acme\"", ""));
    site.arrive("acme/prices_1.csv", row("A", 1));
    site.arrive("inbox/prices_2.csv", row("B", 1));
    let run = site.start();
    assert_eq!(site.waits_for("prices_1.csv", "loaded")["source"], "acme");
    assert_eq!(site.waits_for("prices_2.csv", "refused")["reason"], "no_mapping");
    run.stop().exits(0);
}
