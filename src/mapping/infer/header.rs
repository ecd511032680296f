//! Where the header of a sample stands, or that it has none.

use super::{dialect::Row, forms::Forms, moments::Moments, numbers::Numbers};

/// Records that a header is compared with.
const COMPARED_ROWS: usize = 200;

/// What the first records of a sample are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Lines before the header or the first record.
    pub skip_rows: usize,
    /// Names; none without a header.
    pub header: Option<Vec<String>>,
    /// Why columns go by number although there is a header.
    pub by_number: Option<String>,
    /// Fields of a record.
    pub width: usize,
    /// Each line ends with a delimiter that ends no field.
    pub trailing_delimiter: bool,
    /// The first record among the rows.
    pub first: usize,
}

/// Finds the header among `rows`, of which most have `width` fields.
#[must_use]
pub fn find(rows: &[Row], width: usize) -> Layout {
    let start = first_full(rows, width);
    let row = |at: usize| rows.get(at);
    let forms = Forms::new();
    let behind = |at: usize| rows.get(at..).unwrap_or_default();
    let is_header =
        |at: usize| row(at).is_some_and(|row| looks_like_names(row, behind(at + 1), width, &forms));
    // A header may be one field short of its records, or have one too many.
    let other_width = start.checked_sub(1).filter(|before| {
        row(*before).is_some_and(|row| {
            let fields = row.cells.len();
            fields >= 2 && fields.abs_diff(width) <= 3.max(width / 4) && 10 * row.filled() >= 6 * fields
        }) && !is_header(start)
            && is_header(*before)
    });
    let header_at = other_width.or_else(|| is_header(start).then_some(start));
    let first = header_at.map_or(start, |at| at + 1);
    let records = behind(first);
    let last_is_empty =
        |row: &Row| row.cells.len() != width || row.cells.last().is_some_and(String::is_empty);
    let all_end_so = !records.is_empty() && records.iter().all(last_is_empty);
    let mut header = header_at.and_then(row).map(|row| row.cells.clone());
    let ends_so = |names: &[String]| {
        names.len() + 1 == width
            || names.len() == width && names.last().is_some_and(String::is_empty) && !ends_twice(names)
    };
    let trailing_delimiter = width > 1 && all_end_so && header.as_deref().is_none_or(ends_so);
    if let Some(names) = &mut header
        && trailing_delimiter
        && names.len() == width
    {
        names.pop();
    }
    let width = if trailing_delimiter { width - 1 } else { width };
    let by_number = header.as_deref().and_then(|names| why_by_number(names, records, width));
    let anchor = match (&by_number, header_at) {
        (None, Some(at)) => at,
        _ => first,
    };
    let line = row(anchor).map_or_else(|| rows.last().map_or(0, |row| row.line + row.lines), |row| row.line);
    let skip_rows = if anchor == 0 { 0 } else { line };
    Layout { skip_rows, header, by_number, width, trailing_delimiter, first }
}

/// More than one column without a name at the end: spreadsheets write those.
fn ends_twice(names: &[String]) -> bool {
    names.len() > 1 && names.get(names.len() - 2).is_some_and(String::is_empty)
}

/// The first record that is about as full as the others: titles may be padded with delimiters.
fn first_full(rows: &[Row], width: usize) -> usize {
    let mut filled: Vec<usize> =
        rows.iter().filter(|row| row.cells.len() == width).map(Row::filled).collect();
    filled.sort_unstable();
    let typical = filled.get(filled.len() / 2).copied().unwrap_or(1).max(1);
    // A column of row numbers often has no name, and stands in front.
    let lacks_first =
        |row: &Row| row.filled() + 1 >= typical && row.cells.first().is_some_and(String::is_empty);
    let is_full = |row: &Row| {
        row.cells.len() == width && row.filled() > 0 && (10 * row.filled() >= 6 * typical || lacks_first(row))
    };
    rows.iter().position(is_full).unwrap_or(0)
}

/// True when a row is more likely the names of the columns than a record like those behind it.
fn looks_like_names(row: &Row, records: &[Row], width: usize, forms: &Forms) -> bool {
    let records: Vec<&Row> =
        records.iter().filter(|row| row.cells.len() == width).take(COMPARED_ROWS).collect();
    if row.filled() == 0 {
        return false;
    }
    if records.is_empty() {
        return row.cells.iter().all(|cell| cell.is_empty() || is_label(cell))
            && row.filled() > row.cells.len() / 2;
    }
    let mut score = 0.0;
    for (at, name) in row.cells.iter().enumerate() {
        let values = || records.iter().filter_map(|row| row.cells.get(at)).filter(|cell| !cell.is_empty());
        let count = values().count();
        score += match (name.is_empty(), count) {
            (true, 0) => 0.0,
            (true, _) => -0.3,
            (false, 0) => 0.2,
            (false, _) => compared(name, &values().map(String::as_str).collect::<Vec<_>>(), forms),
        };
    }
    let mut names: Vec<String> =
        row.cells.iter().filter(|cell| !cell.is_empty()).map(|name| name.to_lowercase()).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    score -= (all - names.len()) as f64 * 0.7;
    score > 0.0
}

