//! Columns that are computed from others: in which order, of which type, and whether what they read is sensitive.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use sqlparser::{
    dialect::PostgreSqlDialect,
    tokenizer::{Token, Tokenizer},
};

use super::{
    columns::Computed,
    document::Step,
    expression::{self, Capture, Expression, ExpressionProblem, Scope, ScopeColumn, Type},
    findings::Findings,
    pattern::NamePattern,
    plan::Lookup,
    written::ColumnWritten,
};
use crate::model::value::ValueType;

/// What is said of an expression whose own type no column can have.
const NO_TYPE: &str = "the expression gives NULL only, which has no type";

/// What expressions of a mapping can name, as far as it is known.
#[derive(Debug)]
pub struct Names {
    scope: Scope,
    /// By column: false while its type is not known, or never will be, as something is wrong with it.
    known: Vec<bool>,
    /// By column, true when its values are masked.
    sensitive: Vec<bool>,
}

/// An expression over the columns of the mapping.
#[derive(Debug)]
pub struct Read {
    /// The expression.
    pub expression: Expression,
    /// True when it reads a column that is sensitive.
    pub is_sensitive: bool,
}

impl Names {
    /// The columns of a mapping, and the captures of its patterns. The types of those that take a field are known from the
    /// start.
    pub fn new(columns: &IndexMap<String, ColumnWritten>, patterns: &[NamePattern]) -> Self {
        let types: Vec<Option<ValueType>> = columns
            .values()
            .map(|column| column.value_type.0.parse().ok().filter(|_| column.value.is_none()))
            .collect();
        let scope = Scope {
            columns: columns
                .keys()
                .zip(&types)
                .map(|(name, known)| ScopeColumn {
                    name: name.clone(),
                    value_type: known.unwrap_or(ValueType::Text),
                })
                .collect(),
            captures: captures(patterns),
        };
        let sensitive = columns.values().map(|column| column.sensitive).collect();
        Self { scope, known: types.iter().map(Option::is_some).collect(), sensitive }
    }

    /// The columns that an expression mentions, whatever else may be wrong with it.
    fn mentioned(&self, text: &str) -> Vec<usize> {
        let names = words(text);
        let is_named =
            |column: &ScopeColumn| names.iter().any(|name| name.eq_ignore_ascii_case(&column.name));
        let columns = self.scope.columns.iter().enumerate();
        columns.filter(|(_, column)| is_named(column)).map(|(index, _)| index).collect()
    }

