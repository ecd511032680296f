//! Names: of columns from a header, of the mapping from its samples, and the pattern of the files' names.

use std::collections::HashSet;

use crate::{formats::csv, mapping::NamePattern};

/// The longest name that PostgreSQL keeps whole.
const MOST_CHARACTERS: usize = 63;

/// Words that databases do not take for a column's name without quotes.
const RESERVED: [&str; 62] = [
    "all",
    "and",
    "any",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "cross",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "in",
    "index",
    "inner",
    "into",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "primary",
    "references",
    "right",
    "select",
    "set",
    "table",
    "then",
    "to",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
];
const MORE_RESERVED: [&str; 5] = ["when", "where", "window", "with", "natural"];

/// A header's name in the form in which names are compared.
#[must_use]
pub fn folded(name: &str) -> String {
    csv::folded(name)
}

/// A name in small ASCII letters, digits and underscores; empty when nothing of it is left.
#[must_use]
pub fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before: Option<char> = None;
    let mut characters = name.chars().peekable();
    while let Some(c) = characters.next() {
        let next_is_small = characters.peek().is_some_and(|next| next.is_lowercase());
        let begins_word = c.is_uppercase()
            && before
                .is_some_and(|b| b.is_lowercase() || b.is_ascii_digit() || b.is_uppercase() && next_is_small);
        if begins_word {
            separate(&mut out);
        }
        match c {
            '%' => word(&mut out, "percent"),
            '#' | '№' => word(&mut out, "no"),
            '&' => word(&mut out, "and"),
            c if c.is_ascii_alphanumeric() => out.push(c.to_ascii_lowercase()),
            '\'' | '’' => {}
            c => match plain(c) {
                Some(letters) => out.push_str(letters),
                None => separate(&mut out),
            },
        }
        before = Some(c);
    }
    let trimmed = out.trim_matches('_');
    let cut: String = trimmed.chars().take(MOST_CHARACTERS).collect();
    cut.trim_end_matches('_').to_owned()
}

fn separate(out: &mut String) {
    if !out.is_empty() && !out.ends_with('_') {
        out.push('_');
    }
}

fn word(out: &mut String, word: &str) {
    separate(out);
    out.push_str(word);
    out.push('_');
}

