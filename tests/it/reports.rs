//! The reports of rejects: complete and exact for programs, plain and safe for people, silent about what is sensitive.

use std::{collections::HashSet, fs};

use serde_json::json;

use crate::support::{Ran, Site, csv};

const MAPPING: &str = r#"match = "people*"
[format]
type = "csv"
[target]
table = "people"
key = ["no"]
[columns]
no    = { from = "Staff No", pattern = "\\d{5}" }
born  = { from = "Born", type = "date", format = "%d/%m/%Y" }
email = { from = "E-mail", is = "email", sensitive = true }
note  = { from = "Note", max_length = 12 }
"#;

const HEADER: &str = " Staff No ,Born,E-mail,Note,Not mapped\n";

fn id_is_well_formed(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn the_report_for_programs_has_a_line_for_each_violation_with_the_value_as_it_came() {
    let site = Site::with_mapping("people", MAPPING);
    let file = format!(
        "{HEADER}00001,01/02/1990,a@b.example,fine,\n 12 ,31/02/1990,,\"one,\n\"\"two\"\" and more\",x\n3,y\n"
    );
    let [second, third] = ["\n 12 ", "\n3,y"].map(|record| (file.find(record).unwrap() + 1).to_string());
    let (code, delivery) = site.load("people.csv", &file);
    assert_eq!(code, 2);
    assert_eq!(delivery["reports"]["errors"], "outbox/rejects/people/people.csv.errors.csv");
    let (header, rows) = site.report(&delivery, "errors");
    assert_eq!(header, ["record", "line", "byte", "column", "value", "rule", "message"]);
    let expected = [
        ["2", "3", &second, "no", " 12 ", "pattern", "does not match the pattern \\d{5}"],
        ["2", "3", &second, "born", "31/02/1990", "type", "is not a day of the calendar (like 31/12/2025)"],
        ["2", "3", &second, "note", "one,\n\"two\" and more", "max_length", "is longer than 12 characters"],
        ["3", "5", &third, "", "", "columns", "has 2 fields where 5 are expected"],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn the_report_for_people_has_the_original_columns_as_they_came_and_says_what_is_wrong_in_words() {
    let site = Site::with_mapping("people", MAPPING);
    let file = format!(
        "{HEADER}00001,01/02/1990,,fine,\n 12 ,31/02/1990,, two\twords ,\"x\ny\"\n3,y\n4,\"open,y,,,\n"
    );
    let (_, delivery) = site.load("people.csv", file);
    assert_eq!(delivery["reports"]["rejects"], "outbox/rejects/people/people.csv.rejects.csv");
    let (header, rows) = site.report(&delivery, "rejects");
    assert_eq!(
        header,
        [
            "wharf_reject_id",
            "Staff No",
            "Born",
            "E-mail",
            "Note",
            "Not mapped",
            "wharf_problems",
            "wharf_raw"
        ]
    );
    let ids: HashSet<&String> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id_is_well_formed(id)), "{ids:?}");
    assert_eq!(
        rows[0][1..],
        [
            " 12 ",
            "31/02/1990",
            "",
            " two\twords ",
            "x\ny",
            "line 3: Staff No \" 12 \" does not match the pattern \\d{5}; \
             Born \"31/02/1990\" is not a day of the calendar (like 31/12/2025)",
            ""
        ]
    );
    assert_eq!(
        rows[1][1..],
        ["", "", "", "", "", "line 5: the record has 2 fields where 5 are expected", "3,y"]
    );
    assert_eq!(rows[2][1..6], [""; 5]);
    assert_eq!(rows[2][7], "4,\"open,y,,,");
}

#[test]
fn reject_ids_stay_the_same_when_the_reports_are_written_again_and_differ_from_site_to_site() {
    let mapping = format!("{MAPPING}[rejects]\nhold = 0\n");
    let file = format!("{HEADER}1,,,,\n2,,,,\n3,,,,\n");
    let site = Site::with_mapping("people", &mapping);
    let (_, held) = site.load("people.csv", &file);
    let paths = ["rejects", "errors"].map(|kind| site.path(held["reports"][kind].as_str().unwrap()));
    let before = paths.each_ref().map(|path| fs::read(path).unwrap());
    let again = site.run(["retry", "--json", held["delivery"].as_str().unwrap()]).exits(3).object();
    assert_eq!(again["reports"], held["reports"]);
    assert_eq!(paths.each_ref().map(|path| fs::read(path).unwrap()), before);
    for path in &paths {
        fs::remove_file(path).unwrap();
    }
    site.run(["approve", held["delivery"].as_str().unwrap()]).exits(2);
    assert_eq!(paths.each_ref().map(|path| fs::read(path).unwrap()), before);

    let ids = |site: &Site| csv(&site.path("outbox/rejects/people/people.csv.rejects.csv")).1[0][0].clone();
    let other = Site::with_mapping("people", &mapping);
    other.load("people.csv", &file);
    assert_ne!(ids(&site), ids(&other));
}

#[test]
fn cells_that_a_spreadsheet_would_run_get_one_quote_before_them_and_plain_numbers_none() {
    let mapping = "match = \"*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"t\"\nkey = [\"id\"]\n[columns]\n\
                   id = {}\nv = { from = \"=v\" }\nn = { type = \"integer\" }\n";
    let cells = [
        "=1+1",
        "+cmd|' /C x'!A",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "'x",
        "-5",
        "+5",
        "-1.5",
        "-",
        "a=b",
        "",
    ];
    let site = Site::with_mapping("m", mapping);
    let rows = cells.iter().enumerate().map(|(at, cell)| format!("{at},\"{cell}\",=bad\n"));
    let (_, delivery) = site.load("f.csv", format!("id,=v,n\n{}=ragged\n", rows.collect::<String>()));
    let (header, rows) = site.report(&delivery, "rejects");
    assert_eq!(header[2], "'=v");
    for (cell, row) in cells.iter().zip(&rows) {
        let runs = !matches!(*cell, "-5" | "+5" | "-1.5" | "a=b" | "");
        assert_eq!(row[2], if runs { format!("'{cell}") } else { (*cell).to_owned() });
        assert_eq!(row[3], "'=bad");
        assert!(row[4].starts_with("line "), "{row:?}");
    }
    assert_eq!(rows[cells.len()][5], "'=ragged");
    // Programs get the value as it is.
    assert_eq!(site.report(&delivery, "errors").1[0][4], "=bad");
}

#[test]
fn a_second_report_of_a_name_gets_a_number_and_nothing_is_overwritten() {
    let site = Site::with_mapping("people", MAPPING);
    site.write("outbox/rejects/people/people.csv.2.errors.csv", "mine");
    let names: Vec<String> = (1..4)
        .map(|number| {
            let (_, delivery) = site.load("people.csv", format!("{HEADER}{number},,,,\n"));
            assert!(
                csv(&site.path(delivery["reports"]["rejects"].as_str().unwrap())).1[0][1]
                    == number.to_string()
            );
            delivery["reports"]["errors"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names, ["people.csv.errors.csv", "people.csv.3.errors.csv", "people.csv.4.errors.csv"]);
    assert_eq!(site.read("outbox/rejects/people/people.csv.2.errors.csv"), "mine");
}

#[test]
fn a_sensitive_value_is_masked_everywhere_but_in_its_own_column_of_the_report_for_people() {
    let secret = "canary@@hidden";
    let site = Site::with_mapping("people", MAPPING);
    let file = format!("{HEADER}00001,,ok-canary@hidden.example,,\n00002,,{secret},,\n00003,,{secret}\n");
    site.write("people.csv", &file);
    let text = site.run(["load", "people.csv"]).exits(2);
    let delivery = site.run(["deliveries", "--json"]).exits(0).object();
    let id = delivery["delivery"].as_str().unwrap();
    let shown = [
        text.out,
        text.err,
        site.run(["show", id]).exits(0).out,
        site.run(["show", "--json", id]).exits(0).out,
        site.run(["rejects", id]).exits(0).out,
        site.run(["rejects", "--json", id]).exits(0).out,
        site.run(["validate", "people.csv"]).exits(2).out,
        site.read("outbox/rejects/people/people.csv.errors.csv"),
    ];
    for text in &shown {
        assert!(!text.contains("canary"), "{text}");
        assert!(text.is_empty() || text.contains("***") || text.contains("people.csv"), "{text}");
    }
    assert_eq!(site.report(&delivery, "errors").1[0][3..6], ["email", "***", "is"]);
    let (_, rows) = site.report(&delivery, "rejects");
    assert_eq!(rows[0][3], secret);
    assert!(rows[0][6].starts_with("line 3: E-mail \"***\" is not an e-mail address"), "{}", rows[0][6]);
}

#[test]
fn a_key_with_a_sensitive_part_is_masked_too() {
    let mapping = MAPPING.replace("key = [\"no\"]", "key = [\"no\", \"email\"]");
    let site = Site::with_mapping("people", &mapping);
    site.write(
        "people.csv",
        format!("{HEADER}00001,,canary@hidden.example,,\n00001,,canary@hidden.example,,\n"),
    );
    let text = site.run(["load", "people.csv"]).exits(2);
    assert!(!text.out.contains("canary"), "{}", text.out);
    let errors = site.read("outbox/rejects/people/people.csv.errors.csv");
    assert!(errors.contains(",key,") && !errors.contains("canary"), "{errors}");
    let rejects = csv(&site.path("outbox/rejects/people/people.csv.rejects.csv")).1;
    assert_eq!(rejects[0][3], "canary@hidden.example");
    assert!(!rejects[0][6].contains("canary"), "{}", rejects[0][6]);

    // The database's own word on a key, in insert mode.
    site.write("mappings/inbound/people.toml", mapping.replace("[columns]", "mode = \"insert\"\n[columns]"));
    let (_, delivery) = site.load("people_2.csv", format!("{HEADER}00001,,canary@hidden.example,,\n"));
    assert_eq!(delivery["outcome"], "loaded_with_rejects");
    let errors = site.read("outbox/rejects/people/people_2.csv.errors.csv");
    assert!(errors.contains(",key,") && !errors.contains("canary"), "{errors}");
}

#[test]
fn reports_end_at_report_max_and_counting_goes_on() {
    let site = Site::with_mapping("people", MAPPING);
    site.write("wharf.toml", "[store]\nreport_max = 2\n");
    let (code, delivery) = site.load("people.csv", format!("{HEADER}1,x,,,\n2,x,,,\n3,x,,,\n4,x,,,\n"));
    assert_eq!((code, &delivery["tally"]["rejected"]), (2, &json!(4)));
    assert_eq!(site.report(&delivery, "rejects").1.len(), 2);
    let (_, errors) = site.report(&delivery, "errors");
    let records: Vec<&str> = errors.iter().map(|row| &*row[0]).collect();
    assert_eq!(records, ["1", "1", "2", "2"]);
}

#[test]
fn the_report_of_a_refused_file_says_that_the_whole_file_is_to_be_sent_again() {
    let site = Site::with_mapping("people", &format!("{MAPPING}[rejects]\nlimit = 1\n"));
    let (code, delivery) = site.load("people.csv", format!("{HEADER}00001,,,,\n2,,,,\n3,,,,\n"));
    assert_eq!((code, &delivery["outcome"]), (3, &json!("refused")));
    for row in site.report(&delivery, "rejects").1 {
        assert!(row[6].contains("nothing of this file was loaded, send the whole file again"), "{row:?}");
    }
    assert_eq!(site.report(&delivery, "errors").1.len(), 2);
}

#[test]
fn the_report_for_people_is_utf_8_with_a_mark_whatever_the_encoding_of_the_file() {
    let mapping =
        MAPPING.replace("type = \"csv\"", "type = \"csv\"\nencoding = \"windows-1252\"\ndelimiter = \";\"");
    let site = Site::with_mapping("people", &mapping);
    let mut file = HEADER.replace(',', ";").into_bytes();
    file.extend(b"1;;;Zo\xeb;\n");
    let (_, delivery) = site.load("people.csv", &file);
    let bytes = fs::read(site.path(delivery["reports"]["rejects"].as_str().unwrap())).unwrap();
    assert!(bytes.starts_with("\u{feff}wharf_reject_id,".as_bytes()));
    assert_eq!(site.report(&delivery, "rejects").1[0][4], "Zoë");
}

#[test]
fn a_file_without_rejects_gets_no_report() {
    let site = Site::with_mapping("people", MAPPING);
    let (_, delivery) = site.load("people.csv", format!("{HEADER}00001,,,,\n"));
    assert_eq!(delivery["reports"], json!({ "rejects": null, "errors": null }));
    assert!(!site.path("outbox").exists());
}

#[test]
fn the_terminal_shows_the_first_three_rejects_where_the_reports_are_and_what_to_do() {
    let site = Site::with_mapping("people", MAPPING);
    site.write(
        "people.csv",
        format!("{HEADER}00001,,,,\n1,x,,,\n00002,,,,\n2,,,\"\u{1b}[31mlong and red\",\n3\n4,,,,\n5,,,,\n"),
    );
    let Ran { out, err, .. } = site.run(["load", "people.csv"]).exits(2);
    assert_eq!(err, "", "no progress where there is no terminal");
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    let id = site.run(["deliveries", "--json"]).object()["delivery"].as_str().unwrap().to_owned();
    assert_eq!(lines[0], "people.csv: loaded with rejects");
    assert_eq!(lines[1], "  mapping:  people, table people");
    assert!(lines[2].starts_with("  counts:   7 records = 2 inserted + 5 rejected ("), "{}", lines[2]);
    assert_eq!(lines[3], "  rejects:  line 3: Staff No \"1\" does not match the pattern \\d{5}");
    assert_eq!(lines[4], "            line 3: Born \"x\" is not a date like 31/12/2025");
    assert_eq!(lines[5], "            line 5: Staff No \"2\" does not match the pattern \\d{5}");
    assert!(
        lines[6].starts_with("            line 5: Note \"")
            && lines[6].ends_with("is longer than 12 characters")
    );
    assert_eq!(lines[7], "            line 6: the record `***` has 1 field where 5 are expected");
    assert_eq!(lines[8], "            and 2 more");
    assert_eq!(lines[9], "  reports:  outbox/rejects/people/people.csv.rejects.csv (for people)");
    assert_eq!(lines[10], "            outbox/rejects/people/people.csv.errors.csv (for programs)");
    assert!(
        lines[11].starts_with("  next:     ") && lines[11].contains(&format!("wharf show {id}")),
        "{}",
        lines[11]
    );
    assert!(!out.contains('\u{1b}'));
}

#[test]
fn validate_writes_the_same_reports_into_a_folder_and_touches_neither_ledger_nor_database() {
    let site = Site::with_mapping("people", MAPPING);
    site.write("people.csv", format!("{HEADER}00001,,,,\n1,x,,,\n"));
    let ran = site.run(["validate", "--json", "people.csv", "--reports", "found here"]).exits(2);
    let report = ran.object();
    assert_eq!((&report["delivery"], &report["outcome"]), (&json!(null), &json!("loaded_with_rejects")));
    assert_eq!((&report["tally"]["withheld"], &report["tally"]["rejected"]), (&json!(1), &json!(1)));
    let (_, errors) = site.report(&report, "errors");
    let (_, rejects) = site.report(&report, "rejects");
    assert_eq!(report["reports"]["errors"], "found here/people.csv.errors.csv");
    assert!(id_is_well_formed(&rejects[0][0]));
    let names = |site: &Site| -> HashSet<std::ffi::OsString> {
        fs::read_dir(site.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(&site), ["mappings", "people.csv", "found here"].map(Into::into).into());

    let (_, delivery) = site.load("people.csv", site.read("people.csv"));
    assert_eq!(site.report(&delivery, "errors").1, errors);
    assert_eq!(site.report(&delivery, "rejects").1[0][1..], rejects[0][1..]);

    site.write("good.csv", format!("{HEADER}00001,,,,\n"));
    site.run(["validate", "--mapping", "people", "good.csv"]).exits(0);
    site.run(["validate", "good.csv"]).exits(3);
}
