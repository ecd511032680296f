//! Mode mirror: each file is the whole truth, and what it does not have vanishes from the table. And `newer`: old values do not
//! replace newer ones.

use serde_json::{Value, json};

use crate::{
    crash::{copy_of, killed_beyond},
    support::Site,
};

/// A site with a mapping of a shop's stock; `target` are more lines of `[target]`.
pub fn stock(target: &str) -> Site {
    let mapping = format!(
        "match = \"stock*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"stock\"\nkey = [\"store\", \"article\"]\n\
         mode = \"mirror\"\n{target}\n[columns]\nstore = {{ max_length = 4 }}\narticle = {{}}\n\
         pieces = {{ type = \"integer\" }}\n"
    );
    Site::with_mapping("stock", &mapping)
}

/// A file of these records.
pub fn file(records: &[&str]) -> String {
    format!(
        "store,article,pieces\n{}",
        records.iter().map(|record| format!("{record}\n")).collect::<String>()
    )
}

/// A file of `rows` articles of one store, the first of them number `from`.
pub fn many(store: &str, from: u64, rows: u64) -> String {
    let records: Vec<String> = (from..from + rows).map(|article| format!("{store},{article:05},1")).collect();
    file(&records.iter().map(String::as_str).collect::<Vec<_>>())
}

pub fn id(delivery: &Value) -> &str {
    delivery["delivery"].as_str().unwrap()
}

pub fn rows(site: &Site) -> u64 {
    site.query("SELECT count(*) FROM stock")[0][0].parse().unwrap()
}

/// The figures that were shown with a held delivery.
fn shown(delivery: &Value) -> (&Value, &Value, &str) {
    (&delivery["outcome"], &delivery["reason"], delivery["message"].as_str().unwrap_or_default())
}

#[test]
fn what_a_full_snapshot_no_longer_has_is_deleted_and_counted_and_the_database_remembers_it() {
    let site = stock("vanished = \"delete\"");
    let (code, first) = site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "b,1,5"]));
    assert_eq!((code, &first["tally"]["inserted"], &first["tally"]["deleted"]), (0, &json!(3), &json!(0)));
    let (code, second) = site.load("stock_2.csv", file(&["a,2,6", "b,1,5", "c,9,1"]));
    let tally = &second["tally"];
    assert_eq!((code, &second["outcome"]), (0, &json!("loaded")), "{second:#}");
    assert_eq!([&tally["inserted"], &tally["updated"], &tally["unchanged"], &tally["deleted"]], [1, 1, 1, 1]);
    assert_eq!(tally["read"], 3, "what vanishes is not part of the balance");
    assert_eq!(
        site.query("SELECT store, article, pieces FROM stock ORDER BY 1, 2"),
        [["a", "2", "6"], ["b", "1", "5"], ["c", "9", "1"]]
    );
    let remembered =
        site.query("SELECT json_extract(tally, '$.deleted') FROM _wharf_loads ORDER BY delivery");
    assert_eq!(remembered, [["0"], ["1"]]);
    assert!(site.run(["show", id(&second)]).out.contains("1 deleted"));
}

#[test]
fn marked_rows_stay_with_the_time_of_the_delivery_and_lose_the_mark_when_they_come_back() {
    let site = stock("vanished = { mark = \"deleted_at\" }");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5"]));
    let (_, second) = site.load("stock_2.csv", file(&["a,1,5"]));
    assert_eq!((&second["tally"]["deleted"], &second["tally"]["unchanged"]), (&json!(1), &json!(1)));
    let taken = site.run(["show", "--json", id(&second)]).object()["taken"].as_str().unwrap().to_owned();
    let marks = site.query("SELECT deleted_at FROM stock ORDER BY article");
    assert_eq!(marks[0], ["-"]);
    assert_eq!(marks[1][0][..10], taken[..10], "the day of the delivery");
    let (_, third) = site.load("stock_3.csv", file(&["a,1,5", "b,1,5"]));
    assert_eq!(third["tally"]["deleted"], 0, "a marked row does not vanish twice");
    assert_eq!(site.query("SELECT deleted_at FROM stock WHERE article = '2'"), [marks[1].clone()]);
    let (_, fourth) = site.load("stock_4.csv", file(&["a,1,5", "a,2,5", "b,1,5"]));
    assert_eq!((&fourth["tally"]["updated"], &fourth["tally"]["unchanged"]), (&json!(1), &json!(2)));
    assert_eq!(site.query("SELECT count(deleted_at) FROM stock"), [["0"]]);
}

