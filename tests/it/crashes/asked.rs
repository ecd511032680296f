//! Kills on both sides of a request: the engine that works on the site, and the command that asks it for something.

use std::{fs, os::unix::process::ExitStatusExt, process::Stdio};

use wharf::wire::fail::{Point, VARIABLE};

use crate::{
    engine::{Running, until},
    support::Site,
};

const MAPPING: &str = "match = \"a*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"a\"\nkey = [\"id\"]\n\
                       [columns]\nid = {}\nvalue = { type = \"integer\" }\n";

/// A site that has loaded before, and a file to be asked for.
fn site() -> Site {
    let site = Site::with_mapping("a", MAPPING);
    fs::create_dir(site.path("inbox")).unwrap();
    site.load("a_1.csv", "id,value\n1,1\n");
    site.write("a_2.csv", "id,value\n1,2\n2,2\n3,x\n");
    site
}

fn engine(site: &Site, instructions: &str) -> Running {
    let mut command = site.command(["run", "--json"]);
    command.env(VARIABLE, instructions);
    let engine = Running::start(site, command);
    until("the engine to be ready", || site.status()["engine"]["sources"][0].is_object().then_some(()));
    engine
}

/// What the file has come to: it was loaded once, by its one delivery that is not a duplicate.
#[track_caller]
fn assert_loaded_once(site: &Site, when: &str) {
    let all = site.deliveries();
    let ends: Vec<&str> = all
        .iter()
        .filter(|one| one["file"] == "a_2.csv")
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    let loaded: Vec<&&str> = ends.iter().filter(|end| **end != "duplicate").collect();
    assert_eq!(loaded, [&"loaded_with_rejects"], "{when}: {all:#?}");
    assert_eq!(site.query("SELECT id || value FROM a ORDER BY 1"), [["12"], ["22"]], "{when}");
    assert_eq!(site.query("SELECT count(*) FROM _wharf_loads"), [["2"]], "{when}");
    assert_eq!(
        site.files_in("outbox"),
        ["rejects/a/a_2.csv.errors.csv", "rejects/a/a_2.csv.rejects.csv"],
        "{when}"
    );
}

#[test]
fn an_engine_killed_at_every_point_of_a_request_leaves_it_to_whoever_asked() {
    let scratch = tempfile::tempdir().unwrap();
    let record = scratch.path().join("points");
    let undisturbed = site();
    let running = engine(&undisturbed, &format!("record={}", record.display()));
    undisturbed.run(["load", "a_2.csv"]).exits(2);
    running.kill();
    assert_loaded_once(&undisturbed, "undisturbed");
    let reached: Vec<String> = fs::read_to_string(&record).unwrap().lines().map(str::to_owned).collect();
    let found = reached.iter().position(|point| point == Point::RequestFound.name()).expect("it was asked");
    let mut told = 0;
    for (at, point) in reached.iter().enumerate().skip(found) {
        if point == Point::SourceLook.name() {
            continue; // no part of the request
        }
        let nth = reached[..=at].iter().filter(|other| *other == point).count();
        let site = site();
        let running = engine(&site, &format!("{point}@{nth}=kill"));
        let when = format!("killed at {point}, time {nth}");
        // Whoever asked finds the engine gone: it does the work itself, or says that the next one finishes it.
        let asked = site.run(["load", "a_2.csv"]);
        assert!(!asked.err.contains("panicked"), "{when}: {asked:?}");
        assert_eq!(running.ends().code, -1, "{when}");
        site.run(["load"]);
        assert_loaded_once(&site, &when);
        told += 1;
    }
    println!("requests: occurrences {told}, identical {told}");
}

#[test]
fn whoever_asks_an_engine_and_is_killed_has_asked_or_has_not() {
    for (point, has_asked) in [(Point::LedgerAsk, false), (Point::LedgerAsked, true)] {
        let site = site();
        let running = engine(&site, "");
        let mut load = site.command(["load", "a_2.csv"]);
        load.env(VARIABLE, format!("{}=kill", point.name())).stdout(Stdio::null()).stderr(Stdio::null());
        assert_eq!(load.status().unwrap().signal(), Some(9));
        if !has_asked {
            assert!(!site.deliveries().iter().any(|one| one["file"] == "a_2.csv"), "nobody has asked");
            site.run(["load", "a_2.csv"]).exits(2);
        }
        site.waits_for("a_2.csv", "loaded_with_rejects");
        running.stop().exits(0);
        assert_loaded_once(&site, point.name());
    }
}
