//! CSV as real systems write it: whatever its dialect, line ends and encoding, the values arrive exactly, and what is
//! wrong is said with the place where it stands in the file.

use std::collections::HashMap;

use serde_json::json;

use crate::support::Site;

/// A mapping of texts that are taken exactly as they stand; the first column is the key.
fn texts(format: &str, columns: &[&str]) -> String {
    let lines: Vec<String> =
        columns.iter().map(|name| format!("{name} = {{ empty = \"text\", trim = false }}")).collect();
    mapping(format, columns[0], &lines.join("\n"))
}

fn mapping(format: &str, key: &str, columns: &str) -> String {
    format!(
        "match = \"*\"\n[format]\ntype = \"csv\"\n{format}\n[target]\ntable = \"t\"\nkey = [\"{key}\"]\n[columns]\n{columns}\n"
    )
}

/// Loads `file` under a mapping of texts and gives the rows of the table in the order of the key. No record may be
/// rejected.
#[track_caller]
fn loaded(format: &str, columns: &[&str], file: &[u8]) -> Vec<Vec<String>> {
    let site = Site::with_mapping("m", &texts(format, columns));
    let (code, delivery) = site.load("file.csv", file);
    assert_eq!((code, &delivery["outcome"]), (0, &json!("loaded")), "{delivery:#}");
    site.query(&format!("SELECT {} FROM t ORDER BY {}", columns.join(", "), columns[0]))
}

