//! The server goes away, refuses, or comes into the way, at every moment of a load into PostgreSQL: the load is tried again
//! and ends as if nothing had been, or it has failed in clear words after its attempts. No fault makes a reject, and no
//! row is loaded twice.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
};

use serde_json::Value;
use wharf::wire::fail::VARIABLE;

use super::proxy::{Cut, Proxy};
use crate::{
    engine::{Running, until},
    postgres::{OWNER, Postgres},
    support::Site,
};

const TABLE: &str = "CREATE TABLE items (id text PRIMARY KEY, value integer CHECK (value < 90))";
/// New, changed and unchanged rows, one that the mapping and one that the table refuses.
const BEFORE: &str = "id,value\n1,1\n2,2\n";
const FILE: &str = "id,value\n1,1\n2,20\n3,3\n4,x\n5,99\n6,6\n";
const ROWS: [&str; 4] = ["1|1", "2|20", "3|3", "6|6"];

/// A site with its database; one file is loaded, the next one lies in the inbox.
struct Outage {
    site: Site,
    database: String,
}

impl Outage {
    fn new(postgres: &Postgres) -> Self {
        Self::by(postgres, |database| postgres.url(database))
    }

    /// With the URL by which the database is reached.
    fn by(postgres: &Postgres, url: impl FnOnce(&str) -> String) -> Self {
        let database = postgres.database();
        let site = Site::new();
        site.write("wharf.toml", settings(&url(&database)));
        let mapping = "match = \"items*\"\n[format]\ntype = \"csv\"\n[target]\nconnection = \"db\"\ntable = \"items\"\n\
                       key = \"id\"\n[columns]\nid = {}\nvalue = { type = \"integer\" }\n";
        site.write("mappings/inbound/items.toml", mapping);
        postgres.rows(&database, TABLE);
        site.write("inbox/items_1.csv", BEFORE);
        site.run(["run", "--once"]).exits(0);
        site.write("inbox/items_2.csv", FILE);
        Self { site, database }
    }

    /// Starts an engine that takes the file and stops when there is nothing left to do.
    fn start(&self, instructions: &str) -> Running {
        let mut command = self.site.command(["run", "--once", "--json"]);
        command.env(VARIABLE, instructions);
        Running::start(&self.site, command)
    }

    fn delivery(&self) -> Value {
        let all = self.site.deliveries();
        let mine: Vec<&Value> = all.iter().filter(|one| one["file"] == "items_2.csv").collect();
        assert_eq!(mine.len(), 1, "{all:#?}");
        mine[0].clone()
    }

    /// Everything is as it would be had nothing happened.
    #[track_caller]
    fn assert_loaded(&self, postgres: &Postgres, when: &str) {
        let delivery = self.delivery();
        assert_eq!(delivery["outcome"], "loaded_with_rejects", "{when}: {delivery:#}");
        let tally = ["read", "inserted", "updated", "unchanged", "rejected"]
            .map(|key| delivery["tally"][key].as_u64().unwrap());
        assert_eq!(tally, [6, 2, 1, 1, 2], "{when}");
        self.assert_rows(postgres, &ROWS, 2, when);
        let (_, rejects) = self.site.report(&delivery, "errors");
        let rules: Vec<String> = rejects.iter().map(|row| format!("{} {}", row[0], row[5])).collect();
        assert_eq!(rules, ["4 type", "5 target"], "{when}");
        assert_eq!(self.site.files_in("inbox"), [""; 0], "{when}");
    }

    #[track_caller]
    fn assert_rows(&self, postgres: &Postgres, rows: &[&str], loads: usize, when: &str) {
        assert_eq!(postgres.rows(&self.database, "SELECT * FROM items ORDER BY id"), rows, "{when}");
        assert_eq!(
            postgres.rows(&self.database, "SELECT state FROM _wharf_loads"),
            vec!["loaded"; loads],
            "{when}"
        );
    }

