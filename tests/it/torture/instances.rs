//! More instances than there should be: beside one another in a site, one after another with the first one stopped past any
//! patience, and of two sites on one database.

use std::{fs, path::PathBuf, process::Stdio};

use super::IN_USE;
use crate::{
    engine::Running,
    running::{INBOX, loaded, mapping, row, site},
    support::{Site, query, run},
};

/// Three files wait in the inbox.
fn dropped(settings: &str) -> Site {
    let site = site(settings);
    for number in 1..=3 {
        site.arrive(format!("inbox/prices_{number}.csv"), row("A", number));
    }
    site
}

#[track_caller]
fn are_loaded_once(site: &Site) {
    assert_eq!(loaded(site), ["prices_1.csv", "prices_2.csv", "prices_3.csv"]);
    assert_eq!(site.query("SELECT count(*), count(DISTINCT delivery) FROM _wharf_loads"), [["3", "3"]]);
    assert_eq!(site.query("SELECT id, value FROM prices"), [["A", "3"]]);
}

/// A run that stands still at a fail point, holding what it holds there.
fn stopped_at(site: &Site, point: &str) -> (Running, PathBuf) {
    let go = site.path("go-on");
    let mut command = site.command(["run", "--once", "--json"]);
    command.env("WHARF_FAIL", format!("{point}@1=wait:{}", go.display()));
    let mut first = Running::start(site, command);
    first.until("it to come to the point", || site.path("go-on.reached").exists());
    first.freeze();
    (first, go)
}

#[test]
fn a_second_instance_is_refused_while_the_first_is_stopped_in_mid_load_and_nothing_is_doubled() {
    for point in ["claim.done", "ledger.commit", "target.written", "target.committed", "settle.begin"] {
        let site = dropped(INBOX);
        let (first, go) = stopped_at(&site, point);
        let second = run(&mut site.command(["run", "--once", "--json"])).exits(1);
        assert!((second.out + &second.err).contains(IN_USE), "{point}");
        fs::write(&go, "").unwrap();
        first.thaw();
        first.ends().exits(0);
        are_loaded_once(&site);
        assert_eq!(site.files_in("inbox"), [""; 0], "{point}");
    }
}

#[test]
fn instances_started_at_once_in_one_site_take_turns_and_load_each_file_once() {
    let site = dropped(INBOX);
    let started: Vec<_> = (0..4)
        .map(|_| {
            let mut command = site.command(["run", "--once", "--json"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let codes: Vec<_> = started.into_iter().map(|mut one| one.wait().unwrap().code()).collect();
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 1))), "{codes:?}");
    are_loaded_once(&site);
}

#[test]
fn two_sites_on_one_database_load_side_by_side_and_each_load_stands_once() {
    let shared = Site::new();
    let database = shared.path("shared.db");
    let settings = format!("{INBOX}[connections.warehouse]\nurl = \"sqlite:{}\"\n", database.display());
    let sites: Vec<Site> = (0..2).map(|_| site(&settings)).collect();
    for (number, site) in sites.iter().enumerate() {
        let mapping = mapping("prices", "", "").replace("[target]", "[target]\nconnection = \"warehouse\"");
        site.write("mappings/inbound/prices.toml", mapping);
        for file in 1..=5 {
            let rows: String = (0..50).map(|row| format!("S{number}F{file}R{row},{file}\n")).collect();
            site.arrive(format!("inbox/prices_{file}.csv"), format!("id,value\n{rows}"));
        }
    }
    let running: Vec<Running> =
        sites.iter().map(|site| site.start_with(["run", "--once", "--json"])).collect();
    running.into_iter().for_each(|one| drop(one.ends().exits(0)));
    let count = |sql| query(&database, sql);
    assert_eq!(count("SELECT count(*) FROM prices"), [["500"]]);
    let loads = "SELECT count(*), count(DISTINCT delivery), count(DISTINCT site) FROM _wharf_loads";
    assert_eq!(count(loads), [["10", "10", "2"]]);
}
