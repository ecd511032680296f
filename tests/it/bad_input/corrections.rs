//! Corrected reports as people and spreadsheets really send them: with columns and rows that are gone, moved, renamed, made up
//! or changed by nobody. Whatever it is, what can be taken is taken, and the rest is refused row by row with words.

use encoding_rs::WINDOWS_1252;
use serde_json::Value;

use crate::{
    corrections::{CORRECTED, MAPPING, ORDERS, Report, counts, errors},
    support::Site,
};

/// Takes the columns with these names out of a report.
fn without(report: &mut Report, columns: &[&str]) {
    for column in columns {
        let at = report.at(column);
        report.header.remove(at);
        report.rows.iter_mut().for_each(|row| {
            row.remove(at);
        });
    }
}

/// The correction ended with these counts, and refused these rows: line, column, rule and words.
#[track_caller]
fn refused(report: &Report, correction: &Value, expected_counts: [u64; 4], expected: &[&str]) {
    assert_eq!(counts(correction), expected_counts, "{correction}");
    let found = errors(&report.site, correction);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}\nis to hold\n{expected}");
    }
}

#[test]
fn columns_that_are_gone_are_as_they_were_unless_they_had_to_be_corrected() {
    let mut report = Report::new();
    report.correct_all();
    without(&mut report, &["Name", "Amount", "wharf_problems", "wharf_raw"]);
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let expected = [
        "3 amount type: is not a number",
        "3  correction: has to be corrected in \"Amount\", but the file has no such column: put it back",
        "7  correction: has neither text in wharf_raw nor anything in the other columns",
    ];
    refused(&report, &correction, [5, 3, 0, 2], &expected);
    assert_eq!(report.orders(), [CORRECTED[0], CORRECTED[2], CORRECTED[3], CORRECTED[4]]);
    assert_eq!(report.standing(), [2, 3, 0, 0]);
    // What was refused comes back in the next report under the id that it has.
    let (header, left) = report.site.report(&correction, "rejects");
    assert_eq!((&header[0], left.len()), (&"wharf_reject_id".to_owned(), 2));
    assert_eq!((&left[0][0], &left[1][0]), (&report.rows[0][0], &report.rows[4][0]));
    (report.header, report.rows) = (header, left);
    report.set(0, "Amount", "1.20");
    report.set(1, "wharf_raw", "00006,Zoe,1.60,2026-03-06");
    assert_eq!(report.send_plain().0, 0);
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn a_column_that_was_renamed_is_asked_about_and_nothing_is_guessed() {
    let mut report = Report::new();
    report.correct_all();
    let at = report.at("Due");
    report.header[at] = "Due date".to_owned();
    let (code, correction) = report.send_plain();
    assert_eq!(
        (code, &correction["outcome"], &correction["reason"]),
        (3, &"refused".into(), &"header".into())
    );
    let message = correction["message"].as_str().unwrap();
    assert!(message.contains("lacks \"Due\" and has \"Due date\", which is not in the report: is \"Due date\" meant to be \"Due\"?"), "{message}");
    assert_eq!(report.standing(), [5, 0, 0, 0]);
    report.header[at] = " due ".to_owned();
    assert_eq!(report.send_plain().0, 0, "case and spaces do not matter");
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn columns_in_any_order_are_found_even_if_the_id_is_not_the_first() {
    let mut report = Report::new();
    report.correct_all();
    report.header.reverse();
    report.rows.iter_mut().for_each(|row| row.reverse());
    assert_eq!(report.send_plain().0, 0);
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn rows_that_were_added_are_refused_one_by_one() {
    let mut report = Report::new();
    report.correct_all();
    let width = report.header.len();
    let mut added = vec![String::new(); width];
    (added[1], added[2]) = ("00009".to_owned(), "Eve".to_owned());
    report.rows.insert(1, added);
    report.rows.push(vec![String::new(); width]);
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let words = "3  correction: of the corrected file has no id in wharf_reject_id: rows that are not in the report belong in a \
                 file of their own";
    refused(&report, &correction, [6, 5, 0, 1], &[words]);
    let (_, left) = report.site.report(&correction, "rejects");
    assert_eq!(
        (left[0][0].as_str(), left[0].last().unwrap().as_str()),
        ("", ",00009,Eve,,,,"),
        "as it came, without an id"
    );
    assert_eq!(report.orders(), CORRECTED);
    assert_eq!(report.standing(), [0, 5, 0, 0]);
}

#[test]
fn a_row_that_is_there_twice_counts_once_and_both_are_refused_if_they_differ() {
    let mut report = Report::new();
    report.correct_all();
    report.rows.push(report.rows[0].clone());
    let mut other = report.rows[1].clone();
    other[2] = "Otto".to_owned();
    report.rows.push(other);
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let words = |line: u32, other: u32| {
        format!(
            "{line}  correction: of the corrected file has the id of the row on line {other}, but says something else: keep one of the two"
        )
    };
    refused(&report, &correction, [6, 4, 0, 2], &[&words(3, 8), &words(8, 3)]);
    assert_eq!(report.standing(), [1, 4, 0, 0], "nobody can tell which of the two is meant");
    // One of the two is kept, as it was asked for.
    report.rows.truncate(5);
    report.send_plain();
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn rows_in_another_order_are_told_by_their_ids() {
    let mut report = Report::new();
    report.correct_all();
    report.rows.rotate_left(2);
    report.rows.reverse();
    assert_eq!(report.send_plain().0, 0);
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn ids_that_were_changed_or_swapped_in_are_refused_one_by_one() {
    let mut report = Report::new();
    report.correct_all();
    let flipped = |id: &str| format!("{}{}", &id[..31], if id.ends_with('0') { '1' } else { '0' });
    let id = flipped(&report.rows[0][0]);
    report.set(0, "wharf_reject_id", &id);
    report.set(1, "wharf_reject_id", "7");
    report.set(2, "wharf_reject_id", "1.23457E+31");
    let upper = format!(" {} ", report.rows[3][0].to_uppercase());
    report.set(3, "wharf_reject_id", &upper);
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let unknown = |line: u32| {
        format!("{line}  correction: of the corrected file has an id that this site does not know")
    };
    refused(&report, &correction, [5, 2, 0, 3], &[&unknown(2), &unknown(3), &unknown(4)]);
    assert_eq!(report.standing(), [3, 2, 0, 0], "case and spaces of an id do not matter");
}

#[test]
fn a_report_of_another_site_is_refused_as_a_whole() {
    let report = Report::new();
    let elsewhere = Report::new();
    elsewhere.site.write("back.csv", report.plain());
    let ran = elsewhere.site.run(["resubmit", "--json", "back.csv"]).exits(3);
    let object = ran.object();
    assert_eq!((&object["outcome"], &object["reason"]), (&"refused".into(), &"no_reject".into()));
    let message = object["message"].as_str().unwrap();
    assert!(
        message.starts_with("no row of it belongs to a reject of this site; line 2: the record has an id"),
        "{message}"
    );
}

#[test]
fn rows_of_another_delivery_go_to_that_delivery_whatever_stands_beside_them() {
    let mut report = Report::new();
    report.correct_all();
    let (_, other) = report.site.load("orders_2.csv", "No,Name,Amount,Due\n00008,Kim,x,\n");
    let (_, rows) = report.site.report(&other, "rejects");
    // The ids of two rows were swapped: each corrects the record that its id leads to.
    let mut foreign = rows[0].clone();
    std::mem::swap(&mut foreign[0], &mut report.rows[0][0]);
    foreign[3] = "8".to_owned();
    report.rows.push(foreign);
    let (code, deliveries) = report.send("back.csv", report.plain());
    assert_eq!((code, deliveries.len()), (0, 2), "{deliveries:?}");
    let orders = report.orders();
    assert_eq!(orders[1], "00002|Müller|1.20|2026-03-02");
    assert!(orders.contains(&"00008|Kim|8.00|-".to_owned()), "{orders:?}");
}

#[test]
fn rows_of_a_file_with_other_columns_cost_the_others_nothing() {
    let mut report = Report::new();
    report.correct_all();
    let stock = MAPPING.replace("orders", "stock").replace("\"No\"", "\"Article\"");
    report.site.write("mappings/inbound/stock.toml", stock);
    let (_, other) = report.site.load("stock_1.csv", "Article,Name,Amount,Due\n1,x,y,\n");
    let (_, rows) = report.site.report(&other, "rejects");
    report.rows.push(rows[0].clone());
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let words = format!(
        "7  correction: of the corrected file is of another file ({}",
        other["delivery"].as_str().unwrap()
    );
    refused(&report, &correction, [6, 5, 0, 1], &[&words]);
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn what_a_spreadsheet_shows_of_a_wrong_text_is_no_correction_of_it() {
    // No is too long, and Excel takes its zeros away.
    let mut report = Report::of(MAPPING, "No,Name,Amount,Due\n0000012,A,1,\n00003,A,1,\n00003,B,2,\n");
    report.set(0, "No", "12");
    report.set(1, "No", "3");
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let words = ["2 no max_length: is longer than 6 characters", "4 no key: repeats the key of record 2"];
    refused(&report, &correction, [2, 0, 0, 2], &words);
    assert_eq!(report.orders(), ["00003|A|1.00|-"]);
    report.set(0, "No", "000012");
    report.set(1, "No", "00004");
    assert_eq!(report.send_plain().0, 0);
    assert_eq!(report.orders(), ["000012|A|1.00|-", "00003|A|1.00|-", "00004|B|2.00|-"]);
}

#[test]
fn what_a_check_or_a_computed_column_found_wrong_is_taken_as_it_comes_back() {
    let mapping = MAPPING.replace(
        "name = {",
        "short = { value = \"code\", max_length = 3 }\ncode = { from = \"Code\" }\nname = {",
    ) + "[checks.brief]\ncheck = \"length(name) <= 3\"\n";
    let mut report =
        Report::of(&mapping, "No,Code,Name,Amount,Due\n1,123,00123,1,\n2,00123,123,1,\n3,1,1.10,1,\n");
    report.set(0, "Name", "123");
    report.set(1, "Code", "123");
    report.set(2, "Name", "1.1");
    assert_eq!(report.send_plain().0, 0);
    assert_eq!(
        report.site.query("SELECT no, code, name FROM orders ORDER BY no"),
        [["1", "123", "123"], ["2", "123", "123"], ["3", "1", "1.1"]]
    );
}

#[test]
fn a_text_that_is_looked_up_is_not_what_a_spreadsheet_shows_of_it_unless_somebody_says_so() {
    let mapping = MAPPING
        .replace("from = \"Name\"", "from = \"Name\", lookup = { file = \"names.csv\", key = \"name\" }");
    let site = Site::with_mapping("orders", &mapping);
    site.write("mappings/lookups/names.csv", "name\n7\n");
    let (_, delivery) = site.load("orders_1.csv", "No,Name,Amount,Due\n1,007,1,\n2,007,1,\n");
    let (header, rows) = site.report(&delivery, "rejects");
    let mut report = Report { site, delivery, header, rows };
    report.set(0, "Name", "7");
    report.set(1, "Name", "'7");
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    refused(&report, &correction, [2, 1, 0, 1], &["2 name lookup: is not in names.csv"]);
    assert_eq!(report.site.query("SELECT no, name FROM orders"), [["2", "7"]]);
}

#[test]
fn a_row_that_is_given_the_key_of_another_row_of_its_file_replaces_none() {
    let site = Site::with_mapping("orders", MAPPING);
    site.load("orders_0.csv", "No,Name,Amount,Due\n00009,old,9,\n");
    let (_, delivery) = site.load("orders_1.csv", "No,Name,Amount,Due\n00001,A,1,\n,B,2,\n0000000,C,3,\n");
    let (header, rows) = site.report(&delivery, "rejects");
    let mut report = Report { site, delivery, header, rows };
    report.set(0, "No", "00001");
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    refused(
        &report,
        &correction,
        [2, 0, 0, 2],
        &["3 no key: has the key of another row of its file", "4 no max_length"],
    );
    assert_eq!(report.orders(), ["00001|A|1.00|-", "00009|old|9.00|-"]);
    // A row that an earlier file brought is another matter.
    report.set(0, "No", "00002");
    report.set(1, "No", "00009");
    assert_eq!(report.send_plain().0, 0);
    assert_eq!(report.orders(), ["00001|A|1.00|-", "00002|B|2.00|-", "00009|C|3.00|-"]);
}

#[test]
fn a_row_that_is_given_the_key_that_an_earlier_correction_brought_replaces_none() {
    let mut report = Report::of(MAPPING, "No,Name,Amount,Due\n0000001,A,1,\n0000002,B,2,\n");
    let second = report.rows.pop().unwrap();
    report.set(0, "No", "00009");
    assert_eq!(report.send_plain().0, 0);
    report.rows = vec![second];
    report.set(0, "No", "00009");
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    refused(&report, &correction, [1, 0, 0, 1], &["3 no key: has the key of another row of its file"]);
    assert_eq!(report.orders(), ["00009|A|1.00|-"]);
}

#[test]
fn what_is_sent_twice_is_refused_the_second_time_row_by_row() {
    let mut report = Report::new();
    report.correct_all();
    let (_, first) = report.send_plain();
    report.set(0, "Amount", "9.99");
    let (code, second) = report.send_plain();
    assert_eq!(code, 2);
    let id = first["delivery"].as_str().unwrap();
    let words: Vec<String> = (2..=6)
        .map(|line| format!("{line}  correction: of the corrected file is corrected already: {id} loaded it"))
        .collect();
    refused(&report, &second, [5, 0, 0, 5], &words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(report.orders(), CORRECTED, "the first correction stands");
}

#[test]
fn what_german_excel_did_to_cells_that_nobody_touched_is_undone() {
    let file = "No,Name,Amount,Due,Code,Text\n\
        00001,true,1.10,2026-03-01,x,007\n\
        00002,1234567890123456,1234.50,2026-03-02,x,1.10\n\
        00003,Łódź,0.10,2026-03-03,x,12.50\n";
    let more = "code = { from = \"Code\", type = \"integer\" }\ntext = { from = \"Text\" }\n";
    let mut report = Report::of(&format!("{MAPPING}{more}"), file);
    // As Excel shows them in German, and as it saves what it shows.
    for (row, cells) in [
        ["1", "WAHR", "1,1", "01.03.2026", "1", "7"],
        ["2", "1,23457E+15", "1234,5", "02.03.2026", "2", "01. Okt"],
        ["3", "?ód?", "0,1", "03.03.2026", "3", "Dez 50"],
    ]
    .iter()
    .enumerate()
    {
        report.rows[row][1..7].clone_from_slice(&cells.map(str::to_owned));
    }
    let text = report.text(';', false, "\r\n");
    let (code, deliveries) = report.send("Mappe1.csv", WINDOWS_1252.encode(&text).0);
    assert_eq!(code, 0, "{deliveries:?}");
    let rows = report.site.query("SELECT no, name, amount, due, code, text FROM orders ORDER BY no");
    assert_eq!(
        rows,
        [
            ["00001", "true", "1.10", "2026-03-01", "1", "007"],
            ["00002", "1234567890123456", "1234.50", "2026-03-02", "2", "1.10"],
            ["00003", "Łódź", "0.10", "2026-03-03", "3", "12.50"],
        ]
    );
}

#[test]
fn what_a_person_changed_in_german_excel_is_taken_as_the_mapping_reads_it() {
    let german = MAPPING
        .replace("type = \"decimal(10,2)\"", "type = \"decimal(10,2)\", decimal_mark = \",\"")
        .replace("type = \"date\"", "type = \"date\", format = [\"%d.%m.%Y\", \"%Y-%m-%d\"]");
    let file = "No,Name,Amount,Due\n00001,Adams,\"1,1x\",2026-03-01\n00002,Bee,\"2,20\",2026-02-30\n";
    let mut report = Report::of(&german, file);
    report.rows[0][1..5].clone_from_slice(&["1", "Adam", "1,1", "01.03.2026"].map(str::to_owned));
    report.rows[1][1..5].clone_from_slice(&["2", "Bee", "2,3", "28.02.2026"].map(str::to_owned));
    let (code, deliveries) = report.send("Mappe1.csv", report.text(';', false, "\r\n"));
    assert_eq!(code, 0, "{deliveries:?}");
    assert_eq!(report.orders(), ["00001|Adam|1.10|2026-03-01", "00002|Bee|2.30|2026-02-28"]);
}

#[test]
fn a_report_that_excel_opened_as_one_column_comes_back_whole() {
    let mut report = Report::new();
    report.correct_all();
    // Each line stood in one cell; those with quotes in them are quoted as a whole.
    let wrap = |line: &str| {
        if line.contains('"') {
            format!("\"{}\"\r\n", line.replace('"', "\"\""))
        } else {
            format!("{line}\r\n")
        }
    };
    let text: String = report.text(',', false, "\n").lines().map(wrap).collect();
    let (code, deliveries) = report.send("Mappe1.csv", text);
    assert_eq!(code, 0, "{deliveries:?}");
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn unicode_text_in_utf_16_is_read_letter_by_letter() {
    let mut report = Report::new();
    report.correct_all();
    report.set(0, "Name", "Дмитрий 東京");
    let text = report.text('\t', false, "\r\n");
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
    assert_eq!(report.send("Unicode.txt", &bytes).0, 0);
    assert_eq!(report.orders()[1], "00002|Дмитрий 東京|1.20|2026-03-02");
    assert_eq!(report.orders()[2..], CORRECTED[2..]);
    // Cut in the middle of a letter: the row it stands in is refused, and told.
    let mut report = Report::new();
    report.correct_all();
    let text = report.text('\t', false, "\r\n");
    let mut bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let at = bytes.windows(2).position(|unit| unit == [0xfc, 0]).unwrap();
    bytes[at + 1] = 0xd8;
    let (code, deliveries) = report.send("Unicode.txt", &bytes);
    assert_eq!(code, 2);
    let words = "2  correction: of the corrected file holds bytes that are not valid in the file's encoding";
    refused(&report, &deliveries[0], [5, 4, 0, 1], &[words]);
}

#[test]
fn a_correction_of_a_row_that_a_later_file_loaded_is_refused() {
    let mut report = Report::new();
    report.correct_all();
    let (_, later) = report.site.load("orders_2.csv", "No,Name,Amount,Due\n00002,Newer,9.99,2026-12-31\n");
    assert_eq!(report.standing(), [4, 0, 1, 0]);
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let id = later["delivery"].as_str().unwrap();
    let words = format!(
        "2  correction: of the corrected file is overtaken: {id} loaded this key later, and its values are newer"
    );
    refused(&report, &correction, [5, 4, 0, 1], &[&words]);
    assert!(report.orders().contains(&"00002|Newer|9.99|2026-12-31".to_owned()));
}

#[test]
fn a_report_of_a_file_of_which_nothing_was_loaded_is_refused_row_by_row() {
    let mut report =
        Report::of(&format!("{MAPPING}[rejects]\nlimit = 1\n"), ORDERS.replace("few", "few,,").as_str());
    assert_eq!(report.delivery["outcome"], "refused");
    report.correct_all();
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let words = "is of a file of which nothing was loaded: correct that file itself, and send it whole";
    refused(&report, &correction, [5, 0, 0, 5], &[words; 5]);
}

#[test]
fn rows_that_cannot_be_read_cost_no_others() {
    let mut report = Report::new();
    report.correct_all();
    let mut lines: Vec<String> = report.plain().lines().map(str::to_owned).collect();
    lines[2] = lines[2].replace("2026-02-28", "\"2026-02-28\"x");
    lines[3] += ",one more";
    lines[4] = format!("\"{}", lines[4]);
    let (code, deliveries) = report.send("back.csv", lines.join("\n"));
    assert_eq!(code, 2);
    let expected = [
        "3  correction: of the corrected file has text after a closing quote",
        "4  correction: of the corrected file has more cells than the header has columns",
        "5  correction: of the corrected file has text after a closing quote",
    ];
    refused(&report, &deliveries[0], [5, 2, 0, 3], &expected);
}

#[test]
fn a_corrected_file_without_rows_or_with_a_broken_header_is_refused() {
    let report = Report::new();
    for (text, reason) in [
        ("wharf_reject_id,No,Name,Amount,Due\n", "empty"),
        ("wharf_reject_id", "empty"),
        ("wharf_reject_id;No\n;;;\n\n", "empty"),
        ("wharf_reject_id,\"No\"x\n1,2\n", "header"),
        ("wharf_reject_id,No\nabc,2\n", "no_reject"),
    ] {
        let (code, deliveries) = report.send("back.csv", text);
        let found = (code, &deliveries[0]["outcome"], &deliveries[0]["reason"]);
        assert_eq!(found, (3, &"refused".into(), &reason.into()), "{text}");
    }
    assert_eq!(report.standing(), [5, 0, 0, 0]);
}

#[test]
fn a_corrected_file_with_too_many_columns_or_rows_is_refused() {
    let report = Report::new();
    let columns = format!("wharf_reject_id{}\n{}", ",x".repeat(20_000), "a\n".repeat(20_000));
    let rows = format!("wharf_reject_id,No\n{}", "a,b\n".repeat(250_001));
    for (text, words) in [(columns, "more than 16384 columns"), (rows, "more than 250000 rows: divide it")] {
        let (code, deliveries) = report.send("back.csv", text);
        assert_eq!((code, &deliveries[0]["reason"]), (3, &"header".into()), "{deliveries:?}");
        assert!(deliveries[0]["message"].as_str().unwrap().contains(words), "{deliveries:?}");
    }
    assert_eq!(report.standing(), [5, 0, 0, 0]);
}

#[test]
fn rows_that_end_early_take_nothing_away() {
    let mut report = Report::new();
    report.correct_all();
    report.rows.truncate(4);
    report.rows[0].truncate(4);
    report.rows[1].truncate(4);
    report.rows[2].truncate(2);
    let (code, correction) = report.send_plain();
    assert_eq!(code, 2);
    let words = "4  correction: has to be corrected in \"Due\", but ends before that cell: put it back";
    refused(&report, &correction, [4, 3, 0, 1], &["4 due type", words]);
    assert_eq!(report.orders(), [CORRECTED[0], CORRECTED[1], CORRECTED[3], CORRECTED[4]]);
}

#[test]
fn a_correction_whose_mapping_is_broken_is_left_where_it_is() {
    let mut report = Report::new();
    report.correct_all();
    report.site.write("mappings/inbound/orders.toml", MAPPING.replace("decimal(10,2)", "number"));
    let (code, deliveries) = report.send("back.csv", report.plain());
    assert_eq!(
        (code, &deliveries[0]["outcome"], &deliveries[0]["delivery"]),
        (1, &"failed".into(), &Value::Null)
    );
    report.site.write("mappings/inbound/orders.toml", MAPPING);
    assert_eq!(report.send_plain().0, 0);
    assert_eq!(report.orders(), CORRECTED);
}

#[test]
fn a_hostile_cell_of_a_correction_is_loaded_letter_by_letter_and_shown_safely() {
    let mut report = Report::new();
    report.rows.truncate(1);
    report.set(0, "Name", "'=cmd|' /C calc'!A0");
    report.set(0, "Amount", "still \u{1b}[31mwrong");
    let (_, correction) = report.send_plain();
    let (_, left) = report.site.report(&correction, "rejects");
    assert_eq!(left[0][2], "'=cmd|' /C calc'!A0", "protected once, and not twice");
    let shown = report.site.run(["rejects", correction["delivery"].as_str().unwrap()]);
    assert!(!shown.out.contains('\u{1b}'), "{shown:?}");
    let report = Report { header: report.header, rows: left, site: report.site, delivery: report.delivery };
    let mut report = report;
    report.set(0, "Amount", "1.20");
    report.send_plain();
    assert_eq!(report.orders()[1], "00002|=cmd|' /C calc'!A0|1.20|2026-03-02");
}

#[test]
fn an_ordinary_file_is_none_however_near_it_comes() {
    let site = Site::with_mapping("orders", MAPPING);
    for text in [
        "No,Name,wharf_reject_ids\n1,a,b\n",
        "No,Name\n1,wharf_reject_id\n",
        "No,Name,my wharf_reject_id x\n2,b,c\n",
    ] {
        let (code, delivery) = site.load("orders_1.csv", text);
        assert_eq!((code, &delivery["corrects"]), (0, &Value::Null), "{text}");
    }
}
