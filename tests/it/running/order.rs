//! Whose turn it is: files of one table in their order, tables side by side, and what keeps a file waiting.

use serde_json::json;

use super::{INBOX, events, id, loaded, mapping, row, site};
use crate::{engine::until, support::Site};

/// More rejects than none hold the file.
const HOLD: &str = "[rejects]\nhold = 0";

fn bad(id: &str) -> String {
    format!("id,value\n{id},1\nbad,x\n")
}

#[test]
fn the_files_of_a_table_load_in_the_order_of_their_names_and_numbers_in_them_are_numbers() {
    let site = site(INBOX);
    for number in [10, 9, 100, 1] {
        site.arrive(format!("inbox/prices_{number}.csv"), row("A", number));
    }
    site.run(["run", "--once"]).exits(0);
    assert_eq!(loaded(&site), ["prices_1.csv", "prices_9.csv", "prices_10.csv", "prices_100.csv"]);
    assert_eq!(site.query("SELECT value FROM prices"), [["100"]]);
}

#[test]
fn the_order_of_a_mapping_may_be_that_of_a_date_in_the_name_or_of_the_times_of_change() {
    let site = site(INBOX);
    let dated = "order = \"file.day\"";
    let text = mapping("prices", dated, "").replace("\"prices*\"", "\"prices_{day:%d%m%Y}.csv\"");
    site.write("mappings/inbound/prices.toml", text);
    site.write("mappings/inbound/orders.toml", mapping("orders", "order = \"modified\"", ""));
    for name in ["prices_01032026.csv", "prices_15012026.csv", "prices_20022026.csv"] {
        site.arrive(format!("inbox/{name}"), row(name, 1));
    }
    let day = std::time::Duration::from_secs(86_400);
    for (age, name) in [(1, "orders_a.csv"), (3, "orders_b.csv"), (2, "orders_c.csv")] {
        let path = site.arrive(format!("inbox/{name}"), row(name, 1));
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - day * age).unwrap();
    }
    site.run(["run", "--once"]).exits(0);
    let loaded = loaded(&site);
    let of = |table: &str| -> Vec<String> {
        loaded.iter().filter(|name| name.starts_with(table)).cloned().collect()
    };
    assert_eq!(of("prices"), ["prices_15012026.csv", "prices_20022026.csv", "prices_01032026.csv"]);
    assert_eq!(of("orders"), ["orders_b.csv", "orders_c.csv", "orders_a.csv"]);
}

