//! Words that mean true or false.

use super::ValueError;

const TRUE_WORDS: [&str; 6] = ["true", "yes", "y", "t", "1", "on"];
const FALSE_WORDS: [&str; 6] = ["false", "no", "n", "f", "0", "off"];

/// The words of one column, compared without case.
#[derive(Clone, Debug)]
pub struct BooleanWords {
    words: Box<[Word]>,
}

#[derive(Clone, Debug)]
struct Word {
    text: Box<str>,
    value: bool,
}

impl BooleanWords {
    /// Compiles the two lists; when both are empty, the words are true/false, yes/no, y/n, t/f, 1/0 and on/off.
    ///
    /// One list alone is fine: then any other word is an error.
    ///
    /// # Errors
    /// A sentence for the admin when a word is empty or stands in both lists.
    pub fn new(true_words: &[String], false_words: &[String]) -> Result<Self, String> {
        if true_words.is_empty() && false_words.is_empty() {
            return Ok(Self::default());
        }
        let mut words: Vec<Word> = Vec::with_capacity(true_words.len() + false_words.len());
        let both =
            true_words.iter().map(|word| (word, true)).chain(false_words.iter().map(|word| (word, false)));
        for (word, value) in both {
            let text = word.trim();
            if text.is_empty() {
                return Err("an empty word cannot mean true or false".into());
            }
            match words.iter().find(|known| same(&known.text, text)) {
                Some(known) if known.value != value => {
                    return Err(format!("`{text}` cannot mean both true and false"));
                }
                Some(_) => {}
                None => words.push(Word { text: text.into(), value }),
            }
        }
        Ok(Self { words: words.into() })
    }

    /// Reads trimmed text.
    ///
    /// # Errors
    /// The text is none of the words.
    #[inline]
    pub fn parse(&self, text: &str) -> Result<bool, ValueError> {
        let ascii = self.words.iter().find(|word| word.text.eq_ignore_ascii_case(text));
        match ascii.or_else(|| self.words.iter().find(|word| same(&word.text, text))) {
            Some(word) => Ok(word.value),
            None => Err(self.not_a_word()),
        }
    }

    fn not_a_word(&self) -> ValueError {
        let listed = |value| -> Vec<&str> {
            self.words.iter().filter(|word| word.value == value).map(|word| &*word.text).collect()
        };
        let (true_words, false_words) = (listed(true).join(", "), listed(false).join(", "));
        ValueError(match (true_words.as_str(), false_words.as_str()) {
            (only, "") | ("", only) => format!("is not one of: {only}").into(),
            _ => format!("is neither true ({true_words}) nor false ({false_words})").into(),
        })
    }
}

impl Default for BooleanWords {
    fn default() -> Self {
        let word = |value| move |text: &str| Word { text: text.into(), value };
        Self {
            words: TRUE_WORDS
                .into_iter()
                .map(word(true))
                .chain(FALSE_WORDS.into_iter().map(word(false)))
                .collect(),
        }
    }
}

/// Compares without case, and without allocating, by the lower case of each character.
fn same(word: &str, text: &str) -> bool {
    word.chars().flat_map(char::to_lowercase).eq(text.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(true_words: &[&str], false_words: &[&str]) -> Result<BooleanWords, String> {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        BooleanWords::new(&owned(true_words), &owned(false_words))
    }

    #[test]
    fn without_lists_the_usual_words_count() {
        let usual = words(&[], &[]).expect("the defaults");
        for text in ["true", "TRUE", "Yes", "y", "T", "1", "on"] {
            assert_eq!(usual.parse(text), Ok(true), "{text}");
        }
        for text in ["false", "No", "N", "f", "0", "OFF"] {
            assert_eq!(usual.parse(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn with_lists_only_their_words_count() {
        let russian = words(&["да", "Ja", " X "], &["нет", "nein"]).expect("good lists");
        for (text, value) in [("ДА", true), ("JA", true), ("x", true), ("Нет", false), ("NEIN", false)] {
            assert_eq!(russian.parse(text), Ok(value), "{text}");
        }
        assert_eq!(
            russian.parse("true").map_err(|error| error.to_string()),
            Err("is neither true (да, Ja, X) nor false (нет, nein)".into())
        );
    }

    #[test]
    fn one_list_alone_leaves_every_other_word_an_error() {
        let marked = words(&["x", "X"], &[]).expect("a good list");
        assert_eq!(marked.parse("X"), Ok(true));
        assert_eq!(marked.parse("").map_err(|error| error.to_string()), Err("is not one of: x".into()));
    }

    #[test]
    fn a_word_cannot_mean_both() {
        let refused = words(&["ja", "É"], &["nein", "é"]).map(|_| ());
        assert_eq!(refused, Err("`é` cannot mean both true and false".into()));
        assert!(words(&[" "], &["nein"]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            let lists = words(&["да"], &["нет"]).expect("good lists");
            let _ = (lists.parse(&text), BooleanWords::default().parse(&text));
        }
    }
}
