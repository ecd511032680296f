//! Values as people and old systems write them, what the rules of a column say of them, and the form in which they are
//! stored.

use crate::support::Site;

/// What becomes of each field in a column `v = { spec }`: the stored text, `-` for NULL, or the rules it breaks, each
/// with a `!` before it.
#[track_caller]
fn outcomes(spec: &str, fields: &[&str]) -> Vec<String> {
    let site = Site::with_mapping(
        "m",
        &format!(
            "match = \"*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"t\"\nkey = [\"id\"]\n[columns]\n\
             id = {{ type = \"integer\" }}\nv = {{ {spec} }}\n"
        ),
    );
    let records = (1..).zip(fields).map(|(id, field)| format!("{id},\"{}\"\n", field.replace('"', "\"\"")));
    let (code, delivery) = site.load("file.csv", format!("id,v\n{}", records.collect::<String>()));
    assert!(matches!(code, 0 | 2), "{spec}: {delivery:#}");
    let mut found = vec![String::new(); fields.len()];
    for row in site.query("SELECT id, v FROM t") {
        found[row[0].parse::<usize>().unwrap() - 1].push_str(&row[1]);
    }
    if code == 2 {
        for row in site.report(&delivery, "errors").1 {
            assert_eq!(row[3], "v", "{row:?}");
            found[row[0].parse::<usize>().unwrap() - 1].push_str(&format!("!{}", row[5]));
        }
    }
    found
}

/// A column's keys, and (field, what becomes of it).
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)]);