/// Loads `file` and gives record, line, byte, column, value and rule of each violation.
#[track_caller]
fn violations(mapping: &str, file: &[u8]) -> Vec<Vec<String>> {
    let site = Site::with_mapping("m", mapping);
    let (code, delivery) = site.load("file.csv", file);
    assert_eq!(code, 2, "{delivery:#}");
    let (header, rows) = site.report(&delivery, "errors");
    assert_eq!(header, ["record", "line", "byte", "column", "value", "rule", "message"]);
    rows.into_iter().map(|row| row[..6].to_vec()).collect()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn the_shapes_of_csv_spectrum_arrive_with_their_exact_values_whatever_the_line_end() {
    type Case = (&'static str, &'static [&'static str], &'static [&'static [&'static str]]);
    let cases: &[Case] = &[
        ("x,y,z\n7,8,9\n", &["x", "y", "z"], &[&["7", "8", "9"]]),
        (
            "given,family,town,code\nAda,Byron,\"London, UK\",01234",
            &["given", "family", "town", "code"],
            &[&["Ada", "Byron", "London, UK", "01234"]],
        ),
        ("x,y,z\n1,\"\",\"\"\n2,3,4", &["x", "y", "z"], &[&["1", "", ""], &["2", "3", "4"]]),
        (
            "x,y\n1,\"they said \"\"no\"\" twice\"\n2,4\n",
            &["x", "y"],
            &[&["1", "they said \"no\" twice"], &["2", "4"]],
        ),
        (
            "x,y\n1,\"{\"\"kind\"\": \"\"Box\"\", \"\"sides\"\": [1.5, -2.0]}\"\n",
            &["x", "y"],
            &[&["1", "{\"kind\": \"Box\", \"sides\": [1.5, -2.0]}"]],
        ),
        (
            "x,y\n1,2\n\"3 and \n some more\",4\n5,6\n",
            &["x", "y"],
            &[&["1", "2"], &["3 and \n some more", "4"], &["5", "6"]],
        ),
        (
            "x,y\n1,\"a \n\"\"b\"\" \n\nc\"\n2,\"\"\"\"\n",
            &["x", "y"],
            &[&["1", "a \n\"b\" \n\nc"], &["2", "\""]],
        ),
        ("x,y\n1,ʤ\n2,a\u{301}🚢\n", &["x", "y"], &[&["1", "ʤ"], &["2", "a\u{301}🚢"]]),
    ];
    for (file, columns, rows) in cases {
        for line_end in ["\n", "\r\n", "\r"] {
            let with = |text: &str| text.replace('\n', line_end);
            let expected: Vec<Vec<String>> =
                rows.iter().map(|row| row.iter().map(|value| with(value)).collect()).collect();
            assert_eq!(loaded("", columns, with(file).as_bytes()), expected, "{line_end:?} {file:?}");
        }
    }
}

#[test]
fn delimiter_quote_and_escape_are_those_of_the_mapping() {
    for (format, file, expected) in [
        ("delimiter = \";\"", "a;b\n1;x,\"y\"\n", "x,\"y\""),
        ("delimiter = \"\\t\"", "a\tb\n1\t\"x\ty\"\n", "x\ty"),
        ("delimiter = \"|\"", "a|b\n1|\"x|\"\"y\"\"\"\n", "x|\"y\""),
        ("delimiter = \"||\"", "a||b\n1||x|y\n", "x|y"),
        ("delimiter = \"||\"", "a||b\n1||\"x||y\"\n", "x||y"),
        ("delimiter = \"\\u001f\"", "a\u{1f}b\n1\u{1f}x\n", "x"),
        ("delimiter = \"§\"", "a§b\n1§x,y\n", "x,y"),
        ("quote = \"'\"", "a,b\n1,'x, ''y'' \"z\"'\n", "x, 'y' \"z\""),
        ("quote = \"\"", "a,b\n1,\"x\" y\"\n", "\"x\" y\""),
        ("escape = \"\\\\\"", "a,b\n1,\"x \\\"y\\\" \\\\ z\"\n", "x \"y\" \\ z"),
        ("escape = \"\\\\\"", "a,b\n1,x\\,y\n", "x,y"),
        ("escape = \"\\\\\"\nquote = \"\"", "a,b\n1,\"x\\,y\n", "\"x,y"),
        ("escape = \"\\\"\"", "a,b\n1,\"x \"\"y\"\"\"\n", "x \"y\""),
        ("", "a,b\n1,x \"y\" z\n", "x \"y\" z"),
    ] {
        let rows = loaded(format, &["a", "b"], file.as_bytes());
        assert_eq!(rows, [["1", expected]], "{format} {file:?}");
    }
}

#[test]
fn lines_count_the_same_for_every_line_end_and_bytes_are_those_of_the_file() {
    let mapping = mapping("", "id", "id = { required = true }\nn = { type = \"integer\" }");
    for (file, line, byte) in [
        ("id,n\n1,1\n2,x\n", 3, 9),
        ("id,n\r\n1,1\r\n2,x\r\n", 3, 11),
        ("id,n\r1,1\r2,x\r", 3, 9),
        ("id,n\n1,1\r\n2,x", 3, 10),
        ("id,n\r\n1,1\r2,x\n", 3, 10),
        ("id,n\n\n\r\n1,1\n\n2,x", 6, 13),
        ("\u{feff}id,n\n1,1\n2,x\n", 3, 12),
    ] {
        let place = [line.to_string(), byte.to_string()];
        let expected = [["2", &place[0], &place[1], "n", "x", "type"]];
        assert_eq!(violations(&mapping, file.as_bytes()), expected, "{file:?}");
    }
}

#[test]
fn every_encoding_is_decoded_exactly_and_a_byte_order_mark_wins() {
    let text = "id,note\n1,Zoë 12 €\n2,\"two\nlines\"\n";
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend(text.bytes());
    let little = utf16(&format!("\u{feff}{text}"), u16::to_le_bytes);
    let big = utf16(&format!("\u{feff}{text}"), u16::to_be_bytes);
    let windows = b"id,note\n1,Zo\xeb 12 \x80\n2,\"two\nlines\"\n".to_vec();
    let latin9 = b"id,note\n1,Zo\xeb 12 \xa4\n2,\"two\nlines\"\n".to_vec();
    for (encoding, file) in [
        ("utf-8", text.as_bytes().to_vec()),
        ("utf-8", marked.clone()),
        ("windows-1252", marked),
        ("utf-8", little.clone()),
        ("windows-1252", big.clone()),
        ("utf-16le", utf16(text, u16::to_le_bytes)),
        ("utf-16be", utf16(text, u16::to_be_bytes)),
        ("UTF-16", little),
        ("utf-16be", big),
        ("windows-1252", windows.clone()),
        ("latin1", windows),
        ("iso-8859-15", latin9),
    ] {
        let rows = loaded(&format!("encoding = \"{encoding}\""), &["id", "note"], &file);
        assert_eq!(rows, [["1", "Zoë 12 €"], ["2", "two\nlines"]], "{encoding}");
    }
}

#[test]
fn the_second_byte_of_a_japanese_character_is_no_escape_and_no_delimiter() {
    // 表 ends with the byte of a backslash, ポ begins with one that windows-1252 knows, 能 ends with `\` too.
    let file = b"id|note\n1|\x95\x5c \x83\x7c\n2|\"\x94\x5c\"\n";
    let rows =
        loaded("encoding = \"shift_jis\"\nescape = \"\\\\\"\ndelimiter = \"|\"", &["id", "note"], file);
    assert_eq!(rows, [["1", "表 ポ"], ["2", "能"]]);
}

#[test]
fn bytes_in_reports_are_those_of_the_file_before_it_was_decoded() {
    let columns = "id = { required = true }\nn = { type = \"integer\" }\nnote = {}";
    let text = "id,n,note\n1,1,\"Zoë\né\"\n2,x,ü\n3,y,\n";
    let wide = utf16(&format!("\u{feff}{text}"), u16::to_be_bytes);
    let narrow = b"id,n,note\n1,1,\"Zo\xeb\n\xe9\"\n2,x,\xfc\n3,y,\n";
    let expected = |first: &str, second: &str| {
        [["2", "4", first, "n", "x", "type"], ["3", "5", second, "n", "y", "type"]]
            .map(|row| row.map(str::to_owned).to_vec())
    };
    assert_eq!(violations(&mapping("", "id", columns), text.as_bytes()), expected("24", "31"));
    assert_eq!(violations(&mapping("", "id", columns), &wide), expected("46", "58"));
    let windows = mapping("encoding = \"windows-1252\"", "id", columns);
    assert_eq!(violations(&windows, narrow), expected("22", "28"));
}

#[test]
fn what_is_no_record_is_left_out_and_its_lines_are_counted() {
    let columns = "id = { required = true }\nn = { type = \"integer\" }";
    for (format, file, line) in [
        ("comment = \"#\"", "# made by hand\nid,n\n# one\n1,1\n#2,2\n3,x\n", "6"),
        ("skip_rows = 2", "Report of\nthe night, with \"commas\nid,n\n1,1\n3,x\n", "5"),
        ("", "sep=;\nid;n\n1;1\n3;x\n", "4"),
        ("delimiter = \"\\t\"", "SEP=,\r\nid,n\r\n1,1\r\n3,x\r\n", "4"),
        ("skip_rows = 1", "Report\nsep=|\nid|n\n1|1\n3|x\n", "5"),
        ("trailing_delimiter = true", "id,n,\n1,1,\n3,x,\n", "3"),
        ("trailing_delimiter = true", "id,n\n1,1,\n3,x,\n", "3"),
        ("", "\n\nid,n\n\n1,1\n\n3,x\n\n\n", "7"),
    ] {
        let found = violations(&mapping(format, "id", columns), file.as_bytes());
        assert_eq!(found.len(), 1, "{file:?} {found:?}");
        assert_eq!((&*found[0][0], &*found[0][1], &*found[0][3]), ("2", line, "n"), "{file:?}");
    }
}

#[test]
fn columns_are_found_by_name_whatever_its_case_and_blanks_and_by_the_first_name_that_the_file_has() {
    let columns = r#"no = { from = ["Order No", "OrderNo"] }
city = { from = "Ort der Lieferung" }
plain = {}
absent = { from = "Not there" }"#;
    for header in [
        "Order No,Ort der Lieferung,plain",
        "  order no ,ORT DER LIEFERUNG,Plain",
        "Order\u{a0}No\u{a0},Ort\u{a0}der\u{202f}Lieferung,PLAIN",
        "\"Order No\",\"Ort der Lieferung\",\" plain\"",
        "OrderNo,Ort der Lieferung,plain",
    ] {
        let site = Site::with_mapping("m", &mapping("", "no", columns));
        let (code, delivery) = site.load("file.csv", format!("{header}\n1,Bonn,p\n"));
        assert_eq!(code, 0, "{header:?} {delivery:#}");
        assert_eq!(site.query("SELECT no, city, plain, absent FROM t"), [["1", "Bonn", "p", "-"]]);
    }
    let site = Site::with_mapping("m", &mapping("", "no", columns));
    site.load("file.csv", "OrderNo,plain,Order No\nsecond,p,first\n");
    assert_eq!(site.query("SELECT no FROM t"), [["first"]]);
}

#[test]
fn columns_are_found_by_number_where_the_file_has_no_header() {
    let columns = "id = { from = 2 }\nn = { from = 1, type = \"integer\" }";
    let mapping = mapping("header = false", "id", columns);
    let site = Site::with_mapping("m", &mapping);
    site.load("file.csv", "1,a,unused\n2,b,unused\n");
    assert_eq!(site.query("SELECT id, n FROM t ORDER BY n"), [["a", "1"], ["b", "2"]]);
    let found = violations(&mapping, b"1,a,unused\nx,b,unused\n");
    assert_eq!(found, [["2", "2", "11", "n", "x", "type"]]);
}

#[test]
fn a_trailer_that_agrees_with_count_and_sums_lets_the_file_load() {
    let columns = "id = { required = true }\namount = { type = \"decimal(12,2)\", decimal_mark = \",\", group_mark = \".\" }\nn = { type = \"integer\" }";
    for (trailer, last) in [
        ("{ starts_with = \"TRL\", count = 2 }", "TRL;3;1.000,51;6"),
        ("{ starts_with = \"TRL\", count = 2, offset = 2 }", "\"TRL\";5;1000,51;6"),
        ("{ starts_with = \"9\", count = 2, offset = -1 }", "99;2;1.000,510;6;and;more"),
    ] {
        let format = format!(
            "delimiter = \";\"\ntrailer = {trailer}\ncontrols = [{{ column = \"amount\", sum = 3 }}, {{ column = \"n\", sum = 4 }}]"
        );
        let site = Site::with_mapping("m", &mapping(&format, "id", columns));
        // The rejected record counts and sums too: the sender does not know of it.
        let file = format!("id;amount;n\n1;1.000,00;1\n;0,50;2\n3;0,01;3\n{last}\n");
        let (code, delivery) = site.load("file.csv", file);
        assert_eq!(code, 2, "{delivery:#}");
        assert_eq!((&delivery["tally"]["read"], &delivery["tally"]["inserted"]), (&json!(3), &json!(2)));
    }
}

#[test]
fn every_violation_of_a_record_is_reported_with_its_place_past_records_of_several_lines() {
    let columns = r#"id = { from = "Id", required = true, pattern = "[A-Z]+", max_length = 3 }
day = { from = "Day", type = "date" }
n = { from = "N", type = "integer", min = 1 }
note = { from = "Note" }"#;
    let file = "Id,Day,N,Note\n\
        AA,2026-01-01,1,\"line one\nline two\nline three\"\n\
        abcd,2026-02-30,0,\"more\n\nlines\"\n\
        BB,2026-01-02,2\n\
        CC,2026-01-03,3,\"open\n\
        DD,2026-01-04,,\"x\"y\n\
        AA,2026-01-05,5,\n\
        ,,x,\n";
    let expected = [
        ("2", "5", "abcd", "id", "abcd", "max_length"),
        ("2", "5", "abcd", "id", "abcd", "pattern"),
        ("2", "5", "abcd", "day", "2026-02-30", "type"),
        ("2", "5", "abcd", "n", "0", "min"),
        ("3", "8", "BB", "", "", "columns"),
        ("4", "9", "CC", "", "", "quote"),
        ("5", "10", "DD", "", "", "quote"),
        ("6", "11", "AA,2026-01-05", "id", "AA", "key"),
        ("7", "12", ",,x", "id", "", "required"),
        ("7", "12", ",,x", "n", "x", "type"),
    ]
    .map(|(record, line, starts_with, column, value, rule)| {
        let byte = file.find(starts_with).unwrap().to_string();
        [record, line, &byte, column, value, rule].map(str::to_owned).to_vec()
    });
    assert_eq!(violations(&mapping("", "id", columns), file.as_bytes()), expected);
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A generated file, and what a slow but obvious reader of it would say.
#[derive(Default)]
struct Model {
    file: String,
    records: u64,
    lines: u64,
    /// Keys of the good records: the record that has it, and its row.
    good: HashMap<String, (u64, Vec<String>)>,
    violations: Vec<Vec<String>>,
}

impl Model {
    /// Adds a record of the fields `id`, `n` and `note`.
    fn add(&mut self, id: &str, n: &str, note: &str, ragged: bool) {
        self.records += 1;
        let place = [self.records, self.lines + 1, self.file.len() as u64].map(|number| number.to_string());
        let mut find = |column: &str, value: &str, rule: &str| {
            self.violations
                .push([&place[0], &place[1], &place[2], column, value, rule].map(str::to_owned).to_vec());
        };
        if ragged {
            find("", "", "columns");
        } else {
            let id_missing = id.is_empty();
            let n_wrong = n.parse::<u32>().is_err();
            if id_missing {
                find("id", id, "required");
            }
            if n_wrong {
                find("n", n, "type");
            }
            if !id_missing && !n_wrong {
                if self.good.contains_key(id) {
                    find("id", id, "key");
                } else {
                    let row = vec![id.to_owned(), n.to_owned(), note.to_owned()];
                    self.good.insert(id.to_owned(), (self.records, row));
                }
            }
        }
        let more = if ragged { ",too,many" } else { "" };
        self.file.push_str(&format!("{id},{n},\"{}\"{more}\r\n", note.replace('"', "\"\"")));
        self.lines += 1 + note.matches('\n').count() as u64;
    }
}

#[test]
fn a_file_of_many_chunks_gives_the_rejects_and_rows_of_a_naive_reader() {
    const RECORDS: u64 = 30_000;
    let mut numbers = Numbers(7);
    let mut model = Model { file: "id,n,note\r\n".to_owned(), lines: 1, ..Model::default() };
    for record in 1..=RECORDS {
        // A key comes back now and then, mostly far away: in another chunk.
        let id = match numbers.below(100) {
            0 => String::new(),
            1..4 => format!("K{:05}", 1 + numbers.below(record)),
            _ => format!("K{record:05}"),
        };
        let n = if numbers.below(50) == 0 { "n/a".to_owned() } else { record.to_string() };
        let note: String = (0..numbers.below(6))
            .map(|_| {
                ["some words, ", "\"said\" ", "over\nlines ", "and\r\n\r\nmore ", "für \u{1f6a2} "]
                    [numbers.below(5) as usize]
            })
            .collect();
        let filler = "x".repeat(numbers.below(300) as usize);
        model.add(&id, &n, &format!("{note}{filler}"), numbers.below(200) == 0);
    }
    assert!(model.file.len() > 5_000_000, "several chunks: {}", model.file.len());

    let columns =
        "id = { required = true }\nn = { type = \"integer\" }\nnote = { empty = \"text\", trim = false }";
    let site = Site::with_mapping("m", &mapping("", "id", columns));
    let (code, delivery) = site.load("file.csv", &model.file);
    assert_eq!(code, 2);
    let rejected: std::collections::BTreeSet<&String> = model.violations.iter().map(|row| &row[0]).collect();
    let tally = &delivery["tally"];
    assert_eq!(tally["read"], RECORDS);
    assert_eq!(tally["rejected"], rejected.len());
    assert_eq!(tally["inserted"], model.good.len());
    let (_, errors) = site.report(&delivery, "errors");
    let found: Vec<Vec<String>> = errors.into_iter().map(|row| row[..6].to_vec()).collect();
    let first = found.iter().zip(&model.violations).find(|(found, expected)| found != expected);
    assert_eq!(first, None);
    assert_eq!(found.len(), model.violations.len());

    let mut expected: Vec<&Vec<String>> = model.good.values().map(|(_, row)| row).collect();
    expected.sort();
    let rows = site.query("SELECT id, n, note FROM t ORDER BY id");
    assert_eq!(rows.iter().zip(&expected).find(|(row, expected)| row != *expected), None);
    assert_eq!(rows.len(), expected.len());
}
