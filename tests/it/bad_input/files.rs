//! Files that are wrong as a whole: empty, without the right header, in another encoding, or nobody's.

use super::{ITEMS, balances, items, items_with, load, plain};
use crate::support::Site;

/// A site with the mapping of items that takes empty files.
fn items_that_may_be_empty() -> Site {
    Site::with_mapping("items", &ITEMS.replace("match", "empty_file = \"load\"\nmatch"))
}

#[test]
fn an_empty_file_is_refused() {
    let loaded = load(items, "a.csv", "");
    loaded.ends(3, "refused", "empty").says(&["no bytes", "empty_file = \"load\""]);
    loaded.counts(0, 0, 0, 0).nothing_loaded();
}

#[test]
fn a_file_of_nothing_but_a_byte_order_mark_or_blank_lines_is_refused_as_empty() {
    for content in ["\u{feff}", "\n", "\r\n\r\n", "\u{feff}\n\n"] {
        let loaded = load(items, "a.csv", content);
        loaded.ends(3, "refused", "empty").says(&["no header and no records"]).counts(0, 0, 0, 0);
    }
}

#[test]
fn an_empty_file_is_loaded_where_the_mapping_says_that_it_is_right() {
    for content in ["", "\u{feff}", "\r\n"] {
        let loaded = load(items_that_may_be_empty, "a.csv", content);
        loaded.ends(0, "loaded", "").counts(0, 0, 0, 0);
    }
}

#[test]
fn a_file_of_a_header_alone_loads_no_rows() {
    for content in ["id,name,amount\n", "id,name,amount", "id,name,amount\r\n\r\n"] {
        load(items, "a.csv", content).ends(0, "loaded", "").counts(0, 0, 0, 0).rows(&[]);
    }
}

#[test]
fn a_file_without_the_header_that_is_expected_is_refused_with_a_hint() {
    let loaded = load(items, "a.csv", "1,lamp,2.50\n2,desk,80\n");
    loaded.ends(3, "refused", "header").counts(0, 0, 0, 0).nothing_loaded();
    loaded.says(&["names none of the mapping's columns", "format.header = false", "format.skip_rows"]);
}

#[test]
fn missing_doubled_and_unexpected_header_names_are_all_named_at_once() {
    let table: [(&str, &[&str]); 6] = [
        ("name,amount", &["no column \"id\"", "the file's columns are \"name\", \"amount\""]),
        ("id,name,Name ,amount", &["names \"name\" twice"]),
        ("id,name,amount,colour", &["the column \"colour\" is not expected"]),
        (
            "ID,x,amount,\u{a0}amount,y",
            &["\"x\" is not expected", "\"y\" is not expected", "\"amount\" twice"],
        ),
        ("name,name,z", &["no column \"id\"", "\"name\" twice", "\"z\" is not expected"]),
        ("id;name;amount", &["names none of the mapping's columns", "format.delimiter"]),
    ];
    for (header, parts) in table {
        let strict = || items_with("unexpected = \"reject\"");
        let loaded = load(strict, "a.csv", format!("{header}\n1,2,3\n"));
        loaded.ends(3, "refused", "header").says(parts).counts(0, 0, 0, 0).nothing_loaded();
    }
}

#[test]
fn a_column_that_nobody_expects_is_left_out_unless_the_mapping_minds() {
    let loaded = load(items, "a.csv", "id,colour,name,amount\n1,red,lamp,2.50\n");
    loaded.ends(0, "loaded", "").counts(1, 1, 0, 0).rows(&["1|lamp|2.50"]);
}

#[test]
fn a_broken_header_is_refused_with_its_line() {
    let table = [
        ("id,\"name,amount\n1,a,2\n", "line 1: the header has a quote that does not close"),
        (
            "\n\nid,\"na\"me,amount\n1,a,2\n",
            "line 3: the header has a quote that does not close, or text after one",
        ),
        ("id,na\0me,amount\n1,a,2\n", "line 1: the header holds a NUL byte"),
    ];
    for (content, part) in table {
        let loaded = load(items, "a.csv", content);
        assert_eq!((loaded.code, &loaded.object["outcome"]), (3, &"refused".into()));
        loaded.says(&[part]).counts(0, 0, 0, 0).nothing_loaded();
    }
    let long = format!("{}\n1\n", "x,".repeat(400_000));
    let loaded = load(|| items_with("max_record_bytes = 1024"), "a.csv", long);
    loaded.ends(3, "refused", "header").says(&["line 1: the header is too long"]);
}

