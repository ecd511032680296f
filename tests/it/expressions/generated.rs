//! Expressions made up by chance, each of a type.
//!
//! An operation that may fail has a column below its first operand: PostgreSQL works out what is constant before it looks
//! at a row, and with it the branches of a CASE that no row takes.

use super::table::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Integer,
    Decimal,
    Float,
    Text,
    Boolean,
    Date,
    Time,
    Stamp,
    Local,
    Span,
}

use Of::{Boolean, Date, Decimal, Float, Integer, Local, Span, Stamp, Text, Time};

const ALL: &[Of] = &[Integer, Decimal, Float, Text, Boolean, Date, Time, Stamp, Local, Span];
const ZONES: &[&str] = &["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe"];
const PATTERNS: &[&str] =
    &["%", "a%", "%b%", "_b_", "%c", "a\\_b%", "ABC", "%ü%", "", "\\\\", "a%c%", "%a%b%c%", "__", "Gr%e"];
const REGEXES: &[&str] = &["[0-9]+", "^a", "b+", "(a)(b)", "[a-zß]+", "c$", "\\s", "x|y", "a.b"];
const UNITS: &[&str] = &[
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
];
const SHAPES: &[&str] = &[
    "YYYY-MM-DD HH24:MI:SS",
    "DD.MM.YY",
    "FMDD.FMMM.YYYY",
    "Mon DD, YYYY",
    "FMMonth FMDDD",
    "Month|",
    "DAY|",
    "Dy dy DY",
    "HH12:MI AM",
    "HH:MI pm",
    "MS US",
    "IYYY-IW-ID",
    "Q D DDD",
    "\"T\"HH24\"h\"",
    "mon month MON",
    "FMDay",
];

pub struct Generator {
    pub random: Random,
}

impl Generator {
    /// An expression of any type, with up to three operations on one another.
    pub fn expression(&mut self) -> String {
        let of = self.random.pick(ALL);
        let depth = 1 + self.random.below(3);
        self.of(of, depth)
    }

    /// An expression of a type with a column in it.
    fn of(&mut self, of: Of, depth: usize) -> String {
        if depth == 0 {
            return self.column(of);
        }
        if self.random.below(5) == 0 {
            return self.choice(of, depth - 1);
        }
        let d = depth - 1;
        match of {
            Integer => self.integer(d),
            Decimal => self.decimal(d),
            Float => self.float(d),
            Text => self.text(d),
            Boolean => self.boolean(d),
            Date => self.date(d),
            Time => self.time(d),
            Stamp => self.stamp(d),
            Local => self.local(d),
            Span => self.span(d),
        }
    }

    /// The same, or a literal.
    fn any(&mut self, of: Of, depth: usize) -> String {
        if self.random.below(4) == 0 { self.literal(of) } else { self.of(of, depth) }
    }

    fn column(&mut self, of: Of) -> String {
        let names: &[&str] = match of {
            Integer => &["a", "b"],
            Decimal => &["p", "q"],
            Float => &["f", "g"],
            Text => &["s", "u"],
            Boolean => &["flag", "ok"],
            Date => &["d", "e"],
            Time => &["t", "t2"],
            Stamp => &["ts", "us"],
            Local => &["(d + t)", "(ts AT TIME ZONE 'UTC')"],
            Span => &["(t - t2)", "(ts - us)", "(tiny * interval '1 month')"],
        };
        self.random.pick(names).to_owned()
    }

    fn literal(&mut self, of: Of) -> String {
        let texts: &[&str] = match of {
            Integer => &[
                "0::bigint",
                "1::bigint",
                "(-3)::bigint",
                "7::bigint",
                "9223372036854775807::bigint",
                "100::bigint",
            ],
            Decimal => &["0.5", "12.3456", "-2.50", "100.0", "0.0001", "3.0", "-0.05", "1e3"],
            Float => &["2.5::float8", "0.1::float8", "(-1.5)::float8", "'1e200'::float8", "3::float8"],
            Text => &["'abc'", "''", "'ü'", "'b'", "' '", "'O''Neil'", "'%'", "'a'", "'12'"],
            Boolean => &["true", "false"],
            Date => &["date '2024-02-29'", "date '2025-12-31'", "date '1970-01-01'"],
            Time => &["time '12:34:56.5'", "time '00:00:00'", "time '23:59'"],
            Stamp => &["timestamptz '2025-03-30 01:30:00+00'", "timestamptz '2024-02-29 23:59:59.5+02'"],
            Local => &["CAST('2025-10-26 02:30:00' AS timestamp without time zone)"],
            Span => &[
                "interval '1 month'",
                "interval '-1 day'",
                "interval '1 year 2 months 3 days 04:05:06.789'",
                "interval '36 hours'",
                "interval '15' minute",
                "interval '2 weeks ago'",
                "interval '-1 month 3 days'",
            ],
        };
        self.random.pick(texts).to_owned()
    }

