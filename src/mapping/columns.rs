//! One column of a mapping, from its written line to its place in the plan.

use super::{
    document::Step,
    expression::Expression,
    findings::Findings,
    names::{self, Named},
    parsers,
    plan::{Bounds, Case, Column, TextRule, ValueParser, ValueSource},
    rules, values,
    written::{ColumnWritten, Empty, FromWritten},
};
use crate::{
    formats::{FieldSource, Wanted},
    model::value::ValueType,
    targets::TargetColumn,
};

/// What a column must know of the mapping around it.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// True when its line has no mistake of structure. With one, only what cannot be a consequence of it is checked.
    pub is_sound: bool,
    /// True when it is part of the key.
    pub is_key: bool,
    /// Whether the format finds columns by name; none when the format itself is wrong.
    pub has_names: Option<bool>,
}

/// The expression of a column that is computed.
#[derive(Clone, Debug)]
pub struct Computed {
    /// Of the column's type.
    pub expression: Expression,
    /// The column's type.
    pub value_type: ValueType,
    /// True when it reads a column that is sensitive.
    pub is_sensitive: bool,
}

/// Keys that say how a field of the file is read: they mean nothing for a column that is computed.
const KEYS_OF_FIELDS: [&str; 17] = [
    "from",
    "default",
    "null",
    "empty",
    "trim",
    "map",
    "case",
    "format",
    "pivot",
    "decimal_mark",
    "group_mark",
    "negative",
    "strip",
    "true",
    "false",
    "timezone",
    "ambiguous",
];

/// A column, ready to run.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// As validation sees it.
    pub column: Column,
    /// As the target sees it.
    pub target: TargetColumn,
}

/// Compiles the column `name`, which takes a field of the file; none when something is wrong, which `findings` then holds.
pub fn compile(
    name: &str,
    written: &ColumnWritten,
    around: Around,
    findings: &mut Findings<'_>,
) -> Option<Compiled> {
    let before = findings.len();
    let mut compiler = Compiler { name, written, around, findings };
    compiler.name();
    let source = compiler.source();
    compiler.nulls();
    let value_type = compiler.value_type();
    let required = written.required || around.is_key;
    let source = ValueSource::Field(Wanted { source, required });
    compiler.column(value_type, source, written.sensitive, before)
}

/// Compiles the column `name`, which is computed; none when something is wrong, which `findings` then holds. `computed` is
/// none when something is wrong with the expression already.
pub fn compile_computed(
    name: &str,
    written: &ColumnWritten,
    around: Around,
    computed: Option<Computed>,
    findings: &mut Findings<'_>,
) -> Option<Compiled> {
    let before = findings.len();
    let mut compiler = Compiler { name, written, around, findings };
    compiler.name();
    for key in KEYS_OF_FIELDS {
        if !compiler.is_written(key) {
            continue;
        }
        let message = format!("`{key}` means nothing for a column that is computed");
        let help = if key == "from" {
            "keep one of the two: `from` takes a column of the file, `value` an expression"
        } else {
            "leave it out: it says how a field of the file is read, and the expression says the rest"
        };
        let path = compiler.path(key);
        compiler.findings.key(&path, &message, Some(help));
    }
    let Computed { expression, value_type, is_sensitive } = computed?;
    let source = ValueSource::Computed(expression);
    let mut compiled =
        compiler.column(Some(value_type), source, written.sensitive || is_sensitive, before)?;
    // What is looked up in its place counts as it stands.
    (compiled.column.trim, compiled.column.empty_is_text) = (false, true);
    Some(compiled)
}

/// The same column as the target sees it.
fn target(column: &Column, written: &ColumnWritten) -> TargetColumn {
    TargetColumn {
        name: column.name.clone(),
        value_type: column.value_type,
        required: column.required,
        max_length: written.max_length.filter(|_| column.value_type == ValueType::Text),
        compare: written.compare,
        write: written.write,
        on_null: written.on_null,
    }
}

fn boxed(text: &str) -> Box<str> {
    text.into()
}

struct Compiler<'a, 'f, 'd> {
    name: &'a str,
    written: &'a ColumnWritten,
    around: Around,
    findings: &'f mut Findings<'d>,
}

