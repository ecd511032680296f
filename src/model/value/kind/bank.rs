//! The numbers of banks and their papers: IBAN, BIC, ISIN, LEI.

use super::{
    Checked,
    check_digits::{has_luhn_digit, remainder_97},
    codes, ensure,
};

/// Longest IBAN that ISO 13616 allows.
const MOST_IBAN_BYTES: usize = 34;

/// Countries with their IBAN's length, in the order of the alphabet (SWIFT IBAN registry, release 99).
#[rustfmt::skip]
const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16), ("BG", 22), ("BH", 22),
    ("BI", 27), ("BR", 29), ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28), ("CZ", 24), ("DE", 22), ("DJ", 27),
    ("DK", 18), ("DO", 28), ("EE", 20), ("EG", 29), ("ES", 24), ("FI", 18), ("FK", 18), ("FO", 18), ("FR", 27),
    ("GB", 22), ("GE", 22), ("GI", 23), ("GL", 18), ("GR", 27), ("GT", 28), ("HN", 28), ("HR", 21), ("HU", 28),
    ("IE", 22), ("IL", 23), ("IQ", 23), ("IS", 26), ("IT", 27), ("JO", 30), ("KW", 30), ("KZ", 20), ("LB", 28),
    ("LC", 32), ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21), ("LY", 25), ("MC", 27), ("MD", 24), ("ME", 22),
    ("MK", 19), ("MN", 20), ("MR", 27), ("MT", 31), ("MU", 30), ("NI", 28), ("NL", 18), ("NO", 15), ("OM", 23),
    ("PK", 24), ("PL", 28), ("PS", 29), ("PT", 25), ("QA", 29), ("RO", 24), ("RS", 22), ("RU", 33), ("SA", 24),
    ("SC", 31), ("SD", 18), ("SE", 24), ("SI", 19), ("SK", 24), ("SM", 27), ("SO", 23), ("ST", 25), ("SV", 28),
    ("TL", 23), ("TN", 24), ("TR", 26), ("UA", 29), ("VA", 22), ("VG", 24), ("XK", 20), ("YE", 30),
];

/// An IBAN (ISO 13616), in one piece or with single spaces between groups of four, as it is printed.
pub(super) fn iban(text: &str) -> Checked {
    const FORM: &str = "is not an IBAN like DE89 3704 0044 0532 0130 00";
    let mut buffer = [0; MOST_IBAN_BYTES];
    let iban = without_group_spaces(text, &mut buffer).ok_or(FORM)?;
    let (country, digits, account) = match iban {
        [a @ b'A'..=b'Z', b @ b'A'..=b'Z', c @ b'0'..=b'9', d @ b'0'..=b'9', account @ ..] => {
            ([*a, *b], [*c, *d], account)
        }
        _ => return Err(FORM),
    };
    let length = IBAN_LENGTHS
        .binary_search_by(|(known, _)| known.as_bytes().cmp(&country))
        .ok()
        .and_then(|index| IBAN_LENGTHS.get(index))
        .ok_or("is not an IBAN: its country has none")?
        .1;
    ensure(iban.len() == length, "is not an IBAN: it is longer or shorter than those of its country")?;
    // Of the two-digit numbers with the same remainder, only 02 to 98 are ever computed.
    let is_computed = !matches!(&digits, b"00" | b"01" | b"99");
    let remainder = remainder_97(account.iter().copied().chain(country).chain(digits));
    ensure(
        is_computed && remainder == 1,
        "is not an IBAN: its check digits do not match, so that a character is wrong or two are swapped",
    )
}

/// `text` without spaces, or nothing when it is too long, a space stands elsewhere than between groups of four, or a
/// character is neither a digit nor a capital letter.
fn without_group_spaces<'b>(text: &str, buffer: &'b mut [u8; MOST_IBAN_BYTES]) -> Option<&'b [u8]> {
    let mut length = 0;
    let mut after_space = false;
    for byte in text.bytes() {
        if byte == b' ' {
            if after_space || length == 0 || length % 4 != 0 {
                return None;
            }
            after_space = true;
        } else {
            *buffer.get_mut(length).filter(|_| is_capital_or_digit(byte))? = byte;
            length += 1;
            after_space = false;
        }
    }
    buffer.get(..length).filter(|_| !after_space)
}

fn is_capital_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// A BIC (ISO 9362): bank, country, place, and perhaps the branch.
pub(super) fn bic(text: &str) -> Checked {
    let bytes = text.as_bytes();
    let is_form = matches!(bytes.len(), 8 | 11)
        && bytes.iter().take(4).all(u8::is_ascii_uppercase)
        && bytes.iter().all(|byte| is_capital_or_digit(*byte));
    ensure(is_form, "is not a BIC like COBADEFFXXX, of 8 or 11 capital letters and digits")?;
    // Banks of Kosovo have BICs under XK, which is not in ISO 3166-1.
    let has_country =
        text.get(4..6).is_some_and(|country| country == "XK" || codes::country(country).is_ok());
    ensure(has_country, "is not a BIC: its fifth and sixth letter are no country")
}

