//! The rules of a column on values that were computed or looked up: there is no field whose text they could be tried on, so
//! it is the value's canonical text.

use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, cast::AsArray, types};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::column::{self, BoundsOf, Wrong};
use crate::{
    mapping::plan::{Bounds, Column},
    model::{Rule, value},
};

/// Tries the rules of `column` on the `values` of the records in `rows` (none: all), and tells what each breaks.
pub fn check(
    column: &Column,
    values: &ArrayRef,
    rows: Option<&BooleanBuffer>,
    found: &mut dyn FnMut(u32, Wrong),
) {
    if column.required && values.null_count() > 0 {
        for record in selected(values, rows).filter(|record| values.is_null(*record)) {
            found(record as u32, (Rule::Required, "is required, but has no value".into()));
        }
    }
    bounds(&column.bounds, values, rows, found);
    if column.rules.is_empty() {
        return;
    }
    // A regex of one's own is matched without asking other threads for its working memory.
    let rules = column.rules.clone();
    let texts = values.as_string_opt::<i32>();
    for record in selected(values, rows).filter(|record| values.is_valid(*record)) {
        let made = if texts.is_none() { value::text::text(values, record) } else { None };
        let text = texts.map_or(made.as_deref().unwrap_or_default(), |texts| texts.value(record));
        for rule in &rules {
            if let Err(wrong) = column::check(rule, text) {
                found(record as u32, wrong);
            }
        }
    }
}

/// The records that count.
fn selected<'a>(values: &ArrayRef, rows: Option<&'a BooleanBuffer>) -> impl Iterator<Item = usize> + use<'a> {
    (0..values.len()).filter(move |record| rows.is_none_or(|rows| rows.value(*record)))
}

fn bounds(
    bounds: &Bounds,
    values: &ArrayRef,
    rows: Option<&BooleanBuffer>,
    found: &mut dyn FnMut(u32, Wrong),
) {
    match bounds {
        Bounds::None => {}
        Bounds::Integer { .. } => {
            let limits = column::integer_bounds(bounds);
            match values.data_type() {
                DataType::Int64 => each::<types::Int64Type, _>(values, rows, |value| value, limits, found),
                DataType::Date32 => each::<types::Date32Type, _>(values, rows, i64::from, limits, found),
                DataType::Time64(TimeUnit::Microsecond) => {
                    each::<types::Time64MicrosecondType, _>(values, rows, |value| value, limits, found);
                }
                DataType::Timestamp(TimeUnit::Microsecond, _) => {
                    each::<types::TimestampMicrosecondType, _>(values, rows, |value| value, limits, found);
                }
                _ => {}
            }
        }
        Bounds::Decimal { min, max } => {
            let limits = (min.as_ref(), max.as_ref());
            if values.as_primitive_opt::<types::Decimal128Type>().is_some() {
                each::<types::Decimal128Type, _>(values, rows, |value| value, limits, found);
            }
        }
        Bounds::Float { min, max } => {
            let limits = (min.as_ref(), max.as_ref());
            if values.as_primitive_opt::<types::Float64Type>().is_some() {
                each::<types::Float64Type, _>(values, rows, |value| value, limits, found);
            }
        }
    }
}

fn each<T: ArrowPrimitiveType, V: PartialOrd + Copy>(
    values: &ArrayRef,
    rows: Option<&BooleanBuffer>,
    value: fn(T::Native) -> V,
    limits: BoundsOf<'_, V>,
    found: &mut dyn FnMut(u32, Wrong),
) {
    let rows = selected(values, rows);
    let values = values.as_primitive::<T>();
    for record in rows.filter(|record| values.is_valid(*record)) {
        if let Err(wrong) = column::within(value(values.value(record)), limits) {
            found(record as u32, wrong);
        }
    }
}
