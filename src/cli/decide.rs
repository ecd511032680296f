//! `wharf retry`, `approve` and `decline`: what a person decides about a delivery that waits for one.

use clap::Args;

use super::{
    CommandError, Common, Exit,
    load::{Terminal, at_work, person},
    open_ledger, open_site,
    output::Output,
};
use crate::{
    exchange::{DeliveryReport, Observer, Step},
    ledger::{DeliveryState, Wish},
};

/// Which delivery.
#[derive(Args, Debug)]
pub struct Delivery {
    /// The delivery's id, or the beginning of it
    id: String,
}

/// Tries a failed or held delivery again.
///
/// # Errors
/// When there is none of this id, or it is neither.
pub fn retry(common: &Common, options: &Delivery, output: &mut Output) -> Result<Exit, CommandError> {
    let mut terminal = Terminal::new(output);
    let wish = |delivery: &DeliveryState| Wish::Retry { delivery: delivery.id };
    decide(common, options, wish, &mut terminal)?;
    terminal.finish()
}

/// Loads a held delivery with the rejects that it has, and lets those rows vanish that it does not have.
///
/// # Errors
/// When there is none of this id, or it is not held.
pub fn approve(common: &Common, options: &Delivery, output: &mut Output) -> Result<Exit, CommandError> {
    let mut terminal = Terminal::new(output);
    // What is approved is what stands in the ledger now, and was shown; a rerun that exceeds it holds again.
    let wish = |delivery: &DeliveryState| Wish::Approve {
        delivery: delivery.id,
        rejected: delivery.tally.map_or(0, |tally| tally.rejected),
        deletes: delivery.deletes,
    };
    decide(common, options, wish, &mut terminal)?;
    terminal.finish()
}

/// Ends a held or failed delivery.
///
/// # Errors
/// When there is none of this id, or it is neither.
pub fn decline(common: &Common, options: &Delivery, output: &mut Output) -> Result<Exit, CommandError> {
    let mut declined = Declined { terminal: Terminal::new(output), first: true };
    decide(common, options, |delivery| Wish::Decline { delivery: delivery.id }, &mut declined)?;
    declined.terminal.finish()
}

/// Finds the delivery, and lets the engine that runs carry out the decision, or does it here.
fn decide(
    common: &Common,
    options: &Delivery,
    wish: impl FnOnce(&DeliveryState) -> Wish,
    observer: &mut dyn Observer,
) -> Result<(), CommandError> {
    let site = open_site(common)?;
    let delivery = open_ledger(&site)?.view().delivery(&options.id)?;
    let (wish, by) = (wish(&delivery), person());
    at_work(&site, "wharf decide", vec![wish], &by, observer, |engine, wishes, observer| {
        wishes.iter().try_for_each(|wish| engine.decide(wish, &by, observer))
    })
}

/// Shows the delivery that was declined without counting it: what was asked for was done.
struct Declined<'a> {
    terminal: Terminal<'a>,
    first: bool,
}

impl Observer for Declined<'_> {
    fn progress(&mut self, file: &std::path::Path, step: Step, done: u64, total: u64) {
        self.terminal.progress(file, step, done, total);
    }

    fn ended(&mut self, report: DeliveryReport) {
        if std::mem::take(&mut self.first) {
            self.terminal.show(&report);
        } else {
            self.terminal.ended(report);
        }
    }

    fn note(&mut self, text: &str) {
        self.terminal.note(text);
    }
}
