//! Problems of configuration files: what is wrong, where, and what to do.
//!
//! A problem carries the excerpt it marks, so it can be shown long after its file was read. Everything that comes
//! from a file is escaped when the problem is made; nothing a terminal would obey gets through, in any rendering.

use std::{collections::HashSet, fmt, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use thiserror::Error;

use crate::model::printable;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// One thing that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user would name it.
    pub file: String,
    /// Where in the file; none when the file as a whole is concerned.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// A place in a file, with what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1; a byte order mark does not count.
    pub column: usize,
    /// The marked text, its first line only.
    pub text: String,
    source: Arc<str>,
    row: Range<usize>,
    mark: Range<usize>,
}

impl Place {
    /// The place of the bytes `span` of `source`. A span that is out of range or cuts a character is moved to where it
    /// makes sense; one that goes over several lines is marked to the end of its first line.
    #[must_use]
    pub fn new(source: &Arc<str>, span: Range<usize>) -> Self {
        let begin = if source.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let start = floor(source, span.start).max(begin);
        let before = source.get(begin..start).unwrap_or_default();
        let after = source.get(start..).unwrap_or_default();
        let row_start = begin + before.rfind('\n').map_or(0, |at| at + 1);
        let row_end = start + after.find('\n').unwrap_or(after.len());
        let row_length = source.get(row_start..row_end).unwrap_or_default().trim_end_matches('\r').len();
        let row = row_start..row_start + row_length;
        let start = start.min(row.end);
        let mark = start..floor(source, span.end).clamp(start, row.end);
        Self {
            line: before.matches('\n').count() + 1,
            column: source.get(row_start..start).unwrap_or_default().chars().count() + 1,
            text: printable::text(source.get(mark.clone()).unwrap_or_default()),
            source: Arc::clone(source),
            row,
            mark,
        }
    }

    /// The line, with every character that a terminal would obey replaced by one that shows, so that columns stay
    /// true; and where the mark stands in it. Tabs are left to the renderer.
    fn excerpt(&self) -> (String, Range<usize>) {
        let row = self.source.get(self.row.clone()).unwrap_or_default();
        let mut shown = String::with_capacity(row.len());
        let (mut from, mut to) = (None, None);
        for (at, character) in row.char_indices() {
            let at = self.row.start + at;
            if at >= self.mark.start {
                from = from.or(Some(shown.len()));
            }
            if at >= self.mark.end {
                to = to.or(Some(shown.len()));
            }
            let plain = character == '\t' || printable::is_plain(character);
            shown.push(if plain { character } else { char::REPLACEMENT_CHARACTER });
        }
        let end = shown.len();
        (shown, from.unwrap_or(end)..to.unwrap_or(end))
    }
}

/// The border of a character of `text` at or before byte `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl Problem {
    /// A problem of a whole file.
    #[must_use]
    pub fn whole(file: &str, message: &str, help: Option<&str>) -> Self {
        Self {
            file: printable::text(file),
            place: None,
            message: printable::text(message),
            help: help.map(printable::text),
        }
    }

    /// A problem of a place in a file.
    #[must_use]
    pub fn at(file: &str, place: Place, message: &str, help: Option<&str>) -> Self {
        Self { place: Some(place), ..Self::whole(file, message, help) }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(&self.message));
        if let Some(place) = &self.place {
            let (excerpt, mark) = place.excerpt();
            let snippet = Snippet::source(excerpt).path(&self.file).line_start(place.line);
            group = group.element(snippet.annotation(AnnotationKind::Primary.span(mark)));
        } else {
            group = group.element(Origin::path(&self.file));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Problem", 6)?;
        object.serialize_field("file", &self.file)?;
        object.serialize_field("line", &self.place.as_ref().map(|place| place.line))?;
        object.serialize_field("column", &self.place.as_ref().map(|place| place.column))?;
        object.serialize_field("text", &self.place.as_ref().map(|place| &place.text))?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("help", &self.help)?;
        object.end()
    }
}

/// How problems are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Text only.
    Plain,
    /// With the colours of a terminal.
    Styled,
}

