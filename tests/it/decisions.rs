//! How many rejects are too many, and what a person decides about a delivery that waits: approve, decline, try again.

use serde_json::{Value, json};
use wharf::{
    ledger::{Event, Ledger, Reports},
    model::{DeliveryId, Tally},
};

use crate::support::Site;

/// A site with a mapping of prices and these lines of `[rejects]`.
fn site(rejects: &str) -> Site {
    let mapping = format!(
        "match = \"prices*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"prices\"\nkey = [\"article\"]\n\
         [rejects]\n{rejects}\n[columns]\narticle = {{}}\nprice = {{ type = \"decimal(9,2)\" }}\n"
    );
    Site::with_mapping("prices", &mapping)
}

/// A file of `good` records and then `bad` ones.
fn file(good: u64, bad: u64) -> String {
    let records =
        (0..good + bad).map(|record| format!("A{record},{}\n", if record < good { "1" } else { "x" }));
    format!("article,price\n{}", records.collect::<String>())
}

fn id(delivery: &Value) -> &str {
    delivery["delivery"].as_str().unwrap()
}

fn events(site: &Site, delivery: &Value) -> Vec<Value> {
    let shown = site.run(["show", "--json", id(delivery)]).exits(0).object();
    shown["story"].as_array().unwrap().iter().map(|entry| entry["event"]["event"].clone()).collect()
}

#[test]
fn more_rejects_than_the_limit_refuse_the_file_whole_and_the_limit_itself_does_not() {
    for (rejects, good, bad, outcome) in [
        ("", 0, 3, "loaded_with_rejects"),
        ("limit = 0", 9, 0, "loaded"),
        ("limit = 0", 9, 1, "refused"),
        ("limit = 2", 1, 2, "loaded_with_rejects"),
        ("limit = 2", 97, 3, "refused"),
        ("limit = \"10%\"", 9, 1, "loaded_with_rejects"),
        ("limit = \"10%\"", 8, 1, "refused"),
        ("limit = \"0.5%\"", 199, 1, "loaded_with_rejects"),
        ("limit = \"0.5%\"", 198, 1, "refused"),
        ("limit = \"10%\"\nat_least = 3", 0, 2, "loaded_with_rejects"),
        ("limit = \"10%\"\nat_least = 3", 2, 3, "refused"),
        ("limit = 5\nhold = 2", 9, 2, "loaded_with_rejects"),
        ("limit = 5\nhold = 2", 9, 3, "held"),
        ("limit = 5\nhold = 2", 9, 6, "refused"),
        ("hold = \"10%\"\nat_least = 2", 1, 1, "loaded_with_rejects"),
        ("hold = \"10%\"\nat_least = 2", 2, 2, "held"),
    ] {
        let site = site(rejects);
        let (code, delivery) = site.load("prices.csv", file(good, bad));
        let loaded = outcome.starts_with("loaded");
        assert_eq!(delivery["outcome"], outcome, "{rejects} {good} {bad}");
        assert_eq!(code, if !loaded { 3 } else { if bad > 0 { 2 } else { 0 } }, "{rejects} {good} {bad}");
        let tally = &delivery["tally"];
        assert_eq!((&tally["read"], &tally["rejected"]), (&json!(good + bad), &json!(bad)));
        assert_eq!(tally[if loaded { "inserted" } else { "withheld" }], good);
        if !loaded {
            assert_eq!(delivery["tables"], json!({}));
            assert_eq!(delivery["reason"], if outcome == "held" { "reject_hold" } else { "reject_limit" });
            assert!(
                !site.path("var/warehouse.db").exists()
                    || site.query("SELECT 1 FROM sqlite_schema").is_empty()
            );
        }
    }
}