#[test]
fn a_header_in_another_encoding_is_refused_with_a_likely_one() {
    let loaded = load(items, "a.csv", b"id,name,amount,gr\xf6\xdfe\n1,a,2,3\n");
    loaded.ends(3, "refused", "encoding").says(&["line 1", "not valid", "format.encoding", "windows-1252"]);
}

#[test]
fn utf_16_without_a_byte_order_mark_is_refused_as_no_utf_8_with_a_hint() {
    let text = "id,name,amount\r\n1,lamp,2.50\r\n2,desk,80\r\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (content, label) in [(&little, "utf-16le"), (&big, "utf-16be")] {
        let loaded = load(items, "a.csv", content);
        loaded.ends(3, "refused", "encoding").counts(0, 0, 0, 0).nothing_loaded();
        loaded.says(&["not UTF-8", &format!("format.encoding = \"{label}\"")]);
        let right = load(|| items_with(&format!("encoding = \"{label}\"")), "a.csv", content);
        right.ends(0, "loaded", "").rows(&["1|lamp|2.50", "2|desk|80.00"]);
    }
}

#[test]
fn utf_16_that_is_cut_in_half_costs_the_record_it_is_cut_in() {
    let text = "\u{feff}id,name,amount\n1,lamp,2.50\n2,𝄞 music,80\n";
    let whole: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    load(items, "a.csv", &whole).ends(0, "loaded", "").rows(&["1|lamp|2.50", "2|𝄞 music|80.00"]);
    // In the last digit; and in the middle of the clef, of which there are two units of two bytes.
    for (cut, expected) in [(3, "3 amount encoding: 8?"), (23, "3  columns: ")] {
        let loaded = load(items, "a.csv", &whole[..whole.len() - cut]);
        loaded.ends(2, "loaded_with_rejects", "").counts(2, 1, 1, 0).rows(&["1|lamp|2.50"]);
        let found = loaded.violations();
        assert!(found.iter().any(|(shown, _)| shown == expected), "{found:?}");
        assert!(
            found.iter().any(|(_, message)| message.contains("not valid in the file's encoding")),
            "{found:?}"
        );
    }
}

#[test]
fn a_file_that_no_mapping_takes_is_archived_and_refused() {
    let only_orders = || Site::with_mapping("orders", &ITEMS.replace("\"*\"", "\"orders_*.csv\""));
    let loaded = load(only_orders, "stock.csv", "id,name,amount\n1,a,2\n");
    loaded.ends(3, "refused", "no_mapping").counts(0, 0, 0, 0).nothing_loaded();
    loaded.says(&["no mapping takes a file of this name", "orders", "--mapping"]);
    assert_eq!(super::files_below(&loaded.site.path("var/archive")).len(), 1);

    let named = loaded.site.run(["load", "--json", "--mapping", "orders", "stock.csv"]).exits(0).object();
    assert_eq!(named["outcome"], "loaded");
    let none = load(Site::new, "stock.csv", "id\n1\n");
    none.ends(3, "refused", "no_mapping").says(&["there are none"]);
}