#[test]
fn a_boolean_can_be_the_mark() {
    let site = stock("vanished = { mark = \"gone\", type = \"boolean\" }");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5"]));
    site.load("stock_2.csv", file(&["a,1,5"]));
    assert_eq!(site.query("SELECT gone FROM stock ORDER BY article"), [["0"], ["1"]]);
    site.load("stock_3.csv", file(&["a,1,5", "a,2,5"]));
    assert_eq!(site.query("SELECT gone FROM stock ORDER BY article"), [["0"], ["0"]]);
}

#[test]
fn with_a_scope_only_rows_of_what_the_file_is_about_vanish() {
    let site = stock("vanished = \"delete\"\nscope = \"store\"");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "b,1,5", "b,2,5"]));
    let (_, second) = site.load("stock_2.csv", file(&["b,2,5"]));
    assert_eq!(second["tally"]["deleted"], 1);
    assert_eq!(
        site.query("SELECT store, article FROM stock ORDER BY 1, 2"),
        [["a", "1"], ["a", "2"], ["b", "2"]]
    );
}

#[test]
fn a_rejected_record_keeps_its_row() {
    let site = stock("vanished = \"delete\"");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "a,3,5"]));
    let (code, second) = site.load("stock_2.csv", file(&["a,1,5", "a,2,many"]));
    assert_eq!((code, &second["outcome"]), (2, &json!("loaded_with_rejects")));
    assert_eq!((&second["tally"]["rejected"], &second["tally"]["deleted"]), (&json!(1), &json!(1)));
    assert_eq!(site.query("SELECT article, pieces FROM stock ORDER BY 1"), [["1", "5"], ["2", "5"]]);
}

#[test]
fn more_rows_than_max_deletes_wait_for_a_person_who_is_shown_the_figures() {
    for (limit, loads, held) in [("3", 3, 4), ("\"5%\"", 5, 6), ("0", 0, 1)] {
        let target = format!("vanished = \"delete\"\nmax_deletes = {limit}");
        let site = stock(&target);
        site.load("stock_1.csv", many("a", 0, 100));
        let (code, second) = site.load("stock_2.csv", many("a", loads, 100 - loads));
        assert_eq!((code, &second["tally"]["deleted"]), (0, &json!(loads)), "{limit}: {second:#}");
        let site = stock(&target);
        site.load("stock_1.csv", many("a", 0, 100));
        let (code, second) = site.load("stock_2.csv", many("a", held, 100 - held));
        let (outcome, reason, message) = shown(&second);
        assert_eq!((code, outcome, reason), (3, &json!("held"), &json!("delete_hold")));
        let figures = format!("{held} of 100 rows ({held}.00 %) are not in the file and would be deleted");
        assert!(
            message.contains(&figures) && message.contains(&format!("max_deletes = {limit}")),
            "{message}"
        );
        assert_eq!(
            (&second["tally"]["deleted"], &second["tally"]["withheld"]),
            (&json!(0), &json!(100 - held))
        );
        assert_eq!(rows(&site), 100, "nothing is written before a person says so");
    }
}

#[test]
fn left_out_max_deletes_holds_a_file_that_lost_a_fifth_and_lets_a_small_table_change() {
    for (rows, left, outcome) in
        [(10, 1, "loaded"), (100, 80, "loaded"), (100, 79, "held"), (20, 10, "loaded"), (20, 9, "held")]
    {
        let site = stock("vanished = \"delete\"");
        site.load("stock_1.csv", many("a", 0, rows));
        let (_, second) = site.load("stock_2.csv", many("a", 0, left));
        assert_eq!(second["outcome"], outcome, "{left} of {rows}: {second:#}");
    }
}

