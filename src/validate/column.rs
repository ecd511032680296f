//! One column of one chunk: its texts become an Arrow array, and what is wrong with them becomes violations.
//!
//! The order is trim, `null`, `default`, `case`, `map`, type, rules. Nothing is allocated for a field that passes.

use arrow_array::{
    ArrayRef,
    builder::{
        BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
        Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
    },
};
use std::{borrow::Cow, sync::Arc};

use super::{
    looking::{Looked, Looker},
    made::{self, Made},
};
use crate::{
    formats::{Records, Span},
    mapping::plan::{Bound, Bounds, Case, Column, TextRule, ValueParser},
    model::{
        Rule, Violation,
        reject::reported,
        value::{self, ValueError, ValueType},
    },
};

/// What a chunk's column pass works on.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    /// The chunk's records.
    pub records: &'a Records,
    /// The text that spans point into.
    pub text: &'a str,
    /// For each record, true when it has no columns at all.
    pub broken: &'a [bool],
    /// The file's column, from 0.
    pub place: usize,
}

impl<'a> Fields<'a> {
    /// The text of the field of a record.
    pub(super) fn of(&self, record: usize) -> &'a str {
        let number = record * self.records.width + self.place;
        let span = self.records.spans.get(number).copied().unwrap_or_default();
        let text = if span.start & Span::SCRATCH == 0 { self.text } else { &self.records.scratch };
        text.get(span.range()).unwrap_or_default()
    }
}

/// Violations of one column: (record of the chunk, violation), in record order.
pub type Findings = Vec<(u32, Violation)>;

/// Runs `column`, the plan's number `index`, over the chunk. The array has one entry a record; a record that has no
/// columns or breaks a rule of this one has a NULL in it. With a `looker`, each text is replaced by what it finds, before
/// type and rules. What texts are longer than their fields is `made`; when that is too much, the array means nothing.
pub(super) fn run(
    column: &Column,
    index: u16,
    fields: &Fields<'_>,
    looker: Option<&mut Looker<'_>>,
    made: &mut Made,
    findings: &mut Findings,
) -> ArrayRef {
    let count = fields.records.len();
    // A regex of one's own is matched without asking other threads for its working memory.
    let rules = column.rules.clone();
    let pass = Pass { column, rules: &rules, index, fields, looker, made, findings };
    match &column.parser {
        ValueParser::Text => {
            let mut sink = TextSink(text_builder(fields, count));
            pass.drive(&mut sink);
            Arc::new(sink.0.finish())
        }
        ValueParser::Uuid => {
            let mut sink = UuidSink(text_builder(fields, count), String::with_capacity(36));
            pass.drive(&mut sink);
            Arc::new(sink.0.finish())
        }
        ValueParser::Json => {
            let mut sink = JsonSink(text_builder(fields, count));
            pass.drive(&mut sink);
            Arc::new(sink.0.finish())
        }
        ValueParser::Integer(format) => {
            let mut builder = Int64Builder::with_capacity(count);
            let bounds = integer_bounds(&column.bounds);
            pass.drive(&mut Primitive {
                append: |value| builder.append_option(value),
                parse: |text: &str| bounded(format.integer(text), bounds),
            });
            Arc::new(builder.finish())
        }
        ValueParser::Decimal(format) => {
            let (precision, scale) = match column.value_type {
                ValueType::Decimal { precision, scale } => (precision, scale),
                _ => (38, 0),
            };
            let mut builder =
                Decimal128Builder::with_capacity(count).with_data_type(column.value_type.arrow());
            let bounds = match &column.bounds {
                Bounds::Decimal { min, max } => (min.as_ref(), max.as_ref()),
                _ => (None, None),
            };
            pass.drive(&mut Primitive {
                append: |value| builder.append_option(value),
                parse: |text: &str| bounded(format.decimal(text, precision, scale), bounds),
            });
            Arc::new(builder.finish())
        }
        ValueParser::Float(format) => {
            let mut builder = Float64Builder::with_capacity(count);
            let bounds = match &column.bounds {
                Bounds::Float { min, max } => (min.as_ref(), max.as_ref()),
                _ => (None, None),
            };
            pass.drive(&mut Primitive {
                append: |value| builder.append_option(value),
                parse: |text: &str| bounded(format.float(text), bounds),
            });
            Arc::new(builder.finish())
        }
        ValueParser::Boolean(words) => {
            let mut builder = BooleanBuilder::with_capacity(count);
            pass.drive(&mut Primitive {
                append: |value| builder.append_option(value),
                parse: |text: &str| words.parse(text).map_err(not_typed),
            });
            Arc::new(builder.finish())
        }
        ValueParser::Date(parser) => {
            let mut builder = Date32Builder::with_capacity(count);
            let bounds = integer_bounds(&column.bounds);
            pass.drive(&mut Primitive {
                append: |value| builder.append_option(value),
                parse: |text: &str| {
                    let days = bounded(parser.parse(text).map(i64::from), bounds)?;
                    i32::try_from(days).map_err(|_| (Rule::Type, "is not a date".into()))
                },
            });
            Arc::new(builder.finish())
        }
        ValueParser::Time(parser) => {
            let mut builder = Time64MicrosecondBuilder::with_capacity(count);
            let bounds = integer_bounds(&column.bounds);
            pass.drive(&mut Primitive {
                append: |value| builder.append_option(value),
                parse: |text: &str| bounded(parser.parse(text), bounds),
            });
            Arc::new(builder.finish())
        }
        ValueParser::Timestamp(parser) => {
            let mut builder =
                TimestampMicrosecondBuilder::with_capacity(count).with_data_type(column.value_type.arrow());
            let bounds = integer_bounds(&column.bounds);
            pass.drive(&mut Primitive {
                append: |value| builder.append_option(value),
                parse: |text: &str| bounded(parser.parse(text), bounds),
            });
            Arc::new(builder.finish())
        }
    }
}

