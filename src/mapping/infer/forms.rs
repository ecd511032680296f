//! The ways to write dates and times that are looked for, and the signatures by which values are told apart.
//!
//! `03/11/2026 9:05` has the signature `9/9/Y 9:9`. Only the formats of a signature are tried on its values, with the parsers
//! that loading uses.

use std::collections::HashMap;

use crate::model::value::temporal::{Ambiguous, DateParser, TimeParser, TimestampParser};

/// Longer values are no dates.
pub const SIGNATURE_BYTES: usize = 32;
/// Digits without marks are a date only within these years, as days since 1970: 1900 to 2100.
const PLAUSIBLE_DAYS: std::ops::Range<i32> = -25_567..47_847;

/// What a format reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Days.
    Date,
    /// Times of day.
    Time,
    /// Instants.
    Timestamp,
}

/// The order of day and month in a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayOrder {
    /// The day first.
    DayMonth,
    /// The month first.
    MonthDay,
    /// No doubt about it: the year comes first, or the month has a name.
    Sure,
}

enum Reader {
    Date(DateParser),
    Time(TimeParser),
    Timestamp(TimestampParser),
}

/// One way to write dates or times.
pub struct Form {
    /// What it reads.
    pub family: Family,
    /// The format of the mapping; empty for the one that needs no words.
    pub format: String,
    /// Which of day and month comes first.
    pub order: DayOrder,
    /// Nothing but digits: other things look like that too.
    pub compact: bool,
    /// Six digits: only a column with a telling name is taken for dates.
    pub needs_name: bool,
    reader: Reader,
}

impl Form {
    /// True when `text` is a value in this form.
    #[must_use]
    pub fn reads(&self, text: &str) -> bool {
        match &self.reader {
            Reader::Date(parser) => {
                parser.parse(text).is_ok_and(|day| !self.compact || PLAUSIBLE_DAYS.contains(&day))
            }
            Reader::Time(parser) => parser.parse(text).is_ok(),
            Reader::Timestamp(parser) => parser.parse(text).is_ok_and(|instant| {
                let day = i32::try_from(instant.div_euclid(86_400_000_000)).unwrap_or(i32::MAX);
                !self.compact || PLAUSIBLE_DAYS.contains(&day)
            }),
        }
    }
}

/// Every form that is looked for, by signature.
pub struct Forms {
    forms: Vec<Form>,
    by_signature: HashMap<Box<[u8]>, Vec<u16>>,
}

impl std::fmt::Debug for Forms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forms({})", self.forms.len())
    }
}

impl Default for Forms {
    fn default() -> Self {
        Self::new()
    }
}

impl Forms {
    /// All of them, the likelier ones first.
    #[must_use]
    pub fn new() -> Self {
        let mut all = Self { forms: Vec::new(), by_signature: HashMap::new() };
        let dates = date_formats();
        for (format, order) in &dates {
            all.date(format, *order);
        }
        for (format, order) in &dates {
            all.midnights(format, *order);
            all.timestamps(format, *order);
        }
        for (format, signatures) in [
            ("", &["9:9:9", "9:9:9.F", "9:9"][..]),
            ("%I:%M:%S %p", &["9:9:9 a"]),
            ("%I:%M %p", &["9:9 a"]),
            ("%H.%M.%S", &["9.9.9"]),
        ] {
            if let Ok(parser) = TimeParser::new(&written(format)) {
                all.push(Family::Time, format, DayOrder::Sure, Reader::Time(parser), signatures);
            }
        }
        all
    }

    /// The form with this number.
    #[must_use]
    pub fn get(&self, index: u16) -> Option<&Form> {
        self.forms.get(usize::from(index))
    }

    /// The numbers of the forms whose texts have this signature.
    #[must_use]
    pub fn with_signature(&self, signature: &[u8]) -> &[u16] {
        self.by_signature.get(signature).map_or(&[], Vec::as_slice)
    }

    fn date(&mut self, format: &str, order: DayOrder) {
        let mapped = if format == "%Y-%m-%d" { "" } else { format };
        if let Ok(parser) = DateParser::new(&written(mapped), None) {
            self.push(Family::Date, mapped, order, Reader::Date(parser), &[&skeleton(format)]);
        }
    }