    /// Nothing of the file is loaded, nothing of it is rejected by the target, and a person can read why.
    #[track_caller]
    fn assert_failed(&self, postgres: &Postgres, says: &str, when: &str) {
        let delivery = self.delivery();
        assert_eq!(delivery["outcome"], "failed", "{when}: {delivery:#}");
        let message = delivery["message"].as_str().unwrap();
        assert!(message.contains(says), "{when}: {message}");
        assert!(delivery["tally"]["rejected"].as_u64().unwrap() <= 1, "{when}: a fault has made rejects");
        self.assert_rows(postgres, &["1|1", "2|2"], 1, when);
    }

    /// The events of the delivery.
    fn story(&self) -> Vec<Value> {
        let id = self.delivery()["delivery"].as_str().unwrap().to_owned();
        self.site.run(["show", "--json", &id]).exits(0).object()["story"].as_array().unwrap().clone()
    }

    /// Why attempts were put off.
    fn postponed(&self) -> Vec<String> {
        let mut told = Vec::new();
        for entry in self.story() {
            if entry["event"]["event"] == "postponed" {
                told.push(entry["event"]["message"].as_str().unwrap().to_owned());
            }
        }
        told
    }

    fn retry(&self) {
        let id = self.delivery()["delivery"].as_str().unwrap().to_owned();
        self.site.run(["retry", &id]).exits(2);
    }
}

fn settings(url: &str) -> String {
    format!(
        "[run]\nattempts = 3\nretry_seconds = 1\n[sources.inbox]\nfolder = \"inbox\"\nsettle_seconds = 0\n\
         [connections.db]\nurl = \"{url}\"\n"
    )
}

/// Moments of a load at which its connection is open.
const MOMENTS: [&str; 6] =
    ["target.begun", "target.write", "target.written", "target.seal", "target.commit", "target.committed"];

/// Has the load wait at a moment, and does something to the server.
#[track_caller]
fn meanwhile(outage: &Outage, moment: &str, does: impl FnOnce()) {
    let go = outage.site.path("go");
    let engine = outage.start(&format!("{moment}@1=wait:{}", go.display()));
    let reached = outage.site.path("go.reached");
    until(moment, || reached.exists().then_some(()));
    does();
    std::fs::write(&go, "").unwrap();
    let ended = engine.ends();
    assert!(matches!(ended.code, 1 | 2), "{moment}: {ended:?}");
}

#[test]
fn a_back_end_that_is_killed_at_any_moment_of_a_load_costs_another_attempt() {
    let postgres = Postgres::start();
    for moment in MOMENTS {
        let outage = Outage::new(&postgres);
        meanwhile(&outage, moment, || {
            postgres.cut(&outage.database);
        });
        outage.assert_loaded(&postgres, moment);
        if moment == "target.commit" {
            assert!(outage.postponed()[0].contains("the connection to"), "{:?}", outage.postponed());
        }
    }
}

#[test]
fn a_server_that_crashes_and_starts_again_in_mid_load_costs_another_attempt() {
    let mut postgres = Postgres::start();
    for moment in ["target.written", "target.commit", "target.committed"] {
        let outage = Outage::new(&postgres);
        meanwhile(&outage, moment, || {
            postgres.crash();
            postgres.start_again();
        });
        outage.assert_loaded(&postgres, moment);
    }
}

#[test]
fn a_server_that_stays_down_ends_in_failed_with_clear_words_and_a_retry_loads_when_it_is_back() {
    let mut postgres = Postgres::start();
    let outage = Outage::new(&postgres);
    meanwhile(&outage, "target.written", || postgres.stop());
    let delivery = outage.delivery();
    assert_eq!(delivery["outcome"], "failed", "{delivery:#}");
    assert!(delivery["message"].as_str().unwrap().contains("cannot be reached"), "{delivery:#}");
    assert_eq!(outage.postponed().len(), 2, "three attempts");
    postgres.start_again();
    outage.assert_rows(&postgres, &["1|1", "2|2"], 1, "down");
    outage.retry();
    outage.assert_loaded(&postgres, "back again");
}

