//! What spreadsheets of several countries do to texts, and what only people do.

use proptest::prelude::*;

use super::*;
use crate::model::value::{
    number::{Negative, NumberFormat},
    temporal::DateParser,
};

fn locale(name: &str) -> &'static Locale {
    LOCALES.iter().find(|locale| locale.name == name).expect("a locale")
}

fn undone(name: &str, original: &str, returned: &str) -> bool {
    is_rerendered(original, returned, locale(name), encoding_rs::WINDOWS_1252, None)
}

#[test]
fn what_a_spreadsheet_shows_of_an_untouched_cell_is_undone() {
    for (country, original, returned) in [
        ("de", "00123", "123"),
        ("de", "1.10", "01. Okt"),
        ("de", "12.50", "Dez 50"),
        ("de", "1.23", "Jan 23"),
        ("de", "1.10", "1,1"),
        ("de", "1.234", "1234"),
        ("de", "1,50", "1,5"),
        ("de", "1,234.50", "1.234,50"),
        ("de", "2026-03-01", "01.03.2026"),
        ("de", "2026-03-01", "01.03.26"),
        ("de", "1.3.26", "01.03.2026"),
        ("de", "01/03/2026", "01.03.2026"),
        ("de", "2026-03-01 10:15:30", "01.03.2026 10:15"),
        ("de", "2026-03-01T10:15:30", "01.03.2026 10:15:30"),
        ("de", "08:05:00", "08:05"),
        ("de", "1. März 2026", "01.03.2026"),
        ("de", "3-4", "03. Apr"),
        ("de", "1234567890123456", "1,23457E+15"),
        ("de", "1E5", "1,00E+05"),
        ("de", "true", "WAHR"),
        ("de", "TRUE", "WAHR"),
        ("de", "false", "FALSCH"),
        ("de", "  text ", "text"),
        ("de", "a\r\nb", "a\nb"),
        ("de", "12345678901", "########"),
        ("de", "Łódź", "?ód?"),
        ("de", "Łódź", "Lódz"),
        ("de", "a𝄞b", "a??b"),
        ("en-US", "1.10", "1.1"),
        ("en-US", "1,234.50", "1234.5"),
        ("en-US", "2026-03-01", "3/1/2026"),
        ("en-US", "01MAR2026", "01MAR2026"),
        ("en-US", "01-Mar-2026", "3/1/2026"),
        ("en-US", "3/4", "4-Mar"),
        ("en-US", "1-2-26", "1/2/2026"),
        ("en-US", "8:05 PM", "20:05"),
        ("en-GB", "2026-03-01", "01/03/2026"),
        ("en-GB", "true", "TRUE"),
        ("fr", "1234.5", "1\u{202f}234,5"),
        ("fr", "false", "FAUX"),
        ("nl", "2026-03-01", "1-3-2026"),
        ("sv", "01/03/26", "2001-03-26"),
        ("de-CH", "2026-03-01", "01.03.2026"),
    ] {
        assert!(undone(country, original, returned), "{country}: {original} {returned}");
    }
}

#[test]
fn what_a_person_changed_is_taken() {
    for (country, original, returned) in [
        ("de", "00123", "124"),
        ("de", "00123", ""),
        ("de", "", "5"),
        ("de", "2026-03-01", "02.03.2026"),
        ("de", "2026-03-01", "03.01.2026"),
        ("en-US", "2026-03-01", "1/3/2026"),
        ("en-US", "1.234", "1234"),
        ("en-US", "1.234", "1,234"),
        ("de", "1.10", "10. Jan"),
        ("de", "true", "FALSCH"),
        ("de", "Müller", "Muller"),
        ("de", "Łódź", "Łódz!"),
        ("de", "Berlin", "?erlin"),
        ("de", "text", "Text"),
        ("de", "a b", "a  b"),
        ("de", "2026-03-01 10:15:30", "01.03.2026 10:16"),
        ("de", "2026-03-01 10:15:30", "01.03.2026"),
        ("de", "x", "#"),
        ("de", "1,5", "15"),
        ("de", "1,234", "1234"),
    ] {
        assert!(!undone(country, original, returned), "{country}: {original} {returned}");
    }
}

#[test]
fn letters_are_lost_only_in_encodings_that_lack_them() {
    let lost = |encoding| is_rerendered("Łódź", "?ód?", locale("de"), encoding, None);
    assert!(lost(encoding_rs::WINDOWS_1252));
    assert!(!lost(UTF_8) && !lost(UTF_16LE) && !lost(encoding_rs::WINDOWS_1250));
}

#[test]
fn a_text_that_the_mapping_reads_its_own_way_is_known_again() {
    let money = NumberFormat::new(',', Some('.'), Negative::Leading, Vec::new()).unwrap();
    let number = ValueParser::Decimal(money);
    let date = ValueParser::Date(DateParser::new(&["%d.%m.%y".to_owned()], None).unwrap());
    let us =
        |original, returned, parser| is_rerendered(original, returned, locale("en-US"), UTF_8, Some(parser));
    assert!(us("1.234,50", "1234.5", &number));
    assert!(us("1.234,50", "1,234.50", &number));
    assert!(us("31.12.25", "12/31/2025", &date));
    assert!(!us("1.234,50", "1234.51", &number));
    assert!(!us("31.12.25", "12/30/2025", &date));
}

#[test]
fn the_cells_that_changed_tell_the_country() {
    let told = |delimiter, cells: &[(&str, &str)]| {
        let mut evidence = Evidence::new(delimiter);
        for (original, returned) in cells {
            evidence.see(original, returned, None);
        }
        evidence.locale().name
    };
    assert_eq!(told(',', &[]), "en-US");
    assert_eq!(told(';', &[]), "de");
    assert_eq!(told(';', &[("2026-03-01", "01/03/2026")]), "fr");
    assert_eq!(told(',', &[("2026-03-21", "21/03/2026")]), "en-GB");
    assert_eq!(told(',', &[("2026-03-01", "3/1/2026"), ("2026-03-02", "3/2/2026")]), "en-US");
    assert_eq!(
        told(',', &[("2026-03-01", "1/3/2026"), ("2026-03-02", "3/2/2026"), ("2026-03-03", "3/3/2026")]),
        "en-US"
    );
    assert_eq!(told('\t', &[("2026-03-01", "01.03.2026"), ("1.5", "1,5")]), "de");
    assert_eq!(told(',', &[("1.234", "1234")]), "en-US", "plain digits tell nothing");
    assert_eq!(told(';', &[("x", "y")]), "de");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(original in any::<String>(), returned in any::<String>()) {
        for country in LOCALES {
            let _ = is_rerendered(&original, &returned, country, encoding_rs::WINDOWS_1252, None);
        }
    }

    #[test]
    fn no_text_of_dates_and_numbers_makes_it_panic(
        original in "[0-9]{0,4}[-/. :]?([0-9]{0,3}|Mrz|dec)[-/. :,]?[0-9]{0,4}[T ]?[0-9]{0,2}:?[0-9:]{0,6} ?(pm)?",
        returned in "[0-9]{0,4}[-/. :]?([0-9]{0,3}|Mrz|dec)[-/. :,]?[0-9]{0,4}[T ]?[0-9]{0,2}:?[0-9:]{0,6} ?(pm)?",
    ) {
        for country in LOCALES {
            let _ = is_rerendered(&original, &returned, country, encoding_rs::WINDOWS_1252, None);
        }
    }

    #[test]
    fn a_cell_that_came_back_as_it_went_is_untouched(text in any::<String>()) {
        prop_assert!(undone("de", &text, &text));
    }
}
