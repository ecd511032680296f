//! What a row of a returned report makes of the record that it corrects.

use indexmap::IndexMap;

use super::{
    super::locale::{LOCALES, Locale},
    *,
};
use crate::{
    mapping::compile,
    model::{ContentHash, Position, Violation},
    validate::Verdict,
};

const MAPPING: &str = r#"
match = ["orders*.csv"]
[format]
type = "csv"
[target]
table = "orders"
key = ["no"]
[columns]
no = { from = "No", required = true }
amount = { from = "Amount", type = "decimal(10,2)" }
due = { from = "Due", type = "date" }
"#;

const HEADER: [&str; 4] = ["No", "Amount", "Due", "Note"];

struct Case {
    plan: Plan,
    seal: Seal,
    columns: Columns,
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

impl Case {
    fn new(returned: &[&str]) -> Self {
        let plan = compile("orders", "orders.toml", MAPPING, &IndexMap::new()).expect("a good mapping");
        let header = texts(&HEADER);
        let seal = Seal {
            columns: plan.columns.iter().map(|column| column.name.clone()).collect(),
            sensitive: vec![false; 3],
            layout: vec![Some(0), Some(1), Some(2)],
            header: header.clone(),
            ..seal()
        };
        let columns = Columns::find(&header, &texts(returned)).expect("columns that can be told");
        Self { plan, seal, columns }
    }

    fn merge(&self, row: &[&str], former: &Reject) -> Merged {
        let kept = Kept::new(&self.seal, &self.plan, &self.columns);
        kept.merge(&texts(row), former, german(), encoding_rs::WINDOWS_1252, &mut 0)
    }
}

fn german() -> &'static Locale {
    LOCALES.iter().find(|locale| locale.name == "de").expect("German")
}

fn seal() -> Seal {
    Seal {
        version: 1,
        plan: String::new(),
        columns: Vec::new(),
        sensitive: Vec::new(),
        header: Vec::new(),
        encoding: "UTF-8".into(),
        layout: Vec::new(),
        read: 1,
        good: 0,
        superseded: 0,
        filtered: 0,
        rejected: 1,
        unreadable_keys: 0,
        violations: Default::default(),
        rejects_are_ascii: true,
        verdict: Verdict::Load,
        reject_bytes: 0,
        reject_hash: ContentHash([0; 32]),
        target_reject_bytes: 0,
        target_reject_hash: ContentHash([0; 32]),
    }
}

fn reject(fields: &[&str], wrong: Option<u16>, rule: Rule) -> Reject {
    Reject {
        position: Position { record: 3, line: 4, byte: 50, length: 20 },
        raw: b"broken;text".to_vec(),
        fields: fields.iter().map(|field| (*field).into()).collect(),
        violations: vec![Violation { column: wrong, rule, value: "".into(), message: "is wrong".into() }],
    }
}

fn fields(fields: &[&str]) -> Merged {
    Merged::Fields(fields.iter().map(|field| (*field).into()).collect())
}

const WHOLE: [&str; 7] = ["wharf_reject_id", "No", "Amount", "Due", "Note", "wharf_problems", "wharf_raw"];

#[test]
fn what_was_wrong_is_taken_as_it_is_and_the_rest_without_what_a_spreadsheet_did() {
    let case = Case::new(&WHOLE);
    let former = reject(&["00123", "1.10", "2026-02-30", "=x"], Some(2), Rule::Type);
    let row = ["id", "123", "1,1", "28.02.2026", "'=x", "line 4: Due", ""];
    assert_eq!(case.merge(&row, &former), fields(&["00123", "1.10", "28.02.2026", "=x"]));
    let row = ["id", "124", "1,2", "2026-02-28", "'=y", "", ""];
    assert_eq!(
        case.merge(&row, &former),
        fields(&["124", "1,2", "2026-02-28", "=y"]),
        "a person may correct more"
    );
    let former = reject(&["00123", "1.10", "2026-02-28", ""], Some(0), Rule::Pattern);
    let row = ["id", "123", "", "2026-02-28", "", "", ""];
    assert_eq!(
        case.merge(&row, &former),
        fields(&["00123", "", "2026-02-28", ""]),
        "a text that tells rows apart is not what a spreadsheet shows of it"
    );
    let row = ["id", "'123", "", "2026-02-28", "", "", ""];
    assert_eq!(case.merge(&row, &former), fields(&["123", "", "2026-02-28", ""]), "unless somebody says so");
}

