//! The values that expressions are tried on, here and in PostgreSQL: those at which things go wrong.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use wharf::{
    mapping::expression::{Facts, Scope, ScopeColumn},
    model::value::{ValueType, text::text},
};

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One of these, or, one time in eight, nothing.
    fn value<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (self.below(8) > 0).then(|| self.pick(from))
    }
}

pub struct Table {
    pub scope: Scope,
    pub columns: Vec<Option<ArrayRef>>,
    pub rows: usize,
    /// The columns' types in PostgreSQL.
    types: Vec<&'static str>,
}

const INTEGERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    3,
    7,
    -7,
    10,
    100,
    1_000_003,
    -999,
    4_611_686_018_427_387_904,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
];
/// Few enough that lengths and days stay small.
const SMALL: &[i64] = &[0, 1, 2, 3, 5, -1, -2, 12, 40, -400];
/// In ten-thousandths.
const PRICES: &[i128] = &[
    0,
    1,
    -1,
    5_000,
    15_000,
    25_000,
    -25_000,
    123_450,
    10_000,
    -33_333,
    999_999_999_999,
    -999_999_999_999,
    49_999,
    50_000,
];
/// In hundredths.
const AMOUNTS: &[i128] = &[0, 1, -1, 50, 250, -250, 1999, 100, 9_999_999_999, -9_999_999_999, 333];
const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    0.5,
    1.5,
    2.5,
    -2.5,
    3.5,
    0.1,
    1e15,
    1e14,
    123_456.789,
    1e308,
    -1e308,
    1e-300,
    1e-5,
    1e-4,
    9.3e18,
    1e22,
];
const TEXTS: &[&str] = &[
    "",
    " ",
    "abc",
    "ABC",
    "Grüße",
    "ÄÖÜ äöü",
    "a_b%c\\d",
    "O'Neil",
    "  pad  ",
    "éÉ日本語",
    "123",
    "-5.50",
    " 42 ",
    "true",
    "no",
    "x,y,,z",
    "line\nbreak",
    "aaaa",
    "hello wORLD-of 3d",
    "%",
    "\\",
    "99999999999999999999",
    "1e3",
    "abcabc",
];
const DAYS: &[i32] = &[
    -719_162, 2_932_896, 0, -1, 19_782, 20_453, 10_987, -25_509, 19_783, 18_628, 18_627, 20_119, 20_089,
    11_016,
];
const CLOCKS: &[i64] =
    &[0, 86_399_999_999, 63_930_000_000, 43_200_000_000, 1, 3_600_000_000, 45_296_789_000, 500_000];
const MOMENTS: &[i64] = &[
    -62_135_596_800_000_000,
    253_402_300_799_999_999,
    0,
    -1,
    1_767_203_130_000_000,
    1_743_296_399_999_999,
    1_743_296_400_000_000,
    1_761_438_600_000_000,
    1_761_442_200_000_000,
    1_709_208_000_500_000,
    951_782_400_000_000,
    -2_203_891_200_000_000,
    1_735_689_599_000_001,
];

impl Table {
    pub fn new(random: &mut Random, rows: usize) -> Self {
        let mut table = Self { scope: Scope::default(), columns: Vec::new(), rows, types: Vec::new() };
        for name in ["a", "b"] {
            let values = (0..rows).map(|_| random.value(INTEGERS)).collect::<Int64Array>();
            table.add(name, ValueType::Integer, "bigint", Arc::new(values));
        }
        for name in ["small", "tiny"] {
            let values = (0..rows).map(|_| random.value(SMALL)).collect::<Int64Array>();
            table.add(name, ValueType::Integer, "int", Arc::new(values));
        }
        for (name, precision, scale, pool) in [("p", 12, 4, PRICES), ("q", 10, 2, AMOUNTS)] {
            let value_type = ValueType::Decimal { precision, scale };
            let values = (0..rows).map(|_| random.value(pool)).collect::<Decimal128Array>();
            let of = if scale == 4 { "numeric(12,4)" } else { "numeric(10,2)" };
            table.add(name, value_type, of, Arc::new(values.with_data_type(value_type.arrow())));
        }
        for name in ["f", "g"] {
            let values = (0..rows).map(|_| random.value(FLOATS)).collect::<Float64Array>();
            table.add(name, ValueType::Float, "float8", Arc::new(values));
        }
        for name in ["s", "u"] {
            let values = (0..rows).map(|_| random.value(TEXTS)).collect::<StringArray>();
            table.add(name, ValueType::Text, "text", Arc::new(values));
        }
        for name in ["flag", "ok"] {
            let values = (0..rows).map(|_| random.value(&[true, false])).collect::<BooleanArray>();
            table.add(name, ValueType::Boolean, "boolean", Arc::new(values));
        }
        for name in ["d", "e"] {
            let values = (0..rows).map(|_| random.value(DAYS)).collect::<Date32Array>();
            table.add(name, ValueType::Date, "date", Arc::new(values));
        }
        for name in ["t", "t2"] {
            let values = (0..rows).map(|_| random.value(CLOCKS)).collect::<Time64MicrosecondArray>();
            table.add(name, ValueType::Time, "time", Arc::new(values));
        }
        for name in ["ts", "us"] {
            let values = (0..rows).map(|_| random.value(MOMENTS)).collect::<TimestampMicrosecondArray>();
            let values = values.with_data_type(ValueType::Timestamp.arrow());
            table.add(name, ValueType::Timestamp, "timestamptz", Arc::new(values));
        }
        table
    }

    fn add(&mut self, name: &str, value_type: ValueType, sql: &'static str, values: ArrayRef) {
        self.scope.columns.push(ScopeColumn { name: name.into(), value_type });
        self.columns.push(Some(values));
        self.types.push(sql);
    }

    pub fn facts(&self) -> Facts {
        Facts::default()
    }

    /// The table in SQL: the same columns, and `n`, the number of the row.
    pub fn sql(&self) -> String {
        let columns: Vec<String> = self
            .scope
            .columns
            .iter()
            .zip(&self.types)
            .map(|(column, of)| format!("{} {of}", column.name))
            .collect();
        let mut sql = format!("CREATE TABLE t (n int PRIMARY KEY, {});\n", columns.join(", "));
        for row in 0..self.rows {
            let values: Vec<String> =
                (0..self.columns.len()).map(|column| self.literal(column, row)).collect();
            sql.push_str(&format!("INSERT INTO t VALUES ({row}, {});\n", values.join(", ")));
        }
        sql
    }

    fn literal(&self, column: usize, row: usize) -> String {
        let array = self.columns[column].as_ref().expect("a column");
        match text(array, row) {
            Some(text) => format!("'{}'", text.replace('\'', "''")),
            None => "NULL".into(),
        }
    }

    /// The values of a row, for people.
    pub fn row(&self, row: usize) -> String {
        let shown =
            |column: usize| format!("{}={}", self.scope.columns[column].name, self.literal(column, row));
        (0..self.columns.len()).map(shown).collect::<Vec<_>>().join(" ")
    }
}
