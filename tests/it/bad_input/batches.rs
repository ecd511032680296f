//! Deliveries in batches that cannot be: in mappings, and after somebody changed what the database remembers of them.

use serde_json::json;

use crate::support::{Site, run};

const MAPPING: &str = "match = \"stock*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"stock\"\nkey = \"id\"\n\
                       commit = \"batch\"\n[columns]\nid = {}\n";

#[test]
fn a_mirror_in_batches_and_an_unknown_word_are_found_by_check() {
    for (from, to, said) in [
        ("commit", "mode = \"mirror\"\nvanished = \"delete\"\ncommit", "no part of a file is loaded alone"),
        ("\"batch\"", "\"batches\"", "batch"),
    ] {
        let site = Site::with_mapping("stock", &MAPPING.replacen(from, to, 1));
        let checked = site.run(["check"]).exits(1);
        let told = checked.out + &checked.err;
        assert!(told.contains(said) && told.contains("commit = "), "{told}");
    }
}

#[test]
fn progress_that_another_hand_changed_stops_the_delivery() {
    let site = Site::with_mapping("stock", MAPPING);
    site.write("stock.csv", "id\n1\n2\n3\n4\n");
    let mut cut = site.command(["load", "stock.csv", "--json"]);
    cut.env("WHARF_BATCH_ROWS", "2").env("WHARF_FAIL", "target.mark@2=eio");
    let failed = run(&mut cut).exits(1).object();
    let id = failed["delivery"].as_str().unwrap();
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database.execute_batch("UPDATE _wharf_loads SET progress = 'half of it'").unwrap();
    let failed = site.run(["retry", id, "--json"]).exits(1).object();
    assert_eq!(failed["outcome"], json!("failed"));
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains(id) && message.contains("was changed by another hand"), "{message}");
    assert_eq!(site.query("SELECT count(*) FROM stock"), [["2"]]);
}
