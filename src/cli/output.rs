//! Where text goes. Standard output is for what was asked, standard error for what went wrong and for progress.

use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal, Stderr, Stdout, Write},
    path::Path,
};

use serde::Serialize;

use crate::model::printable;
pub use crate::model::printable::{moment, thousands};

/// Both streams of a command.
pub struct Output {
    json: bool,
    command: String,
    out: BufWriter<Stdout>,
    err: Stderr,
}

impl Output {
    /// The process's own streams. With `json`, results are JSON objects, one a line. `site` is the site as it was named on
    /// the command line.
    #[must_use]
    pub fn new(json: bool, site: &Path) -> Self {
        let command = if site == Path::new(".") {
            "wharf".to_owned()
        } else {
            format!("wharf --site {}", printable::text(&site.to_string_lossy()))
        };
        Self { json, command, out: BufWriter::new(io::stdout()), err: io::stderr() }
    }

    /// True when results are to be JSON.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// How a further command for the same site begins.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// True when errors go to a terminal that wants colours.
    #[must_use]
    pub fn colours_errors(&self) -> bool {
        self.err.is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    /// True when progress can be shown.
    #[must_use]
    pub fn shows_progress(&self) -> bool {
        self.err.is_terminal() && !self.json
    }

    /// Writes a line of text.
    ///
    /// # Errors
    /// What the stream says.
    pub fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Writes an object as one line of JSON.
    ///
    /// # Errors
    /// What the stream says.
    pub fn object(&mut self, value: &impl Serialize) -> io::Result<()> {
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut self.out, PlainJson))?;
        self.out.write_all(b"\n")
    }

    /// Writes a line to standard error, after what went to standard output so far.
    ///
    /// # Errors
    /// What the stream says.
    pub fn complain(&mut self, text: &str) -> io::Result<()> {
        self.out.flush()?;
        writeln!(self.err, "{text}")
    }

    /// Makes sure that everything is out.
    ///
    /// # Errors
    /// What the stream says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// JSON as compact as it gets, in which every character that a terminal or a reader's eye would obey is an escape:
/// programs read the same, and nothing happens to a person who looks.
struct PlainJson;

impl serde_json::ser::Formatter for PlainJson {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c| !printable::is_plain(c)) {
            let (plain, after) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let Some(special) = after.chars().next() else { break };
            for unit in special.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.get(special.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// A value as one line of such JSON.
#[must_use]
pub fn plain_json(value: &serde_json::Value) -> String {
    let mut line = Vec::new();
    // Writing JSON into memory cannot fail.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut line, PlainJson));
    String::from_utf8(line).unwrap_or_default()
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// A duration as people say it.
#[must_use]
pub fn seconds(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{:.1} s", millis as f64 / 1_000.0),
        _ => format!("{} min {} s", millis / 60_000, millis / 1_000 % 60),
    }
}

/// Bytes as people say them.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// A table without lines, for a terminal.
#[must_use]
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table.add_rows(rows);
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_no_character_that_a_terminal_would_obey_and_reads_back_the_same() {
        let text = "a\u{1b}[2J\n\u{9b}1m \u{202e}\u{7f}\u{e0041}\"\\ Müller €";
        let mut written = Vec::new();
        text.serialize(&mut serde_json::Serializer::with_formatter(&mut written, PlainJson)).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert!(written.chars().all(printable::is_plain), "{written:?}");
        assert!(written.contains("Müller €") && written.contains(r"\u202e\u007f\udb40\udc41"), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(counted(2, "record"), "2 records");
        assert_eq!(seconds(61_000), "1 min 1 s");
        assert_eq!(moment(0), "1970-01-01 00:00:00Z");
    }
}
