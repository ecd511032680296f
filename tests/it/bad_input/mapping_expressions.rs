//! Expressions that make no sense, and records that they make no sense of.

use super::{load, plain, records::run_measured};
use crate::support::Site;

fn mapping(column: &str, more: &str) -> String {
    format!(
        "match = \"*\"\n[format]\ntype = \"csv\"\n[target]\ntable = \"items\"\nkey = \"id\"\n[columns]\nid = {{}}\n\
         name = {{}}\namount = {{ type = \"decimal(9,2)\" }}\nn = {{ type = \"integer\" }}\nv = {{ {column} }}\n{more}\n"
    )
}

/// What `check` says of a mapping with such a column and such lines behind the columns.
#[track_caller]
fn checked(column: &str, more: &str) -> String {
    let site = Site::with_mapping("items", &mapping(column, more));
    let ran = site.run(["check"]).exits(1);
    plain(&ran);
    let people = ran.err + &ran.out;
    let told = site.run(["check", "--json"]).exits(1);
    assert!(told.out.contains("\"message\""), "{}", told.out);
    // A mapping that cannot run takes no file, and says so.
    site.write("a.csv", "id,name,amount,n\n1,a,1,1\n");
    let loaded = site.run(["load", "a.csv"]);
    assert!(loaded.code != 0, "{loaded:?}");
    assert!(!site.path("var/warehouse.db").exists());
    people
}

#[test]
fn an_ill_typed_expression_names_the_types_and_the_place() {
    let said = checked("value = \"n + name\"", "");
    assert!(said.contains("integer") && said.contains("text") && said.contains("^"), "{said}");
    let said = checked("value = \"n > 1\", type = \"date\"", "");
    assert!(said.contains("boolean") && said.contains("date"), "{said}");
    let said = checked("", "[filter]\nkeep = \"n + 1\"\n[checks.x]\ncheck = \"name\"");
    assert!(
        said.contains("integer") && said.contains("text") && said.matches("condition").count() >= 2,
        "{said}"
    );
}

#[test]
fn an_unknown_name_suggests_the_nearest() {
    let said = checked("value = \"amont * 2\"", "");
    assert!(said.contains("amont") && said.contains("did you mean `amount`"), "{said}");
    let said = checked("value = 'file.nothing'", "");
    assert!(!said.is_empty());
}

#[test]
fn the_place_of_a_problem_is_marked_in_texts_of_every_kind() {
    for quoted in ["\"n + nmae\"", "'n + nmae'", "'''n + nmae'''", "\"\"\"\nn\n + nmae\"\"\""] {
        let site = Site::with_mapping("items", &mapping(&format!("value = {quoted}"), ""));
        let told = site.run(["check", "--json"]).exits(1).object();
        assert_eq!(told["problems"][0]["text"], "nmae", "{quoted}: {told:#}");
    }
}

#[test]
fn columns_that_are_computed_from_one_another_are_a_problem() {
    let said = checked("value = \"v + 1\"", "");
    assert!(said.contains("`v` is computed from itself"), "{said}");
    let said = checked("value = \"w + 1\"\n}\nw = { value = \"x\" }\nx = { value = \"v * 2\" ", "");
    assert!(said.contains("`v` from `w`, `w` from `x`, `x` from `v`"), "{said}");
    assert_eq!(said.matches("error").count(), 1, "one circle, one problem: {said}");
}

#[test]
fn keys_that_say_how_a_field_is_read_mean_nothing_beside_value() {
    let said = checked("value = \"n\", from = \"N\", trim = false, null = \"x\", decimal_mark = \",\"", "");
    for key in ["from", "trim", "null", "decimal_mark"] {
        assert!(said.contains(&format!("`{key}` means nothing for a column that is computed")), "{said}");
    }
}

