//! Encodings: bytes become text without a single replacement character.
//!
//! UTF-8 needs no work here; it is checked chunk by chunk on all cores. Every other encoding is decoded in order,
//! line by line, so that each line start of the text is tied to its byte in the file. A sequence that is not valid
//! becomes a `?` in the text and a note of where it stands: the field it stands in is a violation, never a guess.

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Text decoded from a chunk's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The text.
    pub text: String,
    /// Start of each line, and of some pieces of very long ones: (byte in `text`, byte in the chunk's raw bytes),
    /// ascending, the first at (0, 0).
    pub lines: Vec<(u32, u32)>,
    /// Where in `text` a `?` stands for bytes that are not valid, ascending.
    pub invalid: Vec<u32>,
    /// Raw bytes of an ASCII character: 2 in UTF-16, else 1.
    pub bytes_per_ascii: usize,
}

impl Decoded {
    /// The raw byte of the line that starts at or before `at`; exact when a line starts there.
    #[must_use]
    pub fn raw_offset(&self, at: usize) -> usize {
        let after = self.lines.partition_point(|(text, _)| *text as usize <= at);
        after.checked_sub(1).and_then(|index| self.lines.get(index)).map_or(0, |(_, raw)| *raw as usize)
    }

    /// Cuts off and gives back everything before the line that starts at byte `at` of the text, which is byte
    /// `raw_at` of the raw bytes.
    pub(crate) fn split_front(&mut self, at: usize, raw_at: usize) -> Self {
        let rest = self.text.split_off(at);
        let text = std::mem::replace(&mut self.text, rest);
        let shift = |(t, r): &(u32, u32)| (t.saturating_sub(at as u32), r.saturating_sub(raw_at as u32));
        let line = self.lines.partition_point(|(text, _)| (*text as usize) < at);
        let later: Vec<_> = self.lines.get(line..).unwrap_or_default().iter().map(shift).collect();
        self.lines.truncate(line);
        let lines = std::mem::replace(&mut self.lines, later);
        if self.lines.first() != Some(&(0, 0)) {
            self.lines.insert(0, (0, 0));
        }
        let bad = self.invalid.partition_point(|position| (*position as usize) < at);
        let later: Vec<_> =
            self.invalid.get(bad..).unwrap_or_default().iter().map(|p| p - at as u32).collect();
        self.invalid.truncate(bad);
        let invalid = std::mem::replace(&mut self.invalid, later);
        Self { text, lines, invalid, bytes_per_ascii: self.bytes_per_ascii }
    }
}

/// The encoding a label of the WHATWG Encoding Standard names, if it names one that decodes.
#[must_use]
pub fn by_label(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes())
}

/// The encoding and length of the byte order mark that `head` begins with.
#[must_use]
pub fn byte_order_mark(head: &[u8]) -> Option<(&'static Encoding, usize)> {
    Encoding::for_bom(head)
}

/// Decodes a file in order.
pub struct LineDecoder {
    encoding: &'static Encoding,
    decoder: encoding_rs::Decoder,
    /// The text decoded last ended a line.
    at_line_start: bool,
}

impl std::fmt::Debug for LineDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LineDecoder({})", self.encoding.name())
    }
}

impl LineDecoder {
    /// A decoder for `encoding`; none for UTF-8, which is read as it is.
    #[must_use]
    pub fn new(encoding: &'static Encoding) -> Option<Self> {
        (encoding != UTF_8).then(|| Self {
            encoding,
            decoder: encoding.new_decoder_without_bom_handling(),
            at_line_start: false,
        })
    }

