//! What a mapping says of the arrival of its files: from where they come, what they wait for, and in what order they are
//! loaded. None of it changes what a file means.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    check::Checked,
    document::Step,
    duration::{self, duration},
    expect,
    findings::Findings,
    order::Order,
    pattern::NamePattern,
    problem::Place,
    written::{Texts, Written},
};

/// How long files may wait for other mappings.
const WAITS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3_600);

/// What a mapping says of the arrival of its files.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The sources it takes files from, by name; none: all.
    pub sources: Vec<String>,
    /// The mappings its files wait for, by name.
    pub waits_for: Vec<String>,
    /// How long they wait.
    pub wait_limit: Duration,
    /// The order of its files.
    pub order: Order,
    /// The names it uses of what stands elsewhere in the site.
    pub mentions: Vec<Mention>,
}

/// A name of something outside the mapping that uses it.
#[derive(Clone, Debug)]
pub struct Mention {
    /// What it is meant to be the name of.
    pub kind: Mentioned,
    /// The name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// What a mapping may mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mentioned {
    /// A source of `wharf.toml`.
    Source,
    /// Another mapping of the site.
    Mapping,
}

impl Mentioned {
    /// The key that mentions it.
    fn key(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Mapping => "waits_for",
        }
    }
}

/// What `written` comes to; `matches` are its patterns as far as they can be read.
pub fn arrival(
    written: &Written,
    matches: &[NamePattern],
    checked: &Checked,
    findings: &mut Findings<'_>,
) -> Arrival {
    let mut mentions = Vec::new();
    let sources = names(Mentioned::Source, written.source.as_ref(), &mut mentions, findings);
    let waits_for = names(Mentioned::Mapping, written.waits_for.as_ref(), &mut mentions, findings);
    let is_written = checked.value.get("wait_limit").is_some();
    if is_written && written.waits_for.is_none() && checked.is_present(&["waits_for"]) {
        let help = "leave it out, or name the mappings to wait for in `waits_for`";
        findings.key(&["wait_limit".into()], "there is no `waits_for` that this could limit", Some(help));
    }
    let wait_limit = duration(&written.wait_limit, &WAITS).unwrap_or_else(|message| {
        findings.value(&["wait_limit".into()], &message, Some(duration::HELP));
        *WAITS.end()
    });
    let order = order(&written.order, matches, findings);
    Arrival { sources, waits_for, wait_limit, order, mentions }
}

/// The names of a key, each once.
fn names(
    kind: Mentioned,
    written: Option<&Texts>,
    mentions: &mut Vec<Mention>,
    findings: &mut Findings<'_>,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, name) in written.map(Texts::as_slice).unwrap_or_default().iter().enumerate() {
        let path: &[Step<'_>] = match written {
            Some(Texts::Many(_)) => &[kind.key().into(), index.into()],
            _ => &[kind.key().into()],
        };
        if names.contains(name) {
            findings.value(path, &format!("`{name}` stands in this list already"), None);
            continue;
        }
        let document = findings.document();
        let place = document.place(document.value_span(path));
        mentions.push(Mention { kind, name: name.clone(), place });
        names.push(name.clone());
    }
    names
}

/// The order, whose capture all patterns must have: a file without it would have no place.
fn order(written: &str, matches: &[NamePattern], findings: &mut Findings<'_>) -> Order {
    let order = Order::read(written).unwrap_or_default();
    let Order::Capture(name) = &order else { return order };
    let mut problem = |message: &str, help: &str| {
        findings.part(&["order".into()], Order::capture_at(written), message, Some(help));
    };
    if name.is_empty() {
        problem(
            "the name of a capture is missing",
            "write it such as \"file.date\", for `{date:%Y%m%d}` in `match`",
        );
        return order;
    }
    let has = |pattern: &&NamePattern| pattern.captures().any(|known| known == name);
    if let Some(without) = matches.iter().find(|pattern| !has(pattern)) {
        let pattern = without.as_str();
        let mut known: Vec<&str> = matches.iter().flat_map(NamePattern::captures).collect();
        known.sort_unstable();
        known.dedup();
        let near = expect::key_suggestion_for(name, &known).filter(|_| !matches.iter().any(|one| has(&one)));
        let help = near.unwrap_or_else(|| {
            format!("every pattern of `match` must have it, written as `{{{name}}}` or with a format")
        });
        problem(&format!("the pattern `{pattern}` has no capture `{name}`"), &help);
        return order;
    }
    let coarsest = |pattern: &NamePattern| pattern.coarsest(name);
    if let Some((first, other)) = matches
        .first()
        .and_then(|first| Some((first, matches.iter().find(|other| coarsest(other) != coarsest(first))?)))
    {
        let message = format!(
            "`{name}` in `{}` cannot be compared with `{name}` in `{}`",
            first.as_str(),
            other.as_str()
        );
        problem(
            &message,
            "give it in every pattern the same kind of format, such as %Y%m%d and %F, or in none",
        );
    }
    order
}