    /// Compiles the expression at `path`; none when something is wrong with it, or with a column that it mentions.
    pub fn compile(&self, path: &[Step<'_>], text: &str, findings: &mut Findings<'_>) -> Option<Read> {
        let is_known = |column: &usize| self.known.get(*column).copied().unwrap_or(false);
        if !self.mentioned(text).iter().all(is_known) {
            return None; // what is wrong is said of that column
        }
        let expression = match expression::compile(text, &self.scope) {
            Ok(expression) => expression,
            Err(problems) => {
                problems.iter().for_each(|problem| report(path, problem, findings));
                return None;
            }
        };
        let is_sensitive =
            expression.columns().iter().any(|column| self.sensitive.get(*column).copied().unwrap_or(true));
        Some(Read { expression, is_sensitive })
    }

    /// Compiles what must be true or false.
    pub fn condition(&self, path: &[Step<'_>], text: &str, findings: &mut Findings<'_>) -> Option<Read> {
        let read = self.compile(path, text, findings)?;
        match read.expression.into_condition() {
            Ok(expression) => Some(Read { expression, is_sensitive: read.is_sensitive }),
            Err(problem) => {
                report(path, &problem, findings);
                None
            }
        }
    }

    /// All columns that need others, as they are computed or looked up by several keys: by index, in an order in which each
    /// stands behind those that it reads. Those that are computed are compiled.
    pub fn columns(
        &mut self,
        columns: &IndexMap<String, ColumnWritten>,
        lookups: &[Option<Lookup>],
        findings: &mut Findings<'_>,
    ) -> Vec<(usize, Option<Computed>)> {
        let mut reads: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, (column, lookup)) in columns.values().zip(lookups).enumerate() {
            let mut needed = column.value.as_ref().map(|text| self.mentioned(text));
            if let Some(lookup) = lookup.as_ref().filter(|lookup| lookup.needs_others()) {
                needed.get_or_insert_default().extend(lookup.keys.iter().flatten());
            }
            if let Some(needed) = needed {
                reads.insert(index, needed);
            }
        }
        let mut done = Vec::with_capacity(reads.len());
        while !reads.is_empty() {
            let waiting = |read: &usize| reads.contains_key(read);
            let next = reads.iter().find(|(_, read)| !read.iter().any(waiting)).map(|(index, _)| *index);
            let index = match next {
                Some(index) => index,
                None => {
                    let Some(way) = circle(&reads) else { break };
                    self.report_circle(&way, findings);
                    for index in way {
                        reads.remove(&index);
                        done.push((index, None));
                    }
                    continue;
                }
            };
            reads.remove(&index);
            let Some((name, column)) = columns.get_index(index) else { continue };
            let computed = if column.value.is_some() { self.column(name, column, findings) } else { None };
            if let Some(computed) = &computed {
                self.know(index, computed);
            }
            done.push((index, computed));
        }
        done
    }

    fn know(&mut self, index: usize, computed: &Computed) {
        if let (Some(column), Some(known), Some(sensitive)) =
            (self.scope.columns.get_mut(index), self.known.get_mut(index), self.sensitive.get_mut(index))
        {
            column.value_type = computed.value_type;
            *known = true;
            *sensitive |= computed.is_sensitive;
        }
    }

    fn column(&self, name: &str, written: &ColumnWritten, findings: &mut Findings<'_>) -> Option<Computed> {
        let path: [Step<'_>; 3] = ["columns".into(), name.into(), "value".into()];
        let of_type = [path[0], path[1], "type".into()];
        let declared = match findings.document().find(&of_type) {
            Some(_) => match written.value_type.0.parse::<ValueType>() {
                Ok(value_type) => Some(value_type),
                Err(message) => {
                    findings.value(&of_type, &message, Some("for example: decimal(12,2)"));
                    return None;
                }
            },
            None => None,
        };
        let Read { expression, is_sensitive } = self.compile(&path, written.value.as_deref()?, findings)?;
        let own = match expression.result() {
            Type::Value(value_type) => Some(value_type),
            _ => None,
        };
        let is_replaced = written.lookup.as_ref().is_some_and(|lookup| lookup.value.is_some());
        if let Some(own) = own.filter(|_| is_replaced) {
            // It is its text that is looked up, and what stands there is of the column's type.
            let computed = |expression| Computed {
                expression,
                value_type: declared.unwrap_or(ValueType::Text),
                is_sensitive,
            };
            return expression.into_type(own).map(computed).ok();
        }
        let Some(value_type) = declared.or(own) else {
            let (message, help) = match expression.result() {
                Type::Unknown => (NO_TYPE.to_owned(), "write a `type`"),
                Type::Interval => (
                    "the expression gives an interval, which no column can hold".to_owned(),
                    "`extract(epoch from ...)` gives its seconds, `date - date` a number of days",
                ),
                other => {
                    (format!("the expression gives a {other}, which no column can hold"), "write a `type`")
                }
            };
            findings.value(&path, &message, Some(help));
            return None;
        };
        match expression.into_type(value_type) {
            Ok(expression) => Some(Computed { expression, value_type, is_sensitive }),
            Err(problem) => {
                report(&path, &problem, findings);
                None
            }
        }
    }

    fn report_circle(&self, way: &[usize], findings: &mut Findings<'_>) {
        let name = |index: &usize| self.scope.columns.get(*index).map_or("", |column| column.name.as_str());
        let Some(first) = way.first() else { return };
        let path = ["columns".into(), name(first).into(), "value".into()];
        if way.len() == 1 {
            findings.value(&path, &format!("`{}` is computed from itself", name(first)), None);
            return;
        }
        let next = way.iter().skip(1).chain(Some(first));
        let steps: Vec<String> = way
            .iter()
            .zip(next)
            .map(|(one, other)| format!("`{}` from `{}`", name(one), name(other)))
            .collect();
        let message = format!("these columns are computed from one another: {}", steps.join(", "));
        findings.value(&path, &message, Some("one of them must take its value from the file's own columns"));
    }
}

/// The words of an expression that may be names of columns: not those of functions, types and parts of dates, nor what
/// stands before or behind a point.
fn words(text: &str) -> Vec<String> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize() else { return Vec::new() };
    let tokens: Vec<Token> =
        tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let at = |index: Option<usize>| index.and_then(|index| tokens.get(index));
    let is_word = |token: Option<&Token>, words: &[&str]| match token {
        Some(Token::Word(word)) => words.iter().any(|known| word.value.eq_ignore_ascii_case(known)),
        _ => false,
    };
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        let (before, behind) = (at(index.checked_sub(1)), at(Some(index + 1)));
        let is_part = matches!(before, Some(Token::Period | Token::DoubleColon))
            || matches!(behind, Some(Token::Period | Token::LParen));
        // As in `date '2026-01-01'`, `interval '1' day`, `cast(x as date)`, `at time zone` and `extract(day from x)`.
        let is_of_syntax = word.quote_style.is_none()
            && (matches!(behind, Some(Token::SingleQuotedString(_)))
                || matches!(before, Some(Token::SingleQuotedString(_)))
                || is_word(before, &["as"])
                || is_word(behind, &["zone"])
                || (before == Some(&Token::LParen) && is_word(at(index.checked_sub(2)), &["extract"])));
        if !is_part && !is_of_syntax {
            found.push(word.value.clone());
        }
    }
    found
}

