//! Records that cannot be split into their fields, or are far too large: each costs itself and nothing else.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use super::{ITEMS, balances, items, items_with, load};
use crate::support::{Site, wharf};

/// Rows `first..=last` as a sender writes them.
fn lines(first: u32, last: u32) -> String {
    (first..=last).map(|id| format!("{id},\"name, {id}\",{id}.50\n")).collect()
}

#[test]
fn an_unclosed_quote_in_record_3_of_many_costs_that_record_only() {
    // A sender's slip, and what it does to the records after it must not matter: none, some or all of them are quoted.
    for (broken, after) in [
        ("3,\"broken,3.50\n", lines(4, 20_000)),
        ("3,\"broken,3.50\r\n", lines(4, 20_000).replace('\n', "\r\n")),
        ("3,\"broken,3.50\n", (4..=20_000).map(|id| format!("{id},plain,1\n")).collect()),
        ("3,b,\"3.50\n", lines(4, 20_000)),
        ("\"3,b,3.50\n", lines(4, 20_000)),
    ] {
        let content = format!("id,name,amount\n{}{broken}{after}", lines(1, 2));
        let loaded = load(items, "a.csv", &content);
        loaded.ends(2, "loaded_with_rejects", "").counts(20_000, 19_999, 1, 0).rejects(&["4  quote: "]);
        let (_, rows) = loaded.site.report(&loaded.object, "errors");
        let byte = content.find(broken).unwrap().to_string();
        assert_eq!(rows[0][..3], ["3", "4", &byte], "record, line and byte");
        assert!(rows[0][6].contains("quote that never closes"), "{rows:?}");
        assert!(loaded.site.query("SELECT 1 FROM items WHERE id = '3'").is_empty());
        let (_, people) = loaded.site.report(&loaded.object, "rejects");
        assert_eq!(people[0].last().map(String::as_str), Some(broken.trim_end()), "the record as it came");
    }
}

#[test]
fn an_unclosed_quote_in_the_last_record_costs_that_record_only() {
    for end in ["3,\"broken,3.50", "3,\"broken,3.50\n", "3,\"broken\n\n\n", "3,\""] {
        let loaded = load(items, "a.csv", format!("id,name,amount\n{}{end}", lines(1, 2)));
        loaded.ends(2, "loaded_with_rejects", "").counts(3, 2, 1, 0).rejects(&["4  quote: "]);
    }
}

#[test]
fn text_after_a_closing_quote_costs_that_record_only() {
    let content = "id,name,amount\n1,a,1\n2,\"desk\" big,2\n3,c,3\n4,\"x\"\"y\"z,\"4\"\n5,\"e\",5\n";
    let loaded = load(items, "a.csv", content);
    loaded.ends(2, "loaded_with_rejects", "").counts(5, 3, 2, 0).rejects(&["3  quote: ", "5  quote: "]);
    loaded.rows(&["1|a|1.00", "3|c|3.00", "5|e|5.00"]);
    assert!(loaded.text.contains("line 3: the record `2,\"desk\" big,2` has text after a closing quote"));
}

#[test]
fn ragged_rows_are_rejected_both_ways_and_told_how_many_fields_they_have() {
    let content = "id,name,amount\n1,a\n2,b,2,extra\n3,c,3\n4\n5,e,5,\n,,,,,\n6,f,6\n";
    let loaded = load(items, "a.csv", content);
    loaded.ends(2, "loaded_with_rejects", "").counts(7, 2, 5, 0).rows(&["3|c|3.00", "6|f|6.00"]);
    let found = loaded.violations();
    let words = ["2 fields", "4 fields", "1 field", "4 fields", "6 fields"];
    for (((shown, message), line), words) in found.iter().zip([2, 3, 5, 6, 7]).zip(words) {
        assert_eq!(shown, &format!("{line}  columns: "));
        assert_eq!(message, &format!("has {words} where 3 are expected"));
    }
    assert_eq!(found.len(), 5);
}