#[test]
fn approving_lets_the_rows_vanish_that_were_shown_and_the_story_names_who_did() {
    let site = stock("vanished = \"delete\"\nmax_deletes = 1");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "a,3,5"]));
    let (_, held) = site.load("stock_2.csv", file(&["a,1,5", "x,9,many"]));
    assert_eq!(held["reason"], "delete_hold", "{held:#}");
    let show = site.run(["show", id(&held)]).exits(0).out;
    assert!(show.contains("2 of 3 rows"), "{show}");
    let status = site.run(["status"]).exits(0).out;
    assert!(status.contains("would be deleted") && status.contains("wharf approve"), "{status}");
    let loaded = site.run(["approve", "--json", id(&held)]).exits(2).object();
    assert_eq!((id(&loaded), &loaded["tally"]["deleted"]), (id(&held), &json!(2)));
    assert_eq!(site.query("SELECT article FROM stock"), [["1"]]);
    let show = site.run(["show", id(&held)]).out;
    assert!(show.contains("approved by tester with 1 rejects and 2 rows that vanish"), "{show}");
    let told = site.run(["show", "--json", id(&held)]).object();
    let approved =
        told["story"].as_array().unwrap().iter().find(|entry| entry["event"]["event"] == "approved");
    assert_eq!(approved.unwrap()["event"]["deletes"], 2);
}

#[test]
fn declining_leaves_the_table_as_it_is() {
    let site = stock("vanished = \"delete\"\nmax_deletes = 1");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "a,3,5"]));
    let (_, held) = site.load("stock_2.csv", file(&["a,1,5"]));
    let declined = site.run(["decline", "--json", id(&held)]).exits(0).object();
    assert_eq!((&declined["outcome"], rows(&site)), (&json!("refused"), 3));
}

#[test]
fn a_newer_complete_file_goes_past_a_held_one_and_makes_it_void() {
    let site = stock("vanished = \"delete\"\nmax_deletes = 1");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "a,3,5"]));
    let (_, held) = site.load("stock_2.csv", file(&["a,1,5"]));
    assert_eq!(held["outcome"], "held");
    let (code, newer) = site.load("stock_3.csv", file(&["a,1,5", "a,2,5", "a,4,5"]));
    assert_eq!((code, &newer["outcome"]), (0, &json!("loaded")), "{newer:#}");
    let told = site.run(["show", "--json", id(&held)]).object();
    assert_eq!((&told["outcome"], &told["other"]), (&json!("overtaken"), &newer["delivery"]));
    assert!(site.run(["status"]).out.contains("nothing needs a person"));
    // An older file, by its name, is no newer truth: it waits behind what is held.
    let (_, held) = site.load("stock_5.csv", file(&["a,1,5"]));
    let (_, older) = site.load("stock_4.csv", file(&["a,1,5", "a,2,5", "a,4,6"]));
    assert_eq!((&held["outcome"], &older["outcome"]), (&json!("held"), &json!("waiting")), "{older:#}");
}

#[test]
fn a_complete_file_that_says_what_the_table_has_already_makes_what_came_between_void() {
    let site = stock("vanished = \"delete\"\nmax_deletes = 1");
    let whole = file(&["a,1,5", "a,2,5", "a,3,5"]);
    site.load("stock_1.csv", &whole);
    let (_, held) = site.load("stock_2.csv", file(&["a,1,5"]));
    let (code, same) = site.load("stock_3.csv", &whole);
    assert_eq!((&held["outcome"], code, &same["outcome"]), (&json!("held"), 0, &json!("duplicate")));
    let told = site.run(["show", "--json", id(&held)]).object();
    assert_eq!((&told["outcome"], &told["other"]), (&json!("overtaken"), &same["delivery"]));
    site.run(["approve", id(&held)]).exits(1);
    assert_eq!(rows(&site), 3);
}