#[test]
fn a_held_delivery_loads_when_it_is_approved_and_its_story_names_who_did() {
    let site = site("hold = 1");
    let (_, held) = site.load("prices.csv", file(3, 2));
    let status = site.run(["status"]).exits(0);
    assert!(status.out.contains(&format!("wharf approve {}", id(&held))), "{}", status.out);
    let ran = site.run(["approve", "--json", id(&held)]).exits(2);
    let loaded = ran.object();
    assert_eq!((id(&loaded), &loaded["outcome"]), (id(&held), &json!("loaded_with_rejects")));
    assert_eq!((&loaded["tally"]["inserted"], &loaded["tally"]["rejected"]), (&json!(3), &json!(2)));
    assert_eq!(loaded["reports"], held["reports"], "the reports are the same ones");
    assert_eq!(site.query("SELECT count(*) FROM prices"), [["3"]]);
    let told = events(&site, &held);
    let expected = [
        "taken",
        "started",
        "validated",
        "held",
        "approved",
        "started",
        "validated",
        "loaded",
        "rejects_opened",
    ];
    assert_eq!(told, expected);
    assert!(site.run(["show", id(&held)]).out.contains("approved by tester with 2 rejects"));
    assert!(site.run(["status"]).out.contains("nothing needs a person"));
    // What has been decided cannot be decided again.
    for command in ["approve", "decline", "retry"] {
        let ran = site.run([command, id(&held)]).exits(1);
        assert!(ran.err.contains(id(&held)), "{}", ran.err);
    }
    assert_eq!(site.load("prices_2.csv", file(3, 2)).1["outcome"], "duplicate");
}

#[test]
fn a_held_delivery_that_is_declined_is_refused_and_its_file_can_come_again() {
    let site = site("hold = 1");
    let (_, held) = site.load("prices.csv", file(3, 2));
    let declined = site.run(["decline", "--json", id(&held)]).exits(0).object();
    assert_eq!((&declined["outcome"], id(&declined)), (&json!("refused"), id(&held)));
    assert!(declined["message"].as_str().unwrap().contains("declined by tester"), "{declined:#}");
    assert_eq!(events(&site, &held), ["taken", "started", "validated", "held", "refused"]);
    let (code, again) = site.load("prices.csv", file(3, 2));
    assert_eq!((code, &again["outcome"]), (3, &json!("held")));
    assert_ne!(id(&again), id(&held));
}

#[test]
fn later_files_for_the_table_wait_behind_a_held_one_until_a_person_has_decided() {
    for (command, code, rows) in
        [("approve", 2, [["A0", "9.00"], ["A1", "1.00"]]), ("decline", 0, [["A0", "9.00"]; 2])]
    {
        let site = site("hold = 1");
        let (_, held) = site.load("prices_1.csv", "article,price\nA0,1\nA1,1\nB,x\nC,x\n");
        let (waits, later) = site.load("prices_2.csv", "article,price\nA0,9\n");
        assert_eq!((waits, &later["outcome"]), (3, &json!("waiting")), "{later:#}");
        assert!(later["message"].as_str().unwrap().contains(id(&held)), "{later:#}");
        // Nor does it get by when something else is loaded.
        site.run(["load"]).exits(0);
        let status = site.run(["status"]).exits(0).out;
        assert!(status.contains(&format!("waits behind {}", id(&held))), "{status}");

        let decided = site.run([command, "--json", id(&held)]).exits(code).json();
        let outcomes: Vec<&Value> = decided.iter().map(|delivery| &delivery["delivery"]).collect();
        assert_eq!(outcomes, [&held["delivery"], &later["delivery"]], "{decided:#?}");
        assert_eq!(decided[1]["outcome"], "loaded");
        let mut expected: Vec<_> = rows.to_vec();
        expected.dedup();
        assert_eq!(site.query("SELECT * FROM prices ORDER BY article"), expected);
    }
}

#[test]
fn a_held_delivery_cannot_put_older_values_over_those_of_a_later_file() {
    let site = site("hold = 1");
    let (_, held) = site.load("prices_1.csv", file(3, 2));
    // Version 1 let later files pass: such a ledger is made by hand.
    let (_, later) = site.load("prices_2.csv", "article,price\nA0,9\n");
    let mut ledger = Ledger::open(&site.path("var/ledger.db"), 1).unwrap();
    let tally = Tally { read: 1, inserted: 1, ..Tally::default() };
    let loaded = Event::Loaded {
        tally,
        tables: [("prices".into(), tally)].into(),
        message: None,
        reports: Reports::default(),
        worked_millis: 1,
    };
    let events = [Event::Started { attempt: 1, plan: None, lookups: None }, loaded];
    let later: DeliveryId = id(&later).parse().unwrap();
    ledger.append(u64::MAX >> 2, &events.map(|event| (later, event))).unwrap();
    drop(ledger);
    for command in ["approve", "retry"] {
        let ran = site.run([command, id(&held)]).exits(1);
        assert!(ran.err.contains("prices_2.csv") && ran.err.contains("older values"), "{}", ran.err);
    }
    assert_eq!(site.query("SELECT name FROM sqlite_schema WHERE name = 'prices'"), [[""; 1]; 0]);
    site.run(["decline", id(&held)]).exits(0);
}