/// What is wrong with a value: the rule and the message.
pub(super) type Wrong = (Rule, Cow<'static, str>);

/// Turns texts into the values of one column and collects them.
trait Sink {
    /// A value that is not collected yet.
    type Value;
    /// The text itself is kept.
    const KEEPS_TEXT: bool = false;
    /// Reads a text as a value.
    fn parse(&mut self, text: &str) -> Result<Self::Value, Wrong>;
    /// Collects a value with its text, or "no value".
    fn append(&mut self, value: Option<(Self::Value, &str)>);
}

/// A column of numbers, dates or the like.
struct Primitive<A, P> {
    append: A,
    parse: P,
}

impl<V, A: FnMut(Option<V>), P: Fn(&str) -> Result<V, Wrong>> Sink for Primitive<A, P> {
    type Value = V;

    fn parse(&mut self, text: &str) -> Result<V, Wrong> {
        (self.parse)(text)
    }

    fn append(&mut self, value: Option<(V, &str)>) {
        (self.append)(value.map(|(value, _)| value));
    }
}

struct TextSink(StringBuilder);

impl Sink for TextSink {
    type Value = ();
    const KEEPS_TEXT: bool = true;

    fn parse(&mut self, _text: &str) -> Result<(), Wrong> {
        Ok(())
    }

    fn append(&mut self, value: Option<((), &str)>) {
        match value {
            Some(((), text)) => self.0.append_value(text),
            None => self.0.append_null(),
        }
    }
}

struct JsonSink(StringBuilder);

impl Sink for JsonSink {
    type Value = ();
    const KEEPS_TEXT: bool = true;

    fn parse(&mut self, text: &str) -> Result<(), Wrong> {
        value::json::check_json(text).map_err(not_typed)
    }

    fn append(&mut self, value: Option<((), &str)>) {
        match value {
            Some(((), text)) => self.0.append_value(text),
            None => self.0.append_null(),
        }
    }
}

/// The builder, and the canonical form of the UUID read last.
struct UuidSink(StringBuilder, String);

impl Sink for UuidSink {
    type Value = ();

    fn parse(&mut self, text: &str) -> Result<(), Wrong> {
        self.1.clear();
        value::uuid::parse_uuid(text, &mut self.1).map_err(not_typed)
    }

    fn append(&mut self, value: Option<((), &str)>) {
        match value {
            Some(_) => self.0.append_value(&self.1),
            None => self.0.append_null(),
        }
    }
}

fn text_builder(fields: &Fields<'_>, count: usize) -> StringBuilder {
    // The column's share of the chunk, if all columns are alike; one that needs more grows once or twice.
    StringBuilder::with_capacity(count, fields.text.len() / fields.records.width.max(1) * 2)
}

fn not_typed(error: ValueError) -> Wrong {
    (Rule::Type, error.0)
}

pub(super) type BoundsOf<'a, T> = (Option<&'a Bound<T>>, Option<&'a Bound<T>>);

pub(super) fn integer_bounds(bounds: &Bounds) -> BoundsOf<'_, i64> {
    match bounds {
        Bounds::Integer { min, max } => (min.as_ref(), max.as_ref()),
        _ => (None, None),
    }
}