    /// What chooses among values of any type.
    fn choice(&mut self, of: Of, d: usize) -> String {
        let (x, y) = (self.of(of, d), self.any(of, d));
        match self.random.below(6) {
            0 => format!("CASE WHEN {} THEN {x} ELSE {y} END", self.of(Boolean, d)),
            1 => format!(
                "CASE WHEN {} THEN {x} WHEN {} THEN {y} END",
                self.of(Boolean, d),
                self.of(Boolean, 0)
            ),
            2 => format!("coalesce({x}, {y})"),
            3 => format!("nullif({x}, {y})"),
            4 => format!("greatest({x}, {y}, NULL)"),
            _ => format!("least({x}, {y})"),
        }
    }

    fn operator(&mut self, of: Of, operators: &[&str], d: usize) -> String {
        let (x, y) = (self.of(of, d), self.any(of, d));
        format!("({x} {} {y})", self.random.pick(operators))
    }

    fn integer(&mut self, d: usize) -> String {
        match self.random.below(12) {
            0..=4 => self.operator(Integer, &["+", "-", "*", "/", "%"], d),
            5 => format!("(- {})", self.of(Integer, d)),
            6 => format!("abs({})", self.of(Integer, d)),
            7 => format!("mod({}, {})", self.of(Integer, d), self.any(Integer, d)),
            8 => format!("length({})::bigint", self.of(Text, d)),
            9 => format!("CAST({} AS bigint)", self.of(Decimal, d)),
            10 => format!("CAST({} AS bigint)", self.of(Float, d)),
            _ => format!("(CAST({} AS date) - {})::bigint", self.of(Stamp, d), self.of(Date, d)),
        }
    }

    fn decimal(&mut self, d: usize) -> String {
        let (x, places) = (self.of(Decimal, d), self.random.below(5));
        match self.random.below(17) {
            0..=2 => self.operator(Decimal, &["+", "-", "%"], d),
            3 => format!("({} * {})", self.column(Decimal), self.any(Decimal, 0)),
            // Quotients have other scales here and there; three digits are the same.
            4 => format!("round({} / {}, 3)", self.column(Decimal), self.any(Decimal, 0)),
            5 => format!("round({x}, {places})"),
            6 => format!("round({x}, -{places})"),
            7 => format!("trunc({x}, {places})"),
            8 => {
                format!("{}({x})", self.random.pick(&["round", "trunc", "floor", "ceil", "abs", "sign", "-"]))
            }
            9 => format!("({x} + {})", self.column(Integer)),
            10 => format!("({} * {})", self.column(Integer), self.column(Decimal)),
            11 => format!("CAST({x} AS numeric(14,1))"),
            12 => format!("CAST({} AS numeric(20,2))", self.of(Integer, d)),
            13 => format!("CAST({} AS numeric(20,3))", self.of(Float, d)),
            14 => {
                let part = self.random.pick(&[
                    "year",
                    "quarter",
                    "month",
                    "week",
                    "day",
                    "dow",
                    "isodow",
                    "doy",
                    "isoyear",
                    "decade",
                    "century",
                    "hour",
                    "minute",
                    "second",
                    "milliseconds",
                    "microseconds",
                    "epoch",
                ]);
                format!("EXTRACT({part} FROM {})", self.of(Stamp, d))
            }
            15 => {
                let part = self.random.pick(&["year", "month", "day", "hour", "minute", "second", "epoch"]);
                format!("EXTRACT({part} FROM {})", self.of(Span, d))
            }
            _ => {
                let part = self.random.pick(&["year", "week", "isodow", "doy", "epoch", "century", "decade"]);
                format!("EXTRACT({part} FROM {})", self.of(Date, d))
            }
        }
    }

