//! What the values of a column say about how it writes dates and times.
//!
//! Values are grouped by their signature; the formats of it that fail on one of them are struck out.

use super::{
    forms::{Forms, SIGNATURE_BYTES, signature},
    numbers::may_be_broken,
};

/// Different signatures kept of one column; more are no dates any more.
const MOST_GROUPS: usize = 8;
/// As for numbers: so many values that do not fit end the search.
const ODD_AT_LEAST: u64 = 32;
const MOST_EXAMPLES: usize = 3;
/// Values of one signature.
#[derive(Clone, Debug)]
pub struct Group {
    signature: Box<[u8]>,
    /// The numbers of the forms that read them all.
    pub live: Vec<u16>,
    /// How many there are.
    pub fits: u64,
    /// Least and largest of the first and the second number in them, while it is not clear which is the day.
    pub range: [(u8, u8); 2],
}

/// What is known of one column.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    /// Values by signature.
    pub groups: Vec<Group>,
    /// Values that are no dates or times.
    pub odd: u64,
    /// Some of them.
    pub examples: Vec<String>,
    /// Dates of zeros, which mean none.
    pub zeros: Vec<(String, u64)>,
    /// Nobody looks any more.
    pub dead: bool,
}

impl Moments {
    /// Takes a value into account; it is trimmed and not empty.
    pub fn add(&mut self, text: &str, forms: &Forms) {
        if self.dead || self.fits(text, forms) || self.is_zero(text) {
            return;
        }
        self.odd += 1;
        if self.examples.len() < MOST_EXAMPLES && !self.examples.iter().any(|known| known == text) {
            self.examples.push(text.chars().take(40).collect());
        }
        self.bury();
    }

    fn bury(&mut self) {
        self.dead |= self.odd > ODD_AT_LEAST && self.odd > self.fitting() / 8;
        self.dead |= self.groups.len() > MOST_GROUPS || self.zeros.len() > MOST_EXAMPLES;
    }

    /// How many values are dates or times.
    #[must_use]
    pub fn fitting(&self) -> u64 {
        self.groups.iter().map(|group| group.fits).sum()
    }

    /// True when every value is one.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.dead && self.odd == 0 && !self.groups.is_empty()
    }

    /// True when all values but a few broken ones are.
    #[must_use]
    pub fn nearly_holds(&self) -> bool {
        let fitting = self.fitting();
        !self.dead && fitting > 0 && self.odd <= may_be_broken(fitting + self.odd)
    }

    fn fits(&mut self, text: &str, forms: &Forms) -> bool {
        let mut buffer = [0; SIGNATURE_BYTES];
        let Some(length) = signature(text, &mut buffer) else { return false };
        let signature = buffer.get(..length).unwrap_or_default();
        let known = self.groups.iter().position(|group| *group.signature == *signature);
        let reads = |index: &u16| forms.get(*index).is_some_and(|form| form.reads(text));
        let Some(group) = known.and_then(|at| self.groups.get_mut(at)) else {
            let candidates = forms.with_signature(signature);
            let live: Vec<u16> = candidates.iter().copied().filter(|index| reads(index)).collect();
            if live.is_empty() || self.groups.len() >= MOST_GROUPS {
                return false;
            }
            let [a, b] = first_numbers(text);
            self.groups.push(Group { signature: signature.into(), live, fits: 1, range: [(a, a), (b, b)] });
            return true;
        };
        if let [only] = group.live.as_slice() {
            let good = reads(only);
            group.fits += u64::from(good);
            return good;
        }
        let live: Vec<u16> = group.live.iter().copied().filter(|index| reads(index)).collect();
        if live.is_empty() {
            return false;
        }
        if live.len() < group.live.len() {
            group.live = live;
        }
        group.fits += 1;
        for ((least, most), number) in group.range.iter_mut().zip(first_numbers(text)) {
            (*least, *most) = ((*least).min(number), (*most).max(number));
        }
        true
    }

    /// `00.00.0000` and its like; a date only where other values are.
    fn is_zero(&mut self, text: &str) -> bool {
        if !text.bytes().all(|byte| matches!(byte, b'0' | b'-' | b'/' | b'.' | b' ' | b':'))
            || !text.contains('0')
        {
            return false;
        }
        if let Some((_, count)) = self.zeros.iter_mut().find(|(known, _)| known == text) {
            *count += 1;
            return true;
        }
        let has_room = self.zeros.len() < MOST_EXAMPLES;
        if has_room {
            self.zeros.push((text.to_owned(), 1));
        }
        has_room
    }

    /// Adds what another part of the file says.
    pub fn merge(&mut self, other: Self) {
        self.dead |= other.dead;
        for theirs in other.groups {
            let Some(mine) = self.groups.iter_mut().find(|group| group.signature == theirs.signature) else {
                self.groups.push(theirs);
                continue;
            };
            mine.live.retain(|index| theirs.live.contains(index));
            self.dead |= mine.live.is_empty();
            mine.fits += theirs.fits;
            for (mine, theirs) in mine.range.iter_mut().zip(theirs.range) {
                *mine = (mine.0.min(theirs.0), mine.1.max(theirs.1));
            }
        }
        for (zero, count) in other.zeros {
            match self.zeros.iter_mut().find(|(known, _)| *known == zero) {
                Some((_, known)) => *known += count,
                None => self.zeros.push((zero, count)),
            }
        }
        self.odd += other.odd;
        for example in other.examples {
            if self.examples.len() < MOST_EXAMPLES && !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
        self.bury();
    }
}

