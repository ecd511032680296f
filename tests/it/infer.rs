//! A mapping is drafted from a file, checked as it stands, and loads that file: for exports of different origin, none of
//! which anybody has to describe.

use std::{fs, path::Path};

use crate::support::{Ran, Site};

/// A sample of `tests/fixtures/infer`.
fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/infer").join(name)).unwrap()
}

/// A site in which samples wait to be drafted.
struct Drafting {
    site: Site,
    files: Vec<String>,
}

impl Drafting {
    fn of(samples: &[(&str, &[u8])]) -> Self {
        let site = Site::new();
        fs::create_dir_all(site.path("mappings/inbound")).unwrap();
        let files: Vec<String> = samples.iter().map(|(name, _)| format!("samples/{name}")).collect();
        for (file, (_, content)) in files.iter().zip(samples) {
            site.write(file, content);
        }
        Self { site, files }
    }

    fn fixtures(names: &[&str]) -> Self {
        let contents: Vec<Vec<u8>> = names.iter().map(|name| fixture(name)).collect();
        Self::of(&names.iter().copied().zip(contents.iter().map(Vec::as_slice)).collect::<Vec<_>>())
    }

    fn infer(&self, options: &[&str]) -> Ran {
        let files = self.files.iter().map(String::as_str);
        self.site.run(["infer"].into_iter().chain(files).chain(options.iter().copied()))
    }

    /// Drafts into the site, checks the mapping, loads every sample without a reject, and gives the mapping.
    #[track_caller]
    fn drafted(&self, name: &str) -> String {
        self.infer(&["--output", "mappings/inbound"]).exits(0);
        self.site.run(["check"]).exits(0);
        for file in &self.files {
            let loaded = self.site.run(["load", "--json", file]);
            let draft = self.site.read(format!("mappings/inbound/{name}.toml"));
            assert_eq!(loaded.code, 0, "{loaded:?}\n{draft}");
            assert_eq!(loaded.object()["outcome"], "loaded", "{loaded:?}");
        }
        self.site.read(format!("mappings/inbound/{name}.toml"))
    }

    /// The rows of a query, fields separated by strokes.
    #[track_caller]
    fn rows(&self, sql: &str) -> Vec<String> {
        self.site.query(sql).into_iter().map(|row| row.join("|")).collect()
    }
}

/// Asserts that the line of a mapping that begins with `key` holds all of `parts`.
#[track_caller]
fn says(mapping: &str, key: &str, parts: &[&str]) {
    let begins = |line: &&str| line.split(['=', ' ']).next() == Some(key);
    let Some(line) = mapping.lines().find(begins) else { panic!("no line `{key}`:\n{mapping}") };
    for part in parts {
        assert!(line.contains(part), "{part} is missing in: {line}");
    }
}

#[test]
fn a_german_erp_export_loads_with_its_numbers_dates_and_codes() {
    let drafting = Drafting::fixtures(&["auftraege_20261101.csv"]);
    let mapping = drafting.drafted("auftraege");
    says(&mapping, "match", &["\"auftraege_{date:%Y%m%d}.csv\""]);
    says(&mapping, "encoding", &["windows-1252", "CHECK"]);
    says(&mapping, "key", &["\"auftragsnr\"", "unique in 120 records"]);
    says(&mapping, "kundennr", &["leading zeros count"]);
    says(&mapping, "liefertermin", &["null = \"00.00.0000\"", "11 of 120 are 00.00.0000"]);
    says(&mapping, "bemerkung", &["empty"]);
    let first = "select auftragsnr, kundennr, kunde, auftragsdatum, liefertermin, waehrung, nettobetrag, menge, gewicht_kg, status, \
                 gesperrt, bemerkung from auftraege order by auftragsnr limit 1";
    assert_eq!(
        drafting.rows(first),
        [
            "A0004711|00010060|Bäckerei Groß|2026-11-13|-|EUR|54330.13|198|607.739|berechnet|1|Lieferung; bitte anrufen"
        ]
    );
    let types = "select distinct typeof(menge), typeof(gesperrt) from auftraege";
    assert_eq!(drafting.rows(types), ["integer|integer"]);
    assert_eq!(drafting.rows("select count(*) from auftraege where nettobetrag like '-%'"), ["7"]);
}

