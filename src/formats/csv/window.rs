//! The part of a file that is being framed: raw bytes, and beside them their text when the file is not UTF-8. What is
//! framed is always the view, one or the other.

use std::io::Read;

use crate::formats::text::{self, Decoded, LineDecoder};

/// Bytes asked of the file at once. Even, so that UTF-16 is never split inside a unit.
const READ_BYTES: usize = 1 << 18;

/// A sliding window over a file.
pub struct Window {
    input: Box<dyn Read + Send>,
    /// The bytes that are not cut off yet.
    raw: Vec<u8>,
    /// Their text, for files that are not UTF-8.
    decoded: Option<(LineDecoder, Decoded)>,
    /// Offset of `raw[0]` in the file.
    byte: u64,
    /// The file ends with the window.
    ended: bool,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({} bytes from {})", self.raw.len(), self.byte)
    }
}

/// Bytes and text cut off the front of a window.
#[derive(Debug, Default)]
pub struct Cut {
    /// Offset of the first byte in the file.
    pub byte: u64,
    /// The bytes.
    pub raw: Vec<u8>,
    /// Their text, for files that are not UTF-8.
    pub decoded: Option<Decoded>,
}

impl Window {
    /// A window at the start of a file in the encoding with this label, unless a byte order mark says otherwise.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(
        input: Box<dyn Read + Send>,
        declared: &'static encoding_rs::Encoding,
    ) -> std::io::Result<Self> {
        let mut window = Self { input, raw: Vec::new(), decoded: None, byte: 0, ended: false };
        window.read_block()?;
        let (encoding, mark) = text::byte_order_mark(&window.raw).unwrap_or((declared, 0));
        window.raw.drain(..mark);
        window.byte = mark as u64;
        window.decoded = LineDecoder::new(encoding).map(|decoder| {
            let decoded = decoder.start();
            (decoder, decoded)
        });
        window.decode_from(0);
        Ok(window)
    }

    /// What is framed: text in UTF-8, or bytes that are declared to be.
    #[must_use]
    pub fn view(&self) -> &[u8] {
        match &self.decoded {
            Some((_, decoded)) => decoded.text.as_bytes(),
            None => &self.raw,
        }
    }

    /// The encoding of the file.
    #[must_use]
    pub fn encoding(&self) -> &'static encoding_rs::Encoding {
        self.decoded.as_ref().map_or(encoding_rs::UTF_8, |(decoder, _)| decoder.encoding())
    }

    /// Offset in the file of the first byte that is not cut off.
    #[must_use]
    pub fn byte(&self) -> u64 {
        self.byte
    }

    /// The bytes as they came.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// True when the file is read as UTF-8.
    #[must_use]
    pub fn is_utf8(&self) -> bool {
        self.decoded.is_none()
    }

    /// True when the view holds the rest of the file.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads on until the view holds `length` bytes or the file ends.
    ///
    /// # Errors
    /// What the disk says.
    pub fn fill(&mut self, length: usize) -> std::io::Result<()> {
        while self.view().len() < length && !self.ended {
            let from = self.raw.len();
            self.read_block()?;
            self.decode_from(from);
        }
        Ok(())
    }

    /// Reads one block more, if there is one.
    ///
    /// # Errors
    /// What the disk says.
    pub fn fill_more(&mut self) -> std::io::Result<()> {
        self.fill(self.view().len() + 1)
    }

    /// Cuts the first `at` bytes of the view off; a line starts there, or the file ends. `spare` gives its memory.
    pub fn cut(&mut self, at: usize, mut spare: Vec<u8>) -> Cut {
        let byte = self.byte;
        let raw_at = match &self.decoded {
            None => at,
            Some((_, decoded)) if at >= decoded.text.len() => self.raw.len(),
            Some((_, decoded)) => decoded.raw_offset(at),
        };
        let decoded = self.decoded.as_mut().map(|(_, decoded)| decoded.split_front(at, raw_at));
        // The rest is the shorter part: it moves, the chunk keeps its memory.
        spare.clear();
        spare.extend_from_slice(self.raw.get(raw_at..).unwrap_or_default());
        self.raw.truncate(raw_at);
        let raw = std::mem::replace(&mut self.raw, spare);
        self.byte += raw_at as u64;
        Cut { byte, raw, decoded }
    }

    fn read_block(&mut self) -> std::io::Result<()> {
        let wanted = self.raw.len() + READ_BYTES;
        let read = self.input.by_ref().take(READ_BYTES as u64).read_to_end(&mut self.raw)?;
        self.ended = read < READ_BYTES && self.raw.len() < wanted;
        Ok(())
    }

    fn decode_from(&mut self, from: usize) {
        if let Some((decoder, decoded)) = &mut self.decoded {
            decoder.decode(self.raw.get(from..).unwrap_or_default(), from, self.ended, decoded);
        }
    }
}
