//! What a returned report looks like, after whatever program it went through: its encoding, and what stands between cells.
//!
//! A report is known by a cell of its first line, not by its name. Wharf writes it as UTF-8 with commas; Excel gives it back
//! with semicolons in Windows-1252, or with tabs in UTF-16.

use std::io::{self, Read};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::{formats::text, rejects::rejects_csv::ID_COLUMN};

/// So much of a file's start is looked at to know it: the first line of a report with a hundred columns.
pub const HEAD_BYTES: usize = 4096;

/// What may stand between the cells of a returned report.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// How a returned report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its encoding.
    pub encoding: &'static Encoding,
    /// Between its cells; one of four ASCII characters.
    pub delimiter: char,
}

/// True when a file that begins with `head` is a returned report. [`HEAD_BYTES`] are enough to tell.
#[must_use]
pub fn is_returned(head: &[u8]) -> bool {
    guess(head).is_some()
}

/// How a returned report is written; none when it is none. Reads to the end if the start does not tell the encoding.
///
/// # Errors
/// What the disk says.
pub fn written(input: &mut impl Read) -> io::Result<Option<Written>> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let Some((encoding, delimiter)) = guess(&head) else { return Ok(None) };
    let encoding = match encoding {
        Some(encoding) => encoding,
        None if is_utf8(head, input)? => UTF_8,
        // What programs write that do not write UTF-8; every byte means something in it.
        None => WINDOWS_1252,
    };
    Ok(Some(Written { encoding, delimiter }))
}

/// The encoding, if it is beyond doubt, and the delimiter.
fn guess(head: &[u8]) -> Option<(Option<&'static Encoding>, char)> {
    let (known, mark) = match text::byte_order_mark(head) {
        Some((encoding, mark)) => (Some(encoding), mark),
        None => (wide(head), 0),
    };
    let body = head.get(mark..)?;
    let (text, _) =
        known.unwrap_or(UTF_8).decode_without_bom_handling(body.get(..HEAD_BYTES.min(body.len()))?);
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    let mut first = lines.next()?;
    if first.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("sep=")) {
        first = lines.next()?;
    }
    Some((known, beside_id(first)?))
}

/// UTF-16 without a mark: every second byte of ASCII text is zero.
fn wide(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [0, second, 0, fourth, ..] if *second != 0 && *fourth != 0 => Some(UTF_16BE),
        [first, 0, third, 0, ..] if *first != 0 && *third != 0 => Some(UTF_16LE),
        _ => None,
    }
}

/// The delimiter beside the cell that names the ids; none when there is no such cell.
fn beside_id(line: &str) -> Option<char> {
    let lower = line.to_ascii_lowercase();
    lower.match_indices(ID_COLUMN).find_map(|(at, found)| {
        // A byte order mark may stand there twice.
        let around = |c: &char| !matches!(c, '"' | ' ' | '\u{a0}' | '\'' | '\u{feff}');
        let before = lower.get(..at)?.chars().rev().find(around);
        let after = lower.get(at + found.len()..)?.chars().find(around);
        match (before, after) {
            (None, None) => Some(','),
            (Some(beside), None) | (None, Some(beside)) => DELIMITERS.contains(&beside).then_some(beside),
            (Some(before), Some(after)) => {
                (DELIMITERS.contains(&before) && before == after).then_some(before)
            }
        }
    })
}

/// True when `start` and the rest of the file are UTF-8. In memory, one block at a time.
fn is_utf8(start: Vec<u8>, rest: &mut impl Read) -> io::Result<bool> {
    const BLOCK_BYTES: u64 = 1 << 16;
    let mut block = start;
    loop {
        let cut = match std::str::from_utf8(&block) {
            Ok(_) => block.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Ok(false),
        };
        block.drain(..cut);
        let cut_short = block.len();
        if rest.by_ref().take(BLOCK_BYTES).read_to_end(&mut block)? == 0 {
            return Ok(cut_short == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<(&'static str, char)> {
        let found = written(&mut &*bytes).unwrap();
        assert_eq!(found.is_some(), is_returned(bytes));
        found.map(|found| (found.encoding.name(), found.delimiter))
    }

    fn wide(text: &str, mark: bool, big: bool) -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn a_report_is_known_by_its_first_header_in_every_dialect() {
        for (text, delimiter) in [
            ("wharf_reject_id,Order No\n1,2\n", ','),
            ("wharf_reject_id;Order No;\r\n", ';'),
            ("\"wharf_reject_id\"\t\"Order No\"\r\n", '\t'),
            ("\"wharf_reject_id\"|Order No\r", '|'),
            ("WHARF_REJECT_ID;x", ';'),
            ("sep=;\r\nwharf_reject_id;x\r\n", ';'),
            ("wharf_reject_id", ','),
            ("Order No;wharf_reject_id;Date\r\n", ';'),
            ("Order No,Date,wharf_reject_id\n", ','),
            ("\"wharf_reject_id,Order \"\"No\"\"\"\r\n", ','),
        ] {
            assert_eq!(of(text.as_bytes()), Some(("UTF-8", delimiter)), "{text}");
            let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
            assert_eq!(of(&marked), Some(("UTF-8", delimiter)), "{text}");
            let windows = [text.as_bytes(), b"\nM\xfcller"].concat();
            assert_eq!(of(&windows), Some(("windows-1252", delimiter)), "{text}");
            for mark in [true, false] {
                assert_eq!(of(&wide(text, mark, false)), Some(("UTF-16LE", delimiter)), "{text}");
                assert_eq!(of(&wide(text, mark, true)), Some(("UTF-16BE", delimiter)), "{text}");
            }
        }
    }

    #[test]
    fn a_byte_order_mark_that_stands_there_twice_does_no_harm() {
        let twice = "\u{feff}\u{feff}wharf_reject_id;x";
        assert_eq!(of(twice.as_bytes()), Some(("UTF-8", ';')));
        assert_eq!(of(&wide(&twice[3..], true, false)), Some(("UTF-16LE", ';')));
    }

    #[test]
    fn other_files_are_none() {
        for text in [
            "",
            "\u{feff}",
            "Order No,Date\n",
            "Order No\nwharf_reject_id,x\n",
            "wharf_reject_ids,x\n",
            "my_wharf_reject_id,x\n",
            "a wharf_reject_id b\n",
            "sep=;",
            "PK\u{3}\u{4}wharf_reject_id",
        ] {
            assert_eq!(of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(of(&[0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn letters_far_behind_the_start_tell_the_encoding_too() {
        let mut text = b"wharf_reject_id,name\n".to_vec();
        text.resize((1 << 17) - 1, b'x');
        let whole = [&text, "ü".as_bytes()].concat();
        assert_eq!(of(&whole), Some(("UTF-8", ',')));
        assert_eq!(of(&whole[..whole.len() - 1]), Some(("windows-1252", ',')));
        assert_eq!(of(&[&text, &b"\xfc!"[..]].concat()), Some(("windows-1252", ',')));
    }
}
