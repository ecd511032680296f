//! A chunk done in parts: for records of which so much text is made that not all of them fit into memory at once.

use std::ops::Range;

use crate::formats::Records;

/// The part of `whole` that has these records. It takes the texts along: [`give_back`] returns them. What is counted by chunk
/// (lines and trailers) stays behind.
pub(super) fn part(whole: &mut Records, range: Range<usize>) -> Records {
    let (from, to) = (range.start as u32, range.end as u32);
    let spans = range.start.saturating_mul(whole.width)..range.end.saturating_mul(whole.width);
    let faults = whole.faults.partition_point(|(record, _)| *record < from)
        ..whole.faults.partition_point(|(record, _)| *record < to);
    let undecodable = whole.undecodable.partition_point(|(record, ..)| *record < from)
        ..whole.undecodable.partition_point(|(record, ..)| *record < to);
    let of = |(record, what): &(u32, _)| (record.saturating_sub(from), Clone::clone(what));
    Records {
        width: whole.width,
        spans: whole.spans.get(spans).unwrap_or_default().to_vec(),
        places: whole.places.get(range.clone()).unwrap_or_default().to_vec(),
        faults: whole.faults.get(faults).unwrap_or_default().iter().map(of).collect(),
        undecodable: whole
            .undecodable
            .get(undecodable)
            .unwrap_or_default()
            .iter()
            .map(|(record, column, what)| (record.saturating_sub(from), *column, *what))
            .collect(),
        scratch: std::mem::take(&mut whole.scratch),
        repaired: whole.repaired.take(),
        trailers: Vec::new(),
        lines: 0,
        former: whole.former.get(range).unwrap_or_default().to_vec(),
    }
}

/// Puts the texts of a part back.
pub(super) fn give_back(whole: &mut Records, part: Records) {
    whole.scratch = part.scratch;
    whole.repaired = part.repaired;
}
