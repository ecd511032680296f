//! Files that arrive badly while `wharf run` watches: each is taken once, whole, in its place, and the others go on.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{ITEMS, balances, files_below, items};
use crate::{
    engine::{Running, until},
    support::{Ran, Site},
};

/// The site of items with the folder `inbox` as its source, and with more lines about that.
pub(super) fn inbox(lines: &str) -> Site {
    inbox_of(items(), lines)
}

/// Gives a site the folder `inbox` as its source.
pub(super) fn inbox_of(site: Site, lines: &str) -> Site {
    site.write(
        "wharf.toml",
        format!("[run]\nretry_seconds = 1\n[sources.inbox]\nfolder = \"inbox\"\n{lines}\n"),
    );
    fs::create_dir(site.path("inbox")).unwrap();
    site
}

/// A file of items with one record for each id.
pub(super) fn records(ids: impl IntoIterator<Item = u32>) -> String {
    ids.into_iter()
        .fold("id,name,amount\n".to_owned(), |text, id| text + &format!("{id},item {id},{id}.25\n"))
}

/// Puts a whole file into the inbox at once.
pub(super) fn put(site: &Site, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let made = site.write(Path::new("made").join(name), content);
    let path = site.path("inbox").join(name);
    fs::rename(made, &path).unwrap();
    path
}

