//! The front of a format whose numbers all have a known width, which for most formats is all of it. When a text has
//! all those digits (`05/03/2025`, not `5/3/2025`), they are read from their places, without going from item to item;
//! this saves a sixth of the time a date takes.

use super::{
    pattern::{Item, Part},
    reading::Fields,
};

/// Where the numbers and the other bytes of a front stand.
#[derive(Clone, Debug)]
pub(super) struct Front {
    /// How many items of the format it covers.
    pub(super) items: usize,
    length: usize,
    /// Numbers of two digits.
    pairs: Box<[(usize, Part)]>,
    /// The one number of four.
    year: Option<usize>,
    bytes: Box<[(usize, u8)]>,
}

impl Front {
    /// The front of these items.
    pub(super) fn of(items: &[Item]) -> Self {
        let mut front =
            Self { items: 0, length: 0, pairs: Box::default(), year: None, bytes: Box::default() };
        let (mut pairs, mut bytes) = (Vec::new(), Vec::new());
        for item in items {
            let at = front.length;
            front.length += match *item {
                Item::Byte(byte) => {
                    bytes.push((at, byte));
                    1
                }
                Item::Number { part: Part::Year, .. } => {
                    front.year = Some(at);
                    4
                }
                Item::Number { part, most: 2, .. } => {
                    pairs.push((at, part));
                    2
                }
                _ => break,
            };
            front.items += 1;
        }
        Self { pairs: pairs.into(), bytes: bytes.into(), ..front }
    }

    /// Gives what is behind the front, or nothing when a byte or a digit is missing.
    #[inline]
    pub(super) fn read<'t>(&self, text: &'t [u8], fields: &mut Fields) -> Option<&'t [u8]> {
        let (front, rest) = text.split_at_checked(self.length)?;
        for (at, byte) in &self.bytes {
            if front.get(*at) != Some(byte) {
                return None;
            }
        }
        if let Some(at) = self.year {
            fields.set(Part::Year, two_digits(front, at)? * 100 + two_digits(front, at + 2)?);
        }
        for (at, part) in &self.pairs {
            fields.set(*part, two_digits(front, *at)?);
        }
        Some(rest)
    }
}

#[inline]
fn two_digits(text: &[u8], at: usize) -> Option<u16> {
    let [a, b] = text.get(at..at + 2)? else { return None };
    let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| u16::from(a) * 10 + u16::from(b))
}