/// A letter of Europe in ASCII; none for other characters.
fn plain(c: char) -> Option<&'static str> {
    Some(match c.to_lowercase().next().unwrap_or(c) {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' | 'œ' => "oe",
        'ü' => "ue",
        'ß' => "ss",
        'à' | 'á' | 'â' | 'ã' | 'ā' | 'ă' | 'ą' => "a",
        'å' => "aa",
        'ç' | 'ć' | 'č' | 'ĉ' | 'ċ' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ģ' | 'ġ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ō' | 'ő' => "o",
        'ŕ' | 'ř' => "r",
        'ś' | 'ş' | 'š' | 'ș' => "s",
        'ţ' | 'ť' | 'ț' => "t",
        'þ' => "th",
        'ù' | 'ú' | 'û' | 'ū' | 'ů' | 'ű' | 'ų' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

/// Gives each column of a draft a name of its own that every database takes.
#[derive(Debug, Default)]
pub struct Namer {
    taken: HashSet<String>,
}

impl Namer {
    /// The name for the column that the file calls `name`, or whose number is `number`.
    pub fn name(&mut self, name: &str, number: usize) -> String {
        let mut base = snake(name);
        if base.is_empty() {
            base = format!("column_{number}");
        }
        if base.starts_with(|c: char| c.is_ascii_digit()) {
            base.insert_str(0, "c_");
        }
        if RESERVED.contains(&base.as_str()) || MORE_RESERVED.contains(&base.as_str()) {
            base.push_str("_value");
        }
        base.truncate(MOST_CHARACTERS);
        let mut candidate = base.clone();
        let mut times = 2;
        while !self.taken.insert(candidate.clone()) {
            let suffix = format!("_{times}");
            candidate = base.chars().take(MOST_CHARACTERS - suffix.len()).chain(suffix.chars()).collect();
            times += 1;
        }
        candidate
    }
}

/// A part of a file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A date, with its format.
    Date(&'static str),
    /// Other digits.
    Digits,
}

/// Formats of dates in file names: (format, what stands there: a digit for each 9).
const NAME_DATES: [(&str, &str); 13] = [
    ("%Y%m%d%H%M%S", "99999999999999"),
    ("%Y-%m-%d", "9999-99-99"),
    ("%Y_%m_%d", "9999_99_99"),
    ("%Y.%m.%d", "9999.99.99"),
    ("%d-%m-%Y", "99-99-9999"),
    ("%d.%m.%Y", "99.99.9999"),
    ("%d_%m_%Y", "99_99_9999"),
    ("%Y%m%d", "99999999"),
    ("%d%m%Y", "99999999"),
    ("%Y-%m", "9999-99"),
    ("%Y_%m", "9999_99"),
    ("%Y%m", "999999"),
    ("%y%m%d", "999999"),
];

fn pieces(name: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_digit()
            && let Some((format, length)) =
                NAME_DATES.iter().find_map(|(format, form)| date_at(rest, format, form))
        {
            pieces.push(Piece::Date(format));
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        if c.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            pieces.push(Piece::Digits);
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        match pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => pieces.push(Piece::Text(c.into())),
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    pieces
}

fn date_at(rest: &str, format: &'static str, form: &str) -> Option<(&'static str, usize)> {
    let head = rest.get(..form.len())?;
    let fits = head
        .bytes()
        .zip(form.bytes())
        .all(|(byte, form)| if form == b'9' { byte.is_ascii_digit() } else { byte == form });
    let ends = !rest.get(form.len()..)?.starts_with(|c: char| c.is_ascii_digit());
    if !fits || !ends {
        return None;
    }
    let is_date = NamePattern::parse(&format!("{{date:{format}}}")).is_ok_and(|pattern| pattern.takes(head));
    // Numbers look like dates too; dates of our time are from 1970 to 2069.
    let year = match format.find("%Y") {
        None => return is_date.then_some((format, form.len())),
        Some(0) => head.get(..4),
        Some(_) => head.get(head.len() - 4..),
    };
    let ours =
        year.and_then(|year| year.parse::<u16>().ok()).is_some_and(|year| (1970..2070).contains(&year));
    (is_date && ours).then_some((format, form.len()))
}

/// The pattern that the name of a sample speaks for.
fn pattern(name: &str) -> String {
    let mut pattern = String::new();
    let mut has_date = false;
    for piece in pieces(name) {
        match piece {
            Piece::Text(text) => {
                pattern.push_str(&text.replace('{', "{{").replace('}', "}}").replace(['/', '\\'], "?"))
            }
            Piece::Date(format) if !has_date => {
                has_date = true;
                pattern.push_str(&format!("{{date:{format}}}"));
            }
            Piece::Date(_) | Piece::Digits if pattern.ends_with('*') => {}
            Piece::Date(_) | Piece::Digits => pattern.push('*'),
        }
    }
    match NamePattern::parse(&pattern) {
        Ok(parsed) if parsed.takes(name) => pattern,
        _ => "*".to_owned(),
    }
}

/// The patterns for files named like these.
#[must_use]
pub fn patterns(names: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let pattern = pattern(name);
        if !found.contains(&pattern) {
            found.push(pattern);
        }
    }
    let (Some(first), true) = (found.first(), found.len() > 1) else { return found };
    // Names that differ in one part only become one pattern, if enough of them is the same.
    let common = |a: &str, b: &str| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    let start = found.iter().map(|other| common(first, other)).min().unwrap_or(0);
    let end = found.iter().map(|other| common(&reversed(first), &reversed(other))).min().unwrap_or(0);
    let shortest = found.iter().map(|pattern| pattern.chars().count()).min().unwrap_or(0);
    let prefix: String = first.chars().take(start).collect();
    let suffix: String =
        reversed(&reversed(first).chars().take(end.min(shortest.saturating_sub(start))).collect::<String>());
    let suffix =
        suffix.find(|c: char| !c.is_alphanumeric()).and_then(|at| suffix.get(at..)).unwrap_or_default();
    let joined = format!("{prefix}*{suffix}");
    let takes_all =
        NamePattern::parse(&joined).is_ok_and(|pattern| names.iter().all(|name| pattern.takes(name)));
    let is_sound = !prefix.contains('{') || prefix.matches('{').count() == prefix.matches('}').count();
    if takes_all && is_sound && prefix.chars().filter(|c| c.is_alphabetic()).count() >= 3 {
        vec![joined]
    } else {
        found
    }
}

/// The name of the mapping that samples of this name speak for.
#[must_use]
pub fn mapping_name(file: &str) -> String {
    let stem = file.split_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem });
    let words = pieces(stem).into_iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(text),
        _ => None,
    });
    let name = snake(&words.collect::<Vec<_>>().join("_"));
    if name.is_empty() || name.starts_with("sqlite_") { "data".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_small_ascii_words() {
        for (name, expected) in [
            ("Order No.", "order_no"),
            ("OrderNo", "order_no"),
            ("CustomerID", "customer_id"),
            ("VATNumber", "vat_number"),
            ("Straße / Haus-Nr", "strasse_haus_nr"),
            ("Überweisungsbetrag (€)", "ueberweisungsbetrag"),
            ("Discount %", "discount_percent"),
            ("Supplier's name", "suppliers_name"),
            ("名前", ""),
            ("  ", ""),
        ] {
            assert_eq!(snake(name), expected, "{name}");
        }
    }

    #[test]
    fn each_column_has_a_name_of_its_own() {
        let mut namer = Namer::default();
        let names =
            ["Order", "order", "2024", "名前", "Name", "NAME", "name"].map(|name| namer.name(name, 4));
        assert_eq!(names, ["order_value", "order_value_2", "c_2024", "column_4", "name", "name_2", "name_3"]);
        let long = namer.name(&"x".repeat(100), 1);
        assert_eq!((long.len(), namer.name(&"x".repeat(100), 1).len()), (63, 63));
    }

    #[test]
    fn digits_of_file_names_become_dates_or_stars() {
        for (name, expected) in [
            ("orders_20261101.csv", "orders_{date:%Y%m%d}.csv"),
            ("orders_2026-11-01.csv", "orders_{date:%Y-%m-%d}.csv"),
            ("Umsatz_01.11.2026_4711.csv", "Umsatz_{date:%d.%m.%Y}_*.csv"),
            ("export_20261101093000.txt", "export_{date:%Y%m%d%H%M%S}.txt"),
            ("spend-2026-11.csv", "spend-{date:%Y-%m}.csv"),
            ("batch_4711.csv", "batch_*.csv"),
            ("batch_99999999.csv", "batch_*.csv"),
            ("prices.csv", "prices.csv"),
            ("a{b}.csv", "a{{b}}.csv"),
        ] {
            assert_eq!(patterns(&[name.to_owned()]), [expected], "{name}");
        }
    }

    #[test]
    fn several_samples_give_one_pattern_where_their_names_allow() {
        let of = |names: &[&str]| patterns(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["orders_20261101.csv", "orders_20261102.csv"]), ["orders_{date:%Y%m%d}.csv"]);
        assert_eq!(of(&["orders_north.csv", "orders_south.csv"]), ["orders_*.csv"]);
        assert_eq!(of(&["a.csv", "b.csv"]), ["a.csv", "b.csv"]);
    }

    #[test]
    fn the_mapping_is_named_like_its_files() {
        for (name, expected) in [
            ("orders_20261101.csv", "orders"),
            ("Preis-Liste 2026-11-01.csv.gz", "preis_liste"),
            ("20261101.csv", "data"),
        ] {
            assert_eq!(mapping_name(name), expected);
        }
    }
}