/// Says at its place what is wrong with an expression.
fn report(path: &[Step<'_>], problem: &ExpressionProblem, findings: &mut Findings<'_>) {
    findings.part(path, problem.range.clone(), &problem.message, problem.help.as_deref());
}

/// A circle among columns that all wait for one another.
fn circle(reads: &BTreeMap<usize, Vec<usize>>) -> Option<Vec<usize>> {
    let mut way = vec![*reads.keys().next()?];
    loop {
        let last = way.last()?;
        let next = *reads.get(last)?.iter().find(|read| reads.contains_key(read))?;
        if let Some(at) = way.iter().position(|index| *index == next) {
            return Some(way.split_off(at));
        }
        way.push(next);
    }
}

/// The captures of all patterns. One that is a date in one pattern and something else in another is a text.
fn captures(patterns: &[NamePattern]) -> Vec<Capture> {
    let mut all: Vec<Capture> = Vec::new();
    for (name, value_type) in patterns.iter().flat_map(NamePattern::capture_types) {
        match all.iter_mut().find(|known| known.name == name) {
            Some(known) if known.value_type != value_type => known.value_type = ValueType::Text,
            Some(_) => {}
            None => all.push(Capture { name: name.to_owned(), value_type }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn only_what_may_be_a_column_is_taken_for_one() {
        let table = [
            ("upper(name) || \"Order No\"", "name, Order No"),
            ("extract(day from ordered) + day", "from, ordered, day"),
            ("cast(raw as date) - date '2026-01-01'", "raw"),
            ("raw::date + interval '1' month", "raw"),
            ("file.day at time zone 'UTC'", "at"),
            ("delivery.id || 'name'", ""),
            ("'unclosed", ""),
        ];
        for (text, expected) in table {
            let found = words(text);
            for word in expected.split(", ").filter(|word| !word.is_empty()) {
                assert!(found.iter().any(|found| found == word), "{text}: {found:?}");
            }
            let unwanted = ["date", "month", "day", "id", "time", "upper"];
            let has = |word: &str| found.iter().filter(|found| *found == word).count();
            for word in unwanted {
                let wanted = expected.split(", ").filter(|expected| *expected == word).count();
                assert_eq!(has(word), wanted, "{text}: {found:?}");
            }
        }
    }
}