#[test]
fn bad_checks_and_types_say_what_to_do() {
    let said = checked(
        "value = \"null\"",
        "[checks.a]\nmessage = \"x\"\n[checks.b]\ncheck = \"n > 1\"\nmessage = \" \"",
    );
    assert!(
        said.contains("NULL only") && said.contains("`check`") && said.contains("message is empty"),
        "{said}"
    );
    let said = checked("value = \"interval '1 day'\"", "");
    assert!(said.contains("interval"), "{said}");
    let said = checked("value = \"(select 1)\"", "");
    assert!(!said.is_empty(), "{said}");
    let said = checked("value = \"n\", one_of = [\"01\", \"2\"]", "");
    assert!(said.contains("never comes here: the value is written `1`"), "{said}");
}

#[test]
fn ten_thousand_levels_are_a_problem_and_no_crash() {
    let deep = format!("{}n{}", "(".repeat(10_000), ")".repeat(10_000));
    let said = checked(&format!("value = \"{deep}\""), "");
    assert!(said.contains("levels deep"), "{said}");
    let said = checked(&format!("value = \"{}n\"", "- ".repeat(10_000)), "");
    assert!(!said.is_empty());
    let said = checked("", &format!("[checks.x]\ncheck = \"n = 1{}\"", " or n = 1".repeat(10_000)));
    assert!(!said.is_empty());
    let said =
        checked("", &format!("[filter]\nkeep = \"{}n = 1{}\"", "not (".repeat(10_000), ")".repeat(10_000)));
    assert!(said.contains("levels deep"), "{said}");
}

#[test]
fn a_regular_expression_that_explodes_is_a_problem() {
    let said = checked("value = \"regexp_like(name, '(((a{100}){100}){100}){100}')\"", "");
    assert!(said.contains("this pattern is too large") && said.contains("^"), "{said}");
}

#[test]
fn division_by_zero_and_overflow_reject_their_record_only() {
    let text = mapping(
        "value = \"100 / n\"",
        "big = { value = \"n * 9223372036854775807\" }\n[checks.no]\ncheck = \"amount / (n - 1) < 100\"",
    );
    let loaded = load(
        || Site::with_mapping("items", &text),
        "a.csv",
        "id,name,amount,n\nA,a,1.00,0\nB,b,1.00,1\nC,c,1.00,2\nD,d,1.00,\nE,e,1.00,-1\n",
    );
    loaded.ends(2, "loaded_with_rejects", "").counts(5, 2, 3, 0);
    loaded.rejects(&["2 v type: ", "3  check:no: ", "4 big type: "]);
    loaded.rows(&["D|d|1.00", "E|e|1.00"]);
}

#[test]
fn null_everywhere_is_no_violation_and_nothing_that_counts() {
    let text = mapping(
        "value = \"case when n > 1 then name else name || name end\"",
        "[checks.a]\ncheck = \"amount > n\"\n[checks.b]\ncheck = \"not (name = 'x')\"\n[checks.c]\ncheck = \"null\"",
    );
    let loaded = load(|| Site::with_mapping("items", &text), "a.csv", "id,name,amount,n\nA,,,\nB,,,\n");
    loaded.ends(0, "loaded", "").counts(2, 2, 0, 0).rows(&["A|-|-", "B|-|-"]);
    let text = mapping("value = \"n\"", "[filter]\nkeep = \"n = n\"");
    let loaded = load(|| Site::with_mapping("items", &text), "a.csv", "id,name,amount,n\nA,,,\nB,,,1\n");
    assert_eq!(loaded.object["tally"]["filtered"], 1);
    loaded.rows(&["B|-|-"]);
}

#[test]
fn a_filter_that_fails_rejects_its_record() {
    let text = mapping("value = \"n\"", "[filter]\nkeep = \"1 / n > 0\"");
    let loaded =
        load(|| Site::with_mapping("items", &text), "a.csv", "id,name,amount,n\nA,,,0\nB,,,1\nC,,,2\n");
    loaded.ends(2, "loaded_with_rejects", "").counts(3, 1, 1, 0).rejects(&["2  filter: "]).rows(&["B|-|-"]);
}