#[test]
fn a_record_of_more_lines_than_allowed_costs_the_line_its_quote_opens_on() {
    let long = format!("1,\"{}\",1\n", "x\n".repeat(30));
    let loaded =
        load(|| items_with("max_record_lines = 10"), "a.csv", format!("id,name,amount\n{long}2,b,2\n"));
    loaded.ends(2, "loaded_with_rejects", "").rows(&["2|b|2.00"]);
    let found = loaded.violations();
    assert_eq!((found[0].0.as_str(), found.len()), ("2  quote: ", 31), "each line is a record of its own");
}

#[test]
fn a_record_larger_than_allowed_is_rejected_and_the_next_ones_load() {
    let text = "x".repeat(3 << 19);
    let lines = "0123456789abcde\n".repeat(3 << 15);
    let (fields, quoted) = (",".repeat(3 << 19), "\"a\",".repeat(3 << 17));
    for (shape, large) in [
        ("one field", format!("2,{text},2")),
        ("one quoted field", format!("2,\"{text}\",2")),
        ("many fields", format!("2{fields}")),
        ("many quoted fields", quoted),
        ("a little more than allowed", format!("2,{},2", &text[..1024])),
    ] {
        for (before, after) in [("1,a,1\n", "3,c,3\n"), ("", "3,c,3"), ("1,a,1\r\n", "")] {
            let content = format!("id,name,amount\n{before}{large}\n{after}");
            let loaded = load(|| items_with("max_record_bytes = 1024"), "a.csv", &content);
            let good = [("1|a|1.00", before), ("3|c|3.00", after)];
            let good: Vec<&str> =
                good.iter().filter(|(_, text)| !text.is_empty()).map(|(row, _)| *row).collect();
            let count = good.len() as u64;
            loaded.ends(2, "loaded_with_rejects", "").counts(count + 1, count, 1, 0).rows(&good);
            let (shown, message) = loaded.violations().remove(0);
            let line = if before.is_empty() { 2 } else { 3 };
            assert_eq!(shown, format!("{line}  size: "), "{shape}");
            let size = format!("is {} bytes long; a record may have at most 1024", large.len());
            assert!(
                message.contains(&size) && message.contains("format.max_record_bytes"),
                "{shape}: {message}"
            );
            let report = loaded.site.path(loaded.object["reports"]["rejects"].as_str().unwrap());
            assert!(report.metadata().unwrap().len() < 200_000, "{shape}: only the head of it is reported");
        }
    }
    // Lines inside quotes: the quote is not looked for beyond the limit, so each line is a record.
    let content = format!("id,name,amount\n2,\"{lines}\",2\n3,c,3\n");
    let loaded = load(|| items_with("max_record_bytes = 1024"), "a.csv", content);
    loaded.ends(2, "loaded_with_rejects", "").rows(&["3|c|3.00"]);
    assert_eq!(loaded.violations()[0].0, "2  quote: ");
}

/// Writes a file whose second record is a field of `size` bytes, without holding it.
fn write_big(path: &Path, size: u64, unit: &str, encode: fn(&str) -> Vec<u8>) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&encode("id,name,amount\n1,a,1\n2,")).unwrap();
    let block = encode(&unit.repeat((1 << 20) / encode(unit).len()));
    for _ in 0..size / block.len() as u64 {
        file.write_all(&block).unwrap();
    }
    file.write_all(&encode(",2\n3,c,3\n")).unwrap();
    file.flush().unwrap();
}

fn utf_8(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// How the large record looks, what it is made of, and the file's encoding.
type Shape = (&'static str, &'static str, fn(&str) -> Vec<u8>);

const SHAPES: [Shape; 4] = [
    ("utf-8", "x", utf_8),
    ("utf-8", "field,", utf_8),
    ("utf-8", "\"q\",", utf_8),
    ("utf-16le", "x", utf_16),
];

/// Runs `wharf load --json FILE` in the site; gives its exit code, output and peak memory in bytes.
pub(super) fn run_measured(site: &Site, file: &str) -> (i32, serde_json::Value, u64) {
    const MEASURE: &str = "import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", MEASURE]).arg(wharf().get_program()).args(["load", "--json", file]);
    command.current_dir(site.path(""));
    let ran = crate::support::run(&mut command).exits(0);
    let (object, measured) = ran.out.trim_end().rsplit_once('\n').expect("two lines");
    let (code, bytes) = measured.split_once(' ').expect("two numbers");
    (code.parse().unwrap(), serde_json::from_str(object).unwrap(), bytes.parse().unwrap())
}