    /// Dates that were written as instants, all at midnight.
    fn midnights(&mut self, format: &str, order: DayOrder) {
        if skeleton(format).len() < 3 {
            return;
        }
        for midnight in [
            " 00:00:00",
            " 00:00",
            "T00:00:00",
            " 00:00:00.000",
            " 00:00:00.0000000",
            "T00:00:00.000",
            " 12:00:00 AM",
        ] {
            let format = format!("{format}{midnight}");
            if let Ok(parser) = DateParser::new(std::slice::from_ref(&format), None) {
                let signature = skeleton(&format);
                self.push(Family::Date, &format, order, Reader::Date(parser), &[&signature]);
            }
        }
    }

    fn timestamps(&mut self, date: &str, order: DayOrder) {
        let day = skeleton(date);
        if day == "6" {
            return;
        }
        let mut clocks: Vec<(String, &[&str])> = Vec::new();
        for between in [" ", "T"] {
            for (clock, signatures) in [
                ("%H:%M:%S%.f", &["9:9:9", "9:9:9.F"][..]),
                (
                    "%H:%M:%S%.f%z",
                    &[
                        "9:9:9Z",
                        "9:9:9+9:9",
                        "9:9:9-9:9",
                        "9:9:9+Y",
                        "9:9:9-Y",
                        "9:9:9.FZ",
                        "9:9:9.F+9:9",
                        "9:9:9.F-9:9",
                    ],
                ),
                ("%H:%M:%S %z", &["9:9:9 +9:9", "9:9:9 -9:9", "9:9:9 +Y", "9:9:9 -Y"]),
                ("%H:%M", &["9:9"]),
                ("%H:%M:%S,%f", &["9:9:9,F"]),
                ("%I:%M:%S %p", &["9:9:9 a"]),
                ("%I:%M %p", &["9:9 a"]),
                ("%I:%M%p", &["9:9a"]),
                ("%H.%M.%S", &["9.9.9"]),
                ("%I.%M.%S%.f %p", &["9.9.9 a", "9.9.9.F a", "9.9.9.n a"]),
                ("%H%M%S", &["6"]),
            ] {
                clocks.push((format!("{between}{clock}"), signatures));
            }
        }
        if date == "%Y%m%d" {
            clocks.push(("%H%M%S".to_owned(), &["E"]));
            clocks.push(("%H%M".to_owned(), &["D"]));
        }
        for (clock, signatures) in clocks {
            let format = format!("{date}{clock}");
            // The usual forms of ISO 8601 need no format.
            let mapped = match (date, clock.as_str()) {
                ("%Y-%m-%d", " %H:%M:%S%.f" | "T%H:%M:%S%.f" | " %H:%M" | "T%H:%M") => "",
                ("%Y-%m-%d", clock) if clock.ends_with("%z") => "",
                _ => format.as_str(),
            };
            let Ok(parser) = TimestampParser::new(&written(mapped), None, None, Ambiguous::Reject) else {
                continue;
            };
            let between = clock.chars().next().filter(|c| *c != '%').map_or_else(String::new, String::from);
            let whole: Vec<String> =
                signatures
                    .iter()
                    .map(|clock| {
                        if between.is_empty() {
                            (*clock).to_owned()
                        } else {
                            format!("{day}{between}{clock}")
                        }
                    })
                    .collect();
            let signatures: Vec<&str> = whole.iter().map(String::as_str).collect();
            self.push(Family::Timestamp, mapped, order, Reader::Timestamp(parser), &signatures);
        }
    }

    fn push(&mut self, family: Family, format: &str, order: DayOrder, reader: Reader, signatures: &[&str]) {
        let Ok(index) = u16::try_from(self.forms.len()) else { return };
        let compact = matches!(signatures.first(), Some(&("8" | "6" | "E" | "D")));
        let needs_name = signatures.first() == Some(&"6");
        self.forms.push(Form { family, format: format.to_owned(), order, compact, needs_name, reader });
        for signature in signatures {
            self.by_signature.entry(signature.as_bytes().into()).or_default().push(index);
        }
    }
}

