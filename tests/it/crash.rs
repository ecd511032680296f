//! Killed at any instant and started again, the program ends in the same database, ledger outcome and reports as if
//! nothing had happened: in the middle of writing any file, and as often as it likes. `crashes` counts through every durable step.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use wharf::{
    ledger::{Event, Ledger},
    model::DeliveryId,
};

use crate::support::{Site, query, run};

const MAPPING: &str = r#"match = "prices*"
[format]
type = "csv"
[target]
table = "prices"
key = ["article"]
[columns]
article = { pattern = "A\\d+" }
price = { type = "decimal(9,2)" }
note = {}
"#;

/// Records of the file: enough for several chunks, and for what is put aside to outgrow memory.
const RECORDS: u64 = 12_000;

/// New, changed, unchanged and bad rows, and some that the database refuses.
fn prices() -> String {
    let record = |number: u64| match number % 100 {
        7 => format!("bad,{number},{}\n", "n".repeat(90)),
        8 => format!("A{number},x,\"two\nlines\"\n"),
        9 => format!("A{number},13.13,refused by the table\n"),
        _ => format!("A{number},{}.50,{}\n", number % 3, "n".repeat(90)),
    };
    format!("article,price,note\n{}", (0..RECORDS).map(record).collect::<String>())
}

/// A site that has loaded a file before, whose table has a rule of its own; the file to load lies there.
fn site() -> Site {
    let site = Site::with_mapping("prices", MAPPING);
    site.write("prices_0.csv", "article,price,note\n");
    site.run(["load", "prices_0.csv"]).exits(0);
    let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    database
        .execute_batch(
            "DROP TABLE prices;
             CREATE TABLE prices (article TEXT PRIMARY KEY NOT NULL, price TEXT CHECK (price <> '13.13'), note TEXT);",
        )
        .unwrap();
    drop(database);
    let before: String = (0..3_000).map(|number| format!("A{number},1.50,{}\n", "n".repeat(90))).collect();
    let (code, delivery) = site.load("prices_0.csv", format!("article,price,note\n{before}"));
    assert_eq!(code, 0, "{delivery:#}");
    site.write("prices.csv", prices());
    site
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (source, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// The same site in another folder.
pub fn copy_of(site: &Site) -> Site {
    let other = Site::new();
    copy(&site.path(""), &other.path(""));
    other
}

/// All files below a folder of the site, from there.
fn files(site: &Site, folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![site.path(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Everything by which two sites that loaded the file can be told apart, but for ids and times.
fn outcome(site: &Site) -> Value {
    let loads = "SELECT state, tally, rejects FROM _wharf_loads ORDER BY delivery";
    let deliveries = site.run(["deliveries", "--json", "--name", "prices.csv"]).exits(0).json();
    let mut told: Vec<Value> = deliveries
        .iter()
        .filter(|delivery| delivery["outcome"] != "duplicate")
        .map(|delivery| {
            ["outcome", "tally", "tables", "reports", "hash"].map(|key| delivery[key].clone()).to_vec().into()
        })
        .collect();
    told.sort_by_key(Value::to_string);
    let names = |folder: &str| -> Vec<String> {
        files(site, folder)
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    let reports = names("outbox");
    let rejects = crate::support::csv(&site.path("outbox/rejects/prices/prices.csv.rejects.csv"));
    json!({
        "rows": site.query("SELECT * FROM prices ORDER BY article"),
        "loads": site.query(loads),
        "deliveries": told,
        "reports": reports,
        "errors": site.read("outbox/rejects/prices/prices.csv.errors.csv"),
        "rejects": rejects.1.iter().map(|row| row[1..].to_vec()).collect::<Vec<_>>(),
        "unfinished copies": names("var/archive").into_iter().filter(|name| name.starts_with('.')).collect::<Vec<_>>(),
        "kept": names("var/rejects").len(),
        "work": names("var/work"),
    })
}

/// Loads the file again, which finishes what was begun before, and looks at everything.
fn finish(site: &Site) -> Value {
    let ran = site.run(["load", "--json", "prices.csv"]);
    assert!(matches!(ran.code, 0 | 2), "{ran:?}");
    outcome(site)
}

#[track_caller]
fn assert_same(found: &Value, expected: &Value, when: &str) {
    for (key, expected) in expected.as_object().unwrap() {
        if &found[key] != expected {
            let shown = |value: &Value| value.to_string().chars().take(600).collect::<String>();
            panic!(
                "killed {when}: {key} differs\n  found {}\n  expected {}",
                shown(&found[key]),
                shown(expected)
            );
        }
    }
}

fn undisturbed(site: &Site) -> Value {
    let site = copy_of(site);
    let loaded = site.run(["load", "--json", "prices.csv"]).exits(2).object();
    for key in ["inserted", "updated", "unchanged", "rejected"] {
        assert!(loaded["tally"][key].as_u64().unwrap() > 0, "{key}: {loaded:#}");
    }
    outcome(&site)
}

/// Loads `files` until the system kills the process, as it writes a file beyond this size; true when it was killed.
fn load_until(kilobytes: u64, site: &Site, files: &[&str]) -> bool {
    killed_beyond(kilobytes, site, &[&["load"], files].concat())
}

/// Runs a command until the system kills the process, as it writes a file beyond this size; true when it was killed.
pub fn killed_beyond(kilobytes: u64, site: &Site, arguments: &[&str]) -> bool {
    let limited = format!("ulimit -c 0; ulimit -f {kilobytes}; exec \"$@\"");
    let load = site.command(arguments);
    let mut command = Command::new("bash");
    command
        .current_dir(site.path(""))
        .args(["-c", &limited, "bash"])
        .arg(load.get_program())
        .args(load.get_args());
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().signal().is_some()
}

#[test]
fn a_file_that_ends_the_program_three_times_is_set_aside_and_the_others_go_on() {
    let site = site();
    site.write("mappings/inbound/other.toml", MAPPING.replace("\"prices", "\"other"));
    site.write("other.csv", "article,price,note\nA1,9,\n");
    for files in [&["prices.csv"][..], &[], &[]] {
        assert!(load_until(1200, &site, files));
    }
    let ran = site.run(["load", "--json", "other.csv"]).exits(1).json();
    assert_eq!((&ran[0]["file"], &ran[0]["outcome"]), (&json!("prices.csv"), &json!("failed")));
    assert!(ran[0]["message"].as_str().unwrap().contains("set aside"), "{:#}", ran[0]);
    assert_eq!((&ran[1]["file"], &ran[1]["outcome"]), (&json!("other.csv"), &json!("loaded")));
    let retried = site.run(["retry", "--json", ran[0]["delivery"].as_str().unwrap()]).exits(2).object();
    assert_eq!(retried["outcome"], "loaded_with_rejects");
}

#[test]
fn what_the_database_has_is_recorded_as_loaded_however_often_the_program_ended() {
    for has_rows in [true, false] {
        let site = Site::with_mapping("prices", MAPPING);
        let (_, loaded) = site.load("prices.csv", "article,price,note\nA1,9,\n");
        let id: DeliveryId = loaded["delivery"].as_str().unwrap().parse().unwrap();
        // As if the program had ended three times between the commit and the ledger's last word.
        let ledger = rusqlite::Connection::open(site.path("var/ledger.db")).unwrap();
        ledger.execute("DELETE FROM events WHERE event LIKE '{\"event\":\"loaded\"%'", []).unwrap();
        drop(ledger);
        let mut ledger = Ledger::open(&site.path("var/ledger.db"), 1).unwrap();
        ledger.rebuild().unwrap();
        let again = [2, 3].map(|attempt| (id, Event::Started { attempt, plan: None, lookups: None }));
        ledger.append(1, &again).unwrap();
        drop(ledger);
        if has_rows {
            let finished = site.run(["load", "--json"]).exits(0).object();
            assert_eq!((&finished["outcome"], &finished["tally"]), (&json!("loaded"), &loaded["tally"]));
            continue;
        }
        let database = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
        let loads = database.execute("DELETE FROM _wharf_loads", []).unwrap();
        assert_eq!(loads, 1);
        let failed = site.run(["load", "--json"]).exits(1).object();
        assert!(failed["message"].as_str().unwrap().contains("set aside"), "{failed:#}");
        // Had the database them after all, nobody could say that nothing was loaded.
        let insert = "INSERT INTO _wharf_loads (site, delivery, state) SELECT ?1, ?2, 'loaded'";
        let name = query(&site.path("var/ledger.db"), "SELECT site_id FROM site").remove(0).remove(0);
        database.execute(insert, [name, id.to_string()]).unwrap();
        let denied = site.run(["decline", &id.to_string()]).exits(1);
        assert!(denied.err.contains("are in the database already"), "{}", denied.err);
    }
}

#[test]
fn a_load_killed_in_the_middle_of_writing_any_file_is_finished_by_the_next() {
    let site = site();
    let expected = undisturbed(&site);
    let mut killed = 0;
    for kilobytes in [0, 1, 4, 20, 40, 100, 300, 600, 900, 1200, 1500, 2000, 2600] {
        let site = copy_of(&site);
        killed += usize::from(load_until(kilobytes, &site, &["prices.csv"]));
        assert_same(&finish(&site), &expected, &format!("beyond {kilobytes} KiB"));
    }
    assert!(killed >= 8, "only {killed} were killed");
}

#[test]
fn what_the_database_has_and_the_ledger_does_not_know_of_is_recorded_and_not_loaded_twice() {
    for reports_are_lost in [false, true] {
        let site = site();
        let loaded = site.run(["load", "--json", "prices.csv"]).exits(2).object();
        let id = loaded["delivery"].as_str().unwrap();
        let expected = outcome(&site);
        let reports = ["rejects", "errors"].map(|kind| site.path(loaded["reports"][kind].as_str().unwrap()));
        let written = reports.each_ref().map(|path| fs::read(path).unwrap());
        let loads = query(&site.path("var/warehouse.db"), "SELECT * FROM _wharf_loads ORDER BY delivery");

        // The ledger as it was when the process was killed after the database's commit.
        let path = site.path("var/ledger.db");
        let ledger = rusqlite::Connection::open(&path).unwrap();
        let cut = "DELETE FROM events WHERE sequence > (SELECT max(sequence) FROM events WHERE event LIKE '%\"started\"%')";
        assert!(ledger.execute(cut, []).unwrap() > 0);
        drop(ledger);
        Ledger::open(&path, 0).unwrap().rebuild().unwrap();
        site.write("var/lock", "4711\nwharf load\n");
        if reports_are_lost {
            reports.iter().for_each(|path| fs::remove_file(path).unwrap());
        }
        let state = |site: &Site| site.run(["show", "--json", id]).exits(0).object();
        assert_eq!(state(&site)["outcome"], "running");
        assert!(site.run(["status"]).exits(0).out.contains("not finished"));

        // Whatever is loaded next finishes it first; so does a load of nothing.
        let files: &[&str] = if reports_are_lost { &[] } else { &["prices.csv"] };
        let ran = site.run(["load", "--json"].iter().chain(files)).exits(2).json();
        assert_eq!((&ran[0]["delivery"], &ran[0]["tally"]), (&json!(id), &loaded["tally"]));
        assert_eq!(ran.len(), 1 + files.len());
        assert_same(&outcome(&site), &expected, "before the ledger knew");
        assert_eq!(reports.each_ref().map(|path| fs::read(path).unwrap()), written, "ids and all");
        assert_eq!(
            query(&site.path("var/warehouse.db"), "SELECT * FROM _wharf_loads ORDER BY delivery"),
            loads
        );
        let story = run(&mut site.command(["show", id])).exits(0).out;
        for part in ["picked up again", "the database had the rows already", "attempt 2 began"] {
            assert!(story.contains(part), "{part:?} is missing:\n{story}");
        }
    }
}