/// How much a name speaks for being one, above the values of its column.
fn compared(name: &str, values: &[&str], forms: &Forms) -> f64 {
    let is_typed = |texts: &[&str]| {
        let (mut numbers, mut moments) = (Numbers::new(false), Moments::default());
        for text in texts {
            numbers.add(text);
            moments.add(text, forms);
        }
        let enough = texts.len() as u64 * 9;
        numbers.fits * 10 >= enough || moments.fitting() * 10 >= enough
    };
    match (is_typed(values), is_typed(&[name])) {
        (true, false) => return 1.0,
        (true, true) => return -1.0,
        (false, true) => return -0.7,
        (false, false) => {}
    }
    if values.contains(&name) {
        return -0.8;
    }
    let lengths = values.iter().map(|value| value.chars().count());
    let (least, most) = (lengths.clone().min().unwrap_or(0), lengths.max().unwrap_or(0));
    let own = name.chars().count();
    let has_digits = |text: &str| text.chars().any(|c| c.is_ascii_digit());
    let mut score = if is_label(name) { 0.2 } else { -0.4 };
    score += if is_usual(name) { 0.6 } else { 0.0 };
    // Codes all of one length below a word of another, or with digits below one that has none.
    if values.len() > 1 && least == most && own != most {
        score += 0.4;
    }
    if !has_digits(name) && values.iter().filter(|value| has_digits(value)).count() * 2 > values.len() {
        score += 0.4;
    }
    score
}

/// True for what may well be a name: it begins with a letter, and is short.
fn is_label(text: &str) -> bool {
    let first = text.chars().next();
    let starts_well = first
        .is_some_and(|c| c.is_alphabetic() || matches!(c, '_' | '#' | '%' | '€' | '£' | '$' | '*' | '['));
    starts_well && text.chars().count() <= 80 && !text.contains('@') && !text.contains("://")
}

/// True for words that stand in many headers, and rarely below one.
fn is_usual(name: &str) -> bool {
    const WORDS: [&str; 46] = [
        "id",
        "no",
        "nr",
        "name",
        "date",
        "datum",
        "code",
        "number",
        "nummer",
        "type",
        "typ",
        "status",
        "amount",
        "betrag",
        "price",
        "preis",
        "qty",
        "quantity",
        "menge",
        "email",
        "mail",
        "phone",
        "telefon",
        "street",
        "city",
        "ort",
        "zip",
        "plz",
        "country",
        "land",
        "currency",
        "description",
        "text",
        "value",
        "total",
        "key",
        "first",
        "last",
        "customer",
        "order",
        "account",
        "iban",
        "address",
        "supplier",
        "created",
        "updated",
    ];
    let folded = name.to_lowercase();
    name.contains('_') || folded.split(|c: char| !c.is_alphanumeric()).any(|word| WORDS.contains(&word))
}

/// Why columns have to be taken by number below this header, if they have to.
fn why_by_number(names: &[String], records: &[Row], width: usize) -> Option<String> {
    if names.len() != width {
        let (names, fields) = (names.len(), width);
        return Some(format!("the header has {names} names, but the records have {fields} fields"));
    }
    let folded: Vec<String> = names.iter().map(|name| super::naming::folded(name)).collect();
    let mut seen = std::collections::HashSet::new();
    for (name, shown) in folded.iter().zip(names) {
        if !name.is_empty() && !seen.insert(name) {
            return Some(format!("the header names \"{}\" twice", crate::model::printable::short(shown, 40)));
        }
    }
    let holds = |at: usize| records.iter().any(|row| row.cells.get(at).is_some_and(|cell| !cell.is_empty()));
    let unnamed = names.iter().enumerate().find(|(at, name)| name.is_empty() && holds(*at));
    unnamed.map(|(at, _)| format!("column {} has values but no name", at + 1))
}

#[cfg(test)]
mod tests {
    use super::{super::dialect, *};

    fn layout(text: &str) -> Layout {
        let rows = dialect::rows(text, &dialect::dialect(",", Some(b'"'), None), true, 500);
        let width = rows.iter().map(|row| row.cells.len()).max().unwrap();
        find(&rows, width)
    }

    fn names(text: &str) -> Option<String> {
        layout(text).header.map(|names| names.join("|"))
    }

    #[test]
    fn names_above_typed_values_are_a_header() {
        assert_eq!(
            names("order,day,amount\nA1,2025-01-01,5\nA2,2025-01-02,6\n").as_deref(),
            Some("order|day|amount")
        );
        assert_eq!(names("First Name,City\nAda,London\nBob,Paris\n").as_deref(), Some("First Name|City"));
        assert_eq!(names("id,name\n").as_deref(), Some("id|name"));
    }

    #[test]
    fn records_from_the_first_line_on_are_no_header() {
        assert_eq!(names("1,Ada,2025-01-01\n2,Bob,2025-01-02\n"), None);
        assert_eq!(names("A17,Ada,open\nA18,Bob,open\nA19,Cy,closed\n"), None);
        assert_eq!(names("17,Ada\n"), None);
    }

    #[test]
    fn a_header_that_cannot_name_all_columns_is_left_out_and_they_go_by_number() {
        let found = layout("id,amount,amount\n1,2,3\n2,3,4\n");
        assert_eq!(
            (found.skip_rows, found.by_number.as_deref()),
            (1, Some("the header names \"amount\" twice"))
        );
        let found = layout(",name,amount\n0,Ada,3\n1,Bob,4\n");
        assert_eq!(found.by_number.as_deref(), Some("column 1 has values but no name"));
        let found = layout("id,name\n1,Ada,3\n2,Bob,4\n3,Cy,5\n");
        assert_eq!(found.by_number.as_deref(), Some("the header has 2 names, but the records have 3 fields"));
    }

    #[test]
    fn titles_padded_with_delimiters_are_no_header() {
        let found = layout("Report,,\n,,\nno,name,amount\n1,Ada,3\n2,Bob,4\n3,Cy,5\n");
        assert_eq!(
            (found.skip_rows, found.header.map(|names| names.join("|")).as_deref()),
            (2, Some("no|name|amount"))
        );
    }
}
