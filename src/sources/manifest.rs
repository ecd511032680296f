//! A manifest as written: the names of the files that belong together, one a line, each with its size if the writer knows
//! it. Pure.

use thiserror::Error;

use crate::model::FileName;

/// A manifest is read whole: more would be no list of files any more.
pub(super) const MOST_BYTES: u64 = 10_000_000;
/// More files in one batch than a folder can well hold.
pub(super) const MOST_NAMES: usize = 100_000;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One file that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name, in the folder of the manifest.
    pub(super) name: Box<[u8]>,
    /// Its length in bytes, if the manifest tells it.
    pub(super) length: Option<u64>,
}

/// Why a manifest cannot be followed.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum ManifestError {
    /// Longer than [`MOST_BYTES`].
    #[error("it is longer than 10 MB, so it is no manifest; correct it or take it away")]
    TooLong,
    /// More names than [`MOST_NAMES`].
    #[error("it names more than 100000 files; split the batch")]
    TooMany,
    /// A name that leads out of the folder.
    #[error("line {line} names {name}, which is not a plain file name; name files of the same folder only")]
    NotPlain {
        /// Counted from 1.
        line: usize,
        /// As written.
        name: FileName,
    },
    /// No names at all.
    #[error("it names no file; list one file name a line")]
    Empty,
}

/// Reads a manifest. Blank lines and lines that begin with `#` are skipped; behind a name a tab, `;` or `,` and the
/// size in bytes may stand.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Entry>, ManifestError> {
    if text.len() as u64 > MOST_BYTES {
        return Err(ManifestError::TooLong);
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut entries = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (name, length) = split(line);
        if name.is_empty()
            || name == b"."
            || name == b".."
            || name.iter().any(|byte| matches!(byte, b'/' | 0))
        {
            return Err(ManifestError::NotPlain { line: index + 1, name: FileName::new(name) });
        }
        if entries.len() == MOST_NAMES {
            return Err(ManifestError::TooMany);
        }
        entries.push(Entry { name: name.into(), length });
    }
    if entries.is_empty() { Err(ManifestError::Empty) } else { Ok(entries) }
}

/// The name and the size. What stands behind the last separator and is no number belongs to the name, as names may have
/// commas.
fn split(line: &[u8]) -> (&[u8], Option<u64>) {
    let Some(at) = line.iter().rposition(|byte| matches!(byte, b'\t' | b';' | b',')) else {
        return (line, None);
    };
    let (name, rest) = line.split_at(at);
    let digits = rest.get(1..).unwrap_or_default().trim_ascii();
    let number = digits
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten();
    match number {
        Some(length) => (name.trim_ascii_end(), Some(length)),
        None if digits.is_empty() => (name.trim_ascii_end(), None),
        None => (line, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(String, Option<u64>)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|entry| (String::from_utf8_lossy(&entry.name).into_owned(), entry.length))
            .collect()
    }

    #[test]
    fn names_stand_one_a_line_with_or_without_a_size() {
        let text =
            b"\xef\xbb\xbf# batch 7\r\na.csv\t10\r\nb.csv;20\r\n\r\nc.csv, 30\r\nd.csv\r\ne, f.csv\ng.csv;";
        let expected = [
            ("a.csv", Some(10)),
            ("b.csv", Some(20)),
            ("c.csv", Some(30)),
            ("d.csv", None),
            ("e, f.csv", None),
            ("g.csv", None),
        ];
        assert_eq!(read(text), expected.map(|(name, length)| (name.to_owned(), length)));
    }

    #[test]
    fn names_need_not_be_text() {
        assert_eq!(&*parse(b"a\xff.csv;1\n").unwrap()[0].name, b"a\xff.csv");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_with_their_line() {
        for name in ["../a.csv", "/etc/passwd", "sub/a.csv", "..", ".", ";5"] {
            let error = parse(format!("ok.csv\n{name}\n").as_bytes()).unwrap_err();
            assert!(matches!(error, ManifestError::NotPlain { line: 2, .. }), "{name}: {error}");
        }
        let error = parse(b"a\x1b/b").unwrap_err().to_string();
        assert!(error.starts_with(r"line 1 names a\u{1b}/b, which is not a plain file name"), "{error}");
    }

    #[test]
    fn a_manifest_has_its_limits() {
        assert_eq!(parse(b"\n# nothing\n"), Err(ManifestError::Empty));
        assert_eq!(parse(&b"a\n".repeat(MOST_NAMES)).unwrap().len(), MOST_NAMES);
        assert_eq!(parse(&b"a\n".repeat(MOST_NAMES + 1)), Err(ManifestError::TooMany));
        assert_eq!(parse(&b"#23456789\n".repeat(1_000_001)), Err(ManifestError::TooLong));
    }

    #[test]
    fn a_size_beyond_any_file_is_part_of_the_name() {
        assert_eq!(read(b"a;99999999999999999999999"), [("a;99999999999999999999999".to_owned(), None)]);
    }
}
