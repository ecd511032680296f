//! Lookup tables that nobody wants: empty, huge, contradictory, away, or not as the mapping has them.

use std::fs;

use super::{load, plain, records::run_measured};
use crate::support::{Site, query};

fn mapping(lookup: &str) -> String {
    format!(
        "match = \"*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"items\"\nkey = \"id\"\n[columns]\nid = {{ required = true }}\n\
         name = {{ lookup = {{ {lookup} }} }}\namount = {{ type = \"decimal(9,2)\" }}\n"
    )
}

const FILE: &str = "id,name,amount\n1,a,1.00\n2,b,2.00\n";

fn with_file(lookup: &str, content: &str) -> impl Fn() -> Site {
    let (text, content) = (mapping(lookup), content.to_owned());
    move || {
        let site = Site::with_mapping("items", &text);
        site.write("mappings/lookups/names.csv", &content);
        site
    }
}

const BY_FILE: &str = "file = \"names.csv\", key = \"k\", value = \"v\"";

#[test]
fn an_empty_lookup_table_rejects_every_record_and_says_that_it_is_empty() {
    let loaded = load(with_file(BY_FILE, "k,v\n"), "a.csv", FILE);
    loaded
        .ends(2, "loaded_with_rejects", "")
        .counts(2, 0, 2, 0)
        .rejects(&["2 name lookup: a", "3 name lookup: b"]);
    assert!(loaded.text.contains("is not in names.csv, which is empty"), "{}", loaded.text);
}

#[test]
fn a_key_that_stands_twice_with_different_values_fails_the_delivery_and_its_lines_are_named() {
    let loaded = load(with_file(BY_FILE, "k,v\na,1\n\nb,2\na,1\na,3\n"), "a.csv", FILE);
    loaded
        .ends(1, "failed", "fault")
        .says(&["names.csv", "lines 2 and 6 have the same key (k)"])
        .nothing_loaded();
    let loaded = load(with_file(BY_FILE, "k,v\na,1\nb,2\na,1\n"), "a.csv", FILE);
    loaded.ends(0, "loaded", "").rows(&["1|1|1.00", "2|2|2.00"]);
}

#[test]
fn no_key_of_a_contradictory_lookup_table_reaches_the_terminal_or_the_ledger() {
    let rows = "('a', 'SECRET1', '1'), ('a', 'SECRET1', '2')";
    for (source, says) in [
        ("file = \"names.csv\"", "lines 2 and 3 have the same key (c, ssn)"),
        ("table = \"names\"", "SELECT c, ssn FROM names GROUP BY c, ssn HAVING count(*) > 1"),
    ] {
        // Only the other column of the key is sensitive.
        let text = mapping(&format!("{source}, key = {{ c = \"name\", ssn = \"ssn\" }}, value = \"v\""))
            + "ssn = { sensitive = true }\n";
        let site = || {
            let site = Site::with_mapping("items", &text);
            site.write("mappings/lookups/names.csv", "c,ssn,v\na,SECRET1,1\na,SECRET1,2\n");
            fs::create_dir_all(site.path("var")).unwrap();
            let made = format!("CREATE TABLE names (c, ssn, v); INSERT INTO names VALUES {rows}");
            rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap().execute_batch(&made).unwrap();
            site
        };
        let loaded = load(site, "a.csv", "id,name,amount,ssn\n1,a,1.00,SECRET1\n");
        loaded.ends(1, "failed", "fault").says(&[says]);
        assert!(!loaded.text.contains("SECRET1"), "{}", loaded.text);
        for part in fs::read_dir(loaded.site.path("var")).unwrap() {
            let path = part.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ledger")) {
                let bytes = fs::read(&path).unwrap();
                assert!(memchr::memmem::find(&bytes, b"SECRET1").is_none(), "{}", path.display());
            }
        }
    }
}

