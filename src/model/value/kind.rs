//! What a text can be beyond its type: an e-mail address, an IBAN, a country code.
//!
//! A kind is checked, never changed: `case = "upper"` and the like come before. Lists of codes are part of the
//! program and name their state; check digits are computed.

mod bank;
mod check_digits;
mod codes;
mod internet;
mod phone;

use serde::{Deserialize, Serialize};

use super::ValueError;

/// What the texts of a column are, for `is`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An e-mail address: `name@example.com`. Letters of any script are accepted, comments and quotes are not.
    Email,
    /// A web address with its scheme, which is http, https or ftp: `https://example.com/page`.
    Url,
    /// An IBAN, in one piece or in groups of four: country, length and check digits must match.
    Iban,
    /// A BIC (SWIFT code) of 8 or 11 characters.
    Bic,
    /// An EAN or UPC (GTIN) of 8, 12, 13 or 14 digits with its check digit.
    Ean,
    /// A country by its two capital letters (ISO 3166-1).
    Country,
    /// A currency by its three capital letters (ISO 4217), withdrawn ones of the last years included.
    Currency,
    /// A language by its two small letters (ISO 639-1).
    Language,
    /// A telephone number with its country code: `+44 20 7946 0958`.
    Phone,
    /// Digits with a Luhn check digit, such as the number of a payment card.
    Luhn,
    /// An ISIN with its check digit.
    Isin,
    /// An LEI with its check digits.
    Lei,
}

impl Kind {
    /// All kinds, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Email,
        Self::Url,
        Self::Iban,
        Self::Bic,
        Self::Ean,
        Self::Country,
        Self::Currency,
        Self::Language,
        Self::Phone,
        Self::Luhn,
        Self::Isin,
        Self::Lei,
    ];

    /// Its name in a mapping.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Url => "url",
            Self::Iban => "iban",
            Self::Bic => "bic",
            Self::Ean => "ean",
            Self::Country => "country",
            Self::Currency => "currency",
            Self::Language => "language",
            Self::Phone => "phone",
            Self::Luhn => "luhn",
            Self::Isin => "isin",
            Self::Lei => "lei",
        }
    }

    /// Checks trimmed text.
    ///
    /// # Errors
    /// The text is not of this kind.
    pub fn check(self, text: &str) -> Result<(), ValueError> {
        let checked = match self {
            Self::Email => internet::email(text),
            Self::Url => internet::url(text),
            Self::Iban => bank::iban(text),
            Self::Bic => bank::bic(text),
            Self::Ean => check_digits::ean(text),
            Self::Country => codes::country(text),
            Self::Currency => codes::currency(text),
            Self::Language => codes::language(text),
            Self::Phone => phone::phone(text),
            Self::Luhn => check_digits::luhn(text),
            Self::Isin => bank::isin(text),
            Self::Lei => bank::lei(text),
        };
        checked.map_err(|message| ValueError(message.into()))
    }
}

/// What a check gives: nothing, or the rest of the sentence that says what is wrong.
type Checked = Result<(), &'static str>;

/// `condition`, or else `message`.
fn ensure(condition: bool, message: &'static str) -> Checked {
    if condition { Ok(()) } else { Err(message) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_code_is_the_name_that_mappings_use() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a name"), kind.code());
        }
    }

    #[test]
    fn no_kind_takes_the_empty_text_or_a_word() {
        for kind in Kind::ALL {
            assert!(kind.check("").is_err() && kind.check("unknown").is_err(), "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic(text in any::<String>()) {
            for kind in Kind::ALL {
                let _ = kind.check(&text);
            }
        }

        #[test]
        fn no_text_of_usual_characters_makes_a_check_panic(text in "(http://|\\+|[A-Z]{2})?[A-Z0-9a-zé@.:/?\\[\\]() -]{0,40}") {
            for kind in Kind::ALL {
                let _ = kind.check(&text);
            }
        }
    }
}