/// One gigabyte in 300 MB with `WHARF_BIG=1`, as `just big` sets it; else a record larger than the memory it may take.
#[test]
fn a_big_record_takes_no_more_memory_than_a_site_is_given() {
    let full = std::env::var_os("WHARF_BIG").is_some_and(|value| value == "1");
    let (size, most_memory, limit_bytes) =
        if full { (1 << 30, 300_000_000, 1 << 20) } else { (128 << 20, 100_000_000, 1 << 16) };
    for (encoding, unit, encode) in SHAPES {
        let shape = format!("{unit:?} in {encoding}");
        let site = items_with(&format!("max_record_bytes = {limit_bytes}\nencoding = \"{encoding}\""));
        write_big(&site.path("big.csv"), size, unit, encode);
        let (code, object, peak_bytes) = run_measured(&site, "big.csv");
        assert_eq!((code, &object["outcome"]), (2, &"loaded_with_rejects".into()), "{shape}: {object}");
        balances(&object);
        assert_eq!(site.query("SELECT id, name FROM items"), [["1", "a"], ["3", "c"]], "{shape}");
        let (_, violations) = site.report(&object, "errors");
        assert_eq!((violations.len(), violations[0][5].as_str()), (1, "size"), "{shape}");
        assert!(peak_bytes < most_memory, "{shape}: {peak_bytes} bytes");
    }
}

/// Each of these lines is two bytes, but its record would have a thousand fields.
#[test]
fn short_lines_under_a_wide_header_take_no_more_memory_than_a_site_is_given() {
    let site = items_with("");
    let extra: String = (0..1_000).map(|number| format!(",c{number}")).collect();
    site.write("wide.csv", format!("id,name,amount{extra}\n{}", "x\n".repeat(100_000)));
    let (code, object, peak_bytes) = run_measured(&site, "wide.csv");
    assert_eq!((code, &object["tally"]["rejected"]), (2, &100_000.into()), "{object}");
    balances(&object);
    assert!(peak_bytes < 200_000_000, "{peak_bytes} bytes");
}

#[test]
fn a_file_of_nothing_but_rejects_is_loaded_with_all_of_them_reported() {
    let records: String = (1..=2_000).map(|id| format!(",row {id},much\n")).collect();
    let loaded = load(items, "a.csv", format!("id,name,amount\n{records}"));
    loaded.ends(2, "loaded_with_rejects", "").counts(2_000, 0, 2_000, 0).rows(&[]);
    let found = loaded.violations();
    assert_eq!(found.len(), 4_000, "both violations of each record");
    assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("2 id required: ", "2 amount type: much"));
    assert_eq!(loaded.site.report(&loaded.object, "rejects").1.len(), 2_000);
    assert!(loaded.text.contains("and 1,997 more"), "{}", loaded.text);
}

#[test]
fn a_limit_exceeded_by_the_last_record_refuses_the_whole_file() {
    let limited =
        |limit: &str| Site::with_mapping("items", &format!("{ITEMS}\n[rejects]\nlimit = {limit}\n"));
    let good = lines(1, 95);
    let three = format!("id,name,amount\n{good},b,1\n97,c,much\n98,\"d,1");
    let loaded = load(|| limited("2"), "a.csv", &three);
    loaded.ends(3, "refused", "reject_limit").counts(98, 0, 3, 95).nothing_loaded();
    loaded.says(&["3 of 98 records were rejected (3.06 %)", "limit = 2", "send the whole file again"]);
    loaded.rejects(&["97 id required: ", "98 amount type: much", "99  quote: "]);
    let share = load(|| limited("\"3%\""), "a.csv", &three);
    share.ends(3, "refused", "reject_limit").counts(98, 0, 3, 95).nothing_loaded().says(&["limit = \"3%\""]);

    let two = three.rsplit_once('\n').unwrap().0;
    let loaded = load(|| limited("2"), "a.csv", two);
    loaded.ends(2, "loaded_with_rejects", "").counts(97, 95, 2, 0);
}