    /// What it decodes.
    #[must_use]
    pub fn encoding(&self) -> &'static Encoding {
        self.encoding
    }

    /// What decoding appends to.
    #[must_use]
    pub fn start(&self) -> Decoded {
        let wide = self.encoding == UTF_16LE || self.encoding == UTF_16BE;
        Decoded { bytes_per_ascii: if wide { 2 } else { 1 }, ..Decoded::default() }
    }

    /// Decodes `raw`, which stands at byte `raw_at` of the window that `decoded` describes, and appends to it. `last`
    /// says that the file ends here. UTF-16 comes in even pieces, the last one excepted.
    pub fn decode(&mut self, raw: &[u8], raw_at: usize, last: bool, decoded: &mut Decoded) {
        let mut at = 0;
        while at < raw.len() {
            // Each call notes where it begins, so that a line without end can be let go piece by piece.
            if at == 0 || std::mem::take(&mut self.at_line_start) {
                decoded.lines.push((decoded.text.len() as u32, (raw_at + at) as u32));
            }
            let end = self.line_end(raw, at);
            self.piece(raw.get(at..end).unwrap_or_default(), false, decoded);
            at = end;
        }
        if last {
            self.piece(&[], true, decoded);
        }
    }

    /// The end of the line that starts or goes on at `at`, its line end included.
    fn line_end(&mut self, raw: &[u8], at: usize) -> usize {
        let (found, width) = self.find_line_byte(raw, at);
        let Some(end) = found else { return raw.len() };
        let unit = |position: usize| self.unit(raw, position);
        let mut next = end + width;
        let is_return = unit(end) == Some(u16::from(b'\r'));
        // The line feed of a CR LF stays with its line when it is here already.
        if is_return && unit(next) == Some(u16::from(b'\n')) {
            next += width;
        }
        self.at_line_start = true;
        next.min(raw.len())
    }

    fn unit(&self, raw: &[u8], at: usize) -> Option<u16> {
        if self.encoding == UTF_16LE {
            Some(u16::from_le_bytes([*raw.get(at)?, *raw.get(at + 1)?]))
        } else if self.encoding == UTF_16BE {
            Some(u16::from_be_bytes([*raw.get(at)?, *raw.get(at + 1)?]))
        } else {
            raw.get(at).map(|byte| u16::from(*byte))
        }
    }

    /// The next line feed or carriage return, and how many bytes it takes. In no encoding but UTF-16 are these two
    /// bytes ever part of another character.
    fn find_line_byte(&self, raw: &[u8], at: usize) -> (Option<usize>, usize) {
        if self.encoding != UTF_16LE && self.encoding != UTF_16BE {
            let rest = raw.get(at..).unwrap_or_default();
            return (memchr::memchr2(b'\n', b'\r', rest).map(|offset| at + offset), 1);
        }
        let mut position = at;
        while let Some(unit) = self.unit(raw, position) {
            if unit == u16::from(b'\n') || unit == u16::from(b'\r') {
                return (Some(position), 2);
            }
            position += 2;
        }
        (None, 2)
    }

    fn piece(&mut self, mut raw: &[u8], last: bool, decoded: &mut Decoded) {
        loop {
            let room =
                self.decoder.max_utf8_buffer_length_without_replacement(raw.len()).unwrap_or(raw.len() * 3);
            decoded.text.reserve(room.max(16));
            let (result, read) =
                self.decoder.decode_to_string_without_replacement(raw, &mut decoded.text, last);
            raw = raw.get(read..).unwrap_or_default();
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    decoded.invalid.push(decoded.text.len() as u32);
                    decoded.text.push('?');
                }
            }
        }
    }
}

/// Bytes as text for people to read; what is not valid shows as U+FFFD. An unknown encoding is read as UTF-8.
#[must_use]
pub fn shown<'a>(raw: &'a [u8], encoding: &str) -> std::borrow::Cow<'a, str> {
    by_label(encoding).unwrap_or(UTF_8).decode_without_bom_handling(raw).0
}

