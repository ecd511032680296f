//! The name of a file's marker: an empty file that its writer leaves beside it when it is whole. Pure.

use thiserror::Error;

use crate::sources::names::{in_progress, stem};

/// The name of a file's marker: `{name}.done`, or `{stem}.ok` for the name without its ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    before: String,
    of: Part,
    after: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Name,
    Stem,
}

/// Why a text is no name of a marker.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MarkerError {
    /// All files would share one marker, or it cannot be told whose it is.
    #[error(
        "it must have {{name}} or {{stem}} in it, once, for the name of the file with or without its ending, as in \
         {{name}}.done"
    )]
    NotOnePart,
    /// It would lie elsewhere.
    #[error("a marker lies in the same folder as its file, so there is no `/` in its name")]
    Elsewhere,
    /// The file would be its own marker.
    #[error("the marker would have the name of its file; add an ending, as in {{name}}.done")]
    Itself,
    /// It would never be seen.
    #[error(
        "files of that name are left alone, as they are still written; begin it without a dot, and end it otherwise"
    )]
    InProgress,
}

impl Marker {
    /// Reads the name of a marker, in which `{name}` stands for the name of the file and `{stem}` for the name
    /// without its ending.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MarkerError> {
        let (before, of, after) = match (text.split_once("{name}"), text.split_once("{stem}")) {
            (Some((before, after)), None) => (before, Part::Name, after),
            (None, Some((before, after))) => (before, Part::Stem, after),
            _ => return Err(MarkerError::NotOnePart),
        };
        if [before, after].iter().any(|part| part.contains("{name}") || part.contains("{stem}")) {
            return Err(MarkerError::NotOnePart);
        }
        if text.contains(['/', '\0']) {
            return Err(MarkerError::Elsewhere);
        }
        if before.is_empty() && after.is_empty() {
            return Err(MarkerError::Itself);
        }
        let marker = Self { before: before.to_owned(), of, after: after.to_owned() };
        if in_progress(&marker.name_for(b"orders.csv")) { Err(MarkerError::InProgress) } else { Ok(marker) }
    }

    /// The name of the marker of a file.
    pub(super) fn name_for(&self, file: &[u8]) -> Vec<u8> {
        let part = if self.of == Part::Name { file } else { stem(file) };
        [self.before.as_bytes(), part, self.after.as_bytes()].concat()
    }

    /// What a marker's name tells of its file: its name or its stem, as [`Marker::part_of`] gives it. None when this
    /// is no marker's name.
    pub(super) fn part_in<'name>(&self, marker: &'name [u8]) -> Option<&'name [u8]> {
        let part = marker.strip_prefix(self.before.as_bytes())?.strip_suffix(self.after.as_bytes())?;
        (!part.is_empty()).then_some(part)
    }

    /// The part of a file's name that its marker repeats.
    pub(super) fn part_of<'name>(&self, file: &'name [u8]) -> &'name [u8] {
        if self.of == Part::Name { file } else { stem(file) }
    }

    /// True when a marker tells the whole name of its file.
    pub(super) fn tells_name(&self) -> bool {
        self.of == Part::Name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_named_after_the_file_with_or_without_its_ending() {
        let cases = [
            ("{name}.done", "orders.csv", "orders.csv.done"),
            ("{stem}.ok", "orders.csv", "orders.ok"),
            ("{stem}.ok", "orders", "orders.ok"),
            ("ready_{name}", "a.b.c", "ready_a.b.c"),
        ];
        for (text, file, expected) in cases {
            let marker = Marker::parse(text).unwrap();
            assert_eq!(marker.name_for(file.as_bytes()), expected.as_bytes());
            assert_eq!(marker.part_in(expected.as_bytes()), Some(marker.part_of(file.as_bytes())));
        }
        let marker = Marker::parse("{name}.done").unwrap();
        assert_eq!(marker.part_in(b"orders.csv"), None);
        assert_eq!(marker.part_in(b".done"), None);
    }

    #[test]
    fn what_cannot_be_a_marker_is_told() {
        let cases = [
            ("done", MarkerError::NotOnePart),
            ("", MarkerError::NotOnePart),
            ("{name}.{stem}.done", MarkerError::NotOnePart),
            ("{name}{name}", MarkerError::NotOnePart),
            ("done/{name}", MarkerError::Elsewhere),
            ("../{name}.done", MarkerError::Elsewhere),
            ("{name}", MarkerError::Itself),
            ("{stem}", MarkerError::Itself),
            (".{name}", MarkerError::InProgress),
            ("{name}.TMP", MarkerError::InProgress),
            ("{name}~", MarkerError::InProgress),
        ];
        for (text, expected) in cases {
            assert_eq!(Marker::parse(text), Err(expected), "{text}");
        }
        assert!(MarkerError::NotOnePart.to_string().contains("{name}.done"));
    }
}
