//! What a run says of itself, and that it is silent when there is nothing to say.

use std::fs;

use wharf::model::printable;

use super::{INBOX, id, row, site};
use crate::{engine::until, support::Site};

const HOSTILE: &str = "prices_\n2026-01-01T00:00:00.000Z INFO  loaded\u{1b}[2J\u{202e}\" x=1";

fn one_good_one_bad(site: &Site) {
    site.arrive("inbox/prices_1.csv", row("A", 1));
    site.arrive("inbox/photos.zip", "PK");
    site.arrive(format!("inbox/{HOSTILE}"), row("B", 1));
}

#[test]
fn the_log_tells_of_each_file_with_its_delivery_as_json_and_as_text() {
    for json in [true, false] {
        let site = site(INBOX);
        one_good_one_bad(&site);
        let run = site.start_with(if json { &["run", "--json"][..] } else { &["run"] });
        let loaded = site.waits_for("prices_1.csv", "loaded");
        let refused = site.waits_for("photos.zip", "refused");
        until("three outcomes", || {
            (site.deliveries().iter().filter(|delivery| delivery["finished"].is_string()).count() == 3)
                .then_some(())
        });
        let log = run.stop().exits(0).err;
        assert!(log.chars().all(|c| c == '\n' || printable::is_plain(c)), "{log}");
        let line = |delivery: &serde_json::Value, message: &str| {
            let found = log.lines().find(|line| line.contains(id(delivery)) && line.contains(message));
            found.unwrap_or_else(|| panic!("{message}:\n{log}")).to_owned()
        };
        let (taken, done, no) = (line(&loaded, "taken"), line(&loaded, "loaded"), line(&refused, "refused"));
        if json {
            for (text, level, key, value) in [
                (&taken, "info", "source", "inbox"),
                (&done, "info", "mapping", "prices"),
                (&no, "warn", "file", "photos.zip"),
            ] {
                let object: serde_json::Value = serde_json::from_str(text).unwrap();
                assert_eq!((&object["level"], &object[key]), (&level.into(), &value.into()), "{object}");
                assert!(object["at"].as_str().unwrap().ends_with('Z'));
            }
            let hostile = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            assert!(
                hostile
                    .into_iter()
                    .any(|line| line["file"].as_str().is_some_and(|file| file.contains("loaded")))
            );
        } else {
            assert!(taken.contains(" INFO  taken ") && taken.contains("file=prices_1.csv"), "{taken}");
            assert!(done.contains("read=1") && done.contains("inserted=1"), "{done}");
            assert!(no.contains(" WARN  refused"), "{no}");
            // A name that looks like a line of the log is none.
            assert!(!log.lines().any(|line| line.starts_with("2026-01-01")), "{log}");
        }
    }
}

#[test]
fn hostile_names_command_no_terminal_in_status_deliveries_and_show() {
    let site = site(INBOX);
    site.arrive(format!("inbox/{HOSTILE}"), "");
    let run = site.start();
    let refused = until("the outcome", || {
        site.deliveries().into_iter().find(|delivery| delivery["outcome"] == "refused")
    });
    for arguments in [&["status"][..], &["deliveries"], &["show", id(&refused)], &["status", "--json"]] {
        let out = site.run(arguments).exits(0).out;
        assert!(out.chars().all(|c| c == '\n' || printable::is_plain(c)), "{out}");
        assert!(!out.lines().any(|line| line.starts_with("2026-01-01")), "{out}");
    }
    run.stop().exits(0);
}

#[test]
fn status_tells_who_is_at_work_what_is_watched_and_how_much_waits() {
    let site = site(&format!("{INBOX}[sources.acme]\nfolder = \"acme\"\nmarker = \"{{name}}.done\"\n"));
    site.arrive("acme/prices_1.csv", row("A", 1));
    let run = site.start();
    let status = until("two sources", || {
        let status = site.status();
        let why = status["engine"]["sources"][1]["asides"][0]["why"].as_str().unwrap_or_default();
        why.contains("waits for its marker").then_some(status)
    });
    assert_eq!(
        (&status["engine"]["process"], &status["engine"]["command"]),
        (&run.process().into(), &"wharf run".into())
    );
    let text = site.run(["status"]).exits(0).out;
    for part in
        ["at work: process", "source inbox: ", "source acme: ", "prices_1.csv: it waits for its marker"]
    {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    run.stop().exits(0);
    let text = site.run(["status"]).exits(0).out;
    assert!(text.contains("no engine runs here"), "{text}");
}

/// How often the main thread of a process has gone to sleep.
fn sleeps(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_run_with_nothing_to_do_says_and_writes_nothing() {
    let site = site(&format!("{INBOX}every = \"1s\"\n"));
    site.arrive("inbox/prices_1.csv", row("A", 1));
    let run = site.start();
    site.waits_for("prices_1.csv", "loaded");
    run.says("file events come here");
    let live = site.path("var/live.json");
    let wait = |turns: u64| {
        let before = sleeps(run.process());
        until("some turns", || (sleeps(run.process()) >= before + turns).then_some(()));
    };
    // What the last file has stirred up is written down within a second.
    until("the file to be written", || live.exists().then_some(()));
    wait(12);
    let seen = || {
        let state = |name: &str| {
            let meta = fs::metadata(site.path(name)).unwrap();
            (name.to_owned(), meta.len(), meta.modified().unwrap())
        };
        let mut all = vec![state("run.log"), state("var/live.json"), state("inbox"), state("var/ledger.db")];
        all.push(state("var/ledger.db-wal"));
        all
    };
    let before = seen();
    wait(12);
    assert_eq!(seen(), before);
    run.stop().exits(0);
}