#[test]
fn a_sql_server_export_in_utf_16_loads_with_uuids_instants_and_nulls() {
    let drafting = Drafting::fixtures(&["dbo_Orders.txt"]);
    let mapping = drafting.drafted("dbo_orders");
    says(&mapping, "delimiter", &["\"\\t\""]);
    says(&mapping, "encoding", &["utf-16le"]);
    says(&mapping, "order_date", &["\"date\"", "always midnight"]);
    says(&mapping, "comment", &["null = \"NULL\""]);
    assert_eq!(
        drafting.rows("select * from dbo_orders order by order_id limit 2"),
        [
            "1000|c61c96db-d8d4-250d-89df-5e79bf7b6c6c|2026-11-25|2026-11-04T09:18:17.580000Z|2756.6800|1|Zoë paid – twice",
            "1001|32fe1f36-42a5-5162-bcf1-fcb54109d8d6|2026-08-08|2026-11-06T07:15:09.288000Z|6013.7100|0|-",
        ]
    );
}

#[test]
fn a_bank_list_loads_past_its_preamble_and_its_trailer_is_held_against_the_records() {
    let drafting = Drafting::fixtures(&["umsaetze_2026-10.csv"]);
    let mapping = drafting.drafted("umsaetze");
    says(&mapping, "skip_rows", &["4"]);
    says(&mapping, "trailer", &["starts_with = \"Summe\"", "count = 2"]);
    says(&mapping, "controls", &["column = \"betrag\", sum = 7"]);
    says(&mapping, "iban", &["is = \"iban\""]);
    assert_eq!(
        drafting.rows("select umsatznr, buchungstag, betrag, saldo from umsaetze order by umsatznr limit 1"),
        ["U900|2026-10-01|-1822.29|-822.29"]
    );
    // What was found out is used: a file that lost a record is refused.
    let whole = String::from_utf8(fixture("umsaetze_2026-10.csv")).unwrap();
    let cut: Vec<&str> = whole.lines().filter(|line| !line.contains(";U905;")).collect();
    let (code, delivery) = drafting.site.load("umsaetze_2026-11.csv", cut.join("\r\n"));
    assert_eq!((code, delivery["reason"].as_str()), (3, Some("trailer")), "{delivery}");
}

#[test]
fn a_uk_council_spending_file_loads_with_pounds_and_without_its_empty_columns() {
    let drafting = Drafting::fixtures(&["council_spend_over_500_2026_11.csv"]);
    let mapping = drafting.drafted("council_spend_over");
    assert!(mapping.contains("3 columns without a name and without values"), "{mapping}");
    says(&mapping, "encoding", &["windows-1252"]);
    says(&mapping, "payment_date", &["%d/%m/%Y"]);
    says(&mapping, "net_amount", &["strip = \"£\"", "group_mark = \",\""]);
    says(&mapping, "purpose", &["null = \"N/A\""]);
    assert_eq!(
        drafting.rows("select * from council_spend_over order by transaction_no limit 1"),
        ["Northmoor Borough Council|Housing|O'Neill Paving|000026|2026-09-25|500100|-49119.76|1|Agency fees"]
    );
}

#[test]
fn a_price_list_loads_with_currency_percent_and_eans() {
    let drafting = Drafting::fixtures(&["Preisliste Q4.csv"]);
    let mapping = drafting.drafted("preisliste_q");
    says(&mapping, "key", &["\"artikelnummer\""]);
    says(&mapping, "ean", &["is = \"ean\""]);
    says(&mapping, "einheit", &["one_of"]);
    says(&mapping, "gueltig_ab", &["from = \"Gültig ab\"", "%d.%m.%Y"]);
    assert_eq!(
        drafting.rows("select * from preisliste_q order by artikelnummer limit 2"),
        [
            "1000-A|4008203987568|Schraube M17 × 16|1625.80|5.00|19.00|Stk|2026-03-01",
            "1001-C|4009994638295|Schraube M8 × 50|16.20|7.50|7.00|Pkg|2026-08-05",
        ]
    );
}

