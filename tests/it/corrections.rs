//! Reject reports that somebody has corrected come back: resubmitted, loaded, or dropped in the inbox while `run` works.

use std::{fs, process::Stdio};

use serde_json::Value;

use crate::{
    crash::copy_of,
    engine::until,
    support::{Ran, Site},
};

/// Orders with everything that spreadsheets like to change.
pub const MAPPING: &str = r#"match = "orders*"
[format]
type = "csv"
[target]
table = "orders"
key = ["no"]
[columns]
no = { from = "No", required = true, max_length = 6 }
name = { from = "Name" }
amount = { from = "Amount", type = "decimal(10,2)" }
due = { from = "Due", type = "date" }
"#;

/// Five rejects in the three columns that have rules, and one good row.
pub const ORDERS: &str = "No,Name,Amount,Due\n\
    00001,Adams,1.10,2026-03-01\n\
    00002,Müller,1.20x,2026-03-02\n\
    00003,+49 30 1,1.30,2026-02-30\n\
    0000004,=Smith,1.40,2026-03-04\n\
    00005,Łódź,,31.2.26\n\
    00006,too,few\n";

/// A report as it is in somebody's hands.
pub struct Report {
    pub site: Site,
    /// The delivery that rejected its rows.
    pub delivery: Value,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Report {
    /// The report about [`ORDERS`].
    pub fn new() -> Self {
        Self::of(MAPPING, ORDERS)
    }

    /// The report about a file `orders_1.csv`.
    #[track_caller]
    pub fn of(mapping: &str, file: &str) -> Self {
        let site = Site::with_mapping("orders", mapping);
        let (code, delivery) = site.load("orders_1.csv", file);
        assert!(code > 1, "{delivery}");
        let (header, rows) = site.report(&delivery, "rejects");
        Self { site, delivery, header, rows }
    }

    /// The column of this name.
    #[track_caller]
    pub fn at(&self, column: &str) -> usize {
        self.header.iter().position(|name| name == column).unwrap_or_else(|| panic!("no column {column}"))
    }

    /// Writes a cell.
    pub fn set(&mut self, row: usize, column: &str, text: &str) {
        let at = self.at(column);
        self.rows[row][at] = text.to_owned();
    }

    /// What corrects all of [`ORDERS`].
    pub fn correct_all(&mut self) {
        self.set(0, "Amount", "1.20");
        self.set(1, "Due", "2026-02-28");
        self.set(2, "No", "00004");
        self.set(3, "Due", "2026-02-27");
        self.set(4, "wharf_raw", "00006,Zoe,1.60,2026-03-06");
    }

    /// The report as a file with these marks between and around cells.
    pub fn text(&self, delimiter: char, quote_all: bool, line_end: &str) -> String {
        let cell = |cell: &String| {
            if quote_all || cell.contains([delimiter, '"', '\n']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.clone()
            }
        };
        let line = |cells: &Vec<String>| {
            cells.iter().map(cell).collect::<Vec<_>>().join(&delimiter.to_string()) + line_end
        };
        line(&self.header) + &self.rows.iter().map(line).collect::<String>()
    }

    /// The report as programs write it by default.
    pub fn plain(&self) -> String {
        self.text(',', false, "\n")
    }

    /// Sends bytes back under this name.
    #[track_caller]
    pub fn send(&self, name: &str, bytes: impl AsRef<[u8]>) -> (i32, Vec<Value>) {
        self.site.write(name, bytes);
        let ran = self.site.run(["resubmit", "--json", name]);
        (ran.code, ran.json())
    }

    /// Sends the report back as it is now, and gives the only correction that it makes.
    #[track_caller]
    pub fn send_plain(&self) -> (i32, Value) {
        let (code, mut deliveries) = self.send("back.csv", self.plain());
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        (code, deliveries.remove(0))
    }

    /// How many of its rejects are open, corrected, overtaken, ignored.
    #[track_caller]
    pub fn standing(&self) -> [u64; 4] {
        let id = self.delivery["delivery"].as_str().unwrap();
        let shown = self.site.run(["show", "--json", id]).exits(0).object();
        ["open", "corrected", "overtaken", "ignored"].map(|state| shown["rejects"][state].as_u64().unwrap())
    }

    pub fn orders(&self) -> Vec<String> {
        let rows = self.site.query("SELECT no, name, amount, due FROM orders ORDER BY no");
        rows.into_iter().map(|row| row.join("|")).collect()
    }
}

/// What [`ORDERS`] come to when all of them are corrected.
pub const CORRECTED: [&str; 6] = [
    "00001|Adams|1.10|2026-03-01",
    "00002|Müller|1.20|2026-03-02",
    "00003|+49 30 1|1.30|2026-02-28",
    "00004|=Smith|1.40|2026-03-04",
    "00005|Łódź|-|2026-02-27",
    "00006|Zoe|1.60|2026-03-06",
];

/// The columns of a report about a correction that say what is wrong, with the line.
#[track_caller]
pub fn errors(site: &Site, delivery: &Value) -> Vec<String> {
    let (_, rows) = site.report(delivery, "errors");
    rows.iter().map(|row| format!("{} {} {}: {}", row[1], row[3], row[5], row[6])).collect()
}

/// The figures read, inserted, updated and rejected.
pub fn counts(delivery: &Value) -> [u64; 4] {
    ["read", "inserted", "updated", "rejected"].map(|key| delivery["tally"][key].as_u64().unwrap())
}

fn utf16(text: &str, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_report_that_is_corrected_and_sent_back_loads_and_closes_its_rejects() {
    let mut report = Report::new();
    assert_eq!(report.standing(), [5, 0, 0, 0]);
    report.correct_all();
    let (code, correction) = report.send_plain();
    assert_eq!((code, counts(&correction)), (0, [5, 5, 0, 0]), "{correction}");
    assert_eq!((&correction["outcome"], &correction["mapping"]), (&"loaded".into(), &"orders".into()));
    assert_eq!(correction["corrects"], report.delivery["delivery"]);
    assert_eq!(report.orders(), CORRECTED);
    assert_eq!(report.standing(), [0, 5, 0, 0]);
}

#[test]
fn a_corrected_report_is_known_in_every_dialect_and_encoding_whatever_its_name() {
    let letters =
        |text: &str| text.replace("Łódź", "?ód?").chars().map(|c| c as u32 as u8).collect::<Vec<u8>>();
    let mark = |text: &str| [b"\xef\xbb\xbf", text.as_bytes()].concat();
    type Save = fn(&Report) -> String;
    type Encode<'a> = &'a dyn Fn(&str) -> Vec<u8>;
    let saved: [(&str, Save, Encode<'_>); 8] = [
        ("from wharf.csv", |report| report.plain(), &mark),
        ("orders_1.csv.rejects.csv", |report| report.text(',', false, "\r\n"), &|text| {
            text.as_bytes().to_vec()
        }),
        ("libreoffice", |report| report.text(';', true, "\n"), &|text| text.as_bytes().to_vec()),
        ("excel de.csv", |report| report.text(';', false, "\r\n"), &letters),
        ("Unicode Text.txt", |report| report.text('\t', false, "\r\n"), &|text| utf16(text, true)),
        ("no mark.txt", |report| report.text('\t', true, "\r\n"), &|text| utf16(text, false)),
        ("pipes", |report| report.text('|', false, "\n"), &|text| text.as_bytes().to_vec()),
        ("sep.csv", |report| format!("sep=;\r\n{}", report.text(';', false, "\r\n")), &mark),
    ];
    for (name, save, encode) in saved {
        let mut report = Report::new();
        report.correct_all();
        let (code, deliveries) = report.send(name, encode(&save(&report)));
        assert_eq!(code, 0, "{name}: {deliveries:?}");
        assert_eq!(report.orders(), CORRECTED, "{name}");
    }
}

#[test]
fn what_is_still_wrong_keeps_its_id_and_comes_back_again() {
    let mut report = Report::new();
    report.set(0, "Amount", "1,2,0");
    report.set(0, "Name", "Mueller");
    report.set(1, "Due", "2026-02-28");
    report.rows.truncate(2);
    let (code, first) = report.send_plain();
    assert_eq!((code, counts(&first)), (2, [2, 1, 0, 1]));
    assert_eq!(report.standing(), [4, 1, 0, 0], "rows that are not sent back stay open");
    let (header, left) = report.site.report(&first, "rejects");
    assert_eq!((header, left.len(), &left[0][0]), (report.header.clone(), 1, &report.rows[0][0]));
    assert_eq!(left[0][2..4], ["Mueller", "1,2,0"], "as the correction left it");
    assert!(first["reports"]["rejects"].as_str().unwrap().contains("orders_1.csv"), "{first}");
    (report.rows, report.delivery) = (left, report.delivery);
    report.set(0, "Amount", "1.20");
    let (code, second) = report.send_plain();
    assert_eq!((code, counts(&second)), (0, [1, 1, 0, 0]));
    assert_eq!(report.standing(), [3, 2, 0, 0]);
    assert_eq!(report.orders()[1], "00002|Mueller|1.20|2026-03-02");
}

#[test]
fn a_correction_that_is_dropped_in_the_inbox_is_taken_before_any_mapping_is_asked() {
    // One of a name that the mapping takes, and one of a name that none does.
    for name in ["orders_1.csv.rejects.csv", "corrected by Ada.txt"] {
        let mut report = Report::new();
        report.site.write("wharf.toml", "[sources.inbox]\nfolder = \"inbox\"\nsettle_seconds = 0\n");
        fs::create_dir(report.site.path("inbox")).unwrap();
        report.correct_all();
        let run = report.site.start();
        run.says("at work");
        report.site.write(format!("drop/{name}"), report.text(';', false, "\r\n"));
        fs::rename(report.site.path(format!("drop/{name}")), report.site.path(format!("inbox/{name}")))
            .unwrap();
        until("the correction to be loaded", || (report.orders().len() == 6).then_some(()));
        run.stop().exits(0);
        assert_eq!(report.orders(), CORRECTED, "{name}");
        assert_eq!(report.standing(), [0, 5, 0, 0]);
        assert!(!report.site.path(format!("inbox/{name}")).exists(), "it is taken");
        let correction = report.site.deliveries().pop().unwrap();
        assert_eq!(correction["corrects"], report.delivery["delivery"], "{correction}");
    }
}

#[test]
fn a_correction_is_resubmitted_beside_a_running_engine_as_without_one() {
    let mut report = Report::new();
    report.correct_all();
    let run = report.site.start();
    run.says("at work");
    let (code, correction) = report.send_plain();
    run.stop().exits(0);
    assert_eq!((code, counts(&correction)), (0, [5, 5, 0, 0]));
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn load_takes_a_corrected_report_for_what_it_is_and_resubmit_takes_nothing_else() {
    let mut report = Report::new();
    report.correct_all();
    let (code, correction) = report.site.load("orders_2.csv", report.plain());
    assert_eq!((code, &correction["corrects"]), (0, &report.delivery["delivery"]));
    assert_eq!(report.orders(), CORRECTED);
    report.site.write("orders_3.csv", "No,Name\n00007,Eve\n");
    let Ran { code, out, .. } = report.site.run(["resubmit", "orders_3.csv"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("it is no corrected report: its first line has no column wharf_reject_id"), "{out}");
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn rows_of_several_reports_in_one_file_become_one_correction_each() {
    let report = Report::new();
    let (_, other) = report.site.load("orders_2.csv", "No,Name,Amount,Due\n00008,Kim,x,\n");
    let (_, rows) = report.site.report(&other, "rejects");
    let mut both = Report { rows: vec![rows[0].clone(), report.rows[0].clone()], ..report };
    both.set(0, "Amount", "8");
    both.set(1, "Amount", "1.20");
    let (code, deliveries) = both.send("both.csv", both.plain());
    let corrects: Vec<&Value> = deliveries.iter().map(|delivery| &delivery["corrects"]).collect();
    assert_eq!((code, corrects.len()), (0, 2));
    assert!(corrects.contains(&&other["delivery"]) && corrects.contains(&&both.delivery["delivery"]));
    assert_eq!(both.orders()[1..], ["00002|Müller|1.20|2026-03-02", "00008|Kim|8.00|-"]);
}

#[test]
fn a_record_without_columns_is_corrected_in_its_text_or_by_filling_in_its_columns() {
    for in_columns in [true, false] {
        let mut report = Report::new();
        report.rows = report.rows.split_off(4);
        if in_columns {
            for (column, text) in
                [("No", "00006"), ("Name", "Zoe"), ("Amount", "1.60"), ("Due", "2026-03-06")]
            {
                report.set(0, column, text);
            }
        } else {
            report.set(0, "wharf_raw", "00006,\"Zoe\",1.60,2026-03-06");
        }
        let (code, _) = report.send_plain();
        assert_eq!(code, 0);
        assert_eq!(report.orders()[1], "00006|Zoe|1.60|2026-03-06");
    }
}

#[test]
fn a_person_may_correct_what_nothing_was_found_in() {
    let mut report = Report::new();
    report.rows.truncate(1);
    report.set(0, "Amount", "1.20");
    report.set(0, "Name", "Mueller");
    report.set(0, "No", "00022");
    report.set(0, "Due", "2026-03-03");
    report.send_plain();
    assert_eq!(report.orders()[1], "00022|Mueller|1.20|2026-03-03");
}

#[test]
fn the_corrected_file_is_kept_as_it_came_and_the_story_tells_what_was_undone() {
    let mut report = Report::new();
    report.correct_all();
    let at = report.at("Due");
    report.rows.iter_mut().for_each(|row| row.insert(at, "a note".to_owned()));
    report.header.insert(at, "my notes".to_owned());
    report.set(0, "Due", "02.03.2026");
    let text = report.text(';', false, "\r\n");
    let (code, deliveries) = report.send("back.csv", &text);
    assert_eq!(code, 0, "{deliveries:?}");
    assert_eq!(report.orders(), CORRECTED);
    let shown = report.site.run(["show", deliveries[0]["delivery"].as_str().unwrap()]).exits(0).out;
    assert!(shown.contains("were left out: \"my notes\""), "{shown}");
    assert!(
        shown.contains("1 cell that nobody had to correct came back as a spreadsheet (de) shows them"),
        "{shown}"
    );
    let archive = walkdir::WalkDir::new(report.site.path("var/archive"));
    let files = archive.into_iter().flatten().filter(|entry| entry.file_type().is_file());
    assert!(files.into_iter().any(|entry| fs::read(entry.path()).unwrap() == text.as_bytes()));
}

#[test]
fn a_broken_record_is_shown_and_corrected_in_letters_whatever_the_encoding_of_its_file() {
    type Encode = fn(&str) -> Vec<u8>;
    let encodings: [(&str, Encode); 2] = [
        ("windows-1252", |text| text.chars().map(|c| u8::try_from(c as u32).unwrap()).collect()),
        ("utf-16le", |text| utf16(text, false)),
    ];
    for (name, encode) in encodings {
        let mapping = MAPPING.replace("[target]", &format!("encoding = \"{name}\"\n[target]"));
        let site = Site::with_mapping("orders", &mapping);
        let (_, delivery) = site.load("orders_1.csv", encode("No,Name,Amount,Due\n1,Müller,x\n2,Käthe\n"));
        let (header, rows) = site.report(&delivery, "rejects");
        let mut report = Report { site, delivery, header, rows };
        assert_eq!(report.rows[0].last().map(String::as_str), Some("1,Müller,x"), "{name}");
        report.set(0, "wharf_raw", "1,Müller,1.5,");
        let (code, correction) = report.send_plain();
        assert_eq!((code, counts(&correction)), (2, [2, 1, 0, 1]), "{name}");
        assert_eq!(report.orders(), ["1|Müller|1.50|-"]);
        let (_, left) = report.site.report(&correction, "rejects");
        assert_eq!(left[0].last().map(String::as_str), Some("2,Käthe"), "{name}: as it was");
        report.rows = left;
        report.set(0, "wharf_raw", "2,Käthe,2.5,");
        assert_eq!(report.send_plain().0, 0, "{name}");
        assert_eq!(report.orders()[1], "2|Käthe|2.50|-", "{name}");
    }
}

#[test]
fn a_correction_deletes_nothing_where_files_are_the_whole_truth() {
    let mapping = MAPPING.replace("[columns]", "mode = \"mirror\"\nvanished = \"delete\"\n[columns]");
    let mut report = Report::of(&mapping, "No,Name,Amount,Due\n1,a,1,\n2,b,2,\n3,c,x,\n");
    report.set(0, "Amount", "3");
    let (code, correction) = report.send_plain();
    assert_eq!((code, &correction["tally"]["deleted"]), (0, &0.into()));
    assert_eq!(report.orders(), ["1|a|1.00|-", "2|b|2.00|-", "3|c|3.00|-"]);
}

#[test]
fn a_correction_that_is_killed_at_any_moment_is_finished_and_loaded_once() {
    let file: String = (0..2_000).map(|no| format!("{no},n,x,\n")).collect();
    let mut report = Report::of(MAPPING, &format!("No,Name,Amount,Due\n{file}"));
    (0..2_000).for_each(|row| report.set(row, "Amount", "1"));
    let text = report.plain();
    let before = report.site;
    let holds = |site: &Site, sql: &str| !crate::support::query(&site.path("var/ledger.db"), sql).is_empty();
    let running = "SELECT 1 FROM deliveries WHERE corrects IS NOT NULL AND state = 'running'";
    type Seen<'a> = &'a dyn Fn(&Site) -> bool;
    let moments: [(&str, Seen<'_>); 5] = [
        ("at once", &|_| true),
        ("with the lock", &|site| fs::metadata(site.path("var/lock")).is_ok_and(|meta| meta.len() > 0)),
        ("when the file is archived", &|site| {
            let archive = walkdir::WalkDir::new(site.path("var/archive")).into_iter().flatten();
            archive.filter(|entry| entry.file_type().is_file()).count() > 1
        }),
        ("when it runs", &|site| holds(site, running)),
        ("when rows are there", &|site| site.query("SELECT count(*) FROM orders")[0][0] != "0"),
    ];
    for (when, seen) in moments {
        let site = copy_of(&before);
        site.write("back.csv", &text);
        let mut child = site.command(["resubmit", "back.csv"]).stdout(Stdio::null()).spawn().unwrap();
        while !seen(&site) && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What was begun is finished; what was not taken is sent again.
        site.run(["resubmit", "back.csv"]);
        let killed = Report { site, delivery: report.delivery.clone(), header: Vec::new(), rows: Vec::new() };
        assert_eq!(killed.standing(), [0, 2_000, 0, 0], "killed {when}");
        assert_eq!(
            killed.site.query("SELECT count(*), min(amount) FROM orders"),
            [["2000", "1.00"]],
            "{when}"
        );
        let kept = fs::read_dir(killed.site.path("var/work")).unwrap().count();
        assert_eq!(kept, 0, "{when}");
    }
}