#[test]
fn a_mirror_killed_in_the_middle_of_writing_any_file_is_finished_by_the_next_run() {
    let before = stock("vanished = { mark = \"deleted_at\" }\nmax_deletes = \"100%\"");
    before.load("stock_1.csv", many("a", 0, 4_000));
    let mut killed = 0;
    for kilobytes in [4, 20, 40, 60, 100, 200, 300, 400, 600] {
        let site = copy_of(&before);
        site.write("stock_2.csv", many("a", 2_000, 3_000));
        killed += usize::from(killed_beyond(kilobytes, &site, &["load", "stock_2.csv"]));
        site.run(["load", "stock_2.csv"]).exits(0);
        let deliveries = site.run(["deliveries", "--json", "--name", "stock_2.csv"]).json();
        let loaded: Vec<&Value> = deliveries.iter().filter(|found| found["outcome"] == "loaded").collect();
        let tally = &loaded[0]["tally"];
        assert_eq!((loaded.len(), &tally["inserted"], &tally["deleted"]), (1, &json!(1_000), &json!(2_000)));
        assert_eq!(site.query("SELECT count(*), count(deleted_at) FROM stock"), [["5000", "2000"]]);
    }
    assert!(killed >= 3, "only {killed} were killed");
}

#[test]
fn a_file_with_a_scope_is_not_the_whole_truth_and_waits_behind_a_held_one() {
    let site = stock("vanished = \"delete\"\nscope = \"store\"\nmax_deletes = 1");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "a,3,5"]));
    let (_, held) = site.load("stock_2.csv", file(&["a,1,5"]));
    let (code, later) = site.load("stock_3.csv", file(&["b,1,5"]));
    assert_eq!((&held["outcome"], code, &later["outcome"]), (&json!("held"), 3, &json!("waiting")));
}

#[test]
fn a_preview_shows_the_rows_that_would_vanish_and_a_shadow_run_reports_them() {
    let site = stock("vanished = \"delete\"\nmax_deletes = 1");
    site.load("stock_1.csv", file(&["a,1,5", "a,2,5", "a,3,5"]));
    site.write("stock_2.csv", file(&["a,1,5", "a,3,5"]));
    let preview = site.run(["preview", "--json", "stock_2.csv"]).exits(0).object();
    assert_eq!(
        (&preview["outcome"], &preview["tally"]["deleted"]),
        (&json!("loaded"), &json!(1)),
        "{preview:#}"
    );
    assert_eq!(preview["deleted"][0]["key"], json!(["a", "2"]));
    site.write("stock_2.csv", file(&["a,1,5"]));
    let preview = site.run(["preview", "--json", "stock_2.csv"]).exits(3).object();
    assert_eq!((&preview["outcome"], &preview["reason"]), (&json!("held"), &json!("delete_hold")));
    assert_eq!(rows(&site), 3);
    let mapping = site.read("mappings/inbound/stock.toml").replace("[target]", "[target]\nshadow = true");
    site.write("mappings/inbound/stock.toml", mapping);
    let (_, shadow) = site.load("stock_2.csv", file(&["a,1,5", "a,3,5"]));
    assert_eq!((&shadow["tally"]["deleted"], rows(&site)), (&json!(1), 3), "{shadow:#}");
}

#[test]
fn a_row_that_is_not_newer_than_the_stored_one_is_superseded_and_not_written() {
    let mapping = "match = \"prices*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"prices\"\nkey = \"article\"\n\
                   newer = \"changed_at\"\n[columns]\narticle = {}\nprice = { type = \"decimal(9,2)\" }\n\
                   changed_at = { type = \"timestamp\" }\n";
    let site = Site::with_mapping("prices", mapping);
    let head = "article,price,changed_at\n";
    site.load(
        "prices_1.csv",
        format!("{head}a,1,2026-01-02T00:00:00Z\nb,1,2026-01-02T00:00:00Z\nc,1,2026-01-02T00:00:00Z\nd,1,\ne,1,2026-01-02T00:00:00Z\n"),
    );
    let (code, second) = site.load(
        "prices_2.csv",
        format!("{head}a,2,2026-01-01T23:59:59Z\nb,2,2026-01-02T00:00:01Z\nc,1,2026-01-02T01:00:00+01:00\nd,2,2026-01-01T00:00:00Z\ne,2,\n"),
    );
    let tally = &second["tally"];
    assert_eq!((code, &second["outcome"]), (0, &json!("loaded")), "{second:#}");
    assert_eq!([&tally["updated"], &tally["unchanged"], &tally["superseded"]], [2, 1, 2], "{tally:#}");
    assert_eq!(
        site.query("SELECT price FROM prices ORDER BY article"),
        [["1.00"], ["2.00"], ["1.00"], ["2.00"], ["1.00"]]
    );
}
