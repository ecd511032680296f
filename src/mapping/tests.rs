//! Folders of mappings that are right and of mappings that are wrong. Beside each wrong one stands what is said of
//! it; `WHARF_WRITE_EXPECTED=1` writes these texts anew, to be read before they are kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use indexmap::IndexMap;
use proptest::prelude::*;

use super::{
    Connection, Look, Order, Plan, Problems, compile,
    plan::{Bounds, Share},
};
use crate::{
    formats::FieldSource,
    model::printable,
    targets::{Mode, WriteWhen},
};

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mappings").join(kind);
    let files =
        walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect()
}

fn read(path: &Path) -> Result<Plan, Problems> {
    let warehouse = Connection::Sqlite { path: "w.db".into(), loads_table: "loads".to_owned() };
    let connections = IndexMap::from([("warehouse".to_owned(), warehouse)]);
    let name = path.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    compile(name, &format!("{name}.toml"), &text, &connections).map_err(|broken| broken.problems)
}

#[test]
fn every_valid_mapping_gives_a_plan() {
    let files = fixtures("valid");
    assert!(files.len() >= 4);
    for path in files {
        if let Err(problems) = read(&path) {
            panic!("{}\n{problems}", path.display());
        }
    }
}

#[test]
fn a_plan_says_what_its_mapping_says() {
    let plan =
        read(&fixtures("valid").into_iter().find(|path| path.ends_with("everything.toml")).unwrap()).unwrap();
    assert_eq!((plan.name.as_str(), plan.format.name(), plan.shared), ("everything", "csv", true));
    assert_eq!(plan.sources, ["share", "acme"]);
    assert_eq!(
        (plan.waits_for.as_slice(), plan.wait_limit.as_secs()),
        (&["customers".to_owned()][..], 5_400)
    );
    assert_eq!(plan.order, Order::Capture("date".to_owned()));
    assert_eq!(plan.connection.as_deref(), Some("warehouse"));
    assert_eq!(
        (plan.table.table.as_str(), &plan.table.key, plan.table.mode),
        ("Order lines", &vec![0, 1], Mode::Insert)
    );
    assert_eq!(plan.rejects.limit, Some(Share::Millipercent(5_000)));
    assert_eq!((plan.rejects.hold, plan.rejects.at_least), (Some(Share::Millipercent(500)), 20));
    let column = |name: &str| plan.columns.iter().find(|column| column.name == name).unwrap();
    let index = |name: &str| plan.columns.iter().position(|column| column.name == name).unwrap();
    assert_eq!(plan.control_columns, [index("quantity"), index("unit_price")]);
    assert_eq!(
        column("order_no").source.wanted().unwrap().source,
        FieldSource::Named(vec!["Order No".into(), "OrderNo".into()])
    );
    assert!(
        column("line").required && column("line").source.wanted().unwrap().required,
        "a key column is required"
    );
    assert!(!column("note").required && column("note").empty_is_text && !column("note").trim);
    assert_eq!(*column("note").nulls, [Box::from(" - ")]);
    assert_eq!(column("quantity").default.as_deref(), Some("1"));
    assert!(column("email").sensitive && column("quantity").unique);
    let Bounds::Decimal { min: Some(least), max: Some(most) } = &column("unit_price").bounds else {
        panic!()
    };
    assert_eq!((least.value, most.value, &*least.written), (100, 999_999_999_999, "0.01"));
    let Bounds::Integer { min: Some(least), max: None } = &column("order_date").bounds else { panic!() };
    assert_eq!(least.value, 10_957, "days from 1970-01-01 to 2000-01-01");
    let reference = &plan.table.columns[index("reference")];
    assert!(!reference.compare && reference.write == WriteWhen::Insert);
    assert_eq!(plan.table.columns[0].max_length, Some(12));
    assert!(
        plan.matches[0]
            .matches("orders_20261120.csv")
            .is_some_and(|taken| taken.get("date") == Some("20261120"))
    );
}

#[test]
fn every_invalid_mapping_says_what_where_and_what_to_do() {
    let files = fixtures("invalid");
    assert!(files.len() >= 20);
    let mut different = Vec::new();
    for path in files {
        let said = format!("{}\n", read(&path).expect_err(&path.display().to_string()));
        let expected = path.with_extension("expected");
        if std::env::var_os("WHARF_WRITE_EXPECTED").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        if fs::read_to_string(&expected).ok().as_ref() != Some(&said) {
            different.push(format!("{}\n{said}", path.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_marked_text_stands_where_the_problem_says() {
    for path in fixtures("invalid") {
        let text = fs::read_to_string(&path).unwrap();
        for problem in read(&path).unwrap_err().iter() {
            let place = problem.place.as_ref().unwrap();
            let line = text.split('\n').nth(place.line - 1).unwrap();
            let marked: String = line.chars().skip(place.column - 1).collect();
            assert!(printable::text(&marked).starts_with(&place.text), "{}: {problem:?}", path.display());
        }
    }
}

#[test]
fn nothing_a_terminal_would_obey_is_shown() {
    for path in fixtures("invalid") {
        let problems = read(&path).unwrap_err();
        let json = serde_json::to_string(&problems).unwrap();
        assert!(json.chars().all(printable::is_plain), "{}", path.display());
        let plain = problems.render(Look::Plain);
        assert!(plain.chars().all(|c| c == '\n' || printable::is_plain(c)), "{}", path.display());
        let styled = problems.render(Look::Styled);
        assert!(styled.contains('\u{1b}') && !styled.contains('\u{9b}'), "{}", path.display());
    }
}

#[test]
fn a_mapping_cut_short_or_damaged_never_panics() {
    for path in fixtures("valid") {
        let text = fs::read_to_string(&path).unwrap();
        for at in (0..=text.len()).step_by(3) {
            let (Some(head), Some(tail)) = (text.get(..at), text.get(at..)) else { continue };
            let without: String = tail.chars().skip(1).collect();
            for damaged in [head.to_owned(), format!("{head}{without}"), format!("{head}={tail}")] {
                if let Err(broken) = compile("x", "x.toml", &damaged, &IndexMap::new()) {
                    assert!(!broken.problems.to_string().is_empty());
                }
            }
        }
    }
}

/// Pieces that mappings are made of, right and wrong.
const PIECES: &[&str] = &[
    "match",
    "format",
    "target",
    "columns",
    "rejects",
    "source",
    "waits_for",
    "wait_limit",
    "order",
    "key",
    "type",
    "from",
    "null",
    "one_of",
    "map",
    "pattern",
    "trailer",
    "controls",
    "limit",
    "min",
    " = ",
    ".",
    "[",
    "]",
    "{ ",
    " }",
    ", ",
    "\n",
    "'csv'",
    "'a'",
    "'5%'",
    "'4h'",
    "'file.x'",
    "'date'",
    "'(\u{e4}'",
    "'{x}'",
    "5",
    "0.5",
    "true",
    "2025-01-01",
    "[target]\n",
    "[format]\n",
    "[columns]\n",
    "a = {}\n",
    "a = 'x'\n",
    "type = 'csv'\n",
    "match = '*'\n",
    "table = 't'\n",
    "key = ['a', 'b']\n",
    "\u{1b}",
];

proptest! {
    #[test]
    fn any_text_gives_a_plan_or_problems(picks in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        if let Err(broken) = compile("x", "x.toml", &picks.concat(), &IndexMap::new()) {
            prop_assert!(!broken.problems.is_empty());
            for problem in broken.problems.iter() {
                prop_assert!(!problem.message.is_empty() && problem.place.is_some(), "{:?}", problem);
            }
        }
    }
}