    fn float(&mut self, d: usize) -> String {
        match self.random.below(10) {
            0..=4 => self.operator(Float, &["+", "-", "*", "/"], d),
            5 => {
                let name = self.random.pick(&["round", "trunc", "floor", "ceil", "abs", "sign", "-"]);
                format!("{name}({})", self.of(Float, d))
            }
            6 => format!("CAST({} AS float8)", self.of(Integer, d)),
            7 => format!("CAST({} AS float8)", self.of(Decimal, d)),
            8 => format!("({} * {})", self.of(Float, d), self.column(Decimal)),
            _ => format!("({} - {})", self.column(Integer), self.of(Float, d)),
        }
    }

    fn text(&mut self, d: usize) -> String {
        let x = self.of(Text, d);
        let n = self.random.pick(&["small", "tiny", "0", "1", "2", "3", "-1", "-2", "5"]);
        match self.random.below(24) {
            0 => format!("upper({x})"),
            1 => format!("lower({x})"),
            2 => format!("initcap({x})"),
            3 => format!("{}({x})", self.random.pick(&["trim", "ltrim", "rtrim", "btrim"])),
            4 => format!("{}({x}, {})", self.random.pick(&["ltrim", "rtrim", "btrim"]), self.any(Text, 0)),
            5 => format!("substring({x}, {n})"),
            6 => format!("substring({x}, {n}, tiny)"),
            7 => format!("SUBSTRING({x} FROM {n} FOR 2)"),
            8 => format!("left({x}, {n})"),
            9 => format!("right({x}, {n})"),
            10 => format!("replace({x}, {}, {})", self.any(Text, 0), self.any(Text, 0)),
            11 => format!("split_part({x}, {}, {n})", self.any(Text, 0)),
            12 => format!("lpad({x}, {n}, {})", self.any(Text, 0)),
            13 => format!("rpad({x}, {n})"),
            14 => format!("reverse({x})"),
            15 => format!("repeat({x}, tiny)"),
            16 => format!("({x} || {})", self.any(Text, d)),
            17 => {
                let of = self.random.pick(&[Integer, Float, Boolean, Date, Time, Stamp, Decimal]);
                format!("({x} || {})", self.column(of))
            }
            18 => {
                let of = self.random.pick(ALL);
                format!("CAST({} AS text)", self.column(of))
            }
            19 => format!("concat({x}, {}, {})", self.column(Boolean), self.column(Integer)),
            20 => format!("concat_ws('-', {x}, {}, {})", self.column(Date), self.any(Text, 0)),
            21 => format!("to_char({}, '{}')", self.of(Stamp, d), self.random.pick(SHAPES)),
            22 => {
                let flags = self.random.pick(&["", "g", "i", "gi"]);
                let by = self.random.pick(&["", "<\\1>", "\\&\\&", "x\\\\y"]);
                format!("regexp_replace({x}, '{}', '{by}', '{flags}')", self.random.pick(REGEXES))
            }
            _ => format!("regexp_substr({x}, '{}')", self.random.pick(REGEXES)),
        }
    }

