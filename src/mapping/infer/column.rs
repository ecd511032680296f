//! What the values of one column say, value by value, in bounded memory. Parts of a file are looked at by themselves
//! and put together afterwards: the order does not matter.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::{forms::Forms, moments::Moments, numbers::Numbers};
use crate::model::value::{kind::Kind, uuid::parse_uuid};

/// Different values counted one by one; what has more is no enumeration.
pub const MOST_WORDS: usize = 40;
/// Longer values are no words.
const WORD_BYTES: usize = 60;
/// Words for "no value" that are kept apart in one column.
const MOST_NULLS: usize = 4;

/// Texts by which systems say that there is no value; the first ones mean nothing else.
const NULL_WORDS: [&str; 20] = [
    "NULL", "null", "Null", "(null)", "<null>", "\\N", "#N/A", "N/A", "n/a", "NA", "n.a.", "-", "--", "None",
    "none", "nil", "NaN", "nan", "?", ".",
];
/// How many of [`NULL_WORDS`] mean nothing else.
const SURE_NULL_WORDS: usize = 9;

/// What looking at values needs besides them.
#[derive(Debug)]
pub struct Look {
    /// Ways to write dates and times.
    pub forms: Forms,
    /// Keys the hashes of values.
    pub secret: [u64; 2],
    /// Sum numbers up, for control totals.
    pub with_sums: bool,
}

/// What is known of one column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Values that are not empty, words for "no value" included.
    pub filled: u64,
    /// Empty fields.
    pub empty: u64,
    /// Characters of the longest value, and of the shortest.
    pub most_characters: usize,
    /// Characters of the shortest.
    pub least_characters: usize,
    /// The different values with how often each stands there; none when there are too many.
    pub words: Option<Vec<(String, u64)>>,
    /// Words for "no value", with how often each stands there.
    pub nulls: Vec<(String, u64)>,
    /// Numbers.
    pub numbers: Numbers,
    /// Dates and times.
    pub moments: Moments,
    /// The kinds that all values are.
    pub kinds: Vec<Kind>,
    /// All values are UUIDs.
    pub is_uuid: bool,
    /// A value stands there twice, or nobody can tell any more.
    pub repeats: bool,
    /// A hash of each value, while none is known to stand there twice.
    pub hashes: Vec<u64>,
    /// Values in some part of which letters are small and capital.
    pub codes: bool,
}

impl Column {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(look: &Look) -> Self {
        Self {
            filled: 0,
            empty: 0,
            most_characters: 0,
            least_characters: usize::MAX,
            words: Some(Vec::new()),
            nulls: Vec::new(),
            numbers: Numbers::new(look.with_sums),
            moments: Moments::default(),
            kinds: Kind::ALL.to_vec(),
            is_uuid: true,
            repeats: false,
            hashes: Vec::new(),
            codes: true,
        }
    }

    /// Records looked at.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.filled + self.empty
    }

    /// Values that mean something.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.filled - self.nulls.iter().map(|(_, count)| count).sum::<u64>()
    }

    /// Takes a field into account.
    #[inline]
    pub fn add(&mut self, field: &str, look: &Look) {
        let text = field.trim();
        if text.is_empty() {
            self.empty += 1;
            return;
        }
        self.filled += 1;
        let characters = if text.is_ascii() { text.len() } else { text.chars().count() };
        self.most_characters = self.most_characters.max(characters);
        self.least_characters = self.least_characters.min(characters);
        self.count(text, look);
        if text.len() <= 6 && NULL_WORDS.contains(&text) && self.is_null(text) {
            return;
        }
        self.codes = self.codes && is_code(text);
        if !self.kinds.is_empty() {
            self.kinds.retain(|kind| kind.check(text).is_ok());
        }
        if self.is_uuid {
            // Written without hyphens, a UUID is any 32 hexadecimal digits: a checksum looks like that too.
            self.is_uuid = text.len() >= 36 && parse_uuid(text, &mut String::new()).is_ok();
        }
        self.moments.add(text, &look.forms);
        self.numbers.add(text);
    }

    fn is_null(&mut self, text: &str) -> bool {
        if let Some((_, count)) = self.nulls.iter_mut().find(|(known, _)| known == text) {
            *count += 1;
            return true;
        }
        if self.nulls.len() >= MOST_NULLS {
            return false;
        }
        self.nulls.push((text.to_owned(), 1));
        true
    }

    /// Counts the value while there are few different ones, and then only looks whether one stands there twice.
    #[inline]
    fn count(&mut self, text: &str, look: &Look) {
        if let Some(words) = &mut self.words {
            if let Some((_, count)) = words.iter_mut().find(|(known, _)| known == text) {
                *count += 1;
                self.repeats = true;
                return;
            }
            if words.len() < MOST_WORDS && text.len() <= WORD_BYTES {
                words.push((text.to_owned(), 1));
                return;
            }
            let words = self.words.take().unwrap_or_default();
            if !self.repeats {
                self.hashes.extend(words.iter().map(|(word, _)| hash(word, look.secret)));
            }
        }
        if !self.repeats {
            self.hashes.push(hash(text, look.secret));
        }
    }

    /// Ends a part of the file: finds out whether a value stands in it twice.
    pub fn close(&mut self, look: &Look) {
        if let (Some(words), false) = (&self.words, self.repeats) {
            self.hashes = words.iter().map(|(word, _)| hash(word, look.secret)).collect();
        }
        self.repeats = self.repeats || has_twin(&mut self.hashes);
        if self.repeats {
            self.hashes = Vec::new();
        }
    }

    /// Adds what another part of the same file says, of which the hashes are dealt with elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.filled += other.filled;
        self.empty += other.empty;
        self.most_characters = self.most_characters.max(other.most_characters);
        self.least_characters = self.least_characters.min(other.least_characters);
        self.repeats |= other.repeats;
        self.words = match (self.words.take(), other.words) {
            (Some(mine), Some(theirs)) => together(mine, theirs, MOST_WORDS),
            _ => None,
        };
        // More different words for "no value" than this are values after all: the column is text.
        self.nulls =
            together(std::mem::take(&mut self.nulls), other.nulls, NULL_WORDS.len()).unwrap_or_default();
        self.numbers.merge(other.numbers);
        self.moments.merge(other.moments);
        self.kinds.retain(|kind| other.kinds.contains(kind));
        self.is_uuid &= other.is_uuid;
        self.codes &= other.codes;
    }

    /// The words for "no value" that mean nothing else, or all of them.
    #[must_use]
    pub fn null_words(&self, sure_only: bool) -> Vec<String> {
        let sure = |word: &str| NULL_WORDS.iter().take(SURE_NULL_WORDS).any(|known| *known == word);
        let words = self.nulls.iter().map(|(word, _)| word.clone());
        words.filter(|word| !sure_only || sure(word)).collect()
    }
}

