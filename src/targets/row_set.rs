//! A set of rows of one table, by their numbers or their keys, in bounded memory.
//!
//! The numbers that SQLite gives rows lie close together, so that a compressed bitmap takes about a bit a row. Where they
//! do not, and for rows that have only a key, the set is a database of its own without a name, which SQLite keeps in its
//! cache and beyond that in a temporary file.

use std::fmt::Write;

use roaring::RoaringTreemap;
use rusqlite::{
    Connection, Result, Statement,
    types::{ToSqlOutput, ValueRef},
};

/// Rows after which the memory is looked at again: those that lie far apart take some 150 bytes each.
const ROWS_A_LOOK: u32 = 1 << 14;

/// A set of rows.
#[derive(Debug)]
pub(in crate::targets) enum RowSet {
    /// By their numbers.
    Numbers(Numbers),
    /// By one or several values.
    Kept(Kept),
}

/// Numbers in a compressed bitmap.
#[derive(Debug)]
pub(in crate::targets) struct Numbers {
    bits: RoaringTreemap,
    most_bytes: u64,
    until_look: u32,
}

/// A database without a name.
#[derive(Debug)]
pub(in crate::targets) struct Kept {
    connection: Connection,
    add: String,
    has: String,
}

impl RowSet {
    /// An empty set of rows that are told apart by their number, in at most about `most_bytes` of memory.
    pub(in crate::targets) fn of_numbers(most_bytes: u64) -> Self {
        Self::Numbers(Numbers { bits: RoaringTreemap::new(), most_bytes, until_look: ROWS_A_LOOK })
    }

    /// An empty set of rows that are told apart by so many values.
    pub(in crate::targets) fn of_values(values: usize, most_bytes: u64) -> Result<Self> {
        Kept::new(values, most_bytes).map(Self::Kept)
    }

    /// Adds a row.
    pub(in crate::targets) fn add<'v>(&mut self, mut row: impl Iterator<Item = ValueRef<'v>>) -> Result<()> {
        match self {
            Self::Numbers(numbers) => {
                if let Some(ValueRef::Integer(number)) = row.next() {
                    numbers.bits.insert(number.cast_unsigned());
                }
                if numbers.is_full() {
                    *self = Self::Kept(numbers.spill()?);
                }
                Ok(())
            }
            Self::Kept(kept) => kept.add(row),
        }
    }

    /// True when the row is in the set.
    pub(in crate::targets) fn has<'v>(&self, mut row: impl Iterator<Item = ValueRef<'v>>) -> Result<bool> {
        match (self, row.next()) {
            (Self::Numbers(numbers), Some(ValueRef::Integer(number))) => {
                Ok(numbers.bits.contains(number.cast_unsigned()))
            }
            (Self::Numbers(_), _) => Ok(false),
            (Self::Kept(kept), first) => kept.has(first.into_iter().chain(row)),
        }
    }

    /// Number of rows.
    pub(in crate::targets) fn len(&self) -> Result<u64> {
        match self {
            Self::Numbers(numbers) => Ok(numbers.bits.len()),
            Self::Kept(kept) => {
                let count: i64 =
                    kept.connection.query_row("SELECT count(*) FROM kept", [], |row| row.get(0))?;
                Ok(count.cast_unsigned())
            }
        }
    }

    /// Goes through the rows, in the order of their numbers or values.
    pub(in crate::targets) fn each<E: From<rusqlite::Error>>(
        &self,
        mut visit: impl FnMut(&[ValueRef<'_>]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        match self {
            Self::Numbers(numbers) => {
                numbers.bits.iter().try_for_each(|number| visit(&[ValueRef::Integer(number.cast_signed())]))
            }
            Self::Kept(kept) => {
                let mut all = kept.connection.prepare("SELECT * FROM kept")?;
                let columns = all.column_count();
                let mut rows = all.query([])?;
                while let Some(row) = rows.next()? {
                    let values: Vec<ValueRef<'_>> =
                        (0..columns).map(|at| row.get_ref(at)).collect::<Result<_>>()?;
                    visit(&values)?;
                }
                Ok(())
            }
        }
    }
}

impl Numbers {
    fn is_full(&mut self) -> bool {
        self.until_look = self.until_look.saturating_sub(1);
        if self.until_look > 0 {
            return false;
        }
        self.until_look = ROWS_A_LOOK;
        let bytes = self.bits.bitmaps().map(|(_, bitmap)| {
            let found = bitmap.statistics();
            // What holds the containers together, and the bitmap itself in its tree.
            128 + u64::from(found.n_containers) * 32
                + u64::from(found.n_bitset_containers) * 8192
                + u64::from(found.n_values_array_containers) * 4
                + found.n_bytes_run_containers
        });
        bytes.sum::<u64>() > self.most_bytes
    }

    fn spill(&mut self) -> Result<Kept> {
        let kept = Kept::new(1, self.most_bytes)?;
        for number in std::mem::take(&mut self.bits) {
            kept.add(std::iter::once(ValueRef::Integer(number.cast_signed())))?;
        }
        Ok(kept)
    }
}