/// A trigger that fails with a code as often as it is told; sequences are not undone with the transaction.
fn refusing(postgres: &Postgres, outage: &Outage, code: &str, times: u32) {
    let sql = format!(
        "CREATE SEQUENCE tries; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'as the test wants it' USING ERRCODE = '{code}'; END IF; \
         RETURN NULL; END $$; \
         CREATE TRIGGER refuse AFTER INSERT OR UPDATE ON items FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
    );
    postgres.rows(&outage.database, &sql);
}

/// (what the server says of itself, a part of the words for it).
const PASSING: [(&str, &str); 8] = [
    ("40001", "others at work at the same time"),
    ("40P01", "others at work at the same time"),
    ("53100", "no room left on its disk"),
    ("53200", "lacks something"),
    ("53300", "takes no more connections"),
    ("55P03", "locked by somebody else"),
    ("57014", "took more than"),
    ("57P01", "is not at work"),
];

#[test]
fn whatever_the_server_says_of_itself_is_tried_again_and_makes_no_reject() {
    let postgres = Postgres::start();
    for (code, says) in PASSING {
        let outage = Outage::new(&postgres);
        refusing(&postgres, &outage, code, 1);
        outage.start("").ends();
        outage.assert_loaded(&postgres, code);
        let postponed = outage.postponed();
        assert!(postponed.len() == 1 && postponed[0].contains(says), "{code}: {postponed:?}");
    }
}

#[test]
fn what_does_not_pass_ends_in_failed_after_its_attempts_with_nothing_loaded_and_nothing_rejected() {
    let postgres = Postgres::start();
    for (code, says, attempts) in [
        ("40001", "others at work at the same time", 3),
        ("53100", "no room left on its disk", 3),
        ("42501", "refuses", 1),
        ("XX001", "trouble with its disk", 1),
    ] {
        let outage = Outage::new(&postgres);
        refusing(&postgres, &outage, code, u32::MAX);
        outage.start("").ends().exits(1);
        outage.assert_failed(&postgres, says, code);
        assert_eq!(outage.postponed().len(), attempts - 1, "{code}");
        postgres.rows(&outage.database, "DROP TRIGGER refuse ON items");
        outage.retry();
        outage.assert_loaded(&postgres, code);
    }
}

#[test]
fn a_deadlock_with_another_session_costs_another_attempt() {
    let postgres = Postgres::start();
    let outage = Outage::new(&postgres);
    // Whoever waits so long looks for a deadlock: the load does, the other session does not.
    let set = format!("ALTER DATABASE {} SET deadlock_timeout = '2s'", outage.database);
    postgres.rows("postgres", &set);
    let touch = "CREATE TABLE other (id integer PRIMARY KEY, n integer); INSERT INTO other VALUES (1, 0); \
                 CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE other SET n = n + 1; \
                 RETURN NULL; END $$; \
                 CREATE TRIGGER touch AFTER INSERT OR UPDATE ON items FOR EACH STATEMENT EXECUTE FUNCTION touch()";
    postgres.rows(&outage.database, touch);
    let other = postgres.session(&outage.database);
    other.run("SET deadlock_timeout = '1h'; BEGIN; UPDATE other SET n = 100");
    let engine = outage.start("");
    let waits =
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    until("the load to wait for the other session", || {
        (!postgres.rows(&outage.database, waits).is_empty()).then_some(())
    });
    // It waits for what the load holds, until the server ends the load for it.
    other.run("UPDATE items SET value = 50 WHERE id = '2'");
    other.run("ROLLBACK");
    engine.ends();
    outage.assert_loaded(&postgres, "after a deadlock");
    let postponed = outage.postponed();
    assert!(postponed.iter().any(|why| why.contains("(SQLSTATE 40P01)")), "{postponed:?}");
}

#[test]
fn a_table_that_somebody_holds_locked_for_too_long_is_tried_again() {
    let postgres = Postgres::start();
    let outage = Outage::new(&postgres);
    let url = postgres.url(&outage.database);
    outage.site.write("wharf.toml", format!("{}lock_seconds = 1\n", settings(&url)));
    let other = postgres.session(&outage.database);
    other.run("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE");
    let engine = outage.start("");
    until("the first attempt to give up", || {
        let waits = outage.site.deliveries().iter().any(|one| one["file"] == "items_2.csv");
        (waits && !outage.postponed().is_empty()).then_some(())
    });
    other.run("ROLLBACK");
    engine.ends();
    outage.assert_loaded(&postgres, "after the lock");
    assert!(outage.postponed()[0].contains("`lock_seconds`"), "{:?}", outage.postponed());
}

