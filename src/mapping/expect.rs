//! The words for what a schema expects, what was found instead, and what to do about it.

use serde_json::Value as Json;

use super::{
    document::{Node, Value},
    nearest::nearest,
    schema,
};
use crate::model::printable;

/// More keys than this are not listed in a help.
const LISTED_KEYS: usize = 16;
/// Characters of a value that a help repeats.
const REPEATED_CHARACTERS: usize = 40;

/// True when `schema` takes values of the kind of `node`, whatever their content.
pub fn accepts(schema: &Json, node: &Node) -> bool {
    if !schema::words(schema).is_empty() {
        return matches!(node.value, Value::Text(_));
    }
    let kinds: &[&str] = match &node.value {
        Value::Text(_) => &["string"],
        Value::Integer(_) => &["integer", "number"],
        Value::Float(_) => &["number"],
        Value::Boolean(_) => &["boolean"],
        Value::List(_) => &["array"],
        Value::Table(_) => &["object"],
        Value::Unusable => &[],
    };
    let types = schema::types(schema);
    types.is_empty() || types.iter().any(|name| kinds.contains(name))
}

/// What `node` is: "a text".
pub fn found(node: &Node) -> String {
    match &node.value {
        Value::Text(_) => "a text".to_owned(),
        Value::Integer(_) => "an integer".to_owned(),
        Value::Float(_) => "a number".to_owned(),
        Value::Boolean(value) => format!("`{value}`"),
        Value::List(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Unusable => "something else".to_owned(),
    }
}

/// What a schema of texts expects by name: its words, or the title of a pattern.
pub fn named(schema: &Json) -> Vec<&str> {
    let title = schema.get("title").and_then(Json::as_str).filter(|_| schema::types(schema) == ["string"]);
    schema::words(schema).into_iter().chain(title).collect()
}

/// What schemas expect between them: "a text or a list of texts".
pub fn phrase(schemas: &[&Json]) -> String {
    let words: Vec<&str> = schemas.iter().flat_map(|schema| named(schema)).collect();
    let words = (!words.is_empty()).then(|| format!("one of {}", listed(&words)));
    let mut phrases: Vec<String> = words.into_iter().collect();
    for schema in schemas.iter().filter(|schema| named(schema).is_empty()) {
        for name in schema::types(schema) {
            let phrase = phrase_of(name, schema).to_owned();
            if !phrases.contains(&phrase) {
                phrases.push(phrase);
            }
        }
    }
    if phrases.iter().any(|phrase| phrase == "a number") {
        phrases.retain(|phrase| phrase != "an integer");
    }
    join(&phrases, " or ")
}

fn phrase_of(name: &str, schema: &Json) -> &'static str {
    match name {
        "string" if schema.get("maxLength").and_then(Json::as_u64) == Some(1) => "a single character",
        "string" => "a text",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        "object" => "a table",
        _ => match schema.get("items").map(schema::types).unwrap_or_default().as_slice() {
            ["string"] => "a list of texts",
            _ => "a list",
        },
    }
}

/// How to turn what was found into what is expected, where that is plain. `raw` is what stands in the file.
pub fn advice(schemas: &[&Json], node: &Node, raw: &str) -> Option<String> {
    let expected = |name: &str| schemas.iter().any(|schema| schema::types(schema).contains(&name));
    let any_text =
        schemas.iter().any(|schema| schema::types(schema) == ["string"] && named(schema).is_empty());
    let shown = printable::short(raw, REPEATED_CHARACTERS);
    match &node.value {
        Value::Boolean(_) if expected("integer") => None,
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) if any_text => {
            Some(format!("put it in quotes: \"{shown}\""))
        }
        Value::Text(text) if expected("boolean") && matches!(text.as_str(), "true" | "false") => {
            Some(format!("leave the quotes away: {text}"))
        }
        Value::Text(text) if expected("integer") && text.parse::<i64>().is_ok() => {
            Some(format!("leave the quotes away: {text}"))
        }
        Value::Text(_) if expected("array") => Some(format!("write it as a list: [{shown}]")),
        _ if expected("object") => {
            let example = schemas.iter().find_map(|schema| schema.get("examples")?.get(0)?.as_object());
            Some(match example {
                Some(example) => format!("write it like this: {}", inline(example)),
                None => "write it as `[NAME]` on a line of its own, its keys below".to_owned(),
            })
        }
        _ => None,
    }
}

