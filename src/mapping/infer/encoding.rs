//! What the bytes of a sample are text in. UTF-8 proves itself; a byte order mark says it; everything else is a guess, and
//! the draft asks to have it confirmed.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::InferError;
use crate::formats::text;

/// Bytes kept of lines that are not UTF-8, to guess by.
const GUESS_BYTES: usize = 1 << 16;

/// An encoding and how it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The encoding.
    pub encoding: &'static Encoding,
    /// Bytes of a byte order mark.
    pub mark_bytes: usize,
    /// Nothing proves it.
    pub guessed: bool,
}

/// Finds the encoding of a sample that begins with `head`; `whole` says that this is all of it.
///
/// # Errors
/// When this is no text at all.
pub fn find(head: &[u8], whole: bool) -> Result<Found, InferError> {
    if let Some((encoding, mark_bytes)) = text::byte_order_mark(head) {
        return Ok(Found { encoding, mark_bytes, guessed: false });
    }
    let certain = |encoding| Ok(Found { encoding, mark_bytes: 0, guessed: false });
    if let Some(what) = known_binary(head) {
        return Err(InferError::NotText(what.to_owned()));
    }
    match text::suggest(head) {
        Some("utf-16le") => return certain(UTF_16LE),
        Some("utf-16be") => return certain(UTF_16BE),
        _ => {}
    }
    let controls = head
        .iter()
        .filter(|byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1a..=0x1f))
        .count();
    if controls > 8 && controls * 50 > head.len() {
        return Err(InferError::NotText("a program's own format".to_owned()));
    }
    match std::str::from_utf8(head) {
        Ok(_) => return certain(UTF_8),
        Err(error) if error.error_len().is_none() && !whole => return certain(UTF_8),
        Err(_) => {}
    }
    let counts = TextCounts::of(head);
    Ok(counts.encoding().unwrap_or(Found { encoding: UTF_8, mark_bytes: 0, guessed: false }))
}

/// What a file is by its first bytes, if it is a kind that people confuse with text.
fn known_binary(head: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 10] = [
        (b"PK\x03\x04", "a zip archive or a workbook (.xlsx, .ods): unpack it, or save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0", "an old workbook (.xls): save the sheet as CSV"),
        (b"%PDF", "a PDF"),
        (b"\x1f\x8b", "compressed with gzip: unpack it first"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
        (b"BZh", "compressed with bzip2: unpack it first"),
        (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
        (b"PAR1", "a Parquet file"),
        (b"SQLite format 3\0", "a SQLite database"),
        (b"\x7fELF", "a program"),
    ];
    kinds.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what)
}

/// Lines of a part of a file by what they are made of.
#[derive(Clone, Debug, Default)]
pub struct TextCounts {
    /// Lines with letters beyond ASCII that are valid UTF-8.
    pub utf8: u64,
    /// Lines that are not valid UTF-8.
    pub other: u64,
    /// Some of the latter.
    sample: Vec<u8>,
}

impl TextCounts {
    /// Counts the lines of `raw`.
    #[must_use]
    pub fn of(raw: &[u8]) -> Self {
        let mut counts = Self::default();
        if raw.is_ascii() {
            return counts;
        }
        for line in raw.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.is_ascii()) {
            if std::str::from_utf8(line).is_ok() {
                counts.utf8 += 1;
                continue;
            }
            counts.other += 1;
            if counts.sample.len() + line.len() <= GUESS_BYTES {
                counts.sample.extend_from_slice(line);
            }
        }
        if counts.sample.is_empty() && counts.other > 0 {
            counts.sample = raw.get(..raw.len().min(GUESS_BYTES)).unwrap_or_default().to_vec();
        }
        counts
    }

    /// Adds those of another part.
    pub fn add(&mut self, other: Self) {
        self.utf8 += other.utf8;
        self.other += other.other;
        if self.sample.len() + other.sample.len() <= GUESS_BYTES {
            self.sample.extend_from_slice(&other.sample);
        }
    }

    /// The encoding that these lines speak for, unless it is UTF-8: then a line that is not valid is broken.
    #[must_use]
    pub fn encoding(&self) -> Option<Found> {
        if self.other == 0 || self.utf8 >= self.other {
            return None;
        }
        // Signs alone, such as that of the pound, tell no languages apart: most likely they are those of Western Europe.
        let (western, broken) = WINDOWS_1252.decode_without_bom_handling(&self.sample);
        if !broken && !western.chars().any(|c| !c.is_ascii() && c.is_alphabetic()) {
            return Some(Found { encoding: WINDOWS_1252, mark_bytes: 0, guessed: true });
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(&self.sample, true);
        let encoding = detector.guess(None, Utf8Detection::Deny);
        Some(Found { encoding, mark_bytes: 0, guessed: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(head: &[u8]) -> (&'static str, bool) {
        let found = find(head, true).unwrap();
        (found.encoding.name(), found.guessed)
    }

    #[test]
    fn what_proves_itself_is_no_guess() {
        assert_eq!(found(b"a,b\n"), ("UTF-8", false));
        assert_eq!(found("Müller,Köln\n".as_bytes()), ("UTF-8", false));
        assert_eq!(found(b"\xef\xbb\xbfa,b\n"), ("UTF-8", false));
        assert_eq!(found(b"a\0,\0b\0\n\0"), ("UTF-16LE", false));
        assert_eq!(found(b"\xff\xfea\0"), ("UTF-16LE", false));
    }

    #[test]
    fn other_encodings_are_guessed_by_their_letters() {
        assert_eq!(
            found("Straße;M\u{fc}ller;K\u{f6}ln\n".chars().map(|c| c as u8).collect::<Vec<_>>().as_slice()),
            ("windows-1252", true)
        );
        let (russian, _, _) = encoding_rs::WINDOWS_1251.encode("Москва;Санкт-Петербург;Иванов\n");
        assert_eq!(found(&russian), ("windows-1251", true));
        assert_eq!(found(b"Repairs,\xa3120.00\nFees,\xa35.00\n"), ("windows-1252", true));
    }

    #[test]
    fn a_few_broken_lines_do_not_make_another_encoding() {
        assert_eq!(found("Müller\nKöln\nGrün\nM\u{1}\n".as_bytes()), ("UTF-8", false));
        assert_eq!(found(b"M\xc3\xbcller\nK\xc3\xb6ln\nGr\xfcn\n"), ("UTF-8", false));
    }

    #[test]
    fn what_is_no_text_is_said_by_its_kind() {
        for (head, part) in [
            (&b"PK\x03\x04rest"[..], "workbook"),
            (b"%PDF-1.7", "PDF"),
            (&[0_u8, 1, 2, 3, 0, 0, 5, 6, 1, 1, 2, 2, 3, 4, 5, 6, 7][..], "own format"),
        ] {
            assert!(matches!(find(head, true), Err(InferError::NotText(what)) if what.contains(part)));
        }
    }
}
