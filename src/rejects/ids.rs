//! The ids of rejects: 128 bits that nobody can guess and that lead whoever holds the site's key back to the delivery and
//! the record.
//!
//! An id is the delivery's moment (48 bits), the last 32 bits of its random part and the record's number (48 bits),
//! enciphered with a key of the site: a balanced Feistel network over two halves of 64 bits whose round function is keyed
//! BLAKE3. With four rounds or more this cannot be told from a random permutation (Luby and Rackoff, 1988). So the same
//! reject always has the same id, no two have one id, and an id that was made up leads to a moment at which no delivery
//! came.

use crate::model::DeliveryId;

/// Four are enough; more cost nothing that anybody notices.
const ROUNDS: u8 = 6;
/// So many bits of an id are the record's number.
const RECORD_BITS: u32 = 48;
/// What the site's key is made into, so that no other use of it meets this one.
const KEY_CONTEXT: &str = "wharf 2026-11-20 reject ids";

/// Makes the ids of one delivery's rejects.
#[derive(Clone)]
pub struct RejectIds {
    cipher: Cipher,
    delivery: DeliveryId,
}

/// What an id leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectPlace {
    millis: u64,
    tail: u32,
    /// The record's number in the file of that delivery.
    pub record: u64,
}

impl RejectIds {
    /// The ids of a delivery's rejects, keyed with the site's secret.
    #[must_use]
    pub fn new(key: [u8; 32], delivery: DeliveryId) -> Self {
        Self { cipher: Cipher::new(&key), delivery }
    }

    /// The id of the reject of this record: 128 bits in hex. Records are numbered below 2^48.
    #[must_use]
    pub fn id(&self, record: u64) -> String {
        let (millis, tail) = parts(self.delivery);
        let block = u128::from(millis) << 80
            | u128::from(tail) << RECORD_BITS
            | u128::from(record & ((1 << RECORD_BITS) - 1));
        format!("{:032x}", self.cipher.encipher(block))
    }

    /// Where an id leads, if it is one at all; whether there is such a delivery and reject is another question. Upper case
    /// and white space around it do not matter.
    #[must_use]
    pub fn read(key: &[u8; 32], id: &str) -> Option<RejectPlace> {
        let id = id.trim();
        if id.len() != 32 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let block = Cipher::new(key).decipher(u128::from_str_radix(id, 16).ok()?);
        Some(RejectPlace {
            millis: (block >> 80) as u64,
            tail: (block >> RECORD_BITS) as u32,
            record: (block as u64) & ((1 << RECORD_BITS) - 1),
        })
    }
}

impl RejectPlace {
    /// True when this is a place in that delivery.
    #[must_use]
    pub fn is_in(&self, delivery: DeliveryId) -> bool {
        parts(delivery) == (self.millis, self.tail)
    }

    /// The lowest and the highest identity that the delivery can have.
    #[must_use]
    pub fn range(&self) -> (DeliveryId, DeliveryId) {
        let with = |filler: u8| {
            let mut bytes = [filler; 16];
            for (byte, part) in bytes.iter_mut().zip(self.millis.to_be_bytes().into_iter().skip(2)) {
                *byte = part;
            }
            DeliveryId::from_bytes(bytes)
        };
        (with(0), with(0xff))
    }
}

/// The moment and the tail of a delivery's identity.
fn parts(delivery: DeliveryId) -> (u64, u32) {
    let whole = u128::from_be_bytes(*delivery.as_bytes());
    ((whole >> 80) as u64, whole as u32)
}

#[derive(Clone)]
struct Cipher {
    key: [u8; 32],
}

impl Cipher {
    fn new(key: &[u8; 32]) -> Self {
        Self { key: blake3::derive_key(KEY_CONTEXT, key) }
    }

    fn round(&self, number: u8, half: u64) -> u64 {
        let mut input = [number; 9];
        for (byte, part) in input.iter_mut().zip(half.to_le_bytes()) {
            *byte = part;
        }
        let hash = blake3::keyed_hash(&self.key, &input);
        hash.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn encipher(&self, block: u128) -> u128 {
        let (mut left, mut right) = ((block >> 64) as u64, block as u64);
        for number in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(number, right));
        }
        u128::from(left) << 64 | u128::from(right)
    }

    fn decipher(&self, block: u128) -> u128 {
        let (mut left, mut right) = ((block >> 64) as u64, block as u64);
        for number in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(number, left), left);
        }
        u128::from(left) << 64 | u128::from(right)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_leads_back_to_its_delivery_and_record(
            millis in 0u64..1 << 48, random: [u8; 10], record in 0u64..1 << 48, key: [u8; 32]
        ) {
            let delivery = DeliveryId::new(millis, &random);
            let id = RejectIds::new(key, delivery).id(record);
            prop_assert_eq!(id.len(), 32);
            let place = RejectIds::read(&key, &format!(" {} ", id.to_uppercase())).unwrap();
            prop_assert!(place.is_in(delivery));
            prop_assert_eq!(place.record, record);
            let (low, high) = place.range();
            prop_assert!(low <= delivery && delivery <= high);
        }
    }

    #[test]
    fn an_id_of_another_site_and_one_that_was_changed_lead_elsewhere() {
        let delivery = DeliveryId::new(1_700_000_000_000, &[7; 10]);
        let id = RejectIds::new([1; 32], delivery).id(5);
        assert!(!RejectIds::read(&[2; 32], &id).unwrap().is_in(delivery));
        for at in 0..32 {
            let mut changed = id.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(!RejectIds::read(&[1; 32], &changed).unwrap().is_in(delivery), "{at}");
        }
        for no_id in
            ["", "5", "g0000000000000000000000000000000", &id[1..], "+1111111111111111111111111111111"]
        {
            assert_eq!(RejectIds::read(&[1; 32], no_id), None);
        }
    }

    #[test]
    fn ids_of_neighbours_have_nothing_in_common() {
        let ids = RejectIds::new([9; 32], DeliveryId::new(1_700_000_000_000, &[7; 10]));
        let starts: HashSet<String> = (0..1000).map(|record| ids.id(record)[..8].to_owned()).collect();
        assert_eq!(starts.len(), 1000);
    }
}
