//! Expressions mean what they mean in PostgreSQL: a real one is asked, on the same values, for the same expressions, a list
//! of them and thousands that are made up. An error there is a failure here.
//!
//! `WHARF_EXPRESSIONS_SEED` makes other ones up, `WHARF_EXPRESSIONS` says how many.

mod generated;
mod listed;
mod table;

use wharf::mapping::expression::{self, Inputs, Type};
use wharf::model::value::ValueType;

use self::{
    generated::Generator,
    table::{Random, Table},
};
use crate::postgres::Postgres;

/// The seed unless another one is asked for.
const SEED: u64 = 20_251_231;
/// So many expressions are made up: a few for each production in each place, in a few seconds.
const EXPRESSIONS: u64 = 1_500;
const ROWS: usize = 40;

/// Failures of ours where PostgreSQL has a result, as docs/expressions.md says: its dates go further than ours, its numbers
/// have more digits, and it looks at the end of a pattern only when it comes to it.
const LIMITS: &[&str] = &[
    "the LIKE pattern ends with its escape character",
    "the result is not a day of the years 1 to 9999",
    "the result has more digits than a decimal can have",
];

/// A result of a record: a text, NULL, or a failure.
type Outcome = Result<Option<String>, String>;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// What Wharf makes of an expression: its type, and the text of each record's value.
fn ours(expression: &str, table: &Table) -> Result<(Type, Vec<Outcome>), String> {
    let compile = |text: &str| {
        expression::compile(text, &table.scope).map_err(|problems| {
            let problems: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            problems.join("; ")
        })
    };
    let of = compile(expression)?.result();
    let text = compile(&format!("CAST(({expression}) AS text)"))?;
    let facts = table.facts();
    let inputs =
        Inputs { columns: &table.columns, len: table.rows, facts: &facts, first_record: 1, numbers: &[] };
    let evaluated = text.evaluate(&inputs, None);
    let mut outcomes: Vec<Outcome> =
        (0..table.rows).map(|row| Ok(wharf::model::value::text::text(&evaluated.values, row))).collect();
    for (row, failure) in evaluated.failures {
        outcomes[row as usize] = Err(failure.into());
    }
    Ok((of, outcomes))
}

/// What PostgreSQL makes of expressions, in one session.
fn theirs(expressions: &[String], table: &Table) -> Vec<Vec<Outcome>> {
    let mut script = table.sql();
    for (number, expression) in expressions.iter().enumerate() {
        script.push_str(&format!(
            "CREATE OR REPLACE FUNCTION e(i int) RETURNS text LANGUAGE plpgsql AS $wharf$
             DECLARE v text;
             BEGIN
                 SELECT ({expression})::text INTO v FROM t WHERE n = i;
                 RETURN 'v' || v;
             EXCEPTION WHEN OTHERS THEN RETURN 'e' || SQLSTATE || ' ' || SQLERRM;
             END $wharf$;
             SELECT json_build_array({number}, n, e(n)) FROM t ORDER BY n;\n"
        ));
    }
    let ran = Postgres::start().script(&script);
    let mut found = vec![Vec::new(); expressions.len()];
    for line in ran.json() {
        let number = line[0].as_u64().expect("a number") as usize;
        found[number].push(match line[2].as_str().map(|text| text.split_at(1)) {
            None => Ok(None),
            Some(("v", value)) => Ok(Some(value.to_owned())),
            Some((_, error)) => Err(error.to_owned()),
        });
    }
    found
}

/// A decimal without the zeros that make no difference.
fn plain(text: &str) -> String {
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    if text == "-0" { "0".into() } else { text.into() }
}

fn agree(of: Type, ours: &Outcome, theirs: &Outcome) -> bool {
    match (ours, theirs) {
        (Ok(Some(ours)), Ok(Some(theirs))) => match of {
            Type::Value(ValueType::Decimal { .. }) => plain(ours) == plain(theirs),
            // Of the shortest texts of a float there may be two.
            Type::Value(ValueType::Float) => ours.parse::<f64>() == theirs.parse::<f64>(),
            _ => ours == theirs,
        },
        (Ok(ours), Ok(theirs)) => ours == theirs,
        // 42 is for what is no expression at all.
        (Err(_), Err(error)) => !error.starts_with("42"),
        (Err(failure), Ok(_)) => LIMITS.contains(&failure.as_str()),
        (Ok(_), Err(_)) => false,
    }
}

/// Asks both, and gives (answers, failures) that were compared.
#[track_caller]
fn compare(expressions: &[String], table: &Table) -> (usize, usize) {
    let theirs = theirs(expressions, table);
    let (mut answers, mut failures, mut apart) = (0, 0, Vec::new());
    for (expression, theirs) in expressions.iter().zip(&theirs) {
        assert_eq!(theirs.len(), table.rows, "{expression}");
        let (of, ours) = match ours(expression, table) {
            Ok(found) => found,
            Err(problems) => {
                apart.push(format!("{expression}\n    Wharf: {problems}"));
                continue;
            }
        };
        answers += ours.len();
        failures += ours.iter().filter(|outcome| outcome.is_err()).count();
        let different = (0..table.rows).find(|row| !agree(of, &ours[*row], &theirs[*row]));
        if let Some(row) = different {
            let values = table.row(row);
            apart.push(format!(
                "{expression}\n    Wharf ({of}): {:?}\n    PostgreSQL: {:?}\n    {values}",
                ours[row], theirs[row]
            ));
        }
    }
    let count = apart.len();
    apart.truncate(25);
    assert!(count == 0, "{count} of {} expressions differ:\n{}", expressions.len(), apart.join("\n"));
    (answers, failures)
}

#[test]
fn listed_expressions_agree_with_postgresql() {
    let table = Table::new(&mut Random(SEED), ROWS);
    let expressions: Vec<String> = listed::EXPRESSIONS.iter().map(|text| (*text).to_owned()).collect();
    compare(&expressions, &table);
}

#[test]
fn generated_expressions_agree_with_postgresql() {
    let seed = setting("WHARF_EXPRESSIONS_SEED", SEED);
    println!("WHARF_EXPRESSIONS_SEED={seed}");
    let mut random = Random(seed);
    let table = Table::new(&mut random, ROWS);
    let mut generator = Generator { random };
    let count = setting("WHARF_EXPRESSIONS", EXPRESSIONS);
    let expressions: Vec<String> = (0..count).map(|_| generator.expression()).collect();
    let (answers, failures) = compare(&expressions, &table);
    // The values are nasty enough that some fail, and not so nasty that most do.
    assert!(failures > answers / 200 && failures < answers / 3, "{failures} of {answers} fail");
}