/// The first two numbers in a text, as far as they are day or month.
fn first_numbers(text: &str) -> [u8; 2] {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    [(); 2].map(|()| numbers.next().and_then(|run| run.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(values: &[&str]) -> Vec<Vec<String>> {
        let forms = Forms::new();
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.add(value, &forms));
        assert!(moments.holds(), "{values:?}: {moments:?}");
        let named = |group: &Group| {
            group.live.iter().filter_map(|at| forms.get(*at)).map(|form| form.format.clone()).collect()
        };
        moments.groups.iter().map(named).collect()
    }

    #[test]
    fn a_day_above_twelve_tells_day_from_month() {
        assert_eq!(formats(&["03/04/2025", "13/04/2025"]), [["%d/%m/%Y"]]);
        assert_eq!(formats(&["03/04/2025", "03/14/2025"]), [["%m/%d/%Y"]]);
        assert_eq!(formats(&["03/04/2025"]), [["%d/%m/%Y", "%m/%d/%Y"]]);
    }

    #[test]
    fn each_signature_has_its_own_formats() {
        assert_eq!(formats(&["31.12.2025", "31/12/2025"]), [["%d.%m.%Y"], ["%d/%m/%Y"]]);
        assert_eq!(formats(&["1 feb 2025"]), [["%d %b %Y"]]);
        assert_eq!(formats(&["20251231"])[0][0], "%Y%m%d");
        assert_eq!(formats(&["2025-12-31"])[0][0], "");
    }

    #[test]
    fn instants_are_told_from_dates_at_midnight() {
        let found = formats(&["31.12.2025 00:00:00"]);
        assert_eq!(found[0], ["%d.%m.%Y 00:00:00", "%d.%m.%Y %H:%M:%S%.f"]);
        assert_eq!(formats(&["31.12.2025 00:00:00", "01.01.2026 10:00:00"]), [["%d.%m.%Y %H:%M:%S%.f"]]);
        assert_eq!(formats(&["2025-12-31T10:00:00.123Z"]), [[""]]);
        assert_eq!(formats(&["01-JUL-25 09.05.30.250 PM"]), [["%d-%b-%y %I.%M.%S%.f %p"]]);
        assert_eq!(formats(&["20250701090530"]), [["%Y%m%d%H%M%S"]]);
        assert_eq!(formats(&["9:05"]), [[""]]);
    }

    #[test]
    fn zeros_mean_no_date_and_words_are_odd() {
        let forms = Forms::new();
        let mut moments = Moments::default();
        for value in ["00.00.0000", "31.12.2025", "soon", "31.04.2025"] {
            moments.add(value, &forms);
        }
        assert_eq!(moments.zeros, [("00.00.0000".to_owned(), 1)]);
        assert_eq!(
            (moments.odd, moments.examples.as_slice()),
            (2, ["soon".to_owned(), "31.04.2025".to_owned()].as_slice())
        );
    }

    #[test]
    fn six_or_eight_digits_are_dates_only_when_plausible() {
        let forms = Forms::new();
        let mut moments = Moments::default();
        moments.add("12345678", &forms);
        assert_eq!(moments.odd, 1);
    }
}
