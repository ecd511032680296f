//! Checks the structure of a configuration file against its JSON Schema and reports everything that does not fit.
//!
//! What comes out is the file as JSON without the parts that do not fit, so that the rest can be read and checked on;
//! [`Checked::is_sound`] tells where parts are gone. What is left deserialises into the types that the schema was made
//! from: the schema is the only source of structure. A test holds the keywords that are understood here against those
//! that the schemas use.

use std::ops::Range;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::{
    document::{Document, Entry, Node, Value},
    expect::{self, Homes},
    nearest::nearest,
    problem::Problem,
    schema,
};

/// A file whose structure was checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What fits, in the order of the file.
    pub value: Json,
    /// What does not.
    pub problems: Vec<Problem>,
    damaged: Vec<Vec<String>>,
}

impl Checked {
    /// True when everything at and below `path` is as it is written.
    #[must_use]
    pub fn is_sound(&self, path: &[&str]) -> bool {
        !self.damaged.iter().any(|gone| gone.iter().zip(path).all(|(gone, wanted)| gone == wanted))
    }

    /// True when `path` is there, whatever may be wrong below it.
    #[must_use]
    pub fn is_present(&self, path: &[&str]) -> bool {
        let leads_to = |gone: &Vec<String>| {
            gone.len() <= path.len() && gone.iter().zip(path).all(|(gone, wanted)| gone == wanted)
        };
        !self.damaged.iter().any(leads_to)
    }
}

/// Checks `document` against `schema`.
#[must_use]
pub fn check(schema: &Json, document: &Document) -> Checked {
    let homes = Homes::of(schema);
    let mut checker =
        Checker { schema, document, homes, path: Vec::new(), problems: Vec::new(), damaged: Vec::new() };
    let value = checker.value(schema, &document.root, &(0..0)).unwrap_or_default();
    Checked { value, problems: checker.problems, damaged: checker.damaged }
}

struct Checker<'a> {
    schema: &'a Json,
    document: &'a Document,
    homes: Homes,
    path: Vec<String>,
    problems: Vec<Problem>,
    damaged: Vec<Vec<String>>,
}

impl<'a> Checker<'a> {
    fn report(&mut self, span: &Range<usize>, message: &str, help: Option<&str>) {
        let place = self.document.place(span.clone());
        self.problems.push(Problem::at(&self.document.file, place, message, help));
    }

    fn damage(&mut self, key: Option<&str>) {
        let path = self.path.iter().map(String::as_str).chain(key);
        self.damaged.push(path.map(str::to_owned).collect());
    }

    /// The part of `node` that fits `schema`; none when nothing does. `anchor` is what to mark when something is
    /// missing in it.
    fn value(&mut self, schema: &'a Json, node: &Node, anchor: &Range<usize>) -> Option<Json> {
        let schema = schema::resolve(self.schema, schema);
        let fitting = if matches!(node.value, Value::Unusable) {
            None
        } else if let Some(alternatives) = schema::alternatives(self.schema, schema) {
            self.choose(&alternatives, node, anchor)
        } else if !expect::accepts(schema, node) {
            self.wrong_kind(&[schema], node)
        } else {
            self.fitting(schema, node, anchor)
        };
        if fitting.is_none() {
            self.damage(None);
        }
        fitting
    }

    fn fitting(&mut self, schema: &'a Json, node: &Node, anchor: &Range<usize>) -> Option<Json> {
        match &node.value {
            Value::Text(text) => self.text(&[schema], text, node),
            Value::Integer(number) => self.number(schema, *number, node),
            Value::List(items) => self.list(schema, items, node),
            Value::Table(table) => Some(self.table(schema, table, anchor)),
            Value::Float(_) | Value::Boolean(_) | Value::Unusable => Some(node.to_json()),
        }
    }

    fn wrong_kind(&mut self, schemas: &[&Json], node: &Node) -> Option<Json> {
        let message = format!("expected {}, found {}", expect::phrase(schemas), expect::found(node));
        let raw = self.document.source.get(node.span.clone()).unwrap_or_default();
        let help = expect::advice(schemas, node, raw);
        self.report(&node.span, &message, help.as_deref());
        None
    }