#[test]
fn a_held_delivery_that_is_only_retried_holds_again() {
    let site = site("hold = 1");
    let (_, held) = site.load("prices.csv", file(3, 2));
    let retried = site.run(["retry", "--json", id(&held)]).exits(3).object();
    assert_eq!((&retried["outcome"], id(&retried)), (&json!("held"), id(&held)));
    assert_eq!(retried["reports"], held["reports"]);
}

#[test]
fn an_approval_is_for_the_rejects_that_were_shown_and_more_hold_again() {
    let site = site("hold = 1");
    site.load("prices_0.csv", "article,price\nZ,1\n");
    let (_, held) = site.load("prices.csv", file(5, 2));
    assert_eq!(held["outcome"], "held");
    // Meanwhile somebody gives the table a rule that two of the good rows break.
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON prices WHEN new.article IN ('A0', 'A1')
             BEGIN SELECT RAISE(ABORT, 'not on sale'); END",
        )
        .unwrap();
    let again = site.run(["approve", "--json", id(&held)]).exits(3).object();
    assert_eq!((&again["outcome"], &again["tally"]["rejected"]), (&json!("held"), &json!(4)));
    assert_eq!(site.query("SELECT article FROM prices"), [["Z"]]);
    let (_, errors) = site.report(&again, "errors");
    assert_eq!(errors.len(), 4);
    let loaded = site.run(["approve", "--json", id(&held)]).exits(2).object();
    assert_eq!((&loaded["tally"]["rejected"], &loaded["tally"]["inserted"]), (&json!(4), &json!(3)));
    assert_eq!(loaded["reports"], held["reports"]);
}

#[test]
fn rows_that_the_database_refuses_count_towards_hold_too() {
    let site = site("hold = 1");
    site.load("prices_0.csv", "article,price\nZ,1\n");
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON prices WHEN new.article = 'A0'
             BEGIN SELECT RAISE(ABORT, 'not on sale'); END",
        )
        .unwrap();
    let (code, held) = site.load("prices.csv", file(5, 1));
    assert_eq!((code, &held["outcome"], &held["tally"]["rejected"]), (3, &json!("held"), &json!(2)));
    assert_eq!(site.query("SELECT article FROM prices"), [["Z"]]);
}

#[test]
fn a_failed_delivery_is_retried_when_its_cause_is_mended() {
    let site = site("hold = 9");
    let mapping =
        site.read("mappings/inbound/prices.toml").replace("[target]", "[target]\nconnection = \"shop\"");
    site.write("mappings/inbound/prices.toml", mapping);
    site.write("wharf.toml", "[connections.shop]\nurl = \"sqlite:away/shop.db\"\n");
    let (code, failed) = site.load("prices.csv", file(3, 0));
    assert_eq!((code, &failed["outcome"], &failed["reason"]), (1, &json!("failed"), &json!("fault")));
    assert!(failed["message"].as_str().unwrap().contains("away/shop.db"), "{failed:#}");
    let status = site.run(["status"]).exits(0).out;
    assert!(status.contains(&format!("wharf retry {}", id(&failed))), "{status}");
    assert_eq!(site.run(["retry", "--json", id(&failed)]).exits(1).object()["outcome"], "failed");

    std::fs::create_dir(site.path("away")).unwrap();
    let retried = site.run(["retry", "--json", id(&failed)]).exits(0).object();
    assert_eq!((&retried["outcome"], id(&retried)), (&json!("loaded"), id(&failed)));
    assert_eq!(events(&site, &failed).iter().filter(|event| *event == "started").count(), 3);
}

#[test]
fn a_failed_delivery_is_over_when_the_same_bytes_are_loaded_later() {
    let site = site("hold = 9");
    let mapping =
        site.read("mappings/inbound/prices.toml").replace("[target]", "[target]\nconnection = \"shop\"");
    site.write("mappings/inbound/prices.toml", mapping);
    site.write("wharf.toml", "[connections.shop]\nurl = \"sqlite:away/shop.db\"\n");
    let (_, failed) = site.load("prices.csv", file(3, 0));
    std::fs::create_dir(site.path("away")).unwrap();
    let (code, _) = site.load("prices.csv", file(3, 0));
    assert_eq!(code, 0);
    let shown = site.run(["show", "--json", id(&failed)]).exits(0).object();
    assert_eq!(shown["outcome"], "overtaken");
    assert!(site.run(["status"]).out.contains("nothing needs a person"));
}
