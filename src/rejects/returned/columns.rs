//! Which column of a returned report is which column of the file that it corrects.
//!
//! Columns may stand in any order, and new ones are left out. One that is gone is taken as it was, unless there is another
//! in its place that nobody knows: then its values may be what was corrected, and nothing is guessed.

use std::collections::{HashMap, VecDeque};

use super::{locale::LOCALES, rerendered::is_rerendered};
use crate::{
    formats::csv::header::folded,
    mapping::nearest,
    model::printable,
    rejects::{
        rejects_csv::{ID_COLUMN, PROBLEMS_COLUMN, RAW_COLUMN},
        spreadsheet::unprotect,
    },
};

/// So many characters of a name are shown.
const SHOWN_CHARACTERS: usize = 60;

/// Where the columns of a file stand in a returned report.
#[derive(Debug, PartialEq, Eq)]
pub struct Columns {
    /// The id.
    pub id: usize,
    /// The text of records without columns.
    pub raw: Option<usize>,
    /// Each column of the file; none when the report has it no more.
    pub of_file: Vec<Option<usize>>,
    /// Names of columns that are nobody's.
    pub ignored: Vec<String>,
}

/// The column of the ids in a returned report, if it has one.
#[must_use]
pub fn id_column(returned: &[String]) -> Option<usize> {
    returned.iter().position(|name| folded(unprotect(name)) == ID_COLUMN)
}

impl Columns {
    /// Finds the columns `file` among those of a returned report.
    ///
    /// # Errors
    /// In words, when columns are gone and others are there that nobody knows.
    pub fn find(file: &[String], returned: &[String]) -> Result<Self, String> {
        let mut places: HashMap<String, VecDeque<usize>> = HashMap::new();
        for (place, name) in returned.iter().enumerate() {
            places.entry(folded(unprotect(name))).or_default().push_back(place);
        }
        // In the order of the report: a file may have columns of our names itself.
        let mut take = |name: &str| places.get_mut(&folded(name)).and_then(VecDeque::pop_front);
        let id = take(ID_COLUMN).ok_or_else(|| format!("the column {ID_COLUMN} is missing"))?;
        let mut of_file: Vec<Option<usize>> = file.iter().map(|name| take(name)).collect();
        let _problems = take(PROBLEMS_COLUMN);
        let raw = take(RAW_COLUMN);
        let last_named = returned.iter().rposition(|name| !name.is_empty()).unwrap_or(0);
        let mut unknown: Vec<usize> =
            places.into_values().flatten().filter(|place| *place <= last_named).collect();
        unknown.sort_unstable();
        for (name, place) in file.iter().zip(&mut of_file) {
            if place.is_none() {
                *place = take_rerendered(name, returned, &mut unknown);
            }
        }
        let is_missing = |(name, place): (&'_ String, &Option<usize>)| place.is_none() && !name.is_empty();
        let missing: Vec<&str> = file
            .iter()
            .zip(&of_file)
            .filter(|(name, place)| is_missing((name, place)))
            .map(|(name, _)| name.as_str())
            .collect();
        let unknown: Vec<&str> =
            unknown.iter().filter_map(|place| returned.get(*place)).map(String::as_str).collect();
        if !missing.is_empty() && !unknown.is_empty() {
            return Err(renamed(&unknown, &missing));
        }
        let ignored = unknown.into_iter().map(|name| printable::short(name, SHOWN_CHARACTERS)).collect();
        Ok(Self { id, raw, of_file, ignored })
    }
}

/// A column whose name a spreadsheet took for a number or a date.
fn take_rerendered(name: &str, returned: &[String], unknown: &mut Vec<usize>) -> Option<usize> {
    let is_it = |place: &usize| {
        let seen = returned.get(*place).map_or("", String::as_str);
        let encoding = encoding_rs::WINDOWS_1252;
        !seen.is_empty() && LOCALES.iter().any(|locale| is_rerendered(name, seen, locale, encoding, None))
    };
    let mut found = unknown.iter().enumerate().filter(|(_, place)| is_it(place));
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Some(unknown.remove(at)),
        _ => None,
    }
}

