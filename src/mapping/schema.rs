//! The JSON Schemas of the configuration files, made from the types that read them.
//!
//! A schema is the only source of a file's structure: editors complete from it, `check` reports from it,
//! the reference is written from it.

use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::Value as Json;

use super::{settings::SiteWritten, written::Written};

/// The schema of a mapping: JSON Schema, draft 2020-12.
#[must_use]
pub fn mapping() -> &'static Json {
    static SCHEMA: LazyLock<Json> = LazyLock::new(generate::<Written>);
    &SCHEMA
}

/// The schema of `wharf.toml`: JSON Schema, draft 2020-12.
#[must_use]
pub fn site() -> &'static Json {
    static SCHEMA: LazyLock<Json> = LazyLock::new(generate::<SiteWritten>);
    &SCHEMA
}

fn generate<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with_transform(for_toml);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Fits a schema to TOML: no null, as a key that has no value is left out; and descriptions as one line.
fn for_toml(schema: &mut Schema) {
    transform_subschemas(&mut for_toml, schema);
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Json::String(description)) = object.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    if object.get("default") == Some(&Json::Null) {
        object.remove("default");
    }
    if let Some(Json::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Json::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let Some(Json::Array(alternatives)) = object.get_mut("anyOf") else { return };
    alternatives.retain(|alternative| alternative.get("type") != Some(&Json::from("null")));
    if let [only] = alternatives.as_mut_slice() {
        let only = only.take();
        object.remove("anyOf");
        for (keyword, value) in only.as_object().into_iter().flatten() {
            object.entry(keyword.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// What `schema` stands for when it is only a reference into `root`.
pub(super) fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let reference = schema.get("$ref").and_then(Json::as_str);
    reference.and_then(|path| root.pointer(path.strip_prefix('#')?)).unwrap_or(schema)
}

/// The alternatives of a schema that has some, resolved, those of alternatives included.
pub(super) fn alternatives<'a>(root: &'a Json, schema: &'a Json) -> Option<Vec<&'a Json>> {
    let listed = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    let resolved = listed.iter().map(|one| resolve(root, one));
    Some(resolved.flat_map(|one| alternatives(root, one).unwrap_or_else(|| vec![one])).collect())
}

/// The kinds of values that a schema takes, in JSON's names.
pub(super) fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// True when a schema takes tables only.
pub(super) fn is_table(schema: &Json) -> bool {
    types(schema) == ["object"]
}

/// The words that a schema takes, when it takes nothing else.
pub(super) fn words(schema: &Json) -> Vec<&str> {
    let constant = schema.get("const").and_then(Json::as_str);
    let listed = schema.get("enum").and_then(Json::as_array);
    constant.into_iter().chain(listed.into_iter().flatten().filter_map(Json::as_str)).collect()
}

/// The names of a table's keys.
pub(super) fn properties(schema: &Json) -> impl Iterator<Item = &str> {
    let properties = schema.get("properties").and_then(Json::as_object);
    properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str))
}

/// The keys that a table must have.
pub(super) fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// The key whose word tells alternative tables apart.
pub(super) fn tag<'a>(schemas: &[&'a Json]) -> Option<&'a str> {
    let first = schemas.first()?;
    properties(first).find(|key| schemas.iter().all(|schema| tag_word(schema, key).is_some()))
}

/// The word that `tag` has in this alternative.
pub(super) fn tag_word<'a>(schema: &'a Json, tag: &str) -> Option<&'a str> {
    schema.get("properties")?.get(tag)?.get("const")?.as_str()
}

/// The smallest and largest integer that a schema takes, by its bounds and by the machine's type behind it.
pub(super) fn range(schema: &Json) -> (Option<i64>, Option<i64>) {
    let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_i64);
    let (least, most) = match schema.get("format").and_then(Json::as_str) {
        Some("int32") => (Some(i64::from(i32::MIN)), Some(i64::from(i32::MAX))),
        Some("uint32") => (Some(0), Some(i64::from(u32::MAX))),
        _ => (None, None),
    };
    (bound("minimum").or(least), bound("maximum").or(most))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Keywords that [`super::super::check`] acts on, or that say nothing about structure.
    const UNDERSTOOD: [&str; 24] = [
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
        "examples",
    ];
    /// Machine types whose range is part of the schema or known to [`range`].
    const FORMATS: [&str; 9] =
        ["uint", "uint8", "uint16", "uint32", "uint64", "int32", "int64", "int", "double"];

    fn collect(schema: &Json, keywords: &mut BTreeSet<String>, formats: &mut BTreeSet<String>) {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            keywords.insert(keyword.clone());
            match keyword.as_str() {
                "properties" | "$defs" => {
                    value.as_object().unwrap().values().for_each(|inner| collect(inner, keywords, formats));
                }
                "anyOf" | "oneOf" => {
                    value.as_array().unwrap().iter().for_each(|inner| collect(inner, keywords, formats));
                }
                "items" | "additionalProperties" => collect(value, keywords, formats),
                "format" => drop(formats.insert(value.as_str().unwrap().to_owned())),
                _ => {}
            }
        }
    }

    #[test]
    fn the_checker_understands_every_keyword_that_the_schemas_use() {
        let (mut keywords, mut formats) = (BTreeSet::new(), BTreeSet::new());
        for schema in [mapping(), site()] {
            collect(schema, &mut keywords, &mut formats);
        }
        assert!(keywords.len() > 10 && !formats.is_empty());
        keywords.retain(|keyword| !UNDERSTOOD.contains(&keyword.as_str()));
        formats.retain(|format| !FORMATS.contains(&format.as_str()));
        assert!(keywords.is_empty() && formats.is_empty(), "{keywords:?} {formats:?}");
    }

    #[test]
    fn every_table_refuses_unknown_keys_and_every_key_is_described() {
        fn visit(schema: &Json, name: &str) {
            if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
                assert_eq!(schema.get("additionalProperties"), Some(&Json::Bool(false)), "{name}");
                for (key, inner) in properties {
                    assert!(inner.get("description").is_some(), "{name}: {key}");
                }
            }
            match schema {
                Json::Object(object) => object.iter().for_each(|(key, inner)| visit(inner, key)),
                Json::Array(items) => items.iter().for_each(|inner| visit(inner, name)),
                _ => {}
            }
        }
        visit(mapping(), "mapping");
        visit(site(), "site");
    }

    #[test]
    fn a_schema_has_no_null() {
        for schema in [mapping(), site()] {
            assert!(!schema.to_string().contains(":null") && !schema.to_string().contains("\"null\"]"));
        }
    }
}
