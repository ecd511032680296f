//! Samples from which nobody would want to draft a mapping: each ends with a clear message, or with a draft that says what
//! is wrong with its sample and loads the rest.

use std::fs;

use crate::support::{Ran, Site};

fn site(content: &[u8]) -> Site {
    let site = Site::new();
    fs::create_dir_all(site.path("mappings/inbound")).unwrap();
    site.write("a.csv", content);
    site
}

fn infer(site: &Site) -> Ran {
    let ran = site.run(["infer", "a.csv", "--output", "mappings/inbound"]);
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    ran
}

/// The message for a sample without a draft.
#[track_caller]
fn refused(content: &[u8]) -> String {
    let site = site(content);
    let ran = infer(&site).exits(1);
    assert!(!site.path("mappings/inbound/a.toml").exists(), "{ran:?}");
    ran.err
}

/// The draft of a sample, which passes `check`, and the site with it.
#[track_caller]
fn drafted(content: &[u8]) -> (Site, String) {
    let site = site(content);
    infer(&site).exits(0);
    site.run(["check"]).exits(0);
    let draft = site.read("mappings/inbound/a.toml");
    (site, draft)
}

fn records(count: u32, record: impl Fn(u32) -> String) -> String {
    (1..=count).map(|n| record(n) + "\n").collect()
}

#[test]
fn an_empty_sample_is_said_to_be_one() {
    for content in [&b""[..], b"\n\n \n", b"\xef\xbb\xbf", b"\xff\xfe"] {
        assert!(refused(content).contains("is empty"), "{content:?}");
    }
}