/// The columns of a file whose trailer says how many records it has, in which texts grow by an expression.
fn growing(more: &str) -> Site {
    let site = Site::with_mapping(
        "items",
        &format!(
            "match = \"*\"\n[format]\ntype = \"csv\"\ntrailer = {{ starts_with = \"TRL\", count = 2 }}\n\
             controls = [{{ column = \"id\", sum = 3 }}]\n[target]\ntable = \"items\"\nkey = \"id\"\n[columns]\n\
             id = {{ type = \"integer\" }}\nn = {{ type = \"integer\" }}\nat = {{ value = \"record\", type = \"integer\" }}\n\
             {more}\n"
        ),
    );
    site.write("wharf.toml", "[store]\nmax_memory = \"64MB\"\n");
    site
}

/// Records of which `n` says how long the text of some is.
fn growing_file(records: u64, n: impl Fn(u64) -> String) -> String {
    let lines: String = (1..=records).map(|id| format!("{id},{}\n", n(id))).collect();
    format!("id,n\n{lines}TRL,{records},{}\n", records * (records + 1) / 2)
}

#[test]
fn records_with_long_texts_reject_no_neighbours_and_take_little_memory() {
    let columns = "big = { value = \"repeat('x', n)\" }";
    let peak = |length: u64| {
        let site = growing(columns);
        let n = |id| match id {
            700 => "2000000".to_owned(),
            701 => "many".to_owned(),
            _ => length.to_string(),
        };
        site.write("a.csv", growing_file(1_500, n));
        let (code, object, peak) = run_measured(&site, "a.csv");
        assert_eq!((code, &object["outcome"]), (2, &"loaded_with_rejects".into()), "{object}");
        assert_eq!(object["tally"]["inserted"], 1_498, "{object}");
        let sums =
            site.query("SELECT count(*), min(length(big)), max(length(big)), sum(at <> id) FROM items");
        assert_eq!(sums, [["1498".into(), length.to_string(), length.to_string(), "0".to_owned()]]);
        let (_, violations) = site.report(&object, "errors");
        let said: Vec<String> = violations.iter().map(|row| row.join("|")).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].contains("|701|") && said[0].contains("the text is longer than a megabyte"),
            "{said:?}"
        );
        assert!(said[1].contains("|702|") && said[1].contains("many"), "{said:?}");
        peak
    };
    let (small, large) = (peak(6), peak(60_000));
    assert!(large < small + (64 << 20), "{small} {large}");
}

#[test]
fn a_record_of_which_too_much_text_is_made_is_rejected_alone() {
    let columns: String =
        (0..9).map(|number| format!("c{number} = {{ value = \"repeat('x', n)\" }}\n")).collect();
    let site = growing(&columns);
    site.write("a.csv", growing_file(12, |id| if id == 5 { "1000000" } else { "900000" }.to_owned()));
    let (code, object, _) = run_measured(&site, "a.csv");
    assert_eq!((code, &object["tally"]["inserted"]), (2, &11.into()), "{object}");
    let (_, violations) = site.report(&object, "errors");
    let said: Vec<String> = violations.iter().map(|row| row.join("|")).collect();
    let says = "cannot be computed (the texts made for the record are longer than 8 megabytes together)";
    assert!(said.len() == 1 && said[0].contains("|6|") && said[0].contains(says), "{said:?}");
}

#[test]
fn a_long_text_that_is_the_same_for_all_records_is_not_held_for_all_at_once() {
    let site = growing("[filter]\nkeep = \"length(repeat('x', 1000000) || id) > 1000000\"");
    site.write("a.csv", growing_file(300, |_| "1".to_owned()));
    let (code, object, peak) = run_measured(&site, "a.csv");
    assert_eq!((code, &object["tally"]["inserted"]), (0, &300.into()), "{object}");
    assert!(peak < 160_000_000, "{peak} bytes");
}