fn bounded<T: PartialOrd + Copy>(value: Result<T, ValueError>, bounds: BoundsOf<'_, T>) -> Result<T, Wrong> {
    within(value.map_err(not_typed)?, bounds)
}

/// The value, if it is within these bounds.
pub(super) fn within<T: PartialOrd + Copy>(value: T, (min, max): BoundsOf<'_, T>) -> Result<T, Wrong> {
    if let Some(min) = min
        && value < min.value
    {
        return Err((Rule::Min, format!("is less than {}", min.written).into()));
    }
    if let Some(max) = max
        && value > max.value
    {
        return Err((Rule::Max, format!("is greater than {}", max.written).into()));
    }
    Ok(value)
}

struct Pass<'a, 'l> {
    column: &'a Column,
    rules: &'a [TextRule],
    index: u16,
    fields: &'a Fields<'a>,
    looker: Option<&'a mut Looker<'l>>,
    made: &'a mut Made,
    findings: &'a mut Findings,
}

impl<'a> Pass<'a, '_> {
    fn drive<S: Sink>(mut self, sink: &mut S) {
        let records = self.fields.records;
        // A column that stands beyond the record has no spans; the format never gives such a layout.
        let spans = records.spans.iter().skip(self.fields.place).step_by(records.width.max(1));
        let (mut folded, mut found) = (String::new(), String::new());
        let mut undecodable = records.undecodable.iter().peekable();
        for (record, (span, broken)) in spans.zip(self.fields.broken).enumerate() {
            let record = record as u32;
            while undecodable.next_if(|(other, ..)| *other < record).is_some() {}
            let field = self.field(*span);
            if *broken {
                sink.append(None);
            } else if let Some(what) = self.undecodable(record, undecodable.clone()) {
                self.find(record, field, Rule::Encoding, what.into());
                sink.append(None);
            } else {
                self.take(record, field, &mut folded, &mut found, sink);
                if self.made.needs_parts() {
                    return;
                }
            }
        }
    }

    #[inline]
    fn take<S: Sink>(
        &mut self,
        record: u32,
        field: &str,
        folded: &mut String,
        found: &mut String,
        sink: &mut S,
    ) {
        let column = self.column;
        let Some(mut text) = prepare(column, field, folded) else {
            if column.required {
                self.find(record, field, Rule::Required, "is required, but empty".into());
            }
            sink.append(None);
            return;
        };
        if let Some(looker) = &mut self.looker {
            let looked = looker.look(record as usize, text, found);
            let wrong = wrong_lookup(column, looker, looked);
            if looked != Looked::Found {
                if let Some((rule, message)) = wrong {
                    self.find(record, field, rule, message);
                }
                sink.append(None);
                return;
            }
            text = found;
        }
        let mut value = match sink.parse(text) {
            Ok(value) => Some(value),
            Err((rule, message)) => {
                let is_none = rule == Rule::Type;
                let message = match &self.looker {
                    Some(looker) => format!("has a value in {} that {message}", looker.name()).into(),
                    None => message,
                };
                self.find(record, field, rule, message);
                // A value that is out of bounds is one, so the other rules are about it too.
                if is_none {
                    sink.append(None);
                    return;
                }
                None
            }
        };
        for rule in self.rules {
            if let Err((rule, message)) = check(rule, text) {
                self.find(record, field, rule, message);
                value = None;
            }
        }
        // What is said in the mapping itself is not too much for one record.
        if S::KEEPS_TEXT
            && value.is_some()
            && !self.made.take(text.len().saturating_sub(field.len()))
            && self.looker.is_some()
        {
            self.find(record, field, Rule::Lookup, made::TOO_MUCH_FOUND.into());
            value = None;
        }
        sink.append(value.map(|value| (value, text)));
    }

    #[inline]
    fn field(&self, span: Span) -> &'a str {
        let text =
            if span.start & Span::SCRATCH == 0 { self.fields.text } else { &self.fields.records.scratch };
        text.get(span.range()).unwrap_or_default()
    }

    fn undecodable<'u>(
        &self,
        record: u32,
        from: impl Iterator<Item = &'u (u32, u32, &'static str)>,
    ) -> Option<&'static str> {
        from.take_while(|(other, ..)| *other == record)
            .find(|(_, column, _)| *column as usize == self.fields.place)
            .map(|(.., what)| *what)
    }

    #[cold]
    fn find(&mut self, record: u32, field: &str, rule: Rule, message: Cow<'static, str>) {
        let value = reported(field);
        let violation = Violation {
            column: Some(self.index),
            rule,
            value: value.into(),
            message: message.into_owned().into(),
        };
        self.findings.push((record, violation));
    }
}

