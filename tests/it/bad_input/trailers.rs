//! Trailers and control totals that disagree refuse the file: it may be cut off, doubled or mixed up.

use super::{items_with, load};

const TRAILER: &str =
    "trailer = { starts_with = \"TRL\", count = 2 }\ncontrols = [{ column = \"amount\", sum = 3 }]";

#[test]
fn a_trailer_that_agrees_is_no_record() {
    let content = "id,name,amount\n1,lamp,2.50\n2,desk,80\nTRL,2,82.5\n";
    let loaded = load(|| items_with(TRAILER), "a.csv", content);
    loaded.ends(0, "loaded", "").counts(2, 2, 0, 0).rows(&["1|lamp|2.50", "2|desk|80.00"]);
}

#[test]
fn a_trailer_that_disagrees_is_absent_or_misplaced_refuses_the_file() {
    // What follows the header, the reason, what is said, records read, records rejected.
    let table: [(&str, &str, &[&str], u64, u64); 10] = [
        (
            "1,a,1\n2,b,2\nTRL,3,3\n",
            "trailer",
            &["line 4", "states 3 records, but 2 were read", "whole file"],
            2,
            0,
        ),
        ("1,a,1\nTRL,3\n", "trailer", &["line 3", "states 3 records, but 1 were read"], 1, 0),
        ("1,a,1\n2,b,2\n", "trailer", &["no trailer", "begins with TRL", "cut off"], 2, 0),
        ("", "trailer", &["no trailer"], 0, 0),
        (
            "1,a,1\nTRL,1,1\n2,b,2\nTRL,2,3\n",
            "trailer",
            &["two trailers, on lines 3 and 5", "two files in one"],
            2,
            0,
        ),
        ("TRL,2,3\n1,a,1\n2,b,2\n", "trailer", &["2 records stand after the trailer on line 2"], 2, 0),
        ("1,a,1\nTRL,1,1\n2,b,2\n", "trailer", &["1 record stands after the trailer on line 3"], 2, 0),
        ("1,a,1\nTRL,many,1\n", "trailer", &["field 2 of the trailer on line 3 is no count"], 1, 0),
        (
            "1,a,1\n2,b,2\nTRL,2,4.00\n",
            "controls",
            &["line 4", "4.00 as the sum of amount", "add up to 3.00"],
            2,
            0,
        ),
        ("1,a,1\n2,b,x\nTRL,2,4\n", "controls", &["add up to 1.00", "1 record has no readable value"], 2, 1),
    ];
    for (records, reason, parts, read, rejected) in table {
        let loaded = load(|| items_with(TRAILER), "a.csv", format!("id,name,amount\n{records}"));
        loaded.ends(3, "refused", reason).says(parts);
        loaded.counts(read, 0, rejected, read - rejected).nothing_loaded();
    }
}

#[test]
fn rejected_records_count_for_the_trailer() {
    let content = "id,name,amount\n1,a,1\n,b,2\n3,\"c,3\nTRL,3,3\n";
    let loaded = load(|| items_with("trailer = { starts_with = \"TRL\", count = 2 }"), "a.csv", content);
    loaded.ends(2, "loaded_with_rejects", "").counts(3, 1, 2, 0).rows(&["1|a|1.00"]);
}

#[test]
fn rejects_of_a_refused_file_are_reported_with_the_word_to_send_it_again_whole() {
    let loaded = load(|| items_with(TRAILER), "a.csv", "id,name,amount\n1,a,1\n,b,2\nTRL,9,3\n");
    loaded.ends(3, "refused", "trailer").counts(2, 0, 1, 1).rejects(&["3 id required: "]);
    let (header, rows) = loaded.site.report(&loaded.object, "rejects");
    let words = &rows[0][header.iter().position(|name| name == "wharf_problems").unwrap()];
    assert!(words.contains("send the whole file again"), "{words}");
}

#[test]
fn an_offset_counts_header_and_trailer_too() {
    let trailer = "trailer = { starts_with = \"TRL\", count = 2, offset = 2 }";
    let with = |count: &str| format!("id,name,amount\n1,a,1\n2,b,2\nTRL,{count},\n");
    load(|| items_with(trailer), "a.csv", with("4")).ends(0, "loaded", "").counts(2, 2, 0, 0);
    let loaded = load(|| items_with(trailer), "a.csv", with("2"));
    loaded.ends(3, "refused", "trailer").says(&["states 2 records, but 2 were read (+2 as offset)"]);
}
