//! The fingerprint of a mapping: the same as long as the mapping means the same.
//!
//! BLAKE3 over the mapping's JSON with keys sorted and everything left out that says no more than the default does.
//! Comments, white space, the order of keys and defaults written out therefore make no difference, and neither does a
//! release that adds keys. The order of the columns does: it is the order of reports and of tables that are created.
//!
//! What says from where files come, what they wait for and in what order they are loaded is left out: it is no part of
//! what a file means, so changing it makes no known file a new one. `match` is part of it, as its captures are.

use serde_json::{Map, Value as Json};

use super::schema;

/// The table whose order is part of its meaning.
const ORDERED: &str = "columns";
/// Keys at the top that change nothing about what a file comes to.
const OF_ARRIVAL: [&str; 4] = ["source", "waits_for", "wait_limit", "order"];

/// The fingerprint of a mapping that fits `root`, in hex.
#[must_use]
pub fn fingerprint(root: &Json, mapping: &Json) -> String {
    let mut meaning = essence(root, root, mapping);
    if let Some(meaning) = meaning.as_object_mut() {
        meaning.retain(|key, _| !OF_ARRIVAL.contains(&key.as_str()));
    }
    let order = mapping.get(ORDERED).and_then(Json::as_object).into_iter().flat_map(Map::keys);
    if let Some(Json::Object(columns)) = meaning.get_mut(ORDERED) {
        let pairs = order.map(|name| {
            Json::from(vec![
                Json::from(name.as_str()),
                columns.get_mut(name).map(Json::take).unwrap_or_default(),
            ])
        });
        let pairs: Json = pairs.collect();
        meaning.as_object_mut().map(|meaning| meaning.insert(ORDERED.to_owned(), pairs));
    }
    blake3::hash(meaning.to_string().as_bytes()).to_hex().to_string()
}

/// `value` without what equals the defaults of `schema`, keys sorted.
fn essence(root: &Json, schema: &Json, value: &Json) -> Json {
    let schema = schema::resolve(root, schema);
    match value {
        Json::Object(table) => {
            let alternatives = schema::alternatives(root, schema).unwrap_or_else(|| vec![schema]);
            let chosen = alternatives.into_iter().find(|one| describes(one, table)).unwrap_or(schema);
            essence_of_table(root, chosen, table)
        }
        Json::Array(items) => {
            let inner = schema.get("items").unwrap_or(&Json::Null);
            items.iter().map(|item| essence(root, inner, item)).collect()
        }
        _ => value.clone(),
    }
}

/// True when `schema` is of a table, and of this one where a tag tells alternatives apart.
fn describes(schema: &Json, table: &Map<String, Json>) -> bool {
    let tags_agree =
        |tag: &str| schema::tag_word(schema, tag).is_none_or(|word| table.get(tag) == Some(&word.into()));
    schema::is_table(schema) && schema::properties(schema).all(tags_agree)
}

fn essence_of_table(root: &Json, schema: &Json, table: &Map<String, Json>) -> Json {
    let properties = schema.get("properties").and_then(Json::as_object);
    let mut kept: Vec<(String, Json)> = Vec::with_capacity(table.len());
    for (key, value) in table {
        let own = properties.and_then(|properties| properties.get(key));
        let inner = own.or_else(|| schema.get("additionalProperties")).unwrap_or(&Json::Null);
        let meaning = essence(root, inner, value);
        let is_default = own.is_some_and(|own| own.get("default").is_some_and(|default| *default == meaning));
        // A table of the schema that says nothing is as good as left out; an entry of an open table is not.
        let says_nothing = own.is_some() && meaning.as_object().is_some_and(Map::is_empty);
        if !is_default && !says_nothing {
            kept.push((key.clone(), meaning));
        }
    }
    kept.sort_by(|one, other| one.0.cmp(&other.0));
    kept.into_iter().collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    const MAPPING: &str = "match = 'a.csv'\n[format]\ntype = 'csv'\n[target]\ntable = 't'\nkey = 'a'\n\
                           [columns]\na = { type = 'integer', min = 1 }\nb = {}\n";

    fn of(text: &str) -> String {
        let (document, problems) = Document::parse("a.toml", text).unwrap();
        assert!(problems.is_empty());
        fingerprint(schema::mapping(), &document.root.to_json())
    }

    #[test]
    fn comments_order_of_keys_and_written_defaults_make_no_difference() {
        let same = [
            MAPPING.replace("match", "# files\nmatch"),
            MAPPING.replace("table = 't'\nkey = 'a'", "key = 'a'\ntable = 't'"),
            MAPPING.replace(
                "type = 'integer', min = 1",
                "min = 1, type = 'integer', required = false, trim = true",
            ),
            MAPPING.replace("type = 'csv'", "header = true\ntype = 'csv'"),
            MAPPING.replace("[target]", "[rejects]\n[target]\nmode = 'upsert'"),
            MAPPING.replace("b = {}", "b = { type = 'text' }"),
            MAPPING.replace(
                "[format]",
                "source = 'share'\nwaits_for = ['x']\nwait_limit = '1h'\norder = 'modified'\n[format]",
            ),
        ];
        for text in same {
            assert_eq!(of(&text), of(MAPPING), "{text}");
        }
    }

    #[test]
    fn what_changes_the_meaning_changes_the_fingerprint() {
        let other = [
            MAPPING.replace("a.csv", "b.csv"),
            MAPPING.replace("min = 1", "min = 2"),
            MAPPING.replace("type = 'csv'", "type = 'csv'\nheader = false"),
            MAPPING.replace("[target]", "[rejects]\nlimit = 5\n[target]"),
            MAPPING.replace("b = {}\n", ""),
            MAPPING.replace("b = {}", "b = {}\nsource = {}\norder = {}"),
            MAPPING.replace(
                "a = { type = 'integer', min = 1 }\nb = {}",
                "b = {}\na = { type = 'integer', min = 1 }",
            ),
        ];
        for text in other {
            assert_ne!(of(&text), of(MAPPING), "{text}");
        }
    }
}