#[test]
fn columns_that_are_gone_are_as_they_were_unless_they_had_to_be_corrected() {
    let case = Case::new(&["Note", "wharf_reject_id", "Amount"]);
    let former = reject(&["00123", "x", "2026-02-28", "n"], Some(1), Rule::Type);
    assert_eq!(case.merge(&["m", "id", "5"], &former), fields(&["00123", "5", "2026-02-28", "m"]));
    let former = reject(&["00123", "1", "2026-02-30", "n"], Some(2), Rule::Type);
    let refused = "has to be corrected in \"Due\", but the file has no such column: put it back";
    assert_eq!(case.merge(&["m", "id", "5"], &former), Merged::Refused(refused.to_owned()));
}

#[test]
fn a_row_that_ends_early_takes_nothing_away() {
    let case = Case::new(&WHOLE);
    let former = reject(&["x", "1", "2026-02-28", "n"], Some(0), Rule::Pattern);
    assert_eq!(case.merge(&["id", "y"], &former), fields(&["y", "1", "2026-02-28", "n"]));
    let former = reject(&["x", "1", "2026-02-30", "n"], Some(2), Rule::Type);
    let refused = "has to be corrected in \"Due\", but ends before that cell: put it back";
    assert_eq!(case.merge(&["id", "x", "1"], &former), Merged::Refused(refused.to_owned()));
}

#[test]
fn a_record_that_is_wrong_as_a_whole_keeps_what_a_spreadsheet_shows_in_another_way() {
    let case = Case::new(&WHOLE);
    let former = reject(&["00123", "1.10", "2026-02-28", "n"], None, Rule::Target);
    let row = ["id", "123", "1,1", "28.02.2026", "n", "", ""];
    assert_eq!(case.merge(&row, &former), fields(&["00123", "1.10", "2026-02-28", "n"]));
}

#[test]
fn a_record_without_columns_is_corrected_in_its_text_or_in_its_columns() {
    let case = Case::new(&WHOLE);
    let former = reject(&[], None, Rule::Columns);
    let merge = |row: &[&str]| case.merge(row, &former);
    assert_eq!(merge(&["id", "", "", "", "", "", "broken;text"]), Merged::Unchanged);
    assert_eq!(merge(&["id", "", "", "", "", "", "1;2;3;4 "]), Merged::Text("1;2;3;4 ".to_owned()));
    assert_eq!(merge(&["id", "1", "2", "", "", "", "broken;text"]), fields(&["1", "2", "", ""]));
    assert_eq!(merge(&["id", "1", "2", "3", "4", "", ""]), fields(&["1", "2", "3", "4"]));
    let refused = |row: &[&str], words: &str| match merge(row) {
        Merged::Refused(message) => assert!(message.contains(words), "{message}"),
        other => panic!("{other:?}"),
    };
    refused(&["id", "1", "", "", "", "", "1;2;3;4"], "in the other columns too");
    refused(&["id", "", "", "", "", "", " "], "neither text in wharf_raw");
    refused(&["id", "", "", "", "", "", "M\u{fffd}ller;1"], "write them anew");
}

#[test]
fn all_columns_of_a_key_may_be_what_was_wrong() {
    let case = Case::new(&WHOLE);
    let former = reject(&["007", "1", "2026-02-28", ""], Some(0), Rule::Key);
    let row = ["id", "8", "1", "2026-02-28", "", "", ""];
    assert_eq!(case.merge(&row, &former), fields(&["8", "1", "2026-02-28", ""]));
    let row = ["id", "7", "1", "2026-02-28", "", "", ""];
    assert_eq!(case.merge(&row, &former), fields(&["007", "1", "2026-02-28", ""]), "nobody's doing");
}