#[test]
fn a_binary_sample_is_named_by_its_kind() {
    let noise: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (content, part) in [
        (&b"PK\x03\x04\x14\0\x06\0"[..], "save the sheet as CSV"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "unpack it first"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        (b"SQLite format 3\0\x10\0", "a SQLite database"),
        (&noise, "a program's own format"),
    ] {
        let message = refused(content);
        assert!(message.contains("no text file") && message.contains(part), "{message}");
    }
}

#[test]
fn a_sample_of_one_line_is_drafted_with_a_warning() {
    let (site, draft) = drafted(b"17,Ada,2026-11-01\n");
    assert!(
        draft.contains("header = false") && draft.contains("CHECK: unique in 1 records, which are too few"),
        "{draft}"
    );
    site.run(["load", "a.csv"]).exits(0);
    assert_eq!(site.query("select * from a"), [["17", "Ada", "2026-11-01"]]);
    let (_, draft) = drafted(b"x");
    assert!(draft.contains("[columns]"), "{draft}");
}

#[test]
fn a_sample_of_a_header_alone_is_drafted_and_says_that_its_types_are_guesses() {
    let (site, draft) = drafted(b"Order No;Customer;Amount\r\n");
    assert!(draft.contains("CHECK: a.csv holds no records"), "{draft}");
    assert!(draft.contains("order_no = { from = \"Order No\", required = true }"), "{draft}");
    site.run(["load", "a.csv"]).exits(0);
}

#[test]
fn ragged_records_are_counted_and_the_others_load() {
    let text = format!(
        "id,name\n{}9x\n1,2,3,4\n\"open,\n{}",
        records(40, |n| format!("{n},item")),
        records(9, |n| format!("{},x", n + 50))
    );
    let (site, draft) = drafted(text.as_bytes());
    assert!(draft.contains("CHECK: a.csv: 3 of 52 records are broken and will be rejected"), "{draft}");
    assert!(
        draft.contains("2 with a wrong number of fields") && draft.contains("1 with broken quotes"),
        "{draft}"
    );
    assert!(draft.contains("the first on line 42"), "{draft}");
    assert_eq!(site.run(["load", "--json", "a.csv"]).exits(2).object()["tally"]["inserted"], 49);
}

#[test]
fn a_sample_of_five_thousand_columns_gives_a_draft_of_as_many_as_a_table_holds() {
    let line = |cell: &dyn Fn(u32) -> String| (0..5_000).map(cell).collect::<Vec<_>>().join(",");
    let text = format!(
        "{}\n{}",
        line(&|at| format!("c{at}")),
        records(12, |n| line(&|at| (n * 7 + at).to_string()))
    );
    let (site, draft) = drafted(text.as_bytes());
    assert!(draft.contains("CHECK: the file has 5,000 columns, and a table no more than 2,000"), "{draft}");
    site.run(["load", "a.csv"]).exits(0);
    assert_eq!(site.query("select c0, c1999 from a order by c0 limit 1"), [["7", "2006"]]);
}

#[test]
fn one_huge_line_is_said_to_have_no_line_ends() {
    let message = refused("field;".repeat(500_000).as_bytes());
    assert!(message.contains("its line ends are missing"), "{message}");
    // A huge line among others costs itself.
    let text = format!("id,name\n{}99,{}\n", records(40, |n| format!("{n},item")), "x".repeat(2_000_000));
    let (site, draft) = drafted(text.as_bytes());
    assert!(draft.contains("1 too large"), "{draft}");
    site.run(["load", "a.csv"]).exits(2);
}

#[test]
fn nul_bytes_cost_their_records_and_nothing_else() {
    let text = format!("id,name\n{}41,a\0b\n", records(40, |n| format!("{n},item {n}")));
    let (site, draft) = drafted(text.as_bytes());
    assert!(draft.contains("1 of 41 records are broken"), "{draft}");
    site.run(["load", "a.csv"]).exits(2);
    assert_eq!(site.query("select count(*) from a"), [["40"]]);
}

#[test]
fn a_sample_in_two_encodings_keeps_the_usual_one_and_counts_the_rest() {
    let mut content = format!("id,name\n{}", records(40, |n| format!("{n},Köln {n}"))).into_bytes();
    content.extend_from_slice(b"41,K\xf6ln\n");
    let (site, draft) = drafted(&content);
    assert!(!draft.contains("encoding =") && draft.contains("1 of 41 records are broken"), "{draft}");
    site.run(["load", "a.csv"]).exits(2);
    // Letters that come late are seen all the same.
    let mut content = format!("id,name\n{}", records(120_000, |n| format!("{n},item {n}"))).into_bytes();
    content.extend_from_slice(b"999999,Stra\xdfe M\xfcnchen\n");
    let (site, draft) = drafted(&content);
    assert!(draft.contains("encoding = \"windows-1252\""), "{draft}");
    site.run(["load", "a.csv"]).exits(0);
    assert_eq!(site.query("select name from a where id = 999999"), [["Straße München"]]);
}

#[test]
fn hostile_names_and_values_reach_neither_terminal_nor_toml_unescaped() {
    let text = format!(
        "\"a\u{1b}[2J\"\"\",\"x\ny\",\u{202e}z,\"]] # {{\"\n{}",
        records(40, |n| format!("{n},\"\u{1b}[31m\n{}\",\"\"\"\\\",\"#\"", n % 2))
    );
    let (site, draft) = drafted(text.as_bytes());
    assert!(draft.chars().all(|c| c == '\n' || wharf::model::printable::is_plain(c)), "{draft:?}");
    site.run(["load", "a.csv"]).exits(0);
}

#[test]
fn samples_that_do_not_belong_together_are_told_apart() {
    let site = site(b"id,name\n1,a\n2,b\n");
    site.write("b.csv", "id;name\n1;a\n2;b\n");
    let ran = site.run(["infer", "a.csv", "b.csv"]).exits(1);
    assert!(ran.err.contains("a.csv has the delimiter \",\", b.csv has \";\""), "{ran:?}");
    let ran = site.run(["infer", "a.csv", "none.csv"]).exits(1);
    assert!(ran.err.contains("none.csv"), "{ran:?}");
    let ran = site.run(["infer", "mappings"]).exits(1);
    assert!(ran.err.contains("it is a folder"), "{ran:?}");
    let ran = site.run(["infer", "a.csv", "--name", "../x", "--output", "out.toml"]).exits(1);
    assert!(ran.err.contains("--name") && !site.path("out.toml").exists(), "{ran:?}");
}
