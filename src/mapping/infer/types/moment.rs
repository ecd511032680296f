//! Columns of dates and times.

use super::{ENOUGH, Habits, Typed, has_word};
use crate::mapping::infer::{
    column::Column,
    forms::{DayOrder, Family, Form, Forms},
    moments::Group,
    toml_text::{list, quoted},
};

/// The type of a column whose values are all dates or times.
pub fn moment(column: &Column, name: &str, forms: &Forms, habits: Habits) -> Option<Typed> {
    let moments = &column.moments;
    if !moments.nearly_holds() {
        return None;
    }
    let telling = [
        "date",
        "datum",
        "day",
        "tag",
        "dt",
        "on",
        "at",
        "time",
        "from",
        "until",
        "valid",
        "von",
        "bis",
        "dob",
        "birth",
        "geburtsdatum",
    ];
    let is_told = has_word(name, &telling) || name.contains("date") || name.contains("datum");
    let mut formats: Vec<String> = Vec::new();
    let (mut family, mut asks) = (None, None);
    for group in &moments.groups {
        let (form, ask) = likeliest(group, forms, habits)?;
        let is_number = form.compact && !is_told && (column.values() < ENOUGH || form.needs_name);
        if is_number || form.needs_name && !is_told || family.is_some_and(|family| family != form.family) {
            return None;
        }
        family = Some(form.family);
        asks = asks.or(ask);
        if !formats.contains(&form.format) {
            formats.push(form.format.clone());
        }
    }
    let mut typed = Typed::new(match family? {
        Family::Date => "date",
        Family::Time => "time",
        Family::Timestamp => "timestamp",
    });
    // The default has no words: beside another format it has to be written out.
    if formats.len() > 1 && formats.iter().any(String::is_empty) {
        let written = match typed.name.as_str() {
            "date" => "%Y-%m-%d",
            "time" => "%H:%M:%S%.f",
            _ => return None,
        };
        formats.iter_mut().filter(|format| format.is_empty()).for_each(|format| *format = written.to_owned());
    }
    match formats.as_slice() {
        [one] if one.is_empty() => {}
        [one] => typed.keys.push(("format", quoted(one))),
        several => typed.keys.push(("format", list(several))),
    }
    if formats.iter().any(|format| format.contains("%y")) {
        typed.evidence.push("years up to 68 are of the 2000s (`pivot`)".to_owned());
    }
    if typed.name == "timestamp" && !formats.iter().all(|format| format.contains("%z")) {
        typed.evidence.push("times without an offset are taken as UTC (`timezone`)".to_owned());
    }
    if formats.iter().any(|format| format.contains("00:00") || format.contains("12:00:00 AM")) {
        typed.evidence.push("the time is always midnight".to_owned());
    }
    typed.nulls = moments.zeros.iter().map(|(zero, _)| zero.clone()).collect();
    typed.ask = asks;
    typed.tolerate(moments.odd, column.values(), "dates or times", &moments.examples);
    Some(typed)
}

/// The likeliest form of a group, and what to ask about it.
fn likeliest<'f>(group: &Group, forms: &'f Forms, habits: Habits) -> Option<(&'f Form, Option<String>)> {
    let live: Vec<&Form> = group.live.iter().filter_map(|at| forms.get(*at)).collect();
    let first = *live.first()?;
    let (day, month) = orders(group, forms);
    if !(day && month) {
        // A year of two digits in front or behind.
        let other = live.iter().find(|form| form.family == first.family && form.order != first.order);
        let ask = other.map(|other| format!("is this \"{}\" or \"{}\"?", first.format, other.format));
        return Some((first, ask));
    }
    let spread = |(least, most): (u8, u8)| most.saturating_sub(least);
    let [a, b] = group.range;
    // Within a month, the day is what changes.
    let day_first = habits.day_first.unwrap_or(spread(a) >= spread(b));
    let wanted = if day_first { DayOrder::DayMonth } else { DayOrder::MonthDay };
    let form = live
        .iter()
        .find(|form| form.order == wanted && form.family == first.family)
        .copied()
        .unwrap_or(first);
    let other = live.iter().find(|other| other.order != form.order && other.family == form.family);
    let ask = match (habits.day_first, other) {
        (None, Some(other)) => Some(format!(
            "no value shows which is the day and which the month: \"{}\" or \"{}\"?",
            form.format, other.format
        )),
        _ => None,
    };
    Some((form, ask))
}

/// Which of day and month may come first in a group: (the day, the month).
pub fn orders(group: &Group, forms: &Forms) -> (bool, bool) {
    let has = |order| group.live.iter().filter_map(|at| forms.get(*at)).any(|form| form.order == order);
    (has(DayOrder::DayMonth), has(DayOrder::MonthDay))
}
