//! `wharf rejects --ignore`: a person says that nothing has to become of some open rejects, and why.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    cli::{
        CommandError, Exit,
        load::{Terminal, at_work, person},
        open_ledger,
        output::{Output, counted},
    },
    exchange::corrections::find_reject,
    ledger::{Ranges, RejectCounts, Wish},
    mapping::Site,
    model::DeliveryId,
};

/// Ids of rejects have so many digits; those of deliveries have hyphens, or are shorter.
const REJECT_ID_DIGITS: usize = 32;

/// Ignores the open rejects of deliveries, and single rejects.
///
/// # Errors
/// When an id leads nowhere, or to no open reject.
pub fn run(site: &Site, ids: &[String], reason: &str, output: &mut Output) -> Result<Exit, CommandError> {
    let usage = |message: String| Err(CommandError::Usage(message));
    if reason.trim().is_empty() {
        return usage("say why they are ignored: --reason TEXT".to_owned());
    }
    // All of a delivery, or these records of it.
    let mut wanted: BTreeMap<DeliveryId, Option<Vec<u64>>> = BTreeMap::new();
    {
        let reader = open_ledger(site)?;
        let view = reader.view();
        let key = view.site()?.key;
        for id in ids {
            if id.trim().len() == REJECT_ID_DIGITS
                && let Some((delivery, record)) = find_reject(view, &key, id)?
            {
                if let Some(records) = wanted.entry(delivery).or_insert_with(|| Some(Vec::new())) {
                    records.push(record);
                }
                continue;
            }
            wanted.insert(view.delivery(id)?.id, None);
        }
    }
    let wish = |(delivery, records): (&DeliveryId, &Option<Vec<u64>>)| Wish::Ignore {
        delivery: *delivery,
        records: records.as_ref().map(|records| records.iter().copied().collect::<Ranges>()),
        reason: reason.trim().to_owned(),
    };
    let wishes: Vec<Wish> = wanted.iter().map(wish).collect();
    let before = counts(site, wanted.keys())?;
    let by = person();
    let mut terminal = Terminal::new(output);
    at_work(site, "wharf rejects", wishes, &by, &mut terminal, |engine, wishes, observer| {
        wishes.iter().try_for_each(|wish| engine.decide(wish, &by, observer))
    })?;
    let exit = terminal.finish()?;
    let after = counts(site, wanted.keys())?;
    for ((delivery, before), (_, after)) in before.iter().zip(&after) {
        let ignored = after.ignored.saturating_sub(before.ignored);
        if output.json() {
            output
                .object(&json!({ "delivery": delivery.to_string(), "ignored": ignored, "states": after }))?;
        } else {
            let ignored = counted(ignored, "reject");
            output.line(format!("{delivery}: {ignored} ignored, {} open", after.open))?;
        }
    }
    Ok(exit)
}

fn counts<'a>(
    site: &Site,
    deliveries: impl Iterator<Item = &'a DeliveryId>,
) -> Result<Vec<(DeliveryId, RejectCounts)>, CommandError> {
    let reader = open_ledger(site)?;
    deliveries
        .map(|id| Ok((*id, reader.view().by_id(*id)?.map(|delivery| delivery.rejects).unwrap_or_default())))
        .collect()
}