    fn boolean(&mut self, d: usize) -> String {
        let of = self.random.pick(ALL);
        let (x, y) = (self.of(of, d), self.any(of, d));
        match self.random.below(20) {
            0..=4 => format!("({x} {} {y})", self.random.pick(&["=", "<>", "!=", "<", "<=", ">", ">="])),
            5 => format!("({} < {})", self.column(Integer), self.of(Decimal, d)),
            6 => format!("({} >= {})", self.column(Date), self.of(Stamp, d)),
            7..=9 => {
                let (x, y) = (self.of(Boolean, d), self.any(Boolean, d));
                format!("({x} {} {y})", self.random.pick(&["AND", "OR"]))
            }
            10 => format!("(NOT {})", self.of(Boolean, d)),
            11 => format!("({x} IS {}NULL)", self.random.pick(&["", "NOT "])),
            12 => format!("({x} IS {}DISTINCT FROM {y})", self.random.pick(&["", "NOT "])),
            13 => {
                let is =
                    self.random.pick(&["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN"]);
                format!("({} IS {is})", self.of(Boolean, d))
            }
            14 => {
                let of = self.random.pick(&[Integer, Decimal, Text, Date, Time, Stamp]);
                let (x, list) =
                    (self.of(of, d), [self.literal(of), self.literal(of), self.literal(of)].join(", "));
                let null = self.random.pick(&["", "", ", NULL"]);
                format!("({x} {}IN ({list}{null}))", self.random.pick(&["", "NOT "]))
            }
            15 => format!("({x} IN ({y}, {}))", self.of(of, d)),
            16 => {
                let not = self.random.pick(&["", "NOT "]);
                let symmetric = self.random.pick(&["", "SYMMETRIC "]);
                format!("({x} {not}BETWEEN {symmetric}{y} AND {})", self.any(of, d))
            }
            17 => {
                let like = self.random.pick(&["LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE"]);
                format!("({} {like} '{}')", self.of(Text, d), self.random.pick(PATTERNS))
            }
            18 => format!("({} LIKE {})", self.of(Text, d), self.column(Text)),
            _ => match self.random.below(2) {
                0 => format!("starts_with({}, {})", self.of(Text, d), self.any(Text, 0)),
                _ => format!("regexp_like({}, '{}', 'i')", self.of(Text, d), self.random.pick(REGEXES)),
            },
        }
    }

    fn date(&mut self, d: usize) -> String {
        let x = self.of(Date, d);
        match self.random.below(4) {
            0 => format!(
                "({x} {} {})",
                self.random.pick(&["+", "-"]),
                self.random.pick(&["5", "small", "tiny", "365"])
            ),
            1 => format!("(small + {x})"),
            2 => format!("CAST({} AS date)", self.of(Stamp, d)),
            _ => format!("CAST({} AS date)", self.of(Local, d)),
        }
    }

    fn time(&mut self, d: usize) -> String {
        match self.random.below(3) {
            0 => format!("({} {} {})", self.of(Time, d), self.random.pick(&["+", "-"]), self.any(Span, d)),
            1 => format!("CAST({} AS time)", self.of(Stamp, d)),
            _ => format!("CAST({} AS time)", self.of(Local, d)),
        }
    }

    fn stamp(&mut self, d: usize) -> String {
        match self.random.below(5) {
            0 | 1 => {
                format!("({} {} {})", self.of(Stamp, d), self.random.pick(&["+", "-"]), self.any(Span, d))
            }
            2 => format!("date_trunc('{}', {})", self.random.pick(UNITS), self.of(Stamp, d)),
            3 => format!("({} AT TIME ZONE '{}')", self.of(Local, d), self.random.pick(ZONES)),
            _ => format!("CAST({} AS timestamptz)", self.of(Date, d)),
        }
    }

    fn local(&mut self, d: usize) -> String {
        match self.random.below(6) {
            0 | 1 => format!("({} AT TIME ZONE '{}')", self.of(Stamp, d), self.random.pick(ZONES)),
            2 => format!("({} {} {})", self.of(Date, d), self.random.pick(&["+", "-"]), self.any(Span, d)),
            3 => format!("({} + {})", self.of(Local, d), self.any(Span, d)),
            4 => format!("date_trunc('{}', {})", self.random.pick(UNITS), self.of(Local, d)),
            _ => format!("({} + {})", self.of(Date, d), self.of(Time, d)),
        }
    }

    fn span(&mut self, d: usize) -> String {
        match self.random.below(6) {
            0 => format!("({} - {})", self.of(Stamp, d), self.any(Stamp, d)),
            1 => format!("({} - {})", self.of(Local, d), self.column(Local)),
            2 => self.operator(Span, &["+", "-"], d),
            3 => format!("(- {})", self.of(Span, d)),
            4 => format!("({} * {})", self.of(Span, d), self.random.pick(&["tiny", "2", "0.5", "-1"])),
            _ => format!("({} / {})", self.of(Span, d), self.random.pick(&["2", "tiny", "0.5"])),
        }
    }
}