impl Kept {
    fn new(values: usize, most_bytes: u64) -> Result<Self> {
        let columns: Vec<String> = (0..values.max(1)).map(|at| format!("v{at}")).collect();
        let connection = Connection::open("")?;
        let kibibytes = (most_bytes / 1024).clamp(64, 1 << 30);
        // Declared without a type, so that values stay what they are.
        let mut sql = format!(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{kibibytes};
             CREATE TABLE kept ({0}, PRIMARY KEY ({0})) WITHOUT ROWID;",
            columns.join(", ")
        );
        let _ = write!(sql, "BEGIN"); // a String takes everything
        connection.execute_batch(&sql)?;
        let parameters = vec!["?"; columns.len()].join(", ");
        Ok(Self {
            add: format!("INSERT OR IGNORE INTO kept VALUES ({parameters})"),
            has: format!("SELECT 1 FROM kept WHERE ({}) = ({parameters})", columns.join(", ")),
            connection,
        })
    }

    fn add<'v>(&self, row: impl Iterator<Item = ValueRef<'v>>) -> Result<()> {
        let mut add = self.connection.prepare_cached(&self.add)?;
        bind(&mut add, row)?;
        add.raw_execute().map(drop)
    }

    fn has<'v>(&self, row: impl Iterator<Item = ValueRef<'v>>) -> Result<bool> {
        let mut has = self.connection.prepare_cached(&self.has)?;
        bind(&mut has, row)?;
        let found = has.raw_query().next()?.is_some();
        Ok(found)
    }
}

/// Binds values to a statement's parameters in their order.
pub(in crate::targets) fn bind<'v>(
    statement: &mut Statement<'_>,
    values: impl Iterator<Item = ValueRef<'v>>,
) -> Result<()> {
    for (at, value) in values.enumerate() {
        statement.raw_bind_parameter(at + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn number(number: i64) -> impl Iterator<Item = ValueRef<'static>> {
        std::iter::once(ValueRef::Integer(number))
    }

    fn all(set: &RowSet) -> Vec<i64> {
        let mut found = Vec::new();
        let read = set.each(|row| -> Result<()> {
            found.push(row[0].as_i64().unwrap());
            Ok(())
        });
        read.unwrap();
        found.sort_unstable();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_set_of_numbers_holds_what_was_added_whether_it_fits_in_memory_or_not(
            numbers in prop::collection::btree_set(prop_oneof![0..200_i64, any::<i64>()], 0..200),
            other in any::<i64>(),
            most_bytes in prop_oneof![Just(1_u64), Just(1 << 20)],
        ) {
            let mut set = RowSet::of_numbers(most_bytes);
            if let RowSet::Numbers(numbers) = &mut set {
                numbers.until_look = 50;
            }
            for wanted in &numbers {
                set.add(number(*wanted)).unwrap();
                set.add(number(*wanted)).unwrap();
            }
            prop_assert_eq!(matches!(set, RowSet::Kept(_)), most_bytes == 1 && numbers.len() >= 25);
            prop_assert_eq!(set.len().unwrap(), numbers.len() as u64);
            for wanted in numbers.iter().take(20) {
                prop_assert!(set.has(number(*wanted)).unwrap());
            }
            prop_assert_eq!(set.has(number(other)).unwrap(), numbers.contains(&other));
            prop_assert_eq!(all(&set), numbers.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn numbers_that_lie_close_together_take_little_and_others_are_noticed() {
        let mut dense = RowSet::of_numbers(64 << 10);
        (0..200_000).for_each(|at| dense.add(number(at)).unwrap());
        assert!(matches!(dense, RowSet::Numbers(_)));
        let mut sparse = RowSet::of_numbers(64 << 10);
        (0..20_000).for_each(|at| sparse.add(number(at << 34)).unwrap());
        assert!(matches!(sparse, RowSet::Kept(_)));
        assert_eq!(sparse.len().unwrap(), 20_000);
    }

    #[test]
    fn values_are_told_apart_bytewise_and_by_their_kind() {
        let mut set = RowSet::of_values(2, 1 << 20).unwrap();
        let row = |a, b| [ValueRef::Text(a), ValueRef::Integer(b)].into_iter();
        for (a, b) in [(&b"a"[..], 1), (b"a", 2), (b"A", 1), (b"", 0), (b"a", 1)] {
            set.add(row(a, b)).unwrap();
        }
        assert_eq!(set.len().unwrap(), 4);
        assert!(set.has(row(b"a", 2)).unwrap() && !set.has(row(b"A", 2)).unwrap());
        assert!(!set.has([ValueRef::Text(b"a"), ValueRef::Text(b"1")].into_iter()).unwrap());
        let mut seen = BTreeSet::new();
        let read = set.each(|row| -> Result<()> {
            seen.insert((row[0].as_str().unwrap().to_owned(), row[1].as_i64().unwrap()));
            Ok(())
        });
        read.unwrap();
        assert_eq!(seen.len(), 4);
    }
}
