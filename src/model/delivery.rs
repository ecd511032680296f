//! The identity of a delivery.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::printable;

/// The name of a delivery in the ledger, reports and commands: a UUIDv7, so that they sort by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(Uuid);

impl DeliveryId {
    /// An identity from a clock reading and ten random bytes (RFC 9562, section 5.7).
    #[must_use]
    pub fn new(unix_millis: u64, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, random).into_uuid())
    }

    /// The identity whose sixteen bytes these are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// When it arrived, in milliseconds since 1970: the clock reading that it was made from.
    #[must_use]
    pub fn unix_millis(&self) -> u64 {
        let [a, b, c, d, e, f, ..] = *self.as_bytes();
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The sixteen bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for DeliveryId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// BLAKE3 of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes()))
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for ContentHash {
    type Error = blake3::HexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A file's name as the file system has it: any bytes but `/` and NUL. Never used as a path below the site without
/// [`FileName::safe`], never shown without [`fmt::Display`], which escapes what a terminal would obey.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(Vec<u8>);

/// Longest name that `safe` yields, in bytes: file systems allow 255, and reports append a suffix and a number.
const SAFE_NAME_BYTES: usize = 200;

impl FileName {
    /// Takes a name as it came.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes as they came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, with invalid UTF-8 replaced; for matching patterns.
    #[must_use]
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// A name of our own making that is safe as the last part of a path and readable in a shell: no separators,
    /// control characters or leading dots; a name that had to change carries a short hash, so two of them differ.
    #[must_use]
    pub fn safe(&self) -> String {
        let text = self.to_text();
        let mut name: String = text
            .chars()
            .map(|c| if printable::is_plain(c) && !matches!(c, '/' | '\\' | ':') { c } else { '_' })
            .collect();
        if name.starts_with('.') || name.starts_with('-') {
            name.replace_range(..1, "_");
        }
        if name.is_empty() {
            name.push('_');
        }
        if name.len() > SAFE_NAME_BYTES || name.as_bytes() != self.0 {
            let cut = (0..=SAFE_NAME_BYTES.min(name.len())).rev().find(|at| name.is_char_boundary(*at));
            name.truncate(cut.unwrap_or(0));
            name.push('~');
            name.push_str(&blake3::hash(&self.0).to_hex()[..8]);
        }
        name
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable::bytes(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_name_stays_as_it_is() {
        assert_eq!(FileName::new("orders_2026-11-20.csv").safe(), "orders_2026-11-20.csv");
        assert_eq!(FileName::new("Aufträge März.csv").safe(), "Aufträge März.csv");
    }

    #[test]
    fn hostile_names_become_safe_and_stay_apart() {
        let hostile: [&[u8]; 7] =
            [b"..", b".", b"a/../b", b"a\nb", b"a\x1b[31mb", b"\xff\xfe", "\u{202e}csv.exe".as_bytes()];
        let mut seen = std::collections::HashSet::new();
        for name in hostile {
            let safe = FileName::new(name).safe();
            assert!(!safe.starts_with('.') && !safe.contains('/'), "{safe}");
            assert!(safe.chars().all(printable::is_plain), "{safe}");
            assert!(seen.insert(safe));
        }
        assert!(FileName::new(vec![b'x'; 255]).safe().len() < 215);
        assert!(FileName::new("ä".repeat(127)).safe().len() < 215);
    }

    #[test]
    fn a_delivery_id_reads_back() {
        let id = DeliveryId::new(1_700_000_000_000, &[7; 10]);
        assert_eq!(id.to_string().parse::<DeliveryId>().unwrap(), id);
        assert_eq!(id.unix_millis(), 1_700_000_000_000);
    }
}