impl<'a> Compiler<'a, '_, '_> {
    /// What all columns have in common; none if anything is wrong, `before` being what had been found before.
    fn column(
        &mut self,
        value_type: Option<ValueType>,
        source: ValueSource,
        sensitive: bool,
        before: usize,
    ) -> Option<Compiled> {
        let (name, written, around) = (self.name, self.written, self.around);
        let rules = rules::compile(written, &mut |key, part, message| {
            let path = ["columns".into(), name.into(), Step::Key(key)];
            match part {
                Some(part) => self.findings.part(&path, part, message, None),
                None => self.findings.value(&path, message, None),
            }
        });
        let value_type = value_type.filter(|_| around.is_sound)?;
        let (parser, bounds) = self.typed(value_type, &rules)?;
        if self.findings.len() > before {
            return None;
        }
        let column = Column {
            name: name.to_owned(),
            source,
            value_type,
            parser,
            required: written.required || around.is_key,
            default: written.default.as_ref().map(|default| default.text().into()),
            nulls: written.null.iter().flat_map(|texts| texts.as_slice()).map(|text| boxed(text)).collect(),
            empty_is_text: written.empty == Empty::Text,
            trim: written.trim,
            case: written.case,
            map: written
                .map
                .as_ref()
                .map(|map| map.iter().map(|(from, to)| (boxed(from), boxed(to))).collect()),
            rules,
            bounds,
            lookup: None,
            unique: written.unique,
            sensitive,
        };
        Some(Compiled { target: target(&column, written), column })
    }

    fn path(&self, key: &'a str) -> [Step<'a>; 3] {
        ["columns".into(), self.name.into(), key.into()]
    }

    fn value(&mut self, key: &'a str, message: &str, help: Option<&str>) {
        self.findings.value(&self.path(key), message, help);
    }

    fn name(&mut self) {
        let path = ["columns".into(), self.name.into()];
        if let Err((message, help)) = names::check(Named::Column, self.name) {
            self.findings.key(&path, &message, help);
        }
        if self.around.is_key && self.is_written("required") && !self.written.required {
            let help = "leave it out, or take the column out of the key";
            self.value("required", "a column of the key is always required", Some(help));
        }
    }

    fn is_written(&self, key: &str) -> bool {
        self.findings.document().find(&["columns".into(), self.name.into(), key.into()]).is_some()
    }

    /// Where its text comes from. By name and by number exclude each other: only one of the two can be meant.
    fn source(&mut self) -> FieldSource {
        match (&self.written.from, self.around.has_names) {
            (Some(FromWritten::Number(_)), Some(true)) => {
                let help = "write the column's name, or `header = false` under `[format]`";
                self.value("from", "the file has a header: its columns are found by name", Some(help));
            }
            (None | Some(FromWritten::Name(_) | FromWritten::Names(_)), Some(false)) => {
                let help = "write the number of the file's column, from 1: `from = 1`";
                self.value("from", "the file has no header: its columns are found by number", Some(help));
            }
            _ => {}
        }
        let names = match &self.written.from {
            Some(FromWritten::Number(number)) => return FieldSource::Numbered(*number),
            Some(FromWritten::Name(name)) => vec![name.clone()],
            Some(FromWritten::Names(names)) => names.clone(),
            None => vec![self.name.to_owned()],
        };
        if self.written.from.is_some() && names.iter().any(|name| name.trim().is_empty()) {
            self.value("from", "a column's name is empty", None);
        }
        FieldSource::Named(names)
    }

    fn value_type(&mut self) -> Option<ValueType> {
        self.written
            .value_type
            .0
            .parse::<ValueType>()
            .map_err(|message| self.value("type", &message, Some("for example: decimal(12,2)")))
            .ok()
    }

    /// Texts for "no value" that the field can never equal, as it is trimmed before, or that say what `empty` denies.
    fn nulls(&mut self) {
        let Some(texts) = &self.written.null else { return };
        for text in texts.as_slice() {
            if self.written.trim && text.trim() != text {
                let help = "leave the white space away, or write `trim = false`";
                self.value(
                    "null",
                    "this text begins or ends with white space, which trim takes off",
                    Some(help),
                );
            } else if text.is_empty() && self.written.empty == Empty::Text {
                self.value(
                    "null",
                    "the empty text cannot both mean no value and be a text",
                    Some("keep one of the two"),
                );
            }
        }
    }

    /// What depends on the type: the keys that go with it, the parser, the bounds, and the values written here.
    fn typed(&mut self, value_type: ValueType, rules: &[TextRule]) -> Option<(ValueParser, Bounds)> {
        for (key, kinds) in parsers::KEYS_OF_TYPES {
            if self.is_written(key) && !kinds.contains(&parsers::family(value_type)) {
                let message = format!("`{key}` means nothing for a column of type {value_type}");
                let help = format!("it goes with {}", kinds.join(", "));
                self.findings.key(&self.path(key), &message, Some(&help));
            }
        }
        if self.written.empty == Empty::Text && value_type != ValueType::Text {
            let message = format!("an empty field is no {value_type}");
            self.value("empty", &message, Some("only columns of type text can keep the empty text"));
        }
        let parser = match parsers::compile(self.written, value_type) {
            Ok(parser) => parser,
            Err(wrong) => {
                for (key, item, message) in wrong {
                    let path = self.path(key).into_iter().chain(item.map(Step::Item));
                    self.findings.value(&path.collect::<Vec<_>>(), &message, None);
                }
                return None;
            }
        };
        let bounds = self.bounds(value_type)?;
        self.values(value_type, &parser, rules, &bounds);
        Some((parser, bounds))
    }

