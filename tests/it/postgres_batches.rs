//! `commit = "batch"` on PostgreSQL: killed between two batches and taken up again, with the reply to a batch's commit lost, and
//! with others at work in between.

use std::fs;

use serde_json::json;

use crate::{
    batches::{Small, counts, ten},
    postgres::{Cut, Postgres, Relay, Session},
    support::{Site, run},
};

const MAPPING: &str = "match = \"stock*\"\n[format]\ntype = \"csv\"\n\
    [target]\nconnection = \"w\"\ntable = \"stock\"\nkey = \"id\"\ncommit = \"batch\"\n\
    [columns]\nid = { type = \"integer\" }\nv = { max_length = 9 }\n";

/// A site whose table is there, with a rule of its own and maybe rows, reached by a URL that `url` makes of the database.
fn site(postgres: &Postgres, rows: &str, url: impl Fn(&str) -> String) -> (Site, Session) {
    let database = postgres.database();
    let session = postgres.session(&database);
    session.run("create table stock (id bigint primary key, v text check (v <> 'never'))");
    if !rows.is_empty() {
        session.run(&format!("insert into stock values {rows}"));
    }
    let site = Site::with_mapping("stock", MAPPING);
    site.write("wharf.toml", format!("[connections.w]\nurl = \"{}\"\n", url(&database)));
    (site, session)
}

