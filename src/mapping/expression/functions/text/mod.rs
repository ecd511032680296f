//! Functions on text. Positions and lengths count characters.

mod run;

use std::sync::Arc;

use self::run::{
    characters, concatenated, count, padded, part, repeat, replace, rewrite, split_at, split_part, substring,
    trimmed,
};
use super::{Function, Kind, Make};
use crate::mapping::expression::{
    Type,
    like::{lower, upper},
    vector::{Bits, Vector},
};

macro_rules! function {
    ($name:literal, $also:expr, $written:expr, $takes:expr, $least:literal, $meaning:literal, $examples:expr, $make:expr) => {
        Function {
            name: $name,
            also: $also,
            written: $written,
            takes: $takes,
            least: $least,
            repeats: false,
            meaning: $meaning,
            examples: $examples,
            make: Make::Plain($make),
        }
    };
}

use Kind::{Integer, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    function!(
        "upper",
        &[],
        &["upper(text)"],
        &[Text],
        1,
        "the text in capitals; a letter whose capital is several letters stays",
        &[("upper('Grüße')", "GRÜßE")],
        |_| {
            let fold = |text: &str, out: &mut String| {
                let start = out.len();
                if text.is_ascii() {
                    out.push_str(text);
                    out.get_mut(start..).unwrap_or_default().make_ascii_uppercase();
                } else {
                    out.extend(text.chars().map(upper));
                }
            };
            Ok((Type::TEXT, rewrite(fold)))
        }
    ),
    function!(
        "lower",
        &[],
        &["lower(text)"],
        &[Text],
        1,
        "the text in small letters",
        &[("lower('GRÜN')", "grün")],
        |_| {
            let fold = |text: &str, out: &mut String| {
                let start = out.len();
                if text.is_ascii() {
                    out.push_str(text);
                    out.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
                } else {
                    out.extend(text.chars().map(lower));
                }
            };
            Ok((Type::TEXT, rewrite(fold)))
        }
    ),
    function!(
        "initcap",
        &[],
        &["initcap(text)"],
        &[Text],
        1,
        "each word with a capital, the rest of it in small letters",
        &[("initcap('ANNA-lena o''neil')", "Anna-Lena O'Neil")],
        |_| {
            Ok((
                Type::TEXT,
                rewrite(|text, out| {
                    let mut within = false;
                    for character in text.chars() {
                        out.push(if within { lower(character) } else { upper(character) });
                        within = character.is_alphanumeric();
                    }
                }),
            ))
        }
    ),
    function!(
        "btrim",
        &["trim"],
        &["trim(text)", "btrim(text, characters)", "TRIM(BOTH characters FROM text)"],
        &[Text, Text],
        1,
        "the text without spaces, or without any of these characters, at its ends",
        &[("trim('  a b ')", "a b"), ("btrim('--7--', '-')", "7")],
        |_| { Ok((Type::TEXT, trimmed(true, true))) }
    ),
    function!(
        "ltrim",
        &[],
        &["ltrim(text [, characters])", "TRIM(LEADING characters FROM text)"],
        &[Text, Text],
        1,
        "the same at its beginning only",
        &[("ltrim('0042', '0')", "42")],
        |_| Ok((Type::TEXT, trimmed(true, false)))
    ),
    function!(
        "rtrim",
        &[],
        &["rtrim(text [, characters])", "TRIM(TRAILING characters FROM text)"],
        &[Text, Text],
        1,
        "the same at its end only",
        &[("rtrim('12.50', '0')", "12.5")],
        |_| Ok((Type::TEXT, trimmed(false, true)))
    ),
    function!(
        "length",
        &["char_length", "character_length"],
        &["length(text)"],
        &[Text],
        1,
        "the number of characters",
        &[("length('Grüße')", "5")],
        |_| { Ok((Type::INTEGER, count(characters))) }
    ),
    function!(
        "substring",
        &["substr"],
        &["substring(text, start [, length])", "SUBSTRING(text FROM start FOR length)"],
        &[Text, Integer, Integer],
        2,
        "the part from a character on, the first is 1",
        &[("substring('SO-1042', 4)", "1042"), ("substring('DE89370400440532013000', 1, 2)", "DE")],
        |_| Ok((Type::TEXT, substring()))
    ),
    function!(
        "left",
        &[],
        &["left(text, n)"],
        &[Text, Integer],
        2,
        "the first n characters; with a negative n all but the last",
        &[("left('DE893704', 2)", "DE"), ("left('12.50 EUR', -4)", "12.50")],
        |_| { Ok((Type::TEXT, part(|text, n| Ok(split_at(text, n).0)))) }
    ),
    function!(
        "right",
        &[],
        &["right(text, n)"],
        &[Text, Integer],
        2,
        "the last n characters; with a negative n all but the first",
        &[("right('SO-1042', 4)", "1042"), ("right('SO-1042', -3)", "1042")],
        |_| {
            Ok((
                Type::TEXT,
                part(|text, n| {
                    // All but the first of them, or all but so many that n are left.
                    let skipped =
                        if n < 0 { n.saturating_neg() } else { characters(text).saturating_sub(n).max(0) };
                    Ok(split_at(text, skipped).1)
                }),
            ))
        }
    ),
    function!(
        "replace",
        &[],
        &["replace(text, part, by)"],
        &[Text, Text, Text],
        3,
        "the text with each such part replaced",
        &[("replace('12 345', ' ', '')", "12345")],
        |_| Ok((Type::TEXT, replace()))
    ),
    function!(
        "split_part",
        &[],
        &["split_part(text, separator, n)"],
        &[Text, Text, Integer],
        3,
        "the n-th of the parts that the separator parts, from the end with a negative n; empty when there is none",
        &[("split_part('DE-HH-22', '-', 2)", "HH"), ("split_part('a/b/c', '/', -1)", "c")],
        |_| Ok((Type::TEXT, split_part()))
    ),
    function!(
        "lpad",
        &[],
        &["lpad(text, length [, fill])"],
        &[Text, Integer, Text],
        2,
        "the text with spaces, or with fill, before it up to a length; longer ones are cut",
        &[("lpad('42', 5, '0')", "00042")],
        |_| Ok((Type::TEXT, padded(true)))
    ),
    function!(
        "rpad",
        &[],
        &["rpad(text, length [, fill])"],
        &[Text, Integer, Text],
        2,
        "the same behind it",
        &[("rpad('ab', 4, '.')", "ab.."), ("rpad('abcdef', 3)", "abc")],
        |_| Ok((Type::TEXT, padded(false)))
    ),
    function!(
        "strpos",
        &["position"],
        &["strpos(text, part)", "POSITION(part IN text)"],
        &[Text, Text],
        2,
        "where the part begins, 0 when it is not there",
        &[("strpos('SO-1042', '-')", "3"), ("POSITION('x' IN 'abc')", "0")],
        |_| {
            Ok((
                Type::INTEGER,
                Arc::new(|rows, arguments| match arguments {
                    [Vector::Text(texts), Vector::Text(parts)] => {
                        Vector::Integer(rows.map(arguments, |row| {
                            let text = texts.get(row);
                            let at = text.find(parts.get(row)).and_then(|at| text.get(..at));
                            Ok(Some(at.map_or(0, |before| characters(before) + 1)))
                        }))
                    }
                    _ => Vector::null(Type::INTEGER),
                }),
            ))
        }
    ),
    function!(
        "starts_with",
        &[],
        &["starts_with(text, part)"],
        &[Text, Text],
        2,
        "true when the text begins with the part",
        &[("starts_with('SO-1042', 'SO-')", "true")],
        |_| {
            Ok((
                Type::BOOLEAN,
                Arc::new(|rows, arguments| match arguments {
                    [Vector::Text(texts), Vector::Text(parts)] => Vector::Boolean(
                        rows.decide(arguments, |row| Ok(Some(texts.get(row).starts_with(parts.get(row))))),
                    ),
                    _ => Vector::Boolean(Bits::One(None)),
                }),
            ))
        }
    ),
    function!(
        "reverse",
        &[],
        &["reverse(text)"],
        &[Text],
        1,
        "the characters in the opposite order",
        &[("reverse('abc')", "cba")],
        |_| { Ok((Type::TEXT, rewrite(|text, out| out.extend(text.chars().rev())))) }
    ),
    function!(
        "repeat",
        &[],
        &["repeat(text, n)"],
        &[Text, Integer],
        2,
        "the text n times",
        &[("repeat('ab', 3)", "ababab")],
        |_| Ok((Type::TEXT, repeat()))
    ),
    Function {
        name: "concat",
        also: &[],
        written: &["concat(value, ...)"],
        takes: &[Kind::Any],
        least: 1,
        repeats: true,
        meaning: "the values as one text; unlike with `||`, NULL counts as nothing",
        examples: &[("concat('no. ', 7, NULL)", "no. 7"), ("'no. ' || NULL", "NULL")],
        make: Make::Plain(|given| Ok((Type::TEXT, concatenated(given, false)))),
    },
    Function {
        name: "concat_ws",
        also: &[],
        written: &["concat_ws(separator, value, ...)"],
        takes: &[Text, Kind::Any],
        least: 2,
        repeats: true,
        meaning: "the values that are not NULL, with the separator between them",
        examples: &[("concat_ws(', ', 'Anna', NULL, 'Hamburg')", "Anna, Hamburg")],
        make: Make::Plain(|given| Ok((Type::TEXT, concatenated(given, true)))),
    },
];
