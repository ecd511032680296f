//! The rejects of one delivery: how they stand, what is wrong by column and rule, and the first of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Options, Standing, standing};
use crate::{
    cli::{
        CommandError,
        output::{Output, counted, table, thousands},
    },
    exchange::{
        Folders, Sample,
        corrections::{OpenRejectsError, for_each_open},
        report::sample_of,
    },
    ledger::{Closing, DeliveryState, RejectStates, View},
    mapping::Site,
    model::{Reject, State},
    rejects::{RejectIds, column_of_file, shown_value},
    validate::{Seal, work::RejectFile},
};

/// One reject as it is shown.
struct Shown {
    sample: Vec<Sample>,
    json: Value,
}

/// What is shown of the rejects of a delivery.
struct Detail<'a> {
    options: &'a Options,
    ids: RejectIds,
    states: RejectStates,
    /// Nothing of the file is loaded: its rejects are reported, not open.
    is_loaded: bool,
    /// Rejects by column of the file and rule.
    counts: BTreeMap<(String, String), u64>,
    found: u64,
    /// The first, by record.
    first: BTreeMap<u64, Shown>,
}

/// Shows the rejects of one delivery.
///
/// # Errors
/// When they cannot be read.
pub fn one(
    site: &Site,
    view: View<'_>,
    id: &str,
    options: &Options,
    output: &mut Output,
) -> Result<(), CommandError> {
    let delivery = view.delivery(id)?;
    if let Some(of) = delivery.corrects {
        let text = format!("{} is a correction: what it could not load is a reject of {of}", delivery.id);
        return Err(CommandError::Usage(text));
    }
    if delivery.tally.is_none_or(|tally| tally.rejected == 0) {
        if !output.json() {
            return Ok(output.line(format!("{}: no rejects", delivery.file))?);
        }
        let nothing = Detail::new(options, view, &delivery)?;
        return Ok(output.object(&nothing.json(&delivery))?);
    }
    let mut detail = Detail::new(options, view, &delivery)?;
    detail.read(&Folders::of(site), view, &delivery)?;
    if output.json() {
        return Ok(output.object(&detail.json(&delivery))?);
    }
    detail.write(&delivery, output)
}

impl<'a> Detail<'a> {
    fn new(options: &'a Options, view: View<'_>, delivery: &DeliveryState) -> Result<Self, CommandError> {
        Ok(Self {
            options,
            ids: RejectIds::new(view.site()?.key, delivery.id),
            states: view.reject_states(delivery.id)?,
            is_loaded: delivery.state == State::LoadedWithRejects && !delivery.is_shadow(),
            counts: BTreeMap::new(),
            found: 0,
            first: BTreeMap::new(),
        })
    }

    /// Reads them: open ones as they are now, the others as they came.
    fn read(
        &mut self,
        folders: &Folders,
        view: View<'_>,
        delivery: &DeliveryState,
    ) -> Result<(), CommandError> {
        let wanted = self.options.state;
        if self.is_loaded && matches!(wanted, Standing::Open | Standing::All) {
            for_each_open(folders, view, delivery.id, &mut |seal, reject, _| {
                self.see(seal, &reject, None);
                Ok(())
            })
            .map_err(unreadable)?;
        }
        if self.is_loaded && wanted == Standing::Open {
            return Ok(());
        }
        let path = folders.reject_file(delivery.id);
        let unreadable = |why: String| {
            CommandError::Usage(format!("the rejects kept in {} cannot be read: {why}", path.display()))
        };
        let file = std::fs::File::open(&path).map_err(|error| unreadable(error.to_string()))?;
        let kept = RejectFile::open(file)?;
        for reject in kept.rejects()? {
            let reject = reject?;
            let closing = self.states.of(reject.position.record).cloned();
            let fits = closing
                .as_ref()
                .is_some_and(|closing| wanted == Standing::All || closing.code() == wanted.code());
            if fits || (!self.is_loaded && wanted == Standing::All) {
                self.see(&kept.seal, &reject, closing.as_ref());
            }
        }
        Ok(())
    }