/// An ISIN (ISO 6166): country or issuer's prefix, nine characters, a check digit.
pub(super) fn isin(text: &str) -> Checked {
    let bytes = text.as_bytes();
    let is_form = bytes.len() == 12
        && bytes.iter().take(2).all(u8::is_ascii_uppercase)
        && bytes.iter().all(|byte| is_capital_or_digit(*byte))
        && bytes.last().is_some_and(u8::is_ascii_digit);
    ensure(is_form, "is not an ISIN like US0378331005")?;
    ensure(has_luhn_digit(bytes), "is not an ISIN: its check digit does not match")
}

/// An LEI (ISO 17442): 18 characters and two check digits.
pub(super) fn lei(text: &str) -> Checked {
    let bytes = text.as_bytes();
    let is_form = bytes.len() == 20
        && bytes.iter().all(|byte| is_capital_or_digit(*byte))
        && bytes.iter().skip(18).all(u8::is_ascii_digit);
    ensure(is_form, "is not an LEI of 20 capital letters and digits")?;
    ensure(remainder_97(bytes.iter().copied()) == 1, "is not an LEI: its check digits do not match")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibans_of_many_countries_pass() {
        for text in [
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "GB29 NWBK 6016 1331 9268 19",
            "NO9386011117947",
            "FR14 2004 1010 0505 0001 3M02 606",
            "MT84MALT011000012345MTLCAST001S",
            "BE68539007547034",
            "CH9300762011623852957",
            "LC55HEMM000100010012001200023015",
            "XK051212012345678906",
        ] {
            assert_eq!(iban(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_iban_is_said() {
        for (text, part) in [
            ("DE88370400440532013000", "check digits"),
            ("DE89370400440532013001", "check digits"),
            ("DE89370400440532031000", "check digits"),
            ("DE8937040044053201300", "longer or shorter"),
            ("DE893704004405320130000", "longer or shorter"),
            ("US89370400440532013000", "its country has none"),
            ("de89370400440532013000", "like DE89"),
            ("DE 89370400440532013000", "like DE89"),
            ("DE89  3704 0044 0532 0130 00", "like DE89"),
            ("DE89-3704-0044-0532-0130-00", "like DE89"),
            ("D189370400440532013000", "like DE89"),
            ("DE8X370400440532013000", "like DE89"),
            ("DE89370400440532013000DE89370400440532013000", "like DE89"),
            ("DE89 ", "like DE89"),
            ("", "like DE89"),
        ] {
            assert!(iban(text).is_err_and(|message| message.contains(part)), "{text}: {:?}", iban(text));
        }
        // 00, 01 and 99 have the remainders of 97, 98 and 02, and are never computed.
        let account = (0..1000).map(|number| format!("{number:018}"));
        for account in account {
            for digits in ["00", "01", "99"] {
                assert!(iban(&format!("DE{digits}{account}")).is_err());
            }
        }
    }

    #[test]
    fn iban_countries_are_in_order() {
        assert!(IBAN_LENGTHS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn bics_name_a_country() {
        for text in ["COBADEFF", "COBADEFFXXX", "DEUTDEFF500", "NCBVXKPR"] {
            assert_eq!(bic(text), Ok(()), "{text}");
        }
        for text in [
            "COBADEF",
            "COBADEFFXX",
            "cobadeff",
            "C0BADEFF",
            "COBAZZFF",
            "COBA DEFF",
            "COBADEFF-XX",
            "ÄOBADEF",
        ] {
            assert!(bic(text).is_err(), "{text}");
        }
    }

    #[test]
    fn isins_and_leis_have_check_digits() {
        for text in ["US0378331005", "DE000BAY0017", "GB0002634946", "XS0104440986"] {
            assert_eq!(isin(text), Ok(()), "{text}");
        }
        for text in
            ["US0378331006", "US037833100", "0S0378331005", "us0378331005", "US03783310O5", "US037833100A"]
        {
            assert!(isin(text).is_err(), "{text}");
        }
        for text in ["5493001KJTIIGC8Y1R12", "HWUPKR0MPOU8FGXBT394", "7LTWFZYICNSX8D621K86"] {
            assert_eq!(lei(text), Ok(()), "{text}");
        }
        for text in
            ["5493001KJTIIGC8Y1R13", "5493001KJTIIGC8YR112", "5493001KJTIIGC8Y1R1", "5493001kjtiigc8y1r12"]
        {
            assert!(lei(text).is_err(), "{text}");
        }
    }
}