#[test]
fn a_file_without_a_header_loads_by_number_and_names_what_it_can() {
    let drafting = Drafting::fixtures(&["feed_4711.dat"]);
    let mapping = drafting.drafted("feed");
    says(&mapping, "match", &["\"feed_*.dat\""]);
    says(&mapping, "header", &["false"]);
    says(&mapping, "email", &["from = 2", "is = \"email\""]);
    says(&mapping, "date", &["from = 3", "\"%Y%m%d\""]);
    assert_eq!(
        drafting.rows("select * from feed order by column_1 limit 1"),
        ["K100|bob0@example.org|2026-11-18|24|FR|20:17:00"]
    );
}

#[test]
fn a_file_of_sixty_columns_loads_with_each_of_them() {
    let drafting = Drafting::fixtures(&["survey_wide.csv"]);
    let mapping = drafting.drafted("survey_wide");
    says(&mapping, "key", &["\"record_id\""]);
    says(&mapping, "q10_answer", &["24 of 40 empty"]);
    assert_eq!(drafting.rows("select count(*) from pragma_table_info('survey_wide')"), ["60"]);
    assert_eq!(
        drafting.rows(
            "select record_id, q1_answer, q2_date, q3_score, q59_date is not null from survey_wide limit 1"
        ),
        ["1|Agree|2026-02-02|4|1"]
    );
}

#[test]
fn a_file_saved_by_a_spreadsheet_loads_under_a_key_of_two_columns() {
    let drafting = Drafting::fixtures(&["orders saved.csv"]);
    let mapping = drafting.drafted("orders_saved");
    says(&mapping, "key", &["[\"order_value\", \"line\"]", "CHECK", "these 2 together"]);
    says(&mapping, "date", &["%m/%d/%y"]);
    assert_eq!(
        drafting.rows("select * from orders_saved order by order_value, line limit 1"),
        ["S-100|1|Lamp \"Sun\"|2026-06-28|982.64|0|+44 20 7946 0759|two\nlines"]
    );
}

#[test]
fn several_samples_of_one_feed_give_one_mapping_with_its_control_totals() {
    let drafting = Drafting::fixtures(&["sales_20261101.txt", "sales_20261102.txt"]);
    let mapping = drafting.drafted("sales");
    says(&mapping, "match", &["\"sales_{date:%Y%m%d}.txt\""]);
    says(&mapping, "trailer", &["starts_with = \"TRL\"", "count = 2", "offset = 2"]);
    says(&mapping, "controls", &["column = \"quantity\", sum = 3", "column = \"amount\", sum = 4"]);
    says(&mapping, "key", &["\"receipt\"", "unique in 75 records"]);
    says(&mapping, "sold_at", &["\"timestamp\"", "%Y%m%d%H%M%S"]);
    assert_eq!(drafting.rows("select count(*), count(distinct store) from sales"), ["75|5"]);
}

#[test]
fn a_column_that_only_some_samples_have_is_noted_and_not_required() {
    let early = rows("id,name", 30, |n| format!("{n},item {n}"));
    let late = rows("id,colour,name", 30, |n| format!("{},red,item {n}", n + 30));
    let drafting = Drafting::of(&[("items_1.csv", early.as_bytes()), ("items_2.csv", late.as_bytes())]);
    let mapping = drafting.drafted("items");
    says(&mapping, "colour", &["only in 1 of 2 samples"]);
    assert!(
        !mapping.lines().any(|line| line.starts_with("colour") && line.contains("required")),
        "{mapping}"
    );
    assert_eq!(drafting.rows("select count(*), count(colour) from items"), ["60|30"]);
}

