//! A TOML file as a tree in which every key and value knows where it stands.
//!
//! This is the only place that knows the `toml` crate. All mistakes of syntax are found at once; a file that has one
//! gives no tree, as everything behind it would be guesswork. Doubled keys and values that no key can take (dates,
//! numbers that cannot be kept exactly) are problems of a tree that is otherwise sound.

use std::{collections::HashSet, ops::Range, sync::Arc};

use indexmap::IndexMap;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue, Error};

use super::problem::{Place, Problem, Problems};

/// More significant digits than this may not survive a TOML float.
const FLOAT_DIGITS: usize = 15;

/// A TOML file that was read.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file's name in problems.
    pub file: String,
    /// Its text.
    pub source: Arc<str>,
    /// The table at its top.
    pub root: Node,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its bytes; of a table with a header, those of the header.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A list.
    List(Vec<Node>),
    /// A table, in the order of the file.
    Table(IndexMap<String, Entry>),
    /// A value that cannot be used; a problem says why.
    Unusable,
}

/// A key of a table with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The bytes of the key.
    pub key: Range<usize>,
    /// The value.
    pub node: Node,
}

/// One step from a value into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// To the value of this key.
    Key(&'a str),
    /// To this item of a list, from 0.
    Item(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(item: usize) -> Self {
        Self::Item(item)
    }
}

impl Document {
    /// Reads `source`; `file` names it in problems. Gives the tree and the problems that leave it sound.
    ///
    /// # Errors
    /// All mistakes of syntax.
    pub fn parse(file: &str, source: &str) -> Result<(Self, Vec<Problem>), Problems> {
        let (tree, errors) = DeTable::parse_recoverable(source);
        let source: Arc<str> = source.into();
        let mut reader = Reader { file, source: &source, problems: Vec::new() };
        let (doubled, broken): (Vec<_>, Vec<_>) = errors.iter().partition(|e| e.message() == DUPLICATE_KEY);
        if !broken.is_empty() {
            return Err(reader.syntax(&broken));
        }
        for error in doubled {
            let span = error.span().unwrap_or_default();
            let message =
                format!("the key `{}` stands here a second time", source.get(span.clone()).unwrap_or("?"));
            reader.report(span, &message, "keep one of the two");
        }
        let root = Node { span: 0..0, value: reader.table(tree.get_ref()) };
        let problems = reader.problems;
        Ok((Self { file: file.to_owned(), source, root }, problems))
    }

    /// The value at `path`.
    #[must_use]
    pub fn find(&self, path: &[Step<'_>]) -> Option<&Node> {
        let mut node = &self.root;
        for step in path {
            node = node.step(*step)?;
        }
        Some(node)
    }

    /// The bytes of the value at `path`; where there is none, of the key that leads nearest to it.
    #[must_use]
    pub fn value_span(&self, path: &[Step<'_>]) -> Range<usize> {
        self.find(path).map_or_else(|| self.key_span(path), |node| node.span.clone())
    }

    /// The bytes of the last key of `path`; where there is none, of the key that leads nearest to it.
    #[must_use]
    pub fn key_span(&self, path: &[Step<'_>]) -> Range<usize> {
        let mut node = &self.root;
        let mut span = 0..0;
        for step in path {
            if let (Value::Table(table), Step::Key(key)) = (&node.value, step)
                && let Some(entry) = table.get(*key)
            {
                span = entry.key.clone();
            }
            let Some(next) = node.step(*step) else { break };
            node = next;
        }
        span
    }

    /// The bytes of a part of the text at `path`, given in bytes of the text; of all of it when the text is written
    /// with escapes, so that the two do not run in step.
    #[must_use]
    pub fn part_span(&self, path: &[Step<'_>], part: Range<usize>) -> Range<usize> {
        let span = self.value_span(path);
        let Some(Node { value: Value::Text(text), .. }) = self.find(path) else { return span };
        let raw = self.source.get(span.clone()).unwrap_or_default();
        // A line end right behind three quotes is no part of the text.
        let quotes = ["\"", "'", "'''", "\"\"\"", "'''\n", "\"\"\"\n", "'''\r\n", "\"\"\"\r\n"];
        let is_plain = |open: &&&str| {
            raw.strip_prefix(**open).and_then(|rest| rest.strip_suffix(open.trim_end())) == Some(text)
        };
        let Some(quotes) = quotes.iter().find(is_plain) else { return span };
        let from = span.start + quotes.len();
        from + part.start..from + part.end.min(text.len())
    }

    /// The place of some bytes.
    #[must_use]
    pub fn place(&self, span: Range<usize>) -> Place {
        Place::new(&self.source, span)
    }
}

impl Node {
    fn step(&self, step: Step<'_>) -> Option<&Self> {
        match (&self.value, step) {
            (Value::Table(table), Step::Key(key)) => table.get(key).map(|entry| &entry.node),
            (Value::List(items), Step::Item(item)) => items.get(item),
            _ => None,
        }
    }

    /// The same value as JSON, keys in the order of the file.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Text(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Boolean(value) => (*value).into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(table) => {
                table.iter().map(|(key, entry)| (key.clone(), entry.node.to_json())).collect()
            }
            Value::Unusable => serde_json::Value::Null,
        }
    }
}

// How the `toml` crate words these.
const DUPLICATE_KEY: &str = "duplicate key";
const MISSING_COMMA: &str = "missing comma between array elements";

struct Reader<'a> {
    file: &'a str,
    source: &'a Arc<str>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, span: Range<usize>, message: &str, help: &str) {
        self.problems.push(Problem::at(self.file, Place::new(self.source, span), message, Some(help)));
    }

    /// One problem a line, as what follows on it is most often the same mistake; and none behind a list that seems
    /// not to be closed, which takes every line below for its items.
    fn syntax(&mut self, errors: &[&Error]) -> Problems {
        let mut lines = HashSet::new();
        for error in errors {
            let span = error.span().unwrap_or_default();
            let before = self.source.get(..span.start).unwrap_or_default();
            let begins_line = before.rsplit('\n').next().is_some_and(|left| left.trim().is_empty());
            let is_open = begins_line && error.message().starts_with(MISSING_COMMA);
            let place = Place::new(self.source, span);
            if lines.insert(place.line) {
                let message = format!("this is not TOML: {}", error.message());
                let help = is_open.then_some("is a `,` or a `]` missing before it?");
                self.problems.push(Problem::at(self.file, place, &message, help));
            }
            if is_open {
                break;
            }
        }
        Problems::new(std::mem::take(&mut self.problems))
    }

    fn table(&mut self, table: &DeTable<'_>) -> Value {
        let entries = table.iter().map(|(key, value)| {
            let node = self.node(value.span(), value.get_ref());
            (key.get_ref().clone().into_owned(), Entry { key: key.span(), node })
        });
        Value::Table(entries.collect())
    }

    fn node(&mut self, span: Range<usize>, value: &DeValue<'_>) -> Node {
        let value = match value {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => self.integer(&span, number),
            DeValue::Float(number) => self.float(&span, number),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => {
                self.report(span.clone(), "dates and times are written as text here", "put it in quotes");
                Value::Unusable
            }
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| self.node(item.span(), item.get_ref())).collect())
            }
            DeValue::Table(table) => self.table(table),
        };
        Node { span, value }
    }

    fn integer(&mut self, span: &Range<usize>, number: &DeInteger<'_>) -> Value {
        i64::from_str_radix(number.as_str(), number.radix()).map_or_else(
            |_| {
                self.report(span.clone(), "this number is too large", "use a number of at most 18 digits");
                Value::Unusable
            },
            Value::Integer,
        )
    }

    fn float(&mut self, span: &Range<usize>, number: &DeFloat<'_>) -> Value {
        let written = number.as_str();
        let mantissa = written.split(['e', 'E']).next().unwrap_or_default();
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        match written.parse::<f64>() {
            Ok(number) if number.is_finite() && digits.trim_start_matches('0').len() <= FLOAT_DIGITS => {
                Value::Float(number)
            }
            Ok(number) if number.is_finite() => {
                let message =
                    format!("this number has more than {FLOAT_DIGITS} digits and would not stay exact");
                self.report(span.clone(), &message, "put it in quotes");
                Value::Unusable
            }
            _ => {
                self.report(span.clone(), "this is not a number that can be used", "use a finite number");
                Value::Unusable
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> (Document, Vec<Problem>) {
        Document::parse("a.toml", source).unwrap()
    }

    fn text_at(source: &str, span: Range<usize>) -> &str {
        &source[span]
    }

    #[test]
    fn keys_and_values_are_found_by_their_path() {
        let source =
            "match = ['a', 'b']\n[target]\nkey = \"x\"\n[columns]\na = { type = \"date\" }\nb.from = 3\n";
        let (document, problems) = read(source);
        assert!(problems.is_empty());
        let value = |path: &[Step<'_>]| text_at(source, document.value_span(path));
        let key = |path: &[Step<'_>]| text_at(source, document.key_span(path));
        assert_eq!(value(&["match".into(), 1.into()]), "'b'");
        assert_eq!(value(&["target".into()]), "[target]");
        assert_eq!(value(&["columns".into(), "a".into(), "type".into()]), "\"date\"");
        assert_eq!(value(&["columns".into(), "b".into(), "from".into()]), "3");
        assert_eq!(key(&["columns".into(), "a".into(), "type".into()]), "type");
        assert_eq!(key(&["target".into()]), "target");
        assert_eq!(value(&["target".into(), "missing".into(), "deeper".into()]), "target");
        assert_eq!(value(&["missing".into()]), "");
    }

    #[test]
    fn a_part_of_a_text_is_found_unless_escapes_stand_in_between() {
        let source = "a = 'x(y'\nb = \"x\\t(y\"\n";
        let (document, _) = read(source);
        assert_eq!(text_at(source, document.part_span(&["a".into()], 1..2)), "(");
        assert_eq!(text_at(source, document.part_span(&["b".into()], 2..3)), "\"x\\t(y\"");
    }

    #[test]
    fn json_keeps_values_and_the_order_of_keys() {
        let (document, problems) = read("z = 1_000\na = -0.5\nh = 0xff\nl = [true, 'x']\n");
        assert!(problems.is_empty());
        assert_eq!(document.root.to_json().to_string(), r#"{"z":1000,"a":-0.5,"h":255,"l":[true,"x"]}"#);
    }

    #[test]
    fn every_mistake_of_syntax_is_reported() {
        let problems = Document::parse("a.toml", "a = \nb = 1\nc = [1,\n").unwrap_err();
        let lines: Vec<_> = problems.iter().map(|p| p.place.as_ref().unwrap().line).collect();
        assert!(lines.contains(&1) && lines.len() >= 2, "{problems}");
    }

    #[test]
    fn doubled_keys_and_unusable_values_leave_the_tree_sound() {
        let source =
            "a = 1\na = 2\nd = 2025-01-01\nn = nan\nbig = 99999999999999999999\nf = 0.1234567890123456\n";
        let (document, problems) = read(source);
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(matches!(document.find(&["a".into()]).unwrap().value, Value::Integer(1)));
        assert!(matches!(document.find(&["d".into()]).unwrap().value, Value::Unusable));
    }

    #[test]
    fn hostile_text_gives_problems_and_no_panic() {
        for source in
            ["\u{0}", "[", "[[", "a.b.c", "= 1", "[a]\n[a]", "a = \"\u{1b}\"", "\u{feff}a=1", "a.b=1\na=2"]
        {
            let _ = Document::parse("a.toml", source);
        }
        let _ = Document::parse("a.toml", &"[".repeat(10_000));
        let _ = Document::parse("a.toml", &format!("a = {}", "[".repeat(100_000)));
        let deep = vec!["a"; 300_000].join(".");
        let _ = Document::parse("a.toml", &format!("{deep}=1"));
        let _ = Document::parse("a.toml", &format!("[{deep}]\nb=1"));
    }
}