#[track_caller]
fn check(cases: &[Case<'_>]) {
    for (spec, table) in cases {
        let (fields, expected): (Vec<&str>, Vec<&str>) = table.iter().copied().unzip();
        assert_eq!(outcomes(spec, &fields), expected, "{spec}: {fields:?}");
    }
}

#[test]
fn dates_are_read_in_the_formats_of_the_mapping_and_two_digit_years_turn_at_the_pivot() {
    check(&[
        (
            r#"type = "date", format = ["%d/%m/%Y", "%d.%m.%y", "%Y%m%d"], pivot = 50"#,
            &[
                ("03/04/2026", "2026-04-03"),
                ("3.4.50", "2050-04-03"),
                ("03.04.51", "1951-04-03"),
                ("20260403", "2026-04-03"),
                ("29/02/2024", "2024-02-29"),
                ("29/02/2026", "!type"),
                ("2026-04-03", "!type"),
            ],
        ),
        (
            r#"type = "date", format = "%Y%m%d", null = ["00000000", "99999999"]"#,
            &[
                ("00000000", "-"),
                ("99999999", "-"),
                ("", "-"),
                ("20260101", "2026-01-01"),
                ("00000001", "!type"),
            ],
        ),
        (
            r#"type = "date", format = "%d-%b-%Y""#,
            &[("31-DEC-2026", "2026-12-31"), ("1-feb-2026", "2026-02-01")],
        ),
        (
            r#"type = "date", min = "2020-01-01", max = "2026-12-31""#,
            &[("2019-12-31", "!min"), ("2020-01-01", "2020-01-01"), ("2027-01-01", "!max")],
        ),
        (r#"type = "time""#, &[("7:05", "07:05:00"), ("17:45:30.25", "17:45:30.250000"), ("24:00", "!type")]),
    ]);
}

#[test]
fn numbers_are_read_in_their_national_dress_and_stay_exact() {
    check(&[
        (
            r#"type = "decimal(12,2)", decimal_mark = ",", group_mark = ".", negative = "trailing""#,
            &[
                ("1.234,5", "1234.50"),
                ("1234,56", "1234.56"),
                ("1.234,56-", "-1234.56"),
                ("-7", "-7.00"),
                ("0,00-", "0.00"),
                ("1,234", "!type"),
                ("12.34,5", "!type"),
                ("1234.56", "!type"),
                ("99999999999,00", "!type"),
            ],
        ),
        (
            r#"type = "decimal(12,2)", decimal_mark = ",", group_mark = " ""#,
            &[
                ("1 234,5", "1234.50"),
                ("1\u{a0}234,5", "1234.50"),
                ("1\u{202f}234\u{2009}567,5", "1234567.50"),
                ("\u{a0}5\u{a0}", "5.00"),
            ],
        ),
        (
            r#"type = "decimal(12,2)", group_mark = "'""#,
            &[("1'234.50", "1234.50"), ("1\u{2019}234\u{2019}567.05", "1234567.05"), ("1'23", "!type")],
        ),
        (
            r#"type = "decimal(12,2)", group_mark = ",", negative = "parentheses", strip = ["$", "USD"]"#,
            &[
                ("(1,234.50)", "-1234.50"),
                ("$1,234.50", "1234.50"),
                ("($5)", "-5.00"),
                ("12 usd", "12.00"),
                ("€5", "!type"),
            ],
        ),
        (
            r#"type = "decimal(5,1)", strip = ["%", "€", "EUR"]"#,
            &[("12.5 %", "12.5"), ("12.5%", "12.5"), ("€ 9", "9.0"), ("EUR 9.1", "9.1"), ("9\u{a0}€", "9.0")],
        ),
        (
            r#"type = "decimal(38,4)""#,
            &[
                ("1234567890123456789012345678901234.5678", "1234567890123456789012345678901234.5678"),
                ("-0.0001", "-0.0001"),
                ("0.00010", "0.0001"),
                ("0.00015", "!type"),
            ],
        ),
        (
            r#"type = "integer", min = 1, max = 1000"#,
            &[
                ("007", "7"),
                ("0", "!min"),
                ("1001", "!max"),
                ("1.5", "!type"),
                ("1e3", "!type"),
                ("99999999999999999999", "!type"),
            ],
        ),
        (
            r#"type = "integer""#,
            &[
                ("9223372036854775807", "9223372036854775807"),
                ("-9223372036854775808", "-9223372036854775808"),
            ],
        ),
        (r#"type = "float", decimal_mark = ",""#, &[("1,5e3", "1500"), ("-0,1", "-0.1"), ("nan", "!type")]),
    ]);
}

#[test]
fn booleans_are_read_by_the_lists_of_the_mapping() {
    check(&[
        (
            r#"type = "boolean", true = ["J", "ja", "X"], false = ["N", "nein"]"#,
            &[
                ("J", "1"),
                ("JA", "1"),
                ("x", "1"),
                ("n", "0"),
                ("Nein", "0"),
                ("", "-"),
                ("yes", "!type"),
                ("1", "!type"),
            ],
        ),
        (r#"type = "boolean""#, &[("true", "1"), ("Y", "1"), ("0", "0"), ("OFF", "0"), ("J", "!type")]),
    ]);
}

#[test]
fn texts_keep_leading_zeros_and_are_trimmed_unless_the_mapping_says_otherwise() {
    check(&[
        (
            "",
            &[
                ("00123", "00123"),
                ("  a b\t", "a b"),
                ("\u{a0}x\u{3000}", "x"),
                ("   ", "-"),
                ("", "-"),
                ("1.50", "1.50"),
            ],
        ),
        ("trim = false", &[("  a ", "  a "), (" ", " "), ("", "-")]),
        (r#"empty = "text""#, &[("", ""), ("  ", "")]),
        (
            r#"null = ["n/a", "-"], default = "none""#,
            &[("n/a", "none"), (" - ", "none"), ("", "none"), ("N/A", "N/A")],
        ),
        (r#"empty = "text", null = "NULL""#, &[("NULL", "-"), ("", "")]),
        (r#"empty = "text", default = "x""#, &[("", "")]),
    ]);
}

#[test]
fn instants_are_stored_in_utc_and_local_times_follow_their_zone() {
    check(&[
        (
            r#"type = "timestamp""#,
            &[
                ("2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
                ("2026-07-01 12:00:00.5+05:30", "2026-07-01T06:30:00.500000Z"),
                ("2026-07-01T12:00", "2026-07-01T12:00:00Z"),
                ("2026-07-01", "!type"),
            ],
        ),
        (
            r#"type = "timestamp", format = "%d.%m.%Y %H:%M", timezone = "Europe/Berlin""#,
            &[
                ("01.07.2026 12:00", "2026-07-01T10:00:00Z"),
                ("01.01.2026 00:30", "2025-12-31T23:30:00Z"),
                ("29.03.2026 02:30", "!type"),
                ("25.10.2026 02:30", "!type"),
            ],
        ),
        (
            r#"type = "timestamp", format = "%Y-%m-%d %H:%M", timezone = "Europe/Berlin", ambiguous = "earlier""#,
            &[("2026-10-25 02:30", "2026-10-25T00:30:00Z"), ("2026-03-29 02:30", "!type")],
        ),
        (
            r#"type = "timestamp", timezone = "Europe/Berlin", ambiguous = "later""#,
            &[
                ("2026-10-25T02:30:00", "2026-10-25T01:30:00Z"),
                ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z"),
            ],
        ),
        (
            r#"type = "timestamp", timezone = "-03:00", max = "2026-01-01T03:00:00Z""#,
            &[("2026-01-01T00:00", "2026-01-01T03:00:00Z"), ("2026-01-01T00:01", "!max")],
        ),
    ]);
}

#[test]
fn each_rule_rejects_what_it_names_and_nothing_else() {
    check(&[
        ("required = true", &[("a", "a"), ("", "!required"), ("  ", "!required")]),
        (r#"required = true, null = "-""#, &[("-", "!required")]),
        (r#"required = true, default = "d""#, &[("", "d")]),
        (
            "min_length = 2, max_length = 3",
            &[("é", "!min_length"), ("éé", "éé"), ("ééé", "ééé"), ("éééé", "!max_length"), ("", "-")],
        ),
        (
            r#"pattern = "SO-\\d+""#,
            &[("SO-12", "SO-12"), ("xSO-12", "!pattern"), ("SO-12x", "!pattern"), ("SO-", "!pattern")],
        ),
        (r#"pattern = "a|bc""#, &[("a", "a"), ("bc", "bc"), ("ac", "!pattern")]),
        (r#"one_of = ["new", "paid"]"#, &[("new", "new"), ("New", "!one_of"), ("", "-")]),
        (
            r#"map = { N = "new", P = "paid" }, one_of = ["new", "paid"]"#,
            &[("N", "new"), ("paid", "paid"), ("n", "!one_of")],
        ),
        (r#"case = "upper""#, &[("straße", "STRASSE"), ("é", "É")]),
        (r#"case = "lower""#, &[("ABC", "abc")]),
    ]);
}

#[test]
fn each_kind_of_text_is_known_by_its_form_and_check_digits() {
    check(&[
        (
            r#"is = "email""#,
            &[("anna@example.com", "anna@example.com"), ("anna@@example.com", "!is"), ("", "-")],
        ),
        (
            r#"is = "url""#,
            &[("https://example.com/a?b=c", "https://example.com/a?b=c"), ("example.com", "!is")],
        ),
        (
            r#"is = "iban""#,
            &[("DE89370400440532013000", "DE89370400440532013000"), ("DE88370400440532013000", "!is")],
        ),
        (r#"is = "bic""#, &[("DEUTDEFF", "DEUTDEFF"), ("DEUTDEFF500", "DEUTDEFF500"), ("DEUT", "!is")]),
        (r#"is = "ean""#, &[("5901234123457", "5901234123457"), ("5901234123458", "!is")]),
        (r#"is = "country", case = "upper""#, &[("gb", "GB"), ("XX", "!is")]),
        (r#"is = "currency""#, &[("EUR", "EUR"), ("eur", "!is")]),
        (
            r#"type = "uuid""#,
            &[
                ("{0197F6A2-5E1C-7D3A-9B44-1C2D3E4F5A6B}", "0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b"),
                ("0197f6a2", "!type"),
            ],
        ),
        (r#"type = "json""#, &[("{\"a\": 1.50}", "{\"a\": 1.50}"), ("{a: 1}", "!type")]),
    ]);
}

#[test]
fn a_field_is_trimmed_nulled_defaulted_folded_mapped_typed_and_then_ruled() {
    let chain = r#"null = "-", default = "dflt", case = "upper", map = { DFLT = "fives", SIX = "sixes" }, min_length = 5, pattern = "[a-z]+""#;
    check(&[
        (
            chain,
            &[
                (" - ", "fives"), // trimmed, no value, the default, folded to DFLT, mapped
                ("six", "sixes"),
                (" SIX", "sixes"),
                ("dfltx", "!pattern"), // folded to DFLTX, not mapped
                ("abcde", "!pattern"),
                ("a", "!min_length!pattern"),
            ],
        ),
        (
            r#"default = "0", map = { "0" = "12", x = "13" }, type = "integer", min = 12"#,
            &[("", "12"), ("x", "13"), ("0", "12"), ("1", "!min")],
        ),
        (r#"map = { "01" = "2026-01-01" }, type = "date""#, &[("01", "2026-01-01"), ("1", "!type")]),
        (r#"case = "upper", one_of = ["A"]"#, &[(" a", "A")]),
        (
            r#"type = "integer", min = 10, max_length = 2, pattern = "1.*""#,
            &[("007", "!min!max_length!pattern"), ("12", "12"), ("100", "!max_length")],
        ),
    ]);
}

#[test]
fn a_unique_value_stands_in_one_record_and_only_good_records_count() {
    check(&[
        ("unique = true", &[("a", "a"), ("b", "b"), (" a", "!unique"), ("", "-"), ("", "-"), ("A", "A")]),
        (
            r#"unique = true, max_length = 3"#,
            &[("long", "!max_length"), ("long", "!max_length"), ("abc", "abc")],
        ),
        (
            r#"unique = true, type = "decimal(6,2)""#,
            &[("1.5", "1.50"), ("1.50", "!unique"), ("01.5", "!unique"), ("1.51", "1.51")],
        ),
    ]);
}

#[test]
fn each_type_is_stored_in_its_one_form() {
    let types =
        ["text", "integer", "decimal(9,3)", "float", "boolean", "date", "time", "timestamp", "uuid", "json"];
    let columns: Vec<String> =
        types.iter().enumerate().map(|(at, name)| format!("c{at} = {{ type = \"{name}\" }}")).collect();
    let site = Site::with_mapping(
        "m",
        &format!(
            "match = \"*\"\n[format]\ntype = \"csv\"\ndelimiter = \";\"\n[target]\ntable = \"t\"\nkey = [\"c0\"]\n[columns]\n{}\n",
            columns.join("\n")
        ),
    );
    let file = "c0;c1;c2;c3;c4;c5;c6;c7;c8;c9\n\
        1;2;3;4;yes;2026-01-02;3:04;2026-01-02T03:04+01:00;0197F6A25E1C7D3A9B441C2D3E4F5A6B;[1]\n\
        2;;;;;;;;;\n";
    let (code, delivery) = site.load("file.csv", file);
    assert_eq!(code, 0, "{delivery:#}");
    let stored: Vec<String> = (0..10).map(|at| format!("typeof(c{at}) || ' ' || c{at}")).collect();
    assert_eq!(
        site.query(&format!("SELECT {} FROM t WHERE c0 = '1'", stored.join(", "))),
        [[
            "text 1",
            "integer 2",
            "text 3.000",
            "real 4.0",
            "integer 1",
            "text 2026-01-02",
            "text 03:04:00",
            "text 2026-01-02T02:04:00Z",
            "text 0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b",
            "text [1]",
        ]]
    );
    let nulls: Vec<String> = (1..10).map(|at| format!("typeof(c{at})")).collect();
    assert_eq!(site.query(&format!("SELECT {} FROM t WHERE c0 = '2'", nulls.join(", "))), [["null"; 9]]);
}