/// Two lists of counted texts as one; none when it would be longer than `most`.
fn together(
    mut mine: Vec<(String, u64)>,
    theirs: Vec<(String, u64)>,
    most: usize,
) -> Option<Vec<(String, u64)>> {
    for (word, count) in theirs {
        if let Some((_, known)) = mine.iter_mut().find(|(known, _)| *known == word) {
            *known += count;
        } else if mine.len() < most {
            mine.push((word, count));
        } else {
            return None;
        }
    }
    Some(mine)
}

/// True for what a program wrote, not a person: no spaces, no small letters.
fn is_code(text: &str) -> bool {
    text.bytes().all(|byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'/' | b'.')
    })
}

/// A keyed hash of a value.
#[must_use]
pub fn hash(text: &str, secret: [u64; 2]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(secret[0], secret[1]);
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Sorts hashes and tells whether one stands there twice.
pub fn has_twin(hashes: &mut [u64]) -> bool {
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look() -> Look {
        Look { forms: Forms::new(), secret: [1, 2], with_sums: false }
    }

    fn seen(values: &[&str]) -> Column {
        let look = look();
        let mut column = Column::new(&look);
        values.iter().for_each(|value| column.add(value, &look));
        column.close(&look);
        column
    }

    #[test]
    fn few_values_are_counted_and_many_are_only_told_apart() {
        let column = seen(&["A", "B", "A"]);
        assert_eq!(column.words, Some(vec![("A".to_owned(), 2), ("B".to_owned(), 1)]));
        assert!(column.repeats && column.hashes.is_empty());
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let column = seen(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(column.words.is_none() && !column.repeats && column.hashes.len() == 100);
        let twice: Vec<&str> = many.iter().map(String::as_str).chain(["57"]).collect();
        assert!(seen(&twice).repeats);
    }

    #[test]
    fn words_for_no_value_say_nothing_of_the_type() {
        let column = seen(&["12", "NULL", "-", " ", "13"]);
        assert_eq!((column.filled, column.empty, column.values()), (4, 1, 2));
        assert!(column.numbers.holds());
        assert_eq!(column.null_words(false), ["NULL", "-"]);
        assert_eq!(column.null_words(true), ["NULL"]);
    }

    #[test]
    fn a_kind_is_what_all_values_are() {
        assert_eq!(seen(&["a@example.com", "b@example.com"]).kinds, [Kind::Email]);
        assert!(seen(&["a@example.com", "soon"]).kinds.is_empty());
        assert!(seen(&["0197f6a2-5e1c-7d3a-9b44-1c2d3e4f5a6b"]).is_uuid);
    }

    #[test]
    fn parts_of_a_file_say_together_what_the_whole_says() {
        let mut first = seen(&["1,5", "2"]);
        first.merge(seen(&["NULL", "3,25", ""]));
        let whole = seen(&["1,5", "2", "NULL", "3,25", ""]);
        assert_eq!(
            (first.filled, first.empty, first.words.clone()),
            (whole.filled, whole.empty, whole.words.clone())
        );
        assert_eq!(first.numbers.fraction, whole.numbers.fraction);
    }
}