fn written(format: &str) -> Vec<String> {
    if format.is_empty() { Vec::new() } else { vec![format.to_owned()] }
}

/// Formats of dates, the likelier ones first where one text fits several.
fn date_formats() -> Vec<(String, DayOrder)> {
    use DayOrder::{DayMonth, MonthDay, Sure};
    let mut formats: Vec<(String, DayOrder)> = Vec::new();
    for (a, b, c, order) in [
        ("%Y", "%m", "%d", Sure),
        ("%d", "%m", "%Y", DayMonth),
        ("%m", "%d", "%Y", MonthDay),
        ("%d", "%m", "%y", DayMonth),
        ("%m", "%d", "%y", MonthDay),
        ("%y", "%m", "%d", Sure),
    ] {
        for mark in ["-", "/", ".", " ", ". "] {
            // Only strokes stand between a month and a day in this order.
            if order != MonthDay || matches!(mark, "-" | "/") {
                formats.push((format!("{a}{mark}{b}{mark}{c}"), order));
            }
        }
    }
    for format in [
        "%d %b %Y",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%d %b %y",
        "%d/%b/%Y",
        "%d.%b.%Y",
        "%b %d, %Y",
        "%b %d %Y",
        "%d %b, %Y",
        "%d%b%Y",
        "%Y-%b-%d",
        "%Y%m%d",
    ] {
        formats.push((format.to_owned(), Sure));
    }
    formats.push(("%d%m%Y".to_owned(), DayMonth));
    formats.push(("%m%d%Y".to_owned(), MonthDay));
    formats.push(("%y%m%d".to_owned(), Sure));
    formats.push(("%d%m%y".to_owned(), DayMonth));
    formats
}

/// The signature of texts in `format`.
fn skeleton(format: &str) -> String {
    let example = [
        ("%Y", "2025"),
        ("%y", "25"),
        ("%m", "12"),
        ("%d", "31"),
        ("%b", "Dec"),
        ("%H", "17"),
        ("%M", "45"),
        ("%S", "30"),
    ];
    let text = example.iter().fold(format.to_owned(), |text, (part, value)| text.replace(part, value));
    let mut buffer = [0; SIGNATURE_BYTES];
    let length = signature(&text, &mut buffer).unwrap_or_default();
    String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
}

/// Writes the signature of a text and tells its length: runs of one or two digits are `9`, of four `Y`, of six `6`, of
/// eight `8`, of twelve `D`, of fourteen `E`, others `n`; digits behind seconds and a point are `F`; letters are `a`, but a
/// lone T or Z is itself. None when the text is too long or holds anything else.
pub fn signature(text: &str, buffer: &mut [u8; SIGNATURE_BYTES]) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.len() > SIGNATURE_BYTES || !bytes.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let (mut at, mut length) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let run = |is: fn(&u8) -> bool| bytes.iter().skip(at).take_while(|byte| is(byte)).count();
        let (class, taken) = if byte.is_ascii_digit() {
            let taken = run(u8::is_ascii_digit);
            let before = buffer.get(..length).unwrap_or_default();
            let is_fraction =
                before.ends_with(b"9:9:9.") || before.ends_with(b"9:9:9,") || before.ends_with(b"9.9.9.");
            let class = match taken {
                _ if is_fraction => b'F',
                1 | 2 => b'9',
                4 => b'Y',
                6 => b'6',
                8 => b'8',
                12 => b'D',
                14 => b'E',
                _ => b'n',
            };
            (class, taken)
        } else if byte.is_ascii_alphabetic() {
            match run(u8::is_ascii_alphabetic) {
                1 if matches!(byte, b'T' | b't') => (b'T', 1),
                1 if matches!(byte, b'Z' | b'z') => (b'Z', 1),
                taken => (b'a', taken),
            }
        } else if matches!(byte, b'-' | b'/' | b'.' | b' ' | b':' | b',' | b'+') {
            (*byte, 1)
        } else {
            return None;
        };
        *buffer.get_mut(length)? = class;
        length += 1;
        at += taken;
    }
    Some(length)
}