/// An inline table of TOML.
fn inline(table: &serde_json::Map<String, Json>) -> String {
    let pairs: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// What is wrong with a text by length or pattern, if anything.
pub fn text_complaint(schema: &Json, text: &str) -> Option<String> {
    let count = |keyword: &str| schema.get(keyword).and_then(Json::as_u64);
    let length = text.chars().count() as u64;
    let (least, most) = (count("minLength"), count("maxLength"));
    if (least, most) == (Some(1), Some(1)) && length != 1 {
        return Some(format!("this must be a single character, not {length}"));
    }
    if length == 0 && least.is_some_and(|least| least > 0) {
        return Some("this text must not be empty".to_owned());
    }
    if let Some(least) = least.filter(|least| length < *least) {
        return Some(format!("this text must have at least {least} characters"));
    }
    if let Some(most) = most.filter(|most| length > *most) {
        return Some(format!("this text must have at most {most} characters"));
    }
    let pattern = schema.get("pattern").and_then(Json::as_str)?;
    let matches = regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
    (!matches).then(|| "this text is not of the right form".to_owned())
}

/// Says that a key is missing and what it is for.
pub fn missing(root: &Json, key: &str, schema: &Json) -> (String, String) {
    let resolved = schema::resolve(root, schema);
    let is_table = schema::is_table(resolved)
        || schema::alternatives(root, resolved)
            .is_some_and(|all| all.iter().all(|one| schema::is_table(one)));
    let name = if is_table { format!("`[{key}]`") } else { format!("the key `{key}`") };
    let purpose = schema.get("description").and_then(Json::as_str).unwrap_or_default();
    let purpose = purpose.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let mut characters = purpose.chars();
    let purpose: String =
        characters.next().into_iter().flat_map(char::to_lowercase).chain(characters).collect();
    (format!("{name} is missing"), format!("add {}: {purpose}", name.trim_start_matches("the key ")))
}

/// "did you mean `x`? possible: `x`, `y`"
pub fn suggestion(written: &str, words: &[&str]) -> String {
    let possible = format!("possible: {}", listed(words));
    match (nearest(written, words.iter().copied()), words) {
        (Some(word), [_]) => format!("did you mean `{word}`?"),
        (Some(word), _) => format!("did you mean `{word}`? {possible}"),
        (None, _) => possible,
    }
}

/// The same for keys: the list only when nothing is near and it is short.
pub fn key_suggestion(meant: Option<&str>, known: &[&str]) -> Option<String> {
    match meant {
        Some(key) => Some(format!("did you mean `{key}`?")),
        None if known.len() <= LISTED_KEYS && !known.is_empty() => {
            Some(format!("possible: {}", listed(known)))
        }
        None => None,
    }
}

/// The key of `known` that `written` may have been meant to be, in words.
pub fn key_suggestion_for(written: &str, known: &[&str]) -> Option<String> {
    key_suggestion(nearest(written, known.iter().copied()), known)
}

/// "`a`, `b`"
pub fn listed(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

fn join(phrases: &[String], last: &str) -> String {
    match phrases {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{}{last}{end}", first.join(", ")),
    }
}

/// Where each key of a schema may stand, to tell those that stand in the wrong table.
#[derive(Debug)]
pub struct Homes(Vec<(String, Vec<String>)>);

/// The step of a path that stands for any name.
const ANY: &str = "NAME";

impl Homes {
    /// All keys of `root`.
    pub fn of(root: &Json) -> Self {
        let mut homes = Self(Vec::new());
        homes.collect(root, root, &mut Vec::new());
        homes
    }

    fn collect(&mut self, root: &Json, schema: &Json, path: &mut Vec<String>) {
        let schema = schema::resolve(root, schema);
        for alternative in schema::alternatives(root, schema).into_iter().flatten() {
            self.collect(root, alternative, path);
        }
        let properties = schema.get("properties").and_then(Json::as_object);
        for (key, inner) in properties.into_iter().flatten() {
            if !self.0.iter().any(|(known, home)| known == key && home == path) {
                self.0.push((key.clone(), path.clone()));
            }
            path.push(key.clone());
            self.collect(root, inner, path);
            path.pop();
        }
        if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
            path.push(ANY.to_owned());
            self.collect(root, inner, path);
            path.pop();
        }
    }

    /// "`key` belongs under `[target]`": where a key that does not belong at `here` has its place.
    pub fn elsewhere(&self, key: &str, here: &[String]) -> Option<String> {
        let same = |home: &[String]| {
            home.len() == here.len() && home.iter().zip(here).all(|(home, here)| home == ANY || home == here)
        };
        let homes = self.0.iter().filter(|(known, home)| known == key && !same(home));
        let places: Vec<String> = homes.map(|(_, home)| place_of(home)).collect();
        (!places.is_empty()).then(|| format!("`{key}` belongs {}", join(&places, " or ")))
    }
}

fn place_of(home: &[String]) -> String {
    match home {
        [] => "at the top of the file, before the first `[table]`".to_owned(),
        [table, any] if any == ANY => format!("in an entry of `[{table}]`"),
        _ => format!("under `[{}]`", home.join(".")),
    }
}