#[test]
fn a_lookup_file_with_a_broken_quote_is_refused_with_its_line_instead_of_translating_wrongly() {
    for (content, says) in [
        ("k,v\na,\"1\nb,2\n", "line 2 has a quote that never closes"),
        ("k,v\n\na,1\nb,\"x\"junk\n", "line 4 has text after a closing quote"),
        ("k,v\na,1\nb,2,3\n", "line 3 has 3 fields where 2 are expected"),
        ("k,\"v\na,1\n", "the header has a quote that does not close"),
        ("k,v,V\na,1,2\n", "names the column `v` twice"),
        ("", "no header"),
    ] {
        let site = with_file(BY_FILE, content);
        let checked = site().run(["check"]).exits(1);
        let said = checked.out + &checked.err;
        assert!(said.contains("names.csv") && said.contains(says), "{content:?}: {said}");
        load(site, "a.csv", FILE).ends(1, "failed", "fault").says(&["names.csv", says]).nothing_loaded();
    }
    // Quotes that do close may hold lines.
    let loaded = load(with_file(BY_FILE, "k,v\na,\"1\n2\"\nb,\"say \"\"x\"\"\"\n"), "a.csv", FILE);
    loaded.ends(0, "loaded", "").rows(&["1|1\n2|1.00", "2|say \"x\"|2.00"]);
}

#[test]
fn a_lost_quote_in_a_huge_lookup_file_takes_no_memory() {
    let peak = |lines: usize| {
        let mut content = "k,v\nb,\"1\n".to_owned();
        (0..lines).for_each(|line| content.push_str(&format!("{line},a text that goes on and on\n")));
        let site = with_file(BY_FILE, &content)();
        site.write("a.csv", FILE);
        let (code, object, peak) = run_measured(&site, "a.csv");
        assert_eq!((code, &object["outcome"]), (1, &"failed".into()), "{object}");
        peak
    };
    let (small, large) = (peak(1), peak(2_000_000));
    assert!(large < small + (24 << 20), "{small} {large}");
}

#[test]
fn a_lookup_file_that_contradicts_itself_is_found_by_check() {
    let site = with_file(BY_FILE, "k,v\na,1\nb,2\na,3\n")();
    let ran = site.run(["check"]).exits(1);
    plain(&ran);
    let said = ran.out + &ran.err;
    assert!(said.contains("lines 2 and 4 have the same key (k)"), "{said}");
}

#[test]
fn a_lookup_table_that_is_away_is_a_fault_and_no_reason_to_reject() {
    for (lookup, says) in [
        ("file = \"names.csv\", key = \"k\"", "names.csv"),
        ("table = \"names\", key = \"k\"", "the lookup table names"),
        ("connection = \"away\", table = \"names\", key = \"k\"", "the lookup table names"),
    ] {
        let text = mapping(lookup);
        let site = || {
            let site = Site::with_mapping("items", &text);
            site.write("wharf.toml", "[connections.away]\nurl = \"sqlite:away/names.db\"\n");
            site
        };
        let loaded = load(site, "a.csv", FILE);
        loaded.ends(1, "failed", "fault").says(&[says]).nothing_loaded();
        let id = loaded.object["delivery"].as_str().unwrap();
        // What was away comes back, and another attempt goes well.
        let site = &loaded.site;
        site.write("mappings/lookups/names.csv", "k\na\nb\n");
        fs::create_dir_all(site.path("away")).unwrap();
        for database in ["var/warehouse.db", "away/names.db"] {
            let made = "CREATE TABLE names (k); INSERT INTO names VALUES ('a'), ('b')";
            rusqlite::Connection::open(site.path(database)).unwrap().execute_batch(made).unwrap();
        }
        site.run(["retry", id]).exits(0);
        assert_eq!(query(&site.path("var/warehouse.db"), "SELECT count(*) FROM items"), [["2"]]);
    }
}