    fn bounds(&mut self, value_type: ValueType) -> Option<Bounds> {
        let before = self.findings.len();
        let plain = values::plain_parser(value_type, self.written.timezone.as_deref());
        let mut read = [None, None];
        let written = [("min", &self.written.min), ("max", &self.written.max)];
        for ((key, bound), read) in written.into_iter().zip(&mut read) {
            let (Some(bound), Some(plain)) = (bound, &plain) else { continue };
            let text = bound.text();
            match values::read(plain, value_type, text.trim()) {
                Ok(value) => *read = Some((value, text)),
                Err(error) => {
                    self.value(key, &format!("{} {error}", shown(&text)), parsers::bound_help(value_type))
                }
            }
        }
        let [least, most] = read;
        let bounds = values::bounds(value_type, &least, &most);
        if let Some((value, text)) = &least
            && values::complaint(&[], &bounds, text, *value).is_some()
        {
            self.value("max", "this is less than `min`: no value would pass", None);
        }
        (self.findings.len() == before).then_some(bounds)
    }

    /// The default, the targets of `map` and the words of `one_of` must themselves pass, and be reachable.
    fn values(&mut self, value_type: ValueType, parser: &ValueParser, rules: &[TextRule], bounds: &Bounds) {
        let complaint = |text: &str| match values::read(parser, value_type, text) {
            Ok(value) => values::complaint(rules, bounds, text, value),
            Err(error) => Some(error.to_string()),
        };
        let mapped =
            |word: &String| self.written.map.iter().flat_map(|map| map.values()).any(|to| to == word);
        let mut wrong: Vec<(Vec<Step<'_>>, String)> = Vec::new();
        let mut unreachable: Vec<(Vec<Step<'_>>, String)> = Vec::new();
        if let Some(default) = &self.written.default {
            let folded = self.fold(&default.text());
            let value = self.written.map.as_ref().and_then(|map| map.get(&folded)).unwrap_or(&folded);
            let said = complaint(value).map(|complaint| format!("the default {} {complaint}", shown(value)));
            wrong.extend(said.map(|said| (self.path("default").to_vec(), said)));
        }
        for (from, to) in self.written.map.iter().flatten() {
            let path = [self.path("map").as_slice(), &[from.as_str().into()]].concat();
            let said = complaint(to).map(|complaint| format!("{} {complaint}", shown(to)));
            wrong.extend(said.map(|said| (path.clone(), said)));
            unreachable.extend(self.never_comes(from).map(|said| (path, said)));
        }
        for (index, word) in self.written.one_of.iter().flatten().enumerate() {
            let path = [self.path("one_of").as_slice(), &[index.into()]].concat();
            let unreachable = if self.written.value.is_some() {
                values::read(parser, value_type, word)
                    .ok()
                    .and_then(|value| never_so(value_type, value, word))
            } else if mapped(word) {
                None
            } else {
                self.never_comes(word)
            };
            let said = unreachable.or_else(|| Some(format!("{} {}", shown(word), complaint(word)?)));
            wrong.extend(said.map(|said| (path, said)));
        }
        for (path, message) in wrong {
            self.findings.value(&path, &message, None);
        }
        for (path, message) in unreachable {
            self.findings.key(&path, &message, None);
        }
    }

    fn fold(&self, text: &str) -> String {
        match self.written.case {
            Some(Case::Upper) => text.chars().flat_map(char::to_uppercase).collect(),
            Some(Case::Lower) => text.chars().flat_map(char::to_lowercase).collect(),
            None => text.to_owned(),
        }
    }

    /// Why no field can hold `text` when its turn comes, if so.
    fn never_comes(&self, text: &str) -> Option<String> {
        let is_null = || self.written.null.iter().flat_map(|texts| texts.as_slice()).any(|null| null == text);
        let folded = self.fold(text);
        if self.written.trim && text.trim() != text {
            Some(format!("{} never comes here: `trim` takes the white space off", shown(text)))
        } else if folded != text {
            Some(format!("{} never comes here: `case` makes it `{folded}`", shown(text)))
        } else if (text.is_empty() && self.written.empty == Empty::Null) || is_null() {
            Some(format!("{} never comes here: it means no value", shown(text)))
        } else {
            None
        }
    }
}

/// Why a computed value is never written as `word`, if so: it is compared in its one form.
fn never_so(value_type: ValueType, value: values::Read, word: &str) -> Option<String> {
    let form = values::canonical(value_type, value).filter(|form| form != word)?;
    Some(format!("{} never comes here: the value is written `{form}`", shown(word)))
}

fn shown(text: &str) -> String {
    if text.is_empty() { "the empty text".to_owned() } else { format!("`{text}`") }
}