/// What is said when columns may have been renamed.
fn renamed(unknown: &[&str], missing: &[&str]) -> String {
    const NAMED: usize = 5;
    let quoted = |name: &str| format!("\"{}\"", printable::short(name, SHOWN_CHARACTERS));
    let listed = |names: &[&str]| {
        let first: Vec<String> = names.iter().take(NAMED).map(|name| quoted(name)).collect();
        match names.len().saturating_sub(NAMED) {
            0 => first.join(", "),
            more => format!("{} and {more} more", first.join(", ")),
        }
    };
    let near = unknown.iter().find_map(|name| Some((*name, nearest(name, missing.iter().copied())?)));
    let question = match near {
        Some((name, meant)) => format!("is {} meant to be {}?", quoted(name), quoted(meant)),
        None => "were they renamed?".to_owned(),
    };
    format!(
        "the corrected file lacks {} and has {}, which is not in the report: {question} Give the columns their names back, or take \
         the new ones away, and send the file again",
        listed(missing),
        listed(unknown)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &str) -> Vec<String> {
        names.split(',').map(str::to_owned).collect()
    }

    fn find(file: &str, returned: &str) -> Result<Columns, String> {
        Columns::find(&names(file), &names(returned))
    }

    #[test]
    fn columns_are_found_in_any_order_and_any_case() {
        let found =
            find("No,Due date,Name", "name,wharf_problems,WHARF_reject_ID,due\u{a0}date,No ,wharf_raw,,")
                .unwrap();
        assert_eq!(
            found,
            Columns { id: 2, raw: Some(5), of_file: vec![Some(4), Some(3), Some(0)], ignored: vec![] }
        );
        assert_eq!(id_column(&names("name,wharf_problems,WHARF_reject_ID")), Some(2));
        assert_eq!(id_column(&names("name")), None);
    }

    #[test]
    fn a_column_that_is_gone_is_none_and_one_that_is_new_is_left_out() {
        let found = find("No,Name", "wharf_reject_id,Name").unwrap();
        assert_eq!((found.of_file, found.raw), (vec![None, Some(1)], None));
        let found = find("No,Name", "wharf_reject_id,No,my notes,Name,wharf_problems").unwrap();
        assert_eq!((found.of_file, found.ignored), (vec![Some(1), Some(3)], names("my notes")));
    }

    #[test]
    fn a_column_that_may_have_been_renamed_is_asked_about() {
        let words = find("No,Due date,Name", "wharf_reject_id,No,Due dat,Name").unwrap_err();
        assert_eq!(
            words,
            "the corrected file lacks \"Due date\" and has \"Due dat\", which is not in the report: is \"Due dat\" meant to be \
             \"Due date\"? Give the columns their names back, or take the new ones away, and send the file again"
        );
        let words = find("No,Due date", "wharf_reject_id,No,Fällig").unwrap_err();
        assert!(words.contains("were they renamed?"), "{words}");
        assert!(find("No,Due date", "wharf_reject_id,No,,x").is_err(), "its name was taken away");
    }

    #[test]
    fn names_that_stand_twice_or_are_ours_keep_their_order() {
        let found =
            find("No,Note,Note,wharf_raw", "wharf_reject_id,No,Note,Note,wharf_raw,wharf_problems,wharf_raw")
                .unwrap();
        assert_eq!(found.of_file, [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(found.raw, Some(6));
    }

    #[test]
    fn names_that_a_spreadsheet_took_for_numbers_or_dates_and_protected_ones_are_found() {
        let found = find("001,2026-03-01,-x", "wharf_reject_id,1,01.03.2026,'-x").unwrap();
        assert_eq!(found.of_file, [Some(1), Some(2), Some(3)]);
    }
}
