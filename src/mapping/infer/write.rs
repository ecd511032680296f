//! Writes a draft as TOML, its evidence in comments at the ends of the lines.

use super::{
    draft::{Draft, DraftColumn},
    toml_text::{list, quoted},
};
use crate::model::printable::{self, thousands};

/// Names longer than this are not padded to.
const WIDEST_NAME: usize = 32;
/// Lines longer than this have their comment above them.
const WIDEST_LINE: usize = 110;

/// The text of the mapping. `names` are the samples, `checked` how many of their records were read and rejected under it.
#[must_use]
pub fn mapping(draft: &Draft, names: &[String], checked: Option<(u64, u64)>) -> String {
    let mut out = String::from("#:schema ../schema.json\n");
    let samples: Vec<String> = names.iter().take(5).map(|name| printable::short(name, 80)).collect();
    let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
    remark(
        &mut out,
        &format!(
            "Drafted by wharf infer from {}{more}: {} records.",
            samples.join(", "),
            thousands(draft.records)
        ),
    );
    match checked {
        Some((read, 0)) if read > 0 => remark(&mut out, "All of them pass this mapping."),
        Some((read, rejected)) if rejected > 0 => {
            remark(
                &mut out,
                &format!("{} of {} do not pass this mapping.", thousands(rejected), thousands(read)),
            );
        }
        _ => {}
    }
    remark(
        &mut out,
        "What the samples cannot decide is marked CHECK; everything else is what holds for all of their records.",
    );
    for note in &draft.notes {
        remark(&mut out, note);
    }
    out.push('\n');
    match draft.matches.as_slice() {
        [one] => line(&mut out, "match", &quoted(one), None),
        several => line(&mut out, "match", &list(several), None),
    }
    format(&mut out, draft);
    target(&mut out, draft);
    columns(&mut out, draft);
    out
}

fn remark(out: &mut String, text: &str) {
    out.push_str("# ");
    out.push_str(&printable::text(text));
    out.push('\n');
}

fn line(out: &mut String, key: &str, value: &str, comment: Option<&str>) {
    out.push_str(key);
    out.push_str(" = ");
    out.push_str(value);
    if let Some(comment) = comment.filter(|comment| !comment.is_empty()) {
        out.push_str("  # ");
        out.push_str(&printable::text(comment));
    }
    out.push('\n');
}

fn format(out: &mut String, draft: &Draft) {
    let options = draft.sniffed.options();
    out.push_str("\n[format]\ntype = \"csv\"\n");
    line(out, "delimiter", &quoted(&options.delimiter), None);
    if options.quote != "\"" {
        let comment =
            if options.quote.is_empty() { "quotes in this file are ordinary characters" } else { "" };
        line(out, "quote", &quoted(&options.quote), Some(comment));
    }
    if let Some(escape) = &options.escape {
        line(out, "escape", &quoted(escape), None);
    }
    if let Some(comment) = &options.comment {
        line(out, "comment", &quoted(comment), None);
    }
    if options.skip_rows > 0 {
        let what = match (&draft.sniffed.by_number, draft.sniffed.header.is_some()) {
            (Some(_), _) => "the header and what stands before it",
            (None, true) => "lines before the header",
            (None, false) => "lines before the first record",
        };
        line(out, "skip_rows", &options.skip_rows.to_string(), Some(what));
    }
    let guessed = draft
        .sniffed
        .encoding_guessed
        .then_some("CHECK: guessed; look whether names with accents come out right");
    if guessed.is_some() || options.encoding != "utf-8" {
        line(out, "encoding", &quoted(&options.encoding), guessed);
    }
    if !options.header {
        line(out, "header", "false", draft.sniffed.header.is_none().then_some("the first record is data"));
    }
    if options.trailing_delimiter {
        line(out, "trailing_delimiter", "true", None);
    }
    for (key, value, comment) in &draft.statement {
        line(out, key, value, comment.as_deref());
    }
}

fn target(out: &mut String, draft: &Draft) {
    out.push_str("\n[target]\n");
    line(out, "table", &quoted(&draft.name), None);
    let key = match draft.key.as_slice() {
        [one] => quoted(one),
        several => list(several),
    };
    line(out, "key", &key, Some(&draft.key_comment));
    if draft.last_wins {
        line(out, "duplicate_keys", "\"last\"", None);
    }
}

fn columns(out: &mut String, draft: &Draft) {
    out.push_str("\n[columns]\n");
    let widest = draft
        .columns
        .iter()
        .map(|column| column.name.chars().count())
        .filter(|width| *width <= WIDEST_NAME)
        .max();
    for column in &draft.columns {
        let padding = widest.unwrap_or(0).saturating_sub(column.name.chars().count());
        let entry = format!("{}{} = {}", column.name, " ".repeat(padding), entry(column));
        let check = column.check.iter().map(|ask| format!("CHECK: {ask}"));
        let comments: Vec<String> = check.chain(column.evidence.iter().cloned()).collect();
        let comment = printable::text(&comments.join("; "));
        if comment.is_empty() {
            out.push_str(&entry);
        } else if entry.chars().count() > WIDEST_LINE {
            out.push_str(&format!("# {comment}\n{entry}"));
        } else {
            out.push_str(&format!("{entry}  # {comment}"));
        }
        out.push('\n');
    }
}

fn entry(column: &DraftColumn) -> String {
    let mut parts = Vec::new();
    parts.extend(column.from.as_ref().map(|from| format!("from = {from}")));
    if column.type_name != "text" {
        parts.push(format!("type = {}", quoted(&column.type_name)));
    }
    parts.extend(column.keys.iter().map(|(key, value)| format!("{key} = {value}")));
    if column.required {
        parts.push("required = true".to_owned());
    }
    if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
}