fn rows(header: &str, count: u32, row: impl Fn(u32) -> String) -> String {
    let records = (1..=count).map(row);
    std::iter::once(header.to_owned()).chain(records).map(|line| line + "\n").collect()
}

#[test]
fn days_that_the_data_do_not_tell_from_months_are_asked_about() {
    let file = rows("id,due", 24, |n| format!("{n},{:02}/{:02}/2026", n % 12 + 1, n % 7 + 1));
    let drafting = Drafting::of(&[("a.csv", file.as_bytes())]);
    let mapping = drafting.drafted("a");
    says(
        &mapping,
        "due",
        &["CHECK: no value shows which is the day and which the month", "%d/%m/%Y", "%m/%d/%Y"],
    );
    // Another column that leaves no doubt decides for both.
    let file =
        rows("id,due,paid", 24, |n| format!("{n},{:02}/{:02}/2026,06/{n:02}/2026", n % 7 + 1, n % 12 + 1));
    let drafting = Drafting::of(&[("a.csv", file.as_bytes())]);
    let mapping = drafting.drafted("a");
    says(&mapping, "due", &["\"%m/%d/%Y\""]);
    assert!(!mapping.contains("which the month"), "{mapping}");
}

#[test]
fn records_that_nothing_tells_apart_are_said_to_be_so_and_still_load() {
    let file = rows("shop,item,amount", 40, |n| format!("S{},I{},{}.50", n % 2, n % 5, n % 10));
    let drafting = Drafting::of(&[("tills.csv", file.as_bytes())]);
    let mapping = drafting.drafted("tills");
    says(&mapping, "key", &["CHECK: nothing tells all records apart", "ask the sender"]);
    says(&mapping, "duplicate_keys", &["\"last\""]);
    assert_eq!(drafting.rows("select count(*) from tills"), ["10"]);
}

#[test]
fn columns_that_share_a_name_or_have_none_are_taken_by_number() {
    let file = rows("id,amount,amount", 30, |n| format!("{n},{n}.50,{}.25", n + 1));
    let drafting = Drafting::of(&[("a.csv", file.as_bytes())]);
    let mapping = drafting.drafted("a");
    assert!(
        mapping.contains("CHECK: columns are taken by their number, as the header names \"amount\" twice"),
        "{mapping}"
    );
    assert_eq!(drafting.rows("select * from a order by id limit 1"), ["1|1.50|2.25"]);
    let file = rows(",name", 30, |n| format!("{n},item {n}"));
    let drafting = Drafting::of(&[("b.csv", file.as_bytes())]);
    assert!(drafting.drafted("b").contains("column 1 has values but no name"));
    assert_eq!(drafting.rows("select * from b order by column_1 limit 1"), ["1|item 1"]);
}

#[test]
fn every_dialect_that_mappings_can_describe_is_found() {
    let line = |n: u32| format!("{n};\"it's; {n}\";{n},50");
    let plain = rows("id;text;price", 30, line);
    let cases: [(&str, String, &str, &[&str]); 7] = [
        ("separator line", format!("sep=;\n{plain}"), "delimiter", &["\";\""]),
        ("trailing delimiters", plain.replace('\n', ";\n"), "trailing_delimiter", &["true"]),
        ("remarks", plain.replace("7;\"it's; 7", "# a remark\n7;\"it's; 7"), "comment", &["\"#\""]),
        ("single quotes", plain.replace("it's", "its").replace('"', "'"), "quote", &["\"'\""]),
        ("backslashes", plain.replace("it's;", "the \\\"best\\\";"), "escape", &["\"\\\\\""]),
        ("no quotes", plain.replace("\"it's; ", "\"Best\" no ").replace("\";", ";"), "quote", &["\"\""]),
        ("two strokes", plain.replace("; ", " ").replace(';', "||"), "delimiter", &["\"||\""]),
    ];
    for (what, content, key, parts) in cases {
        let drafting = Drafting::of(&[("a.csv", content.as_bytes())]);
        let mapping = drafting.drafted("a");
        says(&mapping, key, parts);
        assert_eq!(
            drafting.rows("select count(*), max(id), min(price) from a"),
            ["30|30|1.50"],
            "{what}\n{mapping}"
        );
    }
}

