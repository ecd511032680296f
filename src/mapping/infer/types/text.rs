//! Columns of text: enumerations, lengths, and what a column almost is.

use super::{ENOUGH, Typed, has_word, number::currencies, values};
use crate::{
    mapping::infer::{column::Column, forms::Forms, toml_text::list},
    model::printable::{self, thousands},
};

/// An enumeration has at most so many words, each in so many records on average.
const MOST_CHOICES: usize = 15;
const RECORDS_A_CHOICE: u64 = 10;

/// Names of columns whose values are open, however few a sample has.
const OPEN_WORDS: [&str; 32] = [
    "name",
    "customer",
    "supplier",
    "vendor",
    "kunde",
    "lieferant",
    "client",
    "company",
    "firma",
    "contact",
    "person",
    "user",
    "city",
    "ort",
    "town",
    "street",
    "strasse",
    "address",
    "adresse",
    "note",
    "notes",
    "comment",
    "comments",
    "remark",
    "remarks",
    "bemerkung",
    "description",
    "bezeichnung",
    "text",
    "title",
    "reference",
    "verwendungszweck",
];

/// The type of a column that is nothing else.
pub fn text(column: &Column, name: &str, forms: &Forms) -> Typed {
    let mut typed = Typed::new("text");
    typed.evidence.extend(nearly(column, forms));
    if let Some(mut words) = values(column)
        && words.len() <= MOST_CHOICES
        && !has_word(name, &OPEN_WORDS)
        && typed.evidence.is_empty()
        && 2 * column.values() >= column.records()
        && column.values() >= (words.len() as u64 * RECORDS_A_CHOICE).max(3 * RECORDS_A_CHOICE)
        && column.most_characters <= 30
        && (words.len() > 1 || column.values() >= 10 * ENOUGH)
    {
        words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
        typed.evidence.push(format!("no other value in {} records", thousands(column.records())));
        return typed.key("one_of", list(&words));
    }
    if let Some(most) = headroom(column.most_characters).filter(|_| column.values() >= ENOUGH) {
        typed.keys.push(("max_length", most.to_string()));
    }
    typed
}

/// What a text column almost is, and what keeps it from being that.
fn nearly(column: &Column, forms: &Forms) -> Option<String> {
    let (numbers, moments) = (&column.numbers, &column.moments);
    let is_sensitive = !column.kinds.is_empty();
    if !numbers.dead && numbers.odd == 0 && numbers.fits > 0 {
        return Some(if numbers.leading_zeros > 0 {
            "text, as leading zeros count".to_owned()
        } else if currencies(numbers) > 1 {
            "text, as amounts are in several currencies".to_owned()
        } else {
            "text, as digits of this kind are no amount".to_owned()
        });
    }
    if is_sensitive {
        return None;
    }
    if !moments.dead && moments.odd > 0 && moments.fitting() >= 9 * moments.odd {
        let group = moments.groups.iter().max_by_key(|group| group.fits)?;
        let form = group.live.first().and_then(|at| forms.get(*at))?;
        let format = if form.format.is_empty() { "%Y-%m-%d" } else { &form.format };
        return Some(format!(
            "{} of {} are dates like \"{format}\", but not {}",
            thousands(moments.fitting()),
            thousands(moments.fitting() + moments.odd),
            shown(&moments.examples)
        ));
    }
    (!numbers.dead && numbers.odd > 0 && numbers.fits >= 9 * numbers.odd).then(|| {
        format!(
            "{} of {} are numbers, but not {}",
            thousands(numbers.fits),
            thousands(numbers.fits + numbers.odd),
            shown(&numbers.examples)
        )
    })
}

/// A round length with room for values a little longer than the longest seen.
fn headroom(most: usize) -> Option<usize> {
    const LENGTHS: [usize; 14] = [10, 20, 30, 40, 50, 80, 100, 150, 200, 255, 500, 1000, 2000, 4000];
    LENGTHS.into_iter().find(|length| *length * 2 >= most * 3)
}

/// Some values, as a sentence lists them.
pub fn shown(examples: &[String]) -> String {
    let texts = examples.iter().map(|text| format!("\"{}\"", printable::short(text, 20)));
    texts.collect::<Vec<_>>().join(", ")
}