/// Sets when a file was changed last, by its writer's clock.
pub(super) fn set_modified(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// `wharf run` in a site, once it is at work.
#[track_caller]
pub(super) fn started(site: &Site) -> Running {
    let run = site.start();
    run.says("at work");
    run
}

/// How many deliveries are in each state, as `wharf status --json` says.
pub(super) fn counts(status: &Ran) -> BTreeMap<String, u64> {
    let counts = status.object()["deliveries"].as_object().unwrap().clone();
    counts.into_iter().map(|(state, count)| (state, count.as_u64().unwrap())).collect()
}

/// The same of a site.
pub(super) fn states(site: &Site) -> BTreeMap<String, u64> {
    counts(&site.run(["status", "--json"]).exits(0))
}

/// How many deliveries are in that state.
pub(super) fn count(site: &Site, state: &str) -> u64 {
    states(site).get(state).copied().unwrap_or_default()
}

/// All deliveries in the order in which they were taken; each balances.
#[track_caller]
pub(super) fn deliveries(site: &Site) -> Vec<Value> {
    let mut all = site.run(["deliveries", "--json", "--limit", "100000"]).exits(0).json();
    all.reverse();
    all.iter().filter(|delivery| delivery["tally"].is_object()).for_each(balances);
    all
}

/// The same, each as `file outcome`.
#[track_caller]
pub(super) fn outcomes(site: &Site) -> Vec<String> {
    let shown = |delivery: &Value| {
        format!("{} {}", delivery["file"].as_str().unwrap(), delivery["outcome"].as_str().unwrap())
    };
    deliveries(site).iter().map(shown).collect()
}

/// The ids that were loaded, and how many loads the database knows of.
#[track_caller]
pub(super) fn loaded(site: &Site) -> (Vec<String>, String) {
    let rows = site.query("SELECT id FROM items ORDER BY CAST(id AS INTEGER)");
    let loads = site.query("SELECT count(*) FROM _wharf_loads");
    (rows.into_iter().flatten().collect(), loads[0][0].clone())
}

/// Asserts that exactly these ids were loaded, by so many loads, and that nothing is left in the inbox.
#[track_caller]
pub(super) fn all_loaded(site: &Site, ids: impl IntoIterator<Item = u32>, loads: u64) {
    let expected: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    assert_eq!(loaded(site), (expected, loads.to_string()));
    assert_eq!(files_below(&site.path("inbox")), Vec::<PathBuf>::new());
}

#[test]
fn a_marker_without_its_file_and_a_file_without_its_marker_wait_for_one_another_and_the_others_go_on() {
    let site = inbox("settle_seconds = 0\nmarker = \"{name}.done\"");
    put(&site, "a.csv", records([1]));
    put(&site, "b.csv.done", "");
    put(&site, "c.csv", records([3]));
    put(&site, "c.csv.done", "");
    let mut run = started(&site);
    run.until("the third is loaded", || count(&site, "loaded") == 1);
    run.says("b.csv.done is there, but no b.csv");
    assert_eq!(outcomes(&site), ["c.csv loaded"]);
    let mut left = files_below(&site.path("inbox"));
    left.sort();
    assert_eq!(left, [site.path("inbox/a.csv"), site.path("inbox/b.csv.done")]);

    put(&site, "a.csv.done", "");
    run.until("its marker came", || count(&site, "loaded") == 2);
    put(&site, "b.csv", records([2]));
    run.until("its file came", || count(&site, "loaded") == 3);
    run.stop().exits(0);
    assert_eq!(outcomes(&site), ["c.csv loaded", "a.csv loaded", "b.csv loaded"]);
    all_loaded(&site, 1..=3, 3);
}

#[test]
fn the_same_bytes_under_two_names_at_once_are_loaded_once_and_the_other_is_a_duplicate() {
    for running in [false, true] {
        let site = inbox("settle_seconds = 0");
        let put_both = || {
            // Whoever lists the folder sees both or neither.
            let both = site.path("both");
            for name in ["orders.csv", "orders_copy.csv"] {
                site.write(both.join(name), records([1, 2]));
            }
            fs::rename(both, site.path("inbox/both")).unwrap();
        };
        site.write(
            "wharf.toml",
            "[sources.inbox]\nfolder = \"inbox\"\nsettle_seconds = 0\nrecursive = true\n",
        );
        if !running {
            put_both();
        }
        let mut run = started(&site);
        if running {
            put_both();
        }
        run.until("both are done", || count(&site, "loaded") + count(&site, "duplicate") == 2);
        run.stop().exits(0);
        assert_eq!(outcomes(&site), ["orders.csv loaded", "orders_copy.csv duplicate"]);
        let all = deliveries(&site);
        assert_eq!(all[1]["other"], all[0]["delivery"], "it tells of which: {all:#?}");
        all_loaded(&site, [1, 2], 1);
    }
}

/// The files that are in the inbox when the program starts: names, seconds of change, and the value of record 1.
fn order_of(mapping: &str, files: [(&str, u64); 2]) -> (Vec<String>, String) {
    let site = inbox_of(Site::with_mapping("items", mapping), "settle_seconds = 0");
    for (name, seconds) in files {
        let path = put(&site, name, format!("id,name,amount\n1,{name},1\n"));
        set_modified(&path, seconds);
    }
    let mut run = started(&site);
    run.until("both are loaded", || count(&site, "loaded") == 2);
    run.stop().exits(0);
    assert_eq!(files_below(&site.path("inbox")), Vec::<PathBuf>::new());
    (outcomes(&site), site.query("SELECT name FROM items").remove(0).remove(0))
}

#[test]
fn files_whose_order_by_name_and_by_time_differ_load_by_name_or_by_time_as_the_mapping_says() {
    let files = [("a.csv", 2_000_000), ("b.csv", 1_000_000)];
    let (order, last) = order_of(ITEMS, files);
    assert_eq!((order, last.as_str()), (vec!["a.csv loaded".to_owned(), "b.csv loaded".to_owned()], "b.csv"));
    let by_time = format!("order = \"modified\"\n{ITEMS}");
    let (order, last) = order_of(&by_time, files);
    assert_eq!((order, last.as_str()), (vec!["b.csv loaded".to_owned(), "a.csv loaded".to_owned()], "a.csv"));
}

#[test]
fn the_digits_in_names_are_numbers_so_orders_9_goes_before_orders_10() {
    let (order, last) = order_of(ITEMS, [("orders_10.csv", 1), ("orders_9.csv", 2)]);
    assert_eq!(order, ["orders_9.csv loaded", "orders_10.csv loaded"]);
    assert_eq!(last, "orders_10.csv");
}

#[test]
fn two_runs_started_in_the_same_instant_are_one_that_works_and_one_that_says_who_does() {
    let site = inbox("settle_seconds = 0");
    for round in 0..12 {
        put(&site, "a.csv", records([round]));
        // Each has a log of its own.
        let logs = [Site::new(), Site::new()];
        let mut runs: Vec<Running> =
            logs.iter().map(|log| Running::start(log, site.command(["run"]))).collect();
        let over = until("one of the two to end", || runs.iter_mut().position(Running::is_over));
        let (other, mut works) = (runs.remove(over), runs.remove(0));
        let ran = other.ends().exits(1);
        let who =
            format!("another process is at work in this site: process {} (wharf run) holds", works.process());
        assert!(ran.err.contains(&who), "{round}: {who}\n{ran:?}");
        works.until("the file to be loaded", || count(&site, "loaded") == u64::from(round) + 1);
        if round % 2 == 0 {
            works.stop().exits(0);
        }
        // The others are killed, and leave a lock file with their name.
    }
    all_loaded(&site, 0..12, 12);
}