#[test]
fn a_draft_goes_to_standard_output_and_a_file_is_never_overwritten_unasked() {
    let file = rows("id,name", 30, |n| format!("{n},item {n}"));
    let drafting = Drafting::of(&[("items.csv", file.as_bytes())]);
    let printed = drafting.infer(&[]).exits(0);
    assert!(printed.out.starts_with("#:schema ../schema.json\n"), "{printed:?}");
    assert_eq!(printed.err, "items.csv: all 30 records pass\n");
    let output = ["--output", "mappings/inbound/goods.toml"];
    let written = drafting.infer(&output).exits(0);
    assert!(written.out.contains("next: wharf check"), "{written:?}");
    says(&drafting.site.read("mappings/inbound/goods.toml"), "table", &["\"goods\""]);
    drafting.site.write("mappings/inbound/goods.toml", "mine");
    let refused = drafting.infer(&output).exits(1);
    assert!(refused.err.contains("exists already") && refused.err.contains("--force"), "{refused:?}");
    assert_eq!(drafting.site.read("mappings/inbound/goods.toml"), "mine");
    drafting.infer(&[&output[..], &["--force", "--name", "stock"]].concat()).exits(0);
    says(&drafting.site.read("mappings/inbound/goods.toml"), "table", &["\"stock\""]);
}

#[test]
fn the_evidence_is_there_for_programs_too() {
    let drafting = Drafting::fixtures(&["auftraege_20261101.csv"]);
    let found = drafting.infer(&["--json"]).exits(0).object();
    assert_eq!(
        (found["mapping"].as_str(), found["encoding"].as_str()),
        (Some("auftraege"), Some("windows-1252"))
    );
    assert_eq!((found["records"].as_u64(), found["samples"][0]["rejected"].as_u64()), (Some(120), Some(0)));
    assert_eq!(
        (&found["key"][0], &found["columns"][6]["type"]),
        (&"auftragsnr".into(), &"decimal(12,2)".into())
    );
    assert!(found["text"].as_str().is_some_and(|text| text.contains("[columns]")), "{found}");
}

#[test]
fn a_few_broken_values_in_many_records_cost_their_records_and_not_the_type() {
    let file = rows("order_no,day,amount", 1_200, |n| match n {
        300 => "A1300,31/02/2026,1.50".to_owned(),
        400 => "A1400,25/02/2026,--5".to_owned(),
        500 => "A1499,25/02/2026,1.50".to_owned(),
        _ => format!("A{},25/{:02}/2026,{}.50", n + 1_000, n % 12 + 1, n % 20),
    });
    let drafting = Drafting::of(&[("orders.csv", file.as_bytes())]);
    drafting.infer(&["--output", "mappings/inbound"]).exits(0);
    drafting.site.run(["check"]).exits(0);
    let mapping = drafting.site.read("mappings/inbound/orders.toml");
    assert!(mapping.contains("3 of 1,200 do not pass"), "{mapping}");
    says(&mapping, "key", &["\"order_no\"", "CHECK: 1 of 1,200 records have the key of an earlier one"]);
    says(&mapping, "day", &["\"date\"", "CHECK: 1 of 1,200 are no dates", "31/02/2026"]);
    says(&mapping, "amount", &["decimal(12,2)", "CHECK: 1 of 1,200 are no numbers", "--5"]);
    let loaded = drafting.site.run(["load", "--json", "samples/orders.csv"]).exits(2).object();
    assert_eq!(loaded["tally"]["inserted"], 1_197, "{loaded}");
}