    /// Picks the alternative that `node` is meant to be: by its tag, or by its kind.
    fn choose(&mut self, schemas: &[&'a Json], node: &Node, anchor: &Range<usize>) -> Option<Json> {
        let open: Vec<&'a Json> =
            schemas.iter().copied().filter(|schema| expect::accepts(schema, node)).collect();
        match (&node.value, open.as_slice()) {
            (_, []) => self.wrong_kind(schemas, node),
            (Value::Text(text), _) => self.text(&open, text, node),
            (Value::Table(table), _) if schema::tag(&open).is_some() => {
                self.tagged(&open, table, node, anchor)
            }
            (_, [only]) => self.fitting(only, node, anchor),
            (_, [first, ..]) => {
                let (problems, damaged) = (self.problems.len(), self.damaged.len());
                for schema in &open {
                    let fitting = self.fitting(schema, node, anchor);
                    if self.problems.len() == problems {
                        return fitting;
                    }
                    self.problems.truncate(problems);
                    self.damaged.truncate(damaged);
                }
                self.fitting(first, node, anchor)
            }
        }
    }

    fn tagged(
        &mut self,
        schemas: &[&'a Json],
        table: &IndexMap<String, Entry>,
        node: &Node,
        anchor: &Range<usize>,
    ) -> Option<Json> {
        let tag = schema::tag(schemas)?;
        let words: Vec<&str> = schemas.iter().filter_map(|schema| schema::tag_word(schema, tag)).collect();
        let listed = expect::listed(&words);
        let Some(entry) = table.get(tag) else {
            let mistyped = table.keys().any(|key| nearest(key, [tag]).is_some());
            if let ([only], true) = (schemas, mistyped) {
                return self.fitting(only, node, anchor);
            }
            let help = format!("add `{tag}`: one of {listed}");
            self.report(anchor, &format!("the key `{tag}` is missing"), Some(&help));
            return None;
        };
        let chosen = match &entry.node.value {
            Value::Text(word) => schemas.iter().find(|schema| schema::tag_word(schema, tag) == Some(word)),
            _ => None,
        };
        if let Some(chosen) = chosen {
            return self.fitting(chosen, node, anchor);
        }
        if let Value::Text(word) = &entry.node.value {
            let help = expect::suggestion(word, &words);
            self.report(&entry.node.span, &format!("there is no {tag} `{word}`"), Some(&help));
        } else {
            let message = format!("expected one of {listed}, found {}", expect::found(&entry.node));
            self.report(&entry.node.span, &message, None);
        }
        None
    }

    /// A text fits when one of `schemas` takes it: words as they are, others by length and pattern.
    fn text(&mut self, schemas: &[&Json], text: &str, node: &Node) -> Option<Json> {
        let mut complaint = None;
        let mut words = Vec::new();
        for schema in schemas {
            let listed = schema::words(schema);
            if listed.is_empty() {
                match expect::text_complaint(schema, text) {
                    None => return Some(text.into()),
                    Some(said) => complaint = complaint.or(Some(said)),
                }
            } else if listed.contains(&text) {
                return Some(text.into());
            }
            words.extend(expect::named(schema));
        }
        if words.is_empty() {
            self.report(&node.span, &complaint.unwrap_or_default(), None);
        } else {
            let name = self.path.last().map_or("this", String::as_str);
            let text_shown = if text.is_empty() { "the empty text".to_owned() } else { format!("`{text}`") };
            let message = format!("{text_shown} is not a word for `{name}`");
            self.report(&node.span, &message, Some(&expect::suggestion(text, &words)));
        }
        None
    }

    fn number(&mut self, schema: &Json, number: i64, node: &Node) -> Option<Json> {
        let (least, most) = schema::range(schema);
        if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
            return Some(number.into());
        }
        let message = match (least, most) {
            (Some(least), Some(most)) => format!("this must be a number from {least} to {most}"),
            (Some(least), None) => format!("this must be at least {least}"),
            (None, Some(most)) => format!("this must be at most {most}"),
            (None, None) => String::new(),
        };
        self.report(&node.span, &message, None);
        None
    }

    /// A list fits when all its items do: places in it must stay those of the file.
    fn list(&mut self, schema: &'a Json, items: &[Node], node: &Node) -> Option<Json> {
        let count = |keyword: &str| schema.get(keyword).and_then(Json::as_u64);
        let length = items.len() as u64;
        if count("minItems").is_some_and(|least| length < least) {
            self.report(&node.span, "this list must not be empty", None);
            return None;
        }
        if count("maxItems").is_some_and(|most| length > most) {
            let message =
                format!("this list holds more than {} items", count("maxItems").unwrap_or_default());
            self.report(&node.span, &message, None);
            return None;
        }
        let Some(inner) = schema.get("items") else { return Some(node.to_json()) };
        let mut fitting = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            self.path.push(index.to_string());
            fitting.push(self.value(inner, item, &item.span));
            self.path.pop();
        }
        fitting.into_iter().collect()
    }

    fn table(&mut self, schema: &'a Json, table: &IndexMap<String, Entry>, anchor: &Range<usize>) -> Json {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        let mut fitting = Map::new();
        let mut meant: Vec<&str> = Vec::new();
        for (key, entry) in table {
            let own = properties.and_then(|properties| properties.get(key));
            let inner = own.or(others).unwrap_or(&Json::Bool(true));
            if inner == &Json::Bool(false) {
                meant.extend(self.unknown_key(key, entry, properties));
                continue;
            }
            if inner == &Json::Bool(true) {
                fitting.insert(key.clone(), entry.node.to_json());
                continue;
            }
            self.path.push(key.clone());
            let value = self.value(inner, &entry.node, &entry.key);
            self.path.pop();
            // An entry of an open table keeps its name although its content is gone: others refer to it.
            let is_table = schema::is_table(schema::resolve(self.schema, inner));
            let value = value.or_else(|| (own.is_none() && is_table).then(|| Map::new().into()));
            if let Some(value) = value {
                fitting.insert(key.clone(), value);
            }
        }
        for key in schema::required(schema) {
            if table.contains_key(key) {
                continue;
            }
            self.damage(Some(key));
            if !meant.contains(&key) {
                let inner = properties.and_then(|properties| properties.get(key)).unwrap_or(&Json::Null);
                let (message, help) = expect::missing(self.schema, key, inner);
                self.report(anchor, &message, Some(&help));
            }
        }
        fitting.into()
    }

    /// Reports a key that has no place here, and gives the one that was most likely meant.
    fn unknown_key(
        &mut self,
        key: &str,
        entry: &Entry,
        known: Option<&'a Map<String, Json>>,
    ) -> Option<&'a str> {
        let known: Vec<&str> = known.into_iter().flat_map(|known| known.keys().map(String::as_str)).collect();
        let elsewhere = self.homes.elsewhere(key, &self.path);
        let meant = if elsewhere.is_none() { nearest(key, known.iter().copied()) } else { None };
        let help = elsewhere.or_else(|| expect::key_suggestion(meant, &known));
        self.report(&entry.key, &format!("there is no key `{key}` here"), help.as_deref());
        if let Some(meant) = meant {
            self.damage(Some(meant));
        }
        meant
    }
}
