//! The log of a running engine: one line an event on standard error, as text or as JSON. Everything in it that came from
//! outside is escaped, so that nobody can write lines of the log, or command the terminal of whoever reads it, by naming a
//! file.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::output;
use crate::{exchange::clock::Clock, model::printable};

/// What of this crate and of others is logged.
const CRATE: &str = env!("CARGO_CRATE_NAME");

/// Writes events of our own at `INFO` and above, and nothing of the libraries below.
pub struct Log {
    json: bool,
    clock: Box<dyn Clock>,
}

impl Log {
    /// A log of text for people or, with `json`, for programs.
    #[must_use]
    pub fn new(json: bool, clock: Box<dyn Clock>) -> Self {
        Self { json, clock }
    }

    /// Makes it the log of this process.
    pub fn install(self) {
        // A second one would be an error of the program, and the first goes on.
        let _ = tracing::subscriber::set_global_default(self);
    }

    fn line(&self, level: Level, event: &Event<'_>) -> String {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let at = moment(self.clock.unix_millis());
        if self.json {
            return json_line(&at, level, fields);
        }
        let mut line = format!("{at} {level:<5} {}", printable::text(&fields.message));
        for (name, value) in fields.others {
            let text = match value {
                Value::String(text) if text.is_empty() => continue,
                Value::String(text) => quoted(&text),
                other => other.to_string(),
            };
            let _ = write!(line, " {name}={text}");
        }
        line
    }
}

/// To the millisecond, in UTC.
fn moment(unix_millis: u64) -> String {
    let millis = i64::try_from(unix_millis).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| unix_millis.to_string(),
        |moment| moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    )
}

fn json_line(at: &str, level: Level, fields: Fields) -> String {
    let mut object = Map::new();
    object.insert("at".to_owned(), at.into());
    object.insert("level".to_owned(), level.as_str().to_lowercase().into());
    object.insert("message".to_owned(), fields.message.into());
    object.extend(fields.others);
    output::plain_json(&Value::Object(object))
}

/// A value that can be told from what follows it.
fn quoted(text: &str) -> String {
    let shown = printable::text(text);
    let is_word = !shown.is_empty() && shown.chars().all(|c| c.is_alphanumeric() || "-_./:".contains(c));
    if is_word { shown } else { format!("\"{}\"", shown.replace('"', "\\\"")) }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.others.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with(CRATE)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1) // spans are not used
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let line = self.line(*event.metadata().level(), event);
        // Where nobody can read the log, work goes on all the same.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use super::*;

    #[derive(Debug)]
    struct Fixed;

    impl Clock for Fixed {
        fn unix_millis(&self) -> u64 {
            1_700_000_000_123
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// Keeps the lines instead of writing them.
    struct Kept(Log, Arc<Mutex<Vec<String>>>);

    impl Subscriber for Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            self.0.enabled(metadata)
        }

        fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
            self.0.new_span(attributes)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            self.1.lock().unwrap().push(self.0.line(*event.metadata().level(), event));
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    fn logged(json: bool, what: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Kept(Log::new(json, Box::new(Fixed)), Arc::clone(&lines));
        tracing::subscriber::with_default(log, what);
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn a_line_of_text_has_time_level_message_and_what_belongs_to_it() {
        let lines = logged(false, || {
            tracing::info!(file = "a b.csv", delivery = "0198-ab", empty = "", read = 3_u64, "taken");
            tracing::debug!("not of interest");
            tracing::error!("lost");
        });
        let taken = "2023-11-14T22:13:20.123Z INFO  taken delivery=0198-ab file=\"a b.csv\" read=3";
        let fields: Vec<&str> = lines[0].split(' ').collect();
        assert_eq!(fields.len(), taken.split(' ').count(), "{lines:?}");
        for part in ["2023-11-14T22:13:20.123Z INFO  taken", "delivery=0198-ab", "file=\"a b.csv\"", "read=3"]
        {
            assert!(lines[0].contains(part), "{lines:?}");
        }
        assert_eq!(lines[1..], ["2023-11-14T22:13:20.123Z ERROR lost"]);
    }

    #[test]
    fn a_name_cannot_write_lines_of_its_own_or_command_a_terminal() {
        let hostile = "a\n2026-01-01T00:00:00.000Z INFO  loaded\u{1b}[2J\u{202e}\" x=1";
        for json in [false, true] {
            let lines = logged(json, || tracing::warn!(file = hostile, "it {hostile} failed"));
            assert_eq!(lines.len(), 1);
            assert!(lines[0].chars().all(printable::is_plain), "{lines:?}");
            if json {
                let object: Value = serde_json::from_str(&lines[0]).unwrap();
                assert_eq!(object["file"], hostile);
                assert_eq!(object["level"], "warn");
            } else {
                assert!(lines[0].ends_with(r#"\" x=1""#), "{lines:?}");
            }
        }
    }
}