#[test]
fn a_file_that_two_mappings_take_is_refused_unless_both_share_it() {
    let two = |head: &str| {
        let site = Site::with_mapping("one", &ITEMS.replace("match", &format!("{head}\nmatch")));
        let other = ITEMS.replace("table = \"items\"", "table = \"others\"");
        site.write("mappings/inbound/two.toml", other.replace("match", &format!("{head}\nmatch")));
        site
    };
    let content = "id,name,amount\n1,lamp,2\n2,desk,x\n";
    let loaded = load(|| two(""), "a.csv", content);
    loaded.ends(3, "refused", "ambiguous").counts(0, 0, 0, 0).nothing_loaded();
    loaded.says(&["the mappings one and two", "shared = true", "--mapping"]);

    let site = two("shared = true");
    site.write("a.csv", content);
    let both = site.run(["load", "--json", "a.csv"]).exits(2).json();
    let of = |key: &str| both.iter().map(|object| object[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("mapping"), ["one", "two"]);
    assert_eq!(of("outcome"), ["loaded_with_rejects", "loaded_with_rejects"]);
    assert_ne!(both[0]["delivery"], both[1]["delivery"]);
    both.iter().for_each(balances);
    assert_eq!(site.query("SELECT * FROM items"), site.query("SELECT * FROM others"));
}

#[test]
fn a_file_of_a_mapping_that_is_not_valid_is_not_taken() {
    let broken = || Site::with_mapping("items", &ITEMS.replace("table", "tabel"));
    let loaded = load(broken, "a.csv", "id,name,amount\n1,a,2\n");
    loaded
        .ends(1, "failed", "fault")
        .says(&["the mapping items takes this file but is not valid", "wharf check"]);
    assert!(super::files_below(&loaded.site.path("var/archive")).is_empty());
}

#[test]
fn the_same_file_named_twice_is_loaded_once() {
    let site = items();
    site.write("a.csv", "id,name,amount\n1,lamp,2\n");
    let both = site.run(["load", "--json", "a.csv", "a.csv", "./a.csv"]).exits(0).json();
    let outcomes: Vec<_> = both.iter().map(|object| object["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["loaded", "duplicate", "duplicate"]);
    both.iter().for_each(balances);
    for later in &both[1..] {
        let message = later["message"].as_str().unwrap();
        assert_eq!(message, format!("duplicate of {}, nothing to do", both[0]["delivery"].as_str().unwrap()));
    }
    assert_eq!(site.query("SELECT count(*) FROM items"), [["1"]]);
    assert_eq!(super::files_below(&site.path("var/archive")).len(), 1);
}

#[test]
fn what_is_no_ordinary_file_or_not_there_is_not_taken_and_the_others_load() {
    let site = items();
    site.write("good.csv", "id,name,amount\n1,lamp,2\n");
    site.write("folder/x.csv", "");
    std::os::unix::fs::symlink("good.csv", site.path("link.csv")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(site.path("pipe.csv")).status().unwrap();
    assert!(made.success());

    let files = ["folder", "good.csv", "link.csv", "missing.csv", "pipe.csv"];
    let told = site.run(["load", "--json"].iter().chain(&files)).exits(1);
    let objects = told.json();
    assert_eq!(objects.iter().map(|object| &object["file"]).collect::<Vec<_>>(), files);
    let parts = ["it is a folder", "", "it is a link", "No such file", "it is a pipe"];
    for (object, part) in objects.iter().zip(parts) {
        balances(object);
        let message = object["message"].as_str().unwrap_or_default();
        if part.is_empty() {
            assert_eq!(object["outcome"], "loaded");
        } else {
            assert_eq!((&object["outcome"], &object["reason"]), (&"failed".into(), &"fault".into()));
            let file = object["file"].as_str().unwrap();
            assert!(message.contains(part) && message.contains(file), "{message}");
            assert!(object["delivery"].is_null());
        }
    }
    let text = site.run(["load", "pipe.csv"]).exits(1);
    plain(&text);
    assert!(text.out.contains("nothing was taken: mend the cause"), "{text:?}");
    assert!(site.path("link.csv").is_symlink() && site.path("folder/x.csv").exists());
    assert_eq!(site.run(["deliveries", "--json"]).json().len(), 1);
}

#[test]
fn the_exit_code_of_several_files_is_that_of_the_worst() {
    let site = items();
    site.write("good.csv", "id,name,amount\n1,lamp,2\n");
    site.write("rejects.csv", "id,name,amount\n2,desk,x\n");
    site.write("refused.csv", "");
    let table: [(&[&str], i32); 4] = [
        (&["good.csv"], 0),
        (&["rejects.csv", "good.csv"], 2),
        (&["refused.csv", "rejects.csv", "good.csv"], 3),
        (&["missing.csv", "refused.csv", "rejects.csv", "good.csv"], 1),
    ];
    for (files, code) in table {
        let told = site.run(["load", "--again", "--json"].iter().chain(files)).exits(code);
        assert_eq!(told.json().len(), files.len());
    }
}