/// What is wrong with a value that was looked up in vain; none when nothing is.
pub(super) fn wrong_lookup(column: &Column, looker: &Looker<'_>, looked: Looked) -> Option<Wrong> {
    match looked {
        Looked::Found | Looked::Unknown => None,
        Looked::Missing => Some(looker.missing()),
        Looked::TooLong => {
            let message = format!("has a value in {} that is longer than a megabyte", looker.name());
            Some((Rule::Lookup, message.into()))
        }
        Looked::Null | Looked::Nothing => column
            .required
            .then(|| (Rule::Required, format!("is required, but has no value in {}", looker.name()).into())),
    }
}

/// The text that is typed and checked, or none when there is no value. `folded` serves when it has to be made anew.
#[inline]
fn prepare<'a>(column: &'a Column, field: &'a str, folded: &'a mut String) -> Option<&'a str> {
    let mut text = if column.trim { trim(field) } else { field };
    let is_null = text.is_empty() && !column.empty_is_text || column.nulls.iter().any(|null| **null == *text);
    if is_null {
        text = column.default.as_deref()?;
    }
    if let Some(case) = column.case {
        folded.clear();
        match case {
            Case::Upper => folded.extend(text.chars().flat_map(char::to_uppercase)),
            Case::Lower => folded.extend(text.chars().flat_map(char::to_lowercase)),
        }
        text = folded;
    }
    match &column.map {
        Some(map) => Some(map.get(text).map_or(text, |mapped| mapped)),
        None => Some(text),
    }
}

/// Takes white space of every kind off both ends.
#[inline]
fn trim(text: &str) -> &str {
    let plain = |byte: Option<&u8>| byte.is_none_or(|byte| (0x21..0x7f).contains(byte));
    let bytes = text.as_bytes();
    if plain(bytes.first()) && plain(bytes.last()) { text } else { text.trim_matches(is_space) }
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

#[inline]
pub(super) fn check(rule: &TextRule, text: &str) -> Result<(), Wrong> {
    match rule {
        TextRule::MinLength(least) => {
            if text.len() >= *least && text.chars().count() >= *least {
                return Ok(());
            }
            Err((Rule::MinLength, format!("is shorter than {least} character{}", plural(*least)).into()))
        }
        TextRule::MaxLength(most) => {
            // No text has more characters than bytes.
            if text.len() <= *most || text.chars().count() <= *most {
                return Ok(());
            }
            Err((Rule::MaxLength, format!("is longer than {most} character{}", plural(*most)).into()))
        }
        TextRule::Pattern(pattern, written) => {
            if pattern.is_match(text) {
                return Ok(());
            }
            Err((Rule::Pattern, format!("does not match the pattern {written}").into()))
        }
        TextRule::OneOf(values) => {
            if values.iter().any(|value| **value == *text) {
                return Ok(());
            }
            Err((Rule::OneOf, format!("is not one of {}", list(values)).into()))
        }
        TextRule::Is(kind) => kind.check(text).map_err(|error| (Rule::Is, error.0)),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The allowed values for a message; the first twenty of a longer list.
fn list(values: &[Box<str>]) -> String {
    const SHOWN: usize = 20;
    let mut text = values.iter().take(SHOWN).map(|value| &**value).collect::<Vec<_>>().join(", ");
    if values.len() > SHOWN {
        text.push_str(&format!(" and {} more", values.len() - SHOWN));
    }
    text
}