#[test]
fn a_lookup_table_without_the_columns_is_found_by_check() {
    for (lookup, says) in [
        ("file = \"names.csv\", key = \"code\"", "no column `code`"),
        ("file = \"names.csv\", key = \"k\", value = \"label\"", "no column `label`"),
        ("file = \"missing.csv\", key = \"k\"", "missing.csv"),
        ("table = \"names\", key = \"k\"", "names"),
    ] {
        let site = with_file(lookup, "k,v\n")();
        let ran = site.run(["check"]).exits(1);
        plain(&ran);
        assert!((ran.out + &ran.err).contains(says), "{lookup}");
    }
    let site = with_file("table = \"names\", key = \"code\"", "")();
    fs::create_dir_all(site.path("var")).unwrap();
    rusqlite::Connection::open(site.path("var/warehouse.db"))
        .unwrap()
        .execute_batch("CREATE TABLE names (k)")
        .unwrap();
    let ran = site.run(["check"]).exits(1);
    assert!((ran.out + &ran.err).contains("no column `code`"));
}

#[test]
fn a_lookup_file_that_is_no_csv_or_no_plain_name_is_told() {
    for content in ["k,v\na\n", "k,v\n\"a\u{0}", "k,v\n\u{fffd}"] {
        let loaded = load(with_file(BY_FILE, content), "a.csv", FILE);
        assert!(matches!(loaded.code, 1 | 2), "{content:?}");
    }
    let site = with_file(BY_FILE, "")();
    fs::write(site.path("mappings/lookups/names.csv"), b"k,v\n\xff,1\n").unwrap();
    let (code, delivery) = site.load("a.csv", FILE);
    assert_eq!((code, &delivery["outcome"]), (1, &"failed".into()), "{delivery:#}");
    for name in ["../secret.csv", "/etc/passwd", "", ".hidden", "a/b.csv"] {
        let site = Site::with_mapping("items", &mapping(&format!("file = \"{name}\", key = \"k\"")));
        let ran = site.run(["check"]).exits(1);
        assert!((ran.out + &ran.err).contains("this is no plain file name"), "{name}");
    }
}

#[test]
fn lookups_that_make_no_sense_say_what_to_do() {
    for (lookup, says) in [
        ("key = \"k\"", "it is not said where to look"),
        ("table = \"a\", file = \"b.csv\", key = \"k\"", "both a table and a file"),
        ("file = \"b.csv\", connection = \"x\", key = \"k\"", "a file has no connection"),
        ("table = \"a\", connection = \"x\", key = \"k\"", "there is no connection `x`"),
        ("table = \"a\"", "`key`"),
        ("table = \"a\", key = \" \"", "a column's name is empty"),
        ("table = \"a\", key = { k = \"nmae\", l = \"name\" }", "did you mean `name`"),
        ("table = \"a\", key = { k = \"id\" }", "`name` itself is not looked up"),
        (
            "table = \"a\", key = { k = \"name\", l = \"x\" } } }\nx = { value = \"name\", lookup = { table = \"a\", key = \"k\"",
            "from one another",
        ),
    ] {
        let site = Site::with_mapping("items", &mapping(lookup));
        let ran = site.run(["check"]).exits(1);
        plain(&ran);
        let said = ran.out + &ran.err;
        assert!(said.contains(says), "{lookup}: {said}");
    }
}