fn stock(session: &Session) -> Vec<String> {
    let rows = session.rows("select id || coalesce(v, '-') from stock order by id");
    rows.into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

#[test]
fn a_load_that_is_killed_goes_on_after_its_last_batch_with_the_counts_of_the_whole() {
    let postgres = Postgres::start();
    // Into a table with rows, which wait to be held against it, and into an empty one, to which they go straight.
    for (before, wanted) in [("(2, 'old'), (5, 'x')", [10, 8, 1, 1, 0, 0, 0]), ("", [10, 10, 0, 0, 0, 0, 0])]
    {
        for (fail, there, written) in [
            ("target.mark@2", 3, 3),
            ("target.marked@2", 6, 2),
            ("target.written@3", 6, 2),
            ("target.commit@1", 9, 1),
        ] {
            let (site, session) = site(&postgres, before, |database| postgres.url(database));
            site.write("stock.csv", ten());
            site.cut("stock.csv", fail);
            let progress =
                session.rows("select progress::json ->> 'record' from _wharf_loads where state = 'part'");
            assert_eq!(progress, [[Some(there.to_string())]], "{fail}");
            assert_eq!(site.go_on(), json!(written), "{fail}");
            let delivery = site.delivery("stock.csv");
            assert_eq!(
                (&delivery["outcome"], counts(&delivery)),
                (&json!("loaded"), wanted.to_vec()),
                "{fail}"
            );
            assert_eq!(stock(&session), (1..=10).map(|id| format!("{id}x")).collect::<Vec<_>>());
            let story = site.story("stock.csv");
            assert!(story.contains(&format!("goes on after record {there}")), "{fail}: {story}");
            let left = session
                .rows("select state from _wharf_loads where progress is not null or state <> 'loaded'");
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[test]
fn what_the_table_refused_before_the_kill_is_reported_as_if_nothing_had_happened() {
    let file = "id,v\n1,x\n2,never\n3,x\n4,too long for it\n5,never\n6,x\n7,x\n8,x\n9,never\n";
    let postgres = Postgres::start();
    for before in ["(100, 'there')", ""] {
        let (undisturbed, _) = site(&postgres, before, |database| postgres.url(database));
        undisturbed.write("stock.csv", file);
        run(&mut undisturbed.small(&["load", "stock.csv"], "")).exits(2);
        for fail in ["target.mark@1", "target.marked@1", "target.mark@2", "target.marked@2", "target.seal@1"]
        {
            let (site, session) = site(&postgres, before, |database| postgres.url(database));
            site.write("stock.csv", file);
            site.cut("stock.csv", fail);
            site.go_on();
            let (delivery, wanted) = (site.delivery("stock.csv"), undisturbed.delivery("stock.csv"));
            assert_eq!(delivery["tally"], wanted["tally"], "{fail}");
            assert_eq!(counts(&delivery), [9, 5, 0, 0, 0, 4, 0], "{fail}");
            let report = |site: &Site| site.read("outbox/rejects/stock/stock.csv.errors.csv");
            assert_eq!(report(&site), report(&undisturbed), "{fail}");
            assert_eq!(fs::read_dir(site.path("var/work")).unwrap().count(), 0, "{fail}");
            assert_eq!(stock(&session)[..5], ["1x", "3x", "6x", "7x", "8x"]);
        }
    }
}

#[test]
fn a_batch_whose_commit_was_not_answered_is_neither_lost_nor_counted_twice() {
    let postgres = Postgres::start();
    for (cut, batches) in [(Cut::After, 0), (Cut::Before, 4)] {
        let relay = Relay::to(&postgres);
        let (site, session) = site(&postgres, "(2, 'old')", |database| relay.url(database));
        site.write("stock.csv", ten());
        relay.cut(cut, false);
        let ran = run(&mut site.small(&["load", "--json", "stock.csv"], ""));
        assert!(relay.has_cut());
        let story = site.story("stock.csv");
        if cut == Cut::After {
            // The load goes on as if the reply had come.
            assert!(
                story.contains("the reply to the commit was lost, and the database has the rows"),
                "{story}"
            );
            assert_eq!(counts(&ran.exits(0).object()), [10, 9, 1, 0, 0, 0, 0]);
        } else {
            let failed = ran.exits(1).object();
            assert_eq!(
                (&failed["outcome"], counts(&failed)),
                (&json!("failed"), vec![10, 0, 0, 0, 0, 0, 10])
            );
            let id = failed["delivery"].as_str().unwrap();
            let record = site.path("points.txt");
            let mut retry = site.small(&["retry", "--json", id], &format!("record={}", record.display()));
            assert_eq!(counts(&run(&mut retry).exits(0).object()), [10, 9, 1, 0, 0, 0, 0]);
            let reached = fs::read_to_string(record).unwrap();
            assert_eq!(reached.lines().filter(|line| *line == "target.write").count(), batches);
        }
        assert_eq!(stock(&session), (1..=10).map(|id| format!("{id}x")).collect::<Vec<_>>());
    }
}

#[test]
fn a_table_that_is_changed_between_two_batches_is_looked_at_again() {
    let postgres = Postgres::start();
    for (change, what) in [
        ("alter table stock add column more text", "was changed while rows were loaded"),
        (
            "update _wharf_loads set progress = replace(progress, '\"record\":3', '\"record\":2')",
            "another attempt",
        ),
    ] {
        let (site, session) = site(&postgres, "", |database| postgres.url(database));
        site.write("stock.csv", ten());
        let go = site.path("go");
        let fail = format!("target.marked@1=wait:{}", go.display());
        let load =
            site.small(&["load", "--json", "stock.csv"], &fail).stdout(std::process::Stdio::piped()).spawn();
        let load = load.unwrap();
        crate::engine::until("the first batch", || site.path("go.reached").exists().then_some(()));
        session.run(change);
        fs::write(&go, "").unwrap();
        let told = load.wait_with_output().unwrap();
        let failed: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        let message = failed["message"].as_str().unwrap();
        assert!(
            message.contains(what) && message.contains("up to record 3 are loaded and stay"),
            "{message}"
        );
        assert_eq!(counts(&failed), [10, 3, 0, 0, 0, 0, 7]);
        session.run("update _wharf_loads set progress = replace(progress, '\"record\":2', '\"record\":3')");
        let id = failed["delivery"].as_str().unwrap();
        let done = run(&mut site.small(&["retry", "--json", id], "")).exits(0).object();
        assert_eq!(counts(&done), [10, 10, 0, 0, 0, 0, 0]);
    }
}
