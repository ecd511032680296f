//! IN with a list of constants: one look into a set, however long the list is.

use std::{collections::HashSet, sync::Arc};

use super::{
    decimal,
    node::{Node, Run},
    types::Type,
    vector::{Bits, Fixed, Texts, Vector},
};

/// The values of a list.
#[derive(Debug)]
pub(super) struct Set {
    texts: HashSet<Box<str>>,
    /// Integers, days, microseconds; decimals in the scale of the operand.
    numbers: HashSet<i128>,
    has_null: bool,
}

impl Set {
    /// The set of a list of (type of the operand, item, scales of both); none when it has to be gone through one by one.
    pub(super) fn of<'a>(items: impl Iterator<Item = (Type, &'a Node, (u8, u8))>) -> Option<Self> {
        let mut set = Self { texts: HashSet::new(), numbers: HashSet::new(), has_null: false };
        let mut operand = None;
        for (of, item, (scale, item_scale)) in items {
            // An operand that becomes another type for some of the items is not one value.
            if operand.is_some_and(|known| known != (of, scale)) {
                return None;
            }
            operand = Some((of, scale));
            let Node::Constant(vector) = item else { return None };
            let number = match vector {
                Vector::Text(Texts::One(Some(text))) => {
                    set.texts.insert((&**text).into());
                    continue;
                }
                Vector::Integer(Fixed::One(Some(value)))
                | Vector::Time(Fixed::One(Some(value)))
                | Vector::Timestamp(Fixed::One(Some(value))) => Some(i128::from(*value)),
                Vector::Date(Fixed::One(Some(day))) => Some(i128::from(*day)),
                // A value with more digits than the operand has is equal to none of its values.
                Vector::Decimal(Fixed::One(Some(value))) => match decimal::exactly(*value, item_scale, scale)
                {
                    Some(value) => Some(value),
                    None => continue,
                },
                vector if !vector.is_known(0) => None,
                _ => return None,
            };
            match number {
                Some(number) => {
                    set.numbers.insert(number);
                }
                None => set.has_null = true,
            }
        }
        operand.map(|_| set)
    }

    /// IN, or, not `wanted`, NOT IN. A value that is not found beside a NULL may be equal to that: the answer is NULL.
    pub(super) fn run(self, wanted: bool) -> Run {
        Arc::new(move |rows, arguments| {
            let answer = |found: bool| Ok(if found || !self.has_null { Some(found == wanted) } else { None });
            Vector::Boolean(match arguments {
                [Vector::Text(texts)] => {
                    rows.decide(arguments, |row| answer(self.texts.contains(texts.get(row))))
                }
                [Vector::Integer(values) | Vector::Time(values) | Vector::Timestamp(values)] => {
                    rows.decide(arguments, |row| answer(self.numbers.contains(&values.get(row).into())))
                }
                [Vector::Decimal(values)] => {
                    rows.decide(arguments, |row| answer(self.numbers.contains(&values.get(row))))
                }
                [Vector::Date(days)] => {
                    rows.decide(arguments, |row| answer(self.numbers.contains(&days.get(row).into())))
                }
                _ => Bits::One(None),
            })
        })
    }
}
