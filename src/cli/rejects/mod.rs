//! `wharf rejects`: which deliveries have rejects, what is wrong with the rejects of one and what has become of each, and
//! the word of a person that nothing has to become of some.

mod detail;
mod ignore;

use clap::{Args, ValueEnum};

use super::{
    CommandError, Common, Exit, deliveries, open_ledger, open_site,
    output::{Output, moment, table, thousands},
    summary::state_words,
};
use crate::{
    ledger::{DeliveryState, Filter, RejectCounts, View},
    mapping::Site,
    model::{Rule, State, printable, reject::RULES},
};

/// Options of `wharf rejects`.
#[derive(Args, Debug)]
pub struct Options {
    /// The delivery's id, or the beginning of it; left out: all deliveries with rejects. With `--ignore` also the ids of
    /// single rejects, as they stand in the report
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only of this mapping
    #[arg(long, value_name = "NAME", conflicts_with = "ignore")]
    mapping: Option<String>,
    /// Only those that stand so
    #[arg(long, value_enum, default_value_t = Standing::All, conflicts_with = "ignore")]
    state: Standing,
    /// Only those that broke this rule: type, required, pattern, ...
    #[arg(long, value_name = "RULE", conflicts_with = "ignore")]
    rule: Option<String>,
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Say that nothing has to become of these open rejects: they are not loaded any more
    #[arg(long, requires = "reason", requires = "ids")]
    ignore: bool,
    /// Why they are ignored
    #[arg(long, value_name = "TEXT", requires = "ignore")]
    reason: Option<String>,
}

/// How a reject stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Standing {
    /// It can be corrected
    Open,
    /// A correction has loaded it
    Corrected,
    /// A later delivery has loaded its key
    Overtaken,
    /// A person said that nothing has to become of it
    Ignored,
    /// However it stands
    All,
}

impl Standing {
    fn code(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Corrected => "corrected",
            Self::Overtaken => "overtaken",
            Self::Ignored => "ignored",
            Self::All => "all",
        }
    }

    /// How many rejects of a delivery stand so.
    fn count(self, delivery: &DeliveryState) -> u64 {
        match self {
            Self::Open => delivery.rejects.open,
            Self::Corrected => delivery.rejects.corrected,
            Self::Overtaken => delivery.rejects.overtaken,
            Self::Ignored => delivery.rejects.ignored,
            Self::All => delivery.tally.map_or(0, |tally| tally.rejected),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When there is no ledger yet, the rejects cannot be read, or those that are to be ignored are no open rejects.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    if let Some(reason) = options.reason.as_deref().filter(|_| options.ignore) {
        return ignore::run(&site, &options.ids, reason, output);
    }
    let reader = open_ledger(&site)?;
    check_filters(&site, reader.view(), options)?;
    if options.ids.is_empty() {
        return all(reader.view(), options, output);
    }
    for id in &options.ids {
        detail::one(&site, reader.view(), id, options, output)?;
    }
    Ok(Exit::Clean)
}

/// What nothing can stand under is told, so that nobody takes a slip for "no rejects".
fn check_filters(site: &Site, view: View<'_>, options: &Options) -> Result<(), CommandError> {
    if let Some(rule) = options.rule.as_deref().filter(|rule| Rule::from_code(rule).is_none()) {
        let rules: Vec<&str> = RULES.iter().map(Rule::code).collect();
        return Err(CommandError::Usage(format!(
            "there is no rule `{}`; the rules are {}, and check:NAME for the checks of a mapping",
            printable::short(rule, SHOWN_CHARACTERS),
            rules.join(", ")
        )));
    }
    let Some(mapping) = &options.mapping else { return Ok(()) };
    let is_there = site.catalog.iter().any(|entry| entry.name == *mapping);
    let of_it = Filter { mapping: Some(mapping.clone()), limit: Some(1), ..Filter::default() };
    // Deliveries of a mapping that is gone stay in the ledger.
    if !is_there && view.list(&of_it)?.is_empty() {
        site.catalog.get(mapping)?;
    }
    Ok(())
}

/// How many rejects stand where, in words.
#[must_use]
pub fn standing(counts: &RejectCounts) -> String {
    let parts = [
        (counts.open, "open"),
        (counts.corrected, "corrected"),
        (counts.overtaken, "overtaken"),
        (counts.ignored, "ignored"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, name)| *count > 0 || *name == "open")
        .map(|(count, name)| format!("{} {name}", thousands(*count)))
        .collect();
    parts.join(", ")
}

/// So much of what was asked for is shown.
const SHOWN_CHARACTERS: usize = 60;
/// Deliveries looked through at once for those that are wanted.
const PAGE: u32 = 1_000;

fn all(view: View<'_>, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let states = match options.state {
        Standing::All => vec![State::LoadedWithRejects, State::Held, State::Refused, State::Failed],
        _ => vec![State::LoadedWithRejects],
    };
    let open = options.state == Standing::Open;
    let mut filter =
        Filter { states, mapping: options.mapping.clone(), open, limit: Some(PAGE), ..Filter::default() };
    // What a correction could not load is a reject of the delivery that it corrects.
    let is_wanted = |delivery: &DeliveryState| {
        let broke = |rule: &String| delivery.violations.contains_key(rule);
        delivery.corrects.is_none()
            && options.state.count(delivery) > 0
            && options.rule.as_ref().is_none_or(broke)
    };
    let mut found: Vec<DeliveryState> = Vec::new();
    loop {
        let page = view.list(&filter)?;
        let is_last = page.len() < PAGE as usize;
        found.extend(page.into_iter().filter(is_wanted));
        if is_last || found.len() >= options.limit as usize {
            break;
        }
        filter.offset += PAGE;
    }
    found.truncate(options.limit as usize);
    if output.json() {
        for delivery in &found {
            output.object(&deliveries::to_json(delivery))?;
        }
        return Ok(Exit::Clean);
    }
    if found.is_empty() {
        output.line(match options.state {
            Standing::All => "no rejects".to_owned(),
            state => format!("no {} rejects", state.code()),
        })?;
        return Ok(Exit::Clean);
    }
    let rows = found
        .iter()
        .map(|delivery| {
            let is_loaded = delivery.state == State::LoadedWithRejects && !delivery.is_shadow();
            vec![
                delivery.id.to_string(),
                moment(delivery.changed_at_millis),
                state_words(delivery).to_owned(),
                delivery.tally.map_or_else(String::new, |tally| thousands(tally.rejected)),
                if is_loaded { thousands(delivery.rejects.open) } else { "-".to_owned() },
                printable::short(&delivery.file.to_string(), 50),
                delivery.reports.rejects.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let header = ["delivery", "when", "outcome", "rejects", "open", "file", "report"];
    output.line(table(&header, rows))?;
    Ok(Exit::Clean)
}