/// A guess, for help texts only, at what a file declared as UTF-8 may be.
#[must_use]
pub fn suggest(head: &[u8]) -> Option<&'static str> {
    let sample = head.get(..head.len().min(4096))?;
    let nuls = |odd: usize| sample.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let half = sample.len() / 2;
    if half >= 2 && nuls(1) * 10 >= half * 7 {
        return Some("utf-16le");
    }
    if half >= 2 && nuls(0) * 10 >= half * 7 {
        return Some("utf-16be");
    }
    match std::str::from_utf8(sample) {
        Err(error) if error.error_len().is_some() => Some("windows-1252"),
        _ => None,
    }
}

/// UTF-8 with what is not valid replaced by one `?` a byte, so that every offset stays, and where that was done.
#[must_use]
pub fn repair(raw: &[u8]) -> (String, Vec<u32>) {
    let mut text = String::with_capacity(raw.len());
    let mut invalid = Vec::new();
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        for _ in chunk.invalid() {
            invalid.push(text.len() as u32);
            text.push('?');
        }
    }
    (text, invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: &'static Encoding, pieces: &[&[u8]]) -> Decoded {
        let mut decoder = LineDecoder::new(encoding).unwrap();
        let mut decoded = decoder.start();
        let mut at = 0;
        for (index, piece) in pieces.iter().enumerate() {
            decoder.decode(piece, at, index + 1 == pieces.len(), &mut decoded);
            at += piece.len();
        }
        decoded
    }

    #[test]
    fn latin_text_keeps_the_byte_of_each_line() {
        let decoded = decode(encoding_rs::WINDOWS_1252, &[b"M\xfcller\nK\xf6ln\r\nx"]);
        assert_eq!(decoded.text, "Müller\nKöln\r\nx");
        assert_eq!(decoded.lines, [(0, 0), (8, 7), (15, 13)]);
        assert!(decoded.invalid.is_empty());
    }

    #[test]
    fn utf_16_split_at_any_byte_decodes_the_same() {
        let raw: Vec<u8> = "a,ü\r\n𝄞,b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let whole = decode(UTF_16LE, &[&raw]);
        assert_eq!(whole.text, "a,ü\r\n𝄞,b\n");
        for cut in (0..raw.len()).step_by(2) {
            let (a, b) = raw.split_at(cut);
            assert_eq!(decode(UTF_16LE, &[a, b]).text, whole.text, "cut at {cut}");
        }
    }

    #[test]
    fn a_cut_sequence_at_the_end_is_noted() {
        let decoded = decode(UTF_16LE, &[b"a\0\n\0b"]);
        assert_eq!((decoded.text.as_str(), decoded.invalid.as_slice()), ("a\n?", [2].as_slice()));
        let decoded = decode(encoding_rs::SHIFT_JIS, &[b"ok\n\x82"]);
        assert_eq!((decoded.text.as_str(), decoded.invalid.as_slice()), ("ok\n?", [3].as_slice()));
    }

    #[test]
    fn cutting_the_front_off_keeps_both_halves_consistent() {
        let mut decoded = decode(encoding_rs::WINDOWS_1252, &[b"\xfc\n\xf6\n\xe4"]);
        let front = decoded.split_front(6, 4);
        assert_eq!((front.text.as_str(), front.lines.as_slice()), ("ü\nö\n", [(0, 0), (3, 2)].as_slice()));
        assert_eq!((decoded.text.as_str(), decoded.lines.as_slice()), ("ä", [(0, 0)].as_slice()));
        assert_eq!(decoded.raw_offset(0), 0);
    }

    #[test]
    fn repairing_keeps_every_offset() {
        let (text, invalid) = repair(b"a\xff\xfeb\xc3");
        assert_eq!((text.as_str(), invalid), ("a??b?", vec![1, 2, 4]));
    }

    #[test]
    fn a_likely_encoding_is_suggested() {
        assert_eq!(suggest(b"a\0,\0b\0\n\0"), Some("utf-16le"));
        assert_eq!(suggest(b"\0a\0,\0b\0\n"), Some("utf-16be"));
        assert_eq!(suggest(b"M\xfcller,K\xf6ln"), Some("windows-1252"));
        assert_eq!(suggest("Müller".as_bytes()), None);
    }
}