#[test]
fn a_server_without_a_connection_to_spare_is_asked_again() {
    let postgres = Postgres::start();
    postgres.role("nightly", "not asked for");
    let outage = Outage::by(&postgres, |database| postgres.url(database));
    let database = &outage.database;
    postgres.rows(
        database,
        "ALTER ROLE nightly CONNECTION LIMIT 1; GRANT ALL ON ALL TABLES IN SCHEMA public TO nightly",
    );
    let url = postgres.url_as("nightly", database);
    outage.site.write("wharf.toml", settings(&url));
    let taken = thread::scope(|scope| {
        // psql holds the only connection until its input ends.
        let mut psql = std::process::Command::new("psql");
        psql.arg(&url).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let mut psql = psql.spawn().unwrap();
        until("the connection to be taken", || {
            let held = "SELECT 1 FROM pg_stat_activity WHERE usename = 'nightly'";
            (!postgres.rows(database, held).is_empty()).then_some(())
        });
        let engine = outage.start("");
        let ended = scope.spawn(move || engine.ends());
        until("the first attempt to be put off", || {
            let known = outage.site.deliveries().iter().any(|one| one["file"] == "items_2.csv");
            (known && !outage.postponed().is_empty()).then_some(())
        });
        drop(psql.stdin.take());
        psql.wait().unwrap();
        ended.join().unwrap()
    });
    assert_eq!(taken.code, 2, "{taken:?}");
    outage.assert_loaded(&postgres, "a connection is free again");
    assert!(outage.postponed()[0].contains("(SQLSTATE 53300)"), "{:?}", outage.postponed());
}

/// The proxy stands between the program and the server, and counts the commits that go by.
#[test]
fn a_connection_that_is_cut_before_or_after_any_commit_ends_in_one_load() {
    let postgres = Postgres::start();
    let through = |proxy: &Proxy, database: &str| {
        let folder = proxy.folder().display().to_string();
        format!("postgres://{OWNER}@/{database}?host={folder}&port={}", postgres.port())
    };
    let server: &Path = postgres.socket();
    let whole = Proxy::before(server, postgres.port(), Cut::Never);
    let outage = Outage::new(&postgres);
    outage.site.write("wharf.toml", settings(&through(&whole, &outage.database)));
    outage.start("").ends().exits(2);
    outage.assert_loaded(&postgres, "through the proxy");
    let commits = whole.commits();
    assert!(commits >= 1, "the load is committed by a statement of its own");
    for nth in 1..=commits {
        for cut in [Cut::Before(nth), Cut::After(nth)] {
            let when = format!("{cut:?} of {commits}");
            let proxy = Proxy::before(server, postgres.port(), cut);
            let outage = Outage::new(&postgres);
            outage.site.write("wharf.toml", settings(&through(&proxy, &outage.database)));
            let ended = outage.start("").ends();
            assert_eq!(ended.code, 2, "{when}: {ended:?}");
            assert!(proxy.has_cut(), "{when}");
            outage.assert_loaded(&postgres, &when);
        }
    }
}

/// The negative control: what these tests ask of a load is what a program without the row would not give.
#[test]
fn a_load_into_postgresql_without_its_row_in_the_loads_table_is_caught() {
    let postgres = Postgres::start();
    for (row, is_caught) in [("loads.enter@1=skip;loads.complete@1=skip;", true), ("", false)] {
        let outage = Outage::new(&postgres);
        assert_eq!(outage.start(&format!("{row}target.committed@1=kill")).ends().code, -1);
        outage.start("").ends();
        let asked = AssertUnwindSafe(|| outage.assert_loaded(&postgres, "after the kill"));
        assert_eq!(catch_unwind(asked).is_err(), is_caught, "{row}");
    }
}