/// All that is wrong with some files: in the order of the files, and within a file from its top to its end; nothing
/// twice. As JSON it is a list of objects with `file`, `line`, `column`, `text`, `message` and `help`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Puts problems in order. Files keep the order in which they first appear.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Self {
        let mut files: Vec<String> = Vec::new();
        for problem in &problems {
            if !files.contains(&problem.file) {
                files.push(problem.file.clone());
            }
        }
        problems.sort_by_cached_key(|problem| {
            let file = files.iter().position(|file| *file == problem.file);
            (file, problem.place.as_ref().map(|place| (place.mark.start, place.mark.end)))
        });
        let mut seen = HashSet::new();
        problems.retain(|problem| {
            let mark = problem.place.as_ref().map(|place| place.mark.clone());
            seen.insert((problem.file.clone(), mark, problem.message.clone()))
        });
        Self(problems)
    }

    /// True when nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// All of them as text for people, an empty line between two.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let renderer = match look {
            Look::Plain => Renderer::plain(),
            Look::Styled => Renderer::styled(),
        };
        let rendered: Vec<String> = self.0.iter().map(|problem| problem.render(&renderer)).collect();
        rendered.join("\n\n")
    }
}

impl Serialize for Problems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Look::Plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str, span: Range<usize>) -> String {
        let problem =
            Problem::at("a.toml", Place::new(&source.into(), span), "this is wrong", Some("do that"));
        Problems::new(vec![problem]).to_string()
    }

    #[test]
    fn a_problem_is_shown_with_its_line_marked() {
        let text = shown("a = 1\nformt = 2\n", 6..11);
        assert_eq!(
            text,
            "error: this is wrong\n --> a.toml:2:1\n  |\n2 | formt = 2\n  | ^^^^^\n  |\n  = help: do that"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_everywhere() {
        let source = "x = \"\u{1b}[31m\u{9b}2J\u{202e}\"\tz";
        let place = Place::new(&source.into(), 4..20);
        let problem = Problem::at("a\u{1b}.toml", place, "bad \u{1b}[0m", Some("\u{9b}"));
        let problems = Problems::new(vec![problem]);
        for text in [problems.to_string(), serde_json::to_string(&problems).unwrap()] {
            assert!(text.chars().all(|c| c == '\n' || printable::is_plain(c)), "{text}");
        }
        assert!(problems.to_string().contains("x = \"�[31m�2J�\"    z"));
    }

    #[test]
    fn a_long_line_is_cut_around_its_mark() {
        let source = format!("{}BAD{}", "ä".repeat(50_000), "ö".repeat(50_000));
        let text = shown(&source, 100_000..100_003);
        assert!(text.contains("a.toml:1:50001"), "{text}");
        assert!(text.contains("BAD") && text.contains("^^^"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 150), "{text}");
    }

    #[test]
    fn any_span_of_any_text_has_a_place() {
        let source = "\u{feff}ä = 1\r\nb = [\n  1,\n]\n\n";
        for start in 0..source.len() + 3 {
            for end in 0..source.len() + 3 {
                let text = shown(source, start..end);
                assert!(text.contains("error: this is wrong"), "{start}..{end}");
            }
        }
        let place = Place::new(&source.into(), 3..5);
        assert_eq!((place.line, place.column, place.text.as_str()), (1, 1, "ä"));
        let place = Place::new(&source.into(), 15..22);
        assert_eq!((place.line, place.text.as_str()), (2, "["));
    }

    #[test]
    fn problems_come_in_file_order_and_only_once() {
        let source = "a = 1\nb = 2\n";
        let at = |file: &str, start: usize| {
            Problem::at(file, Place::new(&source.into(), start..start + 1), "wrong", None)
        };
        let problems = Problems::new(vec![at("z", 6), at("a", 0), at("z", 0), at("z", 6)]);
        let order: Vec<_> =
            problems.iter().map(|p| (p.file.as_str(), p.place.as_ref().unwrap().line)).collect();
        assert_eq!(order, [("z", 1), ("z", 2), ("a", 1)]);
    }

    #[test]
    fn as_json_a_problem_has_file_line_column_text_message_and_help() {
        let problem = Problem::at("a.toml", Place::new(&"ab = 1".into(), 0..2), "wrong", None);
        let json = serde_json::to_value(Problems::new(vec![problem])).unwrap();
        let expected = serde_json::json!([
            {"file": "a.toml", "line": 1, "column": 1, "text": "ab", "message": "wrong", "help": null}
        ]);
        assert_eq!(json, expected);
    }
}