#[test]
fn a_huge_lookup_table_stays_within_the_memory_of_the_site() {
    let text = mapping("table = \"names\", key = \"k\", value = \"v\"");
    let peak = |rows: u32| {
        let site = Site::with_mapping("items", &text);
        site.write("wharf.toml", "[store]\nmax_memory = \"64MB\"\n");
        fs::create_dir_all(site.path("var")).unwrap();
        let connection = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
        connection
            .execute_batch(&format!(
                "CREATE TABLE names (k INTEGER, v TEXT); WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n \
                 WHERE k < {rows}) INSERT INTO names SELECT k, 'the name of number ' || k FROM n"
            ))
            .unwrap();
        let mut file = "id,name,amount\n".to_owned();
        for id in 1..=1000u64 {
            file.push_str(&format!("{id},0{},1.00\n", id * u64::from(rows) / 1000));
        }
        site.write("a.csv", file);
        let (code, object, peak) = run_measured(&site, "a.csv");
        assert_eq!((code, &object["tally"]["inserted"]), (0, &1000.into()), "{object}");
        let found = site.query("SELECT count(*), min(name), max(name) FROM items");
        assert_eq!(found[0][0], "1000");
        assert!(found[0][1].starts_with("the name of number "), "{found:?}");
        peak
    };
    // A million keys with their texts are more than sixty megabytes; they may not come to stand in memory.
    let (small, large) = (peak(1_000), peak(1_000_000));
    assert!(large < small + (24 << 20), "{small} {large}");
}

/// A site with a lookup table `names` of ten long texts and an eleventh that is too long for anything.
fn with_long_texts(lookup: &str, column: &str, length: u32) -> Site {
    let site = Site::with_mapping(
        "items",
        &mapping(lookup).replace("amount = { type", &format!("{column}\namount = {{ type")),
    );
    site.write("wharf.toml", "[store]\nmax_memory = \"64MB\"\n");
    fs::create_dir_all(site.path("var")).unwrap();
    let connection = rusqlite::Connection::open(site.path("var/warehouse.db")).unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE names (k INTEGER, v TEXT); WITH RECURSIVE n (k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n \
             WHERE k < 9) INSERT INTO names SELECT k, k || printf('%{length}s', '') || k FROM n; \
             INSERT INTO names VALUES (10, printf('%1048577s', ''))"
        ))
        .unwrap();
    site
}

#[test]
fn long_looked_up_texts_are_never_mixed_up_and_take_little_memory() {
    let lookup = "table = \"names\", key = \"k\", value = \"v\"";
    let computed = format!("c = {{ value = \"right(id, 1)\", lookup = {{ {lookup} }} }}");
    let peak = |length: u32| {
        let site = with_long_texts(lookup, &computed, length);
        let lines: String = (0..200).map(|id| format!("{id},{},1.00\n", id / 10 % 10)).collect();
        site.write("a.csv", format!("id,name,amount\n{lines}"));
        let (code, object, peak) = run_measured(&site, "a.csv");
        assert_eq!((code, &object["tally"]["inserted"]), (0, &200.into()), "{object}");
        let wrong = site.query(
            "SELECT count(*) FROM items WHERE length(c) <> length(name) \
             OR substr(c, 1, 1) + 0 <> id % 10 OR substr(c, -1) + 0 <> id % 10 \
             OR substr(name, 1, 1) + 0 <> id / 10 % 10 OR substr(name, -1) + 0 <> id / 10 % 10",
        );
        assert_eq!(wrong, [["0"]]);
        peak
    };
    let (small, large) = (peak(1), peak(500_000));
    assert!(large < small + (64 << 20), "{small} {large}");
}

#[test]
fn a_looked_up_text_of_more_than_a_megabyte_rejects_its_record_only() {
    let lookup = "table = \"names\", key = \"k\", value = \"v\"";
    let site = with_long_texts(lookup, "", 1);
    site.write("a.csv", "id,name,amount\n1,1,1.00\n2,10,2.00\n3,3,3.00\n");
    let (code, object, _) = run_measured(&site, "a.csv");
    assert_eq!((code, &object["tally"]["inserted"]), (2, &2.into()), "{object}");
    let (_, violations) = site.report(&object, "errors");
    let said: Vec<String> = violations.iter().map(|row| row.join("|")).collect();
    let says = "has a value in names that is longer than a megabyte";
    assert!(said.len() == 1 && said[0].contains("|lookup|") && said[0].contains(says), "{said:?}");
}