    fn see(&mut self, seal: &Seal, reject: &Reject, closing: Option<&Closing>) {
        let broke = |rule: &String| reject.violations.iter().any(|found| found.rule.code() == rule);
        if !self.options.rule.as_ref().is_none_or(broke) {
            return;
        }
        self.found += 1;
        for violation in &reject.violations {
            let column = violation.column.map_or("", |column| column_of_file(seal, column));
            let of = (column.to_owned(), violation.rule.code().to_owned());
            *self.counts.entry(of).or_default() += 1;
        }
        let limit = self.options.limit as usize;
        let is_among = self.first.len() < limit
            || self.first.last_key_value().is_some_and(|(last, _)| reject.position.record < *last);
        if is_among && limit > 0 {
            self.first.insert(reject.position.record, self.shown(seal, reject, closing));
            if self.first.len() > limit {
                self.first.pop_last();
            }
        }
    }

    fn shown(&self, seal: &Seal, reject: &Reject, closing: Option<&Closing>) -> Shown {
        let violations: Vec<_> = reject
            .violations
            .iter()
            .map(|violation| {
                let column = violation.column.and_then(|column| seal.columns.get(usize::from(column)));
                let value = shown_value(seal, violation.column, &violation.value);
                json!({ "column": column, "value": value, "rule": violation.rule.code(), "message": violation.message })
            })
            .collect();
        let position = &reject.position;
        let state = match closing {
            Some(closing) => Some(closing.code()),
            None => self.is_loaded.then_some("open"),
        };
        let json = json!({
            "id": self.ids.id(position.record), "record": position.record, "line": position.line, "byte": position.byte,
            "state": state, "why": closing, "violations": violations,
        });
        Shown { sample: sample_of(seal, reject), json }
    }

    fn json(&self, delivery: &DeliveryState) -> Value {
        let counts: Vec<Value> = self
            .counts
            .iter()
            .map(|((column, rule), count)| json!({ "column": column, "rule": rule, "count": count }))
            .collect();
        json!({
            "delivery": delivery.id.to_string(),
            "file": delivery.file.to_string(),
            "mapping": delivery.mapping,
            "outcome": delivery.state,
            "states": delivery.rejects,
            "found": self.found,
            "counts": counts,
            "rejects": self.first.values().map(|shown| &shown.json).collect::<Vec<_>>(),
        })
    }

    fn write(&self, delivery: &DeliveryState, output: &mut Output) -> Result<(), CommandError> {
        let rejected = delivery.tally.map_or(0, |tally| tally.rejected);
        let states =
            if self.is_loaded { format!(" ({})", standing(&delivery.rejects)) } else { String::new() };
        output.line(format!("{}: {} rejected{states}", delivery.file, counted(rejected, "record")))?;
        if !self.counts.is_empty() {
            let rows = self
                .counts
                .iter()
                .map(|((column, rule), count)| {
                    let column = if column.is_empty() { "the record" } else { column };
                    vec![
                        format!("  {}", crate::model::printable::short(column, 40)),
                        rule.clone(),
                        thousands(*count),
                    ]
                })
                .collect();
            output.line(table(&["  column", "rule", "rejects"], rows))?;
        }
        for shown in self.first.values() {
            for finding in &shown.sample {
                let subject = match (finding.column.as_str(), finding.value.as_str()) {
                    ("", value) => format!("the record `{value}`"),
                    (column, "") => column.to_owned(),
                    (column, value) => format!("{column} \"{value}\""),
                };
                let state = shown.json.get("state").and_then(Value::as_str).filter(|state| *state != "open");
                let state = state.map(|state| format!(" ({state})")).unwrap_or_default();
                output.line(format!("  line {}: {subject} {}{state}", finding.line, finding.message))?;
            }
        }
        let more = self.found.saturating_sub(self.first.len() as u64);
        if more > 0 {
            output.line(format!("  and {} more (--limit)", thousands(more)))?;
        }
        Ok(())
    }
}

fn unreadable(error: OpenRejectsError) -> CommandError {
    match error {
        OpenRejectsError::Ledger(error) => error.into(),
        other => CommandError::Usage(other.to_string()),
    }
}