#[test]
fn tables_are_loaded_side_by_side_and_those_of_a_table_one_at_a_time() {
    let site = site(&format!(
        "{INBOX}[store]\nbusy_seconds = 300\n[connections.other]\nurl = \"sqlite:other.db\"\n"
    ));
    let text = mapping("prices", "", "").replace("[target]", "[target]\nconnection = \"other\"");
    site.write("mappings/inbound/prices.toml", text);
    site.arrive("inbox/prices_0.csv", row("A", 0));
    site.run(["run", "--once"]).exits(0);
    // Somebody else writes to the other database, so that the first price list can only wait there.
    let other = rusqlite::Connection::open(site.path("other.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    site.arrive("inbox/prices_1.csv", row("A", 1));
    site.arrive("inbox/prices_2.csv", row("A", 2));
    let run = site.start();
    site.waits_for("prices_1.csv", "running");
    site.arrive("inbox/orders_1.csv", row("O", 1));
    site.waits_for("orders_1.csv", "loaded");
    site.waits_for("prices_1.csv", "running");
    site.waits_for("prices_2.csv", "taken");
    let running = until("status to tell what runs", || {
        let running = site.status()["engine"]["running"].as_array()?.clone();
        (!running.is_empty()).then_some(running)
    });
    assert_eq!(running.len(), 1);
    assert!(running[0]["file"].as_str().unwrap().ends_with("prices_1.csv"), "{running:?}");
    other.execute_batch("ROLLBACK").unwrap();
    site.waits_for("prices_2.csv", "loaded");
    run.stop().exits(0);
    assert_eq!(loaded(&site)[1..], ["orders_1.csv", "prices_1.csv", "prices_2.csv"]);
}

#[test]
fn a_held_file_makes_the_later_ones_of_its_table_wait_and_status_names_it_until_a_person_decides() {
    for (command, expected) in [("approve", "loaded_with_rejects"), ("decline", "refused")] {
        let site = site(INBOX);
        site.write("mappings/inbound/prices.toml", mapping("prices", "", HOLD));
        let run = site.start();
        site.arrive("inbox/prices_1.csv", bad("A"));
        let held = site.waits_for("prices_1.csv", "held");
        site.arrive("inbox/prices_2.csv", row("A", 2));
        site.arrive("inbox/orders_1.csv", row("O", 1));
        site.waits_for("orders_1.csv", "loaded");
        let waiting = site.waits_for("prices_2.csv", "waiting");
        assert!(waiting["message"].as_str().unwrap().contains(id(&held)), "{waiting:#}");
        let status = site.run(["status"]).exits(0).out;
        for part in [
            &format!("waits behind {}", id(&held)),
            &format!("`wharf approve {0}` or `wharf decline {0}`", id(&held)),
        ] {
            assert!(status.contains(part), "{part}:\n{status}");
        }
        assert_eq!(site.status()["attention"][0]["delivery"], held["delivery"]);

        site.run([command, id(&held)]);
        site.waits_for("prices_2.csv", "loaded");
        assert_eq!(site.waits_for("prices_1.csv", expected)["delivery"], held["delivery"]);
        run.stop().exits(0);
        assert_eq!(site.query("SELECT value FROM prices"), [["2"]]);
    }
}

/// A site whose orders wait for the prices, of which one is held.
fn waiting_site() -> Site {
    let site = site(INBOX);
    site.write("mappings/inbound/prices.toml", mapping("prices", "", HOLD));
    site.write(
        "mappings/inbound/orders.toml",
        mapping("orders", "waits_for = \"prices\"\nwait_limit = \"1h\"", ""),
    );
    site
}

#[test]
fn a_file_that_waits_for_another_mapping_goes_on_when_that_has_loaded_what_came_before() {
    let site = waiting_site();
    let run = site.start();
    site.arrive("inbox/prices_1.csv", bad("A"));
    let held = site.waits_for("prices_1.csv", "held");
    site.arrive("inbox/orders_1.csv", row("O", 1));
    let waiting = site.waits_for("orders_1.csv", "waiting");
    let message = waiting["message"].as_str().unwrap();
    assert!(message.contains("mapping prices") && message.contains(id(&held)), "{message}");
    site.run(["approve", id(&held)]).exits(2);
    site.waits_for("orders_1.csv", "loaded");
    run.stop().exits(0);
    assert_eq!(loaded(&site), ["prices_1.csv", "orders_1.csv"]);
}

#[test]
fn what_is_waited_for_goes_first_although_it_comes_later_in_the_alphabet_and_from_another_folder() {
    let site = site(&format!("[sources.a]\nfolder = \"a\"\nsettle_seconds = 0\n{INBOX}"));
    site.write("mappings/inbound/orders.toml", mapping("orders", "waits_for = \"prices\"", ""));
    for number in 1..=3 {
        site.arrive(format!("a/orders_{number}.csv"), row("O", number));
        site.arrive(format!("inbox/prices_{number}.csv"), row("A", number));
    }
    site.run(["run", "--once"]).exits(0);
    let before = |name: &str| loaded(&site).iter().position(|loaded| loaded == name).unwrap();
    assert!(before("prices_3.csv") < before("orders_1.csv"), "{:?}", loaded(&site));
}

#[test]
fn a_file_that_has_waited_too_long_for_another_mapping_is_held_and_an_approval_lets_it_go() {
    let site = waiting_site();
    let run = site.start();
    site.arrive("inbox/prices_1.csv", bad("A"));
    site.waits_for("prices_1.csv", "held");
    site.arrive("inbox/orders_1.csv", row("O", 1));
    site.waits_for("orders_1.csv", "waiting");
    run.stop().exits(0);

    // The machine was off for two hours: for the ledger, everything was so much earlier.
    let ledger = rusqlite::Connection::open(site.path("var/ledger.db")).unwrap();
    ledger
        .execute_batch(
            "UPDATE events SET at = at - 7200000; UPDATE deliveries SET taken_at = taken_at - 7200000",
        )
        .unwrap();
    drop(ledger);
    let run = site.start();
    let held = site.waits_for("orders_1.csv", "held");
    assert_eq!(held["reason"], "wait_limit");
    let message = held["message"].as_str().unwrap();
    assert!(message.contains("time limit") && message.contains("prices"), "{message}");
    let approved = site.run(["approve", "--json", id(&held)]).exits(0).object();
    assert_eq!((&approved["outcome"], &approved["delivery"]), (&json!("loaded"), &held["delivery"]));
    run.stop().exits(0);
    assert!(events(&site, &held).contains(&"approved".to_owned()));
    assert_eq!(site.query("SELECT id FROM orders"), [["O"]]);
}
